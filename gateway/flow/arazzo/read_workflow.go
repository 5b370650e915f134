package arazzo

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Governance is x-headrace at a workflow.
type Governance struct {
	Timeout source.Duration `yaml:"timeout" min:"1ms" doc:"Longest time of a run, from its start to the end of its last step, without compensation; not bounded when absent."`
	Class   *specs.Class    `yaml:"class" doc:"Criticality of all calls of a run; that of the call that started it when absent."`
	Answer  *AnswerKeys     `yaml:"answer" doc:"How the outputs become the operation's answer; they are its body when absent."`
	Cache   source.Duration `yaml:"cache" doc:"How long the answer of a workflow that only reads is given again to the same app for the same inputs."`
	Node    source.Node     `yaml:",node"`
}

// AnswerKeys is answer in x-headrace at a workflow.
type AnswerKeys struct {
	Status  int            `yaml:"status" min:"200" max:"299" doc:"The answer's status; the operation's only declared success, or 200, when absent."`
	Body    mapping.Source `yaml:"body" doc:"jq that makes the body. Its input are the outputs, $inputs the run's inputs."`
	Headers source.Node    `yaml:"headers" doc:"Headers of the answer by name: runtime expressions, $outputs among them."`
	Step    string         `yaml:"step" doc:"The step whose answer is passed through as it is."`
	Node    source.Node    `yaml:",node"`
}

// StepGovernance is x-headrace at a step.
type StepGovernance struct {
	Timeout      source.Duration `yaml:"timeout" min:"1ms" doc:"Longest time of the step with all its retries; not bounded when absent."`
	Class        *specs.Class    `yaml:"class" doc:"Criticality of the step's call; that of the run when absent."`
	Optional     bool            `yaml:"optional" doc:"A run goes on when the step has failed."`
	Fallback     source.Node     `yaml:"fallback" doc:"Outputs of an optional step that failed, by name; those it does not name are absent."`
	Compensation source.Node     `yaml:"compensation" doc:"What undoes the step when the run fails later: operationId, operationPath or workflowId with parameters and requestBody, or the stepId of a step that is there for that alone."`
	Shape        mapping.Source  `yaml:"shape" doc:"jq over the body of the answer, applied before anything looks at it; $inputs are the run's inputs."`
	Cache        source.Duration `yaml:"cache" doc:"How long the answer of a read is used again for the same app and request."`
	Node         source.Node     `yaml:",node"`
}

func (r *reader) readWorkflow(n source.Node) *Workflow {
	if !r.expected(n, source.Map) {
		return nil
	}
	r.keys(n, "workflowId", "summary", "description", "inputs", "dependsOn", "steps", "successActions", "failureActions", "outputs", "parameters", specs.Extension)
	w := &Workflow{
		Document: r.document, ID: r.text(n, "workflowId", true), Node: n,
		Summary: r.text(n, "summary", false), Description: r.text(n, "description", false), Answer: &Answer{Node: n},
	}
	switch {
	case w.ID == "":
		return nil
	case !identifier(w.ID):
		r.ps.Add(n.Get("workflowId"), fmt.Sprintf("%q is not a name that expressions can use", w.ID), "use letters, digits, - and _")
	case r.document.Workflow(w.ID) != nil:
		r.ps.Add(n.Get("workflowId"), fmt.Sprintf("there is another workflow %q", w.ID), "every one needs its own workflowId")
		return nil
	}
	r.workflow, r.step = w, nil
	defer func() { r.workflow, r.step = nil, nil }()
	r.inputs(w, n.Get("inputs"))
	for _, id := range r.names(n, "dependsOn") {
		if strings.HasPrefix(id.Text(), "$") {
			r.foreignFlow(id)
			continue
		}
		r.flowTarget(id, func(other *Workflow) { w.DependsOn = append(w.DependsOn, other) })
	}
	w.inherited = r.parameters(n, inheriting)
	items := r.list(n, "steps", true)
	if len(items) > maxSteps {
		r.ps.Add(n.Get("steps"), fmt.Sprintf("a workflow has %d steps at most", maxSteps), "put a part of them into a workflow of its own")
		items = nil
	}
	for _, item := range items {
		if s := r.readStep(w, item); s != nil {
			w.Steps = append(w.Steps, s)
		}
	}
	r.step = nil
	w.Outputs = r.outputs(n, "outputs", ending)
	r.governWorkflow(w, n.Get(specs.Extension))
	return w
}

