package specs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/specs/source"
)

// checkDoc loads a document whose paths and components are given as YAML in flow style.
func checkDoc(t testing.TB, version, paths, components string) *Document {
	t.Helper()
	d, ps := tryCheckDoc(version, paths, components)
	if err := ps.Err(); err != nil {
		t.Fatalf("%s\n%v", paths, err)
	}
	return d
}

func tryCheckDoc(version, paths, components string) (*Document, *source.Problems) {
	var ps source.Problems
	text := fmt.Sprintf("openapi: %s\ninfo: {title: T, version: 1.0.0}\npaths: %s\ncomponents: %s\n", version, paths, components)
	fsys := fstest.MapFS{"apis/t/1.0.0/openapi.yaml": {Data: []byte(text)}}
	return Load(fsys, "apis/t/1.0.0", &ps), &ps
}

// faultText gives status and violations, one a line.
func faultText(f *Fault) string {
	if f == nil {
		return ""
	}
	return fmt.Sprint(f.Status) + " " + violationsText(f.Violations)
}

func violationsText(list []Violation) string {
	var lines []string
	for _, v := range list {
		lines = append(lines, v.String())
	}
	return strings.Join(lines, "\n")
}

// paramCase is a parameter, and what comes of values for it. The value is a
// query string, a path value, a header or a Cookie header.
type paramCase struct {
	param string
	good  []string
	bad   map[string]string
}

