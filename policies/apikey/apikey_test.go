package apikey

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
	"github.com/headrace/headrace/specs"
)

// keys of the apps of a test.
type keys struct{ shop, shopNext, shopOld, other, disabled Key }

func newKeys() keys { return keys{New(), New(), New(), New(), New()} }

func (k keys) consumers() string {
	return fmt.Sprintf(`
organisations: {acme: {title: Acme}}
apps:
  shop:
    organisation: acme
    keys: [{prefix: %q, hash: %q}, {prefix: %q, hash: %q, expires: 2099-01-01}]
  retired:
    organisation: acme
    keys: [{prefix: %q, hash: %q, expires: 2020-01-01}]
  other: {organisation: acme, keys: [{prefix: %q, hash: %q}]}
  disabled: {organisation: acme, disabled: true, keys: [{prefix: %q, hash: %q}]}
`, k.shop.Prefix, k.shop.Hash, k.shopNext.Prefix, k.shopNext.Hash, k.shopOld.Prefix, k.shopOld.Hash,
		k.other.Prefix, k.other.Hash, k.disabled.Prefix, k.disabled.Hash)
}

func header(name string) *specs.SecurityScheme {
	return &specs.SecurityScheme{Type: "apiKey", In: "header", Param: name}
}

func query(name string) *specs.SecurityScheme {
	return &specs.SecurityScheme{Type: "apiKey", In: "query", Param: name}
}

