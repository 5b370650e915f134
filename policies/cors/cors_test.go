package cors

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/policies/policytest"
	"github.com/headrace/headrace/specs"
)

func kinds() []gateway.Kind { return []gateway.Kind{Kind(), refuse()} }

// refuse refuses every call, as a policy does that does not know the caller.
func refuse() gateway.Kind {
	return gateway.Define(gateway.Kind{Name: "refuse", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI},
		func(*gateway.Binding, struct{}) gateway.Policy {
			return func(gateway.Handler) gateway.Handler {
				return func(*gateway.Exchange) (*gateway.Response, error) {
					return nil, &gateway.Error{Problem: gateway.Unauthenticated}
				}
			}
		})
}

func preflight(t *testing.T, s *policytest.Server, origin, method string, headers ...string) policytest.Answer {
	t.Helper()
	r := s.Request(t, http.MethodOptions, "/orders", "Origin", origin, "Access-Control-Request-Method", method)
	for _, h := range headers {
		r.Header.Add("Access-Control-Request-Headers", h)
	}
	return s.Do(t, nil, r)
}

func TestPreflight(t *testing.T) {
	s := policytest.New(t, policytest.Options{Kinds: kinds(), Method: "POST", Policies: `
cors:
  origins: [https://shop.example.com, "https://*.partner.example", "http://localhost:5173"]
  credentials: true
  max_age: 5m
refuse: {}
`})
	for _, c := range []struct {
		name, origin, method string
		headers              []string
		status               int
	}{
		{"listed", "https://shop.example.com", "POST", nil, 204},
		{"with headers", "https://shop.example.com", "POST", []string{"content-type,x-api-key", "idempotency-key"}, 204},
		{"with a port", "http://localhost:5173", "POST", nil, 204},
		{"subdomain", "https://a.partner.example", "POST", nil, 204},
		{"deeper subdomain", "https://a.b.partner.example", "POST", nil, 204},
		{"another origin", "https://evil.example", "POST", nil, 403},
		{"another scheme", "http://shop.example.com", "POST", nil, 403},
		{"another port", "https://shop.example.com:8443", "POST", nil, 403},
		{"the parent of subdomains", "https://partner.example", "POST", nil, 403},
		{"an ending alike", "https://evilpartner.example", "POST", nil, 403},
		{"a beginning alike", "https://shop.example.com.evil.example", "POST", nil, 403},
		{"a path before the ending", "https://evil.example/.partner.example", "POST", nil, 403},
		{"an empty label", "https://.partner.example", "POST", nil, 403},
		{"credentials in the origin", "https://x@a.partner.example", "POST", nil, 403},
		{"null", "null", "POST", nil, 403},
		{"a header that is not allowed", "https://shop.example.com", "POST", []string{"content-type, x-debug"}, 403},
		{"a method that does not exist", "https://shop.example.com", "DELETE", nil, 405},
		{"no method at all", "https://shop.example.com", "", nil, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := preflight(t, s, c.origin, c.method, c.headers...)
			if a.Status != c.status || a.Seen != nil {
				t.Fatalf("%d %s", a.Status, a.Detail)
			}
			switch c.status {
			case 204:
				for name, want := range map[string]string{
					"Access-Control-Allow-Origin": c.origin, "Access-Control-Allow-Credentials": "true",
					"Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": "300",
					"Access-Control-Allow-Headers": strings.Join(usualHeaders, ", "),
					"Vary":                         "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
				} {
					if got := a.Header.Values(name); len(got) != 1 || got[0] != want {
						t.Errorf("%s: %q", name, got)
					}
				}
			case 403:
				if !slices.Contains(c.headers, "content-type, x-debug") && a.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Error("the origin is allowed all the same")
				}
			case 405:
				if a.Header.Get("Allow") != "POST" || a.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("headers %v", a.Header)
				}
			}
		})
	}
}

