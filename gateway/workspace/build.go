package workspace

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// DefaultWait is how long a call waits for its system's budget where nothing
// else is configured.
const DefaultWait = 5 * time.Second

// SystemLayer is the system layer of one table. CheckUse is called when all
// operations have been bound, Close when the table is no longer used.
type SystemLayer interface {
	gateway.Layer
	CheckUse(ps *source.Problems)
	Close()
}

// FlowLayer is the process and experience layers of one table: flows, which call
// operations of the layers below.
type FlowLayer interface {
	gateway.Layer
	// Lower tells of an operation that flows may call. handler answers it behind
	// the policies that hold for calls of flows, too; check is these policies alone.
	Lower(op *gateway.Operation, handler, check gateway.Handler)
}

// Options are what a table is made with.
type Options struct {
	// Kinds are the policies that exist.
	Kinds []gateway.Kind
	// Systems builds the system layer from the files of systems/.
	Systems func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) SystemLayer
	// Flows builds the process and experience layers; such APIs are refused when
	// it is nil.
	Flows func(fsys fs.FS, apis []*gateway.API, consumers *gateway.Consumers, systems SystemLayer, ps *source.Problems) FlowLayer
	// Own are the APIs of the gateway itself.
	Own []Own
	// Registry reads the registry; the directory stands alone when it is nil.
	Registry func() (Layer, error)
	// Compiled remembers documents from table to table; nil for one of its own.
	Compiled *Compiled
	// Swapping does what has to be done together with a swap, and calls swap; it
	// may be nil.
	Swapping func(next *Loaded, registry int64, swap func())
	// Served is told what serves after a swap; it may be nil.
	Served func(*Loaded)
	// Tried is told how every attempt to load a table ended; it may be nil.
	Tried func(Reload)
}

// Build checks a workspace against itself and compiles it into a table with
// its system layer. With any problem in ps, including those of Load, the table
// must not be used; Close it then.
func Build(w *Workspace, o Options, ps *source.Problems) (*gateway.Table, SystemLayer) {
	b := &builder{
		workspace: w, options: o, problems: ps,
		serving: w.compiled.serving(), since: time.Now(),
		table: &gateway.Table{Revision: w.Revision, Built: time.Now(), BodyLimit: int64(w.Config.Limits.Body), Tree: new(specs.Tree[*gateway.Operation])},
	}
	apis := b.apis()
	b.table.APIs = apis
	b.table.Consumers = gateway.NewConsumers(&w.Consumers, apis, ps, w.unread...)
	b.chooseCanaries()
	b.addCandidates()
	b.checkPlans()
	b.checkSubjects()
	b.checkProducts()
	systems := o.Systems(w.FS, w.Systems, ps)
	b.table.Close = systems.Close
	if o.Flows != nil {
		b.flows = o.Flows(w.FS, apis, b.table.Consumers, systems, ps)
	}
	for _, api := range apis {
		b.reserve(api)
		canary := b.addCanary(api, systems) // first: what both have is the served version's in the end
		b.addOperations(api, canary, systems)
		b.breathe()
	}
	for _, own := range o.Own {
		b.addOwn(own)
	}
	if !slices.ContainsFunc(ps.List(), func(p source.Problem) bool { return strings.HasPrefix(p.File, APIsDir+"/") }) {
		systems.CheckUse(ps) // operations that have faults of their own would be missed
	}
	return b.table, systems
}

type builder struct {
	workspace *Workspace
	options   Options
	problems  *source.Problems
	table     *gateway.Table
	flows     FlowLayer                     // nil where there are none
	canaries  map[*gateway.API]*gateway.API // by the version that is served beside it
	serving   bool                          // another table serves meanwhile
	since     time.Time                     // when the last pause ended
}

// A build that calls are served beside works in slices, and pauses half as long
// after each, so that it never has a core for itself.
const (
	slice        = 2 * time.Millisecond
	longestPause = 5 * time.Millisecond
)

// breathe leaves the core to calls.
func (b *builder) breathe() {
	if worked := time.Since(b.since); b.serving && worked >= slice {
		time.Sleep(min(worked/2, longestPause))
		b.since = time.Now()
	}
}

