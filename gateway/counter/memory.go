// Package counter keeps what consumers have used: rates, quotas and calls under
// way. Memory keeps it in the process; what it keeps is lost with it, and every
// process counts for itself.
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

	nextSweep atomic.Int64 // on the clock of now
	hand      atomic.Uint32
}

// New makes an empty Memory.
func New() *Memory { return newMemory(maxKeys) }

func newMemory(keys int) *Memory {
	m := &Memory{start: time.Now(), seed: maphash.MakeSeed()}
	m.buckets.bound(keys)
	m.windows.bound(keys)
	m.calendars.bound(keys)
	m.calls.bound(keys)
	m.nextSweep.Store(int64(sweepEvery / shardCount))
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

// sweep drops what is not needed any more from some shards, so that all of them
// are visited once in sweepEvery as long as there are calls.
func (m *Memory) sweep(now int64) {
	const step = int64(sweepEvery / shardCount)
	next := m.nextSweep.Load()
	if now < next || !m.nextSweep.CompareAndSwap(next, now+step) {
		return
	}
	for range min(1+(now-next)/step, shardCount/8) {
		i := m.hand.Add(1) % shardCount
		m.buckets.shards[i].sweep(now)
		m.windows.shards[i].sweep(now)
		m.calendars.shards[i].sweep(now)
		m.calls.shards[i].sweep(now)
	}
}
