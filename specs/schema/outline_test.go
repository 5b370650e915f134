package schema_test

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/schema"
)

func TestOutline(t *testing.T) {
	for _, c := range []struct {
		text             string
		types            string
		plain            bool
		declares         string // properties of a, b, c that are declared
		refuses          string
		required, strict string
	}{
		{`{"type": "object", "required": ["a", "z"], "properties": {"a": {"type": "string", "readOnly": true}, "b": {}}}`, "an object", true, "ab", "", "z", "a z"},
		{`{"type": "object", "properties": {"a": {}}, "additionalProperties": false}`, "an object", true, "a", "bc", "", ""},
		{`{"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}}`, "an object", true, "abc", "", "", ""},
		{`{"type": "object", "patternProperties": {"^b": {}}, "properties": {"a": {}}, "additionalProperties": false}`, "an object", true, "abc", "", "", ""},
		{`{"allOf": [{"type": "object", "required": ["a"], "properties": {"a": {}}}, {"properties": {"b": {}}, "required": ["b"]}]}`, "an object", true, "ab", "", "a b", "a b"},
		{`{"oneOf": [{"type": "string"}, {"type": "integer"}]}`, "a string or an integer", false, "abc", "", "", ""},
		{`{"if": {"type": "string"}, "then": {"minLength": 1}}`, "", false, "abc", "", "", ""},
		{`{"type": ["string", "null"]}`, "a string or null", true, "abc", "", "", ""},
	} {
		s := compile(t, "3.1.0", `{"S": `+c.text+`}`)
		if c.types != "" && s.Types() != c.types {
			t.Errorf("%s: %s", c.text, s.Types())
		}
		if s.Plain() != c.plain {
			t.Errorf("%s is plain: %v", c.text, s.Plain())
		}
		declares, refuses := "", ""
		for _, name := range []string{"a", "b", "c"} {
			if s.Declares(name) {
				declares += name
			}
			if s.Refuses(name) {
				refuses += name
			}
		}
		if declares != c.declares || refuses != c.refuses {
			t.Errorf("%s declares %s and refuses %s", c.text, declares, refuses)
		}
		if got := strings.Join(s.Required(schema.Request), " "); got != c.required {
			t.Errorf("%s requires %s in a request", c.text, got)
		}
		if got := strings.Join(s.Required(schema.Response), " "); got != c.strict {
			t.Errorf("%s requires %s in an answer", c.text, got)
		}
	}
}

func TestMeets(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"type": "string"}`, `{"type": "string", "minLength": 3}`, true},
		{`{"type": "string"}`, `{"type": "integer"}`, false},
		{`{"type": "number"}`, `{"type": "integer"}`, true},
		{`{"type": "integer"}`, `{"type": "number"}`, true},
		{`{}`, `{"type": "boolean"}`, true},
		{`{"type": ["string", "null"]}`, `{"type": ["integer", "null"]}`, false},
		{`{"type": "null"}`, `{"type": ["integer", "null"]}`, true},
		{`{"enum": ["a", 1]}`, `{"type": "integer"}`, true},
		{`{"enum": ["a"]}`, `{"type": "integer"}`, false},
		{`{"anyOf": [{"type": "array"}, {"type": "object"}]}`, `{"type": "object"}`, true},
	} {
		a, b := compile(t, "3.1.0", `{"S": `+c.a+`}`), compile(t, "3.1.0", `{"S": `+c.b+`}`)
		if a.Meets(b) != c.want || b.Meets(a) != c.want {
			t.Errorf("%s meets %s: %v %v", c.a, c.b, a.Meets(b), b.Meets(a))
		}
	}
}
