package gateway

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestPartitionKey(t *testing.T) {
	shop := &App{Name: "shop"}
	gold := &Subscription{Plan: &Plan{Name: "gold"}}
	for _, c := range []struct {
		name         string
		by           string
		app          *App
		subscription *Subscription
		remote       string
		address      string
		want         string
	}{
		{"an app", "app", shop, gold, "192.0.2.1:1", "", "shop"},
		{"an app, operation by operation", "operation", shop, gold, "192.0.2.1:1", "", "shop"},
		{"a plan", "plan", shop, gold, "192.0.2.1:1", "", "gold"},
		{"no plan", "plan", shop, nil, "192.0.2.1:1", "", "shop"},
		{"an address although there is an app", "address", shop, gold, "192.0.2.1:1", "", "@192.0.2.1"},
		{"nobody", "app", nil, nil, "192.0.2.1:1", "", "@192.0.2.1"},
		{"nobody on no plan", "plan", nil, nil, "192.0.2.1:1", "", "@192.0.2.1"},
		{"the network of an IPv6 address", "app", nil, nil, "[2001:db8:1:2:3:4:5:6]:1", "", "@2001:db8:1:2::/64"},
		{"a zone", "app", nil, nil, "[fe80::1%eth0]:1", "", "@fe80::/64"},
		{"IPv4 in IPv6", "app", nil, nil, "[::ffff:192.0.2.1]:1", "", "@192.0.2.1"},
		{"behind a proxy", "app", nil, nil, "10.0.0.1:1", "198.51.100.7", "@198.51.100.7"},
		{"no address", "app", nil, nil, "a socket", "", "@a socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &Binding{API: &API{Name: "orders", Major: "v1"}, Operation: nil, Plan: &Plan{Name: "gold"}}
			if c.by == "operation" {
				b.Operation = operationNamed("listOrders")
			}
			x := &Exchange{Request: &http.Request{RemoteAddr: c.remote}, App: c.app, Subscription: c.subscription}
			if c.address != "" {
				x.Address = netip.MustParseAddr(c.address)
			}
			if got := b.Partition(c.by).Key(x); got != c.want {
				t.Errorf("counted as %q, want %q", got, c.want)
			}
		})
	}
}
