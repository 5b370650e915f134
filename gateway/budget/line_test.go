package budget

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// crowd starts calls one after the other and notes the order in which they are admitted.
type crowd struct {
	t     *testing.T
	b     *Budget
	work  time.Duration
	mu    sync.Mutex
	order []string
}

func (c *crowd) start(ctx context.Context, name string, call Call) {
	go func() {
		ticket, err := c.b.Admit(ctx, call)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.order = append(c.order, name)
		c.mu.Unlock()
		time.Sleep(c.work)
		ticket.Settle(Result{})
	}()
	synctest.Wait()
}

// seen is the order so far.
func (c *crowd) seen() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// sorted is who was admitted so far.
func (c *crowd) sorted() []string {
	seen := c.seen()
	slices.Sort(seen)
	return seen
}

func TestOrderIsByClassThenArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 1, 0))
		c := &crowd{t: t, b: b, work: time.Second}
		gate := admit(t, b, Call{})
		for i := range 3 {
			for _, class := range []specs.Class{specs.Low, specs.Critical, specs.Normal, specs.High} {
				c.start(t.Context(), fmt.Sprintf("%s%d", class, i), Call{Class: class, Wait: time.Hour})
			}
		}
		gate.Settle(Result{})
		time.Sleep(time.Minute)
		want := []string{
			"critical0", "critical1", "critical2", "high0", "high1", "high2",
			"normal0", "normal1", "normal2", "low0", "low1", "low2",
		}
		if diff := cmp.Diff(want, c.seen()); diff != "" {
			t.Error(diff)
		}
	})
}

// A call that leaves the line and comes back changed stands where it stood.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 2, 0))
		c := &crowd{t: t, b: b, work: time.Second}
		gate := admit(t, b, Call{Cost: []Cost{{Pool: "l", Units: 2}}})
		var turn, other Turn
		ctx, leave := context.WithCancel(t.Context())
		c.start(ctx, "small", Call{Wait: time.Hour, Turn: &turn})
		c.start(t.Context(), "second", Call{Wait: time.Hour, Turn: &other})
		c.start(t.Context(), "third", Call{Wait: time.Hour})
		leave()
		c.start(t.Context(), "large", Call{Wait: time.Hour, Turn: &turn, Cost: []Cost{{Pool: "l", Units: 2}}})
		gate.Settle(Result{})
		time.Sleep(time.Minute)
		if seen := c.seen(); len(seen) != 3 || seen[0] != "large" {
			t.Errorf("admitted: %v", seen) // the others go together
		}
	})
}

// While critical calls keep coming, each lower class gets its floor and no more.
func TestFloors(t *testing.T) {
	for _, reserve := range []float64{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			l := capacity("l", 2, 0)
			l.Reserves.Critical.Units = reserve
			b := newBudget(l)
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			counts := map[specs.Class]int{}
			for _, class := range specs.Classes {
				for range 10 {
					go func() {
						for {
							ticket, err := b.Admit(ctx, Call{Class: class, Wait: time.Hour})
							if err != nil {
								return
							}
							mu.Lock()
							counts[class]++
							mu.Unlock()
							time.Sleep(10 * time.Millisecond)
							ticket.Settle(Result{})
						}
					}()
				}
			}
			time.Sleep(100 * time.Second)
			cancel()
			time.Sleep(time.Second)
			synctest.Wait()
			total := 0
			for _, n := range counts {
				total += n
			}
			if total < 19_000 {
				t.Errorf("only %d calls were sent, of 20 000", total)
			}
			for class, floor := range map[specs.Class]float64{specs.High: 0.10, specs.Normal: 0.05, specs.Low: 0.02} {
				share := float64(counts[class]) / float64(total)
				if share < 0.8*floor || share > 1.2*floor {
					t.Errorf("with a reserve of %v, class %s got %.2f %%, its floor is %.0f %%", reserve, class, 100*share, 100*floor)
				}
			}
		})
	}
}

