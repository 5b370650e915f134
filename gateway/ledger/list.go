package ledger

import (
	"context"
	"time"
)

// Get returns a write with its request, response and timeline. ErrNotFound.
func (db *DB) Get(ctx context.Context, id string) (*Record, error) { return nil, ErrClosed }

// Filter says which writes are listed; empty fields do not restrict.
type Filter struct {
	System, App, Operation, Correlation string
	States                              []State
	// Dead restricts to those that are dead, and Group to those of that group.
	Dead  bool
	Group string
	// Lane is a business key that the write stands or stood in.
	Lane string
	// Since and Until bound the time of acceptance: Since ≤ accepted < Until.
	Since, Until time.Time
	// Oldest lists the oldest first instead of the newest.
	Oldest bool
	// After is the cursor of the page before.
	After string
	// Limit is at most 1000; 100 when zero.
	Limit int
}

// Page is a part of a list. Next is the cursor of what follows, empty at the
// end. The work for a page is bounded: where a filter is rare, a page may be
// short, or empty, and still have a Next.
type Page struct {
	Writes []*Record
	Next   string
}

// List returns writes without requests, responses and timelines. A list is no
// snapshot: a write that changes while it is paged through is seen as it is
// when its page is read, and none is seen twice. ErrInvalid for a cursor that
// is not one.
func (db *DB) List(ctx context.Context, f Filter) (Page, error) { return Page{}, ErrClosed }

// Explanation says why a write stands where it does.
type Explanation struct {
	Record *Record
	// Before lists, for each of its lanes, what stands at its head: the ID of
	// a write, or "paused"; and how many writes are before this one, at most 10000.
	Before []Ahead
	// SystemPaused tells that the system's claims are stopped.
	SystemPaused bool
	// Ahead counts ready writes of the system that would be claimed before it,
	// at most 10000.
	Ahead int64
}

// Ahead is what is before a write in one lane.
type Ahead struct {
	Lane, Head string
	HeadState  State
	Writes     int64
}

// Explain says why a write stands where it does. ErrNotFound.
func (db *DB) Explain(ctx context.Context, id string) (*Explanation, error) { return nil, ErrClosed }
