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
	// occupied is what this replica occupied of each pool when it came to be alone.
	occupied map[string]budget.Units
	// admitted counts what it admits now, and only that.
	admitted *budget.Memory
	// opened are the buckets that it has begun.
	opened map[string]bool
}

func (y *system) goAlone(now time.Time) {
	y.generation++
	l := &lone{since: now, turned: now.Add(y.lease + y.lease/100), occupied: map[string]budget.Units{}, admitted: budget.NewMemory(), opened: map[string]bool{}}
	if y.lone != nil { // what it admitted in an earlier such time is still to be told
		l.admitted = y.lone.admitted
	}
	for key := range y.pools {
		l.occupied[key] = y.shadow.Occupied(y.name, key)
	}
	y.lone = l
	y.set(budget.ModeAlone)
	go y.wake()
}

// cap is what this replica may occupy of a hold pool now, own older calls included.
func (y *system) cap(ask *budget.Ask, now time.Time) budget.Units {
	p, l := ask.Pool, y.lone
	share := budget.Units(math.Floor(y.share * float64(p.Capacity)))
	until := l.turned.Add(p.Hold)
	if p.Calendar != nil {
		wall := y.clock.wall(l.turned)
		until = l.turned.Add(p.Calendar.End(wall).Sub(wall) + p.Hold)
	}
	most := share
	if now.Before(until) {
		most = l.occupied[ask.Key]
		if ceiling, ok := y.ceilings[ask.Key]; ok && guarded(p) {
			most = max(most, budget.Units(math.Floor(y.share*float64(p.Capacity-ceiling))))
		}
		most = min(most, share)
	}
	if guarded(p) {
		// Evenly, so that little is unknown if this replica should die soon.
		part := max(0.01, float64(now.Sub(y.beatHeard))/float64(y.store.options.Alone))
		spare := budget.Units(part*float64(share)) - l.admitted.Occupied(y.name, ask.Key)
		most = min(most, y.shadow.Occupied(y.name, ask.Key)+max(0, spare))
	}
	return max(0, most)
}

// admitAlone decides by this replica's share.
func (y *system) admitAlone(a *budget.Admission, now time.Time) budget.Decision {
	hold, bucket := *a, *a
	hold.Probe, bucket.Probe = true, true
	hold.Asks, bucket.Asks = slices.Clone(a.Asks), nil
	var places []int
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
			bucket.Asks = append(bucket.Asks, y.lonelyBucket(&a.Asks[i], now))
			places = append(places, i)
		default:
			if pool.Capacity = y.cap(&a.Asks[i], now); ask.Units+ask.Reserve > pool.Capacity {
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
	y.lone.admitted.Record(&own)
	f := y.fly(a)
	f.wasAlone, f.loneAt, f.admitted = true, own.At, y.clock.least(now)
	return d
}

// lonelyBucket is this replica's part of a bucket: empty when it begins.
func (y *system) lonelyBucket(ask *budget.Ask, now time.Time) budget.Ask {
	pool := *ask.Pool
	pool.Capacity = budget.Units(math.Floor(y.share * float64(pool.Capacity)))
	pool.Interval /= y.share
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
