package ledger

import (
	"context"
	"time"

	"github.com/headrace/headrace/specs"
)

// Room is how many writes may be claimed.
type Room struct {
	// Max bounds all classes together.
	Max int
	// Most bounds each class, by specs.Class; nil means Max for each.
	Most []int
	// Floor is taken from each class first, before the rest goes strictly by
	// class; nil means none. It counts towards Max and Most.
	Floor []int
	// Lease is how long the claims are valid; Options.Lease when zero.
	Lease time.Duration
}

// Claimed is a write that this replica may send, or whose doubt it may
// settle, until Lease. It is settled once.
type Claimed struct {
	ID    string
	Seq   int64
	Epoch int64
	Lease time.Time

	System, App, Operation string
	Class, Rank            specs.Class
	Lanes                  []string
	Key, Correlation       string
	Continue               bool
	Request                []byte
	Bytes                  int64
	// Attempts counts earlier sendings that count as such.
	Attempts int
	// Sendings counts all claims for sending, this one included. More than one
	// means that the system may have seen the write before.
	Sendings int
	// Accepted, Expires and FirstSent are those of the Record; FirstSent is
	// the time of this claim when it is the first.
	Accepted, Expires, FirstSent time.Time
	// Doubtful tells that its fate is open: settle it by asking, or hold it
	// again to have it sent again.
	Doubtful bool

	started time.Time
}

// Claim takes the ready writes of a system, strictly by rank and then by
// place, and makes them sending. It first makes ready what has become due. A
// paused system gives none.
func (db *DB) Claim(ctx context.Context, system string, room Room) ([]*Claimed, error) {
	return nil, ErrClosed
}

// ClaimDoubtful takes at most n doubtful writes of a system whose fate may be
// asked for now, those in doubt for the longest first. They stay doubtful.
// Dead ones are left to people. A paused system gives none.
func (db *DB) ClaimDoubtful(ctx context.Context, system string, n int, lease time.Duration) ([]*Claimed, error) {
	return nil, ErrClosed
}

// Recover makes doubtful what is sending under a lease that has run out, or
// under a claim of this replica's name from before this DB was opened; on
// SQLite any claim from before is such. wait says how long the lost requests
// may still run. It returns how many there were. Call it after Open, and
// every few seconds where replicas share a ledger.
func (db *DB) Recover(ctx context.Context, wait time.Duration) (int, error) { return 0, ErrClosed }

// Renew makes claims valid for lease from now, and returns those that are not
// this replica's any more.
func (db *DB) Renew(ctx context.Context, lease time.Duration, claims ...*Claimed) (lost []*Claimed, err error) {
	return nil, ErrClosed
}

// Next is when the next held write of a system becomes due, a doubtful one may
// be asked for or an expiry passes; zero when nothing is waiting for time.
func (db *DB) Next(ctx context.Context, system string) (time.Time, error) {
	return time.Time{}, ErrClosed
}

// Sweep does what time demands and no claim has done: ends gaps that have
// waited long enough, expires, makes due writes ready. It does at most a few
// hundred and returns how many; call it again when it is not zero.
func (db *DB) Sweep(ctx context.Context) (int, error) { return 0, ErrClosed }
