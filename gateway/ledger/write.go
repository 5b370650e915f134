package ledger

import (
	"time"

	"github.com/headrace/headrace/specs"
)

// Write is a call that shall be done at a system, exactly once.
type Write struct {
	// System, App and Operation are names; App is empty when nobody was
	// identified. None of them is checked against anything.
	System, App, Operation string
	Class                  specs.Class
	// Lanes are the business keys whose writes keep their order, within the
	// System. The same key twice is one.
	Lanes []string
	// Sequence orders the writes of the first lane by a number of their own;
	// nil when they have none. A number that came already is answered with the
	// write that brought it. A number beyond the next waits for those missing,
	// GapWait at most; then it goes. One that comes after its successors went
	// is refused and dead, in the group "late": to send it would undo them.
	Sequence *int64
	GapWait  time.Duration
	// Key is the caller's Idempotency-Key, empty when there is none. Within
	// App and Operation it stands for one Write, told by its Fingerprint, for
	// KeepKey after the append and in any case until the write is final.
	Key         string
	Fingerprint []byte
	KeepKey     time.Duration
	// Coalesce makes the write supersede the held writes of the same system,
	// operation, app and lanes that were appended with Coalesce before it.
	Coalesce bool
	// Continue lets the lanes go on when the write is dead.
	Continue bool
	// NotBefore and Expires bound when it may be sent; zero means no bound. A
	// write that has been sent does not expire while its fate is open.
	NotBefore, Expires time.Time
	// Timeout is how long one of its requests may be with the system.
	Timeout time.Duration
	// Correlation is the id by which it is found again.
	Correlation string
	// Request is what the sender needs; it is kept and given back as it is.
	Request []byte

	// Run makes it a step of a run; nil for a write by itself. Key and
	// Fingerprint are left empty then: the run and the visit take their place.
	Run *RunWrite

	// Hand asks for the write to be claimed by this replica in the same commit
	// if nothing stands before it in its lanes and its system is not paused.
	Hand bool
	// Bound refuses the append with a *FullError.
	Bound Bound
}

// Bound limits what a system's buffer may hold. Zero fields do not limit. On
// Postgres the count of what other replicas appended lags by a few seconds.
type Bound struct {
	// Writes and Bytes are those of the system that are not final.
	Writes, Bytes int64
	// AppWrites and AppBytes are those among them of the write's app.
	AppWrites, AppBytes int64
}

// Receipt says what became of an append.
type Receipt struct {
	// ID names the write to the world: 26 letters and digits that tell nothing
	// and cannot be guessed. Seq is its number in this ledger, ascending.
	ID  string
	Seq int64
	// Claimed is set when Hand was asked for and granted.
	Claimed *Claimed
	// Ready tells that nothing stands before the write but the system's budget.
	Ready bool
	// Ahead is how many unfinished writes of its class or above the system had
	// when it came.
	Ahead int64
	// Existing is set when the write was known before, by its Key or its
	// Sequence: nothing was appended, and ID and Seq are those of the first.
	Existing *Record
	// Gap tells that it waits for missing sequence numbers, Late that it came
	// after its successors.
	Gap, Late bool
	// Superseded counts the writes that this one replaced.
	Superseded int
}