// apis names the versions that are served: one a major.
func (b *builder) apis() []*gateway.API {
	var apis []*gateway.API
	var canaries []*gateway.API
	byMajor := map[string]*gateway.API{}
	byBase := map[string]*gateway.API{}
	for _, d := range b.workspace.Documents {
		if d.Governance.Status == "draft" {
			continue
		}
		if d.Governance.Shadow {
			b.problems.Add(d.Governance.Node.At("shadow"), "only a draft can be tried on live traffic", "set status: draft, or remove shadow")
		}
		api := &gateway.API{Name: d.Name, Version: d.Version, Document: d, Base: d.Governance.Base, Revision: b.workspace.Answers}
		api.Major = "v" + versionPattern.FindStringSubmatch(d.Version)[1]
		if api.Base == "" {
			api.Base = "/" + api.Name + "/" + api.Major
		}
		at := d.Governance.Node
		if d.Governance.Canary != nil {
			canaries = append(canaries, api)
			continue
		}
		if other := byMajor[api.Name+api.Major]; other != nil {
			b.problems.Add(at, fmt.Sprintf("%s %s and %s are both published", api.Name, other.Version, api.Version),
				"one minor version is served for each major; set status: draft on the other, or remove it")
			continue
		}
		byMajor[api.Name+api.Major] = api
		if other := byBase[api.Base]; other != nil {
			b.problems.Add(at.At("base"), fmt.Sprintf("%s and %s would share the base path %s", other.Name, api.Name, api.Base), "set x-headrace.base")
			continue
		}
		byBase[api.Base] = api
		if d.Governance.Status == "deprecated" {
			if n, ok := d.Governance.Policies["deprecate"]; !ok || specs.Off(n) {
				b.problems.Add(at.At("status"), "a deprecated version needs the date since when", "configure the policy deprecate with since and sunset")
			}
		}
		apis = append(apis, api)
	}
	b.pair(canaries, byMajor)
	return apis
}

// checkPlans finds policies that are unknown or not meant for plans; settings
// of plans that nobody is subscribed to are checked here, too, because no
// operation would compile them.
func (b *builder) checkPlans() {
	for _, plan := range b.table.Consumers.Plans {
		b.checkPolicies(plan.Policies, gateway.LevelPlan)
	}
}

// checkProducts finds APIs of products that every known app may call, with no
// plan: nothing in them asks for the subscription.
func (b *builder) checkProducts() {
	asks := func(o *specs.Operation) bool {
		n, ok := o.Governance.Policies["subscription"]
		return ok && !specs.Off(n)
	}
	for _, p := range b.table.Consumers.Products {
		for _, api := range b.table.APIs {
			d := api.Document
			if api.Canary != nil {
				continue // it is its major version's product
			}
			if name := api.Name + "/" + api.Major; d.Governance.Status != "retired" && len(d.Operations) > 0 &&
				slices.Contains(p.APIs, name) && !slices.ContainsFunc(d.Operations, asks) {
				b.problems.Add(p.Node.At("apis"), fmt.Sprintf("nothing in %s asks for a subscription: every known app may call it, and plans do not count", name),
					"configure subscription in its x-headrace.policies")
			}
		}
	}
}

func (b *builder) checkPolicies(policies specs.Policies, level gateway.Level) {
	for name, n := range policies {
		i := slices.IndexFunc(b.options.Kinds, func(k gateway.Kind) bool { return k.Name == name })
		switch {
		case i < 0:
			var names []string
			for _, k := range b.options.Kinds {
				if k.Levels&level != 0 {
					names = append(names, k.Name)
				}
			}
			b.problems.Add(n, fmt.Sprintf("there is no policy %q", name), source.DidYouMean(name, names))
		case b.options.Kinds[i].Levels&level == 0 && level == gateway.LevelPlan:
			b.problems.Add(n, fmt.Sprintf("the policy %q cannot be configured at a plan", name), "configure it in the API's document")
		case b.options.Kinds[i].Levels&level == 0:
			b.problems.Add(n, fmt.Sprintf("the policy %q is configured at plans only", name), "configure it in consumers.yaml")
		default:
			b.options.Kinds[i].Check(n, b.problems)
		}
	}
}

// checkTLS finds operations that demand a client certificate of callers whom
// nobody asks for one.
func (b *builder) checkTLS(op *specs.Operation) {
	n, ok := op.Governance.Policies["mtls"]
	if ok && !specs.Off(n) && b.workspace.Config.TLS == nil {
		b.problems.Add(n, "client certificates need TLS", "set tls in headrace.yaml")
	}
}

