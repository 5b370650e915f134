package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Settlement is what became of a claim.
type Settlement struct {
	// State is Delivered, Refused, Held, Doubtful, Expired or Cancelled.
	State State
	// Dead says that a person is needed, with Refused and Doubtful; Group is
	// why, the same text for the same cause.
	Dead  bool
	Group string
	// NotBefore is when a held write may be sent again, and when the fate of a
	// doubtful one may be asked for: not before the lost request has ended.
	NotBefore time.Time
	// Open says of a doubtful write that is held again that nobody has found
	// out: it is sent again because that is safe. Until its fate is known it is
	// not cancelled, replaced or superseded, and does not expire.
	Open bool
	// Attempt tells that it counts as an attempt.
	Attempt bool
	// Status and Response are kept with the write as they are; nil keeps the
	// earlier ones.
	Status   int
	Response []byte
	// Reason is for people: it goes on the timeline.
	Reason string
	// Batch names the call that the write was sent in together with others;
	// empty when it went alone. See Batches.
	Batch string
}

// Settle ends a claim and, when the write is final and not dead, or dead and
// appended with Continue, makes the next writes of its lanes ready, all in one
// commit. A claim whose lease has run out is still heard as long as nobody
// else has claimed the write or decided: ErrFenced otherwise. To repeat a
// settlement whose answer was lost is no error.
func (db *DB) Settle(ctx context.Context, c *Claimed, s Settlement) error {
	if err := s.check(); err != nil {
		return err
	}
	return db.submit(ctx, &op{settle: &settling{c, s}})
}

// settling is a settlement on its way.
type settling struct {
	claim      *Claimed
	settlement Settlement
}

func (s Settlement) check() error {
	switch s.State {
	case Delivered, Held, Expired, Cancelled:
		if s.Dead {
			return fmt.Errorf("%w: a write that is %s is not dead", ErrInvalid, s.State)
		}
	case Refused, Doubtful:
	default:
		return fmt.Errorf("%w: a claim does not end as %q", ErrInvalid, s.State)
	}
	if s.Open && s.State != Held {
		return fmt.Errorf("%w: only a held write is open", ErrInvalid)
	}
	return nil
}

// settle carries out the settlements of a batch.
func (w *work) settle(ops []*op) error {
	if len(ops) == 0 {
		return nil
	}
	seqs := make([]int64, 0, len(ops))
	for _, o := range ops {
		seqs = append(seqs, o.settle.claim.Seq)
	}
	slices.Sort(seqs)
	list, err := w.load(slices.Compact(seqs), false)
	if err != nil {
		return err
	}
	rows := make(map[int64]*hot, len(list))
	for _, h := range list {
		rows[h.seq] = h
	}
	var changes []*change
	for _, o := range ops {
		c, s := o.settle.claim, o.settle.settlement
		h := rows[c.Seq]
		switch {
		case h == nil || h.epoch != c.Epoch:
			o.err = ErrFenced
		case h.state == Sending, h.state == Doubtful && !h.dead:
			delete(rows, c.Seq) // the second claim of one write in a batch is late
			changes = append(changes, s.change(h, c))
		case h.state != s.State || h.dead != s.Dead:
			o.err = ErrFenced
		}
	}
	if err := w.change(changes); err != nil {
		return err
	}
	return w.pack(ops)
}

// change makes the change that a settlement demands of a row.
func (s Settlement) change(h *hot, c *Claimed) *change {
	// Only who has asked for the fate of a doubtful write knows that it is not open.
	open := s.Open || h.open && !c.Doubtful
	h.started = micro(c.started)
	return &change{row: h, to: s.State, dead: s.Dead, cause: s.cause(), notBefore: micro(s.NotBefore), open: open && s.State == Held,
		attempt: s.Attempt, status: int64(s.Status), response: s.Response, reason: s.Reason}
}

func (s Settlement) cause() string {
	if s.Dead {
		return s.Group
	}
	return ""
}

// takeBack undoes what a batch may have left whose commit failed: its callers
// have been told of an error, so nobody sends what it has claimed or appended.
func (w *work) takeBack(batch []*op) error {
	var appended, claimed []int64
	for _, o := range batch {
		switch {
		case o.write != nil && o.write.fresh:
			appended = append(appended, o.write.seq)
		case o.claim != nil && !o.claim.doubtful:
			claimed = append(claimed, o.claim.picked...)
		case o.run != nil && o.run.takeBack != nil:
			if err := o.run.takeBack(w); err != nil {
				return err
			}
		}
	}
	gone, err := w.loadLocked(appended)
	if err != nil {
		return err
	}
	var changes []*change
	for _, h := range gone {
		if h.state != Held && (h.state != Sending || h.owner != w.db.owner) || h.sendings > 1 {
			continue
		}
		changes = append(changes, &change{row: h, to: Cancelled, reason: "the ledger failed before it was acknowledged", quiet: true})
		if err := w.disown(h); err != nil {
			return err
		}
	}
	back, err := w.load(claimed, false)
	if err != nil {
		return err
	}
	for _, h := range back {
		if h.state == Sending && h.owner == w.db.owner {
			changes = append(changes, &change{row: h, to: Held, open: h.open, reason: "the ledger failed before the claim was confirmed", quiet: true})
		}
	}
	return w.change(changes)
}

// disown frees the idempotency key and the number of a write that its caller
// does not know of: when it comes again it is new.
func (w *work) disown(h *hot) error {
	if h.key != "" {
		err := w.do("DELETE FROM keys WHERE app = ?1 AND operation = ?2 AND key = ?3 AND seq = ?4", h.app, h.operation, h.key, h.seq)
		if err != nil {
			return err
		}
	}
	if h.run != 0 {
		if err := w.do("DELETE FROM run_steps WHERE run = ?1 AND write = ?2", h.run, h.seq); err != nil {
			return err
		}
	}
	if !h.numbered {
		return nil
	}
	return w.do("DELETE FROM numbers WHERE lane = ?1 AND number = ?2 AND seq = ?3", h.lanes()[0], h.number, h.seq)
}
