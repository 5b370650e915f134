package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/headrace/headrace/specs"
)

// WriteUse is what the write buffer holds of one system and class.
type WriteUse struct {
	System string
	Class  specs.Class
	// Writes and Bytes are those that are not over; Oldest is the age of the oldest.
	Writes, Bytes int64
	Oldest        time.Duration
	// Doubtful writes are those whose fate is open, Dead those that need a person.
	Doubtful, Dead int64
}

// WriteEnd is how a write ended.
type WriteEnd struct {
	System string
	Class  specs.Class
	// State is a word from a small set; it becomes a label.
	State    string
	Attempts int
	// Waited is the time from its acceptance to its first sending.
	Waited time.Duration
	// Astray is how far the estimate of its end was off; negative when there was none.
	Astray time.Duration
}

// writeInstruments measure writes as they come and go.
type writeInstruments struct {
	accepted, ended, doubtful, attempts metric.Int64Counter
	wait, astray                        metric.Float64Histogram
	batches                             metric.Int64Histogram
}

func (m *maker) writes() writeInstruments {
	return writeInstruments{
		accepted: m.counter("headrace.writes.accepted", "{write}", "Writes that were accepted."),
		ended:    m.counter("headrace.writes.ended", "{write}", "Writes that are over, by how; dead ones need a person."),
		doubtful: m.counter("headrace.writes.lost_answers", "{write}", "Sendings of writes whose answer was lost."),
		attempts: m.counter("headrace.writes.attempts", "{attempt}", "Attempts of the writes that are over."),
		wait:     m.histogram("headrace.write.wait", "Time from the acceptance of a write to its first sending."),
		astray:   m.histogram("headrace.write.eta.error", "How far the estimate of a write's end was off, in either direction."),
		batches:  m.sizes("headrace.write.batch.size", "{write}", "Writes that went to their system in one call, of calls that took several."),
	}
}

func writeLabels(system string, class specs.Class) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("system", system), attribute.String("class", class.String())}
}

// WriteAccepted counts a write that was accepted.
func (t *Telemetry) WriteAccepted(system string, class specs.Class) {
	t.instruments.writes.accepted.Add(context.Background(), 1, metric.WithAttributes(writeLabels(system, class)...))
}

// WriteDoubtful counts a sending whose answer was lost.
func (t *Telemetry) WriteDoubtful(system string, class specs.Class) {
	t.instruments.writes.doubtful.Add(context.Background(), 1, metric.WithAttributes(writeLabels(system, class)...))
}

// BatchSent measures a call that took so many writes to their system.
func (t *Telemetry) BatchSent(system string, class specs.Class, writes int) {
	t.instruments.writes.batches.Record(context.Background(), int64(writes), metric.WithAttributes(writeLabels(system, class)...))
}

// WriteEnded measures a write that is over.
func (t *Telemetry) WriteEnded(e WriteEnd) {
	w, ctx := &t.instruments.writes, context.Background()
	labels := writeLabels(e.System, e.Class)
	at := metric.WithAttributes(labels...)
	w.ended.Add(ctx, 1, metric.WithAttributes(append(labels, attribute.String("state", e.State))...))
	w.attempts.Add(ctx, int64(e.Attempts), at)
	w.wait.Record(ctx, e.Waited.Seconds(), at)
	if e.Astray >= 0 {
		w.astray.Record(ctx, e.Astray.Seconds(), at)
	}
}

func watchWrites(meter metric.Meter, s Sources) error {
	if s.Writes == nil {
		return nil
	}
	m := maker{meter: meter}
	held := m.gauge("headrace.writes.held", "{write}", "Writes that are not over.")
	bytes := m.gauge("headrace.writes.held.bytes", "By", "What the writes that are not over take in the ledger.")
	oldest := m.level("headrace.writes.oldest.age", "s", "Age of the oldest write that is not over.")
	doubtful := m.gauge("headrace.writes.doubtful", "{write}", "Writes whose fate is open.")
	dead := m.gauge("headrace.writes.dead", "{write}", "Writes that need a person.")
	return m.register(func(o metric.Observer) {
		for _, u := range s.Writes() {
			at := metric.WithAttributes(writeLabels(u.System, u.Class)...)
			o.ObserveInt64(held, u.Writes, at)
			o.ObserveInt64(bytes, u.Bytes, at)
			o.ObserveFloat64(oldest, u.Oldest.Seconds(), at)
			o.ObserveInt64(doubtful, u.Doubtful, at)
			o.ObserveInt64(dead, u.Dead, at)
		}
	})
}

func watchLedger(meter metric.Meter, s Sources) error {
	if s.Ledger == nil {
		return nil
	}
	m := maker{meter: meter}
	accepting := m.gauge("headrace.ledger.accepting", "{ledger}", "1 while the ledger takes writes, 0 while each is refused.")
	return m.register(func(o metric.Observer) {
		taken := int64(1)
		if s.Ledger() != nil {
			taken = 0
		}
		o.ObserveInt64(accepting, taken)
	})
}
