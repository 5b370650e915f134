package budget

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capacity and bucket make limits that neither shrink nor have a pace.
func capacity(name string, units float64, hold time.Duration) Limit {
	return Limit{Name: name, Capacity: Number(units), Hold: source.Duration(hold), Enforcement: "hard", Pace: &Pace{Off: true}, Adaptive: &Shrinking{Off: true}}
}

func bucket(name string, size float64, refill Rate) Limit {
	return Limit{Name: name, Bucket: &Bucket{Size: *Number(size), Refill: refill}, Enforcement: "hard", Adaptive: &Shrinking{Off: true}}
}

func scoped(l Limit, scope string) Limit { l.Scope = scope; return l }

func newBudget(limits ...Limit) *Budget { return New(Options{System: "erp", Limits: limits}) }

func admit(t *testing.T, b *Budget, c Call) *Ticket {
	t.Helper()
	ticket, err := b.Admit(t.Context(), c)
	if err != nil {
		t.Fatalf("%+v is refused: %v", c, err)
	}
	return ticket
}

func refused(t *testing.T, b *Budget, c Call) *gateway.Error {
	t.Helper()
	ticket, err := b.Admit(t.Context(), c)
	if err == nil {
		ticket.Settle(Result{Unsent: true})
		t.Fatalf("%+v is admitted", c)
	}
	var e *gateway.Error
	if !errors.As(err, &e) || e.Problem.Name != gateway.Saturated.Name || e.System != "erp" {
		t.Fatalf("%+v is refused with %v", c, err)
	}
	return e
}

func used(t *testing.T, b *Budget) map[string]float64 {
	t.Helper()
	s, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, p := range s.Pools {
		all[strings.TrimSuffix(p.Name+"/"+p.Scope, "/")] = p.Used
	}
	return all
}

func TestConcurrency(t *testing.T) {
	b := newBudget(capacity("concurrency", 2, 0))
	one, two := admit(t, b, Call{}), admit(t, b, Call{})
	if e := refused(t, b, Call{}); e.Pool != "concurrency" || e.RetryAfter <= 0 || e.Detail != `the limit "concurrency" of erp leaves no room now` {
		t.Errorf("the refusal is %+v", e)
	}
	one.Settle(Result{})
	one.Settle(Result{}) // has no effect
	three := admit(t, b, Call{})
	refused(t, b, Call{})
	two.Settle(Result{})
	three.Settle(Result{})
	if got := used(t, b)["concurrency"]; got != 0 {
		t.Errorf("%v units are occupied in the end", got)
	}
}

func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("window", 3, time.Minute))
		for range 3 {
			admit(t, b, Call{}).Settle(Result{})
			time.Sleep(10 * time.Second)
		}
		e := refused(t, b, Call{})
		if e.RetryAfter < 30*time.Second || e.RetryAfter > 80*time.Second {
			t.Errorf("there is room in 30 s, and the caller is told %v", e.RetryAfter)
		}
		started := time.Now()
		admit(t, b, Call{Wait: time.Minute})
		if took := time.Since(started); took <= 30*time.Second || took > 30*time.Second+time.Minute/heldSlices {
			t.Errorf("waited %v, the first unit comes back after 30 s", took)
		}
	})
}

func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(bucket("burst", 3, Rate{Units: 1, Per: 10 * time.Second}))
		for range 3 {
			admit(t, b, Call{}).Settle(Result{})
		}
		refused(t, b, Call{})
		for range 3 {
			started := time.Now()
			admit(t, b, Call{Wait: time.Minute}).Settle(Result{})
			if took := time.Since(started).Round(time.Millisecond); took != 10*time.Second {
				t.Errorf("waited %v for a unit that takes 10 s", took)
			}
		}
		time.Sleep(time.Hour)
		for range 3 {
			admit(t, b, Call{}).Settle(Result{})
		}
		refused(t, b, Call{})
	})
}

