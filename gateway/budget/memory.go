package budget

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a Store in the memory of one process. What was used before the
// process started is known to it only after Remember.
type Memory struct {
	epoch   time.Time
	diary   Diary // nil when nothing is written down
	failed  func(system string, err error)
	closed  atomic.Bool
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
	epoch time.Time
	pools map[string]*memoryPool
	// suspended is until when no call is admitted, -1 when that was never so or has been
	// ended. After it, the process tries the system.
	suspended int64
	// sweepAt is the number of pools at which idle ones are dropped.
	sweepAt int

	remembering
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
		s = &memorySystem{
			epoch: m.epoch, suspended: -1, pools: map[string]*memoryPool{}, sweepAt: leastSweep,
			remembering: remembering{writing: make(chan struct{}, 1)},
		}
		m.systems[name] = s
	}
	return s
}

func (m *Memory) now() int64 { return int64(time.Since(m.epoch)) }

// Admit implements Store.
func (m *Memory) Admit(ctx context.Context, a *Admission) (Decision, error) {
	s := m.system(a.System)
	for range mostNotes {
		d, turn, allowed := m.admit(s, a)
		if allowed {
			return d, nil
		}
		_ = m.write(context.WithoutCancel(ctx), a.System, s, false, turn) // told to failed; calls go on
	}
	return Decision{Pool: 0, Refused: 1, RoomIn: time.Millisecond, Again: time.Millisecond}, nil
}

// mostNotes is how often an admission waits for a note that others use up.
const mostNotes = 8

// admit judges an admission. It is not allowed where it needs another note than
// that of a turn.
func (m *Memory) admit(s *memorySystem, a *Admission) (d Decision, turn uint64, allowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	if in := time.Duration(s.suspended - now); in > 0 {
		return Decision{Pool: 0, Refused: 1<<len(a.Asks) - 1, Suspended: true, RoomIn: in, Again: in}, 0, true
	}
	if len(s.pools) >= s.sweepAt { // before any is looked up, because those asked for may be idle
		s.sweep(now)
	}
	d = Decision{Granted: true, Pool: -1}
	var few [8]*memoryPool
	pools := few[:0]
	for i := range a.Asks {
		p := s.pool(&a.Asks[i], a, now)
		pools = append(pools, p)
		p.judge(i, &a.Asks[i], a, now, &d)
	}
	if !d.Granted || a.Probe {
		return d, 0, true
	}
	if !s.allowed(m, a, pools, now) {
		return Decision{}, s.turn, false
	}
	a.At, a.Trial = time.Duration(now), s.suspended >= 0
	lease := now + int64(a.Lease)
	for i, p := range pools {
		p.flying.add(lease, a.Asks[i].Units)
		a.Asks[i].counted, a.Asks[i].Seen = p, p.ended
	}
	s.took(m, a, pools, now)
	return d, 0, true
}

// pool finds the counts that an ask is about, brought up to now.
func (s *memorySystem) pool(ask *Ask, a *Admission, now int64) *memoryPool {
	p := s.pools[ask.Key]
	if p == nil {
		p = newMemoryPool(s, ask.Pool, a.Lease, now)
		s.pools[ask.Key] = p
		if n, ok := s.before[ask.Key]; ok {
			p.resume(n, now)
			delete(s.before, ask.Key)
		}
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
			p.owner = nil
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
	suspect := -1
	if r.Overload {
		suspect = s.suspect(a, r.Shrink, now)
	}
	for i := range a.Asks {
		ask := &a.Asks[i]
		p := s.countOf(ask)
		if p == nil {
			continue
		}
		p.advance(now)
		actual := ask.Units
		if r.Actual != nil {
			actual = r.Actual[i]
		}
		p.settle(a, ask.Units, actual, r.Outcome, now)
		own := actual
		if r.Outcome != Ended {
			own = 0
		}
		switch {
		case r.Overload && r.Pause&(1<<i) != 0:
			p.pause(a, r.RetryAfter, now)
		case r.Outcome == Ended && !r.Overload && int64(a.At) >= p.pausedUntil:
			p.strikes = 0
		}
		if i == suspect {
			p.shrink(ask.Pool, now)
		}
		for _, report := range r.Reports {
			if report.Ask == i {
				p.correct(a, ask, report, own, now)
			}
		}
	}
	return nil
}

// countOf finds where an ask was counted; nil when its lease had run out, and the
// pool was idle.
func (s *memorySystem) countOf(ask *Ask) *memoryPool {
	if p := ask.counted; p != nil && p.owner == s {
		return p
	}
	return s.pools[ask.Key]
}

// suspect is the ask whose pool an overload of a call shrinks, as Settlement.Shrink
// says; -1 for none.
func (s *memorySystem) suspect(a *Admission, among uint32, now int64) int {
	suspect, most := -1, 0.0
	for i := range a.Asks {
		p, pool := s.countOf(&a.Asks[i]), a.Asks[i].Pool
		if among&(1<<i) == 0 || p == nil || pool.Adaptive == nil || pool.Capacity == 0 {
			continue
		}
		if int64(a.At) <= p.cut.at {
			return -1
		}
		p.advance(now)
		full := p.fullness(pool, now)
		if p.cut.least(pool, now) {
			full -= 1e12 // only where nothing else is left
		}
		if suspect < 0 || full > most {
			suspect, most = i, full
		}
	}
	return suspect
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
		s.suspended = -1
	} else {
		s.suspended = max(s.suspended, m.now()+int64(d))
	}
	return nil
}

// Yield implements Store: there is no other process.
func (m *Memory) Yield(context.Context, string) error { return nil }

// Watch implements Store: nobody else takes or gives units.
func (m *Memory) Watch(string, func()) (stop func()) { return func() {} }

// Standing implements Store.
func (m *Memory) Standing(system string) Standing {
	st := Standing{Mode: ModeMemory, Replicas: 1, Share: 1, Since: m.epoch, Joined: true}
	s := m.system(system)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.suspended >= 0 {
		in := time.Duration(s.suspended - m.now())
		st.Suspension = Suspension{For: max(0, in), Trial: in <= 0, Mine: in <= 0}
	}
	return st
}
