package buffer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
)

// claim is a write that this process has claimed.
type claim struct {
	*ledger.Claimed
	gate *gate
	// until is when the claim ends, in nanoseconds after the buffer.s epoch.
	until atomic.Int64
	// sent is when its last request was let through, in nanoseconds since 1970,
	// and timeout how long a request of it takes at most; zero before.
	sent, timeout atomic.Int64
	admitted      bool
	cancel        context.CancelFunc
}

// over is when the request of a write can no longer be running that has not
// been answered.
func (c *claim) over(grace time.Duration) time.Time {
	return time.Unix(0, c.sent.Load()+c.timeout.Load()).Add(grace)
}

// valid tells that nobody else may have the write.
func (c *claim) valid() bool { return time.Since(c.gate.buffer.epoch).Nanoseconds() < c.until.Load() }

func (c *claim) renewed(from time.Time, lease time.Duration) {
	c.until.Store(from.Add(lease).Sub(c.gate.buffer.epoch).Nanoseconds())
}

// hold notes a claim that was asked for at a time, so that it is renewed. ctx
// ends when it is lost or the buffer drains. The claim's own end is not looked
// at: the server's clock may be another.
func (b *Buffer) hold(ctx context.Context, g *gate, c *ledger.Claimed, asked time.Time) (context.Context, *claim) {
	cl := &claim{Claimed: c, gate: g}
	ctx, cl.cancel = context.WithCancel(ctx)
	cl.renewed(asked, b.options.Lease)
	stop := context.AfterFunc(b.ctx, cl.cancel)
	cancel := cl.cancel
	cl.cancel = func() { stop(); cancel() }
	b.mu.Lock()
	b.claims[cl] = struct{}{}
	b.mu.Unlock()
	return ctx, cl
}

func (b *Buffer) letGo(c *claim) {
	b.mu.Lock()
	delete(b.claims, c)
	b.mu.Unlock()
	c.cancel()
}

// send carries a claimed write to its system and settles it. k is its request
// where it is at hand, asked when it was claimed.
func (b *Buffer) send(ctx context.Context, g *gate, c *ledger.Claimed, k *kept, asked time.Time) {
	ctx, cl := b.hold(ctx, g, c, asked)
	defer b.letGo(cl)
	class := c.Rank
	defer func() { g.leave(class, kindOf(c), cl.admitted) }()
	var s ledger.Settlement
	var o *outcome
	if !b.survive(cl, func() { s, o = b.try(ctx, cl, k) }) {
		s, o = b.stillDoubtful(time.Now().Add(c.Timeout+b.options.Grace), "the gateway failed while it was sending"), nil
		s.Attempt = true
	}
	b.settle(cl, s, o)
}

