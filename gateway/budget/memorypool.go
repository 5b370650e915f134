package budget

import (
	"math"
	"time"
)

// memoryPool counts one pool. A unit is in flying from its admission until it
// is settled or its lease runs out, and in held or in the bucket after that.
// All times are nanoseconds since the store's epoch.
type memoryPool struct {
	// owner is the system that has the pool; nil when it was dropped.
	owner    *memorySystem
	revision int
	hold     int64
	calendar *Calendar
	interval float64
	flying   ring
	held     holding
	// past is what calls of an earlier process hold that may be under way, by
	// the time until which.
	past    []ending
	pastSum Units
	// noting tells that what is taken is written down, as far as it is allowed.
	noting bool
	allowance
	// full is when the bucket would be full if nothing was under way.
	full int64
	// ended counts the units of all calls that have ended.
	ended Units
	// foreign is what the system has counted of others, until foreignUntil.
	foreign      Units
	foreignUntil int64
	window       window

	pausedAt, pausedUntil int64
	// strikes counts overloads without a hint, one a pause, since the last success.
	strikes int
	cut     cut
	// whole is the capacity as configured, for reports to people.
	whole Units
}

// window is a calendar window in the store's own time. It is read from the
// clock again after a while, because clocks are set.
type window struct{ start, end, read int64 }

// Slices are so fine that rounding costs half a percent of the time at most.
const (
	heldSlices  = 250
	leaseSlices = 60
)

// readWindow is how often the clock is asked for the calendar window; ends that
// differ by less than sameWindow are the same one.
const (
	readWindow = int64(time.Minute)
	sameWindow = int64(100 * time.Millisecond)
)

// foreignStay is how long a report about calls under way is taken to hold.
const foreignStay = int64(10 * time.Second)

func newMemoryPool(owner *memorySystem, pool *Pool, lease time.Duration, now int64) *memoryPool {
	p := &memoryPool{owner: owner, full: now, cut: cut{at: -1}}
	p.flying.width = max(1, int64(lease)/leaseSlices)
	p.flying.advance(now, nil)
	p.shape(pool, now)
	return p
}

// shape goes by a pool's settings. It holds nothing then.
func (p *memoryPool) shape(pool *Pool, now int64) {
	p.revision, p.hold, p.calendar, p.interval = pool.Revision, int64(pool.Hold), pool.Calendar, pool.Interval
	p.whole, p.window = pool.Capacity, window{}
	if pool.Adaptive == nil {
		p.cut = cut{at: p.cut.at}
	}
	width := max(1, p.hold/heldSlices)
	if p.calendar != nil {
		width = 0
	}
	p.held = newHolding(width, now)
}

// advance ends the leases that have run out, and frees what was held long enough.
func (p *memoryPool) advance(now int64) {
	p.flying.advance(now, p.end)
	p.pass(now)
	p.held.advance(now)
	if p.foreign > 0 && p.foreignUntil <= now {
		p.foreign = 0
	}
}

// end moves units that were under way to where they stay after a call's end.
func (p *memoryPool) end(at int64, u Units) {
	p.ended += u
	switch {
	case p.interval > 0:
		p.full = min(max(p.full, at)+p.refill(u, at), 1<<61)
	case p.calendar != nil:
		p.held.add(p.free(at), u)
	case p.hold > 0:
		p.held.add(at+p.hold, u)
	}
}

// free is when the units of a call come back that ended at a time, for pools
// with a calendar. It is what Calendar.Free says.
func (p *memoryPool) free(at int64) int64 {
	p.look(at + p.hold)
	return p.window.end + p.hold
}

// look finds the calendar window that a time falls into.
func (p *memoryPool) look(at int64) {
	w := p.window
	if at >= w.start && at < w.end && at-w.read < readWindow {
		return
	}
	now := time.Now()
	epoch := now.Round(0).Add(-now.Sub(p.owner.epoch)) // by the clock on the wall, as it is now
	start, end := p.calendar.Bounds(epoch.Add(time.Duration(at)))
	p.window = window{start: int64(start.Sub(epoch)), end: int64(end.Sub(epoch)), read: at}
	if w == (window{}) {
		return // nothing to compare with, also where this one ends just after the store began
	}
	if off := p.window.end - w.end; off > -sameWindow && off < sameWindow {
		p.window.start, p.window.end = w.start, w.end
	}
}

// refill is how long it takes until units have come back to the bucket. One that
// has shrunk is slower, too.
func (p *memoryPool) refill(u Units, now int64) int64 {
	return nanoseconds(float64(u) * p.interval / p.cut.share(now))
}

