package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// JSONRPCSettings are the particulars of a system that speaks jsonrpc.
type JSONRPCSettings struct {
	Version string      `yaml:"version" enum:"2.0" doc:"Value of the member jsonrpc; it is not sent when absent. Some servers want it, others answer otherwise with it."`
	Context string      `yaml:"context" enum:"none,last" default:"none" doc:"last: $session is sent as the last parameter of every call of an operation."`
	Node    source.Node `yaml:",node"`
}

// JSONRPCCall is the call key of an operation in the dialect jsonrpc.
type JSONRPCCall struct {
	Method  string         `yaml:"method" check:"required" doc:"The method."`
	Params  mapping.Source `yaml:"params" doc:"jq that makes the list of parameters from the caller's body; an empty list when absent."`
	Context mapping.Source `yaml:"context" doc:"jq that gives an object which is merged over $session where the system takes it as the last parameter."`
	Result  mapping.Source `yaml:"result" doc:"jq that makes the answer's body from the result; the result itself when absent."`
	Status  int            `yaml:"status" min:"200" max:"299" default:"200" doc:"Status of the answer; 204 has no body."`
	Then    *JSONRPCThen   `yaml:"then" doc:"A second call that reads back what the first one did. After a write it passes the budget before all calls that have not begun."`
	Node    source.Node    `yaml:",node"`
}

// JSONRPCThen is a call that reads back what another one did. It passes the
// budget, too: after a write before all calls that have not begun.
type JSONRPCThen struct {
	Method    string         `yaml:"method" check:"required" doc:"The method."`
	Params    mapping.Source `yaml:"params" doc:"jq that makes the list of parameters; its input is the first result."`
	Context   mapping.Source `yaml:"context" doc:"As in the first call."`
	Expect    mapping.Source `yaml:"expect" doc:"Condition over the second result, as jq; false means that the first call did nothing, and is answered with 409."`
	Otherwise string         `yaml:"otherwise" doc:"What the caller is told then."`
	Result    mapping.Source `yaml:"result" doc:"jq that makes the answer's body from the second result; the result itself when absent."`
	Node      source.Node    `yaml:",node"`
}

// jsonrpc puts calls into bodies of exactly the members id, method and params
// (https://www.jsonrpc.org/specification, and its predecessor 1.0).
type jsonrpc struct{}

func (jsonrpc) check(s *Settings, ps *source.Problems) {
	if s.JSONRPC == nil {
		s.JSONRPC = &JSONRPCSettings{Context: "none"}
	}
	if s.JSONRPC.Context == "last" && s.Credentials.Kind != "session" {
		ps.Add(s.JSONRPC.Node.At("context"), "there is no $session to be sent", "it comes from credentials of the kind session")
	}
	for _, o := range []struct{ key, value, usual string }{{"server_errors", s.ServerErrors, "problem"}, {"redirects", s.Redirects, "problem"}} {
		if o.value != o.usual {
			ps.Add(s.Node.At(o.key), "an answer of jsonrpc is never passed on as it came", "remove it")
		}
	}
}

// rpc is one method with its parameters, compiled.
type rpc struct {
	method          []byte // as JSON
	params, context *mapping.Mapping
	last            bool // $session is the last parameter
	version         string
}

// rpcCall is an operation's call, compiled.
type rpcCall struct {
	operation *operation
	first     rpc
	result    *mapping.Mapping
	status    int

	then      *rpc // nil when there is none
	expect    *mapping.Mapping
	otherwise string
}

