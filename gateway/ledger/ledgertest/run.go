package ledgertest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

func aRun(key string) *ledger.Run {
	return &ledger.Run{App: "shop", Operation: "booking/v1/book", Workflow: "book", Flow: "f00d", Document: []byte("arazzo: 1.0.1"), Class: specs.High,
		Correlation: "c-17", Key: key, Fingerprint: []byte("print"), KeepKey: time.Hour, Request: []byte(`{"order":1}`)}
}

func (w *world) begin(key string) *ledger.RunClaim {
	w.Helper()
	r, err := w.db.BeginRun(w.ctx, aRun(key), time.Minute)
	w.ok(err)
	if r.Claim == nil {
		w.Fatal("the run was known before")
	}
	return r.Claim
}

func (w *world) runIs(id string, state ledger.RunState) *ledger.RunRecord {
	w.Helper()
	r, err := w.db.GetRun(w.ctx, id)
	w.ok(err)
	if r.State != state {
		w.Fatalf("the run is %s (%s), want %s", r.State, r.Reason, state)
	}
	return r
}

// takesRun claims all runs that have something to do, and expects so many.
func (w *world) takesRun(n int) []*ledger.RunClaim {
	w.Helper()
	list, err := w.db.ClaimRuns(w.ctx, 100, time.Minute)
	w.ok(err)
	if len(list) != n {
		w.Fatalf("claimed %d runs, want %d", len(list), n)
	}
	return list
}

// step appends the write of a visit.
func (w *world) step(c *ledger.RunClaim, visit string, learnt ...ledger.RunStep) ledger.Receipt {
	w.Helper()
	r, err := w.db.Append(w.ctx, stepOf(c, visit, learnt...))
	w.ok(err)
	return r
}

func stepOf(c *ledger.RunClaim, visit string, learnt ...ledger.RunStep) *ledger.Write {
	wr := write("o=1")
	wr.Run = &ledger.RunWrite{Claim: c, Visit: visit, Steps: learnt}
	return wr
}

func (w *world) learnt(visit string) ledger.RunStep {
	return ledger.RunStep{Visit: visit, Began: w.now(), Ended: w.in(time.Second), Result: []byte(`{"ok":true}`)}
}

// A run is kept with its steps, its end and its document.
func runKept(w *world) {
	c := w.begin("k")
	w.step(c, "reserve#1", w.learnt("credit#1"))
	w.ok(w.db.NoteRun(w.ctx, c, []ledger.RunStep{w.learnt("stock#1")}))
	w.reopen()
	r := w.runIs(c.ID, ledger.Running)
	w.same("names", []any{r.App, r.Operation, r.Workflow, r.Flow, r.Class, r.Correlation, r.Key, string(r.Request), string(r.Fingerprint)},
		[]any{"shop", "booking/v1/book", "book", "f00d", specs.High, "c-17", "k", `{"order":1}`, "print"})
	w.same("steps", len(r.Steps), 3)
	w.same("accepted", r.Accepted, c.Accepted)
	document, err := w.db.Flow(w.ctx, "f00d")
	w.ok(err)
	w.same("document", string(document), "arazzo: 1.0.1")
	_, err = w.db.Flow(w.ctx, "beef")
	w.fails(err, ledger.ErrNotFound)
	again := w.takesRun(1)[0]
	w.same("claim", []any{again.ID, again.Epoch, string(again.Request), again.Class, again.Accepted}, []any{c.ID, int64(2), `{"order":1}`, specs.High, c.Accepted})
	steps, err := w.db.StepsOf(w.ctx, again)
	w.ok(err)
	w.same("steps of the claim", len(steps), 3)
	w.ok(w.db.EndRun(w.ctx, again, ledger.RunEnd{State: ledger.Completed, Status: 201, Response: []byte("done"), Steps: []ledger.RunStep{w.learnt("wave#1")}}))
	r = w.runIs(c.ID, ledger.Completed)
	w.same("end", []any{r.Status, string(r.Response), len(r.Steps), r.Settled.IsZero(), r.Owner}, []any{201, "done", 4, false, ""})
	w.fails(w.db.EndRun(w.ctx, again, ledger.RunEnd{State: ledger.Failed}), ledger.ErrFenced)
	w.fails(w.db.EndRun(w.ctx, again, ledger.RunEnd{State: ledger.Running}), ledger.ErrInvalid)
	w.takesRun(0)
	_, err = w.db.GetRun(w.ctx, "nonsense")
	w.fails(err, ledger.ErrNotFound)
	_, err = w.db.BeginRun(w.ctx, &ledger.Run{Operation: "x"}, time.Minute)
	w.fails(err, ledger.ErrInvalid)
}

