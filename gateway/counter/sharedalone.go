package counter

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway/budget"
)

// lone is a replica's time without Redis.
type lone struct {
	since time.Time
	// turned is when all that others were admitted before is out of the way, but
	// for the hold of each pool.
	turned time.Time
	// own is what Redis surely counted of each pool for this replica when it
	// admitted its last call before it left the share free.
	own map[string]budget.Units
	// ceilings are what was not exceeded of guarded pools until then.
	ceilings map[string]budget.Units
	// admitted counts what it admits now, and only that.
	admitted *budget.Memory
	// opened are the buckets that it has begun.
	opened map[string]bool
}

func (y *system) goAlone(now time.Time) {
	y.generation++
	l := &lone{
		since: now, turned: now.Add(y.lease + y.lease/100), own: y.own(), ceilings: y.surely(),
		admitted: budget.NewMemory(), opened: map[string]bool{},
	}
	if y.lone != nil { // what it admitted in an earlier such time is still to be told
		l.admitted = y.lone.admitted
	}
	y.lone = l
	y.set(budget.ModeAlone)
	go y.wake()
}

// own is what Redis surely still counts for this replica, by pool: its calls under
// way and held, and those that ended without Redis hearing of it, at what they were
// admitted with. What comes back within the next slice of time may have come back
// already, because Redis' slices are shorter. What ended after its lease is left out:
// Redis has taken it for over meanwhile.
func (y *system) own() map[string]budget.Units {
	now := time.Now() // after this nothing of it is over
	own := map[string]budget.Units{}
	for _, h := range y.shadow.Holdings(y.name) {
		p := y.pools[h.Key]
		if p == nil {
			continue
		}
		for _, stay := range h.InFlight {
			if stay.In > roughly(y.lease) {
				own[h.Key] += stay.Units
			}
		}
		for _, stay := range h.Held {
			if p.Calendar != nil || stay.In > roughly(p.Hold) {
				own[h.Key] += stay.Units
			}
		}
	}
	for i := range y.queue {
		s := &y.queue[i]
		untold := !s.sent && s.s.Outcome != budget.Unknown && s.flight.epoch == y.epoch && now.Before(s.flight.until)
		for j := range s.flight.asks {
			ask := &s.flight.asks[j]
			p := ask.Pool
			if s.s.Actual != nil && s.s.Actual[j] > ask.Units {
				own[ask.Key] = max(0, own[ask.Key]-(s.s.Actual[j]-ask.Units))
			}
			if untold && p.Calendar == nil && (p.Hold == 0 || s.done.Add(p.Hold+roughly(p.Hold)).Before(now)) {
				own[ask.Key] += ask.Units // it is not held here any more
			}
		}
	}
	for key, late := range y.overdue {
		if now.Before(late.till) {
			own[key] = max(0, own[key]-late.units)
		}
	}
	return own
}

// overdue is what is held of a pool here of calls that ended after their lease, and till when.
type overdue struct {
	units budget.Units
	till  time.Time
}

