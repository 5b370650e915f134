package schema_test

import (
	"testing"

	"github.com/headrace/headrace/specs/schema"
)

// keywordCase says what a schema accepts, and what it answers to the rest.
type keywordCase struct {
	schema string
	good   []string
	bad    map[string]string // text → violations
}

// inBoth holds for 3.0 and 3.1 alike.
var inBoth = []keywordCase{
	{`{}`, []string{`null`, `1`, `"x"`, `[]`, `{"a": [1, {"b": null}]}`}, nil},
	{`{"type": "string"}`, []string{`""`, `"a\u00e9"`}, map[string]string{
		`1`: ": expected a string, found a number", `null`: ": expected a string, found null", `{}`: ": expected a string, found an object",
	}},
	{`{"type": "integer"}`, []string{`1`, `-0`, `1.0`, `1e3`, `12e-1`[:2], `123456789012345678901234567890`, `1.50e1`}, map[string]string{
		`1.5`: ": expected an integer, found a number with a fraction", `1e-1`: ": expected an integer, found a number with a fraction", `"1"`: ": expected an integer, found a string",
	}},
	{`{"type": "number"}`, []string{`1`, `1.5`, `-1e400`}, map[string]string{`true`: ": expected a number, found a boolean"}},
	{`{"type": "boolean"}`, []string{`true`, `false`}, map[string]string{`0`: ": expected a boolean, found a number"}},
	{`{"type": "array", "items": {"type": "integer"}}`, []string{`[]`, `[1, 2]`}, map[string]string{
		`[1, "x", [], 2.5]`: "/1: expected an integer, found a string\n/2: expected an integer, found an array\n/3: expected an integer, found a number with a fraction",
		`{}`:                ": expected an array, found an object",
	}},
	{`{"minimum": 1, "maximum": 10}`, []string{`1`, `10`, `"x"`, `5.5`, `10.000`, `1e0`}, map[string]string{
		`0.9999999999999999999999`: ": expected at least 1", `11`: ": expected at most 10", `-5`: ": expected at least 1", `1e30`: ": expected at most 10",
	}},
	{`{"maximum": 9007199254740993}`, []string{`9007199254740993`}, map[string]string{`9007199254740994`: ": expected at most 9007199254740993"}},
	{`{"maximum": 12345678901234567890123, "minimum": -0.00000000000000000000001}`, []string{`12345678901234567890123`, `-0.00000000000000000000001`, `1.2345678901234567890123e22`}, map[string]string{
		`12345678901234567890124`: ": expected at most 12345678901234567890123", `-0.000000000000000000000011`: ": expected at least -0.00000000000000000000001",
	}},
	{`{"multipleOf": 0.01}`, []string{`19.99`, `0`, `4.35`, `1e2`, `0.07`, `1e300`, `123456789012345678901234567890.12`}, map[string]string{
		`19.999`: ": expected a multiple of 0.01", `1e-3`: ": expected a multiple of 0.01", `123456789012345678901234567890.123`: ": expected a multiple of 0.01",
	}},
	{`{"multipleOf": 7}`, []string{`49`, `-14`, `7e20`, `14.0`, `70000000000000000000000000000`}, map[string]string{
		`50`: ": expected a multiple of 7", `10e20`: ": expected a multiple of 7", `70000000000000000000000000001`: ": expected a multiple of 7", `0.7`: ": expected a multiple of 7",
	}},
	{`{"minLength": 2, "maxLength": 3}`, []string{`"ab"`, `"äöü"`, `"\u00e4\ud83d\ude00"`, `12345`}, map[string]string{
		`"a"`: ": expected 2 to 3 characters, found 1", `"abcd"`: ": expected 2 to 3 characters, found 4", `"\ud83d\ude00"`: ": expected 2 to 3 characters, found 1",
	}},
	{`{"minLength": 1}`, []string{`"a"`}, map[string]string{`""`: ": expected at least 1 character, found 0"}},
	{`{"minLength": 3, "maxLength": 3}`, []string{`"EUR"`}, map[string]string{`"EURO"`: ": expected exactly 3 characters, found 4"}},
	{`{"maxLength": 1}`, nil, map[string]string{`"ab"`: ": expected at most 1 character, found 2"}},
	{`{"pattern": "^[A-Z]{3}$"}`, []string{`"EUR"`, `"\u0045UR"`, `1`}, map[string]string{
		`"EURO"`: `: expected a string that matches the pattern "^[A-Z]{3}$"`, `"EUR\n"`: `: expected a string that matches the pattern "^[A-Z]{3}$"`,
	}},
	{`{"pattern": "(?=.*[0-9])(?=.*[a-z]).{4}"}`, []string{`"a1xx"`}, map[string]string{`"axxx"`: `: expected a string that matches the pattern "(?=.*[0-9])(?=.*[a-z]).{4}"`}},
	{`{"enum": ["a", "b\"", 1, null, [1, {"x": 2}], 0.50, true]}`,
		[]string{`"a"`, `"\u0061"`, `"b\""`, `1.0`, `10e-1`, `null`, `[1.0, {"x": 2}]`, `0.5`, `true`},
		map[string]string{`"c"`: `: expected one of "a", "b\"", 1, null, [1,{"x":2}], 0.50, true`, `false`: `: expected one of "a", "b\"", 1, null, [1,{"x":2}], 0.50, true`, `[1, {"x": 3}]`: `: expected one of "a", "b\"", 1, null, [1,{"x":2}], 0.50, true`}},
	{`{"enum": ["USD"]}`, []string{`"USD"`}, map[string]string{`"usd"`: `: expected "USD"`}},
	{`{"required": ["a", "b/c"], "properties": {"a": {"type": "string"}, "n": {"type": "object", "properties": {"~x": {"type": "integer"}}}}}`,
		[]string{`{"a": "x", "b/c": 1}`, `[]`, `{"\u0061": "x", "b\/c": null, "other": {}}`},
		map[string]string{
			`{}`:                               `: the required property "a" is missing` + "\n" + `: the required property "b/c" is missing`,
			`{"a": 1, "b/c": 1}`:               "/a: expected a string, found a number",
			`{"\u0061": 1, "b/c": 1}`:          "/a: expected a string, found a number",
			`{"a":"","b/c":0,"n":{"~x":true}}`: "/n/~0x: expected an integer, found a boolean",
		}},
	{`{"properties": {"a": {}, "b": {}}, "additionalProperties": false}`, []string{`{"a": 1}`, `{}`}, map[string]string{
		`{"a": 1, "x/y": 2, "z": 3}`: "/x~1y: there is no such property; expected one of \"a\", \"b\"\n/z: there is no such property; expected one of \"a\", \"b\"",
	}},
	{`{"additionalProperties": false}`, []string{`{}`}, map[string]string{`{"a": 1}`: "/a: no property is accepted here"}},
	{`{"properties": {"a": {}}, "additionalProperties": {"type": "integer"}}`, []string{`{"a": "x", "b": 1}`}, map[string]string{`{"b": "x"}`: "/b: expected an integer, found a string"}},
	{`{"minProperties": 1, "maxProperties": 2}`, []string{`{"a": 1}`, `{"a": 1, "b": 2}`}, map[string]string{`{}`: ": expected 1 to 2 properties, found 0", `{"a":1,"b":1,"c":1}`: ": expected 1 to 2 properties, found 3"}},
	{`{"minItems": 2}`, []string{`[1, 2]`}, map[string]string{`[1]`: ": expected at least 2 items, found 1"}},
	{`{"maxItems": 1}`, []string{`[]`, `[[1, 2]]`}, map[string]string{`[1, 2]`: ": expected at most 1 item, found 2"}},
	{`{"uniqueItems": true}`, []string{`[]`, `[1, "1", true, null, [1], {"a": 1}]`, `[{"a":1,"b":2}, {"a":2,"b":1}]`, `[[1,2],[2,1]]`}, map[string]string{
		`[1, 2, 1.0]`:                      "/2: repeats an earlier item; the items must differ",
		`[{"a":1,"b":[]}, {"b":[],"a":1}]`: "/1: repeats an earlier item; the items must differ",
		`["\u0061", "b", "a"]`:             "/2: repeats an earlier item; the items must differ",
		`[100, 1e2]`:                       "/1: repeats an earlier item; the items must differ",
	}},
	{`{"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "string"}}}]}`, []string{`{"a": ""}`}, map[string]string{`{}`: `: the required property "a" is missing`, `{"a": 1}`: "/a: expected a string, found a number"}},
	{`{"anyOf": [{"type": "string"}, {"type": "integer"}]}`, []string{`"a"`, `1`}, map[string]string{`true`: ": expected a string or an integer, found a boolean"}},
	{`{"anyOf": [{"title": "Card", "type": "object", "required": ["number", "cvc"]}, {"title": "Bank", "type": "object", "required": ["iban"], "properties": {"iban": {"maxLength": 2}}}]}`,
		[]string{`{"iban": "x"}`, `{"number": 1, "cvc": 1}`},
		map[string]string{
			`{"iban": "xxx"}`: ": matches none of 2 alternatives; the nearest is Bank\n/iban: expected at most 2 characters, found 3",
			`{"number": 1}`:   ": matches none of 2 alternatives; the nearest is Card\n: the required property \"cvc\" is missing",
		}},
	{`{"oneOf": [{"title": "Small", "maximum": 10}, {"minimum": 5}]}`, []string{`1`, `11`}, map[string]string{`7`: ": matches more than one alternative (Small and number 2); exactly one must match"}},
	{`{"not": {"type": "string", "title": "text"}}`, []string{`1`}, map[string]string{`"x"`: ": expected a value that does not match what the schema excludes (text)"}},
	{`{"format": "unheard-of"}`, []string{`"x"`}, nil},
	{`{"type": "string", "nullable": true, "enum": ["a"]}`, []string{`null`, `"a"`}, map[string]string{`1`: ": expected a string or null, found a number"}},
}

