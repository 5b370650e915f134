package system

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// RestCall is the call key of an operation in the dialect rest. Without any key
// the request goes to the same method and path at the system, and the answer
// comes back as it is.
type RestCall struct {
	Method   string                    `yaml:"method" enum:"GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS,MERGE" doc:"HTTP method; the operation's own when absent."`
	Path     string                    `yaml:"path" doc:"Path below the system's URL, with the operation's path parameters in braces; the operation's own path when absent."`
	Query    map[string]mapping.Source `yaml:"query" doc:"Query parameters, each as jq: null leaves it out, a list repeats it. The caller's query string is passed on when absent."`
	Headers  map[string]mapping.Source `yaml:"headers" doc:"Headers beside those that are passed on, each as jq; null leaves the header out."`
	Request  mapping.Source            `yaml:"request" doc:"jq that makes the body from the caller's; null sends none. The body is passed on when absent."`
	Response mapping.Source            `yaml:"response" doc:"jq that makes the answer's body from the system's. The answer is passed on when absent."`
	Status   int                       `yaml:"status" min:"200" max:"299" doc:"Status of a successful answer; the system's own when absent."`
	Location mapping.Source            `yaml:"location" doc:"jq over the system's answer that gives the header Location of a successful answer."`
	Node     source.Node               `yaml:",node"`
}

// rest passes HTTP through, or maps it.
type rest struct{}

func (rest) check(s *Settings, ps *source.Problems) {
	if s.JSONRPC != nil {
		ps.Add(s.Node.At("jsonrpc"), "the system speaks rest", "remove it, or set dialect: jsonrpc")
	}
}

// restCall is an operation's call, compiled. It is its own step: it holds
// nothing of a request.
type restCall struct {
	operation *operation
	method    string
	path      *path
	template  string // of the path
	identity  bool   // the path is the operation's own

	mapsQuery         bool
	query, headers    []named
	request, response *mapping.Mapping
	location          *mapping.Mapping
	status            int
	without           map[string]bool // headers of the caller that are not passed on
}

// named is a mapping that gives a header or a query parameter.
type named struct {
	name    string
	mapping *mapping.Mapping
}

func (rest) operation(b *builder, o *operation) call {
	before := b.problems.Len()
	var settings RestCall
	if n := o.spec.Governance.Call; n.Exists() {
		source.Decode(n, &settings, b.problems)
	}
	c := &restCall{
		operation: o, method: settings.Method, identity: settings.Path == "", status: settings.Status,
		mapsQuery: settings.Query != nil, query: b.named(settings.Query),
		request: b.library.Get(settings.Request, b.problems), response: b.library.Get(settings.Response, b.problems),
		location: b.library.Get(settings.Location, b.problems),
	}
	for _, name := range slices.Sorted(maps.Keys(settings.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) || reserved(name) {
			b.problems.Add(settings.Node.At("headers", name), fmt.Sprintf("%q cannot be used as a header", name), "")
		}
	}
	c.headers = b.named(settings.Headers)
	for i := range c.headers {
		c.headers[i].name = http.CanonicalHeaderKey(c.headers[i].name)
	}
	if c.method == "" {
		c.method = o.spec.Method
	}
	if c.request != nil && (c.method == http.MethodGet || c.method == http.MethodHead) {
		b.problems.Add(settings.Node.At("request"), fmt.Sprintf("a %s has no body", c.method), "remove it, or set another method")
	}
	c.compilePath(b, &settings)
	c.withhold()
	if b.problems.Len() > before {
		return nil
	}
	return c
}

func (b *builder) named(sources map[string]mapping.Source) []named {
	var list []named
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		list = append(list, named{name, b.library.Get(sources[name], b.problems)})
	}
	return list
}

func (c *restCall) compilePath(b *builder, settings *RestCall) {
	template, at := settings.Path, settings.Node.At("path")
	if c.identity {
		if template, at = c.operation.spec.Path, c.operation.spec.Node; c.operation.spec.Pattern == "" {
			return // reported when it was read
		}
	}
	known := templateParams(c.operation.spec.Path)
	c.template = template
	var err error
	if c.path, err = compilePath(c.operation.system.url.EscapedPath(), template, known); err != nil {
		right := ""
		if unknown, ok := errors.AsType[unknownParam](err); ok {
			right = source.DidYouMean(unknown.name, known)
		}
		b.problems.Add(at, err.Error(), right)
		return
	}
	for i := range c.path.params {
		c.path.params[i].delimiters = c.operation.spec.PathDelimiters(c.path.params[i].name)
	}
}

