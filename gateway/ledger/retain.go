package ledger

import (
	"context"
	"time"
)

// Retention says how long what is over is kept. Zero keeps for ever.
type Retention struct {
	// Settled is for final writes, from when they became final; those that are
	// dead, or whose idempotency key is still kept, stay. Dead is for dead
	// writes that are final and block nothing.
	Settled, Dead time.Duration
	// Audit is for audit rows.
	Audit time.Duration
	// Archive is given what is about to be deleted, with requests, responses
	// and timelines, oldest first. An error keeps it. A write may be given a
	// second time after a crash. nil archives nothing.
	Archive func([]*Record) error
	// Step is how many writes one call deletes at most; 500 when zero.
	Step int
}

// Retain does one small step and returns how many writes it deleted; call it
// again, after a pause, while that is not zero. It also forgets idempotency
// keys that have run out.
func (db *DB) Retain(ctx context.Context, r Retention) (int, error) { return 0, ErrClosed }

// Backup writes a consistent copy of a SQLite ledger to a file that must not
// exist, while it is in use; the copy is opened like any ledger, and is
// synced before Backup returns. ErrUnsupported on Postgres: use pg_dump or
// its continuous archiving.
func (db *DB) Backup(ctx context.Context, path string) error { return ErrClosed }
