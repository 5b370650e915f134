package counter

import (
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// A call that ends while Redis' clock is ahead, and those after it when the
// clock has been put right, stay counted.
func TestSharedCountsWhatEndsUnderAWrongClock(t *testing.T) {
	for _, pool := range []*budget.Pool{
		{Name: "window", Capacity: 10_000, Hold: time.Hour},
		{Name: "daily", Capacity: 10_000, Calendar: &budget.Calendar{Every: 8 * time.Hour}},
	} {
		t.Run(pool.Name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Run(t)
			s := open(t, clientOf(r.Address), Options{Replica: "one", Beat: 50 * time.Millisecond, Missing: 2 * time.Second, Deadline: time.Second})
			warm(s, "erp")
			take := func() *budget.Admission {
				a := &budget.Admission{System: "erp", Asks: []budget.Ask{{Pool: pool, Key: pool.Name, Units: 1000}}, Lease: time.Minute}
				eventually(t, "a call is admitted", func() bool {
					d, err := s.Admit(t.Context(), a)
					return err == nil && d.Granted
				})
				return a
			}
			settle := func(a *budget.Admission) {
				if err := s.Settle(t.Context(), a, budget.Settlement{}); err != nil {
					t.Fatal(err)
				}
			}
			settled := func() bool { y := s.system("erp"); y.mu.Lock(); defer y.mu.Unlock(); return len(y.queue) == 0 }
			first, second := take(), take()
			for _, a := range []*budget.Admission{first, second} {
				shift(t, r, 24*time.Hour)
				settle(a)
				eventually(t, "it is settled", settled)
				third := take() // the clock is right by then
				settle(third)
				eventually(t, "it is settled", settled)
			}
			eventually(t, "all four are counted", func() bool {
				u, err := s.Usage(t.Context(), "erp")
				return err == nil && len(u) == 1 && u[0].Used == 4000 && u[0].InFlight == 0
			})
		})
	}
}

// A call that ends in a new window, before anybody has asked for admission in
// it, does not keep what the old one held.
func TestSharedCalendarTurns(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	s := open(t, clientOf(r.Address), patient("one"))
	warm(s, "erp")
	pool := &budget.Pool{Name: "seconds", Capacity: 10_000, Calendar: &budget.Calendar{Every: time.Second}}
	admit := func(n budget.Units) *budget.Admission {
		a := &budget.Admission{System: "erp", Asks: []budget.Ask{{Pool: pool, Key: pool.Name, Units: n}}, Lease: time.Minute}
		eventually(t, "a call is admitted", func() bool {
			d, err := s.Admit(t.Context(), a)
			return err == nil && d.Granted
		})
		return a
	}
	used := func(want budget.Units) {
		t.Helper()
		eventually(t, "the use is right", func() bool {
			u, err := s.Usage(t.Context(), "erp")
			if err != nil {
				return false
			}
			sum := budget.Units(0)
			for _, u := range u {
				sum += u.Used
			}
			return sum == want
		})
	}
	long, short := admit(1000), admit(9000)
	if err := s.Settle(t.Context(), short, budget.Settlement{}); err != nil {
		t.Fatal(err)
	}
	used(1000) // the window of the short one is over
	if err := s.Settle(t.Context(), long, budget.Settlement{}); err != nil {
		t.Fatal(err)
	}
	used(0)
	admit(10_000)
}
