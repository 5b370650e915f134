package countertest

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter"
)

// broken is a store with one mistake.
type broken struct {
	gateway.Counters
	throttle    func(name string, rate float64, burst int) gateway.Limit
	quota       func(name string, limit int64, w gateway.Window) gateway.Limit
	concurrency func(name string, limit int) gateway.Concurrency
}

func (b broken) Throttle(name string, rate float64, burst int) gateway.Limit {
	if b.throttle != nil {
		return b.throttle(name, rate, burst)
	}
	return b.Counters.Throttle(name, rate, burst)
}

func (b broken) Quota(name string, limit int64, w gateway.Window) gateway.Limit {
	if b.quota != nil {
		return b.quota(name, limit, w)
	}
	return b.Counters.Quota(name, limit, w)
}

func (b broken) Concurrency(name string, limit int) gateway.Concurrency {
	if b.concurrency != nil {
		return b.concurrency(name, limit)
	}
	return b.Counters.Concurrency(name, limit)
}

// changed is a limit whose verdicts or calls are tampered with.
type changed struct {
	gateway.Limit
	take func(l gateway.Limit, key string) (gateway.Verdict, error)
}

func (c changed) Take(_ context.Context, key string) (gateway.Verdict, error) {
	return c.take(c.Limit, key)
}

func verdicts(l gateway.Limit, change func(*gateway.Verdict)) gateway.Limit {
	return changed{l, func(l gateway.Limit, key string) (gateway.Verdict, error) {
		v, err := l.Take(context.Background(), key)
		change(&v)
		return v, err
	}}
}

// fixed counts windows that begin with their first call, one after the other:
// twice the limit passes at their border.
type fixed struct {
	mu     sync.Mutex
	limit  int64
	length time.Duration
	start  map[string]time.Time
	calls  map[string]int64
}

func (f *fixed) Take(_ context.Context, key string) (gateway.Verdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.start[key].IsZero() || time.Since(f.start[key]) >= f.length {
		f.start[key], f.calls[key] = time.Now(), 0
	}
	v := gateway.Verdict{OK: f.calls[key] < f.limit, Limit: f.limit, Reset: f.length - time.Since(f.start[key])}
	if v.OK {
		f.calls[key]++
	}
	if v.Remaining = f.limit - f.calls[key]; v.Remaining == 0 {
		v.RetryAfter = v.Reset
	}
	return v, nil
}

// greedy takes a token from refused calls, too: a noisy caller stays out.
type greedy struct {
	mu          sync.Mutex
	rate, burst float64
	tokens      map[string]float64
	at          map[string]time.Time
}

func (g *greedy) Take(_ context.Context, key string) (gateway.Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	tokens := g.burst
	if at, ok := g.at[key]; ok {
		tokens = min(g.burst, g.tokens[key]+g.rate*now.Sub(at).Seconds())
	}
	tokens--
	g.tokens[key], g.at[key] = tokens, now
	after := func(calls float64) time.Duration {
		return max(0, time.Duration(math.Ceil(calls/g.rate*float64(time.Second))))
	}
	return gateway.Verdict{
		OK: tokens >= 0, Limit: int64(g.burst), Remaining: int64(max(0, tokens)),
		Reset: after(g.burst - tokens), RetryAfter: after(1 - tokens),
	}, nil
}

// leaky never releases, or releases for everybody.
type leaky struct {
	gateway.Concurrency
	release func(l gateway.Concurrency, key string)
}

func (l leaky) Release(key string) { l.release(l.Concurrency, key) }

