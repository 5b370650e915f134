package sim

import (
	"time"
)

// aged counts at once, but only calls that have been under way for an age.
func aged(capacity int, age time.Duration) source {
	return source{shape{"at-once-aged", float64(capacity), 0}, func(l *limit, _ string) meter {
		return &elders{capacity: capacity, age: age, held: l.held, busy: &l.busy}
	}}
}

type elders struct {
	capacity, held int
	age            time.Duration
	busy           *gauge
	running        []time.Time // when they arrived, oldest first
}

func (m *elders) count(now time.Time) int {
	n := 0
	for n < len(m.running) && now.Sub(m.running[n]) >= m.age {
		n++
	}
	return n + m.held
}

func (m *elders) fits(now time.Time, _ float64) (time.Duration, bool) {
	return 0, m.count(now) < m.capacity
}

func (m *elders) take(now time.Time, _ float64) place {
	m.running = append(m.running, now)
	return place{}
}

// done adds the time that the call was old to the gauge in one piece: it was
// not seen growing old.
func (m *elders) done(now time.Time, u use) {
	for i, at := range m.running {
		if at.Equal(u.at) {
			m.running = append(m.running[:i], m.running[i+1:]...)
			break
		}
	}
	m.busy.area += max(0, u.took-m.age).Seconds()
}

func (m *elders) used(now time.Time) float64 { return float64(m.count(now)) }
func (m *elders) idle(time.Time) bool        { return len(m.running) == 0 }
func (m *elders) clear()                     {}
