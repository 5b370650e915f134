package system

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
)

// plainREST is a call of a session in the dialect rest.
type plainREST struct {
	method, template string
	path             string // escaped
	body             *mapping.Mapping
}

func (rest) plain(b *builder, c *SessionCall, variables ...string) plain {
	p := &plainREST{method: c.Method, body: b.library.Get(c.Body, b.problems, variables...)}
	if n := c.Node.Get("params"); n.Exists() {
		b.problems.Add(n, "a call of rest has no params", "it has method, path and body")
	}
	switch p.method {
	case "":
		p.method = http.MethodPost
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		b.problems.Add(c.Node.At("method"), fmt.Sprintf("%q is not an HTTP method", p.method), "GET, POST, PUT, PATCH or DELETE")
	}
	p.template = c.Path
	compiled, err := compilePath("", c.Path, nil)
	if err != nil {
		b.problems.Add(c.Node.At("path"), err.Error(), "for example /login")
		return p
	}
	p.path, _ = compiled.render(nil) // it has no parameters
	return p
}

func (p *plainREST) step(in mapping.Input) step { return &plainRESTStep{plainREST: p, in: in} }

func (p *plainREST) place() (method, path string) { return p.method, p.template }

type plainRESTStep struct {
	*plainREST
	in mapping.Input
}

func (p *plainRESTStep) build(ctx context.Context, t *task, g *grant) (*outgoing, *gateway.Error) {
	s := t.system
	base := strings.TrimSuffix(s.url.EscapedPath(), "/")
	o := &outgoing{method: p.method, url: s.target(base+p.path, ""), header: http.Header{"Accept": acceptJSON, "User-Agent": noUserAgent}}
	s.identify(o.header, t.request, nil)
	if p.body != nil {
		data, err := p.body.JSON(ctx, p.in)
		if err != nil {
			return nil, mappingFailed(err, gateway.Internal)
		}
		o.body = data
		o.header["Content-Type"] = jsonType
	}
	g.apply(o)
	return o, nil
}

// judge gives the answer's JSON and headers. A refusal is the system's own.
func (p *plainRESTStep) judge(ctx context.Context, t *task, _ *grant, resp *http.Response) *Result {
	s := t.system
	data, lost := s.content(ctx, t, resp)
	if lost != nil {
		return lost
	}
	status := resp.StatusCode
	if s.signs.concern(status) {
		e := s.evidenceOf(resp, data)
		if x := s.signs.find(ctx, e); x != nil {
			return s.result(ctx, t, x, e)
		}
	}
	switch {
	case status >= 500:
		return s.broke(t, resp, data)
	case status >= 300:
		return fail(Refused, s.notAccepted(fmt.Errorf("the system answered %d", status)))
	}
	value, err := mapping.Decode(data)
	if err != nil { // an answer without JSON may still have the headers that count
		value = string(data)
	}
	return &Result{Outcome: Delivered, value: &plainAnswer{value: value, headers: headerValue(resp.Header)}}
}
