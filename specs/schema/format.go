package schema

import (
	"bytes"
	"net/netip"
)

// format is a named form of strings. The names come from OpenAPI 3.0 and JSON
// Schema 2020-12; what other names mean nobody has said, so they are ignored.
type format struct {
	want  string
	valid func([]byte) bool
}

// formatOf is nil for a format that is not checked.
func formatOf(name string) *format {
	switch name {
	case "date":
		return &format{"a date such as 2026-01-31", isDate}
	case "date-time":
		return &format{"a date and time such as 2026-01-31T12:00:00Z", isDateTime}
	case "time":
		return &format{"a time such as 12:00:00Z", isTime}
	case "duration":
		return &format{"a duration such as P1DT12H", isDuration}
	case "email":
		return &format{"an e-mail address", isEmail}
	case "uuid":
		return &format{"a UUID such as 123e4567-e89b-12d3-a456-426614174000", isUUID}
	case "uri":
		return &format{"an absolute URI", isURI}
	case "uri-reference":
		return &format{"a URI or a relative reference", isURIReference}
	case "hostname":
		return &format{"a host name", isHostname}
	case "ipv4":
		return &format{"an IPv4 address", isIPv4}
	case "ipv6":
		return &format{"an IPv6 address", isIPv6}
	case "byte":
		return &format{"base64", isBase64}
	}
	return nil
}

// numberFormatOf is nil for a format that does not bound numbers.
func numberFormatOf(name string) *numberFormat {
	switch name {
	case "int32":
		return newNumberFormat(true, "2147483648", "2147483647", "an integer of 32 bits")
	case "int64":
		return newNumberFormat(true, "9223372036854775808", "9223372036854775807", "an integer of 64 bits")
	case "float":
		return newNumberFormat(false, "3.4028235677973366e38", "3.4028235677973366e38", "a number in the range of single precision")
	case "double":
		return newNumberFormat(false, "1.7976931348623157e308", "1.7976931348623157e308", "a number in the range of double precision")
	}
	return nil
}

func newNumberFormat(whole bool, min, max, want string) *numberFormat {
	return &numberFormat{whole: whole, min: parseDecimal([]byte("-" + min)), max: parseDecimal([]byte(max)), want: want}
}

// digits reads exactly n digits; -1 when there are none.
func digits(s []byte, n int) int {
	if len(s) < n {
		return -1
	}
	v := 0
	for _, c := range s[:n] {
		if c-'0' > 9 {
			return -1
		}
		v = v*10 + int(c-'0')
	}
	return v
}

// isDate is full-date of RFC 3339.
func isDate(s []byte) bool {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	year, month, day := digits(s, 4), digits(s[5:], 2), digits(s[8:], 2)
	if year < 0 || month < 1 || month > 12 || day < 1 {
		return false
	}
	last := 31
	switch month {
	case 4, 6, 9, 11:
		last = 30
	case 2:
		last = 28
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			last = 29
		}
	}
	return day <= last
}

// isTime is full-time of RFC 3339.
func isTime(s []byte) bool {
	if len(s) < 9 || s[2] != ':' || s[5] != ':' {
		return false
	}
	hour, minute, second := digits(s, 2), digits(s[3:], 2), digits(s[6:], 2)
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return false
	}
	s = s[8:]
	if s[0] == '.' {
		n := 1
		for n < len(s) && s[n]-'0' <= 9 {
			n++
		}
		if n == 1 {
			return false
		}
		s = s[n:]
	}
	offset := 0
	switch {
	case len(s) == 1 && s[0]|0x20 == 'z':
	case len(s) == 6 && (s[0] == '+' || s[0] == '-') && s[3] == ':':
		h, m := digits(s[1:], 2), digits(s[4:], 2)
		if h < 0 || h > 23 || m < 0 || m > 59 {
			return false
		}
		if offset = h*60 + m; s[0] == '+' {
			offset = -offset
		}
	default:
		return false
	}
	// Leap seconds are inserted at the end of a day of UTC.
	return second < 60 || (hour*60+minute+offset+2*24*60)%(24*60) == 24*60-1
}

