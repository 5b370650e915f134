package arazzo

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// parse parses a document that stands beside an API's.
func parse(text string) (*Document, *source.Problems) {
	ps := &source.Problems{}
	name := "apis/shop/1.0.0/" + FileName
	return Parse(fstest.MapFS{name: &fstest.MapFile{Data: []byte(text)}}, name, ps), ps
}

// document parses one of testdata/documents, which is sound.
func document(t testing.TB, name string) *Document {
	t.Helper()
	ps := &source.Problems{}
	d := Parse(os.DirFS("testdata/documents"), name, ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryField(t *testing.T) {
	d := document(t, "every-1.0.arazzo.yaml")
	if d.Title != "A shop" || d.Version != "3" || len(d.Sources) != 3 || len(d.Workflows) != 4 || len(d.Hash) != 64 {
		t.Errorf("%+v", d)
	}
	buy := d.Workflow("buy")
	if len(buy.DependsOn) != 1 || buy.DependsOn[0].ID != "sign-in" || len(buy.Inputs) != 1 || !buy.Inputs[0].Required {
		t.Errorf("%+v", buy)
	}
	look, pay := buy.Step("look"), buy.Step("pay")
	if look.Call.Method != "GET" || look.Call.Path != "/pets/find" || look.Call.Source.Name != "shop" || pay.Call.ID != "apply" {
		t.Errorf("%+v %+v", look.Call, pay.Call)
	}
	var parameters, actions []string
	for _, p := range look.Parameters {
		value, _ := p.Value.Eval(&fixed{flows: map[string][2]map[string]any{"sign-in": {nil, {"token": "T"}}}})
		text, _ := Text(value)
		parameters = append(parameters, p.In+" "+p.Name+" "+text)
	}
	if got := strings.Join(parameters, ", "); got != "query status available, query page 2, query size 100, header Authorization Bearer T, cookie session abc" {
		t.Error(got)
	}
	for _, a := range pay.OnFailure {
		actions = append(actions, string(a.Kind)+" "+a.Name)
	}
	if got := strings.Join(actions, ", "); got != "retry token, retry later, goto other, retry again, end give-up" {
		t.Error(got)
	}
	if a := pay.OnFailure[0]; a.Flow != d.Workflow("sign-in") || a.RetryAfter != 1500*time.Millisecond || a.RetryLimit != 2 {
		t.Errorf("%+v", a)
	}
	if a := pay.OnFailure[1]; a.Step != look || a.RetryLimit != 1 || a.RetryAfter != 0 {
		t.Errorf("%+v", a)
	}
	// The step's action replaces that of the workflow with its name.
	if len(pay.OnSuccess) != 1 || pay.OnSuccess[0].Flow != d.Workflow("thank") || len(look.OnSuccess) != 3 {
		t.Errorf("%+v %+v", pay.OnSuccess, look.OnSuccess)
	}
}

func TestPayloads(t *testing.T) {
	d := document(t, "every-1.0.arazzo.yaml")
	s := &fixed{
		inputs: object(t, `{"user": "a&b=c", "secret": "ä }", "customer": {"name": "N \"x\""}, "text": "<b>"}`),
		steps:  map[string]map[string]any{"look": {"first": json.Number("7")}},
	}
	for _, c := range [][3]string{
		{"sign-in", "token", "grant_type=password&username=a%26b%3Dc&password=%C3%A4+%7D&scope=read}"},
		{"buy", "pay", `{"channel":"web","customer":{"name":"N \"x\""},"note":"pet 7 for N \"x\"","pet":7,"pets":[7],"source":"./lender.openapi.yaml","terms":true}`},
		{"note", "write", "<note><b></note>"},
	} {
		data, err := d.Workflow(c[0]).Step(c[1]).Body.Bytes(s, 1<<20)
		if err != nil || string(data) != c[2] {
			t.Errorf("%s: %s %v, want %s", c[1], data, err, c[2])
		}
	}
}

func TestEveryFieldOf11(t *testing.T) {
	d := document(t, "every-1.1.arazzo.json")
	w := d.Workflow("count")
	second := w.Step("second")
	if w.Step("first").Timeout != 6*time.Second || len(second.After) != 1 || second.After[0] != 0 {
		t.Errorf("%+v", second)
	}
	s := &fixed{
		inputs:   object(t, `{"sku": "B", "pattern": "op.*", "user": {"sku": "U"}}`),
		steps:    map[string]map[string]any{"first": object(t, `{"all": {"id": 5, "sku": "Z"}}`), "second": object(t, `{"email": "e"}`)},
		exchange: &Exchange{Status: 200, ResponseBody: object(t, `{"status": "open", "count": 3, "lines": [{"sku": "B"}], "user": {"email": "x@example.com"}}`)},
	}
	if value, ok := second.Parameters[0].Value.Eval(s); !ok || value != "U" {
		t.Errorf("%v %v", value, ok)
	}
	data, err := second.Body.Bytes(s, 1<<20)
	if want := `{"id":5,"lines":[{"quantity":1,"sku":"Z"},{"quantity":7,"sku":"B"}]}`; err != nil || string(data) != want {
		t.Errorf("%s %v, want %s", data, err, want)
	}
	if holds, err := Hold(second.Success, s); !holds || err != nil {
		t.Errorf("%v %v", holds, err)
	}
	if value, _ := second.Outputs[0].Value.Eval(s); value != "x@example.com" {
		t.Errorf("%v", value)
	}
	if value, _ := second.Outputs[1].Value.Eval(s); value != "https://flows.example.com/stock.arazzo.json" {
		t.Errorf("%v", value)
	}
	if value, _ := w.Outputs[0].Value.Eval(s); value != "e" {
		t.Errorf("%v", value)
	}
	s.inputs["pattern"] = "(("
	if holds, err := second.Success[0].Holds(s); holds || err == nil {
		t.Errorf("a pattern that is none holds: %v %v", holds, err)
	}
	s.inputs["pattern"], s.inputs["sku"] = "clo.*", "C"
	for _, c := range second.Success[:2] {
		if holds, err := c.Holds(s); holds || err != nil {
			t.Errorf("%s holds: %v %v", c.Text, holds, err)
		}
	}
	delete(s.inputs, "pattern")
	if holds, err := second.Success[0].Holds(s); holds || err != nil {
		t.Errorf("an absent pattern holds: %v %v", holds, err)
	}
}

// small is a document that the tables below change.
const small = `arazzo: 1.0.1
info: {title: Small, version: "1"}
sourceDescriptions:
  - {name: shop, url: "headrace:shop/v1", type: openapi}
workflows:
  - workflowId: main
    inputs: {type: object, properties: {a: {type: string}}}
    steps:
      - stepId: one
        operationId: first
        parameters:
          - {name: p, in: query, value: $inputs.a}
        successCriteria:
          - condition: $statusCode == 200
        outputs: {x: $response.body}
      - stepId: two
        operationId: second
        requestBody: {payload: $steps.one.outputs.x}
    outputs: {y: $steps.one.outputs.x}
  - workflowId: other
    steps:
      - {stepId: three, operationId: third}
components:
  parameters:
    page: {name: page, in: query, value: 1}
`

func TestParseProblems(t *testing.T) {
	if _, ps := parse(small); ps.Len() > 0 {
		t.Fatal(ps.Err())
	}
	const one, two = "      - stepId: one\n", "        operationId: second\n"
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown version", "arazzo: 1.0.1", "arazzo: 2.0.0", "apis/shop/1.0.0/flows.arazzo.yaml:1:9: arazzo: Arazzo 2.0.0 is not supported; 1.0 and 1.1 are"},
		{"no version", "arazzo: 1.0.1\n", "", `the key "arazzo" is missing`},
		{"a version that is a number", "arazzo: 1.0.1", "arazzo: 1.0", "expected a string"},
		{"an unknown key", "    steps:\n      - stepId: one", "    stepz: []\n    steps:\n      - stepId: one", `unknown key "stepz"; did you mean "steps"?`},
		{"no title", "title: Small, ", "", `the key "title" is missing`},
		{"no sources", `  - {name: shop, url: "headrace:shop/v1", type: openapi}` + "\n", "  []\n", "sourceDescriptions is empty"},
		{"AsyncAPI", "type: openapi", "type: asyncapi", "AsyncAPI is not supported"},
		{"an unknown type of source", "type: openapi", "type: swagger", `"swagger" is not known here`},
		{"a source twice", "type: openapi}\n", "type: openapi}\n  - {name: shop, url: x}\n", `there is another source description "shop"`},
		{"a source with a strange name", "name: shop", "name: my.shop", "is not a name that expressions can use"},
		{"a fragment in $self", "arazzo: 1.0.1", "arazzo: 1.1.0\n$self: https://x.example.com/a#b", "$self has a fragment"},
		{"a workflow twice", "workflowId: other", "workflowId: main", `there is another workflow "main"`},
		{"a workflow without a name", "  - workflowId: other\n", "  - summary: x\n", `the key "workflowId" is missing`},
		{"no steps", "      - {stepId: three, operationId: third}\n", "      []\n", "steps is empty"},
		{"a step twice", "stepId: two", "stepId: one", `there is another step "one"`},
		{"a step without a name", "      - {stepId: three, ", "      - {", `the key "stepId" is missing`},
		{"a step that calls nothing", two, "", "the step calls nothing"},
		{"a step that calls two", two, two + "        workflowId: other\n", "operationId and workflowId exclude each other"},
		{"a step of AsyncAPI", two, two + "        action: send\n", "AsyncAPI is not supported"},
		{"an unknown workflow", two, "        workflowId: othr\n", `there is no workflow "othr"; did you mean "other"?`},
		{"a workflow of another document", two, "        workflowId: $sourceDescriptions.shop.x\n", "call the operation that the workflow answers"},
		{"an unknown source", two, "        operationId: $sourceDescriptions.shp.x\n", `there is no source description "shp"; did you mean "shop"?`},
		{"half an operationId", two, "        operationId: $sourceDescriptions.shop\n", "write $sourceDescriptions.NAME.OPERATION"},
		{"an operationPath without a source", two, "        operationPath: /orders/get\n", "names no operation"},
		{"an operationPath elsewhere", two, "        operationPath: '{$sourceDescriptions.shop.url}#/components/x'\n", "names no operation"},
		{"in missing", "in: query, value: $inputs.a", "value: $inputs.a", `the key "in" is missing`},
		{"in of a workflow", two, "        workflowId: other\n        parameters: [{name: a, in: query, value: 1}]\n", "a workflow has inputs, and no query"},
		{"a body for a workflow", two, "        workflowId: other\n", "a workflow has inputs, and no body"},
		{"in body", "in: query, value: $inputs.a", "in: body, value: $inputs.a", "a body is no parameter"},
		{"in querystring", "in: query, value: $inputs.a", "in: querystring, value: $inputs.a", "OpenAPI 3.2"},
		{"an unknown place", "in: query, value: $inputs.a", "in: matrix, value: $inputs.a", "is no place for a parameter"},
		{"a parameter twice", "value: $inputs.a}\n", "value: $inputs.a}\n          - {name: p, in: query, value: 2}\n", `the parameter "p" stands there twice`},
		{"no value", ", value: $inputs.a", "", `the key "value" is missing`},
		{"an unknown component", "{name: p, in: query, value: $inputs.a}", "{reference: $components.parameters.pge}", `there is no component "pge"; did you mean "page"?`},
		{"a component of another kind", "{name: p, in: query, value: $inputs.a}", "{reference: $components.successActions.page}", "does not lead to a component of this kind"},
		{"a component with a strange name", "    page: {", "    'my page': {", "is not a name for a component"},
		{"an unknown input", "$inputs.a", "$inputs.b", `the workflow has no input "b"`},
		{"an input reference that leads nowhere", "inputs: {type: object, properties: {a: {type: string}}}", "inputs: {$ref: '#/components/inputs/x'}", `there is no component "x"`},
		{"an input reference elsewhere", "inputs: {type: object, properties: {a: {type: string}}}", "inputs: {$ref: 'x.json'}", "write #/components/inputs/NAME"},
		{"a schema that is wrong", "a: {type: string}", "a: {type: text}", `"text"`},
		{"an unknown step", "{y: $steps.one.outputs.x}", "{y: $steps.on.outputs.x}", `there is no step "on" in the workflow; did you mean "one"?`},
		{"an unknown output", "{y: $steps.one.outputs.x}", "{y: $steps.one.outputs.z}", `the step one has no output "z"`},
		{"a later step", "value: $inputs.a", "value: $steps.two.outputs", "two is never over when one runs"},
		{"the step itself", "value: $inputs.a", "value: $steps.one.outputs.x", "one is never over when one runs"},
		{"own outputs in criteria", "condition: $statusCode == 200", "condition: $steps.one.outputs.x == 200", "read them from $response"},
		{"an answer before the call", "value: $inputs.a", "value: $response.body#/a", "$response.body#/a is not known here"},
		{"an answer at the end", "{y: $steps.one.outputs.x}", "{y: $statusCode}", "$statusCode is not known here"},
		{"outputs before the end", "value: $inputs.a", "value: $outputs.y", "$outputs.y is not known here"},
		{"an unknown workflow's outputs", "value: $inputs.a", "value: $workflows.x.outputs.y", `there is no workflow "x"`},
		{"a workflow that does not run", "value: $inputs.a", "value: $workflows.other.inputs", "the workflow other does not run before"},
		{"own outputs by the workflow's name", "value: $inputs.a", "value: $workflows.main.outputs.y", "is not known here"},
		{"an operation as a value", "value: $inputs.a", "value: $sourceDescriptions.shop.getX", "$sourceDescriptions.shop.getX is no value"},
		{"an action as a value", "value: $inputs.a", "value: $components.failureActions.x", "is no value"},
		{"an unknown component as a value", "value: $inputs.a", "value: $components.parameters.x", `there is no component "x"`},
		{"an output that is no expression", "{y: $steps.one.outputs.x}", "{y: one}", "is not a runtime expression"},
		{"an output with a strange name", "{y: $steps", "{'y z': $steps", "is not a name for an output"},
		{"a condition that cannot be read", "$statusCode == 200", "$statusCode == 200 and true", "the condition cannot be read"},
		{"no condition", "- condition: $statusCode == 200", "- {context: $statusCode}", `the key "condition" is missing`},
		{"no criteria", "          - condition: $statusCode == 200\n", "          []\n", "successCriteria is empty"},
		{"a pattern without context", "- condition: $statusCode == 200", "- {condition: '^2', type: regex}", "a condition of type regex needs context"},
		{"a pattern that is none", "- condition: $statusCode == 200", "- {condition: '(', type: regex, context: $statusCode}", "is not a regular expression"},
		{"look-around", "- condition: $statusCode == 200", "- {condition: '(?=2)', type: regex, context: $statusCode}", "knows neither look-around nor back-references"},
		{"a JSONPath that is none", "- condition: $statusCode == 200", "- {condition: '$.a[', type: jsonpath, context: $response.body}", "is not a JSONPath"},
		{"XPath", "- condition: $statusCode == 200", "- {condition: /a, type: xpath, context: $response.body}", "XPath is not supported; bodies are JSON here: use jsonpath"},
		{"XPath of a version", "- condition: $statusCode == 200", "- {condition: /a, type: {type: xpath, version: xpath-30}, context: $response.body}", "XPath is not supported"},
		{"an unknown version of JSONPath", "- condition: $statusCode == 200", "- {condition: $.a, type: {type: jsonpath, version: '2'}, context: $response.body}", `"2" is not known here`},
		{"an unknown type of condition", "- condition: $statusCode == 200", "- {condition: $.a, type: cel, context: $response.body}", "is not a type of conditions"},
		{"a payload that is not JSON", "payload: $steps.one.outputs.x", `payload: '{"a": {$inputs.a}}'`, "the payload is not JSON"},
		{"a payload with a wrong expression", "payload: $steps.one.outputs.x", `payload: '{"a": "{$input.a}"}'`, `did you mean "$inputs"?`},
		{"no payload", "payload: $steps.one.outputs.x", "contentType: text/plain", `the key "payload" is missing`},
		{"a replacement without a target", "payload: $steps.one.outputs.x", "payload: 1, replacements: [{value: 1}]", `the key "target" is missing`},
		{"a replacement without a value", "payload: $steps.one.outputs.x", "payload: 1, replacements: [{target: /a}]", `the key "value" is missing`},
		{"a target that is no pointer", "payload: $steps.one.outputs.x", "payload: 1, replacements: [{target: a, value: 1}]", "is not a JSON pointer"},
		{"an expression that does not end", "value: $inputs.a", "value: 'x{$inputs.a'", "does not end"},
		{"an unknown kind of action", two, two + "        onSuccess: [{name: a, type: stop}]\n", `"stop" is not known here`},
		{"a retry after success", two, two + "        onSuccess: [{name: a, type: retry}]\n", `"retry" is not known here`},
		{"a goto nowhere", two, two + "        onSuccess: [{name: a, type: goto}]\n", "goto leads nowhere"},
		{"a goto to an unknown step", two, two + "        onSuccess: [{name: a, type: goto, stepId: x}]\n", `there is no step "x"`},
		{"a goto to two", two, two + "        onSuccess: [{name: a, type: goto, stepId: one, workflowId: other}]\n", "stepId and workflowId exclude each other"},
		{"an end somewhere", two, two + "        onSuccess: [{name: a, type: end, stepId: one}]\n", "an end leads nowhere"},
		{"an action without a name", two, two + "        onSuccess: [{type: end}]\n", `the key "name" is missing`},
		{"an action twice", two, two + "        onFailure: [{name: a, type: end}, {name: a, type: end}]\n", `there is another action "a"`},
		{"a limit of a goto", two, two + "        onFailure: [{name: a, type: goto, stepId: one, retryLimit: 1}]\n", "retryLimit is for type: retry"},
		{"a limit that is negative", two, two + "        onFailure: [{name: a, type: retry, retryLimit: -1}]\n", "-1 is out of range"},
		{"a wait that is no number", two, two + "        onFailure: [{name: a, type: retry, retryAfter: 1s}]\n", "expected a number"},
		{"inputs of a step", two, two + "        onFailure: [{name: a, type: goto, stepId: one, parameters: [{name: x, value: 1}]}]\n", "parameters are the inputs of a workflow"},
		{"an unreachable step", "        operationId: first\n", "        operationId: first\n        onSuccess: [{name: a, type: end}]\n", "no way leads to the step two"},
		{"an endless loop", two, two + "        onSuccess: [{name: a, type: goto, stepId: one}]\n", "never ends well"},
		{"a workflow that calls itself", "{stepId: three, operationId: third}", "{stepId: three, workflowId: other}", "the workflows call each other for ever: other → other"},
		{"workflows that wait for each other", "  - workflowId: other\n", "  - workflowId: other\n    dependsOn: [other]\n", "other → other"},
		{"waiting for an unknown workflow", "  - workflowId: other\n", "  - workflowId: other\n    dependsOn: [x]\n", `there is no workflow "x"`},
		{"waiting twice", two, two + "        dependsOn: [one, one]\n", `"one" stands there twice`},
		{"waiting for nothing", two, two + "        dependsOn: []\n", "dependsOn is empty"},
		{"waiting for a later step", "        operationId: first\n", "        operationId: first\n        dependsOn: [two]\n", "two comes after one"},
		{"waiting for a step elsewhere", two, two + "        dependsOn: [$workflows.other.steps.three]\n", "steps of other workflows cannot be waited for"},
		{"a timeout that is none", two, two + "        timeout: 0\n", "0 is out of range"},
		{"two timeouts", two, two + "        timeout: 5\n        x-headrace: {timeout: 1s}\n", "the step has a timeout already"},
		{"x-headrace where it means nothing", "info: {title: Small, ", "info: {x-headrace: {}, title: Small, ", "x-headrace means nothing here"},
		{"an unknown key of ours", two, two + "        x-headrace: {optionel: true}\n", `unknown key "optionel"; did you mean "optional"?`},
		{"a fallback of what is not optional", one + "", one + "        x-headrace: {fallback: {x: 1}}\n", "only an optional step has a fallback"},
		{"a fallback of no output", one, one + "        x-headrace: {optional: true, fallback: {z: 1}}\n", `the step has no output "z"`},
		{"an unknown compensation", two, two + "        x-headrace: {compensation: {stepId: x}}\n", `there is no step "x"`},
		{"a step that undoes itself", two, two + "        x-headrace: {compensation: {stepId: two}}\n", "a step cannot undo itself"},
		{"a compensation with outputs", two, two + "        x-headrace: {compensation: {stepId: one}}\n", "outputs means nothing here: the step undoes two"},
		{"a compensation that calls nothing", two, two + "        x-headrace: {compensation: {parameters: []}}\n", "the step calls nothing"},
		{"an unknown answer", "    outputs: {y: $steps.one.outputs.x}\n", "    outputs: {y: $steps.one.outputs.x}\n    x-headrace: {answer: {step: x}}\n", `there is no step "x"`},
		{"an answer of two sorts", "    outputs: {y: $steps.one.outputs.x}\n", "    outputs: {y: $steps.one.outputs.x}\n    x-headrace: {answer: {step: one, status: 201}}\n", "status and step contradict each other"},
		{"an answer's header", "    outputs: {y: $steps.one.outputs.x}\n", "    outputs: {y: $steps.one.outputs.x}\n    x-headrace: {answer: {headers: {'A B': x}}}\n", "is not the name of a header"},
		{"an answer's unknown output", "    outputs: {y: $steps.one.outputs.x}\n", "    outputs: {y: $steps.one.outputs.x}\n    x-headrace: {answer: {headers: {A: $outputs.z}}}\n", `the workflow has no output "z"`},
		{"shape of a workflow", two, "        workflowId: other\n        x-headrace: {cache: 1s}\n", "shape and cache are for calls of operations"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(small, c.old, c.new, 1)
			if text == small {
				t.Fatal("nothing was changed")
			}
			_, ps := parse(text)
			for _, p := range ps.List() {
				if strings.Contains(p.String(), c.want) {
					if p.Line == 0 || p.Column == 0 {
						t.Errorf("%v has no place", p)
					}
					return
				}
			}
			t.Errorf("no problem says %q:\n%v", c.want, ps.Err())
		})
	}
}

