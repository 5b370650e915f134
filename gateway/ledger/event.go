package ledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The states of a Hook.
const (
	HookOn     = "on"
	HookOff    = "off"    // its app has turned it off; what happens meanwhile waits
	HookFailed = "failed" // it was away for too long; what happens meanwhile waits
)

// Hook is where an app wants to hear of its writes.
type Hook struct {
	ID, App string
	URL     string
	// About is what people call it.
	About string
	// Types are the states of writes that it is told of.
	Types []State
	// State is HookOn, HookOff or HookFailed.
	State string
	// Secret signs; until BeforeUntil the one before signs as well. Both are
	// sealed, if the caller seals: they are bytes to the ledger.
	Secret, Before []byte
	BeforeUntil    time.Time
	// Failures counts the failures in a row, since Failing.
	Failures int
	Failing  time.Time
	// Due is when something is sent to it again after a failure.
	Due time.Time
	// Answered is when it took its last delivery.
	Answered         time.Time
	Created, Changed time.Time
	// Waiting counts what it has not been told yet, at most 10000. Hooks and
	// Hook fill it in.
	Waiting int
}

// The states of a Delivery.
const (
	Waiting = "waiting"
	Taken   = "taken"
	GivenUp = "given up"
)

// Test is the type of a delivery that is about no write.
const Test State = "test"

// Delivery is one thing that one hook is told.
type Delivery struct {
	Number    int64
	Hook, App string
	// Type is the state that the write came to, or Test; Write its ID, and
	// Version that of its record, which grows with every change.
	Type    State
	Write   string
	Version int64
	At      time.Time
	// System is the write's; nobody outside is told its name. Empty of a Test.
	System string
	// What the write was like then.
	Operation, Correlation, Key string
	Status, Attempts            int
	Dead                        bool
	Reason                      string

	// State is Waiting, Taken or GivenUp; Due when it is sent next.
	State string
	Due   time.Time
	// Tries counts the sendings since it was made or asked for again, and Log
	// tells of the last ones, oldest first.
	Tries int
	Log   []Try

	claim string
}

// Try is one sending.
type Try struct {
	At time.Time `json:"at"`
	// Status is the answer's; 0 without an answer.
	Status int           `json:"status,omitempty"`
	Took   time.Duration `json:"took"`
	// Error says why it counts as a failure; empty of a success.
	Error string `json:"error,omitempty"`
}

// keptTries bounds Delivery.Log.
const keptTries = 20

// events are what watchers are told of deliveries; no system has a slash in its name.
const events = "/events"

// tell puts what became of writes into the outbox, for the hooks of their apps,
// as they stand now.
func (w *work) tell(seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	return w.ask(func(r row) error {
		w.stir(events)
		var number int64
		return r.Scan(&number)
	}, `INSERT INTO deliveries (hook, app, system, type, seq, token, version, at, operation, correlation, key, status, attempts, dead, reason, due)
SELECT h.id, w.app, w.system, w.state, w.seq, r.token, w.version, CAST(?2 AS bigint), r.operation, r.correlation, r.key, w.status, w.attempts, w.dead, w.reason, CAST(?2 AS bigint)
FROM writes w JOIN hooks h ON h.app = w.app JOIN requests r ON r.seq = w.seq
WHERE w.seq {in ?1} AND w.app <> '' AND h.types LIKE '% ' || w.state || ' %' RETURNING number`, seqs, w.now)
}

// WatchDeliveries calls f when something may wait to be delivered, as Watch does.
func (db *DB) WatchDeliveries(f func()) (stop func()) {
	return db.watch.add(func(name string) {
		if name == events {
			f()
		}
	})
}

const hookColumns = `h.id, h.app, h.url, h.about, h.types, h.state, h.secret, h.secret_before, h.secret_until, h.failures, h.failing, h.due, h.answered, h.created, h.changed`

func scanHook(r row, more ...any) (*Hook, error) {
	h := &Hook{}
	var types string
	var until, failures, failing, due, answered, created, changed int64
	err := r.Scan(append([]any{&h.ID, &h.App, &h.URL, &h.About, &types, &h.State, &h.Secret, &h.Before, &until, &failures, &failing, &due, &answered, &created, &changed}, more...)...)
	for t := range strings.FieldsSeq(types) {
		h.Types = append(h.Types, State(t))
	}
	h.BeforeUntil, h.Failing, h.Due, h.Answered = moment(until), moment(failing), moment(due), moment(answered)
	h.Created, h.Changed, h.Failures = moment(created), moment(changed), int(failures)
	return h, err
}