// A key stands for one run as long as that is not over, and for its time.
func runKeyed(w *world) {
	c := w.begin("k")
	for range 2 {
		r, err := w.db.BeginRun(w.ctx, aRun("k"), time.Minute)
		w.ok(err)
		w.same("the first", []any{r.ID, r.Claim == nil, r.Existing.State}, []any{c.ID, true, ledger.Running})
		w.advance(2 * time.Hour)
	}
	other := aRun("k")
	other.Fingerprint = []byte("another")
	_, err := w.db.BeginRun(w.ctx, other, time.Minute)
	w.fails(err, ledger.ErrKeyReused)
	elsewhere := aRun("k")
	elsewhere.App = "edi"
	r, err := w.db.BeginRun(w.ctx, elsewhere, time.Minute)
	w.ok(err)
	if r.Claim == nil {
		w.Fatal("a key belongs to its app")
	}
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Completed}))
	if next := w.begin("k"); next.ID == c.ID {
		w.Fatal("its time is over")
	}
	w.begin("")
	w.begin("")
}

// A key that is taken by many at once is taken once.
func runKeyRace(w *world) {
	dbs := []*ledger.DB{w.db, w.db, w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"), w.open("three"))
	}
	var mu sync.Mutex
	ids, begun := map[string]bool{}, 0
	var all sync.WaitGroup
	for _, db := range dbs {
		for range 8 {
			all.Go(func() {
				r, err := db.BeginRun(w.ctx, aRun("k"), time.Minute)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					w.Error(err)
					return
				}
				ids[r.ID] = true
				if r.Claim != nil {
					begun++
				}
			})
		}
	}
	all.Wait()
	w.same("runs", []any{len(ids), begun}, []any{1, 1})
}

// A visit has one write, however often it is appended, and only by who holds the run.
func runWrites(w *world) {
	c := w.begin("")
	first := w.step(c, "reserve#1", w.learnt("credit#1"))
	again := w.step(c, "reserve#1", w.learnt("credit#1"), w.learnt("late#1"))
	w.same("the same write", []any{again.ID, again.Existing.State}, []any{first.ID, ledger.Held})
	if second := w.step(c, "reserve#2"); second.ID == first.ID {
		w.Fatal("another visit has another write")
	}
	w.same("steps", len(w.runIs(c.ID, ledger.Running).Steps), 4)
	of, err := w.db.RunOf(w.ctx, first.ID)
	w.ok(err)
	w.same("run of the write", of, c.ID)
	of, err = w.db.RunOf(w.ctx, w.add("o=2"))
	w.ok(err)
	w.same("run of no step", of, "")
	w.reopen()
	w.takesRun(1)
	_, err = w.db.Append(w.ctx, stepOf(c, "order#1", w.learnt("stock#1")))
	w.fails(err, ledger.ErrFenced)
	w.fails(w.db.NoteRun(w.ctx, c, []ledger.RunStep{w.learnt("stock#1")}), ledger.ErrFenced)
	w.fails(w.db.ParkRun(w.ctx, c, time.Time{}, nil), ledger.ErrFenced)
	w.same("steps", len(w.runIs(c.ID, ledger.Running).Steps), 4)
}

// A run that waits is woken by the settlement of its write, or by time, and not before.
func runWoken(w *world) {
	c := w.begin("")
	w.step(c, "reserve#1")
	w.ok(w.db.ParkRun(w.ctx, c, w.in(time.Hour), []ledger.RunStep{w.learnt("stock#1")}))
	w.takesRun(0)
	told := make(chan struct{}, 100)
	stop := w.db.WatchRuns(func() { told <- struct{}{} })
	defer stop()
	w.settle(w.claim(1)[0], ledger.Settlement{State: ledger.Held, NotBefore: w.in(time.Minute)})
	w.takesRun(0)
	w.advance(2 * time.Minute)
	w.deliver(w.claim(1)...)
	<-told
	c = w.takesRun(1)[0]
	// What is settled while it is held is not missed when it is let go.
	w.step(c, "order#1")
	w.deliver(w.claim(1)...)
	w.ok(w.db.ParkRun(w.ctx, c, time.Time{}, nil))
	c = w.takesRun(1)[0]
	w.ok(w.db.ParkRun(w.ctx, c, w.in(time.Hour), nil))
	w.takesRun(0)
	w.advance(61 * time.Minute)
	w.takesRun(1)
}

