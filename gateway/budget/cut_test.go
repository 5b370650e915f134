package budget

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/specs"
)

func adaptive(l Limit, floor Portion, cut float64, recover time.Duration) Limit {
	l.Adaptive = &Shrinking{Floor: floor, Cut: cut}
	_ = l.Adaptive.Recover.UnmarshalText([]byte(recover.String()))
	return l
}

// effective is what a pool has at the moment.
func effective(t *testing.T, b *Budget) float64 {
	t.Helper()
	s, err := b.Snapshot(t.Context())
	if err != nil || len(s.Pools) != 1 {
		t.Fatalf("the snapshot is %+v, %v", s, err)
	}
	return s.Pools[0].Effective
}

func TestOverloadsShrinkAPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(adaptive(capacity("l", 8, 0), Portion{Percent: 25}, 0.5, 6*time.Minute))
		one, two := admit(t, b, Call{}), admit(t, b, Call{})
		time.Sleep(time.Second)
		one.Settle(Result{Overload: true, RetryAfter: time.Second})
		two.Settle(Result{Overload: true, RetryAfter: time.Second}) // of the same overload
		if got := effective(t, b); got != 4 {
			t.Errorf("after one overload there are %v", got)
		}
		time.Sleep(time.Second)
		var tickets []*Ticket
		for range 4 {
			tickets = append(tickets, admit(t, b, Call{}))
		}
		refused(t, b, Call{})
		time.Sleep(time.Minute + 2*time.Second) // an eighth of the whole in a minute
		tickets = append(tickets, admit(t, b, Call{}))
		refused(t, b, Call{})
		for _, ticket := range tickets {
			ticket.Settle(Result{})
		}
		for range 5 { // never below the floor
			ticket := admit(t, b, Call{})
			time.Sleep(time.Millisecond)
			ticket.Settle(Result{Overload: true, RetryAfter: time.Millisecond})
			time.Sleep(2 * time.Millisecond)
		}
		if got := effective(t, b); got < 2 || got > 2.01 {
			t.Errorf("after many overloads there are %v, want the floor of 2", got)
		}
		time.Sleep(6 * time.Minute)
		if got := effective(t, b); got != 8 {
			t.Errorf("in the end there are %v", got)
		}
		for range 8 {
			admit(t, b, Call{})
		}
		refused(t, b, Call{})
	})
}

// A call that waits goes as soon as the pool has grown enough, though nothing ends.
func TestAGrowingPoolWakesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(adaptive(capacity("l", 2, 0), Portion{Units: 1}, 0.5, 2*time.Minute))
		admit(t, b, Call{Timeout: time.Hour})
		ticket := admit(t, b, Call{Timeout: time.Hour})
		time.Sleep(time.Second)
		ticket.Settle(Result{Overload: true, RetryAfter: time.Second})
		started := time.Now()
		admit(t, b, Call{Wait: time.Hour})
		if took := time.Since(started); took < 2*time.Minute || took > 2*time.Minute+time.Second {
			t.Errorf("waited %v for a pool that grows back in two minutes", took)
		}
	})
}

// However little is left, a call of every class and size can pass alone.
func TestAShrunkPoolLetsEveryCallPassAlone(t *testing.T) {
	for _, l := range []Limit{capacity("l", 10, 0), capacity("l", 10, time.Second), bucket("l", 10, Rate{Units: 10, Per: time.Second})} {
		synctest.Test(t, func(t *testing.T) {
			l.Reserves.Critical.Units = 6
			b := newBudget(adaptive(l, Portion{Percent: 0}, 0.1, 1000*time.Hour))
			for range 3 {
				ticket := admit(t, b, Call{Class: specs.Critical})
				time.Sleep(time.Second)
				ticket.Settle(Result{Overload: true, RetryAfter: time.Millisecond})
				time.Sleep(time.Minute)
			}
			for _, units := range []float64{1, 4} {
				large := admit(t, b, Call{Class: specs.Low, Cost: []Cost{{"l", units}}})
				refused(t, b, Call{Class: specs.Low, Cost: []Cost{{"l", 4}}})
				large.Settle(Result{})
				time.Sleep(time.Hour)
			}
			admit(t, b, Call{Class: specs.Critical, Cost: []Cost{{"l", 10}}}).Settle(Result{})
		})
	}
}

// A bucket that has shrunk is not only smaller, it refills more slowly.
func TestAShrunkBucketIsSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(adaptive(bucket("l", 4, Rate{Units: 1, Per: time.Second}), Portion{Percent: 25}, 0.5, 1000*time.Hour))
		ticket := admit(t, b, Call{})
		time.Sleep(time.Second)
		ticket.Settle(Result{Overload: true, RetryAfter: time.Second})
		time.Sleep(time.Minute)
		for range 2 {
			admit(t, b, Call{Wait: time.Millisecond}).Settle(Result{})
		}
		started := time.Now()
		admit(t, b, Call{Wait: time.Minute}).Settle(Result{})
		if took := time.Since(started).Round(10 * time.Millisecond); took != 2*time.Second {
			t.Errorf("waited %v, want 2 s at half the rate", took)
		}
	})
}

