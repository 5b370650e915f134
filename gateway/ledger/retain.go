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
	// Audit is for audit rows, from the oldest on.
	Audit time.Duration
	// Archive is given what is about to be deleted, with requests, responses
	// and timelines, oldest first. An error keeps it. A write may be given a
	// second time after a crash. nil archives nothing.
	Archive func([]*Record) error
	// Step is how many writes one call deletes at most; 500 when zero.
	Step int
}

// Retain does one small step and returns how many writes and runs it deleted;
// call it again, after a pause, while that is not zero. Idempotency keys go with
// what they stand for. Writes of runs that are not over stay.
func (db *DB) Retain(ctx context.Context, r Retention) (int, error) {
	n := r.Step
	if n <= 0 {
		n = 500
	}
	now := db.now()
	var seqs []int64
	var list []*Record
	err := db.read(ctx, func(t tx) error {
		var err error
		seqs, err = over(t, r, now, n)
		if err == nil && r.Archive != nil {
			list, err = db.records(t, seqs, true)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(list) > 0 {
		if err := r.Archive(list); err != nil {
			return 0, err
		}
	}
	deleted := 0
	err = db.alone(ctx, func(w *work) error {
		if r.Audit > 0 {
			if err := w.shorten(now - r.Audit.Microseconds()); err != nil {
				return err
			}
		}
		kept, err := w.load(seqs, false)
		if err != nil {
			return err
		}
		var gone []*hot
		for _, h := range kept {
			if h.state.Final() && !h.laned { // nobody has retried it meanwhile
				gone = append(gone, h)
			}
		}
		if err := w.forget(gone); err != nil {
			return err
		}
		deleted = len(gone)
		if r.Settled <= 0 {
			return nil
		}
		runs, err := w.forgetRuns(now-r.Settled.Microseconds(), n)
		deleted += runs
		return err
	})
	return deleted, err
}

// over finds the writes that need not be kept, the oldest first.
func over(t tx, r Retention, now int64, n int) (seqs []int64, err error) {
	for _, kind := range []struct {
		dead int64
		age  time.Duration
	}{{0, r.Settled}, {1, r.Dead}} {
		if kind.age <= 0 {
			continue
		}
		err := t.query(func(r row) error {
			var seq int64
			err := r.Scan(&seq)
			seqs = append(seqs, seq)
			return err
		}, `SELECT w.seq FROM writes w JOIN requests r ON r.seq = w.seq
WHERE w.settled > 0 AND w.settled < ?1 AND w.dead = ?2 AND w.laned = 0 AND r.key_until < ?3
AND NOT EXISTS (SELECT 1 FROM runs u WHERE u.seq = w.run AND u.settled = 0) ORDER BY w.settled, w.seq LIMIT ?4`,
			now-kind.age.Microseconds(), kind.dead, now, int64(n-len(seqs)))
		if err != nil || len(seqs) == n {
			return seqs, err
		}
	}
	return seqs, nil
}

// forget deletes writes with all that belongs to them.
func (w *work) forget(list []*hot) error {
	if len(list) == 0 {
		return nil
	}
	var seqs []int64
	for _, h := range list {
		seqs = append(seqs, h.seq)
		if err := w.unname(h); err != nil {
			return err
		}
		for _, lane := range h.lanes() {
			if err := w.do("DELETE FROM lanes_past WHERE lane = ?1 AND seq = ?2", lane, h.seq); err != nil {
				return err
			}
		}
	}
	for _, table := range []string{"timeline", "responses", "batches", "requests", "writes"} {
		if err := w.do("DELETE FROM "+table+" WHERE seq {in ?1}", seqs); err != nil {
			return err
		}
	}
	return nil
}

// unname frees a write's idempotency key and number. The newest number of a
// sequence stays: what comes after it is measured by it.
func (w *work) unname(h *hot) error {
	if h.key != "" {
		err := w.do("DELETE FROM keys WHERE app = ?1 AND operation = ?2 AND key = ?3 AND seq = ?4", h.app, h.operation, h.key, h.seq)
		if err != nil {
			return err
		}
	}
	if !h.numbered {
		return nil
	}
	return w.do(`DELETE FROM numbers WHERE lane = ?1 AND number = ?2 AND seq = ?3
AND EXISTS (SELECT 1 FROM numbers m WHERE m.lane = ?1 AND m.number > ?2 AND m.gone = 1)`, h.lanes()[0], h.number, h.seq)
}
