package system

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/headrace/headrace/specs/source"
)

// Breaker says when the gateway leaves a system alone for a while.
type Breaker struct {
	Off    bool            `yaml:"off" doc:"Never leaves the system alone."`
	Rate   float64         `yaml:"rate" default:"50" min:"1" max:"100" doc:"Percentage of failed calls at which it opens."`
	Calls  int             `yaml:"calls" default:"20" min:"1" doc:"Calls within the window before it can open."`
	Window source.Duration `yaml:"window" default:"10s" min:"100ms" doc:"Time over which calls are counted."`
	Open   source.Duration `yaml:"open" default:"15s" min:"10ms" doc:"How long the system is left alone; then a few calls are let through."`
	Probes int             `yaml:"probes" default:"2" min:"1" doc:"Calls that are let through then; when all succeed, it closes."`
	Node   source.Node     `yaml:",node"`
}

// breaker is a circuit breaker that tells when it will try again.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}] // nil when it is off
	open    time.Duration
	until   atomic.Int64 // end of the current pause, in nanoseconds since 1970

	suspend func(time.Duration) // tells the other replicas
	telling sync.Mutex
	told    sync.WaitGroup
}

var (
	errFailed   = errors.New("failed")
	errExcluded = errors.New("does not count")
)

// newBreaker makes a breaker. It has suspend keep all replicas from the system
// for a while, or no longer with zero; a probe that is let through after the
// pause finds the suspension at its end, too.
func newBreaker(b Breaker, suspend func(time.Duration), changed func(from, to string)) *breaker {
	br := &breaker{open: b.Open.Std(), suspend: suspend}
	if b.Off {
		return br
	}
	br.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  uint32(b.Probes),
		Interval:     b.Window.Std(),
		BucketPeriod: b.Window.Std() / 10,
		Timeout:      b.Open.Std(),
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Calls under way are counted as requests, but nobody knows yet how they end.
			ended := c.TotalFailures + c.TotalSuccesses
			return int(ended) >= b.Calls && float64(c.TotalFailures)*100 >= b.Rate*float64(ended)
		},
		IsExcluded: func(err error) bool { return err == errExcluded },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				br.until.Store(time.Now().Add(br.open).UnixNano())
			}
			changed(from.String(), to.String())
			if to != gobreaker.StateHalfOpen {
				br.told.Go(br.tell) // the circuit is locked here
			}
		},
	})
	return br
}

// tell says how the breaker stands to the other replicas.
func (b *breaker) tell() {
	b.telling.Lock()
	defer b.telling.Unlock()
	switch b.circuit.State() {
	case gobreaker.StateOpen:
		b.suspend(b.remaining())
	case gobreaker.StateClosed:
		b.suspend(0)
	}
}

// close waits until the others have been told.
func (b *breaker) close() { b.told.Wait() }

// state is closed, half-open or open.
func (b *breaker) state() string {
	if b.circuit == nil {
		return gobreaker.StateClosed.String()
	}
	return b.circuit.State().String()
}

// pause tells how long no call is let through; zero when calls are.
func (b *breaker) pause() time.Duration {
	if b.circuit == nil || b.circuit.State() != gobreaker.StateOpen {
		return 0
	}
	return b.remaining()
}

func (b *breaker) remaining() time.Duration {
	return max(time.Until(time.Unix(0, b.until.Load())), 10*time.Millisecond)
}

// allow lets a call through, or tells how long to wait. done must be called
// with the way that the call ended.
func (b *breaker) allow() (done func(error), wait time.Duration) {
	if b.circuit == nil {
		return nil, 0
	}
	done, err := b.circuit.Allow()
	switch {
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		return nil, max(b.open/4, 10*time.Millisecond) // the probes are on their way
	case err != nil:
		return nil, b.remaining()
	}
	return done, 0
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