func (jsonrpc) operation(b *builder, o *operation) call {
	before := b.problems.Len()
	var settings JSONRPCCall
	n := o.spec.Governance.Call
	if !n.Exists() {
		b.problems.Add(o.spec.Governance.Node, "nothing says what to call at "+o.system.name, "set call with a method")
		return nil
	}
	source.Decode(n, &settings, b.problems)
	c := &rpcCall{
		operation: o, result: b.library.Get(settings.Result, b.problems), status: settings.Status,
		first: b.rpc(o.system, settings.Method, settings.Params, settings.Context),
	}
	if then := settings.Then; then != nil {
		second := b.rpc(o.system, then.Method, then.Params, then.Context)
		c.then, c.expect, c.otherwise = &second, b.library.Get(then.Expect, b.problems), then.Otherwise
		if settings.Result.Exists() {
			b.problems.Add(settings.Node.At("result"), "the answer is made of the second call's result", "move it to then.result")
		}
		c.result = b.library.Get(then.Result, b.problems)
		if then.Otherwise != "" && !then.Expect.Exists() {
			b.problems.Add(then.Node.At("otherwise"), "there is no condition that could fail", "set expect")
		}
	}
	if b.problems.Len() > before {
		return nil
	}
	return c
}

func (b *builder) rpc(s *system, method string, params, extra mapping.Source) rpc {
	name, _ := mapping.AppendJSON(nil, method, 1<<16)
	r := rpc{
		method: name, params: b.library.Get(params, b.problems), context: b.library.Get(extra, b.problems),
		last: s.settings.JSONRPC.Context == "last", version: s.settings.JSONRPC.Version,
	}
	if extra.Exists() && !r.last {
		b.problems.Add(extra.Node, s.name+" takes no context", "set jsonrpc.context: last in its file, or put the object into params")
	}
	return r
}

// plain compiles a call of a session. The session's context is not sent with
// it: it is not known yet.
func (jsonrpc) plain(b *builder, c *SessionCall, variables ...string) plain {
	if c.Method == "" {
		b.problems.Add(c.Node, "the key \"method\" is missing", "")
	}
	for _, key := range []string{"path", "body"} {
		if n := c.Node.Get(key); n.Exists() {
			b.problems.Add(n, fmt.Sprintf("a call of jsonrpc has no %s", key), "it has method and params")
		}
	}
	name, _ := mapping.AppendJSON(nil, c.Method, 1<<16)
	return &plainRPC{rpc{method: name, params: b.library.Get(c.Params, b.problems, variables...)}}
}

type plainRPC struct{ rpc rpc }

func (p *plainRPC) step(in mapping.Input) step {
	return &rpcStep{rpc: &p.rpc, in: &in}
}

// body tells that parameters are mapped from the body where any mapping looks at it.
func (c *rpcCall) body() (mapped, passed bool) {
	mapped = c.first.params != nil && c.first.params.NeedsBody() || c.first.context != nil && c.first.context.NeedsBody()
	later := []*mapping.Mapping{c.result, c.expect}
	if c.then != nil {
		later = append(later, c.then.params, c.then.context)
	}
	for _, m := range later {
		mapped = mapped || m != nil && m.NeedsRequestBody()
	}
	return mapped, false
}

// send makes the call, and the one that reads back.
func (c *rpcCall) send(ctx context.Context, t *task) *Result {
	step := &rpcStep{rpc: &c.first}
	r := t.do(ctx, step)
	if r.Err != nil {
		return r
	}
	if c.then == nil {
		return c.answer(ctx, t, r)
	}
	return c.readBack(ctx, t, r)
}

// readBack makes the second call. The first one has been done: whoever leaves
// now, it goes on.
func (c *rpcCall) readBack(ctx context.Context, t *task, first *Result) *Result {
	if !t.safe {
		ctx = context.WithoutCancel(ctx)
	}
	value, err := mapping.Decode(first.value.(*rpcAnswer).result)
	if err != nil {
		return t.system.unusable(t, "the answer of "+t.system.name+" is not JSON", err).after(first)
	}
	read := t.finishing()
	step := &rpcStep{rpc: c.then, value: value, second: true}
	r := read.do(ctx, step)
	if r.Err != nil {
		return c.unread(t, r).after(first)
	}
	if c.expect != nil {
		if failed := c.check(ctx, t, r); failed != nil {
			return failed.after(first)
		}
	}
	return c.answer(ctx, t, r).after(first)
}

