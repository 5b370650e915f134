package counter

import (
	"context"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// BenchmarkRedis measures decisions on a Redis on this machine, and how many
// round trips each takes. throttle/leased is the usual case; throttle/exact is
// that of small bursts.
func BenchmarkRedis(b *testing.B) {
	s := redistest.Run(b)
	r := member(b, s)
	var count trips
	r.client.AddHook(&count)
	for _, c := range []struct {
		name  string
		limit gateway.Limit
	}{
		{"throttle/leased", r.Throttle("leased", 1e8, 1e8)},
		{"throttle/exact", r.Throttle("exact", 1e9, 15)},
		{"throttle/refused", r.Throttle("refused", 1e-3, 1)},
		{"quota/rolling", r.Quota("rolling", 1<<40, hour)},
		{"quota/calendar", r.Quota("calendar", 1<<40, gateway.Window{Calendar: "day"})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			before := count.n.Load()
			for b.Loop() {
				if _, err := take(c.limit, "shop"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(count.n.Load()-before)/float64(b.N), "trips/op")
		})
	}
	b.Run("concurrency", func(b *testing.B) {
		l := r.Concurrency("calls", 10)
		b.ReportAllocs()
		before := count.n.Load()
		for b.Loop() {
			if v, err := l.Acquire(context.Background(), "shop"); err != nil || !v.OK {
				b.Fatal(v, err)
			}
			l.Release("shop")
		}
		b.ReportMetric(float64(count.n.Load()-before)/float64(b.N), "trips/op")
	})
}
