package budget

import (
	"context"
	"math"
	"sync"
	"time"
)

// Memory is a Store in the memory of one process. What was used before the
// process started is not known to it.
type Memory struct {
	epoch   time.Time
	mu      sync.RWMutex
	systems map[string]*memorySystem
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{epoch: time.Now(), systems: map[string]*memorySystem{}}
}

// memorySystem holds the pools of one system under one lock, which makes
// admission over several of them atomic.
type memorySystem struct {
	mu    sync.Mutex
	pools map[string]*memoryPool
	// suspended is until when no call is admitted.
	suspended int64
	// sweepAt is the number of pools at which idle ones are dropped.
	sweepAt int
}

const leastSweep = 64

func (m *Memory) system(name string) *memorySystem {
	m.mu.RLock()
	s := m.systems[name]
	m.mu.RUnlock()
	if s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s = m.systems[name]; s == nil {
		s = &memorySystem{pools: map[string]*memoryPool{}, sweepAt: leastSweep}
		m.systems[name] = s
	}
	return s
}

func (m *Memory) now() int64 { return int64(time.Since(m.epoch)) }

// Admit implements Store.
func (m *Memory) Admit(_ context.Context, a *Admission) (Decision, error) {
	s := m.system(a.System)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	if in := time.Duration(s.suspended - now); in > 0 {
		return Decision{Pool: 0, Refused: 1<<len(a.Asks) - 1, Suspended: true, RoomIn: in, Again: in}, nil
	}
	d := Decision{Granted: true, Pool: -1}
	var few [8]*memoryPool
	pools := few[:0]
	for i := range a.Asks {
		p := s.pool(&a.Asks[i], a, now)
		pools = append(pools, p)
		p.judge(i, &a.Asks[i], a, now, &d)
	}
	if !d.Granted || a.Probe {
		return d, nil
	}
	a.At = time.Duration(now)
	lease := now + int64(a.Lease)
	for i, p := range pools {
		p.flying.add(lease, a.Asks[i].Units)
	}
	return d, nil
}

// pool finds the counts that an ask is about, brought up to now.
func (s *memorySystem) pool(ask *Ask, a *Admission, now int64) *memoryPool {
	p := s.pools[ask.Key]
	if p == nil {
		if len(s.pools) >= s.sweepAt {
			s.sweep(now)
		}
		p = newMemoryPool(ask.Pool, a.Lease, now)
		s.pools[ask.Key] = p
	} else if ask.Pool.Revision > p.revision {
		p.reshape(ask.Pool, now)
	}
	p.advance(now)
	return p
}

// sweep drops the pools of scopes that hold nothing any more.
func (s *memorySystem) sweep(now int64) {
	for key, p := range s.pools {
		p.advance(now)
		if p.idle(now) {
			delete(s.pools, key)
		}
	}
	s.sweepAt = max(leastSweep, 2*len(s.pools))
}

// Settle implements Store.
func (m *Memory) Settle(_ context.Context, a *Admission, r Settlement) error {
	s := m.system(a.System)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	for i := range a.Asks {
		p := s.pools[a.Asks[i].Key]
		if p == nil { // its lease had run out, and it was idle
			continue
		}
		p.advance(now)
		actual := a.Asks[i].Units
		if r.Actual != nil {
			actual = r.Actual[i]
		}
		p.settle(a, a.Asks[i].Units, actual, r.Outcome, now)
		switch {
		case r.Overload && r.Pause&(1<<i) != 0:
			p.pause(a, r.RetryAfter, now)
		case r.Outcome == Ended && !r.Overload && int64(a.At) >= p.pausedUntil:
			p.strikes = 0
		}
	}
	return nil
}

// Usage implements Store.
func (m *Memory) Usage(_ context.Context, system string) ([]Usage, error) {
	s := m.system(system)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	var all []Usage
	for key, p := range s.pools {
		p.advance(now)
		if !p.idle(now) {
			all = append(all, p.usage(key, now))
		}
	}
	return all, nil
}

