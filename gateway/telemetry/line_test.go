package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

func TestLineOfAnExchange(t *testing.T) {
	op := operation()
	x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7%2F8?key=secret", nil))
	x.Correlation = "corr-1"
	x.App = &gateway.App{Name: "shop"}
	x.Record = gateway.Record{
		Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600)),
		Wait:    1500 * time.Microsecond, System: 20 * time.Millisecond, Attempts: 2,
		Decision: "answered", Cache: "miss", Status: 200, Sent: 512,
		RequestViolations: []specs.Violation{{In: "query", Name: "limit", Detail: "expected an integer"}, {In: "body"}},
		Violations:        []specs.Violation{{In: "body", Pointer: "/total", Detail: "is missing"}},
	}
	var tel Telemetry
	o := tel.observe(op)
	have := string(append(appendLine(nil, x, o, slog.LevelInfo, 1234567*time.Microsecond), '}'))
	want := `{"time":"2026-03-01T11:00:01.234Z","level":"INFO","msg":"exchange","request_id":"req-1","correlation_id":"corr-1",` +
		`"method":"GET","path":"/orders/v1/orders/7%2F8","route":"/orders/v1/orders/{id}","api":"orders","version":"1.2.0",` +
		`"operation":"getOrder","system":"erp","app":"shop","class":"high","status":200,"decision":"answered","bytes":512,` +
		`"duration_ms":1234.567,"wait_ms":1.500,"system_ms":20.000,"attempts":2,"cache":"miss",` +
		`"request_violations":2,"request_faults":["query limit: expected an integer","body: "],"violations":1,"faults":["body/total: is missing"]}`
	if have != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
	if !json.Valid([]byte(have)) {
		t.Error("not JSON")
	}
}

func TestLevelsAndCauses(t *testing.T) {
	for _, c := range []struct {
		name     string
		status   int
		decision string
		level    string
		cause    bool // at level info
	}{
		{"answered", 200, "answered", "INFO", false},
		{"refused", 401, "invalid-credentials", "INFO", false},
		{"left", 499, "caller-left", "INFO", false},
		{"passed on", 500, "answered", "WARN", true},
		{"saturated", 503, "saturated", "WARN", true},
		{"half-way", 200, "broke-off", "WARN", true},
		{"our fault", 500, "internal", "ERROR", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			quiet(t)
			for _, least := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
				tel, log := open(t, least)
				x := exchange(operation(), httptest.NewRequest("GET", "/", nil))
				tel.Prepare(x.Operation)
				tel.Begin(x)
				x.Record.Cause = errRefused
				tel.End(ended(x, c.status, c.decision))
				line := logged(t, tel, log)[0]
				wantCause := c.cause || least == slog.LevelDebug
				if line["level"] != c.level || (line["cause"] == errRefused.Error()) != wantCause {
					t.Errorf("at %s: %v", least, line)
				}
			}
		})
	}
}

func TestLevelLeavesLinesOut(t *testing.T) {
	quiet(t)
	tel, log := open(t, slog.LevelWarn)
	for _, status := range []int{200, 404, 503} {
		x := exchange(nil, httptest.NewRequest("GET", "/", nil))
		tel.Begin(x)
		tel.End(ended(x, status, "answered"))
	}
	if lines := logged(t, tel, log); len(lines) != 1 || lines[0]["status"] != 503.0 {
		t.Errorf("%v", lines)
	}
}

func TestLongValuesAreCut(t *testing.T) {
	quiet(t)
	tel, log := open(t, slog.LevelInfo)
	r := httptest.NewRequest("GET", "/"+strings.Repeat("é", 1000), nil)
	r.Method = strings.Repeat("M", 1000)
	x := exchange(nil, r)
	tel.Begin(x)
	x.Record.Cause = errors.New(strings.Repeat("c", 100_000))
	tel.End(ended(x, 500, "internal"))
	line := logged(t, tel, log)[0]
	if n := len(line["path"].(string)); n != pathLimit {
		t.Error("path", n)
	}
	if n := len(line["method"].(string)); n != 16 {
		t.Error("method", n)
	}
	if n := len(line["cause"].(string)); n != causeLimit {
		t.Error("cause", n)
	}
}

func TestCausesLoseTheSecretsOfURLs(t *testing.T) {
	inner := &url.Error{Op: "Get", URL: "https://user:hunter2@erp.example/orders?api_key=hunter2#hunter2", Err: errRefused}
	for _, err := range []error{
		inner,
		fmt.Errorf("calling the system: %w", inner),
		&url.Error{Op: "Post", URL: "https://other.example/?token=hunter2", Err: inner},
		&url.Error{Op: "Post", URL: "https://other.example/ \"?token=hunter2\n", Err: inner},
		errors.Join(io.EOF, inner),
	} {
		text := causeText(err)
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "connection refused") || !strings.Contains(text, "https://erp.example/orders") {
			t.Error(text)
		}
	}
	if text := causeText(&url.Error{Op: "Get", URL: "https://e\x7f.example/?hunter2", Err: errRefused}); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}

func TestTimesAreThoseOfTheStandardLibrary(t *testing.T) {
	at := time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("", -7*3600))
	for range 10_000 {
		if have, want := string(appendTime(nil, at)), at.UTC().Format(timeFormat); have != want {
			t.Fatalf("%s, not %s", have, want)
		}
		at = at.Add(30*time.Hour + 1_234_567*time.Nanosecond)
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c", "line\nbreak\r\x00\x1b[31m", "é€😀", "\u2028\u202e\u0085\ufeff", "bad\xffutf8\xc3", "\U000e0001", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString(nil, s)
		var back string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%v: %q", err, text)
		}
		if want := string([]rune(s)); back != want { // bytes that are not UTF-8 become U+FFFD
			t.Fatalf("%q came back as %q", s, back)
		}
		if !utf8.Valid(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
		for _, r := range string(text) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u202e' {
				t.Fatalf("%q has an unprintable character", text)
			}
		}
	})
}

// BenchmarkLine compares the line as it is written with the same line by
// log/slog, which is why it is written by hand.
func BenchmarkLine(b *testing.B) {
	op := operation()
	x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7", nil))
	x.App = &gateway.App{Name: "shop"}
	ended(x, 200, "answered")
	var tel Telemetry
	o := tel.observe(op)
	b.Run("hand", func(b *testing.B) {
		b.ReportAllocs()
		line := make([]byte, 0, 1024)
		for b.Loop() {
			line = appendLine(line[:0], x, o, slog.LevelInfo, 1234567*time.Nanosecond)
		}
	})
	b.Run("slog", func(b *testing.B) {
		logger := slog.New(slog.NewJSONHandler(io.Discard, nil)).With(
			"route", op.Route, "api", "orders", "version", "1.2.0", "operation", "getOrder", "system", "erp")
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			logger.LogAttrs(ctx, slog.LevelInfo, "exchange",
				slog.String("request_id", x.ID), slog.String("correlation_id", x.Correlation),
				slog.String("method", x.Request.Method), slog.String("path", path(x.Request)),
				slog.String("app", x.App.Name), slog.String("class", x.Class.String()),
				slog.Int("status", x.Record.Status), slog.String("decision", x.Record.Decision),
				slog.Int64("bytes", x.Record.Sent), slog.Float64("duration_ms", 1.235),
				slog.Float64("wait_ms", x.Record.Wait.Seconds()), slog.Float64("system_ms", x.Record.System.Seconds()),
				slog.Int("attempts", x.Record.Attempts))
		}
	})
}