var paramCases = map[string][]paramCase{
	"path": {
		{`{name: id, in: path, required: true, schema: {type: string}}`, []string{"a", "1", "é,"}, map[string]string{"\xff": "path id: the text is not valid UTF-8"}},
		{`{name: id, in: path, required: true, schema: {}}`, []string{"a"}, nil},
		{`{name: id, in: path, required: true, schema: {type: integer, minimum: 5}}`, []string{"5", "1e3", "7.0"}, map[string]string{
			"x": "path id: expected an integer", "4": "path id: expected at least 5", "007": "path id: expected an integer", "1.5": "path id: expected an integer, found a number with a fraction", "+7": "path id: expected an integer"}},
		{`{name: id, in: path, required: true, schema: {type: string, format: uuid}}`, []string{"123e4567-e89b-12d3-a456-426614174000"}, map[string]string{"7": "path id: expected a UUID such as 123e4567-e89b-12d3-a456-426614174000"}},
		{`{name: id, in: path, required: true, schema: {type: array, items: {type: integer}}}`, []string{"1", "1,2,3"}, map[string]string{"1,x": "path id/1: expected an integer, found a string"}},
		{`{name: id, in: path, required: true, schema: {type: object, properties: {a: {type: integer}, b: {type: string}}}}`, []string{"a,1,b,2"}, map[string]string{"a,x": "path id/a: expected an integer, found a string", "a": "path id: expected names and values in turn, with , between them"}},
		{`{name: id, in: path, required: true, explode: true, schema: {type: object, properties: {a: {type: integer}}}}`, []string{"a=1,b=2"}, map[string]string{"a=x": "path id/a: expected an integer, found a string", "a,1": "path id: expected members as name=value, with , between them"}},
		{`{name: id, in: path, required: true, style: label, schema: {type: integer}}`, []string{".5"}, map[string]string{"5": "path id: expected a value that begins with .", ".x": "path id: expected an integer"}},
		{`{name: id, in: path, required: true, style: label, schema: {type: array, items: {type: integer}}}`, []string{".1,2"}, map[string]string{".1,x": "path id/1: expected an integer, found a string"}},
		{`{name: id, in: path, required: true, style: label, explode: true, schema: {type: array, items: {type: integer}}}`, []string{".1.2"}, map[string]string{".1.x": "path id/1: expected an integer, found a string"}},
		{`{name: id, in: path, required: true, style: label, explode: true, schema: {type: object, required: [a], properties: {a: {type: integer}}}}`, []string{".a=1.b=2"}, map[string]string{".b=2": `path id: the required property "a" is missing`}},
		{`{name: id, in: path, required: true, style: matrix, schema: {type: integer}}`, []string{";id=5"}, map[string]string{"5": "path id: expected a value that begins with ;id="}},
		{`{name: id, in: path, required: true, style: matrix, schema: {type: array, items: {type: integer}}}`, []string{";id=1,2"}, map[string]string{";id=x": "path id/0: expected an integer, found a string"}},
		{`{name: id, in: path, required: true, style: matrix, explode: true, schema: {type: array, maxItems: 2, items: {type: integer}}}`, []string{";id=1;id=2"}, map[string]string{";id=1;id=2;id=3": "path id: expected at most 2 items, found 3"}},
		{`{name: id, in: path, required: true, style: matrix, explode: true, schema: {type: object, properties: {a: {type: integer}}}}`, []string{";a=1;b=2"}, map[string]string{";a=x": "path id/a: expected an integer, found a string"}},
		{`{name: id, in: path, required: true, style: matrix, schema: {type: object, properties: {a: {type: integer}}}}`, []string{";id=a,1"}, map[string]string{";id=a,x": "path id/a: expected an integer, found a string"}},
	},
	"query": {
		{`{name: q, in: query, schema: {type: string, maxLength: 3}}`, []string{"", "q=abc", "q=a%20b", "q=a+b", "q=%C3%A9%C3%A9%C3%A9", "other=1", "q=", "q", "&&q=a&"}, map[string]string{
			"q=abcd": "query q: expected at most 3 characters, found 4", "q=%zz": "query q: the percent-encoding is malformed", "%zz=1": "query: the percent-encoding is malformed",
			"q=a&q=b": "query q: expected a single value, found 2", "q=%FF": "query q: the text is not valid UTF-8"}},
		{`{name: q, in: query, required: true, schema: {type: boolean}}`, []string{"q=true", "q=false"}, map[string]string{"": "query q: the parameter is missing; it is required", "x=1": "query q: the parameter is missing; it is required", "q=1": "query q: expected a boolean", "q=": "query q: expected a boolean"}},
		{`{name: q, in: query, allowEmptyValue: true, schema: {type: integer}}`, []string{"q=", "q", "q=1"}, map[string]string{"q=x": "query q: expected an integer"}},
		{`{name: q, in: query, schema: {type: number, maximum: 1.5}}`, []string{"q=1.5"}, map[string]string{"q=1.51": "query q: expected at most 1.5"}},
		{`{name: q, in: query, schema: {type: string, enum: ["1", "2"]}}`, []string{"q=1"}, map[string]string{"q=3": `query q: expected one of "1", "2"`}},
		{`{name: q, in: query, schema: {anyOf: [{type: integer, maximum: 10}, {type: string, enum: [all, "99"]}]}}`, []string{"q=1", "q=all", "q=99"}, map[string]string{"q=11": "query q: expected at most 10"}},
		{`{name: ids, in: query, schema: {type: array, items: {type: integer}}}`, []string{"ids=1&ids=2", "ids=1"}, map[string]string{"ids=1,2": "query ids/0: expected an integer, found a string"}},
		{`{name: ids, in: query, explode: false, schema: {type: array, minItems: 2, items: {type: string}}}`, []string{"ids=1,2", "ids=a%2Cb,c"}, map[string]string{"ids=a%2Cb": "query ids: expected at least 2 items, found 1", "ids=a&ids=b": "query ids: expected a single value, found 2", "ids=a,%zz": "query ids: the percent-encoding is malformed"}},
		{`{name: ids, in: query, style: spaceDelimited, schema: {type: array, items: {type: integer}}}`, []string{"ids=1%202+3"}, map[string]string{"ids=1,2": "query ids/0: expected an integer, found a string"}},
		{`{name: ids, in: query, style: pipeDelimited, schema: {type: array, items: {type: integer}}}`, []string{"ids=1|2%7C3%7c4"}, map[string]string{"ids=1|x": "query ids/1: expected an integer, found a string"}},
		{`{name: ids, in: query, style: pipeDelimited, explode: true, schema: {type: array, items: {type: integer}}}`, []string{"ids=1&ids=2"}, map[string]string{"ids=1|2": "query ids/0: expected an integer, found a string"}},
		{`{name: ids, in: query, schema: {oneOf: [{type: integer}, {type: array, items: {type: integer}}]}}`, []string{"ids=1", "ids=1&ids=2"}, map[string]string{"ids=x": "query ids: expected an integer", "ids=1&ids=x": "query ids: expected a single value, found 2"}},
		{`{name: f, in: query, style: deepObject, schema: {type: object, required: [a], properties: {a: {type: integer}, l: {type: array, items: {type: integer}}, o: {type: object, properties: {x: {type: boolean}}}}, additionalProperties: false}}`,
			[]string{"f[a]=1", "f%5Ba%5D=1&f[l]=1&f[l]=2", "f[a]=1&f[l][]=3", "f[a]=1&f[o][x]=true", "other[a]=1", ""},
			map[string]string{"f[a]=x": "query f/a: expected an integer, found a string", "f[l]=1": `query f: the required property "a" is missing`, "f[a]=1&f[o][x]=5": "query f/o/x: expected a boolean, found a string",
				"f[z]=1&f[a]=1": `query f/z: there is no such property; expected one of "a", "l", "o"`, "f=1": "query f: expected the members as f[name]=value", "f[a]=1&f[a][b]=2": "query f: a member is both a value and an object", "f[a]=%zz": "query f: the percent-encoding is malformed"}},
		{`{name: f, in: query, style: deepObject, required: true, schema: {type: object}}`, []string{"f[a]=1"}, map[string]string{"": "query f: the parameter is missing; it is required", "f[a=1": "query f: the parameter is missing; it is required"}},
		{`{name: f, in: query, schema: {type: object, properties: {a: {type: integer}, b: {type: string}}}}`, []string{"a=1&b=x&c=3", "x=1"}, map[string]string{"a=x": "query f/a: expected an integer, found a string"}},
		{`{name: f, in: query, required: true, schema: {type: object, additionalProperties: {type: integer}}}`, []string{"a=1"}, map[string]string{"a=x": "query f/a: expected an integer, found a string", "": "query f: the parameter is missing; it is required"}},
		{`{name: f, in: query, explode: false, schema: {type: object, properties: {a: {type: integer}}}}`, []string{"f=a,1,b,2"}, map[string]string{"f=a,x": "query f/a: expected an integer, found a string"}},
		{`{name: f, in: query, content: {application/json: {schema: {type: object, required: [a]}}}}`, []string{"f=%7B%22a%22:1%7D", `f={"a":1}`}, map[string]string{
			"f={}": `query f: the required property "a" is missing`, "f={": "query f: the value is not valid JSON: line 1, column 2 (byte 1): expected a property name in quotes"}},
		{`{name: f, in: query, content: {text/csv: {schema: {type: string}}}}`, []string{"f=a"}, nil},
	},
	"header": {
		{`{name: x-id, in: header, required: true, schema: {type: integer}}`, []string{"5"}, map[string]string{"": "header X-Id: the parameter is missing; it is required", "x": "header X-Id: expected an integer"}},
		{`{name: X-Ids, in: header, schema: {type: array, items: {type: integer}}}`, []string{"1, 2,3", ""}, map[string]string{"1, x": "header X-Ids/1: expected an integer, found a string"}},
		{`{name: X-O, in: header, schema: {type: object, properties: {a: {type: integer}}}}`, []string{"a, 1"}, map[string]string{"a,x": "header X-O/a: expected an integer, found a string"}},
		{`{name: X-O, in: header, explode: true, schema: {type: object, properties: {a: {type: integer}}}}`, []string{"a=1,b=2"}, map[string]string{"a=x": "header X-O/a: expected an integer, found a string"}},
		{`{name: Authorization, in: header, required: true, schema: {type: integer}}`, []string{"", "x"}, nil},
	},
	"cookie": {
		{`{name: c, in: cookie, required: true, schema: {type: integer}}`, []string{"c=1", "b=x; c=2"}, map[string]string{"": "cookie c: the parameter is missing; it is required", "c=x": "cookie c: expected an integer"}},
		{`{name: c, in: cookie, explode: false, schema: {type: array, items: {type: integer}}}`, []string{"c=1,2"}, map[string]string{"c=1,x": "cookie c/1: expected an integer, found a string"}},
		{`{name: c, in: cookie, schema: {type: object, properties: {a: {type: integer}}}}`, []string{"a=1"}, map[string]string{"a=x": "cookie c/a: expected an integer, found a string"}},
	},
}

