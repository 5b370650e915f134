package sim

import (
	"sync"
	"time"
)

// inLine runs a number of calls at once and lets others wait in order of their
// arrival, for patience at the most. A pace may hold the first of the line back.
func inLine(capacity, places int, patience time.Duration, pace func() pacer) source {
	return source{shape{"line", float64(capacity), 0}, func(l *limit, _ string) meter {
		m := &line{capacity: capacity, places: places, patience: patience, running: l.held, held: l.held, busy: &l.busy, mu: l.mu}
		if pace != nil {
			m.pace = pace()
		}
		return m
	}}
}

// pacer holds the first of a line back.
type pacer interface {
	delay(now time.Time) time.Duration
	started(now time.Time)
	clear()
}

type line struct {
	capacity, places, running, held int
	patience                        time.Duration
	pace                            pacer // may be nil
	busy                            *gauge
	mu                              *sync.Mutex
	waiting                         []*turn
}

// turn is a place in a line.
type turn struct {
	line    *line
	ready   chan struct{} // closed when it is the call's turn
	due     time.Time     // set when it stands first
	started bool
}

func (m *line) fits(now time.Time, _ float64) (time.Duration, bool) {
	free := len(m.waiting) == 0 && m.running < m.capacity && (m.pace == nil || m.pace.delay(now) <= 0)
	return 0, free || len(m.waiting) < m.places
}

func (m *line) take(now time.Time, _ float64) place {
	t := &turn{line: m, ready: make(chan struct{})}
	m.waiting = append(m.waiting, t)
	m.pump(now)
	if t.started {
		return place{}
	}
	return place{turn: t}
}

// pump starts who may start.
func (m *line) pump(now time.Time) {
	for len(m.waiting) > 0 && m.running < m.capacity {
		first := m.waiting[0]
		if m.pace != nil && first.due.IsZero() {
			delay := m.pace.delay(now)
			first.due = now.Add(delay)
			if delay > 0 {
				time.AfterFunc(delay, m.wake)
			}
		}
		if first.due.After(now) {
			return
		}
		m.waiting = m.waiting[1:]
		m.running++
		m.busy.add(now, 1)
		if m.pace != nil {
			m.pace.started(now)
		}
		first.started = true
		close(first.ready)
	}
}

func (m *line) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pump(time.Now())
}

// abandon takes a call out of the line; false if its turn has come meanwhile.
func (t *turn) abandon() bool {
	m := t.line
	for i, other := range m.waiting {
		if other == t {
			m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
			m.pump(time.Now())
			return true
		}
	}
	return false
}

func (m *line) done(now time.Time, u use) {
	if u.abandoned {
		return
	}
	m.running--
	m.busy.add(now, -1)
	m.pump(now)
}

func (m *line) used(time.Time) float64 { return float64(m.running) }

func (m *line) idle(time.Time) bool {
	return m.running == m.held && len(m.waiting) == 0 && m.pace == nil
}

func (m *line) clear() {
	if m.pace != nil {
		m.pace.clear()
	}
}