// TestBounds: what a document costs is bounded.
func TestBounds(t *testing.T) {
	var many, steps strings.Builder
	for i := range maxWorkflows + 1 {
		fmt.Fprintf(&many, "  - {workflowId: w%d, steps: [{stepId: a, operationId: b}]}\n", i)
	}
	for i := range maxSteps + 1 {
		fmt.Fprintf(&steps, "      - {stepId: s%d, operationId: b}\n", i)
	}
	_, ps := parse(strings.Replace(small, "components:\n", many.String()+"components:\n", 1))
	wants(t, ps, "a document has 500 workflows at most")
	_, ps = parse(strings.Replace(small, "components:\n", "  - workflowId: long\n    steps:\n"+steps.String()+"components:\n", 1))
	wants(t, ps, "a workflow has 200 steps at most; put a part of them into a workflow of its own")
	_, ps = parse(strings.Replace(small, "- condition: $statusCode == 200", "- {type: regex, context: $statusCode, condition: '"+strings.Repeat("a", maxPattern+1)+"'}", 1))
	wants(t, ps, "a pattern or path has 1024 characters at most")
	ps = &source.Problems{}
	if d := Parse(fstest.MapFS{"x": &fstest.MapFile{Data: []byte("[1]")}}, "x", ps); d != nil || ps.Len() == 0 {
		t.Error("a list is a document")
	}
}

