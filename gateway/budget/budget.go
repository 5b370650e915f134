package budget

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// Options set up a Budget.
type Options struct {
	// System is the system's name.
	System string
	// Limits have passed Check. A system without limits can still be paused.
	Limits []Limit
	// Store keeps the counts; one in memory when nil.
	Store Store
	// Line bounds the calls that wait.
	Line Bounds
	// Grace is how much longer than its timeout a call without an answer
	// counts as under way; 10 s when zero.
	Grace time.Duration
}

// DefaultTimeout is assumed for calls that name none.
const DefaultTimeout = time.Minute

// Budget admits the calls to one system. It is safe for concurrent use, and
// holds no goroutine while no call waits.
type Budget struct {
	system string
	store  Store
	grace  time.Duration

	started time.Time
	plan    atomic.Pointer[plan]
	waiting atomic.Int64 // calls in line
	latency atomic.Int64 // nanoseconds that a call is under way, on average
	wake    chan struct{}

	mu       sync.Mutex
	line     line
	bounds   Bounds
	promised [len(specs.Classes)]time.Time // by class: the last time that a refused call was told
}

// New makes the budget of a system. There is one for each system as long as the
// process lives; Reconfigure brings it new limits.
func New(o Options) *Budget {
	if o.Store == nil {
		o.Store = NewMemory()
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	b := &Budget{
		system: o.System, store: o.Store, grace: o.Grace, bounds: o.Line.complete(),
		started: time.Now(), wake: make(chan struct{}, 1), line: newLine(),
	}
	b.plan.Store(newPlan(o.Limits, 0))
	o.Store.Standing(o.System) // a shared store begins to join the other replicas before the first call
	return b
}

// Call is what a call to the system needs.
type Call struct {
	Class specs.Class
	// Operation is the operationId; App and Principal are whom the call is
	// made for and as which user of the system, Account and Node under which
	// account and at which server of it. They choose among scoped pools.
	Operation, App, Principal, Account, Node string
	// Method and Path are those of the call to the system, the path as a template
	// below the system's URL; limits choose their calls by them. They are the
	// same for all calls of an operation.
	Method, Path string
	// Cost is what the call costs where that is not the limit's own cost. A
	// cost of zero exempts it.
	Cost []Cost
	// Wait is how long the call may stand in line; zero tries once.
	Wait time.Duration
	// Timeout is how long the call may be under way, from its admission;
	// DefaultTimeout when zero.
	Timeout time.Duration
	// Bytes is the memory that the call holds while it waits.
	Bytes int
	// Turn keeps the call's place in the line for the one that takes it up
	// after it; nil when none does.
	Turn *Turn
}

// Turn is a place in the line of a budget. A call that has left the line may
// come back to it, changed, and stands where it stood among its class. Only one
// call may use it at a time. The zero value is the end of the line.
type Turn struct{ arrival uint64 }

// place gives the arrival that a call stands by, under the budget's lock.
func (l *line) place(c *Call) uint64 {
	if c.Turn != nil && c.Turn.arrival != 0 {
		return c.Turn.arrival
	}
	l.arrived++
	if c.Turn != nil {
		c.Turn.arrival = l.arrived
	}
	return l.arrived
}

// Cost is what a call costs in a pool.
type Cost struct {
	Pool  string
	Units float64
}

func costOf(costs []Cost, pool string) (float64, bool) {
	for i := range costs {
		if costs[i].Pool == pool {
			return costs[i].Units, true
		}
	}
	return 0, false
}

// Admit waits until all the pools of a call have room, at most as long as the
// call may wait, and takes their units. The ticket must be settled.
//
// The error is a *gateway.Error: Saturated when there was no room in time, with
// the pool and the time when the call would be admitted, or CallerLeft when ctx
// was cancelled. A call that would wait in vain, because a pool is known to
// have no room until later than that, is refused at once.
func (b *Budget) Admit(ctx context.Context, c Call) (*Ticket, error) {
	if err := ctx.Err(); err != nil {
		return nil, b.left(err)
	}
	t := b.newTicket(&c)
	for i := range t.admission.Asks {
		if ask := &t.admission.Asks[i]; ask.Units > ask.Pool.Capacity && ask.Pool.Capacity > 0 && !ask.Pool.Free {
			return nil, &gateway.Error{
				Problem: gateway.Saturated, System: b.system, Pool: ask.Pool.Name,
				Detail: fmt.Sprintf("the call costs %s of the limit %q, which allows %s", number(ask.Units.Float()), ask.Pool.Name, number(ask.Pool.Capacity.Float())),
			}
		}
	}
	d, err := b.attempt(ctx, t, c.Class)
	switch {
	case err != nil:
		return nil, b.unknown(err)
	case d.Granted:
		return t, nil
	case c.Wait <= 0 || d.RoomIn > c.Wait:
		return b.refuse(ctx, t, c.Class, d)
	}
	return b.join(ctx, t, &c, d)
}

// attempt admits a call that need not wait. Otherwise the decision tells when
// there can be room behind the line.
func (b *Budget) attempt(ctx context.Context, t *Ticket, c specs.Class) (Decision, error) {
	busy := b.waiting.Load() > 0
	if busy && !b.first(t, c) {
		// Where there is room for all that wait and this call, nobody is overtaken.
		if d, err := b.estimate(ctx, t, c); err != nil || !d.Granted {
			return d, err
		}
	}
	d, err := b.store.Admit(ctx, &t.admission)
	if err == nil && d.Granted {
		if busy {
			b.overtook(t, c)
		}
		t.admitted = b.now()
	}
	return d, err
}

// newTicket works out what a call asks for.
func (b *Budget) newTicket(c *Call) *Ticket {
	p := b.plan.Load()
	t := &Ticket{budget: b}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	t.admission = Admission{System: b.system, Lease: timeout + b.grace, Class: c.Class, Asks: t.asks[:0]}
	for _, pool := range p.pools(Target{c.Operation, c.Method, c.Path}) {
		units := pool.cost
		if len(c.Cost) > 0 {
			if n, ok := costOf(c.Cost, pool.Name); ok {
				units = cost(n)
			}
		}
		if units == 0 {
			continue
		}
		t.timed = t.timed || pool.timed
		ask := t.ask()
		ask.Pool, ask.Key, ask.Units = pool, pool.key(c), units
		ask.Reserve = min(pool.reserve[c.Class&3], max(0, pool.Capacity-units))
		if pool.pace != nil && c.Class <= specs.Normal {
			ask := t.ask()
			ask.Pool, ask.Key, ask.Units = pool.pace, pool.pace.key(c), min(units, pool.pace.Capacity)
		}
	}
	if len(t.admission.Asks) == 0 {
		ask := t.ask()
		ask.Pool, ask.Key = p.gate, gateKey
	}
	return t
}

// ask adds an ask, to be filled in. Most tickets have room for theirs.
func (t *Ticket) ask() *Ask {
	asks := t.admission.Asks
	if n := len(asks); n < cap(asks) {
		asks = asks[:n+1]
	} else {
		asks = append(asks, Ask{})
	}
	t.admission.Asks = asks
	return &asks[len(asks)-1]
}

// Reconfigure goes over to other limits, which have passed Check. Counts are
// kept by the names of the limits; calls in line are judged by the new ones.
func (b *Budget) Reconfigure(limits []Limit) {
	b.mu.Lock()
	b.plan.Store(newPlan(limits, b.plan.Load().revision+1))
	b.line.renew(b)
	b.mu.Unlock()
	b.announce()
	if b.waiting.Load() > 0 {
		b.wakeUp()
	}
}

// Bound brings the line new bounds. Calls that stand in it stay there.
func (b *Budget) Bound(line Bounds) {
	b.mu.Lock()
	b.bounds = line.complete()
	b.mu.Unlock()
}

// announce lets the store know of new limits before what they are about to
// hold longer has been freed. A store that cannot be asked learns of them with
// the next admission.
func (b *Budget) announce() {
	usage, err := b.store.Usage(context.Background(), b.system)
	if err != nil {
		return
	}
	probe := Admission{System: b.system, Lease: DefaultTimeout + b.grace, Probe: true}
	for _, u := range usage {
		if p := b.plan.Load().named(u.Key); p != nil {
			probe.Asks = append(probe.Asks[:0], Ask{Pool: p, Key: u.Key})
			_, _ = b.store.Admit(context.Background(), &probe)
		}
	}
}

// now is the time since the budget's beginning.
func (b *Budget) now() time.Duration { return time.Since(b.started) }

// observe keeps the average time that calls are under way. It is used for
// estimates only, so that a lost update does no harm.
func (b *Budget) observe(took time.Duration) {
	old := b.latency.Load()
	if old == 0 {
		b.latency.Store(max(1, int64(took)))
		return
	}
	b.latency.Store(max(1, old+(int64(took)-old)/8))
}

// plan is a set of limits made ready.
type plan struct {
	revision int
	all      []*Pool
	byKey    map[string]*Pool // paces, too; without scopes
	gate     *Pool
	// selects tells that some pools do not apply to all calls. known has those
	// that do, by kind of call; it is replaced as kinds come by.
	selects bool
	known   atomic.Pointer[map[Target][]*Pool]
	mu      sync.Mutex
}

func newPlan(limits []Limit, revision int) *plan {
	p := &plan{revision: revision, byKey: map[string]*Pool{}, gate: &Pool{Name: gateName, Revision: revision, key0: gateKey}}
	for i := range limits {
		pool := newPool(&limits[i], revision)
		p.all = append(p.all, pool)
		p.byKey[pool.key0] = pool
		if pool.pace != nil {
			p.byKey[pool.pace.key0] = pool.pace
		}
		p.selects = p.selects || len(limits[i].Operations)+len(limits[i].Calls) > 0
	}
	p.known.Store(&map[Target][]*Pool{})
	return p
}

// named finds the pool of a key; nil when there is none.
func (p *plan) named(key string) *Pool {
	name, _, _ := strings.Cut(key, "/")
	return p.byKey[name]
}

// maxTargets bounds the kinds of calls whose pools are remembered.
const maxTargets = 10_000

// pools are those that apply to a kind of call.
func (p *plan) pools(t Target) []*Pool {
	if !p.selects {
		return p.all
	}
	if pools, ok := (*p.known.Load())[t]; ok {
		return pools
	}
	var pools []*Pool
	for _, pool := range p.all {
		if pool.limit.applies(t) {
			pools = append(pools, pool)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := *p.known.Load(); len(old) < maxTargets {
		known := maps.Clone(old)
		known[t] = pools
		p.known.Store(&known)
	}
	return pools
}

// weight is the largest share of a pool that a call takes; floors are measured in it.
func (t *Ticket) weight() float64 {
	share := 0.0
	for i := range t.admission.Asks {
		if ask := &t.admission.Asks[i]; ask.Pool.Capacity > 0 && !ask.Pool.pacing {
			share = max(share, float64(ask.Units)/float64(ask.Pool.Capacity))
		}
	}
	if share == 0 {
		return math.SmallestNonzeroFloat32
	}
	return share
}
