package throttle

import (
	"fmt"
	"math"
	"time"

	"github.com/headrace/headrace/gateway"
)

// Settings are the policy's configuration.
type Settings struct {
	Rate         Rate                 `yaml:"rate" check:"required" doc:"Calls that are let through on average, written 50/s, 600/m or 1000/h."`
	Burst        int                  `yaml:"burst" min:"1" max:"1000000000" doc:"Calls that are let through at once; one second's worth when absent, at least 1."`
	By           string               `yaml:"by" enum:"app,plan,operation,address" default:"app" doc:"Whose calls are counted together."`
	OnStoreError gateway.OnStoreError `yaml:"on_store_error" enum:"local,open,closed" default:"local" doc:"What becomes of calls while the shared counts are out of reach: counted by this replica's share of the limit (local), let through (open) or refused (closed)."`
}

// Kind describes the policy. Counts are kept in counters and outlast tables.
func Kind(counters gateway.Counters) gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "throttle", Stage: gateway.StageThrottle, Levels: gateway.LevelAPI | gateway.LevelPlan,
		Doc: "Bounds how fast an app calls: 429 with Retry-After beyond a rate and burst.",
	}, func(b *gateway.Binding, s Settings) gateway.Policy {
		return newPolicy(b, s, counters)
	})
}

func newPolicy(b *gateway.Binding, s Settings, counters gateway.Counters) gateway.Policy {
	perSecond := s.Rate.PerSecond()
	if s.Burst == 0 {
		s.Burst = max(1, int(perSecond))
	}
	name := "throttle"
	if b.Plan != nil {
		name = "throttle-plan"
	}
	fill := time.Duration(min(math.MaxInt64/2, float64(s.Burst)/perSecond*float64(time.Second)))
	partition := b.Partition(s.By)
	a := &gateway.Admission{
		Limit: counters.Throttle(partition.Name, perSecond, s.Burst), Partition: partition,
		Fields: gateway.NewRateLimit(name, int64(s.Burst), fill, ""), Open: s.OnStoreError != gateway.StoreErrorClosed,
		Refusal: gateway.Throttled, Detail: fmt.Sprintf("%s calls are allowed, and %d at once", s.Rate, s.Burst),
	}
	if s.OnStoreError == gateway.StoreErrorLocal {
		a.Local = counters.Local().Throttle(partition.Name, perSecond, s.Burst)
	}
	return a.Policy()
}
