package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/flow/arazzo"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/mapping"
)

// run is an execution of a workflow, as this process carries it on. Its context
// ends when it is another's.
type run struct {
	flows    *Flows
	claim    *ledger.RunClaim // nil where nothing is kept
	request  *request
	workflow *arazzo.Workflow
	status   int // of the answer, where the workflow names none
	ctx      context.Context
	cancel   context.CancelFunc
	// outer is the caller's exchange, where nothing is kept.
	outer *gateway.Exchange
	// simulated answers the calls of a test; nil otherwise.
	simulated *simulation
	// undoes tells that it is being undone.
	undoes atomic.Bool

	mu      sync.Mutex
	journal journal
	over    map[string]flowOver // the workflows that are over
	undo    []undoing
	made    int // visits that were made, by whoever has carried it on

	// done is closed when this process lets go of it; watchers wait for that.
	done     chan struct{}
	watchers int            // guarded by flows.mu
	end      *ledger.RunEnd // what it came to; nil when it was let go
}

type flowOver struct{ inputs, outputs map[string]any }

// undoing is a step that has succeeded and can be undone.
type undoing struct {
	frame *frame
	step  *arazzo.Step
	visit string
}

// known finds what a visit came to.
func (r *run) known(visit string) (*result, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res, ok := r.journal.results[visit]
	return res, ok
}

// begun finds the write of a visit of which it is not known yet what it came to.
func (r *run) begun(visit string) (started, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.journal.writes[visit]
	return started{visitWrite: w}, ok
}

// learnt notes what a visit came to; it is kept with the next commit.
func (r *run) learnt(visit, write string, began time.Time, res *result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal.results[visit] = res
	if r.claim != nil {
		r.journal.fresh = append(r.journal.fresh, ledger.RunStep{Visit: visit, Write: write, Began: began, Ended: res.At, Result: res.encode()})
	}
}

// take takes what is to be kept; giveBack returns it when it was not.
func (r *run) take() []ledger.RunStep {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := r.journal.fresh
	r.journal.fresh = nil
	return fresh
}

func (r *run) giveBack(fresh []ledger.RunStep) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal.fresh = append(fresh, r.journal.fresh...)
}

// undoable counts what can be undone so far.
func (r *run) undoable() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.undo)
}

// toUndo notes a step that can be undone. Undoing it stands for undoing what was
// done within it, from before on.
func (r *run) toUndo(before int, u undoing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.step.Flow != nil {
		r.undo = r.undo[:before]
	}
	r.undo = append(r.undo, u)
}

// mayBegin tells what speaks against a visit that has not been made yet.
func (f *frame) mayBegin(ctx context.Context) (*result, error) {
	r := f.run
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.expired && !r.undoes.Load() {
		return nil, context.DeadlineExceeded
	}
	r.mu.Lock()
	r.made++
	r.mu.Unlock()
	switch {
	case r.endless() && !r.undoes.Load():
		return &result{Status: gateway.FlowFailed.Status, At: time.Now(), Problem: problemOf(&gateway.Error{Problem: gateway.FlowFailed, Detail: fmt.Sprintf("after %d steps it had not ended", most)})}, nil
	case r.claim == nil || r.undoes.Load():
		return nil, nil
	case r.claim.Undo:
		return &result{Status: gateway.FlowFailed.Status, At: time.Now(), Problem: problemOf(&gateway.Error{Problem: gateway.FlowFailed, Detail: "an operator has it undone"})}, nil
	case r.flows.draining.Load():
		return nil, parked{until: time.Now()}
	}
	set, err := r.flows.acquire()
	if err != nil {
		return nil, err
	}
	defer set.release()
	api := ""
	if r.request.Subscribed {
		api = r.request.Through
	}
	if why := set.consumers.Revoked(r.request.App, api); why != "" {
		return nil, &stuck{cause: "revoked", reason: why}
	}
	return nil, nil
}

// endless tells that a run has made more visits than any that comes to an end.
func (r *run) endless() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made > most
}

// lastly is when the last visit ended whose name begins so; when the run was
// asked for, where there was none.
func (r *run) lastly(path string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.request.Received
	for visit, res := range r.journal.results {
		if strings.HasPrefix(visit, path) && res.At.After(at) {
			at = res.At
		}
	}
	return at
}

// watched tells whether a caller waits for the run.
func (r *run) watched() bool {
	r.flows.mu.Lock()
	defer r.flows.mu.Unlock()
	return r.watchers > 0
}

// sleep waits until a time. A run that nobody waits for is let go meanwhile. What
// need not be waited for goes on although ctx has ended: what was done within its
// time is gone through again, and nothing new begins.
func (r *run) sleep(ctx context.Context, until time.Time) error {
	d := time.Until(until)
	if d <= 0 || r.simulated != nil {
		return nil
	}
	if r.claim != nil && (d > r.flows.options.Linger && !r.watched() || r.flows.draining.Load()) {
		return parked{until: until}
	}
	return r.rest(ctx, d)
}

// rest waits for a time, or until ctx or the gateway ends.
func (r *run) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.flows.ctx.Done():
		if r.claim == nil {
			return nil
		}
		return parked{until: time.Now()}
	}
}

