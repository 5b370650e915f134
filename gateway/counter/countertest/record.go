package countertest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
)

// record remembers the calls that were admitted. When a store counted a call is
// known only to lie between before and after.
type record struct {
	mu       sync.Mutex
	admitted []call
	err      error
}

type call struct{ before, after time.Time }

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.admitted)
}

func (r *record) call(take func() (gateway.Verdict, error)) error {
	before := time.Now()
	v, err := take()
	after := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
	}
	if v.OK {
		r.admitted = append(r.admitted, call{before, after})
	}
	return err
}

// atMost checks that no stretch of time surely holds more calls than allowed:
// only calls that began and ended within the stretch are counted.
func (r *record) atMost(allowed func(stretch time.Duration) float64) error {
	calls := slices.SortedFunc(slices.Values(r.admitted), func(a, b call) int { return a.after.Compare(b.after) })
	for i := 0; i < len(calls); i += 1 + len(calls)/300 { // enough stretches, in bounded time
		start, n := calls[i].before, 0
		for _, c := range calls {
			if c.before.Before(start) {
				continue
			}
			n++
			// All n calls lie between start and c.after.
			if stretch := c.after.Sub(start); float64(n) > allowed(stretch)+1e-9 {
				return fmt.Errorf("%d calls were admitted within %s, %.3f are allowed", n, stretch, allowed(stretch))
			}
		}
	}
	return nil
}

// within checks that no window of a length surely holds more calls than the limit.
func (r *record) within(length time.Duration, limit int) error {
	return r.atMost(func(stretch time.Duration) float64 {
		if stretch < length {
			return float64(limit)
		}
		return float64(len(r.admitted))
	})
}
