// Package counter keeps what consumers have used: rates, quotas and calls under
// way. Memory keeps it in the process; what it keeps is lost with it, and every
// process counts for itself. Redis keeps it for all replicas together.
package counter

import (
	"errors"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
)

// ErrFull means that so many keys are being counted that a new one is not
// taken in: the memory for counts is bounded, whoever calls.
var ErrFull = errors.New("too many callers are counted at once")

const (
	// shardCount spreads the keys so that calls seldom wait for each other.
	shardCount = 64
	// maxKeys bounds each sort of count; a key takes some 200 bytes.
	maxKeys = 1 << 20
	// sweepEvery is how often a key is looked at whether it is still needed.
	sweepEvery = time.Minute
)

// Memory implements gateway.Counters in the process. Its clock is monotonic,
// except for calendar windows. It starts no goroutine: keys that are no longer
// needed are dropped by the calls that come later, a few at a time.
type Memory struct {
	start time.Time
	seed  maphash.Seed

	buckets   table[bucket]
	windows   table[window]
	calendars table[calendar]
	calls     table[calls]

	sweeper sweeper
}

// New makes an empty Memory.
func New() *Memory { return newMemory(maxKeys) }

func newMemory(keys int) *Memory {
	m := &Memory{start: time.Now(), seed: maphash.MakeSeed()}
	m.buckets.bound(keys)
	m.windows.bound(keys)
	m.calendars.bound(keys)
	m.calls.bound(keys)
	m.sweeper.next.Store(int64(sweepEvery / shardCount))
	return m
}

// now is the time since the start in nanoseconds.
func (m *Memory) now() int64 { return int64(time.Since(m.start)) }

// Throttle implements gateway.Counters. Over any stretch of time of t seconds
// at most burst + rate·t calls are admitted.
func (m *Memory) Throttle(name string, rate float64, burst int) gateway.Limit {
	return newThrottle(m, name, rate, burst)
}

// Quota implements gateway.Counters. No rolling window holds more than limit
// calls; a call may occupy its place up to a 64th of the window longer than the
// window, which is the price of a bounded size. Calendar windows are exact.
func (m *Memory) Quota(name string, limit int64, w gateway.Window) gateway.Limit {
	at := m.place(name)
	if w.Length > 0 {
		return &rolling{place: at, limit: limit, length: int64(w.Length), slice: max(1, int64(w.Length)/sliceCount)}
	}
	return &byCalendar{place: at, limit: limit, window: w}
}

// Concurrency implements gateway.Counters.
func (m *Memory) Concurrency(name string, limit int) gateway.Concurrency {
	return &concurrency{place: m.place(name), limit: int64(limit)}
}

// Local implements gateway.Counters: everything is local here.
func (m *Memory) Local() gateway.Counters { return m }

// place is where the counts of a limit are found.
type place struct {
	memory *Memory
	name   string
	hash   uint64
}

func (m *Memory) place(name string) place {
	return place{memory: m, name: name, hash: maphash.String(m.seed, name)}
}

func (p place) cell(key string) (cell, uint32) {
	return cell{p.name, key}, uint32(p.hash^maphash.String(p.memory.seed, key)) % shardCount
}

// sweep drops what is not needed any more from some shards.
func (m *Memory) sweep(now int64) {
	m.sweeper.sweep(now, func(i uint32) {
		m.buckets.shards[i].sweep(now)
		m.windows.shards[i].sweep(now)
		m.calendars.shards[i].sweep(now)
		m.calls.shards[i].sweep(now)
	})
}

// sweeper has all shards visited once in sweepEvery, as long as there are calls.
type sweeper struct {
	next atomic.Int64
	hand atomic.Uint32
}

func (s *sweeper) sweep(now int64, visit func(shard uint32)) {
	const step = int64(sweepEvery / shardCount)
	next := s.next.Load()
	if now < next || !s.next.CompareAndSwap(next, now+step) {
		return
	}
	for range min(1+(now-next)/step, shardCount/8) {
		visit(s.hand.Add(1) % shardCount)
	}
}