// parameterRequest makes a request with a value in its place.
func parameterRequest(in, name, value string) (*http.Request, Params) {
	r := httptest.NewRequest("GET", "/x", nil)
	switch in {
	case "path":
		return r, Params{{Name: "id", Value: value}}
	case "query":
		r.URL.RawQuery = value
	case "header":
		if value != "" {
			r.Header.Set(name, value)
		}
	case "cookie":
		r.Header.Set("Cookie", value)
	}
	return r, nil
}

func TestParameters(t *testing.T) {
	for _, version := range []string{"3.0.3", "3.1.0"} {
		for in, cases := range paramCases {
			for _, c := range cases {
				path := "/x"
				if in == "path" {
					path = "/x/{id}"
				}
				d := checkDoc(t, version, `{"`+path+`": {get: {parameters: [`+c.param+`], responses: {"200": {description: ok}}}}}`, "{}")
				header, _, _ := strings.Cut(strings.TrimPrefix(c.param, "{name: "), ",")
				try := func(value string) string {
					r, params := parameterRequest(in, header, value)
					return strings.TrimPrefix(faultText(d.Operations[0].CheckRequest(r, params, nil, CheckOptions{})), "400 ")
				}
				for _, value := range c.good {
					if got := try(value); got != "" {
						t.Errorf("%s accepts %q, but got %s", c.param, value, got)
					}
				}
				for value, want := range c.bad {
					if got := try(value); got != want {
						t.Errorf("%s on %q\n got %s\nwant %s", c.param, value, got, want)
					}
				}
			}
		}
	}
}

