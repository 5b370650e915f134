package specs

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/headrace/headrace/specs/schema"
)

// requestChecker checks the requests of one operation.
type requestChecker struct {
	path, query, header, cookie []*paramChecker
	declared                    []Parameter
	// credentials names the query parameters that carry API keys.
	credentials []string
	// knownQuery names the query parameters, for messages.
	knownQuery string
	body       *bodyChecker // nil when the operation takes none
	// fields are found when somebody first wants to know them.
	fields func() *fields
}

func (c *checkCompiler) compileRequest() *requestChecker {
	rc := &requestChecker{}
	var names []string
	for _, p := range c.compileParameters() {
		rc.declared = append(rc.declared, Parameter{Name: p.name, In: p.in, Required: p.required, Schema: p.schema})
		switch p.in {
		case "path":
			if !p.free() {
				rc.path = append(rc.path, p)
			}
		case "query":
			rc.query = append(rc.query, p)
			names = append(names, strconv.Quote(p.name))
		case "header":
			rc.header = append(rc.header, p)
		case "cookie":
			rc.cookie = append(rc.cookie, p)
		}
	}
	if names != nil {
		rc.knownQuery = "; there are " + strings.Join(names, ", ")
	}
	for _, requirement := range c.operation.Security {
		for _, use := range requirement {
			if use.Scheme != nil && use.Scheme.In == "query" {
				rc.credentials = append(rc.credentials, use.Scheme.Param)
			}
		}
	}
	rc.body = c.compileBody()
	rc.fields = sync.OnceValue(rc.findFields)
	return rc
}

// free tells whether every value passes.
func (p *paramChecker) free() bool { return p.schema.Free() && !p.json && p.style == simple }

// PathDelimiters gives the characters that put a path parameter together as
// its style says, and are not part of what it holds; empty for a single value.
// A system does not know them again when they are escaped (RFC 6570).
func (o *Operation) PathDelimiters(name string) string {
	if o.request == nil {
		return ""
	}
	for _, p := range o.request.path {
		switch {
		case p.name != name:
		case p.style == matrix:
			return ";,="
		case slices.ContainsFunc(p.forms, func(f form) bool { return f != scalarForm }):
			return ",="
		}
	}
	return ""
}

func (rc *requestChecker) checkParameters(r *http.Request, params Params, opts CheckOptions) []Violation {
	var list []Violation
	var one [1]string
	for _, p := range rc.path {
		if value := params.Get(p.name); value != "" {
			one[0] = value
			list = p.violations(list, p.check(one[:], verbatim))
		}
	}
	if rc.query != nil || opts.StrictQuery {
		list = rc.checkQuery(list, r.URL.RawQuery, opts)
	}
	for _, p := range rc.header {
		list = p.checkHeader(list, r.Header)
	}
	if rc.cookie != nil {
		list = rc.checkCookies(list, r)
	}
	if len(list) > schema.MaxViolations {
		list = list[:schema.MaxViolations]
	}
	return list
}

// checkHeader checks a header of a request or a response.
func (p *paramChecker) checkHeader(list []Violation, h http.Header) []Violation {
	values := h[p.name]
	switch {
	case len(values) > 0:
		return p.violations(list, p.check(values, verbatim))
	case p.required && p.dir == schema.Response:
		return append(list, Violation{In: p.in, Name: p.name, Detail: "the header is missing; it is required"})
	case p.required:
		return append(list, p.missing())
	}
	return list
}

func (rc *requestChecker) checkCookies(list []Violation, r *http.Request) []Violation {
	var pairs []queryPair
	for _, cookie := range r.Cookies() {
		pairs = append(pairs, queryPair{cookie.Name, cookie.Value})
	}
	for _, p := range rc.cookie {
		var values []string
		for _, pair := range pairs {
			if pair.name == p.name {
				values = append(values, pair.value)
			}
		}
		switch {
		case values != nil:
			list = p.violations(list, p.check(values, unescape))
		case p.spread():
			if tree := p.gather(pairs, &requestChecker{query: rc.cookie}); tree != nil {
				list = p.violations(list, p.checkBuilt(tree.append(nil, p.schema)))
				continue
			}
			fallthrough
		case p.required:
			if p.required {
				list = append(list, p.missing())
			}
		}
	}
	return list
}
