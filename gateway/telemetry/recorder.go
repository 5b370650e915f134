package telemetry

import (
	"maps"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// observed is what is prepared for an operation: everything about its
// exchanges that is known before they come.
type observed struct {
	labels requestLabels // without the ending
	system string
	// fields is the part of the log line that is the same for every exchange.
	fields []byte

	method, route, span string
	start               []trace.SpanStartOption

	waits      [len(specs.Classes)][]metric.RecordOption // by class
	violations []metric.AddOption                        // of requests and of responses
	// endings are the series met so far. The map is copied when one is added.
	endings atomic.Pointer[map[ending]*series]
}

// observe prepares an operation; nil stands for requests that match none.
func (t *Telemetry) observe(op *gateway.Operation) *observed {
	o := &observed{}
	o.endings.Store(&map[ending]*series{})
	if op == nil {
		o.start = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
		return o
	}
	o.labels = requestLabels{api: op.API.Name, version: op.API.Version, operation: op.Spec.ID}
	o.system = op.Spec.Governance.System
	o.prepareLine(op)
	o.prepareSpan(op)
	operation := o.labels.attributes()[:3]
	o.violations = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(operation...))}
	for class := range o.waits {
		o.waits[class] = newSeries(attribute.String("system", o.system), attribute.String("class", specs.Class(class).String())).record
	}
	return o
}

// series finds the series of an ending. In steady state it allocates nothing.
func (o *observed) series(b *bank[requestLabels], e ending) *series {
	known := o.endings.Load()
	if s := (*known)[e]; s != nil {
		return s
	}
	labels := o.labels
	labels.ending = e
	s := b.get(labels)
	for {
		more := maps.Clone(*known)
		more[e] = s
		if o.endings.CompareAndSwap(known, &more) {
			return s
		}
		known = o.endings.Load()
	}
}

// prepared is what an operation has: most operations of a table are never
// called before the next one comes, so the first exchange observes.
type prepared struct{ first atomic.Pointer[observed] }

// Prepare readies an operation for Begin and End.
func (t *Telemetry) Prepare(op *gateway.Operation) {
	if op.Observed == nil {
		op.Observed = &prepared{}
	}
}

// Begin counts the exchange in and joins it to the caller's trace: the W3C
// span context goes into the request's context, and the trace id becomes the
// correlation id where the caller named none. While tracing is on, it starts
// the server span.
func (t *Telemetry) Begin(x *gateway.Exchange) {
	t.inFlight.Add(1)
	if t.traces != nil || x.Request.Header["Traceparent"] != nil {
		t.join(x)
	}
}

// End measures the exchange, writes its log line and ends its span.
func (t *Telemetry) End(x *gateway.Exchange) {
	t.inFlight.Add(-1)
	took := time.Since(x.Record.Started)
	o := t.observedOf(x)
	if x.Record.Decision == "" { // it was cut short before anything was decided
		x.Record.Decision = gateway.Internal.Name
	}
	e := ending{status: statusClass(x.Record.Status), decision: x.Record.Decision}
	if x.App != nil {
		e.app = x.App.Name
	}
	ctx := x.Request.Context()
	s := o.series(t.requests, e)
	s.count.Add(1)
	t.instruments.duration.Record(ctx, took.Seconds(), s.record...)
	if x.Record.Attempts > 0 || x.Record.Wait > 0 {
		t.instruments.wait.Record(ctx, x.Record.Wait.Seconds(), o.waits[x.Class&3]...)
	}
	if n := len(x.Record.Violations); n > 0 {
		t.instruments.violations.Add(ctx, int64(n), o.violations...)
	}
	if n := len(x.Record.RequestViolations); n > 0 {
		t.instruments.requestViolations.Add(ctx, int64(n), o.violations...)
	}
	t.writeLine(x, o, took)
	if t.traces != nil {
		endSpan(x, took)
	}
}

func (t *Telemetry) observedOf(x *gateway.Exchange) *observed {
	if x.Operation == nil {
		return t.unmatched
	}
	p, ok := x.Operation.Observed.(*prepared)
	if !ok {
		return t.observe(x.Operation)
	}
	if o := p.first.Load(); o != nil {
		return o
	}
	p.first.CompareAndSwap(nil, t.observe(x.Operation)) // of several first ones, one counts
	return p.first.Load()
}

// statusClass is the label of a status; empty when nothing was sent.
func statusClass(status int) string {
	if status < 100 || status > 599 {
		return ""
	}
	return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[status/100-1]
}
