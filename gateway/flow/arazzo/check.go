package arazzo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// check resolves the names inside the document, and finds what can be found
// without the workspace.
func (r *reader) check() {
	for _, t := range r.targets {
		r.resolve(t)
	}
	for _, w := range r.document.Workflows {
		r.setUndoing(w)
		for i, s := range w.Steps {
			s.Index = i
		}
	}
	for _, w := range r.document.Workflows {
		r.checkRetries(w)
		r.checkReach(w)
	}
	r.checkCycles()
	for _, u := range r.uses {
		r.checkUse(u)
	}
	for _, w := range r.document.Workflows {
		for _, s := range w.Steps {
			s.needs = needs(s)
			r.checkOrder(s)
		}
	}
}

func (r *reader) resolve(t target) {
	if t.flow != nil {
		w := r.document.Workflow(t.id)
		if w == nil {
			var ids []string
			for _, w := range r.document.Workflows {
				ids = append(ids, w.ID)
			}
			r.ps.Add(t.at, fmt.Sprintf("there is no workflow %q", t.id), source.DidYouMean(t.id, ids))
			return
		}
		t.flow(w)
		return
	}
	s := t.workflow.Step(t.id)
	if s == nil {
		r.noStep(t.at, t.workflow, t.id)
		return
	}
	t.step(s)
}

func (r *reader) noStep(at source.Node, w *Workflow, id string) {
	var ids []string
	for _, s := range w.Steps {
		ids = append(ids, s.ID)
	}
	r.ps.Add(at, fmt.Sprintf("there is no step %q in the workflow", id), source.DidYouMean(id, ids))
}

// setUndoing takes the steps that only compensate out of the sequence.
func (r *reader) setUndoing(w *Workflow) {
	for _, s := range w.Steps {
		if !s.undoneBy.Exists() {
			continue
		}
		c := w.Step(s.undoneBy.Text())
		switch {
		case c == nil:
			r.noStep(s.undoneBy, w, s.undoneBy.Text())
		case c == s:
			r.ps.Add(s.undoneBy, "a step cannot undo itself", "")
		case c.Compensation != nil || c.undoneBy.Exists():
			r.ps.Add(s.undoneBy, fmt.Sprintf("%s has a compensation itself", c.ID), "a step that undoes another is not undone")
		case c.undoes != nil:
			r.ps.Add(s.undoneBy, fmt.Sprintf("%s undoes %s already", c.ID, c.undoes.ID), "every step needs a compensation of its own")
		default:
			s.Compensation, c.undoes, c.Index = c, s, -1
			w.undoing = append(w.undoing, c)
		}
	}
	w.Steps = slices.DeleteFunc(w.Steps, func(s *Step) bool { return s.undoes != nil })
	for _, c := range w.undoing {
		r.checkUndoing(c)
	}
	for _, s := range w.Steps {
		for _, a := range slices.Concat(s.OnSuccess, s.OnFailure) {
			if a.Step != nil && a.Step.undoes != nil {
				r.ps.Add(a.Node.Get("stepId"), fmt.Sprintf("%s is there to undo %s, and runs for nothing else", a.Step.ID, a.Step.undoes.ID), "go to another step")
			}
		}
		if len(s.dependsOn) > 0 {
			s.dependsOn = slices.DeleteFunc(s.dependsOn, func(o *Step) bool {
				if o.undoes != nil {
					r.ps.Add(s.Node.Get("dependsOn"), fmt.Sprintf("%s is there to undo %s, and runs for nothing else", o.ID, o.undoes.ID), "")
				}
				return o.undoes != nil
			})
		}
	}
}

// checkUndoing reports what means nothing at a step that only compensates.
func (r *reader) checkUndoing(c *Step) {
	for _, key := range []string{"onSuccess", "onFailure", "dependsOn", "outputs"} {
		if k := c.Node.Key(key); k.Exists() {
			r.ps.Add(k, fmt.Sprintf("%s means nothing here: the step undoes %s, and runs for nothing else", key, c.undoes.ID), "remove it")
		}
	}
	c.OnSuccess, c.OnFailure, c.Outputs = nil, nil, nil
	if c.Optional {
		r.ps.Add(c.Node.At("x-headrace", "optional"), "a compensation is not optional", "one that fails needs a person")
	}
	for i := range r.uses {
		if r.uses[i].step == c && r.uses[i].place == making {
			r.uses[i].place = undoing
		}
	}
}

// checkRetries looks at what is done before a step is tried again.
func (r *reader) checkRetries(w *Workflow) {
	for _, s := range w.Steps {
		for _, a := range s.OnFailure {
			if a.Kind == Retry && a.Step == s {
				a.Step = nil // the step itself is tried again, as it is in any case
			}
		}
	}
}

// checkReach finds steps that no way leads to, and ways that never end.
func (r *reader) checkReach(w *Workflow) {
	if len(w.Steps) == 0 {
		return
	}
	reached := w.reach(w.Steps[0])
	for _, s := range w.Steps {
		if !reached[s] {
			r.ps.Add(s.Node.At("stepId"), fmt.Sprintf("no way leads to the step %s", s.ID), "the steps before it end the run or go elsewhere; a step that only undoes another is named in its compensation")
		}
	}
	endless := slices.ContainsFunc(w.Steps, func(s *Step) bool { return reached[s] && !w.ends(s) })
	if endless {
		i := slices.IndexFunc(w.Steps, func(s *Step) bool { return reached[s] && !w.ends(s) })
		r.ps.Add(w.Steps[i].Node.At("stepId"), fmt.Sprintf("a run that comes to the step %s never ends well", w.Steps[i].ID), "every way from it leads back: add criteria, or an action of type end")
	}
}

