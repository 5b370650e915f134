package telemetry

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/headrace/headrace/gateway"
)

const (
	callerTrace = "0af7651916cd43dd8448eb211c80319c"
	callerSpan  = "b7ad6b7169203331"
	traceparent = "00-" + callerTrace + "-" + callerSpan + "-01"
)

// otlp is a collector: it keeps the spans that it is sent, and the raw bytes.
type otlp struct {
	mu       sync.Mutex
	spans    []*tracepb.Span
	resource []*common.KeyValue
	raw      strings.Builder
	paths    []string
}

// startCollector starts a collector and points the environment at it.
func startCollector(t *testing.T) *otlp {
	c := &otlp{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return c
}

func (c *otlp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(body)
	}
	data, err := io.ReadAll(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(data)
	c.paths = append(c.paths, r.URL.Path)
	var request collector.ExportTraceServiceRequest
	if r.URL.Path != "/v1/traces" || err != nil || proto.Unmarshal(data, &request) != nil {
		return
	}
	for _, resource := range request.ResourceSpans {
		c.resource = resource.Resource.Attributes
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

func (c *otlp) span(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, s := range c.spans {
		if s.Name == name {
			return s
		}
		names = append(names, s.Name)
	}
	t.Fatalf("no span %q among %q", name, names)
	return nil
}

func attributes(list []*common.KeyValue) map[string]any {
	m := map[string]any{}
	for _, a := range list {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			m[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			m[a.Key] = v.IntValue
		case *common.AnyValue_DoubleValue:
			m[a.Key] = v.DoubleValue
		}
	}
	return m
}

func expectAttributes(t *testing.T, have map[string]any, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if have[name] != value {
			t.Errorf("%s is %v, not %v", name, have[name], value)
		}
	}
}

func get(target string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestSpanOfAnExchange(t *testing.T) {
	quiet(t)
	c := startCollector(t)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	tel, log := open(t, slog.LevelInfo)
	op := operation()
	op.Handler = tel.Layer(answering{}).Bind(nil)
	tel.Prepare(op)
	x := exchange(op, get("/orders/v1/orders/7?q=1", "Traceparent", traceparent, "Tracestate", "vendor=1"))
	x.Record.Started = time.Now().Add(-time.Second)
	tel.Begin(x)
	if x.Correlation != callerTrace {
		t.Errorf("the correlation id is %q", x.Correlation)
	}
	if _, err := op.Handler(x); err != nil {
		t.Fatal(err)
	}
	_, call := tel.Tracer().Start(x.Context(), "erp")
	call.End()
	x.App = &gateway.App{Name: "shop"}
	x.Record.Attempts, x.Record.Cache = 1, "miss"
	tel.End(ended(x, 503, gateway.Saturated.Name))
	lines := logged(t, tel, log)

	server := c.span(t, "GET /orders/v1/orders/{id}")
	expectAttributes(t, attributes(server.Attributes), map[string]any{
		"http.request.method": "GET", "http.route": "/orders/v1/orders/{id}", "url.path": "/orders/v1/orders/7", "url.scheme": "http",
		"http.response.status_code": int64(503), "error.type": "saturated",
		"headrace.api": "orders", "headrace.version": "1.2.0", "headrace.operation": "getOrder", "headrace.app": "shop",
		"headrace.class": "high", "headrace.decision": "saturated", "headrace.cache": "miss", "headrace.attempts": int64(1),
		"headrace.request_id": "req-1", "headrace.correlation_id": callerTrace,
	})
	if server.Kind != tracepb.Span_SPAN_KIND_SERVER || server.Status.Code != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("kind %v, status %v", server.Kind, server.Status)
	}
	if hexID(server.TraceId) != callerTrace || hexID(server.ParentSpanId) != callerSpan || server.TraceState != "vendor=1" {
		t.Error("the span does not go on with the caller's trace")
	}
	if took := time.Duration(server.EndTimeUnixNano - server.StartTimeUnixNano); took < time.Second || took > 5*time.Second {
		t.Errorf("the span took %s", took)
	}
	policies, system := c.span(t, "policies"), c.span(t, "erp")
	if string(policies.ParentSpanId) != string(server.SpanId) || string(system.ParentSpanId) != string(server.SpanId) {
		t.Error("the inner spans are not the server span's children")
	}
	if policies.StartTimeUnixNano != server.StartTimeUnixNano {
		t.Error("the policies' span does not begin with the exchange")
	}
	expectAttributes(t, attributes(c.resource), map[string]any{
		"service.name": "headrace", "service.version": "1.2.3", "deployment.environment.name": "test",
	})
	if lines[0]["trace_id"] != callerTrace {
		t.Errorf("%v", lines[0])
	}
	if !strings.Contains(strings.Join(c.paths, " "), "/v1/metrics") {
		t.Error("metrics are not exported to the endpoint")
	}
}

// answering is a layer that answers everything.
type answering struct{}

func (answering) Bind(*gateway.Binding) gateway.Handler {
	return func(*gateway.Exchange) (*gateway.Response, error) { return &gateway.Response{Status: 200}, nil }
}

func hexID(id []byte) string {
	if len(id) == 16 {
		return trace.TraceID(id).String()
	}
	return trace.SpanID(id).String()
}

func TestSpansOfRequestsThatMatchNothing(t *testing.T) {
	quiet(t)
	c := startCollector(t)
	tel, log := open(t, slog.LevelInfo)
	for _, method := range []string{"DELETE", "BREW"} {
		r := get("/secret-looking/path")
		r.Method = method
		x := exchange(nil, r)
		tel.Begin(x)
		tel.End(ended(x, 404, gateway.NotFound.Name))
	}
	lines := logged(t, tel, log)
	known, unknown := c.span(t, "DELETE"), c.span(t, "HTTP")
	expectAttributes(t, attributes(known.Attributes), map[string]any{"http.request.method": "DELETE", "http.response.status_code": int64(404)})
	expectAttributes(t, attributes(unknown.Attributes), map[string]any{"http.request.method": "_OTHER"})
	if known.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Error("a caller's fault is no error of the server span")
	}
	if lines[0]["correlation_id"] != hexID(known.TraceId) {
		t.Error("the correlation id is not the new trace's id")
	}
}

func TestSpanNames(t *testing.T) {
	var tel Telemetry
	matched, unmatched := tel.observe(operation()), tel.observe(nil)
	for _, c := range []struct {
		o            *observed
		method, name string
	}{
		{matched, "GET", "GET /orders/v1/orders/{id}"},
		{matched, "OPTIONS", "OPTIONS /orders/v1/orders/{id}"},
		{unmatched, "GET", "GET"},
		{unmatched, "_OTHER", "HTTP"},
	} {
		if name := c.o.spanName(c.method); name != c.name {
			t.Errorf("%s: %q, not %q", c.method, name, c.name)
		}
	}
}

func TestOnlyTheLayerEndsThePolicies(t *testing.T) {
	quiet(t)
	off, _ := open(t, slog.LevelError)
	if _, same := off.Layer(answering{}).(answering); !same {
		t.Error("the layer is wrapped although tracing is off")
	}
	startCollector(t)
	on, _ := open(t, slog.LevelError)
	if on.Layer(unbound{}).Bind(nil) != nil {
		t.Error("a layer that could not bind got a handler")
	}
}

type unbound struct{}

func (unbound) Bind(*gateway.Binding) gateway.Handler { return nil }

// sent is the traceparent that a call to a system would carry.
func sent(x *gateway.Exchange) string {
	h := http.Header{}
	propagation.TraceContext{}.Inject(x.Context(), propagation.HeaderCarrier(h))
	return h.Get("Traceparent")
}

func TestWithoutTracingTheCallersTraceIsPassedOn(t *testing.T) {
	for _, c := range []struct {
		name                     string
		header                   []string
		sent, trace, correlation string
	}{
		{"no header", nil, "", "", "req-1"},
		{"valid", []string{"Traceparent", traceparent}, traceparent, callerTrace, callerTrace},
		{"invalid", []string{"Traceparent", "00-zz-11-01"}, "", "", "req-1"},
		{"own correlation id", []string{"Traceparent", traceparent, "X-Correlation-Id", "req-1"}, traceparent, callerTrace, "req-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			quiet(t)
			tel, log := open(t, slog.LevelInfo)
			x := exchange(nil, get("/", c.header...))
			tel.Begin(x)
			if have := sent(x); have != c.sent {
				t.Errorf("traceparent %q, not %q", have, c.sent)
			}
			ctx, span := tel.Tracer().Start(x.Context(), "erp")
			if span.IsRecording() {
				t.Error("a span is made")
			}
			x.Request = x.Request.WithContext(ctx)
			if have := sent(x); have != c.sent {
				t.Errorf("traceparent inside the span %q, not %q", have, c.sent)
			}
			if x.Correlation != c.correlation {
				t.Errorf("correlation id %q, not %q", x.Correlation, c.correlation)
			}
			tel.End(ended(x, 200, "answered"))
			if line := logged(t, tel, log)[0]; c.trace != "" && line["trace_id"] != c.trace || c.trace == "" && line["trace_id"] != nil {
				t.Errorf("%v", line)
			}
		})
	}
}

