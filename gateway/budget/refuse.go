package budget

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// refuse ends a call that got no room. Where only soft limits stand in the
// way it goes all the same.
func (b *Budget) refuse(ctx context.Context, t *Ticket, c specs.Class, d Decision) (*Ticket, error) {
	if t.soft(d.Refused) {
		t.admission.Overdraw = true
		granted, err := b.store.Admit(ctx, &t.admission)
		if err != nil {
			return nil, b.unknown(err)
		}
		if granted.Granted {
			t.admitted = b.now()
			return t, nil
		}
		d = granted
	}
	ask := &t.admission.Asks[max(d.Pool, 0)]
	e := &gateway.Error{Problem: gateway.Saturated, System: b.system, Pool: ask.Pool.Name, RetryAfter: b.comeBack(t, c, d)}
	e.Detail = fmt.Sprintf("the limit %q of %s leaves no room now", ask.Pool.Name, b.system)
	standing := b.store.Standing(b.system)
	switch {
	case d.Suspended:
		e.Problem, e.Pool, e.Detail = gateway.SystemUnavailable, "", b.system+" is left alone for a while"
	case standing.Mode == ModeUncertain:
		e.RetryAfter = max(e.RetryAfter, time.Until(standing.Until))
		e.Pool, e.Detail = "", "what is left of the limits of "+b.system+" is not known at the moment"
	case d.Paused:
		e.Detail = b.system + " has asked for a pause"
	case ask.Pool.pacing:
		e.Detail = fmt.Sprintf("the limit %q of %s is kept for later and for more urgent calls", ask.Pool.Name, b.system)
	}
	return nil, e
}

// soft tells whether all the refusing pools may be exceeded.
func (t *Ticket) soft(refused uint32) bool {
	for i := range t.admission.Asks {
		if refused&(1<<i) != 0 && !t.admission.Asks[i].Pool.Soft {
			return false
		}
	}
	return refused != 0
}

// crowded refuses a call for which the line has no place; d is why it would wait.
func (b *Budget) crowded(t *Ticket, c *Call, d Decision, why crowding) error {
	e := &gateway.Error{
		Problem: gateway.Saturated, System: b.system, Pool: t.admission.Asks[max(d.Pool, 0)].Pool.Name,
		Detail: "too many calls wait for " + b.system, RetryAfter: b.comeBack(t, c.Class, d),
	}
	if why == crowdedApp {
		e.Detail = fmt.Sprintf("calls of this app already take its part of the line for %s; places are left for other apps", b.system)
	}
	return e
}

func (b *Budget) unknown(err error) error {
	if errors.Is(err, context.Canceled) {
		return b.left(err)
	}
	return &gateway.Error{
		Problem: gateway.Saturated, System: b.system, RetryAfter: time.Second, Cause: err,
		Detail: "what is left of the system's limits is not known",
	}
}

// left is the error of a call whose caller did not wait.
func (b *Budget) left(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &gateway.Error{Problem: gateway.Saturated, System: b.system, RetryAfter: time.Second, Cause: err, Detail: "there was no room before the call's deadline"}
	}
	return &gateway.Error{Problem: gateway.CallerLeft, System: b.system, Cause: err}
}

// maxSpread bounds how far apart the refused calls are sent.
const maxSpread = time.Minute

// comeBack is when a refused call would find room: after the line ahead of it,
// and after the calls of its class that were refused before it, because they
// come back, too. A tenth of chance keeps callers from moving in step.
func (b *Budget) comeBack(t *Ticket, c specs.Class, d Decision) time.Duration {
	now := time.Now()
	latency := time.Duration(b.latency.Load())
	var line, own time.Duration
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range t.admission.Asks {
		ask := &t.admission.Asks[i]
		units, _ := b.line.ahead(ask.Key, c)
		line = max(line, ask.Pool.drain(units, latency))
		own = max(own, ask.Pool.drain(ask.Units, latency))
	}
	room := now.Add(d.RoomIn + line)
	next := b.promised[c&3].Add(own)
	if next.Before(room) {
		next = room.Add(own)
	}
	if next.Sub(room) > maxSpread {
		next = room.Add(rand.N(maxSpread))
	}
	b.promised[c&3] = next
	in := next.Sub(now)
	return in + rand.N(in/10+time.Millisecond)
}
