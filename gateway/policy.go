package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Handler answers an exchange with a response or an error, never with both.
type Handler func(*Exchange) (*Response, error)

// Policy is one behaviour on the way of a request: it makes a handler that may
// act before the next one, after it, or instead of it.
type Policy func(next Handler) Handler

// Stage is the place of a policy on the way. Policies run in this order
// whatever the order in the configuration; the answer passes them backwards.
type Stage int

// The stages, from the caller inwards.
const (
	StageCORS Stage = iota + 1
	StageAddress
	StageSize
	StageDeprecate
	StageIdentify
	StageAuthorise
	StageSubscription
	// StageHeader comes after the caller is known, so that no header that the
	// configuration sets can be taken for a credential, and before validation.
	StageHeader
	StageThrottle
	StageQuota
	StageConcurrency
	StageValidate
	StageCache
)

// Level is where a policy may be configured.
type Level uint8

// The levels; API stands for the root of a document, its paths and its operations.
const (
	LevelAPI Level = 1 << iota
	LevelPlan
)

// Kind describes one sort of policy: its name, its place, its settings, and
// how it is compiled. A Kind lives as long as the process and may own state
// that outlasts a table (key caches, counters).
type Kind struct {
	Name  string
	Stage Stage
	// Levels says where the policy may be configured.
	Levels Level
	// Doc is one sentence for the reference.
	Doc string
	// Settings is a zero value of the settings, for documentation and schema.
	Settings any
	// Default has the policy compiled, with its default settings, where
	// nothing is configured; off still removes it.
	Default bool
	// Mandatory goes with Default: switching the policy off is a problem.
	Mandatory bool
	// Satisfies tells which security schemes the policy can establish; nil for none.
	Satisfies func(*specs.SecurityScheme) bool
	// Challenge is the authentication scheme that a 401 names in WWW-Authenticate
	// where the policy could have identified the caller, for example Bearer.
	Challenge string

	check   func(n source.Node, ps *source.Problems)
	compile func(b *Binding, n source.Node) Policy
}

// Check reports what is wrong with settings by themselves, wherever they stand.
func (k Kind) Check(n source.Node, ps *source.Problems) {
	if !specs.Off(n) {
		k.check(n, ps)
	}
}

// Define makes a Kind whose settings have the type S. The compile function
// gets them decoded, reports what is wrong through the binding, and may return
// nil when there is nothing to do. It is called once per operation (or per
// plan and operation) and table, never per request.
func Define[S any](k Kind, compile func(b *Binding, settings S) Policy) Kind {
	var zero S
	k.Settings = zero
	k.check = func(n source.Node, ps *source.Problems) {
		var settings S
		source.Decode(n, &settings, ps)
	}
	k.compile = func(b *Binding, n source.Node) Policy {
		var settings S
		before := b.Problems.Len()
		source.Decode(n, &settings, b.Problems)
		if b.Problems.Len() > before {
			return nil
		}
		b.Settings = n
		return compile(b, settings)
	}
	return k
}

// Binding is what a policy or a layer is compiled for.
type Binding struct {
	API       *API
	Operation *specs.Operation
	// Plan is set where the policy is configured at a plan.
	Plan      *Plan
	Consumers *Consumers
	// Identified runs behind the policies of StageIdentify, once the caller is
	// known; nil for nothing.
	Identified Policy
	// Settings is where the settings stand, for problems.
	Settings source.Node
	Problems *source.Problems
}

// Scope names what the binding is for, stable over reloads: plan/gold, or
// orders/v1/createOrder. Counters are kept under it.
func (b *Binding) Scope() string {
	if b.Plan != nil {
		return "plan/" + b.Plan.Name
	}
	return b.API.Name + "/" + b.API.Major + "/" + b.Operation.ID
}

// Has tells whether a policy is at work at the operation: configured and not
// off, or there by default.
func (b *Binding) Has(k Kind) bool {
	n, configured := b.Operation.Governance.Policies[k.Name]
	if configured && !k.Mandatory {
		return !specs.Off(n)
	}
	return configured || k.Default
}

// Challenges is the WWW-Authenticate of a 401 where those of the kinds that are
// at work could have identified the caller.
func (b *Binding) Challenges(identify []Kind) string {
	var challenges []string
	for _, k := range identify {
		if b.Has(k) {
			challenges = append(challenges, fmt.Sprintf("%s realm=%q", k.Challenge, b.Realm()))
		}
	}
	return strings.Join(challenges, ", ")
}