// The rate is capacity / (hold + latency), and that is used to the full.
func TestUtilisation(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit Limit
		rate  float64 // a second, at a latency of 100 ms
	}{
		{"concurrency", capacity("l", 5, 0), 5 / 0.1},
		{"short window", capacity("l", 10, time.Second), 10 / 1.1},
		{"long window", capacity("l", 600, time.Minute), 600 / 60.1},
		{"bucket", bucket("l", 40, Rate{Units: 2, Per: time.Second}), 2},
		{"spacing", bucket("l", 1, Rate{Units: 1, Per: time.Second}), 1 / 1.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const warm, length = 2 * time.Minute, 10 * time.Minute
				b := newBudget(c.limit)
				ctx, cancel := context.WithCancel(t.Context())
				var count atomic.Int64
				started := time.Now()
				for range 80 {
					go func() {
						for {
							ticket, err := b.Admit(ctx, Call{Wait: time.Hour})
							if err != nil {
								return
							}
							if time.Since(started) > warm {
								count.Add(1)
							}
							time.Sleep(100 * time.Millisecond)
							ticket.Settle(Result{})
						}
					}()
				}
				time.Sleep(warm + length)
				cancel()
				time.Sleep(time.Second)
				got := float64(count.Load()) / length.Seconds()
				if got < 0.97*c.rate || got > 1.01*c.rate {
					t.Errorf("%.3f calls a second, of %.3f", got, c.rate)
				}
			})
		})
	}
}

func TestAllOrNone(t *testing.T) {
	b := newBudget(capacity("wide", 10, 0), capacity("narrow", 1, 0), capacity("daily", 100, 24*time.Hour))
	admit(t, b, Call{})
	if e := refused(t, b, Call{}); e.Pool != "narrow" {
		t.Errorf("refused by %q, want narrow", e.Pool)
	}
	want := map[string]float64{"wide": 1, "narrow": 1, "daily": 1}
	if diff := cmp.Diff(want, used(t, b)); diff != "" {
		t.Errorf("a refused call changed the pools:\n%s", diff)
	}
}

func TestCosts(t *testing.T) {
	b := newBudget(capacity("calls", 10, 0), capacity("points", 100, time.Hour))
	ticket := admit(t, b, Call{Cost: []Cost{{"points", 70}}})
	if diff := cmp.Diff(map[string]float64{"calls": 1, "points": 70}, used(t, b)); diff != "" {
		t.Error(diff)
	}
	if e := refused(t, b, Call{Cost: []Cost{{"points", 30.5}}}); e.Pool != "points" {
		t.Errorf("refused by %q", e.Pool)
	}
	exempt := admit(t, b, Call{Cost: []Cost{{"points", 0}}})
	ticket.Settle(Result{Cost: []Cost{{"points", 20}}})
	exempt.Settle(Result{})
	if diff := cmp.Diff(map[string]float64{"calls": 0, "points": 20}, used(t, b)); diff != "" {
		t.Errorf("the difference does not come back:\n%s", diff)
	}
	more := admit(t, b, Call{Cost: []Cost{{"points", 80}}})
	more.Settle(Result{Cost: []Cost{{"points", 95}}})
	if got := used(t, b)["points"]; got != 115 {
		t.Errorf("%v points are used, want 115", got)
	}
	e := refused(t, b, Call{Wait: time.Hour, Cost: []Cost{{"points", 101}}})
	if e.Detail != `the call costs 101 of the limit "points", which allows 100` || e.RetryAfter != 0 {
		t.Errorf("a call that never fits is refused with %+v", e)
	}
}

func TestHeadroom(t *testing.T) {
	l := capacity("concurrency", 5, 0)
	l.Headroom = Portion{Units: 2}
	b := newBudget(l)
	for range 3 {
		admit(t, b, Call{})
	}
	refused(t, b, Call{})
}

func TestReserves(t *testing.T) {
	for _, l := range []Limit{capacity("l", 4, 0), bucket("l", 4, Rate{Units: 1, Per: time.Hour})} {
		l.Reserves = Reserves{Critical: Portion{Units: 1}, High: Portion{Units: 1}, Normal: Portion{Units: 1}}
		b := newBudget(l)
		admit(t, b, Call{Class: specs.Low})
		refused(t, b, Call{Class: specs.Low})
		admit(t, b, Call{Class: specs.Normal})
		refused(t, b, Call{Class: specs.Normal})
		admit(t, b, Call{Class: specs.High})
		refused(t, b, Call{Class: specs.High})
		admit(t, b, Call{Class: specs.Critical})
		refused(t, b, Call{Class: specs.Critical})
	}
}

