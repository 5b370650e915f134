package scope

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
	"github.com/headrace/headrace/specs"
)

const consumers = `
organisations: {acme: {}}
apps: {shop: {organisation: acme}}
`

var schemes = map[string]*specs.SecurityScheme{
	"basic": {Type: "http", HTTPScheme: "basic"},
	"key":   {Type: "apiKey", In: "header", Param: "X-Key"},
	"oauth": {Type: "oauth2"},
	"tls":   {Type: "mutualTLS"},
}

// identify makes a kind that believes what a header says: the scopes of the
// app shop, for all schemes of a type.
func identify(name, challenge, header, schemeType string) gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: name, Stage: gateway.StageIdentify, Levels: gateway.LevelAPI, Challenge: challenge,
		Satisfies: func(s *specs.SecurityScheme) bool { return s.Type == schemeType },
	}, func(b *gateway.Binding, _ struct{}) gateway.Policy {
		var bits uint32
		for _, s := range b.Operation.Document.Schemes {
			if s.Type == schemeType {
				bits |= s.Bit
			}
		}
		return func(next gateway.Handler) gateway.Handler {
			return func(x *gateway.Exchange) (*gateway.Response, error) {
				if values := x.Request.Header[header]; len(values) > 0 {
					if err := x.Recognise(b.Consumers.Apps["shop"], bits, strings.Fields(values[0])); err != nil {
						return nil, err
					}
				}
				return next(x)
			}
		}
	})
}

func kinds() []gateway.Kind {
	callers := []gateway.Kind{identify("key", "ApiKey", "Key", "apiKey"), identify("token", "Bearer", "Token", "oauth2")}
	return append(callers, Kind(callers))
}

type requirement = map[string][]string

