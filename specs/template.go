package specs

import (
	"fmt"
	"slices"
	"strings"
)

// template is a parsed path template: its segments, as they stand between the
// slashes, percent-decoded.
type template struct {
	segments []segment
	names    []string
}

// segment is what stands between two slashes: literals with parameters
// between them. There is one literal more than there are parameters; the first
// and the last may be empty. A segment without parameters has one literal.
type segment struct {
	literals []string
	kinds    []kind // by parameter
}

// kind restricts what a parameter takes.
type kind byte

// The kinds of parameters. Each is also the character that stands for such a
// parameter in the shape of a segment: no literal has control characters.
const (
	anyText kind = iota
	uuid
	integer
)

var kindNames = map[string]kind{"uuid": uuid, "integer": integer}

// admits tells whether a parameter of the kind takes a value.
func (k kind) admits(value string) bool {
	switch k {
	case uuid:
		return isUUID(value)
	case integer:
		return isInteger(value)
	}
	return true
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && unhex(s[i]) > 15 {
			return false
		}
	}
	return true
}

func isInteger(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	return digits != "" && !strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

// shape is the segment without the names of its parameters. Segments of the
// same shape match the same requests.
func (s segment) shape() string {
	var b strings.Builder
	for i, literal := range s.literals {
		if i > 0 {
			b.WriteByte(byte(s.kinds[i-1]))
		}
		b.WriteString(literal)
	}
	return b.String()
}

func (s segment) parametric() bool { return len(s.literals) > 1 }

// weight orders segments: of two of which one matches all that the other
// matches, the heavier is the more specific.
func (s segment) weight() int {
	total := 0
	for _, literal := range s.literals {
		total += 2 * len(literal)
	}
	for _, k := range s.kinds {
		if k != anyText {
			total++
		}
	}
	return total
}

// quoted tells whether a parameter is an OData string: enclosed in single quotes.
func (s segment) quoted(param int) bool {
	return strings.HasSuffix(s.literals[param], "'") && strings.HasPrefix(s.literals[param+1], "'")
}

// shape is the path without the names of its parameters.
func (t template) shape() string {
	var b strings.Builder
	for _, s := range t.segments {
		b.WriteString("/" + s.shape())
	}
	return b.String()
}

// parseTemplate parses a path with parameters in braces.
func parseTemplate(pattern string) (template, error) {
	var t template
	if !strings.HasPrefix(pattern, "/") {
		return t, fmt.Errorf("a path begins with /")
	}
	for text := range strings.SplitSeq(pattern[1:], "/") {
		s, err := t.segment(text)
		if err != nil {
			return t, err
		}
		t.segments = append(t.segments, s)
	}
	return t, nil
}

func (t *template) segment(text string) (segment, error) {
	var s segment
	for {
		literal, rest, found := strings.Cut(text, "{")
		if err := checkLiteral(literal); err != nil {
			return s, err
		}
		if decoded, ok := unescape(literal); ok {
			literal = decoded
		}
		if strings.ContainsFunc(literal, func(r rune) bool { return r < ' ' }) {
			return s, fmt.Errorf("a path has no control characters")
		}
		if !found {
			s.literals = append(s.literals, literal)
			break
		}
		if len(s.literals) > 0 && literal == "" {
			return s, fmt.Errorf("two parameters need something between them")
		}
		name, after, closed := strings.Cut(rest, "}")
		var k kind
		if before, suffix, ok := strings.Cut(name, "|"); ok && kindNames[suffix] != anyText {
			name, k = before, kindNames[suffix]
		}
		switch {
		case !closed || strings.Contains(name, "{"):
			return s, fmt.Errorf("the braces do not match")
		case name == "":
			return s, fmt.Errorf("a parameter needs a name")
		case slices.Contains(t.names, name):
			return s, fmt.Errorf("the parameter {%s} stands twice in the path", name)
		}
		t.names = append(t.names, name)
		s.literals, s.kinds = append(s.literals, literal), append(s.kinds, k)
		text = after
	}
	if s.shape() == "." || s.shape() == ".." {
		return s, fmt.Errorf("a path has no segment %s", s.shape())
	}
	return s, nil
}

func checkLiteral(literal string) error {
	switch {
	case strings.ContainsAny(literal, "?#"):
		return fmt.Errorf("a path has no query and no fragment")
	case strings.Contains(literal, "}"):
		return fmt.Errorf("the braces do not match")
	}
	return nil
}

// unescape decodes percent-encoding; ok is false when an escape is malformed.
func unescape(s string) (decoded string, ok bool) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, true
	}
	b := make([]byte, i, len(s))
	copy(b, s)
	for ; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high > 15 || low > 15 {
				return "", false
			}
			c = high<<4 | low
			i += 2
		}
		b = append(b, c)
	}
	return string(b), true
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// covers tells whether s matches all that other matches. A parameter of other
// is a character that no literal has: only a parameter of s can take it, and
// one of a kind only the same.
func (s segment) covers(other segment) bool {
	text := other.shape()
	rest, ok := strings.CutPrefix(text, s.literals[0])
	if !ok || !s.parametric() {
		return ok && rest == ""
	}
	for i, k := range s.kinds {
		following, last := s.literals[i+1], i == len(s.kinds)-1
		var taken string
		switch {
		case rest == "":
			return false
		case last:
			taken, ok = strings.CutSuffix(rest, following)
		default:
			at := strings.Index(rest[1:], following)
			if ok = at >= 0; ok {
				taken, rest = rest[:at+1], rest[at+1+len(following):]
			}
		}
		if !ok || taken == "" || k != anyText && taken != string(rune(k)) {
			return false
		}
	}
	return true
}

// overlaps tells whether some text matches both segments.
func (s segment) overlaps(other segment) bool {
	if slices.Equal(s.literals, other.literals) {
		for i, k := range s.kinds {
			if k != other.kinds[i] && k != anyText && other.kinds[i] != anyText {
				return false
			}
		}
		return true
	}
	a, b := s.shape(), other.shape()
	// reached[j] tells that a[:i] and b[:j] can be made of the same text. A
	// parameter takes one or more characters: it may stay for the next one.
	reached := make([]bool, len(b)+1)
	reached[0] = true
	for i := 1; i <= len(a); i++ {
		next := make([]bool, len(b)+1)
		for j := 1; j <= len(b); j++ {
			x, y := a[i-1] < ' ', b[j-1] < ' '
			next[j] = (x || y || a[i-1] == b[j-1]) && reached[j-1] || x && next[j-1] || y && reached[j]
		}
		reached = next
	}
	return reached[len(b)]
}
