package arazzo

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// Entry is an operation that a workflow answers. It is immutable and safe for
// concurrent use.
type Entry struct {
	Operation *specs.Operation
	Workflow  *Workflow
	// Status is that of an answer that the outputs make.
	Status int
	inputs []entryInput
}

// entryInput says where an input comes from.
type entryInput struct {
	name string
	from specs.Expression
	// schema is what the input must meet; nil for anything.
	schema *schema.Schema
	// preset is used when nothing comes; set tells whether there is one.
	preset any
	set    bool
}

// maxInputs bounds the inputs of a run as JSON.
const maxInputs = 32 << 20

// Inputs makes the inputs of a run from a request: parameters in the types that
// the inputs' schema asks for, defaults filled in. Violations say what does not meet the
// schema; the inputs must not be used then.
func (e *Entry) Inputs(r *Exchange) (inputs map[string]any, violations []specs.Violation) {
	inputs = make(map[string]any, len(e.inputs))
	for _, in := range e.inputs {
		value, ok := in.value(r)
		switch {
		case ok:
			inputs[in.name] = value
		case in.set:
			inputs[in.name] = in.preset
		}
	}
	if e.Workflow.schema == nil {
		return inputs, nil
	}
	data, err := mapping.AppendJSON(nil, inputs, maxInputs)
	if err != nil {
		return nil, []specs.Violation{{In: "body", Detail: fmt.Sprintf("the inputs are larger than %d bytes", maxInputs)}}
	}
	found, syntax := e.Workflow.schema.Check(data, schema.Request)
	if syntax != nil {
		return nil, []specs.Violation{{In: "body", Detail: syntax.Error()}}
	}
	for _, v := range found {
		violations = append(violations, e.placed(v))
	}
	return inputs, violations
}

// placed says where in the request a violation of an input comes from.
func (e *Entry) placed(v schema.Violation) specs.Violation {
	name, rest, _ := strings.Cut(strings.TrimPrefix(v.Pointer, "/"), "/")
	name = source.Unescape(name)
	if rest != "" {
		rest = "/" + rest
	}
	for _, in := range e.inputs {
		if in.name == name {
			if in.from.In == "body" {
				return specs.Violation{In: "body", Pointer: in.from.JSONPointer() + rest, Detail: v.Detail}
			}
			return specs.Violation{In: in.from.In, Name: in.from.Name, Pointer: rest, Detail: v.Detail}
		}
	}
	return specs.Violation{In: "body", Pointer: v.Pointer, Detail: v.Detail}
}

// value finds an input in a request.
func (in *entryInput) value(r *Exchange) (any, bool) {
	switch in.from.In {
	case "body":
		if r.Body == nil {
			return nil, false
		}
		return walk(r.Body, in.from.Pointer)
	case "query":
		values := r.Query[in.from.Name]
		if in.list() && len(values) > 0 {
			return in.texts(values), true
		}
		return in.text(values)
	case "header":
		return in.text(r.Header.Values(in.from.Name))
	}
	for _, p := range r.Path {
		if p.Name == in.from.Name {
			return in.text([]string{p.Value})
		}
	}
	return nil, false
}

// list tells whether the input is a list and nothing else.
func (in *entryInput) list() bool {
	return in.schema != nil && !in.schema.Free() && in.schema.AcceptsArray() && !in.schema.AcceptsScalar()
}

// text gives the first of several texts in the type that the schema asks for; a
// list is written with commas.
func (in *entryInput) text(values []string) (any, bool) {
	switch {
	case len(values) == 0:
		return nil, false
	case in.list():
		return in.texts(strings.Split(values[0], ",")), true
	}
	return typed(values[0], in.schema), true
}

// texts gives a list; one text with commas is several.
func (in *entryInput) texts(values []string) any {
	if len(values) == 1 {
		values = strings.Split(values[0], ",")
	}
	list := make([]any, len(values))
	for i, text := range values {
		list[i] = typed(text, in.schema.Item())
	}
	return list
}

// typed reads a text as the value for which the schema takes it.
func typed(text string, s *schema.Schema) any {
	if s == nil || s.Free() {
		return text
	}
	value, err := mapping.Decode(s.AppendText(nil, text))
	if err != nil {
		return text
	}
	return value
}

// entries compiles the operations of the API that workflows answer.
func (k *linking) entries() map[string]*Entry {
	entries := map[string]*Entry{}
	for _, o := range k.api.Document.Operations {
		f := o.Governance.Flow
		if f == nil || f.Workflow == "" {
			continue
		}
		w := k.document.Workflow(f.Workflow)
		if w == nil {
			var ids []string
			for _, w := range k.document.Workflows {
				ids = append(ids, w.ID)
			}
			at := f.Node
			if n := at.Get("workflow"); n.Exists() {
				at = n
			}
			k.ps.Add(at, fmt.Sprintf("there is no workflow %q in %s", f.Workflow, FileName), source.DidYouMean(f.Workflow, ids))
			continue
		}
		entries[o.ID] = k.entry(o, w)
	}
	return entries
}

