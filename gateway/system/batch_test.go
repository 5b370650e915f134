package system

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/sim"
	"github.com/headrace/headrace/specs"
)

const bodied = "      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}\n"

// withBody gives an operation of at a request body.
func withBody(operation string) string {
	return strings.Replace(operation, "      responses:", bodied+"      responses:", 1)
}

// sendBatch sends bodies as requests of an operation in one call. What became of
// each is told in a line.
func (w *world) sendBatch(operation, method string, requests ...Request) (lines []string) {
	w.t.Helper()
	var list []*Request
	for i := range requests {
		r := requests[i]
		r.Operation, r.Method, r.Received, r.IdempotencyKey = "orders/v1/"+operation, method, time.Now(), fmt.Sprintf("key-%d", i+1)
		r.Header = http.Header{"Content-Type": {"application/json"}}
		list = append(list, &r)
	}
	for _, r := range w.set.SendBatch(context.Background(), Request{RequestID: "b", Correlation: "b", Class: specs.Normal, Received: time.Now(), Wait: time.Second}, list) {
		line := r.Outcome.String()
		if r.Response != nil {
			line += fmt.Sprintf(" %d %s", r.Response.Status, r.Response.Bytes)
		}
		if r.Err != nil {
			line += " " + r.Err.Problem.Name
		}
		if r.Alone() {
			line += " alone"
		}
		lines = append(lines, line)
	}
	return lines
}

func jsonBody(text string) Request { return Request{Body: []byte(text)} }

