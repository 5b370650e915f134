package specs

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// A rule that was renamed would be switched on again without a word.
func TestHarmlessRulesExist(t *testing.T) {
	for _, code := range harmless {
		if !slices.Contains(openapi3.ValidationErrorCodes(), code) {
			t.Errorf("kin-openapi has no rule %s", code)
		}
	}
}

// What the structure does not describe and kin-openapi cannot read is still
// refused, and what its rules find stands where it is.
func TestWhatOnlyKinFinds(t *testing.T) {
	for text, want := range map[string]string{
		"paths: {}\ncomponents: {schemas: {A: {xml: 5}}}":                                                                  "openapi.yaml:1:1: the document cannot be read: failed to unmarshal data",
		"paths: {/a: {get: {parameters: [{name: x, in: query}]}}}":                                                         `openapi.yaml:3:33: paths["/a"].get.parameters[0]: parameter must contain exactly one of content and schema`,
		"paths: {}\ncomponents: {responses: {R: {content: {a/b: {schema: {properties: {c: {type: [string, 'null']}}}}}}}}": `openapi.yaml:4:71: components.responses.R.content["a/b"].schema.properties.c: an array of types is for OpenAPI >=3.1`,
		"paths: {}\ncomponents: {parameters: {P: {name: x, in: header, schema: {}, content: {}}}}":                         `openapi.yaml:4:73: components.parameters.P.content: a parameter has either a schema or content; keep one of them`,
		"paths: {}\ncomponents: {headers: {H: {}}}":                                                                        `openapi.yaml:4:27: components.headers.H: header must contain exactly one of content and schema`,
	} {
		got := refused("openapi.yaml", head+text)
		if !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
