package budget

import "math"

// cut is what overloads have taken of a pool's capacity, and how it grows back.
// The zero cut, with at before all times, is none.
type cut struct {
	// part is what was left of the capacity; zero for all.
	part float64
	// at is when it was cut, rate what grows back in a nanosecond.
	at   int64
	rate float64
}

// shrink answers an overload.
func (p *memoryPool) shrink(pool *Pool, now int64) {
	floor := pool.Adaptive.part(pool)
	p.cut = cut{
		part: max(floor, p.cut.share(now)*pool.Adaptive.Cut),
		at:   now, rate: (1 - floor) / float64(pool.Adaptive.Recover),
	}
}

// part is the part of a pool's capacity that is left at the least.
func (a *Adaptive) part(pool *Pool) float64 { return min(1, float64(a.Floor)/float64(pool.Capacity)) }

// least tells that another cut would not make a pool smaller than the last one did.
func (c *cut) least(pool *Pool, now int64) bool {
	floor := pool.Adaptive.part(pool)
	return floor >= 1 || c.part > 0 && c.part <= floor && c.share(now)*pool.Adaptive.Cut <= floor
}

// fullness is the part of what there is of an adaptive pool that is occupied.
func (p *memoryPool) fullness(pool *Pool, now int64) float64 {
	used := p.flying.sum + p.held.sum + p.foreign
	if p.interval > 0 {
		used = p.flying.sum + p.spent(now)
	}
	return float64(used) / float64(max(1, p.cut.capacity(pool, now)))
}

// share is the part of the capacity that there is.
func (c *cut) share(now int64) float64 {
	if c.part == 0 {
		return 1
	}
	return min(1, c.part+float64(now-c.at)*c.rate)
}

// of is what there is of a whole.
func (c *cut) of(whole Units, now int64) Units {
	if c.part == 0 {
		return whole
	}
	return Units(c.share(now) * float64(whole))
}

// made tells whether a pool may be smaller than it is configured.
func (c *cut) made(pool *Pool) bool { return c.part > 0 && pool.Adaptive != nil }

// capacity is what there is of a pool.
func (c *cut) capacity(pool *Pool, now int64) Units {
	return max(min(pool.Adaptive.Floor, pool.Capacity), c.of(pool.Capacity, now))
}

// grown is how long it takes until a pool has grown by so many units; for ever
// if it does not.
func (c *cut) grown(u Units, pool *Pool) int64 {
	if !c.made(pool) || c.rate <= 0 {
		return math.MaxInt64
	}
	return max(1, nanoseconds(float64(u)/float64(pool.Capacity)/c.rate))
}
