package arazzo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
)

// fixed is a scope with what a test puts in.
type fixed struct {
	inputs, outputs map[string]any
	steps           map[string]map[string]any
	flows           map[string][2]map[string]any
	exchange        *Exchange
}

func (f *fixed) Inputs() map[string]any  { return f.inputs }
func (f *fixed) Outputs() map[string]any { return f.outputs }
func (f *fixed) Exchange() *Exchange     { return f.exchange }
func (f *fixed) Step(id string) (map[string]any, bool) {
	outputs, ok := f.steps[id]
	return outputs, ok
}
func (f *fixed) Flow(id string) (inputs, outputs map[string]any, ok bool) {
	both, ok := f.flows[id]
	return both[0], both[1], ok
}

// object decodes a JSON object for a test.
func object(t testing.TB, text string) map[string]any {
	t.Helper()
	value, err := mapping.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return value.(map[string]any)
}

// example is a scope in the middle of a run.
func example(t testing.TB) *fixed {
	t.Helper()
	return &fixed{
		inputs:  object(t, `{"customer": {"id": "C1", "tags": ["a", "b"]}, "dotted.name": 7, "n": 12, "amount": 0.10, "yes": true, "nothing": null, "quote": "\"}&x=1"}`),
		outputs: object(t, `{"order": "O-1"}`),
		steps:   map[string]map[string]any{"credit": object(t, `{"limit": 100, "list": [{"name": "x"}], "half.open": {"a": 1}}`), "silent": nil},
		flows:   map[string][2]map[string]any{"note": {object(t, `{"subject": "s"}`), object(t, `{"status": 201}`)}},
		exchange: &Exchange{
			URL: "https://erp.example.com/orders/7?page=2", Method: "PUT",
			Path: specs.Params{{Name: "id", Value: "7"}}, Query: url.Values{"page": {"2"}}, Header: http.Header{"X-Trace": {"t1"}},
			Body: object(t, `{"a": {"b/c": [10, 20]}, "~": 1}`), Status: 201,
			ResponseHeader: http.Header{"X-Rate-Limit": {"5", "6"}, "Location": {"/orders/7"}},
			ResponseBody:   object(t, `{"id": 12345678901234567890, "status": "Open", "lines": [{"sku": "A", "quantity": 2}], "none": null, "total": "12.50"}`),
		},
	}
}