// OPTIONS without a question is no preflight and finds no operation.
func TestPlainOptions(t *testing.T) {
	s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: "cors: {origins: https://shop.example.com}"})
	for _, headers := range [][]string{nil, {"Origin", "https://shop.example.com"}, {"Access-Control-Request-Method", "GET"}} {
		if a := s.Do(t, nil, s.Request(t, http.MethodOptions, "/orders", headers...)); a.Status != 405 || a.Header.Get("Allow") == "" || a.Seen != nil {
			t.Errorf("%v: %d", headers, a.Status)
		}
	}
	if a := s.Do(t, nil, s.Request(t, http.MethodOptions, "/nothing", "Origin", "https://shop.example.com", "Access-Control-Request-Method", "GET")); a.Status != 404 {
		t.Errorf("unknown path: %d", a.Status)
	}
}

// Without the policy a preflight must not run anything of the operation's chain.
func TestPreflightWithoutPolicy(t *testing.T) {
	for _, policies := range []string{"{}", "{cors: off}", "{refuse: {}}"} {
		s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: policies, Method: "POST"})
		a := preflight(t, s, "https://shop.example.com", "POST")
		if a.Status != 405 || a.Header.Get("Allow") != "POST" || a.Seen != nil {
			t.Errorf("%s: %d, %v", policies, a.Status, a.Seen)
		}
	}
}

// A document may describe OPTIONS itself; a preflight is still the policy's.
func TestOwnOptions(t *testing.T) {
	s := policytest.New(t, policytest.Options{Kinds: kinds(), Method: "OPTIONS", Policies: "cors: {origins: '*', methods: [GET, OPTIONS]}"})
	if a := preflight(t, s, "https://shop.example.com", "GET"); a.Status != 204 || a.Seen != nil || a.Header.Get("Access-Control-Allow-Methods") != "GET" {
		t.Errorf("preflight: %d", a.Status)
	}
	if a := preflight(t, s, "https://shop.example.com", "DELETE"); a.Status != 403 || a.Seen != nil {
		t.Errorf("preflight for another method: %d", a.Status)
	}
	if a := s.Do(t, nil, s.Request(t, http.MethodOptions, "/orders")); a.Status != 200 || a.Seen == nil {
		t.Errorf("plain: %d", a.Status)
	}
}

func TestAnswers(t *testing.T) {
	own := http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}, "Vary": {"Accept"}, "X-Kept": {"1"}}
	options := policytest.Options{Kinds: kinds(), Policies: "cors: {origins: https://shop.example.com, expose: [X-Total, etag]}",
		Answer: func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Header: own}, nil
		}}
	s := policytest.New(t, options)
	for _, c := range []struct{ origin, allowed string }{
		{"https://shop.example.com", "https://shop.example.com"}, {"https://evil.example", ""}, {"", ""},
	} {
		var headers []string
		if c.origin != "" {
			headers = []string{"Origin", c.origin}
		}
		a := s.Get(t, "/orders", headers...)
		if a.Status != 200 || a.Seen == nil {
			t.Fatalf("%q: %d", c.origin, a.Status)
		}
		if got := strings.Join(a.Header.Values("Access-Control-Allow-Origin"), ","); got != c.allowed {
			t.Errorf("%q is answered %q", c.origin, got)
		}
		if got := strings.Join(a.Header.Values("Access-Control-Expose-Headers"), ","); (c.allowed != "") != (got == "X-Total, Etag") {
			t.Errorf("%q is shown %q", c.origin, got)
		}
		if a.Header.Get("Access-Control-Allow-Credentials") != "" || a.Header.Get("X-Kept") != "1" {
			t.Errorf("%q: %v", c.origin, a.Header)
		}
		if got := strings.Join(a.Header.Values("Vary"), ", "); got != "Accept, Origin" {
			t.Errorf("%q: Vary %q", c.origin, got)
		}
	}
	if own.Get("Access-Control-Allow-Origin") != "*" || len(own["Vary"]) != 1 {
		t.Error("the system's response was changed in place")
	}
	s = policytest.New(t, policytest.Options{Kinds: kinds(), Policies: "{cors: {origins: '*'}, refuse: {}}"})
	a := s.Get(t, "/orders", "Origin", "https://any.example")
	if a.Status != 401 || a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Vary") != "" {
		t.Errorf("a refusal cannot be read: %d %v", a.Status, a.Header)
	}
}

