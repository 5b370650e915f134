package telemetry

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// Bounds on what one exchange may put into its line.
const (
	pathLimit  = 256
	causeLimit = 8 << 10
	faultLimit = 5 // violations of a side that are named
)

// prepareLine encodes the fields that are the same for every exchange.
func (o *observed) prepareLine(op *gateway.Operation) {
	b := appendField(nil, "route", op.Route)
	b = appendField(b, "api", o.labels.api)
	b = appendField(b, "version", o.labels.version)
	b = appendField(b, "operation", o.labels.operation)
	if o.system != "" {
		b = appendField(b, "system", o.system)
	}
	o.fields = b
}

// failed tells whether an exchange ended by the fault of the gateway or of a
// system, rather than of its caller.
func failed(r *gateway.Record) bool {
	return r.Status >= 500 || r.Status == 0 || r.Decision == gateway.Internal.Name || r.Decision == "broke-off"
}

func levelOf(r *gateway.Record) slog.Level {
	switch {
	case r.Decision == gateway.Internal.Name:
		return slog.LevelError
	case failed(r):
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// writeLine logs the exchange.
func (t *Telemetry) writeLine(x *gateway.Exchange, o *observed, took time.Duration) {
	level := levelOf(&x.Record)
	least := t.level.Level()
	if level < least {
		return
	}
	buffer := t.lines.Get().(*[]byte)
	b := appendLine((*buffer)[:0], x, o, level, took)
	if x.Record.Cause != nil && (least <= slog.LevelDebug || level > slog.LevelInfo) {
		b = appendField(b, "cause", causeText(x.Record.Cause))
	}
	t.log.Write(append(b, '}', '\n'))
	*buffer = b[:0]
	if cap(b) <= 4<<10 {
		t.lines.Put(buffer)
	}
}

// appendLine encodes an exchange as a JSON object without its end. Written by
// hand because it is on the way of every request: see BenchmarkLine.
func appendLine(b []byte, x *gateway.Exchange, o *observed, level slog.Level, took time.Duration) []byte {
	r := &x.Record
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Started.Add(took))
	b = append(b, `","level":"`...)
	b = append(b, level.String()...)
	b = append(b, `","msg":"exchange"`...)
	b = appendField(b, "request_id", x.ID)
	b = appendField(b, "correlation_id", x.Correlation)
	if sc := trace.SpanContextFromContext(x.Request.Context()); sc.IsValid() {
		b = appendField(b, "trace_id", sc.TraceID().String())
	}
	b = appendField(b, "method", cut(x.Request.Method, 16))
	b = appendField(b, "path", path(x.Request))
	b = append(b, o.fields...)
	if x.App != nil {
		b = appendField(b, "app", x.App.Name)
	}
	if x.Operation != nil {
		b = appendField(b, "class", x.Class.String())
	}
	b = appendNumber(b, "status", int64(r.Status))
	b = appendField(b, "decision", r.Decision)
	b = appendNumber(b, "bytes", r.Sent)
	b = appendMillis(b, "duration_ms", took)
	b = appendMillis(b, "wait_ms", r.Wait)
	b = appendMillis(b, "system_ms", r.System)
	b = appendNumber(b, "attempts", int64(r.Attempts))
	if r.Cache != "" {
		b = appendField(b, "cache", r.Cache)
	}
	b = appendFaults(b, "request_violations", "request_faults", r.RequestViolations)
	return appendFaults(b, "violations", "faults", r.Violations)
}

// appendFaults adds the number of violations, and names the first of them.
func appendFaults(b []byte, number, names string, violations []specs.Violation) []byte {
	if len(violations) == 0 {
		return b
	}
	b = appendNumber(b, number, int64(len(violations)))
	b = append(b, `,"`...)
	b = append(b, names...)
	b = append(b, `":[`...)
	for i, v := range violations[:min(len(violations), faultLimit)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v.String())
	}
	return append(b, ']')
}

// path is the request's path as it was sent, without the query, which may hold secrets.
func path(r *http.Request) string { return cut(r.URL.EscapedPath(), pathLimit) }

func cut(s string, limit int) string { return s[:min(len(s), limit)] }

// causeText is an error's text without the queries and the users of URLs, where
// API keys and passwords stand: net/http puts whole URLs into its errors.
func causeText(err error) string {
	text := err.Error()
	for e := err; ; {
		u, ok := errors.AsType[*url.Error](e)
		if !ok {
			return cut(text, causeLimit)
		}
		clean := bareURL(u.URL)
		text = strings.ReplaceAll(text, strconv.Quote(u.URL), strconv.Quote(clean))
		text = strings.ReplaceAll(text, u.URL, clean)
		e = u.Err
	}
}

func bareURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(a URL that cannot be read)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
