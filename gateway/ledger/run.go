package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
)

// RunState is where a run stands.
type RunState string

// The states of runs. The schema repeats them.
const (
	Running     RunState = "running"     // goes on, or waits
	Completed   RunState = "completed"   // all of it is done
	Failed      RunState = "failed"      // it ended early, and left nothing that would have to be undone
	Compensated RunState = "compensated" // it ended early, and what it had done was undone
	Stuck       RunState = "stuck"       // needs a person
)

// RunStates lists all states of runs.
var RunStates = [...]RunState{Running, Completed, Failed, Compensated, Stuck}

// Known tells whether the state is one of RunStates.
func (s RunState) Known() bool { return slices.Contains(RunStates[:], s) }

// Final tells whether a run in this state stays in it.
func (s RunState) Final() bool { return s != Running && s != Stuck }

// Run is an execution of a flow that shall be carried through.
type Run struct {
	// App, Operation and Workflow are names; Flow is the hash of the document
	// that the run goes by, and Document that document, kept once.
	App, Operation, Workflow, Flow string
	Document                       []byte
	Class                          specs.Class
	Correlation                    string
	// Key, Fingerprint and KeepKey are as those of a Write.
	Key         string
	Fingerprint []byte
	KeepKey     time.Duration
	// Request is what the run was asked for; it is kept and given back as it is.
	Request []byte
}

// RunClaim is a run that this process carries on, as long as Epoch is the
// run's: whoever claims it later takes it away.
type RunClaim struct {
	ID                             string
	Seq, Epoch                     int64
	App, Operation, Workflow, Flow string
	Class                          specs.Class
	Correlation                    string
	Request                        []byte
	Accepted                       time.Time
	// Undo tells that a person wants it undone, Again how often a person has let
	// it go on after it was stuck.
	Undo  bool
	Again int
}

// RunStep is a visit of a run to a step.
type RunStep struct {
	// Visit names it within the run.
	Visit string
	// Write is the ID of its write; empty for a step that only reads.
	Write string
	Began time.Time
	// Ended is zero while it is not known what it came to.
	Ended time.Time
	// Result is what it came to; it is kept and given back as it is.
	Result []byte
}

// RunWrite makes a Write the step of a run.
type RunWrite struct {
	Claim *RunClaim
	// Visit names the step; a run has one write of a visit, however often it is
	// appended.
	Visit string
	// Steps are kept in the same commit: all that the run has learnt before it
	// decided to write.
	Steps []RunStep
}

// RunRecord is a run as it is kept.
type RunRecord struct {
	ID                             string
	Seq                            int64
	App, Operation, Workflow, Flow string
	Class                          specs.Class
	Correlation, Key               string
	Fingerprint                    []byte
	State                          RunState
	Undo                           bool
	Again                          int
	// Waits is the ID of the dead write that it is stuck at; empty for none.
	Waits string
	// Owner is the replica that carries it on, until Lease; empty while it waits.
	Owner     string
	Lease     time.Time
	NotBefore time.Time
	Version   int64
	Accepted  time.Time
	Settled   time.Time
	Status    int
	// Cause is the same text for the same cause of a run that did not
	// complete, Reason tells more.
	Cause, Reason     string
	Request, Response []byte
	// Steps are in the order in which they began; List leaves them out, as
	// Request and Response.
	Steps []RunStep
}

// running is a change of runs on its way.
type running struct {
	seqs []int64 // the runs that it is about; they are locked
	// do makes the change. What it refuses goes to the caller; an error ends the
	// whole transaction.
	do func(w *work) (refused, err error)
	// takeBack undoes what it may have left when its commit failed; nil for nothing.
	takeBack func(w *work) error
}

// runRow is a run's row, locked.
type runRow struct {
	seq, epoch int64
	owner      string
	state      RunState
}

// lockRuns locks the runs that a batch is about, in order.
func (w *work) lockRuns(seqs []int64) error {
	w.runs = map[int64]*runRow{}
	if len(seqs) == 0 {
		return nil
	}
	slices.Sort(seqs)
	return w.query(func(r row) error {
		u := &runRow{}
		err := r.Scan(&u.seq, &u.epoch, &u.owner, &u.state)
		w.runs[u.seq] = u
		return err
	}, "SELECT seq, epoch, owner, state FROM runs WHERE seq {in ?1} ORDER BY seq {lock}", slices.Compact(seqs))
}