func TestSourceNames(t *testing.T) {
	for url, want := range map[string]string{
		"headrace:orders/v1":            "orders/v1",
		"headrace:orders/v12":           "orders/v12",
		"../../orders/v2":               "orders/v2",
		"../../orders/v2/":              "orders/v2",
		"../../orders/v2/openapi.yaml":  "orders/v2",
		"./../../orders/v2":             "orders/v2",
		"headrace:orders":               "/",
		"headrace:Orders/v1":            "/",
		"headrace:orders/1.0.0":         "/",
		"../../orders/1.0.0":            "/",
		"../../../orders/v1":            "/",
		"orders/v1":                     "/",
		"/apis/orders/v1":               "/",
		"https://example.com/orders/v1": "/",
		"":                              "/",
	} {
		if name, major := apiOf(url, "apis/shop/1.0.0/flows.arazzo.yaml"); name+"/"+major != want {
			t.Errorf("%s is %s/%s, want %s", url, name, major, want)
		}
	}
}

// FuzzDocument looks for documents that stop the compiler, and evaluates what
// it makes of them.
func FuzzDocument(f *testing.F) {
	for _, name := range []string{"every-1.0.arazzo.yaml", "every-1.1.arazzo.json"} {
		data, err := os.ReadFile("testdata/documents/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(small)
	f.Fuzz(func(t *testing.T, text string) {
		d, ps := parse(text)
		if d == nil {
			if ps.Len() == 0 {
				t.Error("a document is refused without a reason")
			}
			return
		}
		s := example(t)
		for _, w := range d.Workflows {
			for _, step := range w.Steps {
				_, _ = Hold(step.Success, s)
				for _, p := range step.Parameters {
					p.Value.Eval(s)
				}
				if step.Body != nil {
					_, _ = step.Body.Bytes(s, 1<<16)
				}
				for _, i := range step.After {
					if i >= step.Index {
						t.Errorf("%s waits for a step behind it", step.ID)
					}
				}
			}
		}
	})
}

// TestConformanceTable holds the table in docs/arazzo.md against the tests that
// it names.
func TestConformanceTable(t *testing.T) {
	page, err := os.ReadFile("../../../docs/arazzo.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests []byte
	for _, name := range []string{"document_test.go", "expression_test.go", "link_test.go", "landscape_test.go", "criterion_test.go"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, data...)
	}
	_, table, _ := strings.Cut(string(page), "## Conformance")
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 || !strings.Contains(cells[3], "Test") {
			continue
		}
		rows++
		for name := range strings.SplitSeq(strings.TrimSpace(cells[3]), ", ") {
			if !strings.Contains(string(tests), "func "+name+"(") {
				t.Errorf("%s: there is no %s", strings.TrimSpace(cells[0]), name)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were read", rows)
	}
}
