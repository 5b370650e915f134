package sim

import (
	"time"
)

// bucket holds so many tokens and is refilled at a rate a second. What a call
// took too much is given back when it is done.
func bucket(size, rate float64) source {
	return source{shape{"token-bucket", size, seconds(size / rate)}, func(*limit, string) meter {
		return &tokens{size: size, rate: rate}
	}}
}

// leaky is a bucket that lets calls wait for their tokens: rate a second, burst
// at once, and so many places to wait.
func leaky(burst, rate float64, places int) source {
	return source{shape{"leaky-queue", burst, seconds(burst / rate)}, func(*limit, string) meter {
		return &tokens{size: burst, rate: rate, debt: float64(places)}
	}}
}

type tokens struct {
	size, rate, debt float64
	out              float64 // tokens that are not there
	at               time.Time
}

func (m *tokens) advance(now time.Time) {
	m.out = max(0, m.out-now.Sub(m.at).Seconds()*m.rate)
	m.at = now
}

func (m *tokens) fits(now time.Time, cost float64) (time.Duration, bool) {
	m.advance(now)
	over := m.out + cost - m.size - m.debt
	if over <= slack {
		return 0, true
	}
	return seconds(over / m.rate), false
}

func (m *tokens) take(now time.Time, cost float64) place {
	m.advance(now)
	m.out += cost
	return place{delay: seconds(max(0, m.out-m.size) / m.rate)}
}

func (m *tokens) done(now time.Time, u use) {
	m.advance(now)
	m.out = max(0, m.out+u.actual-u.cost)
}

func (m *tokens) used(now time.Time) float64 {
	m.advance(now)
	return m.out
}

func (m *tokens) idle(now time.Time) bool { return m.used(now) == 0 }
func (m *tokens) clear()                  { m.out = 0 }
