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
	burst int64
	// A call is worth call grains, and drain grains are given back every nanosecond.
	call, drain int64
}

// maxGrains leaves room for a call on top of a full bucket.
const maxGrains = 1 << 61

// newThrottle chooses the finest grain that fits a full bucket into 61 bits. A
// call is rounded up to whole grains: the rate is never more than asked for,
// and less by a millionth at most, for rates up to 10⁹ a second.
func newThrottle(m *Memory, name string, rate float64, burst int) *throttle {
	t := &throttle{place: m.place(name), burst: int64(max(1, burst)), call: maxGrains, drain: 1}
	r := new(big.Rat)
	if !(rate > 0) || r.SetFloat64(rate) == nil {
		t.burst = 1
		return t
	}
	for shift := 20; shift >= 0; shift-- {
		grains := new(big.Rat).Quo(big.NewRat(int64(time.Second)<<shift, 1), r)
		call := new(big.Int).Add(grains.Num(), new(big.Int).Sub(grains.Denom(), big.NewInt(1)))
		call.Quo(call, grains.Denom())
		if !call.IsInt64() || call.Int64() > maxGrains {
			continue
		}
		t.call, t.drain = call.Int64(), 1<<shift
		if t.call <= maxGrains/t.burst {
			return t
		}
	}
	t.burst = max(1, maxGrains/t.call) // the rest would take more than 73 years to come back
	return t
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

// time is how long grains take to drain.
func (t *throttle) time(grains int64) int64 {
	if grains <= 0 {
		return 0
	}
	return (grains + t.drain - 1) / t.drain
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
