package counter

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
)

// calendar holds the admitted calls of a key in the calendar window that began
// at start, in nanoseconds of Unix time.
type calendar struct {
	start, calls int64
}

// byCalendar is a limit on each hour, day or month.
type byCalendar struct {
	place   place
	limit   int64
	window  gateway.Window
	current atomic.Pointer[bounds]
}

type bounds struct{ start, end int64 }

// Take implements gateway.Limit.
func (b *byCalendar) Take(_ context.Context, key string) (gateway.Verdict, error) {
	m := b.place.memory
	wall := time.Now()
	now, unix := int64(wall.Sub(m.start)), wall.UnixNano()
	within := b.bounds(wall, unix)
	c, i := b.place.cell(key)
	s := &m.calendars.shards[i]
	s.mu.Lock()
	e, err := s.get(c, now)
	if err != nil {
		s.mu.Unlock()
		return gateway.Verdict{}, err
	}
	// A clock that was set back does not begin a window twice.
	if e.count.start < within.start {
		e.count = calendar{start: within.start}
	}
	ok := e.count.calls < b.limit
	if ok {
		e.count.calls++
	}
	e.until = now + within.end - unix
	left := max(0, b.limit-e.count.calls)
	s.mu.Unlock()
	m.sweep(now)
	v := gateway.Verdict{OK: ok, Limit: b.limit, Remaining: left, Reset: time.Duration(within.end - unix)}
	if left == 0 {
		v.RetryAfter = v.Reset
	}
	return v, nil
}

// bounds works the window out once for all calls in it.
func (b *byCalendar) bounds(wall time.Time, unix int64) *bounds {
	if current := b.current.Load(); current != nil && current.start <= unix && unix < current.end {
		return current
	}
	start, end := b.window.Bounds(wall)
	current := &bounds{start: start.UnixNano(), end: end.UnixNano()}
	b.current.Store(current)
	return current
}
