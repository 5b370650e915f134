package buffer

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// Begin keeps the write of a step of a run, and has it sent. It returns its ID,
// which is the same however often the step is begun. Nobody waits for it; see
// Over. ErrFenced when another carries the run on, and the refusals of a write.
func (s *Set) Begin(x *gateway.Exchange, run *ledger.RunWrite) (string, error) {
	o := s.operations[x.Operation.API.Name+"/"+x.Operation.API.Major+"/"+x.Operation.Spec.ID]
	if o == nil {
		return "", &gateway.Error{Problem: gateway.NotFound, Detail: fmt.Sprintf("%s is no write of a system", x.Operation.Spec.ID)}
	}
	b := s.buffer
	r, err := s.system.Request(x)
	if err != nil {
		return "", err
	}
	g := b.gate(o.system)
	w, k, err := o.write(x, r, "", g)
	if err != nil {
		return "", err
	}
	w.Fingerprint, w.Run = nil, run
	asked := time.Now()
	receipt, err := b.append(x.Context(), g, w)
	if err != nil {
		return "", err
	}
	switch {
	case receipt.Existing != nil:
		return receipt.ID, nil
	case receipt.Claimed != nil:
		b.carryOut(context.WithoutCancel(x.Context()), g, receipt.Claimed, k, asked)
	case receipt.Ready:
		g.wakeUp()
	}
	if b.options.Observer != nil {
		b.options.Observer.WriteAccepted(o.system, w.Class)
	}
	return receipt.ID, nil
}

// append keeps a write, with a place at the gate if it may be handed over.
func (b *Buffer) append(ctx context.Context, g *gate, w *ledger.Write) (ledger.Receipt, error) {
	enlisted := b.enlist()
	w.Hand = enlisted && g.reserve(w.Class)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appending)
	defer cancel()
	receipt, err := b.ledger.Append(ctx, w)
	switch {
	case w.Hand && receipt.Claimed != nil:
		g.enter(receipt.Claimed)
	case w.Hand:
		g.release(w.Class)
	}
	if enlisted && receipt.Claimed == nil {
		b.carrying.Done()
	}
	return receipt, err
}

// Refusal is what a caller is told of an error of the ledger, where it is not a
// refusal already.
func Refusal(err error) error {
	if e, ok := err.(*gateway.Error); ok {
		return e
	}
	return storeRefusal(err)
}

// Over is how a write ended.
type Over struct {
	State ledger.State
	// Dead tells that a person has to decide first.
	Dead   bool
	Reason string
	// Status is that of the last answer, or what a person has said; 0 for none.
	Status int
	// ReplacedBy is the ID of the write that stands for it; empty for none.
	ReplacedBy string
	// Problem is the name of the gateway's own refusal; empty for the system's words.
	Problem string
	// Response is the answer; nil when there is none.
	Response *gateway.Response
}

// Over waits until a write is over, at most as long as patience lasts; nil when
// it is not. It returns early when the buffer drains.
func (b *Buffer) Over(ctx context.Context, id string, patience time.Duration) (*Over, error) {
	w := b.join(id, false)
	out, err := b.look(ctx, id)
	if err != nil {
		b.quit(id, w, true)
		return nil, err
	}
	if !out.over() {
		if out, err = b.await(ctx, id, w, patience, false); err != nil || out == nil || !out.over() {
			return nil, err
		}
	} else {
		b.quit(id, w, true)
	}
	r, err := b.ledger.Get(ctx, id)
	if err != nil {
		return nil, storeRefusal(err)
	}
	if out, err = outcomeOf(r); err != nil || !out.over() {
		return nil, err
	}
	over := &Over{State: r.State, Dead: r.Dead, Reason: r.Reason, Status: r.Status, ReplacedBy: r.ReplacedBy}
	if out.answer != nil {
		over.Response, over.Problem = out.answer.response(), out.answer.Problem
	}
	return over, nil
}