// survive runs what may panic; false when it did.
func (b *Buffer) survive(cl *claim, f func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("sending a write failed", "write", cl.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	f()
	return true
}

// timeout is how long a request of an operation may be under way; zero where
// there is no such operation.
func (b *Buffer) timeout(operation string) time.Duration {
	if s := b.current.Load(); s != nil && s.operations[operation] != nil {
		return s.operations[operation].timeout
	}
	return 0
}

// longest is the longest time that a request may be under way.
func (b *Buffer) longest() time.Duration {
	if s := b.current.Load(); s != nil {
		return s.longest()
	}
	return 0
}

// try sends a write, unless something speaks against it, and tells what became of it.
func (b *Buffer) try(ctx context.Context, cl *claim, k *kept) (ledger.Settlement, *outcome) {
	set := b.acquire()
	if set == nil {
		return cl.held(time.Time{}, "the gateway is ending"), nil
	}
	defer set.Release()
	if k == nil {
		var err error
		if k, err = decodeRequest(cl.Request); err != nil {
			return cl.givenUp("unreadable", err.Error()), nil
		}
	}
	o := set.operations[cl.Operation]
	if s, wrong := b.spoken(cl, o, k); wrong {
		return s, nil
	}
	r := k.Request
	r.Class, r.Wait, r.IdempotencyKey = cl.Rank, b.options.LineWait, cl.ID
	r.Admitted = func() bool {
		if !cl.valid() || ctx.Err() != nil && !cl.admitted {
			return false
		}
		cl.timeout.Store(int64(o.timeout))
		cl.sent.Store(time.Now().UnixNano())
		if !cl.admitted {
			cl.admitted = true
			cl.gate.admit(cl.Rank, kindOf(cl.Claimed))
		}
		return true
	}
	res := set.system.Send(ctx, &r)
	return b.judge(cl, o, &r, res)
}

// lostAfter is how long a write is kept whose operation has gone: a table that
// has it may be on its way.
const lostAfter = 10 * time.Minute

// spoken tells what speaks against sending a write now.
func (b *Buffer) spoken(cl *claim, o *operation, k *kept) (s ledger.Settlement, wrong bool) {
	now := time.Now()
	switch {
	case !cl.Open && !cl.Expires.IsZero() && now.After(cl.Expires):
		return ledger.Settlement{State: ledger.Expired, Reason: "its time was over before it could be sent"}, true
	case o == nil && now.Sub(cl.Accepted) > lostAfter:
		return cl.givenUp("operation gone", fmt.Sprintf("there is no operation %s any more", cl.Operation)), true
	case o == nil:
		return cl.held(now.Add(b.options.MaxBackoff/4), fmt.Sprintf("there is no operation %s at present", cl.Operation)), true
	}
	if why := o.revoked(cl.App, k); why != "" {
		return cl.givenUp("revoked", why), true
	}
	if o.timeout-cl.Timeout >= time.Microsecond { // which the ledger counts in
		// After a crash its request would count as over too early.
		return cl.held(time.Time{}, "a request of it may take longer now than when it was claimed"), true
	}
	if cl.Open && o.class == byHeader && o.ttl > 0 {
		return b.outlived(cl, o, now)
	}
	return s, false
}

// held puts a write back that was not sent, or of which nothing was done.
func (c *claim) held(until time.Time, reason string) ledger.Settlement {
	return ledger.Settlement{State: ledger.Held, NotBefore: until, Open: c.Open, Reason: reason}
}

// givenUp is the end of a write that is not sent. Where an earlier sending may
// have been done, nobody knows what became of it.
func (c *claim) givenUp(group, reason string) ledger.Settlement {
	if c.Open {
		return ledger.Settlement{State: ledger.Doubtful, Dead: true, Group: group, Reason: reason + "; an earlier sending may have been done"}
	}
	return dead(group, reason)
}

// dead is the end of a write that was not done and will not be.
func dead(group, reason string) ledger.Settlement {
	return ledger.Settlement{State: ledger.Refused, Dead: true, Group: group, Reason: reason}
}

// judge makes a settlement of what an attempt came to.
func (b *Buffer) judge(cl *claim, o *operation, r *system.Request, res *system.Result) (ledger.Settlement, *outcome) {
	out := &outcome{err: res.Err, wait: res.Wait, took: res.Took, attempts: res.Attempts}
	if res.Response != nil && res.Response.Body != nil {
		if broken := readAnswer(res); broken != nil {
			res, out.err = broken, broken.Err
		}
	}
	hint := res.RetryAfter
	if hint <= 0 && res.Err != nil {
		hint = res.Err.RetryAfter
	}
	switch res.Outcome {
	case system.Delivered:
		cl.gate.answered()
		return b.ended(ledger.Delivered, res, r, out), out
	case system.Refused:
		if res.Locked() {
			return cl.held(cl.gate.failed(hint), reasonOf(res)), nil
		}
		if res.Sent() {
			cl.gate.answered()
		}
		s := b.ended(ledger.Refused, res, r, out)
		if cl.Open && o.class == byNature {
			// "It exists already" may well speak of the first sending.
			return b.undecidable(s, "in doubt", "it was sent again and refused, and the first sending may have been done: "+s.Reason, out), out
		}
		if !b.awaited(cl.ID) && cl.Run == 0 { // a run hears of it, whoever carries it on
			s.Dead, s.Group = true, groupOf(res)
		}
		return s, out
	case system.Overload:
		if !res.Sent() {
			cl.gate.crowded(cl.Rank, kindOf(cl.Claimed), hint)
			return cl.held(time.Now().Add(min(hint, b.options.MaxBackoff)), reasonOf(res)), nil
		}
		return cl.held(cl.gate.failed(hint), reasonOf(res)), nil
	case system.Unavailable:
		return cl.held(cl.gate.failed(hint), reasonOf(res)), nil
	case system.Doubtful:
		return b.doubt(cl, o, r, res, out)
	}
	if b.ctx.Err() != nil {
		return cl.held(time.Time{}, "the gateway was ending"), nil
	}
	return cl.held(time.Time{}, "it was taken out of the line"), nil // the claim is lost
}

// readAnswer reads an answer that is passed on otherwise while it arrives. What
// is returned stands for the result if it broke off: then nobody knows.
func readAnswer(res *system.Result) *system.Result {
	r := res.Response
	status := r.Status
	if _, err := r.Content(maxAnswer); err == nil {
		return nil
	} else if status < 300 && r.Length >= 0 && r.Length > maxAnswer {
		e := &gateway.Error{Problem: gateway.BadGateway, Detail: fmt.Sprintf("the system has done it and answered %d, but its answer is longer than %d bytes and was not kept", status, maxAnswer), Cause: err}
		return &system.Result{Outcome: system.Delivered, Err: e, Wait: res.Wait, Took: res.Took, Attempts: res.Attempts}
	} else {
		e := gateway.AsError(err)
		outcome := res.Outcome
		if outcome == system.Delivered {
			outcome = system.Doubtful
		}
		return &system.Result{Outcome: outcome, Err: e, Wait: res.Wait, Took: res.Took, Attempts: res.Attempts}
	}
}

// ended is the settlement of a write that the system has answered.
func (b *Buffer) ended(state ledger.State, res *system.Result, r *system.Request, out *outcome) ledger.Settlement {
	out.state = state
	if res.Response != nil {
		out.answer = answerOf(res.Response)
	} else {
		out.answer = refusalOf(res.Err, r.RequestID)
	}
	return ledger.Settlement{State: state, Attempt: true, Status: out.answer.Status, Response: out.answer.encode(), Reason: reasonOf(res)}
}

// reasonOf says for people what an attempt came to. It holds nothing of a body.
func reasonOf(res *system.Result) string {
	if res.Err != nil {
		return cmp.Or(res.Err.Detail, res.Err.Problem.Title)
	}
	if res.Response != nil {
		return "the system answered " + strconv.Itoa(res.Response.Status)
	}
	return ""
}

// groupOf is the cause of a refusal, the same for the same cause.
func groupOf(res *system.Result) string {
	if res.Err == nil {
		return "refused: " + strconv.Itoa(res.Response.Status)
	}
	group := "refused: " + res.Err.Problem.Name
	if res.Err.SystemCode != "" {
		group += " " + res.Err.SystemCode
	}
	return group
}

// settle makes an outcome durable and then tells those who wait for it. It
// tries until it succeeds, or another has settled the write, or the process ends.
func (b *Buffer) settle(cl *claim, s ledger.Settlement, out *outcome) {
	if out == nil {
		out = &outcome{}
	}
	out.state, out.dead = s.State, s.Dead
	pause := 50 * time.Millisecond
	for {
		ctx, cancel := context.WithTimeout(b.given, 30*time.Second)
		err := b.ledger.Settle(ctx, cl.Claimed, s)
		cancel()
		switch {
		case err == nil:
			b.tell(cl.ID, out)
			b.measure(cl, s)
			return
		case errors.Is(err, ledger.ErrFenced), errors.Is(err, ledger.ErrNotFound), errors.Is(err, ledger.ErrState):
			b.log.Warn("the outcome of a write came too late: another has decided", "write", cl.ID, "system", cl.System, "outcome", string(s.State))
			b.refresh(cl.ID)
			return
		case errors.Is(err, ledger.ErrInvalid):
			b.log.Error("an outcome cannot be kept", "write", cl.ID, "error", err)
			return
		}
		b.log.Warn("an outcome cannot be kept yet", "write", cl.ID, "system", cl.System, "error", err)
		t := time.NewTimer(pause)
		select {
		case <-b.given.Done():
			t.Stop()
			return
		case <-t.C:
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// refresh tells those who wait for a write how it stands in the ledger.
func (b *Buffer) refresh(id string) {
	ctx, cancel := context.WithTimeout(b.given, 5*time.Second)
	defer cancel()
	if o, err := b.look(ctx, id); err == nil {
		b.tell(id, o)
	}
}

// measure counts a settlement.
func (b *Buffer) measure(cl *claim, s ledger.Settlement) {
	now := time.Now()
	over := s.Dead || s.State.Final()
	if over {
		cl.gate.ended.add(now)
	}
	if b.options.Observer == nil {
		return
	}
	if s.State == ledger.Doubtful {
		b.options.Observer.WriteDoubtful(cl.System, cl.Class)
	}
	if !over {
		return
	}
	e := Ended{State: string(s.State), Dead: s.Dead, Waited: cl.FirstSent.Sub(cl.Accepted), Astray: -1, Attempts: cl.Attempts}
	if s.Attempt {
		e.Attempts++
	}
	if k, err := decodeRequest(cl.Request); err == nil && !k.Estimate.IsZero() {
		e.Astray = now.Sub(k.Estimate).Abs()
	}
	b.options.Observer.WriteEnded(cl.System, cl.Class, e)
}