// finishing is the task of reading back. Where the first call has changed
// something the second goes before all that has not begun: if it found no place,
// nobody would know what was done, and it would be done or asked once more, by
// calls of which the system has too many already.
func (t *task) finishing() *task {
	read := *t
	read.safe = true
	if !t.safe {
		r := *t.request
		r.Class, r.Wait = specs.Critical, max(r.Wait, t.timeout)
		read.request = &r
	}
	return &read
}

// unread is the result when the second call failed: what the first one did is not known.
func (c *rpcCall) unread(t *task, r *Result) *Result {
	if t.safe {
		return r
	}
	cause := r.Err
	lost := *r
	lost.Outcome = Doubtful
	lost.Err = &gateway.Error{
		Problem: gateway.BadGateway, System: t.system.name, Cause: cause,
		Detail: t.system.name + " took the call, but what it did could not be read back",
	}
	return &lost
}

func (c *rpcCall) check(ctx context.Context, t *task, r *Result) *Result {
	a := r.value.(*rpcAnswer)
	in, err := a.input(t, c.expect)
	if err == nil {
		var done bool
		if done, err = c.expect.Is(context.WithoutCancel(ctx), in); done && err == nil {
			return nil
		}
	}
	refused := *r
	if err != nil {
		refused.Outcome, refused.Err = Delivered, mappingFailed(err, gateway.BadGateway)
		return &refused
	}
	refused.Outcome = Refused
	refused.Err = &gateway.Error{Problem: gateway.Conflict, System: t.system.name, Detail: c.otherwise}
	return &refused
}

// answer makes the caller's answer of the result.
func (c *rpcCall) answer(ctx context.Context, t *task, r *Result) *Result {
	a := r.value.(*rpcAnswer)
	data := []byte(a.result)
	if c.result != nil {
		in, err := a.input(t, c.result)
		if err == nil {
			data, err = c.result.JSON(context.WithoutCancel(ctx), in)
		}
		if err != nil {
			r.Err = mappingFailed(err, gateway.BadGateway)
			r.Err.System = t.system.name
			return r
		}
	}
	r.Response = &gateway.Response{Status: c.status, Header: http.Header{"Content-Type": jsonType}, Bytes: data, Length: int64(len(data))}
	if c.status == http.StatusNoContent {
		r.Response = &gateway.Response{Status: c.status, Header: http.Header{}}
	}
	return r
}

// rpcAnswer is the result of a call, and what its mappings see beside it.
type rpcAnswer struct {
	result  json.RawMessage
	status  int
	headers http.Header
	session any
}

func (a *rpcAnswer) input(t *task, m *mapping.Mapping) (mapping.Input, error) {
	value, err := mapping.Decode(a.result)
	if err != nil {
		return mapping.Input{}, &gateway.Error{Problem: gateway.BadGateway, Detail: "the answer cannot be mapped", Cause: err}
	}
	in, err := t.request.around(m, value, a.session)
	in.Status, in.Headers = a.status, headerValue(a.headers)
	return in, err
}

// rpcStep is one call on the way.
type rpcStep struct {
	rpc *rpc
	// value is the input of the second call's mappings; the first call's is the caller's body.
	value  any
	second bool
	// in is the input of a session's call.
	in *mapping.Input
	id int64
}

// place is the same for all calls: what they do stands in the body.
func (*rpcCall) place() (method, path string)  { return http.MethodPost, "/" }
func (*plainRPC) place() (method, path string) { return http.MethodPost, "/" }
func (*rpcStep) place() (method, path string)  { return http.MethodPost, "/" }

func (p *rpcStep) input(t *task, m *mapping.Mapping, g *grant) (mapping.Input, error) {
	switch {
	case p.in != nil:
		return *p.in, nil
	case p.second:
		return t.request.around(m, p.value, g.session)
	}
	return t.request.input(m, g.session)
}

