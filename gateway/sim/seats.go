package sim

import (
	"time"
)

// seats counts sessions that are open, and a call that opens one.
func seats(capacity int, of *sessions) source {
	return source{shape{"sessions", float64(capacity), 0}, func(*limit, string) meter { return &seated{capacity: capacity, sessions: of} }}
}

type seated struct {
	capacity, opening int
	sessions          *sessions
}

func (m *seated) fits(now time.Time, _ float64) (time.Duration, bool) {
	return 0, m.opening+m.sessions.count(now) < m.capacity
}

func (m *seated) take(time.Time, float64) place {
	m.opening++
	return place{}
}

func (m *seated) done(time.Time, use)        { m.opening-- }
func (m *seated) used(now time.Time) float64 { return float64(m.opening + m.sessions.count(now)) }
func (m *seated) idle(time.Time) bool        { return m.opening == 0 }
func (m *seated) clear()                     {}
