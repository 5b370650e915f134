package buffer

import (
	"context"
	"errors"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// outcome is how a write stands, for those who wait for it.
type outcome struct {
	state  ledger.State
	dead   bool
	answer *answer // nil when there is none
	// err is the refusal behind the answer, where this process has caused it.
	err *gateway.Error
	// wait, took and attempts are those of the sending.
	wait, took time.Duration
	attempts   int
}

// over tells that nothing more happens unless a person acts.
func (o *outcome) over() bool { return o.dead || o.state.Final() }

// waiter is a caller that waits for a write.
type waiter struct {
	told chan *outcome // takes one
	// counted tells that a settlement relies on the caller being there.
	counted bool
	// any wants every change, not only the end.
	any bool
}

// join has a caller wait for a write.
func (b *Buffer) join(id string, any bool) *waiter {
	w := &waiter{told: make(chan *outcome, 1), any: any}
	b.mu.Lock()
	b.waiters[id] = append(b.waiters[id], w)
	b.mu.Unlock()
	return w
}

// quit ends the waiting. counted tells that an outcome is about to come.
func (b *Buffer) quit(id string, w *waiter, force bool) (counted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.counted && !force {
		return true
	}
	list := b.waiters[id]
	for i, other := range list {
		if other == w {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(b.waiters, id)
	} else {
		b.waiters[id] = list
	}
	return false
}

// awaited tells whether a caller will be told of the outcome that is about to
// be settled; those who are counted on wait for it.
func (b *Buffer) awaited(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	any := false
	for _, w := range b.waiters[id] {
		if !w.any {
			w.counted, any = true, true
		}
	}
	return any
}

// tell hands an outcome to those who wait for it. Those who wait for the end
// hear of nothing else, unless the end does not come because the buffer ends.
func (b *Buffer) tell(id string, o *outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.waiters[id] {
		if !w.any && !o.over() && (o.state != ledger.Held || b.ctx.Err() == nil) {
			w.counted = false
			continue
		}
		select {
		case w.told <- o:
		default:
		}
	}
}

// settling is how much longer a caller waits whose outcome is being made durable.
const settling = 10 * time.Second

// await waits until a write is over, at most as long as patience lasts; nil or
// held when it is not. local tells that this process sends it, so that the
// ledger need not be asked. What nobody sends is not waited for when the buffer ends.
func (b *Buffer) await(ctx context.Context, id string, w *waiter, patience time.Duration, local bool) (*outcome, error) {
	defer b.quit(id, w, true)
	end := time.NewTimer(patience)
	defer end.Stop()
	look := newLook(local)
	defer look.stop()
	ending := b.ctx.Done()
	for {
		select {
		case o := <-w.told:
			return o, nil
		case <-ending:
			if !b.carries(id) {
				return b.late(id, w), nil
			}
			ending = nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return b.late(id, w), nil
		case <-look.c:
			o, err := b.look(ctx, id)
			if err != nil || o.over() {
				return o, err
			}
			look.next()
		}
	}
}

// carries tells whether this process has claimed a write.
func (b *Buffer) carries(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.claims {
		if c.ID == id {
			return true
		}
	}
	return false
}

// late is the last chance of a caller whose patience is over: an outcome that
// is being made durable and counts on the caller is waited for.
func (b *Buffer) late(id string, w *waiter) *outcome {
	if b.quit(id, w, false) {
		t := time.NewTimer(settling)
		defer t.Stop()
		select {
		case o := <-w.told:
			return o
		case <-t.C:
			return nil
		}
	}
	select {
	case o := <-w.told:
		return o
	default:
		return nil
	}
}

// look asks the ledger how a write stands.
func (b *Buffer) look(ctx context.Context, id string) (*outcome, error) {
	r, err := b.ledger.Get(ctx, id)
	if err != nil {
		return nil, storeRefusal(err)
	}
	return outcomeOf(r)
}

func outcomeOf(r *ledger.Record) (*outcome, error) {
	o := &outcome{state: r.State, dead: r.Dead}
	if len(r.Response) > 0 {
		var err error
		if o.answer, err = decodeAnswer(r.Response); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// look is when to ask the ledger: rarer the longer it takes.
type look struct {
	c     <-chan time.Time
	timer *time.Timer
	pause time.Duration
}

func newLook(never bool) *look {
	l := &look{pause: 250 * time.Millisecond}
	if !never {
		l.timer = time.NewTimer(l.pause) // who waits here was told how it stands just now
		l.c = l.timer.C
	}
	return l
}

func (l *look) next() {
	l.timer.Reset(l.pause)
	l.pause = min(2*l.pause, 2*time.Second)
}

func (l *look) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// storeRefusal is what a caller is told when the ledger says no.
func storeRefusal(err error) error {
	var full *ledger.FullError
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return &gateway.Error{Problem: gateway.NoSuchWrite}
	case errors.Is(err, ledger.ErrKeyReused):
		return &gateway.Error{Problem: gateway.KeyReused, Detail: "the Idempotency-Key was used for another request; a new request needs a new key"}
	case errors.As(err, &full):
		return &gateway.Error{Problem: gateway.BufferFull, Cause: err}
	case errors.Is(err, context.Canceled):
		return err
	}
	return &gateway.Error{Problem: gateway.LedgerUnavailable, RetryAfter: time.Second, Cause: err,
		Detail: "writes cannot be kept durably now, so none is accepted"}
}
