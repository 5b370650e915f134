package source

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Kind is the type of a value in a file.
type Kind string

// The kinds of values. A file's own notation (JSON or YAML) makes no difference.
const (
	Null   Kind = "null"
	Bool   Kind = "boolean"
	Int    Kind = "integer"
	Float  Kind = "number"
	String Kind = "string"
	List   Kind = "list"
	Map    Kind = "mapping"
)

// Node is a value in a file, with its place. The zero Node is absent: it has
// kind Null and no children.
type Node struct {
	file   string
	yaml   *yaml.Node
	path   string
	grafts *Grafts
}

// Field is one entry of a mapping. Key is the node of the key itself.
type Field struct {
	Name  string
	Key   Node
	Value Node
}

// Exists tells whether the value is there at all.
func (n Node) Exists() bool { return n.yaml != nil }

// File is the name of the file that the node stands in.
func (n Node) File() string { return n.file }

// Path leads to the node inside its file; in a document made of several files
// it leads to the node inside the whole.
func (n Node) Path() string { return n.path }

// Position is where the node stands.
func (n Node) Position() Position {
	p := Position{File: n.file}
	if n.yaml != nil {
		p.Line, p.Column = n.yaml.Line, n.yaml.Column
	}
	return p
}

// Kind is the type of the value.
func (n Node) Kind() Kind {
	y := n.target()
	if y == nil {
		return Null
	}
	switch y.Kind {
	case yaml.SequenceNode:
		return List
	case yaml.MappingNode:
		return Map
	}
	switch y.ShortTag() {
	case "!!null":
		return Null
	case "!!bool":
		return Bool
	case "!!int":
		return Int
	case "!!float":
		return Float
	}
	return String
}

// target follows an alias to the value that it stands for.
func (n Node) target() *yaml.Node {
	y := n.yaml
	for y != nil && y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return y
}

// Text is the scalar as written; it is empty for lists and mappings.
func (n Node) Text() string {
	if y := n.target(); y != nil && y.Kind == yaml.ScalarNode {
		return y.Value
	}
	return ""
}

// child is a node below n. What was grafted into the tree keeps its own file.
func (n Node) child(y *yaml.Node, path string) Node {
	c := Node{file: n.file, yaml: y, path: path, grafts: n.grafts}
	if n.grafts != nil {
		if file, ok := n.grafts.files[y]; ok {
			c.file = file
		}
	}
	return c
}

// Items are the values of a list.
func (n Node) Items() []Node {
	if n.Kind() != List {
		return nil
	}
	content := n.target().Content
	items := make([]Node, len(content))
	for i, y := range content {
		items[i] = n.child(y, n.path+"["+strconv.Itoa(i)+"]")
	}
	return items
}

// Fields are the entries of a mapping, in the order of the file.
func (n Node) Fields() []Field {
	if n.Kind() != Map {
		return nil
	}
	content := n.target().Content
	fields := make([]Field, 0, len(content)/2)
	for i := 0; i+1 < len(content); i += 2 {
		name := content[i].Value
		path := join(n.path, name)
		fields = append(fields, Field{Name: name, Key: n.child(content[i], path), Value: n.child(content[i+1], path)})
	}
	return fields
}

// Get is the value of a mapping's key; absent when there is none.
func (n Node) Get(name string) Node {
	if n.Kind() != Map {
		return Node{}
	}
	content := n.target().Content
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == name {
			return n.child(content[i+1], join(n.path, name))
		}
	}
	return Node{}
}

// Key is the node of a mapping's key, for problems about the entry as a whole;
// absent when there is none.
func (n Node) Key(name string) Node {
	if n.Kind() != Map {
		return Node{}
	}
	content := n.target().Content
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == name {
			return n.child(content[i], join(n.path, name))
		}
	}
	return Node{}
}

// At follows keys downwards; it returns the deepest node that exists, so that
// a problem about a missing value stands at the place that lacks it.
func (n Node) At(names ...string) Node {
	for _, name := range names {
		child := n.Get(name)
		if !child.Exists() {
			return n
		}
		n = child
	}
	return n
}

// Pointer follows a JSON pointer (RFC 6901); ok is false when it leads nowhere.
func (n Node) Pointer(pointer string) (node Node, ok bool) {
	if pointer == "" {
		return n, n.Exists()
	}
	if pointer[0] != '/' {
		return Node{}, false
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		n = n.step(Unescape(token))
		if !n.Exists() {
			return n, false
		}
	}
	return n, true
}

// Unescape decodes a token of a JSON pointer.
func Unescape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

// step is the child that a token of a JSON pointer names.
func (n Node) step(token string) Node {
	if n.Kind() != List {
		return n.Get(token)
	}
	content := n.target().Content
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || i >= len(content) || strconv.Itoa(i) != token {
		return Node{}
	}
	return n.child(content[i], n.path+"["+token+"]")
}

// join appends a key to a path, in quotes unless it is a plain word.
func join(path, name string) string {
	switch {
	case !plain(name):
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '$' && c != '-' {
			return false
		}
	}
	return name != ""
}

// Number is the value of an integer or number; ok is false for everything
// else, and for infinity and NaN.
func (n Node) Number() (value float64, ok bool) {
	if k := n.Kind(); k != Int && k != Float {
		return 0, false
	}
	return number(n.Text())
}
