package schema_test

import (
	"fmt"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// compile makes a document with the component schemas that are given as JSON,
// and compiles the one named S.
func compile(t testing.TB, version, components string) *schema.Schema {
	t.Helper()
	s, ps := tryCompile(t, version, components)
	if err := ps.Err(); err != nil {
		t.Fatalf("%s: %v", components, err)
	}
	return s
}

// failer is what testing and properties have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func tryCompile(t failer, version, components string) (*schema.Schema, *source.Problems) {
	t.Helper()
	text := fmt.Appendf(nil, `{"openapi": %q, "info": {"title": "t", "version": "1"}, "paths": {}, "components": {"schemas": %s}}`, version, components)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("%s: %v", components, err)
	}
	ps := &source.Problems{}
	root := source.Parse("openapi.json", text, source.DefaultLimits, ps)
	ref := &openapi3.SchemaRef{Ref: "#/components/schemas/S", Value: doc.Components.Schemas["S"].Value}
	return schema.NewSet(doc, root).Compile(ref, root, ps), ps
}

var noNode source.Node

// check gives the violations, one a line.
func check(t testing.TB, s *schema.Schema, text string, dir schema.Direction) string {
	t.Helper()
	violations, err := s.Check([]byte(text), dir)
	if err != nil {
		return "syntax: " + err.Error()
	}
	out := ""
	for i, v := range violations {
		if i > 0 {
			out += "\n"
		}
		out += v.Pointer + ": " + v.Detail
	}
	return out
}
