package budget

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// A scenario is what the property is tried on: limits, and calls with whatever
// delays and losses an adversary may choose within the calls' timeouts.
type scenario struct {
	Limits []Limit
	Calls  []scriptedCall
	// Reloads are the times at which the same limits are configured again.
	Reloads []time.Duration
}

type scriptedCall struct {
	At    time.Duration
	Class specs.Class
	Cost  int
	Wait  time.Duration
	// Leave is when the caller leaves the line; zero for never.
	Leave time.Duration
	Fate  fate
	// Send, Work and Reply are the parts of the call's time: on the way, at
	// the system, and on the way back. For calls whose answer is not awaited
	// they may fill the whole lease.
	Send, Work, Reply time.Duration
	// GiveUp is when the gateway stops waiting for the answer.
	GiveUp time.Duration
}

type fate int

const (
	answered fate = iota
	unknown       // given up, may still arrive
	lost          // never settled
	unsent
)

const (
	testTimeout = 4 * time.Second
	testGrace   = 2 * time.Second
)

// span draws a time up to most, the extremes often.
func span(t *rapid.T, label string, most time.Duration) time.Duration {
	switch rapid.IntRange(0, 3).Draw(t, label+" kind") {
	case 0:
		return 0
	case 1:
		return most
	}
	return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, label))
}

func drawLimit(t *rapid.T, i int) Limit {
	l := Limit{Name: fmt.Sprintf("limit%d", i), Enforcement: "hard"}
	if rapid.Bool().Draw(t, "bucket") {
		l.Bucket = &Bucket{
			Size:   *Number(float64(rapid.IntRange(3, 8).Draw(t, "size"))),
			Refill: Rate{Units: float64(rapid.IntRange(1, 8).Draw(t, "refill")), Per: time.Duration(rapid.IntRange(1, 4).Draw(t, "per")) * time.Second},
		}
		return l
	}
	capacity := float64(rapid.IntRange(3, 8).Draw(t, "capacity"))
	l.Capacity = Number(capacity)
	if rapid.Bool().Draw(t, "window") {
		l.Hold = source.Duration(rapid.Int64Range(int64(time.Millisecond), int64(20*time.Second)).Draw(t, "hold"))
	}
	return l
}

func drawCall(t *rapid.T) scriptedCall {
	c := scriptedCall{
		At:    time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "at")),
		Class: specs.Class(rapid.IntRange(0, 3).Draw(t, "class")),
		Cost:  rapid.IntRange(1, 3).Draw(t, "cost"),
		Wait:  span(t, "wait", time.Minute),
		Fate:  rapid.SampledFrom([]fate{answered, answered, answered, answered, unknown, lost, unsent}).Draw(t, "fate"),
	}
	if rapid.IntRange(0, 5).Draw(t, "leaves") == 0 {
		c.Leave = 1 + span(t, "leave", 10*time.Second)
	}
	whole := testTimeout
	if c.Fate == unknown || c.Fate == lost {
		whole += testGrace
	}
	c.Send = span(t, "send", whole-1)
	c.Work = 1 + span(t, "work", whole-c.Send-1) // no call takes no time at all
	c.Reply = span(t, "reply", whole-c.Send-c.Work)
	c.GiveUp = span(t, "give up", testTimeout)
	return c
}

var scenarios = rapid.Custom(func(t *rapid.T) scenario {
	var s scenario
	for i := range rapid.IntRange(1, 3).Draw(t, "limits") {
		s.Limits = append(s.Limits, drawLimit(t, i))
	}
	s.Calls = rapid.SliceOfN(rapid.Custom(drawCall), 1, 60).Draw(t, "calls")
	for range rapid.IntRange(0, 3).Draw(t, "reloads") {
		s.Reloads = append(s.Reloads, span(t, "reload", 30*time.Second))
	}
	return s
})

// arrival is a call as the system sees it.
type arrival struct {
	at, until time.Duration
	cost      int
}

// play runs a scenario and returns what the system saw. settleEarly plants the
// mistake of settling a call when it is sent.
func play(s scenario, store Store, settleEarly bool) []arrival {
	b := New(Options{System: "erp", Limits: s.Limits, Store: store, Grace: testGrace})
	started := time.Now()
	seen := make(chan arrival, len(s.Calls))
	for _, c := range s.Calls {
		go b.play(c, started, settleEarly, seen)
	}
	for _, at := range s.Reloads {
		time.AfterFunc(at, func() { b.Reconfigure(s.Limits) })
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	close(seen)
	var all []arrival
	for a := range seen {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b arrival) int { return int(a.at - b.at) })
	return all
}

func (b *Budget) play(c scriptedCall, started time.Time, settleEarly bool, seen chan<- arrival) {
	time.Sleep(c.At)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.Leave > 0 {
		time.AfterFunc(c.Leave, cancel)
	}
	call := Call{Class: c.Class, Wait: c.Wait, Timeout: testTimeout}
	for _, p := range b.plan.Load().all {
		call.Cost = append(call.Cost, Cost{p.Name, float64(c.Cost)})
	}
	ticket, err := b.Admit(ctx, call)
	if err != nil {
		return
	}
	if c.Fate == unsent {
		time.Sleep(c.GiveUp)
		ticket.Settle(Result{Unsent: true})
		return
	}
	now := time.Since(started)
	seen <- arrival{at: now + c.Send, until: now + c.Send + c.Work, cost: c.Cost}
	if settleEarly {
		ticket.Settle(Result{})
	}
	switch c.Fate {
	case answered:
		time.Sleep(c.Send + c.Work + c.Reply)
		ticket.Settle(Result{})
	case unknown:
		time.Sleep(c.GiveUp)
		ticket.Settle(Result{Unknown: true})
	}
}

