package specs

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/schema"
)

func TestFields(t *testing.T) {
	const paths = `{"/o": {post: {parameters: [
    {name: expand, in: query, schema: {type: string}},
    {name: page, in: query, style: deepObject, schema: {type: object, properties: {size: {type: integer}}}}],
  requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}, responses: {"201": {description: ok}}}}}`
	const components = `{schemas: {
Address: {type: object, properties: {city: {type: string}, "a/b": {type: string}}},
Order: {allOf: [{type: object, properties: {shipTo: {$ref: "#/components/schemas/Address"}, billTo: {$ref: "#/components/schemas/Address"}}},
  {oneOf: [{type: object, required: [lines], properties: {lines: {type: array, items: {type: object, properties: {sku: {type: string}, part: {$ref: "#/components/schemas/Order"}}}}}},
    {type: object, required: [note], properties: {note: {type: string}}}]}]}}}`
	o := checkDoc(t, "3.1.0", paths, components).Operations[0]
	names := o.Fields()
	if len(names) != schema.MaxFields && !slices.Contains(names, "/lines/*/part/shipTo/city") {
		t.Fatal(names)
	}
	for _, c := range []struct{ query, body, want string }{
		{"", `{"note": "x"}`, "/note"},
		{"?expand=a&page[size]=3", `{"note": "x", "unknown": 1}`, "?expand ?page /note"},
		{"?other=1", `{"shipTo": {"city": "Ulm", "a/b": ""}, "lines": [{}, {"sku": "A"}]}`, "/lines /lines/*/sku /shipTo /shipTo/a~1b /shipTo/city"},
		{"", `{"billTo": {"city": 1}, "note": "x"}`, "/billTo /billTo/city /note"}, // what is wrong is there all the same
		{"", `{"note": `, ""},
	} {
		r := httptest.NewRequest("POST", "/o"+c.query, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		var seen schema.Seen
		o.CheckRequest(r, nil, []byte(c.body), CheckOptions{Seen: &seen})
		var got []string
		seen.Each(func(i int) {
			got = append(got, names[i])
			if !seen.Has(i) {
				t.Error(i)
			}
		})
		slices.SortFunc(got, func(a, b string) int {
			return strings.Compare(strings.Replace(a, "?", " ", 1), strings.Replace(b, "?", " ", 1))
		})
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s %s: %s", c.query, c.body, s)
		}
	}
}