// A call that needs more than its class may use is admitted when nothing else is.
func TestReserveLeavesRoomForLargeCalls(t *testing.T) {
	l := capacity("l", 4, 0)
	l.Reserves.Critical.Units = 3
	b := newBudget(l)
	large := admit(t, b, Call{Class: specs.Low, Cost: []Cost{{"l", 2}}})
	refused(t, b, Call{Class: specs.Low, Cost: []Cost{{"l", 2}}})
	large.Settle(Result{})
	one := admit(t, b, Call{Class: specs.Low})
	refused(t, b, Call{Class: specs.Low, Cost: []Cost{{"l", 2}}})
	one.Settle(Result{})
}

func TestOperationsAndScopes(t *testing.T) {
	orders := capacity("orders", 1, 0)
	orders.Operations = source.Strings{"createOrder", "update*"}
	b := newBudget(orders, scoped(capacity("app", 2, 0), "{app}"))
	admit(t, b, Call{Operation: "createOrder", App: "shop"})
	if e := refused(t, b, Call{Operation: "updateOrder", App: "till"}); e.Pool != "orders" {
		t.Errorf("refused by %q", e.Pool)
	}
	admit(t, b, Call{Operation: "readOrder", App: "shop"})
	if e := refused(t, b, Call{Operation: "readOrder", App: "shop"}); e.Pool != "app" {
		t.Errorf("refused by %q", e.Pool)
	}
	admit(t, b, Call{Operation: "readOrder", App: "till"})
	want := map[string]float64{"orders": 1, "app/shop": 2, "app/till": 1}
	if diff := cmp.Diff(want, used(t, b)); diff != "" {
		t.Error(diff)
	}
}

func TestEnforcement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soft, billed, advisory := capacity("soft", 1, 0), capacity("billed", 1, time.Hour), capacity("advisory", 1, 0)
		soft.Enforcement, billed.Enforcement, advisory.Enforcement = "soft", "billed", "advisory"
		b := newBudget(soft, billed, advisory, capacity("hard", 3, 0))
		admit(t, b, Call{})
		started := time.Now()
		admit(t, b, Call{Wait: time.Second})
		if took := time.Since(started); took != time.Second {
			t.Errorf("waited %v for the soft limit, want a second", took)
		}
		third := admit(t, b, Call{})
		if diff := cmp.Diff(map[string]float64{"soft": 3, "billed": 3, "advisory": 3, "hard": 3}, used(t, b)); diff != "" {
			t.Error(diff)
		}
		if e := refused(t, b, Call{}); e.Pool != "hard" {
			t.Errorf("refused by %q", e.Pool)
		}
		third.Settle(Result{})
		admit(t, b, Call{}).Settle(Result{})
	})
}

func TestUnknownStaysOccupiedForItsLeaseAndHold(t *testing.T) {
	for _, settle := range []func(*Ticket){
		func(t *Ticket) { t.Settle(Result{Unknown: true}) },
		func(*Ticket) {}, // lost
	} {
		for _, hold := range []time.Duration{0, 30 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				b := New(Options{System: "erp", Limits: []Limit{capacity("l", 1, hold)}, Grace: 5 * time.Second})
				settle(admit(t, b, Call{Timeout: 20 * time.Second}))
				started := time.Now()
				admit(t, b, Call{Wait: time.Hour})
				lease := 25 * time.Second
				if took := time.Since(started); took <= lease+hold || took > lease+hold+time.Second {
					t.Errorf("with a hold of %v the unit is back after %v", hold, took)
				}
			})
		}
	}
}

// A call that ends after its lease occupies its units from its end on.
func TestLateSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{System: "erp", Limits: []Limit{capacity("l", 1, 30*time.Second)}, Grace: time.Second})
		late := admit(t, b, Call{Timeout: time.Second})
		time.Sleep(10 * time.Second)
		late.Settle(Result{})
		if got := used(t, b)["l"]; got != 1 {
			t.Errorf("%v units are occupied, want 1", got)
		}
		started := time.Now()
		admit(t, b, Call{Wait: time.Hour})
		if took := time.Since(started); took <= 30*time.Second {
			t.Errorf("the unit is back after %v", took)
		}
	})
}

func TestUnsentIsFreeAtOnce(t *testing.T) {
	b := newBudget(capacity("window", 1, time.Hour), bucket("bucket", 1, Rate{Units: 1, Per: time.Hour}))
	for range 3 {
		admit(t, b, Call{}).Settle(Result{Unsent: true})
	}
}

func TestOverloadPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("concurrency", 5, 0))
		other := admit(t, b, Call{})
		admit(t, b, Call{}).Settle(Result{Overload: true, RetryAfter: 7 * time.Second})
		e := refused(t, b, Call{})
		if e.RetryAfter < 7*time.Second || e.RetryAfter > 10*time.Second || e.Detail != "erp has asked for a pause" {
			t.Errorf("the refusal is %+v", e)
		}
		other.Settle(Result{}) // does not end the pause
		started := time.Now()
		admit(t, b, Call{Wait: time.Minute}).Settle(Result{})
		if took := time.Since(started); took != 7*time.Second {
			t.Errorf("admitted after %v, want 7 s", took)
		}
	})
}

func TestPausesGrowAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("concurrency", 5, 0))
		pause := func() time.Duration {
			started := time.Now()
			admit(t, b, Call{Wait: time.Hour}).Settle(Result{Unsent: true})
			return time.Since(started)
		}
		want := FirstPause
		for range 10 {
			one, two := admit(t, b, Call{}), admit(t, b, Call{})
			one.Settle(Result{Overload: true})
			two.Settle(Result{Overload: true}) // the same overload
			if got := pause(); got != want {
				t.Errorf("paused for %v, want %v", got, want)
			}
			want = min(2*want, MaxPause)
		}
		admit(t, b, Call{}).Settle(Result{})
		admit(t, b, Call{}).Settle(Result{Overload: true})
		if got := pause(); got != FirstPause {
			t.Errorf("after a success the pause is %v, want %v", got, FirstPause)
		}
	})
}

func TestAnAbsurdHintIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("concurrency", 5, 0))
		admit(t, b, Call{}).Settle(Result{Overload: true, RetryAfter: 1000 * time.Hour})
		time.Sleep(MaxHint)
		admit(t, b, Call{})
	})
}

func TestPauseKeepsToItsScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(scoped(capacity("user", 5, 0), "{principal}"))
		admit(t, b, Call{Principal: "anna"}).Settle(Result{Overload: true, RetryAfter: time.Minute})
		refused(t, b, Call{Principal: "anna"})
		admit(t, b, Call{Principal: "bert"})

		b = newBudget(capacity("all", 5, 0), scoped(capacity("user", 5, 0), "{principal}"))
		admit(t, b, Call{Principal: "anna"}).Settle(Result{Overload: true, RetryAfter: time.Minute, Pool: "user"})
		if e := refused(t, b, Call{Principal: "anna"}); e.Pool != "user" {
			t.Errorf("refused by %q", e.Pool)
		}
		admit(t, b, Call{Principal: "bert"}).Settle(Result{Overload: true, RetryAfter: time.Minute})
		refused(t, b, Call{Principal: "carl"}) // the pool of all is paused now
	})
}

func TestASystemWithoutLimitsCanBePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		for range 100 {
			admit(t, b, Call{})
		}
		admit(t, b, Call{}).Settle(Result{Overload: true, RetryAfter: time.Minute})
		refused(t, b, Call{})
		s, err := b.Snapshot(t.Context())
		if err != nil || len(s.Pools) != 1 || !s.Pools[0].PausedUntil.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("the snapshot is %+v, %v", s, err)
		}
		time.Sleep(time.Minute)
		admit(t, b, Call{})
	})
}

func TestReconfigureKeepsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 2, time.Minute))
		admit(t, b, Call{}).Settle(Result{})
		old := admit(t, b, Call{})
		refused(t, b, Call{})
		b.Reconfigure([]Limit{capacity("l", 3, time.Minute)})
		admit(t, b, Call{}).Settle(Result{})
		refused(t, b, Call{})
		b.Reconfigure([]Limit{capacity("l", 1, time.Minute)})
		if got := used(t, b)["l"]; got != 3 {
			t.Errorf("%v units are occupied after a reload, want 3", got)
		}
		time.Sleep(61 * time.Second)
		refused(t, b, Call{}) // the old call is still under way
		old.Settle(Result{})
		time.Sleep(61 * time.Second)
		admit(t, b, Call{}).Settle(Result{})

		b.Reconfigure([]Limit{capacity("l", 1, time.Hour)})
		time.Sleep(59 * time.Minute)
		refused(t, b, Call{})
		time.Sleep(2 * time.Minute)
		admit(t, b, Call{}).Settle(Result{})

		b.Reconfigure([]Limit{bucket("l", 1, Rate{Units: 1, Per: time.Minute})})
		refused(t, b, Call{})
		time.Sleep(time.Minute + time.Second)
		admit(t, b, Call{}).Settle(Result{})
		b.Reconfigure([]Limit{bucket("l", 1, Rate{Units: 1, Per: time.Hour})})
		time.Sleep(59 * time.Minute)
		refused(t, b, Call{})
		b.Reconfigure([]Limit{capacity("l", 1, 10*time.Second)})
		refused(t, b, Call{})
		time.Sleep(11 * time.Second)
		admit(t, b, Call{}).Settle(Result{})
	})
}

