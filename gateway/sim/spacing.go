package sim

import (
	"time"
)

// spaced keeps calls a gap apart; a call that costs more needs a longer one.
func spaced(gap time.Duration) source {
	return source{shape{"spacing", 1, gap}, func(*limit, string) meter { return &spacing{gap: gap} }}
}

type spacing struct {
	gap  time.Duration
	last time.Time
}

func (m *spacing) fits(now time.Time, cost float64) (time.Duration, bool) {
	wait := m.last.Add(time.Duration(cost * float64(m.gap))).Sub(now)
	return max(0, wait), m.last.IsZero() || wait <= 0
}

func (m *spacing) take(now time.Time, _ float64) place {
	m.last = now
	return place{}
}

func (m *spacing) done(time.Time, use) {}

func (m *spacing) used(now time.Time) float64 {
	if m.idle(now) {
		return 0
	}
	return 1
}

func (m *spacing) idle(now time.Time) bool { return m.last.IsZero() || now.Sub(m.last) >= m.gap }
func (m *spacing) clear()                  { m.last = time.Time{} }