// Suspend implements Store.
func (m *Memory) Suspend(_ context.Context, system string, d time.Duration) error {
	s := m.system(system)
	s.mu.Lock()
	defer s.mu.Unlock()
	if d <= 0 {
		s.suspended = 0
	} else {
		s.suspended = max(s.suspended, m.now()+int64(d))
	}
	return nil
}

// Watch implements Store: nobody else takes or gives units.
func (m *Memory) Watch(string, func()) (stop func()) { return func() {} }

// Standing implements Store.
func (m *Memory) Standing(string) Standing {
	return Standing{Mode: ModeMemory, Replicas: 1, Share: 1, Since: m.epoch}
}

// memoryPool counts one pool. A unit is in flying from its admission until it
// is settled or its lease runs out, and in held or in the bucket after that.
type memoryPool struct {
	revision int
	hold     int64
	interval float64
	flying   ring
	held     ring
	// full is when the bucket would be full if nothing was under way.
	full int64

	pausedAt, pausedUntil int64
	// strikes counts overloads without a hint, one a pause, since the last success.
	strikes int
}

// Slices are so fine that rounding costs half a percent of the time at most.
const (
	heldSlices  = 250
	leaseSlices = 60
)

func newMemoryPool(pool *Pool, lease time.Duration, now int64) *memoryPool {
	p := &memoryPool{revision: pool.Revision, hold: int64(pool.Hold), interval: pool.Interval, full: now}
	p.flying.width = max(1, int64(lease)/leaseSlices)
	p.held.width = max(1, p.hold/heldSlices)
	p.flying.advance(now, nil)
	p.held.advance(now, nil)
	return p
}

// advance ends the leases that have run out, and frees what was held long enough.
func (p *memoryPool) advance(now int64) {
	p.flying.advance(now, p.end)
	p.held.advance(now, nil)
}

// end moves units that were under way to where they stay after a call's end.
func (p *memoryPool) end(at int64, u Units) {
	if p.interval > 0 {
		p.full = min(max(p.full, at)+p.refill(u), 1<<61)
	} else if p.hold > 0 {
		p.held.add(at+p.hold, u)
	}
}

func (p *memoryPool) refill(u Units) int64 { return nanoseconds(float64(u) * p.interval) }

// reshape keeps the counts under a new hold or interval. What is held stays as
// long as a longer hold demands, and no shorter than it was promised.
func (p *memoryPool) reshape(pool *Pool, now int64) {
	p.advance(now)
	p.revision = pool.Revision
	if (pool.Interval > 0) != (p.interval > 0) {
		p.convert(pool, now)
		return
	}
	if hold := int64(pool.Hold); hold != p.hold {
		old, longer := p.held, max(0, hold-p.hold)
		p.hold, p.held = hold, ring{width: max(1, hold/heldSlices)}
		p.held.advance(now, nil)
		old.each(func(at int64, u Units) { p.held.add(at+longer, u) })
	}
	if pool.Interval != p.interval {
		if p.interval > 0 && p.full > now {
			p.full = now + nanoseconds(float64(p.full-now)/p.interval*pool.Interval)
		}
		p.interval = pool.Interval
	}
}

// convert keeps what was used when a capacity becomes a bucket or the reverse.
func (p *memoryPool) convert(pool *Pool, now int64) {
	used := p.held.sum
	if p.interval > 0 {
		used = p.spent(now)
	}
	p.hold, p.interval, p.full = int64(pool.Hold), pool.Interval, now
	p.held = ring{width: max(1, p.hold/heldSlices)}
	p.held.advance(now, nil)
	p.end(now, used)
}

// spent is what is missing from a bucket, apart from what is under way.
func (p *memoryPool) spent(now int64) Units {
	return Units(math.Ceil(float64(max(0, p.full-now)) / p.interval))
}

