package budget

import (
	"math"
	"time"

	"github.com/headrace/headrace/specs"
)

// Pool is a limit made ready for a store. It is immutable.
type Pool struct {
	Name string
	// Capacity is what calls may occupy, headroom already taken off; for a
	// bucket its size. Zero means that the pool has no limit and only serves
	// to be paused.
	Capacity Units
	// Hold is how long units stay occupied after a call has ended.
	Hold time.Duration
	// Calendar, when not nil, has units stay until the end of the calendar window in
	// which the call ended, as Calendar.Free says; Hold is the slack between the
	// clocks on either side then.
	Calendar *Calendar
	// Interval is the time in which one thousandth of a unit comes back, in
	// nanoseconds; zero for hold pools.
	Interval float64
	// Adaptive, when not nil, has the pool shrink with each overload.
	Adaptive *Adaptive
	// Soft pools may be exceeded by an admission that says so; Free ones by all.
	Soft, Free bool
	// Revision counts reconfigurations. A store that meets a newer one keeps
	// the counts and goes on with its hold and interval.
	Revision int

	limit   *Limit
	scope   *scope
	cost    Units
	total   Units                     // with headroom
	reserve [len(specs.Classes)]Units // by class
	// key0 is the pool's key without a scope.
	key0 string
	// pace, when not nil, is the bucket that the classes normal and low have to
	// pass, too. pacing tells that this is such a bucket.
	pace   *Pool
	pacing bool
	// timed pools count the time that calls take.
	timed bool
}

// Adaptive is how a pool answers to overloads that its own count does not
// explain: traffic that nobody here sees, or a limit that nobody has published.
// An overload multiplies the capacity by Cut, never below Floor, once for all
// calls that were admitted before the cut. It grows back evenly, from Floor to
// the whole in Recover.
type Adaptive struct {
	Floor   Units
	Cut     float64
	Recover time.Duration
}

// The gate is what calls stand in that no limit applies to, so that the system
// can be paused all the same. No limit can have its key.
const (
	gateName = "system"
	gateKey  = "*"
)

func newPool(l *Limit, revision int) *Pool {
	total, _ := l.total()
	p := &Pool{
		Name: l.Name, Hold: l.Hold.Std(), Soft: l.Enforcement == "soft", Free: !l.enforced(), Revision: revision,
		Capacity: room(total - l.Headroom.Of(total)),
		limit:    l, key0: l.Name, scope: newScope(l.Name, l.Scope), cost: cost(l.Cost.Default()), total: room(total),
	}
	if l.Bucket != nil {
		p.Interval = float64(l.Bucket.Refill.Per) / (l.Bucket.Refill.Units * unit)
	}
	if l.Calendar != nil {
		p.Calendar, _ = l.Calendar.Calendar() // Check reports it
		p.Hold = l.Calendar.Slack.Std()
	}
	for _, c := range specs.Classes {
		p.reserve[c] = cost(l.Reserves.above(c, total))
	}
	p.timed = l.Cost != nil && l.Cost.By == "duration"
	p.Adaptive = l.adaptive(p)
	p.pace = l.pace(p)
	return p
}

// adaptive is how the limit shrinks; nil when it does not. What is left lets a
// call of every class pass.
func (l *Limit) adaptive(p *Pool) *Adaptive {
	s := l.Shrinks()
	if s == nil || p.Capacity == 0 {
		return nil
	}
	least := p.reserve[specs.Low] + max(p.cost, 1)
	return &Adaptive{
		Floor: min(p.Capacity, max(cost(s.Floor.Of(p.Capacity.Float())), least)),
		Cut:   s.Cut, Recover: s.Recover.Std(),
	}
}

// pace is the bucket of the classes normal and low; nil when the limit has
// none. It refills in the time of a window.
func (l *Limit) pace(p *Pool) *Pool {
	pace, window := l.Paced(), l.window()
	if pace == nil || p.Capacity == 0 {
		return nil
	}
	burst := max(cost(pace.Burst.Of(p.Capacity.Float())), p.cost, 1)
	if l.Pace == nil {
		burst = max(burst, leastPace*p.cost)
	}
	if burst >= p.Capacity {
		return nil
	}
	name := l.Name + paceSuffix
	return &Pool{
		Name: l.Name, Soft: p.Soft, Revision: p.Revision,
		Capacity: burst,
		Interval: float64(window) / float64(p.Capacity),
		limit:    l, key0: name, scope: newScope(name, l.Scope), cost: p.cost, pacing: true, timed: p.timed,
	}
}

// paceSuffix makes the key of a pace; no limit can have it in its name.
const paceSuffix = ":pace"

// key is the name of the pool that a call stands in: the pool's own, with the
// scope after a slash where there is one.
func (p *Pool) key(c *Call) string {
	if p.scope == nil {
		return p.key0
	}
	return p.scope.key(c)
}

// drain is the time that units take to pass through a full pool, given how
// long a call is under way.
func (p *Pool) drain(u Units, latency time.Duration) time.Duration {
	if p.Capacity <= 0 {
		return 0
	}
	share := float64(u) / float64(p.Capacity)
	if p.Interval > 0 {
		return time.Duration(nanoseconds(float64(u)*p.Interval + share*float64(latency)))
	}
	return time.Duration(nanoseconds(share * float64(p.Hold+latency)))
}

// nanoseconds rounds up, and keeps clear of overflow: for ever is 36 years.
func nanoseconds(f float64) int64 { return int64(math.Ceil(min(f, 1<<60))) }
