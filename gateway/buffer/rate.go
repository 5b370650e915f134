package buffer

import (
	"sync"
	"time"
)

// span is the number of seconds over which a rate is measured.
const span = 60

// rate counts what happens a second, over the last minute. The zero rate works.
type rate struct {
	mu      sync.Mutex
	seconds [span]int64 // the second that a count is for, in Unix time
	counts  [span]int
	since   time.Time
}

func (r *rate) add(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since.IsZero() {
		r.since = now
	}
	i := now.Unix() % span
	if r.seconds[i] != now.Unix() {
		r.seconds[i], r.counts[i] = now.Unix(), 0
	}
	r.counts[i]++
}

// perSecond is zero when nothing has happened.
func (r *rate) perSecond(now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for i, second := range r.seconds {
		if now.Unix()-second < span {
			n += r.counts[i]
		}
	}
	if n == 0 {
		return 0
	}
	return float64(n) / min(span, max(1, now.Sub(r.since).Seconds()))
}
