package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/ledger/postgrestest"
)

// Whoever edits, removes or inserts an audit row behind the ledger's back is
// found, with the first row that is wrong.
func TestAuditTampering(t *testing.T) {
	server, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{
		{"sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "audit.db") }},
		{"postgres", server.Database},
	} {
		for _, c := range []struct {
			name, sql string
			number    int64
			wrong     string // empty: nothing is found
		}{
			{"nothing", "UPDATE audit SET actor = actor", 0, ""},
			{"actor edited", "UPDATE audit SET actor = 'mallory' WHERE number = 3", 3, "edited"},
			{"body edited", "UPDATE audit SET became = was WHERE number = 2", 2, "edited"},
			{"time edited", "UPDATE audit SET at = at + 1 WHERE number = 5", 5, "edited"},
			{"first removed", "DELETE FROM audit WHERE number = 1", 1, "removed"},
			{"one removed", "DELETE FROM audit WHERE number = 4", 4, "removed"},
			{"last removed", "DELETE FROM audit WHERE number = 6", 6, "removed"},
			{"all removed", "DELETE FROM audit", 1, "removed"},
			{"one inserted at the end", "INSERT INTO audit (number, at, actor, reason, action, target, hash) SELECT number + 1, at, actor, reason, action, target, hash FROM audit WHERE number = 6", 7, "inserted"},
			{"one inserted before all", "INSERT INTO audit (number, at, actor, reason, action, target, hash) SELECT 0, at, actor, reason, action, target, hash FROM audit WHERE number = 1", 0, "inserted"},
			{"one inserted between", "UPDATE audit SET number = -number WHERE number > 3; UPDATE audit SET number = 1 - number WHERE number < 0; " +
				"INSERT INTO audit (number, at, actor, reason, action, target, hash) SELECT 4, at, 'mallory', reason, action, target, hash FROM audit WHERE number = 3", 4, "edited"},
			{"head moved back", "DELETE FROM audit WHERE number = 6; UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'audit_tail') WHERE name = 'audit_head'", 1, "inserted"},
		} {
			t.Run(engine.name+"/"+c.name, func(t *testing.T) {
				ctx := t.Context()
				db, err := Open(ctx, engine.url(t), Options{Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				for n := range 6 {
					_, err := db.Change(ctx, By{Actor: "ada", Reason: "r"}, func(d *Draft) error {
						return d.Put(Entry{Kind: "app", Name: fmt.Sprint("a", n%2), Body: fmt.Append(nil, n)}, Any)
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				noted, err := db.VerifyAudit(ctx, AuditHead{})
				if err != nil || noted.Last != 6 {
					t.Fatal(noted, err)
				}
				err = db.alone(ctx, func(w *work) error {
					for sql := range strings.SplitSeq(c.sql, "; ") {
						if err := w.do(sql); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				_, err = db.VerifyAudit(ctx, AuditHead{})
				var broken *AuditError
				if c.wrong == "" {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				if !errors.As(err, &broken) || broken.Number != c.number || !strings.Contains(broken.Wrong, c.wrong) {
					t.Errorf("got %v, want row %d %s", err, c.number, c.wrong)
				}
			})
		}
		t.Run(engine.name+"/rewritten as a whole", func(t *testing.T) {
			ctx := t.Context()
			db, err := Open(ctx, engine.url(t), Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Pause(ctx, "erp", "", By{Actor: "ada"}); err != nil {
				t.Fatal(err)
			}
			noted, err := db.VerifyAudit(ctx, AuditHead{})
			if err != nil {
				t.Fatal(err)
			}
			// One who may write everything makes a whole chain anew.
			err = db.alone(ctx, func(w *work) error {
				for _, sql := range []string{"UPDATE audit SET actor = 'mallory'", "DELETE FROM meta WHERE name IN ('audit_head', 'audit_tail')"} {
					if err := w.do(sql); err != nil {
						return err
					}
				}
				return beginChain(w.tx)
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.VerifyAudit(ctx, AuditHead{}); err != nil {
				t.Errorf("the new chain is broken: %v", err)
			}
			if _, err := db.VerifyAudit(ctx, noted); err == nil {
				t.Error("who has noted the head does not find it")
			}
		})
	}
}

// Rows from before there was a chain become its first.
func TestAuditBegins(t *testing.T) {
	ctx := t.Context()
	db, err := Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.alone(ctx, func(w *work) error {
		for _, sql := range []string{
			"INSERT INTO audit (number, at, actor, reason, action, target) VALUES (3, 5, 'a', 'r', 'cancel', 'x')",
			"INSERT INTO audit (number, at, actor, reason, action, target) VALUES (9, 6, 'a', 'r', 'cancel', 'y')",
			"DELETE FROM meta WHERE name IN ('audit_head', 'audit_tail')",
		} {
			if err := w.do(sql); err != nil {
				return err
			}
		}
		return beginChain(w.tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Pause(ctx, "erp", "", By{Actor: "b"}); err != nil {
		t.Fatal(err)
	}
	if head, err := db.VerifyAudit(ctx, AuditHead{}); err != nil || head.Last != 3 {
		t.Errorf("%+v %v", head, err)
	}
}