// next are the steps that may come after a step has succeeded; end tells that
// the run may end well there.
func (w *Workflow) next(s *Step) (steps []*Step, end bool) {
	for _, a := range s.OnSuccess {
		switch {
		case a.Kind == End || a.Flow != nil:
			end = true
		case a.Step != nil:
			steps = append(steps, a.Step)
		}
		if len(a.Criteria) == 0 {
			return steps, end
		}
	}
	if s.Index+1 < len(w.Steps) {
		return append(steps, w.Steps[s.Index+1]), end
	}
	return steps, true
}

// reach finds the steps that a run may come to from one, which is among them.
func (w *Workflow) reach(from *Step) map[*Step]bool {
	reached, queue := map[*Step]bool{from: true}, []*Step{from}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		steps, _ := w.next(s)
		for _, a := range s.OnFailure {
			if a.Step != nil {
				steps = append(steps, a.Step)
			}
		}
		if s.Optional && s.Index+1 < len(w.Steps) {
			steps = append(steps, w.Steps[s.Index+1])
		}
		for _, n := range steps {
			if n.Index >= 0 && !reached[n] {
				reached[n] = true
				queue = append(queue, n)
			}
		}
	}
	return reached
}

// ends tells whether a run that is at a step may end well.
func (w *Workflow) ends(from *Step) bool {
	seen, queue := map[*Step]bool{from: true}, []*Step{from}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		steps, end := w.next(s)
		if end || slices.ContainsFunc(s.OnFailure, func(a *Action) bool { return a.Kind == End || a.Kind == Goto }) {
			return true
		}
		for _, n := range steps {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return false
}

// checkCycles finds workflows that call, or wait for, themselves.
func (r *reader) checkCycles() {
	state := map[*Workflow]int{} // 1: being looked at, 2: done
	var visit func(w *Workflow, way []string)
	visit = func(w *Workflow, way []string) {
		state[w] = 1
		way = append(way, w.ID)
		for _, c := range w.calls() {
			switch state[c.flow] {
			case 0:
				visit(c.flow, way)
			case 1:
				begin := slices.Index(way, c.flow.ID)
				r.ps.Add(c.at, "the workflows call each other for ever: "+strings.Join(append(slices.Clone(way[begin:]), c.flow.ID), " → "), "")
			}
		}
		state[w] = 2
	}
	for _, w := range r.document.Workflows {
		if state[w] == 0 {
			visit(w, nil)
		}
	}
}

type flowCall struct {
	flow *Workflow
	at   source.Node
}

// calls are the workflows that a workflow calls, goes to or waits for.
func (w *Workflow) calls() []flowCall {
	var list []flowCall
	for _, d := range w.DependsOn {
		list = append(list, flowCall{d, w.Node.At("dependsOn")})
	}
	for _, s := range slices.Concat(w.Steps, w.compensations()) {
		if s.Flow != nil {
			list = append(list, flowCall{s.Flow, s.Node.At("workflowId")})
		}
		for _, a := range slices.Concat(s.OnSuccess, s.OnFailure) {
			if a.Flow != nil {
				list = append(list, flowCall{a.Flow, a.Node.At("workflowId")})
			}
		}
	}
	return list
}

// compensations are what undoes the steps of a workflow.
func (w *Workflow) compensations() []*Step {
	var list []*Step
	for _, s := range w.Steps {
		if s.Compensation != nil {
			list = append(list, s.Compensation)
		}
	}
	return list
}

// needs are the steps that must be over because the step's request reads what
// they gave, or because it says so.
func needs(s *Step) []*Step {
	list := slices.Clone(s.dependsOn)
	add := func(e *Expression) {
		if e.root != rootStep {
			return
		}
		if o := s.Workflow.Step(e.id); o != nil && o != s && o.Index >= 0 && !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	for _, p := range s.Parameters {
		p.Value.each(add)
	}
	if s.Body != nil {
		s.Body.Payload.each(add)
		for _, x := range s.Body.Replacements {
			x.Value.each(add)
		}
	}
	for _, c := range criteriaOf(s) {
		for _, e := range c.all() {
			add(e)
		}
	}
	for _, o := range slices.Concat(s.Outputs, s.Fallback) {
		o.Value.each(add)
	}
	return list
}

// criteriaOf are all criteria at a step.
func criteriaOf(s *Step) []*Criterion {
	list := slices.Clone(s.Success)
	for _, a := range slices.Concat(s.OnSuccess, s.OnFailure) {
		list = append(list, a.Criteria...)
	}
	return list
}

// all are the expressions of a condition, its context among them.
func (c *Criterion) all() []*Expression {
	if c.context == nil {
		return c.expressions
	}
	return append(slices.Clip(c.expressions), c.context)
}

// checkOrder finds steps that wait for a later one.
func (r *reader) checkOrder(s *Step) {
	for _, o := range s.dependsOn {
		if o.Index >= s.Index {
			r.ps.Add(s.Node.At("dependsOn"), fmt.Sprintf("%s comes after %s", o.ID, s.ID), "put the step behind those that it waits for")
		}
	}
}
