package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/headrace/headrace/specs/schema"
)

// The verdicts must be those of an independent implementation of JSON Schema
// 2020-12, over schemas and instances that are drawn from small sets so that
// they meet.
func TestVerdictsAgree(t *testing.T) {
	for range 4 { // each a hundred schemas, unless -rapid.checks says otherwise
		rapid.Check(t, verdictsAgree)
	}
}

func verdictsAgree(t *rapid.T) {
	components := map[string]any{
		"S":    drawSchema(3).Draw(t, "schema"),
		"Node": drawSchema(2).Draw(t, "node"),
		"Leaf": drawSchema(1).Draw(t, "leaf"),
	}
	written, err := json.Marshal(components)
	if err != nil {
		t.Fatal(err)
	}
	other, ok := compileOther(t, written)
	if !ok {
		t.Skip("the other implementation refuses the schema")
	}
	s, ps := tryCompile(t, "3.1.0", string(written))
	if ps.Len() > 0 {
		t.Skip("endless references")
	}
	for range 8 {
		text, err := json.Marshal(drawValue(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		want := other.Validate(value)
		violations, syntax := s.Check(text, schema.Neither)
		if syntax != nil {
			t.Fatal(syntax)
		}
		if (want == nil) != (violations == nil) {
			t.Fatalf("%s\non %s\nother: %v\nours: %v", written, text, want, violations)
		}
	}
}

func compileOther(t *rapid.T, components []byte) (s *jsonschema.Schema, ok bool) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(fmt.Appendf(nil, `{"components": {"schemas": %s}}`, components)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("mem:///doc.json", doc); err != nil {
		return nil, false
	}
	s, err = c.Compile("mem:///doc.json#/components/schemas/S")
	return s, err == nil
}

var (
	names   = rapid.SampledFrom([]string{"a", "b", "c", "x-1", "é"})
	small   = rapid.IntRange(0, 3)
	numbers = rapid.SampledFrom([]any{0, 1, 2, 3, -1, json.Number("1.0"), json.Number("1.5"), json.Number("0.1"), json.Number("0.3"), json.Number("2e0"),
		json.Number("1e2"), json.Number("100"), json.Number("123456789012345678901"), json.Number("123456789012345678901.0"), json.Number("-0.0")})
	texts = rapid.SampledFrom([]string{"", "a", "ab", "abc", "é", "😀", "a\"b", "\\", "2026-01-31", "2026-02-30", "12:00:00Z", "2026-01-31T23:59:60Z",
		"P1D", "P1Y2D", "10.0.0.1", "10.0.0.01", "::1", "a@b.example", "x1y", "\n", "123e4567-e89b-12d3-a456-426614174000"})
	types    = rapid.SampledFrom([]string{"null", "boolean", "integer", "number", "string", "array", "object"})
	formats  = rapid.SampledFrom([]string{"date", "date-time", "time", "ipv4", "ipv6", "uuid", "email", "unknown"})
	patterns = rapid.SampledFrom([]string{"^a", "b$", "^[a-z]+$", "^.$", "^x-", "^[^a]*$", `^\w{1,2}$`, "^(a|é)b?$", "^a?b?$"})
)

func drawValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 6).Draw(t, "kind")
		if depth == 0 {
			kind %= 4
		}
		switch kind {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return numbers.Draw(t, "number")
		case 3:
			return texts.Draw(t, "string")
		case 4:
			return rapid.SliceOfN(drawValue(depth-1), 0, 4).Draw(t, "array")
		}
		return rapid.MapOfN(names, drawValue(depth-1), 0, 4).Draw(t, "object")
	})
}

func drawSchema(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 19).Draw(t, "sort") {
		case 0:
			return rapid.Bool().Draw(t, "always")
		case 1:
			return map[string]any{"$ref": "#/components/schemas/" + rapid.SampledFrom([]string{"Node", "Leaf"}).Draw(t, "ref")}
		}
		s := map[string]any{}
		for range rapid.IntRange(1, 4).Draw(t, "keywords") {
			keywords := plainKeywords
			if depth > 0 && rapid.Bool().Draw(t, "nested") {
				keywords = nestedKeywords
			}
			keyword := rapid.SampledFrom(keywords).Draw(t, "keyword")
			s[keyword] = drawKeyword(t, keyword, depth)
		}
		return s
	})
}

var (
	plainKeywords = []string{"type", "types", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "required", "minProperties", "maxProperties", "dependentRequired"}
	nestedKeywords = []string{"properties", "properties", "patternProperties", "additionalProperties", "propertyNames", "dependentSchemas", "items", "prefixItems",
		"contains", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "unevaluatedProperties", "unevaluatedItems", "minContains", "maxContains"}
)

func drawKeyword(t *rapid.T, keyword string, depth int) any {
	switch keyword {
	case "type":
		return types.Draw(t, keyword)
	case "types":
		return nil // an unknown keyword is an annotation
	case "enum":
		return rapid.SliceOfN(drawValue(2), 1, 4).Draw(t, keyword)
	case "const":
		return drawValue(2).Draw(t, keyword)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		return numbers.Draw(t, keyword)
	case "multipleOf":
		return rapid.SampledFrom([]any{1, 2, json.Number("0.1"), json.Number("1.5"), 100, json.Number("1e-3")}).Draw(t, keyword)
	case "pattern":
		return patterns.Draw(t, keyword)
	case "format":
		return formats.Draw(t, keyword)
	case "uniqueItems":
		return rapid.Bool().Draw(t, keyword)
	case "required":
		return rapid.SliceOfNDistinct(names, 0, 3, rapid.ID).Draw(t, keyword)
	case "dependentRequired":
		return rapid.MapOfN(names, rapid.SliceOfNDistinct(names, 0, 2, rapid.ID), 0, 2).Draw(t, keyword)
	case "properties", "dependentSchemas":
		return rapid.MapOfN(names, drawSchema(depth-1), 0, 3).Draw(t, keyword)
	case "patternProperties":
		return rapid.MapOfN(patterns, drawSchema(depth-1), 0, 2).Draw(t, keyword)
	case "prefixItems", "allOf", "anyOf", "oneOf":
		return rapid.SliceOfN(drawSchema(depth-1), 1, 3).Draw(t, keyword)
	}
	for _, k := range nestedKeywords {
		if k == keyword && keyword != "minContains" && keyword != "maxContains" {
			return drawSchema(depth-1).Draw(t, keyword)
		}
	}
	return small.Draw(t, keyword)
}
