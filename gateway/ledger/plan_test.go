package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/ledger/postgrestest"
	"github.com/headrace/headrace/specs"
)

// spy runs transactions and keeps the texts that went through them.
type spy struct {
	engine
	mu    sync.Mutex
	texts map[string][]any // nil while nobody looks
}

// seen are the statements since looking began.
func (s *spy) seen() map[string][]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.texts)
}

// look begins to note statements.
func (s *spy) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = map[string][]any{}
}

type spyTx struct {
	tx
	spy *spy
}

func (s *spy) transact(ctx context.Context, f func(tx) error) error {
	return s.engine.transact(ctx, func(t tx) error { return f(&spyTx{t, s}) })
}

func (s *spy) read(ctx context.Context, f func(tx) error) error {
	return s.engine.read(ctx, func(t tx) error { return f(&spyTx{t, s}) })
}

func (s *spy) note(text string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.texts[text]; !ok && s.texts != nil {
		s.texts[text] = append([]any{}, args...)
	}
}

func (t *spyTx) do(text string, args ...any) error {
	t.spy.note(text, args)
	return t.tx.do(text, args...)
}

func (t *spyTx) query(scan func(row) error, text string, args ...any) error {
	t.spy.note(text, args)
	return t.tx.query(scan, text, args...)
}

func (t *spyTx) ask(scan func(row) error, text string, args ...any) error {
	t.spy.note(text, args)
	return t.tx.ask(scan, text, args...)
}

// TestPlans reads how the engines find rows for the statements of appends,
// claims, settlements and sweeps, with some thousand writes in the tables:
// none goes through a table.
func TestPlans(t *testing.T) {
	server, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	ctx, log, self := t.Context(), slog.New(slog.DiscardHandler), rand.Text()
	lite, err := openLite(ctx, filepath.Join(t.TempDir(), "plans.db"))
	if err != nil {
		t.Fatal(err)
	}
	post, err := openPost(ctx, server.Database(t), self, log)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []engine{lite, post} {
		s := &spy{engine: e}
		db, err := open(ctx, s, self, Options{Log: log, Now: time.Now, Lease: time.Minute, Grace: time.Second, Replica: "one"})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for n := range 40 {
					if _, err := db.Append(ctx, busy(i*40+n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s.look()
		exercise(t, db)
		texts := s.seen()
		if len(texts) < 20 {
			t.Fatalf("only %d statements were seen", len(texts))
		}
		for text, args := range texts {
			if plan := explain(t, s.engine, text, args); wasteful(plan) {
				t.Errorf("%s\n%s", text, plan)
			}
		}
	}
}

func busy(n int) *Write {
	number := int64(n)
	w := &Write{System: "erp", App: fmt.Sprint("app", n%3), Operation: "create", Class: specs.Class(n % 4), Lanes: []string{fmt.Sprint("l", n%500)}, Request: []byte("x")}
	switch n % 5 {
	case 0:
		w.Key = fmt.Sprint(n)
	case 1:
		w.Lanes, w.Sequence = []string{fmt.Sprint("s", n)}, &number
	case 2:
		w.Lanes, w.Coalesce = []string{fmt.Sprint("c", n%100)}, true
	}
	return w
}

// exercise goes through all statements of the committer that a caller's or a
// dispatcher's work takes.
func exercise(t *testing.T, db *DB) {
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		_, err := db.Append(ctx, busy(n))
		ok(err)
	}
	critical := busy(3)
	critical.Class = specs.Critical
	_, err := db.Append(ctx, critical)
	ok(err)
	list, err := db.Claim(ctx, "erp", Room{Max: 4})
	ok(err)
	ready, err := db.Ready(ctx, "erp", specs.Normal, 0, 4)
	ok(err)
	_, err = db.Claim(ctx, "erp", Room{Max: 1, Only: []int64{ready[0].Seq}})
	ok(err)
	for i, s := range []Settlement{{State: Delivered, Response: []byte("x")}, {State: Held}, {State: Doubtful}, {State: Refused, Dead: true}} {
		ok(db.Settle(ctx, list[i], s))
	}
	_, err = db.ClaimDoubtful(ctx, "erp", 4, 0)
	ok(err)
	_, err = db.Sweep(ctx)
	ok(err)
	_, err = db.Recover(ctx, 0, 0)
	ok(err)
	ok(db.RetryNow(ctx, list[3].ID, By{}))
	_, err = db.Retain(ctx, Retention{Settled: 1})
	ok(err)
	exerciseRuns(t, db)
}

// exerciseRuns goes through the statements of runs, with some hundred of them in
// the tables.
func exerciseRuns(t *testing.T, db *DB) {
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var claim *RunClaim
	for n := range 300 {
		r, err := db.BeginRun(ctx, &Run{App: "app", Operation: "book", Workflow: "w", Flow: "f", Document: []byte("x"), Key: fmt.Sprint(n)}, time.Hour)
		ok(err)
		claim = r.Claim
		if n%2 == 0 {
			ok(db.EndRun(ctx, claim, RunEnd{State: Completed}))
		}
	}
	step := busy(1)
	step.Sequence, step.Run = nil, &RunWrite{Claim: claim, Visit: "s#1", Steps: []RunStep{{Visit: "r#1", Began: time.Now(), Ended: time.Now()}}}
	_, err := db.Append(ctx, step)
	ok(err)
	_, err = db.RenewRuns(ctx, time.Hour, claim)
	ok(err)
	ok(db.ParkRun(ctx, claim, time.Now(), nil))
	_, err = db.ClaimRuns(ctx, 10, time.Hour)
	ok(err)
	_, err = db.Retain(ctx, Retention{Settled: 1})
	ok(err)
}

func explain(t *testing.T, e engine, text string, args []any) string {
	t.Helper()
	var plan strings.Builder
	prefix := "EXPLAIN "
	if !e.shared() {
		prefix = "EXPLAIN QUERY PLAN "
	}
	err := e.transact(t.Context(), func(tx tx) error {
		return tx.query(func(r row) error {
			var line string
			var a, b, c int64
			err := error(nil)
			if e.shared() {
				err = r.Scan(&line)
			} else {
				err = r.Scan(&a, &b, &c, &line)
			}
			plan.WriteString(line + "\n")
			return err
		}, prefix+text, args...)
	})
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return plan.String()
}

// short are scans of a parameter, of a bounded subquery, and of the pauses.
var short = regexp.MustCompile(`SCAN (v|json_each|c\d|f|\(subquery)\b|pauses`)

// wasteful tells of a plan that reads a whole table, an index from end to end,
// or hashes one.
func wasteful(plan string) bool {
	for line := range strings.Lines(plan) {
		switch {
		case short.MatchString(line):
		case strings.Contains(line, "SCAN "), strings.Contains(line, "Seq Scan on"), strings.Contains(line, "Hash Join"), strings.Contains(line, "hashed SubPlan"):
			return true
		}
	}
	return false
}
