package sim

import (
	"math"
	"time"
)

// latencies counts durations in steps of 1 %, from a microsecond to an hour.
type latencies struct {
	n     int
	steps [2212]int
}

const latencyStep = 1.01

func (l *latencies) add(d time.Duration) {
	step := 0
	if d > time.Microsecond {
		step = int(math.Log(float64(d)/float64(time.Microsecond)) / math.Log(latencyStep))
	}
	l.n++
	l.steps[min(step, len(l.steps)-1)]++
}

// quantile is in milliseconds, 0 when nothing was counted.
func (l *latencies) quantile(q float64) float64 {
	if l.n == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(l.n)))
	for step, n := range l.steps {
		if rank -= n; rank <= 0 {
			return math.Pow(latencyStep, float64(step)+0.5) / 1000
		}
	}
	return 0
}
