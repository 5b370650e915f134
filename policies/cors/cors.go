package cors

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	Origins     source.Strings  `yaml:"origins" check:"required" doc:"Origins of web pages that may call: https://shop.example.com, https://*.example.com, or *."`
	Methods     source.Strings  `yaml:"methods" doc:"Methods that may be called; all that the API has when absent."`
	Headers     source.Strings  `yaml:"headers" doc:"Request headers that pages may set; the usual ones when absent (see above)."`
	Expose      source.Strings  `yaml:"expose" doc:"Response headers that pages may read; the usual ones when absent (see above)."`
	MaxAge      source.Duration `yaml:"max_age" default:"10m" doc:"How long browsers may keep the answer to a preflight."`
	Credentials bool            `yaml:"credentials" doc:"Whether pages may call with cookies and client certificates."`
}

var (
	usualHeaders = []string{"Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "X-Api-Key", "X-Correlation-Id", "X-Request-Id"}
	usualExposed = []string{"Deprecation", "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "Sunset", "WWW-Authenticate", "X-Request-Id"}
)

// Kind describes the policy. It keeps no state.
func Kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "cors", Stage: gateway.StageCORS, Levels: gateway.LevelAPI,
		Doc: "Lets web pages of other origins call, and answers the preflight requests of their browsers.",
	}, compile)
}

type policy struct {
	origins         origins
	methods         []string // nil means all
	headers         []string // canonical
	allowed, expose string
	maxAge          string
	credentials     bool
	next            gateway.Handler
}

func compile(b *gateway.Binding, s Settings) gateway.Policy {
	p := &policy{credentials: s.Credentials, maxAge: strconv.Itoa(int(s.MaxAge.Std().Seconds()))}
	p.origins = newOrigins(b, s.Origins)
	if p.origins.all && s.Credentials {
		b.Problems.Add(b.Settings.At("credentials"), "credentials cannot be combined with the origin *", "list the origins")
	}
	for _, m := range s.Methods {
		if !httpguts.ValidHeaderFieldName(m) || m != strings.ToUpper(m) {
			b.Problems.Add(b.Settings.At("methods"), fmt.Sprintf("%q is not a method", m), "for example GET")
		}
	}
	p.methods = s.Methods
	p.headers = names(b, "headers", s.Headers, usual(b))
	p.allowed = strings.Join(p.headers, ", ")
	p.expose = strings.Join(names(b, "expose", s.Expose, usualExposed), ", ")
	return func(next gateway.Handler) gateway.Handler {
		p.next = next
		return p.handle
	}
}

// names checks a list of header names; usual stands for an absent one.
func names(b *gateway.Binding, key string, list, usual []string) []string {
	if !b.Settings.Get(key).Exists() {
		list = usual
	}
	var canonical []string
	for _, name := range list {
		if !httpguts.ValidHeaderFieldName(name) || name == "*" {
			b.Problems.Add(b.Settings.At(key), fmt.Sprintf("%q is not the name of a header", name), "name each header")
		}
		canonical = append(canonical, http.CanonicalHeaderKey(name))
	}
	return canonical
}

func (p *policy) handle(x *gateway.Exchange) (*gateway.Response, error) {
	h := x.Request.Header
	origins := h["Origin"]
	asked := x.Preflight || x.Request.Method == http.MethodOptions && len(origins) == 1 && len(h["Access-Control-Request-Method"]) == 1
	if asked {
		return p.preflight(x, origins[0])
	}
	if !p.origins.all {
		x.SetHeader("Vary", "Origin")
	}
	if len(origins) == 1 && p.origins.contains(origins[0]) {
		p.allow(x, origins[0])
		if p.expose != "" {
			x.SetHeader("Access-Control-Expose-Headers", p.expose)
		}
	}
	resp, err := p.next(x)
	if err != nil {
		return nil, err
	}
	return withoutOwn(resp), nil
}

func (p *policy) allow(x *gateway.Exchange, origin string) {
	if p.origins.all {
		origin = "*"
	}
	x.SetHeader("Access-Control-Allow-Origin", origin)
	if p.credentials {
		x.SetHeader("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers a browser's question; the system is not asked.
func (p *policy) preflight(x *gateway.Exchange, origin string) (*gateway.Response, error) {
	x.SetHeader("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	if !p.origins.contains(origin) {
		return nil, &gateway.Error{Problem: gateway.Forbidden, Detail: "web pages of this origin may not call"}
	}
	p.allow(x, origin)
	method := x.Request.Header.Get("Access-Control-Request-Method")
	if p.methods != nil && !slices.Contains(p.methods, method) {
		return nil, &gateway.Error{Problem: gateway.Forbidden, Detail: "web pages may not call with this method; allowed: " + strings.Join(p.methods, ", ")}
	}
	for _, line := range x.Request.Header["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(p.headers, http.CanonicalHeaderKey(name)) {
				return nil, &gateway.Error{Problem: gateway.Forbidden, Detail: "web pages may not set one of the headers asked for; allowed: " + p.allowed}
			}
		}
	}
	x.Record.Decision = "preflight"
	header := http.Header{
		"Access-Control-Allow-Methods": {method},
		"Access-Control-Max-Age":       {p.maxAge},
	}
	if p.allowed != "" {
		header["Access-Control-Allow-Headers"] = []string{p.allowed}
	}
	return &gateway.Response{Status: http.StatusNoContent, Header: header}, nil
}

// withoutOwn drops what the system says about origins. The response may be
// shared, so it is copied where it has to change.
func withoutOwn(resp *gateway.Response) *gateway.Response {
	own := func(name string, _ []string) bool { return strings.HasPrefix(name, "Access-Control-") }
	for name := range resp.Header {
		if own(name, nil) {
			changed := *resp
			changed.Header = maps.Clone(resp.Header)
			maps.DeleteFunc(changed.Header, own)
			return &changed
		}
	}
	return resp
}

// usual are the headers that pages may set where nothing is said: the usual
// ones, those that the document's keys stand in, and those that the operation
// declares. Browsers send cookies by themselves.
func usual(b *gateway.Binding) []string {
	headers := slices.Clone(usualHeaders)
	for _, s := range b.Operation.Document.Schemes {
		if name := http.CanonicalHeaderKey(s.Param); s.Type == "apiKey" && s.In == "header" && !slices.Contains(headers, name) {
			headers = append(headers, name)
		}
	}
	for _, name := range b.Operation.Headers() {
		if name != "Cookie" && !slices.Contains(headers, name) {
			headers = append(headers, name)
		}
	}
	slices.Sort(headers)
	return headers
}
