package system

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
)

// batch is how several requests of an operation go out in one call.
type batch struct {
	key              string // of the operation that makes the call
	method           string
	size             int
	request, results *mapping.Mapping
}

// batchLimits bound the mappings of batches, which see many requests at once.
var batchLimits = mapping.Limits{Time: time.Second, Output: 16 << 20}

// batch compiles what was checked with the document; nil after a problem.
func (b *builder) batch(bind *gateway.Binding, o *operation, settings *specs.Batch) *batch {
	if _, ok := o.call.(*restCall); !ok {
		if o.call != nil { // or it is reported already
			b.problems.Add(settings.Node, "the dialect "+o.system.settings.Dialect+" has no batches", "only rest has them")
		}
		return nil
	}
	library := b.library.With(batchLimits)
	p := &batch{
		size: settings.Size, request: library.Get(mapping.Source{Node: settings.Node.At("request")}, b.problems),
		results: library.Get(mapping.Source{Node: settings.Node.At("results")}, b.problems),
	}
	call := bind.Operation.Document.Operation(settings.Operation)
	if call == nil {
		return nil // reported when it was read
	}
	p.key, p.method = operationKey(bind.API, call), call.Method
	return p
}

// Batch tells how requests of an operation are packed: the key of the operation
// that makes the call, and how many it takes at most; zero where each goes alone.
func (s *Set) Batch(key string) (call string, size int) {
	o := s.find(key)
	if o == nil || o.batch == nil || s.find(o.batch.key) == nil {
		return "", 0
	}
	return o.batch.key, o.batch.size
}

// PricedBySize tells whether the call that takes requests of an operation costs
// the more the more of them it takes.
func (s *Set) PricedBySize(key string) bool {
	o := s.find(key)
	if o == nil || o.batch == nil {
		return false
	}
	call := s.find(o.batch.key)
	return call != nil && (len(call.prices.asked) > 0 || call.prices.counts)
}

// PerApp tells whether a system counts the calls of each app by themselves, so
// that requests of different apps must not share a call.
func (s *Set) PerApp(system string) bool {
	sys := s.systems[system]
	if sys == nil {
		return false
	}
	for i := range sys.settings.Limits {
		if strings.Contains(sys.settings.Limits[i].Scope, "{app}") {
			return true
		}
	}
	return false
}

// SendBatch sends requests of one operation in one call. carrier is the call
// itself: its ids, class, app, wait, place in line and question whether it may
// go. There is one result for each request, in their order: what the answer says
// of it, judged as if the request had been sent alone; or, where there is no
// such answer, what became of the call. A Response is in memory.
func (s *Set) SendBatch(ctx context.Context, carrier Request, requests []*Request) []*Result {
	o := s.find(requests[0].Operation)
	if _, size := s.Batch(requests[0].Operation); size == 0 {
		return repeated(&Result{Outcome: Refused, unsent: true, alone: true}, len(requests))
	}
	call := s.find(o.batch.key)
	g, err := o.system.credential.get(ctx, o.system)
	if err != nil {
		return repeated(notAdmitted(gateway.AsError(err)), len(requests))
	}
	p := &packing{operation: o, grant: &grant{session: g.session, sessionJSON: g.sessionJSON}, requests: requests, results: make([]*Result, len(requests))}
	body, refusal := p.pack(ctx)
	switch {
	case refusal != nil:
		return p.fill(refusal)
	case body == nil:
		return p.results // none is left
	}
	carrier.Operation, carrier.Method, carrier.Body, carrier.operation = call.key, o.batch.method, body, call
	carrier.Header = http.Header{"Content-Type": jsonType}
	return p.split(ctx, call.send(ctx, &carrier))
}

// packing is a batch on its way.
type packing struct {
	operation *operation
	grant     *grant // without anything secret
	requests  []*Request
	results   []*Result // those that are known
}

// repeated is one result for each of n requests.
func repeated(r *Result, n int) []*Result {
	list := make([]*Result, n)
	for i := range list {
		c := *r
		list[i] = &c
	}
	return list
}

