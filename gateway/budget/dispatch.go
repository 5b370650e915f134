package budget

import (
	"context"
	"time"

	"github.com/headrace/headrace/specs"
)

// first tells whether a call may try its pools right away although others
// wait: nobody of its class or above waits for any of them, and no lower class
// has earned its floor there.
func (b *Budget) first(t *Ticket, c specs.Class) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range t.admission.Asks {
		if _, count := b.line.ahead(t.admission.Asks[i].Key, c); count > 0 {
			return false
		}
		for d := specs.Low; d < c; d++ {
			if p := b.line.places[t.admission.Asks[i].Key]; p != nil && p.count[d] > 0 && b.line.earned[d] >= t.weight() {
				return false
			}
		}
	}
	return true
}

// overtook accounts for a call that went before waiting calls of lower classes.
func (b *Budget) overtook(t *Ticket, c specs.Class) {
	b.mu.Lock()
	b.line.sent(c, t.weight())
	b.mu.Unlock()
}

// estimate asks when there will be room for a call behind the line.
func (b *Budget) estimate(ctx context.Context, t *Ticket, c specs.Class) (Decision, error) {
	probe := t.admission
	probe.Probe = true
	probe.Asks = append(make([]Ask, 0, len(t.asks)), t.admission.Asks...)
	b.mu.Lock()
	for i := range probe.Asks {
		units, _ := b.line.ahead(probe.Asks[i].Key, c)
		probe.Asks[i].Units += units
	}
	b.mu.Unlock()
	return b.store.Admit(ctx, &probe)
}

// join has a call that was refused stand in line until it is admitted, its wait is
// over, or its caller leaves.
func (b *Budget) join(ctx context.Context, t *Ticket, c *Call, d Decision) (*Ticket, error) {
	w := &waiter{call: *c, ticket: t, decision: d, done: make(chan struct{})}
	started := time.Now()
	b.mu.Lock()
	if full := b.makeRoom(c); full != roomy {
		b.mu.Unlock()
		return nil, b.crowded(t, c, d, full)
	}
	w.arrival = b.line.place(c)
	b.line.add(w)
	b.waiting.Add(1)
	if b.line.running {
		b.wakeUp()
	} else {
		b.line.running = true
		go b.dispatch()
	}
	b.mu.Unlock()

	timer := time.NewTimer(c.Wait)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
		if b.leave(w) {
			return b.refuse(ctx, w.ticket, c.Class, w.decision)
		}
	case <-ctx.Done():
		if b.leave(w) {
			return nil, b.left(ctx.Err())
		}
	}
	if w.displaced != roomy {
		return nil, b.crowded(w.ticket, c, w.decision, w.displaced)
	}
	w.ticket.waited = time.Since(started)
	if err := ctx.Err(); err != nil {
		w.ticket.Settle(Result{Unsent: true})
		b.unused(&w.ticket.admission)
		return nil, b.left(err)
	}
	return w.ticket, nil
}

// unused lets another process try the system, where a call that was to do so is not made.
func (b *Budget) unused(a *Admission) {
	if a.Trial {
		_ = b.store.Yield(context.Background(), b.system)
	}
}

// makeRoom keeps the line within its bounds. Where it is full of less urgent
// calls, the latest of the least urgent make room; where it is full of its own class
// and those above, the latest of the app of its class that holds most of the line.
func (b *Budget) makeRoom(c *Call) crowding {
	l, bounds := &b.line, b.bounds
	switch {
	case int64(c.Bytes) > bounds.Bytes:
		return crowdedLine
	case !l.within(c, bounds):
		return crowdedApp
	}
	if !bounds.fit(c)(l.from(c.Class)) {
		given := l.giveWay(c, bounds)
		if given == nil {
			if l.shared(c) {
				return crowdedApp
			}
			return crowdedLine
		}
		for _, w := range given {
			b.waiting.Add(-1)
			b.displace(w, crowdedApp)
		}
	}
	for !bounds.fit(c)(l.from(specs.Low)) {
		w := l.youngest(c.Class)
		b.takeOut(w)
		b.displace(w, crowdedLine)
	}
	return roomy
}

// displace ends the wait of a call that is out of the line.
func (b *Budget) displace(w *waiter, why crowding) {
	w.out, w.displaced = true, why
	close(w.done)
}

// leave takes a waiter out of the line; false when it is out already.
func (b *Budget) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.out {
		return false
	}
	b.takeOut(w)
	b.wakeUp() // the one behind may need less
	return true
}

func (b *Budget) takeOut(w *waiter) {
	b.line.remove(w)
	b.waiting.Add(-1)
	w.out = true
}

// wakeUp has the dispatcher look at the line again.
func (b *Budget) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// idleLook is how often the line is looked at when the store gives no time.
const idleLook = time.Second

// dispatch serves the line as long as anybody stands in it. There is one
// dispatcher at a time, so that calls are admitted in order whatever the store
// takes to answer.
func (b *Budget) dispatch() {
	stop := b.store.Watch(b.system, b.wakeUp)
	defer stop()
	timer := time.NewTimer(idleLook)
	defer timer.Stop()
	for {
		again, more := b.serve()
		if !more {
			return
		}
		timer.Reset(again)
		select {
		case <-b.wake:
		case <-timer.C:
		}
	}
}

// serve admits all that can be admitted now, in order. It tells when to look
// again at the latest, and whether anybody is left.
func (b *Budget) serve() (again time.Duration, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line.pass++
	for {
		w, byFloor := b.line.pick()
		if w == nil {
			break
		}
		look := b.try(w, byFloor)
		if look > 0 && (again == 0 || look < again) {
			again = look
		}
	}
	if b.line.count == 0 {
		b.line.running = false
		return 0, false
	}
	if again == 0 {
		again = idleLook
	}
	return again, true
}

// try asks the store to admit a waiter. The lock is not held meanwhile, so that
// others may come and go. It returns when to look again if it was refused.
func (b *Budget) try(w *waiter, byFloor bool) time.Duration {
	t := w.ticket
	a := t.admission
	a.Queued = true
	if byFloor {
		a.Asks = append(make([]Ask, 0, len(t.asks)), a.Asks...)
		for i := range a.Asks {
			a.Asks[i].Reserve = 0
		}
		a.Floor = true
	}
	b.mu.Unlock()
	d, err := b.store.Admit(context.Background(), &a)
	b.mu.Lock()
	switch {
	case err != nil:
		b.line.claimAll() // nobody else would fare better
		return idleLook
	case !d.Granted:
		if !w.out && w.ticket == t { // otherwise new limits have come, and it is tried again
			w.decision = d
			b.line.claim(w, d.Refused)
		}
		return d.Again
	case w.out:
		b.mu.Unlock()
		_ = b.store.Settle(context.Background(), &a, Settlement{Outcome: Unsent})
		b.unused(&a)
		b.mu.Lock()
		return 0
	}
	b.takeOut(w)
	b.line.sent(w.call.Class, w.weight)
	t.admission.At, t.admission.Trial, t.admitted = a.At, a.Trial, b.now()
	if byFloor {
		copy(t.admission.Asks, a.Asks)
	}
	w.ticket = t // not the one that a reconfiguration may have made meanwhile
	close(w.done)
	return 0
}
