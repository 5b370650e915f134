package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/flow/arazzo"
)

// frame is one workflow on its way within a run: the run's own, or that of a
// step or of a goto.
type frame struct {
	run      *run
	workflow *arazzo.Workflow
	inputs   map[string]any
	path     string // what the names of its visits begin with
	expired  bool   // its time was over when it was gone through before

	mu      sync.Mutex
	outputs map[string]map[string]any // of the steps that are over
	visits  map[string]int
	taken   map[*arazzo.Action]int
}

// most visits of a run: a workflow that goes round in circles ends.
const most = 1000

// workflow goes through a workflow, and those that take its place.
func (r *run) through(ctx context.Context, w *arazzo.Workflow, inputs map[string]any, path string) (map[string]any, *frame, error) {
	for n := 1; ; n++ {
		f := &frame{run: r, workflow: w, inputs: inputs, path: path, outputs: map[string]map[string]any{}, visits: map[string]int{}, taken: map[*arazzo.Action]int{}}
		if err := f.before(ctx); err != nil {
			return nil, f, err
		}
		next, err := f.bounded(ctx)
		if err != nil {
			return nil, f, err
		}
		if next == nil {
			s := &scope{frame: f}
			outputs := values(w.Outputs, s)
			r.mu.Lock()
			r.over[w.ID] = flowOver{inputs, outputs}
			r.mu.Unlock()
			return outputs, f, nil
		}
		inputs = f.parameters(next.Parameters)
		w, path = next.Flow, fmt.Sprintf("%s>%s#%d/", path, next.Flow.ID, n)
	}
}

// before goes through the workflows that must have been completed before this
// one, with the same inputs, unless the run has done so already.
func (f *frame) before(ctx context.Context) error {
	for _, w := range f.workflow.DependsOn {
		f.run.mu.Lock()
		_, over := f.run.over[w.ID]
		f.run.mu.Unlock()
		if over {
			continue
		}
		if _, _, err := f.run.through(ctx, w, f.inputs, f.path+"<"+w.ID+"/"); err != nil {
			return err
		}
	}
	return nil
}

// bounded takes the steps within the workflow's time. That it was over is noted,
// so that no further step begins when the run is gone through again.
func (f *frame) bounded(ctx context.Context) (*arazzo.Action, error) {
	if f.workflow.Timeout == 0 {
		return f.walk(ctx)
	}
	mark := f.path + "!"
	began := f.began()
	res, expired := f.run.known(mark)
	f.expired = expired
	end := began.Add(f.workflow.Timeout)
	if expired {
		end = time.Now()
	}
	within, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	next, err := f.walk(within)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return next, err
	}
	if !expired {
		res = timedOut("the time of the whole flow was over")
		f.run.learnt(mark, "", began, res)
	}
	return nil, &failure{step: f.workflow.ID, result: res}
}

// began is when the workflow was begun. That of one within another is noted: its
// time does not begin anew when the run is gone through again.
func (f *frame) began() time.Time {
	if f.path == "" {
		return f.run.request.Received
	}
	mark := f.path + "from!"
	if res, ok := f.run.known(mark); ok {
		return res.At
	}
	now := time.Now()
	f.run.learnt(mark, "", now, &result{OK: true, At: now})
	return now
}

// parameters evaluates the inputs of a workflow.
func (f *frame) parameters(list []arazzo.Parameter) map[string]any {
	s := &scope{frame: f}
	in := make(map[string]any, len(list))
	for _, p := range list {
		if v, ok := p.Value.Eval(s); ok {
			in[p.Name] = v
		}
	}
	return in
}

// finished is a step that is over for now.
type finished struct {
	step   *arazzo.Step
	action *arazzo.Action
	err    error
}

