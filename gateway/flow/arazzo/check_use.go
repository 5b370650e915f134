package arazzo

import (
	"fmt"
	"slices"

	"github.com/headrace/headrace/specs/source"
)

// checkUse finds expressions that name what does not exist, or what is not
// known yet where they stand.
func (r *reader) checkUse(u use) {
	e := u.expression
	switch e.root {
	case rootURL, rootMethod, rootStatus, rootRequest, rootResponse:
		if u.place == inheriting {
			return
		}
		if u.place != judging {
			r.ps.Add(u.at, fmt.Sprintf("%s is not known here", e), "it is known once the step's call was made; make it an output of the step")
		}
	case rootInputs:
		r.checkInput(u)
	case rootOutputs:
		r.checkOutputs(u)
	case rootStep:
		if u.place != inheriting {
			r.checkStepUse(u)
		}
	case rootWorkflow:
		r.checkFlowUse(u)
	case rootSource:
		r.checkSourceUse(u)
	case rootSelf:
		e.constant = &Value{form: literalForm, literal: r.self}
	case rootComponent:
		r.checkComponentUse(u)
	}
}

// declared tells whether one of the ways to read a name is declared.
func (e *Expression) declared(names []string) bool {
	return e.name == "" || slices.ContainsFunc(e.keys, func(k key) bool { return contains(names, k.name) })
}

// checkInput needs a schema that says what there is.
func (r *reader) checkInput(u use) {
	var names []string
	for _, in := range u.workflow.Inputs {
		names = append(names, in.Name)
	}
	if !u.expression.declared(names) && (u.workflow.inputsNode.Get("properties").Exists() || !u.workflow.inputsNode.Exists()) {
		r.ps.Add(u.at, fmt.Sprintf("the workflow has no input %q", u.expression.name), source.DidYouMean(u.expression.name, names))
	}
}

func outputNames(outputs []Output) []string {
	var names []string
	for _, o := range outputs {
		names = append(names, o.Name)
	}
	return names
}

// checkOutputs knows $outputs: those of the workflow when it has ended, and of
// the workflow that a step has called.
func (r *reader) checkOutputs(u use) {
	names := outputNames(u.workflow.Outputs)
	switch {
	case u.place == judging && u.step != nil && u.step.calls:
		if u.step.Flow == nil {
			return // reported
		}
		names = outputNames(u.step.Flow.Outputs)
	case u.place == inheriting:
		return
	case u.place != answering:
		r.ps.Add(u.at, fmt.Sprintf("%s is not known here", u.expression), "outputs of the workflow are known when it has ended, those of a step are $steps.STEP.outputs.NAME")
		return
	}
	if !u.expression.declared(names) {
		r.ps.Add(u.at, fmt.Sprintf("the workflow has no output %q", u.expression.name), source.DidYouMean(u.expression.name, names))
	}
}

func (r *reader) checkStepUse(u use) {
	e, w := u.expression, u.workflow
	s := w.Step(e.id)
	if s == nil {
		r.noStep(u.at, w, e.id)
		return
	}
	if names := outputNames(s.Outputs); !e.declared(names) {
		r.ps.Add(u.at, fmt.Sprintf("the step %s has no output %q", e.id, e.name), source.DidYouMean(e.name, names))
		return
	}
	if s.undoes != nil {
		r.ps.Add(u.at, fmt.Sprintf("%s is there to undo %s, and has no outputs", s.ID, s.undoes.ID), "")
		return
	}
	user := u.step
	if user != nil && user.undoes != nil {
		user = user.undoes
	}
	if user == nil || user.Index < 0 {
		return
	}
	switch {
	case s == user && u.place == undoing:
	case s == user && u.place == judging:
		r.ps.Add(u.at, fmt.Sprintf("%s reads its own outputs before it has them", s.ID), "read them from $response")
	case !w.before(s, user):
		r.ps.Add(u.at, fmt.Sprintf("%s is never over when %s runs", s.ID, user.ID), "put it before, or go back to this step")
	}
}

// before tells whether a step may be over when another one begins.
func (w *Workflow) before(s, user *Step) bool {
	if s != user && s.Index < user.Index {
		return true
	}
	steps, _ := w.next(s)
	for _, a := range s.OnFailure {
		if a.Step != nil && a.Kind == Goto {
			steps = append(steps, a.Step)
		}
	}
	return slices.ContainsFunc(steps, func(n *Step) bool { return n == user || n.Index >= 0 && w.reach(n)[user] })
}

// checkFlowUse knows $workflows: those that the workflow has waited for or
// called, and its own inputs.
func (r *reader) checkFlowUse(u use) {
	e := u.expression
	w := r.document.Workflow(e.id)
	if w == nil {
		var ids []string
		for _, w := range r.document.Workflows {
			ids = append(ids, w.ID)
		}
		r.ps.Add(u.at, fmt.Sprintf("there is no workflow %q", e.id), source.DidYouMean(e.id, ids))
		return
	}
	names := outputNames(w.Outputs)
	if e.ofInputs {
		names = nil
		for _, in := range w.Inputs {
			names = append(names, in.Name)
		}
	}
	what := map[bool]string{true: "input", false: "output"}[e.ofInputs]
	if !e.declared(names) {
		r.ps.Add(u.at, fmt.Sprintf("the workflow %s has no %s %q", w.ID, what, e.name), source.DidYouMean(e.name, names))
		return
	}
	runs := slices.ContainsFunc(u.workflow.calls(), func(c flowCall) bool { return c.flow == w })
	if w != u.workflow && !runs {
		r.ps.Add(u.at, fmt.Sprintf("the workflow %s does not run before", w.ID), "call it by a step, or name it in dependsOn")
	}
	if w == u.workflow && !e.ofInputs && u.place != answering {
		r.ps.Add(u.at, fmt.Sprintf("%s is not known here", e), "outputs of the workflow are known when it has ended")
	}
}

// checkSourceUse puts in the fields of a source description.
func (r *reader) checkSourceUse(u use) {
	e := u.expression
	s := r.sourceNamed(u.at, e.id)
	if s == nil {
		return
	}
	fields := map[string]string{"name": s.Name, "url": s.URL, "type": s.Type}
	value, ok := fields[e.name]
	if !ok {
		r.ps.Add(u.at, fmt.Sprintf("%s is no value", e), source.DidYouMean(e.name, []string{"name", "url", "type"}))
		return
	}
	e.constant = &Value{form: literalForm, literal: value}
}

// checkComponentUse puts in the value of a parameter.
func (r *reader) checkComponentUse(u use) {
	e := u.expression
	n := r.components[e.part+"."+e.name]
	switch {
	case e.part != "parameters":
		r.ps.Add(u.at, fmt.Sprintf("%s is no value", e), "only parameters have one")
	case !n.Exists():
		r.ps.Add(u.at, fmt.Sprintf("there is no component %q", e.name), source.DidYouMean(e.name, r.componentNames(e.part)))
	case e.constant == nil:
		nested := &reader{ps: r.ps, document: r.document, components: r.components, selectors: r.selectors, workflow: u.workflow, step: u.step}
		v := nested.value(n.Get("value"), u.place)
		for _, inner := range nested.uses {
			if inner.expression.root == rootComponent {
				r.ps.Add(u.at, fmt.Sprintf("%s leads to another component", e), "write its value")
				return
			}
			r.checkUse(inner)
		}
		e.constant = &v
	}
}
