package budget

import (
	"context"
	"sync/atomic"
	"time"
)

// Ticket is an admission: it must be settled when the call has ended. It is
// safe for concurrent use.
type Ticket struct {
	budget    *Budget
	admission Admission
	asks      [6]Ask        // what admission.Asks points to, for up to six pools
	admitted  time.Duration // since the budget's beginning
	waited    time.Duration
	settled   atomic.Bool
	timed     bool // some limit counts the time that calls take
}

// Result is what became of a call. The zero Result is a call that ended in an
// ordinary way, whatever its answer was.
type Result struct {
	// Overload tells that the system refused the call because of its limits.
	Overload bool
	// RetryAfter is the system's own hint; zero when it gives none.
	RetryAfter time.Duration
	// Pool names the limit that the system complained of, where it tells: it is
	// paused, and shrinks. Otherwise all the call's pools are paused, and the one
	// that is nearest to full shrinks. Wide tells that all are paused in any case.
	Pool string
	Wide bool
	// Unknown tells that no answer came: the call may still be under way at the system.
	Unknown bool
	// Unsent tells that nothing was sent: the units are free at once.
	Unsent bool
	// Cost is what the call turned out to cost, by pool.
	Cost []Cost
	// Reports are what the system said of its limits with its answer.
	Reports []PoolReport
}

// PoolReport is a system's own word on what is left of a limit, in its units.
type PoolReport struct {
	Pool string
	// Used is what the system has counted. Where it only tells what remains, Used
	// is negative and Remaining counts; Limit is what it allows, zero when it does not tell.
	Used, Remaining, Limit float64
	// Exact reports are right, others only a hint.
	Exact bool
}

// Waited is the time that the call stood in line.
func (t *Ticket) Waited() time.Duration { return t.waited }

// Trial tells that the call tries whether a system that was suspended works again.
func (t *Ticket) Trial() bool { return t.admission.Trial }

// Left is how much longer the call may be under way. Then half of the grace is
// left until its units are no longer counted as under way, for the system to notice.
func (t *Ticket) Left() time.Duration {
	return t.admission.Lease - t.budget.grace/2 - (t.budget.now() - t.admitted)
}

// AtOnce tells that a limit counts the call for as long as it is under way, and for
// nothing else: more calls would be under way than it allows if this one outlasted Left.
func (t *Ticket) AtOnce() bool {
	for i := range t.admission.Asks {
		if p := t.admission.Asks[i].Pool; p.Hold == 0 && p.Interval == 0 && p.Calendar == nil && p.Capacity > 0 && !p.Free {
			return true
		}
	}
	return false
}

// Settle gives the units back, as the result demands. Only the first call has
// an effect. A ticket that is never settled counts as an unknown result.
func (t *Ticket) Settle(r Result) {
	if t.settled.Swap(true) {
		return
	}
	s := Settlement{Overload: r.Overload, RetryAfter: max(r.RetryAfter, 0), Shrink: t.scopeOf(r.Pool)}
	s.Pause = s.Shrink
	if r.Wide {
		s.Pause = t.scopeOf("")
	}
	switch {
	case r.Unsent:
		s.Outcome = Unsent
	case r.Unknown:
		s.Outcome = Unknown
	case !r.Overload:
		t.budget.observe(t.budget.now() - t.admitted)
	}
	if s.Outcome != Unsent && (t.timed || len(r.Cost) > 0) {
		s.Actual = t.actual(r, s.Outcome)
	}
	if len(r.Reports) > 0 {
		s.Reports = t.reports(r.Reports)
	}
	t.budget.settle(&t.admission, s)
}

// actual is what the call has cost, by ask; nil when that is what it asked for.
// A call whose cost is its duration has taken until now, unless the result
// tells better; one whose answer never came may take its whole lease.
func (t *Ticket) actual(r Result, o Outcome) []Units {
	var actual []Units
	asks := t.admission.Asks
	for i := range asks {
		pool := asks[i].Pool
		n, told := costOf(r.Cost, pool.Name)
		if !told && pool.timed {
			took := t.admission.Lease
			if o == Ended {
				took = t.budget.now() - t.admitted
			}
			n, told = pool.limit.Cost.Units(float64(took)), true
		}
		if !told {
			continue
		}
		if actual == nil {
			actual = make([]Units, len(asks))
			for j := range asks {
				actual[j] = asks[j].Units
			}
		}
		actual[i] = cost(n)
	}
	return actual
}

// reports translates what the system said of its limits. Those that the call
// did not stand in are left out.
func (t *Ticket) reports(told []PoolReport) []Report {
	var all []Report
	for _, r := range told {
		for i := range t.admission.Asks {
			pool := t.admission.Asks[i].Pool
			if pool.Name != r.Pool || pool.pacing {
				continue
			}
			used := r.Used
			if used < 0 {
				limit := r.Limit
				if limit <= 0 {
					limit = pool.total.Float()
				}
				used = limit - r.Remaining
			}
			all = append(all, Report{Ask: i, Used: cost(used), Exact: r.Exact})
		}
	}
	return all
}

// scopeOf is the set of asks that an overload is about.
func (t *Ticket) scopeOf(pool string) uint32 {
	var all uint32
	for i := range t.admission.Asks {
		switch p := t.admission.Asks[i].Pool; {
		case p.pacing:
		case p.Name == pool:
			return 1 << i
		default:
			all |= 1 << i
		}
	}
	return all
}

// settle hands a settlement to the store and wakes the line. A settlement that
// the store could not take is made up for by the lease.
func (b *Budget) settle(a *Admission, s Settlement) {
	_ = b.store.Settle(context.Background(), a, s)
	if b.waiting.Load() > 0 {
		b.wakeUp()
	}
}
