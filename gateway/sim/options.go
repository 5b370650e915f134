package sim

import (
	"fmt"
	"math"
	"time"
)

// Options set up a simulator. The zero value gives the kind's own defaults.
type Options struct {
	// Latency is the time that a call takes, Jitter what is added at random.
	Latency, Jitter time.Duration
	// Concurrency replaces the kind's own limit of calls under way, Requests its
	// main number of calls within a window, Rate its calls (or points) a second.
	Concurrency, Requests int
	Rate                  float64
	// Window replaces the window of Requests.
	Window time.Duration
	// Scale makes time run faster: windows, holds and waits of the vendor are
	// divided by it, rates multiplied. 0 is 1. Latency, Jitter and Foreign stay.
	Scale float64
	// Foreign is traffic that does not pass the gateway, in calls a second. Where a
	// kind limits only what is under way at once, it is the places that others hold.
	Foreign float64
	// Overshoot is how many calls a lenient at-once limit lets in above its capacity.
	Overshoot int
	// Nodes is how many servers share the work, each with limits of its own.
	Nodes int
	// Sessions is how many sessions may be open (Acumatica).
	Sessions int
	// Age replaces the time after which a call counts as long (Salesforce, Intacct).
	Age time.Duration
	// Seed makes the data and the jitter repeatable.
	Seed uint64
}

// check tells what is wrong with options.
func (o Options) check() error {
	for name, v := range map[string]float64{
		"latency": float64(o.Latency), "jitter": float64(o.Jitter), "concurrency": float64(o.Concurrency), "requests": float64(o.Requests),
		"rate": o.Rate, "window": float64(o.Window), "scale": o.Scale, "foreign": o.Foreign,
		"overshoot": float64(o.Overshoot), "nodes": float64(o.Nodes), "sessions": float64(o.Sessions), "age": float64(o.Age),
	} {
		if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%s is not negative", name)
		}
	}
	switch {
	case o.Foreign > maxForeign:
		return fmt.Errorf("foreign is at most %d calls a second", maxForeign)
	case o.Scale > maxScale:
		return fmt.Errorf("scale is at most %d", maxScale)
	case o.Requests > maxRequests:
		return fmt.Errorf("requests are at most %d", maxRequests)
	case o.Nodes > maxNodes:
		return fmt.Errorf("nodes are at most %d", maxNodes)
	}
	return nil
}

// Bounds that keep a simulator small.
const (
	maxForeign  = 10_000
	maxScale    = 100_000
	maxRequests = 10_000_000
	maxNodes    = 100
)

// span is a time of the vendor's, as it is in a scaled simulator.
func (o Options) span(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)/o.Scale), time.Nanosecond)
}

// requests is a number of calls within the main window, which is given, too.
func (o Options) requests(n int, window time.Duration) (float64, time.Duration) {
	if o.Window > 0 {
		window = o.Window
	}
	return float64(orElse(o.Requests, n)), o.span(window)
}

// rate is the main rate a second.
func (o Options) rate(perSecond float64) float64 {
	if o.Rate > 0 {
		perSecond = o.Rate
	}
	return perSecond * o.Scale
}
