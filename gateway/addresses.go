package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// ParseNetwork reads an address or a network (CIDR) from which an app may call.
// The error says what is wrong, for people.
func ParseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is not an address", text)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not a network", text)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 network in IPv6 notation", text)
	case p.Masked() != p:
		return netip.Prefix{}, fmt.Errorf("%q is not the start of a network: write %s", text, p.Masked())
	}
	return p, nil
}

// readAddresses reads from where the app may call.
func (a *App) readAddresses(ps *source.Problems) {
	a.from = nil
	for _, text := range a.Addresses {
		p, err := ParseNetwork(text)
		if err != nil {
			ps.Add(a.Node.At("addresses"), err.Error(), "write an address or a network, for example 203.0.113.7 or 2001:db8::/32")
			continue
		}
		a.from = append(a.from, p)
	}
}

// CallsFrom tells whether the app calls from where an exchange comes from: the
// address that the policy ip has found behind its proxies, or else that of the
// connection. One that cannot be found out is none of the app's.
func (a *App) CallsFrom(x *Exchange) bool {
	if len(a.Addresses) == 0 {
		return true
	}
	address := x.Address
	if !address.IsValid() {
		remote, err := netip.ParseAddrPort(x.Request.RemoteAddr)
		if err != nil {
			return false
		}
		address = remote.Addr()
	}
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(a.from, func(p netip.Prefix) bool { return p.Contains(address) })
}
