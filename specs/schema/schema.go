package schema

import (
	"hash/maphash"
	"strings"
	"sync"
)

// Direction tells which way a text goes: readOnly properties are neither
// accepted nor required in requests, writeOnly properties in responses.
type Direction uint8

// The directions. In Neither direction readOnly and writeOnly mean nothing.
const (
	Neither Direction = iota
	Request
	Response
)

// Violation is one fault of a text against its schema.
type Violation struct {
	// Pointer is the JSON pointer to the faulty value; empty for the whole text.
	Pointer string
	// Detail says what is wrong and what would be right. It never repeats the value.
	Detail string
}

// MaxViolations is how many violations are reported at most for one text.
const MaxViolations = 64

// types is a set of JSON types.
type types uint8

const (
	typeNull types = 1 << iota
	typeBoolean
	typeNumber
	typeString
	typeArray
	typeObject
	// typeInteger is set beside typeNumber in sets that accept all numbers.
	typeInteger

	typeAny = typeNull | typeBoolean | typeNumber | typeString | typeArray | typeObject | typeInteger
)

var typesByKind = [...]types{null: typeNull, boolean: typeBoolean, number: typeNumber, text: typeString, array: typeArray, object: typeObject}

var typeNames = []struct {
	set  types
	name string
}{
	{typeString, "a string"}, {typeNumber, "a number"}, {typeInteger, "an integer"}, {typeBoolean, "a boolean"},
	{typeObject, "an object"}, {typeArray, "an array"}, {typeNull, "null"},
}

// String names the types as in "a string or null".
func (t types) String() string {
	if t&typeNumber != 0 {
		t &^= typeInteger
	}
	var names []string
	for _, n := range typeNames {
		if t&n.set != 0 {
			names = append(names, n.name)
		}
	}
	return oneOf(names)
}

// oneOf joins words as in "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// Schema is a compiled schema. It is immutable and safe for concurrent use.
type Schema struct {
	shared *shared
	// label names the schema in messages: its component or its title.
	label string
	// free schemas accept everything, never schemas nothing.
	free, never bool
	// nullable lets null pass before anything else is looked at.
	nullable bool
	// types are the accepted types; 0 when the schema does not say.
	types   types
	text    *textRules
	number  *numberRules
	array   *arrayRules
	object  *objectRules
	enum    *enumRules
	place   *placeRules
	unseen  *unseenRules
	dynamic *dynamicRef
	// resource is set where an embedded resource ($id) starts.
	resource *resource
	// acyclic is set once the schema is known to consume input on every cycle.
	acyclic bool
	// accepted are the types that may be accepted at all, once ready is set.
	accepted types
	ready    bool
}

// shared is what the schemas of a set have in common.
type shared struct {
	// seed is of the hash of property names.
	seed    maphash.Seed
	walkers sync.Pool
}

// Free tells whether the schema accepts every JSON value.
func (s *Schema) Free() bool { return s.free }

// Check checks a JSON text. A text that is no well-formed JSON in UTF-8, or
// nested deeper than MaxDepth, is a SyntaxError; an object with the same
// property twice is a violation, and then nothing else is checked. Up to
// MaxViolations are reported, each with the place it concerns. The work is
// bounded by a number of steps proportional to the text; a text that needs
// more, because alternatives of the schema nest too deeply, is a violation.
func (s *Schema) Check(json []byte, dir Direction) ([]Violation, *SyntaxError) {
	return s.checkText(json, dir, nil, nil)
}

func (s *Schema) checkText(json []byte, dir Direction, f *Fields, seen *Seen) ([]Violation, *SyntaxError) {
	w := s.shared.walker(dir)
	defer w.release()
	if err := w.scan(json); err != nil {
		return nil, err
	}
	if f != nil {
		w.see(f.root, 0, seen)
	}
	if len(w.repeated) > 0 {
		for _, key := range w.repeated {
			w.fail(key, "the property appears twice in its object")
		}
		return w.found, nil
	}
	return w.walk(s), nil
}

func (sh *shared) hash(name string) uint32 { return uint32(maphash.String(sh.seed, name)) }

func (sh *shared) walker(dir Direction) *walker {
	w, ok := sh.walkers.Get().(*walker)
	if !ok {
		w = &walker{shared: sh}
		w.seed = sh.seed
	}
	w.dir, w.found, w.quiet, w.spent, w.backtracked = dir, nil, false, false, 0
	return w
}

// keptTokens bounds the memory that a walker keeps for the next text.
const keptTokens = 1 << 14

func (w *walker) release() {
	w.src, w.found = nil, nil
	if cap(w.tokens) <= keptTokens && cap(w.scratch)+cap(w.buf) <= 1<<20 {
		w.shared.walkers.Put(w)
	}
}

// walk checks the scanned text.
func (w *walker) walk(s *Schema) []Violation {
	w.steps = stepsBase + stepsPerToken*len(w.tokens)
	ok := w.check(s, 0, nil)
	switch {
	case w.spent:
		return []Violation{{Detail: "too much work: alternatives or patterns of the schema would have to be tried too often on this text"}}
	case ok:
		return nil
	}
	return w.found
}
