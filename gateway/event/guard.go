package event

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// errGuarded tells that an address is none that events are sent to.
var errGuarded = errors.New("the address is not a public one")

// reserved are the networks that are nobody's public address beyond those that
// netip knows by itself: the IANA registries of special-purpose addresses, and
// the IPv6 networks that carry an IPv4 address which could be any of these.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),   // NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"), // NAT64 of a network's own
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo among others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// guard says which addresses events may go to.
type guard struct{ allow []netip.Prefix }

// allowed tells whether the operator has named the address.
func (g guard) allowed(a netip.Addr) bool { return within(g.allow, a.Unmap().WithZone("")) }

// permits tells whether an address is public, or named by the operator.
func (g guard) permits(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if g.allowed(a) {
		return true
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !within(reserved, a)
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// transport carries requests to addresses that permits takes. The check is made
// on the address that is just being dialled, so a name that changes its mind
// between two look-ups gains nothing.
func transport(permits func(netip.Addr) bool, patience time.Duration) *http.Transport {
	dialer := &net.Dialer{
		Timeout: patience,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil || !permits(ap.Addr()) {
				return errGuarded
			}
			return nil
		},
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    patience,
		ResponseHeaderTimeout:  patience,
		MaxResponseHeaderBytes: 32 << 10,
		MaxConnsPerHost:        2 * perHook,
		MaxIdleConnsPerHost:    perHook,
		MaxIdleConns:           256,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
	}
}

// address checks a target as far as it can be told without asking anybody.
func (g guard) address(text string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return "", wrong("is no address; write for example https://example.com/webhooks")
	case u.User != nil:
		return "", wrong("must not hold a password; the signature tells who sends")
	case u.Fragment != "":
		return "", wrong("must not have a part behind #")
	case u.Scheme == "http" && len(g.allow) == 0 || u.Scheme != "http" && u.Scheme != "https":
		return "", wrong("must begin with https://")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		if !g.permits(a) {
			return "", wrong("is not a public address")
		}
	} else if len(g.allow) == 0 && (host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal")) {
		return "", wrong("is not a public address")
	}
	return u.String(), nil
}

// WrongError says what is wrong with what a person has entered.
type WrongError struct{ Wrong string }

func (e *WrongError) Error() string { return e.Wrong }

func wrong(format string, args ...any) error {
	return &WrongError{fmt.Sprintf("the address "+format, args...)}
}
