package specs

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

func standalone(text string) ([]*schema.Schema, *source.Problems) {
	ps := &source.Problems{}
	n := source.Parse("flows.yaml", []byte(text), source.DefaultLimits, ps)
	return Schemas(n.Get("roots").Items(), n.Get("references"), "#/references/", ps), ps
}

func TestSchemas(t *testing.T) {
	list, ps := standalone(`
references:
  name: {type: string, minLength: 2}
  person: {type: object, required: [name], properties: {name: {$ref: '#/references/name'}, boss: {$ref: '#/references/person'}}}
roots:
- {$ref: '#/references/person'}
- {type: array, items: {$ref: '#/references/name', maxLength: 3}}
- {type: object, properties: {n: {const: {$ref: 1}}}}
`)
	if err := ps.Err(); err != nil || len(list) != 3 {
		t.Fatal(len(list), err)
	}
	for _, c := range []struct {
		schema int
		text   string
		faults int
	}{
		{0, `{"name": "ab", "boss": {"name": "cd"}}`, 0},
		{0, `{"name": "a", "boss": {}}`, 2},
		{1, `["ab", "abc"]`, 0},
		{1, `["ab", "abcd", "a"]`, 2},
	} {
		found, err := list[c.schema].Check([]byte(c.text), schema.Request)
		if err != nil || len(found) != c.faults {
			t.Errorf("%s: %v %v", c.text, found, err)
		}
	}
	if list, ps := standalone("roots: []"); len(list) != 0 || ps.Len() > 0 {
		t.Error(list, ps.Err())
	}
}

func TestSchemasRefused(t *testing.T) {
	for text, want := range map[string]string{
		"roots: [{type: word}]":                                  `flows.yaml:1:16: roots[0].type: the type "word" is not known`,
		"roots: [{$ref: other.yaml}]":                            "flows.yaml:1:16",
		"roots: [{$ref: '#/references/none'}]":                   "flows.yaml:1:16",
		"roots: [{type: string, minLength: x}]":                  "flows.yaml:1:35",
		"roots: [{pattern: '('}]":                                "is not a regular expression",
		"references: {a: {type: word}}\nroots: [{type: object}]": "flows.yaml:1:24: references.a.type",
	} {
		list, ps := standalone(text)
		if list != nil || ps.Len() == 0 || !strings.Contains(ps.Err().Error(), want) {
			t.Errorf("%s: %v, want %s", text, ps.Err(), want)
		}
	}
}

func TestOutline(t *testing.T) {
	d := load(t, "openapi.yaml", head+`
paths:
  /a/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    put:
      operationId: a
      parameters: [{name: x-trace, in: header, schema: {type: string}}, {name: Accept, in: header, schema: {type: string}}]
      requestBody: {required: true, content: {text/plain: {}, application/json: {schema: {type: object}}}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {type: string}}}}
        "404": {description: no}
        default: {description: other, content: {application/problem+json: {}}}
    get: {operationId: b}
`)
	a, b := d.Operation("a"), d.Operation("b")
	var names []string
	for _, p := range a.Parameters() {
		names = append(names, p.In+" "+p.Name)
	}
	if got := strings.Join(names, ", "); got != "path id, header X-Trace" {
		t.Error(got)
	}
	contents, required, taken := a.Body()
	if len(contents) != 2 || !required || !taken {
		t.Error(contents, required, taken)
	}
	if _, _, taken := b.Body(); taken || len(b.Parameters()) != 1 {
		t.Error("a read takes a body")
	}
	if got := a.Statuses(); len(got) != 2 || got[0] != 200 || got[1] != 404 {
		t.Error(got)
	}
	if contents, declared := a.Answers(200); !declared || len(contents) != 1 || !contents[0].JSON || !contents[0].Schema.AcceptsString() {
		t.Error(contents, declared)
	}
	if contents, declared := a.Answers(503); !declared || contents[0].Type != "application/problem+json" {
		t.Error(contents, declared)
	}
	if all := a.AllAnswers(); len(all) != 2 {
		t.Error(all)
	}
}
