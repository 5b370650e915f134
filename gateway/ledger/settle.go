package ledger

import (
	"context"
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
	// Attempt tells that it counts as an attempt.
	Attempt bool
	// Status and Response are kept with the write as they are; nil keeps the
	// earlier ones.
	Status   int
	Response []byte
	// Reason is for people: it goes on the timeline.
	Reason string
}

// Settle ends a claim and, when the write is final and not dead, or dead and
// appended with Continue, makes the next writes of its lanes ready, all in one
// commit. A claim whose lease has run out is still heard as long as nobody
// else has claimed the write: ErrFenced otherwise.
func (db *DB) Settle(ctx context.Context, c *Claimed, s Settlement) error { return ErrClosed }
