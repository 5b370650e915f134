package specs

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/specs/source"
)

// withoutSiblings gives the document as JSON for kin-openapi, where no $ref of
// a 3.1 schema has other keywords beside it: they stand together in an allOf,
// which means the same. kin-openapi recurses without end into some of them.
func (l *loader) withoutSiblings() []byte {
	if strings.HasPrefix(l.root.Get("openapi").Text(), "3.0") || !anyMapping(l.root.YAML(), hasSiblings) {
		return l.document.public
	}
	root := source.Clone(l.root.YAML())
	anyMapping(root, func(y *yaml.Node) bool {
		if hasSiblings(y) {
			joinReference(y)
		}
		return false
	})
	return source.Wrap(l.root.File(), root).AppendJSONWithout(nil, Extension)
}

// data are keywords under which values stand, not schemas.
var data = []string{"example", "examples", "default", "enum", "const"}

// anyMapping tells whether a test holds for a mapping; values are left out.
func anyMapping(y *yaml.Node, test func(*yaml.Node) bool) bool {
	if y.Kind == yaml.MappingNode && test(y) {
		return true
	}
	for i, child := range y.Content {
		if y.Kind == yaml.MappingNode && (i%2 == 0 || slices.Contains(data, y.Content[i-1].Value)) {
			continue
		}
		if anyMapping(child, test) {
			return true
		}
	}
	return false
}

// hasSiblings finds references of schemas with keywords beside them.
func hasSiblings(y *yaml.Node) bool {
	schema, others := false, false
	for i := 0; i+1 < len(y.Content); i += 2 {
		switch key, value := y.Content[i].Value, y.Content[i+1]; {
		case key == "$ref":
			schema = value.Kind == yaml.ScalarNode && (strings.Contains(value.Value, "/schemas/") || strings.Contains(value.Value, "/$defs/") || strings.Contains(value.Value, "/properties/"))
		case key != "summary" && key != "description" && !strings.HasPrefix(key, "x-"):
			others = true
		}
	}
	return schema && others
}

// joinReference moves the $ref of a mapping into its allOf.
func joinReference(y *yaml.Node) {
	var all *yaml.Node
	var kept []*yaml.Node
	reference := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(y.Content); i += 2 {
		switch y.Content[i].Value {
		case "$ref":
			reference.Content = y.Content[i : i+2 : i+2]
			continue
		case "allOf":
			all = y.Content[i+1]
		}
		kept = append(kept, y.Content[i], y.Content[i+1])
	}
	if all == nil || all.Kind != yaml.SequenceNode {
		all = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		kept = append(kept, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "allOf"}, all)
	}
	all.Content = append(all.Content, reference)
	y.Content = kept
}
