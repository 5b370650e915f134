package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/gateway"
)

// prepareSpan readies the name and the attributes that are known beforehand.
func (o *observed) prepareSpan(op *gateway.Operation) {
	o.method, o.route = op.Spec.Method, op.Route
	o.span = o.method + " " + o.route
	o.start = []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			semconv.HTTPRoute(op.Route),
			attribute.String("headrace.api", o.labels.api),
			attribute.String("headrace.version", o.labels.version),
			attribute.String("headrace.operation", o.labels.operation),
		),
	}
}

// join puts the span context of the exchange into the request's context: a new
// server span while tracing is on, otherwise the caller's.
func (t *Telemetry) join(x *gateway.Exchange) {
	r := x.Request
	ctx := r.Context()
	if r.Header["Traceparent"] != nil {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	if t.traces != nil {
		ctx = t.startSpan(ctx, x)
	}
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return
	}
	x.Request = r.WithContext(ctx)
	if !correlated(x) {
		x.Correlation = sc.TraceID().String()
	}
}

// correlated tells whether the correlation id is the caller's.
func correlated(x *gateway.Exchange) bool {
	ids := x.Request.Header["X-Correlation-Id"]
	return x.Correlation != x.ID || len(ids) == 1 && ids[0] == x.ID
}

func (t *Telemetry) startSpan(ctx context.Context, x *gateway.Exchange) context.Context {
	o := t.observedOf(x)
	method := knownMethod(x.Request.Method)
	scheme := "http"
	if x.Request.TLS != nil {
		scheme = "https"
	}
	options := append(o.start[:len(o.start):len(o.start)],
		trace.WithTimestamp(x.Record.Started),
		trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(method),
			semconv.URLPath(path(x.Request)),
			semconv.URLScheme(scheme),
		))
	ctx, _ = t.tracer.Start(ctx, o.spanName(method), options...)
	return ctx
}

// spanName is the method and the route (semantic conventions for HTTP spans).
// The method is not always the operation's: HEAD and CORS preflights.
func (o *observed) spanName(method string) string {
	switch {
	case method == o.method:
		return o.span
	case method == "_OTHER":
		method = "HTTP"
	}
	if o.route == "" {
		return method
	}
	return method + " " + o.route
}

// knownMethod keeps invented methods out of names and attributes.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY":
		return method
	}
	return "_OTHER"
}

func endSpan(x *gateway.Exchange, took time.Duration) {
	span := trace.SpanFromContext(x.Request.Context())
	if span.IsRecording() {
		r := &x.Record
		attributes := []attribute.KeyValue{
			semconv.HTTPResponseStatusCode(r.Status),
			attribute.String("headrace.request_id", x.ID),
			attribute.String("headrace.correlation_id", x.Correlation),
			attribute.String("headrace.class", x.Class.String()),
			attribute.String("headrace.decision", r.Decision),
			attribute.Int("headrace.attempts", r.Attempts),
			attribute.Float64("headrace.budget.wait", r.Wait.Seconds()),
		}
		if x.App != nil {
			attributes = append(attributes, attribute.String("headrace.app", x.App.Name))
		}
		if r.Cache != "" {
			attributes = append(attributes, attribute.String("headrace.cache", r.Cache))
		}
		if failed(r) {
			attributes = append(attributes, semconv.ErrorTypeKey.String(r.Decision))
			span.SetStatus(codes.Error, r.Decision)
		}
		span.SetAttributes(attributes...)
	}
	span.End(trace.WithTimestamp(x.Record.Started.Add(took)))
}

// Layer has the time that the policies took shown as a span of its own, from
// the start of the exchange to the moment it reaches the layer. While tracing
// is off it returns the layer as it is.
func (t *Telemetry) Layer(l gateway.Layer) gateway.Layer {
	if t.traces == nil {
		return l
	}
	return reached{layer: l, tracer: t.tracer}
}

type reached struct {
	layer  gateway.Layer
	tracer trace.Tracer
}

func (r reached) Bind(b *gateway.Binding) gateway.Handler {
	next := r.layer.Bind(b)
	if next == nil {
		return nil
	}
	return func(x *gateway.Exchange) (*gateway.Response, error) {
		if ctx := x.Context(); trace.SpanFromContext(ctx).IsRecording() {
			_, span := r.tracer.Start(ctx, "policies", trace.WithTimestamp(x.Record.Started))
			span.End()
		}
		return next(x)
	}
}
