package ledger

import (
	"context"
	"errors"
	"slices"
)

// mostPruned bounds what one call of Prune deletes.
const mostPruned = 500

// Prune deletes contents that nothing refers to any more: those whose names
// stand in the body of no entry, and did not at the call before either. The time
// between two calls is what replicas have that still build a table of an
// earlier revision. It returns how many were deleted.
func (db *DB) Prune(ctx context.Context) (int, error) {
	db.control.pruning.Lock()
	defer db.control.pruning.Unlock()
	c, err := db.Control(ctx)
	if err != nil || c.Revision == 0 {
		return 0, err
	}
	unused, err := db.unused(ctx, c)
	if err != nil {
		return 0, err
	}
	var gone []string
	seen := map[string]bool{}
	for _, hash := range unused {
		if db.control.unused[hash] && len(gone) < mostPruned {
			gone = append(gone, hash)
		} else {
			seen[hash] = true
		}
	}
	if len(gone) > 0 {
		// While the row is locked, nobody commits a change: what was found of its
		// revision holds. Later changes bring their contents with them.
		err = db.alone(ctx, func(w *work) error {
			have, err := controlRevision(w.tx, "{lock}")
			if err != nil {
				return err
			}
			if have != c.Revision {
				return errMoved
			}
			return w.do("DELETE FROM blobs WHERE hash IN (SELECT v.value FROM {texts ?1})", gone)
		})
	}
	switch {
	case errors.Is(err, errMoved):
		return 0, nil // and what was seen before is still known for the next call
	case err != nil:
		return 0, err
	}
	db.control.unused = seen
	return len(gone), nil
}

// unused lists the contents that no entry of a control plane names, sorted.
func (db *DB) unused(ctx context.Context, c *Control) ([]string, error) {
	var list []string
	err := db.read(ctx, func(t tx) error {
		list = nil
		return t.query(func(r row) error {
			var hash string
			err := r.Scan(&hash)
			list = append(list, hash)
			return err
		}, "SELECT hash FROM blobs ORDER BY hash")
	})
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, e := range c.Entries {
		names(e.Body, func(hash string) { named[hash] = true })
	}
	return slices.DeleteFunc(list, func(hash string) bool { return named[hash] }), nil
}

// hashLength is the length of a content's name.
const hashLength = 64

// names finds everything in a text that may be the name of a content: the
// ledger does not know which part of a body says what.
func names(text []byte, found func(hash string)) {
	run := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && (text[i] >= '0' && text[i] <= '9' || text[i] >= 'a' && text[i] <= 'f') {
			run++
			continue
		}
		if run == hashLength {
			found(string(text[i-run : i]))
		}
		run = 0
	}
}
