package ledger

import (
	"slices"
	"time"

	"github.com/headrace/headrace/specs"
)

// State is where a write stands.
type State string

// The states. The schema repeats them.
const (
	Held       State = "held"       // waits to be sent
	Sending    State = "sending"    // claimed, perhaps under way
	Doubtful   State = "doubtful"   // sent, and no answer is known
	Delivered  State = "delivered"  // done and answered
	Refused    State = "refused"    // not done, and will not be
	Cancelled  State = "cancelled"  // taken back before it was sent
	Expired    State = "expired"    // its time was over before it was sent
	Superseded State = "superseded" // a newer write of its lane stands for it
)

// States lists all states, in the order of a write's life.
var States = [...]State{Held, Sending, Doubtful, Delivered, Refused, Cancelled, Expired, Superseded}

// Known tells whether the state is one of States.
func (s State) Known() bool { return slices.Contains(States[:], s) }

// Final tells whether a write in this state stays in it unless a person acts.
func (s State) Final() bool { return s != Held && s != Sending && s != Doubtful }

// Record is a write as it is kept.
type Record struct {
	ID  string
	Seq int64

	System, App, Operation string
	// Class is the write's own, Rank the one that it is claimed by: that of
	// the most urgent write that it blocks.
	Class, Rank specs.Class
	Lanes       []string
	Sequence    *int64
	Key         string
	Fingerprint []byte
	Coalesce    bool
	Continue    bool
	Correlation string
	// Bytes is what it counts against bounds.
	Bytes int64

	State State
	// Dead tells that it needs a person; Group is why, the same text for the
	// same cause.
	Dead  bool
	Group string
	// Reason is the last one given.
	Reason string
	// Ready tells that it may be claimed now. Blockers counts the lanes in
	// which something stands before it: a write, or a pause.
	Ready    bool
	Blockers int
	// Gap tells that it waits for missing sequence numbers.
	Gap bool
	// Open tells that an earlier sending may have been done.
	Open bool
	// Attempts counts the sendings that count as such.
	Attempts int
	// Version grows with every change of state.
	Version int64
	// Owner is the replica that has claimed it, until Lease.
	Owner string
	Lease time.Time

	Accepted  time.Time
	NotBefore time.Time // of a held write; of a doubtful one, when its fate may be asked for
	Expires   time.Time
	FirstSent time.Time // zero before the first claim
	Settled   time.Time // zero while it is not final
	KeyUntil  time.Time // its Key is kept so long at least

	// Status and Response are as the last Settlement gave them.
	Status   int
	Response []byte
	Request  []byte
	// Replaces and ReplacedBy are IDs: of the write that this one replays or
	// supersedes, and of the one that stands for it now. Empty when there is none.
	Replaces, ReplacedBy string

	// Timeline is oldest first; List leaves it, Request and Response out.
	Timeline []Step
}

// Step is one change in a write's life.
type Step struct {
	At time.Time
	// Started is when the attempt that this step ended was claimed; zero when
	// it ended none.
	Started time.Time
	State   State
	Attempt int
	Status  int
	// Replica did it; Actor is the person behind it, empty for the gateway's own doing.
	Replica, Actor string
	Reason         string
}
