package mapping

import "github.com/headrace/headrace/specs/source"

// Source is a mapping as it stands in a file: jq, or the name of a file
// mappings/NAME.jq. Library.Get compiles it.
type Source struct {
	source.Node
}

// DecodeNode keeps the node; what it holds is checked when it is compiled.
func (s *Source) DecodeNode(n source.Node, _ *source.Problems) { s.Node = n }

// JSONSchema describes the notation for editors.
func (Source) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"string", "number", "boolean"}, "examples": []any{"$request.query.limit // 50", "mappings/order.jq"}}
}
