package system

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
)

// longestHint is the longest wait that is believed.
const longestHint = 24 * time.Hour

// hint reads a time to wait: a number of units, with or without a fraction, or
// a date (RFC 9110, section 10.2.3, has both, with seconds). Zero when there is none.
func hint(value string, unit time.Duration, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if n, err := strconv.ParseFloat(value, 64); err == nil {
		if !(n > 0) {
			return 0
		}
		return time.Duration(math.Min(n*float64(unit), float64(longestHint)))
	}
	if t, err := http.ParseTime(value); err == nil {
		return min(max(t.Sub(now), 0), longestHint)
	}
	return 0
}

// The units of hints.
var hintUnits = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "min": time.Minute}

// hinted says where an answer tells how long to wait; the first that tells
// something counts.
type hinted struct {
	json   *mapping.Mapping
	match  *regexp.Regexp // its first group, or all that fits where it has none
	header string
	unit   time.Duration
	// otherwise is the time where the answer gives none.
	otherwise time.Duration
}

// plainHint is a hint in the header Retry-After.
func plainHint(otherwise time.Duration) hinted {
	return hinted{header: "Retry-After", unit: time.Second, otherwise: otherwise}
}

func (h *hinted) of(ctx context.Context, e *evidence) time.Duration {
	now := time.Now()
	if h.json != nil {
		if text, ok, err := h.json.Text(ctx, e.input()); ok && err == nil {
			if wait := hint(text, h.unit, now); wait > 0 {
				return wait
			}
		}
	}
	if h.match != nil {
		for _, text := range e.texts {
			if m := h.match.FindStringSubmatch(text); m != nil {
				if wait := hint(m[min(1, len(m)-1)], h.unit, now); wait > 0 {
					return wait
				}
			}
		}
	}
	if wait := hint(firstOf(e.header, h.header), h.unit, now); wait > 0 {
		return wait
	}
	return h.otherwise
}

// A penalty is a pause that the system makes longer when it is called too
// early: the wait that was told gets a margin for rounding and for two clocks,
// and where none was told it is the longest that the budget makes by itself.
func penalty(told time.Duration) time.Duration {
	if told == 0 {
		return budget.MaxPause
	}
	return told + max(time.Second, told/20)
}

// spread makes a wait longer by up to a quarter, so that callers who were
// refused together do not come back together.
func spread(d time.Duration) time.Duration {
	if d < time.Second {
		d = time.Second
	}
	return d + rand.N(d/4)
}
