package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Entry is a thing of the control plane. Its kind and name are its identity.
type Entry struct {
	Kind, Name string
	// Parent is the name of what it belongs to, in a kind that the kind has;
	// empty when it stands for itself.
	Parent string
	// Body is JSON whose shape the registry knows. It is audited, and holds no secret.
	Body []byte
	// Secret is what no audit row may hold: the hash of a credential, an
	// encrypted key. nil when there is none.
	Secret []byte
	// Revision is that of the control plane at the thing's last change: its entity tag.
	Revision         int64
	Created, Changed time.Time
}

// Control is the control plane at one revision. It is immutable: the entries
// belong to everybody and must not be changed.
type Control struct {
	// Revision grows by one with every change; 0 before the first.
	Revision int64
	// Entries are sorted by kind, then name.
	Entries []*Entry
}

func compareEntries(a, b *Entry) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Get finds an entry; nil when there is none.
func (c *Control) Get(kind, name string) *Entry {
	i, found := slices.BinarySearchFunc(c.Entries, &Entry{Kind: kind, Name: name}, compareEntries)
	if !found {
		return nil
	}
	return c.Entries[i]
}

// Of lists the entries of a kind, sorted by name.
func (c *Control) Of(kind string) []*Entry {
	from, _ := slices.BinarySearchFunc(c.Entries, &Entry{Kind: kind}, compareEntries)
	to, _ := slices.BinarySearchFunc(c.Entries, &Entry{Kind: kind + "\x00"}, compareEntries)
	return c.Entries[from:to:to]
}

// controls is what a ledger remembers of its control plane.
type controls struct {
	changing sync.Mutex // held by one change of this process at a time
	mu       sync.Mutex
	last     *Control // the newest that was read

	pruning sync.Mutex
	unused  map[string]bool // contents that nothing referred to at the last Prune; guarded by pruning
}

