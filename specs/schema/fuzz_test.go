package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// FuzzSchema compiles any schema and checks any text: it must neither panic nor run on.
func FuzzSchema(f *testing.F) {
	for _, c := range inBoth {
		for _, text := range c.good {
			f.Add(c.schema, text)
		}
	}
	for _, c := range in31 {
		for text := range c.bad {
			f.Add(c.schema, text)
		}
	}
	f.Add(orderSchemas, order)
	f.Add(`{"anyOf": [{"$ref": "#/components/schemas/S"}, {"items": {"$ref": "#/components/schemas/S"}}]}`, `[[[]]]`)
	f.Add(`{"$dynamicAnchor": "n", "$id": "x:y", "items": {"$dynamicRef": "#n"}}`, `[[[]]]`)
	f.Fuzz(func(t *testing.T, written, text string) {
		if !json.Valid([]byte(written)) {
			return
		}
		version := "3.1.0"
		if strings.Contains(written, "$ref") {
			// The library that reads documents runs out of stack on siblings of
			// references that lead in a circle; in 3.0 it ignores siblings.
			version = "3.0.3"
		}
		doc := []byte(`{"openapi": "` + version + `", "info": {"title": "t", "version": "1"}, "paths": {}, "components": {"schemas": {"S": ` + written + `}}}`)
		loaded, err := load(doc)
		if err != nil || loaded.Components == nil || loaded.Components.Schemas["S"] == nil {
			return
		}
		var ps source.Problems
		root := source.Parse("openapi.json", doc, source.DefaultLimits, &ps)
		s := schema.NewSet(loaded, root).Compile(loaded.Components.Schemas["S"], root.At("components", "schemas", "S"), &ps)
		for _, dir := range []schema.Direction{schema.Neither, schema.Request, schema.Response} {
			violations, _ := s.Check([]byte(text), dir)
			if len(violations) > schema.MaxViolations {
				t.Errorf("%d violations", len(violations))
			}
		}
	})
}

// load keeps panics of the library that reads documents out of the way.
func load(doc []byte) (loaded *openapi3.T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return openapi3.NewLoader().LoadFromData(doc)
}

// FuzzScan compares what is taken for JSON with what encoding/json takes for it.
func FuzzScan(f *testing.F) {
	for _, text := range []string{`{"a":[1,-2.5e+3,"\u00e9\n",true,false,null]}`, `[`, `{"a"`, `"\ud83d\ude00"`, "\"\xff\"", `01`, "[1,]", `{"a":1,"a":2}`} {
		f.Add([]byte(text))
	}
	s := schema.NewSet(nil, source.Node{}).Any()
	f.Fuzz(func(t *testing.T, text []byte) {
		violations, syntax := s.Check(text, schema.Neither)
		valid := json.Valid(text) && utf8.Valid(text)
		switch {
		case syntax == nil && !valid:
			t.Fatalf("%q is not JSON", text)
		case syntax != nil && valid && !strings.Contains(syntax.Detail, "surrogate") && !strings.Contains(syntax.Detail, "deeper"):
			t.Fatalf("%q is JSON, but: %v", text, syntax)
		case syntax == nil && (len(violations) > 0) != repeats(text):
			t.Fatalf("%q: violations %v", text, violations)
		}
	})
}

// repeats tells whether an object of a JSON text has the same key twice.
func repeats(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var open []map[string]bool // nil for arrays
	key := []bool{}
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		top := len(open) - 1
		switch delim, _ := token.(json.Delim); {
		case delim == '}' || delim == ']':
			open, key = open[:top], key[:top]
			continue
		case top >= 0 && open[top] != nil && key[top]:
			if open[top][token.(string)] {
				return true
			}
			open[top][token.(string)] = true
			key[top] = false
			continue
		case delim == '{':
			open, key = append(open, map[string]bool{}), append(key, true)
		case delim == '[':
			open, key = append(open, nil), append(key, false)
		}
		if top >= 0 {
			key[top] = open[top] != nil
		}
	}
}
