package counter

import (
	"context"
	"errors"
	"time"

	"github.com/headrace/headrace/gateway/budget"
)

// suspension is what a replica knows of the suspension of a system. It learns of it
// with each beat, with each admission, and by what it does itself.
type suspension struct {
	until       time.Time // zero for none
	trial, mine bool
	// told is when this replica has changed it: a beat that was sent before knows nothing of that.
	told time.Time
}

var errNotShared = errors.New("counter: Redis is out of reach, and the other replicas do not know of it")

// suspend has no replica admit calls for a while, or again after zero.
func (y *system) suspend(ctx context.Context, d time.Duration) error {
	s := suspension{}
	if d > 0 {
		s.until = time.Now().Add(d)
	}
	y.change(s)
	defer y.change(s) // a beat that went before it may have said something else meanwhile
	return y.tellSuspension(ctx, d)
}

// change takes note of what this replica does itself.
func (y *system) change(s suspension) {
	y.mu.Lock()
	defer y.mu.Unlock()
	now := time.Now()
	y.suspension.told = now
	y.suspended(s, now)
}

// tellSuspension tells the others.
func (y *system) tellSuspension(ctx context.Context, d time.Duration) error {
	if y.standing().Mode != budget.ModeShared {
		return errNotShared
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), y.store.options.Deadline)
	defer cancel()
	return y.store.scripts.suspend.Run(ctx, y.store.client, y.keys, microseconds(d), y.store.by).Err()
}

// suspended takes note of how the suspension stands, for the shadow as well. y.mu is held.
func (y *system) suspended(s suspension, now time.Time) {
	old := y.suspension
	s.told = old.told
	y.suspension = s
	if s.until.IsZero() && !s.trial {
		if !old.until.IsZero() || old.trial {
			_ = y.shadow.Suspend(context.Background(), y.name, 0)
		}
		return
	}
	// One that is over has begun a moment ago: alone, this replica tries.
	_ = y.shadow.Suspend(context.Background(), y.name, max(1, s.until.Sub(now)))
}

// learn takes note of what the answer to an admission tells. y.mu is held.
func (y *system) learn(s suspension, now time.Time) {
	if s.until.IsZero() && !s.trial && y.suspension.until.IsZero() && !y.suspension.trial {
		return
	}
	y.suspended(s, now)
}

// refusedSuspended takes note of a refusal.
func (y *system) refusedSuspended(d budget.Decision, sent time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if sent.Before(y.suspension.told) {
		return
	}
	now := time.Now()
	s := suspension{trial: d.RoomIn == 0}
	if d.RoomIn > 0 {
		s.until = now.Add(d.RoomIn)
	}
	y.learn(s, now)
}

// standsSuspended says it for others. y.mu is held.
func (y *system) standsSuspended(now time.Time) budget.Suspension {
	s := y.suspension
	switch left := s.until.Sub(now); {
	case s.trial:
		return budget.Suspension{Trial: true, Mine: s.mine || y.mode == budget.ModeAlone}
	case s.until.IsZero():
		return budget.Suspension{}
	case left > 0:
		return budget.Suspension{For: left}
	}
	return budget.Suspension{Trial: true, Mine: y.mode == budget.ModeAlone}
}
