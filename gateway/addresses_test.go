package gateway

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/headrace/headrace/specs/source"
)

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "203.0.113.0/24": "203.0.113.0/24", "2001:db8::/32": "2001:db8::/32", "::ffff:203.0.113.7": "203.0.113.7/32",
		"203.0.113.7/24": "", "shop": "", "fe80::1%eth0": "", "::ffff:203.0.113.0/120": "", "": "", "10.0.0.0/33": "",
	} {
		got, err := ParseNetwork(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}

// TestAppAddresses: an app with addresses is recognised from there alone, behind
// proxies by what the policy ip has found.
func TestAppAddresses(t *testing.T) {
	for _, c := range []struct {
		addresses      []string
		remote, behind string
		refused        bool
	}{
		{nil, "198.51.100.1:1000", "", false},
		{[]string{"203.0.113.0/24", "2001:db8::/32"}, "203.0.113.9:1000", "", false},
		{[]string{"203.0.113.0/24", "2001:db8::/32"}, "[2001:db8::5]:1000", "", false},
		{[]string{"203.0.113.0/24"}, "[::ffff:203.0.113.9]:1000", "", false},
		{[]string{"203.0.113.0/24"}, "198.51.100.1:1000", "", true},
		{[]string{"203.0.113.0/24"}, "203.0.113.9:1000", "198.51.100.1", true},
		{[]string{"203.0.113.0/24"}, "10.0.0.1:1000", "203.0.113.9", false},
		{[]string{"203.0.113.0/24"}, "nowhere", "", true},
	} {
		app := &App{Name: "shop", Addresses: c.addresses}
		var ps source.Problems
		app.readAddresses(&ps)
		x := &Exchange{Request: httptest.NewRequest("GET", "/", nil)}
		x.Request.RemoteAddr = c.remote
		if c.behind != "" {
			x.Address = netip.MustParseAddr(c.behind)
		}
		err := x.Recognise(app, 0, nil)
		if ps.Len() > 0 || (err != nil) != c.refused || err != nil && (err.Problem != AddressRefused || x.App != nil) {
			t.Errorf("%v from %s behind %q: %v, problems %v", c.addresses, c.remote, c.behind, err, ps.List())
		}
	}
}

func TestAppAddressesAreChecked(t *testing.T) {
	app := &App{Name: "shop", Addresses: []string{"203.0.113.7/24"}}
	var ps source.Problems
	app.readAddresses(&ps)
	if ps.Len() != 1 {
		t.Errorf("%v", ps.List())
	}
}
