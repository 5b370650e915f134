package ledger

import (
	"errors"
	"fmt"
)

// The refusals. Test them with errors.Is; those that carry more have a type.
var (
	// ErrNotFound: there is no write of this id, or no thing of this kind and
	// name, or no longer.
	ErrNotFound = errors.New("ledger: not found")
	// ErrKeyReused: the idempotency key stands for a write with another fingerprint.
	ErrKeyReused = errors.New("ledger: the idempotency key was used for another request")
	// ErrFull: a bound is reached; a *FullError says which.
	ErrFull = errors.New("ledger: full")
	// ErrFenced: the claim is over, and a later one or a person has decided.
	ErrFenced = errors.New("ledger: the claim is no longer valid")
	// ErrState: the write's state does not allow it; a *StateError says which.
	ErrState = errors.New("ledger: not in this state")
	// ErrConflict: a thing of the control plane is not as the caller has seen
	// it; a *ConflictError says how it is. Or others change the control plane
	// all the time.
	ErrConflict = errors.New("ledger: changed meanwhile")
	// ErrInvalid: what was handed in makes no sense; the text says why.
	ErrInvalid = errors.New("ledger: invalid")
	// ErrFailing: the disk or the server does not take writes. It is tried
	// again in the background; Err is nil when it does again.
	ErrFailing = errors.New("ledger: failing")
	// ErrUnknown: the connection broke at the commit, and whether it took
	// place could not be learned. It comes with ErrFailing.
	ErrUnknown = errors.New("ledger: the fate of the commit is unknown")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("ledger: closed")
	// ErrInUse: another process has the SQLite file.
	ErrInUse = errors.New("ledger: in use by another process")
	// ErrUnsupported: the engine leaves this to its own tools.
	ErrUnsupported = errors.New("ledger: not supported by this engine")
)

// FullError says which bound refused an append.
type FullError struct {
	// Scope is "system" or "app".
	Scope string
	// Writes and Bytes are what is there, without the one that was refused.
	Writes, Bytes int64
}

func (e *FullError) Error() string {
	return fmt.Sprintf("ledger: the %s's share is full: %d writes, %d bytes", e.Scope, e.Writes, e.Bytes)
}

// Is makes it ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }

// StateError says in which state a write is that something cannot be done to.
type StateError struct {
	State State
	Dead  bool
}

func (e *StateError) Error() string {
	if e.Dead {
		return fmt.Sprintf("ledger: the write is %s and dead", e.State)
	}
	return fmt.Sprintf("ledger: the write is %s", e.State)
}

// Is makes it ErrState.
func (e *StateError) Is(target error) bool { return target == ErrState }

// ConflictError says of which revision a thing is that was to be changed.
type ConflictError struct {
	Kind, Name string
	// Have is the thing's revision, 0 when there is none.
	Have int64
}

func (e *ConflictError) Error() string {
	if e.Have == 0 {
		return fmt.Sprintf("ledger: there is no %s %q", e.Kind, e.Name)
	}
	return fmt.Sprintf("ledger: the %s %q is there, of revision %d", e.Kind, e.Name, e.Have)
}

// Is makes it ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