// holds tells whether a claim of a run is still good.
func (w *work) holds(c *RunClaim) bool {
	u := w.runs[c.Seq]
	return u != nil && u.epoch == c.Epoch && u.owner == w.db.owner && u.state == Running
}

// aboutRuns lists the runs that a batch is about.
func aboutRuns(batch []*op) (seqs []int64) {
	for _, o := range batch {
		switch {
		case o.run != nil:
			seqs = append(seqs, o.run.seqs...)
		case o.write != nil && o.write.w.Run != nil:
			seqs = append(seqs, o.write.w.Run.Claim.Seq)
		case o.settle != nil && o.settle.claim.Run != 0:
			seqs = append(seqs, o.settle.claim.Run)
		}
	}
	return seqs
}

// carry makes the changes of runs of a batch.
func (w *work) carry(ops []*op) error {
	for _, o := range ops {
		refused, err := o.run.do(w)
		if err != nil {
			return err
		}
		o.err = refused
	}
	return nil
}

// alter makes a change of runs, in a commit that others share.
func (db *DB) alter(ctx context.Context, r *running) error { return db.submit(ctx, &op{run: r}) }

// held is a change by who holds a claim; ErrFenced when it does not any more.
func (db *DB) held(ctx context.Context, c *RunClaim, do func(w *work) error) error {
	return db.alter(ctx, &running{seqs: []int64{c.Seq}, do: func(w *work) (refused, err error) {
		if !w.holds(c) {
			return ErrFenced, nil
		}
		return nil, do(w)
	}})
}

// RunReceipt says what became of a run that was to begin.
type RunReceipt struct {
	ID string
	// Claim is the new run's, held by this process.
	Claim *RunClaim
	// Existing is set when the run was known before, by its Key.
	Existing *RunRecord
}

// BeginRun keeps a run and claims it for this process. When it returns without
// an error the run is durable. ErrKeyReused, ErrInvalid, ErrFailing.
func (db *DB) BeginRun(ctx context.Context, r *Run, lease time.Duration) (RunReceipt, error) {
	for _, s := range []string{r.App, r.Operation, r.Workflow, r.Flow, r.Key, r.Correlation} {
		if strings.ContainsRune(s, 0) || !valid(s) {
			return RunReceipt{}, fmt.Errorf("%w: a name or key is not text", ErrInvalid)
		}
	}
	if r.Class > specs.Critical || r.Operation == "" || r.Flow == "" {
		return RunReceipt{}, fmt.Errorf("%w: a run needs an operation, a flow and a class", ErrInvalid)
	}
	var receipt RunReceipt
	err := db.alter(ctx, &running{
		do: func(w *work) (refused, err error) {
			receipt, refused, err = w.beginRun(r, lease)
			return refused, err
		},
		takeBack: func(w *work) error { // its caller was told that there is no run
			if receipt.Claim == nil {
				return nil
			}
			return w.do("DELETE FROM runs WHERE seq = ?1 AND owner = ?2", receipt.Claim.Seq, w.db.owner)
		},
	})
	if err != nil {
		return RunReceipt{}, err
	}
	return receipt, nil
}

func (w *work) beginRun(r *Run, lease time.Duration) (receipt RunReceipt, refused, err error) {
	if r.Key != "" {
		receipt, refused, err = w.knownRun(r)
		if err != nil || refused != nil || receipt.Existing != nil {
			return receipt, refused, err
		}
	}
	var seq [1]int64
	if err := w.db.engine.numbers(w.tx, seq[:]); err != nil {
		return receipt, nil, err
	}
	if err := w.answers(); err != nil {
		return receipt, nil, err
	}
	c := &RunClaim{Seq: seq[0], Epoch: 1, App: r.App, Operation: r.Operation, Workflow: r.Workflow, Flow: r.Flow, Class: r.Class,
		Correlation: r.Correlation, Request: r.Request, Accepted: moment(w.now)}
	half := token()
	c.ID = w.db.ids.name(c.Seq, half)
	until := int64(0)
	if r.Key != "" {
		until = w.now + r.KeepKey.Microseconds()
	}
	if r.Document != nil {
		if err := w.do("INSERT INTO flows (flow, document) VALUES (?1, ?2) ON CONFLICT DO NOTHING", r.Flow, r.Document); err != nil {
			return receipt, nil, err
		}
	}
	request := r.Request
	if request == nil {
		request = []byte{}
	}
	err = w.do(`INSERT INTO runs (seq, token, app, operation, workflow, flow, class, correlation, key, key_until, fingerprint, owner, lease, epoch, accepted, request)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 1, ?14, ?15)`,
		c.Seq, half, r.App, r.Operation, r.Workflow, r.Flow, rank(r.Class), r.Correlation, r.Key, until, r.Fingerprint, w.db.owner, w.now+lease.Microseconds(), w.now, request)
	return RunReceipt{ID: c.ID, Claim: c}, nil, err
}

