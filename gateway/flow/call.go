package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/flow/arazzo"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
)

// attempt makes a visit, or finds what is known of it.
func (f *frame) attempt(ctx context.Context, s *arazzo.Step, visit string, deadline time.Time) (*result, error) {
	r := f.run
	if s.Flow != nil {
		return f.within(ctx, s, visit)
	}
	if known, ok := r.known(visit); ok {
		return known, nil
	}
	begun, waits := r.begun(visit)
	if !waits {
		if res, err := f.mayBegin(ctx); res != nil || err != nil {
			return res, err
		}
	}
	set, err := r.flows.acquire()
	if err != nil {
		return nil, err
	}
	defer set.release()
	l := set.lower[s.Call.Key()]
	if l == nil {
		return nil, &stuck{cause: "operation gone", reason: fmt.Sprintf("there is no operation %s any more", s.Call.Key())}
	}
	began := time.Now()
	c, err := f.request(s)
	if err != nil {
		return f.learn(s, visit, "", began, nil, nil, gateway.AsError(err))
	}
	if l.op.Spec.Safe() || r.claim == nil {
		return f.read(ctx, set, l, s, c, visit, began)
	}
	if !waits {
		if begun, err = f.begin(ctx, set, l, s, c, visit); err != nil {
			return nil, err
		}
		if begun.id == "" { // refused before it was kept
			return f.learn(s, visit, "", began, c, nil, begun.refusal)
		}
	}
	set.release() // the write may take its time
	return f.await(ctx, s, c, visit, begun, deadline)
}

