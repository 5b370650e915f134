package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse parses a JSONPath. The error says what is wrong and at which
// character, counted from 1.
func Parse(text string) (*Path, error) {
	p := &parser{text: text}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("is not valid UTF-8")
	}
	if !p.accept("$") {
		return nil, p.wrong("a path begins with $")
	}
	segments, err := p.segments()
	if err != nil {
		return nil, err
	}
	if p.at < len(p.text) {
		return nil, p.wrong("expected a segment such as .name or ['name']")
	}
	return &Path{text: text, segments: segments}, nil
}

// nesting bounds parentheses, filters inside filters and function calls.
const nesting = 64

type parser struct {
	text  string
	at    int
	depth int
}

func (p *parser) wrong(what string) error {
	return fmt.Errorf("at character %d: %s", utf8.RuneCountInString(p.text[:p.at])+1, what)
}

func (p *parser) enter() error {
	if p.depth++; p.depth > nesting {
		return p.wrong("is nested too deeply")
	}
	return nil
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) accept(token string) bool {
	if strings.HasPrefix(p.text[p.at:], token) {
		p.at += len(token)
		return true
	}
	return false
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// segments reads as many segments as follow. White space may stand before a
// segment, but not after the last.
func (p *parser) segments() ([]segment, error) {
	var segments []segment
	for {
		before := p.at
		p.space()
		s, err := p.segment()
		switch {
		case err != nil:
			return nil, err
		case s == nil:
			p.at = before
			return segments, nil
		}
		segments = append(segments, *s)
	}
}

func (p *parser) segment() (*segment, error) {
	s := &segment{descend: p.accept("..")}
	var err error
	switch {
	case p.peek() == '[':
		s.selectors, err = p.bracket()
		return s, err
	case !s.descend && !p.accept("."):
		return nil, nil
	case p.accept("*"):
		s.selectors = []selector{wildcard{}}
		return s, nil
	}
	name := p.shorthand()
	if name == "" {
		return nil, p.wrong("expected a name, * or [; other names go in ['…']")
	}
	s.selectors = []selector{nameSelector(name)}
	return s, nil
}

func (p *parser) shorthand() string {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
		if !letter && (p.at == start || !digit(c)) {
			break
		}
		p.at++
	}
	return p.text[start:p.at]
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (p *parser) bracket() ([]selector, error) {
	p.at++
	var selectors []selector
	for {
		p.space()
		s, err := p.selector()
		if err != nil {
			return nil, err
		}
		selectors = append(selectors, s)
		p.space()
		if p.accept("]") {
			return selectors, nil
		}
		if !p.accept(",") {
			return nil, p.wrong("expected , or ]")
		}
	}
}

func (p *parser) selector() (selector, error) {
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		name, err := p.quoted()
		return nameSelector(name), err
	case p.accept("*"):
		return wildcard{}, nil
	case p.accept("?"):
		p.space()
		c, err := p.or()
		return filter{c}, err
	case c == '-' || c == ':' || digit(c):
		return p.indexOrSlice()
	}
	return nil, p.wrong("expected a name in quotes, an index, a slice, * or a filter ?…")
}

func (p *parser) indexOrSlice() (selector, error) {
	start, err := p.optionalInteger()
	if err != nil {
		return nil, err
	}
	before := p.at
	p.space()
	if !p.accept(":") {
		p.at = before
		if start == nil {
			return nil, p.wrong("expected an index")
		}
		return indexSelector(*start), nil
	}
	s := slice{start: start, step: 1}
	p.space()
	if s.end, err = p.optionalInteger(); err != nil {
		return nil, err
	}
	before = p.at
	p.space()
	if !p.accept(":") {
		p.at = before
		return s, nil
	}
	p.space()
	step, err := p.optionalInteger()
	if step != nil {
		s.step = *step
	}
	return s, err
}

// largest is the largest integer of I-JSON, 2^53-1.
const largest = 1<<53 - 1

// optionalInteger reads an integer without leading zeros; nil when there is none.
func (p *parser) optionalInteger() (*int64, error) {
	start := p.at
	p.accept("-")
	for digit(p.peek()) {
		p.at++
	}
	text := p.text[start:p.at]
	if text == "" {
		return nil, nil
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil || i > largest || i < -largest || strconv.FormatInt(i, 10) != text {
		p.at = start
		return nil, p.wrong("expected an integer without leading zeros, between -2^53 and 2^53")
	}
	return &i, nil
}

// quoted reads a string literal in single or double quotes.
func (p *parser) quoted() (string, error) {
	quote := p.text[p.at]
	p.at++
	var b strings.Builder
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b, quote); err != nil {
				return "", err
			}
		case c < ' ':
			return "", p.wrong("control characters have to be escaped")
		default:
			b.WriteByte(c)
			p.at++
		}
	}
	return "", p.wrong("the closing quote is missing")
}

func (p *parser) escape(b *strings.Builder, quote byte) error {
	p.at++
	c := p.peek()
	if c == 'u' {
		r, err := p.unicode()
		b.WriteRune(r)
		return err
	}
	plain := map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', '/': '/', '\\': '\\', quote: quote}
	decoded, ok := plain[c]
	if !ok {
		return p.wrong("unknown escape")
	}
	b.WriteByte(decoded)
	p.at++
	return nil
}

// unicode reads uXXXX, or a surrogate pair of them.
func (p *parser) unicode() (rune, error) {
	high, err := p.hex()
	if err != nil || high < 0xD800 || high > 0xDFFF {
		return high, err
	}
	if high < 0xDC00 && p.accept(`\`) && p.peek() == 'u' {
		if low, err := p.hex(); err == nil && low >= 0xDC00 && low <= 0xDFFF {
			return (high-0xD800)<<10 + (low - 0xDC00) + 0x10000, nil
		}
	}
	return 0, p.wrong("half of a surrogate pair")
}

func (p *parser) hex() (rune, error) {
	if len(p.text)-p.at < 5 {
		return 0, p.wrong("expected four hexadecimal digits")
	}
	i, err := strconv.ParseUint(p.text[p.at+1:p.at+5], 16, 32)
	if err != nil {
		return 0, p.wrong("expected four hexadecimal digits")
	}
	p.at += 5
	return rune(i), nil
}
