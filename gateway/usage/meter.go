package usage

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// Others stands for the apps that are not told apart any more.
const Others = "(others)"

// CredentialKind is the kind under which the ledger knows the last use of credentials,
// by their prefixes; it is the registry's for credentials.
const CredentialKind = "credential"

// Options set up a Meter. Only Ledger is required.
type Options struct {
	Ledger *ledger.DB
	// Every is the pause between two additions to the ledger; 3 s when zero. It
	// grows while additions take long, so that they never take more than a tenth
	// of the ledger's time.
	Every time.Duration
	// Counters is how many numbers are counted at most; 200,000 when zero.
	Counters int
	// Keep is how long days are kept; for ever when zero. SetKeep changes it.
	Keep time.Duration
	// Log is told when the ledger cannot be written; nowhere when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Meter counts exchanges. It is a gateway.Meter.
type Meter struct {
	options Options
	keep    atomic.Int64
	shadow  *shadow

	mu        sync.Mutex
	cells     map[cellKey]*cell
	counters  int
	consumers []*gateway.Consumers // of tables, whose credentials are still to be asked: the last is served
	serving   map[[2]string]bool

	flushing sync.Mutex
	pending  map[rowKey]*ledger.Usage
	told     map[string]time.Time // the last use of each credential that the ledger knows of
	tidied   time.Time

	quit  chan struct{}
	ended sync.WaitGroup
	once  sync.Once
}

type cellKey struct{ api, version, operation, app string }

type rowKey struct {
	ledger.UsageKey
	day int64
}

// cell counts the calls of an app to an operation, since they were last added
// to the ledger.
type cell struct {
	key                            cellKey
	calls, refused, failed, micros atomic.Int64
	seen                           atomic.Int64 // Unix microseconds; never taken back
	names                          []string
	fields                         []atomic.Int64
}

// Open starts a meter; Close ends it.
func Open(o Options) *Meter {
	if o.Every == 0 {
		o.Every = 3 * time.Second
	}
	if o.Counters == 0 {
		o.Counters = 200_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Meter{options: o, cells: map[cellKey]*cell{}, pending: map[rowKey]*ledger.Usage{}, told: map[string]time.Time{}, quit: make(chan struct{})}
	m.keep.Store(int64(o.Keep))
	m.shadow = newShadow()
	m.ended.Go(m.run)
	m.ended.Go(func() { m.shadow.run(m.quit) })
	return m
}

// SetKeep changes how long days are kept; zero keeps for ever.
func (m *Meter) SetKeep(d time.Duration) { m.keep.Store(int64(d)) }

// run adds to the ledger, again and again.
func (m *Meter) run() {
	pause := m.options.Every
	for {
		timer := time.NewTimer(pause)
		select {
		case <-m.quit:
			timer.Stop()
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		started := time.Now()
		if err := m.Flush(ctx); err != nil {
			m.options.Log.Warn("usage is not written, and counted on in memory", "error", err)
		}
		pause = max(m.options.Every, min(10*time.Since(started), time.Minute))
		cancel()
	}
}

// Close adds what is left to the ledger, and ends the meter.
func (m *Meter) Close(ctx context.Context) error {
	m.once.Do(func() { close(m.quit) })
	m.ended.Wait()
	return m.Flush(ctx)
}

// metered is what is prepared for an operation of a table.
type metered struct {
	operation *gateway.Operation
	unknown   atomic.Pointer[cell]
	cells     sync.Map // *gateway.App → *cell
}

// Prepare readies a table that is about to be served.
func (m *Meter) Prepare(t *gateway.Table) {
	serving := map[[2]string]bool{}
	for _, op := range t.Operations {
		if op.Metered == nil {
			op.Metered = &metered{operation: op}
		}
		serving[[2]string{op.API.Name, op.API.Version}] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = serving
	if n := len(m.consumers); n > keptConsumers {
		m.consumers = slices.Delete(m.consumers, 0, n-keptConsumers)
	}
	if t.Consumers != nil {
		m.consumers = append(m.consumers, t.Consumers)
	}
}

// keptConsumers bounds the tables whose consumers are asked between two additions.
const keptConsumers = 8

// Count counts an exchange that has ended.
func (m *Meter) Count(x *gateway.Exchange) {
	if x.Operation == nil || x.Preflight {
		return
	}
	o, ok := x.Operation.Metered.(*metered)
	if !ok {
		return
	}
	c := m.cellOf(o, x.App)
	now := time.Now()
	x.Record.Seen.Each(func(i int) {
		if i < len(c.fields) {
			c.fields[i].Add(1)
		}
	})
	switch x.Record.Status / 100 {
	case 4:
		c.refused.Add(1)
	case 5:
		c.failed.Add(1)
	}
	c.micros.Add(now.Sub(x.Record.Started).Microseconds())
	if at := now.UnixMicro(); c.seen.Load() < at {
		c.seen.Store(at)
	}
	c.calls.Add(1) // the last: who finds no calls need not look at the rest
	if x.Operation.API.Candidates != nil {
		m.shadow.offer(x)
	}
}

// cellOf finds the cell of an app; it allocates only for the first call.
func (m *Meter) cellOf(o *metered, app *gateway.App) *cell {
	if app == nil {
		if c := o.unknown.Load(); c != nil {
			return c
		}
		c := m.cell(o.operation, "")
		o.unknown.Store(c)
		return c
	}
	if c, ok := o.cells.Load(app); ok {
		return c.(*cell)
	}
	c := m.cell(o.operation, app.Name)
	o.cells.Store(app, c)
	return c
}

// cell finds or makes a cell, which outlives tables.
func (m *Meter) cell(op *gateway.Operation, app string) *cell {
	key := cellKey{op.API.Name, op.API.Version, op.Spec.ID, app}
	names := op.Spec.Fields()
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.cells[key]; c != nil {
		return c
	}
	if app != "" && app != Others && m.counters+1+len(names) > m.options.Counters {
		key.app = Others
		if c := m.cells[key]; c != nil {
			return c
		}
	}
	c := &cell{key: key, names: names, fields: make([]atomic.Int64, len(names))}
	m.cells[key] = c
	m.counters += 1 + len(names)
	return c
}

// Flush adds what has been counted to the ledger. After an error it stays in memory.
func (m *Meter) Flush(ctx context.Context) error {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	m.collect()
	m.shadow.collect(m.add)
	if err := m.writeRows(ctx); err != nil {
		return err
	}
	if err := m.writeCredentials(ctx); err != nil {
		return err
	}
	return m.tidy(ctx)
}

// collect takes the counts out of the cells.
func (m *Meter) collect() {
	m.mu.Lock()
	cells := make([]*cell, 0, len(m.cells))
	idle := m.options.Now().Add(-time.Hour).UnixMicro()
	for key, c := range m.cells {
		if c.calls.Load() > 0 {
			cells = append(cells, c)
		} else if !m.serving[[2]string{key.api, key.version}] && c.seen.Load() < idle {
			delete(m.cells, key) // requests of its table are long over
			m.counters -= 1 + len(c.names)
		}
	}
	m.mu.Unlock()
	for _, c := range cells {
		m.take(c)
	}
}

func (m *Meter) take(c *cell) {
	last := time.UnixMicro(c.seen.Load())
	u := ledger.Usage{
		UsageKey: ledger.UsageKey{Sort: ledger.Calls, API: c.key.api, Version: c.key.version, Operation: c.key.operation, App: c.key.app},
		Calls:    c.calls.Swap(0), Refused: c.refused.Swap(0), Failed: c.failed.Swap(0),
		Took: time.Duration(c.micros.Swap(0)) * time.Microsecond, Last: last,
	}
	m.add(u)
	for i := range c.fields {
		if c.fields[i].Load() == 0 {
			continue
		}
		f := ledger.Usage{UsageKey: u.UsageKey, Calls: c.fields[i].Swap(0), Last: last}
		f.Field = c.names[i]
		m.add(f)
	}
}

// add adds to what is to be written. The day is that of the last call.
func (m *Meter) add(u ledger.Usage) {
	u.Day = u.Last.UTC().Truncate(24 * time.Hour)
	key := rowKey{u.UsageKey, u.Day.Unix()}
	p := m.pending[key]
	if p == nil {
		m.pending[key] = &u
		return
	}
	p.Calls += u.Calls
	p.Refused += u.Refused
	p.Failed += u.Failed
	p.Took += u.Took
	if p.Last.Before(u.Last) {
		p.Last = u.Last
	}
}

func (m *Meter) writeRows(ctx context.Context) error {
	if len(m.pending) == 0 {
		return nil
	}
	rows := make([]ledger.Usage, 0, len(m.pending))
	for _, u := range m.pending {
		rows = append(rows, *u)
	}
	n, err := m.options.Ledger.AddUsage(ctx, rows)
	for _, u := range rows[:n] {
		delete(m.pending, rowKey{u.UsageKey, u.Day.Unix()})
	}
	return err
}

// writeCredentials tells the ledger when credentials were last used, each once a minute at most.
func (m *Meter) writeCredentials(ctx context.Context) error {
	m.mu.Lock()
	asked := slices.Clone(m.consumers)
	m.mu.Unlock()
	used := map[string]time.Time{}
	for _, c := range asked {
		c.CredentialsUsed(func(name string, at time.Time) {
			if told, ok := m.told[name]; (!ok || at.Sub(told) >= time.Minute) && used[name].Before(at) {
				used[name] = at
			}
		})
	}
	if err := m.options.Ledger.Used(ctx, CredentialKind, used); err != nil {
		return err
	}
	for name, at := range used {
		m.told[name] = at
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(asked); n > 1 { // its requests may still end: one table more is asked next time
		m.consumers = slices.DeleteFunc(m.consumers, func(c *gateway.Consumers) bool { return slices.Contains(asked[:n-1], c) })
	}
	return nil
}

// tidy forgets the days that are over, once an hour.
func (m *Meter) tidy(ctx context.Context) error {
	keep, now := time.Duration(m.keep.Load()), m.options.Now()
	if keep <= 0 || now.Sub(m.tidied) < time.Hour {
		return nil
	}
	m.tidied = now
	return m.options.Ledger.ForgetUsage(ctx, now.Add(-keep))
}
