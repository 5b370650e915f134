package system

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs/source"
)

// Breaker says when the gateway leaves a system alone for a while.
type Breaker struct {
	Off    bool            `yaml:"off" doc:"Never leaves the system alone."`
	Rate   float64         `yaml:"rate" default:"50" min:"1" max:"100" doc:"Percentage of failed calls at which it opens."`
	Calls  int             `yaml:"calls" default:"20" min:"1" doc:"Calls within the window before it can open."`
	Window source.Duration `yaml:"window" default:"10s" min:"100ms" doc:"Time over which calls are counted."`
	Open   source.Duration `yaml:"open" default:"15s" min:"10ms" doc:"How long the system is left alone, by all replicas; then one of them lets a few calls through."`
	Probes int             `yaml:"probes" default:"2" min:"1" doc:"Calls that are let through then; when all succeed, it closes for all replicas."`
	Node   source.Node     `yaml:",node"`
}

// breaker is a circuit breaker for a system. Each replica counts the failures that it
// sees itself, while the breaker is closed; that it is open, and who tries whether
// the system works again, is the suspension of the system in its budget, the same for
// all replicas.
//
//	closed     no suspension
//	open       suspended for a while
//	half-open  the suspension is over, and one replica tries: its calls are admitted as
//	           trials, and what becomes of them suspends the system anew, or ends that
//
// A replica that cannot tell the others does the same for itself.
type breaker struct {
	settings Breaker
	budget   suspended
	changed  func(from, to string)
	untold   func(error)

	telling sync.Mutex
	told    sync.WaitGroup

	mu      sync.Mutex
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}] // counts while it is closed
	until   time.Time                                  // the end of the pause that this replica has made; zero for none
	// alone tells that nobody has been told of it, or could be.
	alone bool
	// ending tells that it has closed, which the store does not know yet.
	ending         bool
	round          int // counts the times that it opened or closed here
	trying, passed int // trials under way, and those that have succeeded
	shown          string
}

// suspended is the part of a budget that a breaker needs.
type suspended interface {
	Suspend(ctx context.Context, d time.Duration) error
	Yield(ctx context.Context) error
	Suspension() budget.Suspension
}

var (
	errFailed   = errors.New("failed")
	errExcluded = errors.New("does not count")
)

// The states of a breaker, as they stand on metrics.
const (
	breakerClosed   = "closed"
	breakerHalfOpen = "half-open"
	breakerOpen     = "open"
)

// newBreaker makes a breaker. changed is told of each state that it is seen in, and
// untold of what could not be told to the other replicas; neither may call it back.
func newBreaker(s Breaker, b suspended, changed func(from, to string), untold func(error)) *breaker {
	br := &breaker{settings: s, budget: b, changed: changed, untold: untold, shown: breakerClosed}
	br.circuit = br.count()
	return br
}

// count begins to count anew.
func (b *breaker) count() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	if b.settings.Off {
		return nil
	}
	var circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval:     b.settings.Window.Std(),
		BucketPeriod: b.settings.Window.Std() / 10,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Calls under way are counted as requests, but nobody knows yet how they end.
			ended := c.TotalFailures + c.TotalSuccesses
			return int(ended) >= b.settings.Calls && float64(c.TotalFailures)*100 >= b.settings.Rate*float64(ended)
		},
		IsExcluded: func(err error) bool { return err == errExcluded },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.trip(circuit)
			}
		},
	})
	return circuit
}

// trip opens the breaker because of what a circuit has counted. The circuit is locked.
func (b *breaker) trip(circuit *gobreaker.TwoStepCircuitBreaker[struct{}]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.circuit != circuit {
		return // of an earlier time
	}
	if s := b.budget.Suspension(); s == (budget.Suspension{}) {
		b.open()
	} else {
		b.circuit = b.count() // another replica was quicker
	}
}

// open has all replicas leave the system alone. b.mu is held.
func (b *breaker) open() {
	b.until, b.alone, b.ending = time.Now().Add(b.settings.Open.Std()), true, false
	b.begin()
	b.note()
}

// shut has all replicas call the system again. b.mu is held.
func (b *breaker) shut() {
	b.until, b.alone, b.ending = time.Time{}, false, true
	b.begin()
	b.note()
}

