package countertest

import (
	"fmt"
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/gateway"
)

type throttleScript struct {
	Rate  float64
	Burst int
	Steps []step
}

var throttleScripts = rapid.Custom(func(t *rapid.T) throttleScript {
	s := throttleScript{
		Rate:  rapid.OneOf(rapid.SampledFrom([]float64{1.0 / 3600, 1000.0 / 3600, 0.3, 1, 3, 7, 50, 1e4, 3e6}), rapid.Float64Range(0.001, 1e5)).Draw(t, "rate"),
		Burst: rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 200)).Draw(t, "burst"),
	}
	s.Steps = steps(t, time.Duration(float64(time.Second)/s.Rate), 2*s.Burst)
	return s
})

// rounding is how much of a call a store may be off its model, upwards never.
const rounding = 1e-3

func (s throttleScript) play(counters gateway.Counters, terms Terms) error {
	l := counters.Throttle("throttle", s.Rate, s.Burst)
	models := map[string]*bucketModel{}
	return run(s.Steps, terms, func(step) gateway.Limit { return l }, func(at step, v gateway.Verdict) error {
		m := models[at.Key]
		if m == nil {
			m = &bucketModel{script: s, tokens: float64(s.Burst), at: time.Now()}
			models[at.Key] = m
		}
		return m.check(v, terms)
	})
}

// bucketModel is a token bucket in real numbers that remembers every call.
type bucketModel struct {
	script   throttleScript
	tokens   float64
	at       time.Time
	admitted []time.Time
}

func (m *bucketModel) check(v gateway.Verdict, terms Terms) error {
	now, leased := time.Now(), terms.leased(m.script.Burst)
	m.tokens = min(float64(m.script.Burst), m.tokens+m.script.Rate*now.Sub(m.at).Seconds())
	m.at = now
	if !v.OK && m.tokens > 1+rounding+leased {
		return fmt.Errorf("refused with %.6f calls to spare", m.tokens)
	}
	if v.OK {
		m.tokens--
		m.admitted = append(m.admitted, now)
		for i, first := range m.admitted {
			n, stretch := len(m.admitted)-i, now.Sub(first)
			if allowed := float64(m.script.Burst) + m.script.Rate*stretch.Seconds(); float64(n) > allowed+1e-9 {
				return fmt.Errorf("%d calls were admitted within %s, %.9f are allowed", n, stretch, allowed)
			}
		}
	}
	if v.Limit != int64(m.script.Burst) {
		return fmt.Errorf("the limit is %d", m.script.Burst)
	}
	if terms.Several && leased > 0 && v.OK {
		return nil
	}
	if r := float64(v.Remaining); r > m.tokens+1e-6 || r < math.Floor(m.tokens-rounding-leased) {
		return fmt.Errorf("%.6f calls remain", m.tokens)
	}
	if err := m.wait("the reset", v.Reset, float64(m.script.Burst)-m.tokens, terms); err != nil {
		return err
	}
	return m.wait("the wait", v.RetryAfter, 1-m.tokens, terms)
}

// wait compares a time with how long some calls take to come back.
func (m *bucketModel) wait(what string, got time.Duration, calls float64, terms Terms) error {
	exact := max(0, calls/m.script.Rate*float64(time.Second))
	slack := rounding / m.script.Rate * float64(time.Second)
	late := max(0, calls+terms.leased(m.script.Burst))/m.script.Rate*float64(time.Second) - exact
	return between(what, got, time.Duration(exact-slack), time.Duration(exact+late+slack)+2*terms.resolution())
}
