package buffer

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
)

// doubt settles an attempt of which nobody knows whether it was done. The
// write stays doubtful until the lost request can no longer be running.
func (b *Buffer) doubt(cl *claim, o *operation, r *system.Request, res *system.Result, out *outcome) (ledger.Settlement, *outcome) {
	out.state, out.answer = ledger.Doubtful, refusalOf(res.Err, r.RequestID)
	s := ledger.Settlement{State: ledger.Doubtful, NotBefore: time.Now(), Attempt: true, Reason: reasonOf(res)}
	if res.Running() {
		left := o.timeout
		if res.Attempts <= 1 {
			left = max(0, left-res.Took)
		}
		s.NotBefore = s.NotBefore.Add(left + b.options.Grace)
	}
	// A dead write of a lane that goes on no longer keeps the lane: it does until
	// the lost request is over, or the next write could overtake it at the system.
	if o.class == byNothing && !(o.goesOn && res.Running()) {
		return b.undecidable(s, "in doubt", reasonOf(res), out), out
	}
	return s, out
}

// undecidable gives a doubt to a person.
func (b *Buffer) undecidable(s ledger.Settlement, group, reason string, out *outcome) ledger.Settlement {
	s.State, s.Dead, s.Group, s.Reason = ledger.Doubtful, true, group, reason
	if out.answer != nil {
		s.Status, s.Response = out.answer.Status, out.answer.encode()
	}
	return s
}

// resolve settles a doubt: by sending again where the idempotency class makes
// that safe, by asking, or by giving it to a person.
func (b *Buffer) resolve(g *gate, c *ledger.Claimed, asked time.Time) {
	ctx, cl := b.hold(context.Background(), g, c, asked)
	defer b.letGo(cl)
	var s ledger.Settlement
	var out *outcome
	if !b.survive(cl, func() { s, out = b.decide(ctx, cl) }) {
		s, out = b.stillDoubtful(time.Now().Add(b.options.MaxBackoff), "the gateway failed while it was asking"), nil
	}
	b.settle(cl, s, out)
}

func (b *Buffer) decide(ctx context.Context, cl *claim) (ledger.Settlement, *outcome) {
	set := b.acquire()
	if set == nil {
		return b.stillDoubtful(time.Time{}, "the gateway is ending"), nil
	}
	defer set.Release()
	k, err := decodeRequest(cl.Request)
	out := &outcome{}
	if err != nil {
		return b.undecidable(ledger.Settlement{}, "unreadable", err.Error(), out), out
	}
	o := set.operations[cl.Operation]
	if o == nil {
		if time.Since(cl.Accepted) > lostAfter {
			return b.undecidable(ledger.Settlement{}, "operation gone", "there is no operation "+cl.Operation+" any more, and whether it was done is not known", out), out
		}
		return b.stillDoubtful(time.Now().Add(b.options.MaxBackoff/4), "there is no operation "+cl.Operation+" at present"), nil
	}
	switch o.class {
	case byNature:
		return b.again(cl, "sent again under the same natural key"), nil
	case byHeader:
		if o.ttl == 0 {
			return b.again(cl, "sent again under the same idempotency key"), nil
		}
		first, err := b.firstDoubt(ctx, cl.ID)
		if err != nil {
			return b.stillDoubtful(time.Now().Add(b.options.Backoff), "the ledger could not be read"), nil
		}
		if b.remembered(first, o.ttl, time.Now()) {
			return b.again(cl, "sent again under the same idempotency key"), nil
		}
	}
	if !o.confirms || !set.system.CanConfirm(o.call) {
		reason := "whether it was done is not known, and nothing can tell"
		if o.class == byHeader {
			reason = "the system has forgotten the idempotency key, and nothing else can tell whether it was done"
		}
		return b.undecidable(ledger.Settlement{}, "in doubt", reason, out), out
	}
	return b.confirm(ctx, cl, set, k)
}

// stillDoubtful leaves a doubt for later.
func (b *Buffer) stillDoubtful(until time.Time, reason string) ledger.Settlement {
	return ledger.Settlement{State: ledger.Doubtful, NotBefore: until, Reason: reason}
}

