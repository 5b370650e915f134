package schema

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting of a JSON text that is accepted.
const MaxDepth = 100

// kind is the type of a JSON value.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

var kindNames = [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}

// token is one value or one key of a scanned text. A container is followed by
// its content: items, or keys and values in turn.
type token struct {
	kind kind
	// escaped is set for strings with a backslash; plain for numbers that are
	// written as an integer.
	escaped, plain bool
	// start and end bound the value in the text; of a string, without its quotes.
	start, end uint32
	// next is the token after the value and all it contains.
	next uint32
	// size counts the items or members of a container; of a key it is the hash.
	size uint32
}

// SyntaxError says why a text is not JSON as RFC 8259 and this package want it.
type SyntaxError struct {
	// Offset counts bytes from 0, Line and Column from 1; Column counts bytes.
	Offset, Line, Column int
	// Detail says what is wrong. It never repeats the text.
	Detail string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d (byte %d): %s", e.Line, e.Column, e.Offset, e.Detail)
}

// tape is a scanned JSON text.
type tape struct {
	src    []byte
	tokens []token
}

// scanner fills a tape. It is kept between texts for its memory.
type scanner struct {
	tape
	seed maphash.Seed
	// keys holds the keys of the objects that are open, innermost last.
	keys []keyHash
	// slots is the table in which the keys of a large object are compared.
	slots []uint32
	// scratch holds unescaped keys.
	scratch, scratch2 []byte
	// repeated holds the keys that appear a second time in their object.
	repeated []uint32
	depth    int
	// fault and where say what is wrong, once something is.
	fault string
	where int
}

type keyHash struct{ hash, token uint32 }

// scan reads a whole text. The tape points into it.
func (s *scanner) scan(src []byte) *SyntaxError {
	s.src, s.tokens, s.keys, s.repeated = src, s.tokens[:0], s.keys[:0], s.repeated[:0]
	s.depth, s.fault = 0, ""
	switch {
	case len(src) >= math.MaxUint32:
		return syntaxError(src, 0, "the text is too long")
	case !utf8.Valid(src):
		return syntaxError(src, firstInvalid(src), "the text is not valid UTF-8")
	}
	i := s.space(0)
	if i == len(src) {
		return syntaxError(src, i, "expected a JSON value, found nothing")
	}
	if i = s.value(i); i < 0 {
		return syntaxError(src, s.where, s.fault)
	}
	if i = s.space(i); i < len(src) {
		return syntaxError(src, i, "expected the end of the text after the value")
	}
	return nil
}

func firstInvalid(src []byte) int {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(src)
}

func syntaxError(src []byte, offset int, detail string) *SyntaxError {
	e := &SyntaxError{Offset: offset, Line: 1, Column: 1, Detail: detail}
	for _, c := range src[:min(offset, len(src))] {
		e.Column++
		if c == '\n' {
			e.Line, e.Column = e.Line+1, 1
		}
	}
	return e
}

// fail notes the first fault; -1 tells the callers to stop.
func (s *scanner) fail(at int, detail string) int {
	s.where, s.fault = at, detail
	return -1
}