// knownRun finds the run that an idempotency key stands for.
func (w *work) knownRun(r *Run) (receipt RunReceipt, refused, err error) {
	var seq, until, settled int64
	var print []byte
	found, err := one(w.tx, []any{&seq, &until, &settled, &print}, "SELECT seq, key_until, settled, fingerprint FROM runs WHERE app = ?1 AND operation = ?2 AND key = ?3 AND key <> ''",
		r.App, r.Operation, r.Key)
	switch {
	case err != nil || !found:
		return receipt, nil, err
	case until < w.now && settled > 0:
		return receipt, nil, w.do("UPDATE runs SET key = '' WHERE seq = ?1", seq)
	case !bytes.Equal(print, r.Fingerprint):
		return receipt, ErrKeyReused, nil
	}
	list, err := w.db.runRecords(w.tx, []int64{seq}, true)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: run %d", ErrNotFound, seq)
	}
	if err != nil {
		return receipt, nil, err
	}
	return RunReceipt{ID: list[0].ID, Existing: list[0]}, nil, nil
}

// keepSteps notes what a run has learnt. What is known of a visit already is
// not changed.
func (w *work) keepSteps(run int64, steps []RunStep) error {
	var rows [][]any
	for _, s := range steps {
		result := s.Result
		if result == nil {
			result = []byte{}
		}
		seq := int64(0)
		if s.Write != "" {
			var ok bool
			if seq, _, ok = w.db.ids.parse(s.Write); !ok {
				return fmt.Errorf("%w: %q names no write", ErrInvalid, s.Write)
			}
		}
		rows = append(rows, []any{run, s.Visit, seq, micro(s.Began), micro(s.Ended), result})
	}
	return w.insert(&runStepsTable, rows, "ON CONFLICT (run, visit) DO UPDATE SET ended = excluded.ended, result = excluded.result WHERE run_steps.ended = 0")
}

var runStepsTable = table{"run_steps", []column{{"run", integer}, {"visit", text}, {"write", integer}, {"began", integer}, {"ended", integer}, {"result", blob}}}

