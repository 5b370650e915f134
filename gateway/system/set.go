package system

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Set is the systems of one table, and the operations that they answer. It is
// the gateway's system layer. Bind is called while the table is built; the
// other methods are safe for concurrent use.
type Set struct {
	fleet   *Fleet
	library *mapping.Library
	names   []string // of all systems, also those with problems
	systems map[string]*system

	operations map[string]*operation
	number     int // counts the sets of the fleet
	live       sync.Once
	closing    sync.Once
	watching   func() // stops the probes; nil while there are none. Guarded by the fleet's lock
	probing    sync.WaitGroup
}

// Bind compiles the call of an operation. Problems go to the binding; the
// handler is nil then.
func (s *Set) Bind(b *gateway.Binding) gateway.Handler {
	name := b.Operation.Governance.System
	if name == "" {
		// Said once where the document as a whole lacks it.
		at := b.Operation.Document.Root.At(specs.Extension)
		b.Problems.Add(at, "nothing says which system answers", "set x-headrace.system to the name of a file in systems/, here or at each operation")
		return nil
	}
	sys := s.systems[name]
	if sys == nil {
		if !slices.Contains(s.names, name) {
			b.Problems.Add(b.Operation.Governance.At("system"), fmt.Sprintf("there is no system %q", name), source.DidYouMean(name, s.names))
		}
		return nil
	}
	build := &builder{fleet: s.fleet, problems: b.Problems, library: sys.library}
	o := build.operation(sys, b)
	if o == nil {
		return nil
	}
	o.set = s
	s.operations[o.key] = o
	return o.serve
}

// CheckUse reports limits that name operations which no API has. It is to be
// called after all operations have been bound.
func (s *Set) CheckUse(ps *source.Problems) {
	for _, name := range slices.Sorted(maps.Keys(s.systems)) {
		sys := s.systems[name]
		targets := sys.ownCalls()
		for _, other := range s.systems {
			if o, ok := other.fetcher.(*oauth2); ok && o.endpoint != nil && o.endpoint.system == sys {
				targets = append(targets, targetOf(tokenCall, o.endpoint))
			}
		}
		for _, o := range s.operations {
			if o.system == sys {
				targets = append(targets, targetOf(o.id, o.call))
			}
		}
		budget.Check(sys.settings.Limits, targets, ps)
	}
}

// ownCalls are the calls that the gateway makes on its own behalf.
func (s *system) ownCalls() []budget.Target {
	targets := []budget.Target{}
	add := func(name string, p plain) {
		if p != nil {
			targets = append(targets, targetOf(name, p))
		}
	}
	if f, ok := s.fetcher.(*session); ok {
		add(loginCall, f.login)
		add(contextCall, f.context)
		add(logoutCall, f.logout)
	}
	for _, p := range s.probes {
		add(probeCall, p.call)
	}
	return targets
}

// Close lets go of what the set shares with others. It must be called once no
// request uses the set any more; further calls do nothing.
func (s *Set) Close() {
	s.closing.Do(func() {
		s.fleet.mu.Lock()
		s.unwatch()
		s.fleet.mu.Unlock()
		s.probing.Wait()
		for _, sys := range s.systems {
			for _, release := range sys.release {
				release()
			}
		}
	})
}

// start makes the budgets go by the limits of the set and begins its probes,
// with its first call: a table that was only built must change nothing.
func (s *Set) start() {
	s.live.Do(func() { s.fleet.use(s) })
}

// watch begins the probes.
func (s *Set) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	for _, sys := range s.systems {
		for _, p := range sys.probes {
			s.probing.Go(func() { p.watch(ctx, sys) })
		}
	}
	s.watching = cancel
}

// unwatch ends them.
func (s *Set) unwatch() {
	if s.watching != nil {
		s.watching()
		s.watching = nil
	}
}

// Library holds the workspace's mappings.
func (s *Set) Library() *mapping.Library { return s.library }

// find finds an operation by its key. What a canary version accepted is
// answered by it as long as it is there, and then by the version that is served.
func (s *Set) find(key string) *operation {
	if o := s.operations[key]; o != nil {
		return o
	}
	if plain, _, ok := strings.Cut(key, gateway.VariantMark); ok {
		return s.operations[plain]
	}
	return nil
}

// Operation tells whether an operation answers, by its key API/vMAJOR/operationId.
func (s *Set) Operation(key string) bool { return s.find(key) != nil }

// Timeout is how long a call of an operation may take, by its key; zero when
// there is no such operation.
func (s *Set) Timeout(key string) time.Duration {
	if o := s.find(key); o != nil {
		return o.timeout
	}
	return 0
}

