package budget_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/budgettest"
	"github.com/headrace/headrace/specs/source"
)

// disk is a diary that takes its time, and is lost to a process that has died.
type disk struct {
	mu    sync.Mutex
	notes map[string][]byte
	count int
	slow  time.Duration
	fails error
}

// hand is the diary as one process has it.
type hand struct {
	*disk
	dead bool
}

func (h *hand) Note(_ context.Context, system string, state []byte) error {
	h.mu.Lock()
	slow, before := h.slow, rand.N(2) == 0
	h.mu.Unlock()
	if slow > 0 && !before { // it is durable at some time before this returns
		time.Sleep(rand.N(slow))
	}
	h.mu.Lock()
	switch {
	case h.dead:
		h.mu.Unlock()
		return errors.New("dead")
	case h.fails != nil:
		defer h.mu.Unlock()
		return h.fails
	}
	h.notes[system] = state
	h.count++
	h.mu.Unlock()
	if slow > 0 && before {
		time.Sleep(rand.N(slow))
	}
	return nil
}

func (h *hand) Notes(context.Context) (map[string][]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.notes), h.fails
}

// fail has what is asked of it fail from now on; nil ends that.
func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = err
}

// written is how many notes there were.
func (d *disk) written() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

const (
	lifeTimeout = 2 * time.Second
	lifeGrace   = time.Second
)

// life is a process with a budget.
type life struct {
	hand  *hand
	store *budget.Memory
	*budget.Budget
}

func (d *disk) begin(t *testing.T, limits ...budget.Limit) *life {
	t.Helper()
	l := &life{hand: &hand{disk: d}, store: budget.NewMemory()}
	if err := l.store.Remember(t.Context(), l.hand, func(string, error) {}); err != nil {
		t.Fatal(err)
	}
	l.Budget = budget.New(budget.Options{System: "erp", Limits: limits, Store: l.store, Grace: lifeGrace})
	return l
}

// crash ends it: nothing is written any more.
func (l *life) crash() {
	l.hand.mu.Lock()
	l.hand.dead = true
	l.hand.mu.Unlock()
}

func newDisk() *disk { return &disk{notes: map[string][]byte{}} }

func atOnce(n float64, hold time.Duration) budget.Limit {
	return budget.Limit{Name: "pool", Capacity: budget.Number(n), Hold: source.Duration(hold), Enforcement: "hard", Pace: &budget.Pace{Off: true}, Adaptive: &budget.Shrinking{Off: true}}
}

func refill(size, each float64, per time.Duration) budget.Limit {
	return budget.Limit{Name: "pool", Bucket: &budget.Bucket{Size: *budget.Number(size), Refill: budget.Rate{Units: each, Per: per}}, Enforcement: "hard", Adaptive: &budget.Shrinking{Off: true}}
}

func (l *life) try(t *testing.T) (*budget.Ticket, error) {
	t.Helper()
	return l.Admit(t.Context(), budget.Call{Timeout: lifeTimeout})
}

func (l *life) takes(t *testing.T, n int) (tickets []*budget.Ticket) {
	t.Helper()
	for i := range n {
		ticket, err := l.try(t)
		if err != nil {
			t.Fatalf("call %d: %v", i+1, err)
		}
		tickets = append(tickets, ticket)
	}
	return tickets
}

func (l *life) full(t *testing.T) {
	t.Helper()
	if _, err := l.try(t); err == nil {
		t.Fatal("there was room")
	}
}

// Whatever instants a process is killed at, and whatever is still on its way
// then, the system never gets more than it allows.
func TestKillsNeverExceedALimit(t *testing.T) {
	pools := map[string]struct {
		limit budget.Limit
		pool  *budget.Pool
	}{
		"concurrency": {atOnce(6, 0), &budget.Pool{Name: "pool", Capacity: 6000}},
		"window":      {atOnce(25, 4*time.Second), &budget.Pool{Name: "pool", Capacity: 25000, Hold: 4 * time.Second}},
		"bucket":      {refill(10, 5, time.Second), &budget.Pool{Name: "pool", Capacity: 10000, Interval: float64(time.Second) / 5000}},
	}
	for name, c := range pools {
		for seed := range uint64(12) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 1))
					judge, d := &budgettest.Judge{}, newDisk()
					d.slow = 20 * time.Millisecond
					var under sync.WaitGroup
					for range 25 {
						l := d.begin(t, c.limit)
						ctx, cancel := context.WithCancel(t.Context())
						for range 12 {
							pause := 20*time.Millisecond + time.Duration(random.Int64N(int64(200*time.Millisecond)))
							lag, work := time.Duration(random.Int64N(int64(300*time.Millisecond))), time.Duration(random.Int64N(int64(1500*time.Millisecond)))
							under.Go(func() {
								for ctx.Err() == nil {
									time.Sleep(pause)
									ticket, err := l.Admit(ctx, budget.Call{Timeout: lifeTimeout, Wait: time.Second})
									if err != nil || ctx.Err() != nil {
										continue // a dead process sends nothing
									}
									at := time.Now().Add(lag)
									judge.Arrive(budgettest.Arrival{At: at, Until: at.Add(work), Units: 1000})
									time.Sleep(lag + work)
									ticket.Settle(budget.Result{})
								}
							})
						}
						time.Sleep(time.Duration(random.Int64N(int64(4 * time.Second))))
						l.crash()
						cancel()
						time.Sleep(time.Duration(random.Int64N(int64(time.Second)))) // until it is started again
					}
					under.Wait()
					for _, err := range judge.Violations(c.pool) {
						t.Error(err)
					}
					if judge.Count() < 50 {
						t.Errorf("%d calls in %d lives", judge.Count(), 25)
					}
					time.Sleep(time.Minute) // the last notes
				})
			})
		}
	}
}

