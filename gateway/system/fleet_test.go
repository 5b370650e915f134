package system

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// What has not changed outlasts a reload: connections, sessions, the breaker
// and the counts of the budget. What has changed does not.
func TestReload(t *testing.T) {
	e := newERP()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(e)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	t.Setenv("ERP_SECRET", "one")
	w := &world{t: t, calls: &observed{count: map[string]int{}}, plan: plan{
		url: server.URL, paths: at("GET", "/x", "x", "wait: 0s"), system: sessionSettings + "limits: [{name: window, capacity: 5, hold: 1h, pace: off}]\n",
	}}
	w.start(Options{})
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1") // log-in, context, call: 3
	p := w.plan
	p.system += "title: Another\ntimeout: 29s\n"
	w.reload(p)
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1") // 4
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	p.system += "connections: {max: 3}\n"
	w.reload(p)
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1") // 5
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	w.want(w.send("GET", "/x", ""), 503, "saturated")
	// New limits keep the counts; they hold from the first call on.
	p.system = strings.Replace(p.system, "capacity: 5", "capacity: 6", 1)
	w.reload(p)
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1") // 6
	w.want(w.send("GET", "/x", ""), 503, "saturated")
	// Another password is another session.
	t.Setenv("ERP_SECRET", "two")
	p.system = strings.Replace(p.system, "capacity: 6", "capacity: 100", 1)
	w.reload(p)
	w.want(w.send("GET", "/x", ""), 200, "Bearer t2")
	if !strings.Contains(e.form, "two") {
		t.Error(e.form)
	}
}

// A set that was only built changes nothing.
func TestRefusedReload(t *testing.T) {
	var got seen
	w := open(t, plan{system: "limits: [{name: window, capacity: 2, hold: 1h, pace: off}]", paths: at("GET", "/x", "x", "wait: 0s")}, got.answers(200, ""))
	w.want(w.send("GET", "/x", ""), 200, "")
	p := w.plan
	p.system = "limits: [{name: window, capacity: 1, hold: 1h, pace: off}]"
	set, _, _ := build(w.fleet, p, w.system.URL)
	set.Close()
	w.want(w.send("GET", "/x", ""), 200, "")
	w.want(w.send("GET", "/x", ""), 503, "saturated")
}

// Sets that come and go leave nothing behind: no goroutine, no connection.
func TestNothingLeaks(t *testing.T) {
	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	t.Setenv("ERP_SECRET", "s")
	e := newERP()
	server := httptest.NewServer(e)
	f := Open(Options{})
	p := plan{url: server.URL, paths: at("GET", "/x", "x", "")}
	for i := range 100 {
		p.system = fmt.Sprintf("limits: [{name: a, capacity: 9}]\nprobes: [{every: 1s, get: /x, pool: a, used: '0'}]\n%sconnections: {max: %d}\n", sessionSettings+[]string{"", "  fresh: 1h\n"}[i%2], i%3+1)
		set, table, ps := build(f, p, "")
		if err := ps.Err(); err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 {
			r := httptest.NewRequest("GET", "/orders/v1/x", nil)
			x := &gateway.Exchange{Request: r, Operation: table.Operations[0]}
			resp, err := table.Operations[0].Handler(x)
			if err != nil {
				t.Fatal(err)
			}
			resp.Close()
		}
		set.Close()
		set.Close()
	}
	f.Close()
	if n := f.transports.len() + f.breakers.len() + f.keepers.len(); n != 0 {
		t.Errorf("%d things are left", n)
	}
	if len(e.valid) != 0 {
		t.Errorf("%d sessions are left", len(e.valid))
	}
	server.Close()
	goleak.VerifyNone(t, before)
}

