package arazzo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/headrace/headrace/specs"
)

const (
	orders     = "orders/1.0.0/openapi.yaml"
	stock      = "stock/1.0.0/openapi.yaml"
	fulfilment = "fulfilment/1.0.0/openapi.yaml"
	flows      = "fulfilment/1.0.0/flows.arazzo.yaml"
	sales      = "sales/1.0.0/flows.arazzo.yaml"
)

// TestLinkProblems changes the sound landscape in one place each.
func TestLinkProblems(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes [][3]string
		want    []string
	}{
		{"unknown API", [][3]string{{flows, "headrace:orders/v1", "headrace:order/v1"}}, []string{`flows.arazzo.yaml:4:25: sourceDescriptions[0].url: there is no API order/v1; did you mean "orders/v1"?`}},
		{"unknown major version", [][3]string{{flows, "headrace:orders/v1", "headrace:orders/v2"}}, []string{"there is no API orders/v2"}},
		{"a URL outside", [][3]string{{flows, "headrace:orders/v1", "https://erp.example.com/openapi.yaml"}}, []string{"names no API of the workspace; write headrace:NAME/vMAJOR"}},
		{"a file of a version", [][3]string{{flows, "../../stock/v1", "../../stock/1.0.0/openapi.yaml"}}, []string{"names no API of the workspace"}},
		{"a call upward", [][3]string{{flows, "headrace:crm/v1", "headrace:sales/v1"}, {flows, "activities/post", "cart/post"}}, []string{"an API of the process layer cannot call sales/v1, which is of the experience layer; calls go downwards only"}},
		{"a call of itself", [][3]string{{flows, "headrace:crm/v1", "headrace:fulfilment/v1"}, {flows, "activities/post", "orders/post"}}, []string{"cannot call fulfilment/v1, which is of the process layer"}},
		{"unknown operation", [][3]string{{flows, ".checkCredit", ".checkCredits"}}, []string{`orders/v1 has no operation "checkCredits"; did you mean "checkCredit"?`}},
		{"unknown path", [][3]string{{flows, "activities/post", "activities/put"}}, []string{`has no operation put /activities; did you mean "post /activities"?`}},
		{"a path with one method", [][3]string{{flows, "~1activities/post", "~1activities"}}, nil},
		{"a path with two methods", [][3]string{{flows, "operationId: $sourceDescriptions.orders.checkCredit", "operationPath: '{$sourceDescriptions.orders.url}#/paths/~1orders~1{id}'"}}, []string{"/orders/{id} has several methods"}},
		{"unknown parameter", [][3]string{{flows, "{name: amount, in: query", "{name: amounts, in: query"}}, []string{`checkCredit has no query parameter "amounts"; did you mean "amount"?`, `checkCredit needs the query parameter "amount"`}},
		{"a parameter in another place", [][3]string{{flows, "{name: amount, in: query", "{name: amount, in: header"}}, []string{`has no header parameter "amount"; write in: query`, "needs the query parameter"}},
		{"no body", [][3]string{{sales, "        requestBody: {payload: $inputs.body}\n", ""}}, []string{"placeOrder needs a body"}},
		{"a body too many", [][3]string{{sales, "operationId: placeOrder", "operationId: availability\n        parameters: [{name: sku, in: path, value: x}]"}}, []string{"availability takes no body"}},
		{"another content type", [][3]string{{flows, "contentType: application/json", "contentType: text/csv"}}, []string{"reserve does not take text/csv"}},
		{"unknown input of a workflow", [][3]string{{flows, "- {name: subject, value", "- {name: subjekt, value"}}, []string{`the workflow note has no input "subjekt"; did you mean "subject"?`, `the workflow note needs the input "subject"`}},
		{"no step takes a parameter", [][3]string{{flows, "tenant: {name: X-Tenant", "tenant: {name: X-Tenants"}}, []string{`no step takes the parameter "X-Tenants"`}},
		{"an output of nothing", [][3]string{{flows, "$response.body#/limit", "$response.body#/limits"}}, []string{`$response.body#/limits leads nowhere: "limits" is not declared (did you mean "limit"?)`}},
		{"a way through a number", [][3]string{{flows, "$response.body#/limit", "$response.body#/limit/amount"}}, []string{"there is nothing in a number"}},
		{"a way through an output", [][3]string{{flows, "$steps.book.outputs.status", "$steps.book.outputs.status#/x"}}, []string{"there is nothing in a string"}},
		{"a list without an index", [][3]string{{flows, "#/places/0/name", "#/places/name"}}, []string{`"name" is no index of a list`}},
		{"a failure's body in a condition", [][3]string{{flows, "        outputs:\n          id: $response.body#/id\n", "        onFailure: [{name: there, type: goto, stepId: reserve, criteria: [{condition: $response.body#/code == 'DUP'}]}]\n        outputs:\n          id: $response.body#/id\n"}}, nil},
		{"a body of no answer in a condition", [][3]string{{flows, "        outputs:\n          id: $response.body#/id\n", "        onFailure: [{name: there, type: goto, stepId: reserve, criteria: [{condition: $response.body#/cod == 'DUP'}]}]\n        outputs:\n          id: $response.body#/id\n"}}, []string{`$response.body#/cod leads nowhere: "cod" is not declared`}},
		{"a body of some steps in a common condition", [][3]string{{flows, "$statusCode == 429 || ", "$response.body#/code == 'BUSY' || "}}, nil},
		{"a failure's body that is a success", [][3]string{{flows, "          - condition: $statusCode == 201\n        outputs:\n          id: $response.body#/id\n", "          - condition: $statusCode == 201 || $statusCode == 409\n        outputs:\n          id: $response.body#/existing\n"}}, nil},
		{"a failure's body in an output", [][3]string{{flows, "          id: $response.body#/id\n", "          id: $response.body#/existing\n"}}, []string{`"existing" is not declared`}},
		{"a filter on an object", [][3]string{{flows, "          - condition: $statusCode == 201\n", "          - {context: $response.body, type: jsonpath, condition: '$[?count(@.lines) > 0]'}\n"}}, []string{"never holds: a filter looks at the members of the context"}},
		{"a filter on a list", [][3]string{{flows, "          - condition: $statusCode == 201\n", "          - {context: $response.body#/lines, type: jsonpath, condition: '$[?@.quantity > 0]'}\n"}}, nil},
		{"a condition on an object", [][3]string{{flows, "          - condition: $statusCode == 201\n", "          - {context: $response.body, type: jsonpath, condition: 'count($.lines[*]) > 0'}\n"}}, nil},
		{"a literal of another type", [][3]string{{flows, "target: /priority, value: 1", "target: /priority, value: 1"}, {flows, "            reference: \"web-{$inputs.reference}\"", "            reference: 7"}}, []string{"is not what createOrder takes as the body/reference: expected a string"}},
		{"an expression of another type", [][3]string{{flows, "            customer: $inputs.customer\n            reference", "            customer: $inputs.amount\n            reference"}}, []string{"$inputs.amount is a number, and createOrder takes a string as the body/customer"}},
		{"a text for a number", [][3]string{{flows, "{name: customer, value: $inputs.customer}", "{name: customer, value: $steps.credit.outputs.limit}"}}, []string{"$steps.credit.outputs.limit is a number, and the workflow note takes a string as the input customer"}},
		{"a missing property", [][3]string{{flows, "            lines: $inputs.lines\n", ""}}, []string{`createOrder needs the property "lines" in the body`}},
		{"a property too many", [][3]string{{flows, "            lines: $inputs.lines\n", "            lines: $inputs.lines\n            line: 1\n"}}, []string{`createOrder takes no property "line" in the body; did you mean "lines"?`}},
		{"a mapping for a list", [][3]string{{flows, "            lines: $inputs.lines\n", "            lines: {sku: $inputs.customer}\n"}}, []string{"is a mapping, and createOrder takes an array as the body/lines"}},
		{"a list for a text", [][3]string{{flows, "            customer: $inputs.customer\n            reference", "            customer: [$inputs.customer]\n            reference"}}, []string{"is a list, and createOrder takes a string as the body/customer"}},
		{"an item of a list", [][3]string{{flows, "            lines: $inputs.lines\n", "            lines: [{sku: $inputs.customer}]\n"}}, []string{`createOrder needs the property "quantity" in the body/lines/0`}},
		{"a text in an integer", [][3]string{{flows, "            lines: $inputs.lines\n", "            lines: [{sku: a, quantity: \"{$inputs.customer}\"}]\n"}}, []string{"is a text, and createOrder takes an integer as the body/lines/0/quantity"}},
		{"a literal parameter", [][3]string{{flows, "{name: amount, in: query, value: $inputs.amount}", "{name: amount, in: query, value: much}"}}, []string{"is not what checkCredit takes as amount: expected a number"}},
		{"a list as a parameter", [][3]string{{flows, "{name: customer, in: path, value: $inputs.customer}", "{name: customer, in: path, value: $inputs.lines}"}}, []string{"$inputs.lines is an array, and the parameter customer of checkCredit is a string"}},
		{"an answer without a property", [][3]string{{flows, "      order: $steps.book.outputs.id\n", ""}, {flows, "{$outputs.order}", "x"}}, []string{`placeOrder needs the property "order" in the answer 201`}},
		{"an answer of another type", [][3]string{{flows, "      order: $steps.book.outputs.id\n", "      order: $steps.credit.outputs.limit\n"}}, []string{"$steps.credit.outputs.limit is a number, and placeOrder takes a string as the answer 201/order"}},
		{"an answer that is not declared", [][3]string{{flows, "status: 201\n", "status: 202\n"}}, []string{"placeOrder does not declare the answer 202"}},
		{"an operation without a flow", [][3]string{{fulfilment, "      x-headrace: {flow: placeOrder}\n", ""}}, []string{"nothing says which workflow answers"}},
		{"a flow that is not there", [][3]string{{fulfilment, "flow: placeOrder", "flow: placeOrders"}}, []string{`there is no workflow "placeOrders" in flows.arazzo.yaml; did you mean "placeOrder"?`}},
		{"a flow in the system layer", [][3]string{{orders, "operationId: getOrder", "operationId: getOrder\n      x-headrace: {flow: placeOrder}"}}, []string{"operations of the system layer are answered by a system"}},
		{"a system in the process layer", [][3]string{{fulfilment, "{flow: placeOrder}", "{flow: placeOrder, system: erp}"}}, []string{"system is for operations that a system answers"}},
		{"a read that writes", [][3]string{{fulfilment, "{flow: placeOrder}", "{flow: placeOrder, safe: true}"}}, []string{"placeOrder reads, and the workflow placeOrder changes something"}},
		{"an input from nowhere", [][3]string{{fulfilment, "required: [customer, lines, amount]", "required: [customer, lines]"}, {fulfilment, "                amount: {type: number}\n", ""}}, []string{`nothing of placeOrder gives the input "amount" of the workflow placeOrder`}},
		{"an input of another type", [][3]string{{fulfilment, "amount: {type: number}", "amount: {type: string}"}}, []string{"$request.body#/amount of placeOrder is a string, and the input is a number"}},
		{"a flow input that is none", [][3]string{{fulfilment, "article: $request", "artikle: $request"}}, []string{`has no input "artikle"; did you mean "article"?`, `gives the input "article"`}},
		{"a flow input without a parameter", [][3]string{{fulfilment, "$request.path.sku", "$request.path.skus"}}, []string{`availability has no path parameter "skus"; did you mean "sku"?`}},
		{"a flow input that is no expression", [][3]string{{fulfilment, "article: $request.path.sku", "article: $path.sku"}}, []string{`"$path.sku" is not a runtime expression`, `gives the input "article"`}},
		{"a flow input without a body", [][3]string{{fulfilment, "article: $request.path.sku", "article: $request.body#/sku"}}, []string{"availability has no request body"}},
		{"a cache of a write", [][3]string{{flows, "class: high\n", "class: high\n      cache: 5s\n"}}, []string{"the workflow placeOrder changes something, and its answer cannot be given again"}},
		{"a cache of a step that writes", [][3]string{{flows, "timeout: 5s\n", "timeout: 5s\n          cache: 5s\n"}}, []string{"reserve changes something, and its answer cannot be used again"}},
		{"a compensation of a read", [][3]string{{flows, "{status: unknown}\n", "{status: unknown}\n          compensation: {operationId: $sourceDescriptions.orders.cancelOrder, parameters: [{name: id, in: path, value: x}]}\n"}}, []string{"order changes nothing that could be undone"}},
		{"a compensation that reads", [][3]string{{flows, "operationId: $sourceDescriptions.orders.cancelOrder", "operationId: $sourceDescriptions.orders.getOrder"}}, []string{"the compensation of book changes nothing"}},
		{"jq that cannot be read", [][3]string{{flows, "status: 201\n", "status: 201\n        body: '{order'\n"}}, []string{"flows.arazzo.yaml"}},
		{"jq of a step", [][3]string{{flows, "timeout: 500ms\n", "timeout: 500ms\n          shape: 'nothere(1)'\n"}}, []string{"nothere"}},
		{"jq with the inputs", [][3]string{{flows, "status: 201\n", "status: 201\n        body: '{order: (.order // $inputs.reference)}'\n"}}, nil},
		{"an answer that a workflow gives", [][3]string{{flows, "        status: 201\n        headers: {Location: \"/fulfilment/v1/orders/{$outputs.order}\"}\n", "        step: note\n"}}, []string{"note calls a workflow, whose answer cannot be passed through"}},
		{"two writes in the experience layer", [][3]string{{sales, "$inputs.body}", "$inputs.body}\n      - stepId: again\n        operationId: placeOrder\n        requestBody: {payload: $inputs.body}"}}, []string{"again is the second step that changes something; an experience API reads, or passes one write through"}},
		{"a retired API", [][3]string{{stock, "layer: system", "status: retired, layer: system"}}, []string{"stock/v1 is retired"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, ps := linked(t, c.changes...)
			wants(t, ps, c.want...)
		})
	}
}