func TestParametersOfPathAndOperation(t *testing.T) {
	d := checkDoc(t, "3.0.3", `{/x: {parameters: [{name: a, in: query, required: true, schema: {type: integer}}, {$ref: "#/components/parameters/B"}],
		get: {parameters: [{name: a, in: query, schema: {type: boolean}}], responses: {"200": {description: ok}}}}}`,
		`{parameters: {B: {name: b, in: query, required: true, schema: {$ref: "#/components/schemas/S"}}}, schemas: {S: {type: string, minLength: 2}}}`)
	for query, want := range map[string]string{
		"a=true&b=xx": "",
		"b=xx":        "",
		"a=1&b=x":     "400 query a: expected a boolean\nquery b: expected at least 2 characters, found 1",
		"":            "400 query b: the parameter is missing; it is required",
	} {
		r, _ := parameterRequest("query", "", query)
		if got := faultText(d.Operations[0].CheckRequest(r, nil, nil, CheckOptions{})); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestStrictQuery(t *testing.T) {
	d := checkDoc(t, "3.0.3", `{/x: {get: {security: [{key: []}], parameters: [{name: a, in: query, schema: {type: integer}}, {name: f, in: query, style: deepObject, schema: {type: object}}], responses: {"200": {description: ok}}}},
		/y: {get: {parameters: [{name: o, in: query, schema: {type: object, properties: {p: {type: string}}}}], responses: {"200": {description: ok}}}},
		/z: {get: {responses: {"200": {description: ok}}}}}`,
		`{securitySchemes: {key: {type: apiKey, in: query, name: api_key}}}`)
	for _, c := range []struct {
		operation   int
		query, want string
	}{
		{0, "a=1&f[x]=2&api_key=k", ""},
		{0, "b=1&a=1&c=2&b=3", `400 query b: there is no such parameter; there are "a", "f"` + "\n" + `query c: there is no such parameter; there are "a", "f"`},
		{1, "p=1", ""},
		{1, "q=1", `400 query q: there is no such parameter; there are "o"`},
		{2, "q=1", `400 query q: there is no such parameter`},
		{2, "", ""},
	} {
		r, _ := parameterRequest("query", "", c.query)
		if got := faultText(d.Operations[c.operation].CheckRequest(r, nil, nil, CheckOptions{StrictQuery: true})); got != c.want {
			t.Errorf("%s: got %s, want %s", c.query, got, c.want)
		}
		if got := d.Operations[c.operation].CheckRequest(r, nil, nil, CheckOptions{}); got != nil {
			t.Errorf("%s: tolerated otherwise, but got %s", c.query, faultText(got))
		}
	}
}

func TestParameterProblems(t *testing.T) {
	for param, want := range map[string]string{
		`{name: a, in: query, style: label, schema: {type: string}}`:                                  `style="label"`,
		`{name: a, in: query, schema: {type: string, pattern: "("}}`:                                  `schema.pattern: "(" is not a regular expression`,
		`{name: a, in: query, schema: {type: string}}, {name: a, in: query, schema: {type: integer}}`: "parameters[1]: the parameter a in the query is described twice, and not alike; keep one of them",
		`{name: a, in: query, schema: {anyOf: [{$ref: "#/components/schemas/Endless"}]}}`:             "components.schemas.Endless: the schema refers to itself without end",
	} {
		_, ps := tryCheckDoc("3.0.3", `{/x: {get: {parameters: [`+param+`], responses: {"200": {description: ok}}}}}`, `{schemas: {Endless: {allOf: [{$ref: "#/components/schemas/Endless"}]}}}`)
		if err := ps.Err(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "apis/t/1.0.0/openapi.yaml:") {
			t.Errorf("%s: %v", param, err)
		}
	}
}
