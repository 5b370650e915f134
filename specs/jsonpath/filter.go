package jsonpath

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/specs/source"
)

// condition decides whether a filter lets a node through.
type condition interface {
	holds(e *evaluation, current *yaml.Node) bool
}

type (
	anyOf  []condition
	allOf  []condition
	negate struct{ condition }
	exists struct{ query }
	// compare applies one of == != < <= > >=.
	compare struct {
		operator    string
		left, right operand
	}
	// pattern is match() or search(), which differ in whether all of the text has to match.
	pattern struct {
		whole       bool
		text, regex operand
	}
)

func (cs anyOf) holds(e *evaluation, current *yaml.Node) bool {
	for _, c := range cs {
		if c.holds(e, current) {
			return true
		}
	}
	return false
}

func (cs allOf) holds(e *evaluation, current *yaml.Node) bool {
	for _, c := range cs {
		if !c.holds(e, current) {
			return false
		}
	}
	return true
}

func (c negate) holds(e *evaluation, current *yaml.Node) bool { return !c.condition.holds(e, current) }

func (c exists) holds(e *evaluation, current *yaml.Node) bool { return len(c.nodes(e, current)) > 0 }

func (c compare) holds(e *evaluation, current *yaml.Node) bool {
	left, right := c.left.value(e, current), c.right.value(e, current)
	switch c.operator {
	case "==":
		return e.equal(left, right)
	case "!=":
		return !e.equal(left, right)
	case "<":
		return less(left, right)
	case "<=":
		return less(left, right) || e.equal(left, right)
	case ">":
		return less(right, left)
	}
	return less(right, left) || e.equal(left, right)
}

func (c pattern) holds(e *evaluation, current *yaml.Node) bool {
	text, regex := c.text.value(e, current), c.regex.value(e, current)
	if kind(text) != source.String || kind(regex) != source.String {
		return false
	}
	compiled := e.compile(regex.Value, c.whole)
	return compiled != nil && compiled.MatchString(text.Value)
}

// compile translates an I-Regexp (RFC 9485); nil means that it is not one.
func (e *evaluation) compile(text string, whole bool) *regexp.Regexp {
	key := strconv.FormatBool(whole) + text
	if compiled, ok := e.patterns[key]; ok {
		return compiled
	}
	translated := iregexp(text)
	if whole {
		translated = `^(?:` + translated + `)$`
	}
	compiled, err := regexp.Compile(translated)
	if err != nil {
		compiled = nil
	}
	if e.patterns == nil {
		e.patterns = map[string]*regexp.Regexp{}
	}
	e.patterns[key] = compiled
	return compiled
}

// iregexp writes a dot as I-Regexp means it: any character but line ends.
func iregexp(text string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			b.WriteString(text[i : i+2])
			i++
			continue
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '.' && !class:
			b.WriteString(`[^\n\r]`)
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// operand has a value: a node, or nil for RFC 9535's Nothing.
type operand interface {
	value(e *evaluation, current *yaml.Node) *yaml.Node
}

type (
	literal struct{ node *yaml.Node }
	// query is a path from the current node or from the root.
	query struct {
		relative bool
		segments []segment
	}
	length struct{ of operand }
	count  struct{ of query }
	// only is value(): the node of a query that selected exactly one.
	only struct{ of query }
)

func (q query) nodes(e *evaluation, current *yaml.Node) []Match {
	if q.relative {
		return e.walk(q.segments, Match{Node: current})
	}
	return e.walk(q.segments, Match{Node: e.root})
}

func (l literal) value(*evaluation, *yaml.Node) *yaml.Node { return l.node }

func (q query) value(e *evaluation, current *yaml.Node) *yaml.Node {
	return only{q}.value(e, current)
}

func (o only) value(e *evaluation, current *yaml.Node) *yaml.Node {
	if nodes := o.of.nodes(e, current); len(nodes) == 1 {
		return target(nodes[0].Node)
	}
	return nil
}

func (c count) value(e *evaluation, current *yaml.Node) *yaml.Node {
	return integer(len(c.of.nodes(e, current)))
}

func (l length) value(e *evaluation, current *yaml.Node) *yaml.Node {
	v := l.of.value(e, current)
	switch kind(v) {
	case source.String:
		return integer(utf8.RuneCountInString(v.Value))
	case source.List:
		return integer(len(v.Content))
	case source.Map:
		return integer(len(v.Content) / 2)
	}
	return nil
}

func integer(i int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(i)}
}

// kind is empty for Nothing.
func kind(y *yaml.Node) source.Kind {
	if y == nil {
		return ""
	}
	return source.Wrap("", y).Kind()
}

func (e *evaluation) equal(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if !e.look() {
		return false
	}
	a, b = target(a), target(b)
	x, xok := source.Wrap("", a).Number()
	y, yok := source.Wrap("", b).Number()
	if xok || yok {
		return xok && yok && x == y
	}
	if kind(a) != kind(b) {
		return false
	}
	switch kind(a) {
	case source.Null:
		return true
	case source.Bool:
		return strings.EqualFold(a.Value, b.Value)
	case source.List:
		return e.equalLists(a, b)
	case source.Map:
		return e.equalMaps(a, b)
	}
	return a.Value == b.Value
}

func (e *evaluation) equalLists(a, b *yaml.Node) bool {
	if len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !e.equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

func (e *evaluation) equalMaps(a, b *yaml.Node) bool {
	if len(a.Content) != len(b.Content) {
		return false
	}
	for i := 0; i+1 < len(a.Content); i += 2 {
		other := nameSelector(a.Content[i].Value).apply(e, b, nil)
		if len(other) == 0 || !e.equal(a.Content[i+1], other[0].Node) {
			return false
		}
	}
	return true
}

// less orders numbers and strings; everything else has no order.
func less(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return false
	}
	x, xok := source.Wrap("", a).Number()
	y, yok := source.Wrap("", b).Number()
	if xok && yok {
		return x < y
	}
	return kind(a) == source.String && kind(b) == source.String && a.Value < b.Value
}
