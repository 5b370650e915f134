package budget

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
)

// Snapshot is the state of a budget at one moment.
type Snapshot struct {
	System string
	// Waiting counts the calls in line by class, WaitingBytes what they hold.
	Waiting      [len(specs.Classes)]int
	WaitingBytes int64
	// Standing tells how far the counts can be relied on.
	Standing Standing
	// SuspendedUntil is zero when the system is not suspended.
	SuspendedUntil time.Time
	// Pools are sorted by name and scope: each pool of the whole system, and
	// each scope that holds anything.
	Pools []PoolState
}

// PoolState is the state of one pool.
type PoolState struct {
	Name string
	// Scope is what the pool is for, for example an app; empty for the whole system.
	Scope string
	// Used are the units that are occupied; InFlight is the part of calls under
	// way, Foreign that of others whom only the system sees.
	Used, InFlight, Foreign float64
	// Capacity is what is configured, without headroom; Effective what there is
	// at the moment, which is less after overloads where the pool is adaptive.
	Capacity, Effective float64
	// Enforcement is the limit's, or pace for the bucket that keeps the classes
	// normal and low to the pace of a long window.
	Enforcement string
	// Waiting counts the calls that stand in line for this pool, by class.
	Waiting [len(specs.Classes)]int
	// RoomAt is when the next units come back; zero when there is room, or
	// when that depends on calls under way.
	RoomAt time.Time
	// PausedUntil is zero when the pool is not paused.
	PausedUntil time.Time
}

// Snapshot reads the state, for people and metrics. It is not exact while
// calls come and go.
func (b *Budget) Snapshot(ctx context.Context) (Snapshot, error) {
	usage, err := b.store.Usage(ctx, b.system)
	if err != nil {
		return Snapshot{}, err
	}
	suspended, err := b.suspendedUntil(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	byKey := map[string]Usage{}
	plan := b.plan.Load()
	for _, p := range plan.all {
		if p.scope == nil {
			byKey[p.Name] = Usage{Key: p.Name}
		}
	}
	for _, u := range usage {
		byKey[u.Key] = u
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Snapshot{System: b.system, Waiting: b.line.byClass, Standing: b.store.Standing(b.system), SuspendedUntil: suspended}
	_, s.WaitingBytes = b.line.from(specs.Low)
	for key := range b.line.places {
		if _, ok := byKey[key]; !ok {
			byKey[key] = Usage{Key: key}
		}
	}
	for key, u := range byKey {
		_, scope, _ := strings.Cut(key, "/")
		if p := plan.named(key); p != nil {
			s.Pools = append(s.Pools, b.state(p, scope, u))
		} else if u.PausedFor > 0 {
			s.Pools = append(s.Pools, b.state(plan.gate, scope, u))
		}
	}
	slices.SortFunc(s.Pools, func(a, b PoolState) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Scope, b.Scope)) })
	return s, nil
}

// Suspend admits no call to the system for a while, from whichever replica;
// zero ends it. The error means that the store does not know of it.
func (b *Budget) Suspend(ctx context.Context, d time.Duration) error {
	err := b.store.Suspend(ctx, b.system, d)
	if b.waiting.Load() > 0 {
		b.wakeUp()
	}
	return err
}

// Yield lets another replica try whether a system that was suspended works again.
func (b *Budget) Yield(ctx context.Context) error { return b.store.Yield(ctx, b.system) }

// Suspension is how the suspension of the system stands, as far as it is known here.
func (b *Budget) Suspension() Suspension { return b.store.Standing(b.system).Suspension }

func (b *Budget) suspendedUntil(ctx context.Context) (time.Time, error) {
	probe := Admission{System: b.system, Lease: DefaultTimeout + b.grace, Probe: true, Asks: []Ask{{Pool: b.plan.Load().gate, Key: gateKey}}}
	d, err := b.store.Admit(ctx, &probe)
	if err != nil || !d.Suspended {
		return time.Time{}, err
	}
	return time.Now().Add(d.RoomIn), nil
}

func (b *Budget) state(p *Pool, scope string, u Usage) PoolState {
	now := time.Now()
	s := PoolState{
		Name: p.key0, Scope: scope, Used: u.Used.Float(), InFlight: u.InFlight.Float(), Foreign: u.Foreign.Float(),
		Capacity: p.Capacity.Float(), Effective: p.Capacity.Float(),
	}
	if u.Capacity > 0 && u.Capacity < p.Capacity {
		s.Effective = u.Capacity.Float()
	}
	switch {
	case p == b.plan.Load().gate:
		s.Name = gateName
	case p.pacing:
		s.Enforcement = "pace"
	default:
		s.Enforcement = p.limit.Enforcement
	}
	if place := b.line.places[u.Key]; place != nil {
		s.Waiting = place.count
	}
	if u.RoomIn > 0 && u.Used.Float()+p.cost.Float() > s.Effective {
		s.RoomAt = now.Add(u.RoomIn)
	}
	if u.PausedFor > 0 {
		s.PausedUntil = now.Add(u.PausedFor)
	}
	return s
}
