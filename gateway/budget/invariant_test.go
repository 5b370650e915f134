package budget

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// A scenario is what the property is tried on: limits, and calls with whatever
// delays, losses and costs an adversary may choose within the calls' timeouts.
type scenario struct {
	Limits []Limit
	// Skew is how much later it is by the system's clock.
	Skew  time.Duration
	Calls []scriptedCall
	// Reloads are the times at which the same limits are configured again.
	Reloads []time.Duration
	// Others are calls that the gateway does not see.
	Others []scriptedCall
	// Suspensions are when the system is suspended, and for how long.
	Suspensions []suspension
	// Reports tells that answers carry what the system has counted, Exact that
	// the gateway takes that for right.
	Reports, Exact bool
}

type suspension struct{ At, For time.Duration }

type scriptedCall struct {
	At    time.Duration
	Class specs.Class
	// Cost is what the call asks for, Real what the system counts, in
	// thousandths of the cost.
	Cost int
	Real int
	Wait time.Duration
	// Leave is when the caller leaves the line; zero for never.
	Leave time.Duration
	Fate  fate
	// Send, Work and Reply are the parts of the call's time: on the way, at
	// the system, and on the way back. For calls whose answer is not awaited
	// they may fill the whole lease.
	Send, Work, Reply time.Duration
	// GiveUp is when the gateway stops waiting for the answer.
	GiveUp time.Duration
	// Told has the gateway know how long the system took.
	Told bool
	// Hint is how long the system asks to be left alone; zero for no hint.
	Hint time.Duration
}

type fate int

const (
	answered fate = iota
	unknown       // given up, may still arrive
	lost          // never settled
	unsent
	overload // refused, but counted
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

// The families of limits.
const (
	concurrent = iota
	sliding
	clocked
	bucketed
	timed // a sliding window of the time that calls take
)

func family(l Limit) int {
	switch {
	case l.Bucket != nil:
		return bucketed
	case l.Calendar != nil:
		return clocked
	case l.Cost != nil:
		return timed
	case l.Hold > 0:
		return sliding
	}
	return concurrent
}

func drawLimit(t *rapid.T, i int) Limit {
	l := Limit{Name: fmt.Sprintf("limit%d", i), Enforcement: "hard"}
	if rapid.Bool().Draw(t, "fixed") {
		l.Adaptive = &Shrinking{Off: true}
	} else {
		l.Adaptive = &Shrinking{Floor: Portion{Percent: 25}, Cut: 0.5, Recover: source.Duration(10 * time.Second)}
	}
	kind := rapid.IntRange(concurrent, timed).Draw(t, "family")
	if kind == bucketed {
		l.Bucket = &Bucket{
			Size:   *Number(float64(rapid.IntRange(3, 8).Draw(t, "size"))),
			Refill: Rate{Units: float64(rapid.IntRange(1, 8).Draw(t, "refill")), Per: time.Duration(rapid.IntRange(1, 4).Draw(t, "per")) * time.Second},
		}
		return l
	}
	l.Capacity = Number(float64(rapid.IntRange(3, 8).Draw(t, "capacity")))
	hold := source.Duration(rapid.Int64Range(int64(time.Millisecond), int64(20*time.Second)).Draw(t, "hold"))
	switch kind {
	case sliding:
		l.Hold = hold
	case timed:
		// The most that a call can take: only then it is never too much.
		l.Hold, l.Cost = hold, &Charge{By: "duration", Unit: float64(time.Second), Estimate: float64(testTimeout + testGrace)}
		l.Capacity = Number(l.Capacity.Value * 3)
	case clocked:
		every := max(hold, source.Duration(time.Second))
		l.Calendar = &Window{Every: every, TimeZone: "UTC", Phase: source.Duration(span(t, "phase", every.Std()-1)), Slack: source.Duration(slack)}
	}
	return l
}

// slack is how far the clocks may be apart.
const slack = 200 * time.Millisecond

func drawCall(t *rapid.T) scriptedCall {
	c := scriptedCall{
		At:    time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "at")),
		Class: specs.Class(rapid.IntRange(0, 3).Draw(t, "class")),
		Cost:  rapid.IntRange(1, 3).Draw(t, "cost"),
		Real:  1000,
		Wait:  span(t, "wait", time.Minute),
		Fate:  rapid.SampledFrom([]fate{answered, answered, answered, answered, unknown, lost, unsent, overload}).Draw(t, "fate"),
		Told:  rapid.Bool().Draw(t, "told"),
	}
	if rapid.Bool().Draw(t, "cheap") {
		c.Real = rapid.IntRange(0, 1000).Draw(t, "real")
	}
	if rapid.IntRange(0, 5).Draw(t, "leaves") == 0 {
		c.Leave = 1 + span(t, "leave", 10*time.Second)
	}
	if c.Fate == overload {
		c.Hint = span(t, "hint", 3*time.Second)
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
	s.Skew = span(t, "skew", 2*slack) - slack
	s.Calls = rapid.SliceOfN(rapid.Custom(drawCall), rapid.SampledFrom([]int{1, 10, 30}).Draw(t, "fewest"), 60).Draw(t, "calls")
	for range rapid.IntRange(0, 3).Draw(t, "reloads") {
		s.Reloads = append(s.Reloads, span(t, "reload", 30*time.Second))
	}
	s.Reports = rapid.Bool().Draw(t, "reports")
	s.Exact = rapid.Bool().Draw(t, "exact")
	if rapid.IntRange(0, 2).Draw(t, "foreign") == 0 {
		s.Others = rapid.SliceOfN(rapid.Custom(drawCall), 1, 10).Draw(t, "others")
	}
	if rapid.IntRange(0, 2).Draw(t, "suspended") == 0 {
		s.Suspensions = append(s.Suspensions, suspension{span(t, "suspend", 20*time.Second), 1 + span(t, "suspended for", 10*time.Second)})
	}
	return s
})

