package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Backup writes a consistent copy of a SQLite ledger to a file that must not
// exist, while it is in use; the copy is checked and synced before Backup
// returns. It is opened like any ledger. What is held in it may have been sent
// after the copy was taken: the first to open it makes all of that doubtful.
// ErrUnsupported on Postgres, whose tools do it.
func (db *DB) Backup(ctx context.Context, path string) error { return db.engine.backup(ctx, path) }

// Backup copies a ledger like DB.Backup, by its url. Another process may have
// it in use.
func Backup(ctx context.Context, url, path string) error {
	from, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return (*post)(nil).backup(ctx, path)
	}
	return backupLite(ctx, from, path)
}

// backupLite copies a file that may be in use, also by another process. The
// copy has another name until it is complete: a torn one must not look like one.
func backupLite(ctx context.Context, from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%w: %s exists", ErrInvalid, to)
	}
	if _, err := os.Stat(from); err != nil {
		return err
	}
	part, err := nameless(to)
	if err != nil {
		return err
	}
	defer os.Remove(part)
	if err := vacuumInto(ctx, from, part); err != nil {
		return err
	}
	if err := markCopy(ctx, part); err != nil {
		return err
	}
	f, err := os.OpenFile(part, os.O_RDWR, 0) // SQLite does not sync what it copies into
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return err
	}
	return syncFolder(to)
}

// nameless makes an empty file beside one, which only its owner may read.
func nameless(path string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

func vacuumInto(ctx context.Context, from, to string) error {
	db, err := sql.Open("sqlite", dsn(from))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?1", to)
	return err
}

// markCopy checks a copy, and notes in it that it is one.
func markCopy(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", dsn(path, "journal_mode(delete)"))
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("ledger: the copy is damaged: %s", verdict)
	}
	_, err = db.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('copied', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		[]byte(time.Now().UTC().Format(time.RFC3339)))
	return err
}

// suspect makes doubtful what is held in a copy, when it is opened for the
// first time: the ledger that it was taken from may have gone on and sent it,
// until just now. Of none of its writes anything is asked or sent before such a
// request is over. Those that wait for missing numbers are left as they are.
func (db *DB) suspect(t tx) error {
	var at []byte
	copied, err := one(t, []any{&at}, "DELETE FROM meta WHERE name = 'copied' RETURNING value")
	if err != nil || !copied {
		return err
	}
	if err := t.do(`UPDATE runs SET state = 'stuck', owner = '', lease = 0, ready = 0, cause = 'restored', version = version + 1,
	reason = 'the ledger was restored from a copy, and the run may have gone on since' WHERE state = 'running'`); err != nil {
		return err
	}
	reason := "the ledger was restored from a copy, and it may have been sent since"
	if len(at) > 0 {
		reason = "the ledger was restored from a copy of " + string(at) + ", and it may have been sent since"
	}
	now := db.now()
	err = t.do(`INSERT INTO timeline (seq, version, at, started, state, attempt, status, replica, actor, reason)
SELECT seq, version + 1, CAST(?1 AS bigint), 0, 'doubtful', attempts, 0, CAST(?2 AS text), '', CAST(?3 AS text) FROM writes WHERE state = 'held' AND gap = 0`,
		now, db.options.Replica, reason)
	if err != nil {
		return err
	}
	over := now + db.options.Grace.Microseconds()
	err = t.do(`UPDATE writes SET not_before = CAST(?1 AS bigint) + timeout WHERE state = 'doubtful' AND dead = 0 AND not_before < CAST(?1 AS bigint) + timeout`, over)
	if err != nil {
		return err
	}
	// Recover counts from the end of the lease where the process is known to have ended.
	if err := t.do("UPDATE writes SET lease = CAST(?1 AS bigint) WHERE state = 'sending' AND lease < CAST(?1 AS bigint)", now); err != nil {
		return err
	}
	return t.do(`UPDATE writes SET state = 'doubtful', version = version + 1, ready = 0, not_before = CAST(?1 AS bigint) + timeout, reason = ?2
WHERE state = 'held' AND gap = 0`, over, reason)
}
