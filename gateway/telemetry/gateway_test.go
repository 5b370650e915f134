package telemetry

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// TestThroughTheGateway drives a real gateway over HTTP, through everything
// that an exchange can come to.
func TestThroughTheGateway(t *testing.T) {
	quiet(t)
	tel, log := open(t, slog.LevelInfo)
	answers := map[string]func(*gateway.Exchange) (*gateway.Response, error){
		"well": func(x *gateway.Exchange) (*gateway.Response, error) {
			x.Record.Attempts, x.Record.System = 1, 20*time.Millisecond
			return &gateway.Response{Status: 201, Bytes: []byte("created"), Length: 7}, nil
		},
		"refused": func(*gateway.Exchange) (*gateway.Response, error) {
			return nil, &gateway.Error{Problem: gateway.Throttled, Detail: "slower"}
		},
		"panic": func(*gateway.Exchange) (*gateway.Response, error) { panic("on fire") },
		"broken": func(*gateway.Exchange) (*gateway.Response, error) {
			body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("the system hung up")))
			return &gateway.Response{Status: 200, Body: io.NopCloser(body), Length: 100}, nil
		},
	}
	op := operation()
	op.Handler = func(x *gateway.Exchange) (*gateway.Response, error) { return answers[x.Params.Get("id")](x) }
	table := &gateway.Table{Operations: []*gateway.Operation{op}, Tree: new(specs.Tree[*gateway.Operation])}
	if err := table.Tree.Add("GET", op.Route, op); err != nil {
		t.Fatal(err)
	}
	g := gateway.New(gateway.Options{Recorder: tel})
	server := httptest.NewServer(g)
	// On a fresh connection each, the client sends nothing twice by itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) {
		r, _ := http.NewRequest("GET", server.URL+path, nil)
		r.Header.Set("Traceparent", traceparent)
		if resp, err := client.Do(r); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	get("/too/early")
	g.Swap(table)
	for _, path := range []string{"/orders/v1/orders/well?secret", "/orders/v1/orders/refused", "/orders/v1/orders/panic", "/orders/v1/orders/broken", "/nowhere"} {
		get(path)
	}
	server.Close() // waits for the exchanges to end
	expectLines(t, scrape(t, tel), `headrace_requests_in_flight 0`,
		`headrace_requests_total{api="orders",app="",decision="answered",operation="getOrder",status="2xx",version="1.2.0"} 1`,
		`headrace_requests_total{api="orders",app="",decision="broke-off",operation="getOrder",status="2xx",version="1.2.0"} 1`)
	lines := logged(t, tel, log)
	want := []struct {
		level, decision, route, cause string
		status, bytes                 float64
	}{
		{"WARN", "not-ready", "", "", 503, -1},
		{"INFO", "answered", op.Route, "", 201, 7},
		{"INFO", "throttled", op.Route, "", 429, -1},
		{"ERROR", "internal", op.Route, "panic: on fire", 500, -1},
		{"WARN", "broke-off", op.Route, "the system hung up", 200, 4},
		{"INFO", "not-found", "", "", 404, -1},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %s", len(lines), log)
	}
	for i, w := range want {
		line := lines[i]
		route, _ := line["route"].(string)
		cause, _ := line["cause"].(string)
		if line["level"] != w.level || line["decision"] != w.decision || route != w.route || line["status"] != w.status ||
			!strings.HasPrefix(cause, w.cause) || (cause == "") != (w.cause == "") || w.bytes >= 0 && line["bytes"] != w.bytes {
			t.Errorf("have %v\nwant %+v", line, w)
		}
		if line["trace_id"] != callerTrace || line["correlation_id"] != callerTrace || len(line["request_id"].(string)) != 32 {
			t.Errorf("ids: %v", line)
		}
	}
}