// arrival is a call as the system sees it.
type arrival struct {
	admitted  time.Duration
	at, until time.Duration
	cost      float64
	foreign   bool
}

// units is what the system counts of a call for a limit.
func (a arrival) units(l Limit) float64 {
	if family(l) == timed {
		return (a.until - a.at).Seconds()
	}
	return a.cost
}

// erp is the system: it counts what arrives.
type erp struct {
	scenario
	started time.Time
	mu      sync.Mutex
	seen    []arrival
}

func (e *erp) now() time.Duration { return time.Since(e.started) }

func (e *erp) arrive(c scriptedCall, admitted time.Duration, foreign bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	e.seen = append(e.seen, arrival{admitted: admitted, at: now, until: now + c.Work, cost: float64(c.Cost*c.Real) / 1000, foreign: foreign})
}

// window is the calendar window of a limit that a time falls into, by the
// system's clock.
func (e *erp) window(l Limit, at time.Duration) int64 {
	start, _ := (&Calendar{Every: l.Calendar.Every.Std(), Phase: l.Calendar.Phase.Std()}).Bounds(e.started.Add(at + e.Skew))
	return start.UnixNano()
}

// report is what the system has counted of its limits.
func (e *erp) report() []PoolReport {
	if !e.Reports {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	var all []PoolReport
	for _, l := range e.Limits {
		used := 0.0
		switch family(l) {
		case bucketed:
			level := l.Bucket.Size.Value
			e.drain(l, e.seen, now, func(_ arrival, left float64) { level = left })
			used = l.Bucket.Size.Value - level
		case clocked:
			for _, a := range e.seen {
				if e.window(l, a.at) == e.window(l, now) {
					used += a.units(l)
				}
			}
		case sliding, timed:
			for _, a := range e.seen {
				if a.at > now-l.Hold.Std() {
					used += a.units(l)
				}
			}
		default:
			continue
		}
		all = append(all, PoolReport{Pool: l.Name, Used: used, Exact: e.Exact})
	}
	return all
}

// drain plays a bucket; f is told what each call leaves of it, and at last what
// there is at the end.
func (e *erp) drain(l Limit, seen []arrival, end time.Duration, f func(a arrival, left float64)) {
	level, last := l.Bucket.Size.Value, time.Duration(0)
	for _, a := range append(slices.Clone(seen), arrival{at: end}) {
		level = min(l.Bucket.Size.Value, level+(a.at-last).Seconds()*l.Bucket.Refill.Units/l.Bucket.Refill.Per.Seconds())
		last = a.at
		level -= a.units(l)
		f(a, level)
	}
}

// play runs a scenario and returns the system with what it saw. settleEarly
// plants the mistake of settling a call when it is sent.
func play(s scenario, store Store, settleEarly bool) *erp {
	e := &erp{scenario: s, started: time.Now()}
	b := New(Options{System: "erp", Limits: s.Limits, Store: store, Grace: testGrace})
	for _, c := range s.Calls {
		go e.play(b, c, settleEarly)
	}
	for _, c := range s.Others {
		time.AfterFunc(c.At, func() { e.arrive(c, 0, true) })
	}
	for _, at := range s.Reloads {
		time.AfterFunc(at, func() { b.Reconfigure(s.Limits) })
	}
	for _, p := range s.Suspensions {
		time.AfterFunc(p.At, func() { _ = b.Suspend(context.Background(), p.For) })
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	return e
}

func (e *erp) play(b *Budget, c scriptedCall, settleEarly bool) {
	time.Sleep(c.At)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.Leave > 0 {
		time.AfterFunc(c.Leave, cancel)
	}
	call := Call{Class: c.Class, Wait: c.Wait, Timeout: testTimeout}
	result := Result{}
	for _, l := range e.Limits {
		if family(l) != timed {
			call.Cost = append(call.Cost, Cost{l.Name, float64(c.Cost)})
		} else if c.Told {
			result.Cost = append(result.Cost, Cost{l.Name, c.Work.Seconds()})
		}
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
	admitted := e.now()
	time.AfterFunc(c.Send, func() { e.arrive(c, admitted, false) })
	if settleEarly {
		ticket.Settle(Result{})
	}
	switch c.Fate {
	case answered, overload:
		time.Sleep(c.Send + c.Work)
		result.Reports = e.report()
		result.Overload, result.RetryAfter = c.Fate == overload, c.Hint
		time.Sleep(c.Reply)
		ticket.Settle(result)
	case unknown:
		time.Sleep(c.GiveUp)
		ticket.Settle(Result{Unknown: true})
	}
}

// violation tells how the system's own accounting was exceeded by the calls of
// the gateway; empty for not at all.
func (e *erp) violation(l Limit) string {
	var seen []arrival
	for _, a := range e.seen {
		if !a.foreign {
			seen = append(seen, a)
		}
	}
	kind := family(l)
	if kind == bucketed {
		wrong := ""
		e.drain(l, seen, time.Hour, func(a arrival, left float64) {
			if left < -1e-6 && wrong == "" {
				wrong = fmt.Sprintf("the bucket lacks %v at %v", -left, a.at)
			}
		})
		return wrong
	}
	for i, last := range seen {
		sum := 0.0
		for j, a := range seen {
			counts := false
			switch kind {
			case concurrent:
				counts = a.at <= last.at && last.at < a.until
			case clocked:
				counts = e.window(l, a.at) == e.window(l, last.at)
			default:
				counts = j <= i && a.at >= last.at-l.Hold.Std()
			}
			if counts {
				sum += a.units(l)
			}
		}
		if sum > l.Capacity.Value+1e-6 {
			return fmt.Sprintf("%v units by %v, and %v are allowed in %v", sum, last.at, l.Capacity.Value, l.window())
		}
	}
	return ""
}

// disregarded tells of a call that was admitted while the system was suspended.
func (e *erp) disregarded() string {
	for _, p := range e.Suspensions {
		for _, a := range e.seen {
			if !a.foreign && a.admitted > p.At && a.admitted < p.At+p.For {
				return fmt.Sprintf("a call was admitted at %v, and the system is suspended from %v for %v", a.admitted, p.At, p.For)
			}
		}
	}
	return ""
}

// The invariant of the package's documentation.
func TestNoLimitIsEverExceeded(t *testing.T) {
	cases, calls := 0, 0
	families := map[int]int{}
	rapid.Check(t, func(t *rapid.T) {
		s := scenarios.Draw(t, "scenario")
		var e *erp
		rapid.SyncTest(t, func(*rapid.T) { e = play(s, NewMemory(), false) })
		cases++
		calls += len(e.seen) - len(s.Others)
		for _, l := range s.Limits {
			families[family(l)]++
			if v := e.violation(l); v != "" {
				t.Fatalf("%s: %s", l.Name, v)
			}
		}
		if d := e.disregarded(); d != "" {
			t.Fatal(d)
		}
	})
	t.Logf("%d cases with %d calls admitted; limits: %d concurrency, %d sliding, %d calendar, %d buckets, %d of time",
		cases, calls, families[concurrent], families[sliding], families[clocked], families[bucketed], families[timed])
	if calls == 0 || len(families) != 5 && cases >= 50 {
		t.Fatal("the scenarios leave something out")
	}
}

// hasty forgets the hold: units come back when a call ends.
type hasty struct{ Store }

func (h hasty) Admit(ctx context.Context, a *Admission) (Decision, error) {
	asks := slices.Clone(a.Asks)
	for i := range asks {
		p := *asks[i].Pool
		p.Hold, p.Calendar = 0, nil
		asks[i].Pool = &p
	}
	changed := *a
	changed.Asks = asks
	d, err := h.Store.Admit(ctx, &changed)
	a.At = changed.At
	return d, err
}

// slackless takes the clocks for equal.
type slackless struct{ Store }

func (s slackless) Admit(ctx context.Context, a *Admission) (Decision, error) {
	for i := range a.Asks {
		p := *a.Asks[i].Pool
		p.Hold = 0
		a.Asks[i].Pool = &p
	}
	return s.Store.Admit(ctx, a)
}

// forgetful does not keep what was lost: an unknown outcome counts as an end.
type forgetful struct{ Store }

func (f forgetful) Settle(ctx context.Context, a *Admission, s Settlement) error {
	s.Outcome = Unsent
	return f.Store.Settle(ctx, a, s)
}

// trusting takes the system's count for the truth, as if nothing could have
// happened since it was written.
type trusting struct{ Store }

func (u trusting) Settle(ctx context.Context, a *Admission, s Settlement) error {
	for i := range a.Asks {
		a.Asks[i].Seen = 1 << 60 // nothing has ended since
	}
	return u.Store.Settle(ctx, a, s)
}

// stingy settles durations with what was asked for.
type stingy struct{ Store }

func (u stingy) Settle(ctx context.Context, a *Admission, s Settlement) error {
	for i := range s.Actual {
		s.Actual[i] = 0
	}
	return u.Store.Settle(ctx, a, s)
}

// headlong does not wait for the end of a suspension.
type headlong struct{ Store }

func (h headlong) Suspend(context.Context, string, time.Duration) error { return nil }

// crowd has all the calls come early, wait and be answered.
func (s *scenario) crowd() {
	s.Calls = slices.Clone(s.Calls)
	for i := range s.Calls {
		c := &s.Calls[i]
		c.Fate, c.Wait, c.Leave, c.At = answered, time.Minute, 0, c.At/10
	}
}

func (e *erp) wrong() string {
	if v := e.violation(e.Limits[0]); v != "" {
		return v
	}
	return e.disregarded()
}

// The property is worth something only if it finds the mistakes that one makes.
func TestThePropertyFindsMistakes(t *testing.T) {
	is := func(families ...int) func(scenario) bool {
		return func(s scenario) bool { return slices.Contains(families, family(s.Limits[0])) }
	}
	memory := func() Store { return NewMemory() }
	for name, plant := range map[string]struct {
		store       func() Store
		settleEarly bool
		fits        func(scenario) bool
		dense       bool
	}{
		"units come back at the end, window":        {func() Store { return hasty{NewMemory()} }, false, is(sliding), false},
		"units come back at the end, calendar":      {func() Store { return hasty{NewMemory()} }, false, is(clocked), false},
		"settled when sent, window":                 {memory, true, is(sliding), false},
		"settled when sent, concurrency":            {memory, true, is(concurrent), false},
		"settled when sent, calendar":               {memory, true, is(clocked), false},
		"refilled since the admission, bucket":      {memory, true, is(bucketed), false},
		"unknown calls are forgotten, concurrency":  {func() Store { return forgetful{NewMemory()} }, false, is(concurrent), false},
		"unknown calls are forgotten, small bucket": {func() Store { return forgetful{NewMemory()} }, false, is(bucketed), false},
		"the clocks are taken for equal":            {func() Store { return slackless{NewMemory()} }, false, is(clocked), false},
		"the time that calls take is not settled":   {func() Store { return stingy{NewMemory()} }, false, is(timed), true},
		"reports are taken for the present":         {func() Store { return trusting{NewMemory()} }, false, func(s scenario) bool { return s.Reports && s.Exact && is(sliding, bucketed, clocked)(s) }, true},
		"suspensions are not heard of":              {func() Store { return headlong{NewMemory()} }, false, func(s scenario) bool { return len(s.Suspensions) > 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			const most = 3000
			tried := 0
			for seed := range most {
				s := scenarios.Example(seed)
				if !plant.fits(s) {
					continue
				}
				tried++
				s.Limits = s.Limits[:1]
				if plant.dense {
					s.crowd()
				}
				var e *erp
				synctest.Test(t, func(*testing.T) { e = play(s, plant.store(), plant.settleEarly) })
				if v := e.wrong(); v != "" {
					t.Logf("found in case %d: %s", tried, v)
					return
				}
			}
			t.Errorf("not found in %d cases", tried)
		})
	}
}