func TestProblems(t *testing.T) {
	const write = "; write scheme and host, for example https://shop.example.com or https://*.example.com"
	for _, c := range []struct{ policies, want string }{
		{"cors: {origins: '*'}", ""},
		{"cors: {}", `cors: the key "origins" is missing; it says: origins of web pages that may call: https://shop.example.com, https://*.example.com, or *`},
		{"cors: {origins: []}", "cors: no origin may call; list the origins of your web pages"},
		{"cors: {origins: '*', credentials: true}", "cors.credentials: credentials cannot be combined with the origin *; list the origins"},
		{"cors: {origins: 'null'}", "cors.origins: the origin null is that of any sandboxed page" + write},
		{"cors: {origins: [shop.example.com]}", `cors.origins[0]: "shop.example.com" is not an origin` + write},
		{"cors: {origins: [https://shop.example.com/]}", `cors.origins[0]: "https://shop.example.com/" is not an origin` + write},
		{"cors: {origins: ['https://*']}", `cors.origins[0]: "https://*" is not an origin` + write},
		{"cors: {origins: ['https://a.*.example']}", `cors.origins[0]: "https://a.*.example" is not an origin` + write},
		{"cors: {origins: ['https://shop.example.com:443']}", `cors.origins[0]: "https://shop.example.com:443" names the usual port, which browsers leave out` + write},
		{"cors: {origins: '*', methods: [get]}", `cors.methods: "get" is not a method; for example GET`},
		{"cors: {origins: '*', headers: ['*']}", `cors.headers: "*" is not the name of a header; name each header`},
		{"cors: {origins: '*', expose: ['a b']}", `cors.expose: "a b" is not the name of a header; name each header`},
	} {
		got := policytest.Problems(t, policytest.Options{Kinds: kinds(), Policies: c.policies})
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.policies, strings.Join(got, "\n"), c.want)
		}
	}
}

// Pages may send the key that the document demands.
func TestKeyHeader(t *testing.T) {
	document := &specs.Document{Schemes: map[string]*specs.SecurityScheme{
		"key":   {Type: "apiKey", In: "header", Param: "x-shop-key"},
		"query": {Type: "apiKey", In: "query", Param: "key"},
	}}
	headers := usual(&gateway.Binding{Operation: &specs.Operation{Document: document}})
	if !slices.Contains(headers, "X-Shop-Key") || slices.Contains(headers, "Key") || len(headers) != len(usualHeaders)+1 {
		t.Errorf("%v", headers)
	}
}

// Pages may set what the operation declares.
func TestDeclaredHeaders(t *testing.T) {
	s := gatewaytest.Serve(t, gatewaytest.Site{Kinds: []gateway.Kind{Kind()}, Document: `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {policies: {cors: {origins: "https://shop.example.com"}}}
paths:
  /orders:
    get:
      parameters:
        - {name: x-company, in: header, schema: {type: string}}
        - {name: branch, in: cookie, schema: {type: string}}
      responses: {'200': {description: fine}}
    put:
      responses: {'200': {description: fine}}
`})
	ask := func(method, header string) gatewaytest.Reply {
		return s.Do("OPTIONS", "/orders", "", "Origin: https://shop.example.com", "Access-Control-Request-Method: "+method, "Access-Control-Request-Headers: "+header)
	}
	r := ask("GET", "x-company")
	if allowed := r.Header.Get("Access-Control-Allow-Headers"); r.StatusCode != 204 || !strings.Contains(allowed, "X-Company") || strings.Contains(allowed, "Cookie") {
		t.Errorf("%d %s, allowed: %s", r.StatusCode, r.Text, allowed)
	}
	s.Refused(ask("PUT", "x-company"), gateway.Forbidden)
}