// judge adds to a decision what this pool has to say about an ask.
func (p *memoryPool) judge(i int, ask *Ask, a *Admission, now int64, d *Decision) {
	paused := p.pausedUntil > now
	in, again := p.pausedUntil-now, p.pausedUntil-now
	if !paused {
		free := ask.Pool.Capacity == 0 || ask.Pool.Free || ask.Pool.Soft && a.Overdraw
		if free {
			return
		}
		in, again = p.roomIn(ask, now)
		if again == 0 {
			return
		}
	}
	d.Granted = false
	d.Refused |= 1 << i
	d.Again = max(d.Again, time.Duration(again))
	if d.Pool < 0 || time.Duration(in) > d.RoomIn || in == 0 && d.RoomIn == 0 && a.Asks[d.Pool].Pool.Soft {
		d.Pool, d.RoomIn, d.Paused = i, time.Duration(in), paused
	}
}

// roomIn tells how long it takes at least until an ask has room, and how long
// until it is worth another look; again is zero when there is room now.
func (p *memoryPool) roomIn(ask *Ask, now int64) (in, again int64) {
	limit := ask.Pool.Capacity - ask.Reserve
	if p.interval > 0 {
		// What is under way could end now; it starts to refill then.
		taken := p.flying.sum + ask.Units - limit
		if in = max(p.full, now) - now + p.refillSigned(taken); in > 0 {
			return in, in
		}
		return 0, 0
	}
	missing := p.flying.sum + p.held.sum + ask.Units - limit
	if missing <= 0 {
		return 0, 0
	}
	if p.hold == 0 {
		return 0, max(p.flying.next()-now, 1)
	}
	// Beyond what is there to be freed, each round of the limit takes a hold.
	if there := p.flying.sum + p.held.sum; missing > there && limit > 0 {
		rounds := (missing - there + limit - 1) / limit
		in, missing = nanoseconds(float64(rounds)*float64(p.hold)), missing-rounds*limit
	}
	if at, ok := p.held.until(missing); ok {
		in += at - now
	} else if missing > 0 {
		in += p.hold // of calls that are still under way
	}
	return in, in
}

func (p *memoryPool) refillSigned(u Units) int64 {
	if u < 0 {
		return -int64(math.Floor(float64(-u) * p.interval))
	}
	return p.refill(u)
}

func (p *memoryPool) settle(a *Admission, asked, actual Units, o Outcome, now int64) {
	lease := int64(a.At + a.Lease)
	if o == Unknown {
		return
	}
	flying := p.flying.remove(lease, asked)
	switch {
	case o == Unsent:
	case flying:
		p.end(now, actual)
	case p.hold > 0:
		// The lease had run out before the call did: it occupies its units
		// since now, not since the end of the lease.
		p.held.remove(p.flying.slice(lease)*p.flying.width+p.hold, asked)
		p.end(now, actual)
	}
}

// pause stops admissions. Refusals of calls that were admitted before the
// pause began belong to the same overload and do not make it longer, unless
// the system says so.
func (p *memoryPool) pause(a *Admission, hint time.Duration, now int64) {
	if hint > 0 {
		p.pausedUntil = max(p.pausedUntil, now+int64(min(hint, MaxHint)))
		p.pausedAt = now
		return
	}
	if p.pausedUntil > now || p.strikes > 0 && int64(a.At) <= p.pausedAt {
		return
	}
	p.pausedAt = now
	p.pausedUntil = now + int64(min(FirstPause<<min(p.strikes, 16), MaxPause))
	p.strikes++
}

func (p *memoryPool) idle(now int64) bool {
	paused := p.pausedUntil > now || p.strikes > 0 && now-p.pausedUntil < int64(MaxPause)
	return p.flying.sum == 0 && p.held.sum == 0 && p.full <= now && !paused
}

func (p *memoryPool) usage(key string, now int64) Usage {
	u := Usage{Key: key, InFlight: p.flying.sum, PausedFor: time.Duration(max(0, p.pausedUntil-now))}
	u.Used = p.flying.sum + p.held.sum
	if next := p.held.next(); next > 0 {
		u.RoomIn = time.Duration(next - now)
	}
	if p.interval > 0 && p.full > now {
		spent := p.spent(now)
		u.Used += spent
		u.RoomIn = time.Duration(p.refill(min(spent, unit)))
	}
	return u
}
