package specs

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/specs/source"
)

// Keywords beside a $ref hold together with it, also where both lead back to
// themselves.
func TestKeywordsBesideReferences(t *testing.T) {
	document := `openapi: 3.1.0
info: {title: A, version: 1.0.0}
paths:
  /a:
    post:
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/S", maxItems: 1, default: {$ref: "#/components/schemas/S", a: 1}}}}}
      responses: {"200": {description: ok}}
components:
  schemas:
    Node: {items: {$ref: "#/components/schemas/Node"}}
    S:
      $ref: "#/components/schemas/Node"
      items: {$ref: "#/components/schemas/Node", type: array}
      allOf: [{type: array}]
`
	var ps source.Problems
	d := Load(fstest.MapFS{"apis/a/1.0.0/openapi.yaml": {Data: []byte(document)}}, "apis/a/1.0.0", &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`[[]]`:    "",
		`{}`:      "array",
		`[1]`:     "array",
		`[[],[]]`: "most 1",
	} {
		r, err := http.NewRequest("POST", "/a", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		fault := d.Operations[0].CheckRequest(r, nil, []byte(body), CheckOptions{})
		switch {
		case want == "" && fault != nil:
			t.Errorf("%s: %v", body, fault.Violations)
		case want != "" && (fault == nil || !strings.Contains(fault.Violations[0].Detail, want)):
			t.Errorf("%s: %+v", body, fault)
		}
	}
	if public, err := d.Public(); err != nil || !strings.Contains(string(public), `"S":{"$ref"`) {
		t.Errorf("the document was changed for its readers: %s", public)
	}
}