// Where the system does not say which limit it means, the one that is nearest to full
// shrinks; with a limit at its floor, the next one. Which are paused is another question.
func TestTheFullestPoolShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := adaptive(capacity("places", 4, 0), Portion{Percent: 50}, 0.5, time.Hour)
		minute := adaptive(capacity("minute", 100, time.Minute), Portion{Percent: 25}, 0.5, time.Hour)
		minute.Pace = &Pace{Off: true}
		rate := adaptive(bucket("rate", 50, Rate{Units: 50, Per: time.Hour}), Portion{Percent: 25}, 0.5, time.Hour)
		b := newBudget(places, minute, rate)
		effective := func() (all [3]float64) {
			t.Helper()
			s, err := b.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range s.Pools {
				all[map[string]int{"places": 0, "minute": 1, "rate": 2}[p.Name]] = math.Round(p.Effective)
			}
			return all
		}
		refused := func(r Result, want [3]float64) {
			t.Helper()
			ticket := admit(t, b, Call{})
			time.Sleep(time.Millisecond)
			r.Overload, r.RetryAfter = true, time.Millisecond
			ticket.Settle(r)
			if got := effective(); got != want {
				t.Errorf("there are %v, want %v", got, want)
			}
			time.Sleep(time.Millisecond)
		}
		refused(Result{}, [3]float64{2, 100, 50})              // one of four, of a hundred, of fifty
		refused(Result{}, [3]float64{2, 100, 25})              // the places are at their floor: two of fifty
		refused(Result{Pool: "minute"}, [3]float64{2, 50, 25}) // the system says which
		refused(Result{Pool: "places"}, [3]float64{2, 50, 25}) // and may say so of one at its floor
		for range 20 {
			admit(t, b, Call{Cost: []Cost{{"rate", 0}, {"places", 0}}}).Settle(Result{})
		}
		refused(Result{}, [3]float64{2, 25, 25}) // 25 of fifty, against four of twenty-five
		time.Sleep(2 * time.Minute)

		one, two := admit(t, b, Call{Cost: []Cost{{"minute", 0}}}), admit(t, b, Call{Cost: []Cost{{"places", 0}}})
		time.Sleep(time.Millisecond)
		one.Settle(Result{Overload: true, RetryAfter: time.Millisecond, Pool: "rate"})
		two.Settle(Result{Overload: true, RetryAfter: time.Millisecond}) // of the same overload, whatever it was about
		if got, want := effective(), [3]float64{2, 28, 13}; got != want {
			t.Errorf("there are %v, want %v", got, want)
		}
	})
}

// A pause may be wider than what the system complains of.
func TestAWidePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole, half := adaptive(capacity("a", 8, 0), Portion{Percent: 25}, 0.5, time.Hour), adaptive(capacity("b", 8, 0), Portion{Percent: 25}, 0.5, time.Hour)
		b := newBudget(whole, half)
		ticket := admit(t, b, Call{})
		time.Sleep(time.Millisecond)
		ticket.Settle(Result{Overload: true, RetryAfter: time.Minute, Pool: "b", Wide: true})
		s, err := b.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []float64{8, 4} {
			if p := s.Pools[i]; p.Effective != want || p.PausedUntil.IsZero() {
				t.Errorf("%+v, want %v and a pause", p, want)
			}
		}
	})
}

func TestOnlyAdaptivePoolsShrink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := capacity("off", 8, 0)
		billed := capacity("billed", 8, 0)
		billed.Enforcement, billed.Adaptive = "billed", nil
		other := adaptive(capacity("other", 8, 0), Portion{Percent: 25}, 0.5, time.Minute)
		named := adaptive(capacity("named", 8, 0), Portion{Percent: 25}, 0.5, time.Minute)
		b := newBudget(off, billed, other, named)
		ticket := admit(t, b, Call{})
		time.Sleep(time.Second)
		ticket.Settle(Result{Overload: true, Pool: "named"})
		s, err := b.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Pools {
			if want := map[bool]float64{true: 4, false: 8}[p.Name == "named"]; p.Effective != want || p.Capacity != 8 {
				t.Errorf("%s has %v of %v, want %v", p.Name, p.Effective, p.Capacity, want)
			}
		}
		// All enforced limits shrink unless they say otherwise.
		plain := capacity("plain", 8, 0)
		plain.Adaptive = nil
		if a := newPool(&plain, 0).Adaptive; a == nil || a.Floor != 2*unit || a.Cut != 0.75 || a.Recover != 10*time.Minute {
			t.Errorf("by default a limit shrinks by %+v", a)
		}
	})
}