func TestExpressions(t *testing.T) {
	s := example(t)
	for text, want := range map[string]string{
		"$url":                                  `"https://erp.example.com/orders/7?page=2"`,
		"$method":                               `"PUT"`,
		"$statusCode":                           `201`,
		"$request.path.id":                      `"7"`,
		"$request.query.page":                   `"2"`,
		"$request.query.other":                  "absent",
		"$request.header.x-trace":               `"t1"`,
		"$request.header.other":                 "absent",
		"$request.body":                         `{"a":{"b/c":[10,20]},"~":1}`,
		"$request.body#/a/b~1c/1":               `20`,
		"$request.body#/~0":                     `1`,
		"$response.header.location":             `"/orders/7"`,
		"$response.header.X-Rate-Limit":         `"5, 6"`,
		"$response.body#/id":                    `12345678901234567890`,
		"$response.body#/lines/0/sku":           `"A"`,
		"$response.body#/lines/00/sku":          "absent",
		"$response.body#/lines/1":               "absent",
		"$response.body#/lines/-1":              "absent",
		"$response.body#/none":                  `null`,
		"$response.body#/missing":               "absent",
		"$response.body#/id/deeper":             "absent",
		"$response.body#":                       `{"id":12345678901234567890,"lines":[{"quantity":2,"sku":"A"}],"none":null,"status":"Open","total":"12.50"}`,
		"$response.body.lines[0].sku":           `"A"`,
		"$response.body.status":                 `"Open"`,
		"$inputs.n":                             `12`,
		"$inputs.amount":                        `0.10`,
		"$inputs.customer#/tags/1":              `"b"`,
		"$inputs.customer.id":                   `"C1"`,
		"$inputs.customer.tags[0]":              `"a"`,
		"$inputs.dotted.name":                   `7`,
		"$inputs.other":                         "absent",
		"$inputs#/n":                            `12`,
		"$outputs.order":                        `"O-1"`,
		"$outputs":                              `{"order":"O-1"}`,
		"$steps.credit.outputs.limit":           `100`,
		"$steps.credit.outputs.list#/0/name":    `"x"`,
		"$steps.credit.outputs.half.open.a":     `1`,
		"$steps.credit.outputs":                 `{"half.open":{"a":1},"limit":100,"list":[{"name":"x"}]}`,
		"$steps.silent.outputs.x":               "absent",
		"$steps.never.outputs.x":                "absent",
		"$workflows.note.outputs.status":        `201`,
		"$workflows.note.inputs.subject":        `"s"`,
		"$workflows.never.outputs.status":       "absent",
		"$sourceDescriptions.petstore.url":      "absent", // put in when the document is checked
		"$components.parameters.page":           "absent",
		"$self":                                 "absent",
		"$request.path.other":                   "absent",
		"$request.header.X-Trace!strange":       "absent",
		"$response.body#/lines/99999999999/sku": "absent",
	} {
		e, err := parseExpression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := "absent"
		if value, ok := e.Eval(s); ok {
			data, err := mapping.AppendJSON(nil, value, maxText)
			if err != nil {
				t.Fatal(err)
			}
			got = string(data)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
		if e.String() != text {
			t.Errorf("%s is written %s", text, e)
		}
	}
}

func TestExpressionsWithoutExchange(t *testing.T) {
	s := &fixed{}
	for _, text := range []string{"$url", "$method", "$statusCode", "$request.body", "$response.body", "$inputs.x", "$outputs.x", "$response.header.X"} {
		e, err := parseExpression(text)
		if err != nil {
			t.Fatal(err)
		}
		if value, ok := e.Eval(s); ok {
			t.Errorf("%s is %v", text, value)
		}
	}
}

func TestExpressionsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "is not a runtime expression",
		"inputs.x":                             "is not a runtime expression",
		"$input.x":                             `did you mean "$inputs"?`,
		"$url.x":                               "is not a runtime expression",
		"$statuscode":                          `did you mean "$statusCode"?`,
		"$inputs.":                             "names are made of letters",
		"$inputs.a b":                          "names are made of letters",
		"$inputsx":                             "is not a runtime expression",
		"$inputs.a#x":                          "is not a JSON pointer",
		"$inputs.a#/~2":                        "~ is written ~0",
		"$inputs.a[x]":                         "an item of a list is written [0]",
		"$inputs.a[0":                          "an item of a list is written [0]",
		"$response.headers.Location":           `did you mean "header"?`,
		"$response.query.x":                    "no query",
		"$response.bodyx":                      "is not a runtime expression",
		"$response.body.":                      "a place in a value is written #/NAME",
		"$response.body/id":                    "is not a runtime expression",
		"$request.header.":                     "write $request.header.NAME",
		"$request.header.a b":                  "is not the name of a header",
		"$request.cookie.x":                    "is not a runtime expression",
		"$steps.x":                             "write $steps.STEP.outputs.NAME",
		"$steps.x.inputs.y":                    "write $steps.STEP.outputs.NAME",
		"$steps..outputs.y":                    "write $steps.STEP.outputs.NAME",
		"$workflows.x.steps.y":                 "write $workflows.WORKFLOW.outputs.NAME",
		"$sourceDescriptions.x":                "write $sourceDescriptions.NAME.OPERATION",
		"$components.inputs.x":                 "write $components.parameters.NAME",
		"$message.payload":                     "AsyncAPI",
		"$workflow_order_id":                   "is not a runtime expression",
		"$inputs." + strings.Repeat("a", 5000): "4096 characters at most",
	} {
		e, err := parseExpression(text)
		if err == nil {
			t.Errorf("%q is read as %+v", text, e)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestConditions(t *testing.T) {
	s := example(t)
	for text, want := range map[string]bool{
		"$statusCode == 201":                             true,
		"$statusCode==200||$statusCode==201":             true,
		"$statusCode == 200 || $statusCode == 202":       false,
		"$statusCode >= 200 && $statusCode < 300":        true,
		"$statusCode > 201":                              false,
		"$statusCode <= 201":                             true,
		"!($statusCode == 200)":                          true,
		"!$inputs.yes":                                   false,
		"!!$inputs.yes":                                  true,
		"$inputs.yes":                                    true,
		"$inputs.other":                                  false,
		"!$inputs.other":                                 true,
		"$inputs.nothing":                                false,
		"$inputs.nothing == null":                        true,
		"$inputs.other == null":                          true,
		"$inputs.n != null":                              true,
		"$response.body#/none != null":                   false,
		"$response.body#/status == 'open'":               true, // regardless of case
		"$response.body.status == 'OPEN'":                true,
		"$response.body#/status != 'closed'":             true,
		"$response.body#/status == 'it''s'":              false,
		"'it''s' == 'IT''S'":                             true,
		"$response.body#/lines[0].quantity == 2":         false, // the pointer's token is lines[0].quantity
		"$response.body.lines[0].quantity == 2":          true,
		"($response.body.lines)[0].sku == 'a'":           true,
		"$response.body#/total == 12.5":                  true, // a text that is a number
		"$response.body#/total > 12":                     true,
		"$response.body#/id == 12345678901234567890":     true,
		"$response.body#/id == 12345678901234567891":     false, // not as floating point numbers
		"$inputs.amount == 0.1":                          true,
		"$inputs.amount == 1e-1":                         true,
		"$inputs.n == '12'":                              true,
		"$inputs.n == 'twelve'":                          false,
		"$inputs.yes == 'true'":                          false,
		"$inputs.yes == true":                            true,
		"$inputs.yes == 1":                               false,
		"$inputs.customer.tags == $inputs.customer.tags": true,
		"$inputs.customer.tags < 3":                      false,
		"$inputs.customer.tags >= 3":                     false,
		"'b' > 'A'":                                      true,
		"false || true && false":                         false, // && binds tighter
		"(true || true) && false":                        false,
		"true || (true && false)":                        true,
		"{$statusCode == 201}":                           true,
		"{$statusCode} == 201 && {$inputs.yes}":          true,
		"-1 < 0":                                         true,
		" \t$statusCode\n== 201 ":                        true,
		"$steps.credit.outputs.limit>=$inputs.n":         true,
		"null == null":                                   true,
		"null == false":                                  false,
		"$response.header.Location == '/orders/7'":       true,
		"$request.query.page == 2":                       true,
	} {
		c, _, err := parseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := truth(c.value(s)); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
}

func TestConditionsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "ends too early",
		"$statusCode ==":              "ends too early",
		"$statusCode = 200":           "two values are equal when they are ==",
		"$statusCode == 200 and true": "expected && or ||",
		"$a == 1":                     "is not a runtime expression",
		"1 == 2 == 3":                 "expected && or ||",
		"!$inputs.a == 1":             "it is not clear what ! applies to",
		"(true":                       "expected )",
		"{true)":                      "expected }",
		"true)":                       "expected && or ||",
		"'open":                       "does not end",
		`"open" == 1`:                 "single quotes",
		"open == 1":                   "expected an expression such as $statusCode",
		"0x10 == 1":                   "is not a number",
		"1e999 == 1":                  "is not a number",
		"01 == 1":                     "is not a number",
		"$statusCode == 200 &":        "expected && or ||",
		"&& true":                     "expected an expression",
		"truely":                      "expected an expression",
		strings.Repeat("(", 100):      "nested too deeply",
		strings.Repeat("!", 100):      "nested too deeply",
		"$response.header.x y":        "expected && or ||",
		"(true).":                     "a property is written .NAME",
		"(true)[a]":                   "an item of a list is written [0]",
		"$statusCode == '" + strings.Repeat("a", 5000) + "'": "4096 characters at most",
	} {
		_, _, err := parseCondition(text)
		if err == nil {
			t.Errorf("%q is read", text)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestCompareLaws holds the order of numbers against exact arithmetic on what
// business has.
func TestCompareLaws(t *testing.T) {
	numbers := []string{"0", "-0", "1", "-1", "0.1", "0.10", "1e2", "100", "12345678901234567890", "12345678901234567891", "9007199254740993", "9007199254740992.0", "-12345678901234567891.5"}
	rank := []int{3, 3, 6, 2, 4, 4, 7, 7, 10, 11, 9, 8, 1}
	for i, a := range numbers {
		for j, b := range numbers {
			x, y := json.Number(a), json.Number(b)
			for operator, want := range map[string]bool{
				"==": rank[i] == rank[j], "!=": rank[i] != rank[j], "<": rank[i] < rank[j], "<=": rank[i] <= rank[j], ">": rank[i] > rank[j], ">=": rank[i] >= rank[j],
			} {
				if compare(operator, x, y) != want {
					t.Errorf("%s %s %s is %v", a, operator, b, !want)
				}
			}
		}
	}
}

func TestTexts(t *testing.T) {
	s := example(t)
	for text, want := range map[string]string{
		"/orders/{$inputs.n}/{$inputs.customer.id}": "/orders/12/C1",
		"{$inputs.customer}":                        `{"id":"C1","tags":["a","b"]}`,
		"{$inputs.nothing}":                         "null",
		"{$inputs.yes}!":                            "true!",
		"{not an expression}":                       "{not an expression}",
		"a {$inputs.other} b":                       "absent",
	} {
		pieces, err := parseText(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := "absent"
		if value, ok := evalText(pieces, s); ok {
			got = fmt.Sprint(value)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"{$inputs.a", "{$wrong}", "x{$}"} {
		if pieces, err := parseText(text, nil); err == nil {
			t.Errorf("%s is read as %v", text, pieces)
		}
	}
}

// FuzzExpressions looks for texts that stop the parser or the evaluation, and
// for expressions that are not read again as they are written.
func FuzzExpressions(f *testing.F) {
	for _, seed := range []string{"$inputs.a.b[0]#/c", "$response.body#/a~1b", "$steps.a.outputs.b", "$workflows.a.inputs.b", "$request.header.X", "$sourceDescriptions.a.url", "$components.parameters.a", "$self", "$inputs.customer.tags[1]"} {
		f.Add(seed)
	}
	s := example(f)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseExpression(text)
		if err != nil {
			if err.wrong == "" {
				t.Error("a refusal says nothing")
			}
			return
		}
		value, ok := e.Eval(s)
		again, err := parseExpression(e.String())
		if err != nil {
			t.Fatalf("%q is not read again: %v", text, err)
		}
		if other, okay := again.Eval(s); ok != okay || !reflect.DeepEqual(value, other) {
			t.Errorf("%q gives %v and %v", text, value, other)
		}
		if _, err := parseText("{"+text+"}", nil); err != nil && !strings.Contains(text, "}") {
			t.Errorf("%q is no expression in braces: %v", text, err)
		}
	})
}

// FuzzConditions looks for texts that stop the parser or the evaluation. What is read
// can be negated, and holds then exactly when it did not.
func FuzzConditions(f *testing.F) {
	for _, seed := range []string{"$statusCode == 200 && !($inputs.a < 3 || 'it''s' != null)", "{$inputs.n >= -1.5e3}", "($response.body.lines)[0].sku == 'a'", "!!true", "$response.body#/a == $inputs.b"} {
		f.Add(seed)
	}
	s := example(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, expressions, err := parseCondition(text)
		if err != nil {
			if err.wrong == "" {
				t.Error("a refusal says nothing")
			}
			return
		}
		holds := truth(c.value(s))
		for _, e := range expressions {
			if !strings.Contains(text, e.String()) {
				t.Errorf("%q has no %q in it", text, e)
			}
		}
		opposite, _, err := parseCondition("!(" + text + ")")
		if err != nil {
			if strings.Contains(err.wrong, "nested") || strings.Contains(err.wrong, "characters at most") {
				return
			}
			t.Fatalf("%q cannot be negated: %v", text, err)
		}
		if truth(opposite.value(s)) == holds {
			t.Errorf("%q and its opposite are both %v", text, holds)
		}
	})
}

func BenchmarkCondition(b *testing.B) {
	s := example(b)
	c, _, err := parseCondition("$statusCode == 201 && $response.body#/lines/0/sku == 'A' && $steps.credit.outputs.limit >= $inputs.n")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !truth(c.value(s)) {
			b.Fatal("does not hold")
		}
	}
}