// build writes the call.
func (p *rpcStep) build(ctx context.Context, t *task, g *grant) (*outgoing, *gateway.Error) {
	s := t.system
	params := []byte("[]")
	if p.rpc.params != nil {
		in, err := p.input(t, p.rpc.params, g)
		if err != nil {
			return nil, gateway.AsError(err)
		}
		if params, err = p.rpc.params.JSON(ctx, in); err != nil {
			return nil, mappingFailed(err, gateway.InvalidBody)
		}
		if params[0] != '[' {
			return nil, mappingFailed(&mapping.Error{Mapping: p.rpc.params.Name, Cause: fmt.Errorf("it gives no list of parameters")}, gateway.InvalidBody)
		}
	}
	if p.rpc.last {
		last, refusal := p.context(ctx, t, g)
		if refusal != nil {
			return nil, refusal
		}
		params = params[:len(params)-1]
		if len(params) > 1 {
			params = append(params, ',')
		}
		params = append(append(params, last...), ']')
	}
	p.id = s.transport.calls.Add(1)
	o := &outgoing{method: http.MethodPost, url: s.target(s.url.EscapedPath(), ""), header: make(http.Header, 8), body: p.write(params)}
	o.header["Content-Type"], o.header["Accept"], o.header["User-Agent"] = jsonType, acceptJSON, noUserAgent
	if o.url.Path == "" {
		o.url.Path = "/"
	}
	s.identify(o.header, t.request, make([]string, 0, 2))
	g.apply(o)
	return o, nil
}

func (p *rpcStep) write(params []byte) []byte {
	b := make([]byte, 0, len(params)+len(p.rpc.method)+64)
	b = append(b, '{')
	if p.rpc.version != "" {
		b = append(b, `"jsonrpc":"`+p.rpc.version+`",`...)
	}
	b = append(b, `"id":`...)
	b = strconv.AppendInt(b, p.id, 10)
	b = append(b, `,"method":`...)
	b = append(b, p.rpc.method...)
	b = append(b, `,"params":`...)
	b = append(b, params...)
	return append(b, '}')
}

// context is the last parameter: the session, with what the call adds to it.
func (p *rpcStep) context(ctx context.Context, t *task, g *grant) ([]byte, *gateway.Error) {
	if p.rpc.context == nil {
		return g.sessionJSON, nil
	}
	in, err := p.input(t, p.rpc.context, g)
	if err != nil {
		return nil, gateway.AsError(err)
	}
	value, err := p.rpc.context.Value(ctx, in)
	if err != nil {
		return nil, mappingFailed(err, gateway.InvalidBody)
	}
	extra, ok := value.(map[string]any)
	if !ok {
		return nil, mappingFailed(&mapping.Error{Mapping: p.rpc.context.Name, Cause: fmt.Errorf("it gives no object")}, gateway.InvalidBody)
	}
	if session, ok := g.session.(map[string]any); ok {
		for name, item := range session {
			if _, set := extra[name]; !set {
				extra[name] = item
			}
		}
	}
	data, err := mapping.AppendJSON(nil, extra, 1<<20)
	if err != nil {
		return nil, mappingFailed(&mapping.Error{Mapping: p.rpc.context.Name, Cause: err}, gateway.InvalidBody)
	}
	return data, nil
}

// envelope is an answer of JSON-RPC.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func parseEnvelope(data []byte) (*envelope, bool) {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, false
	}
	var e envelope
	if json.Unmarshal(data, &e) != nil || e.Result == nil && e.Error == nil {
		return nil, false
	}
	return &e, true
}