// A run whose process is lost is taken over at the end of its lease, or at once
// where it is known to be gone; a renewed one is not.
func runLost(w *world) {
	c := w.begin("")
	w.takesRun(0)
	w.advance(50 * time.Second)
	lost, err := w.db.RenewRuns(w.ctx, time.Minute, c)
	w.ok(err)
	w.same("lost", len(lost), 0)
	w.advance(50 * time.Second)
	w.takesRun(0)
	w.advance(20 * time.Second)
	again := w.takesRun(1)[0]
	w.same("epoch", again.Epoch, c.Epoch+1)
	lost, err = w.db.RenewRuns(w.ctx, time.Minute, c, again)
	w.ok(err)
	w.same("lost", lost, []*ledger.RunClaim{c})
	w.reopen()
	w.takesRun(1)
	w.takesRun(0)
}

// A run that is stuck at a write goes on when that is decided about.
func runStuck(w *world) {
	c := w.begin("")
	r := w.step(c, "reserve#1")
	w.settle(w.claim(1)[0], ledger.Settlement{State: ledger.Refused, Dead: true, Group: "revoked"})
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Stuck, Waits: r.ID, Cause: "write needs a decision", Reason: "why"}))
	u := w.runIs(c.ID, ledger.Stuck)
	w.same("stuck", []any{u.Waits, u.Cause, u.Reason, u.Settled.IsZero()}, []any{r.ID, "write needs a decision", "why", true})
	w.takesRun(0)
	w.fails(w.db.RetryRun(w.ctx, c.ID, me), ledger.ErrState)
	w.ok(w.db.RetryNow(w.ctx, r.ID, me))
	w.runIs(c.ID, ledger.Running)
	c = w.takesRun(1)[0]
	// What was decided meanwhile is no reason to be stuck.
	w.fails(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Stuck, Waits: r.ID}), ledger.ErrConflict)
	w.settle(w.claim(1)[0], ledger.Settlement{State: ledger.Doubtful, Dead: true, Group: "in doubt"})
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Stuck, Waits: r.ID}))
	w.ok(w.db.Discard(w.ctx, r.ID, me))
	c = w.takesRun(1)[0]
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Failed}))
}

// A run whose step is the write of another one, by its number, is not stuck for
// ever at it: a person lets it go on when that is decided.
func runStuckAtOther(w *world) {
	numbered := func(c *ledger.RunClaim) ledger.Receipt {
		n, wr := int64(7), stepOf(c, "reserve#1")
		wr.Sequence = &n
		r, err := w.db.Append(w.ctx, wr)
		w.ok(err)
		return r
	}
	first, second := w.begin(""), w.begin("")
	r := numbered(first)
	w.same("the same write", numbered(second).ID, r.ID)
	w.settle(w.claim(1)[0], ledger.Settlement{State: ledger.Refused, Dead: true, Group: "wrong"})
	for _, c := range []*ledger.RunClaim{first, second} {
		w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Stuck, Waits: r.ID}))
	}
	w.fails(w.db.RetryRun(w.ctx, second.ID, me), ledger.ErrState)
	w.fails(w.db.UndoRun(w.ctx, second.ID, me), ledger.ErrState)
	w.ok(w.db.Discard(w.ctx, r.ID, me))
	w.same("waits", w.takesRun(1)[0].ID, first.ID)
	w.ok(w.db.RetryRun(w.ctx, second.ID, me))
	w.same("goes on", w.takesRun(1)[0].ID, second.ID)
}

