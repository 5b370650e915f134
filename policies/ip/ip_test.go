package ip

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
)

// TestAddress: what comes after is told who the caller is behind the proxies.
func TestAddress(t *testing.T) {
	chain := compiled(t, "ip: {allow: 203.0.113.0/24, trusted_proxies: 10.0.0.0/8}")
	x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
	x.Request.RemoteAddr = "10.0.0.1:1000"
	x.Request.Header.Set("X-Forwarded-For", "198.51.100.1, 203.0.113.7")
	if _, err := chain(x); err != nil || x.Address.String() != "203.0.113.7" {
		t.Errorf("the caller's address is %s, %v", x.Address, err)
	}
}

// call sends a request through a chain as if it came from an address.
func call(chain gateway.Handler, remote string, forwarded ...string) error {
	x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
	x.Request.RemoteAddr = remote
	if forwarded != nil {
		x.Request.Header["X-Forwarded-For"] = forwarded
	}
	_, err := chain(x)
	return err
}

func compiled(t *testing.T, policies string) gateway.Handler {
	t.Helper()
	chain, problems := policytest.Compile(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: policies})
	if problems != nil {
		t.Fatal(problems)
	}
	return chain
}

func TestLists(t *testing.T) {
	for _, c := range []struct {
		policies string
		address  string
		ok       bool
	}{
		{"ip: {allow: 203.0.113.0/24}", "203.0.113.7:1000", true},
		{"ip: {allow: 203.0.113.0/24}", "203.0.114.7:1000", false},
		{"ip: {allow: 203.0.113.0/24}", "[::ffff:203.0.113.7]:1000", true},
		{"ip: {allow: '::ffff:203.0.113.0/120'}", "203.0.113.7:1000", true},
		{"ip: {allow: '::ffff:203.0.113.7'}", "203.0.113.7:1000", true},
		{"ip: {allow: 203.0.113.7}", "203.0.113.7:1000", true},
		{"ip: {allow: 203.0.113.7}", "203.0.113.8:1000", false},
		{"ip: {allow: '2001:db8::/32'}", "[2001:db8:1::5]:1000", true},
		{"ip: {allow: '2001:db8::/32'}", "[2001:db9::5]:1000", false},
		{"ip: {allow: '2001:db8::/32'}", "203.0.113.7:1000", false},
		{"ip: {allow: 'fe80::/10'}", "[fe80::1%eth0]:1000", true},
		{"ip: {allow: 0.0.0.0/0}", "[2001:db8::1]:1000", false},
		{"ip: {allow: [10.0.0.0/8, 203.0.113.0/24, 192.0.2.1]}", "192.0.2.1:1", true},
		{"ip: {allow: 203.0.113.0/24, deny: 203.0.113.66}", "203.0.113.66:1000", false},
		{"ip: {allow: 203.0.113.0/24, deny: 203.0.113.66}", "203.0.113.67:1000", true},
		{"ip: {deny: 203.0.113.0/24}", "203.0.113.67:1000", false},
		{"ip: {deny: 203.0.113.0/24}", "[::ffff:203.0.113.67]:1000", false},
		{"ip: {deny: 203.0.113.0/24}", "198.51.100.1:1000", true},
		{"ip: {deny: 203.0.113.0/24}", "@", false},
	} {
		err := call(compiled(t, c.policies), c.address)
		if (err == nil) != c.ok || err != nil && gateway.AsError(err).Problem != gateway.AddressRefused {
			t.Errorf("%s, %s: %v", c.policies, c.address, err)
		}
	}
}

