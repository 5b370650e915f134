package arazzo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// API is an API of the workspace, as a linker sees it.
type API struct {
	// Name and Major are for example orders and v1.
	Name, Major string
	Document    *specs.Document
	// Flows is the API's own Arazzo document; nil when it has none.
	Flows *Document
}

func (a API) String() string { return a.Name + "/" + a.Major }

// Linker resolves the names in Arazzo documents to the operations of a workspace.
type Linker struct {
	// APIs are those that are served, one a major version.
	APIs []API
	// Mappings are the workspace's; where it is nil, mappings are neither
	// compiled nor checked.
	Mappings *mapping.Library
}

// Link resolves what a document refers to in the workspace, and checks what can
// be checked with it: layers, operations, parameters, types. It gives the operations of the API
// that are answered by a workflow, by operationId. With any problem the document must not
// be run. A document is linked once: for another workspace it is parsed anew.
func (l *Linker) Link(api API, ps *source.Problems) map[string]*Entry {
	k := &linking{Linker: l, api: api, document: api.Flows, ps: ps}
	k.checkGovernance()
	if k.document == nil {
		return nil
	}
	before := ps.Len()
	k.sources()
	for _, w := range k.document.Workflows {
		for _, s := range slices.Concat(w.Steps, w.compensations()) {
			k.called(s)
		}
	}
	k.setWrites()
	for _, w := range k.document.Workflows {
		k.inherited(w)
		w.order()
		k.mappings(w)
		k.checkEffects(w)
		for _, d := range w.DependsOn {
			k.inputsOf(d, w, nil, true, w.Node.At("dependsOn"))
		}
		for _, s := range slices.Concat(w.Steps, w.compensations()) {
			k.handed(s)
		}
	}
	if k.resolved = ps.Len() == before; k.resolved {
		k.checkTypes()
	}
	return k.entries()
}

// linking is one document being linked.
type linking struct {
	*Linker
	api      API
	document *Document
	ps       *source.Problems
	apis     map[*Source]API
	// resolved tells that all names lead somewhere: types can be compared then.
	resolved bool
	// depth is how many outputs were followed to what they are made of.
	depth int
}

// ranks order the layers: calls go to a lower rank only.
var ranks = map[specs.Layer]int{specs.SystemLayer: 0, specs.ProcessLayer: 1, specs.ExperienceLayer: 2}

func layerOf(a API) specs.Layer { return specs.Layer(a.Document.Governance.Layer) }

// checkGovernance finds operations that nothing answers.
func (k *linking) checkGovernance() {
	if layerOf(k.api) == specs.SystemLayer {
		if k.document != nil {
			k.ps.Add(k.document.Node, "an API of the system layer has no flows", "write layer: process in its x-headrace")
		}
		return
	}
	flows := false
	for _, o := range k.api.Document.Operations {
		g := o.Governance
		if g.Flow == nil {
			k.ps.Add(o.Node, "nothing says which workflow answers", "set x-headrace.flow to a workflowId of "+FileName)
		}
		flows = flows || g.Flow != nil
	}
	if flows && k.document == nil {
		k.ps.Add(k.api.Document.Governance.Node, fmt.Sprintf("there is no %s beside the document", FileName), "write the workflows that answer its operations")
	}
}

// sources finds the APIs that source descriptions name.
func (k *linking) sources() {
	k.apis = map[*Source]API{}
	var names []string
	for _, a := range k.APIs {
		names = append(names, a.String())
	}
	for _, s := range k.document.Sources {
		if s.Type != "openapi" {
			continue
		}
		at := s.Node.At("url")
		i := slices.IndexFunc(k.APIs, func(a API) bool { return a.Name == s.API && a.Major == s.Major })
		switch {
		case s.API == "":
			k.ps.Add(at, fmt.Sprintf("%q names no API of the workspace", s.URL), "write headrace:NAME/vMAJOR, for example headrace:orders/v1")
			continue
		case i < 0:
			k.ps.Add(at, fmt.Sprintf("there is no API %s/%s", s.API, s.Major), source.DidYouMean(s.API+"/"+s.Major, names))
			continue
		}
		a := k.APIs[i]
		switch {
		case ranks[layerOf(a)] >= ranks[layerOf(k.api)]:
			k.ps.Add(at, fmt.Sprintf("an API of the %s layer cannot call %s, which is of the %s layer", layerOf(k.api), a, layerOf(a)), "calls go downwards only: experience, process, system")
		case a.Document.Governance.Status == "retired":
			k.ps.Add(at, fmt.Sprintf("%s is retired", a), "call its successor")
		default:
			k.apis[s] = a
		}
	}
}

// called finds the operation of a step.
func (k *linking) called(s *Step) {
	c := s.Call
	if c == nil || c.Source == nil {
		return
	}
	if c.Source.Type != "openapi" {
		k.ps.Add(c.Node, fmt.Sprintf("%s is no OpenAPI document", c.Source.Name), "name a source description of type openapi")
		return
	}
	a, ok := k.apis[c.Source]
	if !ok {
		return // reported
	}
	if c.ID != "" {
		if c.Operation = a.Document.Operation(c.ID); c.Operation == nil {
			var ids []string
			for _, o := range a.Document.Operations {
				ids = append(ids, o.ID)
			}
			k.ps.Add(c.Node, fmt.Sprintf("%s has no operation %q", a, c.ID), source.DidYouMean(c.ID, ids))
		}
		return
	}
	var found []*specs.Operation
	var paths []string
	for _, o := range a.Document.Operations {
		if o.Path == c.Path && (c.Method == "" || o.Method == c.Method) {
			found = append(found, o)
		}
		paths = append(paths, strings.ToLower(o.Method)+" "+o.Path)
	}
	switch len(found) {
	case 0:
		k.ps.Add(c.Node, fmt.Sprintf("%s has no operation %s", a, strings.TrimSpace(strings.ToLower(c.Method)+" "+c.Path)), source.DidYouMean(strings.ToLower(c.Method)+" "+c.Path, paths))
	case 1:
		c.Operation = found[0]
	default:
		k.ps.Add(c.Node, fmt.Sprintf("%s has several methods", c.Path), "end the pointer with one, for example /get")
	}
}