// Control reads the control plane as it is now.
func (db *DB) Control(ctx context.Context) (*Control, error) {
	db.control.mu.Lock()
	before := db.control.last
	db.control.mu.Unlock()
	if before == nil {
		before = &Control{}
	}
	var now *Control
	err := db.read(ctx, func(t tx) (err error) {
		now, err = before.advance(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	db.control.mu.Lock()
	defer db.control.mu.Unlock()
	if db.control.last == nil || db.control.last.Revision < now.Revision {
		db.control.last = now
	}
	return now, nil
}

// advance reads what has changed since c.
func (c *Control) advance(t tx) (*Control, error) {
	revision, err := controlRevision(t, "")
	if err != nil || revision == c.Revision {
		return c, err
	}
	from := c
	if revision < c.Revision { // an older copy of the ledger was put in place
		from = &Control{}
	}
	changed := map[[2]string]*Entry{}
	err = t.query(func(r row) error {
		e, err := scanEntry(r)
		changed[[2]string{e.Kind, e.Name}] = e
		return err
	}, "SELECT "+entryColumns+" FROM control WHERE revision > ?1", from.Revision)
	if err != nil {
		return nil, err
	}
	if from.Revision > 0 {
		err = t.query(func(r row) error {
			var kind, name string
			err := r.Scan(&kind, &name)
			changed[[2]string{kind, name}] = nil
			return err
		}, "SELECT kind, name FROM control_gone WHERE revision > ?1", from.Revision)
		if err != nil {
			return nil, err
		}
	}
	return from.with(revision, changed), nil
}

// with is the control plane after changes; nil stands for an entry that is gone.
func (c *Control) with(revision int64, changed map[[2]string]*Entry) *Control {
	next := &Control{Revision: revision, Entries: make([]*Entry, 0, len(c.Entries)+len(changed))}
	for _, e := range c.Entries {
		if _, ok := changed[[2]string{e.Kind, e.Name}]; !ok {
			next.Entries = append(next.Entries, e)
		}
	}
	for _, e := range changed {
		if e != nil {
			next.Entries = append(next.Entries, e)
		}
	}
	slices.SortFunc(next.Entries, compareEntries)
	return next
}

const entryColumns = "kind, name, parent, body, secret, revision, created, changed"

func scanEntry(r row) (*Entry, error) {
	e := &Entry{}
	var created, changed int64
	err := r.Scan(&e.Kind, &e.Name, &e.Parent, &e.Body, &e.Secret, &e.Revision, &created, &changed)
	e.Created, e.Changed = moment(created), moment(changed)
	return e, err
}

// controlRevision reads the revision, 0 before the first; with a lock it keeps
// other replicas from making the next one.
func controlRevision(t tx, lock string) (int64, error) {
	var text []byte
	found, err := one(t, []any{&text}, "SELECT value FROM meta WHERE name = 'control' "+lock)
	if err != nil || !found {
		return 0, err
	}
	var n int64
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		return 0, fmt.Errorf("ledger: meta control: %w", err)
	}
	return n, nil
}

// Match says what has to be there for a change to be made: nothing (Absent,
// the zero value), anything (Any), or the thing of this revision.
type Match int64

// The matches that are no revision.
const (
	Absent Match = 0
	Any    Match = -1
)

func (m Match) check(kind, name string, have *Entry) error {
	revision := int64(0)
	if have != nil {
		revision = have.Revision
	}
	if m != Any && int64(m) != revision {
		return &ConflictError{kind, name, revision}
	}
	return nil
}

// Draft is a change of the control plane that is being made. It is not safe
// for concurrent use.
type Draft struct {
	// Now is the time of the change.
	Now time.Time
	// Indifferent tells that a change which somebody else has made meanwhile is none
	// of this one's business, so that this one is not run again because of it: e
	// was made or changed, or is gone. What this change changes itself is not
	// asked for. nil stands for false.
	Indifferent func(e *Entry, gone bool) bool

	db      *DB
	ctx     context.Context
	base    *Control
	changed map[[2]string]*Entry
	blobs   map[string][]byte
	notes   []*Audit
}

// Revision is the one that the change starts from.
func (d *Draft) Revision() int64 { return d.base.Revision }

// Moved tells whether anything has changed since an earlier revision that the
// change is not indifferent to.
func (d *Draft) Moved(since int64) (bool, error) {
	if since == d.base.Revision {
		return false, nil
	}
	if since > d.base.Revision || d.Indifferent == nil {
		return true, nil
	}
	for _, e := range d.base.Entries {
		if e.Revision > since && !d.Indifferent(e, false) {
			return true, nil
		}
	}
	moved := false
	err := d.db.read(d.ctx, func(t tx) error {
		return t.query(func(r row) error {
			e := &Entry{}
			err := r.Scan(&e.Kind, &e.Name)
			moved = moved || !d.Indifferent(e, true)
			return err
		}, "SELECT kind, name FROM control_gone WHERE revision > ?1", since)
	})
	return moved, err
}

// Get finds an entry as the change leaves it: ErrNotFound when there is none.
func (d *Draft) Get(kind, name string) (Entry, error) {
	if e := d.find(kind, name); e != nil {
		return *e, nil
	}
	return Entry{}, fmt.Errorf("%w: %s %q", ErrNotFound, kind, name)
}

func (d *Draft) find(kind, name string) *Entry {
	if e, ok := d.changed[[2]string{kind, name}]; ok {
		return e
	}
	return d.base.Get(kind, name)
}

// Control is the control plane as the change leaves it. Its revision is the
// one that the change starts from.
func (d *Draft) Control() *Control { return d.base.with(d.base.Revision, d.changed) }

// List lists the entries of a kind that belong to parent, or all of the kind
// when parent is empty, sorted by name.
func (d *Draft) List(kind, parent string) []Entry {
	var list []Entry
	add := func(e *Entry) {
		if e != nil && (parent == "" || e.Parent == parent) {
			list = append(list, *e)
		}
	}
	for _, e := range d.base.Of(kind) {
		if _, ok := d.changed[[2]string{kind, e.Name}]; !ok {
			add(e)
		}
	}
	for id, e := range d.changed {
		if id[0] == kind {
			add(e)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return compareEntries(&a, &b) })
	return list
}

// Put makes or changes the entry of e's kind and name; revision and times of e
// do not count. *ConflictError when what is there does not match. What is
// already as e says is left as it is.
func (d *Draft) Put(e Entry, m Match) error {
	if err := e.check(); err != nil {
		return err
	}
	have := d.find(e.Kind, e.Name)
	if err := m.check(e.Kind, e.Name, have); err != nil {
		return err
	}
	a := &Audit{Action: "create", Target: e.Kind + "/" + e.Name, After: e.Body}
	e.Created = d.Now
	if have != nil {
		if have.Parent == e.Parent && bytes.Equal(have.Body, e.Body) && bytes.Equal(have.Secret, e.Secret) {
			return nil
		}
		a.Action, a.Before, e.Created = "update", have.Body, have.Created
	}
	e.Changed, e.Revision = d.Now, d.base.Revision+1
	d.changed[[2]string{e.Kind, e.Name}] = &e
	d.notes = append(d.notes, a)
	return nil
}

// check refuses what cannot be kept.
func (e *Entry) check() error {
	switch {
	case e.Kind == "" || e.Name == "":
		return fmt.Errorf("%w: a thing needs a kind and a name", ErrInvalid)
	case len(e.Name) > 500 || strings.ContainsRune(e.Kind+e.Name+e.Parent, 0):
		return fmt.Errorf("%w: %q is no name", ErrInvalid, e.Name)
	case !json.Valid(e.Body):
		return fmt.Errorf("%w: the body of the %s %q is not JSON", ErrInvalid, e.Kind, e.Name)
	}
	return nil
}

// Delete ends an entry. ErrNotFound when there is none, *ConflictError when it
// does not match.
func (d *Draft) Delete(kind, name string, m Match) error {
	have := d.find(kind, name)
	if have == nil {
		return fmt.Errorf("%w: %s %q", ErrNotFound, kind, name)
	}
	if err := m.check(kind, name, have); err != nil {
		return err
	}
	d.changed[[2]string{kind, name}] = nil
	d.notes = append(d.notes, &Audit{Action: "delete", Target: kind + "/" + name, Before: have.Body})
	return nil
}

// Note audits what Put and Delete do not say by themselves, such as an override.
func (d *Draft) Note(action, target string) {
	d.notes = append(d.notes, &Audit{Action: action, Target: target})
}

// Blob keeps a content with the change, and returns its hexadecimal SHA-256.
func (d *Draft) Blob(content []byte) string {
	if content == nil {
		content = []byte{} // nothing is a content, too
	}
	hash := HashOf(content)
	d.blobs[hash] = content
	return hash
}

// HashOf is the name of a content: its SHA-256 in hexadecimal.
func HashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Content is a content that the change or an earlier one keeps.
func (d *Draft) Content(hash string) ([]byte, error) {
	if content, ok := d.blobs[hash]; ok {
		return content, nil
	}
	return d.db.Content(d.ctx, hash)
}

// tries bounds how often a change is made anew because others were faster.
const tries = 20

// errMoved tells that another replica has changed the control plane meanwhile.
var errMoved = errors.New("ledger: the control plane has changed")

// Change runs fn and makes everything that it has put and deleted the next
// revision, all or nothing, one change after the other over all replicas. It
// returns that revision, or the present one when nothing was changed. With
// the entries it writes the audit rows, and wakes all that watch. Notes alone
// make no revision. An error of fn, which comes back as it is, changes nothing.
//
// fn holds no lock of the ledger and may take its time: when another replica
// was faster, it is run again on what is there then. ErrConflict when that
// does not end.
//
// Changes of this process take turns, so that what takes long is not done in vain.
func (db *DB) Change(ctx context.Context, by By, fn func(*Draft) error) (int64, error) {
	db.control.changing.Lock()
	defer db.control.changing.Unlock()
	return db.ChangeAtOnce(ctx, by, fn)
}

// ChangeAtOnce is Change for what must not wait for a change of this process that
// takes long: to take something from somebody. fn has to be quick.
func (db *DB) ChangeAtOnce(ctx context.Context, by By, fn func(*Draft) error) (int64, error) {
	for range tries {
		d, err := db.draft(ctx)
		if err == nil {
			err = fn(d)
		}
		if err != nil {
			return 0, err
		}
		revision, err := db.conclude(ctx, d, by)
		if !errors.Is(err, errMoved) {
			return revision, err
		}
	}
	return 0, fmt.Errorf("%w: others change the control plane all the time", ErrConflict)
}

// Try runs fn on a change that is thrown away. It waits for nobody, and nobody
// waits for it.
func (db *DB) Try(ctx context.Context, fn func(*Draft) error) error {
	d, err := db.draft(ctx)
	if err != nil {
		return err
	}
	return fn(d)
}

func (db *DB) draft(ctx context.Context) (*Draft, error) {
	base, err := db.Control(ctx)
	if err != nil {
		return nil, err
	}
	return &Draft{Now: moment(db.now()), db: db, ctx: ctx, base: base, changed: map[[2]string]*Entry{}, blobs: map[string][]byte{}}, nil
}

// conclude makes a draft the next revision; errMoved when it has to be run again.
func (db *DB) conclude(ctx context.Context, d *Draft, by By) (int64, error) {
	if len(d.changed) == 0 && len(d.notes) == 0 {
		return d.base.Revision, nil
	}
	for range tries {
		err := db.alone(ctx, func(w *work) error { return w.control(d, by) })
		if err == nil {
			return d.base.Revision + min(1, int64(len(d.changed))), nil
		}
		if !errors.Is(err, errMoved) {
			return 0, err
		}
		now, err := db.Control(ctx)
		if err != nil {
			return 0, err
		}
		if !d.move(now) {
			return 0, errMoved
		}
	}
	return 0, errMoved
}

// move takes a draft over to a later revision, if it is indifferent to all that
// has changed since its own.
func (d *Draft) move(to *Control) bool {
	if d.Indifferent == nil || to.Revision < d.base.Revision {
		return false
	}
	concerns := func(e *Entry, gone bool) bool {
		_, mine := d.changed[[2]string{e.Kind, e.Name}]
		return mine || !d.Indifferent(e, gone)
	}
	for _, e := range to.Entries {
		if was := d.base.Get(e.Kind, e.Name); (was == nil || was.Revision != e.Revision) && concerns(e, false) {
			return false
		}
	}
	for _, e := range d.base.Entries {
		if to.Get(e.Kind, e.Name) == nil && concerns(e, true) {
			return false
		}
	}
	d.base = to
	for _, e := range d.changed {
		if e != nil {
			e.Revision = to.Revision + 1
		}
	}
	return true
}

// control commits a change.
func (w *work) control(d *Draft, by By) error {
	// The row that everybody waits for. It is there before it is locked.
	err := w.do("INSERT INTO meta (name, value) VALUES ('control', ?1) ON CONFLICT (name) DO NOTHING", []byte("0"))
	if err != nil {
		return err
	}
	have, err := controlRevision(w.tx, "{lock}")
	if err != nil {
		return err
	}
	if have != d.base.Revision {
		return errMoved
	}
	for _, note := range d.notes {
		a := *note // the transaction may be run again
		a.By, a.Revision = by, have+min(1, int64(len(d.changed)))
		w.notes = append(w.notes, &a)
	}
	if len(d.changed) == 0 {
		return nil
	}
	revision := have + 1
	if err := w.do("UPDATE meta SET value = ?1 WHERE name = 'control'", []byte(fmt.Sprint(revision))); err != nil {
		return err
	}
	for _, hash := range slices.Sorted(maps.Keys(d.blobs)) {
		if err := w.do("INSERT INTO blobs (hash, content) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING", hash, d.blobs[hash]); err != nil {
			return err
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(d.changed), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if err := w.putEntry(id[0], id[1], d.changed[id], revision); err != nil {
			return err
		}
	}
	w.stir(controlPlane)
	return nil
}

func (w *work) putEntry(kind, name string, e *Entry, revision int64) error {
	if e == nil {
		if err := w.do("DELETE FROM control WHERE kind = ?1 AND name = ?2", kind, name); err != nil {
			return err
		}
		return w.do(`INSERT INTO control_gone (kind, name, revision) VALUES (?1, ?2, ?3)
ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision`, kind, name, revision)
	}
	if err := w.do("DELETE FROM control_gone WHERE kind = ?1 AND name = ?2", kind, name); err != nil {
		return err
	}
	return w.do(`INSERT INTO control (kind, name, parent, body, secret, revision, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (kind, name) DO UPDATE SET parent = excluded.parent, body = excluded.body, secret = excluded.secret,
	revision = excluded.revision, changed = excluded.changed`,
		kind, name, e.Parent, e.Body, e.Secret, revision, micro(e.Created), micro(e.Changed))
}

// Entry reads one thing: ErrNotFound when there is none.
func (db *DB) Entry(ctx context.Context, kind, name string) (Entry, error) {
	c, err := db.Control(ctx)
	if err != nil {
		return Entry{}, err
	}
	if e := c.Get(kind, name); e != nil {
		return *e, nil
	}
	return Entry{}, fmt.Errorf("%w: %s %q", ErrNotFound, kind, name)
}

// Content reads a content by its hash: ErrNotFound when there is none, and an
// error when it is not what its name says.
func (db *DB) Content(ctx context.Context, hash string) ([]byte, error) {
	var content []byte
	found := false
	err := db.read(ctx, func(t tx) (err error) {
		found, err = one(t, []any{&content}, "SELECT content FROM blobs WHERE hash = ?1", hash)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("%w: no content of the hash %s", ErrNotFound, hash)
	case HashOf(content) != hash:
		return nil, fmt.Errorf("ledger: the content of the hash %s was changed", hash)
	}
	return content, nil
}

// WatchControl calls f when the control plane may have changed, here or at
// another replica: soon after the change, or within a second when the
// connection that tells of it is broken. Calls may be spurious and may come at
// the same time; f must not block. stop ends them, but for one that is under way.
func (db *DB) WatchControl(f func()) (stop func()) {
	return db.watch.add(func(name string) {
		if name == controlPlane {
			f()
		}
	})
}

// every is how often a replica looks for changes of which it was not told.
const every = 500 * time.Millisecond

// pollControl finds what no notification has told of.
func (db *DB) pollControl(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var revision int64
		err := db.read(ctx, func(t tx) (err error) {
			revision, err = controlRevision(t, "")
			return err
		})
		if err == nil && revision != seen {
			db.watch.call(controlPlane)
			seen = revision
		}
	}
}

// Replica is what a process serves of the control plane.
type Replica struct {
	Name string
	// Revision is the last that it has read, Served the one that it serves:
	// they differ while it builds, and when it cannot.
	Revision, Served int64
	// Built is when the table that it serves was built.
	Built time.Time
	// Problems are why it does not serve Revision.
	Problems []string
	// Seen is when it last said so.
	Seen time.Time
}

// forgotten is how long a replica that says nothing is listed.
const forgotten = 24 * time.Hour

// Seen says what this replica serves; r.Name and r.Seen do not count.
func (db *DB) Seen(ctx context.Context, r Replica) error {
	problems, err := json.Marshal(r.Problems)
	if err != nil {
		return err
	}
	return db.alone(ctx, func(w *work) error {
		if err := w.do("DELETE FROM replicas WHERE seen < ?1", w.now-forgotten.Microseconds()); err != nil {
			return err
		}
		return w.do(`INSERT INTO replicas (name, revision, served, built, problems, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, served = excluded.served, built = excluded.built,
	problems = excluded.problems, seen = excluded.seen`, db.options.Replica, r.Revision, r.Served, micro(r.Built), problems, w.now)
	})
}

// Replicas lists what the replicas have said within a day, by name.
func (db *DB) Replicas(ctx context.Context) ([]Replica, error) {
	var list []Replica
	err := db.read(ctx, func(t tx) error {
		return t.query(func(row row) error {
			var r Replica
			var problems []byte
			var built, seen int64
			if err := row.Scan(&r.Name, &r.Revision, &r.Served, &built, &problems, &seen); err != nil {
				return err
			}
			r.Built, r.Seen = moment(built), moment(seen)
			list = append(list, r)
			return json.Unmarshal(problems, &list[len(list)-1].Problems)
		}, "SELECT name, revision, served, built, problems, seen FROM replicas WHERE seen >= ?1 ORDER BY name", db.now()-forgotten.Microseconds())
	})
	return list, err
}

// Used notes when things of a kind were last used. It makes no revision, and
// never goes back in time.
func (db *DB) Used(ctx context.Context, kind string, at map[string]time.Time) error {
	if len(at) == 0 {
		return nil
	}
	return db.alone(ctx, func(w *work) error {
		for _, name := range slices.Sorted(maps.Keys(at)) {
			err := w.do(`INSERT INTO control_used (kind, name, at) VALUES (?1, ?2, ?3)
ON CONFLICT (kind, name) DO UPDATE SET at = excluded.at WHERE control_used.at < excluded.at`, kind, name, micro(at[name]))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// LastUsed tells when things were last used; those that never were are not in it.
func (db *DB) LastUsed(ctx context.Context, kind string, names []string) (map[string]time.Time, error) {
	found := map[string]time.Time{}
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var name string
			var at int64
			err := r.Scan(&name, &at)
			found[name] = moment(at)
			return err
		}, "SELECT u.name, u.at FROM {texts ?2} JOIN control_used u ON u.kind = ?1 AND u.name = v.value", kind, names)
	})
	return found, err
}
