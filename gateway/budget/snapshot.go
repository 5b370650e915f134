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
	// Pools are sorted by name and scope: each pool of the whole system, and
	// each scope that holds anything.
	Pools []PoolState
}

// PoolState is the state of one pool.
type PoolState struct {
	Name string
	// Scope is what the pool is for, for example an app; empty for the whole system.
	Scope string
	// Used and InFlight are units occupied; Capacity is what there is, without headroom.
	Used, InFlight, Capacity float64
	Enforcement              string
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
	s := Snapshot{System: b.system, Waiting: b.line.byClass}
	_, s.WaitingBytes = b.line.from(specs.Low)
	for key := range b.line.places {
		if _, ok := byKey[key]; !ok {
			byKey[key] = Usage{Key: key}
		}
	}
	for key, u := range byKey {
		name, scope, _ := strings.Cut(key, "/")
		if p := plan.named(name); p != nil {
			s.Pools = append(s.Pools, b.state(p, scope, u))
		} else if u.PausedFor > 0 {
			s.Pools = append(s.Pools, b.state(plan.gate, scope, u))
		}
	}
	slices.SortFunc(s.Pools, func(a, b PoolState) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Scope, b.Scope)) })
	return s, nil
}

func (b *Budget) state(p *Pool, scope string, u Usage) PoolState {
	now := time.Now()
	s := PoolState{Name: p.Name, Scope: scope, Used: u.Used.Float(), InFlight: u.InFlight.Float(), Capacity: p.Capacity.Float()}
	if p.limit != nil {
		s.Enforcement = p.limit.Enforcement
	}
	if place := b.line.places[u.Key]; place != nil {
		s.Waiting = place.count
	}
	if u.RoomIn > 0 && u.Used+p.cost > p.Capacity {
		s.RoomAt = now.Add(u.RoomIn)
	}
	if u.PausedFor > 0 {
		s.PausedUntil = now.Add(u.PausedFor)
	}
	return s
}
