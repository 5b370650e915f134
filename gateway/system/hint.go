package system

import (
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestHint is the longest wait that is believed.
const longestHint = 24 * time.Hour

// hint reads a time to wait from a header: seconds, with or without a
// fraction, or a date (RFC 9110, section 10.2.3). Zero when there is none.
func hint(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if !(seconds > 0) {
			return 0
		}
		return time.Duration(math.Min(seconds*float64(time.Second), float64(longestHint)))
	}
	if t, err := http.ParseTime(value); err == nil {
		return min(max(t.Sub(now), 0), longestHint)
	}
	return 0
}

// spread makes a wait longer by up to a quarter, so that callers who were
// refused together do not come back together.
func spread(d time.Duration) time.Duration {
	if d < time.Second {
		d = time.Second
	}
	return d + rand.N(d/4)
}
