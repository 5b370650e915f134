package ledger

import "context"

// Note keeps the last word about what this replica may have spent of a system's
// budget; a nil error means that it is durable. It is not asked what it means.
// Calls wait for it: when ctx ends it returns, and the note may be kept or not.
// A later one is never replaced by it.
func (db *DB) Note(ctx context.Context, system string, state []byte) error {
	kept := make(chan error, 1)
	go func() {
		kept <- db.alone(ctx, func(w *work) error {
			return w.do(`INSERT INTO spending (replica, system, at, state) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (replica, system) DO UPDATE SET at = excluded.at, state = excluded.state`, db.spender(), system, w.now, state)
		})
	}()
	select {
	case err := <-kept:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Notes gives what Note kept for this replica, also before it was opened, by system.
func (db *DB) Notes(ctx context.Context) (map[string][]byte, error) {
	notes := map[string][]byte{}
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var system string
			var state []byte
			err := r.Scan(&system, &state)
			notes[system] = state
			return err
		}, "SELECT system, state FROM spending WHERE replica = ?1", db.spender())
	})
	return notes, err
}

// spender is whose spending it is: a file that belongs to one process keeps it
// under whatever name that goes by.
func (db *DB) spender() string {
	if !db.engine.shared() {
		return ""
	}
	return db.options.Replica
}