// judge finds out whether an answer is a result: HTTP 200 does not say so.
func (p *rpcStep) judge(ctx context.Context, t *task, g *grant, resp *http.Response) *Result {
	s := t.system
	if resp.StatusCode == http.StatusUnauthorized && s.settings.Credentials.Kind != "none" {
		resp.Body.Close()
		return fail(expired, s.notAccepted(fmt.Errorf("the system answered 401")))
	}
	data, lost := s.content(ctx, t, resp)
	if lost != nil {
		return lost
	}
	e, ok := parseEnvelope(data)
	switch {
	case ok && len(e.Error) > 0 && string(e.Error) != "null":
		return p.failed(ctx, t, resp, e.Error)
	case !ok || resp.StatusCode >= 300:
		return p.strange(ctx, t, resp, data)
	case len(e.ID) > 0 && string(e.ID) != strconv.FormatInt(p.id, 10):
		return s.unusable(t, s.name+" answered another call", nil)
	}
	r := &Result{Outcome: Delivered}
	if p.in == nil {
		r.value = &rpcAnswer{result: e.Result, status: resp.StatusCode, headers: resp.Header, session: g.session}
		return r
	}
	value, err := mapping.Decode(e.Result)
	if err != nil {
		return s.unusable(t, "the answer of "+s.name+" is not JSON", err)
	}
	r.value = &plainAnswer{value: value, headers: headerValue(resp.Header)}
	return r
}

// failed judges an error of the method.
func (p *rpcStep) failed(ctx context.Context, t *task, resp *http.Response, raw json.RawMessage) *Result {
	s := t.system
	value, err := mapping.Decode(raw)
	if err != nil {
		return s.unusable(t, "the error of "+s.name+" cannot be read", err)
	}
	e := &evidence{status: resp.StatusCode, header: resp.Header, value: value, failed: true}
	e.code, e.message = rpcError(value)
	e.texts = []string{e.code, e.message}
	if x := s.signs.find(ctx, e); x != nil {
		return s.result(ctx, t, x, e)
	}
	return fail(Refused, &gateway.Error{
		Problem: gateway.BadGateway, System: s.name, SystemCode: codeWord(e.code), Detail: s.name + " answered with an error that is not known here",
		Cause: fmt.Errorf("the system says: %s", capped(e.code+" "+e.message)),
	})
}

// rpcError finds code and message of an error: an object as in JSON-RPC 2.0,
// or a list whose first item is the code, as Tryton has it. There the message
// is the second item, or the first text in it.
func rpcError(value any) (code, message string) {
	switch v := value.(type) {
	case map[string]any:
		code, _, _ = mapping.Text(v["code"])
		message, _ = v["message"].(string)
	case []any:
		if len(v) > 0 {
			code, _, _ = mapping.Text(v[0])
		}
		if len(v) > 1 {
			message = firstText(v[1])
		}
	case string:
		message = v
	}
	return code, message
}

func firstText(value any) string {
	if list, ok := value.([]any); ok && len(list) > 0 {
		value = list[0]
	}
	text, _ := value.(string)
	return text
}

// strange judges an answer that is none of JSON-RPC: a page of the server in
// front of the method.
func (p *rpcStep) strange(ctx context.Context, t *task, resp *http.Response, data []byte) *Result {
	s, status := t.system, resp.StatusCode
	if s.signs.concern(status) {
		text := data
		if len(text) > maxEvidence {
			text = nil
		}
		e := s.evidenceOf(resp, text)
		if x := s.signs.find(ctx, e); x != nil {
			return s.result(ctx, t, x, e)
		}
	}
	switch {
	case status >= 500:
		return s.broke(t, resp, data)
	case redirect(status):
		return s.redirected(status)
	case status >= 400:
		return fail(Refused, &gateway.Error{
			Problem: gateway.BadGateway, System: s.name, Detail: fmt.Sprintf("%s answered %d", s.name, status),
			Cause: fmt.Errorf("the system says: %s", capped(string(data))),
		})
	}
	return s.unusable(t, s.name+" did not answer in JSON-RPC", fmt.Errorf("the system says: %s", capped(string(data))))
}