// reshape keeps the counts under other settings. What is held stays as long as
// the new settings demand, and no shorter than it was promised.
func (p *memoryPool) reshape(pool *Pool, now int64) {
	p.advance(now)
	if (pool.Interval > 0) != (p.interval > 0) {
		p.convert(pool, now)
		return
	}
	if p.interval > 0 && p.full > now {
		p.full = now + nanoseconds(float64(p.full-now)/p.interval*pool.Interval)
	}
	old, hold, calendar := p.held, p.hold, p.calendar
	p.shape(pool, now)
	if hold == p.hold && calendar == nil && p.calendar == nil {
		p.held = old
		return
	}
	if latest := old.latest(); latest > now+2*p.hold {
		p.held = newHolding(0, now) // slices for a short hold would be far too many until then
	}
	old.each(func(at int64, u Units) {
		ended := now // at the latest
		if calendar == nil {
			ended = at - hold
		}
		switch {
		case p.calendar != nil:
			at = max(at, p.free(ended))
		case p.hold > 0:
			at = max(at, ended+p.hold)
		}
		p.held.add(at, u)
	})
}

// convert keeps what was used when a capacity becomes a bucket or the reverse.
func (p *memoryPool) convert(pool *Pool, now int64) {
	used := p.held.sum
	if p.interval > 0 {
		used = p.spent(now)
	}
	p.shape(pool, now)
	p.full = now
	p.end(now, used)
}

// spent is what is missing from a bucket, apart from what is under way.
func (p *memoryPool) spent(now int64) Units { return Units(math.Ceil(p.missing(now))) }

func (p *memoryPool) missing(now int64) float64 {
	return float64(max(0, p.full-now)) / p.interval * p.cut.share(now)
}

// judge adds to a decision what this pool has to say about an ask.
func (p *memoryPool) judge(i int, ask *Ask, a *Admission, now int64, d *Decision) {
	paused := p.pausedUntil > now
	in, again := p.pausedUntil-now, p.pausedUntil-now
	if !paused {
		free := ask.Pool.Capacity == 0 || ask.Pool.Free || ask.Pool.Soft && a.Overdraw
		if free {
			return
		}
		in, again = p.roomIn(ask, now)
		if again == 0 {
			return
		}
	}
	d.Granted = false
	d.Refused |= 1 << i
	d.Again = max(d.Again, time.Duration(again))
	if d.Pool < 0 || time.Duration(in) > d.RoomIn || in == 0 && d.RoomIn == 0 && a.Asks[d.Pool].Pool.Soft {
		d.Pool, d.RoomIn, d.Paused = i, time.Duration(in), paused
	}
}

// limit is how much may be occupied when an ask has been granted. However small
// a pool has become, it takes a call that fits into the whole of it when
// nothing else is there.
func (p *memoryPool) limit(ask *Ask, now int64) Units {
	whole := ask.Pool.Capacity - ask.Reserve
	if !p.cut.made(ask.Pool) {
		return whole
	}
	limit := p.cut.capacity(ask.Pool, now) - ask.Reserve
	if limit < ask.Units {
		limit = max(limit, min(ask.Units, whole))
	}
	return limit
}

// roomIn tells how long it takes at least until an ask has room, and how long
// until it is worth another look; again is zero when there is room now.
func (p *memoryPool) roomIn(ask *Ask, now int64) (in, again int64) {
	limit := p.limit(ask, now)
	if p.interval > 0 {
		// What is under way could end now; it starts to refill then.
		taken := p.under() + ask.Units - limit
		if in = max(p.full, now) - now + p.refillSigned(taken, now); in > 0 {
			return in, in
		}
		return 0, 0
	}
	used := p.under() + p.held.sum + p.foreign
	missing := used + ask.Units - limit
	if missing <= 0 {
		return 0, 0
	}
	grown := p.cut.grown(missing, ask.Pool)
	if p.hold == 0 && p.calendar == nil {
		return p.roomByEnds(missing, grown, now)
	}
	round := p.round(now)
	// Beyond what is there to be freed, each round of the limit takes a window.
	if missing > used && limit > 0 {
		rounds := (missing - used + limit - 1) / limit
		in, missing = nanoseconds(float64(rounds)*float64(round)), missing-rounds*limit
	}
	in = min(in+p.freed(missing, round, now), grown)
	return in, in
}

// roomByEnds is roomIn for a pool that counts calls under way only: any of them
// may end at any time.
func (p *memoryPool) roomByEnds(missing Units, grown, now int64) (in, again int64) {
	again = grown
	if p.flying.sum > 0 {
		again = min(again, p.flying.next()-now)
	}
	if len(p.past) > 0 {
		again = min(again, p.past[0].at-now)
		if missing > p.flying.sum {
			in = min(p.past[0].at-now, grown)
		}
	}
	if p.foreign > 0 {
		again = min(again, p.foreignUntil-now)
		if missing > p.flying.sum {
			in = min(p.foreignUntil-now, grown)
			if len(p.past) > 0 {
				in = min(in, p.past[0].at-now)
			}
		}
	}
	return in, max(again, 1)
}

// round is how long units stay, nominally.
func (p *memoryPool) round(now int64) int64 {
	if p.calendar == nil {
		return p.hold
	}
	p.look(now + p.hold)
	return p.window.end - p.window.start
}