// stepsOf finds the writes that the steps of runs have already, and keeps what
// the runs have learnt. Those whose run is not this process's any more are refused.
func (w *work) stepsOf(ops []*op) (now []*op, err error) {
	for _, o := range ops {
		a := o.write
		if a.w.Run == nil {
			now = append(now, o)
			continue
		}
		r := a.w.Run
		if !w.holds(r.Claim) {
			o.err = ErrFenced
			continue
		}
		if err := w.keepSteps(r.Claim.Seq, r.Steps); err != nil {
			return nil, err
		}
		var seq int64
		found, err := one(w.tx, []any{&seq}, "SELECT write FROM run_steps WHERE run = ?1 AND visit = ?2", r.Claim.Seq, r.Visit)
		if err != nil {
			return nil, err
		}
		if !found {
			now = append(now, o)
			continue
		}
		if a.receipt, err = w.db.receipt(w.tx, seq); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// noteSteps notes the writes that have become steps of runs.
func (w *work) noteSteps(ops []*op) error {
	var rows [][]any
	for _, o := range ops {
		if r := o.write.w.Run; r != nil && o.err == nil {
			rows = append(rows, []any{r.Claim.Seq, r.Visit, o.write.receipt.Seq, w.now, int64(0), []byte{}})
		}
	}
	return w.insert(&runStepsTable, rows, "")
}

// runSeq is the number of the run that a new write is a step of; 0 for none.
func (a *appending) runSeq() int64 {
	if a.w.Run == nil {
		return a.run
	}
	return a.w.Run.Claim.Seq
}

// restep makes an edited write the step of a run in the place of the old one.
func (w *work) restep(h *hot, a *appending) error {
	if h.run == 0 {
		return nil
	}
	return w.do("UPDATE run_steps SET write = ?3 WHERE run = ?1 AND write = ?2", h.run, h.seq, a.seq)
}

// wakeRuns tells runs, in the transaction that decides about their writes: one
// that waits has something to do, and one that is stuck at a write goes on when
// that is not dead any more.
func (w *work) wakeRuns(list []*change) error {
	woken := false
	for _, c := range list {
		h := c.row
		if h.run == 0 {
			continue
		}
		if c.dead || c.to.Final() {
			woken = true
			// Where it is just ending as stuck at the write, this waits for that, and
			// what follows sees it.
			if err := w.do("UPDATE runs SET ready = 1 WHERE seq = ?1 AND state = 'running'", h.run); err != nil {
				return err
			}
		}
		if !c.dead {
			err := w.do("UPDATE runs SET state = 'running', waits = 0, cause = '', reason = '', ready = 1, version = version + 1 WHERE seq = ?1 AND state = 'stuck' AND waits = ?2", h.run, h.seq)
			if err != nil {
				return err
			}
		}
	}
	if woken {
		w.stir(runsName)
	}
	return nil
}

// runsName stands among the names of systems for the runs.
const runsName = "/runs"

// WatchRuns calls f when a run may have something to do, as Watch does for systems.
func (db *DB) WatchRuns(f func()) (stop func()) {
	return db.watch.add(func(name string) {
		if name == runsName {
			f()
		}
	})
}

// NoteRun keeps what a run has learnt. ErrFenced when it is another's.
func (db *DB) NoteRun(ctx context.Context, c *RunClaim, steps []RunStep) error {
	return db.held(ctx, c, func(w *work) error { return w.keepSteps(c.Seq, steps) })
}

// ParkRun lets go of a run that waits, with what it has learnt: it is claimed
// again when one of its writes is over, or at a time; zero for none. What was
// over before is not missed. ErrFenced when it is another's.
func (db *DB) ParkRun(ctx context.Context, c *RunClaim, until time.Time, steps []RunStep) error {
	return db.held(ctx, c, func(w *work) error {
		if err := w.keepSteps(c.Seq, steps); err != nil {
			return err
		}
		w.stir(runsName)
		return w.do("UPDATE runs SET owner = '', lease = 0, not_before = ?2 WHERE seq = ?1", c.Seq, micro(until))
	})
}

// RunEnd is what became of a run.
type RunEnd struct {
	State RunState
	// Waits is the ID of the dead write that it is stuck at; empty for none.
	Waits  string
	Status int
	// Response is kept as it is.
	Response      []byte
	Cause, Reason string
	Steps         []RunStep
}

// EndRun ends a run, or leaves it to a person. ErrFenced when it is another's;
// ErrConflict when it is not stuck at that write any more.
func (db *DB) EndRun(ctx context.Context, c *RunClaim, e RunEnd) error {
	if e.State == Running || !e.State.Known() || e.Waits != "" && e.State != Stuck {
		return fmt.Errorf("%w: a run does not end as %q", ErrInvalid, e.State)
	}
	waits := int64(0)
	if e.Waits != "" {
		var ok bool
		if waits, _, ok = db.ids.parse(e.Waits); !ok {
			return fmt.Errorf("%w: %q names no write", ErrInvalid, e.Waits)
		}
	}
	return db.alter(ctx, &running{seqs: []int64{c.Seq}, do: func(w *work) (refused, err error) {
		if !w.holds(c) {
			return ErrFenced, nil
		}
		if waits > 0 {
			var dead int64
			if found, err := one(w.tx, []any{&dead}, "SELECT dead FROM writes WHERE seq = ?1", waits); err != nil || found && dead == 0 {
				return ErrConflict, err
			}
		}
		if err := w.keepSteps(c.Seq, e.Steps); err != nil {
			return nil, err
		}
		settled := int64(0)
		if e.State.Final() {
			settled = w.now
		}
		w.stir(runsName)
		return nil, w.do(`UPDATE runs SET state = ?2, waits = ?3, status = ?4, response = ?5, cause = ?6, reason = ?7, settled = ?8,
	owner = '', lease = 0, ready = 0, not_before = 0, version = version + 1 WHERE seq = ?1`,
			c.Seq, string(e.State), waits, int64(e.Status), e.Response, e.Cause, e.Reason, settled)
	}})
}

// ClaimRuns takes at most n runs that have something to do and that nobody
// carries on: those with news, those whose time has come, and those whose
// process is gone or whose lease has run out.
func (db *DB) ClaimRuns(ctx context.Context, n int, lease time.Duration) ([]*RunClaim, error) {
	var list []*RunClaim
	err := db.alter(ctx, &running{do: func(w *work) (refused, err error) {
		list = nil
		seqs, err := w.idleRuns(n)
		if err != nil || len(seqs) == 0 {
			return nil, err
		}
		err = w.do("UPDATE runs SET owner = ?2, lease = ?3, epoch = epoch + 1, ready = 0, not_before = 0 WHERE seq {in ?1} AND state = 'running'",
			seqs, w.db.owner, w.now+lease.Microseconds())
		if err != nil {
			return nil, err
		}
		return nil, w.query(func(r row) error {
			c := &RunClaim{}
			var half, classed, accepted, undo, again int64
			err := r.Scan(&c.Seq, &half, &c.Epoch, &c.App, &c.Operation, &c.Workflow, &c.Flow, &classed, &c.Correlation, &accepted, &undo, &again, &c.Request)
			c.ID, c.Class, c.Accepted, c.Undo, c.Again = w.db.ids.name(c.Seq, half), class(classed), moment(accepted), undo == 1, int(again)
			list = append(list, c)
			return err
		}, "SELECT seq, token, epoch, app, operation, workflow, flow, class, correlation, accepted, undo, again, request FROM runs WHERE seq {in ?1} AND state = 'running' ORDER BY seq", seqs)
	}})
	return list, err
}

// idleRuns finds runs that nobody carries on and that have something to do.
func (w *work) idleRuns(n int) ([]int64, error) {
	seqs, err := w.seqs("SELECT seq FROM runs WHERE ready = 1 AND owner = '' AND state = 'running' ORDER BY seq LIMIT ?1 {skip}", int64(n))
	if err != nil || len(seqs) == n {
		return seqs, err
	}
	due, err := w.seqs("SELECT seq FROM runs WHERE not_before > 0 AND not_before <= ?1 AND owner = '' AND state = 'running' ORDER BY not_before LIMIT ?2 {skip}", w.now, int64(n))
	if err != nil {
		return nil, err
	}
	var lost []int64
	err = w.query(func(r row) error {
		var seq, lease int64
		var owner string
		err := r.Scan(&seq, &owner, &lease)
		if w.gone(owner) || lease < w.now {
			lost = append(lost, seq)
		}
		return err
	}, "SELECT seq, owner, lease FROM runs WHERE owner <> '' AND owner > '' AND (lease < ?1 OR owner <> ?2) LIMIT 10000 {skip}", w.now, w.db.owner)
	if err != nil {
		return nil, err
	}
	seqs = append(append(seqs, due...), lost...)
	seqs = seqs[:min(n, len(seqs))]
	slices.Sort(seqs)
	return slices.Compact(seqs), nil
}

// RenewRuns makes claims valid for lease from now, and returns those that are
// not this process's any more.
func (db *DB) RenewRuns(ctx context.Context, lease time.Duration, claims ...*RunClaim) (lost []*RunClaim, err error) {
	if len(claims) == 0 {
		return nil, nil
	}
	var seqs []int64
	for _, c := range claims {
		seqs = append(seqs, c.Seq)
	}
	err = db.alter(ctx, &running{seqs: seqs, do: func(w *work) (refused, err error) {
		lost = nil
		var kept []int64
		for _, c := range claims {
			if w.holds(c) {
				kept = append(kept, c.Seq)
			} else {
				lost = append(lost, c)
			}
		}
		if len(kept) == 0 {
			return nil, nil
		}
		return nil, w.do("UPDATE runs SET lease = ?2 WHERE seq {in ?1}", kept, w.now+lease.Microseconds())
	}})
	return lost, err
}

// Flow gives a document that runs go by. ErrNotFound.
func (db *DB) Flow(ctx context.Context, flow string) (document []byte, err error) {
	err = db.read(ctx, func(t tx) error {
		found, err := one(t, []any{&document}, "SELECT document FROM flows WHERE flow = ?1", flow)
		if err == nil && !found {
			err = ErrNotFound
		}
		return err
	})
	return document, err
}

// RetryRun lets a stuck run go on. One that is stuck at a dead write goes on by
// what is decided about the write, as long as that is to be decided: *RunStateError.
func (db *DB) RetryRun(ctx context.Context, id string, by By) error {
	return db.actOnRun(ctx, id, "retry run", by, func(w *work, u *runRow, waits int64) (refused, err error) {
		if u.state != Stuck || waits > 0 {
			return &RunStateError{State: u.state, Waits: waits > 0}, nil
		}
		w.stir(runsName)
		return nil, w.do("UPDATE runs SET state = 'running', waits = 0, again = again + 1, ready = 1, cause = '', reason = '', version = version + 1 WHERE seq = ?1", u.seq)
	})
}

// UndoRun has a running or stuck run undo what it has done, as if its next step
// failed. What it waits for is waited for first.
func (db *DB) UndoRun(ctx context.Context, id string, by By) error {
	return db.actOnRun(ctx, id, "undo run", by, func(w *work, u *runRow, waits int64) (refused, err error) {
		if u.state != Running && (u.state != Stuck || waits > 0) {
			return &RunStateError{State: u.state, Waits: waits > 0}, nil
		}
		w.stir(runsName)
		// Whoever carries it on loses it, and it is claimed anew.
		return nil, w.do(`UPDATE runs SET state = 'running', waits = 0, undo = 1, again = again + CASE WHEN state = 'stuck' THEN 1 ELSE 0 END, ready = 1, owner = '', lease = 0, epoch = epoch + 1,
	cause = '', reason = '', version = version + 1 WHERE seq = ?1`, u.seq)
	})
}

// ResolveRun ends a stuck run by a person's word.
func (db *DB) ResolveRun(ctx context.Context, id string, state RunState, by By) error {
	if !state.Known() || !state.Final() {
		return fmt.Errorf("%w: a run is resolved as completed, failed or compensated", ErrInvalid)
	}
	return db.actOnRun(ctx, id, "resolve run", by, func(w *work, u *runRow, _ int64) (refused, err error) {
		if u.state != Stuck {
			return &RunStateError{State: u.state}, nil
		}
		w.stir(runsName)
		return nil, w.do("UPDATE runs SET state = ?2, waits = 0, reason = ?3, settled = ?4, version = version + 1 WHERE seq = ?1", u.seq, string(state), by.Reason, w.now)
	})
}

// actOnRun does something to one run on a person's behalf.
func (db *DB) actOnRun(ctx context.Context, id, action string, by By, f func(w *work, u *runRow, waits int64) (refused, err error)) error {
	seq, half, ok := db.ids.parse(id)
	if !ok {
		return ErrNotFound
	}
	return db.alone(ctx, func(w *work) error {
		if err := w.lockRuns([]int64{seq}); err != nil {
			return err
		}
		var kept, waits int64
		found, err := one(w.tx, []any{&kept, &waits}, "SELECT token, waits FROM runs WHERE seq = ?1", seq)
		switch {
		case err != nil:
			return err
		case !found || kept != half:
			return ErrNotFound
		}
		if waits > 0 { // a write of another run's, say, tells only that one that it is decided
			dead := int64(0)
			if _, err := one(w.tx, []any{&dead}, "SELECT dead FROM writes WHERE seq = ?1", waits); err != nil {
				return err
			}
			waits *= dead
		}
		refused, err := f(w, w.runs[seq], waits)
		if err = errors.Join(refused, err); err != nil {
			return err
		}
		return w.audit(action, id, by)
	})
}

// RunStateError says in which state a run is that something cannot be done to.
type RunStateError struct {
	State RunState
	// Waits tells that it is stuck at a dead write, which has to be decided first.
	Waits bool
}

func (e *RunStateError) Error() string {
	if e.Waits {
		return "ledger: the run is stuck at a write that needs a decision"
	}
	return "ledger: the run is " + string(e.State)
}

// Is makes it ErrState.
func (e *RunStateError) Is(target error) bool { return target == ErrState }

// forgetRuns deletes runs that have been over for long, with their steps.
func (w *work) forgetRuns(before int64, n int) (int, error) {
	seqs, err := w.seqs("SELECT seq FROM runs WHERE settled > 0 AND settled < ?1 AND key_until < ?2 ORDER BY settled LIMIT ?3 {skip}", before, w.now, int64(n))
	if err != nil || len(seqs) == 0 {
		return 0, err
	}
	if err := w.do("DELETE FROM run_steps WHERE run {in ?1}", seqs); err != nil {
		return 0, err
	}
	return len(seqs), w.do("DELETE FROM runs WHERE seq {in ?1}", seqs)
}
