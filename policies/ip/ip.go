package ip

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	Allow          source.Strings `yaml:"allow" doc:"Addresses and networks (CIDR) that may call; all when absent."`
	Deny           source.Strings `yaml:"deny" doc:"Addresses and networks (CIDR) that may not call, also when allow has them."`
	TrustedProxies source.Strings `yaml:"trusted_proxies" doc:"Addresses and networks (CIDR) whose X-Forwarded-For is believed."`
}

// Kind describes the policy. It keeps no state.
func Kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "ip", Stage: gateway.StageAddress, Levels: gateway.LevelAPI,
		Doc: "Lets callers through by their address: lists of addresses and networks, behind trusted proxies, too.",
	}, compile)
}

type policy struct {
	allow, deny, proxies *set // allow is nil when all may call
	next                 gateway.Handler
}

func compile(b *gateway.Binding, s Settings) gateway.Policy {
	if len(s.Allow) == 0 && len(s.Deny) == 0 {
		b.Problems.Add(b.Settings, "neither allow nor deny has an address", "give at least one of them")
		return nil
	}
	p := &policy{
		deny:    newSet(b, "deny", s.Deny),
		proxies: newSet(b, "trusted_proxies", s.TrustedProxies),
	}
	if p.proxies.prefixes[netip.PrefixFrom(netip.IPv4Unspecified(), 0)] || p.proxies.prefixes[netip.PrefixFrom(netip.IPv6Unspecified(), 0)] {
		b.Problems.Add(b.Settings.At("trusted_proxies"), "everybody would be believed", "list the networks of your own proxies")
	}
	if len(s.Allow) > 0 {
		p.allow = newSet(b, "allow", s.Allow)
	}
	return func(next gateway.Handler) gateway.Handler {
		p.next = next
		return p.handle
	}
}

func (p *policy) handle(x *gateway.Exchange) (*gateway.Response, error) {
	address, err := p.caller(x.Request)
	if err != nil {
		return nil, &gateway.Error{Problem: gateway.AddressRefused, Detail: "the caller's address cannot be found out", Cause: err}
	}
	if p.deny.contains(address) || p.allow != nil && !p.allow.contains(address) {
		return nil, &gateway.Error{Problem: gateway.AddressRefused, Detail: fmt.Sprintf("the address is %s", address)}
	}
	x.Address = address
	return p.next(x)
}

// caller is the address that the request came from, as far as it is known for certain.
func (p *policy) caller(r *http.Request) (netip.Addr, error) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the connection's address: %w", err)
	}
	address := plain(peer.Addr())
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			if !p.proxies.contains(address) {
				return address, nil
			}
			var entry string
			rest, entry, more = cutLast(rest)
			if address, err = parseEntry(entry); err != nil {
				return netip.Addr{}, fmt.Errorf("an entry of X-Forwarded-For: %w", err)
			}
		}
	}
	return address, nil
}

// cutLast takes the last entry off a list; more tells that there is a list left.
func cutLast(list string) (rest, entry string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], strings.TrimSpace(list[i+1:]), true
	}
	return "", strings.TrimSpace(list), false
}

// parseEntry reads an address, with or without a port, as proxies write it.
func parseEntry(entry string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]")); err == nil {
		return plain(a), nil
	}
	a, err := netip.ParseAddrPort(entry)
	return plain(a.Addr()), err
}

// plain takes the IPv6 notation and the zone off an address.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