// Connections is how many calls may be at a system at a time, by its
// connections alone; zero when there is no such system.
func (s *Set) Connections(system string) int {
	if sys := s.systems[system]; sys != nil {
		return sys.settings.Connections.Max
	}
	return 0
}

// Divided tells whether requests to a system may wait for different limits: some
// count certain calls only, or those of each app by themselves.
func (s *Set) Divided(system string) bool {
	sys := s.systems[system]
	return sys != nil && slices.ContainsFunc(sys.settings.Limits, func(l budget.Limit) bool {
		return len(l.Operations) > 0 || len(l.Calls) > 0 || strings.Contains(l.Scope, "{app}") || strings.Contains(l.Scope, "{operation}")
	})
}

// Line names the limits that a request of an operation by an app may have to wait
// for, by the operation's key; empty where there are none, or no such operation.
// Requests with the same name wait for the same places.
func (s *Set) Line(key, app string) string {
	o := s.find(key)
	if o == nil {
		return ""
	}
	var name strings.Builder
	o.system.line(&name, o, app)
	if o.batch != nil {
		if call := s.find(o.batch.key); call != nil {
			call.system.line(&name, call, app)
		}
	}
	return name.String()
}

func (s *system) line(name *strings.Builder, o *operation, app string) {
	t := targetOf(o.id, o.call)
	for i := range s.settings.Limits {
		l := &s.settings.Limits[i]
		if !l.Applies(t) {
			continue
		}
		name.WriteString(l.Name)
		if strings.Contains(l.Scope, "{operation}") {
			name.WriteString("/" + o.id)
		}
		if strings.Contains(l.Scope, "{app}") {
			name.WriteString("/" + app)
		}
		name.WriteString(" ")
	}
}

// Limited tells whether a system has limits.
func (s *Set) Limited(system string) bool {
	sys := s.systems[system]
	return sys != nil && len(sys.settings.Limits) > 0
}

// Request makes the request of an exchange a value that can be kept. It reads
// the whole body.
func (s *Set) Request(x *gateway.Exchange) (*Request, error) {
	o := s.operations[operationKey(x.Operation.API, x.Operation.Spec)]
	if o == nil {
		return nil, &gateway.Error{Problem: gateway.NotFound, Detail: "the operation is not answered by a system"}
	}
	r, err := o.newRequest(x)
	if err != nil {
		return nil, err
	}
	return r, o.keep(r, x)
}

// Send sends a request that was kept. ctx bounds the wait for the budget; a
// request that changes something is not cancelled once it has left.
func (s *Set) Send(ctx context.Context, r *Request) *Result {
	o := s.find(r.Operation)
	if o == nil {
		return unsent(Refused, &gateway.Error{Problem: gateway.NotFound, Detail: fmt.Sprintf("there is no operation %q any more", r.Operation)})
	}
	r.operation = o
	return o.send(ctx, r)
}

// Status is the state of a system at this moment.
type Status struct {
	Name, Title, Dialect string
	// URL has no user information and no query.
	URL string
	// Breaker is closed, half-open or open; Pause is how long it stays open.
	Breaker string
	Pause   time.Duration
	// InFlight counts the calls at the system.
	InFlight int
	// Credential describes the session, the token, or the kind of credential.
	Credential string
	Budget     budget.Snapshot
}

// Status lists the systems by name. Where a budget's store cannot be read, its
// snapshot is empty.
func (s *Set) Status(ctx context.Context) []Status {
	var all []Status
	for _, name := range slices.Sorted(maps.Keys(s.systems)) {
		sys := s.systems[name]
		snapshot, _ := sys.budget.Snapshot(ctx)
		all = append(all, Status{
			Name: name, Title: sys.settings.Title, Dialect: sys.settings.Dialect, URL: sys.url.String(),
			Breaker: sys.breaker.state(), Pause: sys.breaker.pause(), InFlight: int(sys.transport.inFlight.Load()),
			Credential: sys.credential.state(), Budget: snapshot,
		})
	}
	return all
}

// Awaited are the pools of a system that calls stand in line for; none where
// the budget's store cannot be read.
func (s *Set) Awaited(ctx context.Context, system string) (pools []budget.PoolState) {
	sys := s.systems[system]
	if sys == nil {
		return nil
	}
	snapshot, err := sys.budget.Snapshot(ctx)
	if err != nil {
		return nil
	}
	for _, p := range snapshot.Pools {
		if p.Waiting != ([len(specs.Classes)]int{}) {
			pools = append(pools, p)
		}
	}
	return pools
}

// SendsKey tells whether the calls of an operation carry Request.IdempotencyKey
// under the header that the operation names.
func (s *Set) SendsKey(key string) bool {
	o := s.find(key)
	if o == nil {
		return false
	}
	_, ok := o.call.(*restCall)
	return ok
}