// A floor lets room add up for a call that needs much of it.
func TestALargeCallIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 4, 0))
		c := &crowd{t: t, b: b, work: 10 * time.Millisecond}
		ctx, cancel := context.WithCancel(t.Context())
		for range 20 {
			go func() {
				for ctx.Err() == nil {
					if ticket, err := b.Admit(ctx, Call{Class: specs.Critical, Wait: time.Hour}); err == nil {
						time.Sleep(10 * time.Millisecond)
						ticket.Settle(Result{})
					}
				}
			}()
		}
		c.start(t.Context(), "large", Call{Class: specs.Low, Cost: []Cost{{"l", 4}}, Wait: time.Hour})
		time.Sleep(time.Minute)
		cancel()
		if len(c.seen()) != 1 {
			t.Error("the large call was never admitted")
		}
		time.Sleep(time.Hour)
	})
}

func TestSmallCallsDoNotOvertakeALargeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 3, 0))
		c := &crowd{t: t, b: b, work: time.Second}
		one, two := admit(t, b, Call{}), admit(t, b, Call{})
		c.start(t.Context(), "large", Call{Cost: []Cost{{"l", 3}}, Wait: time.Hour})
		c.start(t.Context(), "small", Call{Wait: time.Hour})
		refused(t, b, Call{}) // although there is a unit
		one.Settle(Result{})
		synctest.Wait()
		two.Settle(Result{})
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"large", "small"}, c.seen()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAScopeThatIsFullDoesNotStopOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("all", 3, 0), scoped(capacity("app", 1, 0), "{app}"))
		c := &crowd{t: t, b: b, work: time.Second}
		shop := admit(t, b, Call{App: "shop"})
		for i := range 3 {
			c.start(t.Context(), fmt.Sprintf("shop%d", i), Call{App: "shop", Class: specs.Critical, Wait: time.Hour})
		}
		c.start(t.Context(), "till0", Call{App: "till", Class: specs.Low, Wait: time.Hour})
		c.start(t.Context(), "till1", Call{App: "till", Class: specs.Low, Wait: time.Hour})
		if diff := cmp.Diff([]string{"till0"}, c.seen()); diff != "" {
			t.Error(diff)
		}
		shop.Settle(Result{})
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"shop0", "shop1", "shop2", "till0", "till1"}, c.sorted()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAMoreUrgentCallGoesFirstWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := capacity("l", 2, 0)
		l.Reserves.Critical.Units = 1
		b := newBudget(l)
		c := &crowd{t: t, b: b, work: time.Second}
		gate := admit(t, b, Call{})
		c.start(t.Context(), "low", Call{Class: specs.Low, Wait: time.Hour})
		admit(t, b, Call{Class: specs.Critical}).Settle(Result{})
		if seen := c.seen(); len(seen) != 0 {
			t.Errorf("the reserve was not kept: %v", seen)
		}
		gate.Settle(Result{})
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"low"}, c.seen()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCallersLeaveTheLineAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 1, 0))
		c := &crowd{t: t, b: b, work: time.Second}
		gate := admit(t, b, Call{})
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		go func() { _, err = b.Admit(ctx, Call{Wait: time.Hour}) }()
		synctest.Wait()
		c.start(t.Context(), "second", Call{Wait: time.Hour})
		cancel()
		synctest.Wait()
		var e *gateway.Error
		if !errors.As(err, &e) || e.Problem.Name != gateway.CallerLeft.Name || !errors.Is(err, context.Canceled) {
			t.Errorf("the caller who left gets %v", err)
		}
		if s, _ := b.Snapshot(t.Context()); s.Waiting[0] != 1 {
			t.Errorf("%d calls wait, want 1", s.Waiting[0])
		}
		gate.Settle(Result{})
		synctest.Wait()
		if diff := cmp.Diff([]string{"second"}, c.seen()); diff != "" {
			t.Error(diff)
		}
		if _, err := b.Admit(ctx, Call{}); !errors.As(err, &e) || e.Problem.Name != gateway.CallerLeft.Name {
			t.Errorf("a caller who has left already gets %v", err)
		}
		time.Sleep(time.Minute)
	})
}

func TestDeadlineOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 1, 0))
		admit(t, b, Call{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *gateway.Error
		if _, err := b.Admit(ctx, Call{Wait: time.Hour}); !errors.As(err, &e) || e.Problem.Name != gateway.Saturated.Name {
			t.Errorf("the refusal is %v", err)
		}
	})
}

// A large call at the head that leaves lets the smaller ones behind it go.
func TestLeavingMakesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 2, 0))
		c := &crowd{t: t, b: b, work: time.Second}
		admit(t, b, Call{})
		go b.Admit(t.Context(), Call{Wait: time.Second, Cost: []Cost{{"l", 2}}})
		synctest.Wait()
		c.start(t.Context(), "small", Call{Wait: time.Hour})
		time.Sleep(1100 * time.Millisecond)
		if diff := cmp.Diff([]string{"small"}, c.seen()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Minute)
	})
}

func TestWaitIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 1, 0))
		ticket := admit(t, b, Call{})
		started := time.Now()
		if e := refused(t, b, Call{Wait: 3 * time.Second}); e.Pool != "l" || e.RetryAfter <= 0 {
			t.Errorf("the refusal is %+v", e)
		}
		if took := time.Since(started); took != 3*time.Second {
			t.Errorf("refused after %v, want 3 s", took)
		}
		time.AfterFunc(2*time.Second, func() { ticket.Settle(Result{}) })
		if got := admit(t, b, Call{Wait: 3 * time.Second}).Waited(); got != 2*time.Second {
			t.Errorf("waited %v, want 2 s", got)
		}
	})
}

// Nobody waits for a window that is known to have no room in time, whether
// because of its own state or because of the line.
func TestNobodyWaitsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("window", 2, time.Minute), capacity("concurrency", 10, 0))
		for range 2 {
			admit(t, b, Call{}).Settle(Result{})
		}
		started := time.Now()
		e := refused(t, b, Call{Wait: 50 * time.Second})
		if time.Since(started) != 0 || e.Pool != "window" || e.RetryAfter < time.Minute {
			t.Errorf("after %v: %+v", time.Since(started), e)
		}
		c := &crowd{t: t, b: b}
		c.start(t.Context(), "one", Call{Wait: 70 * time.Second})
		c.start(t.Context(), "two", Call{Wait: 70 * time.Second})
		started = time.Now()
		e = refused(t, b, Call{Wait: 70 * time.Second}) // a third has room in two minutes
		if time.Since(started) != 0 || e.RetryAfter < 2*time.Minute-time.Second {
			t.Errorf("after %v: %+v", time.Since(started), e)
		}
		c.start(t.Context(), "urgent", Call{Class: specs.Critical, Wait: 70 * time.Second}) // the line does not concern it
		time.Sleep(time.Hour)
		if diff := cmp.Diff([]string{"one", "urgent"}, c.sorted()); diff != "" {
			t.Error(diff)
		}
	})
}

// Callers that are refused together are not sent back together.
func TestRetryAfterIsHonestAndSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("window", 10, 10*time.Second))
		for range 10 {
			admit(t, b, Call{}).Settle(Result{})
		}
		seconds := map[int]int{}
		for range 20 {
			e := refused(t, b, Call{})
			if e.RetryAfter < 10*time.Second {
				t.Errorf("there is no room for 10 s, and the caller is told %v", e.RetryAfter)
			}
			seconds[int(e.RetryAfter/time.Second)]++
		}
		for second, n := range seconds {
			if n > 4 {
				t.Errorf("%d of 20 callers come back in second %d, when there is room for one or two: %v", n, second, seconds)
			}
		}
		for range 10_000 {
			if e := refused(t, b, Call{}); e.RetryAfter > 2*maxSpread {
				t.Fatalf("a caller is told %v", e.RetryAfter)
			}
		}
	})
}

func TestTheLineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{System: "erp", Limits: []Limit{capacity("roomy", 100, 0), capacity("l", 1, 0)}, Line: Bounds{Calls: 3, Bytes: 1000}})
		c := &crowd{t: t, b: b, work: time.Second}
		gate := admit(t, b, Call{})
		for i := range 3 {
			c.start(t.Context(), fmt.Sprintf("low%d", i), Call{Class: specs.Low, Wait: time.Hour, Bytes: 100})
		}
		if e := refused(t, b, Call{Class: specs.Low, Wait: time.Hour}); e.Detail != "too many calls wait for erp" || e.Pool != "l" || e.RetryAfter <= 0 {
			t.Errorf("the refusal is %+v", e)
		}
		c.start(t.Context(), "high", Call{Class: specs.High, Wait: time.Hour, Bytes: 900}) // low2 and low1 make room
		if s, _ := b.Snapshot(t.Context()); s.Waiting[specs.Low] != 1 || s.Waiting[specs.High] != 1 || s.WaitingBytes != 1000 {
			t.Errorf("the line is %+v", s)
		}
		refused(t, b, Call{Class: specs.High, Wait: time.Hour, Bytes: 101})
		refused(t, b, Call{Class: specs.Critical, Wait: time.Hour, Bytes: 1001})
		gate.Settle(Result{})
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"high", "low0"}, c.seen()); diff != "" {
			t.Error(diff)
		}
	})
}

// What the store said of the old limits says nothing of the new ones.
func TestRefusedAfterNewLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("a", 1, 0), capacity("b", 1, time.Minute))
		gate := admit(t, b, Call{Timeout: time.Hour})
		c := &crowd{t: t, b: b, work: time.Second}
		ended := make(chan error)
		go func() {
			_, err := b.Admit(t.Context(), Call{Class: specs.Normal, Wait: 2 * time.Minute})
			ended <- err
		}()
		synctest.Wait()
		c.start(t.Context(), "high", Call{Class: specs.High, Wait: 2 * time.Hour}) // is asked for first from now on
		b.Reconfigure([]Limit{capacity("a", 1, 0)})
		var e *gateway.Error
		if err := <-ended; !errors.As(err, &e) || e.Problem.Name != gateway.Saturated.Name || e.Pool != "a" {
			t.Errorf("the call ends with %v", err)
		}
		gate.Settle(Result{})
		time.Sleep(time.Hour)
		if diff := cmp.Diff([]string{"high"}, c.seen()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTenThousandWait(t *testing.T) {
	const count = 10_000
	b := New(Options{System: "erp", Limits: []Limit{capacity("l", 4, 0), capacity("window", 1e6, time.Minute)}})
	gate := make([]*Ticket, 4)
	for i := range gate {
		gate[i] = admit(t, b, Call{})
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	for i := range count {
		wg.Go(func() {
			ticket, err := b.Admit(ctx, Call{Class: specs.Class(i % 4), Wait: time.Minute})
			if err != nil {
				return
			}
			mu.Lock()
			if admitted++; admitted == count/2 {
				cancel() // the other half leaves
			}
			mu.Unlock()
			ticket.Settle(Result{})
		})
	}
	for b.waiting.Load() < count {
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// Stacks are the callers' own; the line itself must stay small.
	if perCall := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / count; perCall > 2048 {
		t.Errorf("a waiting call costs %d bytes of heap", perCall)
	}
	for _, ticket := range gate {
		ticket.Settle(Result{})
	}
	wg.Wait()
	if admitted < count/2 {
		t.Errorf("%d calls were admitted", admitted)
	}
	for b.waiting.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := &b.line; l.count != 0 || len(l.queues) != 0 || len(l.places) != 0 || len(l.byPools) != 0 || l.bytes[0] != 0 {
		t.Errorf("the line is not empty: %+v", l)
	}
}