func TestScope(t *testing.T) {
	const all = "{key: {}, token: {}}"
	const keyChallenge, tokenChallenge = `ApiKey realm="orders/v1"`, `Bearer realm="orders/v1"`
	for _, c := range []struct {
		name      string
		policies  string
		security  []map[string][]string
		headers   []string
		status    int
		challenge string
		detail    string
	}{
		{"nothing demanded, nothing configured", "", nil, nil, 200, "", ""},
		{"public", all, []requirement{}, nil, 200, "", ""},
		{"nothing demanded, but configured", all, nil, nil, 401, keyChallenge + ", " + tokenChallenge, "the operation is for known apps only; it accepts: key or token"},
		{"nothing demanded, one configured", "{key: off, token: {}}", nil, nil, 401, tokenChallenge, "the operation is for known apps only; it accepts: token"},
		{"nothing demanded, known", all, nil, []string{"Key", ""}, 200, "", ""},
		{"key, nobody", all, []requirement{{"key": nil}}, nil, 401, keyChallenge + ", " + tokenChallenge, "the operation is for known apps only; it accepts: key or token"},
		{"key, known", all, []requirement{{"key": nil}}, []string{"Key", ""}, 200, "", ""},
		{"key, other credential", all, []requirement{{"key": nil}}, []string{"Token", "a b"}, 401, keyChallenge + ", " + tokenChallenge, "the operation demands other credentials than those given; it accepts: key or token"},
		{"one of two", all, []requirement{{"key": nil}, {"oauth": nil}}, []string{"Token", ""}, 200, "", ""},
		{"both, one given", all, []requirement{{"key": nil, "oauth": nil}}, []string{"Token", ""}, 401, keyChallenge + ", " + tokenChallenge, "the operation demands other credentials than those given; it accepts: key or token"},
		{"both, both given", all, []requirement{{"key": nil, "oauth": nil}}, []string{"Token", "", "Key", ""}, 200, "", ""},
		{"scopes", all, []requirement{{"oauth": {"a", "b"}}}, []string{"Token", "b c a"}, 200, "", ""},
		{"scopes lacking", all, []requirement{{"oauth": {"a", "b", "c"}}}, []string{"Token", "b"}, 403, tokenChallenge + `, error="insufficient_scope", scope="a c"`, "the credentials lack a, c"},
		{"part of a scope", all, []requirement{{"oauth": {"orders"}}}, []string{"Token", "orders:read"}, 403, tokenChallenge + `, error="insufficient_scope", scope="orders"`, "the credentials lack orders"},
		{"fewest lacking", all, []requirement{{"oauth": {"a", "b"}}, {"oauth": {"c"}}}, []string{"Token", "x"}, 403, tokenChallenge + `, error="insufficient_scope", scope="c"`, "the credentials lack c"},
		{"scopes lacking, alternative met", all, []requirement{{"oauth": {"a"}}, {"key": nil}}, []string{"Token", "", "Key", ""}, 200, "", ""},
		{"scopes without a token", all, []requirement{{"oauth": {"a"}}}, []string{"Key", "a"}, 401, keyChallenge + ", " + tokenChallenge, "the operation demands other credentials than those given; it accepts: key or token"},
		{"optional, nobody", all, []requirement{{"key": nil}, {}}, nil, 200, "", ""},
		{"a scope that cannot stand in a header", all, []requirement{{"oauth": {"a\"\n"}}}, []string{"Token", "x"}, 403, tokenChallenge + `, error="insufficient_scope"`, "the credentials lack a\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := policytest.New(t, policytest.Options{Kinds: kinds(), Policies: c.policies, Consumers: consumers, Schemes: schemes, Security: c.security})
			a := s.Get(t, "/orders", c.headers...)
			if a.Status != c.status || a.Detail != c.detail || a.Header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%d %q %q\nwant %d %q %q", a.Status, a.Detail, a.Header.Get("WWW-Authenticate"), c.status, c.detail, c.challenge)
			}
			if (a.Seen != nil) != (c.status == http.StatusOK) {
				t.Error("a refused call went on")
			}
			if c.status == 401 && a.Problem != "unauthenticated" || c.status == 403 && a.Problem != "insufficient-scope" {
				t.Errorf("problem %q", a.Problem)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		policies string
		security []map[string][]string
		want     []string
	}{
		{"{key: {}}", []requirement{{"key": nil}}, nil},
		{"{key: off}", []requirement{}, nil},
		{"{}", []requirement{{"key": nil}}, []string{`the security scheme "key" (API key in the header X-Key) is required but no configured policy establishes it; configure key in x-headrace.policies`}},
		{"{key: off}", []requirement{{"key": nil}}, []string{`the security scheme "key" (API key in the header X-Key) is required but no configured policy establishes it; configure key in x-headrace.policies`}},
		{"{key: {}}", []requirement{{"key": nil}, {"oauth": nil}}, []string{`the security scheme "oauth" (oauth2) is required but no configured policy establishes it; configure token in x-headrace.policies`}},
		{"{key: {}}", []requirement{{"basic": nil}}, []string{`the security scheme "basic" (HTTP basic) is required but no configured policy establishes it; replace it by an API key in a header or the query, a bearer token or a client certificate; an overlay has to remove $.security first, because update appends to lists`}},
		{"{key: {}}", []requirement{{"tls": nil}}, []string{`the security scheme "tls" (mutualTLS) is required but no configured policy establishes it; replace it by an API key in a header or the query, a bearer token or a client certificate; an overlay has to remove $.security first, because update appends to lists`}},
		{"{key: {}}", []requirement{{"key": {"admin"}}}, []string{`scopes are required of the security scheme "key" (API key in the header X-Key), which carries none; leave its list empty, or require a token`}},
		{"{key: {}, scope: off}", []requirement{{"key": nil}}, []string{`scope: the policy "scope" cannot be switched off; remove this line`}},
		{"{scope: {x: 1}}", []requirement{}, []string{`scope.x: unknown key "x"; none is defined`}},
	} {
		got := policytest.Problems(t, policytest.Options{Kinds: kinds(), Policies: c.policies, Consumers: consumers, Schemes: schemes, Security: c.security})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %v:\n got %s\nwant %s", c.policies, c.security, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// A chain that was compiled although its scheme cannot be met refuses everybody.
func TestNeverOpen(t *testing.T) {
	for _, policies := range []string{"{}", "{key: off}", "{key: off, scope: off}", "{token: {}}"} {
		chain, problems := policytest.Compile(t, policytest.Options{Kinds: kinds(), Policies: policies, Consumers: consumers, Schemes: schemes, Security: []requirement{{"key": nil}}})
		if len(problems) == 0 {
			t.Errorf("%s: no problem", policies)
		}
		for _, header := range []string{"", "Key", "Token"} {
			x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
			x.Request.Header[header] = []string{"a"}
			if _, err := chain(x); err == nil || gateway.AsError(err).Problem != gateway.Unauthenticated {
				t.Errorf("%s, header %q: %v", policies, header, err)
			}
		}
	}
}
