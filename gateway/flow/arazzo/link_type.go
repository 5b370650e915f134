package arazzo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// kinds are the schemas one of which a value meets; nil when nothing is known of it.
type kinds []*schema.Schema

func (t kinds) String() string {
	var names []string
	for _, s := range t {
		if name := s.Types(); !contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// checkTypes finds expressions that lead nowhere in what is declared, and
// values that the next request cannot take.
func (k *linking) checkTypes() {
	for _, u := range k.document.uses {
		if u.place != inheriting {
			k.follow(u)
		}
	}
	for _, w := range k.document.Workflows {
		for _, s := range slices.Concat(w.Steps, w.compensations()) {
			k.fitsCall(s)
			criteria := slices.Clone(s.Success)
			for _, a := range s.OnSuccess {
				criteria = append(criteria, a.Criteria...)
			}
			for _, c := range criteria {
				k.checkFilter(c, s)
			}
			for _, a := range slices.Concat(s.OnSuccess, s.OnFailure) {
				if a.Flow != nil {
					k.fitsInputs(a.Flow, a.Parameters, s)
				}
			}
		}
	}
}

// follow reports an expression whose way leads to what is not declared.
func (k *linking) follow(u use) {
	begin, way := k.begin(u.expression, u.workflow, u.step)
	if u.criterion && u.expression.root == rootResponse {
		if begin = nil; u.expression.part == "body" && !u.common && u.step != nil && u.step.Call != nil && !u.step.shape.Exists() {
			begin = jsonAnswers(u.step.Call.Operation.AllAnswers())
		}
	}
	if begin == nil {
		return
	}
	if _, missing := walkKinds(begin, way); missing != "" {
		k.ps.Add(u.at, fmt.Sprintf("%s leads nowhere: %s", u.expression, missing), "")
	}
}

// checkFilter finds a filter on an object none of whose members it could let
// through: it would never hold, and the object itself was meant.
func (k *linking) checkFilter(c *Criterion, s *Step) {
	if c.Kind != "jsonpath" || c.dynamic != nil || !strings.HasPrefix(c.Text, "$[?") || !strings.Contains(c.Text, "@.") {
		return
	}
	begin, way := k.begin(c.context, s.Workflow, s)
	found, _ := walkKinds(begin, way)
	for _, o := range found {
		if o.AcceptsArray() || !o.AcceptsObject() || !o.Plain() || o.Extra() != nil || len(o.Properties()) == 0 {
			return
		}
		for _, name := range o.Properties() {
			if p := o.Property(name); p == nil || p.AcceptsObject() {
				return
			}
		}
	}
	if len(found) > 0 {
		k.ps.Add(c.node.At("condition"), "never holds: a filter looks at the members of the context, and none of them is an object", "leave out $[? and ], for example count($.lines[*]) > 0")
	}
}

// begin is what is known of the value that an expression finds before it goes
// into it, and the way that it goes then.
func (k *linking) begin(e *Expression, w *Workflow, s *Step) (kinds, []string) {
	var outputs []Output
	switch e.root {
	case rootResponse:
		if e.part != "body" || s == nil || s.Call == nil || s.shape.Exists() {
			return nil, nil
		}
		return k.answers(s), e.way
	case rootInputs:
		return inputKinds(e, w)
	case rootStep:
		if s = w.Step(e.id); s == nil {
			return nil, nil
		}
		outputs = s.Outputs
	case rootOutputs:
		if outputs = w.Outputs; s != nil && s.Flow != nil {
			w, outputs = s.Flow, s.Flow.Outputs
			s = nil
		}
	case rootWorkflow:
		if w = k.document.Workflow(e.id); w == nil {
			return nil, nil
		}
		if e.ofInputs {
			return inputKinds(e, w)
		}
		outputs, s = w.Outputs, nil
	}
	for _, key := range e.keys {
		for _, o := range outputs {
			if o.Name == key.name {
				return k.kindsOf(o.Value, w, s), slices.Concat(key.way, e.way)
			}
		}
	}
	return nil, nil
}

// inputKinds knows the inputs of a workflow.
func inputKinds(e *Expression, w *Workflow) (kinds, []string) {
	if w.schema == nil || e.name == "" || !w.schema.Plain() {
		return nil, nil
	}
	for _, key := range e.keys {
		if contains(w.schema.Properties(), key.name) {
			return kinds{w.schema.Property(key.name)}, slices.Concat(key.way, e.way)
		}
	}
	return nil, nil
}

// kindsOf is what is known of a value that an output gives.
func (k *linking) kindsOf(v Value, w *Workflow, s *Step) kinds {
	if v.form != expressionForm || k.depth > maxSteps { // steps that run again may read from each other
		return nil
	}
	k.depth++
	defer func() { k.depth-- }()
	begin, way := k.begin(v.expression, w, s)
	found, _ := walkKinds(begin, way)
	return found
}

// answers are the JSON bodies with which a step may have succeeded; nil when
// one of them may be anything.
func (k *linking) answers(s *Step) kinds {
	o := s.Call.Operation
	var found []specs.Content
	for _, status := range o.Statuses() {
		if s.mayBe(status) {
			contents, _ := o.Answers(status)
			found = append(found, contents...)
		}
	}
	return jsonAnswers(found)
}

// mayBe tells whether a step may have succeeded with a status, as far as
// criteria tell that look at nothing else.
func (s *Step) mayBe(status int) bool {
	fixed := false
	for _, c := range s.Success {
		if c.Kind != "simple" || len(c.expressions) == 0 || slices.ContainsFunc(c.expressions, func(e *Expression) bool { return e.root != rootStatus }) {
			continue
		}
		fixed = true
		if !truth(c.simple.value(only(status))) {
			return false
		}
	}
	return fixed || status < 400
}

// only is a scope in which nothing but a status is known.
type only int

func (only) Inputs() map[string]any                           { return nil }
func (only) Outputs() map[string]any                          { return nil }
func (only) Step(string) (map[string]any, bool)               { return nil, false }
func (only) Flow(string) (inputs, out map[string]any, _ bool) { return nil, nil, false }
func (o only) Exchange() *Exchange                            { return &Exchange{Status: int(o)} }

func jsonAnswers(contents []specs.Content) kinds {
	var found kinds
	for _, c := range contents {
		if !c.JSON || c.Schema.Free() {
			return nil
		}
		found = append(found, c.Schema)
	}
	return found
}

// walkKinds follows a way through schemas. found is nil where nothing is known;
// missing says what is not declared, when no schema declares it.
func walkKinds(begin kinds, way []string) (found kinds, missing string) {
	for _, s := range begin {
		end, wrong, known := walkSchema(s, way)
		switch {
		case !known:
			return nil, ""
		case wrong != "":
			missing = wrong
		default:
			found = append(found, end)
		}
	}
	if len(found) > 0 {
		return found, ""
	}
	return nil, missing
}

func walkSchema(s *schema.Schema, way []string) (end *schema.Schema, missing string, known bool) {
	for _, token := range way {
		if s.Free() || !s.Plain() {
			return nil, "", false
		}
		var next *schema.Schema
		switch {
		case s.AcceptsObject() && s.AcceptsArray():
			return nil, "", false
		case s.AcceptsObject():
			if !s.Declares(token) {
				right := source.DidYouMean(token, s.Properties())
				return nil, fmt.Sprintf("%q is not declared (%s)", token, right), true
			}
			next = s.Property(token)
		case s.AcceptsArray() && index(token):
			next = s.Item()
		case s.AcceptsArray():
			return nil, fmt.Sprintf("%q is no index of a list", token), true
		default:
			return nil, fmt.Sprintf("there is nothing in %s", s.Types()), true
		}
		if next == nil {
			return nil, "", false
		}
		s = next
	}
	return s, "", !s.Free()
}

// fitsCall compares what a step hands over with the types that are asked for.
func (k *linking) fitsCall(s *Step) {
	if s.Flow != nil {
		k.fitsInputs(s.Flow, s.Parameters, s)
		return
	}
	if s.Call == nil {
		return
	}
	o := s.Call.Operation
	for _, p := range s.Parameters {
		if d := declared(o, p); d != nil {
			k.fitsParameter(p, d, s)
		}
	}
	if s.Body == nil {
		return
	}
	if c := s.Body.content(o); c != nil && c.JSON && s.Body.Payload.form != absentForm {
		var replaced []string
		for _, x := range s.Body.Replacements {
			if len(x.Target) > 0 {
				replaced = append(replaced, x.Target[0])
			}
			if x.path != nil {
				return
			}
		}
		f := fitting{linking: k, workflow: s.Workflow, step: s, replaced: replaced, what: o.ID}
		f.fits(s.Body.Payload, c.Schema, s.Body.Node.At("payload"), "the body")
	}
}

// fitsParameter finds values that no text stands for.
func (k *linking) fitsParameter(p Parameter, d *specs.Parameter, s *Step) {
	if !d.Schema.AcceptsScalar() {
		return // a list or an object may be written as a text
	}
	if p.Value.form == literalForm {
		text, ok := p.Value.literal.(string)
		if !ok {
			text, _ = Text(p.Value.literal)
		}
		if found := d.Schema.CheckText(text, schema.Request); len(found) > 0 && !d.Schema.AcceptsArray() && !d.Schema.AcceptsObject() {
			k.ps.Add(p.Node.At("value"), fmt.Sprintf("is not what %s takes as %s: %s", s.Call.Operation.ID, p.Name, found[0].Detail), "")
		}
		return
	}
	given := k.kindsOf(p.Value, s.Workflow, s)
	if given == nil || d.Schema.AcceptsArray() || d.Schema.AcceptsObject() {
		return
	}
	if !slices.ContainsFunc(given, (*schema.Schema).AcceptsScalar) {
		k.ps.Add(p.Node.At("value"), fmt.Sprintf("%s is %s, and the parameter %s of %s is %s", p.Value.expression, given, p.Name, s.Call.Operation.ID, d.Schema.Types()), "")
	}
}

func (k *linking) fitsInputs(w *Workflow, given []Parameter, s *Step) {
	if w.schema == nil || !w.schema.Plain() {
		return
	}
	f := fitting{linking: k, workflow: s.Workflow, step: s, what: "the workflow " + w.ID}
	for _, p := range given {
		if in := w.schema.Property(p.Name); in != nil {
			f.fits(p.Value, in, p.Node.At("value"), "the input "+p.Name)
		}
	}
}

// fitting compares a value with a schema.
type fitting struct {
	*linking
	workflow *Workflow
	step     *Step
	// replaced are properties of the value that are put in later.
	replaced []string
	// what asks for the value.
	what string
	// answer tells that the value is an answer, and not a request.
	answer bool
}

func (f fitting) direction() schema.Direction {
	if f.answer {
		return schema.Response
	}
	return schema.Request
}

func (f fitting) fits(v Value, s *schema.Schema, at source.Node, name string) {
	if s.Free() {
		return
	}
	switch v.form {
	case literalForm:
		if found := checkLiteral(v.literal, s, f.direction()); found != "" && len(f.replaced) == 0 {
			f.ps.Add(at, fmt.Sprintf("is not what %s takes as %s: %s", f.what, name, found), "")
		}
	case textForm:
		if !s.AcceptsString() {
			f.ps.Add(at, fmt.Sprintf("is a text, and %s takes %s as %s", f.what, s.Types(), name), "an expression alone, without braces, keeps its type")
		}
	case expressionForm:
		given := f.kindsOf(v, f.workflow, f.step)
		if given != nil && !slices.ContainsFunc(given, s.Meets) {
			f.ps.Add(at, fmt.Sprintf("%s is %s, and %s takes %s as %s", v.expression, given, f.what, s.Types(), name), "")
		}
	case listForm:
		f.fitsList(v, s, at, name)
	case mapForm:
		f.fitsMap(v, s, at, name)
	}
}

func checkLiteral(value any, s *schema.Schema, dir schema.Direction) string {
	data, err := mapping.AppendJSON(nil, value, maxText)
	if err != nil {
		return ""
	}
	found, syntax := s.Check(data, dir)
	if syntax != nil || len(found) == 0 {
		return ""
	}
	return strings.TrimSpace(found[0].Pointer + " " + found[0].Detail)
}

func (f fitting) fitsList(v Value, s *schema.Schema, at source.Node, name string) {
	if !s.AcceptsArray() {
		f.ps.Add(at, fmt.Sprintf("is a list, and %s takes %s as %s", f.what, s.Types(), name), "")
		return
	}
	item := s.Item()
	if item == nil || !s.Plain() {
		return
	}
	items := at.Items()
	for i, part := range v.list {
		where := at
		if i < len(items) {
			where = items[i]
		}
		f.fits(part, item, where, fmt.Sprintf("%s/%d", name, i))
	}
}

func (f fitting) fitsMap(v Value, s *schema.Schema, at source.Node, name string) {
	if !s.AcceptsObject() {
		f.ps.Add(at, fmt.Sprintf("is a mapping, and %s takes %s as %s", f.what, s.Types(), name), "")
		return
	}
	if !s.Plain() {
		return
	}
	for _, required := range s.Required(f.direction()) {
		if !slices.ContainsFunc(v.fields, func(p field) bool { return p.name == required }) && !contains(f.replaced, required) {
			f.ps.Add(at, fmt.Sprintf("%s needs the property %q in %s", f.what, required, name), "")
		}
	}
	inner := f
	inner.replaced = nil
	for _, p := range v.fields {
		if s.Refuses(p.name) {
			f.ps.Add(at.At(p.name), fmt.Sprintf("%s takes no property %q in %s", f.what, p.name, name), source.DidYouMean(p.name, s.Properties()))
			continue
		}
		if property := s.Property(p.name); property != nil {
			inner.fits(p.value, property, at.At(p.name), name+"/"+p.name)
		}
	}
}