// A person lets a stuck run go on, has one undone, or says how it ended.
func runActedOn(w *world) {
	c := w.begin("")
	w.fails(w.db.RetryRun(w.ctx, c.ID, me), ledger.ErrState)
	w.fails(w.db.ResolveRun(w.ctx, c.ID, ledger.Completed, me), ledger.ErrState)
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Stuck, Cause: "compensation failed"}))
	w.ok(w.db.RetryRun(w.ctx, c.ID, me))
	c = w.takesRun(1)[0]
	w.same("again", []any{c.Again, c.Undo}, []any{1, false})
	w.ok(w.db.UndoRun(w.ctx, c.ID, me))
	w.fails(w.db.NoteRun(w.ctx, c, nil), ledger.ErrFenced)
	c = w.takesRun(1)[0]
	w.same("undo", []any{c.Again, c.Undo}, []any{1, true})
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Stuck, Cause: "compensation failed"}))
	w.fails(w.db.ResolveRun(w.ctx, c.ID, ledger.Stuck, me), ledger.ErrInvalid)
	w.ok(w.db.ResolveRun(w.ctx, c.ID, ledger.Compensated, me))
	u := w.runIs(c.ID, ledger.Compensated)
	w.same("reason", u.Reason, me.Reason)
	w.fails(w.db.UndoRun(w.ctx, c.ID, me), ledger.ErrState)
	w.fails(w.db.RetryRun(w.ctx, "nonsense", me), ledger.ErrNotFound)
	w.fails(w.db.RetryRun(w.ctx, w.add(), me), ledger.ErrNotFound)
	var state *ledger.RunStateError
	if err := w.db.RetryRun(w.ctx, c.ID, me); !errors.As(err, &state) || state.State != ledger.Compensated {
		w.Fatal(err)
	}
	audits, err := w.db.Audits(w.ctx, ledger.AuditFilter{})
	w.ok(err)
	w.same("audited", len(audits), 3)
}

// Lists are filtered and paged, and a correlation id finds all that belongs together.
func runListed(w *world) {
	var ids []string
	for i := range 5 {
		r := aRun("")
		if i == 4 {
			r.App, r.Correlation, r.Operation = "edi", "c-18", "returns/v1/take"
		}
		receipt, err := w.db.BeginRun(w.ctx, r, time.Minute)
		w.ok(err)
		ids = append(ids, receipt.ID)
		if i == 0 {
			w.step(receipt.Claim, "reserve#1")
			w.ok(w.db.EndRun(w.ctx, receipt.Claim, ledger.RunEnd{State: ledger.Failed}))
		}
		w.advance(time.Second)
	}
	list := func(f ledger.RunFilter) (got []string) {
		w.Helper()
		for {
			p, err := w.db.ListRuns(w.ctx, f)
			w.ok(err)
			for _, r := range p.Runs {
				got = append(got, r.ID)
			}
			if f.After = p.Next; p.Next == "" {
				return got
			}
		}
	}
	w.same("all", list(ledger.RunFilter{Limit: 2}), []string{ids[4], ids[3], ids[2], ids[1], ids[0]})
	w.same("app", list(ledger.RunFilter{App: "edi"}), ids[4:])
	w.same("operation", list(ledger.RunFilter{Operation: "returns/v1/take"}), ids[4:])
	w.same("correlation", list(ledger.RunFilter{Correlation: "c-18"}), ids[4:])
	w.same("state", list(ledger.RunFilter{States: []ledger.RunState{ledger.Failed, ledger.Stuck}}), ids[:1])
	second, err := w.db.GetRun(w.ctx, ids[1])
	w.ok(err)
	w.same("time", list(ledger.RunFilter{Until: second.Accepted}), ids[:1])
	for _, f := range []ledger.RunFilter{{After: "!"}, {Limit: 1001}, {States: []ledger.RunState{"odd"}}} {
		_, err := w.db.ListRuns(w.ctx, f)
		w.fails(err, ledger.ErrInvalid)
	}
	loose := write("o=1")
	loose.Correlation = "c-17"
	w.append(loose)
	trace, err := w.db.TraceOf(w.ctx, "c-17")
	w.ok(err)
	w.same("trace", []any{len(trace.Runs), len(trace.Writes), len(trace.Runs[0].Steps)}, []any{4, 1, 1})
	trace, err = w.db.TraceOf(w.ctx, "")
	w.ok(err)
	w.same("no trace", len(trace.Runs)+len(trace.Writes), 0)
	counts, oldest, err := w.db.RunCounts(w.ctx)
	w.ok(err)
	w.same("counts", []any{counts[ledger.Running], oldest[ledger.Running].IsZero(), counts[ledger.Failed]}, []any{int64(4), false, int64(0)})
}

