package counter

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter/countertest"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// dial makes a client that ends with the test.
func dial(t testing.TB, s *redistest.Server) Client {
	t.Helper()
	c, err := Dial(Address{Hosts: []string{s.Address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// replica makes counters with a client of their own, that end with the test.
func member(t testing.TB, s *redistest.Server) *Redis {
	t.Helper()
	c := dial(t, s)
	r := NewRedis(c, RedisOptions{})
	t.Cleanup(r.Close)
	return r
}

// calm is a member that does not lose Redis, however slow this machine is.
func calm(t testing.TB, s *redistest.Server) *Redis {
	t.Helper()
	r := NewRedis(dial(t, s), RedisOptions{deadline: 30 * time.Second})
	t.Cleanup(r.Close)
	return r
}

// trips counts round trips.
type trips struct{ n atomic.Int64 }

func (*trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.n.Add(1)
		return next(ctx, cmd)
	}
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.n.Add(1)
		return next(ctx, cmds)
	}
}

func TestRedisConforms(t *testing.T) {
	s := redistest.Run(t)
	t.Run("one replica", func(t *testing.T) {
		r := calm(t, s)
		countertest.Conform(t, func() gateway.Counters { return r })
	})
	t.Run("two replicas", func(t *testing.T) {
		p := pair{a: calm(t, s), b: calm(t, s)}
		countertest.Conform(t, func() gateway.Counters { return p })
	})
}

// TestRedisSimulates plays the scripts of hours and months on a real Redis that
// is given the time.
func TestRedisSimulates(t *testing.T) {
	t.Run("one replica", func(t *testing.T) {
		t.Parallel()
		s := redistest.Run(t)
		terms := countertest.Terms{Resolution: time.Microsecond, Leased: leasable}
		countertest.Simulate(t, terms, func() (gateway.Counters, func()) {
			r, _ := overLossy(s)
			r.client.FlushAll(context.Background())
			return r, r.crash
		})
	})
	t.Run("two replicas", func(t *testing.T) {
		t.Parallel()
		s := redistest.Run(t)
		terms := countertest.Terms{Resolution: time.Microsecond, Leased: leasable, Several: true}
		countertest.Simulate(t, terms, func() (gateway.Counters, func()) {
			a, _ := overLossy(s)
			b, _ := overLossy(s)
			a.client.FlushAll(context.Background())
			return pair{a: a, b: b}, func() {
				a.crash()
				b.crash()
			}
		})
	})
}

// leasable is how many calls of a burst may be out of reach: a quarter, and none
// where an eighth of it is not two calls.
func leasable(burst int) int {
	if burst < 16 {
		return 0
	}
	return burst / 4
}

// pair sends every other call to the other replica.
type pair struct{ a, b *Redis }

func (p pair) Local() gateway.Counters { return p.a.Local() }

func (p pair) Throttle(name string, rate float64, burst int) gateway.Limit {
	return &both{limits: [2]gateway.Limit{p.a.Throttle(name, rate, burst), p.b.Throttle(name, rate, burst)}}
}

func (p pair) Quota(name string, limit int64, w gateway.Window) gateway.Limit {
	return &both{limits: [2]gateway.Limit{p.a.Quota(name, limit, w), p.b.Quota(name, limit, w)}}
}

func (p pair) Concurrency(name string, limit int) gateway.Concurrency {
	return &bothSlots{pair: p, limits: [2]gateway.Concurrency{p.a.Concurrency(name, limit), p.b.Concurrency(name, limit)}}
}

type both struct {
	limits [2]gateway.Limit
	turn   atomic.Int64
}

func (l *both) Take(ctx context.Context, key string) (gateway.Verdict, error) {
	return l.limits[l.turn.Add(1)%2].Take(ctx, key)
}

type bothSlots struct {
	pair   pair
	limits [2]gateway.Concurrency
	turn   atomic.Int64
}

func (l *bothSlots) Acquire(ctx context.Context, key string) (gateway.Verdict, error) {
	return l.limits[l.turn.Add(1)%2].Acquire(ctx, key)
}

// Release lets a call go at a replica that has one, and waits until Redis knows.
func (l *bothSlots) Release(key string) {
	c, _ := l.limits[0].(*slots).place.cell(key)
	for i, r := range []*Redis{l.pair.a, l.pair.b} {
		r.under.mu.Lock()
		has := r.under.cells[c] != nil && len(r.under.cells[c].live) > 0
		r.under.mu.Unlock()
		if has {
			l.limits[i].Release(key)
			r.flush()
			for r.telling() {
				time.Sleep(100 * time.Microsecond)
			}
			return
		}
	}
}

func (r *Redis) telling() bool {
	r.under.mu.Lock()
	defer r.under.mu.Unlock()
	return r.under.ended > 0
}
