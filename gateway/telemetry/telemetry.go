// Package telemetry writes down what happens: a span, measurements and one log
// line for each exchange, and what the gateway knows about its systems. It
// never writes header values, query strings or bodies.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names this instrumentation in traces and metrics.
const scope = "github.com/headrace/headrace"

// Options set up a Telemetry.
type Options struct {
	// Version is the program's version, for the resource of traces and metrics.
	Version string
	// LogWriter gets the log; nil stands for standard error. It is used by one
	// goroutine at a time.
	LogWriter io.Writer
	// LogLevel is the least level that is logged. Debug adds causes to the lines
	// of all exchanges.
	LogLevel slog.Level
}

// Telemetry is the gateway.Recorder, and what the rest of the process logs and
// measures with. All methods are safe for concurrent use.
type Telemetry struct {
	level  slog.LevelVar
	log    *sink
	logger *slog.Logger
	lines  sync.Pool // of *[]byte

	traces   *sdktrace.TracerProvider // nil when tracing is off
	tracer   trace.Tracer
	registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider

	instruments instruments
	inFlight    atomic.Int64
	requests    *bank[requestLabels]
	calls       *bank[callLabels]
	unmatched   *observed
	closing     sync.Once
}

// Open starts telemetry. Traces and metrics are exported as the OTEL_*
// variables of the environment say, and nowhere when they say nothing; a
// variable that cannot be understood is an error. Close must be called.
func Open(ctx context.Context, o Options) (*Telemetry, error) {
	t := &Telemetry{tracer: noop.NewTracerProvider().Tracer(scope)}
	t.level.Set(o.LogLevel)
	t.lines.New = func() any { b := make([]byte, 0, 1024); return &b }
	if err := t.openExporters(ctx, cmp.Or(o.Version, "dev")); err != nil {
		return nil, errors.Join(err, t.closeExporters(ctx))
	}
	t.requests = newBank(requestLabels.attributes)
	t.calls = newBank(callLabels.attributes)
	t.unmatched = t.observe(nil)
	w := o.LogWriter
	if w == nil {
		w = os.Stderr
	}
	t.log = openSink(w, t.notice)
	t.logger = slog.New(newHandler(t.log, &t.level))
	if err := t.openInstruments(); err != nil {
		return nil, errors.Join(err, t.Close(ctx))
	}
	return t, nil
}

func (t *Telemetry) openExporters(ctx context.Context, version string) error {
	res, err := newResource(ctx, version)
	if err != nil {
		return err
	}
	if t.traces, err = newTracerProvider(ctx, res); err != nil {
		return err
	}
	if t.traces != nil {
		t.tracer = t.traces.Tracer(scope, trace.WithInstrumentationVersion(version), trace.WithSchemaURL(semconv.SchemaURL))
	}
	t.registry = prometheus.NewRegistry()
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t.meters, err = newMeterProvider(ctx, t.registry, res)
	return err
}

func (t *Telemetry) closeExporters(ctx context.Context) error {
	var failures []error
	if t.traces != nil {
		failures = append(failures, t.traces.Shutdown(ctx))
	}
	if t.meters != nil {
		failures = append(failures, t.meters.Shutdown(ctx))
	}
	return errors.Join(failures...)
}

// Close sends what is still in memory: spans, measurements and log lines. It
// gives up when ctx ends; closing again then goes on waiting for the log.
// Lines that are logged later are written at once.
func (t *Telemetry) Close(ctx context.Context) error {
	var err error
	t.closing.Do(func() { err = t.closeExporters(ctx) })
	return errors.Join(err, t.log.close(ctx))
}

// Logger is for everything that is not an exchange. It writes the same format
// through the same buffer.
func (t *Telemetry) Logger() *slog.Logger { return t.logger }

// SetLevel changes the least level that is logged.
func (t *Telemetry) SetLevel(level slog.Level) { t.level.Set(level) }

// Tracer makes the spans of other parts. It costs next to nothing while
// tracing is off, and still passes on the caller's span context.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracer }

// Handler serves the metrics in the formats of Prometheus.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(t.logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 8,
		EnableOpenMetrics:   true,
	})
}

// Handle logs an error of an exporter; it makes Telemetry an otel.ErrorHandler.
func (t *Telemetry) Handle(err error) {
	t.logger.Warn("telemetry cannot be exported", "error", causeText(err))
}