// account adds what a step's call took to the caller's record.
func (r *run) account(x *gateway.Exchange) {
	if r.outer == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outer.Record.Wait += x.Record.Wait
	r.outer.Record.System += x.Record.System
	r.outer.Record.Attempts += x.Record.Attempts
}

func (r *run) panicked(p any) error {
	return &gateway.Error{Problem: gateway.Internal, Cause: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
}

// carry goes through the workflow, and undoes what it has done where it fails.
// The end is nil when the run is let go, with the reason as an error.
func (r *run) carry() (*ledger.RunEnd, error) {
	outputs, f, err := r.through(r.ctx, r.workflow, r.request.Inputs, "")
	if err == nil {
		a := r.answer(f, outputs)
		return &ledger.RunEnd{State: ledger.Completed, Status: a.Status, Response: a.encode()}, nil
	}
	var failed *failure
	if !errors.As(err, &failed) {
		return r.left(err)
	}
	refusal := failed.refusal()
	state := ledger.Failed
	if r.undoable() > 0 {
		if err := r.undoAll(); err != nil {
			return r.left(err)
		}
		state = ledger.Compensated
		refusal.Detail += "; what was done before was undone"
	}
	a := refusalOf(refusal, r.request.RequestID)
	return &ledger.RunEnd{State: state, Status: a.Status, Response: a.encode(), Cause: refusal.Problem.Name, Reason: refusal.Detail}, nil
}

// left makes the end of a run that a person has to look at.
func (r *run) left(err error) (*ledger.RunEnd, error) {
	var s *stuck
	if errors.As(err, &s) {
		return &ledger.RunEnd{State: ledger.Stuck, Waits: s.write, Cause: s.cause, Reason: s.reason}, nil
	}
	var e *gateway.Error
	if errors.As(err, &e) && e.Problem == gateway.Internal {
		r.flows.log.Error("a run has come to a fault of the gateway", "correlation", r.correlation(), "error", err)
		return &ledger.RunEnd{State: ledger.Stuck, Cause: "internal", Reason: "something went wrong in the gateway"}, nil
	}
	return nil, err
}

// correlation is known before the request has been read.
func (r *run) correlation() string {
	if r.claim != nil {
		return r.claim.Correlation
	}
	return r.request.Correlation
}

// undoAttempts is how often a compensation is tried before a person is asked.
const undoAttempts = 3

// undoAll undoes what was done, the last first.
func (r *run) undoAll() error {
	r.undoes.Store(true)
	r.mu.Lock()
	list := slices.Clone(r.undo)
	r.mu.Unlock()
	tries := undoAttempts
	if r.claim != nil {
		tries *= 1 + r.claim.Again
	}
	for _, u := range slices.Backward(list) {
		for n := 1; ; n++ {
			res, err := u.frame.attempt(r.ctx, u.step.Compensation, fmt.Sprintf("undo:%s#%d", u.visit, n), time.Time{})
			if err != nil {
				return err
			}
			if res.OK {
				break
			}
			if n >= tries {
				return &stuck{cause: "compensation failed", reason: fmt.Sprintf("%s cannot be undone: %s was answered %d", u.visit, u.step.Compensation.ID, res.Status)}
			}
			if err := r.sleep(r.ctx, res.At.Add(max(res.After, r.flows.options.Backoff*time.Duration(n)))); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer makes the answer of a run that has come to its end.
func (r *run) answer(f *frame, outputs map[string]any) *answer {
	shape := f.workflow.Answer
	if f.workflow != r.workflow && (shape == nil || shape.Status == 0 && shape.Shape == nil && shape.Pass == nil && shape.Headers == nil) {
		shape = r.workflow.Answer // a workflow that took its place and says nothing of its own
	}
	if shape == nil {
		shape = &arazzo.Answer{}
	}
	if shape.Pass != nil {
		if res := r.last(f, shape.Pass.ID); res != nil && res.Answer != nil {
			return res.Answer
		}
	}
	a := &answer{Status: shape.Status, Header: http.Header{"Content-Type": {"application/json"}}}
	if a.Status == 0 {
		a.Status = r.status
	}
	var err error
	if shape.Shape != nil {
		a.Body, err = shape.Shape.JSON(r.ctx, mapping.Input{Value: any(outputs), App: r.request.App, Now: r.request.Received, More: []any{any(f.inputs)}})
	} else {
		a.Body, err = jsonBytes(outputs)
	}
	if err != nil {
		return refusalOf(gateway.AsError(unshaped(err)), r.request.RequestID)
	}
	for name, v := range values(shape.Headers, &scope{frame: f, outputs: outputs}) {
		a.Header.Set(name, text(v))
	}
	if a.Status == http.StatusNoContent {
		a.Body = nil
		a.Header.Del("Content-Type")
	}
	return a
}

// last is what the last visit to a step came to.
func (r *run) last(f *frame, step string) *result {
	f.mu.Lock()
	n := f.visits[step]
	f.mu.Unlock()
	res, _ := r.known(fmt.Sprintf("%s%s#%d", f.path, step, n))
	return res
}