// checkSubjects finds certificates that are known by a subject which no
// authority vouches for: they would be refused, whoever sends them.
func (b *builder) checkSubjects() {
	if t := b.workspace.Config.TLS; t == nil || t.ClientCA != "" {
		return
	}
	for _, app := range b.table.Consumers.Apps {
		for _, cert := range app.Certificates {
			if cert.Subject != "" {
				b.problems.Add(cert.Node.At("subject"), "no authority could have issued the certificate", "set tls.client_ca in headrace.yaml, or give the thumbprint")
			}
		}
	}
}

func (b *builder) addOperations(api *gateway.API, canary *canary, systems gateway.Layer) {
	d := api.Document
	compile := gateway.Compile
	proved := b.workspace.compiled.proved(b.table.Consumers, api)
	if proved {
		compile = gateway.CompileLater
	} else {
		b.checkPolicies(d.Governance.Policies, gateway.LevelAPI)
	}
	var layer gateway.Layer
	switch {
	case d.Governance.Status == "retired":
		layer = retired{}
	case specs.Layer(d.Governance.Layer) == specs.SystemLayer:
		layer = systems
	case d.Governance.Layer == "":
		return // reported when it was read
	case b.flows != nil:
		layer = b.flows
	default:
		b.problems.Add(d.Governance.Node.At("layer"), fmt.Sprintf("APIs of the %s layer cannot be served here", d.Governance.Layer), "use layer: system")
		return
	}
	below := &noted{Layer: layer, handlers: map[*specs.Operation]gateway.Handler{}}
	for _, spec := range d.Operations {
		if !proved {
			b.checkPolicies(spec.Governance.Policies, gateway.LevelAPI)
		}
		b.checkTLS(spec)
		op := b.operation(api, spec)
		op.Handler = compile(&gateway.Binding{
			API: api, Operation: spec, Consumers: b.table.Consumers, Problems: b.problems, Identified: canary.beside(api, spec),
		}, b.options.Kinds, below)
		b.offer(op, below.handlers[spec])
		if spec.Pattern == "" {
			continue
		}
		if err := b.table.Tree.Add(spec.Method, api.Base+spec.Pattern, op); err != nil {
			b.problems.Add(spec.Node, err.Error(), "change the path or the base of one of them")
			continue
		}
		b.table.Operations = append(b.table.Operations, op)
	}
}

// noted is a layer whose handlers are noted.
type noted struct {
	gateway.Layer
	handlers map[*specs.Operation]gateway.Handler
}

func (n *noted) Bind(b *gateway.Binding) gateway.Handler {
	h := n.Layer.Bind(b)
	n.handlers[b.Operation] = h
	return h
}

// offer tells the flows of an operation that they may call. Of its policies
// those hold that are about the call itself, and not about the caller: the
// caller has come through those of the operation that the flow answers.
func (b *builder) offer(op *gateway.Operation, handler gateway.Handler) {
	if b.flows == nil || handler == nil || specs.Layer(op.API.Document.Governance.Layer) == specs.ExperienceLayer {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(b.options.Kinds), func(k gateway.Kind) bool {
		return k.Stage != gateway.StageValidate && (k.Stage != gateway.StageCache || !op.Spec.Safe())
	})
	binding := &gateway.Binding{API: op.API, Operation: op.Spec, Consumers: b.table.Consumers, Problems: &source.Problems{}}
	b.flows.Lower(op, gateway.CompileLater(binding, kept, fixed{handler}), gateway.CompileLater(binding, kept, fixed{nothing}))
}

// nothing answers with nothing.
func nothing(*gateway.Exchange) (*gateway.Response, error) {
	return &gateway.Response{Status: http.StatusNoContent}, nil
}

func (b *builder) operation(api *gateway.API, spec *specs.Operation) *gateway.Operation {
	op := &gateway.Operation{API: api, Spec: spec, Route: api.Base + spec.Path, Class: specs.Normal, Wait: DefaultWait}
	if c := spec.Governance.Class; c != nil {
		op.Class = *c
	}
	if wait := spec.Governance.Wait; wait != nil {
		op.Wait = wait.Std()
	}
	return op
}

// retired answers for versions that are gone.
type retired struct{}

func (retired) Bind(b *gateway.Binding) gateway.Handler {
	detail := b.API.Name + " " + b.API.Major + " has been retired"
	return func(*gateway.Exchange) (*gateway.Response, error) {
		return nil, &gateway.Error{Problem: gateway.Gone, Detail: detail}
	}
}

// Systems lists the names of the systems, sorted.
func (w *Workspace) SystemNames() []string { return slices.Sorted(maps.Keys(w.Systems)) }