func TestForwarded(t *testing.T) {
	const trusting = "ip: {allow: 203.0.113.0/24, trusted_proxies: [10.0.0.0/8, 'fd00::/8']}"
	for _, c := range []struct {
		policies  string
		remote    string
		forwarded []string
		ok        bool
	}{
		{trusting, "10.0.0.1:1", []string{"203.0.113.7"}, true},
		{trusting, "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.7"}, true},
		{trusting, "10.0.0.1:1", []string{"203.0.113.7, 198.51.100.1"}, false},
		{trusting, "10.0.0.1:1", []string{"203.0.113.7,10.1.1.1 , 10.2.2.2"}, true},
		{trusting, "10.0.0.1:1", []string{"198.51.100.1", "203.0.113.7", "10.1.1.1"}, true},
		{trusting, "10.0.0.1:1", []string{"203.0.113.7", "198.51.100.1"}, false},
		{trusting, "[fd00::1]:1", []string{"203.0.113.7:4711"}, true},
		{trusting, "[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.7"}, true},
		{trusting, "[fd00::1]:1", []string{"[2001:db8::1]:4711"}, false},
		{trusting, "[fd00::1]:1", []string{"[2001:db8::1]"}, false},
		{trusting, "10.0.0.1:1", nil, false},
		{trusting, "10.0.0.1:1", []string{""}, false},
		{trusting, "10.0.0.1:1", []string{"unknown"}, false},
		{trusting, "10.0.0.1:1", []string{"203.0.113.7, unknown"}, false},
		{trusting, "10.0.0.1:1", []string{"unknown, 203.0.113.7"}, true},
		{trusting, "10.0.0.1:1", []string{"10.1.1.1"}, false},
		// Whoever is not a proxy cannot speak for others.
		{trusting, "198.51.100.1:1", []string{"203.0.113.7"}, false},
		{trusting, "203.0.113.7:1", []string{"198.51.100.1"}, true},
		{"ip: {allow: 203.0.113.0/24}", "10.0.0.1:1", []string{"203.0.113.7"}, false},
		{"ip: {deny: 203.0.113.0/24}", "203.0.113.7:1", []string{"198.51.100.1"}, false},
		{"ip: {deny: 203.0.113.0/24, trusted_proxies: 10.0.0.0/8}", "10.0.0.1:1", []string{"nonsense"}, false},
	} {
		err := call(compiled(t, c.policies), c.remote, c.forwarded...)
		if (err == nil) != c.ok {
			t.Errorf("%s, %s %q: %v", c.policies, c.remote, c.forwarded, err)
		}
	}
}

func TestOverHTTP(t *testing.T) {
	s := policytest.New(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "ip: {deny: 127.0.0.0/8}"})
	a := s.Get(t, "/orders", "X-Forwarded-For", "203.0.113.7")
	if a.Status != 403 || a.Problem != "address-refused" || a.Detail != "the address is 127.0.0.1" || a.Seen != nil {
		t.Errorf("%d %s %s", a.Status, a.Problem, a.Detail)
	}
}

func TestProblems(t *testing.T) {
	const write = "; write an address or a network, for example 203.0.113.7 or 2001:db8::/32"
	for _, c := range []struct {
		policies string
		want     []string
	}{
		{"ip: {}", []string{"ip: neither allow nor deny has an address; give at least one of them"}},
		{"ip: {allow: []}", []string{"ip: neither allow nor deny has an address; give at least one of them"}},
		{"ip: {trusted_proxies: 10.0.0.1}", []string{"ip: neither allow nor deny has an address; give at least one of them"}},
		{"ip: {allow: [10.0.0.1, localhost]}", []string{`ip.allow[1]: "localhost" is neither an address nor a network` + write}},
		{"ip: {allow: 10.0.0.0/33}", []string{`ip.allow: "10.0.0.0/33" is neither an address nor a network` + write}},
		{"ip: {deny: 10.1.2.3/8}", []string{"ip.deny: 10.1.2.3/8 is not the start of a network; write 10.0.0.0/8, or the address alone"}},
		{"ip: {deny: '::ffff:0:0/90'}", []string{`ip.deny: "::ffff:0:0/90" mixes IPv4 and IPv6` + write}},
		{"ip: {allow: 10.0.0.1, trusted_proxies: ['::/0']}", []string{"ip.trusted_proxies: everybody would be believed; list the networks of your own proxies"}},
		{"ip: {allow: 10.0.0.1, trusted_proxies: 0.0.0.0/0}", []string{"ip.trusted_proxies: everybody would be believed; list the networks of your own proxies"}},
		{"ip: {alow: 10.0.0.1}", []string{`ip.alow: unknown key "alow"; did you mean "allow"?`}},
	} {
		got := policytest.Problems(t, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: c.policies})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.policies, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// FuzzForwarded: whatever X-Forwarded-For says, a caller that is no proxy
// stays who it is, and an address left of an untrusted one never counts.
func FuzzForwarded(f *testing.F) {
	chain, _ := policytest.Compile(f, policytest.Options{Kinds: []gateway.Kind{Kind()}, Policies: "ip: {allow: 203.0.113.0/24, trusted_proxies: 10.0.0.0/8}"})
	f.Add("203.0.113.7")
	f.Add("203.0.113.7, [::1]:2,,")
	f.Fuzz(func(t *testing.T, forwarded string) {
		if call(chain, "198.51.100.1:1", forwarded) == nil {
			t.Fatalf("%q let a stranger in", forwarded)
		}
		if call(chain, "10.0.0.1:1", forwarded+", 198.51.100.1") == nil {
			t.Fatalf("%q let a stranger in behind a proxy", forwarded)
		}
	})
}
