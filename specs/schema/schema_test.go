package schema_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/headrace/headrace/specs/schema"
)

func TestDirection(t *testing.T) {
	const person = `"S": {"type": "object", "required": ["id", "name", "password"], "properties": {
		"id": {"type": "string", "readOnly": true}, "name": {"type": "string"}, "password": {"type": "string", "writeOnly": true}}, "additionalProperties": false}`
	const inherited = `"S": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"required": ["id", "name"]}]},
		"Base": {"type": "object", "properties": {"id": {"$ref": "#/components/schemas/ID"}, "name": {}}},
		"ID": {"type": "string", "readOnly": true}`
	for _, c := range []struct {
		components, text string
		dir              schema.Direction
		want             string
	}{
		{person, `{"name": "x", "password": "y"}`, schema.Request, ""},
		{person, `{"id": "1", "name": "x"}`, schema.Response, ""},
		{person, `{"id": "1", "name": "x", "password": "y"}`, schema.Neither, ""},
		{person, `{"id": "1", "name": "x", "password": "y"}`, schema.Request, "/id: the property is read-only: leave it out of the request"},
		{person, `{"id": "1", "name": "x", "password": "y"}`, schema.Response, "/password: the property is write-only: it must not be in a response"},
		{person, `{"name": "x"}`, schema.Request, `: the required property "password" is missing`},
		{person, `{"name": "x"}`, schema.Response, `: the required property "id" is missing`},
		{person, `{"name": "x", "password": "y", "q": 1}`, schema.Request, `/q: there is no such property; expected one of "name", "password"`},
		{inherited, `{"name": "x"}`, schema.Request, ""},
		{inherited, `{"name": "x"}`, schema.Response, `: the required property "id" is missing`},
	} {
		for _, version := range []string{"3.0.3", "3.1.0"} {
			if got := check(t, compile(t, version, "{"+c.components+"}"), c.text, c.dir); got != c.want {
				t.Errorf("%s %d\n got %s\nwant %s", c.text, c.dir, got, c.want)
			}
		}
	}
}

func TestDiscriminator(t *testing.T) {
	const pets = `"Cat": {"type": "object", "properties": {"kind": {"type": "string"}, "lives": {"type": "integer"}}, "required": ["lives"]},
		"Dog": {"type": "object", "properties": {"kind": {"type": "string"}, "bark": {"type": "string"}}}`
	const alternatives = `[{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}]`
	for _, c := range []struct{ schema, text, want string }{
		{`{"oneOf": ` + alternatives + `, "discriminator": {"propertyName": "kind"}}`, `{"kind": "Cat", "lives": 9}`, ""},
		{`{"oneOf": ` + alternatives + `, "discriminator": {"propertyName": "kind"}}`, `{"kind": "\u0043at"}`, `: the required property "lives" is missing`},
		{`{"oneOf": ` + alternatives + `, "discriminator": {"propertyName": "kind"}}`, `{"kind": "cow"}`, `/kind: expected one of "Cat", "Dog"`},
		{`{"oneOf": ` + alternatives + `, "discriminator": {"propertyName": "kind"}}`, `{"kind": 1}`, `/kind: expected one of "Cat", "Dog"`},
		{`{"oneOf": ` + alternatives + `, "discriminator": {"propertyName": "kind"}}`, `{}`, `: the property "kind", which tells the kind of the object, is missing; expected one of "Cat", "Dog"`},
		{`{"oneOf": ` + alternatives + `, "discriminator": {"propertyName": "kind"}}`, `[]`, `: expected an object, found an array`},
		{`{"anyOf": ` + alternatives + `, "discriminator": {"propertyName": "kind", "mapping": {"c": "#/components/schemas/Cat", "d": "Dog"}}}`, `{"kind": "d", "bark": 1}`, "/bark: expected a string, found a number"},
		{`{"anyOf": ` + alternatives + `, "discriminator": {"propertyName": "kind", "mapping": {"c": "#/components/schemas/Cat"}}}`, `{"kind": "Cat"}`, `/kind: expected one of "Dog", "c"`},
		{`{"anyOf": ` + alternatives + `, "discriminator": {"propertyName": "kind", "mapping": {"c": "#/components/schemas/Cat"}}}`, `{"kind": "Dog"}`, ""},
	} {
		if got := check(t, compile(t, "3.0.3", `{"S": `+c.schema+`, `+pets+`}`), c.text, schema.Request); got != c.want {
			t.Errorf("%s on %s\n got %s\nwant %s", c.schema, c.text, got, c.want)
		}
	}
}