// inputs lists the properties of the inputs' schema, references followed. What
// the schema says beyond that is compiled when the document is linked.
func (r *reader) inputs(w *Workflow, n source.Node) {
	if !n.Exists() || !r.expected(n, source.Map) {
		return
	}
	w.inputsNode = r.followInput(n, 0)
	for _, f := range w.inputsNode.Get("properties").Fields() {
		w.Inputs = append(w.Inputs, Input{Name: f.Name, Default: r.followInput(f.Value, 0).Get("default"), Node: f.Value})
	}
	for _, name := range w.inputsNode.Get("required").Items() {
		i := slices.IndexFunc(w.Inputs, func(in Input) bool { return in.Name == name.Text() })
		if i < 0 {
			w.Inputs = append(w.Inputs, Input{Name: name.Text(), Node: name})
			i = len(w.Inputs) - 1
		}
		w.Inputs[i].Required = true
	}
	slices.SortFunc(w.Inputs, func(a, b Input) int { return strings.Compare(a.Name, b.Name) })
}

// followInput follows a reference to components.inputs.
func (r *reader) followInput(n source.Node, depth int) source.Node {
	ref := n.Get("$ref")
	if !ref.Exists() {
		return n
	}
	name, ok := strings.CutPrefix(ref.Text(), "#/components/inputs/")
	target := r.components["inputs."+source.Unescape(name)]
	switch {
	case !ok:
		r.ps.Add(ref, fmt.Sprintf("%q is not a reference that can be followed", ref.Text()), "write #/components/inputs/NAME")
	case !target.Exists():
		r.ps.Add(ref, fmt.Sprintf("there is no component %q", name), source.DidYouMean(name, r.componentNames("inputs")))
	case depth > 16:
		r.ps.Add(ref, "the references lead to each other", "")
	default:
		return r.followInput(target, depth+1)
	}
	return n
}

// names reads a list of names, each once.
func (r *reader) names(n source.Node, key string) []source.Node {
	var list []source.Node
	for _, item := range r.list(n, key, false) {
		switch {
		case !r.expected(item, source.String):
		case slices.ContainsFunc(list, func(o source.Node) bool { return o.Text() == item.Text() }):
			r.ps.Add(item, fmt.Sprintf("%q stands there twice", item.Text()), "")
		default:
			list = append(list, item)
		}
	}
	if v := n.Get(key); v.Kind() == source.List && len(v.Items()) == 0 {
		r.ps.Add(v, key+" is empty", "at least one is needed")
	}
	return list
}

func (r *reader) flowTarget(at source.Node, set func(*Workflow)) {
	r.targets = append(r.targets, target{at: at, workflow: r.workflow, id: at.Text(), flow: set})
}

func (r *reader) stepTarget(at source.Node, set func(*Step)) {
	r.targets = append(r.targets, target{at: at, workflow: r.workflow, id: at.Text(), step: set})
}

