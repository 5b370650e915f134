package gateway

import (
	"context"
	"time"
)

// Counters keep what consumers have used: rates, quotas and calls under way.
// What they keep may be lost without harm. Limits are made when a table is
// built; the same name finds the same counts again after a reload. All methods
// are safe for concurrent use.
type Counters interface {
	// Throttle admits rate calls a second on average, and burst at once.
	Throttle(name string, rate float64, burst int) Limit
	// Quota admits limit calls in each window.
	Quota(name string, limit int64, window Window) Limit
	// Concurrency admits limit calls under way.
	Concurrency(name string, limit int) Concurrency
	// Local gives the same limits as this process keeps them for itself while
	// the counts are out of reach: by its share of each limit, on from what was
	// last known. A call that is acquired there is released there.
	Local() Counters
}

// Limit admits calls under a key, for example an app's id. Refused calls cost nothing.
type Limit interface {
	Take(ctx context.Context, key string) (Verdict, error)
}

// Concurrency admits calls under a key until release is called, which must
// happen exactly once for each admitted call.
type Concurrency interface {
	Acquire(ctx context.Context, key string) (Verdict, error)
	Release(key string)
}

// Verdict is the answer of a limit.
type Verdict struct {
	OK        bool
	Limit     int64
	Remaining int64
	// Reset is when the full limit is there again; RetryAfter when the next
	// call will be admitted (zero when it would be now).
	Reset, RetryAfter time.Duration
}

// Window is the stretch of time that a quota counts over.
type Window struct {
	// Length of a rolling window; zero when Calendar is set.
	Length time.Duration
	// Calendar is hour, day or month; the window ends with it in Location.
	Calendar string
	Location *time.Location
}

// Bounds gives the calendar window that t falls into: start is not after t, and
// end is after it, also where clocks are changed. A nil Location is UTC.
func (w Window) Bounds(t time.Time) (start, end time.Time) {
	location := w.Location
	if location == nil {
		location = time.UTC
	}
	t = t.In(location)
	y, m, d := t.Date()
	switch w.Calendar {
	case "hour":
		// Subtracting tells the two hours apart that have the same name in autumn.
		start = t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
		return start, start.Add(time.Hour)
	case "month":
		return firstMoment(y, m, 1, location), firstMoment(y, m+1, 1, location)
	}
	return firstMoment(y, m, d, location), firstMoment(y, m, d+1, location)
}

// firstMoment is when a day begins. Where clocks change at midnight, 00:00 is
// missing or comes twice.
func firstMoment(y int, m time.Month, d int, location *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, location)
	changed, next := t.ZoneBounds()
	if t.Hour() != 0 && !next.IsZero() {
		if t.Hour() >= 12 { // the evening before
			return next
		}
		return changed
	}
	if changed.IsZero() {
		return t
	}
	_, before := changed.Add(-time.Nanosecond).Zone()
	first := time.Date(y, m, d, 0, 0, 0, 0, time.FixedZone("", before)).In(location)
	if first.Before(changed) {
		return first
	}
	return t
}