func (w *world) wantLines(got []string, want ...string) {
	w.t.Helper()
	if len(got) != len(want) {
		w.t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			w.t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

// collections are Salesforce's: records in their order.
const collections = `batch:
  operation: collection
  size: 200
  request: '{allOrNone: false, records: map(.body + {attributes: {type: "Account"}})}'
  results: 'map(if .success then {status: 201, body: .} else {status: 400, body: (.errors | map({message, errorCode: .statusCode}))} end)'`

// A collection counts as one call, and each record has an answer as if it had
// been sent alone.
func TestSalesforceCollection(t *testing.T) {
	w, s := simulated(t, "salesforce", sim.Options{Latency: time.Millisecond, Seed: 1}, "profile: salesforce",
		withBody(at("POST", "/accounts", "account", "call: {path: /services/data/v62.0/sobjects/Account, response: '{id}'}\n"+collections))+
			withBody(at("POST", "/collection", "collection", "call: {path: /services/data/v62.0/composite/sobjects}")))
	long := `{"Name":"` + strings.Repeat("x", 256) + `"}`
	w.wantLines(w.sendBatch("account", "POST", jsonBody(`{"Name":"a"}`), jsonBody(long), jsonBody(`{"Name":"b"}`)),
		`delivered 201 {"id":"`, "refused system-refused", `delivered 201 {"id":"`)
	if r := s.Report(); r.Arrived != 1 || r.Effects != 2 {
		t.Errorf("%+v", r)
	}
	var many []Request
	for range 201 {
		many = append(many, jsonBody(`{"Name":"a"}`))
	}
	if got := w.sendBatch("account", "POST", many...); !strings.HasSuffix(got[0], " alone") || !strings.HasSuffix(got[200], " alone") {
		t.Errorf("got %q", got[0])
	}
	w.fault(`{"kind": "overload", "count": 1}`)
	w.wantLines(w.sendBatch("account", "POST", jsonBody(`{"Name":"a"}`), jsonBody(`{"Name":"b"}`)), "overload", "overload")
}

// odata is Business Central's JSON $batch: whole requests with ids.
const odata = `batch:
  operation: batch
  size: 100
  request: '{requests: map({id, method, url: (.path | ltrimstr("/v2.0/t/production/api/v2.0/")), headers: {"Content-Type": "application/json"}, body})}'
  results: .responses
`

// The parts of a $batch are requests of their own. After one that fails the
// others are not done, and nothing is said of them, unless the call asks for more.
func TestBusinessCentralBatch(t *testing.T) {
	for _, c := range []struct{ headers, third string }{
		{"{Prefer: '\"odata.continue-on-error\"'}", "delivered 201"},
		{"{}", "doubtful bad-gateway"},
	} {
		w, _ := simulated(t, "business-central", sim.Options{Latency: time.Millisecond, Seed: 1}, "profile: business-central",
			withBody(at("POST", "/orders", "order", "call: {path: /v2.0/t/production/api/v2.0/companies(1)/salesOrders, response: '{id, number}'}\n"+odata))+
				withBody(at("POST", "/batch", "batch", "call: {path: /v2.0/t/production/api/v2.0/$batch, headers: "+c.headers+"}")))
		w.wantLines(w.sendBatch("order", "POST", jsonBody(`{"number":"S1"}`), jsonBody(`{}`), jsonBody(`{"number":"S3"}`)), `delivered 201 {"id":"`, "refused system-refused", c.third)
	}
}

// What is passed of a write to a batch is what would be sent of it alone, and
// nothing secret.
func TestPartsOfABatch(t *testing.T) {
	t.Setenv("KEY", "very-secret")
	body := ""
	w := open(t, plan{
		system: "credentials: {kind: api-key, key: \"${env:KEY}\"}",
		paths: withBody(at("PUT", "/things/{id}", "put", `call: {path: "/t/{id}", method: PATCH, query: {v: "2"}, request: "{name}", headers: {X-Kind: "\"k\""}}
idempotency: {class: header, header: X-Once}
batch: {operation: bulk, size: 9, keyed: true, request: ., results: "map({status: 204, id})"}`)) + withBody(at("POST", "/bulk", "bulk", "")),
	}, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		body = string(data)
		if r.Header.Get("X-Api-Key") != "very-secret" {
			t.Error("the call has no credential")
		}
		rw.Write(data)
	}))
	one := Request{Params: specs.Params{{Name: "id", Value: "a b"}}, Body: []byte(`{"name":"n","more":1}`), App: "shop", Correlation: "c1"}
	two := Request{Params: specs.Params{{Name: "id", Value: "2"}}, Body: []byte(`{"name":"m"}`)}
	w.wantLines(w.sendBatch("put", "PUT", one, two, jsonBody("{")), "delivered 204", "delivered 204", "refused bad-request")
	for _, part := range []string{`"id":"1"`, `"method":"PATCH"`, `"path":"/t/a%20b?v=2"`, `"body":{"name":"n"}`, `"x-once":"key-1"`, `"x-once":"key-2"`, `"x-kind":"k"`, `"app":"shop"`, `"params":{"id":"a b"}`, `"x-correlation-id":"c1"`} {
		if !strings.Contains(body, part) {
			t.Errorf("the batch has no %s: %s", part, body)
		}
	}
	if strings.Contains(body, "secret") || strings.Contains(body, "more") {
		t.Errorf("the batch was %s", body)
	}
}

func TestBatchProblems(t *testing.T) {
	bulk := withBody(at("POST", "/bulk", "bulk", ""))
	write := func(batch string) string {
		return withBody(at("POST", "/w", "write", "batch: {operation: bulk, size: 5, "+batch+"}")) + bulk
	}
	jsonrpc := withBody(at("POST", "/w", "write", "batch: {operation: bulk, size: 5, request: ., results: .}\ncall: {method: common.a}")) +
		withBody(at("POST", "/bulk", "bulk", "call: {method: common.b}"))
	for _, c := range []struct{ system, paths, want string }{
		{"", write("request: ., results: ."), ""},
		{"", write("request: '.a |', results: ."), `apis/orders/1.0.0/openapi.yaml:9:52: paths["/w"].post.x-headrace.batch.request: is not a mapping: unexpected EOF (line 1, column 5 of the text)`},
		{"", write("request: ., results: mappings/split.jq"), `apis/orders/1.0.0/openapi.yaml:9:64: paths["/w"].post.x-headrace.batch.results: there is no mapping "mappings/split.jq"; none is defined`},
		{"dialect: jsonrpc\n", jsonrpc, `apis/orders/1.0.0/openapi.yaml:9:16: paths["/w"].post.x-headrace.batch: the dialect jsonrpc has no batches; only rest has them`},
	} {
		got := problems(t, plan{system: c.system, paths: c.paths})
		if got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.paths, got, c.want)
		}
	}
}