// withhold works out which of the caller's headers do not fit what is sent.
func (c *restCall) withhold() {
	c.without = maps.Clone(c.operation.secret)
	if c.request != nil {
		for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Md5", "Content-Digest", "Digest"} {
			c.without[name] = true
		}
	}
	if c.response != nil {
		for _, name := range []string{"Accept", "Accept-Encoding", "Range", "If-Range"} {
			c.without[name] = true
		}
	}
}

func (c *restCall) body() (mapped, passed bool) {
	for _, list := range [][]named{c.query, c.headers} {
		for _, n := range list {
			mapped = mapped || n.mapping.NeedsBody()
		}
	}
	mapped = mapped || c.request != nil
	for _, m := range []*mapping.Mapping{c.response, c.location} {
		mapped = mapped || m != nil && m.NeedsRequestBody()
	}
	return mapped, c.request == nil && c.method != http.MethodGet && c.method != http.MethodHead
}

func (c *restCall) place() (method, path string) { return c.method, c.template }

func (c *restCall) send(ctx context.Context, t *task) *Result { return t.do(ctx, c) }

// build makes the system's request from the caller's.
func (c *restCall) build(ctx context.Context, t *task, g *grant) (*outgoing, *gateway.Error) {
	s, r := t.system, t.request
	escaped, err := c.path.render(r.Params)
	if err != nil {
		return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: err.Error()}
	}
	query := withoutKeys(r.Query, c.operation.secretQuery)
	if c.mapsQuery {
		if query, err = c.makeQuery(ctx, r, g); err != nil {
			return nil, mappingFailed(err, gateway.InvalidBody)
		}
	}
	if !plainQuery(query) {
		return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "the query string holds characters that must be escaped"}
	}
	o := &outgoing{method: c.method, url: s.target(escaped, query), header: s.passRequest(r, c.without)}
	if r.Method == http.MethodHead && c.method == http.MethodGet && c.response == nil {
		o.method = http.MethodHead
	}
	values := s.setForwarded(o.header, r, make([]string, 0, 4))
	s.identify(o.header, r, values)
	if r.IdempotencyKey != "" {
		c.setIdempotency(o.header, r.IdempotencyKey)
	}
	if c.response != nil {
		o.header["Accept"], o.header["Accept-Encoding"] = acceptJSON, identityOnly
	}
	for _, n := range c.headers {
		if err := c.setHeader(ctx, o, n, r, g); err != nil {
			return nil, err
		}
	}
	if err := c.setBody(ctx, o, r, g); err != nil {
		return nil, err
	}
	g.apply(o)
	return o, nil
}