// violation tells how the system's own accounting was exceeded; empty for not at all.
func violation(l Limit, seen []arrival) string {
	switch {
	case l.Bucket != nil:
		return bucketViolation(l, seen)
	case l.Hold == 0:
		return concurrencyViolation(l, seen)
	}
	for i, last := range seen {
		sum := 0
		for _, a := range seen[:i+1] {
			if a.at >= last.at-l.Hold.Std() {
				sum += a.cost
			}
		}
		if float64(sum) > l.Capacity.Value {
			return fmt.Sprintf("%d units in the window of %v that ends at %v, and %v are allowed", sum, l.Hold, last.at, l.Capacity.Value)
		}
	}
	return ""
}

func concurrencyViolation(l Limit, seen []arrival) string {
	for _, now := range seen {
		sum := 0
		for _, a := range seen {
			if a.at <= now.at && now.at < a.until {
				sum += a.cost
			}
		}
		if float64(sum) > l.Capacity.Value {
			return fmt.Sprintf("%d units under way at %v, and %v are allowed", sum, now.at, l.Capacity.Value)
		}
	}
	return ""
}

func bucketViolation(l Limit, seen []arrival) string {
	level, last := l.Bucket.Size.Value, time.Duration(0)
	for _, a := range seen {
		level = min(l.Bucket.Size.Value, level+(a.at-last).Seconds()*l.Bucket.Refill.Units/l.Bucket.Refill.Per.Seconds())
		last = a.at
		if level -= float64(a.cost); level < -1e-6 {
			return fmt.Sprintf("the bucket lacks %v at %v", -level, a.at)
		}
	}
	return ""
}

// The invariant of the package's documentation.
func TestNoLimitIsEverExceeded(t *testing.T) {
	admitted := 0
	rapid.Check(t, func(t *rapid.T) {
		s := scenarios.Draw(t, "scenario")
		var seen []arrival
		rapid.SyncTest(t, func(*rapid.T) { seen = play(s, NewMemory(), false) })
		admitted += len(seen)
		for _, l := range s.Limits {
			if v := violation(l, seen); v != "" {
				t.Fatalf("%s: %s", l.Name, v)
			}
		}
	})
	if admitted == 0 {
		t.Fatal("no call was ever admitted")
	}
}

// hasty forgets the hold: units come back when a call ends.
type hasty struct{ Store }

func (h hasty) Admit(ctx context.Context, a *Admission) (Decision, error) {
	asks := slices.Clone(a.Asks)
	for i := range asks {
		p := *asks[i].Pool
		p.Hold = 0
		asks[i].Pool = &p
	}
	changed := *a
	changed.Asks = asks
	d, err := h.Store.Admit(ctx, &changed)
	a.At = changed.At
	return d, err
}

// forgetful does not keep what was lost: an unknown outcome counts as an end.
type forgetful struct{ Store }

func (f forgetful) Settle(ctx context.Context, a *Admission, s Settlement) error {
	s.Outcome = Unsent
	return f.Store.Settle(ctx, a, s)
}

// The property is worth something only if it finds the mistakes that one makes.
func TestThePropertyFindsMistakes(t *testing.T) {
	for name, plant := range map[string]struct {
		store       func() Store
		settleEarly bool
		family      func(Limit) bool
	}{
		"units come back at the end, window":        {func() Store { return hasty{NewMemory()} }, false, func(l Limit) bool { return l.Hold > 0 }},
		"settled when sent, window":                 {func() Store { return NewMemory() }, true, func(l Limit) bool { return l.Hold > 0 }},
		"settled when sent, concurrency":            {func() Store { return NewMemory() }, true, func(l Limit) bool { return l.Capacity != nil && l.Hold == 0 }},
		"refilled since the admission, bucket":      {func() Store { return NewMemory() }, true, func(l Limit) bool { return l.Bucket != nil }},
		"unknown calls are forgotten, concurrency":  {func() Store { return forgetful{NewMemory()} }, false, func(l Limit) bool { return l.Capacity != nil && l.Hold == 0 }},
		"unknown calls are forgotten, small bucket": {func() Store { return forgetful{NewMemory()} }, false, func(l Limit) bool { return l.Bucket != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 400 {
				s := scenarios.Example(seed)
				if !plant.family(s.Limits[0]) {
					continue
				}
				s.Limits = s.Limits[:1]
				var seen []arrival
				synctest.Test(t, func(*testing.T) { seen = play(s, plant.store(), plant.settleEarly) })
				if v := violation(s.Limits[0], seen); v != "" {
					return
				}
			}
			t.Error("not found in 400 scenarios")
		})
	}
}
