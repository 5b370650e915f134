package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// PoolUse is how much of one limit of a system is occupied.
type PoolUse struct {
	Pool string
	// Scope is what the pool is for, for example an app; empty for the whole system.
	Scope          string
	Used, Capacity float64
	// Paused tells that the system asked for a pause, or that nothing is
	// admitted for another reason than use.
	Paused bool
}

// SystemUse is the state of a system at this moment.
type SystemUse struct {
	System string
	// Breaker is closed, half-open or open.
	Breaker string
	// InFlight calls are at the system; Waiting ones, by class, wait for its budget.
	InFlight int
	Waiting  [len(specs.Classes)]int
	Pools    []PoolUse
}

// StoreUse is how a store of counts stands.
type StoreUse struct {
	// Store is counters or budget, the latter of the system.
	Store, System string
	// Mode is one of StoreModes.
	Mode     string
	Replicas int
	// Share is the part of each limit that the replica goes by when it is alone.
	Share float64
	// Unsettled is the number of calls whose settlement failed for good.
	Unsettled int64
	// Kept is the part that is left free for replicas that are missing.
	Kept float64
}

// StoreModes are the modes of stores, as the label says them.
func StoreModes() []string { return []string{"memory", "shared", "uncertain", "alone"} }

// Sources are asked whenever metrics are read. They must be quick and safe for
// concurrent use. Any of them may be nil.
type Sources struct {
	// Table is the current table; it may give nil.
	Table   func() *gateway.Table
	Systems func() []SystemUse
	// Writes is what the write buffer holds.
	Writes func() []WriteUse
	// Ledger is nil while writes are taken.
	Ledger func() error
	// Runs are those of flows that are not over.
	Runs   func() []RunUse
	Stores func() []StoreUse
	// Reloads counts the attempts to load a table since the start, and those
	// among them that were refused.
	Reloads func() (attempts, refused int)
	// Registry tells which revision of the registry was last read, and which is
	// served: they differ while a new one is built, and when it cannot be.
	Registry func() (read, served int64)
}

// Watch adds what sources know to the metrics. It is called once.
func (t *Telemetry) Watch(s Sources) error {
	for _, watch := range []func(metric.Meter, Sources) error{watchTable, watchSystems, watchStores, watchWrites, watchRuns, watchLedger, watchReloads, watchRegistry} {
		if err := watch(t.meters.Meter(scope), s); err != nil {
			return err
		}
	}
	return nil
}

func watchTable(meter metric.Meter, s Sources) error {
	if s.Table == nil {
		return nil
	}
	m := maker{meter: meter}
	info := m.gauge("headrace.table.info", "", "The revision that is served, as a label; always 1.")
	built := m.level("headrace.table.built.timestamp", "s", "When the table that is served was built, in Unix time.")
	operations := m.gauge("headrace.table.operations", "{operation}", "Operations that are served.")
	return m.register(func(o metric.Observer) {
		table := s.Table()
		if table == nil {
			return
		}
		o.ObserveInt64(info, 1, metric.WithAttributes(attribute.String("revision", table.Revision)))
		o.ObserveFloat64(built, float64(table.Built.UnixMilli())/1e3)
		o.ObserveInt64(operations, int64(len(table.Operations)))
	})
}

func watchSystems(meter metric.Meter, s Sources) error {
	if s.Systems == nil {
		return nil
	}
	m := maker{meter: meter}
	used := m.level("headrace.pool.used", "", "Occupied part of a pool.")
	capacity := m.level("headrace.pool.capacity", "", "What a pool holds in all.")
	paused := m.gauge("headrace.pool.paused", "", "1 while a pool admits nothing because the system asked for a pause.")
	breaker := m.gauge("headrace.system.breaker", "", "1 for the state that the circuit breaker of a system is in, 0 for the others.")
	inFlight := m.gauge("headrace.system.in_flight", "{call}", "Calls under way at a system.")
	waiting := m.gauge("headrace.system.waiting", "{call}", "Calls that wait for a system's budget, by class.")
	return m.register(func(o metric.Observer) {
		for _, system := range s.Systems() {
			name := attribute.String("system", system.System)
			o.ObserveInt64(inFlight, int64(system.InFlight), metric.WithAttributes(name))
			for _, class := range specs.Classes {
				o.ObserveInt64(waiting, int64(system.Waiting[class]), metric.WithAttributes(name, attribute.String("class", class.String())))
			}
			for _, state := range []string{"closed", "half-open", "open"} {
				o.ObserveInt64(breaker, oneIf(system.Breaker == state), metric.WithAttributes(name, attribute.String("state", state)))
			}
			for _, pool := range system.Pools {
				at := metric.WithAttributes(name, attribute.String("pool", pool.Pool), attribute.String("scope", pool.Scope))
				o.ObserveFloat64(used, pool.Used, at)
				o.ObserveFloat64(capacity, pool.Capacity, at)
				o.ObserveInt64(paused, oneIf(pool.Paused), at)
			}
		}
	})
}

func watchStores(meter metric.Meter, s Sources) error {
	if s.Stores == nil {
		return nil
	}
	m := maker{meter: meter}
	mode := m.gauge("headrace.store.mode", "", "1 for the mode that a store of counts is in, 0 for the others.")
	replicas := m.gauge("headrace.store.replicas", "{replica}", "Replicas that count together, as last known.")
	share := m.level("headrace.store.share", "", "Part of each limit that this replica goes by when it is alone.")
	unsettled := m.counted("headrace.store.unsettled", "{call}", "Calls whose settlement the store could not carry out; their leases free what they hold.")
	kept := m.level("headrace.store.kept", "", "Part of each limit that is left free for replicas that are missing.")
	return m.register(func(o metric.Observer) {
		for _, store := range s.Stores() {
			at := []attribute.KeyValue{attribute.String("store", store.Store), attribute.String("system", store.System)}
			for _, name := range StoreModes() {
				o.ObserveInt64(mode, oneIf(store.Mode == name), metric.WithAttributes(append(at, attribute.String("mode", name))...))
			}
			o.ObserveInt64(replicas, int64(store.Replicas), metric.WithAttributes(at...))
			o.ObserveFloat64(share, store.Share, metric.WithAttributes(at...))
			o.ObserveInt64(unsettled, store.Unsettled, metric.WithAttributes(at...))
			o.ObserveFloat64(kept, store.Kept, metric.WithAttributes(at...))
		}
	})
}

func oneIf(condition bool) int64 {
	if condition {
		return 1
	}
	return 0
}

func watchReloads(meter metric.Meter, s Sources) error {
	if s.Reloads == nil {
		return nil
	}
	m := maker{meter: meter}
	reloads := m.counted("headrace.reloads", "{reload}", "Attempts to load a table, by result.")
	return m.register(func(o metric.Observer) {
		attempts, refused := s.Reloads()
		o.ObserveInt64(reloads, int64(attempts-refused), metric.WithAttributes(attribute.String("result", "accepted")))
		o.ObserveInt64(reloads, int64(refused), metric.WithAttributes(attribute.String("result", "refused")))
	})
}

func watchRegistry(meter metric.Meter, s Sources) error {
	if s.Registry == nil {
		return nil
	}
	m := maker{meter: meter}
	read := m.gauge("headrace.registry.revision", "", "The registry's revision that was last read.")
	served := m.gauge("headrace.registry.served", "", "The registry's revision that is served. It stays behind when a new one cannot be built.")
	return m.register(func(o metric.Observer) {
		now, live := s.Registry()
		o.ObserveInt64(read, now)
		o.ObserveInt64(served, live)
	})
}
