package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GetRun returns a run with its request, response and steps. ErrNotFound.
func (db *DB) GetRun(ctx context.Context, id string) (*RunRecord, error) {
	seq, _, ok := db.ids.parse(id)
	if !ok {
		return nil, ErrNotFound
	}
	var found *RunRecord
	err := db.read(ctx, func(t tx) error {
		list, err := db.runRecords(t, []int64{seq}, true)
		if err != nil {
			return err
		}
		if len(list) == 0 || list[0].ID != id {
			return ErrNotFound
		}
		found = list[0]
		return nil
	})
	return found, err
}

// RunOf is the ID of the run that a write is a step of; empty for none.
func (db *DB) RunOf(ctx context.Context, write string) (run string, err error) {
	seq, _, ok := db.ids.parse(write)
	if !ok {
		return "", nil
	}
	err = db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var of, half int64
			err := r.Scan(&of, &half)
			run = db.ids.name(of, half)
			return err
		}, "SELECT u.seq, u.token FROM writes w JOIN runs u ON u.seq = w.run WHERE w.seq = ?1", seq)
	})
	return run, err
}

// StepsOf gives the steps of a run, in the order in which they began.
func (db *DB) StepsOf(ctx context.Context, c *RunClaim) (steps []RunStep, err error) {
	err = db.read(ctx, func(t tx) error {
		steps = nil
		return db.steps(t, []int64{c.Seq}, func(_ int64, s RunStep) { steps = append(steps, s) })
	})
	return steps, err
}

func (db *DB) steps(t tx, runs []int64, got func(run int64, s RunStep)) error {
	return t.query(func(r row) error {
		var s RunStep
		var run, write, half, began, ended int64
		err := r.Scan(&run, &s.Visit, &write, &half, &began, &ended, &s.Result)
		if write != 0 {
			s.Write = db.ids.name(write, half)
		}
		s.Began, s.Ended = moment(began), moment(ended)
		got(run, s)
		return err
	}, `SELECT s.run, s.visit, s.write, COALESCE(q.token, 0), s.began, s.ended, s.result FROM run_steps s LEFT JOIN requests q ON q.seq = s.write AND s.write > 0
WHERE s.run {in ?1} ORDER BY s.run, s.began, s.visit`, runs)
}

const runColumns = `u.seq, u.token, u.app, u.operation, u.workflow, u.flow, u.class, u.correlation, u.key, u.fingerprint, u.state, u.undo, u.again,
	u.waits, COALESCE(q.token, 0), u.owner, u.lease, u.not_before, u.version, u.accepted, u.settled, u.status, u.cause, u.reason`

func (db *DB) scanRun(r row) (*RunRecord, error) {
	u := &RunRecord{}
	var half, classed, undo, again, waits, waitsHalf, lease, notBefore, accepted, settled, status int64
	var owner string
	err := r.Scan(&u.Seq, &half, &u.App, &u.Operation, &u.Workflow, &u.Flow, &classed, &u.Correlation, &u.Key, &u.Fingerprint, &u.State, &undo, &again,
		&waits, &waitsHalf, &owner, &lease, &notBefore, &u.Version, &accepted, &settled, &status, &u.Cause, &u.Reason)
	u.ID, u.Class, u.Undo, u.Again, u.Status = db.ids.name(u.Seq, half), class(classed), undo == 1, int(again), int(status)
	if waits != 0 {
		u.Waits = db.ids.name(waits, waitsHalf)
	}
	u.Owner, _, _ = strings.Cut(owner, " ")
	u.Lease, u.NotBefore, u.Accepted, u.Settled = moment(lease), moment(notBefore), moment(accepted), moment(settled)
	return u, err
}

const runTables = "runs u LEFT JOIN requests q ON q.seq = u.waits AND u.waits > 0"

// runRecords reads runs, in the order of their numbers; whole ones with
// request, response and steps.
func (db *DB) runRecords(t tx, seqs []int64, whole bool) (list []*RunRecord, err error) {
	bySeq := map[int64]*RunRecord{}
	err = t.query(func(r row) error {
		u, err := db.scanRun(r)
		list = append(list, u)
		bySeq[u.Seq] = u
		return err
	}, "SELECT "+runColumns+" FROM "+runTables+" WHERE u.seq {in ?1} ORDER BY u.seq", seqs)
	if err != nil || !whole {
		return list, err
	}
	err = t.query(func(r row) error {
		var seq int64
		var request, response []byte
		err := r.Scan(&seq, &request, &response)
		if u := bySeq[seq]; u != nil {
			u.Request, u.Response = request, response
		}
		return err
	}, "SELECT seq, request, response FROM runs WHERE seq {in ?1}", seqs)
	if err != nil {
		return nil, err
	}
	err = db.steps(t, seqs, func(run int64, s RunStep) {
		if u := bySeq[run]; u != nil {
			u.Steps = append(u.Steps, s)
		}
	})
	return list, err
}

