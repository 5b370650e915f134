package buffer

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/system"
)

// longestKey is the longest Idempotency-Key in bytes.
const longestKey = 255

// idempotencyKey reads the header of draft-ietf-httpapi-idempotency-key-header:
// a structured string. The same text without quotes means the same, because
// most clients send it so.
func (o *operation) idempotencyKey(x *gateway.Exchange) (string, error) {
	return IdempotencyKey(x, o.keys)
}

// IdempotencyKey reads the caller's Idempotency-Key where an operation wants it:
// required, optional or off. It is empty where there is none.
func IdempotencyKey(x *gateway.Exchange, wanted string) (string, error) {
	values := x.Request.Header["Idempotency-Key"]
	bad := func(detail string) (string, error) {
		return "", &gateway.Error{Problem: gateway.BadRequest, Detail: "the Idempotency-Key " + detail}
	}
	switch {
	case wanted == "off", len(values) == 0 && wanted != "required":
		return "", nil
	case len(values) == 0:
		return bad("is missing: this operation asks for one, so that a repeated request is not done twice")
	case len(values) > 1:
		return bad("is given more than once")
	}
	key := strings.TrimSpace(values[0])
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquote(key); !ok {
			return bad("is not a structured string (RFC 9651)")
		}
	}
	switch {
	case key == "":
		return bad("is empty")
	case len(key) > longestKey:
		return bad("is longer than 255 characters")
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return bad("holds characters that are not printable ASCII")
		}
	}
	return key, nil
}

// unquote reads a string of RFC 9651, section 4.2.5, that nothing follows.
func unquote(text string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return b.String(), i == len(text)-1
		case '\\':
			if i++; i == len(text) || text[i] != '"' && text[i] != '\\' {
				return "", false
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// fingerprint tells requests apart that use the same key: by method, path,
// query, body and app.
func fingerprint(x *gateway.Exchange, r *system.Request) []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(r.Method), []byte(x.Request.URL.EscapedPath()), []byte(r.Query), r.Body, []byte(r.App)} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return h.Sum(nil)
}
