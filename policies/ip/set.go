package ip

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/headrace/headrace/gateway"
)

// set is a set of networks. Looking an address up costs one step for each
// different length of prefix, however many networks there are.
type set struct {
	prefixes map[netip.Prefix]bool
	v4, v6   []int // lengths of prefixes, the longest first
}

// newSet reads the list under a key of the settings; what is wrong in it goes
// to the binding's problems.
func newSet(b *gateway.Binding, key string, list []string) *set {
	s := &set{prefixes: map[netip.Prefix]bool{}}
	nodes := b.Settings.At(key).Items()
	for i, text := range list {
		at := b.Settings.At(key)
		if i < len(nodes) {
			at = nodes[i]
		}
		prefix, err := parsePrefix(text)
		if err != nil {
			b.Problems.Add(at, err.Error(), "write an address or a network, for example 203.0.113.7 or 2001:db8::/32")
			continue
		}
		if masked := prefix.Masked(); masked != prefix {
			b.Problems.Add(at, fmt.Sprintf("%s is not the start of a network", text), fmt.Sprintf("write %s, or the address alone", masked))
			continue
		}
		s.add(prefix)
	}
	return s
}

func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = plain(a)
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a network", text)
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%q mixes IPv4 and IPv6", text)
		}
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96), nil
	}
	return p, nil
}

func (s *set) add(p netip.Prefix) {
	lengths := &s.v6
	if p.Addr().Is4() {
		lengths = &s.v4
	}
	if !slices.Contains(*lengths, p.Bits()) {
		*lengths = append(*lengths, p.Bits())
		slices.SortFunc(*lengths, func(a, b int) int { return b - a })
	}
	s.prefixes[p] = true
}

func (s *set) contains(a netip.Addr) bool {
	lengths := s.v6
	if a.Is4() {
		lengths = s.v4
	}
	for _, bits := range lengths {
		if p, err := a.Prefix(bits); err == nil && s.prefixes[p] {
			return true
		}
	}
	return false
}
