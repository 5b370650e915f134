package budgettest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs"
)

// Load is calls that are sent as fast as a store admits them.
type Load struct {
	// Store admits the calls, to the pools of System.
	Store  budget.Store
	System string
	Pools  []*budget.Pool
	// Lease is how long a call may be under way; Latency is what one that is
	// answered takes at most.
	Lease, Latency time.Duration
	// Callers is how many calls are sent at a time.
	Callers int
	// Lost is the part of the calls whose end nobody tells: half of them are given
	// up as unknown, half are never settled.
	Lost float64
	// Early plants a mistake: calls are settled when they are sent.
	Early bool
	Judge *Judge
	// Tell says of a call that was just admitted how that was done, for the
	// messages of the judge; nothing when nil.
	Tell func(*budget.Admission) string

	granted, failed atomic.Int64
}

// Run sends calls until ctx is done, and returns when no call is under way that
// anybody waits for.
func (l *Load) Run(ctx context.Context) {
	var callers sync.WaitGroup
	for i := range l.Callers {
		random := rand.New(rand.NewPCG(uint64(i), rand.Uint64()))
		callers.Go(func() {
			for ctx.Err() == nil {
				l.call(ctx, random)
			}
		})
	}
	callers.Wait()
}

// Granted is the number of calls that were admitted; Failed that of errors.
func (l *Load) Granted() int64 { return l.granted.Load() }

// Failed is the number of errors.
func (l *Load) Failed() int64 { return l.failed.Load() }

// call tries one call, and plays it when it is admitted.
func (l *Load) call(ctx context.Context, random *rand.Rand) {
	class := specs.Class(random.IntN(len(specs.Classes)))
	a := budget.Admission{System: l.System, Lease: l.Lease, Class: class, Queued: random.IntN(2) == 0}
	for _, p := range l.Pools {
		a.Asks = append(a.Asks, budget.Ask{Pool: p, Key: p.Name, Units: 1000})
	}
	asked := time.Now()
	d, err := l.Store.Admit(ctx, &a)
	switch {
	case err != nil:
		l.failed.Add(1)
		pause(ctx, time.Millisecond)
	case !d.Granted:
		pause(ctx, min(max(d.Again, 200*time.Microsecond), 20*time.Millisecond))
	default:
		l.granted.Add(1)
		l.play(ctx, random, &a, asked)
	}
}

// play sends a call. The store may take its lease for over from asked on: what is
// late by then is not sent, as an ordinary caller would not.
func (l *Load) play(ctx context.Context, random *rand.Rand, a *budget.Admission, asked time.Time) {
	admitted, told := time.Now(), ""
	if l.Tell != nil {
		told = l.Tell(a)
	}
	whole := time.Duration(random.Int64N(int64(l.Latency)))
	send := time.Duration(random.Int64N(int64(whole) + 1))
	fate := random.Float64()
	lost := fate < l.Lost
	if lost {
		send = time.Duration(random.Int64N(int64(l.Lease)))
	}
	over := asked.Add(l.Lease)
	if l.Early {
		_ = l.Store.Settle(ctx, a, budget.Settlement{})
	}
	sleep(send)
	arrival := Arrival{At: time.Now(), Units: a.Asks[0].Units}
	if l.Tell != nil {
		arrival.Told = fmt.Sprintf("asked %s, admitted %s, %s, at latest %s", asked.Format("05.000000"), admitted.Format("05.000000"), told, over.Format("05.000000"))
	}
	if !arrival.At.Before(over) {
		l.settle(ctx, a, budget.Settlement{Outcome: budget.Unsent})
		return
	}
	if lost {
		arrival.Until = over
		l.Judge.Arrive(arrival)
		if fate < l.Lost/2 {
			l.settle(ctx, a, budget.Settlement{Outcome: budget.Unknown})
		}
		return
	}
	sleep(whole - send)
	arrival.Until = time.Now()
	if arrival.Until.After(over) {
		arrival.Until = over
	}
	l.Judge.Arrive(arrival)
	l.settle(ctx, a, budget.Settlement{})
}

func (l *Load) settle(ctx context.Context, a *budget.Admission, s budget.Settlement) {
	if l.Early {
		return
	}
	if l.Store.Settle(ctx, a, s) != nil {
		l.failed.Add(1)
	}
}

// sleep takes short times more exactly than a timer.
func sleep(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
