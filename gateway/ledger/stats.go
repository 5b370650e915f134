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

// Stats counts a system's writes. It costs one pass over what is doubtful,
// dead or at the head of a lane; depth and bytes are kept in memory and may lag
// a few seconds behind other replicas.
func (db *DB) Stats(ctx context.Context, system string) (Stats, error) {
	s := Stats{System: system}
	db.tally.fill(db.now(), &s)
	err := db.read(ctx, func(t tx) error {
		err := t.query(func(r row) error {
			var rank, doubtful, dead int64
			err := r.Scan(&rank, &doubtful, &dead)
			c := &s.Class[class(rank)]
			c.Doubtful, c.Dead = doubtful, dead
			return err
		}, `SELECT class, COALESCE(sum(CASE WHEN state = 'doubtful' THEN 1 ELSE 0 END), 0), COALESCE(sum(dead), 0) FROM (
	SELECT class, state, dead FROM writes WHERE system = ?1 AND dead = 1
	UNION ALL SELECT class, state, dead FROM writes WHERE system = ?1 AND state = 'doubtful' AND dead = 0) s GROUP BY class`, system)
		if err != nil {
			return err
		}
		for c := range s.Class {
			if s.Class[c].Writes == 0 {
				continue
			}
			var accepted int64
			found, err := one(t, []any{&accepted}, `SELECT r.accepted FROM requests r WHERE r.seq = (
	SELECT min(seq) FROM writes WHERE system = ?1 AND class = ?2 AND state IN ('held', 'sending', 'doubtful'))`, system, rank(specs.Class(c)))
			if err != nil {
				return err
			}
			if found {
				s.Class[c].Oldest = moment(accepted)
			}
		}
		return nil
	})
	return s, err
}

// Systems lists the systems that have writes which are not final, sorted.
func (db *DB) Systems(context.Context) ([]string, error) { return db.tally.systems(), db.Err() }

// Depth counts the writes of a system that are not final, and their bytes,
// from memory.
func (db *DB) Depth(system string) (writes, bytes int64) { return db.tally.depth(system) }