func TestNoFlowsBesideTheDocument(t *testing.T) {
	apis, l, ps := landscape(t)
	a := apis["fulfilment"]
	a.Flows = nil
	l.Link(a, ps)
	wants(t, ps, "there is no flows.arazzo.yaml beside the document")
	apis, l, ps = landscape(t)
	a = apis["orders"]
	a.Flows = apis["fulfilment"].Flows
	l.Link(a, ps)
	if list := ps.List(); len(list) == 0 {
		t.Error("an API of the system layer may have flows")
	}
}

// TestOrder shows which steps may run side by side.
func TestOrder(t *testing.T) {
	apis, _ := sound(t)
	for id, want := range map[string]string{
		// Writes stand one behind the other; release only compensates.
		"placeOrder": "credit[] book[0] reserve[1] note[2]",
		// here and order are reads; place reads what here gave.
		"availability": "here[] order[] place[0]",
	} {
		if got := orderOf(apis["fulfilment"].Flows.Workflow(id)); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	apis, _, ps := linked(t,
		[3]string{flows, "      - stepId: place\n", "      - stepId: late\n        operationId: $sourceDescriptions.orders.getOrder\n        dependsOn: [order]\n        parameters: [{name: id, in: path, value: x}]\n      - stepId: place\n"},
		[3]string{flows, "          first: $response.body#/places/0/name\n", "          first: $response.body#/places/0/name\n        onSuccess: [{name: go, type: goto, stepId: place, criteria: [{condition: $response.body#/free > 0}]}]\n"})
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := orderOf(apis["fulfilment"].Flows.Workflow("availability")), "here[] order[0] late[0 1] place[0]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func orderOf(w *Workflow) string {
	text := ""
	for _, s := range w.Steps {
		text += fmt.Sprintf(" %s%v", s.ID, s.After)
	}
	return text[1:]
}

func TestWritesAreKnown(t *testing.T) {
	apis, entries := sound(t)
	d := apis["fulfilment"].Flows
	for id, want := range map[string]bool{"placeOrder": true, "note": true, "availability": false} {
		if d.Workflow(id).Writes != want {
			t.Errorf("%s writes: %v", id, !want)
		}
	}
	w := d.Workflow("placeOrder")
	if s := w.Step("note"); !s.Writes() || !s.Optional || s.Flow != d.Workflow("note") || *s.Class != specs.Low {
		t.Errorf("%+v", s)
	}
	if c := w.Step("book").Compensation; c == nil || c.Call.Key() != "orders/v1/cancelOrder" || c.Index != -1 {
		t.Errorf("the compensation of book is %+v", c)
	}
	if c := w.Step("reserve").Compensation; c == nil || c != w.Step("release") || slices.Contains(w.Steps, c) {
		t.Errorf("the compensation of reserve is %+v", c)
	}
	if e := entries["placeOrder"]; e.Status != 201 || e.Workflow != w {
		t.Errorf("%+v", e)
	}
	if e := entries["checkout"]; e.Workflow.Answer.Pass == nil {
		t.Error("the answer of checkout is not passed through")
	}
}

func TestInputs(t *testing.T) {
	_, entries := sound(t)
	e := entries["placeOrder"]
	body := object(t, `{"customer": "C1", "lines": [{"sku": "A", "quantity": 1}], "amount": 10.50, "other": 1}`)
	inputs, violations := e.Inputs(&Exchange{Body: body})
	want := map[string]any{"customer": "C1", "lines": body["lines"], "amount": json.Number("10.50")}
	if violations != nil || !reflect.DeepEqual(inputs, want) {
		t.Errorf("%v %v", inputs, violations)
	}
	_, violations = e.Inputs(&Exchange{Body: object(t, `{"customer": 7, "lines": []}`)})
	if len(violations) != 2 {
		t.Errorf("%v", violations)
	}
	for _, v := range violations {
		if v.In != "body" {
			t.Errorf("%v", v)
		}
	}
	e = entries["availability"]
	inputs, violations = e.Inputs(&Exchange{
		Path: specs.Params{{Name: "sku", Value: "123"}}, Query: url.Values{"orders": {"1,2"}, "deep": {"true"}},
	})
	want = map[string]any{"article": "123", "tenant": "main", "deep": true, "orders": []any{"1", "2"}}
	if violations != nil || !reflect.DeepEqual(inputs, want) {
		t.Errorf("%v %v", inputs, violations)
	}
	inputs, violations = e.Inputs(&Exchange{
		Path: specs.Params{{Name: "sku", Value: "12"}}, Query: url.Values{"orders": {"1", "2"}, "deep": {"maybe"}}, Header: http.Header{"X-Tenant": {"north"}},
	})
	if inputs["tenant"] != "north" || len(violations) != 2 || violations[0].In+" "+violations[0].Name != "path sku" || violations[1].In+" "+violations[1].Name != "query deep" {
		t.Errorf("%v %v", inputs, violations)
	}
}

// TestRequests evaluates what the steps of a run would send.
func TestRequests(t *testing.T) {
	apis, _ := sound(t)
	w := apis["fulfilment"].Flows.Workflow("placeOrder")
	s := &fixed{
		inputs: object(t, `{"customer": "C\"1", "lines": [{"sku": "A", "quantity": 1}], "amount": 1, "reference": "r"}`),
		steps:  map[string]map[string]any{"book": object(t, `{"id": "O-1"}`), "reserve": object(t, `{"number": 5}`)},
	}
	bodies := map[string]string{
		"book":    `{"customer":"C\"1","lines":[{"quantity":1,"sku":"A"}],"priority":1,"reference":"web-r"}`,
		"reserve": `{"lines":[{"quantity":1,"sku":"A"}],"order":"O-1"}`,
	}
	for id, want := range bodies {
		data, err := w.Step(id).Body.Bytes(s, 1<<20)
		if err != nil || string(data) != want {
			t.Errorf("%s: %s %v, want %s", id, data, err, want)
		}
	}
	if value, ok := w.Step("release").Parameters[0].Value.Eval(s); !ok || value != json.Number("5") {
		t.Errorf("release: %v", value)
	}
	delete(s.inputs, "reference")
	data, err := w.Step("book").Body.Bytes(s, 1<<20)
	if err != nil || string(data) != `{"customer":"C\"1","lines":[{"quantity":1,"sku":"A"}],"priority":1}` {
		t.Errorf("an absent text is not left out: %s %v", data, err)
	}
	if _, err := w.Step("book").Body.Bytes(s, 10); err == nil {
		t.Error("a body may be larger than its limit")
	}
}

// BenchmarkLink is what a table's build costs for a document of three workflows.
func BenchmarkLink(b *testing.B) {
	apis, l, ps := landscape(b)
	files := os.DirFS("testdata/landscape")
	a := apis["fulfilment"]
	b.ReportAllocs()
	for b.Loop() {
		a.Flows = Parse(files, a.Flows.File, ps)
		l.Link(a, ps)
	}
	if err := ps.Err(); err != nil {
		b.Fatal(err)
	}
}
