package specs

import (
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// Schemas compiles JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them) that
// stand in a document of another kind. references is the mapping that their
// references lead to, and prefix is how these begin, for example
// #/components/inputs/. The result has the schemas in the order of roots; it is nil after a problem.
func Schemas(roots []source.Node, references source.Node, prefix string, ps *source.Problems) []*schema.Schema {
	var found source.Problems
	list := schemasOf(roots, references, prefix, &found)
	for _, p := range found.List() {
		p.Path = ownPath(p.Path, roots, references)
		ps.Append(p)
	}
	return list
}

// ownPath leads to where a schema stands, and not to the document that it was put into.
func ownPath(path string, roots []source.Node, references source.Node) string {
	for i, n := range roots {
		if rest, ok := strings.CutPrefix(path, fmt.Sprintf("components.schemas[%q]", rootName(i))); ok {
			return n.Path() + rest
		}
	}
	for _, f := range references.Fields() {
		if rest, ok := strings.CutPrefix(path, fmt.Sprintf("components.schemas[%q]", "reference."+f.Name)); ok {
			return f.Value.Path() + rest
		}
	}
	return path
}

func rootName(i int) string { return fmt.Sprintf("root.%d", i) }

func schemasOf(roots []source.Node, references source.Node, prefix string, ps *source.Problems) []*schema.Schema {
	doc := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	put(doc, "openapi", scalar("3.1.0"))
	info := put(doc, "info", &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	put(info, "title", scalar("-"))
	put(info, "version", scalar("-"))
	components := put(doc, "components", &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	list := put(components, "schemas", &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	grafts := &source.Grafts{}
	add := func(name string, n source.Node) {
		y := source.Clone(n.YAML())
		renameReferences(y, prefix)
		grafts.Add(y, n.File())
		put(list, name, y)
	}
	for _, f := range references.Fields() {
		add("reference."+f.Name, f.Value)
	}
	for i, n := range roots {
		add(rootName(i), n)
	}
	name := ""
	if len(roots) > 0 {
		name = roots[0].File()
	}
	before := ps.Len()
	l := &loader{ps: ps, root: source.Wrap(name, doc).WithGrafts(grafts), document: &Document{}}
	(&resolver{fsys: alone{}, main: &file{name: name, root: l.root}, grafts: grafts, ps: ps}).resolve()
	if ps.Len() > before {
		return nil
	}
	l.document.public = l.root.AppendJSON(nil)
	api := l.read()
	if api == nil {
		return nil
	}
	return compileRoots(api, l.root, len(roots), ps)
}

// alone has no files: such a document refers to itself only.
type alone struct{}

func (alone) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func compileRoots(api *openapi3.T, root source.Node, count int, ps *source.Problems) []*schema.Schema {
	set := schema.NewSet(api, root)
	before := ps.Len()
	compiled := make([]*schema.Schema, count)
	for i := range compiled {
		name := rootName(i)
		compiled[i] = set.Compile(api.Components.Schemas[name], root.At("components", "schemas", name), ps)
	}
	if ps.Len() > before {
		return nil
	}
	return compiled
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func put(mapping *yaml.Node, key string, value *yaml.Node) *yaml.Node {
	mapping.Content = append(mapping.Content, scalar(key), value)
	return value
}

// renameReferences leads the references of a schema to where it stands now.
func renameReferences(y *yaml.Node, prefix string) {
	for i, child := range y.Content {
		if y.Kind == yaml.MappingNode && i%2 == 1 && y.Content[i-1].Value == "$ref" && child.Kind == yaml.ScalarNode {
			if name, ok := strings.CutPrefix(child.Value, prefix); ok {
				child.Value = "#/components/schemas/reference." + name
			}
			continue
		}
		renameReferences(child, prefix)
	}
}
