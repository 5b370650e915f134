package buffer

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// Settings bound the buffer. They may change while it runs.
type Settings struct {
	// Writes and Bytes are what a system's buffer may hold, Share the part of
	// it, from 0 to 1, that one app may fill.
	Writes, Bytes int64
	Share         float64
	// KeyLifetime is how long idempotency keys are kept.
	KeyLifetime time.Duration
	// Attempts is how often a write is sent whose fate stays open.
	Attempts int
	// Expiry is how long a write may be held; zero means for ever.
	Expiry time.Duration
	// Gap is how long a sequence waits for a missing number.
	Gap time.Duration
	// Retention says how long settled writes are kept.
	Retention ledger.Retention
	// Archive is the folder that writes are kept in which retention deletes;
	// none is kept when empty.
	Archive string
}

// DefaultSettings hold where nothing is configured.
var DefaultSettings = Settings{
	Writes: 1_000_000, Bytes: 4 << 30, Share: 0.5, KeyLifetime: 24 * time.Hour, Attempts: 8, Expiry: 7 * 24 * time.Hour, Gap: time.Minute,
	Retention: ledger.Retention{Settled: 30 * 24 * time.Hour, Dead: 90 * 24 * time.Hour, Audit: 365 * 24 * time.Hour},
}

// Observer measures what becomes of writes.
type Observer interface {
	// WriteAccepted tells of a write that was appended.
	WriteAccepted(system string, class specs.Class)
	// WriteEnded tells of a write that this process has settled for good, or
	// given up. Waited is the time from its acceptance to its first sending,
	// astray how far the estimate that its caller was given was from the end;
	// negative when there was none.
	WriteEnded(system string, class specs.Class, e Ended)
	// WriteDoubtful tells of a write whose answer was lost.
	WriteDoubtful(system string, class specs.Class)
	// BatchSent tells of a call that took so many writes to their system.
	BatchSent(system string, class specs.Class, writes int)
}

// Ended is how a write ended.
type Ended struct {
	// State is a state of the ledger; Dead tells that a person is needed.
	State    string
	Dead     bool
	Waited   time.Duration
	Astray   time.Duration
	Attempts int
}

// Options set up a Buffer.
type Options struct {
	// Ledger keeps the writes. Without one the buffer only compiles: that is
	// enough to check a workspace.
	Ledger   *ledger.DB
	Settings Settings
	Log      *slog.Logger
	Observer Observer
	// Lease is how long a claim is valid without being renewed; DefaultLease
	// when zero. The ledger must be opened with the same.
	Lease time.Duration
	// Grace is how much longer than its timeout a request without an answer
	// counts as running; 10 s when zero.
	Grace time.Duration
	// Line is how many writes of each class stand in a budget's line at a time;
	// 16 when zero. LineWait is how long they stand there; 10 s when zero.
	Line     int
	LineWait time.Duration
	// Backoff is the first pause after a failure, which doubles up to MaxBackoff;
	// 1 s and 1 min when zero.
	Backoff, MaxBackoff time.Duration
	// Look is how often the dispatchers look without being woken; 5 s when zero.
	Look time.Duration
	// Retain is how often what is old enough is deleted; 1 min when zero.
	Retain time.Duration
}

// DefaultLease is how long a claim is valid without being renewed. A replica
// that is lost keeps others from its writes as long.
const DefaultLease = 30 * time.Second

// Buffer sends the writes of a ledger. It lives as long as the process; every
// table gets a Set of it. It is safe for concurrent use.
type Buffer struct {
	options  Options
	ledger   *ledger.DB
	log      *slog.Logger
	settings atomic.Pointer[Settings]
	current  atomic.Pointer[Set]
	epoch    time.Time // what the ends of leases are counted from, by the monotonic clock

	mu      sync.Mutex
	gates   map[string]*gate
	claims  map[*claim]struct{}
	waiters map[string][]*waiter

	start     sync.Once
	stopWatch func()
	// draining ends long waits; ctx ends with it, so that nothing new is begun.
	ctx      context.Context
	drain    context.CancelFunc
	running  sync.WaitGroup // dispatchers and maintenance
	renewing sync.WaitGroup // what keeps claims valid, to the end
	carrying sync.WaitGroup // writes under way
	carried  sync.Mutex     // guards adding to carrying against waiting for it
	closed   bool
	// given ends what still tries to settle when the time for it is over.
	given  context.Context
	giveUp context.CancelFunc
}

// New makes a buffer. Nothing is sent before Use.
func New(o Options) *Buffer {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&o.Lease, DefaultLease)
	set(&o.Grace, 10*time.Second)
	set(&o.LineWait, 10*time.Second)
	set(&o.Backoff, time.Second)
	set(&o.MaxBackoff, time.Minute)
	set(&o.Look, 5*time.Second)
	set(&o.Retain, time.Minute)
	if o.Line == 0 {
		o.Line = 16
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Settings.Writes == 0 {
		o.Settings = DefaultSettings
	}
	b := &Buffer{
		options: o, ledger: o.Ledger, log: o.Log, epoch: time.Now(),
		gates: map[string]*gate{}, claims: map[*claim]struct{}{}, waiters: map[string][]*waiter{},
	}
	b.settings.Store(&o.Settings)
	b.ctx, b.drain = context.WithCancel(context.Background())
	b.given, b.giveUp = context.WithCancel(context.Background())
	return b
}

