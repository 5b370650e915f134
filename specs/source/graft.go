package source

import "go.yaml.in/yaml/v4"

// Grafts remembers which parts of a rewritten document came from another file,
// so that their problems are reported there. A Grafts is not safe for
// concurrent writing.
type Grafts struct {
	files map[*yaml.Node]string
}

// Add notes that a node, and all below it that is not noted otherwise, stands in a file.
func (g *Grafts) Add(y *yaml.Node, file string) {
	if g.files == nil {
		g.files = map[*yaml.Node]string{}
	}
	g.files[y] = file
}

// Clone is a deep copy of a node that keeps the places of what it is made of.
func (g *Grafts) Clone(y *yaml.Node) *yaml.Node {
	return clone(y, func(from, to *yaml.Node) {
		if file, ok := g.files[from]; ok {
			g.Add(to, file)
		}
	})
}

// Has tells whether the node itself was noted.
func (g *Grafts) Has(y *yaml.Node) bool {
	_, ok := g.files[y]
	return ok
}

// Retain forgets all nodes that are not below root, so that they can be freed.
func (g *Grafts) Retain(root *yaml.Node) {
	kept := map[*yaml.Node]string{}
	seen := map[*yaml.Node]bool{}
	var walk func(y *yaml.Node)
	walk = func(y *yaml.Node) {
		if seen[y] {
			return
		}
		seen[y] = true
		if file, ok := g.files[y]; ok {
			kept[y] = file
		}
		if y.Alias != nil {
			walk(y.Alias)
		}
		for _, child := range y.Content {
			walk(child)
		}
	}
	if len(g.files) > 0 {
		walk(root)
	}
	g.files = kept
}

// WithGrafts is the same node, whose descendants are placed by g too.
func (n Node) WithGrafts(g *Grafts) Node {
	n.grafts = g
	return n
}

// YAML is the underlying node, for rewriting a document. It is nil when the
// node is absent. Who changes it must have the document to himself.
func (n Node) YAML() *yaml.Node { return n.target() }

// Wrap makes a Node of a YAML node that belongs to the named file.
func Wrap(file string, y *yaml.Node) Node { return Node{file: file, yaml: y} }

// Clone is a deep copy of a YAML node, in which every alias is replaced by
// what it stands for. Nodes that came from Parse are known to be finite.
func Clone(y *yaml.Node) *yaml.Node { return clone(y, func(_, _ *yaml.Node) {}) }

func clone(y *yaml.Node, made func(from, to *yaml.Node)) *yaml.Node {
	from := y
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	c := &yaml.Node{Kind: y.Kind, Style: y.Style, Tag: y.Tag, Value: y.Value, Line: y.Line, Column: y.Column}
	made(from, c)
	if y.Content != nil {
		c.Content = make([]*yaml.Node, len(y.Content))
		for i, child := range y.Content {
			c.Content[i] = clone(child, made)
		}
	}
	return c
}