// Hooks lists the hooks of apps, by app and age; of all when apps is nil.
func (db *DB) Hooks(ctx context.Context, apps []string) ([]*Hook, error) {
	if apps == nil {
		return db.hooks(ctx, "FROM hooks h")
	}
	return db.hooks(ctx, "FROM {texts ?1} JOIN hooks h ON h.app = v.value", apps)
}

// Hook finds a hook; ErrNotFound.
func (db *DB) Hook(ctx context.Context, id string) (*Hook, error) {
	list, err := db.hooks(ctx, "FROM hooks h WHERE h.id = ?1", id)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: webhook", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func (db *DB) hooks(ctx context.Context, from string, args ...any) (list []*Hook, err error) {
	err = db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var waiting int64
			h, err := scanHook(r, &waiting)
			h.Waiting = int(waiting)
			list = append(list, h)
			return err
		}, "SELECT "+hookColumns+", (SELECT count(*) FROM (SELECT 1 FROM deliveries d WHERE d.hook = h.id AND d.state = 'waiting' LIMIT 10000) n) "+
			from+" ORDER BY h.app, h.created, h.id", args...)
	})
	return list, err
}

// MostHooks is how many hooks an app may have.
const MostHooks = 10

// AddHook makes a hook. Its ID is filled in; failures and times of h do not
// count. ErrInvalid, also when the app has MostHooks.
func (db *DB) AddHook(ctx context.Context, h *Hook, by By) error {
	if err := h.check(); err != nil {
		return err
	}
	h.ID = "wh_" + strings.ToLower(rand.Text())
	return db.alone(ctx, func(w *work) error {
		var n int64
		if _, err := one(w.tx, []any{&n}, "SELECT count(*) FROM hooks WHERE app = ?1", h.App); err != nil {
			return err
		}
		if n >= MostHooks {
			return fmt.Errorf("%w: an app has %d webhooks at most", ErrInvalid, MostHooks)
		}
		err := w.do(`INSERT INTO hooks (id, app, url, about, types, state, secret, secret_before, secret_until, created, changed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)`, h.ID, h.App, h.URL, h.About, h.typeList(), h.State, h.Secret, orEmpty(h.Before), micro(h.BeforeUntil), w.now)
		if err != nil {
			return err
		}
		w.stir(events)
		return w.audit("create", "webhook/"+h.ID, by)
	})
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (h *Hook) check() error {
	switch {
	case h.App == "" || h.URL == "" || len(h.URL) > 2000 || len(h.About) > 200:
		return fmt.Errorf("%w: a webhook needs an app and a URL of at most 2000 characters", ErrInvalid)
	case len(h.Secret) == 0:
		return fmt.Errorf("%w: a webhook needs a secret", ErrInvalid)
	case h.State != HookOn && h.State != HookOff && h.State != HookFailed:
		return fmt.Errorf("%w: a webhook is not %q", ErrInvalid, h.State)
	case len(h.Types) == 0:
		return fmt.Errorf("%w: a webhook that is told of nothing", ErrInvalid)
	}
	for _, t := range h.Types {
		if !t.Known() || t == Sending {
			return fmt.Errorf("%w: nobody is told that a write is %q", ErrInvalid, t)
		}
	}
	return nil
}

func (h *Hook) typeList() string {
	var b strings.Builder
	b.WriteByte(' ')
	for _, s := range States { // in one order
		if slices.Contains(h.Types, s) {
			b.WriteString(string(s) + " ")
		}
	}
	return b.String()
}

// ChangeHook changes what f changes of a hook: its URL, About, Types, State,
// Secret, Before or BeforeUntil. One that is turned on is tried at once.
// ErrNotFound, ErrInvalid, and what f returns.
func (db *DB) ChangeHook(ctx context.Context, id string, by By, f func(*Hook) error) error {
	return db.alone(ctx, func(w *work) error {
		h, err := w.hook(id)
		if err != nil {
			return err
		}
		was := h.State
		if err := f(h); err != nil {
			return err
		}
		if err := h.check(); err != nil {
			return err
		}
		if h.State == HookOn && was != HookOn {
			h.Failures, h.Failing, h.Due = 0, time.Time{}, time.Time{}
			w.stir(events)
		}
		err = w.do(`UPDATE hooks SET url = ?2, about = ?3, types = ?4, state = ?5, secret = ?6, secret_before = ?7, secret_until = ?8, failures = ?9, failing = ?10, due = ?11, changed = ?12
WHERE id = ?1`, id, h.URL, h.About, h.typeList(), h.State, h.Secret, orEmpty(h.Before), micro(h.BeforeUntil), int64(h.Failures), micro(h.Failing), micro(h.Due), w.now)
		if err != nil {
			return err
		}
		return w.audit("update", "webhook/"+id, by)
	})
}

// hook reads a hook and locks it.
func (w *work) hook(id string) (h *Hook, err error) {
	err = w.query(func(r row) (err error) {
		h, err = scanHook(r)
		return err
	}, "SELECT "+hookColumns+" FROM hooks h WHERE h.id = ?1 {lock}", id)
	if err == nil && h == nil {
		err = fmt.Errorf("%w: webhook", ErrNotFound)
	}
	return h, err
}

// DeleteHook ends a hook, and forgets what it was told and what it was not. ErrNotFound.
func (db *DB) DeleteHook(ctx context.Context, id string, by By) error {
	return db.alone(ctx, func(w *work) error {
		if _, err := w.hook(id); err != nil {
			return err
		}
		for _, text := range []string{"DELETE FROM deliveries WHERE hook = ?1", "DELETE FROM hooks WHERE id = ?1"} {
			if err := w.do(text, id); err != nil {
				return err
			}
		}
		return w.audit("delete", "webhook/"+id, by)
	})
}

// TestHook puts a delivery of the type Test into the outbox, to be sent at once.
// ErrNotFound.
func (db *DB) TestHook(ctx context.Context, id string, by By) (number int64, err error) {
	err = db.alone(ctx, func(w *work) error {
		h, err := w.hook(id)
		if err != nil {
			return err
		}
		if err := w.hurry(id); err != nil {
			return err
		}
		_, err = one(w.tx, []any{&number}, `INSERT INTO deliveries (hook, app, system, type, seq, token, version, at, operation, correlation, key, status, attempts, dead, reason, due)
VALUES (?1, ?2, '', 'test', 0, 0, 0, ?3, '', '', '', 0, 0, 0, '', ?3) RETURNING number`, id, h.App, w.now)
		if err != nil {
			return err
		}
		return w.audit("test", "webhook/"+id, by)
	})
	return number, err
}

// hurry lets a hook be tried at once.
func (w *work) hurry(id string) error {
	w.stir(events)
	return w.do("UPDATE hooks SET due = 0 WHERE id = ?1", id)
}

// Redeliver puts a delivery of a hook back into the outbox, to be sent at once:
// the same event under the same id. ErrNotFound.
func (db *DB) Redeliver(ctx context.Context, hook string, number int64, by By) error {
	return db.alone(ctx, func(w *work) error {
		if _, err := w.hook(hook); err != nil {
			return err
		}
		found := false
		err := w.query(func(row) error { found = true; return nil },
			"UPDATE deliveries SET state = 'waiting', due = ?3, claim = '', tries = 0 WHERE number = ?1 AND hook = ?2 RETURNING number", number, hook, w.now)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w: delivery", ErrNotFound)
		}
		if err := w.hurry(hook); err != nil {
			return err
		}
		return w.audit("redeliver", fmt.Sprintf("webhook/%s/%d", hook, number), by)
	})
}