// RunFilter says which runs are listed; empty fields do not restrict.
type RunFilter struct {
	App, Operation, Correlation string
	States                      []RunState
	// Since and Until bound the time of acceptance: Since ≤ accepted < Until.
	Since, Until time.Time
	// After is the cursor of the page before.
	After string
	// Limit is at most 1000; 100 when zero.
	Limit int
}

// RunPage is a part of a list, the newest first. Next is the cursor of what
// follows, empty at the end.
type RunPage struct {
	Runs []*RunRecord
	Next string
}

// ListRuns returns runs without requests, responses and steps. ErrInvalid for a
// cursor that is not one.
func (db *DB) ListRuns(ctx context.Context, f RunFilter) (RunPage, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	if f.Limit < 0 || f.Limit > 1000 {
		return RunPage{}, fmt.Errorf("%w: a limit of %d", ErrInvalid, f.Limit)
	}
	q := usageQuery{}
	if f.After != "" {
		seq, err := strconv.ParseInt(f.After, 36, 64)
		if err != nil || seq < 0 {
			return RunPage{}, fmt.Errorf("%w: not a cursor of this list", ErrInvalid)
		}
		q.where("u.seq < %s", seq)
	} else {
		q.where("u.seq > %s", int64(0))
	}
	for _, c := range []struct{ column, value string }{{"app", f.App}, {"operation", f.Operation}, {"correlation", f.Correlation}} {
		if c.value != "" {
			q.where("u."+c.column+" = %s", c.value)
		}
	}
	var states []string
	for _, s := range f.States {
		if !s.Known() {
			return RunPage{}, fmt.Errorf("%w: state %q", ErrInvalid, s)
		}
		states = append(states, "'"+string(s)+"'")
	}
	if len(states) > 0 {
		q.conditions = append(q.conditions, "u.state IN ("+strings.Join(states, ", ")+")")
	}
	if !f.Since.IsZero() {
		q.where("u.accepted >= %s", micro(f.Since))
	}
	if !f.Until.IsZero() {
		q.where("u.accepted < %s", micro(f.Until))
	}
	var page RunPage
	err := db.read(ctx, func(t tx) error {
		page = RunPage{}
		return t.query(func(r row) error {
			u, err := db.scanRun(r)
			page.Runs = append(page.Runs, u)
			return err
		}, "SELECT "+runColumns+" FROM "+runTables+" WHERE "+strings.Join(q.conditions, " AND ")+" ORDER BY u.seq DESC LIMIT "+strconv.Itoa(f.Limit+1), q.values...)
	})
	if len(page.Runs) > f.Limit {
		page.Runs = page.Runs[:f.Limit]
		page.Next = strconv.FormatInt(page.Runs[f.Limit-1].Seq, 36)
	}
	return page, err
}

// Trace is all that the ledger knows of a business transaction.
type Trace struct {
	// Runs and Writes are whole, the oldest first.
	Runs   []*RunRecord
	Writes []*Record
}

// traceLimit is how many runs and writes of one correlation id are looked at.
const traceLimit = 1000

// TraceOf finds the runs and writes of a correlation id; none when it is not known.
func (db *DB) TraceOf(ctx context.Context, correlation string) (Trace, error) {
	var found Trace
	if correlation == "" {
		return found, nil
	}
	err := db.read(ctx, func(t tx) error {
		var runs, writes []int64
		collect := func(into *[]int64) func(row) error {
			return func(r row) error {
				var seq int64
				err := r.Scan(&seq)
				*into = append(*into, seq)
				return err
			}
		}
		err := t.query(collect(&runs), "SELECT seq FROM runs WHERE correlation = ?1 ORDER BY seq LIMIT ?2", correlation, int64(traceLimit))
		if err != nil {
			return err
		}
		err = t.query(collect(&writes), "SELECT seq FROM requests WHERE correlation = ?1 AND correlation <> '' ORDER BY seq LIMIT ?2", correlation, int64(traceLimit))
		if err != nil {
			return err
		}
		if found.Runs, err = db.runRecords(t, runs, true); err != nil {
			return err
		}
		found.Writes, err = db.records(t, writes, true)
		return err
	})
	slices.SortStableFunc(found.Runs, func(a, b *RunRecord) int { return a.Accepted.Compare(b.Accepted) })
	return found, err
}

// RunCounts counts the runs that are not over, by state, and gives when the
// oldest of each was accepted.
func (db *DB) RunCounts(ctx context.Context) (counts map[RunState]int64, oldest map[RunState]time.Time, err error) {
	counts, oldest = map[RunState]int64{}, map[RunState]time.Time{}
	err = db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var s RunState
			var n, at int64
			err := r.Scan(&s, &n, &at)
			counts[s], oldest[s] = n, moment(at)
			return err
		}, "SELECT state, count(*), min(accepted) FROM runs WHERE state IN ('running', 'stuck') GROUP BY state")
	})
	return counts, oldest, err
}
