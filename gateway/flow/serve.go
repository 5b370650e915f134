package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/flow/arazzo"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/mapping"
)

// RunHeader names the run on every answer to a call that began one.
const RunHeader = "Headrace-Run"

// Path is where callers find their runs.
const Path = "/runs"

// beginning is the longest time that a caller waits for its run to be kept.
const beginning = 15 * time.Second

// serve answers an operation of a process or experience API.
func (s *Set) serve(x *gateway.Exchange, e *entry) (*gateway.Response, error) {
	inputs, body, err := s.inputs(x, e)
	if err != nil {
		return nil, err
	}
	if e.passing {
		return s.pass(x, e, inputs)
	}
	return s.begin(x, e, inputs, body)
}

// inputs makes the inputs of the workflow from the request.
func (s *Set) inputs(x *gateway.Exchange, e *entry) (map[string]any, []byte, error) {
	body, err := x.Body()
	if err != nil {
		return nil, nil, err
	}
	ex := &arazzo.Exchange{URL: x.Request.URL.RequestURI(), Method: x.Request.Method, Path: x.Params, Query: x.Request.URL.Query(), Header: x.Request.Header}
	if len(body) > 0 && strings.Contains(x.Request.Header.Get("Content-Type"), "json") {
		if ex.Body, err = mapping.Decode(body); err != nil {
			return nil, nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "the request body " + err.Error()}
		}
	} else if len(body) > 0 {
		ex.Body = string(body)
	}
	inputs, violations := e.Inputs(ex)
	if len(violations) > 0 {
		return nil, nil, &gateway.Error{Problem: gateway.InvalidBody, Detail: "the request does not give the flow what it needs", Violations: violations}
	}
	return inputs, body, nil
}

// pass goes through a flow of which nothing is kept, while its caller waits.
func (s *Set) pass(x *gateway.Exchange, e *entry, inputs map[string]any) (*gateway.Response, error) {
	r := &run{flows: s.flows, request: requestOf(x, inputs), workflow: e.Workflow, status: e.usual, outer: x, over: map[string]flowOver{}}
	r.journal.results = map[string]*result{}
	r.ctx, r.cancel = context.WithCancel(x.Context())
	defer r.cancel()
	cached := e.Workflow.Cache > 0 && !e.Workflow.Writes
	var key [32]byte
	if cached {
		key = r.flowKey(x.Operation.API.Revision)
		if a := s.flows.shelf.get(key); a != nil {
			x.Record.Cache = "hit"
			return a.response(), nil
		}
		x.Record.Cache = "miss"
	}
	outputs, f, err := r.through(r.ctx, e.Workflow, inputs, "")
	var failed *failure
	var early *passed
	var person *stuck
	switch {
	case err == nil:
		a := r.answer(f, outputs)
		if cached {
			s.flows.shelf.put(key, a, e.Workflow.Cache)
		}
		return a.response(), nil
	case errors.As(err, &early):
		return early.answer.response(), nil
	case errors.As(err, &failed):
		return nil, failed.refusal()
	case errors.As(err, &person):
		return nil, &gateway.Error{Problem: gateway.FlowFailed, Detail: person.reason}
	}
	return nil, err
}

// begin keeps a run, carries it on, and waits as long as its caller does.
func (s *Set) begin(x *gateway.Exchange, e *entry, inputs map[string]any, body []byte) (*gateway.Response, error) {
	f := s.flows
	key, err := buffer.IdempotencyKey(x, e.keys)
	if err != nil {
		return nil, err
	}
	req := requestOf(x, inputs)
	data, err := req.encode()
	if err != nil {
		return nil, err
	}
	hash := e.Workflow.Document.Hash
	kept := &ledger.Run{
		App: req.App, Operation: e.key, Workflow: e.Workflow.ID, Flow: hash, Class: x.Class, Correlation: x.Correlation,
		Key: key, Fingerprint: fingerprint(x, req.App, body), KeepKey: time.Duration(f.keys.Load()), Request: data,
	}
	f.mu.Lock()
	if !f.kept[hash] {
		kept.Document = s.texts[hash]
	}
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), beginning)
	receipt, err := f.ledger.BeginRun(ctx, kept, f.options.Lease)
	cancel()
	if err != nil {
		return nil, buffer.Refusal(err)
	}
	if receipt.Existing == nil { // with a run that was known no document was kept
		f.mu.Lock()
		f.kept[hash] = true
		f.mu.Unlock()
	}
	x.SetHeader(RunHeader, receipt.ID)
	patience := x.Operation.Wait
	if wait, ok := x.Prefer(); ok {
		patience = min(patience, wait)
	}
	if receipt.Existing == nil {
		if f.options.Observer != nil {
			f.options.Observer.RunBegan(e.key)
		}
		s.carry(receipt.Claim, req, e, patience > 0)
	}
	return f.answer(x, receipt.ID, patience, patience > 0 && receipt.Existing == nil)
}

// carry begins to carry on a new run. watched tells that its caller waits.
func (s *Set) carry(c *ledger.RunClaim, req *request, e *entry, watched bool) {
	f := s.flows
	r := &run{flows: f, claim: c, request: req, workflow: e.Workflow, status: e.usual, over: map[string]flowOver{}}
	r.journal.results, r.journal.writes = map[string]*result{}, map[string]visitWrite{}
	if watched {
		r.watchers = 1
	}
	if !f.enter(r) {
		f.release(c)
		return
	}
	go f.carry(r, nil)
}