// setWrites finds the workflows that change something, through all that they call.
func (k *linking) setWrites() {
	for changed := true; changed; {
		changed = false
		for _, w := range k.document.Workflows {
			writes := slices.ContainsFunc(w.Steps, (*Step).Writes) || slices.ContainsFunc(w.calls(), func(c flowCall) bool { return c.flow.Writes })
			if writes && !w.Writes {
				w.Writes, changed = true, true
			}
		}
	}
}

// barrier tells whether a step must have everything before it and nothing
// behind it done: it changes something, or may send the run elsewhere.
func (s *Step) barrier() bool {
	return s.Writes() || len(s.OnSuccess) > 0 ||
		slices.ContainsFunc(s.OnFailure, func(a *Action) bool { return a.Kind == Goto || a.Step != nil || a.Flow != nil })
}

// order sets After: what a step reads from, what it says, and the barriers.
func (w *Workflow) order() {
	last := -1 // the last barrier
	for i, s := range w.Steps {
		s.After = nil
		if last >= 0 {
			s.After = append(s.After, last)
		}
		barrier := s.barrier()
		for j := last + 1; j < i; j++ {
			if barrier || slices.Contains(s.needs, w.Steps[j]) {
				s.After = append(s.After, j)
			}
		}
		if barrier {
			last = i
		}
	}
}

// inherited drops the parameters of the workflow from steps that take no such
// parameter; one that no step takes is a mistake.
func (k *linking) inherited(w *Workflow) {
	taken := map[string]bool{}
	known := true
	for _, s := range slices.Concat(w.Steps, w.compensations()) {
		known = known && (s.Flow != nil || s.Call != nil && s.Call.Operation != nil)
		s.Parameters = slices.DeleteFunc(s.Parameters, func(p Parameter) bool {
			if !p.inherited {
				return false
			}
			takes := s.Flow != nil && slices.ContainsFunc(s.Flow.Inputs, func(in Input) bool { return in.Name == p.Name }) ||
				s.Call != nil && s.Call.Operation != nil && declared(s.Call.Operation, p) != nil
			taken[p.Name] = taken[p.Name] || takes
			return !takes
		})
	}
	for _, p := range w.inherited {
		if known && !taken[p.Name] && len(w.Steps) > 0 {
			k.ps.Add(p.Node.At("name"), fmt.Sprintf("no step takes the parameter %q", p.Name), "")
		}
	}
}

// declared is what an operation says of a parameter; nil when it says nothing.
func declared(o *specs.Operation, p Parameter) *specs.Parameter {
	for _, d := range o.Parameters() {
		if d.In == p.In && (d.Name == p.Name || d.In == "header" && strings.EqualFold(d.Name, p.Name)) {
			return &d
		}
	}
	return nil
}

// mappings compiles the jq of a workflow.
func (k *linking) mappings(w *Workflow) {
	if k.Mappings == nil {
		return
	}
	w.Answer.Shape = k.Mappings.Get(w.Answer.body, k.ps, "$inputs")
	for _, s := range w.Steps {
		s.Shape = k.Mappings.Get(s.shape, k.ps, "$inputs")
	}
}

// checkEffects looks at what writes: caches, compensations, and the rule of the
// experience layer.
func (k *linking) checkEffects(w *Workflow) {
	extension := w.Node.Get(specs.Extension)
	if w.Writes && w.Cache > 0 {
		k.ps.Add(extension.At("cache"), fmt.Sprintf("the workflow %s changes something, and its answer cannot be given again", w.ID), "remove cache")
	}
	var writing []*Step
	for _, s := range w.Steps {
		at := s.Node.Get(specs.Extension)
		if s.Writes() {
			writing = append(writing, s)
		}
		switch {
		case s.Call != nil && s.Call.Operation == nil:
			continue // reported
		case s.Writes() && s.Cache > 0:
			k.ps.Add(at.At("cache"), fmt.Sprintf("%s changes something, and its answer cannot be used again", s.ID), "remove cache")
		case s.Compensation != nil && !s.Writes():
			k.ps.Add(at.At("compensation"), fmt.Sprintf("%s changes nothing that could be undone", s.ID), "remove compensation, or write safe: false at its operation")
		case s.Compensation != nil && !s.Compensation.Writes() && (s.Compensation.Flow != nil || s.Compensation.Call != nil && s.Compensation.Call.Operation != nil):
			k.ps.Add(at.At("compensation"), fmt.Sprintf("the compensation of %s changes nothing", s.ID), "name an operation that undoes it")
		}
	}
	if layerOf(k.api) == specs.ExperienceLayer && len(writing) > 1 {
		k.ps.Add(writing[1].Node.At("stepId"), fmt.Sprintf("%s is the second step that changes something", writing[1].ID),
			"an experience API reads, or passes one write through; put the rest into a process API")
	}
}
