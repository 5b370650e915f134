package header

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
)

func TestHeader(t *testing.T) {
	shared := http.Header{"Server": {"erp"}, "X-Mode": {"a", "b"}, "X-Kept": {"1"}}
	s := policytest.New(t, policytest.Options{
		Kinds: []gateway.Kind{Kind()},
		Policies: `
header:
  request:
    set: {x-company: "1000", X-Mode: strict}
    remove: [x-debug, X-Absent]
  response:
    set: {X-Mode: plain, Strict-Transport-Security: max-age=1}
    remove: [server]
`,
		Answer: func(x *gateway.Exchange) (*gateway.Response, error) {
			if x.Request.URL.RawQuery == "fail" {
				return nil, &gateway.Error{Problem: gateway.SystemUnavailable}
			}
			if x.Request.URL.RawQuery == "bare" {
				return &gateway.Response{Status: 204}, nil
			}
			return &gateway.Response{Status: 200, Header: shared}, nil
		},
	})
	a := s.Get(t, "/orders", "X-Mode", "loose", "X-Mode", "looser", "X-Debug", "1", "X-Other", "o")
	for name, want := range map[string]string{"X-Company": "1000", "X-Mode": "strict", "X-Debug": "", "X-Other": "o"} {
		if got := strings.Join(a.Seen.Header.Values(name), ","); got != want {
			t.Errorf("request %s: %q", name, got)
		}
	}
	for name, want := range map[string]string{"Server": "", "X-Mode": "plain", "Strict-Transport-Security": "max-age=1", "X-Kept": "1"} {
		if got := strings.Join(a.Header.Values(name), ","); got != want {
			t.Errorf("response %s: %q", name, got)
		}
	}
	if shared.Get("Server") != "erp" || len(shared["X-Mode"]) != 2 {
		t.Error("the system's response was changed in place")
	}
	if a := s.Get(t, "/orders?bare"); a.Status != 204 || a.Header.Get("X-Mode") != "plain" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	if a := s.Get(t, "/orders?fail"); a.Status != 503 || a.Header.Get("X-Mode") != "" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

// What the policy sets must not be taken for a credential.
func TestAfterIdentification(t *testing.T) {
	var seen http.Header
	identify := gateway.Define(gateway.Kind{Name: "identify", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI},
		func(*gateway.Binding, struct{}) gateway.Policy {
			return func(next gateway.Handler) gateway.Handler {
				return func(x *gateway.Exchange) (*gateway.Response, error) {
					seen = x.Request.Header.Clone()
					return next(x)
				}
			}
		})
	s := policytest.New(t, policytest.Options{Kinds: []gateway.Kind{Kind(), identify}, Policies: "{identify: {}, header: {request: {set: {X-Key: secret}}}}"})
	if a := s.Get(t, "/orders"); a.Seen.Header.Get("X-Key") != "secret" || seen == nil || seen.Get("X-Key") != "" {
		t.Errorf("identification saw %v", seen)
	}
}

func TestProblems(t *testing.T) {
	fixed := func(path, name, reason string) []string {
		return []string{"header." + path + ": the header " + name + " cannot be changed: it " + reason}
	}
	for _, c := range []struct {
		settings string
		want     []string
	}{
		{"{}", []string{"header: changes nothing; set or remove a header of the request or the response"}},
		{"{request: {}}", []string{"header: changes nothing; set or remove a header of the request or the response"}},
		{"{request: {set: {host: x, X-A: b}}}", fixed("request.set.host", "Host", framing)},
		{"{request: {set: {Content-Length: '1', X-A: b}}}", fixed("request.set.Content-Length", "Content-Length", framing)},
		{"{request: {set: {transfer-encoding: chunked, X-A: b}}}", fixed("request.set.transfer-encoding", "Transfer-Encoding", connection)},
		{"{request: {set: {X-A: b}, remove: Connection}}", fixed("request.remove", "Connection", connection)},
		{"{request: {set: {X-A: b, TE: trailers}}}", fixed("request.set.TE", "Te", connection)},
		{"{request: {set: {X-A: b, Upgrade: h2c}}}", fixed("request.set.Upgrade", "Upgrade", connection)},
		{"{request: {set: {X-A: b, Proxy-Authenticate: x}}}", fixed("request.set.Proxy-Authenticate", "Proxy-Authenticate", connection)},
		{"{request: {set: {X-A: b, authorization: Bearer x}}}", fixed("request.set.authorization", "Authorization", identity)},
		{"{request: {set: {X-A: b, cookie: a=b}}}", fixed("request.set.cookie", "Cookie", identity)},
		{"{request: {set: {X-A: b, x-forwarded-for: 10.0.0.1}}}", fixed("request.set.x-forwarded-for", "X-Forwarded-For", origin)},
		{"{request: {set: {X-A: b, Idempotency-Key: k}}}", fixed("request.set.Idempotency-Key", "Idempotency-Key", own)},
		{"{response: {set: {X-A: b, content-length: '0'}}}", fixed("response.set.content-length", "Content-Length", framing)},
		{"{response: {remove: [X-A, Www-Authenticate]}}", fixed("response.remove", "Www-Authenticate", identity)},
		{"{response: {set: {X-A: b, access-control-allow-origin: '*'}}}", fixed("response.set.access-control-allow-origin", "Access-Control-Allow-Origin", "is written by the policy cors")},
		{"{response: {set: {X-A: b, Sunset: x}}}", fixed("response.set.Sunset", "Sunset", "is written by the policy deprecate")},
		{"{request: {set: {X-A: b, 'a b': x}}}", []string{`header.request.set["a b"]: "a b" is not the name of a header`}},
		{`{request: {set: {X-A: b, X-B: "a\r\nX-Api-Key: k"}}}`, []string{"header.request.set.X-B: the value of X-B cannot stand in a header; one line without spaces at its ends"}},
		{"{request: {set: {X-A: b, x-a: c}}}", []string{"header.request.set.x-a: X-A is set twice; the case of letters makes no difference in names of headers"}},
		{"{requst: {}}", []string{`header.requst: unknown key "requst"; did you mean "request"?`}},
	} {
		got := policytest.Problems(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "header: " + c.settings})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.settings, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}
