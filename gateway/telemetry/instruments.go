package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// buckets of durations in seconds: refusals and cached answers take
// microseconds, systems up to a minute.
var buckets = metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

// instruments are what is measured as it happens; the rest is read when
// somebody asks.
type instruments struct {
	duration, callDuration, wait  metric.Float64Histogram
	violations, requestViolations metric.Int64Counter
	writes                        writeInstruments
	events                        metric.Float64Histogram
	runs                          runInstruments
}

// openInstruments makes the instruments that need nothing but Telemetry.
func (t *Telemetry) openInstruments() error {
	m := maker{meter: t.meters.Meter(scope)}
	t.instruments = instruments{
		duration:          m.histogram("headrace.request.duration", "Time from the arrival of a request to the last byte of its answer."),
		callDuration:      m.histogram("headrace.system.call.duration", "Time of one call to a system."),
		wait:              m.histogram("headrace.budget.wait", "Time that an exchange waited for its system's budget, over all its calls."),
		violations:        m.counter("headrace.response.violations", "{violation}", "Faults of systems' answers against the API's contract."),
		requestViolations: m.counter("headrace.request.violations", "{violation}", "Faults of requests against the API's contract that were let through."),
		writes:            m.writes(),
		events:            m.histogram("headrace.event.delivery.duration", "Time of one try to tell a webhook of an event, by its outcome."),
		runs:              m.runs(),
	}
	requests := m.counted("headrace.requests", "{request}", "Exchanges that have ended.")
	calls := m.counted("headrace.system.calls", "{call}", "Calls to systems that have ended.")
	dropped := m.counted("headrace.log.lines.dropped", "{line}", "Log lines that were lost because the log was not written fast enough.")
	inFlight := m.gauge("headrace.requests.in_flight", "{request}", "Exchanges under way.")
	return m.register(func(o metric.Observer) {
		t.requests.report(o, requests)
		t.calls.report(o, calls)
		o.ObserveInt64(dropped, t.log.dropped.Load())
		o.ObserveInt64(inFlight, t.inFlight.Load())
	})
}

// EventTold measures a try to tell a webhook of an event: delivered, failed or
// given up.
func (t *Telemetry) EventTold(outcome string, took time.Duration) {
	t.instruments.events.Record(context.Background(), took.Seconds(), metric.WithAttributes(attribute.String("outcome", outcome)))
}

// maker makes instruments and remembers the first error.
type maker struct {
	meter metric.Meter
	made  []metric.Observable
	err   error
}

func (m *maker) failed(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *maker) histogram(name, doc string) metric.Float64Histogram {
	h, err := m.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(doc), buckets)
	m.failed(err)
	return h
}

// sizes is a histogram of numbers from 1 to 1000.
func (m *maker) sizes(name, unit, doc string) metric.Int64Histogram {
	h, err := m.meter.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(doc), metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000))
	m.failed(err)
	return h
}

func (m *maker) counter(name, unit, doc string) metric.Int64Counter {
	c, err := m.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(doc))
	m.failed(err)
	return c
}

// counted is a counter whose count is kept elsewhere.
func (m *maker) counted(name, unit, doc string) metric.Int64Observable {
	c, err := m.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(doc))
	m.failed(err)
	m.made = append(m.made, c)
	return c
}

func (m *maker) gauge(name, unit, doc string) metric.Int64Observable {
	g, err := m.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(doc))
	m.failed(err)
	m.made = append(m.made, g)
	return g
}

func (m *maker) level(name, unit, doc string) metric.Float64Observable {
	g, err := m.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(doc))
	m.failed(err)
	m.made = append(m.made, g)
	return g
}

// register has read called whenever a reader collects what was made.
func (m *maker) register(read func(metric.Observer)) error {
	if m.err != nil {
		return m.err
	}
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		read(o)
		return nil
	}, m.made...)
	return err
}

// CallDone measures one call to a system. outcome is a word from a small set;
// it becomes a label.
func (t *Telemetry) CallDone(system, operation, outcome string, d time.Duration) {
	s := t.calls.get(callLabels{system, operation, outcome})
	s.count.Add(1)
	t.instruments.callDuration.Record(context.Background(), d.Seconds(), s.record...)
}
