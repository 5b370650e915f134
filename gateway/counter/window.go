package counter

import (
	"context"
	"time"

	"github.com/headrace/headrace/gateway"
)

// sliceCount is into how many slices a rolling window is cut.
const sliceCount = 64

// window holds the admitted calls of a key in the last stretch of time, grouped
// in spans shorter than a slice. A group leaves the window with its last call,
// so that the others stay a little too long and never too short.
type window struct {
	spans []span // the oldest first, from head on
	head  int
	total int64
}

type span struct{ first, last, calls int64 }

// rolling is a limit on every window of a length.
type rolling struct {
	place         place
	limit         int64
	length, slice int64
}

// Take implements gateway.Limit.
func (r *rolling) Take(_ context.Context, key string) (gateway.Verdict, error) {
	m := r.place.memory
	now := m.now()
	c, i := r.place.cell(key)
	s := &m.windows.shards[i]
	s.mu.Lock()
	e, err := s.get(c, now)
	if err != nil {
		s.mu.Unlock()
		return gateway.Verdict{}, err
	}
	w := &e.count
	w.leave(now - r.length)
	v := gateway.Verdict{OK: w.total < r.limit, Limit: r.limit}
	if v.OK {
		w.enter(now, r.slice)
		e.until = max(e.until, w.newest()+r.length)
	}
	v.Remaining = max(0, r.limit-w.total)
	if w.total > 0 {
		v.Reset = time.Duration(w.newest() + r.length - now)
	}
	if v.Remaining == 0 && w.total > 0 {
		v.RetryAfter = time.Duration(w.roomAt(w.total-r.limit+1) + r.length - now)
	}
	s.mu.Unlock()
	m.sweep(now)
	return v, nil
}

// leave drops the spans whose last call was not after a moment.
func (w *window) leave(moment int64) {
	for w.head < len(w.spans) && w.spans[w.head].last <= moment {
		w.total -= w.spans[w.head].calls
		w.head++
	}
	if w.head == len(w.spans) {
		w.spans, w.head = w.spans[:0], 0
	}
}

func (w *window) enter(now, slice int64) {
	w.total++
	if n := len(w.spans); n > w.head {
		if newest := &w.spans[n-1]; now < newest.first+slice {
			newest.last = max(newest.last, now)
			newest.calls++
			return
		}
	}
	if w.head > 0 && len(w.spans) == cap(w.spans) {
		w.spans = w.spans[:copy(w.spans, w.spans[w.head:])]
		w.head = 0
	}
	w.spans = append(w.spans, span{first: now, last: now, calls: 1})
}

// roomAt is the last call of the span with which so many calls will have left.
func (w *window) roomAt(calls int64) int64 {
	for _, s := range w.spans[w.head:] {
		if calls -= s.calls; calls <= 0 {
			return s.last
		}
	}
	return w.newest()
}

// newest is the last call of all; there must be one.
func (w *window) newest() int64 { return w.spans[len(w.spans)-1].last }
