package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How many sales go each way, through how many callers, and how long a caller
// waits for an answer.
const (
	stormSales   = 200
	stormCallers = 64
	patience     = 5 * time.Second
)

// straight is for how long callers begin sales straight at Tryton: not long,
// since most of what is begun there fails.
const straight = 30 * time.Second

// Tryton is killed when so many sales have ended. Every run comes to them: the
// callers begin one each.
const (
	firstKill  = 24
	secondKill = 60
)

// seller takes a sale from its order to its posted invoice, as one caller at a
// time. An error means that the caller has given the sale up.
type seller interface {
	sell(ctx context.Context, o newSale) error
}

// load is what came of many sales that went one way.
type load struct {
	told  map[string]error // by reference: what its caller was told, nil for a posted invoice
	took  time.Duration    // until the last caller had ended
	books books
}

// storm sends the same load through Headrace and straight at Tryton. On the way
// through Headrace Tryton is killed twice; callers straight at it are spared that.
func (x *test) storm() {
	x.title(fmt.Sprintf("A storm: %d callers sell and invoice, and do not wait longer than %s", stormCallers, patience))
	if !x.that("customers without a credit limit", x.customers()) {
		return
	}
	through, shops := x.through()
	direct, err := x.direct()
	if !x.that("callers log in at Tryton", err) {
		return
	}
	x.compare(through, shops, direct)
}

// customers reads whom the callers sell to.
func (x *test) customers() error {
	var list page[party]
	if err := x.shop.get(x.ctx, "/parties/v1/parties?limit=100").into(200, &list); err != nil {
		return err
	}
	for _, p := range list.Items {
		if strings.HasPrefix(p.Code, "C0") && len(p.Addresses) > 0 && p.Credit.Limit == nil {
			x.buyers = append(x.buyers, p)
		}
	}
	return truth(len(x.buyers) > 1, "there are %d", len(x.buyers))
}

// through has callers sell by Headrace while Tryton is killed and started again.
func (x *test) through() (load, *tills) {
	shops := &tills{shop: x.shop.as(key("tills001"))}
	k := &killer{test: x, at: map[int64]func() error{
		firstKill:  func() error { return x.tryton.kill("front.pid") },
		secondKill: func() error { return all(x.tryton.kill("front.pid"), x.tryton.kill("pg/postmaster.pid")) },
	}}
	l := x.sell("STORM", shops, x.begin, k.ended)
	k.kills.Wait()
	x.that("Tryton was killed and started again twice meanwhile, the second time with its database", all(k.err(), same("kills", k.done.Load(), 2)))
	x.that("every caller has its invoice", all(failures(l.told)...))
	x.that("every write has ended", shops.settled(x.ctx))
	x.that("the books can be read", x.audited(&l, "STORM"))
	return l, shops
}

// direct has callers sell straight at Tryton.
func (x *test) direct() (load, error) {
	desks, err := newDesks(x.ctx, x.tryton)
	if err != nil {
		return load{}, err
	}
	l := x.sell("DIRECT", desks, straight, func() {})
	x.that("Tryton comes to rest", x.tryton.rests(x.ctx))
	x.that("the books can be read again", x.audited(&l, "DIRECT"))
	return l, nil
}

// sell has the callers sell one sale after the other, and begin them within a
// time. ended is told of each sale that has ended.
func (x *test) sell(prefix string, s seller, within time.Duration, ended func()) load {
	l := load{told: map[string]error{}}
	var mu sync.Mutex
	started := time.Now()
	x.together(stormSales, stormCallers, func(i int) error {
		if x.ctx.Err() != nil || time.Since(started) > within {
			return nil
		}
		reference := fmt.Sprintf("%s-%03d", prefix, i)
		o := x.orderOf(x.buyers[i%len(x.buyers)], reference, 1)
		o.Lines = o.Lines[:1] // Tryton takes half a second for each more, and it is the callers that matter
		err := s.sell(x.ctx, o)
		mu.Lock()
		l.told[reference] = err
		mu.Unlock()
		ended()
		return err
	})
	l.took = time.Since(started)
	return l
}