// within is sub within the step's time. That it was over was noted: what was done
// before is gone through again, for it may have to be undone, and no more is begun.
func (f *frame) within(ctx context.Context, s *arazzo.Step, visit string) (*result, error) {
	known, expired := f.run.known(visit)
	if !expired {
		return f.sub(ctx, s, visit)
	}
	over, cancel := context.WithDeadline(ctx, time.Now())
	defer cancel()
	if _, err := f.sub(over, s, visit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return known, nil
}

// sub makes the visit of a step that calls a workflow. Nothing is kept of it
// but the visits inside, which are walked over again.
func (f *frame) sub(ctx context.Context, s *arazzo.Step, visit string) (*result, error) {
	outputs, inner, err := f.run.through(ctx, s.Flow, f.parameters(s.Parameters), visit+"/")
	var failed *failure
	if errors.As(err, &failed) {
		res := &result{Status: failed.result.Status, Problem: failed.result.Problem, At: failed.result.At, After: failed.result.After}
		if f.run.endless() || f.run.claim != nil && f.run.claim.Undo {
			return res, nil // no action leads to anything that is still begun
		}
		res.Action, err = f.choose(s.OnFailure, &scope{frame: f})
		return res, err
	}
	if err != nil {
		return nil, err
	}
	sc := &scope{frame: f, outputs: outputs}
	res := &result{OK: true, Outputs: outputs, At: f.run.lastly(visit + "/")}
	if len(s.Outputs) > 0 {
		res.Outputs = values(s.Outputs, &scope{frame: inner, outputs: outputs})
	}
	if res.OK, err = arazzo.Hold(s.Success, sc); err != nil {
		return nil, err
	}
	list := s.OnSuccess
	if !res.OK {
		list = s.OnFailure
	}
	res.Action, err = f.choose(list, sc)
	return res, err
}

// call is a step's request, evaluated.
type call struct {
	params  specs.Params
	query   url.Values
	header  http.Header
	body    []byte
	value   any // the body as expressions see it
	hasBody bool
	path    string
}

// request evaluates the request of a step.
func (f *frame) request(s *arazzo.Step) (*call, error) {
	sc := &scope{frame: f}
	c := &call{query: url.Values{}, header: http.Header{}}
	c.path = s.Call.Operation.Path
	for _, p := range s.Parameters {
		v, ok := p.Value.Eval(sc)
		if !ok {
			if p.In == "path" {
				return nil, &gateway.Error{Problem: gateway.InvalidRequest, Detail: fmt.Sprintf("nothing gives the path parameter %q of %s", p.Name, s.ID)}
			}
			continue
		}
		c.place(p, v)
	}
	if s.Body == nil {
		return c, nil
	}
	v, ok := s.Body.Payload.Eval(sc)
	if !ok {
		v = nil
	}
	for _, rep := range s.Body.Replacements {
		if to, ok := rep.Value.Eval(sc); ok {
			v = replaced(v, rep.Target, to)
		}
	}
	if v == nil && !ok {
		return c, nil
	}
	return c, c.encode(s.Body.ContentType, v)
}

func (c *call) place(p arazzo.Parameter, v any) {
	switch p.In {
	case "path":
		c.params = append(c.params, specs.Param{Name: p.Name, Value: text(v)})
		c.path = strings.ReplaceAll(c.path, "{"+p.Name+"}", url.PathEscape(text(v)))
	case "query":
		if list, ok := v.([]any); ok {
			for _, item := range list {
				c.query.Add(p.Name, text(item))
			}
			return
		}
		c.query.Set(p.Name, text(v))
	case "header":
		c.header.Set(p.Name, text(v))
	case "cookie":
		c.header.Add("Cookie", p.Name+"="+url.QueryEscape(text(v)))
	}
}

// encode makes the body of its media type.
func (c *call) encode(contentType string, v any) error {
	if contentType == "" {
		contentType = "application/json"
	}
	c.value, c.hasBody = v, true
	c.header.Set("Content-Type", contentType)
	switch {
	case strings.Contains(contentType, "json"):
		data, err := json.Marshal(v)
		c.body = data
		return err
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		form := url.Values{}
		fields, _ := v.(map[string]any)
		for name, value := range fields {
			form.Set(name, text(value))
		}
		c.body = []byte(form.Encode())
		return nil
	}
	c.body = []byte(text(v))
	return nil
}

// text is a value in a place that holds text.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// replaced gives a value with another one at a place; the value itself is not
// changed. What is missing on the way is made.
func replaced(v any, at []string, to any) any {
	if len(at) == 0 {
		return to
	}
	if list, ok := v.([]any); ok {
		list = slices.Clone(list)
		if at[0] == "-" {
			return append(list, replaced(nil, at[1:], to))
		}
		if i, err := strconv.Atoi(at[0]); err == nil && i >= 0 && i < len(list) {
			list[i] = replaced(list[i], at[1:], to)
		}
		return list
	}
	fields, _ := v.(map[string]any)
	changed := make(map[string]any, len(fields)+1)
	for name, value := range fields {
		changed[name] = value
	}
	changed[at[0]] = replaced(changed[at[0]], at[1:], to)
	return changed
}

// exchange makes the call of an operation in the name of the run's caller.
func (r *run) exchange(ctx context.Context, set *use, l *lower, s *arazzo.Step, c *call) *gateway.Exchange {
	u := url.URL{Path: l.op.API.Base + c.path, RawQuery: c.query.Encode()}
	if p, err := url.PathUnescape(u.Path); err == nil {
		u.Path, u.RawPath = p, u.Path
	}
	h := c.header.Clone()
	if r.request.Trace != "" && h.Get("Traceparent") == "" {
		h.Set("Traceparent", r.request.Trace)
	}
	hr := (&http.Request{Method: l.op.Spec.Method, URL: &u, Header: h, Host: "headrace", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RequestURI: u.RequestURI(), Body: http.NoBody}).WithContext(ctx)
	if c.hasBody {
		hr.Body, hr.ContentLength = io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
	}
	x := &gateway.Exchange{
		Request: hr, ID: r.request.RequestID, Correlation: r.request.Correlation, Operation: l.op, Params: c.params, BodyLimit: maxAnswer,
		Class: r.class(l, s), Through: set.apis[r.request.Through],
	}
	x.Record.Started = time.Now()
	if r.request.App != "" {
		x.App = set.consumers.Apps[r.request.App]
	}
	if r.request.Subscribed && x.App != nil && x.Through != nil && !r.undoes.Load() {
		x.Subscription = set.consumers.Subscription(x.App, x.Through)
	}
	return x
}

// class is the step's own, else the workflow's, else that of the call which
// began the run, where somebody has said one, else the operation's.
func (r *run) class(l *lower, s *arazzo.Step) specs.Class {
	switch {
	case s.Class != nil:
		return *s.Class
	case s.Workflow.Class != nil:
		return *s.Workflow.Class
	case r.request.Classed:
		return r.request.Class
	}
	return l.op.Class
}

// read makes a call whose answer is all that it is about, or, in a flow of which
// nothing is kept, the one write that is passed through.
func (f *frame) read(ctx context.Context, set *use, l *lower, s *arazzo.Step, c *call, visit string, began time.Time) (*result, error) {
	r := f.run
	if r.simulated != nil {
		return f.pretend(ctx, set, l, s, c, visit)
	}
	cached := s.Cache > 0 && l.op.Spec.Safe()
	var key [32]byte
	if cached {
		key = r.callKey(l, c)
		if a := r.flows.shelf.get(key); a != nil {
			return f.learn(s, visit, "", began, c, a, nil)
		}
	}
	x := r.exchange(ctx, set, l, s, c)
	if r.outer != nil {
		for _, name := range []string{"Prefer", "Idempotency-Key"} {
			if values := r.outer.Request.Header[name]; len(values) > 0 && (name == "Prefer" || !l.op.Spec.Safe()) {
				x.Request.Header[name] = values
			}
		}
	}
	resp, err := l.handler(x)
	r.account(x)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return f.learn(s, visit, "", began, c, nil, gateway.AsError(err))
	}
	a, err := answerOf(resp)
	if err != nil {
		return f.learn(s, visit, "", began, c, nil, gateway.AsError(err))
	}
	if resp.Own && a.Status == http.StatusAccepted && !l.op.Spec.Safe() {
		return nil, &passed{a} // held: there is nothing to shape yet
	}
	if cached {
		r.flows.shelf.put(key, a, s.Cache)
	}
	return f.learn(s, visit, "", began, c, a, nil)
}