// Repeated reloads must not stretch what is held again and again.
func TestOldTicketsDoNotUndoAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 5, time.Second))
		old := admit(t, b, Call{})
		b.Reconfigure([]Limit{capacity("l", 5, time.Minute)})
		admit(t, b, Call{}).Settle(Result{})
		old.Settle(Result{})
		time.Sleep(59 * time.Second)
		if got := used(t, b)["l"]; got != 2 {
			t.Errorf("%v units are occupied, want 2", got)
		}
		time.Sleep(2 * time.Second)
		if got := used(t, b)["l"]; got != 0 {
			t.Errorf("%v units are occupied, want 0", got)
		}
	})
}

func TestWaitingCallsAreJudgedByTheNewLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 1, 0), capacity("window", 20, time.Hour))
		admit(t, b, Call{})
		var order []int
		var mu sync.Mutex
		for i := range 4 {
			go func() {
				if _, err := b.Admit(t.Context(), Call{Class: specs.Class(i % 2), Wait: time.Minute}); err == nil {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
				}
			}()
			synctest.Wait()
		}
		b.Reconfigure([]Limit{capacity("l", 4, 0)})
		synctest.Wait()
		slices.Sort(order) // they were admitted at the same time
		if diff := cmp.Diff([]int{0, 1, 3}, order); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Hour)
	})
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := capacity("window", 3, time.Minute)
		l.Headroom.Units = 1
		b := newBudget(capacity("concurrency", 5, 0), l)
		admit(t, b, Call{}).Settle(Result{})
		admit(t, b, Call{})
		go b.Admit(t.Context(), Call{Class: specs.High, Wait: 2 * time.Minute, Bytes: 100})
		synctest.Wait()
		s, err := b.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := Snapshot{System: "erp", WaitingBytes: 100, Standing: Standing{Mode: ModeMemory, Replicas: 1, Share: 1, Since: time.Now(), Joined: true}, Pools: []PoolState{
			{Name: "concurrency", Used: 1, InFlight: 1, Capacity: 5, Effective: 5, Enforcement: "hard"},
			{Name: "window", Used: 2, InFlight: 1, Capacity: 2, Effective: 2, Enforcement: "hard"},
		}}
		want.Waiting[specs.High] = 1
		want.Pools[0].Waiting[specs.High], want.Pools[1].Waiting[specs.High] = 1, 1
		if in := time.Until(s.Pools[1].RoomAt); in <= time.Minute || in > time.Minute+time.Second {
			t.Errorf("the window has room in %v", in)
		}
		s.Pools[1].RoomAt = time.Time{}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Hour)
	})
}

// Extreme numbers neither overflow nor admit too much.
func TestExtremes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, l := range []Limit{
			capacity("l", 1, maxHold), capacity("l", maxUnits, maxHold),
			bucket("l", 1, Rate{Units: 1e-9, Per: 36500 * 24 * time.Hour}), bucket("l", maxUnits, Rate{Units: 1e-9, Per: 36500 * 24 * time.Hour}),
		} {
			b := newBudget(l)
			all := Call{Cost: []Cost{{"l", b.plan.Load().all[0].Capacity.Float()}}}
			admit(t, b, all).Settle(Result{})
			for range 1000 {
				if e := refused(t, b, all); e.RetryAfter < 24*time.Hour {
					t.Errorf("with %+v, the caller is told %v", l, e.RetryAfter)
				}
			}
			time.Sleep(300 * 24 * time.Hour)
			refused(t, b, all)
		}
	})
}