// Runs that are over are forgotten in time; writes of others are kept.
func runRetained(w *world) {
	c := w.begin("")
	r := w.step(c, "reserve#1")
	w.deliver(w.claim(1)...)
	w.advance(48 * time.Hour)
	forget := func() {
		w.Helper()
		for n := 1; n > 0; {
			var err error
			n, err = w.db.Retain(w.ctx, ledger.Retention{Settled: 24 * time.Hour})
			w.ok(err)
		}
	}
	forget()
	w.is(r.ID, ledger.Delivered)
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Completed}))
	forget()
	w.runIs(c.ID, ledger.Completed)
	_, err := w.db.Get(w.ctx, r.ID)
	w.fails(err, ledger.ErrNotFound)
	w.advance(48 * time.Hour)
	forget()
	_, err = w.db.GetRun(w.ctx, c.ID)
	w.fails(err, ledger.ErrNotFound)
}

// Many runs that write at the same time, over replicas, each come to their ends
// with each write once.
func runsTogether(w *world) {
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"))
	}
	const runs, steps = 12, 3
	var all sync.WaitGroup
	for i, db := range dbs {
		for n := range runs {
			all.Go(func() {
				r, err := db.BeginRun(w.ctx, aRun(fmt.Sprint(i, n)), time.Hour)
				if err != nil {
					w.Error(err)
					return
				}
				for s := range steps {
					for range 2 {
						wr := stepOf(r.Claim, fmt.Sprintf("s%d#1", s))
						wr.Lanes = []string{fmt.Sprint("o=", n%3)}
						if _, err := db.Append(w.ctx, wr); err != nil {
							w.Error(err)
						}
					}
				}
			})
		}
		all.Go(func() {
			for settled := 0; settled < runs*steps; {
				list, err := db.Claim(w.ctx, "erp", ledger.Room{Max: 8})
				if err != nil {
					w.Error(err)
					return
				}
				for _, c := range list {
					if err := db.Settle(w.ctx, c, ledger.Settlement{State: ledger.Delivered, Attempt: true}); err != nil {
						w.Error(err)
					}
				}
				settled += len(list)
				if len(list) == 0 {
					time.Sleep(time.Millisecond)
				}
				if stats, err := db.ListRuns(w.ctx, ledger.RunFilter{}); err != nil || len(stats.Runs) == 0 && settled > 0 {
					w.Error(err)
					return
				}
				p, err := db.List(w.ctx, ledger.Filter{States: []ledger.State{ledger.Delivered}, Limit: 1000})
				if err != nil {
					w.Error(err)
					return
				}
				if len(p.Writes) == len(dbs)*runs*steps {
					return
				}
			}
		})
	}
	all.Wait()
	p, err := w.db.List(w.ctx, ledger.Filter{Limit: 1000})
	w.ok(err)
	w.same("writes", len(p.Writes), len(dbs)*runs*steps)
}

// An edited write is the step of a run in the place of the old one.
func runEdited(w *world) {
	c := w.begin("")
	r := w.step(c, "reserve#1")
	edited, err := w.db.Replace(w.ctx, r.ID, write("o=1"), me)
	w.ok(err)
	w.same("step", w.runIs(c.ID, ledger.Running).Steps[0].Write, edited.ID)
	of, err := w.db.RunOf(w.ctx, edited.ID)
	w.ok(err)
	w.same("run", of, c.ID)
	again := w.step(c, "reserve#1")
	w.same("the same write", again.ID, edited.ID)
	w.ok(w.db.ParkRun(w.ctx, c, time.Time{}, nil))
	w.takesRun(1) // the old one is over
	// One that it is stuck at lets it go on.
	c = w.begin("")
	r = w.step(c, "reserve#1")
	w.deliver(w.claim(1)...) // the edited one is before it in its lane
	w.settle(w.claim(1)[0], ledger.Settlement{State: ledger.Refused, Dead: true, Group: "wrong"})
	w.ok(w.db.EndRun(w.ctx, c, ledger.RunEnd{State: ledger.Stuck, Waits: r.ID}))
	edited, err = w.db.Replace(w.ctx, r.ID, write("o=2"), me)
	w.ok(err)
	u := w.runIs(c.ID, ledger.Running)
	w.same("step", u.Steps[0].Write, edited.ID)
}