// late takes note of a call that ended after its lease.
func (y *system) late(f *flight, s budget.Settlement, now time.Time) {
	for i := range f.asks {
		ask := &f.asks[i]
		p, units, till := ask.Pool, ask.Units, now
		if s.Actual != nil {
			units = s.Actual[i]
		}
		if p.Calendar != nil {
			till = now.Add(p.Calendar.Free(now, p.Hold).Sub(now) + time.Second)
		} else if p.Hold > 0 {
			till = now.Add(p.Hold + roughly(p.Hold))
		}
		o := y.overdue[ask.Key]
		if !now.Before(o.till) {
			o = overdue{}
		}
		y.overdue[ask.Key] = overdue{units: o.units + units, till: later(o.till, till)}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// roughly is a little more than the slice of time in which a hold or a lease is counted.
func roughly(d time.Duration) time.Duration { return d/50 + time.Millisecond }

// surely is what was not exceeded of guarded pools until Redis left this replica's
// share free. A ceiling that came with a beat holds for that, unless later beats
// may have arrived without an answer: each stretch of the guard lets it grow once more.
func (y *system) surely() map[string]budget.Units {
	o := &y.store.options
	late := y.beatSent.Add(o.Deadline).Sub(y.beatHeard) - o.Beat
	more := int(math.Ceil(float64(late) / float64(o.Missing+o.Beat)))
	ceilings := map[string]budget.Units{}
	for key, ceiling := range y.ceilings {
		p := y.pools[key]
		if p == nil || !guarded(p) {
			continue
		}
		for i := 0; i < more && ceiling < p.Capacity; i++ {
			ceiling += growth(p, ceiling)
		}
		ceilings[key] = min(ceiling, p.Capacity)
	}
	return ceilings
}

// cap is what this replica may occupy of a hold pool now, own older calls included,
// and how long it takes until that is a unit more, if only its pace is in the way.
func (y *system) cap(ask *budget.Ask, now time.Time) (most budget.Units, unit float64) {
	p, l := ask.Pool, y.lone
	share := y.part(p)
	until := l.turned.Add(p.Hold)
	if p.Calendar != nil {
		wall := y.clock.wall(l.turned)
		until = l.turned.Add(p.Calendar.End(wall).Sub(wall) + p.Hold)
	}
	most = share
	if now.Before(until) {
		most = l.own[ask.Key]
		if ceiling, ok := l.ceilings[ask.Key]; ok {
			most += budget.Units(math.Floor(y.share * float64(max(0, p.Capacity-ceiling))))
		}
		most = min(most, share)
	}
	if guarded(p) && share > 0 {
		spent, span := y.paced(p, share, now)
		spare := max(0, spent-l.admitted.Occupied(y.name, ask.Key))
		if by := y.shadow.Occupied(y.name, ask.Key) + spare; by < most {
			most, unit = by, float64(span)/float64(share)
		}
	}
	return max(0, most), unit
}

// part is this replica's share of a pool. A place for a single call is not divided:
// it is the heir's.
func (y *system) part(p *budget.Pool) budget.Units {
	if p.Capacity < oneUnit || p.Capacity >= 2*oneUnit {
		return budget.Units(math.Floor(y.share * float64(p.Capacity)))
	}
	if y.heir {
		return p.Capacity
	}
	return 0
}

// paced is how much of a guarded pool this replica may have sent by now while it
// is alone. It spends its share evenly over the window, or over the time that it
// goes on alone if that is shorter, so that there is something left as long as it
// lasts, and little is unknown if it should die soon. A fiftieth, about a minute of
// an hour, may be spent at once, and one unit in any case. common.lua says the
// same for those who do not come back.
func (y *system) paced(p *budget.Pool, share budget.Units, now time.Time) (spent budget.Units, span time.Duration) {
	span = min(y.store.options.Alone, y.window(p, now))
	since := y.beatSent.Add(y.store.options.Deadline) // the latest at which Redis may have heard of it
	part := min(1, burst+float64(max(0, now.Sub(since)))/float64(span))
	return min(share, max(oneUnit, budget.Units(part*float64(share)))), span
}

// burst is the part of a share that a lone replica may spend at once.
const burst = 0.02

// oneUnit is what the cheapest calls cost.
const oneUnit budget.Units = 1000

// window is how long a pool's window is.
func (y *system) window(p *budget.Pool, now time.Time) time.Duration {
	switch c := p.Calendar; {
	case c == nil:
		return p.Hold
	case c.Every > 0:
		return c.Every
	default:
		start, end := c.Bounds(y.clock.wall(now))
		return end.Sub(start)
	}
}

// admitAlone decides by this replica's share.
func (y *system) admitAlone(a *budget.Admission, now time.Time) budget.Decision {
	hold, bucket := *a, *a
	hold.Probe, bucket.Probe = true, true
	hold.Asks, bucket.Asks = slices.Clone(a.Asks), nil
	var places []int
	units := make([]float64, len(a.Asks))
	for i := range hold.Asks {
		ask := &hold.Asks[i]
		pool := *ask.Pool
		pool.Adaptive = nil
		ask.Pool = &pool
		ask.Reserve = budget.Units(math.Ceil(y.share * float64(ask.Reserve)))
		switch {
		case pool.Capacity == 0 || pool.Free:
		case pool.Interval > 0:
			pool.Free = true // its pauses count here, and the rest below
			if in := y.lone.turned.Sub(now); in > 0 {
				return budget.Decision{Pool: i, Refused: 1 << i, RoomIn: in, Again: min(in, longLook)}
			}
			if y.part(a.Asks[i].Pool) == 0 {
				return budget.Decision{Pool: i, Refused: 1 << i, RoomIn: longLook, Again: longLook}
			}
			bucket.Asks = append(bucket.Asks, y.lonelyBucket(&a.Asks[i], now))
			places = append(places, i)
		default:
			if pool.Capacity, units[i] = y.cap(&a.Asks[i], now); ask.Units+ask.Reserve > pool.Capacity {
				ask.Reserve = max(0, pool.Capacity-ask.Units)
			}
			if pool.Capacity == 0 || ask.Units > pool.Capacity {
				if !(pool.Soft && a.Overdraw) {
					return budget.Decision{Pool: i, Refused: 1 << i, RoomIn: max(time.Millisecond, pool.Hold), Again: longLook}
				}
			}
		}
	}
	d, _ := y.shadow.Admit(context.Background(), &hold)
	if d.Granted && len(places) > 0 {
		if d, _ = y.lone.admitted.Admit(context.Background(), &bucket); !d.Granted {
			d.Pool = places[d.Pool]
			d.Refused = 1 << d.Pool
		}
	}
	if !d.Granted && !d.Paused && !d.Suspended && units[d.Pool] > 0 {
		y.sooner(&d, &hold.Asks[d.Pool], units[d.Pool])
	}
	if !d.Granted || a.Probe {
		if d.RoomIn == 0 {
			d.Again = min(d.Again, longLook)
		}
		return d
	}
	own := *a
	own.Asks = slices.Clone(a.Asks)
	for j, i := range places {
		own.Asks[i] = bucket.Asks[j]
	}
	a.Trial = y.shadow.Standing(y.name).Suspension.Trial
	y.lone.admitted.Record(&own, time.Since(now))
	f := y.fly(a, now)
	f.wasAlone, f.loneAt, f.admitted = true, own.At, y.clock.least(now)
	return d
}

// sooner has a refusal tell when the pace leaves room, where that is before calls
// come back.
func (y *system) sooner(d *budget.Decision, ask *budget.Ask, unit float64) {
	missing := y.shadow.Occupied(y.name, ask.Key) + ask.Units + ask.Reserve - ask.Pool.Capacity
	in := max(time.Millisecond, time.Duration(math.Ceil(float64(missing)*unit)))
	d.RoomIn, d.Again = min(d.RoomIn, in), min(d.Again, in)
}

// lonelyBucket is this replica's part of a bucket: empty when it begins.
func (y *system) lonelyBucket(ask *budget.Ask, now time.Time) budget.Ask {
	pool := *ask.Pool
	whole := pool.Capacity
	if pool.Capacity = y.part(&pool); pool.Capacity < whole {
		pool.Interval /= y.share
	}
	pool.Adaptive = nil
	part := budget.Ask{Pool: &pool, Key: ask.Key, Units: ask.Units, Reserve: min(budget.Units(math.Ceil(y.share*float64(ask.Reserve))), max(0, pool.Capacity-ask.Units))}
	if !y.lone.opened[ask.Key] {
		y.lone.opened[ask.Key] = true
		refilled := budget.Units(float64(now.Sub(y.lone.turned)) / pool.Interval)
		y.lone.admitted.Spend(y.name, &part, max(0, pool.Capacity-refilled))
	}
	return part
}

// push is what Redis is told of one pool.
type push struct {
	key            string
	pool           *budget.Pool
	ceiling        float64
	paused         time.Duration
	inFlight, held []budget.Stay
	// single are calls under way that are told by themselves.
	single []budget.Stay
}

func (p *push) numbers() []byte {
	list := []float64{p.ceiling, atLeast(p.paused), float64(len(p.inFlight) + len(p.single))}
	for _, stays := range [][]budget.Stay{p.inFlight, p.single, p.held} {
		for _, stay := range stays {
			list = append(list, float64(stay.Units), atLeast(stay.In))
		}
	}
	return numbers(list...)
}

// holdings are what this replica holds: all of it, or what it admitted alone; and
// the calls under way among it.
func (y *system) holdings(whole bool, now time.Time) ([]*push, []*flight) {
	counts := y.shadow
	if !whole {
		counts = y.lone.admitted
	}
	byKey := map[string]*push{}
	for _, h := range counts.Holdings(y.name) {
		pool := y.pools[h.Key]
		if pool == nil {
			continue
		}
		p := &push{key: h.Key, pool: pool, ceiling: -1, inFlight: h.InFlight, held: h.Held, paused: h.PausedFor}
		if ceiling, ok := y.ceilings[h.Key]; ok {
			p.ceiling = float64(ceiling)
		}
		byKey[h.Key] = p
	}
	var flights []*flight
	for _, f := range y.flights {
		if !whole && !f.wasAlone {
			continue
		}
		flights = append(flights, f)
		for i := range f.asks {
			if p := byKey[f.asks[i].Key]; p != nil {
				p.tell(f.asks[i].Units, f.until.Sub(now))
			}
		}
	}
	return slices.Collect(maps.Values(byKey)), flights
}

// tell tells a call under way by itself, so that its settlement finds it: it is
// taken out of the slice that counts it, which ends a little later.
func (p *push) tell(u budget.Units, in time.Duration) {
	at := -1
	for i, slice := range p.inFlight {
		if slice.In > in && slice.Units > 0 && (at < 0 || slice.In < p.inFlight[at].In) {
			at = i
		}
	}
	if at < 0 || in <= 0 {
		return
	}
	u = min(u, p.inFlight[at].Units)
	p.inFlight[at].Units -= u
	p.single = append(p.single, budget.Stay{In: in, Units: u})
}