func (s *scanner) space(i int) int {
	for i < len(s.src) {
		switch s.src[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

// value scans the value that starts at i and returns the place behind it.
func (s *scanner) value(i int) int {
	if i >= len(s.src) {
		return s.fail(i, "expected a value, found the end of the text")
	}
	switch c := s.src[i]; {
	case c == '"':
		return s.string(i + 1)
	case c == '{':
		return s.object(i)
	case c == '[':
		return s.array(i)
	case c == '-' || c-'0' < 10:
		return s.number(i)
	case c == 't':
		return s.literal(i, "true", boolean)
	case c == 'f':
		return s.literal(i, "false", boolean)
	case c == 'n':
		return s.literal(i, "null", null)
	}
	return s.fail(i, "expected a value")
}

func (s *scanner) add(k kind, start, end int) *token {
	s.tokens = append(s.tokens, token{kind: k, start: uint32(start), end: uint32(end), next: uint32(len(s.tokens) + 1)})
	return &s.tokens[len(s.tokens)-1]
}

func (s *scanner) literal(i int, word string, k kind) int {
	end := i + len(word)
	if end > len(s.src) || string(s.src[i:end]) != word {
		return s.fail(i, "expected a value")
	}
	s.add(k, i, end)
	return end
}

func (s *scanner) open(i int) bool {
	if s.depth++; s.depth > MaxDepth {
		s.fail(i, fmt.Sprintf("nested deeper than %d levels", MaxDepth))
		return false
	}
	return true
}

func (s *scanner) array(start int) int {
	if !s.open(start) {
		return -1
	}
	at := len(s.tokens)
	s.add(array, start, 0)
	count := uint32(0)
	i := s.space(start + 1)
	for more := i >= len(s.src) || s.src[i] != ']'; more; {
		if i = s.value(i); i < 0 {
			return -1
		}
		count++
		i = s.space(i)
		switch {
		case i >= len(s.src):
			return s.fail(i, "expected , or ] in an array, found the end of the text")
		case s.src[i] == ',':
			i = s.space(i + 1)
		case s.src[i] == ']':
			more = false
		default:
			return s.fail(i, "expected , or ] in an array")
		}
	}
	s.close(at, i+1, count)
	return i + 1
}

func (s *scanner) close(at, end int, count uint32) {
	t := &s.tokens[at]
	t.end, t.size, t.next = uint32(end), count, uint32(len(s.tokens))
	s.depth--
}

func (s *scanner) object(start int) int {
	if !s.open(start) {
		return -1
	}
	at, base := len(s.tokens), len(s.keys)
	s.add(object, start, 0)
	i := s.space(start + 1)
	for more := i >= len(s.src) || s.src[i] != '}'; more; {
		if i = s.key(i); i < 0 {
			return -1
		}
		if i = s.value(i); i < 0 {
			return -1
		}
		i = s.space(i)
		switch {
		case i >= len(s.src):
			return s.fail(i, "expected , or } in an object, found the end of the text")
		case s.src[i] == ',':
			i = s.space(i + 1)
		case s.src[i] == '}':
			more = false
		default:
			return s.fail(i, "expected , or } in an object")
		}
	}
	count := len(s.keys) - base
	s.findRepeated(s.keys[base:])
	s.keys = s.keys[:base]
	s.close(at, i+1, uint32(count))
	return i + 1
}

// key scans a key and its colon and returns where the value starts.
func (s *scanner) key(i int) int {
	if i >= len(s.src) || s.src[i] != '"' {
		return s.fail(i, "expected a property name in quotes")
	}
	at := uint32(len(s.tokens))
	if i = s.string(i + 1); i < 0 {
		return -1
	}
	t := &s.tokens[at]
	t.size = s.hash(s.text(t, &s.scratch))
	s.keys = append(s.keys, keyHash{t.size, at})
	if i = s.space(i); i >= len(s.src) || s.src[i] != ':' {
		return s.fail(i, "expected : after a property name")
	}
	return s.space(i + 1)
}

func (s *scanner) hash(name []byte) uint32 { return uint32(maphash.Bytes(s.seed, name)) }

// fewKeys is up to how many keys are compared with each other one by one.
const fewKeys = 24

func (s *scanner) findRepeated(keys []keyHash) {
	if len(keys) > fewKeys {
		s.findRepeatedMany(keys)
		return
	}
	for i, k := range keys {
		for _, earlier := range keys[:i] {
			if earlier.hash == k.hash && s.sameKey(earlier.token, k.token) {
				s.repeated = append(s.repeated, k.token)
				break
			}
		}
	}
}

func (s *scanner) findRepeatedMany(keys []keyHash) {
	size := 1 << bits.Len(uint(2*len(keys)))
	if cap(s.slots) < size {
		s.slots = make([]uint32, size)
	}
	s.slots = s.slots[:size]
	clear(s.slots)
	mask := uint32(size - 1)
	for i, k := range keys {
		slot := k.hash & mask
		for s.slots[slot] != 0 {
			earlier := keys[s.slots[slot]-1]
			if earlier.hash == k.hash && s.sameKey(earlier.token, k.token) {
				s.repeated = append(s.repeated, k.token)
				break
			}
			slot = (slot + 1) & mask
		}
		if s.slots[slot] == 0 {
			s.slots[slot] = uint32(i + 1)
		}
	}
}

func (s *scanner) sameKey(a, b uint32) bool {
	return string(s.text(&s.tokens[a], &s.scratch)) == string(s.text(&s.tokens[b], &s.scratch2))
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// string scans a string whose opening quote is in front of start.
func (s *scanner) string(start int) int {
	src, i, escaped := s.src, start, false
	for {
		// Eight bytes at a time: the lowest mark is at a quote, a backslash or
		// a control character; marks above it may be wrong and are not used.
		for i+8 <= len(src) {
			x := binary.LittleEndian.Uint64(src[i:])
			quote, slash := x^(ones*'"'), x^(ones*'\\')
			marks := ((quote - ones) &^ quote) | ((slash - ones) &^ slash) | ((x - ones*0x20) &^ x)
			if marks &= highs; marks != 0 {
				i += bits.TrailingZeros64(marks) >> 3
				break
			}
			i += 8
		}
		for i < len(src) && src[i] != '"' && src[i] != '\\' && src[i] >= 0x20 {
			i++
		}
		switch {
		case i >= len(src):
			return s.fail(i, "a string is not closed")
		case src[i] == '"':
			s.add(text, start, i).escaped = escaped
			return i + 1
		case src[i] == '\\':
			if i = s.escape(i); i < 0 {
				return -1
			}
			escaped = true
		default:
			return s.fail(i, "a control character in a string must be escaped")
		}
	}
}

// escape scans the escape whose backslash is at i.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.src) {
		return s.fail(i, "a string is not closed")
	}
	switch s.src[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		r := hex4(s.src, i+2)
		switch {
		case r < 0:
			return s.fail(i, `\u must be followed by four hexadecimal digits`)
		case r < 0xd800 || r > 0xdfff:
			return i + 6
		case r <= 0xdbff && i+7 < len(s.src) && s.src[i+6] == '\\' && s.src[i+7] == 'u':
			if low := hex4(s.src, i+8); low >= 0xdc00 && low <= 0xdfff {
				return i + 12
			}
		}
		return s.fail(i, `half of a surrogate pair is not a character`)
	}
	return s.fail(i, "an escape in a string is not known")
}

// hex4 is the value of four hexadecimal digits, or -1.
func hex4(src []byte, i int) rune {
	if i+4 > len(src) {
		return -1
	}
	var r rune
	for _, c := range src[i : i+4] {
		switch {
		case c-'0' < 10:
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}

func (s *scanner) number(start int) int {
	end, plain, ok := scanNumber(s.src, start)
	if !ok {
		return s.fail(end, "expected a digit in a number")
	}
	if end < len(s.src) && (s.src[end]-'0' < 10 || s.src[end] == '.') {
		return s.fail(start, "a number must not start with a superfluous zero")
	}
	s.add(number, start, end).plain = plain
	return end
}

// scanNumber reads a number of RFC 8259. plain tells that it is written
// without fraction and exponent; where it is wrong, end is the place.
func scanNumber(src []byte, start int) (end int, plain, ok bool) {
	digits := func(i int) int {
		for i < len(src) && src[i]-'0' < 10 {
			i++
		}
		return i
	}
	i := start
	if i < len(src) && src[i] == '-' {
		i++
	}
	first := i
	if i = digits(i); i == first {
		return i, false, false
	}
	if src[first] == '0' && i > first+1 {
		return first + 1, true, true
	}
	plain = true
	if i < len(src) && src[i] == '.' {
		plain = false
		if i = digits(i + 1); src[i-1] == '.' {
			return i, false, false
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		plain = false
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		if first = i; digits(i) == first {
			return i, false, false
		}
		i = digits(i)
	}
	return i, plain, true
}

// text is the content of a string. An escaped one is written into buf, which
// the next call with the same buf overwrites.
func (t *tape) text(tok *token, buf *[]byte) []byte {
	raw := t.src[tok.start:tok.end]
	if !tok.escaped {
		return raw
	}
	*buf = appendUnescaped((*buf)[:0], raw)
	return *buf
}

// appendUnescaped resolves the escapes of a string that was scanned.
func appendUnescaped(b, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hex4(raw, i+2)
			if r >= 0xd800 && r <= 0xdbff {
				r = (r-0xd800)<<10 + (hex4(raw, i+8) - 0xdc00) + 0x10000
				i += 6
			}
			b = utf8.AppendRune(b, r)
			i += 4
		default:
			b = append(b, c)
		}
		i += 2
	}
	return b
}
