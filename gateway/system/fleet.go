package system

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// Options set up a Fleet. The zero value works.
type Options struct {
	// Store keeps the counts of the budgets; in the memory of the process when nil.
	Store budget.Store
	// Tracer makes a span of every call; none when nil.
	Tracer trace.Tracer
	// Observer is told of every call that has ended; nobody when nil.
	Observer Observer
	// Log gets what concerns no single exchange: log-ins that fail, breakers
	// that open. Nothing is logged when nil.
	Log *slog.Logger
}

// Observer measures calls.
type Observer interface {
	// CallDone is told of a call that has ended, its outcome (one of Outcomes),
	// and the time from its sending to its answer. operation is an operationId
	// or what the gateway did on its own behalf: log-in, context, log-out, token, probe.
	CallDone(system, operation, outcome string, d time.Duration)
}

// Fleet owns what outlasts a table: connections, sessions, tokens, breakers and
// budgets. It is safe for concurrent use.
type Fleet struct {
	options Options
	log     *slog.Logger
	store   budget.Store

	transports shelf[*transport]
	breakers   shelf[*breaker]
	keepers    shelf[*kept]

	mu      sync.Mutex
	budgets map[string]*budgetOf // by the name of the system; kept for good, with their counts
	sets    int                  // counts the sets that were built
	live    *Set                 // whose limits the budgets go by; nil before the first call
	usuals  map[string]*usual    // by system, operation and pool; kept for good
	closing sync.WaitGroup
}

// budgetOf is the budget of a system, and the limits that it goes by.
type budgetOf struct {
	budget *budget.Budget
	limits string
	// found are the capacities that probes have found, by pool.
	found map[string]finding
}

// finding is a capacity that a probe has found.
type finding struct {
	units float64
	// of is what the limit said when it was found: see said.
	of string
}

// said is what a limit says of its own room: name, scope, family, and the formula with
// what it comes to. As long as it stays the same, what a probe has found holds.
func said(l *budget.Limit) string {
	room, family := l.Capacity, "capacity"
	if l.Bucket != nil {
		room, family = &l.Bucket.Size, "bucket"
	}
	return fingerprint(l.Name, l.Scope, family, room.Node, room.Value)
}

// kept is a keeper with the means to end its grant.
type kept struct {
	keeper *keeper
	leave  func(ctx context.Context, g *grant)
}

// Open makes a fleet without systems. Close must be called.
func Open(o Options) *Fleet {
	f := &Fleet{options: o, log: o.Log, store: o.Store, budgets: map[string]*budgetOf{}, usuals: map[string]*usual{}}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.store == nil {
		f.store = budget.NewMemory()
	}
	f.transports.close = (*transport).close
	f.breakers.close = (*breaker).close
	f.keepers.close = f.end
	return f
}

// leaveTimeout is how long the end of a session may take.
const leaveTimeout = 5 * time.Second

// end closes a keeper aside: a log-out may take its time.
func (f *Fleet) end(k *kept) {
	f.closing.Go(func() {
		k.keeper.close()
		if g := k.keeper.last(); g != nil && k.leave != nil {
			ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
			defer cancel()
			k.leave(ctx, g)
		}
	})
}

// Close waits until the sessions of systems that are no longer used have
// ended. All sets must have been closed.
func (f *Fleet) Close() { f.closing.Wait() }

// Build compiles the systems of a workspace: the files of systems/ by name.
// What is wrong goes to ps; the set must be closed in any case. Budgets go by
// new limits from the first call that is made through the set.
func (f *Fleet) Build(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) *Set {
	set := &Set{fleet: f, systems: map[string]*system{}, operations: map[string]*operation{}, library: mapping.Open(fsys, mapping.DefaultLimits, ps)}
	f.mu.Lock()
	f.sets++
	set.number = f.sets
	f.mu.Unlock()
	b := &builder{fleet: f, problems: ps, library: set.library}
	for _, name := range slices.Sorted(maps.Keys(systems)) {
		set.names = append(set.names, name)
		if !systems[name].Exists() {
			continue // reported when it was read
		}
		if s := b.system(name, systems[name]); s != nil {
			set.systems[name] = s
		}
	}
	set.tokenEndpoints(ps)
	return set
}