const deliveryColumns = `number, hook, app, system, type, seq, token, version, at, operation, correlation, key, status, attempts, dead, reason, state, due, claim, tries, log`

func (db *DB) scanDelivery(r row) (*Delivery, error) {
	d := &Delivery{}
	var seq, token, at, status, attempts, dead, due, tries int64
	var log []byte
	err := r.Scan(&d.Number, &d.Hook, &d.App, &d.System, &d.Type, &seq, &token, &d.Version, &at, &d.Operation, &d.Correlation, &d.Key, &status, &attempts, &dead,
		&d.Reason, &d.State, &due, &d.claim, &tries, &log)
	if err == nil && len(log) > 0 {
		err = json.Unmarshal(log, &d.Log)
	}
	if seq != 0 {
		d.Write = db.ids.name(seq, token)
	}
	d.At, d.Due, d.Status, d.Attempts, d.Dead, d.Tries = moment(at), moment(due), int(status), int(attempts), dead == 1, int(tries)
	return d, err
}

// Deliveries lists what a hook was and is to be told, the newest first, before
// a number when that is not 0; 100 when limit is 0, 1000 at most.
func (db *DB) Deliveries(ctx context.Context, hook string, before int64, limit int) (list []*Delivery, err error) {
	if limit == 0 {
		limit = 100
	}
	if limit < 0 || limit > 1000 {
		return nil, fmt.Errorf("%w: a limit of %d", ErrInvalid, limit)
	}
	err = db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			d, err := db.scanDelivery(r)
			list = append(list, d)
			return err
		}, "SELECT "+deliveryColumns+" FROM deliveries WHERE hook = ?1 AND (CAST(?2 AS bigint) = 0 OR number < ?2) ORDER BY number DESC LIMIT ?3", hook, before, int64(limit))
	})
	return list, err
}