// again has a write sent once more, unless it was sent often enough.
func (b *Buffer) again(cl *claim, reason string) ledger.Settlement {
	if cl.Attempts >= b.settings.Load().Attempts {
		return ledger.Settlement{State: ledger.Doubtful, Dead: true, Group: "attempts used up", Reason: "its answer was lost each time, and no more attempts are made"}
	}
	return ledger.Settlement{State: ledger.Held, NotBefore: time.Now().Add(b.pause(max(0, cl.Attempts-1))), Open: true, Reason: reason}
}

// confirm asks the system whether a write arrived.
func (b *Buffer) confirm(ctx context.Context, cl *claim, set *Set, k *kept) (ledger.Settlement, *outcome) {
	r := k.Request
	r.Class, r.Wait, r.Admitted = cl.Rank, b.options.LineWait, cl.valid
	arrived, known, res := set.system.Confirm(ctx, &r)
	out := &outcome{wait: res.Wait, took: res.Took, attempts: res.Attempts}
	switch {
	case known && arrived:
		cl.gate.answered()
		out.answer = answerOf(res.Response)
		out.answer.Confirmed = true
		return ledger.Settlement{State: ledger.Delivered, Status: out.answer.Status, Response: out.answer.encode(), Reason: "its answer was lost; the system says that it was done"}, out
	case known:
		cl.gate.answered()
		if cl.Attempts >= b.settings.Load().Attempts {
			return dead("attempts used up", "its answer was lost each time, the system says that it was not done, and no more attempts are made"), out
		}
		return ledger.Settlement{
			State: ledger.Held, NotBefore: time.Now().Add(b.pause(max(0, cl.Attempts-1))), Reason: "its answer was lost; the system says that it was not done",
		}, nil
	case res.Outcome == system.Refused && !res.Locked():
		if cl.Attempts >= b.settings.Load().Attempts {
			return b.undecidable(ledger.Settlement{}, "in doubt", "whether it was done cannot be found out: "+reasonOf(res), out), out
		}
		s := b.stillDoubtful(time.Now().Add(b.pause(cl.Attempts)), "whether it was done could not be found out: "+reasonOf(res))
		s.Attempt = true
		return s, nil
	}
	wait := max(res.RetryAfter, b.options.Backoff)
	if res.Sent() {
		cl.gate.failed(res.RetryAfter)
	}
	return b.stillDoubtful(time.Now().Add(min(wait, b.options.MaxBackoff)+rand.N(b.options.Backoff)), "whether it was done could not be asked: "+reasonOf(res)), nil
}

// firstDoubt is when the first sending was claimed whose answer was lost, or
// may have been; zero when there is none.
func (b *Buffer) firstDoubt(ctx context.Context, id string) (time.Time, error) {
	r, err := b.ledger.Get(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	for _, step := range r.Timeline {
		switch {
		case step.State != ledger.Doubtful:
		case step.Started.IsZero(): // held in a copy of the ledger: it may have been sent from the original
			return r.Accepted, nil
		default:
			return step.Started, nil
		}
	}
	return time.Time{}, nil
}

// remembered tells whether the system still knows a key by the time that a
// request which is sent now arrives.
func (b *Buffer) remembered(first time.Time, ttl time.Duration, now time.Time) bool {
	return first.IsZero() || now.Add(b.options.LineWait+b.options.MaxBackoff).Before(first.Add(ttl))
}

// outlived keeps a write from being sent under a key that the system has
// forgotten meanwhile, while it waited to be sent again.
func (b *Buffer) outlived(cl *claim, o *operation, now time.Time) (s ledger.Settlement, wrong bool) {
	ctx, cancel := context.WithTimeout(b.given, 10*time.Second)
	defer cancel()
	first, err := b.firstDoubt(ctx, cl.ID)
	switch {
	case err != nil:
		return cl.held(now.Add(b.options.Backoff), "the ledger could not be read"), true
	case first.IsZero() || now.Add(b.options.LineWait).Before(first.Add(o.ttl)):
		return s, false
	}
	return b.stillDoubtful(now, "the system may have forgotten the idempotency key meanwhile"), true
}
