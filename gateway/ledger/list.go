package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Get returns a write with its request, response and timeline. ErrNotFound.
func (db *DB) Get(ctx context.Context, id string) (*Record, error) {
	seq, _, ok := db.ids.parse(id)
	if !ok {
		return nil, ErrNotFound
	}
	var found *Record
	err := db.read(ctx, func(t tx) error {
		list, err := db.records(t, []int64{seq}, true)
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

// narrow are the columns that scanRecord reads.
const narrow = `w.seq, w.system, w.app, w.state, w.class, w.rank, w.blockers, w.ready, w.gap, w.dead, w.open, w.goes_on, w.bytes, w.attempts,
	w.version, w.owner, w.lease, w.first_sent, w.not_before, w.expires, w.settled, CASE WHEN w.coalesce IS NULL THEN 0 ELSE 1 END, w.status, w.cause, w.reason, w.replaced_by,
	r.token, r.operation, r.correlation, r.accepted, r.lanes, r.number, r.key, r.key_until, r.fingerprint, r.replaces`

func (db *DB) scanRecord(r row) (*Record, error) {
	w := &Record{}
	var classed, ranked, blockers, ready, gap, dead, open, goesOn, attempts, lease, first, notBefore, expires, settled, coalesce, status int64
	var token, accepted, until int64
	var owner, keys string
	err := r.Scan(&w.Seq, &w.System, &w.App, &w.State, &classed, &ranked, &blockers, &ready, &gap, &dead, &open, &goesOn, &w.Bytes, &attempts,
		&w.Version, &owner, &lease, &first, &notBefore, &expires, &settled, &coalesce, &status, &w.Group, &w.Reason, &w.ReplacedBy,
		&token, &w.Operation, &w.Correlation, &accepted, &keys, &w.Sequence, &w.Key, &until, &w.Fingerprint, &w.Replaces)
	w.ID, w.Lanes = db.ids.name(w.Seq, token), parseLanes(keys)
	w.Class, w.Rank, w.Blockers, w.Attempts, w.Status = class(classed), class(ranked), int(blockers), int(attempts), int(status)
	w.Ready, w.Gap, w.Dead, w.Open, w.Continue, w.Coalesce = ready == 1, gap == 1, dead == 1, open == 1, goesOn == 1, coalesce == 1
	w.Owner, _, _ = strings.Cut(owner, " ")
	w.Lease, w.FirstSent, w.NotBefore, w.Expires = moment(lease), moment(first), moment(notBefore), moment(expires)
	w.Settled, w.Accepted, w.KeyUntil = moment(settled), moment(accepted), moment(until)
	return w, err
}

// records reads writes, in the order of their numbers; whole ones with
// request, response and timeline.
func (db *DB) records(t tx, seqs []int64, whole bool) ([]*Record, error) {
	var list []*Record
	bySeq := map[int64]*Record{}
	err := t.query(func(r row) error {
		w, err := db.scanRecord(r)
		list = append(list, w)
		bySeq[w.Seq] = w
		return err
	}, "SELECT "+narrow+" FROM writes w JOIN requests r ON r.seq = w.seq WHERE w.seq {in ?1} ORDER BY w.seq", seqs)
	if err != nil || !whole {
		return list, err
	}
	err = t.query(func(r row) error {
		var seq int64
		var request, response []byte
		err := r.Scan(&seq, &request, &response)
		if w := bySeq[seq]; w != nil {
			w.Request, w.Response = request, response
		}
		return err
	}, "SELECT r.seq, r.request, a.response FROM requests r LEFT JOIN responses a ON a.seq = r.seq WHERE r.seq {in ?1}", seqs)
	if err != nil {
		return nil, err
	}
	for _, w := range list {
		w.Timeline = []Step{{At: w.Accepted, State: Held}}
	}
	err = t.query(func(r row) error {
		var s Step
		var seq, at, started, attempt, status int64
		err := r.Scan(&seq, &at, &started, &s.State, &attempt, &status, &s.Replica, &s.Actor, &s.Reason)
		s.At, s.Started, s.Attempt, s.Status = moment(at), moment(started), int(attempt), int(status)
		if w := bySeq[seq]; w != nil {
			w.Timeline = append(w.Timeline, s)
		}
		return err
	}, "SELECT seq, at, started, state, attempt, status, replica, actor, reason FROM timeline WHERE seq {in ?1} ORDER BY seq, version", seqs)
	return list, err
}

// Filter says which writes are listed; empty fields do not restrict.
type Filter struct {
	System, App, Operation, Correlation string
	States                              []State
	// Dead restricts to those that are dead, and Group to those of that group.
	Dead  bool
	Group string
	// Lane is a business key that the write stands or stood in. It needs a System.
	Lane string
	// Since and Until bound the time of acceptance: Since ≤ accepted < Until.
	Since, Until time.Time
	// Oldest lists the oldest first instead of the newest.
	Oldest bool
	// After is the cursor of the page before.
	After string
	// Limit is at most 1000; 100 when zero.
	Limit int
}

// Page is a part of a list. Next is the cursor of what follows, empty at the
// end. The work for a page is bounded: where a filter is rare, a page may be
// short, or empty, and still have a Next.
type Page struct {
	Writes []*Record
	Next   string
}

// span is how many rows a page looks at.
const span = 20_000

// List returns writes without requests, responses and timelines. A list is no
// snapshot: a write that changes while it is paged through is seen as it is
// when its page is read, and none is seen twice. ErrInvalid for a cursor that
// is not one.
func (db *DB) List(ctx context.Context, f Filter) (Page, error) {
	q, err := f.query()
	if err != nil {
		return Page{}, err
	}
	var page Page
	err = db.read(ctx, func(t tx) error {
		// First the numbers that may be looked at, by the best index, then the
		// rows among them that the filter takes.
		var last, looked int64
		_, err := one(t, []any{&last, &looked}, q.window, slices.Clone(q.args[:q.narrowing])...)
		if err != nil || looked == 0 {
			return err
		}
		err = t.query(func(r row) error {
			w, err := db.scanRecord(r)
			page.Writes = append(page.Writes, w)
			return err
		}, q.rows, append(slices.Clone(q.args), last)...)
		switch n := len(page.Writes); {
		case err != nil:
			return err
		case n == q.limit && page.Writes[n-1].Seq != last:
			page.Next = q.cursor(page.Writes[n-1].Seq)
		case looked == span:
			page.Next = q.cursor(last)
		}
		return nil
	})
	return page, err
}

// listing is a filter as SQL.
type listing struct {
	window, rows string
	args         []any
	narrowing    int // how many of args the window takes
	limit        int
	cursor       func(seq int64) string
}

// direction is the order of a list in SQL's words.
type direction struct{ order, beyond, until, end, sign string }

func (f Filter) direction() direction {
	if f.Oldest {
		return direction{order: "", beyond: ">", until: "<=", end: "max", sign: "+"}
	}
	return direction{order: "DESC", beyond: "<", until: ">=", end: "min", sign: "-"}
}

// query makes a listing. What an index finds bounds the window; the rest is
// looked at row by row.
func (f Filter) query() (*listing, error) {
	d := f.direction()
	q := &listing{limit: f.Limit}
	if q.limit == 0 {
		q.limit = 100
	}
	if q.limit < 0 || q.limit > 1000 {
		return nil, fmt.Errorf("%w: a limit of %d", ErrInvalid, f.Limit)
	}
	q.cursor = func(seq int64) string { return d.sign + strconv.FormatInt(seq, 36) }
	from, narrowing, err := f.narrow(q)
	if err != nil {
		return nil, err
	}
	if f.After != "" {
		seq, err := strconv.ParseInt(strings.TrimPrefix(f.After, d.sign), 36, 64)
		if err != nil || !strings.HasPrefix(f.After, d.sign) || seq < 0 {
			return nil, fmt.Errorf("%w: not a cursor of this list", ErrInvalid)
		}
		narrowing = append(narrowing, q.with("seq "+d.beyond+" ?", seq))
	}
	q.narrowing = len(q.args)
	seqs := "SELECT seq FROM " + from
	if len(narrowing) > 0 {
		seqs += " WHERE " + strings.Join(narrowing, " AND ")
	}
	seqs += " ORDER BY seq " + d.order + " LIMIT " + strconv.Itoa(span)
	q.window = "SELECT COALESCE(" + d.end + "(seq), 0), count(*) FROM (" + seqs + ") s"
	conditions, err := f.conditions(q)
	if err != nil {
		return nil, err
	}
	conditions = append(conditions, fmt.Sprintf("w.seq %s ?%d", d.until, len(q.args)+1))
	q.rows = "SELECT " + narrow + " FROM (" + seqs + ") s JOIN writes w ON w.seq = s.seq JOIN requests r ON r.seq = w.seq WHERE " +
		strings.Join(conditions, " AND ") + " ORDER BY w.seq " + d.order + " LIMIT " + strconv.Itoa(q.limit)
	return q, nil
}

// with numbers the parameter of a condition and keeps its value.
func (q *listing) with(condition string, value any) string {
	q.args = append(q.args, value)
	return strings.ReplaceAll(condition, "?", "?"+strconv.Itoa(len(q.args)))
}

// narrow chooses the index that leaves the fewest rows to look at: a table of
// numbers, and conditions on it.
func (f Filter) narrow(q *listing) (from string, conditions []string, err error) {
	switch {
	case f.Lane != "" && f.System == "":
		return "", nil, fmt.Errorf("%w: a lane belongs to a system", ErrInvalid)
	case f.Lane != "":
		lane := "(SELECT seq FROM lanes WHERE lane = ? AND seq > 0 UNION SELECT seq FROM lanes_past WHERE lane = ?) i"
		return q.with(lane, f.System+"/"+f.Lane), nil, nil
	case f.Correlation != "":
		return "requests", []string{q.with("correlation = ?", f.Correlation)}, nil
	case f.Dead || f.Group != "":
		conditions = []string{"dead = 1"}
		if f.System != "" {
			conditions = append(conditions, q.with("system = ?", f.System))
		}
	case f.App != "":
		conditions = []string{q.with("app = ?", f.App)}
	case len(f.States) > 0 && f.System != "" && !slices.ContainsFunc(f.States, State.Final):
		conditions = []string{"state IN ('held', 'sending', 'doubtful')", q.with("system = ?", f.System)}
	}
	return "writes", conditions, nil
}

// conditions are what each row has to meet.
func (f Filter) conditions(q *listing) (list []string, err error) {
	for _, c := range []struct {
		column, value string
	}{{"w.system", f.System}, {"w.app", f.App}, {"r.operation", f.Operation}, {"r.correlation", f.Correlation}, {"w.cause", f.Group}} {
		if c.value != "" {
			list = append(list, q.with(c.column+" = ?", c.value))
		}
	}
	if f.Dead || f.Group != "" {
		list = append(list, "w.dead = 1")
	}
	if len(f.States) > 0 {
		var states []string
		for _, s := range f.States {
			if !s.Known() {
				return nil, fmt.Errorf("%w: there is no state %q", ErrInvalid, s)
			}
			states = append(states, "'"+string(s)+"'")
		}
		list = append(list, "w.state IN ("+strings.Join(states, ", ")+")")
	}
	if !f.Since.IsZero() {
		list = append(list, q.with("r.accepted >= ?", micro(f.Since)))
	}
	if !f.Until.IsZero() {
		list = append(list, q.with("r.accepted < ?", micro(f.Until)))
	}
	return list, nil
}

// Explanation says why a write stands where it does.
type Explanation struct {
	Record *Record
	// Before is, for each of its lanes, what stands at its head.
	Before []Ahead
	// SystemPaused tells that the system's claims are stopped.
	SystemPaused bool
	// Ahead counts ready writes of the system that would be claimed before it,
	// at most 10000; of a write that is not ready, those of its rank and above
	// that came before it.
	Ahead int64
}

// Ahead is what is before a write in one lane.
type Ahead struct {
	Lane string
	// Head is the ID of the write at the lane's head; empty when the lane is
	// paused or the write no longer stands in it.
	Head      string
	HeadState State
	HeadDead  bool
	Paused    bool
	// Writes are before this one, at most 10000.
	Writes int64
}

// Explain says why a write stands where it does. ErrNotFound.
func (db *DB) Explain(ctx context.Context, id string) (*Explanation, error) {
	seq, _, ok := db.ids.parse(id)
	if !ok {
		return nil, ErrNotFound
	}
	x := &Explanation{}
	err := db.read(ctx, func(t tx) error {
		list, err := db.records(t, []int64{seq}, true)
		if err != nil {
			return err
		}
		if len(list) == 0 || list[0].ID != id {
			return ErrNotFound
		}
		x.Record = list[0]
		w := x.Record
		var place, since int64
		if _, err := one(t, []any{&place}, "SELECT place FROM writes WHERE seq = ?1", seq); err != nil {
			return err
		}
		for _, key := range w.Lanes {
			a, err := db.before(t, w.System, key, place)
			if err != nil {
				return err
			}
			x.Before = append(x.Before, a)
		}
		if x.SystemPaused, err = one(t, []any{&since}, "SELECT since FROM pauses WHERE system = ?1 AND lane = ''", w.System); err != nil {
			return err
		}
		if w.State != Held {
			return nil
		}
		_, err = one(t, []any{&x.Ahead}, `SELECT count(*) FROM (SELECT 1 FROM writes WHERE system = ?1 AND ready = 1 AND (rank < ?2 OR (rank = ?2 AND place < ?3)) LIMIT 10000) a`,
			w.System, rank(w.Rank), place)
		return err
	})
	if err != nil {
		return nil, err
	}
	return x, nil
}

// before looks at one lane of a write.
func (db *DB) before(t tx, system, key string, place int64) (Ahead, error) {
	lane := system + "/" + key
	a := Ahead{Lane: key}
	err := t.query(func(r row) error {
		var seq int64
		var token *int64
		var state *string
		var dead *int64
		if err := r.Scan(&seq, &token, &state, &dead); err != nil {
			return err
		}
		if seq == 0 {
			a.Paused = true
		} else if token != nil && a.Head == "" {
			a.Head, a.HeadState, a.HeadDead = db.ids.name(seq, *token), State(*state), *dead == 1
		}
		return nil
	}, `SELECT l.seq, r.token, w.state, w.dead FROM (SELECT seq, place FROM lanes WHERE lane = ?1 ORDER BY place LIMIT 2) l
LEFT JOIN requests r ON r.seq = l.seq LEFT JOIN writes w ON w.seq = l.seq ORDER BY l.place`, lane)
	if err != nil {
		return a, err
	}
	_, err = one(t, []any{&a.Writes}, "SELECT count(*) FROM (SELECT 1 FROM lanes WHERE lane = ?1 AND place < ?2 AND seq > 0 LIMIT 10000) b", lane, place)
	return a, err
}