func TestSamplerOfTheEnvironment(t *testing.T) {
	quiet(t)
	c := startCollector(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	tel, log := open(t, slog.LevelInfo)
	x := exchange(nil, get("/", "Traceparent", traceparent))
	tel.Begin(x)
	if have := sent(x); !strings.HasPrefix(have, "00-"+callerTrace+"-") || !strings.HasSuffix(have, "-00") {
		t.Errorf("traceparent %q is not that of an unsampled span of the caller's trace", have)
	}
	tel.End(ended(x, 200, "answered"))
	logged(t, tel, log)
	if len(c.spans) != 0 {
		t.Errorf("%d spans exported", len(c.spans))
	}
}

func TestWhatTheEnvironmentAsksFor(t *testing.T) {
	for _, c := range []struct {
		env             map[string]string
		traces, metrics bool
	}{
		{nil, false, false},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, true},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, true, false},
		{map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"}, false, true},
		{map[string]string{"OTEL_TRACES_EXPORTER": "console"}, true, false},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, true},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false, false},
	} {
		quiet(t)
		for name, value := range c.env {
			t.Setenv(name, value)
		}
		if traces, metrics := exported("TRACES"), exported("METRICS"); traces != c.traces || metrics != c.metrics {
			t.Errorf("%v: traces %t, metrics %t", c.env, traces, metrics)
		}
		for name := range c.env {
			t.Setenv(name, "")
		}
	}
}
