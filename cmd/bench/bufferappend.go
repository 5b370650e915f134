package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// callers are the numbers of concurrent callers of which each waits for its append.
var callers = []int{1, 8, 64, 256}

// ratioAt is the number of callers whose ratio is the figure.
const ratioAt = 64

// benchBody is what each append carries.
const benchBody = 1024

// appendRun is what came out at one number of callers.
type appendRun struct {
	perSecond []float64 // by round
	latencies []time.Duration
}

// appender is one of those that are compared: the ledger or a bare loop.
type appender struct {
	name string
	do   func() error
	runs map[int]*appendRun // by callers
}

// appends measures appends to a ledger, and inserts of bare loops beside it:
// one that looks for each row whether its lane is free, and one that does
// nothing but insert. All write the same body, key and lane.
func (b *bufferBench) appends(ctx context.Context, engine string) (ratio float64, err error) {
	url, err := b.url(engine, "append")
	if err != nil {
		return 0, err
	}
	db, err := ledger.Open(ctx, url, quiet)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	body := payload(benchBody)
	var n, acknowledged atomic.Int64
	subjects := []*appender{{"ledger", func() error {
		err := appendTo(ctx, db, n.Add(1), body)
		if err == nil {
			acknowledged.Add(1)
		}
		return err
	}, map[int]*appendRun{}}}
	for i, name := range []string{"bare loop", "inserts alone, many rows to a statement"} {
		if url, err = b.url(engine, fmt.Sprintf("bare%d", i)); err != nil {
			return 0, err
		}
		loop, err := openBare(ctx, url, i == 0)
		if err != nil {
			return 0, err
		}
		defer loop.close()
		insert := func() error {
			i := n.Add(1)
			return loop.insert(fmt.Sprintf("key-%d", i), fmt.Sprintf("order=%d", i), body)
		}
		subjects = append(subjects, &appender{name, insert, map[int]*appendRun{}})
	}
	if err := b.appendRounds(subjects); err != nil {
		return 0, err
	}
	if held, _ := db.Depth("erp"); held != acknowledged.Load() {
		return 0, fmt.Errorf("%d writes were acknowledged, and %d are held", acknowledged.Load(), held)
	}
	return appendTable(engine, subjects), nil
}

// appendTo appends a write to a lane of its own.
func appendTo(ctx context.Context, db *ledger.DB, i int64, body []byte) error {
	_, err := db.Append(ctx, &ledger.Write{
		System: "erp", App: "bench", Operation: "orders/v1/createOrder", Class: specs.Normal, Lanes: []string{fmt.Sprintf("order=%d", i)},
		Key: fmt.Sprintf("key-%d", i), Fingerprint: body[:32], KeepKey: time.Hour, Request: body,
	})
	return err
}

// appendRounds runs every subject at every number of callers in each round, so
// that a slow minute of the machine is one of all of them.
func (b *bufferBench) appendRounds(subjects []*appender) error {
	var disk []float64
	for round := range b.rounds + 1 {
		syncs, err := b.syncs()
		if err != nil {
			return err
		}
		disk = append(disk, syncs)
		for _, c := range callers {
			for _, s := range subjects {
				perSecond, latencies, err := together(c, b.each, s.do)
				if err != nil {
					return fmt.Errorf("%s, %d callers: %w", s.name, c, err)
				}
				if s.runs[c] == nil {
					s.runs[c] = &appendRun{}
				}
				if round > 0 { // the first warms up
					s.runs[c].perSecond = append(s.runs[c].perSecond, perSecond)
					s.runs[c].latencies = append(s.runs[c].latencies, latencies...)
				}
			}
		}
	}
	fmt.Printf("\ndisk: %.0f syncs/s, from %.0f to %.0f\n", median(disk), slices.Min(disk), slices.Max(disk))
	return nil
}

// appendTable prints what came out. The ratio is that of the first subject to
// the second, as the median over the rounds.
func appendTable(engine string, subjects []*appender) (ratio float64) {
	fmt.Printf("\n| %s, %d bytes | callers | appends/s | p50 ms | p99 ms | ratio to the bare loop |\n|---|---|---|---|---|---|\n", engine, benchBody)
	for _, c := range callers {
		for i, s := range subjects {
			r := s.runs[c]
			var ratios []float64
			for round := range r.perSecond {
				ratios = append(ratios, r.perSecond[round]/subjects[1].runs[c].perSecond[round])
			}
			slices.Sort(r.latencies)
			fmt.Printf("| %s | %d | %.0f | %.2f | %.2f | %.2f |\n", s.name, c, median(r.perSecond), ms(percentile(r.latencies, 0.5)), ms(percentile(r.latencies, 0.99)), median(ratios))
			if i == 0 && c == ratioAt {
				ratio = median(ratios)
			}
		}
	}
	return ratio
}

// together has callers do something again and again for a while, and tells how
// often a second they did it, and how long each took.
func together(callers int, d time.Duration, do func() error) (perSecond float64, latencies []time.Duration, err error) {
	each := make([][]time.Duration, callers)
	errs := make([]error, callers)
	var wait sync.WaitGroup
	started := time.Now()
	for i := range callers {
		wait.Go(func() {
			for time.Since(started) < d {
				from := time.Now()
				if errs[i] = do(); errs[i] != nil {
					return
				}
				each[i] = append(each[i], time.Since(from))
			}
		})
	}
	wait.Wait()
	took := time.Since(started)
	for i := range callers {
		if errs[i] != nil {
			return 0, nil, errs[i]
		}
		latencies = append(latencies, each[i]...)
	}
	return float64(len(latencies)) / took.Seconds(), latencies, nil
}