// fill gives those without a result one.
func (p *packing) fill(r *Result) []*Result {
	for i := range p.results {
		if p.results[i] == nil {
			c := *r
			p.results[i] = &c
		}
	}
	return p.results
}

// pack makes the call's body. A request that cannot be made is refused by
// itself. The body is nil when no request is left.
func (p *packing) pack(ctx context.Context) ([]byte, *Result) {
	var parts []any
	for i, r := range p.requests {
		r.operation = p.operation
		part, refused := p.part(ctx, i)
		if refused != nil {
			p.results[i] = refused
			continue
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return nil, nil
	}
	body, err := p.operation.batch.request.JSON(ctx, mapping.Input{Value: parts, Now: time.Now()})
	switch {
	case err == nil:
		return body, nil
	case ctx.Err() != nil:
		return nil, unsent(Abandoned, &gateway.Error{Problem: gateway.CallerLeft, Cause: err})
	}
	return nil, &Result{Outcome: Refused, Err: mappingFailed(err, gateway.Internal), unsent: true, alone: true}
}

// part is what the mapping sees of one request: what would be sent of it alone.
func (p *packing) part(ctx context.Context, i int) (map[string]any, *Result) {
	r, c := p.requests[i], p.operation.call.(*restCall)
	out, refusal := c.build(ctx, p.task(r), p.grant)
	if refusal != nil {
		return nil, unsent(Refused, refusal)
	}
	body, err := mapping.Decode(out.body)
	if err != nil || out.header.Get("Content-Encoding") != "" {
		return nil, &Result{Outcome: Refused, unsent: true, alone: true} // no part of a JSON document
	}
	path := strings.TrimPrefix(out.url.EscapedPath(), strings.TrimSuffix(p.operation.system.url.EscapedPath(), "/"))
	if out.url.RawQuery != "" {
		path += "?" + out.url.RawQuery
	}
	params := make(map[string]any, len(r.Params))
	for _, param := range r.Params {
		params[param.Name] = param.Value
	}
	headers := headerValue(out.header)
	delete(headers, "user-agent")
	part := map[string]any{"id": partID(i), "method": out.method, "path": path, "params": params, "headers": headers, "body": body, "app": nil}
	if r.App != "" {
		part["app"] = r.App
	}
	return part, nil
}

// partID names a part within its call.
func partID(i int) string { return strconv.Itoa(i + 1) }

func (p *packing) task(r *Request) *task {
	o := p.operation
	return &task{system: o.system, request: r, name: o.id, timeout: o.timeout, prices: &o.prices}
}

// split makes results of the call's.
func (p *packing) split(ctx context.Context, whole *Result) []*Result {
	response := whole.Response
	whole.Response = nil
	if whole.Outcome != Delivered || response == nil {
		response.Close()
		return p.fill(p.undivided(whole, response))
	}
	answers, err := p.answers(ctx, response)
	if err != nil {
		return p.fill(p.lost(whole, err))
	}
	for i := range p.results {
		switch {
		case p.results[i] != nil:
		case answers[i] == nil:
			p.results[i] = p.lost(whole, errors.New("the answer does not speak of it"))
		default:
			p.results[i] = p.judge(ctx, p.requests[i], answers[i]).after(whole)
		}
	}
	return p.results
}

// undivided is what a call that has no results came to for each of its parts.
func (p *packing) undivided(whole *Result, response *gateway.Response) *Result {
	switch {
	case whole.Outcome == Delivered:
		return p.lost(whole, whole.Err)
	case whole.Outcome == Refused && !whole.locked:
		whole.alone = true
	}
	if whole.Err == nil {
		whole.Err = &gateway.Error{Problem: gateway.BadGateway, System: p.operation.system.name, Detail: fmt.Sprintf("%s answered a batch with %d", p.operation.system.name, response.Status)}
	}
	return whole
}

// lost is the result of a part of which a call that was done says nothing.
func (p *packing) lost(whole *Result, cause error) *Result {
	name := p.operation.system.name
	return fail(Doubtful, &gateway.Error{Problem: gateway.BadGateway, System: name, Detail: name + " has answered a batch, and not said what became of the request", Cause: cause}).after(whole)
}

// maxBatchAnswer is the longest answer to a batch in bytes.
const maxBatchAnswer = 32 << 20

// answers takes the call's answer apart: one for each request, as its own answer
// would have been; nil where there is none.
func (p *packing) answers(ctx context.Context, response *gateway.Response) ([]*http.Response, error) {
	data, err := response.Content(maxBatchAnswer)
	if err != nil {
		return nil, err
	}
	if data, err = plainText(data, response.Header.Get("Content-Encoding"), maxBatchAnswer); err != nil {
		return nil, err
	}
	value, err := mapping.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("the answer %w", err)
	}
	value, err = p.operation.batch.results.Value(context.WithoutCancel(ctx), mapping.Input{Value: value, Status: response.Status, Headers: headerValue(response.Header), Now: time.Now()})
	if err != nil {
		return nil, err
	}
	list, ok := value.([]any)
	if !ok {
		return nil, errors.New("results gives no list")
	}
	return p.assign(list)
}

