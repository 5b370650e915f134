package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/specs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet takes away what the environment says about exports.
func quiet(t testing.TB) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// open opens a Telemetry that is closed with the test. Variables of the
// environment are set before.
func open(t testing.TB, level slog.Level) (*Telemetry, *gatewaytest.Log) {
	t.Helper()
	log := &gatewaytest.Log{}
	tel, err := Open(t.Context(), Options{Version: "1.2.3", LogWriter: log, LogLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, tel) })
	return tel, log
}

func shut(t testing.TB, tel *Telemetry) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := tel.Close(ctx); err != nil {
		t.Error("Close:", err)
	}
}

func operation() *gateway.Operation {
	return &gateway.Operation{
		API:   &gateway.API{Name: "orders", Version: "1.2.0", Major: "v1", Base: "/orders/v1"},
		Spec:  &specs.Operation{ID: "getOrder", Method: "GET", Path: "/orders/{id}", Governance: specs.OperationGovernance{System: "erp"}},
		Route: "/orders/v1/orders/{id}",
		Class: specs.High,
	}
}

// exchange makes an exchange as the gateway would before Begin.
func exchange(op *gateway.Operation, r *http.Request) *gateway.Exchange {
	x := &gateway.Exchange{Request: r, ID: "req-1", Correlation: "req-1", Operation: op, Class: specs.High}
	x.Record.Started = time.Now()
	return x
}

// ended is how an exchange may come to an end.
func ended(x *gateway.Exchange, status int, decision string) *gateway.Exchange {
	x.Record.Status, x.Record.Decision = status, decision
	return x
}

func scrape(t testing.TB, tel *Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("metrics: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func expectLines(t testing.TB, text string, lines ...string) {
	t.Helper()
	have := "\n" + text
	for _, line := range lines {
		if !strings.Contains(have, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			var near []string
			for l := range strings.Lines(text) {
				if strings.HasPrefix(l, name) {
					near = append(near, l)
				}
			}
			t.Errorf("no line\n%s\namong\n%s", line, strings.Join(near, ""))
		}
	}
}

// logged waits for the log and decodes its lines.
func logged(t testing.TB, tel *Telemetry, log *gatewaytest.Log) []map[string]any {
	t.Helper()
	shut(t, tel)
	var lines []map[string]any
	for text := range strings.Lines(log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestOpenRefusesVariablesItCannotFollow(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER":     "carrier-pigeon",
		"OTEL_METRICS_EXPORTER":    "carrier-pigeon",
		"OTEL_RESOURCE_ATTRIBUTES": "no-equals-sign",
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t)
			t.Setenv(name, value)
			tel, err := Open(t.Context(), Options{LogWriter: &gatewaytest.Log{}})
			if err == nil {
				shut(t, tel)
				t.Fatal("accepted")
			}
		})
	}
}

func TestLoggerWritesTheSameFormat(t *testing.T) {
	quiet(t)
	tel, log := open(t, slog.LevelInfo)
	tel.Logger().Debug("not yet")
	tel.SetLevel(slog.LevelDebug)
	tel.Logger().Debug("the workspace is live", "revision", "abc", "time", "a value that is no time")
	tel.Handle(http.ErrServerClosed)
	lines := logged(t, tel, log)
	if len(lines) != 2 || lines[0]["msg"] != "the workspace is live" || lines[0]["revision"] != "abc" || lines[0]["level"] != "DEBUG" {
		t.Fatalf("%v", lines)
	}
	if _, err := time.Parse(timeFormat, lines[1]["time"].(string)); err != nil || lines[1]["error"] == nil {
		t.Errorf("%v: %v", lines[1], err)
	}
	tel.Logger().Info("after the end")
	if !strings.Contains(log.String(), "after the end") {
		t.Error("a line after Close is lost")
	}
}
