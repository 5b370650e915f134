package ledger

import (
	"context"
	"time"

	"github.com/headrace/headrace/specs"
)

// By says who does something, and why. It is kept as an audit row.
type By struct {
	Actor, Reason string
}

// Cancel takes back a write that is held and was never sent, or of which every
// sending is known to have done nothing. *StateError otherwise.
func (db *DB) Cancel(ctx context.Context, id string, by By) error { return ErrClosed }

// RetryNow makes a held write due at once, and a dead one held again with its
// attempts forgotten. A dead one that let its lanes go on comes last in them.
// *StateError otherwise.
func (db *DB) RetryNow(ctx context.Context, id string, by By) error { return ErrClosed }

// Resolve says for a doubtful write what a person has found out: Delivered,
// Refused, or Held to send it again. *StateError if it is not doubtful.
func (db *DB) Resolve(ctx context.Context, id string, s Settlement, by By) error { return ErrClosed }

// Replace appends a changed write in the place of a held or dead one and ends
// the old one: superseded when it was held, else in its state and no longer
// dead. It takes the old one's place in the lanes when w names the same lanes
// and the old one still stands in them, and the end otherwise. Both requests
// are kept, each with the other's ID. Key, Sequence, Coalesce, Hand and Bound
// of w are left aside.
func (db *DB) Replace(ctx context.Context, id string, w *Write, by By) (Receipt, error) {
	return Receipt{}, ErrClosed
}

// Discard gives up a dead write: it stays in its state, a doubtful one becomes
// refused, and its lanes go on. *StateError if it is not dead.
func (db *DB) Discard(ctx context.Context, id string, by By) error { return ErrClosed }

// Group is a set of dead writes with the same cause.
type Group struct {
	System, Operation, Group string
	Writes                   int64
	Oldest, Newest           time.Time
	// Example is the ID of the newest.
	Example string
}

// Groups counts the dead writes of a system by cause, the largest groups
// first; of all systems when system is empty.
func (db *DB) Groups(ctx context.Context, system string) ([]Group, error) { return nil, ErrClosed }

// RetryGroup retries at most n dead writes of a group, the oldest first, in
// the given class, and returns how many; call it again while that is n.
func (db *DB) RetryGroup(ctx context.Context, g Group, class specs.Class, n int, by By) (int, error) {
	return 0, ErrClosed
}

// DiscardGroup discards at most n dead writes of a group, the oldest first.
func (db *DB) DiscardGroup(ctx context.Context, g Group, n int, by By) (int, error) {
	return 0, ErrClosed
}

// Pause is a stop that a person has ordered: of a lane, or of a whole system
// when Lane is empty.
type Pause struct {
	System, Lane string
	Since        time.Time
	By           By
}

// Pause stops claims of a system, or of one of its lanes. What is sending is
// not touched. Pausing twice is pausing once.
func (db *DB) Pause(ctx context.Context, system, lane string, by By) error { return ErrClosed }

// Resume ends a pause. Without one it does nothing.
func (db *DB) Resume(ctx context.Context, system, lane string, by By) error { return ErrClosed }

// Pauses lists what is paused, the oldest first.
func (db *DB) Pauses(ctx context.Context) ([]Pause, error) { return nil, ErrClosed }

// Audit is one action of a person.
type Audit struct {
	Number int64
	At     time.Time
	By     By
	// Action is cancel, retry, resolve, replace, discard, pause or resume;
	// Target is the write's ID, or SYSTEM or SYSTEM/LANE.
	Action, Target string
}

// Audits lists actions, the newest first, before the given number (zero: from
// the newest), n at most.
func (db *DB) Audits(ctx context.Context, before int64, n int) ([]Audit, error) {
	return nil, ErrClosed
}