func TestHeader(t *testing.T) {
	k := newKeys()
	s := policytest.New(t, policytest.Options{
		Kinds: []gateway.Kind{Kind()}, Policies: "apikey: {}", Consumers: k.consumers(),
		Schemes: map[string]*specs.SecurityScheme{"bearer": {Type: "http", HTTPScheme: "bearer"}, "key": header("X-API-Key")},
	})
	wrongSecret := k.shop.Text[:len(k.shop.Text)-1] + "!"
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		app     string
		detail  string
	}{
		{"a key", []string{"X-Api-Key", k.shop.Text}, 200, "shop", ""},
		{"its successor", []string{"x-api-key", k.shopNext.Text}, 200, "shop", ""},
		{"of another app", []string{"X-Api-Key", k.other.Text}, 200, "other", ""},
		{"none", nil, 200, "", ""},
		{"elsewhere", []string{"X-Key", k.shop.Text}, 200, "", ""},
		{"expired", []string{"X-Api-Key", k.shopOld.Text}, 401, "", "the API key has expired"},
		{"disabled app", []string{"X-Api-Key", k.disabled.Text}, 403, "", `the app "disabled" is disabled`},
		{"wrong secret", []string{"X-Api-Key", wrongSecret}, 401, "", "the API key is not accepted"},
		{"unknown", []string{"X-Api-Key", New().Text}, 401, "", "the API key is not accepted"},
		{"empty", []string{"X-Api-Key", ""}, 401, "", "the API key is not accepted"},
		{"the hash", []string{"X-Api-Key", k.shop.Hash}, 401, "", "the API key is not accepted"},
		{"the prefix", []string{"X-Api-Key", "hr_" + k.shop.Prefix + "_"}, 401, "", "the API key is not accepted"},
		{"too long", []string{"X-Api-Key", k.shop.Text + strings.Repeat("x", 4000)}, 401, "", "the API key is not accepted"},
		{"twice", []string{"X-Api-Key", k.shop.Text, "X-Api-Key", k.shop.Text}, 401, "", "the API key is given more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.Get(t, "/orders", c.headers...)
			if a.Status != c.status || a.Detail != c.detail {
				t.Fatalf("%d %q, want %d %q", a.Status, a.Detail, c.status, c.detail)
			}
			if (a.Seen != nil) != (c.status == 200) {
				t.Fatal("a refused call went on")
			}
			if c.status == 401 && a.Header.Get("WWW-Authenticate") != `ApiKey realm="orders/v1"` {
				t.Errorf("challenge %q", a.Header.Get("WWW-Authenticate"))
			}
			if a.Seen == nil {
				return
			}
			if a.Seen.App != c.app || (a.Seen.Identified == 2) != (c.app != "") {
				t.Errorf("app %q, schemes %b", a.Seen.App, a.Seen.Identified)
			}
			if a.Seen.Header.Get("X-Api-Key") != "" {
				t.Error("the key goes on to the system")
			}
		})
	}
	for _, secret := range []string{k.shop.Text, k.shopOld.Text, wrongSecret, wrongSecret[12:], k.shop.Hash} {
		if strings.Contains(s.Causes(), secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
	if !strings.Contains(s.Causes(), k.shopOld.Prefix) {
		t.Error("the log does not say which key has expired")
	}
}

func TestQuery(t *testing.T) {
	k := newKeys()
	s := policytest.New(t, policytest.Options{
		Kinds: []gateway.Kind{Kind()}, Policies: "apikey: {in: query, name: api key}", Consumers: k.consumers(),
	})
	for _, c := range []struct {
		query, rest string
		status      int
		app         string
	}{
		{"api+key=KEY", "", 200, "shop"},
		{"api%20key=KEY&b=2", "b=2", 200, "shop"},
		{"a=%2f+x&api%20key=KEY&&b", "a=%2f+x&&b", 200, "shop"},
		{"%61pi%20key=KEY&a=1", "a=1", 200, "shop"},
		{"a=1&b=api+key", "a=1&b=api+key", 200, ""},
		{"api%zzkey=KEY", "api%zzkey=KEY", 200, ""},
		{"", "", 200, ""},
		{"api+key=KEY&api+key=KEY", "", 401, ""},
		{"api+key=%zz", "", 401, ""},
		{"api+key", "", 401, ""},
	} {
		a := s.Get(t, "/orders?"+strings.ReplaceAll(c.query, "KEY", k.shop.Text))
		rest := strings.ReplaceAll(c.rest, "KEY", k.shop.Text)
		if a.Status != c.status {
			t.Errorf("%s: %d %s", c.query, a.Status, a.Detail)
			continue
		}
		if a.Seen == nil {
			continue
		}
		if a.Seen.App != c.app || a.Seen.Query != rest {
			t.Errorf("%s: app %q, query %q", c.query, a.Seen.App, a.Seen.Query)
		}
		if c.app != "" && strings.Contains(a.Seen.URI, k.shop.Text) {
			t.Errorf("%s: the key stays in the request's URI", c.query)
		}
	}
}

// Two schemes have two places; each counts for itself.
func TestPlaces(t *testing.T) {
	k := newKeys()
	s := policytest.New(t, policytest.Options{
		Kinds: []gateway.Kind{Kind()}, Policies: "apikey: {}", Consumers: k.consumers(),
		Schemes: map[string]*specs.SecurityScheme{"a": header("X-Key"), "b": query("key"), "c": header("x-key")},
	})
	for _, c := range []struct {
		target  string
		headers []string
		status  int
		schemes uint32
	}{
		{"/orders", []string{"X-Key", k.shop.Text}, 200, 0b101},
		{"/orders?key=" + k.shop.Text, nil, 200, 0b010},
		{"/orders?key=" + k.shopNext.Text, []string{"X-Key", k.shop.Text}, 200, 0b111},
		{"/orders?key=" + k.other.Text, []string{"X-Key", k.shop.Text}, 401, 0},
		{"/orders?key=wrong", []string{"X-Key", k.shop.Text}, 401, 0},
		{"/orders", []string{"X-Api-Key", k.shop.Text}, 200, 0},
	} {
		a := s.Get(t, c.target, c.headers...)
		if a.Status != c.status {
			t.Errorf("%s %v: %d %s", c.target, c.headers, a.Status, a.Detail)
		}
		if a.Seen != nil && (a.Seen.Identified != c.schemes || a.Seen.Query != "" || a.Seen.Header.Get("X-Key") != "") {
			t.Errorf("%s %v: %+v", c.target, c.headers, a.Seen)
		}
	}
}

func TestProblems(t *testing.T) {
	schemes := map[string]*specs.SecurityScheme{"key": header("X-Key"), "spare": query("key")}
	needsKey := []map[string][]string{{"key": nil}}
	for _, c := range []struct {
		policies string
		security []map[string][]string
		want     string
	}{
		{"apikey: {}", needsKey, ""},
		{"apikey: {in: header}", needsKey, ""},
		{"apikey: {name: x-key}", needsKey, ""},
		{"apikey: {in: query}", needsKey, `apikey: looks for the key elsewhere than the security scheme "key", which the operation demands: header X-Key; leave out in and name, or set them alike`},
		{"apikey: {name: X-Other}", needsKey, `apikey: looks for the key elsewhere than the security scheme "key", which the operation demands: header X-Key; leave out in and name, or set them alike`},
		{"apikey: {name: X-Other}", nil, ""},
		{"apikey: {in: cookie}", nil, `apikey.in: "cookie" is not known here; one of header, query`},
		{"apikey: {name: Authorization}", nil, `apikey.name: the header "Authorization" is no place for an API key; for example X-Api-Key`},
		{"apikey: {name: X Y}", nil, `apikey.name: the header "X Y" is no place for an API key; for example X-Api-Key`},
		{"apikey: {headr: X}", nil, `apikey.headr: unknown key "headr"; one of in, name`},
	} {
		got := strings.Join(policytest.Problems(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: c.policies, Schemes: schemes, Security: c.security}), "\n")
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.policies, got, c.want)
		}
	}
	got := policytest.Problems(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "apikey: {in: query}"})
	if want := []string{"apikey: the query parameter has no name; set name, or declare a security scheme of type apiKey"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestSatisfies(t *testing.T) {
	for _, c := range []struct {
		scheme specs.SecurityScheme
		want   bool
	}{
		{*header("X-Key"), true},
		{*query("key"), true},
		{*header("authorization"), false},
		{specs.SecurityScheme{Type: "apiKey", In: "cookie", Param: "key"}, false},
		{specs.SecurityScheme{Type: "http", HTTPScheme: "bearer"}, false},
		{specs.SecurityScheme{Type: "mutualTLS"}, false},
	} {
		if got := Kind().Satisfies(&c.scheme); got != c.want {
			t.Errorf("%+v: %v", c.scheme, got)
		}
	}
}

func TestNew(t *testing.T) {
	seen := map[string]bool{}
	counts := map[byte]int{}
	for range 2000 {
		k := New()
		if seen[k.Text] || seen[k.Prefix] {
			t.Fatal("a key came twice")
		}
		seen[k.Text], seen[k.Prefix] = true, true
		secret, ok := strings.CutPrefix(k.Text, "hr_"+k.Prefix+"_")
		if !ok || len(k.Prefix) != gateway.KeyPrefixLength || len(secret) != secretLength || strings.Trim(secret, base62) != "" {
			t.Fatalf("key %+v", k)
		}
		for i := range len(secret) {
			counts[secret[i]]++
		}
	}
	// 80 000 characters, 1290 of each on average, with a deviation of 36.
	for i := range len(base62) {
		if n := counts[base62[i]]; n < 1290-7*36 || n > 1290+7*36 {
			t.Errorf("the character %c came %d times of 80000", base62[i], n)
		}
	}
}

// FuzzAPIKey throws headers and queries at the policy: it never panics,
// identifies nobody but the owner of the key, and never lets a key through.
func FuzzAPIKey(f *testing.F) {
	k := newKeys()
	handler, _ := policytest.Compile(f, policytest.Options{
		Kinds: []gateway.Kind{Kind()}, Policies: "apikey: {}", Consumers: k.consumers(),
		Schemes: map[string]*specs.SecurityScheme{"a": header("X-Key"), "b": query("key")},
	})
	f.Add(k.shop.Text, "key="+k.shop.Text)
	f.Add("hr_"+k.shop.Prefix+"_", "k%65y=hr_&key")
	f.Add(k.shop.Text[:30], "a=1&key="+url.QueryEscape(k.shopOld.Text)+";key=2")
	f.Add("", "&&=&key=%")
	valid := func(key string) bool { return key == k.shop.Text || key == k.shopNext.Text || key == k.other.Text }
	f.Fuzz(func(t *testing.T, inHeader, inQuery string) {
		x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
		x.Request.Header["X-Key"] = []string{inHeader}
		x.Request.URL.RawQuery = inQuery
		before, _ := url.ParseQuery(inQuery)
		_, err := handler(x)
		if err == nil && !valid(inHeader) {
			t.Fatalf("%q let through", inHeader)
		}
		if x.App != nil && !valid(inHeader) && !valid(before.Get("key")) {
			t.Fatalf("%q and %q identified %s", inHeader, inQuery, x.App.Name)
		}
		if x.Request.Header["X-Key"] != nil {
			t.Fatal("the header is still there")
		}
		after, _ := url.ParseQuery(x.Request.URL.RawQuery)
		if _, ok := after["key"]; ok {
			t.Fatalf("the key is still in %q", x.Request.URL.RawQuery)
		}
		delete(before, "key")
		if before.Encode() != after.Encode() {
			t.Fatalf("%q became %q", inQuery, x.Request.URL.RawQuery)
		}
	})
}

// Whoever guesses keys with the prefix of one is slowed down; others are not.
func TestGuessing(t *testing.T) {
	k := newKeys()
	s := policytest.New(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "apikey: {}", Consumers: k.consumers()})
	wrong := k.shop.Text[:len(k.shop.Text)-1] + "!"
	for range 10 {
		if a := s.Get(t, "/orders", "X-Api-Key", wrong); a.Status != 401 {
			t.Fatal(a.Status)
		}
	}
	if a := s.Get(t, "/orders", "X-Api-Key", k.shop.Text); a.Status != 429 || a.Header.Get("Retry-After") == "" || strings.Contains(a.Detail, k.shop.Text) {
		t.Errorf("%d %s", a.Status, a.Detail)
	}
	if a := s.Get(t, "/orders", "X-Api-Key", k.other.Text); a.Status != 200 {
		t.Errorf("another key: %d %s", a.Status, a.Detail)
	}
}
