package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/headrace/headrace/gateway"
)

// appendKey appends what an answer is found by. Every part has its length
// before it, so that no two calls share a key by chance. Credentials are only
// kept as a hash.
func (p *policy) appendKey(b []byte, x *gateway.Exchange) []byte {
	r := x.Request
	b = part(b, r.URL.EscapedPath())
	b = part(b, r.URL.RawQuery)
	for _, name := range p.vary {
		b = parts(b, r.Header[name])
	}
	if p.shared {
		return b
	}
	if x.App == nil {
		return append(b, 0)
	}
	b = part(append(b, 1), x.App.Name)
	if r.Header["Authorization"] != nil || r.Header["Cookie"] != nil {
		var buffer [1024]byte
		sum := sha256.Sum256(parts(parts(buffer[:0], r.Header["Authorization"]), r.Header["Cookie"]))
		b = append(b, sum[:]...)
	}
	return b
}

func parts(b []byte, values []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, v := range values {
		b = part(b, v)
	}
	return b
}

func part(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// token tells whether a text can be the name of a header (RFC 9110, section 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