func (k *linking) entry(o *specs.Operation, w *Workflow) *Entry {
	e := &Entry{Operation: o, Workflow: w, Status: w.Answer.Status}
	if e.Status == 0 {
		e.Status = o.Success()
	}
	if e.Status == 0 {
		e.Status = http.StatusOK
	}
	g := o.Governance
	if o.Safe() && w.Writes {
		k.ps.Add(g.At("flow"), fmt.Sprintf("%s reads, and the workflow %s changes something", o.ID, w.ID), "answer it by a method that writes, or write safe: false")
	}
	for name, text := range g.Flow.Inputs {
		at := g.Flow.Node.At("inputs", name)
		from, err := specs.ParseExpression(text)
		switch {
		case err != nil:
			k.ps.Add(at, fmt.Sprintf("%q is not a runtime expression", text), err.Error())
		case !contains(inputNames(w), name):
			k.ps.Add(at, fmt.Sprintf("the workflow %s has no input %q", w.ID, name), source.DidYouMean(name, inputNames(w)))
		default:
			k.checkFrom(o, from, at)
			e.inputs = append(e.inputs, entryInput{name: name, from: from})
		}
	}
	for _, in := range w.Inputs {
		k.input(e, in)
	}
	slices.SortFunc(e.inputs, func(a, b entryInput) int { return strings.Compare(a.name, b.name) })
	k.fitsAnswer(e)
	return e
}

// checkFrom looks for the parameter that an expression names.
func (k *linking) checkFrom(o *specs.Operation, from specs.Expression, at source.Node) {
	if from.In == "body" {
		if _, _, taken := o.Body(); !taken {
			k.ps.Add(at, fmt.Sprintf("%s has no request body", o.ID), "")
		}
		return
	}
	var names []string
	for _, d := range o.Parameters() {
		if d.In == from.In {
			names = append(names, d.Name)
		}
	}
	if !slices.ContainsFunc(names, func(n string) bool {
		return n == from.Name || from.In == "header" && strings.EqualFold(n, from.Name)
	}) {
		k.ps.Add(at, fmt.Sprintf("%s has no %s parameter %q", o.ID, from.In, from.Name), source.DidYouMean(from.Name, names))
	}
}

// input finds where an input comes from, and compares the types.
func (k *linking) input(e *Entry, in Input) {
	i := slices.IndexFunc(e.inputs, func(x entryInput) bool { return x.name == in.Name })
	if i < 0 {
		from, ok := inputFrom(e.Operation, in.Name)
		switch {
		case ok:
		case in.Required && !in.Default.Exists():
			k.ps.Add(e.Operation.Governance.At("flow"), fmt.Sprintf("nothing of %s gives the input %q of the workflow %s", e.Operation.ID, in.Name, e.Workflow.ID), "declare a parameter or a property of the body with this name, or name it in flow.inputs")
			return
		case !in.Default.Exists():
			return
		}
		e.inputs = append(e.inputs, entryInput{name: in.Name, from: from})
		i = len(e.inputs) - 1
	}
	x := &e.inputs[i]
	if in.Default.Exists() {
		x.preset, x.set = literalOf(in.Default)
	}
	if s := e.Workflow.schema; s != nil && s.Plain() {
		x.schema = s.Property(in.Name)
	}
	given := fromKind(e.Operation, x.from)
	if x.from.In == "body" && given != nil && x.schema != nil && !given.Meets(x.schema) {
		k.ps.Add(in.Node, fmt.Sprintf("%s of %s is %s, and the input is %s", x.from, e.Operation.ID, given.Types(), x.schema.Types()), "")
	}
}

// inputFrom finds what has the name of an input: a parameter, the body, or a
// property of the body.
func inputFrom(o *specs.Operation, name string) (specs.Expression, bool) {
	for _, in := range []string{"path", "query", "header"} {
		for _, d := range o.Parameters() {
			if d.In == in && (d.Name == name || in == "header" && strings.EqualFold(d.Name, name)) {
				return specs.Expression{In: in, Name: d.Name}, true
			}
		}
	}
	contents, _, taken := o.Body()
	if !taken {
		return specs.Expression{}, false
	}
	if name == "body" {
		return specs.Expression{In: "body"}, true
	}
	property := specs.Expression{In: "body", Pointer: []string{name}}
	for _, c := range contents {
		if c.JSON && (c.Schema.Free() || c.Schema.Property(name) != nil) {
			return property, true
		}
	}
	return property, len(contents) == 0
}

// fromKind is what an operation says of a place in its body; nil when it says nothing.
func fromKind(o *specs.Operation, from specs.Expression) *schema.Schema {
	contents, _, _ := o.Body()
	if from.In != "body" || len(contents) != 1 || !contents[0].JSON {
		return nil
	}
	end, missing, known := walkSchema(contents[0].Schema, from.Pointer)
	if missing != "" || !known {
		return nil
	}
	return end
}

// fitsAnswer compares the outputs with what the operation says it answers.
func (k *linking) fitsAnswer(e *Entry) {
	a := e.Workflow.Answer
	if a.Pass != nil {
		if a.Pass.Flow != nil {
			k.ps.Add(a.Node.At("step"), fmt.Sprintf("%s calls a workflow, whose answer cannot be passed through", a.Pass.ID), "shape an answer of its outputs")
		}
		return
	}
	contents, declared := e.Operation.Answers(e.Status)
	if !declared {
		if len(e.Operation.AllAnswers()) > 0 || slices.ContainsFunc(e.Operation.Statuses(), func(status int) bool { return status/100 == 2 }) {
			k.ps.Add(a.Node, fmt.Sprintf("%s does not declare the answer %d of the workflow %s", e.Operation.ID, e.Status, e.Workflow.ID), "declare it, or set answer.status")
		}
		return
	}
	if !k.resolved || a.body.Exists() || len(contents) != 1 || !contents[0].JSON || contents[0].Schema.Free() {
		return
	}
	v := Value{form: mapForm}
	for _, o := range e.Workflow.Outputs {
		v.fields = append(v.fields, field{o.Name, o.Value})
	}
	at := e.Workflow.Node.Get("outputs")
	if !at.Exists() {
		at = e.Workflow.Node
	}
	f := fitting{linking: k, workflow: e.Workflow, what: e.Operation.ID, answer: true}
	f.fits(v, contents[0].Schema, at, fmt.Sprintf("the answer %d", e.Status))
}
