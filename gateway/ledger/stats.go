package ledger

import (
	"context"
	"time"

	"github.com/headrace/headrace/specs"
)

// ClassStats counts the writes of one class, of those that are not final.
type ClassStats struct {
	Writes, Bytes int64
	// Oldest is when the oldest was accepted; zero when there is none.
	Oldest time.Time
	// Doubtful and Dead count those of the state, dead ones that are final too.
	Doubtful, Dead int64
	// In and Out are writes per second, accepted and made final by this
	// process within the last minute.
	In, Out float64
}

// Stats is what a system's buffer holds.
type Stats struct {
	System string
	// Class is by specs.Class, by the writes' own class.
	Class [len(specs.Classes)]ClassStats
}

// Stats counts a system's writes. It costs one pass over what is doubtful or
// dead; depth and bytes are kept in memory and may lag a few seconds behind
// other replicas.
func (db *DB) Stats(ctx context.Context, system string) (Stats, error) { return Stats{}, ErrClosed }

// Systems lists the systems that have writes which are not final, sorted.
func (db *DB) Systems(ctx context.Context) ([]string, error) { return nil, ErrClosed }

// Depth counts the writes of a system that are not final, and their bytes,
// from memory.
func (db *DB) Depth(system string) (writes, bytes int64) { return 0, 0 }

// Watch calls f with the name of a system of which something may have become
// ready or may have to be asked for: appended, settled, resumed, here or, on
// Postgres, at another replica. Calls may be spurious, may be missed when a
// connection breaks, and come one at a time; f must not block. stop ends them.
func (db *DB) Watch(f func(system string)) (stop func()) { return func() {} }
