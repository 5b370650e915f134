package sim

import (
	"time"
)

// sliding allows so much within every window: a call counts from its arrival
// until a window later, to the nanosecond.
func sliding(capacity float64, window time.Duration) source {
	return source{shape{"sliding-window", capacity, window}, func(*limit, string) meter {
		return &trail{capacity: capacity, window: window}
	}}
}

type trail struct {
	capacity float64
	window   time.Duration
	marks    []mark // oldest first
	sum      float64
}

type mark struct {
	at   time.Time
	cost float64
}

func (m *trail) trim(now time.Time) {
	for len(m.marks) > 0 && now.Sub(m.marks[0].at) >= m.window {
		m.sum -= m.marks[0].cost
		m.marks = m.marks[1:]
	}
	if len(m.marks) == 0 {
		m.marks, m.sum = nil, 0
	}
}

func (m *trail) fits(now time.Time, cost float64) (time.Duration, bool) {
	m.trim(now)
	over := m.sum + cost - m.capacity
	if over <= slack {
		return 0, true
	}
	for _, old := range m.marks {
		if over -= old.cost; over <= slack {
			return old.at.Add(m.window).Sub(now), false
		}
	}
	return 0, false
}

func (m *trail) take(now time.Time, cost float64) place {
	m.trim(now)
	m.marks = append(m.marks, mark{now, cost})
	m.sum += cost
	return place{}
}

func (m *trail) done(time.Time, use) {}

func (m *trail) used(now time.Time) float64 {
	m.trim(now)
	return m.sum
}

func (m *trail) idle(now time.Time) bool { return m.used(now) == 0 }
func (m *trail) clear()                  { m.marks, m.sum = nil, 0 }

// fixed allows so much from one tick of the clock to the next. Windows are
// aligned with the Unix epoch, moved by a phase of each scope (nil: none).
func fixed(capacity float64, window time.Duration, phase func(scope string) time.Duration) source {
	return source{shape{"fixed-window", capacity, window}, func(_ *limit, scope string) meter {
		m := &ticks{capacity: capacity, window: window}
		if phase != nil {
			m.phase = phase(scope)
		}
		return m
	}}
}

type ticks struct {
	capacity      float64
	window, phase time.Duration
	tick          int64
	sum           float64
}

func (m *ticks) advance(now time.Time) {
	if tick := (now.UnixNano() - int64(m.phase)) / int64(m.window); tick != m.tick {
		m.tick, m.sum = tick, 0
	}
}

// left is the time until the window ends.
func (m *ticks) left(now time.Time) time.Duration {
	return m.window - time.Duration((now.UnixNano()-int64(m.phase))%int64(m.window))
}

func (m *ticks) fits(now time.Time, cost float64) (time.Duration, bool) {
	m.advance(now)
	return m.left(now), m.sum+cost <= m.capacity+slack
}

func (m *ticks) take(now time.Time, cost float64) place {
	m.advance(now)
	m.sum += cost
	return place{}
}

func (m *ticks) done(time.Time, use) {}

func (m *ticks) used(now time.Time) float64 {
	m.advance(now)
	return m.sum
}

func (m *ticks) idle(now time.Time) bool { return m.used(now) == 0 }
func (m *ticks) clear()                  { m.sum = 0 }
