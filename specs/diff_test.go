package specs_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

const ordersV1 = `openapi: 3.1.0
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp}
paths:
  /orders:
    post:
      operationId: createOrder
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Order'}
      responses:
        '201':
          description: Created
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Order'}
  /orders/{id}:
    get:
      operationId: getOrder
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: expand, in: query, schema: {type: string}}
      responses:
        '200': {description: Found}
components:
  schemas:
    Order:
      type: object
      required: [customer]
      properties:
        customer: {type: string}
        note: {type: string}
`

// edited gives the document with parts replaced: old, new, old, new…
func edited(t *testing.T, document string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(document, pairs[i]) {
			t.Fatalf("%q is not in the document", pairs[i])
		}
		document = strings.Replace(document, pairs[i], pairs[i+1], 1)
	}
	return document
}

func contract(t *testing.T, version, document string) *specs.Contract {
	t.Helper()
	ps := &source.Problems{}
	dir := "apis/orders/" + version
	c := specs.LoadContract(fstest.MapFS{dir + "/openapi.yaml": {Data: []byte(document)}}, dir, ps)
	if c == nil {
		t.Fatal(ps.List())
	}
	return c
}

func differences(t *testing.T, pairs ...string) []string {
	t.Helper()
	changes, err := specs.Diff(contract(t, "1.0.0", ordersV1), contract(t, "1.1.0", edited(t, ordersV1, pairs...)))
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, c := range changes {
		lines = append(lines, fmt.Sprintf("%s: %s %s %s: %s", c.Position, c.Level, c.Method, c.Path, c.Rule))
	}
	return lines
}

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct{ edits, want []string }{
		"nothing": {want: []string{}},
		"optional property": {
			edits: []string{"note: {type: string}", "note: {type: string}\n        reference: {type: string}"},
			want: []string{
				"apis/orders/1.1.0/openapi.yaml:35:20: compatible POST /orders: new-optional-request-property",
				"apis/orders/1.1.0/openapi.yaml:35:20: compatible POST /orders: response-optional-property-added",
			},
		},
		"property removed": {
			edits: []string{"        note: {type: string}\n", ""},
			want: []string{
				"apis/orders/1.0.0/openapi.yaml:34:15: risky POST /orders: response-optional-property-removed",
				"apis/orders/1.0.0/openapi.yaml:34:15: risky POST /orders: request-property-removed",
			},
		},
		"property became required": {
			edits: []string{"required: [customer]", "required: [customer, note]"},
			want: []string{
				"apis/orders/1.1.0/openapi.yaml:31:28: breaking POST /orders: request-property-became-required",
				"apis/orders/1.1.0/openapi.yaml:31:28: compatible POST /orders: response-property-became-required",
			},
		},
		"operation removed": {
			edits: []string{"  /orders/{id}:\n    get:\n      operationId: getOrder", "  /orders/{id}:\n    delete:\n      operationId: getOrder"},
			want: []string{
				"apis/orders/1.0.0/openapi.yaml:21:7: breaking GET /orders/{id}: api-removed-without-deprecation",
				"apis/orders/1.1.0/openapi.yaml:21:7: compatible DELETE /orders/{id}: endpoint-added",
			},
		},
		"parameter removed": {
			edits: []string{"        - {name: expand, in: query, schema: {type: string}}\n", ""},
			want:  []string{"apis/orders/1.0.0/openapi.yaml:24:11: risky GET /orders/{id}: request-parameter-removed"},
		},
		"key required": {
			edits: []string{"operationId: createOrder", "operationId: createOrder\n      x-headrace: {idempotency: {key: required}}"},
			want:  []string{"apis/orders/1.1.0/openapi.yaml:8:33: breaking POST /orders: idempotency-key-became-required"},
		},
		"key dropped": {
			edits: []string{"operationId: createOrder", "operationId: createOrder\n      x-headrace: {idempotency: {key: off}}"},
			want:  []string{"apis/orders/1.1.0/openapi.yaml:8:33: breaking POST /orders: idempotency-key-dropped"},
		},
		"base": {
			edits: []string{"{system: erp}", "{system: erp, base: /sales/v1}"},
			want:  []string{"apis/orders/1.1.0/openapi.yaml:3:33: breaking  : base-changed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, differences(t, c.edits...)); d != "" {
				t.Error(d)
			}
		})
	}
}

// An exception names a change by its ID, which does not move with the lines.
func TestChangeKeepsItsID(t *testing.T) {
	ids := func(pairs ...string) []string {
		changes, err := specs.Diff(contract(t, "1.0.0", ordersV1), contract(t, "1.1.0", edited(t, ordersV1, pairs...)))
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range changes {
			ids = append(ids, c.ID)
		}
		return ids
	}
	required := []string{"required: [customer]", "required: [customer, note]"}
	first, moved := ids(required...), ids(append(required, "paths:\n", "# moved down\n\npaths:\n")...)
	if d := cmp.Diff(first, moved); d != "" || len(first) != 2 || first[0] == first[1] {
		t.Errorf("%v %s", first, d)
	}
}
