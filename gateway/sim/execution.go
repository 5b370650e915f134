package sim

import (
	"time"
)

// execution charges the seconds that a call took to another source, when the
// answer is ready: it refuses only when the time is used up already.
func execution(s source) source {
	return source{shape{"execution-time", s.capacity, s.window}, func(l *limit, scope string) meter {
		return &timed{meter: s.meter(l, scope)}
	}}
}

type timed struct {
	meter
	running int
}

func (m *timed) fits(now time.Time, _ float64) (time.Duration, bool) { return m.meter.fits(now, 0) }

func (m *timed) take(time.Time, float64) place {
	m.running++
	return place{}
}

func (m *timed) done(now time.Time, u use) {
	m.running--
	m.meter.take(now, u.took.Seconds())
}

func (m *timed) idle(now time.Time) bool { return m.running == 0 && m.meter.idle(now) }
