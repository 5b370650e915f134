package telemetry

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// seriesLimit bounds the label combinations of one metric. What comes beyond
// is counted together, under otel_metric_overflow="true".
const seriesLimit = 20_000

// series is one combination of labels with everything that recording under it
// needs, so that nothing is built for an exchange.
type series struct {
	count  atomic.Int64
	at     metric.MeasurementOption
	record []metric.RecordOption
}

func newSeries(labels ...attribute.KeyValue) *series {
	at := metric.WithAttributeSet(attribute.NewSet(labels...))
	return &series{at: at, record: []metric.RecordOption{at}}
}

// bank keeps the series of a metric by their labels, for as long as the
// process lives: tables come and go, counts go on.
type bank[K comparable] struct {
	attributes func(K) []attribute.KeyValue
	limit      int

	mu       sync.RWMutex
	series   map[K]*series
	overflow *series
}

func newBank[K comparable](attributes func(K) []attribute.KeyValue) *bank[K] {
	return &bank[K]{
		attributes: attributes,
		limit:      seriesLimit,
		series:     map[K]*series{},
		overflow:   newSeries(attribute.Bool("otel.metric.overflow", true)),
	}
}

// get finds the series of labels or makes it.
func (b *bank[K]) get(labels K) *series {
	b.mu.RLock()
	s := b.series[labels]
	b.mu.RUnlock()
	if s != nil {
		return s
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.series[labels]; s != nil {
		return s
	}
	if len(b.series) >= b.limit {
		return b.overflow
	}
	s = newSeries(b.attributes(labels)...)
	b.series[labels] = s
	return s
}

// report gives the counts to a reader.
func (b *bank[K]) report(o metric.Observer, counter metric.Int64Observable) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, s := range b.series {
		o.ObserveInt64(counter, s.count.Load(), s.at)
	}
	if n := b.overflow.count.Load(); n > 0 {
		o.ObserveInt64(counter, n, b.overflow.at)
	}
}

// requestLabels are the labels of an exchange.
type requestLabels struct {
	api, version, operation string
	ending
}

// ending is what about an exchange is known only at its end.
type ending struct {
	app, status, decision string
}

func (l requestLabels) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("api", l.api),
		attribute.String("version", l.version),
		attribute.String("operation", l.operation),
		attribute.String("app", l.app),
		attribute.String("status", l.status),
		attribute.String("decision", l.decision),
	}
}

// callLabels are the labels of a call to a system.
type callLabels struct {
	system, operation, outcome string
}

func (l callLabels) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("system", l.system),
		attribute.String("operation", l.operation),
		attribute.String("outcome", l.outcome),
	}
}
