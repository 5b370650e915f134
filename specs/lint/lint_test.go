package lint_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/lint"
	"github.com/headrace/headrace/specs/source"
)

// head stands before the parts of documents that the rules show.
func head(part string) string {
	text := "openapi: 3.1.0\n"
	if !strings.HasPrefix(part, "info:") {
		text += "info: {title: Orders, version: 1.0.0, description: Sales orders.}\n"
	}
	return text + part
}

func contract(t *testing.T, document string) *specs.Contract {
	t.Helper()
	ps := &source.Problems{}
	c := specs.LoadContract(fstest.MapFS{"apis/orders/1.0.0/openapi.yaml": {Data: []byte(document)}}, "apis/orders/1.0.0", ps)
	if c == nil {
		t.Fatalf("%v in\n%s", ps.List(), document)
	}
	return c
}

// Every rule finds what it calls bad, and nothing in what it calls good.
func TestRulesAreWhatTheySay(t *testing.T) {
	for _, r := range lint.Rules() {
		t.Run(r.Name, func(t *testing.T) {
			if n := broken(t, r, r.Bad); n == 0 {
				t.Errorf("nothing is found in\n%s", r.Bad)
			}
			if n := broken(t, r, r.Good); n > 0 {
				t.Errorf("%d findings in\n%s", n, r.Good)
			}
			if !strings.HasSuffix(r.Summary, ".") || !strings.HasSuffix(r.Why, ".") {
				t.Error("the summary and the reason are sentences")
			}
		})
	}
}

func broken(t *testing.T, r lint.Rule, part string) int {
	n := 0
	for _, f := range lint.Check(contract(t, head(part)), lint.Settings{}) {
		if f.Rule == r.Name {
			n++
			if f.Line == 0 || f.Wrong == "" || f.Right == "" || f.Severity != r.Severity {
				t.Errorf("%+v", f)
			}
		}
	}
	return n
}

func TestFindingsHavePlaces(t *testing.T) {
	c := contract(t, head(`x-headrace: {owner: order-team, domain: orders}
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-API-Key}}
  schemas:
    Order:
      type: object
      properties:
        order_id: {type: string, example: "4711"}
paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, description: The number., schema: {type: string}}]
    put:
      operationId: putOrder
      summary: Change an order.
      x-headrace: {lane: $request.path.id}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
      responses:
        '204': {description: Done.}
        '202': {description: Held.}
        default: {description: A problem., content: {application/problem+json: {schema: {type: object}}}}
`))
	var lines []string
	for _, f := range lint.Check(c, lint.Settings{}) {
		lines = append(lines, f.String())
	}
	want := []string{
		`apis/orders/1.0.0/openapi.yaml:11:19: warning: the property order_id is not in camel case; for example orderId [property-naming]`,
		`apis/orders/1.0.0/openapi.yaml:16:7: error: PUT /orders/{id}: nothing says how a second sending is recognised; add x-headrace.idempotency; class header, natural-key, confirm or none [write-idempotency]`,
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
}

func TestSettings(t *testing.T) {
	decode := func(text string) (lint.Settings, []source.Problem) {
		var s lint.Settings
		ps := &source.Problems{}
		source.Decode(source.Parse("headrace.yaml", []byte(text), source.DefaultLimits, ps), &s, ps)
		s.Verify(ps)
		return s, ps.List()
	}
	s, wrong := decode("rules: {api-owner: off, api-domain: error}")
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, f := range lint.Check(contract(t, head("paths: {}\n")), s) {
		if f.Rule == "api-owner" || f.Rule == "api-domain" && f.Severity != lint.Error {
			t.Errorf("%s", f)
		}
	}
	_, wrong = decode("rules: {api-ownr: off, api-domain: fatal}")
	if len(wrong) != 2 || !strings.Contains(wrong[0].String(), `there is no rule "api-ownr"; did you mean "api-owner"?`) || !strings.Contains(wrong[1].String(), "error, warning or off") {
		t.Error(wrong)
	}
}

// What several operations share is wrong once.
func TestSharedFaultsAreFoundOnce(t *testing.T) {
	c := contract(t, head(`components: {schemas: {Order: {type: object, properties: {order_id: {type: string}}}}}
paths:
  /a: {get: {operationId: a, responses: {'200': {description: A., content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}}}}
  /b: {get: {operationId: b, responses: {'200': {description: B., content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}}}}
`))
	n := 0
	for _, f := range lint.Check(c, lint.Settings{}) {
		if f.Rule == "property-naming" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d findings", n)
	}
}
