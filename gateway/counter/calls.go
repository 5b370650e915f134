package counter

import (
	"context"

	"github.com/headrace/headrace/gateway"
)

// calls holds the calls of a key that are under way.
type calls struct {
	under int64
}

// concurrency is a limit on calls under way.
type concurrency struct {
	place place
	limit int64
}

// Acquire implements gateway.Concurrency. Nobody knows when a call will end, so
// the verdict tells no times.
func (l *concurrency) Acquire(_ context.Context, key string) (gateway.Verdict, error) {
	m := l.place.memory
	now := m.now()
	c, i := l.place.cell(key)
	s := &m.calls.shards[i]
	s.mu.Lock()
	e, err := s.get(c, now)
	if err != nil {
		s.mu.Unlock()
		return gateway.Verdict{}, err
	}
	ok := e.count.under < l.limit
	if ok {
		e.count.under++
		e.until = forever
	}
	left := max(0, l.limit-e.count.under)
	s.mu.Unlock()
	m.sweep(now)
	return gateway.Verdict{OK: ok, Limit: l.limit, Remaining: left}, nil
}

// Release implements gateway.Concurrency. The key is kept for a while, because
// callers come back.
func (l *concurrency) Release(key string) {
	m := l.place.memory
	c, i := l.place.cell(key)
	s := &m.calls.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.counts[c]
	if e == nil || e.count.under == 0 {
		return
	}
	if e.count.under--; e.count.under == 0 {
		e.until = m.now() + int64(sweepEvery)
	}
}
