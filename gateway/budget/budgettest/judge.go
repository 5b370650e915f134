package budgettest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway/budget"
)

// Arrival is a call as the system sees it: it counts at a moment, and is under
// way until another.
type Arrival struct {
	At, Until time.Time
	Units     budget.Units
	// Told says for the message about a violation how the call was admitted.
	Told string
}

// Judge counts arrivals at a system. It is safe for concurrent use.
type Judge struct {
	mu       sync.Mutex
	arrivals []Arrival
}

// Arrive notes a call.
func (j *Judge) Arrive(a Arrival) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.arrivals = append(j.arrivals, a)
}

// Count is the number of calls that arrived.
func (j *Judge) Count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.arrivals)
}

// Since is the number of calls that arrived at or after a moment.
func (j *Judge) Since(t time.Time) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for i := range j.arrivals {
		if !j.arrivals[i].At.Before(t) {
			n++
		}
	}
	return n
}

func (j *Judge) sorted() []Arrival {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.arrivals)
	slices.SortFunc(all, func(a, b Arrival) int { return a.At.Compare(b.At) })
	return all
}

// Violations lists how the system's own count of a pool was exceeded, exactly:
// in no window (t-hold, t] more units than the capacity, never more under way, and
// never more than a bucket had.
func (j *Judge) Violations(p *budget.Pool) []error {
	all := j.sorted()
	switch {
	case p.Interval > 0:
		return bucket(p, all)
	case p.Calendar != nil:
		return calendar(p, all)
	case p.Hold == 0:
		return concurrency(p, all)
	}
	return window(p, all)
}

func window(p *budget.Pool, all []Arrival) (errs []error) {
	first, sum := 0, budget.Units(0)
	for i, a := range all {
		sum += a.Units
		for !all[first].At.After(a.At.Add(-p.Hold)) {
			sum -= all[first].Units
			first++
		}
		if sum > p.Capacity {
			errs = append(errs, fmt.Errorf("%s: %v units arrived within %v before %v, %v are allowed:%s", p.Name, sum.Float(), p.Hold, a.At.Format("05.000000"), p.Capacity.Float(), list(all[first:i+1])))
		}
	}
	return errs
}

// list says how calls were admitted, one a line.
func list(all []Arrival) string {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "\n  %s to %s %v %s", a.At.Format("05.000000"), a.Until.Format("05.000000"), a.Units.Float(), a.Told)
	}
	return b.String()
}

func calendar(p *budget.Pool, all []Arrival) (errs []error) {
	sums := map[time.Time]budget.Units{}
	for _, a := range all {
		end := p.Calendar.End(a.At)
		if sums[end] += a.Units; sums[end] > p.Capacity {
			errs = append(errs, fmt.Errorf("%s: %v units arrived in the window that ends at %v, %v are allowed", p.Name, sums[end].Float(), end, p.Capacity.Float()))
		}
	}
	return errs
}

func concurrency(p *budget.Pool, all []Arrival) (errs []error) {
	type change struct {
		at    time.Time
		units budget.Units
	}
	var changes []change
	for _, a := range all {
		changes = append(changes, change{a.At, a.Units}, change{a.Until, -a.Units})
	}
	slices.SortFunc(changes, func(a, b change) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return int(a.units - b.units) // who leaves makes room for who comes
	})
	sum := budget.Units(0)
	for _, c := range changes {
		if sum += c.units; c.units > 0 && sum > p.Capacity {
			errs = append(errs, fmt.Errorf("%s: %v units are under way at %v, %v are allowed", p.Name, sum.Float(), c.at.Format("05.000000"), p.Capacity.Float()))
		}
	}
	return errs
}

func bucket(p *budget.Pool, all []Arrival) (errs []error) {
	level, last := float64(p.Capacity), time.Time{}
	for _, a := range all {
		if !last.IsZero() {
			level = min(float64(p.Capacity), level+float64(a.At.Sub(last))/p.Interval)
		}
		last = a.At
		if level -= float64(a.Units); level < -1 {
			errs = append(errs, fmt.Errorf("%s: the bucket lacks %v at %v", p.Name, -level/1000, a.At.Format("05.000000")))
		}
	}
	return errs
}
