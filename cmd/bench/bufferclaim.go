package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// heap is a ledger with many held writes, ten for each lane.
type heap struct {
	db      *ledger.DB
	request []byte
	lanes   int
	n       atomic.Int64
	claimed map[string]int64 // the last number that was claimed, by lane
}

// claimBatch is how many writes are claimed at a time.
const claimBatch = 16

// appendOne appends a write to one of the lanes; the classes are mixed.
func (h *heap) appendOne(ctx context.Context, lane int) error {
	i := h.n.Add(1)
	class := specs.Normal
	switch i % 10 {
	case 0:
		class = specs.Critical
	case 1, 2, 3:
		class = specs.Low
	}
	_, err := h.db.Append(ctx, &ledger.Write{
		System: "erp", Operation: heapOperation, Class: class, Lanes: []string{fmt.Sprintf("reference=%d", lane)},
		Key: fmt.Sprintf("key-%d", i), Fingerprint: []byte("0123456789abcdef0123456789abcdef"), KeepKey: time.Hour, Request: h.request,
	})
	return err
}

// fill appends until so many are held, or until it has lasted for limit.
func (h *heap) fill(ctx context.Context, depth int, limit time.Duration) error {
	began := time.Now()
	h.lanes = max(1, depth/10)
	held, _ := h.db.Depth("erp")
	var next atomic.Int64
	next.Store(held)
	errs := make([]error, 256)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() {
			for errs[i] == nil {
				at := next.Add(1)
				if at > int64(depth) || time.Since(began) > limit {
					return
				}
				errs[i] = h.appendOne(ctx, int(at)%h.lanes)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// claimed is what a while of claiming came to.
type claimed struct {
	writes int
	spent  time.Duration // claiming and settling; refilling is not counted
	claims []time.Duration
}

func (c claimed) perSecond() float64 { return float64(c.writes) / c.spent.Seconds() }

// claim claims and settles writes for a while, and appends as many again, so
// that the depth stays.
func (h *heap) claim(ctx context.Context, d time.Duration) (claimed, error) {
	var c claimed
	for started := time.Now(); time.Since(started) < d; {
		from := time.Now()
		list, err := h.db.Claim(ctx, "erp", ledger.Room{Max: claimBatch})
		if err != nil {
			return c, err
		}
		if len(list) == 0 {
			return c, fmt.Errorf("nothing can be claimed after %d writes", c.writes)
		}
		c.claims = append(c.claims, time.Since(from))
		if err := h.inOrder(list); err != nil {
			return c, err
		}
		if err := all(len(list), func(i int) error {
			return h.db.Settle(ctx, list[i], ledger.Settlement{State: ledger.Delivered, Attempt: true, Status: 201, Response: []byte("{}")})
		}); err != nil {
			return c, err
		}
		c.spent += time.Since(from)
		c.writes += len(list)
		if err := all(len(list), func(int) error { return h.appendOne(ctx, rand.IntN(h.lanes)) }); err != nil {
			return c, err
		}
	}
	return c, nil
}

// inOrder checks that lanes go strictly, and nothing twice.
func (h *heap) inOrder(list []*ledger.Claimed) error {
	if h.claimed == nil {
		h.claimed = map[string]int64{}
	}
	for _, c := range list {
		if last := h.claimed[c.Lanes[0]]; c.Seq <= last {
			return fmt.Errorf("write %d of %s was claimed after write %d", c.Seq, c.Lanes[0], last)
		}
		h.claimed[c.Lanes[0]] = c.Seq
	}
	return nil
}

// all does something n times at once.
func all(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { errs[i] = do(i) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// depth measures claims at each depth, on a ledger for each, in turns. The
// ratio is that of the time for a write at the greatest depth to that at the
// least, as the median over the rounds.
func (b *bufferBench) depth(ctx context.Context, engine string) (ratio float64, err error) {
	request, err := b.template()
	if err != nil {
		return 0, err
	}
	heaps := make([]*heap, len(b.depths))
	filled, held := make([]float64, len(b.depths)), make([]int64, len(b.depths))
	for i, depth := range b.depths {
		url, err := b.url(engine, heapFile(depth))
		if err != nil {
			return 0, err
		}
		db, err := ledger.Open(ctx, url, quiet)
		if err != nil {
			return 0, err
		}
		defer db.Close()
		heaps[i] = &heap{db: db, request: request}
		started := time.Now()
		if err := heaps[i].fill(ctx, depth, b.fill); err != nil {
			return 0, err
		}
		held[i], _ = db.Depth("erp")
		filled[i] = float64(held[i]) / time.Since(started).Seconds()
		if held[i] < int64(depth) {
			fmt.Printf("\n%s: only %d of %d writes were appended within %s; figures of the greatest depth are of these\n", engine, held[i], depth, b.fill)
		}
	}
	rates, claims := make([][]float64, len(heaps)), make([][]time.Duration, len(heaps))
	for round := range b.rounds + 1 {
		for i, h := range heaps {
			c, err := h.claim(ctx, b.claims)
			if err != nil {
				return 0, err
			}
			if round > 0 { // the first warms up
				rates[i] = append(rates[i], c.perSecond())
				claims[i] = append(claims[i], c.claims...)
			}
		}
	}
	fmt.Printf("\n| %s, held | filled at writes/s | claimed and settled/s | claim of %d: p50 ms | p99 ms |\n|---|---|---|---|---|\n", engine, claimBatch)
	for i, depth := range held {
		slices.Sort(claims[i])
		fmt.Printf("| %d | %.0f | %.0f | %.2f | %.2f |\n", depth, filled[i], median(rates[i]), ms(percentile(claims[i], 0.5)), ms(percentile(claims[i], 0.99)))
	}
	var ratios []float64
	for round := range rates[0] {
		ratios = append(ratios, rates[0][round]/rates[len(rates)-1][round])
	}
	return median(ratios), nil
}

// heldSnapshot measures claims on Postgres while another session holds a
// snapshot open, so that nothing can be cleaned away. The ratio is that of the
// rate at the end of it to the rate before.
func (b *bufferBench) heldSnapshot(ctx context.Context) (ratio float64, err error) {
	url, err := b.postgres.Create()
	if err != nil {
		return 0, err
	}
	db, err := ledger.Open(ctx, url, quiet)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	h := &heap{db: db, request: payload(benchBody)}
	if err := h.fill(ctx, b.depths[min(1, len(b.depths)-1)], b.fill); err != nil {
		return 0, err
	}
	const slice = 5 * time.Second
	before, err := h.claim(ctx, slice)
	if err != nil {
		return 0, err
	}
	fmt.Printf("\n| postgres, %d held | claimed and settled/s |\n|---|---|\n| no snapshot held | %.0f |\n", b.depths[min(1, len(b.depths)-1)], before.perSecond())
	other, err := sql.Open("pgx", url)
	if err != nil {
		return 0, err
	}
	defer other.Close()
	tx, err := other.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var n int64
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM writes").Scan(&n); err != nil {
		return 0, err
	}
	last := before
	for held := time.Duration(0); held < b.snapshot; held += slice {
		if last, err = h.claim(ctx, min(slice, b.snapshot-held)); err != nil {
			return 0, err
		}
		fmt.Printf("| held for %s to %s | %.0f |\n", held, held+slice, last.perSecond())
	}
	return last.perSecond() / before.perSecond(), nil
}