// While sets are swapped, every call is answered, and sessions are not lost.
func TestReloadUnderLoad(t *testing.T) {
	e := newERP()
	w := openERP(t, e, sessionSettings, at("GET", "/x", "x", ""))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
			}
		})
	}
	for i := range 30 {
		p := w.plan
		p.system += fmt.Sprintf("connections: {max: %d}\n", i%4+1)
		w.reload(p)
		time.Sleep(3 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	if n := e.logins.Load(); n != 1 {
		t.Errorf("%d log-ins", n)
	}
}

func TestStatus(t *testing.T) {
	var got seen
	w := open(t, plan{system: "title: The ERP\nlimits: [{name: concurrency, capacity: 3}]", paths: at("GET", "/x", "x", "")}, got.answers(200, ""))
	s := w.set.Status(t.Context())
	if len(s) != 1 || s[0].Name != "erp" || s[0].Title != "The ERP" || s[0].Dialect != "rest" || s[0].URL != w.system.URL || s[0].Breaker != "closed" ||
		s[0].Credential != "none" || len(s[0].Budget.Pools) != 1 || s[0].Budget.Pools[0].Capacity != 3 {
		t.Errorf("%+v", s)
	}
	if !w.set.Operation("orders/v1/x") || w.set.Operation("orders/v1/y") {
		t.Error("operations")
	}
}

// A request that was kept is the same when it is sent later: as JSON, without
// its exchange, by another set; and it holds no credential.
func TestSendLater(t *testing.T) {
	var got seen
	w := open(t, plan{
		schemes: "{key: {type: apiKey, in: header, name: X-Shop-Key}, query: {type: apiKey, in: query, name: key}}",
		paths: at("POST", "/orders/{id}", "create", `
call: {path: '/sales/{id}', headers: {X-App: $app, X-Then: 'now | todate'}}
idempotency: {class: header, header: X-Once}`) + at("GET", "/orders/{id}", "read", "")[len("  /orders/{id}:\n"):], app: "shop",
	}, got.answers(201, `{"id":1}`, "Location: /sales/1"))
	w.want(w.send("POST", "/orders/a%2Fb?x=1", "", "X-Correlation-Id: c"), 201, "")

	hr := httptest.NewRequest("POST", "/orders/v1/orders/a%2Fb?x=1&key=secret&y=2", strings.NewReader(`{"n":1.0}`))
	for name, value := range map[string]string{"Content-Type": "application/json", "X-Shop-Key": "secret", "Authorization": "secret", "Cookie": "secret", "X-Own": "kept",
		"Connection": "X-Gone", "X-Gone": "1", "Idempotency-Key": "k-1", "Prefer": "return=minimal", "X-Forwarded-For": "6.6.6.6"} {
		hr.Header.Set(name, value)
	}
	table := w.gateway.Table()
	m := table.Tree.Match("POST", "/orders/v1/orders/a%2Fb")
	x := &gateway.Exchange{Request: hr, ID: "r-1", Correlation: "c-1", Operation: m.Value, Params: m.Params, BodyLimit: 1000, App: &gateway.App{Name: "shop"}, Class: specs.High}
	x.Record.Started = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	r, err := w.set.Request(x)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil || strings.Contains(string(data), "secret") {
		t.Fatalf("%s %v", data, err)
	}
	var kept Request
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(&kept)
	if string(again) != string(data) || kept.Class != specs.High || kept.IdempotencyKey != "k-1" {
		t.Errorf("%s became %s", data, again)
	}
	w.reload(w.plan)
	ctx, cancel := context.WithCancel(t.Context())
	result := w.set.Send(ctx, &kept)
	cancel()
	if result.Outcome != Delivered || result.Err != nil || result.Response.Status != 201 || string(result.Response.Bytes) != `{"id":1}` || result.Attempts != 1 {
		t.Fatalf("%+v", result)
	}
	sent, body := got.last()
	if sent.RequestURI != "/sales/a%2Fb?x=1&y=2" || body != `{"n":1.0}` {
		t.Errorf("%s %s", sent.RequestURI, body)
	}
	var headers []string
	for name, values := range sent.Header {
		headers = append(headers, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(headers)
	want := []string{"Content-Length: 9", "Content-Type: application/json", "Prefer: return=minimal", "X-App: shop", "X-Correlation-Id: c-1",
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: example.com", "X-Forwarded-Proto: http", "X-Once: k-1", "X-Own: kept", "X-Request-Id: r-1", "X-Then: 2026-11-23T08:00:00Z"}
	if !reflect.DeepEqual(headers, want) {
		t.Errorf("the system got %v", headers)
	}
	kept.Operation = "orders/v1/gone"
	if r := w.set.Send(t.Context(), &kept); r.Outcome != Refused || r.Err.Problem != gateway.NotFound {
		t.Errorf("%+v", r)
	}
}

// Without a handler that waits, the outcome says what became of it.
func TestSendOutcomes(t *testing.T) {
	status := 200
	w := open(t, plan{system: "overload: [{status: 429, retry_after: 9s}]\nlimits: [{name: window, capacity: 3, hold: 1h, pace: off}]", paths: at("POST", "/x", "x", "")},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	send := func() *Result {
		r := w.set.Send(t.Context(), &Request{Operation: "orders/v1/x", Method: "POST"})
		r.Response.Close()
		return r
	}
	status = 409
	if r := send(); r.Outcome != Refused || r.Response == nil || r.Response.Status != 409 {
		t.Errorf("%+v", r)
	}
	status = 500
	if r := send(); r.Outcome != Doubtful || r.Err == nil || r.Response != nil {
		t.Errorf("%+v", r)
	}
	status = 429
	if r := send(); r.Outcome != Overload || r.RetryAfter != 9*time.Second || r.Attempts != 1 {
		t.Errorf("%+v", r)
	}
	if r := send(); r.Outcome != Overload || r.RetryAfter <= 0 || r.Attempts != 0 {
		t.Errorf("%+v", r)
	}
}

func TestTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	var got seen
	status := 200
	system := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.note(r)
		w.WriteHeader(status)
	}))
	t.Cleanup(system.Close)
	w := &world{t: t, plan: plan{url: system.URL, paths: at("GET", "/x", "x", "")}}
	w.start(Options{Tracer: provider.Tracer("test")})
	w.want(w.send("GET", "/x?secret=1", "", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), 200, "")
	status = 500
	w.send("GET", "/x", "")
	list := spans.GetSpans()
	if len(list) != 2 || list[0].Name != "x" || list[0].SpanKind.String() != "client" || list[1].Status.Code.String() != "Error" {
		t.Fatalf("%+v", list)
	}
	attributes := fmt.Sprint(list[0].Attributes)
	for _, want := range []string{"headrace.system", "http.response.status_code", "headrace.outcome"} {
		if !strings.Contains(attributes, want) {
			t.Errorf("%s has no %s", attributes, want)
		}
	}
	if strings.Contains(attributes, "secret") {
		t.Error(attributes)
	}
	sent, _ := got.last()
	if parent := sent.Header.Get("Traceparent"); !strings.Contains(parent, list[1].SpanContext.SpanID().String()) {
		t.Errorf("traceparent %q", parent)
	}
}

// Without a tracer the caller's trace goes on.
func TestNoTrace(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("GET", "/x", "x", "")}, got.answers(200, ""))
	w.send("GET", "/x", "", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if sent, _ := got.last(); sent.Header.Get("Traceparent") == "" {
		t.Error("the trace ends")
	}
}