// begin forgets what was counted, and has the others told.
func (b *breaker) begin() {
	b.round++
	b.trying, b.passed = 0, 0
	b.circuit = b.count()
	b.told.Go(b.tell) // the store may take its time
}

// tellTimeout is how long the store may take to learn of a breaker.
const tellTimeout = time.Second

// tell says how the breaker stands to the other replicas.
func (b *breaker) tell() {
	b.telling.Lock()
	defer b.telling.Unlock()
	b.mu.Lock()
	round, left, ending := b.round, time.Until(b.until), b.ending
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
	defer cancel()
	var err error
	switch {
	case left > 0:
		err = b.budget.Suspend(ctx, left)
	case ending:
		err = b.budget.Suspend(ctx, 0)
	}
	if err != nil {
		b.untold(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.round == round {
		b.alone = b.alone && (err != nil || left <= 0)
		b.ending = false
	}
}

// yield lets another replica try.
func (b *breaker) yield() {
	ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
	defer cancel()
	_ = b.budget.Yield(ctx) // the trial ends by itself
}

// close waits until the others have been told.
func (b *breaker) close() { b.told.Wait() }

// state is closed, half-open or open.
func (b *breaker) state() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.note()
}

// note finds the state, and says when it is another than before. b.mu is held.
func (b *breaker) note() string {
	state := breakerClosed
	switch s := b.budget.Suspension(); {
	case time.Until(b.until) > 0 || s.For > 0 && !b.ending:
		state = breakerOpen
	case b.alone || s.Trial && !b.ending:
		state = breakerHalfOpen
	}
	if state != b.shown {
		b.changed(b.shown, state)
		if state != breakerHalfOpen || b.shown == breakerClosed {
			// Whoever did it, what was counted before is of an earlier time.
			b.circuit = b.count()
			b.round++
			b.trying, b.passed = 0, 0
		}
		b.shown = state
	}
	return state
}

// pause tells how long no call is let through; zero when calls are, or when the
// budget has to be asked.
func (b *breaker) pause() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.note() != breakerOpen {
		return 0
	}
	return b.remaining()
}

// remaining is the rest of the pause. b.mu is held.
func (b *breaker) remaining() time.Duration {
	return max(time.Until(b.until), b.budget.Suspension().For, 10*time.Millisecond)
}

// allow lets an admitted call through, or tells how long to wait. trial is what its
// ticket says. done must be called with the way that the call ended.
func (b *breaker) allow(trial bool) (done func(error), wait time.Duration) {
	b.mu.Lock()
	if time.Until(b.until) > 0 {
		defer b.mu.Unlock()
		return nil, b.remaining()
	}
	if b.alone || trial && !b.ending {
		defer b.mu.Unlock()
		return b.try()
	}
	circuit := b.circuit
	b.mu.Unlock()
	if circuit == nil {
		return nil, 0
	}
	done, err := circuit.Allow()
	if err != nil { // it has just opened
		b.mu.Lock()
		defer b.mu.Unlock()
		return nil, b.remaining()
	}
	return done, 0
}

// try lets a trial through. b.mu is held.
func (b *breaker) try() (done func(error), wait time.Duration) {
	b.note()
	if b.settings.Off { // it was not when the system was suspended
		b.shut()
		return nil, 0
	}
	if b.trying >= b.settings.Probes {
		return nil, max(b.settings.Open.Std()/4, 10*time.Millisecond)
	}
	b.trying++
	round := b.round
	return func(err error) { b.tried(round, err) }, 0
}

// unused takes note of an admitted call that is not made.
func (b *breaker) unused(trial bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if trial && b.trying == 0 {
		b.told.Go(b.yield)
	}
}

// tried takes in what became of a trial.
func (b *breaker) tried(round int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.round != round {
		return
	}
	b.trying--
	switch {
	case errors.Is(err, errFailed):
		b.open()
		return
	case err == nil:
		b.passed++
	}
	switch {
	case b.passed >= b.settings.Probes:
		b.shut()
	case b.trying == 0:
		b.told.Go(b.yield) // nothing is known yet, and another call may come anywhere
	}
}

// verdict is what a result means to the breaker.
func (r *Result) verdict() error {
	switch {
	case r.unsent && r.Outcome != Unavailable:
		return errExcluded
	case r.fault || r.Outcome == Overload || r.Outcome == Unavailable || r.Outcome == Doubtful:
		return errFailed
	}
	return nil
}