// freed is how long it takes until so many units have come back.
func (p *memoryPool) freed(missing Units, round, now int64) int64 {
	if missing <= 0 {
		return 0
	}
	in := round // of calls that are still under way
	if p.calendar != nil {
		in = p.free(now) - now
	}
	if at, ok := p.held.until(missing); ok {
		in = at - now
	}
	if p.foreign > 0 {
		until, ok := p.foreignUntil, true
		if rest := missing - p.foreign; rest > 0 {
			var at int64
			at, ok = p.held.until(rest)
			until = max(until, at)
		}
		if ok {
			in = min(in, until-now)
		}
	}
	return in
}

func (p *memoryPool) refillSigned(u Units, now int64) int64 {
	if u < 0 {
		return -int64(math.Floor(float64(-u) * p.interval / p.cut.share(now)))
	}
	return p.refill(u, now)
}

func (p *memoryPool) settle(a *Admission, asked, actual Units, o Outcome, now int64) {
	lease := int64(a.At + a.Lease)
	p.taken += max(0, actual-asked)
	if o == Unknown {
		if actual > asked { // it may cost that much where it is
			p.flying.add(lease, actual-asked)
		}
		return
	}
	flying := p.flying.remove(lease, asked)
	switch {
	case o == Unsent:
	case flying:
		p.end(now, actual)
	case p.interval > 0:
		p.end(now, max(0, actual-asked))
	default:
		// The lease had run out before the call did: it occupies its units
		// since now, not since the end of the lease.
		over := p.flying.slice(lease) * p.flying.width
		if p.calendar != nil {
			over = p.free(over)
		} else {
			over += p.hold
		}
		p.held.remove(over, asked)
		p.end(now, actual)
	}
}

// correct goes by what the system said of a pool with the answer to a call,
// whose own part of it is known. The system may have said so at any time since
// the call was admitted: what has ended meanwhile, or is still under way, may
// be in its count or not. So what the system has counted more than all of ours
// together is foreign; and what we hold more than it has counted, and has not
// ended since, it does not count.
func (p *memoryPool) correct(a *Admission, ask *Ask, r Report, own Units, now int64) {
	since := p.ended - ask.Seen
	if p.calendar != nil {
		p.look(now)
		if int64(a.At) < p.window.start+p.hold {
			return // it may be about the last window
		}
	}
	used, ours := max(0, r.Used), p.held.sum
	if p.interval > 0 {
		ours = p.spent(now)
	}
	surely := ours
	if p.interval > 0 {
		surely = Units(p.missing(now)) // not rounded up
	}
	if excess := surely - used - max(0, since-own); r.Exact && excess > 0 {
		ours -= excess
		if p.interval > 0 {
			p.full = max(now, p.full-p.refill(excess, now))
		} else {
			p.held.shed(excess)
		}
	}
	if p.hold == 0 && p.calendar == nil && p.interval == 0 {
		ours = since // they were under way then
	}
	p.foreign = 0
	others := used - ours - p.under()
	switch {
	case others <= 0:
	case p.interval > 0:
		p.full = min(max(p.full, now)+p.refill(others, now), 1<<61)
	default:
		p.foreign, p.foreignUntil = others, p.foreignEnd(now)
	}
}

// foreignEnd is until when what others have used is taken to stay.
func (p *memoryPool) foreignEnd(now int64) int64 {
	switch {
	case p.calendar != nil:
		return p.free(now)
	case p.hold > 0:
		return now + p.hold
	}
	return now + foreignStay
}

// pause stops admissions. Refusals of calls that were admitted before the
// pause began belong to the same overload and do not make it longer, unless
// the system says so.
func (p *memoryPool) pause(a *Admission, hint time.Duration, now int64) {
	if hint > 0 {
		p.pausedUntil = max(p.pausedUntil, now+int64(min(hint, MaxHint)))
		p.pausedAt = now
		return
	}
	if p.pausedUntil > now || p.strikes > 0 && int64(a.At) <= p.pausedAt {
		return
	}
	p.pausedAt = now
	p.pausedUntil = now + int64(min(FirstPause<<min(p.strikes, 16), MaxPause))
	p.strikes++
}

func (p *memoryPool) idle(now int64) bool {
	paused := p.pausedUntil > now || p.strikes > 0 && now-p.pausedUntil < int64(MaxPause)
	return p.under() == 0 && p.held.sum == 0 && p.foreign == 0 && p.full <= now && !paused && p.cut.share(now) >= 1
}

func (p *memoryPool) usage(key string, now int64) Usage {
	u := Usage{Key: key, InFlight: p.under(), Foreign: p.foreign, PausedFor: time.Duration(max(0, p.pausedUntil-now))}
	u.Used = p.under() + p.held.sum + p.foreign
	u.Capacity = p.cut.of(p.whole, now)
	if next := p.held.next(); next > 0 {
		u.RoomIn = time.Duration(next - now)
	}
	if p.foreign > 0 && (u.RoomIn == 0 || p.foreignUntil-now < int64(u.RoomIn)) {
		u.RoomIn = time.Duration(p.foreignUntil - now)
	}
	if p.interval > 0 && p.full > now {
		spent := p.spent(now)
		u.Used += spent
		u.RoomIn = time.Duration(p.refill(min(spent, unit), now))
	}
	return u
}
