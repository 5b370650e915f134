package quota

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	Limit        int64                `yaml:"limit" check:"required" min:"1" max:"1000000000000000" doc:"Calls that are let through in a window."`
	Per          string               `yaml:"per" enum:"hour,day,month" doc:"Calendar window; or set window."`
	Window       source.Duration      `yaml:"window" doc:"Length of a rolling window, for example 24h; or set per."`
	TimeZone     Zone                 `yaml:"time_zone" doc:"IANA name of the time zone that calendar windows end in; UTC when absent."`
	By           string               `yaml:"by" enum:"app,plan,operation,address" default:"app" doc:"Whose calls are counted together."`
	OnStoreError gateway.OnStoreError `yaml:"on_store_error" enum:"local,open,closed" default:"local" doc:"What becomes of calls while the shared counts are out of reach: counted by this replica's share of the limit (local), let through (open) or refused (closed)."`
}

// DecodeNode also checks that the window is said exactly once.
func (s *Settings) DecodeNode(n source.Node, ps *source.Problems) {
	type plain Settings
	source.Decode(n, (*plain)(s), ps)
	per, window := n.Get("per"), n.Get("window")
	switch {
	case per.Exists() && window.Exists():
		ps.Add(window, "a quota has one window", "set either per or window")
	case !per.Exists() && !window.Exists():
		ps.Add(n, "the window is missing", "set per to hour, day or month, or window to a length")
	case window.Exists() && n.Get("time_zone").Exists():
		ps.Add(n.Get("time_zone"), "a rolling window has no time zone", "set per for a calendar window")
	case window.Exists() && (s.Window.Std() < time.Second || s.Window.Std() > 366*24*time.Hour):
		ps.Add(window, "a window of "+window.Text()+" is out of bounds", "between 1s and 366d; see the policy throttle for less")
	}
}

// Zone is a time zone by its IANA name.
type Zone struct {
	*time.Location
}

// UnmarshalText finds the zone, for example Europe/Berlin.
func (z *Zone) UnmarshalText(text []byte) error {
	location, err := time.LoadLocation(string(text))
	if err != nil || len(text) == 0 || string(text) == "Local" {
		return fmt.Errorf("write an IANA name such as Europe/Berlin, or UTC")
	}
	z.Location = location
	return nil
}

// JSONSchema describes the notation for editors.
func (Zone) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "examples": []any{"UTC", "Europe/Berlin", "America/New_York"}}
}

// Kind describes the policy. Counts are kept in counters and outlast tables.
func Kind(counters gateway.Counters) gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "quota", Stage: gateway.StageQuota, Levels: gateway.LevelAPI | gateway.LevelPlan,
		Doc: "Bounds how much an app calls: 429 with Retry-After beyond a number of calls an hour, day, month or rolling window.",
	}, func(b *gateway.Binding, s Settings) gateway.Policy {
		return newPolicy(b, s, counters)
	})
}

func newPolicy(b *gateway.Binding, s Settings, counters gateway.Counters) gateway.Policy {
	name := "quota"
	if b.Plan != nil {
		name = "quota-plan"
	}
	window, detail := gateway.Window{Length: s.Window.Std()}, ""
	// A month has no fixed length to be told.
	length := map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "": window.Length}[s.Per]
	if s.Per != "" {
		if s.TimeZone.Location == nil {
			s.TimeZone.Location = time.UTC
		}
		window.Calendar, window.Location = s.Per, s.TimeZone.Location
		detail = fmt.Sprintf("%d calls a %s are allowed (%s)", s.Limit, s.Per, s.TimeZone)
	} else {
		detail = fmt.Sprintf("%d calls in %s are allowed", s.Limit, s.Window)
	}
	partition := b.Partition(s.By)
	a := &gateway.Admission{
		Limit: counters.Quota(partition.Name, s.Limit, window), Partition: partition,
		Fields: gateway.NewRateLimit(name, s.Limit, length, ""), Open: s.OnStoreError == gateway.StoreErrorOpen, Refusal: gateway.QuotaExceeded, Detail: detail,
	}
	if s.OnStoreError == gateway.StoreErrorLocal {
		a.Local = counters.Local().Quota(partition.Name, s.Limit, window)
	}
	return a.Policy()
}