func (r *reader) governWorkflow(w *Workflow, n source.Node) {
	var g Governance
	source.Decode(n, &g, r.ps)
	w.Timeout, w.Class, w.Cache = g.Timeout.Std(), g.Class, g.Cache.Std()
	if g.Answer == nil {
		return
	}
	a := g.Answer
	w.Answer = &Answer{Status: a.Status, Node: a.Node, body: a.Body}
	if a.Headers.Exists() {
		r.expected(a.Headers, source.Map)
	}
	for _, f := range a.Headers.Fields() {
		if strings.ContainsFunc(f.Name, func(c rune) bool { return c > '~' || !tchar(byte(c)) }) {
			r.ps.Add(f.Key, fmt.Sprintf("%q is not the name of a header", f.Name), "")
			continue
		}
		w.Answer.Headers = append(w.Answer.Headers, Output{Name: http.CanonicalHeaderKey(f.Name), Value: r.value(f.Value, answering), Node: f.Value})
	}
	if a.Step != "" {
		r.stepTarget(a.Node.Get("step"), func(s *Step) { w.Answer.Pass = s })
		for _, key := range []string{"status", "body", "headers"} {
			if n := a.Node.Get(key); n.Exists() {
				r.ps.Add(n, key+" and step contradict each other", "the answer of a step is passed through as it is")
			}
		}
	}
}

func (r *reader) readStep(w *Workflow, n source.Node) *Step {
	if !r.expected(n, source.Map) {
		return nil
	}
	r.keys(n, "stepId", "description", "operationId", "operationPath", "workflowId", "parameters", "requestBody", "successCriteria",
		"onSuccess", "onFailure", "outputs", "timeout", "dependsOn", "channelPath", "correlationId", "action", specs.Extension)
	for _, key := range []string{"channelPath", "correlationId", "action"} {
		if k := n.Key(key); k.Exists() {
			r.ps.Add(k, "AsyncAPI is not supported", "flows call APIs that are described in OpenAPI")
		}
	}
	s := &Step{Workflow: w, ID: r.text(n, "stepId", true), Description: r.text(n, "description", false), Node: n}
	switch {
	case s.ID == "":
		return nil
	case !identifier(s.ID):
		r.ps.Add(n.Get("stepId"), fmt.Sprintf("%q is not a name that expressions can use", s.ID), "use letters, digits, - and _")
	case w.Step(s.ID) != nil:
		r.ps.Add(n.Get("stepId"), fmt.Sprintf("there is another step %q", s.ID), "every one needs its own stepId")
		return nil
	}
	r.step = s
	r.called(s, n)
	r.given(s, n, making)
	s.Success = r.criteria(n, "successCriteria", judging)
	s.OnSuccess = r.actions(n, w.Node, "onSuccess", "successActions")
	s.OnFailure = r.actions(n, w.Node, "onFailure", "failureActions")
	s.Outputs = r.outputs(n, "outputs", judging)
	s.Timeout = time.Duration(r.count(n.Get("timeout"), 0, 1, 30*86400*1000)) * time.Millisecond
	for _, id := range r.names(n, "dependsOn") {
		if strings.HasPrefix(id.Text(), "$") {
			r.ps.Add(id, "steps of other workflows cannot be waited for", "call the workflow by a step, and name that step")
			continue
		}
		r.stepTarget(id, func(o *Step) { s.dependsOn = append(s.dependsOn, o) })
	}
	r.governStep(s, n.Get(specs.Extension))
	return s
}