// release gives a run back that was not begun.
func (f *Flows) release(c *ledger.RunClaim) {
	ctx, cancel := context.WithTimeout(f.given, 5*time.Second)
	defer cancel()
	if err := f.ledger.ParkRun(ctx, c, time.Now(), nil); err != nil {
		f.log.Warn("a run cannot be let go", "run", c.ID, "error", err)
	}
}

// fingerprint tells requests apart that use the same key.
func fingerprint(x *gateway.Exchange, app string, body []byte) []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(x.Request.Method), []byte(x.Request.URL.EscapedPath()), []byte(x.Request.URL.RawQuery), body, []byte(app)} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return h.Sum(nil)
}

// answer waits for a run, and answers with what it came to, or where to find it.
// counted tells that the caller is counted as a watcher already.
func (f *Flows) answer(x *gateway.Exchange, id string, patience time.Duration, counted bool) (*gateway.Response, error) {
	end, record, err := f.await(x.Context(), id, patience, counted)
	switch {
	case err != nil:
		return nil, err
	case end != nil && end.State.Final():
		return responseOf(end.Response)
	case record != nil && record.State.Final() && len(record.Response) > 0:
		return responseOf(record.Response)
	case record != nil && record.State.Final():
		return nil, &gateway.Error{Problem: gateway.Conflict, Detail: "the run has ended " + string(record.State) + "; see " + Path + "/" + id}
	}
	state := ledger.Running
	if end != nil {
		state = end.State
	} else if record != nil {
		state = record.State
	}
	return accepted(x, id, state), nil
}

func responseOf(data []byte) (*gateway.Response, error) {
	a, err := decodeAnswer(data)
	if err != nil {
		return nil, err
	}
	resp := a.response()
	return resp, nil
}

// await waits until a run does not go on by itself any more, at most as long as
// patience lasts. It gives its end, or else how it stands in the ledger.
func (f *Flows) await(ctx context.Context, id string, patience time.Duration, counted bool) (*ledger.RunEnd, *ledger.RunRecord, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	pause := 100 * time.Millisecond
	for {
		f.mu.Lock()
		r := f.live[id]
		if r != nil && !counted && patience > 0 {
			r.watchers++
		}
		f.mu.Unlock()
		if r != nil && patience > 0 {
			over, err := f.watch(ctx, r, timer.C)
			if err != nil {
				return nil, nil, err
			}
			f.mu.Lock()
			end := r.end
			f.mu.Unlock()
			if end != nil {
				return end, nil, nil
			}
			if !over {
				patience = 0
			}
		}
		counted = false
		record, err := f.ledger.GetRun(ctx, id)
		if err != nil {
			return nil, nil, refusal(err)
		}
		if record.State != ledger.Running || patience <= 0 || f.draining.Load() {
			return nil, record, nil
		}
		look := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			look.Stop()
			return nil, nil, ctx.Err()
		case <-timer.C:
			look.Stop()
			return nil, record, nil
		case <-f.ctx.Done():
		case <-look.C:
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// watch waits for a run of this process; false when the time was over before.
func (f *Flows) watch(ctx context.Context, r *run, end <-chan time.Time) (over bool, err error) {
	defer func() {
		f.mu.Lock()
		r.watchers--
		f.mu.Unlock()
	}()
	select {
	case <-r.done:
		return true, nil
	case <-end:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// refusal is what a caller is told of an error of the ledger about runs.
func refusal(err error) error {
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return &gateway.Error{Problem: gateway.NoSuchRun}
	case errors.Is(err, ledger.ErrInvalid):
		return &gateway.Error{Problem: gateway.BadRequest, Detail: strings.TrimPrefix(err.Error(), "ledger: ")}
	case errors.Is(err, ledger.ErrState):
		return &gateway.Error{Problem: gateway.WrongState, Detail: strings.TrimPrefix(err.Error(), "ledger: ")}
	}
	return buffer.Refusal(err)
}

// acceptance is the body of a 202.
type acceptance struct {
	ID       string          `json:"id"`
	State    ledger.RunState `json:"state"`
	Location string          `json:"location"`
}

// accepted answers a caller whose patience is over.
func accepted(x *gateway.Exchange, id string, state ledger.RunState) *gateway.Response {
	a := acceptance{ID: id, State: state, Location: Path + "/" + id}
	h := http.Header{"Content-Type": {"application/json"}, "Location": {a.Location}, "Cache-Control": {"no-store"}, "Retry-After": {"5"}}
	if wait, ok := x.Prefer(); ok {
		h["Preference-Applied"] = []string{"wait=" + strconv.Itoa(int(math.Ceil(wait.Seconds())))}
		if wait == 0 {
			h["Preference-Applied"] = []string{"respond-async"}
		}
	}
	data, err := json.Marshal(a)
	if err != nil {
		panic(err) // texts always have a JSON form
	}
	data = append(bytes.TrimSpace(data), '\n')
	return &gateway.Response{Status: http.StatusAccepted, Header: h, Bytes: data, Length: int64(len(data)), Own: true}
}
