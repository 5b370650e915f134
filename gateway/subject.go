package gateway

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// attributeNames are the short names of RFC 4514 (section 3) and those that
// openssl prints.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.17": "postalCode",
	"2.5.4.42": "GN", "2.5.4.97": "organizationIdentifier", "0.9.2342.19200300.100.1.25": "DC",
	"0.9.2342.19200300.100.1.1": "UID", "1.2.840.113549.1.9.1": "emailAddress",
}

// SubjectOf is the subject of a certificate in the notation of RFC 2253: the
// last name first, in the order of the certificate.
func SubjectOf(cert *x509.Certificate) (string, error) {
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &names); err != nil || len(rest) > 0 {
		return "", errors.New("the subject of the certificate cannot be read")
	}
	var b strings.Builder
	for i, set := range slices.Backward(names) {
		parts := make([]string, len(set))
		for j, a := range set {
			value, ok := a.Value.(string)
			if !ok {
				return "", fmt.Errorf("the subject's attribute %s is not a text", a.Type)
			}
			parts[j] = attributeName(a.Type.String()) + "=" + escapeValue(value)
		}
		slices.Sort(parts)
		if i < len(names)-1 {
			b.WriteByte(',')
		}
		b.WriteString(strings.Join(parts, "+"))
	}
	return b.String(), nil
}

// ParseSubject reads a subject in the notation of RFC 2253 (or 4514) and
// writes it as SubjectOf does, so that the two can be compared.
func ParseSubject(text string) (string, error) {
	var names []string
	var set []string
	for rest := text; ; {
		name, value, ok := strings.Cut(rest, "=")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, `,+\"`) {
			return "", errors.New("it is a list of NAME=VALUE")
		}
		value, end, after, err := cutValue(value)
		if err != nil {
			return "", err
		}
		set = append(set, attributeName(name)+"="+escapeValue(value))
		if end != '+' {
			slices.Sort(set)
			names = append(names, strings.Join(set, "+"))
			set = nil
		}
		if end == 0 {
			return strings.Join(names, ","), nil
		}
		rest = after
	}
}

// attributeName gives the short name of an attribute, for its name in any case or its number.
func attributeName(name string) string {
	if short, ok := attributeNames[strings.TrimPrefix(name, "OID.")]; ok {
		return short
	}
	for _, short := range attributeNames {
		if strings.EqualFold(short, name) {
			return short
		}
	}
	return name
}

// cutValue takes a value off a subject: unescaped, with the separator that
// ended it (0 at the end) and what comes after.
func cutValue(text string) (value string, end byte, after string, err error) {
	text = strings.TrimLeft(text, " ")
	if strings.HasPrefix(text, "#") || strings.HasPrefix(text, `"`) {
		return "", 0, "", errors.New(`values in hexadecimal or in quotes are not supported; escape with \`)
	}
	var b []byte
	solid := 0 // length up to the last character that is not a plain space
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ',', '+':
			return string(b[:solid]), c, text[i+1:], valid(b[:solid])
		case '\\':
			n, char, ok := unescape(text[i+1:])
			if !ok {
				return "", 0, "", errors.New(`\ stands before a special character or two hexadecimal digits`)
			}
			b = append(b, char)
			i += n
			solid = len(b)
		case ' ':
			b = append(b, c)
		default:
			b = append(b, c)
			solid = len(b)
		}
	}
	return string(b[:solid]), 0, "", valid(b[:solid])
}

func valid(value []byte) error {
	if !utf8.Valid(value) {
		return errors.New("a value is not UTF-8")
	}
	return nil
}

// unescape reads what stands after a backslash: n characters for one.
func unescape(text string) (n int, char byte, ok bool) {
	if text == "" {
		return 0, 0, false
	}
	if strings.IndexByte(` ,+"\<>;#=`, text[0]) >= 0 {
		return 1, text[0], true
	}
	var b [1]byte
	if len(text) < 2 {
		return 0, 0, false
	}
	_, err := hex.Decode(b[:], []byte(text[:2]))
	return 2, b[0], err == nil
}

// escapeValue writes a value so that no two values and no two lists of values
// look alike.
func escapeValue(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		switch {
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\%02X`, c)
			continue
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && c == '#', c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
