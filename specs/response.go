package specs

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// responseChecker checks the answers of one operation.
type responseChecker struct {
	exact  map[int]*response
	ranges [6]*response // by the first digit of the status
	other  *response    // default
	// declared names the statuses, for messages.
	declared string
}

// response is what one status, or range of them, may answer.
type response struct {
	contents contents
	headers  []*paramChecker
}

func (c *checkCompiler) compileResponses() *responseChecker {
	rc := &responseChecker{exact: map[int]*response{}}
	var names []string
	at := c.at.Get("responses")
	for name, ref := range c.op.Responses.Map() {
		where := c.follow(at.At(name), ref.Ref)
		if ref.Value == nil {
			c.ps.Add(where, "the reference leads nowhere", "name an existing response")
			continue
		}
		resp := c.compileResponse(ref.Value, where)
		status, err := strconv.Atoi(name)
		switch {
		case name == "default":
			rc.other = resp
		case len(name) == 3 && name[0] >= '1' && name[0] <= '5' && strings.EqualFold(name[1:], "xx"):
			rc.ranges[name[0]-'0'] = resp
		case err == nil && status >= 100 && status <= 599:
			rc.exact[status] = resp
		default:
			c.ps.Add(where, fmt.Sprintf("%q is no status", name), "write a status such as 200, a range such as 4XX, or default")
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	rc.declared = strings.Join(names, ", ")
	return rc
}

func (c *checkCompiler) compileResponse(v *openapi3.Response, at source.Node) *response {
	resp := &response{contents: c.compileContents(v.Content, at, schema.Response)}
	for name, ref := range v.Headers {
		where := c.follow(at.At("headers", name), ref.Ref)
		if ref.Value == nil {
			c.ps.Add(where, "the reference leads nowhere", "name an existing header")
			continue
		}
		p := &paramChecker{in: "header", name: http.CanonicalHeaderKey(name), required: ref.Value.Required, dir: schema.Response}
		if p.name != "Content-Type" && c.compileValue(p, &ref.Value.Parameter, where) {
			resp.headers = append(resp.headers, p)
		}
	}
	slices.SortFunc(resp.headers, func(a, b *paramChecker) int { return strings.Compare(a.name, b.name) })
	return resp
}

// find is what is declared for a status; nil when nothing is.
func (rc *responseChecker) find(status int) *response {
	if resp := rc.exact[status]; resp != nil {
		return resp
	}
	if status >= 100 && status <= 599 && rc.ranges[status/100] != nil {
		return rc.ranges[status/100]
	}
	return rc.other
}

// carriesBody tells whether an answer can have a body at all (RFC 9110).
func carriesBody(method string, status int) bool {
	return method != http.MethodHead && status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func (rc *responseChecker) check(method string, status int, h http.Header, body []byte) []Violation {
	resp := rc.find(status)
	if resp == nil {
		if rc.declared == "" {
			return nil
		}
		return []Violation{{In: "status", Detail: fmt.Sprintf("the status %d is not declared; expected one of %s", status, rc.declared)}}
	}
	var list []Violation
	for _, p := range resp.headers {
		list = p.checkHeader(list, h)
	}
	if len(resp.contents) == 0 || !carriesBody(method, status) {
		return list
	}
	return resp.checkContent(list, h.Get("Content-Type"), body)
}

func (resp *response) checkContent(list []Violation, contentType string, body []byte) []Violation {
	one, kind := resp.contents.find(contentType)
	switch {
	case one == nil && contentType == "":
		return append(list, Violation{In: "header", Name: "Content-Type", Detail: "the header is missing; expected " + resp.contents.accepted()})
	case one == nil:
		return append(list, Violation{In: "header", Name: "Content-Type", Detail: "this media type is not declared; expected " + resp.contents.accepted()})
	case body == nil || !one.reads(kind):
		return list
	}
	if fault := one.check(kind, body, contentType, schema.Response); fault != nil {
		list = append(list, fault.Violations...)
	}
	return list
}
