package sim

import (
	"time"
)

// atOnce counts calls from their arrival until their answers are ready.
func atOnce(capacity int) source {
	return source{shape{"at-once", float64(capacity), 0}, func(l *limit, _ string) meter {
		return &together{capacity: capacity + l.overshoot, running: l.held, held: l.held, busy: &l.busy}
	}}
}

type together struct {
	capacity, running, held int
	busy                    *gauge
}

func (m *together) fits(time.Time, float64) (time.Duration, bool) { return 0, m.running < m.capacity }

func (m *together) take(now time.Time, _ float64) place {
	m.running++
	m.busy.add(now, 1)
	return place{}
}

func (m *together) done(now time.Time, _ use) {
	m.running--
	m.busy.add(now, -1)
}

func (m *together) used(time.Time) float64 { return float64(m.running) }
func (m *together) idle(time.Time) bool    { return m.running == m.held }
func (m *together) clear()                 {}
