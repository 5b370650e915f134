package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// node is a value of JSON whose members keep their order, as the writer of a
// document meant them to be read. A nil node stands for what is absent.
type node struct {
	kind kind
	// text is a string's content, or the literal of a number, true, false or null.
	text string
	// names and items are the members of an object, items alone those of an array.
	names []string
	items []*node
}

type kind uint8

const (
	literal kind = iota // number, true, false, null
	text
	array
	object
)

// parseNode reads one value of JSON.
func parseNode(data []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return readNode(d)
}

func readNode(d *json.Decoder) (*node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := &node{kind: array}
		if t == '{' {
			n.kind = object
		}
		for d.More() {
			if n.kind == object {
				name, err := d.Token()
				if err != nil {
					return nil, err
				}
				n.names = append(n.names, name.(string))
			}
			item, err := readNode(d)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		_, err := d.Token()
		return n, err
	case string:
		return &node{kind: text, text: t}, nil
	case nil:
		return &node{text: "null"}, nil
	}
	return &node{text: fmt.Sprint(t)}, nil
}

// get is a member of an object; nil when there is none.
func (n *node) get(name string) *node {
	if n == nil || n.kind != object {
		return nil
	}
	if i := slices.Index(n.names, name); i >= 0 {
		return n.items[i]
	}
	return nil
}

// at goes down several members.
func (n *node) at(names ...string) *node {
	for _, name := range names {
		n = n.get(name)
	}
	return n
}

// str is the content of a string; empty for all else.
func (n *node) str() string {
	if n == nil || n.kind != text {
		return ""
	}
	return n.text
}

// is tells whether a value is this literal, for example true.
func (n *node) is(literally string) bool { return n != nil && n.kind == literal && n.text == literally }

// list are the items of an array; none for all else.
func (n *node) list() []*node {
	if n == nil || n.kind != array {
		return nil
	}
	return n.items
}

// members calls f for each member of an object, in order.
func (n *node) members(f func(name string, value *node)) {
	if n == nil || n.kind != object {
		return
	}
	for i, name := range n.names {
		f(name, n.items[i])
	}
}

// set puts a member at the end of an object, or in the place of the one of that name.
func (n *node) set(name string, value *node) {
	if i := slices.Index(n.names, name); i >= 0 {
		n.items[i] = value
		return
	}
	n.names, n.items = append(n.names, name), append(n.items, value)
}

func textNode(s string) *node { return &node{kind: text, text: s} }

// objectNode makes an object of names and values.
func objectNode(pairs ...any) *node {
	n := &node{kind: object}
	for i := 0; i+1 < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case *node:
			if v != nil {
				n.set(pairs[i].(string), v)
			}
		case string:
			n.set(pairs[i].(string), textNode(v))
		}
	}
	return n
}

func arrayNode(items ...*node) *node { return &node{kind: array, items: items} }

// ref finds what a reference inside the document points to; nil when it points
// nowhere or elsewhere.
func (n *node) ref(reference string) *node {
	pointer, ok := strings.CutPrefix(reference, "#/")
	if !ok {
		return nil
	}
	at := n
	for _, token := range strings.Split(pointer, "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(unescapePath(token), "~1", "/"), "~0", "~")
		switch {
		case at == nil:
			return nil
		case at.kind == array:
			i := 0
			if _, err := fmt.Sscanf(token, "%d", &i); err != nil || i < 0 || i >= len(at.items) {
				return nil
			}
			at = at.items[i]
		default:
			at = at.get(token)
		}
	}
	return at
}

// json writes the value with an indentation of two spaces.
func (n *node) json() []byte {
	var b bytes.Buffer
	n.writeJSON(&b, "\n")
	return b.Bytes()
}

func (n *node) writeJSON(b *bytes.Buffer, line string) {
	switch {
	case n == nil:
		b.WriteString("null")
	case n.kind == literal:
		b.WriteString(n.text)
	case n.kind == text:
		writeString(b, n.text)
	case len(n.items) == 0:
		b.WriteString(map[kind]string{array: "[]", object: "{}"}[n.kind])
	default:
		brackets := map[kind]string{array: "[]", object: "{}"}[n.kind]
		b.WriteByte(brackets[0])
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(line + "  ")
			if n.kind == object {
				writeString(b, n.names[i])
				b.WriteString(": ")
			}
			item.writeJSON(b, line+"  ")
		}
		b.WriteString(line)
		b.WriteByte(brackets[1])
	}
}

func writeString(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if e.Encode(s) == nil { // a string cannot fail
		b.Truncate(b.Len() - 1) // its line end
	}
}

// yaml writes the value as YAML.
func (n *node) yaml() ([]byte, error) { return yaml.Marshal(n.tree()) }

func (n *node) tree() *yaml.Node {
	switch n.kind {
	case text:
		y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.text}
		if strings.Contains(n.text, "\n") {
			y.Style = yaml.LiteralStyle
		}
		return y
	case array, object:
		y := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if n.kind == object {
			y.Kind, y.Tag = yaml.MappingNode, "!!map"
		}
		for i, item := range n.items {
			if n.kind == object {
				y.Content = append(y.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: n.names[i]})
			}
			y.Content = append(y.Content, item.tree())
		}
		return y
	}
	y := &yaml.Node{Kind: yaml.ScalarNode, Value: n.text, Tag: "!!int"}
	switch {
	case n.text == "null":
		y.Tag = "!!null"
	case n.text == "true" || n.text == "false":
		y.Tag = "!!bool"
	case strings.ContainsAny(n.text, ".eE"):
		y.Tag = "!!float"
	}
	return y
}