func (x *test) audited(l *load, prefix string) (err error) {
	l.books, err = x.tryton.books(x.ctx, prefix)
	return err
}

// killer kills Tryton when so many sales have ended, and starts it again.
type killer struct {
	test  *test
	at    map[int64]func() error
	sales atomic.Int64
	done  atomic.Int64
	kills sync.WaitGroup
	mu    sync.Mutex // one kill at a time
	errs  []error
}

func (k *killer) ended() {
	kill := k.at[k.sales.Add(1)]
	if kill == nil {
		return
	}
	k.kills.Go(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.errs = append(k.errs, kill(), k.test.tryton.restart(k.test.ctx))
		k.done.Add(1)
	})
}

func (k *killer) err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return all(k.errs...)
}

// failures lists what callers were told who have no invoice.
func failures(told map[string]error) []error {
	var errs []error
	for reference, err := range told {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", reference, err))
		}
	}
	return errs
}

// standing is a load in numbers.
type standing struct {
	begun, right, failed, done, lost, doubled int
	goodput                                   float64
}

// stand compares what callers were told with what stands in the books.
func (l *load) stand() standing {
	s := standing{begun: len(l.told)}
	for reference, told := range l.told {
		e := l.books[reference]
		complete := e.sales == 1 && e.invoices == 1 && e.posted == 1
		switch {
		case complete:
			s.right++
		case e.sales > 1 || e.invoices > 1:
			s.doubled++
		case told == nil:
			s.lost++
		}
		if told != nil {
			s.failed++
			if e.sales > 0 {
				s.done++
			}
		}
	}
	s.goodput = float64(s.right) / l.took.Seconds()
	return s
}

// compare prints both loads beside each other. What was lost or doubled through
// Headrace is a failure; the ratio depends on the machine, and is only printed.
func (x *test) compare(through load, shops *tills, direct load) {
	h, d := through.stand(), direct.stand()
	x.that("through Headrace every sale and its posted invoice exist exactly once", all(
		truth(h.begun >= stormCallers, "only %d were begun", h.begun), same("complete", h.right, h.begun),
		same("lost", h.lost, 0), same("doubled", h.doubled, 0), same("failed", h.failed, 0)))
	fmt.Printf("        through Headrace: %s\n", through.line(h))
	fmt.Printf("        writes: %d, of them %d answered within %s and %d followed, %d after a lost answer\n", shops.writes.Load(), shops.writes.Load()-shops.followed.Load(), patience, shops.followed.Load(), shops.doubted.Load())
	fmt.Printf("        straight at it:   %s\n", direct.line(d))
	x.figure("tryton-sales", h.begun, "sales")
	x.figure("tryton-goodput", fmt.Sprintf("%.2f", h.goodput), "sales/s")
	x.figure("tryton-direct-goodput", fmt.Sprintf("%.2f", d.goodput), "sales/s")
	// No sale at all would be no rate to divide by: one stands for it, and the ratio is at least this.
	least := max(d.goodput, 1/direct.took.Seconds())
	x.figure("tryton-goodput-ratio", fmt.Sprintf("%.1f", h.goodput/least), "x")
	x.figure("tryton-failed", h.failed, "sales")
	x.figure("tryton-direct-sales", d.begun, "sales")
	x.figure("tryton-direct-failed", d.failed, "sales")
	x.figure("tryton-direct-failed-done-anyway", d.done, "sales")
	x.figure("tryton-direct-lost", d.lost, "sales")
	x.figure("tryton-direct-doubled", d.doubled, "sales")
	x.stormLost, x.stormDoubled = h.lost, h.doubled
}

func (l *load) line(s standing) string {
	return fmt.Sprintf("%d sales begun in %.0f s; complete exactly once %d, given up %d (of which a sale is there all the same: %d), lost %d, doubled %d",
		s.begun, l.took.Seconds(), s.right, s.failed, s.done, s.lost, s.doubled)
}
