package counter

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
)

// local counts in this process alone, by its share of each limit, while Redis
// is out of reach. It goes on from what was last known, in proportion, and what
// it admits is told when Redis is back.
type local struct{ redis *Redis }

// Local implements gateway.Counters.
func (l local) Local() gateway.Counters { return l }

// Throttle implements gateway.Counters.
func (l local) Throttle(name string, rate float64, burst int) gateway.Limit {
	t := &localThrottle{leasing: newLeasing(l.redis, name, rate, burst)}
	t.parts.of = func(replicas int64) *throttle {
		return newThrottle(l.redis.memory, name, rate/float64(replicas), max(1, burst/int(replicas)))
	}
	return t
}

// Quota implements gateway.Counters.
func (l local) Quota(name string, limit int64, w gateway.Window) gateway.Limit {
	q := &localQuota{shared: newQuota(l.redis, name, limit, w)}
	q.parts.of = func(replicas int64) *gateway.Limit {
		part := l.redis.memory.Quota(name, max(1, limit/replicas), w)
		return &part
	}
	return q
}

// Concurrency implements gateway.Counters.
func (l local) Concurrency(name string, limit int) gateway.Concurrency {
	return &localSlots{slots{redis: l.redis, place: l.redis.memory.place(name), limit: int64(limit)}}
}

// parts keeps the limit for the number of replicas that was last asked for.
type parts[L any] struct {
	of       func(replicas int64) *L
	mu       sync.Mutex
	replicas int64
	limit    *L
}

func (p *parts[L]) get(replicas int64) *L {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit == nil || p.replicas != replicas {
		p.limit, p.replicas = p.of(replicas), replicas
	}
	return p.limit
}

type localThrottle struct {
	*leasing
	parts parts[throttle]
}

// Take implements gateway.Limit.
func (t *localThrottle) Take(ctx context.Context, key string) (gateway.Verdict, error) {
	part := t.parts.get(t.redis.replicas.Load())
	now := t.redis.memory.now()
	c, i := t.place.cell(key)
	t.seed(part, c, i, now)
	v, err := part.Take(ctx, key)
	if err == nil && v.OK {
		owe(&t.redis.throttles.shards[i], c, now, func(l *leased) { l.owed++ })
	}
	return v, err
}

// seed has the local bucket as full as the shared one was last known to be.
func (t *localThrottle) seed(part *throttle, c cell, shard uint32, now int64) {
	s := &t.redis.throttles.shards[shard]
	s.mu.Lock()
	e := s.counts[c]
	if e == nil || e.count.at == 0 || e.count.seeded == e.count.at || e.count.grains != t.grains {
		s.mu.Unlock()
		return
	}
	l := &e.count
	l.seeded = l.at
	used := float64(t.estimate(l, now)+l.calls*t.call) / float64(t.burst*t.call)
	s.mu.Unlock()
	b := &t.redis.memory.buckets.shards[shard]
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, err := b.get(c, now); err == nil {
		e.count = bucket{used: int64(used * float64(part.burst*part.call)), call: part.call, at: now}
		e.until = now + part.time(e.count.used)
	}
}

// owe remembers what the local count has admitted, for as long as anything is known.
func owe[C any](s *shard[C], c cell, now int64, admitted func(*C)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, err := s.get(c, now); err == nil {
		admitted(&e.count)
		e.until = max(e.until, now+int64(owedKept))
	}
}

// owedKept is how long what the local count admitted is remembered.
const owedKept = 24 * time.Hour

type localQuota struct {
	*shared
	parts parts[gateway.Limit]
}

// Take implements gateway.Limit.
func (q *localQuota) Take(ctx context.Context, key string) (gateway.Verdict, error) {
	replicas := q.redis.replicas.Load()
	part := *q.parts.get(replicas)
	now := q.redis.memory.now()
	c, i := q.place.cell(key)
	var start int64
	if q.length == 0 {
		from, _ := q.window.Bounds(time.Now())
		start = from.UnixNano()
	}
	q.seed(part, c, i, now, replicas, start)
	v, err := part.Take(ctx, key)
	if err == nil && v.OK {
		owe(&q.redis.quotas.shards[i], c, now, func(h *heard) {
			if since := start / int64(time.Microsecond); h.since != since {
				h.owed, h.told, h.since = 0, 0, since // what the window before owed is over
			}
			h.owed++
		})
	}
	return v, err
}

// seed leaves the local quota this replica's part of what was left when it was
// last heard of.
func (q *localQuota) seed(part gateway.Limit, c cell, shard uint32, now, replicas, start int64) {
	s := &q.redis.quotas.shards[shard]
	s.mu.Lock()
	e := s.counts[c]
	if e == nil || e.count.at == 0 || e.count.seeded == e.count.at {
		s.mu.Unlock()
		return
	}
	h := &e.count
	h.seeded = h.at
	at, left := h.at, h.left/replicas
	s.mu.Unlock()
	m := q.redis.memory
	switch part := part.(type) {
	case *rolling:
		used := max(0, part.limit-left)
		if used == 0 || at+part.length <= now {
			return
		}
		w := &m.windows.shards[shard]
		w.mu.Lock()
		defer w.mu.Unlock()
		if e, err := w.get(c, now); err == nil {
			e.count = window{spans: []span{{first: at, last: at, calls: used}}, total: used}
			e.until = at + part.length
		}
	case *byCalendar:
		if heardAt := m.start.Add(time.Duration(at)).UnixNano(); heardAt < start {
			return
		}
		w := &m.calendars.shards[shard]
		w.mu.Lock()
		defer w.mu.Unlock()
		if e, err := w.get(c, now); err == nil {
			e.count = calendar{start: start, calls: max(0, part.limit-left)}
			e.until = now + int64(sweepEvery)
		}
	}
}

// localSlots counts the calls under way that began here, whoever let them in.
type localSlots struct{ slots }

// Acquire implements gateway.Concurrency.
func (l *localSlots) Acquire(_ context.Context, key string) (gateway.Verdict, error) {
	r := l.redis
	c, _ := l.place.cell(key)
	limit := r.share(l.limit)
	r.under.mu.Lock()
	defer r.under.mu.Unlock()
	h := r.under.at(c)
	defer r.under.tidy(c)
	v := gateway.Verdict{OK: int64(len(h.live)) < limit, Limit: l.limit}
	if v.OK {
		h.live = append(h.live, r.id+strconv.FormatInt(r.serial.Add(1), 36))
	}
	v.Remaining = max(0, limit-int64(len(h.live)))
	return v, nil
}
