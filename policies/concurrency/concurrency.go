package concurrency

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
)

// Settings are the policy's configuration.
type Settings struct {
	Limit        int                  `yaml:"limit" check:"required" min:"1" max:"1000000" doc:"Calls that may be under way at once."`
	By           string               `yaml:"by" enum:"app,plan,operation,address" default:"app" doc:"Whose calls are counted together."`
	OnStoreError gateway.OnStoreError `yaml:"on_store_error" enum:"local,open,closed" default:"local" doc:"What becomes of calls while the shared counts are out of reach: counted by this replica's share of the limit (local), let through (open) or refused (closed)."`
}

// Kind describes the policy. Counts are kept in counters and outlast tables.
func Kind(counters gateway.Counters) gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "concurrency", Stage: gateway.StageConcurrency, Levels: gateway.LevelAPI | gateway.LevelPlan,
		Doc: "Bounds how many calls of an app are under way: 429 beyond.",
	}, func(b *gateway.Binding, s Settings) gateway.Policy {
		return newPolicy(b, s, counters)
	})
}

type policy struct {
	calls     gateway.Concurrency
	local     gateway.Concurrency // asked when calls fails; nil when nobody is
	limit     int
	partition gateway.Partition
	fields    gateway.RateLimit
	open      bool
	detail    string
	took      mean
}

func newPolicy(b *gateway.Binding, s Settings, counters gateway.Counters) gateway.Policy {
	name := "concurrency"
	if b.Plan != nil {
		name = "concurrency-plan"
	}
	partition := b.Partition(s.By)
	p := &policy{
		calls: counters.Concurrency(partition.Name, s.Limit), limit: s.Limit, partition: partition,
		fields: gateway.NewRateLimit(name, int64(s.Limit), 0, "concurrent-requests"), open: s.OnStoreError != gateway.StoreErrorClosed,
		detail: fmt.Sprintf("%d calls may be under way at once", s.Limit),
	}
	if s.OnStoreError == gateway.StoreErrorLocal {
		p.local = counters.Local().Concurrency(partition.Name, s.Limit)
	}
	return func(next gateway.Handler) gateway.Handler {
		return func(x *gateway.Exchange) (*gateway.Response, error) { return p.handle(x, next) }
	}
}

func (p *policy) handle(x *gateway.Exchange, next gateway.Handler) (resp *gateway.Response, err error) {
	key := p.partition.Key(x)
	calls := p.calls
	v, err := calls.Acquire(x.Context(), key)
	if err != nil && p.local != nil && x.Context().Err() == nil {
		x.Record.Cause = err
		calls = p.local
		v, err = calls.Acquire(x.Context(), key)
	}
	if err != nil {
		if err := x.Uncounted(err, p.open); err != nil {
			return nil, err
		}
		return next(x)
	}
	p.fields.Set(x, v)
	if !v.OK {
		return nil, &gateway.Error{Problem: gateway.TooManyCalls, Detail: p.detail, RetryAfter: p.wait()}
	}
	s := &slot{policy: p, calls: calls, key: key, since: time.Now()}
	handedOver := false
	defer func() {
		if !handedOver {
			s.release()
		}
	}()
	resp, err = next(x)
	handedOver = err == nil && s.follow(resp)
	return resp, err
}

// wait estimates when one of the calls under way will have ended. It is spread,
// so that those who were refused together do not come back together.
func (p *policy) wait() time.Duration {
	each := p.took.load() / time.Duration(p.limit)
	return max(time.Millisecond, each/2+rand.N(each+1))
}

// mean follows how long calls take, the last ones most.
type mean struct{ nanoseconds atomic.Int64 }

func (m *mean) load() time.Duration { return time.Duration(m.nanoseconds.Load()) }

func (m *mean) add(d time.Duration) {
	old := m.nanoseconds.Load()
	next := int64(d)
	if old != 0 {
		next = old + (next-old)/16
	}
	m.nanoseconds.CompareAndSwap(old, next) // losing one of several at once does no harm
}
