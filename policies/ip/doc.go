// Package ip lets callers through by their address.
//
//	x-headrace:
//	  policies:
//	    ip:
//	      allow: [203.0.113.0/24, 2001:db8::/32]
//	      deny: 203.0.113.66
//	      trusted_proxies: [10.0.0.0/8]
//
// allow and deny hold addresses and networks (CIDR), IPv4 and IPv6. An address
// in deny is refused; with allow, so is every address that is not in it. The
// refusal is 403 address-refused. At least one of the two must be given.
//
// The caller's address is that of the connection. Where the connection comes
// from one of trusted_proxies, it is the right-most entry of X-Forwarded-For
// that is not itself a trusted proxy: entries further left were written by
// whoever called, and prove nothing. When such an entry is not an address, the
// call is refused. IPv4 addresses in IPv6 notation (::ffff:203.0.113.7) count
// as IPv4; zones are ignored.
package ip