// walk takes the steps, side by side as far as they do not depend on each other.
// It returns the goto that leads to another workflow; nil at the end.
func (f *frame) walk(ctx context.Context) (*arazzo.Action, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const (
		pending = iota
		active
		over
	)
	states := make([]int, len(f.workflow.Steps))
	ready := func(s *arazzo.Step) bool {
		for _, i := range s.After {
			if states[i] != over {
				return false
			}
		}
		return true
	}
	ends := make(chan finished)
	var leave *arazzo.Action
	var failed error
	for running, done := 0, false; ; {
		for i, s := range f.workflow.Steps {
			if done || failed != nil || running >= f.run.flows.options.Parallel {
				break
			}
			if states[i] == pending && ready(s) {
				states[i] = active
				running++
				go func() {
					e := finished{step: s}
					defer func() {
						if p := recover(); p != nil {
							e.err = f.run.panicked(p)
						}
						ends <- e
					}()
					e.action, e.err = f.take(ctx, s)
				}()
			}
		}
		if running == 0 {
			return leave, failed
		}
		e := <-ends
		running--
		states[e.step.Index] = over
		switch a := e.action; {
		case e.err != nil:
			if failed == nil {
				failed = e.err
			}
			cancel() // what the others read is of no use any more
		case a == nil:
		case a.Kind == arazzo.End:
			done = true
		case a.Step != nil:
			for i := range states {
				if i >= a.Step.Index {
					states[i] = pending
				} else {
					states[i] = over // what is jumped over has no outputs
				}
			}
		default:
			leave, done = a, true
		}
	}
}

// take takes a step, again and again as its actions say, and returns the action
// that leads away from it; nil goes on.
func (f *frame) take(ctx context.Context, s *arazzo.Step) (*arazzo.Action, error) {
	stepped := ctx
	deadline, _ := ctx.Deadline()
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		stepped, cancel = context.WithTimeout(ctx, s.Timeout)
		defer cancel()
	}
	for {
		visit := f.name(s)
		before := f.run.undoable()
		res, err := f.attempt(stepped, s, visit, deadline)
		if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			res, err = timedOut("its time was over"), nil
			f.run.learnt(visit, "", res.At, res)
		}
		if err != nil {
			return nil, err
		}
		if res.OK {
			f.finish(s, res.Outputs)
			if s.Compensation != nil {
				f.run.toUndo(before, undoing{f, s, visit})
			}
			return action(s.OnSuccess, res), nil
		}
		switch a := action(s.OnFailure, res); {
		case a == nil && s.Optional:
			f.finish(s, values(s.Fallback, &scope{frame: f}))
			return nil, nil
		case a == nil, a.Kind == arazzo.End:
			return nil, &failure{step: f.path + s.ID, result: res}
		case a.Kind == arazzo.Goto:
			f.finish(s, res.Outputs)
			return a, nil
		default:
			if err := f.again(ctx, a, res, visit); err != nil {
				return nil, err
			}
		}
	}
}

// again prepares another attempt: it waits, and does what is to be done first.
func (f *frame) again(ctx context.Context, a *arazzo.Action, res *result, visit string) error {
	f.mu.Lock()
	f.taken[a]++
	f.mu.Unlock()
	if err := f.run.sleep(ctx, res.At.Add(max(a.RetryAfter, res.After))); err != nil {
		return err
	}
	switch {
	case a.Flow != nil:
		_, _, err := f.run.through(ctx, a.Flow, f.parameters(a.Parameters), visit+">"+a.Flow.ID+"/")
		return err
	case a.Step != nil:
		_, err := f.take(ctx, a.Step)
		return err
	}
	return nil
}

// name gives a visit its name.
func (f *frame) name(s *arazzo.Step) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.visits[s.ID]++
	return fmt.Sprintf("%s%s#%d", f.path, s.ID, f.visits[s.ID])
}

func (f *frame) finish(s *arazzo.Step, outputs map[string]any) {
	f.mu.Lock()
	f.outputs[s.ID] = outputs
	f.mu.Unlock()
}

// action is the one that was chosen when the step ended.
func action(list []*arazzo.Action, r *result) *arazzo.Action {
	if r.Action < 1 || r.Action > len(list) {
		return nil
	}
	return list[r.Action-1]
}

// choose chooses the first action whose criteria hold, and that is not used up.
func (f *frame) choose(list []*arazzo.Action, s arazzo.Scope) (int, error) {
	for i, a := range list {
		f.mu.Lock()
		used := a.Kind == arazzo.Retry && f.taken[a] >= a.RetryLimit
		f.mu.Unlock()
		if used {
			continue
		}
		ok, err := arazzo.Hold(a.Criteria, s)
		if err != nil {
			return 0, err
		}
		if ok {
			return i + 1, nil
		}
	}
	return 0, nil
}

// timedOut is what a visit comes to that was given up.
func timedOut(detail string) *result {
	return &result{Status: gateway.SystemTimeout.Status, At: time.Now(), Problem: problemOf(&gateway.Error{Problem: gateway.SystemTimeout, Detail: detail})}
}