// isDateTime is date-time of RFC 3339.
func isDateTime(s []byte) bool {
	return len(s) > 11 && s[10]|0x20 == 't' && isDate(s[:10]) && isTime(s[11:])
}

// isDuration is duration of RFC 3339, appendix A.
func isDuration(s []byte) bool {
	if len(s) < 3 || s[0] != 'P' {
		return false
	}
	date, clock, found := bytes.Cut(s[1:], []byte("T"))
	if found && !units(clock, "HMS") {
		return false
	}
	switch {
	case len(date) == 0:
		return found
	case date[len(date)-1] == 'W':
		return !found && units(date, "W")
	}
	return units(date, "YMD")
}

// units reads one or more numbers, each followed by a unit, the units in order
// and without a gap between them, as the grammar of the RFC has it.
func units(s []byte, order string) bool {
	next := 0
	for i := 0; i < len(s); i++ {
		start := i
		for i < len(s) && s[i]-'0' <= 9 {
			i++
		}
		if i == start || i == len(s) {
			return false
		}
		unit := bytes.IndexByte([]byte(order), s[i])
		if unit < 0 || next > 0 && unit != next {
			return false
		}
		next = unit + 1
	}
	return next > 0
}

// isEmail is a mailbox of RFC 5321 without a display name.
func isEmail(s []byte) bool {
	at := bytes.LastIndexByte(s, '@')
	if at < 1 || at > 64 || len(s) > 254 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if len(domain) > 2 && domain[0] == '[' && domain[len(domain)-1] == ']' {
		address := domain[1 : len(domain)-1]
		if v6, ok := bytes.CutPrefix(address, []byte("IPv6:")); ok {
			return isLocal(local) && isIPv6(v6)
		}
		return isLocal(local) && isIPv4(address)
	}
	return isLocal(local) && isHostname(domain)
}

func isLocal(s []byte) bool {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
		for i := 0; i < len(s); i++ {
			if s[i] == '\\' {
				if i++; i == len(s) {
					return false
				}
			} else if s[i] == '"' || s[i] < 0x20 {
				return false
			}
		}
		return true
	}
	if s[0] == '.' || s[len(s)-1] == '.' || bytes.Contains(s, []byte("..")) {
		return false
	}
	for _, c := range s {
		if c <= 0x20 || c == 0x7f || bytes.IndexByte([]byte(`()<>[]:;@\,"`), c) >= 0 {
			return false
		}
	}
	return true
}

// isUUID is the notation of RFC 9562.
func isUUID(s []byte) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isHex(c) {
				return false
			}
		}
	}
	return true
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f' }

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isHostname is a name of RFC 1123.
func isHostname(s []byte) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	label := 0
	for i, c := range s {
		switch {
		case c == '.':
			if label == 0 || s[i-1] == '-' {
				return false
			}
			label = 0
			continue
		case c == '-':
			if label == 0 {
				return false
			}
		case !isAlpha(c) && c-'0' > 9:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && s[len(s)-1] != '-'
}

// isIPv4 is the dotted notation without leading zeros.
func isIPv4(s []byte) bool {
	for part := range 4 {
		n := 0
		for n < len(s) && s[n]-'0' <= 9 {
			n++
		}
		if n == 0 || n > 3 || n > 1 && s[0] == '0' || digits(s, n) > 255 {
			return false
		}
		s = s[n:]
		if part < 3 {
			if len(s) == 0 || s[0] != '.' {
				return false
			}
			s = s[1:]
		}
	}
	return len(s) == 0
}

// isIPv6 is the notation of RFC 4291, without a zone.
func isIPv6(s []byte) bool {
	if len(s) > 45 || bytes.IndexByte(s, ':') < 0 || bytes.IndexByte(s, '%') >= 0 {
		return false
	}
	_, err := netip.ParseAddr(string(s))
	return err == nil
}

// isBase64 accepts both alphabets of RFC 4648, with and without padding.
func isBase64(s []byte) bool {
	content := bytes.TrimRight(s, "=")
	padding := len(s) - len(content)
	if padding > 2 || padding > 0 && len(s)%4 != 0 || len(content)%4 == 1 {
		return false
	}
	for _, c := range content {
		if !isAlpha(c) && c-'0' > 9 && c != '+' && c != '/' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