var in30 = []keywordCase{
	{`{"minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": true}`, []string{`1.5`}, map[string]string{`1`: ": expected more than 1", `2.0`: ": expected less than 2"}},
	{`{"nullable": true, "allOf": [{"$ref": "#/components/schemas/Other"}]}`, []string{`null`, `"x"`}, map[string]string{`1`: ": expected a string, found a number"}},
}

var in31 = []keywordCase{
	{`{"type": ["string", "null"]}`, []string{`null`, `"x"`}, map[string]string{`1`: ": expected a string or null, found a number"}},
	{`{"type": ["integer", "number", "array"]}`, []string{`1.5`, `[]`}, map[string]string{`""`: ": expected a number or an array, found a string"}},
	{`{"exclusiveMinimum": 1, "exclusiveMaximum": 2, "minimum": 0, "maximum": 2}`, []string{`1.5`}, map[string]string{`1`: ": expected more than 1", `2.0`: ": expected less than 2"}},
	{`{"const": {"a": [1, null]}}`, []string{`{"a": [1.0, null]}`}, map[string]string{`{"a": [1]}`: `: expected {"a":[1,null]}`}},
	{`{"const": null}`, []string{`null`}, map[string]string{`0`: ": expected null"}},
	{`{"const": "a", "enum": ["a", "b"]}`, []string{`"a"`}, map[string]string{`"b"`: `: expected "a"`}},
	{`{"patternProperties": {"^x-": {"type": "integer"}, "y$": {"minimum": 5}}, "properties": {"x-s": {"maximum": 9}}, "additionalProperties": false}`,
		[]string{`{"x-a": 1, "x-y": 5, "x-s": 9}`},
		map[string]string{`{"x-a": "s"}`: "/x-a: expected an integer, found a string", `{"x-y": 4}`: "/x-y: expected at least 5", `{"x-s": 10}`: "/x-s: expected at most 9", `{"q": 1}`: `/q: there is no such property; expected "x-s"`}},
	{`{"propertyNames": {"maxLength": 2}}`, []string{`{"ab": 1}`}, map[string]string{`{"abc": 1}`: "/abc: the name of the property is wrong: expected at most 2 characters, found 3"}},
	{`{"dependentRequired": {"card": ["billing", "name"]}}`, []string{`{}`, `{"card": 1, "billing": 2, "name": 3}`}, map[string]string{`{"card": 1, "name": 1}`: `: the property "billing" is missing; it is required together with "card"`}},
	{`{"dependentSchemas": {"a": {"required": ["b"]}}}`, []string{`{"b": 1}`, `{"a": 1, "b": 1}`}, map[string]string{`{"a": 1}`: `: the required property "b" is missing`}},
	{`{"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "boolean"}}`, []string{`["a", 1, true]`, `["a"]`, `[]`}, map[string]string{`[1, 1, 1]`: "/0: expected a string, found a number\n/2: expected a boolean, found a number"}},
	{`{"prefixItems": [true], "items": false}`, []string{`[1]`}, map[string]string{`[1, 2]`: "/1: expected at most 1 item"}},
	{`{"contains": {"type": "integer"}}`, []string{`["a", 1]`}, map[string]string{`["a"]`: ": expected at least 1 item of the kind that the array must contain, found 0"}},
	{`{"contains": {"title": "Header", "type": "integer"}, "minContains": 2, "maxContains": 3}`, []string{`[1, 2]`}, map[string]string{`[1]`: ": expected 2 to 3 items of the kind that the array must contain (Header), found 1", `[1,1,1,1]`: ": expected 2 to 3 items of the kind that the array must contain (Header), found 4"}},
	{`{"contains": {"type": "integer"}, "minContains": 0}`, []string{`[]`, `["a"]`}, nil},
	{`{"if": {"properties": {"country": {"const": "US"}}, "required": ["country"]}, "then": {"required": ["state"]}, "else": {"required": ["region"]}}`,
		[]string{`{"country": "US", "state": 1}`, `{"country": "DE", "region": 1}`},
		map[string]string{`{"country": "US"}`: `: the required property "state" is missing`, `{}`: `: the required property "region" is missing`}},
	{`{"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": false}`, []string{`{"a": 1, "b": 1}`}, map[string]string{`{"a": 1, "c": 1}`: "/c: there is no such property"}},
	{`{"anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 1}}, "required": ["b"]}], "unevaluatedProperties": false}`,
		[]string{`{"a": 1}`, `{"b": 1}`, `{"a": 1, "b": 1}`}, map[string]string{`{"a": 1, "b": 2}`: "/b: there is no such property"}},
	{`{"if": {"properties": {"a": {}}, "required": ["a"]}, "then": {"properties": {"b": {}}}, "unevaluatedProperties": {"type": "integer"}}`,
		[]string{`{"a": "x", "b": "x"}`, `{"c": 1}`}, map[string]string{`{"b": "x"}`: "/b: expected an integer, found a string"}},
	{`{"$ref": "#/components/schemas/Base", "unevaluatedProperties": false}`, []string{`{"base": 1}`}, map[string]string{`{"base": 1, "x": 1}`: "/x: there is no such property"}},
	{`{"prefixItems": [true], "contains": {"type": "string"}, "unevaluatedItems": false}`, []string{`[1]`[:0] + `[1, "a"]`}, map[string]string{`[1, "a", 2]`: "/2: no further item is accepted"}},
	{`{"allOf": [{"prefixItems": [true]}], "unevaluatedItems": {"type": "integer"}}`, []string{`["x", 1]`}, map[string]string{`["x", "y"]`: "/1: expected an integer, found a string"}},
	{`{"$ref": "#/components/schemas/Other", "minLength": 2}`, []string{`"ab"`}, map[string]string{`"a"`: ": expected at least 2 characters, found 1", `1`: ": expected a string, found a number"}},
	{`{"properties": {"a": false, "b": true}}`, []string{`{"b": 1}`}, map[string]string{`{"a": 1}`: "/a: no value is accepted here"}},
	{`{"contentEncoding": "base64", "contentMediaType": "application/json", "contentSchema": {"type": "object"}}`, []string{`"!"`}, nil},
	{`{"$defs": {"x": {"type": "integer"}}, "properties": {"a": {"$ref": "#/components/schemas/S/$defs/x"}}}`, []string{`{"a": 1}`}, map[string]string{`{"a": "x"}`: "/a: expected an integer, found a string"}},
}

func TestKeywords(t *testing.T) {
	for version, cases := range map[string][][]keywordCase{"3.0.3": {inBoth, in30}, "3.1.0": {inBoth, in31}} {
		for _, list := range cases {
			for _, c := range list {
				s := compile(t, version, `{"S": `+c.schema+`, "Other": {"type": "string"}, "Base": {"type": "object", "properties": {"base": {}}}}`)
				for _, text := range c.good {
					if got := check(t, s, text, schema.Neither); got != "" {
						t.Errorf("%s: %s accepts %s, but got\n%s", version, c.schema, text, got)
					}
				}
				for text, want := range c.bad {
					if got := check(t, s, text, schema.Neither); got != want {
						t.Errorf("%s: %s on %s\n got %s\nwant %s", version, c.schema, text, got, want)
					}
				}
			}
		}
	}
}