// A cost that was computed from a request can be anything.
func TestAbsurdCostsAreNotAdmitted(t *testing.T) {
	b := newBudget(capacity("l", 5, 0))
	for _, n := range []float64{1e13, 1e300, math.Inf(1), math.NaN()} {
		refused(t, b, Call{Cost: []Cost{{"l", n}}})
	}
	admit(t, b, Call{Cost: []Cost{{"l", -1e300}}})
	if got := used(t, b)["l"]; got != 0 {
		t.Errorf("%v units are occupied", got)
	}
}

// broken is a store that cannot tell.
type broken struct{ Store }

func (broken) Yield(context.Context, string) error { return nil }
func (broken) Standing(string) Standing            { return Standing{} }

func (broken) Admit(context.Context, *Admission) (Decision, error) {
	return Decision{}, errors.New("no connection")
}

func (broken) Usage(context.Context, string) ([]Usage, error) {
	return nil, errors.New("no connection")
}

func TestAStoreThatCannotTellAdmitsNothing(t *testing.T) {
	b := New(Options{System: "erp", Store: broken{}})
	e := refused(t, b, Call{Wait: time.Second})
	if e.Cause == nil || e.RetryAfter == 0 || strings.Contains(e.Detail, "connection") {
		t.Errorf("the refusal is %+v", e)
	}
	if _, err := b.Snapshot(t.Context()); err == nil {
		t.Error("the snapshot has no error")
	}
}

// failing is a store that breaks while calls wait, and comes back.
type failing struct {
	Store
	broken atomic.Bool
}

func (f *failing) Admit(ctx context.Context, a *Admission) (Decision, error) {
	if f.broken.Load() {
		return Decision{}, errors.New("no connection")
	}
	return f.Store.Admit(ctx, a)
}

func TestWaitingCallsOutlastABrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failing{Store: NewMemory()}
		b := New(Options{System: "erp", Limits: []Limit{capacity("l", 1, 0)}, Store: store})
		first := admit(t, b, Call{})
		var err error
		go func() { _, err = b.Admit(t.Context(), Call{Wait: time.Minute}) }()
		synctest.Wait()
		store.broken.Store(true)
		first.Settle(Result{})
		time.Sleep(10 * time.Second)
		store.broken.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := used(t, b)["l"]; got != 1 || err != nil {
			t.Errorf("after the store has come back %v units are occupied, %v", got, err)
		}
	})
}

// Real time, real goroutines: never more than the capacity at once.
func TestConcurrencyUnderRace(t *testing.T) {
	const limit = 7
	b := newBudget(capacity("l", limit, 0), scoped(capacity("app", 4, 0), "{app}"))
	var now, most, count atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if j%7 == 0 {
					time.AfterFunc(50*time.Microsecond, cancel)
				}
				call := Call{Class: specs.Class(i % 4), App: string(rune('a' + i%3)), Wait: time.Duration(j%3) * 10 * time.Millisecond}
				if ticket, err := b.Admit(ctx, call); err == nil {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					count.Add(1)
					time.Sleep(time.Duration(j%5) * 10 * time.Microsecond)
					now.Add(-1)
					ticket.Settle(Result{Unsent: j%11 == 0})
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if most.Load() > limit || count.Load() == 0 {
		t.Errorf("%d calls, at most %d at once, and %d are allowed", count.Load(), most.Load(), limit)
	}
	for name, got := range used(t, b) {
		if got != 0 {
			t.Errorf("%s: %v units are occupied in the end", name, got)
		}
	}
}

func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		window := capacity("window", 5, time.Second)
		advisory := capacity("advisory", 5, 0)
		advisory.Enforcement = "advisory"
		for name, want := range map[string]bool{"places": true, "window": false, "advisory": false, "bucket": false} {
			limits := map[string]Limit{"places": capacity("places", 5, 0), "window": window, "advisory": advisory, "bucket": bucket("bucket", 5, Rate{Units: 1, Per: time.Second})}
			b := New(Options{System: "erp", Limits: []Limit{limits[name]}, Grace: 4 * time.Second})
			ticket := admit(t, b, Call{Timeout: 10 * time.Second})
			if got := ticket.AtOnce(); got != want {
				t.Errorf("%s counts calls under way: %t", name, got)
			}
			time.Sleep(11 * time.Second)
			if left := ticket.Left(); left != time.Second {
				t.Errorf("%s: %s left of a lease of 14s after 11s, want 1s", name, left)
			}
			ticket.Settle(Result{})
		}
	})
}