// DueHooks lists the hooks to which something may be sent now. next is when the
// next one may; zero when nothing waits. Reading it takes no transaction of the
// committer.
func (db *DB) DueHooks(ctx context.Context) (due []*Hook, next time.Time, err error) {
	now := db.now()
	first := int64(0)
	err = db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var at int64
			h, err := scanHook(r, &at)
			if at <= now {
				due = append(due, h)
			} else if first == 0 || at < first {
				first = at
			}
			return err
		}, "SELECT "+hookColumns+`, CASE WHEN n.due < h.due THEN h.due ELSE n.due END FROM hooks h
JOIN (SELECT g.id, (SELECT min(d.due) FROM deliveries d WHERE d.hook = g.id AND d.state = 'waiting') AS due FROM hooks g WHERE g.state = 'on') n ON n.id = h.id
WHERE n.due IS NOT NULL ORDER BY h.id`)
	})
	return due, moment(first), err
}

// ClaimDeliveries takes at most n deliveries of a hook that are due, the
// oldest first: they are this replica's until the lease is over. None when
// the hook may not be called now.
func (db *DB) ClaimDeliveries(ctx context.Context, hook string, n int, lease time.Duration) (list []*Delivery, err error) {
	err = db.alone(ctx, func(w *work) error {
		list = nil
		h, err := w.hook(hook)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil || h.State != HookOn || micro(h.Due) > w.now {
			return err
		}
		numbers, err := w.seqs("SELECT number FROM deliveries WHERE hook = ?1 AND state = 'waiting' AND due <= ?2 ORDER BY due, number LIMIT ?3 {skip}", hook, w.now, int64(n))
		if err != nil || len(numbers) == 0 {
			return err
		}
		err = w.query(func(r row) error {
			d, err := db.scanDelivery(r)
			list = append(list, d)
			return err
		}, "UPDATE deliveries SET claim = ?2, due = ?3, tries = tries + 1 WHERE number {in ?1} RETURNING "+deliveryColumns,
			numbers, rand.Text(), w.now+lease.Microseconds())
		slices.SortFunc(list, func(a, b *Delivery) int { return int(a.Number - b.Number) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Told says what became of a claimed delivery.
type Told struct {
	Delivery *Delivery
	Try      Try
	// Again is when it is tried again, and Quiet until when its hook is left
	// alone, both after a failure. A zero Again gives the delivery up.
	Again, Quiet time.Time
	// Fail turns the hook off: it is failed.
	Fail bool
}

// EndDelivery keeps what became of a claimed delivery. ErrFenced when its lease
// was over and another replica has claimed it, or it was asked for again.
func (db *DB) EndDelivery(ctx context.Context, t Told) error {
	d := t.Delivery
	log := append(slices.Clone(d.Log), t.Try)
	if n := len(log) - keptTries; n > 0 {
		log = log[n:]
	}
	text, err := json.Marshal(log)
	if err != nil {
		return err
	}
	state := Taken
	switch {
	case t.Try.Error == "":
	case t.Again.IsZero():
		state = GivenUp
	default:
		state = Waiting
	}
	return db.alone(ctx, func(w *work) error {
		if _, err := w.hook(d.Hook); err != nil { // it is locked first, as in a claim
			return err
		}
		due := micro(t.Again)
		if due == 0 {
			due = w.now
		}
		mine := false
		err := w.query(func(row) error { mine = true; return nil },
			"UPDATE deliveries SET state = ?3, due = ?4, claim = '', log = ?5 WHERE number = ?1 AND claim = ?2 AND claim <> '' RETURNING number", d.Number, d.claim, state, due, text)
		switch {
		case err != nil:
			return err
		case !mine:
			return ErrFenced
		case t.Try.Error == "":
			return w.do("UPDATE hooks SET failures = 0, failing = 0, due = 0, answered = ?2 WHERE id = ?1", d.Hook, w.now)
		}
		return w.do(`UPDATE hooks SET failures = failures + 1, failing = CASE WHEN failing = 0 THEN CAST(?2 AS bigint) ELSE failing END, due = ?3,
	state = CASE WHEN CAST(?4 AS smallint) = 1 THEN 'failed' ELSE state END WHERE id = ?1`, d.Hook, w.now, micro(t.Quiet), flag(t.Fail))
	})
}

// ForgetDeliveries deletes at most 1000 deliveries of things that happened
// before a time, told or not, and returns how many.
func (db *DB) ForgetDeliveries(ctx context.Context, before time.Time) (n int, err error) {
	err = db.alone(ctx, func(w *work) error {
		n = 0
		return w.query(func(row) error { n++; return nil },
			"DELETE FROM deliveries WHERE number IN (SELECT number FROM deliveries WHERE at < ?1 ORDER BY at LIMIT 1000) RETURNING number", micro(before))
	})
	return n, err
}
