package budget

import (
	"context"
	"time"

	"github.com/headrace/headrace/specs"
)

// Store keeps the counts of pools: in the memory of one process, or shared by
// several. It knows nothing of limits beyond what each admission brings along.
//
// All methods are safe for concurrent use. Time is the store's own: it only
// ever appears as a distance from now.
type Store interface {
	// Admit takes the units of all the admission's pools, or of none. It is
	// atomic. When it grants, it fills in a.At and each ask's Seen; the admission
	// must then be given to Settle, unchanged, or its units come back by themselves
	// when its lease and the hold after it have run out. An error means that the
	// store cannot tell; the call must not be sent then.
	Admit(ctx context.Context, a *Admission) (Decision, error)
	// Settle ends an admission that was granted, once. A shared store may carry it
	// out a little later, and loses it without harm: the lease stands for it.
	Settle(ctx context.Context, a *Admission, s Settlement) error
	// Usage lists the pools of a system that hold anything, in no order.
	Usage(ctx context.Context, system string) ([]Usage, error)
	// Suspend admits no call to a system for a while, whoever asks for it; the longer
	// one of two counts. When it is over, one process tries the system: it is the first
	// whose call is admitted then (Admission.Trial), and the calls of all others go on
	// being refused until it suspends the system anew, ends the suspension (a time of
	// zero), or yields. Of a process that is gone nobody waits for longer than its last
	// call may take.
	Suspend(ctx context.Context, system string, d time.Duration) error
	// Yield lets another process try the system, if this one was about to.
	Yield(ctx context.Context, system string) error
	// Watch has wake called, from any goroutine, when units of a system may have
	// come back other than by the time that a decision told: by another process, or
	// by a settlement that was carried out after Settle had returned. It lasts until
	// stop is called. wake must not block. A store of one process never calls it.
	Watch(system string, wake func()) (stop func())
	// Standing tells how the store stands at the moment.
	Standing(system string) Standing
}

// Standing is how far a store can be relied on.
type Standing struct {
	// Mode is memory (one process counts for itself), shared (all replicas count
	// together), uncertain (the shared counts are out of reach, and nothing is
	// admitted yet) or alone (this replica goes on with its safe share).
	Mode string
	// Replicas is the number of replicas last known, this one included.
	Replicas int
	// Share is the part of each pool that this replica goes by when it is alone.
	Share float64
	// Kept is the part of each pool that is left free for replicas that are missing, or
	// are gone and may have sent what is not known.
	Kept float64
	// Since is when the mode began.
	Since time.Time
	// Cause is why nothing is admitted in the mode uncertain; empty in the others.
	Cause Cause
	// Until is when the mode ends by itself at the latest: the fence, the wait until
	// the replica is alone, or the time for which it goes on alone. It is zero
	// where only an answer of the shared counts ends it.
	Until time.Time
	// Joined tells that this replica could admit calls at some time since its start.
	Joined bool
	// Suspension is that of the system. What other processes did is known within a beat.
	Suspension Suspension
	// Unsettled is the number of calls so far whose settlement the store could not
	// carry out, and never will; what they hold comes back by their leases.
	Unsettled int64
}

// Suspension is how the suspension of a system stands; the zero value is none.
type Suspension struct {
	// For is how long no call is admitted.
	For time.Duration
	// Trial tells that this is over, and that it is tried whether the system works
	// again; Mine that this process may try.
	Trial, Mine bool
}

// Cause is why a store is uncertain.
type Cause string

// The causes.
const (
	// NotReached: the shared counts have not answered since the start of this
	// process, so that it has no share.
	NotReached Cause = "not reached"
	// Fenced: they answer, and are new or have lost what they knew. Replicas have
	// time to tell what they have under way and held.
	Fenced Cause = "fenced"
	// Lost: they do not answer, and this replica is not yet sure that the others
	// leave its share free.
	Lost Cause = "lost"
	// Over: it has been alone for as long as the others leave its share free.
	Over Cause = "over"
)

// The modes of a store.
const (
	ModeMemory    = "memory"
	ModeShared    = "shared"
	ModeUncertain = "uncertain"
	ModeAlone     = "alone"
)