// budget gives the budget of a system. Where there is one already, it goes by
// its old limits until the table is used.
func (f *Fleet) budget(s *system) *budget.Budget {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.budgets[s.name]
	if known == nil {
		o := budget.Options{System: s.name, Limits: s.settings.Limits, Line: s.settings.Line.bounds(), Store: f.store}
		known = &budgetOf{limits: s.limits, budget: budget.New(o)}
		f.budgets[s.name] = known
	}
	return known.budget
}

// usual gives what calls of an operation came to lately in a pool.
func (f *Fleet) usual(system, operation, pool string) *usual {
	key := system + "/" + operation + "/" + pool
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.usuals[key]
	if u == nil {
		u = &usual{}
		f.usuals[key] = u
	}
	return u
}

// use makes the budgets go by the limits of a set, and its probes take the place
// of another's. A set that is older than the one in use changes nothing.
func (f *Fleet) use(s *Set) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live != nil {
		if f.live.number > s.number {
			return
		}
		f.live.unwatch()
	}
	f.live = s
	for _, sys := range s.systems {
		known := f.budgets[sys.name]
		known.budget.Bound(sys.settings.Line.bounds())
		if known.limits != sys.limits {
			limits := known.keep(sys)
			known.limits = sys.limits
			known.budget.Reconfigure(limits)
		}
	}
	s.watch()
}

// keep gives the limits of a system with what probes have found of those that
// say the same as before and are still asked after. The rest is forgotten.
func (b *budgetOf) keep(s *system) []budget.Limit {
	old := b.found
	b.found = map[string]finding{}
	for i := range s.settings.Limits {
		l := &s.settings.Limits[i]
		found, ok := old[l.Name]
		if !ok || found.of != said(l) || !s.asksFor(l.Name) {
			continue
		}
		b.found[l.Name] = found
		if _, err := b.with(s.settings.Limits); err != nil { // it does not fit what else has changed
			delete(b.found, l.Name)
		}
	}
	limits, _ := b.with(s.settings.Limits)
	return limits
}

// with puts what probes have found in the place of what limits say themselves.
// The error tells that no call could be admitted then.
func (b *budgetOf) with(limits []budget.Limit) ([]budget.Limit, error) {
	limits = slices.Clone(limits)
	for i := range limits {
		if found, ok := b.found[limits[i].Name]; ok {
			allow(&limits[i], found.units)
		}
	}
	var ps source.Problems
	if budget.Check(limits, nil, &ps); ps.Len() > 0 {
		return nil, errors.New(ps.List()[0].Wrong)
	}
	return limits, nil
}

// asksFor tells whether a probe asks what a limit allows.
func (s *system) asksFor(pool string) bool {
	return slices.ContainsFunc(s.probes, func(p *probe) bool { return p.pool == pool && p.capacity != nil })
}

// discovered makes the budget of a system go by a capacity that a probe has
// found. A number with which no call could be admitted is an error.
func (f *Fleet) discovered(s *system, pool string, capacity float64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.budgets[s.name]
	before, ok := known.found[pool]
	if known.limits != s.limits || ok && before.units == capacity {
		return nil
	}
	i := slices.IndexFunc(s.settings.Limits, func(l budget.Limit) bool { return l.Name == pool })
	old := known.found
	known.found = maps.Clone(old)
	if known.found == nil {
		known.found = map[string]finding{}
	}
	known.found[pool] = finding{units: capacity, of: said(&s.settings.Limits[i])}
	limits, err := known.with(s.settings.Limits)
	if err != nil {
		known.found = old
		return fmt.Errorf("the system allows %g of the limit %q, which does not fit its settings: %w", capacity, pool, err)
	}
	known.budget.Reconfigure(limits)
	f.log.Info("a probe has found what a limit allows", "system", s.name, "pool", pool, "capacity", capacity)
	return nil
}

// allow sets what a limit allows: the capacity, or the size of the bucket.
func allow(l *budget.Limit, units float64) {
	if l.Bucket == nil {
		l.Capacity = budget.Number(units)
		return
	}
	bucket := *l.Bucket
	bucket.Size = *budget.Number(units)
	l.Bucket = &bucket
}

// fingerprint identifies a configuration: equal ones may share what they make.
func fingerprint(parts ...any) string {
	h := sha256.New()
	for _, part := range parts {
		switch p := part.(type) {
		case source.Node:
			h.Write(p.AppendJSON(nil))
		default:
			fmt.Fprint(h, p)
		}
		h.Write([]byte{0})
	}
	return string(h.Sum(nil))
}
