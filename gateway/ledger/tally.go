package ledger

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/specs"
)

// tally counts in memory what is not final: the bounds of appends must not
// cost a count of the tables.
type tally struct {
	mu     sync.Mutex
	system map[string]*holding
	// since counts what was committed while the tables are counted.
	since    []delta
	counting bool
}

// holding is what one system holds.
type holding struct {
	class [len(specs.Classes)]amount
	app   map[string]*amount
	// pending is what waits for its commit.
	pending    amount
	pendingApp map[string]*amount
	in, out    [len(specs.Classes)]rate
}

type amount struct{ writes, bytes int64 }

func (a *amount) add(writes, bytes int64) {
	a.writes = max(0, a.writes+writes)
	a.bytes = max(0, a.bytes+bytes)
}

// delta is what a commit changed.
type delta struct {
	system, app   string
	class         specs.Class
	writes, bytes int64
}

func (t *tally) of(system string) *holding {
	if t.system == nil {
		t.system = map[string]*holding{}
	}
	s := t.system[system]
	if s == nil {
		s = &holding{app: map[string]*amount{}, pendingApp: map[string]*amount{}}
		t.system[system] = s
	}
	return s
}

func (s *holding) total() (sum amount) {
	for _, c := range s.class {
		sum.writes += c.writes
		sum.bytes += c.bytes
	}
	return sum
}

// at is the amount of an app.
func at(m map[string]*amount, app string) *amount {
	a := m[app]
	if a == nil {
		a = &amount{}
		m[app] = a
	}
	return a
}

// reserve makes room for a write, and says how many stand before it.
func (t *tally) reserve(w *Write) (ahead int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(w.System)
	sum, size := s.total(), w.size()
	sum.writes += s.pending.writes
	sum.bytes += s.pending.bytes
	if beyond(w.Bound.Writes, sum.writes+1) || beyond(w.Bound.Bytes, sum.bytes+size) {
		return 0, &FullError{"system", sum.writes, sum.bytes}
	}
	app := *at(s.app, w.App)
	if pending := s.pendingApp[w.App]; pending != nil {
		app.writes += pending.writes
		app.bytes += pending.bytes
	}
	if beyond(w.Bound.AppWrites, app.writes+1) || beyond(w.Bound.AppBytes, app.bytes+size) {
		return 0, &FullError{"app", app.writes, app.bytes}
	}
	s.pending.add(1, size)
	at(s.pendingApp, w.App).add(1, size)
	for c := w.Class; c <= specs.Critical; c++ {
		ahead += s.class[c].writes
	}
	return ahead, nil
}

func beyond(bound, n int64) bool { return bound > 0 && n > bound }

// release gives back what reserve took: the write is counted by its delta now,
// or is none.
func (t *tally) release(w *Write) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(w.System)
	s.pending.add(-1, -w.size())
	app := at(s.pendingApp, w.App)
	app.add(-1, -w.size())
	if app.writes == 0 {
		delete(s.pendingApp, w.App)
	}
}

// add counts what was committed.
func (t *tally) add(now int64, deltas []delta) {
	if len(deltas) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counting {
		t.since = append(t.since, deltas...)
	}
	for _, d := range deltas {
		s := t.of(d.system)
		s.apply(d)
		if d.writes > 0 {
			s.in[d.class].add(now, 1)
		} else {
			s.out[d.class].add(now, 1)
		}
	}
}

func (s *holding) apply(d delta) {
	s.class[d.class].add(d.writes, d.bytes)
	app := at(s.app, d.app)
	app.add(d.writes, d.bytes)
	if app.writes == 0 {
		delete(s.app, d.app)
	}
}

func (t *tally) depth(system string) (writes, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.system[system]
	if s == nil {
		return 0, 0
	}
	sum := s.total()
	return sum.writes, sum.bytes
}

func (t *tally) systems() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for name, s := range t.system {
		if s.total().writes > 0 {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func (t *tally) fill(now int64, stats *Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.system[stats.System]
	if s == nil {
		return
	}
	for c := range stats.Class {
		to := &stats.Class[c]
		to.Writes, to.Bytes = s.class[c].writes, s.class[c].bytes
		to.In, to.Out = s.in[c].per(now), s.out[c].per(now)
	}
}

// recount counts the tables, and returns how long that took.
func (db *DB) recount(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	t := &db.tally
	t.mu.Lock()
	t.counting, t.since = true, nil
	t.mu.Unlock()
	var counted []delta
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var d delta
			var rank int64
			err := r.Scan(&d.system, &d.app, &rank, &d.writes, &d.bytes)
			d.class = class(rank)
			counted = append(counted, d)
			return err
		}, `SELECT system, app, class, count(*), CAST(sum(bytes) AS bigint) FROM writes
WHERE state IN ('held', 'sending', 'doubtful') GROUP BY system, app, class`)
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counting = false
	if err != nil {
		return 0, err
	}
	for _, s := range t.system {
		s.class, s.app = [len(specs.Classes)]amount{}, map[string]*amount{}
	}
	// What was committed between the start and the count's snapshot is counted
	// twice, until the next count.
	for _, d := range append(counted, t.since...) {
		t.of(d.system).apply(d)
	}
	t.since = nil
	return time.Since(began), nil
}

// recounts learns what other replicas did. A large table is counted less often.
func (db *DB) recounts(ctx context.Context) {
	wait := 2 * time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		took, err := db.recount(ctx)
		if err != nil && ctx.Err() == nil {
			db.options.Log.Warn("the ledger cannot be counted", "error", err)
		}
		wait = max(2*time.Second, 20*took)
	}
}

// rate counts events of the last minute, second by second.
type rate struct {
	count  [60]int32
	second int64 // of the last event
	first  int64 // of the first one ever
}

func (r *rate) add(now int64, n int32) {
	second := now / 1e6
	r.forget(second)
	if r.first == 0 {
		r.first = second
	}
	r.count[second%60] += n
}

// forget empties the seconds since the last event.
func (r *rate) forget(second int64) {
	for s := max(r.second+1, second-59); s <= second; s++ {
		r.count[s%60] = 0
	}
	r.second = max(r.second, second)
}

// per is the rate per second over the last minute, or since the first event.
func (r *rate) per(now int64) float64 {
	second := now / 1e6
	if r.first == 0 {
		return 0
	}
	r.forget(second)
	var sum int64
	for _, n := range r.count {
		sum += int64(n)
	}
	return float64(sum) / float64(min(60, max(1, second-r.first+1)))
}