// plainQuery tells whether a query string can stand in the first line of a
// request. One that came over HTTP always can.
func plainQuery(query string) bool {
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

var (
	acceptJSON   = []string{"application/json"}
	identityOnly = []string{"identity"}
)

// setIdempotency passes the caller's key on where the system knows what it means.
func (c *restCall) setIdempotency(h http.Header, key string) {
	r := &c.operation.repeats
	if r.Class != byHeader || r.Header == "" {
		return
	}
	// In small letters: net/http would take Idempotency-Key, spelt so, for its
	// permission to send the request a second time.
	h[strings.ToLower(r.Header)] = []string{key}
}

func (c *restCall) makeQuery(ctx context.Context, r *Request, g *grant) (string, error) {
	values := url.Values{}
	for _, n := range c.query {
		in, err := r.input(n.mapping, g.session)
		if err != nil {
			return "", err
		}
		value, err := n.mapping.Value(ctx, in)
		if err != nil {
			return "", err
		}
		list, many := value.([]any)
		if !many {
			list = []any{value}
		}
		for _, item := range list {
			text, ok, err := mapping.Text(item)
			if err != nil {
				return "", &mapping.Error{Mapping: n.mapping.Name, Cause: err}
			}
			if ok {
				values.Add(n.name, text)
			}
		}
	}
	return values.Encode(), nil
}

func (c *restCall) setHeader(ctx context.Context, o *outgoing, n named, r *Request, g *grant) *gateway.Error {
	in, err := r.input(n.mapping, g.session)
	if err != nil {
		return gateway.AsError(err)
	}
	value, ok, err := n.mapping.Text(ctx, in)
	switch {
	case err != nil:
		return mappingFailed(err, gateway.InvalidBody)
	case !ok:
		return nil
	case !httpguts.ValidHeaderFieldValue(value):
		return &gateway.Error{Problem: gateway.BadRequest, Detail: fmt.Sprintf("what the request gives for the header %s cannot stand in a header", n.name)}
	}
	o.header[n.name] = []string{value}
	return nil
}

var jsonType = []string{"application/json"}

func (c *restCall) setBody(ctx context.Context, o *outgoing, r *Request, g *grant) *gateway.Error {
	if c.request == nil {
		if o.method != http.MethodGet && o.method != http.MethodHead {
			o.body, o.upload = r.Body, r.upload
		}
		return nil
	}
	in, err := r.input(c.request, g.session)
	if err != nil {
		return gateway.AsError(err)
	}
	data, err := c.request.JSON(ctx, in)
	if err != nil {
		return mappingFailed(err, gateway.InvalidBody)
	}
	if string(data) != "null" {
		o.body = data
		o.header["Content-Type"] = jsonType
	}
	return nil
}

// judge passes the answer on, maps it, or turns it into a refusal.
func (c *restCall) judge(ctx context.Context, t *task, g *grant, resp *http.Response) *Result {
	s, status := t.system, resp.StatusCode
	if status < 300 && !s.signs.concern(status) {
		return c.succeed(ctx, t, g, resp)
	}
	if status == http.StatusUnauthorized && !s.passOn["Authorization"] {
		resp.Body.Close()
		return fail(expired, s.notAccepted(fmt.Errorf("the system answered 401")))
	}
	var text []byte
	if s.signs.concern(status) || status >= 500 {
		var lost *Result
		if text, lost = s.peek(ctx, t, resp, maxEvidence); lost != nil {
			return lost
		}
	}
	if s.signs.concern(status) {
		e := s.evidenceOf(resp, text)
		if x := s.signs.find(ctx, e); x != nil {
			resp.Body.Close()
			return s.result(ctx, t, x, e)
		}
	}
	return c.byStatus(ctx, t, g, resp, text)
}

// byStatus judges an answer that no sign fits.
func (c *restCall) byStatus(ctx context.Context, t *task, g *grant, resp *http.Response, text []byte) *Result {
	s, status := t.system, resp.StatusCode
	var r *Result
	switch {
	case redirect(status) && s.settings.Redirects == "problem":
		r = s.redirected(status)
	case status >= 500:
		r = s.broke(t, resp, text)
		if s.settings.ServerErrors == "pass" {
			return c.pass(resp, r)
		}
	case status < 400:
		return c.succeed(ctx, t, g, resp)
	case c.response != nil:
		r = s.problemOf(status)
	default:
		return c.pass(resp, &Result{Outcome: Refused})
	}
	resp.Body.Close()
	return r
}

// peek reads an answer that has at most limit bytes, and leaves it as it was.
// The text is nil when it is longer, or cannot be read.
func (s *system) peek(ctx context.Context, t *task, resp *http.Response, limit int64) ([]byte, *Result) {
	if resp.Body == http.NoBody { // whatever its length is said to be
		return nil, nil
	}
	answer := gateway.Response{Body: resp.Body, Length: resp.ContentLength}
	data, whole, err := answer.Peek(limit)
	if err != nil {
		return nil, s.brokenOff(ctx, t, err)
	}
	if !whole {
		resp.Body = answer.Body
		return nil, nil
	}
	resp.Body, resp.ContentLength = inMemory(data), int64(len(data))
	text, err := plainText(data, resp.Header.Get("Content-Encoding"), limit)
	if err != nil {
		return nil, nil
	}
	return text, nil
}