// pretend makes a call of a test: it is checked, and answered as the test says.
func (f *frame) pretend(ctx context.Context, set *use, l *lower, s *arazzo.Step, c *call, visit string) (*result, error) {
	if _, err := l.check(f.run.exchange(ctx, set, l, s, c)); err != nil {
		return f.learn(s, visit, "", time.Now(), c, nil, gateway.AsError(err))
	}
	a := f.run.simulated.answer(s.Call.Key(), l.op.Spec.Safe())
	if a == nil {
		return f.learn(s, visit, "", time.Now(), c, nil, &gateway.Error{Problem: gateway.SystemUnavailable, Detail: "the test has no answer of " + s.Call.Key()})
	}
	return f.learn(s, visit, "", time.Now(), c, a, nil)
}

// started is the write of a visit, or why there is none.
type started struct {
	visitWrite
	refusal *gateway.Error
}

// begin keeps the write of a visit, with all that was learnt before.
func (f *frame) begin(ctx context.Context, set *use, l *lower, s *arazzo.Step, c *call, visit string) (started, error) {
	r := f.run
	if _, err := l.check(r.exchange(ctx, set, l, s, c)); err != nil {
		return started{refusal: gateway.AsError(err)}, nil
	}
	pause := 50 * time.Millisecond
	for {
		fresh := r.take()
		id, err := set.buffer.Begin(r.exchange(ctx, set, l, s, c), &ledger.RunWrite{Claim: r.claim, Visit: visit, Steps: fresh})
		if err == nil {
			return started{visitWrite: visitWrite{id: id, began: time.Now()}}, nil
		}
		r.giveBack(fresh)
		if errors.Is(err, ledger.ErrFenced) {
			return started{}, err
		}
		if refusal, ok := err.(*gateway.Error); ok {
			return started{refusal: refusal}, nil
		}
		if errors.Is(err, ledger.ErrInvalid) { // it never will be kept
			return started{refusal: &gateway.Error{Problem: gateway.InvalidRequest, Detail: strings.TrimPrefix(err.Error(), "ledger: ")}}, nil
		}
		r.flows.log.Warn("the write of a step cannot be kept yet", "run", r.claim.ID, "step", visit, "error", err)
		// Whether it was kept may not be known: it is tried until it is, whatever the
		// step's time.
		if err := r.rest(r.ctx, pause); err != nil {
			return started{}, err
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// await waits until the write of a visit is over. A write whose step has no more
// time is taken back, if it still can be.
func (f *frame) await(ctx context.Context, s *arazzo.Step, c *call, visit string, w started, deadline time.Time) (*result, error) {
	r := f.run
	if s.Timeout > 0 {
		deadline = earlier(w.began.Add(s.Timeout), deadline)
	}
	if r.undoes.Load() {
		deadline = time.Time{}
	}
	since := time.Now()
	for {
		patience := r.flows.options.Linger
		late := !deadline.IsZero() && !time.Now().Before(deadline)
		if !deadline.IsZero() && !late {
			patience = min(patience, time.Until(deadline)+time.Millisecond)
		}
		if late {
			err := r.flows.options.Buffer.Cancel(r.ctx, w.id, ledger.By{Actor: "headrace", Reason: "the time of the step was over"})
			if err != nil && !errors.Is(err, ledger.ErrState) {
				r.flows.log.Warn("a write cannot be taken back", "run", r.claim.ID, "write", w.id, "error", err)
			}
		}
		over, err := r.flows.options.Buffer.Over(r.ctx, w.id, patience)
		switch {
		case r.ctx.Err() != nil:
			return nil, r.ctx.Err()
		case gone(err):
			return nil, &stuck{cause: "write gone", reason: "the write of " + visit + " is not in the ledger any more"}
		case err != nil:
			if err := r.rest(ctx, time.Second); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return nil, err
			}
			continue
		case over == nil && r.flows.draining.Load(), over == nil && !r.watched() && time.Since(since) >= r.flows.options.Linger:
			return nil, parked{until: f.lookAgain(deadline, late)}
		case over == nil:
			continue
		case over.ReplacedBy != "":
			edited, err := r.flows.ledger.RunOf(r.ctx, over.ReplacedBy)
			if err != nil {
				if err := r.rest(r.ctx, time.Second); err != nil {
					return nil, err
				}
				continue
			}
			if edited == r.claim.ID { // an operator has edited it: that one is the step now
				w.id = over.ReplacedBy
				continue
			}
		}
		return f.judge(s, c, visit, w, over)
	}
}

// gone tells that there is no such write.
func gone(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Problem == gateway.NoSuchWrite
}

// lookAgain is when a run that waits for a write looks at it without being told.
func (f *frame) lookAgain(deadline time.Time, late bool) time.Time {
	again := time.Now().Add(5 * time.Minute)
	if deadline.IsZero() || late {
		return again
	}
	return earlier(again, deadline)
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

// judge makes the result of a write that is over.
func (f *frame) judge(s *arazzo.Step, c *call, visit string, w started, over *buffer.Over) (*result, error) {
	if over.Dead {
		return nil, &stuck{write: w.id, cause: "write needs a decision", reason: fmt.Sprintf("the write of %s is %s: %s", visit, over.State, over.Reason)}
	}
	var a *answer
	var refusal *gateway.Error
	if over.Response != nil {
		var err error
		if a, err = answerOf(over.Response); err != nil {
			refusal = gateway.AsError(err)
		}
	}
	switch {
	case over.State == ledger.Superseded:
		a = &answer{Status: http.StatusAccepted, Header: http.Header{}}
	case over.State == ledger.Cancelled:
		refusal = &gateway.Error{Problem: gateway.Conflict, Detail: "its write was taken back: " + over.Reason}
	case over.State == ledger.Expired:
		refusal = &gateway.Error{Problem: gateway.SystemUnavailable, Detail: "the time of its write was over before it could be sent"}
	case over.State == ledger.Delivered && (a == nil || over.Problem != ""):
		// It is done, and the answer is lost, or a person has said so.
		a, refusal = &answer{Status: http.StatusOK, Header: http.Header{}}, nil
		if over.Status/100 == 2 {
			a.Status = over.Status
		}
	case over.Problem != "":
		refusal = readProblem(a)
	case a == nil:
		refusal = &gateway.Error{Problem: gateway.Conflict, Detail: "its write is " + string(over.State) + ": " + over.Reason}
	}
	return f.learn(s, visit, w.id, w.began, c, a, refusal)
}

// readProblem reads a refusal out of its document.
func readProblem(a *answer) *gateway.Error {
	var d struct {
		Title, Detail, System, Pool, SystemCode string
		Status                                  int
		Violations                              []specs.Violation
	}
	if json.Unmarshal(a.Body, &d) != nil {
		d.Title, d.Status = "The request was refused", a.Status
	}
	return &gateway.Error{Problem: gateway.Problem{Name: a.Problem, Status: d.Status, Title: d.Title}, Detail: d.Detail, System: d.System, Pool: d.Pool, SystemCode: d.SystemCode, Violations: d.Violations}
}

// learn makes the result of a visit from its answer or refusal, and notes it.
func (f *frame) learn(s *arazzo.Step, visit, write string, began time.Time, c *call, a *answer, refusal *gateway.Error) (*result, error) {
	r := f.run
	res := &result{At: time.Now(), Operation: s.Call.Key(), System: s.Call.Operation.Governance.System}
	if refusal != nil {
		a = refusalOf(refusal, r.request.RequestID)
		res.Problem = problemOf(refusal)
	}
	sc := &scope{frame: f, exchange: exchangeOf(s, c, a)}
	res.Status, res.After = a.Status, retryAfter(a.Header)
	if err := f.evaluate(s, a, sc, res); err != nil {
		res.OK = false
		res.Problem = problemOf(gateway.AsError(err))
	}
	list := s.OnFailure
	if res.OK {
		list = s.OnSuccess
	}
	if s.Index >= 0 {
		var err error
		if res.Action, err = f.choose(list, sc); err != nil {
			res.OK, res.Action, res.Problem = false, 0, problemOf(gateway.AsError(err))
		}
	}
	if p := f.workflow.Answer; p != nil && p.Pass == s {
		res.Answer = a
	}
	r.learnt(visit, write, began, res)
	return res, nil
}

// evaluate shapes the body, and finds out whether the step has succeeded and
// what comes out of it.
func (f *frame) evaluate(s *arazzo.Step, a *answer, sc *scope, res *result) (err error) {
	if sc.exchange.ResponseBody, err = a.value(); err != nil {
		return err
	}
	if s.Shape != nil && res.Problem == nil && a.Status < 400 {
		in := mapping.Input{Value: sc.exchange.ResponseBody, App: f.run.request.App, Status: a.Status, Now: f.run.request.Received, More: []any{any(f.inputs)}}
		if sc.exchange.ResponseBody, err = s.Shape.Value(f.run.ctx, in); err != nil {
			return unshaped(err)
		}
	}
	if len(s.Success) == 0 {
		res.OK = a.Status < 400
	} else if res.OK, err = arazzo.Hold(s.Success, sc); err != nil {
		return err
	}
	if res.OK {
		res.Problem = nil
	}
	res.Outputs = values(s.Outputs, sc)
	return nil
}

// unshaped is the refusal of a mapping that gave nothing.
func unshaped(err error) error {
	e := &gateway.Error{Problem: gateway.BadGateway, Detail: "a mapping failed", Cause: err}
	var m *mapping.Error
	if errors.As(err, &m) && m.Said != "" {
		e.Detail = m.Said
	}
	return e
}

// exchangeOf is a call with its answer as expressions see it.
func exchangeOf(s *arazzo.Step, c *call, a *answer) *arazzo.Exchange {
	e := &arazzo.Exchange{Method: s.Call.Operation.Method, Status: a.Status, ResponseHeader: a.Header}
	if c != nil {
		e.URL, e.Path, e.Query, e.Header, e.Body = c.path, c.params, c.query, c.header, c.value
		if len(c.query) > 0 {
			e.URL += "?" + c.query.Encode()
		}
	}
	return e
}

// retryAfter reads the header of RFC 9110, section 10.2.3.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, time.Hour)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, time.Until(at)), time.Hour)
	}
	return 0
}
