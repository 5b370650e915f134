package arazzo

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

// toNode makes nodes of a value, for JSONPath.
func toNode(value any) *yaml.Node {
	switch v := value.(type) {
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}
	case bool:
		text, _ := Text(v)
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: text}
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: make([]*yaml.Node, len(v))}
		for i, item := range v {
			n.Content[i] = toNode(item)
		}
		return n
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: make([]*yaml.Node, 0, 2*len(v))}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, toNode(name), toNode(v[name]))
		}
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// fromNode makes a value of nodes; ok is false when they are no JSON.
func fromNode(n *yaml.Node) (value any, ok bool) { return literalOf(source.Wrap("", n)) }

// literalOf is the value of a node of a document.
func literalOf(n source.Node) (value any, ok bool) {
	value, err := mapping.Decode(n.AppendJSON(nil))
	return value, err == nil
}
