package portal

import (
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// example makes a value that goes with a schema: the one that its document gives,
// or else the simplest one; nil when there is none, or when it would never
// end. write tells that it is for a request.
func (r *reader) example(schema *node, write bool) *node { return r.exampleAt(schema, write, 0) }

func (r *reader) exampleAt(schema *node, write bool, depth int) *node {
	n := resolve(r.root, schema)
	if n == nil || depth > deepest || slices.Contains(r.open, n) {
		return nil
	}
	r.open = append(r.open, n)
	defer func() { r.open = r.open[:len(r.open)-1] }()
	for _, given := range []*node{n.get("example"), first(n.get("examples").list()), n.get("const"), n.get("default"), first(n.get("enum").list())} {
		if given != nil {
			return given
		}
	}
	for _, keyword := range []string{"oneOf", "anyOf"} {
		for _, one := range n.get(keyword).list() {
			if resolve(r.root, one).get("type").str() != "null" && n.get("properties") == nil {
				return r.exampleAt(one, write, depth+1)
			}
		}
	}
	kind := n.get("type").str()
	if kind == "" {
		kind = first(append(n.get("type").list(), nil)).str()
	}
	switch {
	case kind == "object" || n.get("properties") != nil || n.get("allOf") != nil:
		return r.exampleObject(n, write, depth)
	case kind == "array":
		list := &node{kind: array}
		least, _ := strconv.Atoi(plainValue(n.get("minItems")))
		for range min(max(least, 1), 3) {
			if item := r.exampleAt(n.get("items"), write, depth+1); item != nil {
				list.items = append(list.items, item)
			}
		}
		return list
	}
	return plainExample(n, kind)
}

// exampleObject fills the properties; in requests of large objects only those
// that are required.
func (r *reader) exampleObject(n *node, write bool, depth int) *node {
	made := &node{kind: object}
	for _, part := range n.get("allOf").list() {
		r.exampleAt(part, write, depth+1).members(made.set)
	}
	var required []string
	for _, name := range n.get("required").list() {
		required = append(required, name.str())
	}
	properties := n.get("properties")
	n.get("properties").members(func(name string, p *node) {
		plain := resolve(r.root, p)
		hidden := plain.get("readOnly").is("true") && write || plain.get("writeOnly").is("true") && !write
		few := write && len(properties.items) > 6 && len(required) > 0 && !slices.Contains(required, name)
		if hidden || few {
			return
		}
		if value := r.exampleAt(p, write, depth+1); value != nil {
			made.set(name, value)
		}
	})
	return made
}

// plainExample is a value of a simple type.
func plainExample(n *node, kind string) *node {
	switch kind {
	case "integer", "number":
		if least := n.get("minimum"); least != nil {
			return least
		}
		return &node{text: "1"}
	case "boolean":
		return &node{text: "true"}
	case "string":
		if example, ok := matching(n.get("pattern").str()); ok {
			return textNode(example)
		}
		formats := map[string]string{
			"date": "2027-01-31", "date-time": "2027-01-31T12:00:00Z", "time": "12:00:00Z", "uuid": "8e03978e-40d5-43e8-bc93-6894a57f9324",
			"email": "someone@example.com", "uri": "https://example.com/", "hostname": "example.com", "ipv4": "192.0.2.1", "duration": "PT1H",
		}
		if example := formats[n.get("format").str()]; example != "" {
			return textNode(example)
		}
		least, _ := strconv.Atoi(plainValue(n.get("minLength")))
		return textNode("text" + strings.Repeat("x", max(0, min(least, 200)-4)))
	}
	if kind == "null" {
		return &node{text: "null"}
	}
	return textNode("anything")
}

func first(list []*node) *node {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// matching makes a short text that a simple pattern matches.
func matching(pattern string) (string, bool) {
	if pattern == "" || len(pattern) > 200 {
		return "", false
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", false
	}
	var b strings.Builder
	if !write(&b, re.Simplify()) || b.Len() == 0 || b.Len() > 100 {
		return "", false
	}
	return b.String(), true
}

func write(b *strings.Builder, re *syntax.Regexp) bool {
	if b.Len() > 200 {
		return false
	}
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpStar, syntax.OpQuest:
		return true
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
		return true
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return false
		}
		c := re.Rune[0]
		for i := 0; i+1 < len(re.Rune); i += 2 { // a letter or digit where the class has one
			if re.Rune[i] <= '1' && '1' <= re.Rune[i+1] {
				c = '1'
				break
			}
			if re.Rune[i] >= '0' && re.Rune[i] <= 'z' {
				c = re.Rune[i]
				break
			}
		}
		b.WriteRune(max(c, ' '))
		return true
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('x')
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return write(b, re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !write(b, sub) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		return write(b, re.Sub[0])
	}
	return false
}