// assign finds out which request each result is for.
func (p *packing) assign(list []any) ([]*http.Response, error) {
	var sent []int
	for i := range p.results {
		if p.results[i] == nil {
			sent = append(sent, i)
		}
	}
	named := slices.ContainsFunc(list, func(item any) bool { m, _ := item.(map[string]any); return m["id"] != nil })
	if !named && len(list) != len(sent) {
		return nil, fmt.Errorf("the answer has %d results for %d parts", len(list), len(sent))
	}
	answers := make([]*http.Response, len(p.requests))
	for n, item := range list {
		answer, id, err := answerOf(item)
		if err != nil {
			return nil, err
		}
		i := -1
		if named {
			i = slices.IndexFunc(sent, func(i int) bool { return partID(i) == id })
		} else {
			i = n
		}
		switch {
		case i < 0:
			return nil, errors.New("the answer has a result for a part that was not sent")
		case answers[sent[i]] != nil:
			return nil, errors.New("the answer has two results for a part")
		}
		answers[sent[i]] = answer
	}
	return answers, nil
}

// answerOf makes an answer of one result.
func answerOf(item any) (answer *http.Response, id string, err error) {
	m, ok := item.(map[string]any)
	status, numbered := mapping.Number(m["status"])
	if !ok || !numbered || status < 200 || status > 599 {
		return nil, "", errors.New("a result has no status")
	}
	if id, _, err = mapping.Text(m["id"]); err != nil {
		return nil, "", err
	}
	answer = &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
	headers, _ := m["headers"].(map[string]any)
	for name, value := range headers {
		list, many := value.([]any)
		if !many {
			list = []any{value}
		}
		for _, v := range list {
			if text, given, err := mapping.Text(v); err == nil && given && !strings.ContainsAny(text, "\r\n\x00") {
				answer.Header.Add(name, text)
			}
		}
	}
	// The body is written anew: what was said of its bytes does not hold.
	for _, name := range []string{"Content-Length", "Content-Encoding"} {
		answer.Header.Del(name)
	}
	if m["body"] == nil {
		return answer, id, nil
	}
	data, err := mapping.AppendJSON(nil, m["body"], maxBatchAnswer)
	if err != nil {
		return nil, "", err
	}
	if !strings.Contains(answer.Header.Get("Content-Type"), "json") {
		answer.Header["Content-Type"] = jsonType
	}
	answer.Body, answer.ContentLength = inMemory(data), int64(len(data))
	return answer, id, nil
}

// judge looks at a part's answer as at that of a call of its own.
func (p *packing) judge(ctx context.Context, r *Request, answer *http.Response) *Result {
	c := p.operation.call.(*restCall)
	res := c.judge(context.WithoutCancel(ctx), p.task(r), p.grant, answer)
	if res.Outcome == expired {
		res.Outcome, res.locked = Refused, true
	}
	if res.Response != nil && res.Response.Body != nil {
		if _, err := res.Response.Content(maxBatchAnswer); err != nil {
			return fail(Doubtful, gateway.AsError(err))
		}
	}
	return res
}

// Turn is a place in the line of a system's budget; see budget.Turn.
type Turn = budget.Turn