var mistakes = map[string]func() gateway.Counters{
	"throttle: a little too fast": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, throttle: func(name string, rate float64, burst int) gateway.Limit { return m.Throttle(name, rate*1.02, burst) }}
	},
	"throttle: a little too slow": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, throttle: func(name string, rate float64, burst int) gateway.Limit { return m.Throttle(name, rate*0.9, burst) }}
	},
	"throttle: refused calls cost": func() gateway.Counters {
		return broken{Counters: counter.New(), throttle: func(_ string, rate float64, burst int) gateway.Limit {
			return &greedy{rate: rate, burst: float64(burst), tokens: map[string]float64{}, at: map[string]time.Time{}}
		}}
	},
	"throttle: keys share": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, throttle: func(name string, rate float64, burst int) gateway.Limit {
			return changed{m.Throttle(name, rate, burst), func(l gateway.Limit, _ string) (gateway.Verdict, error) {
				return l.Take(context.Background(), "all")
			}}
		}}
	},
	"throttle: comes back too early": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, throttle: func(name string, rate float64, burst int) gateway.Limit {
			return verdicts(m.Throttle(name, rate, burst), func(v *gateway.Verdict) { v.RetryAfter /= 10 })
		}}
	},
	"quota: fixed windows": func() gateway.Counters {
		return broken{Counters: counter.New(), quota: func(_ string, limit int64, w gateway.Window) gateway.Limit {
			return &fixed{limit: limit, length: w.Length, start: map[string]time.Time{}, calls: map[string]int64{}}
		}}
	},
	"quota: a window too short": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, quota: func(name string, limit int64, w gateway.Window) gateway.Limit {
			w.Length = w.Length * 99 / 100
			return m.Quota(name, limit, w)
		}}
	},
	"quota: a window too long": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, quota: func(name string, limit int64, w gateway.Window) gateway.Limit {
			w.Length = w.Length * 11 / 10
			return m.Quota(name, limit, w)
		}}
	},
	"quota: one too many": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, quota: func(name string, limit int64, w gateway.Window) gateway.Limit {
			return verdicts(m.Quota(name, limit+1, w), func(v *gateway.Verdict) { v.Limit--; v.Remaining = max(0, v.Remaining-1) })
		}}
	},
	"calendar: another time zone": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, quota: func(name string, limit int64, w gateway.Window) gateway.Limit {
			if w.Location != nil {
				w.Location = time.FixedZone("", 3*3600+900)
			}
			return m.Quota(name, limit, w)
		}}
	},
	"concurrency: releases are lost": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, concurrency: func(name string, limit int) gateway.Concurrency {
			return leaky{m.Concurrency(name, limit), func(gateway.Concurrency, string) {}}
		}}
	},
	"concurrency: releases count twice": func() gateway.Counters {
		m := counter.New()
		return broken{Counters: m, concurrency: func(name string, limit int) gateway.Concurrency {
			return leaky{m.Concurrency(name, limit), func(l gateway.Concurrency, key string) { l.Release(key); l.Release(key) }}
		}}
	},
}

// TestSimulateCatches plays the scripts on broken stores: each must be found out.
func TestSimulateCatches(t *testing.T) {
	for name, make := range mistakes {
		t.Run(name, func(t *testing.T) {
			sort, _, _ := strings.Cut(name, ":")
			for seed := range 300 {
				if caught(t, sort, seed, make) != nil {
					return
				}
			}
			t.Error("300 scripts found nothing wrong")
		})
	}
}

func caught(t *testing.T, sort string, seed int, make func() gateway.Counters) (err error) {
	var script player
	switch sort {
	case "throttle":
		script = throttleScripts.Example(seed)
	case "quota":
		script = quotaScripts.Example(seed)
	case "calendar":
		script = calendarScripts.Example(seed)
	default:
		script = concurrencyScripts.Example(seed)
	}
	synctest.Test(t, func(*testing.T) { err = script.play(make(), Terms{}) })
	return err
}

// TestConformCatches runs the laws on broken stores: each must be found out.
func TestConformCatches(t *testing.T) {
	for name, make := range mistakes {
		if strings.Contains(name, "a little") || strings.HasPrefix(name, "calendar") || strings.HasPrefix(name, "quota: a window") {
			continue // finer than a wall clock can tell
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sort, _, _ := strings.Cut(name, ":")
			for _, law := range laws {
				if strings.Contains(law.name, sort) && law.holds(subject{make(), law.name}) != nil {
					return
				}
			}
			t.Error("every law held")
		})
	}
}