func TestCycles(t *testing.T) {
	for _, version := range []string{"3.0.3", "3.1.0"} {
		s := compile(t, version, `{"S": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"},
			"children": {"type": "array", "items": {"$ref": "#/components/schemas/S"}}, "parent": {"$ref": "#/components/schemas/S", "description": "the one above"}}}}`)
		if got := check(t, s, `{"name": "a", "children": [{"name": "b", "parent": {"name": "c"}}]}`, schema.Request); got != "" {
			t.Error(got)
		}
		got := check(t, s, `{"name": "a", "children": [{"name": "b", "parent": {"name": 1, "children": [{}]}}]}`, schema.Request)
		if want := "/children/0/parent/children/0: the required property \"name\" is missing\n/children/0/parent/name: expected a string, found a number"; sortLines(got) != want {
			t.Errorf("%s", got)
		}
	}
}

func sortLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		for j := i; j > 0 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return strings.Join(lines, "\n")
}

func TestDynamicRef(t *testing.T) {
	// Without $id the document is one resource: the reference is an ordinary one.
	s := compile(t, "3.1.0", `{"S": {"$dynamicAnchor": "node", "type": "object", "properties": {"next": {"$dynamicRef": "#node"}, "plain": {"$dynamicRef": "#other"}}, "additionalProperties": false},
		"Other": {"$anchor": "other", "type": "integer"}}`)
	if got := check(t, s, `{"next": {"next": {"x": 1, "plain": "s"}}}`, schema.Request); got != "/next/next/x: there is no such property; expected one of \"next\", \"plain\"\n/next/next/plain: expected an integer, found a string" {
		t.Error(got)
	}
	// A resource further out replaces the anchor of a resource that it uses.
	const tree = `"Tree": {"$id": "https://example.com/tree", "$dynamicAnchor": "node", "type": "object", "properties": {"data": {}, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}}},
		"Strict": {"$id": "https://example.com/strict", "$dynamicAnchor": "node", "allOf": [{"$ref": "#/components/schemas/Tree"}], "unevaluatedProperties": false}`
	for start, want := range map[string]string{"Tree": "", "Strict": "/children/0/daat: there is no such property"} {
		s := compile(t, "3.1.0", `{"S": {"$ref": "#/components/schemas/`+start+`"}, `+tree+`}`)
		if got := check(t, s, `{"children": [{"daat": 1}]}`, schema.Request); got != want {
			t.Errorf("%s: got %s, want %s", start, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ version, schema, want string }{
		{"3.0.3", `{"type": "object", "properties": {"a": {"type": "string", "pattern": "a("}}}`,
			`components.schemas.S.properties.a.pattern: "a(" is not a regular expression: error parsing regexp: missing closing ) in ` + "`a(`; write one of ECMA-262"},
		{"3.1.0", `{"patternProperties": {"[": {}}}`,
			`components.schemas.S.patternProperties["["]: "[" is not a regular expression: error parsing regexp: unterminated [] set in ` + "`[`; write one of ECMA-262"},
		{"3.0.3", `{"type": "text"}`, `components.schemas.S.type: "text" is no type; write string, number, integer, boolean, array, object or null`},
		{"3.0.3", `{"multipleOf": -1}`, `components.schemas.S.multipleOf: is not a divisor; write a number above 0 of at most 19 digits`},
		{"3.0.3", `{"allOf": [{"anyOf": [{"$ref": "#/components/schemas/S"}]}]}`,
			`components.schemas.S: the schema refers to itself without end: no value could ever be checked; let the reference stand in a property or in items`},
		{"3.1.0", `{"$dynamicRef": "#nowhere"}`, `components.schemas.S.$dynamicRef: the anchor "#nowhere" does not exist; write # and a $dynamicAnchor or $anchor of a schema under components`},
		{"3.0.3", `{"oneOf": [{"$ref": "#/components/schemas/Other"}], "discriminator": {"propertyName": "k", "mapping": {"a": "Nobody"}}}`,
			`components.schemas.S.discriminator.mapping.a: the schema "Nobody" does not exist; name one of the alternatives`},
	} {
		s, ps := tryCompile(t, c.version, `{"S": `+c.schema+`, "Other": {}}`)
		var got []string
		for _, p := range ps.List() {
			got = append(got, p.Path+": "+p.Wrong+"; "+p.Right)
			if p.File != "openapi.json" || p.Line != 1 || p.Column == 0 {
				t.Errorf("%s: position %v", c.schema, p.Position)
			}
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.schema, strings.Join(got, "\n"), c.want)
		}
		check(t, s, `{"a": "b"}`, schema.Request) // what is left must not loop or panic
	}
}

const tooMuchWork = ": too much work: alternatives or patterns of the schema would have to be tried too often on this text"

// Alternatives that nest in each other cost a step for every way through them.
func TestWorkIsBounded(t *testing.T) {
	s := compile(t, "3.0.3", `{"S": {"anyOf": [
		{"type": "object", "properties": {"a": {"$ref": "#/components/schemas/S"}}, "required": ["x"]},
		{"type": "object", "properties": {"a": {"$ref": "#/components/schemas/S"}}, "required": ["y"]},
		{"type": "object", "properties": {"a": {"$ref": "#/components/schemas/S"}}, "required": ["z"]}]}}`)
	text := strings.Repeat(`{"a":`, 90) + "1" + strings.Repeat("}", 90)
	start := time.Now()
	got := check(t, s, text, schema.Request)
	if want := tooMuchWork; got != want {
		t.Errorf("got %s", got)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

// Patterns that only backtracking can decide share one bound of time.
func TestBacktrackingIsBounded(t *testing.T) {
	defer regexp2.StopTimeoutClock()
	s := compile(t, "3.0.3", `{"S": {"type": "array", "items": {"pattern": "^(?=x)(x+x+)+y$"}}}`)
	slow := `"` + strings.Repeat("x", 40) + `"`
	got := check(t, s, `["xxy", `+slow+`]`, schema.Request)
	if got != `/1: could not be compared with the pattern "^(?=x)(x+x+)+y$" in time` && got != tooMuchWork { // the latter on a busy machine
		t.Errorf("got %s", got)
	}
	start := time.Now()
	if got := check(t, s, `[`+strings.Repeat(slow+",", 1000)+slow+`]`, schema.Request); got != tooMuchWork {
		t.Errorf("got %s", got)
	}
	if d := time.Since(start); d > 4*time.Second { // a thousand timeouts would take longer
		t.Errorf("took %v", d)
	}
}

func TestViolationsAreBounded(t *testing.T) {
	s := compile(t, "3.0.3", `{"S": {"type": "array", "items": {"type": "string"}}}`)
	violations, _ := s.Check([]byte("["+strings.Repeat("1,", 1000)+"1]"), schema.Request)
	if len(violations) != schema.MaxViolations {
		t.Errorf("%d violations", len(violations))
	}
}

func TestConcurrentUse(t *testing.T) {
	s := compile(t, "3.0.3", orderSchemas)
	done := make(chan string)
	for range 4 {
		go func() {
			for range 50 {
				if v, err := s.Check([]byte(order), schema.Request); v != nil || err != nil {
					done <- "a good order was refused"
					return
				}
				if v, _ := s.Check([]byte(`{"lines": [{}]}`), schema.Request); len(v) != 8 {
					done <- "violations differ"
					return
				}
			}
			done <- ""
		}()
	}
	for range 4 {
		if fault := <-done; fault != "" {
			t.Error(fault)
		}
	}
}