// Configure changes the settings.
func (b *Buffer) Configure(s Settings) { b.settings.Store(&s) }

// Ledger is where the writes are kept.
func (b *Buffer) Ledger() *ledger.DB { return b.ledger }

// Use makes writes go by a table from now on. The first call begins the
// sending: what was under way when the process ended becomes doubtful first.
func (b *Buffer) Use(s *Set) {
	b.current.Store(s)
	if b.ledger == nil {
		return
	}
	b.start.Do(b.begin)
	b.wakeAll()
}

func (b *Buffer) begin() {
	b.stopWatch = b.ledger.Watch(func(system string) { b.gate(system).wakeUp() })
	b.running.Go(func() {
		b.recover()
		b.running.Go(b.maintain)
		b.running.Go(b.discover)
	})
	b.renewing.Go(b.renew)
}

// discover starts the dispatchers of all systems that have writes, also those
// that other replicas have accepted.
func (b *Buffer) discover() {
	for b.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
		systems, err := b.ledger.Systems(ctx)
		cancel()
		if err != nil && b.ctx.Err() == nil {
			b.log.Warn("the ledger cannot be read", "error", err)
		}
		for _, name := range systems {
			b.gate(name).wakeUp()
		}
		if !b.sleep(30 * time.Second) {
			return
		}
	}
}

// sleep waits, and tells whether the buffer goes on.
func (b *Buffer) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-b.ctx.Done():
		return false
	}
}

// gate gives a system's gate, with its dispatcher.
func (b *Buffer) gate(system string) *gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.gates[system]
	if g == nil {
		g = newGate(b, system)
		b.gates[system] = g
		if b.ctx.Err() == nil {
			b.running.Go(g.dispatch)
		}
	}
	return g
}

// Systems lists the systems that this process has had writes for, sorted.
func (b *Buffer) Systems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.gates))
}

func (b *Buffer) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.gates {
		g.wakeUp()
	}
}

// acquire gives the set that writes go by; it must be released. It is nil when
// there is none any more.
func (b *Buffer) acquire() *Set {
	for {
		s := b.current.Load()
		if s == nil || s.Acquire() {
			return s
		}
		if b.current.Load() == s {
			return nil
		}
	}
}

// Drain begins the end: nothing new is claimed, what stands in line goes back,
// and whoever waits for what is not under way is answered with what is known.
func (b *Buffer) Drain() {
	b.mu.Lock() // no dispatcher is started after it
	defer b.mu.Unlock()
	b.drain()
}

// Close waits for what is at the systems, until ctx ends; what has no answer
// by then is left doubtful, which takes two seconds at most. The ledger stays open.
func (b *Buffer) Close(ctx context.Context) {
	b.Drain()
	if b.ledger == nil {
		return
	}
	if b.stopWatch != nil {
		b.stopWatch()
	}
	done := make(chan struct{})
	go func() {
		// Who claims must have ended first: what was claimed last has to go back.
		b.running.Wait()
		b.carried.Lock()
		b.closed = true
		b.carried.Unlock()
		b.carrying.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		b.abandon()
	}
	b.giveUp()
	b.renewing.Wait()
}

// abandoning is the longest time that it takes to leave writes doubtful.
const abandoning = 2 * time.Second

// abandon leaves what is still at a system doubtful, until its request can no
// longer be running.
func (b *Buffer) abandon() {
	b.mu.Lock()
	var left []*claim
	for c := range b.claims {
		if !c.Doubtful && c.sent.Load() != 0 {
			left = append(left, c)
		}
	}
	b.mu.Unlock()
	if len(left) == 0 {
		return
	}
	b.log.Warn("writes are still at their systems; they are doubtful now", "writes", len(left))
	ctx, cancel := context.WithTimeout(b.given, abandoning)
	defer cancel()
	var all sync.WaitGroup
	for _, c := range left {
		all.Go(func() {
			s := b.stillDoubtful(c.over(b.options.Grace), "the gateway ended before the system had answered")
			s.Attempt = true
			if err := b.ledger.Settle(ctx, c.Claimed, s); err != nil && !errors.Is(err, ledger.ErrFenced) {
				b.log.Warn("a doubt cannot be kept; it is found at the next start", "write", c.ID, "error", err)
			}
		})
	}
	all.Wait()
}

// enlist counts a write in that is about to be carried, so that Close waits for
// it; false when the buffer has ended. b.carrying.Done counts it out.
func (b *Buffer) enlist() bool {
	b.carried.Lock()
	defer b.carried.Unlock()
	if !b.closed {
		b.carrying.Add(1)
	}
	return !b.closed
}

// carry runs f, which carries a write that was enlisted.
func (b *Buffer) carry(f func()) {
	go func() {
		defer b.carrying.Done()
		f()
	}()
}
