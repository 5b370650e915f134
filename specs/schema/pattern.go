package schema

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// Backtracking patterns may take patternTimeout for one comparison, and
// backtrackBudget for all comparisons of one text.
const (
	patternTimeout  = 50 * time.Millisecond
	backtrackBudget = 5 * patternTimeout
)

// pattern is a compiled regular expression of ECMA-262, which may match anywhere
// in a string. Where RE2 says the same it is used, for it takes linear time;
// what only backtracking can decide is bounded by patternTimeout.
type pattern struct {
	// written is the expression in the quotes of JSON.
	written string
	runs    runs
	linear  *regexp.Regexp
	back    *regexp2.Regexp
	// err says why the expression cannot be used.
	err error
}

func compilePattern(expr string) *pattern {
	p := &pattern{written: fmt.Sprintf("%q", expr)}
	if translated, same := translatePattern(expr); same {
		if re, err := regexp.Compile(translated); err == nil {
			p.linear, p.runs = re, compileRuns(translated)
			return p
		}
	}
	if p.back, p.err = regexp2.Compile(expr, regexp2.ECMAScript|regexp2.Unicode); p.err == nil {
		p.back.MatchTimeout = patternTimeout
	}
	return p
}

// match tells whether a pattern that needs no backtracking is found.
func (p *pattern) match(content []byte) bool {
	if p.runs != nil {
		return p.runs.match(content)
	}
	return p.linear.Match(content)
}

// What ECMA-262 calls white space, as ranges of an RE2 class.
const (
	spaces   = `\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	noSpaces = `\x00-\x08\x0e-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}` +
		`\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
)

// translatePattern writes an expression of ECMA-262 (with the u flag, as JSON
// Schema recommends) in the notation of RE2. same is false where RE2 has no
// such thing, or means something else by it.
func translatePattern(expr string) (translated string, same bool) {
	t := translator{rest: expr}
	for t.rest != "" {
		if !t.next() {
			return "", false
		}
	}
	return t.out.String(), !t.class
}

type translator struct {
	rest  string
	out   strings.Builder
	class bool // inside [ ]
}

func (t *translator) next() bool {
	r, n := utf8.DecodeRuneInString(t.rest)
	switch {
	case r == '\\':
		return t.escape()
	case t.class && r == ']':
		t.class = false
	case t.class && r == '[': // a nested class is something else in RE2
		t.out.WriteByte('\\')
	case t.class:
	case r == '[':
		if strings.HasPrefix(t.rest, "[]") || strings.HasPrefix(t.rest, "[^]") {
			return false
		}
		t.class = true
		if strings.HasPrefix(t.rest, "[^") {
			n = 2
		}
	case r == '.':
		t.rest = t.rest[1:]
		t.out.WriteString(`[^\n\r\x{2028}\x{2029}]`)
		return true
	}
	t.out.WriteString(t.rest[:n])
	t.rest = t.rest[n:]
	return true
}

func (t *translator) escape() bool {
	if len(t.rest) < 2 {
		return false
	}
	c := t.rest[1]
	switch c {
	case 'u':
		return t.unicode()
	case 's', 'S':
		set := spaces
		if c == 'S' {
			set = noSpaces
		}
		if !t.class {
			set = "[" + set + "]"
		}
		t.out.WriteString(set)
	case 'c':
		if len(t.rest) < 3 {
			return false
		}
		fmt.Fprintf(&t.out, `\x{%x}`, t.rest[2]&0x1f)
		t.rest = t.rest[3:]
		return true
	case '0':
		t.out.WriteString(`\x00`)
	case 'b':
		if t.class {
			t.out.WriteString(`\x08`)
		} else {
			t.out.WriteString(`\b`)
		}
	case 'a', 'C', 'Q', 'E', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'k':
		return false
	default:
		t.out.WriteString(t.rest[:2])
	}
	t.rest = t.rest[2:]
	return true
}

// unicode translates \uXXXX, a pair of them, and \u{X…}.
func (t *translator) unicode() bool {
	if strings.HasPrefix(t.rest, `\u{`) {
		end := strings.IndexByte(t.rest, '}')
		if end < 0 {
			return false
		}
		t.out.WriteString(`\x` + t.rest[2:end+1])
		t.rest = t.rest[end+1:]
		return true
	}
	r := hex4([]byte(t.rest), 2)
	if r < 0 {
		return false
	}
	t.rest = t.rest[6:]
	if r >= 0xd800 && r <= 0xdfff {
		low := rune(-1)
		if r <= 0xdbff && strings.HasPrefix(t.rest, `\u`) {
			low = hex4([]byte(t.rest), 2)
		}
		if low < 0xdc00 || low > 0xdfff {
			return false
		}
		r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
		t.rest = t.rest[6:]
	}
	fmt.Fprintf(&t.out, `\x{%x}`, r)
	return true
}
