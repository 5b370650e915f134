package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// RunUse is how many runs are in a state, and how old the oldest is.
type RunUse struct {
	// State is running or stuck.
	State  string
	Runs   int64
	Oldest time.Duration
}

// runInstruments measure runs as they come and go.
type runInstruments struct {
	began, ended, taken metric.Int64Counter
	took                metric.Float64Histogram
}

func (m *maker) runs() runInstruments {
	return runInstruments{
		began: m.counter("headrace.runs.began", "{run}", "Runs that were accepted."),
		ended: m.counter("headrace.runs.ended", "{run}", "Runs that have ended, by how; stuck ones need a person."),
		taken: m.counter("headrace.runs.taken", "{run}", "Times that a run was gone on with after it had waited, or after its process was lost."),
		took:  m.histogram("headrace.run.duration", "Time from the acceptance of a run to its end."),
	}
}

// RunBegan counts a run that was accepted.
func (t *Telemetry) RunBegan(operation string) {
	t.instruments.runs.began.Add(context.Background(), 1, metric.WithAttributes(attribute.String("operation", operation)))
}

// RunTaken counts a run that was gone on with.
func (t *Telemetry) RunTaken(operation string) {
	t.instruments.runs.taken.Add(context.Background(), 1, metric.WithAttributes(attribute.String("operation", operation)))
}

// RunEnded measures a run that has ended, or needs a person.
func (t *Telemetry) RunEnded(operation, state string, took time.Duration) {
	r, ctx := &t.instruments.runs, context.Background()
	labels := metric.WithAttributes(attribute.String("operation", operation), attribute.String("state", state))
	r.ended.Add(ctx, 1, labels)
	r.took.Record(ctx, took.Seconds(), labels)
}

func watchRuns(meter metric.Meter, s Sources) error {
	if s.Runs == nil {
		return nil
	}
	m := maker{meter: meter}
	count := m.gauge("headrace.runs.open", "{run}", "Runs that are not over, by state.")
	oldest := m.level("headrace.runs.oldest.age", "s", "Age of the oldest run that is not over, by state.")
	return m.register(func(o metric.Observer) {
		for _, u := range s.Runs() {
			at := metric.WithAttributes(attribute.String("state", u.State))
			o.ObserveInt64(count, u.Runs, at)
			o.ObserveFloat64(oldest, u.Oldest.Seconds(), at)
		}
	})
}
