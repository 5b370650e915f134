package counter

import (
	"context"
	"math/big"
	"math/bits"
	"time"

	"github.com/headrace/headrace/gateway"
)

// bucket holds what a key has used of its burst, in grains. It drains at the
// limit's rate. Grains are whole numbers, so that nothing is gained by rounding.
type bucket struct {
	used int64
	call int64 // grains of a call when used was written
	at   int64
}

// throttle is a limit on the rate.
type throttle struct {
	place place
	grains
}

// grains are the numbers of a limit on the rate, as whole numbers.
type grains struct {
	burst int64
	// A call is worth call grains, and drain grains are given back every tick.
	call, drain int64
}

// maxGrains leaves room for a call on top of a full bucket.
const maxGrains = 1 << 61

func newThrottle(m *Memory, name string, rate float64, burst int) *throttle {
	return &throttle{place: m.place(name), grains: newGrains(rate, burst, int64(time.Second), maxGrains)}
}

// newGrains chooses the finest grain for which a full bucket has at most so
// many, where a second has so many ticks. A call is rounded up to whole grains:
// the rate is never more than asked for, and with 61 bits and nanoseconds less
// by a millionth at most, for rates up to 10⁹ a second.
func newGrains(rate float64, burst int, second, most int64) grains {
	g := grains{burst: int64(max(1, burst)), call: most, drain: 1}
	r := new(big.Rat)
	if !(rate > 0) || r.SetFloat64(rate) == nil {
		g.burst = 1
		return g
	}
	for shift := 20; shift >= 0; shift-- {
		exact := new(big.Rat).Quo(new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(second), uint(shift))), r)
		call := new(big.Int).Add(exact.Num(), new(big.Int).Sub(exact.Denom(), big.NewInt(1)))
		call.Quo(call, exact.Denom())
		if !call.IsInt64() || call.Int64() > most {
			continue
		}
		g.call, g.drain = call.Int64(), 1<<shift
		if g.call <= most/g.burst {
			return g
		}
	}
	g.burst = max(1, most/g.call) // the rest would take lifetimes to come back
	return g
}

// Take implements gateway.Limit.
func (t *throttle) Take(_ context.Context, key string) (gateway.Verdict, error) {
	m := t.place.memory
	now := m.now()
	c, i := t.place.cell(key)
	s := &m.buckets.shards[i]
	s.mu.Lock()
	e, err := s.get(c, now)
	if err != nil {
		s.mu.Unlock()
		return gateway.Verdict{}, err
	}
	used := t.level(&e.count, now)
	full := t.burst * t.call
	ok := used+t.call <= full
	if ok {
		used += t.call
		e.count = bucket{used: used, call: t.call, at: max(now, e.count.at)}
		e.until = e.count.at + t.time(used)
	}
	s.mu.Unlock()
	m.sweep(now)
	return gateway.Verdict{
		OK: ok, Limit: t.burst, Remaining: (full - used) / t.call,
		Reset: time.Duration(t.time(used)), RetryAfter: time.Duration(t.time(used + t.call - full)),
	}, nil
}

// level is what is used at a moment, by the limit's own numbers.
func (t *throttle) level(b *bucket, now int64) int64 {
	used := b.used
	if b.call != t.call && used > 0 {
		used = scale(used, t.call, b.call)
	}
	used = min(used, t.burst*t.call)
	elapsed := max(0, now-b.at)
	if elapsed >= t.time(used) {
		return 0
	}
	return used - elapsed*t.drain
}

// time is how many ticks an amount takes to drain.
func (g grains) time(amount int64) int64 {
	if amount <= 0 {
		return 0
	}
	return (amount + g.drain - 1) / g.drain
}

// scale is v·numerator/denominator, rounded up, and at most maxGrains.
func scale(v, numerator, denominator int64) int64 {
	hi, lo := bits.Mul64(uint64(v), uint64(numerator))
	if hi >= uint64(denominator) {
		return maxGrains
	}
	q, rest := bits.Div64(hi, lo, uint64(denominator))
	if rest > 0 {
		q++
	}
	return int64(min(q, maxGrains))
}