// Realm names what credentials are good for, in challenges.
func (b *Binding) Realm() string { return b.API.Name + "/" + b.API.Major }

// Layer makes the handler that answers an operation: the system layer calls a
// system, process and experience layers run a flow. Problems go to the binding.
type Layer interface {
	Bind(b *Binding) Handler
}

// Compile builds the chain of an operation: the policies of its governance in
// the order of their stages, those of the plans among them, and the layer's
// handler last. Everything that is wrong goes to the binding's problems.
func Compile(b *Binding, kinds []Kind, layer Layer) Handler { return chain(b, kinds, bind(b, layer)) }

// CompileLater is Compile for an operation whose policies have been compiled
// for an earlier table, with the same settings and the same plans, and nothing
// was wrong: the layer's handler is made now, and the chain in front of it when
// the first request comes.
func CompileLater(b *Binding, kinds []Kind, layer Layer) Handler {
	handler := bind(b, layer)
	whole := sync.OnceValue(func() Handler {
		var found source.Problems
		later := *b
		later.Problems = &found
		compiled := chain(&later, kinds, handler)
		if err := found.Err(); err != nil { // it was right before
			return func(*Exchange) (*Response, error) { return nil, &Error{Problem: Internal, Cause: err} }
		}
		return compiled
	})
	return func(x *Exchange) (*Response, error) { return whole()(x) }
}

func bind(b *Binding, layer Layer) Handler {
	if handler := layer.Bind(b); handler != nil {
		return handler
	}
	return func(*Exchange) (*Response, error) { return nil, &Error{Problem: NotReady} }
}

// chain puts the policies in front of the layer's handler.
func chain(b *Binding, kinds []Kind, handler Handler) Handler {
	sorted := slices.Clone(kinds)
	slices.SortStableFunc(sorted, func(a, b Kind) int { return cmp.Compare(a.Stage, b.Stage) })
	plans := b.Consumers.PlansFor(b.API)
	guarded, identified := false, b.Identified == nil
	for _, k := range slices.Backward(sorted) {
		if k.Stage <= StageIdentify && !identified {
			handler, identified = b.Identified(handler), true
		}
		if k.Stage <= StageCORS && !guarded {
			handler, guarded = refusePreflight(handler), true
		}
		if k.Levels&LevelPlan != 0 {
			handler = k.compilePlans(b, plans, handler)
		}
		if k.Levels&LevelAPI != 0 {
			handler = k.compileOperation(b, handler)
		}
	}
	if !identified {
		handler = b.Identified(handler)
	}
	if !guarded {
		handler = refusePreflight(handler)
	}
	return handler
}

// refusePreflight keeps preflight requests from everything behind the policies
// of StageCORS: what no such policy has answered is a method that does not exist.
func refusePreflight(next Handler) Handler {
	return func(x *Exchange) (*Response, error) {
		if x.Preflight {
			return nil, x.methodNotAllowed()
		}
		return next(x)
	}
}

func (k Kind) compileOperation(b *Binding, next Handler) Handler {
	n := b.Operation.Governance.Policies[k.Name]
	if !b.Has(k) {
		return next
	}
	if k.Mandatory && specs.Off(n) {
		b.Problems.Add(n, fmt.Sprintf("the policy %q cannot be switched off", k.Name), "remove this line")
		n = source.Node{}
	}
	if p := k.compile(b, n); p != nil {
		return p(next)
	}
	return next
}

// compilePlans puts a switch over the plans into the chain: the subscription's
// plan decides which handler goes on.
func (k Kind) compilePlans(b *Binding, plans []*Plan, next Handler) Handler {
	var handlers []Handler
	for _, plan := range plans {
		n, ok := plan.Policies[k.Name]
		if !ok || specs.Off(n) {
			continue
		}
		at := *b
		at.Plan = plan
		if p := k.compile(&at, n); p != nil {
			if handlers == nil {
				handlers = make([]Handler, b.Consumers.planCount())
			}
			handlers[plan.index] = p(next)
		}
	}
	if handlers == nil {
		return next
	}
	return func(x *Exchange) (*Response, error) {
		if s := x.Subscription; s != nil {
			if h := handlers[s.Plan.index]; h != nil {
				return h(x)
			}
		}
		return next(x)
	}
}
