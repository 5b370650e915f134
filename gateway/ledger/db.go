package ledger

import (
	"context"
	"log/slog"
	"time"
)

// Options are the settings of a ledger; the zero value works.
type Options struct {
	// Replica names this process among those that share the ledger. Give each
	// a name that it keeps when it starts again: its lost claims are then
	// found at once and not only when their lease is over. A random one when empty.
	Replica string
	// Lease is how long claims are valid by default: longer than any call
	// takes. Two minutes when zero.
	Lease time.Duration
	// Log gets what no caller is told; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil. On Postgres it is corrected by the
	// server's, so that replicas agree.
	Now func() time.Time
}

// DB is an open ledger.
type DB struct {
}

// Open opens a ledger and brings its schema up to date. url is sqlite:PATH,
// relative to the working directory, or postgres://… as pgx understands it. A
// SQLite file is made when it is not there, and belongs to one process:
// ErrInUse otherwise. A password in the url is not part of any error.
func Open(ctx context.Context, url string, o Options) (*DB, error) { return nil, ErrClosed }

// Close ends the handle, after what has been begun. It does not wait for claims.
func (db *DB) Close() error { return nil }

// Err is nil while the ledger takes writes, and says why when it does not.
func (db *DB) Err() error { return ErrClosed }

// Append keeps a write. When it returns without an error the write is durable.
// Several appends that are under way at the same time share a commit. A ctx
// that ends while the write is being committed does not take it back.
// ErrKeyReused, *FullError, ErrInvalid, ErrFailing.
func (db *DB) Append(ctx context.Context, w *Write) (Receipt, error) { return Receipt{}, ErrClosed }