// Admission is what one call asks for.
type Admission struct {
	System string
	Asks   []Ask
	// Lease is how long the call may be under way at most, from before Admit was
	// called: a call that is not sent by then must not be sent. The first call
	// with a longer lease than any before may have to wait until all replicas know.
	Lease time.Duration
	// Overdraw lets soft pools be exceeded.
	Overdraw bool
	// Class is the call's criticality. Queued tells that the call stands in line
	// if it is refused: a shared store then keeps the room that it refused for
	// calls of this class and above, whichever replica they wait at, until the
	// call asks again or a moment has passed. Floor lifts this: the call's class
	// has earned its floor.
	Class  specs.Class
	Queued bool
	Floor  bool
	// Probe asks whether and when there would be room, and takes nothing.
	Probe bool
	// At is when the store granted the admission, in its own time.
	At time.Duration
	// Trial is filled in with At: the call tries whether a system that was suspended
	// works again.
	Trial bool
}

// Ask is what a call asks of one pool.
type Ask struct {
	Pool *Pool
	// Key names the pool within the system, its scope included.
	Key   string
	Units Units
	// Reserve is what the call has to leave free.
	Reserve Units

	// Seen is for the store alone, which fills it in when it grants: all the
	// units of the pool that had ended by then. Reports are judged by it.
	Seen Units
	// counted is where Memory counted the ask.
	counted *memoryPool
}

// Decision is a store's answer.
type Decision struct {
	Granted bool
	// Pool is the index of the ask that will have room last; -1 when granted.
	Pool int
	// Refused is the set of asks without room, as bits.
	Refused uint32
	// Paused tells that the pool is refused because the system asked for a pause,
	// Suspended that the whole system is.
	Paused, Suspended bool
	// RoomIn is the earliest time at which there can be room, if no other call
	// goes first. It is zero when any call under way may make room by ending.
	RoomIn time.Duration
	// Again is when to ask again at the latest if nothing is settled before.
	Again time.Duration
}

// Outcome is what became of an admitted call.
type Outcome uint8

const (
	// Ended calls have been answered or refused by the system.
	Ended Outcome = iota
	// Unknown calls may still be under way: they stay where they are until
	// their lease has run out, and hold after it.
	Unknown
	// Unsent calls have never left; their units are free at once.
	Unsent
)

// Settlement is how an admitted call ended.
type Settlement struct {
	Outcome Outcome
	// Actual is what the call cost in the end, by ask; nil when it cost what it asked
	// for. Where the outcome is unknown, a higher one counts until the lease is over.
	Actual []Units
	// Overload tells that the system refused the call because of its limits:
	// no call is admitted to the pools in Pause for RetryAfter or, when that is
	// zero, for a time that grows from one such refusal to the next.
	Overload   bool
	RetryAfter time.Duration
	// Pause is a set of asks, as bits.
	Pause uint32
	// Shrink is the set of asks of which the system may have complained, as bits. One
	// of their pools shrinks, of the adaptive ones that which is nearest to full and
	// above its floor. None does where one of them has shrunk since the call was
	// admitted: the call belongs to the same overload.
	Shrink uint32
	// Reports are what the system itself said of its limits with its answer.
	Reports []Report
}

// Report is a system's own word on what is used of a pool. The system may have
// written it at any time since the call was admitted.
//
// Foreign is what it has counted beyond what is held and under way: it occupies
// units until the window's end or for the hold, and each report replaces the
// last. In a bucket it is spent. An exact report also takes away what is held
// beyond Used and beyond what others have ended since the admission (see Seen),
// what comes back first before the rest. In a pool that counts calls under way
// only, what has ended since was under way then, and is no foreign traffic.
// Reports of calls that were admitted before a calendar window, or within the
// slack of its beginning, are left out.
type Report struct {
	// Ask is the index of the ask that it is about.
	Ask int
	// Used is what the system had counted when it answered, the call included.
	Used Units
	// Exact reports are right; others are a hint, which only adds.
	Exact bool
}

// Usage is what is known of one pool.
type Usage struct {
	Key string
	// Used is what is occupied, calls under way included; InFlight is their part,
	// Foreign that of others whom only the system sees.
	Used, InFlight, Foreign Units
	// Capacity is what the pool has at the moment: less than configured after
	// overloads, where it is adaptive. Zero when the store does not know.
	Capacity Units
	// RoomIn is when the next units come back; zero when that depends on calls
	// under way, or when nothing is occupied.
	RoomIn time.Duration
	// PausedFor is how long no call is admitted.
	PausedFor time.Duration
}

// The pauses after an overload that comes without a hint: the first, and the
// longest that it grows to. A hint beyond MaxHint is not believed.
const (
	FirstPause = 250 * time.Millisecond
	MaxPause   = 30 * time.Second
	MaxHint    = time.Hour
)