// The first start finds nothing and waits for nothing.
func TestFirstStartWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDisk().begin(t, atOnce(20, time.Hour))
		l.takes(t, 20)
		l.full(t)
	})
}

// After an orderly end exactly what was spent is spent.
func TestOrderlyEndForgetsAndInventsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l := d.begin(t, atOnce(20, time.Hour))
		for _, ticket := range l.takes(t, 13) {
			ticket.Settle(budget.Result{})
		}
		if err := l.store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.crash()
		time.Sleep(30 * time.Minute)
		l = d.begin(t, atOnce(20, time.Hour))
		l.takes(t, 7)
		l.full(t)
		time.Sleep(30*time.Minute + 30*time.Second) // by slices of the hour
		l.takes(t, 13)
		l.full(t)
	})
}

// A call that was under way at the end counts as such until it can no longer be.
func TestWhatIsLeftUnderWayStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l := d.begin(t, atOnce(3, 0))
		l.takes(t, 2)
		if err := l.store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.crash()
		l = d.begin(t, atOnce(3, 0))
		last := l.takes(t, 1)[0]
		last.Settle(budget.Result{})
		l.takes(t, 1)
		l.full(t)
		time.Sleep(lifeTimeout + lifeGrace + 100*time.Millisecond)
		l.takes(t, 3)
	})
}

// A crash costs what was under way, and little of a long window.
func TestACrashCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l := d.begin(t, atOnce(1000, time.Hour))
		for range 60 {
			for _, ticket := range l.takes(t, 5) {
				ticket.Settle(budget.Result{})
			}
			time.Sleep(time.Second)
		}
		l.crash()
		l = d.begin(t, atOnce(1000, time.Hour))
		l.takes(t, 660) // of the 700 that were left; a 32nd and what may have been under way counts as spent
		time.Sleep(time.Hour + time.Minute)
		l.takes(t, 1000)
	})
}

// What has not been called for a while has left nothing open when it crashes,
// and nothing is written any more.
func TestACrashAtRestCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l := d.begin(t, atOnce(4, 0))
		for _, ticket := range l.takes(t, 4) {
			ticket.Settle(budget.Result{})
		}
		time.Sleep(20 * time.Second)
		count := d.written()
		time.Sleep(time.Hour)
		if more := d.written() - count; more > 0 || count > 20 {
			t.Errorf("%d notes, then %d more", count, more)
		}
		l.crash()
		d.begin(t, atOnce(4, 0)).takes(t, 4)
	})
}

// Where nothing can be written calls go on, and are written down when it can again.
func TestADiaryThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l := d.begin(t, atOnce(4, time.Hour))
		d.fail(errors.New("the disk is full"))
		l.takes(t, 3)
		d.fail(nil)
		time.Sleep(5 * time.Second)
		l.crash()
		l = d.begin(t, atOnce(4, time.Hour))
		if _, err := l.try(t); err == nil { // what may have been taken besides counts, too
			l.full(t)
		}
		d.fail(errors.New("the disk is gone"))
		if err := budget.NewMemory().Remember(t.Context(), &hand{disk: d}, nil); err == nil {
			t.Error("a start without knowing what was spent")
		}
		d = &disk{notes: map[string][]byte{"erp": []byte("?")}}
		if err := budget.NewMemory().Remember(t.Context(), &hand{disk: d}, nil); err == nil {
			t.Error("a start with what cannot be read")
		}
	})
}

// Callers who come together share a note.
func TestNotesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		d.slow = 5 * time.Millisecond
		l := d.begin(t, atOnce(1000, time.Minute))
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { l.takes(t, 1) })
		}
		all.Wait()
		if n := d.written(); n > 10 {
			t.Errorf("%d notes for 200 calls at once", n)
		}
	})
}
