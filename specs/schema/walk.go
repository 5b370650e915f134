package schema

import (
	"strconv"
	"strings"
	"time"
)

// The bound of the work on one text, in schemas applied to values.
const (
	stepsBase     = 100_000
	stepsPerToken = 100
)

// walker checks one scanned text at a time.
type walker struct {
	scanner
	shared *shared
	dir    Direction
	found  []Violation
	// quiet means that only the verdict is wanted: the first fault ends it.
	quiet bool
	steps int
	// spent is set when the steps are used up, or the time for backtracking
	// patterns; all verdicts are void then.
	spent       bool
	backtracked time.Duration
	// buf and buf2 hold unescaped strings.
	buf, buf2 []byte
	// resources are the embedded resources on the way, outermost first.
	resources []*resource
}

// fail notes a violation at a token, and is false for the convenience of callers.
func (w *walker) fail(at uint32, detail string) bool {
	if !w.quiet && len(w.found) < MaxViolations {
		w.found = append(w.found, Violation{Pointer: w.pointer(at), Detail: detail})
	}
	return false
}

// step counts one step of work. It is false when too many were taken.
func (w *walker) step(n int) bool {
	w.steps -= n
	if w.steps < 0 {
		w.spent = true
	}
	return !w.spent
}

// check applies a schema to the value at a token. Where marks is not nil, the
// items or members that the schema evaluates are noted in it.
func (w *walker) check(s *Schema, at uint32, marks *marks) bool {
	if s.free {
		return true
	}
	if !w.step(1) {
		return false
	}
	t := &w.tokens[at]
	if t.kind == null && s.nullable {
		return true
	}
	if s.types != 0 && !w.typed(s, t) {
		return w.wrongType(s, at)
	}
	if s.unseen != nil || s.resource != nil {
		return w.checkWhole(s, at, marks)
	}
	return w.checkRules(s, at, marks)
}

// checkRules applies what the schema says about the value, its type being right.
func (w *walker) checkRules(s *Schema, at uint32, marks *marks) bool {
	ok := true
	switch t := &w.tokens[at]; t.kind {
	case text:
		if s.text != nil {
			ok = w.checkText(s.text, at)
		}
	case number:
		if s.number != nil {
			ok = w.checkNumber(s.number, at)
		}
	case array:
		if s.array != nil {
			ok = w.checkArray(s.array, at, marks)
		}
	case object:
		if s.object != nil {
			ok = w.checkObject(s.object, at, marks)
		}
	}
	if s.enum != nil && (ok || !w.quiet) {
		ok = w.checkEnum(s.enum, at) && ok
	}
	if s.place != nil && (ok || !w.quiet) {
		ok = w.checkPlace(s.place, at, marks) && ok
	}
	if s.dynamic != nil && (ok || !w.quiet) {
		ok = w.check(w.resolve(s.dynamic), at, marks) && ok
	}
	if s.never {
		return w.fail(at, "no value is accepted here")
	}
	return ok
}

// checkWhole is check for schemas that look at what others left over, or that
// start an embedded resource.
func (w *walker) checkWhole(s *Schema, at uint32, outer *marks) bool {
	if s.resource != nil {
		depth := len(w.resources)
		w.resources = append(w.resources, s.resource)
		defer func() { w.resources = w.resources[:depth] }()
	}
	if s.unseen == nil {
		return w.checkRules(s, at, outer)
	}
	inner := newMarks(w.tokens[at].size)
	ok := w.checkRules(s, at, inner)
	if !ok && w.quiet {
		return false
	}
	if ok { // what failed has evaluated nothing, and would be reported twice
		ok = w.checkUnseen(s.unseen, at, inner)
	}
	if ok && outer != nil {
		outer.merge(inner)
	}
	return ok
}

func (w *walker) typed(s *Schema, t *token) bool {
	if s.types&typesByKind[t.kind] != 0 {
		return true
	}
	if t.kind != number || s.types&typeInteger == 0 {
		return false
	}
	return t.plain || parseDecimal(w.src[t.start:t.end]).integer()
}

func (w *walker) wrongType(s *Schema, at uint32) bool {
	if w.quiet {
		return false
	}
	want, t := s.types, &w.tokens[at]
	if s.nullable {
		want |= typeNull
	}
	found := kindNames[t.kind]
	if t.kind == number && want&typeInteger != 0 {
		found = "a number with a fraction"
	}
	return w.fail(at, "expected "+want.String()+", found "+found)
}

// pointer makes the JSON pointer of the value or key at a token.
func (w *walker) pointer(at uint32) string {
	var b strings.Builder
	for t := uint32(0); t != at; {
		next := t
		switch w.tokens[t].kind {
		case array:
			i := 0
			for next = t + 1; at >= w.tokens[next].next; next = w.tokens[next].next {
				i++
			}
			b.WriteByte('/')
			b.WriteString(strconv.Itoa(i))
		case object:
			key := t + 1
			for at >= w.tokens[key+1].next {
				key = w.tokens[key+1].next
			}
			b.WriteByte('/')
			b.WriteString(EscapePointer(string(w.tape.text(&w.tokens[key], &w.scratch))))
			if at == key {
				return b.String()
			}
			next = key + 1
		}
		if next == t {
			break
		}
		t = next
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// EscapePointer writes a property name as a token of a JSON pointer (RFC 6901).
func EscapePointer(name string) string { return pointerEscapes.Replace(name) }

// marks notes which items or members of one value have been evaluated.
type marks struct{ bits []uint64 }

func newMarks(n uint32) *marks { return &marks{make([]uint64, (n+63)/64)} }

func (m *marks) set(i int) { m.bits[i>>6] |= 1 << (i & 63) }

func (m *marks) has(i int) bool { return m.bits[i>>6]&(1<<(i&63)) != 0 }

func (m *marks) merge(other *marks) {
	for i, b := range other.bits {
		m.bits[i] |= b
	}
}

// fork gives empty marks of the same size for an alternative, or nil.
func (m *marks) fork() *marks {
	if m == nil {
		return nil
	}
	return &marks{make([]uint64, len(m.bits))}
}

// join takes over what an alternative that matched has evaluated.
func (m *marks) join(fork *marks) {
	if m != nil {
		m.merge(fork)
	}
}
