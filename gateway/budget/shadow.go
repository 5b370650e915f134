package budget

import "time"

// Record takes an admission's units whatever is there already, and fills in
// a.At. Its lease has begun so long ago. It serves stores that keep their counts
// elsewhere and want to know their own part of them; the admission is settled as
// any other.
func (m *Memory) Record(a *Admission, ago time.Duration) {
	s := m.system(a.System)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	if len(s.pools) >= s.sweepAt {
		s.sweep(now)
	}
	a.At = time.Duration(now) - ago
	for i := range a.Asks {
		s.pool(&a.Asks[i], a, now).flying.add(int64(a.At+a.Lease), a.Asks[i].Units)
	}
}

// Holding is what one pool holds, and for how long.
type Holding struct {
	Key string
	// InFlight has the units under way, by the rest of their leases; Held those
	// of calls that have ended, by the rest of their time. A bucket holds nothing:
	// what it lacks is Spent.
	InFlight, Held []Stay
	Spent          Units
	PausedFor      time.Duration
}

// Stay is a number of units that are free In some time.
type Stay struct {
	In    time.Duration
	Units Units
}

// Holdings lists what the pools of a system hold, in no order.
func (m *Memory) Holdings(system string) []Holding {
	s := m.system(system)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	all := make([]Holding, 0, len(s.pools))
	for key, p := range s.pools {
		p.advance(now)
		h := Holding{Key: key, PausedFor: time.Duration(max(0, p.pausedUntil-now))}
		p.flying.each(func(at int64, u Units) { h.InFlight = append(h.InFlight, Stay{time.Duration(at - now), u}) })
		p.held.each(func(at int64, u Units) { h.Held = append(h.Held, Stay{time.Duration(at - now), u}) })
		if p.interval > 0 {
			h.Spent = p.spent(now)
		}
		all = append(all, h)
	}
	return all
}

// Occupied is what a pool holds: units under way, units held, and what a bucket lacks.
func (m *Memory) Occupied(system, key string) Units {
	s := m.system(system)
	s.mu.Lock()
	defer s.mu.Unlock()
	p, now := s.pools[key], m.now()
	if p == nil {
		return 0
	}
	p.advance(now)
	u := p.flying.sum + p.held.sum
	if p.interval > 0 {
		u += p.spent(now)
	}
	return u
}

// Spend empties a bucket by so many units, as if a call had ended that took them.
func (m *Memory) Spend(system string, ask *Ask, u Units) {
	s := m.system(system)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	s.pool(ask, &Admission{Lease: DefaultTimeout}, now).end(now, u)
}