// called reads what a step calls.
func (r *reader) called(s *Step, n source.Node) {
	var given []string
	for _, key := range []string{"operationId", "operationPath", "workflowId"} {
		if n.Get(key).Exists() {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 0:
		r.ps.Add(n, "the step calls nothing", "write operationId, operationPath or workflowId")
		return
	case len(given) > 1:
		r.ps.Add(n.Key(given[1]), strings.Join(given, " and ")+" exclude each other", "keep one of them")
	}
	at := n.Get(given[0])
	if !r.expected(at, source.String) {
		return
	}
	switch given[0] {
	case "workflowId":
		if strings.HasPrefix(at.Text(), "$") {
			r.foreignFlow(at)
			return
		}
		r.flowTarget(at, func(w *Workflow) { s.Flow = w })
		s.calls = true
	case "operationId":
		s.Call = r.operationID(at)
	default:
		s.Call = r.operationPath(at)
	}
}

// foreignFlow reports a workflow of another document.
func (r *reader) foreignFlow(at source.Node) {
	r.ps.Add(at, "workflows of other documents are not called directly, because that would pass by all that governs their operations", "call the operation that the workflow answers")
}

func (r *reader) operationID(at source.Node) *Call {
	c := &Call{ID: at.Text(), Node: at}
	if rest, ok := strings.CutPrefix(c.ID, "$sourceDescriptions."); ok {
		name, id, _ := strings.Cut(rest, ".")
		if id == "" {
			r.ps.Add(at, fmt.Sprintf("%q is not a runtime expression", at.Text()), "write $sourceDescriptions.NAME.OPERATION")
			return nil
		}
		c.ID = id
		c.Source = r.sourceNamed(at, name)
		return c
	}
	if strings.HasPrefix(c.ID, "$") {
		r.ps.Add(at, fmt.Sprintf("%q names no operation", at.Text()), "write $sourceDescriptions.NAME.OPERATION")
		return nil
	}
	for _, s := range r.document.Sources {
		switch {
		case s.Type != "openapi":
		case c.Source != nil:
			r.ps.Add(at, "it is not clear in which of the sources the operation is", "write $sourceDescriptions."+s.Name+"."+c.ID)
			return c
		default:
			c.Source = s
		}
	}
	return c
}

func (r *reader) sourceNamed(at source.Node, name string) *Source {
	s := r.document.source(name)
	if s == nil {
		var names []string
		for _, s := range r.document.Sources {
			names = append(names, s.Name)
		}
		r.ps.Add(at, fmt.Sprintf("there is no source description %q", name), source.DidYouMean(name, names))
	}
	return s
}

const pathNotation = "write {$sourceDescriptions.NAME.url}#/paths/~1orders/post"

// operationPath reads {$sourceDescriptions.NAME.url}#/paths/~1orders/post.
func (r *reader) operationPath(at source.Node) *Call {
	name, pointer, ok := strings.Cut(strings.TrimPrefix(at.Text(), "{$sourceDescriptions."), ".url}#")
	tokens, err := parsePointer(pointer)
	if !ok || err != nil || !strings.HasPrefix(at.Text(), "{$sourceDescriptions.") || len(tokens) < 2 || len(tokens) > 3 || tokens[0] != "paths" {
		r.ps.Add(at, fmt.Sprintf("%q names no operation", at.Text()), pathNotation)
		return nil
	}
	c := &Call{Path: tokens[1], Source: r.sourceNamed(at, name), Node: at}
	if len(tokens) == 3 {
		c.Method = strings.ToUpper(tokens[2])
	}
	return c
}

// given reads what a step hands over: parameters and a body.
func (r *reader) given(s *Step, n source.Node, p place) {
	s.Parameters = r.parameters(n, p)
	for _, inherited := range s.Workflow.inherited {
		if n.Get("workflowId").Exists() {
			inherited.In = "" // it is an input then
		}
		if !slices.ContainsFunc(s.Parameters, inherited.same) {
			inherited.inherited = true
			s.Parameters = append(s.Parameters, inherited)
			r.uses = append(r.uses, inherited.uses(s, p)...)
		}
	}
	flow := n.Get("workflowId").Exists()
	for _, x := range s.Parameters {
		switch {
		case flow && x.In != "":
			r.ps.Add(x.Node.Get("in"), "a workflow has inputs, and no "+x.In, "remove in")
		case !flow && x.In == "":
			r.ps.Add(x.Node, `the key "in" is missing`, "write in: path, query, header or cookie")
		}
	}
	if b := n.Get("requestBody"); b.Exists() {
		if flow {
			r.ps.Add(n.Key("requestBody"), "a workflow has inputs, and no body", "hand it over as parameters")
			return
		}
		s.Body = r.body(b, p)
	}
}

// uses are the expressions of an inherited parameter, where a step uses it.
func (p Parameter) uses(s *Step, at place) []use {
	var list []use
	for _, e := range p.Value.Expressions() {
		list = append(list, use{expression: e, at: p.Node.At("value"), workflow: s.Workflow, step: s, place: at})
	}
	return list
}

func (p Parameter) same(o Parameter) bool {
	return p.In == o.In && (p.Name == o.Name || p.In == "header" && strings.EqualFold(p.Name, o.Name))
}

// locations are the places of a parameter.
var locations = []string{"path", "query", "header", "cookie"}

// parameters reads a list of parameters, each once.
func (r *reader) parameters(n source.Node, p place) []Parameter {
	var list []Parameter
	for _, item := range r.list(n, "parameters", false) {
		at, override, ok := r.reusable(item, "parameters")
		if !ok {
			continue
		}
		r.keys(at, "name", "in", "value")
		x := Parameter{Name: r.text(at, "name", true), In: r.text(at, "in", false), Node: at}
		switch x.In {
		case "", "path", "query", "header", "cookie":
		case "body":
			r.ps.Add(at.Get("in"), "a body is no parameter", "write it under requestBody.payload")
			continue
		case "querystring":
			r.ps.Add(at.Get("in"), "parameters in querystring came with OpenAPI 3.2, which is not supported", "give the parameters one by one, with in: query")
			continue
		default:
			r.ps.Add(at.Get("in"), fmt.Sprintf("%q is no place for a parameter", x.In), source.DidYouMean(x.In, locations))
			continue
		}
		value := at.Get("value")
		if override.Exists() {
			value = override
		}
		if !value.Exists() {
			r.missing(at, "value")
			continue
		}
		if slices.ContainsFunc(list, x.same) {
			r.ps.Add(item, fmt.Sprintf("the parameter %q stands there twice", x.Name), "")
			continue
		}
		x.Value = r.value(value, p)
		list = append(list, x)
	}
	return list
}

// actions reads the actions of a step, and those of the workflow that it does not override.
func (r *reader) actions(step, workflow source.Node, own, common string) []*Action {
	list := r.actionList(step, own, common)
	r.common = true
	defer func() { r.common = false }()
	for _, a := range r.actionList(workflow, common, common) {
		if !slices.ContainsFunc(list, func(o *Action) bool { return o.Name == a.Name }) {
			list = append(list, a)
		}
	}
	return list
}

func (r *reader) actionList(n source.Node, key, kind string) []*Action {
	var list []*Action
	for _, item := range r.list(n, key, false) {
		at, _, ok := r.reusable(item, kind)
		if !ok {
			continue
		}
		a := r.action(at, kind == "failureActions")
		if slices.ContainsFunc(list, func(o *Action) bool { return o.Name == a.Name }) {
			r.ps.Add(item, fmt.Sprintf("there is another action %q", a.Name), "every one needs its own name")
			continue
		}
		list = append(list, a)
	}
	return list
}

func (r *reader) action(n source.Node, failure bool) *Action {
	known, kinds := []string{"name", "type", "workflowId", "stepId", "criteria", "parameters"}, []string{"end", "goto"}
	if failure {
		known, kinds = append(known, "retryAfter", "retryLimit"), append(kinds, "retry")
	}
	r.keys(n, known...)
	a := &Action{Name: r.text(n, "name", true), Kind: ActionKind(r.text(n, "type", true)), Criteria: r.criteria(n, "criteria", judging), Node: n}
	if a.Kind != "" && !contains(kinds, string(a.Kind)) {
		r.ps.Add(n.Get("type"), fmt.Sprintf("%q is not known here", string(a.Kind)), source.DidYouMean(string(a.Kind), kinds))
	}
	a.RetryAfter = r.seconds(n.Get("retryAfter"))
	a.RetryLimit = r.count(n.Get("retryLimit"), 1, 0, 1000)
	for _, key := range []string{"retryAfter", "retryLimit"} {
		if n.Get(key).Exists() && a.Kind != Retry {
			r.ps.Add(n.Key(key), key+" is for type: retry", "remove it")
		}
	}
	step, flow := n.Get("stepId"), n.Get("workflowId")
	switch {
	case step.Exists() && flow.Exists():
		r.ps.Add(n.Key("workflowId"), "stepId and workflowId exclude each other", "keep one of them")
	case a.Kind == End && (step.Exists() || flow.Exists()):
		r.ps.Add(n.Get("type"), "an end leads nowhere", "write type: goto, or remove stepId and workflowId")
	case a.Kind == Goto && !step.Exists() && !flow.Exists():
		r.ps.Add(n, "goto leads nowhere", "write stepId or workflowId")
	case step.Exists() && r.expected(step, source.String):
		r.stepTarget(step, func(s *Step) { a.Step = s })
	case flow.Exists() && r.expected(flow, source.String):
		if strings.HasPrefix(flow.Text(), "$") {
			r.foreignFlow(flow)
			break
		}
		r.flowTarget(flow, func(w *Workflow) { a.Flow = w })
	}
	a.Parameters = r.parameters(n, judging)
	for _, p := range a.Parameters {
		if p.In != "" {
			r.ps.Add(p.Node.Get("in"), "a workflow has inputs, and no "+p.In, "remove in")
		}
	}
	if len(a.Parameters) > 0 && !flow.Exists() {
		r.ps.Add(n.Key("parameters"), "parameters are the inputs of a workflow", "write workflowId, or remove them")
	}
	return a
}

func (r *reader) governStep(s *Step, n source.Node) {
	var g StepGovernance
	source.Decode(n, &g, r.ps)
	if g.Timeout > 0 {
		if s.Timeout > 0 {
			r.ps.Add(n.Key("timeout"), "the step has a timeout already", "keep one of them")
		}
		s.Timeout = g.Timeout.Std()
	}
	s.Class, s.Optional, s.Cache, s.shape = g.Class, g.Optional, g.Cache.Std(), g.Shape
	r.fallback(s, g.Fallback)
	if g.Compensation.Exists() {
		r.compensation(s, g.Compensation)
	}
	if s.calls && (g.Shape.Exists() || g.Cache > 0) {
		r.ps.Add(n, "shape and cache are for calls of operations", "write them at the steps of the workflow")
	}
}

func (r *reader) fallback(s *Step, n source.Node) {
	if !n.Exists() || !r.expected(n, source.Map) {
		return
	}
	if !s.Optional {
		r.ps.Add(n, "only an optional step has a fallback", "write optional: true")
	}
	var names []string
	for _, o := range s.Outputs {
		names = append(names, o.Name)
	}
	for _, f := range n.Fields() {
		if !contains(names, f.Name) {
			r.ps.Add(f.Key, fmt.Sprintf("the step has no output %q", f.Name), source.DidYouMean(f.Name, names))
			continue
		}
		s.Fallback = append(s.Fallback, Output{Name: f.Name, Value: r.value(f.Value, replacing), Node: f.Value})
	}
}

// compensation reads what undoes a step: a call of its own, or the name of a
// step that is there for that alone.
func (r *reader) compensation(s *Step, n source.Node) {
	if !r.expected(n, source.Map) {
		return
	}
	if at := n.Get("stepId"); at.Exists() {
		r.keys(n, "stepId")
		if r.expected(at, source.String) {
			s.undoneBy = at
		}
		return
	}
	r.keys(n, "operationId", "operationPath", "workflowId", "parameters", "requestBody", "successCriteria")
	c := &Step{Workflow: s.Workflow, ID: s.ID + ".compensation", Index: -1, Node: n, undoes: s}
	r.step = c
	r.called(c, n)
	r.given(c, n, undoing)
	c.Success = r.criteria(n, "successCriteria", judging)
	s.Compensation = c
	r.step = s
}
