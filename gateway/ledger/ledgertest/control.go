package ledgertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

var architect = ledger.By{Actor: "ada", Role: "architect", Reason: "a new version", RequestID: "r-1"}

// change makes a change that must succeed, and returns its revision.
func (w *world) change(fn func(*ledger.Draft) error) int64 {
	w.Helper()
	revision, err := w.db.Change(w.ctx, architect, fn)
	w.ok(err)
	return revision
}

func (w *world) put(kind, name, body string) int64 {
	w.Helper()
	return w.change(func(d *ledger.Draft) error {
		return d.Put(ledger.Entry{Kind: kind, Name: name, Body: []byte(body)}, ledger.Any)
	})
}

// near tells of a moment that is now, by the server's clock or by ours.
func (w *world) near(at time.Time) bool { return at.Sub(w.now()).Abs() < time.Minute }

func controlKept(w *world) {
	none, err := w.db.Control(w.ctx)
	w.ok(err)
	w.same("nothing", []any{none.Revision, len(none.Entries)}, []any{0, 0})
	w.same("first", w.change(func(d *ledger.Draft) error {
		w.ok(d.Put(ledger.Entry{Kind: "app", Name: "shop", Parent: "acme", Body: []byte(`{"a":1}`)}, ledger.Absent))
		w.ok(d.Put(ledger.Entry{Kind: "app", Name: "desk", Parent: "other", Body: []byte(`{}`)}, ledger.Absent))
		return d.Put(ledger.Entry{Kind: "key", Name: "k", Parent: "shop", Body: []byte(`{}`), Secret: []byte{0, 255}}, ledger.Absent)
	}), 1)
	w.same("second", w.put("app", "shop", `{"a":2}`), 2)
	w.reopen()
	c, err := w.db.Control(w.ctx)
	w.ok(err)
	shop, key := c.Get("app", "shop"), c.Get("key", "k")
	w.same("entries", []any{c.Revision, len(c.Entries), len(c.Of("app")), len(c.Of("ap")), c.Get("app", "x") == nil}, []any{2, 3, 2, 0, true})
	w.same("shop", []any{string(shop.Body), shop.Parent, shop.Revision, w.near(shop.Created)}, []any{`{"a":2}`, "", 2, true})
	w.same("key", []any{key.Secret, key.Parent, key.Revision}, []any{[]byte{0, 255}, "shop", 1})
	w.change(func(d *ledger.Draft) error { return d.Delete("app", "desk", ledger.Any) })
	c, err = w.db.Control(w.ctx)
	w.ok(err)
	w.same("deleted", []any{c.Revision, len(c.Entries), c.Get("app", "desk") == nil}, []any{3, 2, true})
	w.put("app", "desk", `{"again":true}`)
	e, err := w.db.Entry(w.ctx, "app", "desk")
	w.ok(err)
	w.same("made again", []any{string(e.Body), e.Revision}, []any{`{"again":true}`, 4})
	_, err = w.db.Entry(w.ctx, "app", "none")
	w.fails(err, ledger.ErrNotFound)
}

// A snapshot that grows with what has changed is the same as one read anew.
func controlAdvances(w *world) {
	other := w.db
	for i := range 30 {
		w.change(func(d *ledger.Draft) error {
			name := fmt.Sprint("n", i*7%11)
			if _, err := d.Get("app", name); err == nil && i%3 == 0 {
				return d.Delete("app", name, ledger.Any)
			}
			return d.Put(ledger.Entry{Kind: "app", Name: name, Body: []byte(fmt.Sprint(i))}, ledger.Any)
		})
		if i%4 == 0 {
			_, err := other.Control(w.ctx)
			w.ok(err)
		}
	}
	grown, err := other.Control(w.ctx)
	w.ok(err)
	w.reopen()
	fresh, err := w.db.Control(w.ctx)
	w.ok(err)
	show := func(c *ledger.Control) (text string) {
		for _, e := range c.Entries {
			text += fmt.Sprintf("%s %s %s %d\n", e.Kind, e.Name, e.Body, e.Revision)
		}
		return fmt.Sprint(c.Revision, text)
	}
	w.same("snapshot", show(grown), show(fresh))
}

func controlRefuses(w *world) {
	w.put("app", "shop", `{}`)
	refuse := func(want error, fn func(*ledger.Draft) error) {
		w.Helper()
		_, err := w.db.Change(w.ctx, architect, fn)
		w.fails(err, want)
	}
	shop := ledger.Entry{Kind: "app", Name: "shop", Body: []byte(`{"x":1}`)}
	for _, m := range []ledger.Match{ledger.Absent, 7} {
		refuse(ledger.ErrConflict, func(d *ledger.Draft) error { return d.Put(shop, m) })
	}
	refuse(ledger.ErrConflict, func(d *ledger.Draft) error { return d.Delete("app", "shop", 7) })
	refuse(ledger.ErrConflict, func(d *ledger.Draft) error {
		return d.Put(ledger.Entry{Kind: "app", Name: "new", Body: []byte("{}")}, 1)
	})
	refuse(ledger.ErrNotFound, func(d *ledger.Draft) error { return d.Delete("app", "none", ledger.Any) })
	for _, e := range []ledger.Entry{
		{Kind: "app", Body: []byte("{}")}, {Name: "x", Body: []byte("{}")}, {Kind: "app", Name: "x"}, {Kind: "app", Name: "x", Body: []byte("{")},
		{Kind: "app", Name: "x\x00", Body: []byte("{}")},
	} {
		refuse(ledger.ErrInvalid, func(d *ledger.Draft) error { return d.Put(e, ledger.Any) })
	}
	wrong := errors.New("wrong")
	refuse(wrong, func(d *ledger.Draft) error {
		w.ok(d.Put(shop, ledger.Any))
		d.Note("override", "app/shop")
		return wrong
	})
	var conflict *ledger.ConflictError
	_, err := w.db.Change(w.ctx, architect, func(d *ledger.Draft) error { return d.Put(shop, ledger.Absent) })
	if !errors.As(err, &conflict) || conflict.Have != 1 {
		w.Fatalf("%v does not tell the revision", err)
	}
	c, err := w.db.Control(w.ctx)
	w.ok(err)
	w.same("left as it was", []any{c.Revision, string(c.Get("app", "shop").Body)}, []any{1, "{}"})
	// What changes nothing makes no revision.
	w.same("nothing new", w.put("app", "shop", "{}"), 1)
	audits, err := w.db.Audits(w.ctx, ledger.AuditFilter{})
	w.ok(err)
	w.same("audit rows", len(audits), 1)
}

func controlAudited(w *world) {
	w.change(func(d *ledger.Draft) error {
		w.ok(d.Put(ledger.Entry{Kind: "key", Name: "k", Body: []byte(`{"a":1}`), Secret: []byte("hush-hush")}, ledger.Absent))
		e, err := d.Get("key", "k")
		w.ok(err)
		e.Body = []byte(`{"a":2}`)
		w.ok(d.Put(e, ledger.Match(e.Revision)))
		d.Note("override", "key/k")
		return d.Delete("key", "k", ledger.Any)
	})
	w.ok(w.db.Pause(w.ctx, "erp", "", me))
	w.same("a note makes no revision", w.change(func(d *ledger.Draft) error { d.Note("export", "all"); return nil }), 1)
	list, err := w.db.Audits(w.ctx, ledger.AuditFilter{})
	w.ok(err)
	var got []string
	for _, a := range list {
		if bytes.Contains(append(a.Before, a.After...), []byte("hush")) {
			w.Fatalf("a secret is audited: %+v", a)
		}
		got = append(got, fmt.Sprintf("%d %s %s %d %s→%s %s", a.Number, a.Action, a.Target, a.Revision, a.Before, a.After, a.By.Actor))
	}
	w.same("audit", got, []string{
		"6 export all 1 → ada", "5 pause erp 0 → operator", `4 delete key/k 1 {"a":2}→ ada`, "3 override key/k 1 → ada",
		`2 update key/k 1 {"a":1}→{"a":2} ada`, `1 create key/k 1 →{"a":1} ada`,
	})
	w.same("who and why", list[2].By, architect)
	for _, f := range []ledger.AuditFilter{{Action: "delete"}, {Target: "erp"}, {Actor: "operator"}, {Before: 2}, {Limit: 1}} {
		found, err := w.db.Audits(w.ctx, f)
		w.ok(err)
		w.same(fmt.Sprint(f), len(found), 1)
	}
	for kind, n := range map[string]int{"key": 4, "ke": 0, "key/k": 0} {
		found, err := w.db.Audits(w.ctx, ledger.AuditFilter{Kind: kind})
		w.ok(err)
		w.same(kind, len(found), n)
	}
	found, err := w.db.Audits(w.ctx, ledger.AuditFilter{Since: w.in(time.Second)})
	w.ok(err)
	w.same("since", len(found), 0)
	_, err = w.db.Audits(w.ctx, ledger.AuditFilter{Limit: 1001})
	w.fails(err, ledger.ErrInvalid)
	head, err := w.db.VerifyAudit(w.ctx, ledger.AuditHead{})
	w.ok(err)
	w.same("head", []any{head.First, head.Last, head.Hash}, []any{1, 6, list[0].Hash})
	w.reopen()
	_, err = w.db.VerifyAudit(w.ctx, head)
	w.ok(err)
}

// The chain holds when old rows are deleted, and when many replicas write to it.
func auditChain(w *world) {
	w.ok(w.db.Pause(w.ctx, "erp", "", me))
	first, err := w.db.VerifyAudit(w.ctx, ledger.AuditHead{})
	w.ok(err)
	w.advance(time.Hour)
	w.ok(w.db.Resume(w.ctx, "erp", "", me))
	_, err = w.db.Retain(w.ctx, ledger.Retention{Audit: time.Minute})
	w.ok(err)
	_, err = w.db.VerifyAudit(w.ctx, first) // its row is gone, and is the one before all that are kept
	w.ok(err)
	first.Hash = make([]byte, len(first.Hash))
	var broken *ledger.AuditError
	if _, err = w.db.VerifyAudit(w.ctx, first); !errors.As(err, &broken) || broken.Number != 1 {
		w.Errorf("another head than the one that was noted: %v", err)
	}
	head, err := w.db.VerifyAudit(w.ctx, ledger.AuditHead{})
	w.ok(err)
	w.same("kept", []any{head.First, head.Last}, []any{2, 2})
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"), w.open("three"))
	}
	var wg sync.WaitGroup
	for i, db := range dbs {
		wg.Go(func() {
			for n := range 10 {
				if err := db.Pause(w.ctx, fmt.Sprint("s", i), "", me); err != nil {
					w.Error(err)
				}
				_, err := db.Change(w.ctx, architect, func(d *ledger.Draft) error {
					return d.Put(ledger.Entry{Kind: "app", Name: fmt.Sprint("a", i, "-", n), Body: []byte("{}")}, ledger.Absent)
				})
				if err != nil {
					w.Error(err)
				}
			}
		})
	}
	wg.Wait()
	now, err := w.db.VerifyAudit(w.ctx, head)
	w.ok(err)
	w.same("rows", now.Last, head.Last+int64(20*len(dbs)))
	c, err := w.db.Control(w.ctx)
	w.ok(err)
	w.same("revisions", []any{c.Revision, len(c.Entries)}, []any{10 * len(dbs), 10 * len(dbs)})
}

// Changes that read before they write are not lost, whoever makes them.
func controlSerialised(w *world) {
	w.put("counter", "n", "0")
	dbs := []*ledger.DB{w.db, w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"))
	}
	var wg sync.WaitGroup
	for _, db := range dbs {
		wg.Go(func() {
			for range 8 {
				_, err := db.Change(w.ctx, architect, func(d *ledger.Draft) error {
					e, err := d.Get("counter", "n")
					if err != nil {
						return err
					}
					var n int
					fmt.Sscan(string(e.Body), &n)
					e.Body = fmt.Append(nil, n+1)
					return d.Put(e, ledger.Match(e.Revision))
				})
				if err != nil {
					w.Error(err)
				}
			}
		})
	}
	wg.Wait()
	e, err := w.db.Entry(w.ctx, "counter", "n")
	w.ok(err)
	w.same("counted", string(e.Body), fmt.Sprint(8*len(dbs)))
}

// What must not wait is done while another change is made, which is run again
// only if that concerns it.
func controlAtOnce(w *world) {
	w.put("key", "k", "1")
	for _, c := range []struct {
		kind string
		runs int
	}{{"key", 1}, {"app", 2}} {
		runs := 0
		var last *ledger.Draft
		revision, err := w.db.Change(w.ctx, architect, func(d *ledger.Draft) error {
			runs, last = runs+1, d
			d.Indifferent = func(e *ledger.Entry, gone bool) bool { return e.Kind == "key" && !gone }
			if runs == 1 {
				_, err := w.db.ChangeAtOnce(w.ctx, architect, func(d *ledger.Draft) error {
					return d.Put(ledger.Entry{Kind: c.kind, Name: "k", Body: []byte("2")}, ledger.Any)
				})
				w.ok(err)
			}
			return d.Put(ledger.Entry{Kind: "version", Name: c.kind, Body: []byte("3")}, ledger.Absent)
		})
		w.ok(err)
		own, err := w.db.Entry(w.ctx, "version", c.kind)
		w.ok(err)
		drafted, err := last.Get("version", c.kind)
		w.ok(err)
		other, err := w.db.Entry(w.ctx, c.kind, "k")
		w.ok(err)
		w.same("runs for a change of a "+c.kind, runs, c.runs)
		w.same("revisions", []any{own.Revision, drafted.Revision, other.Revision}, []any{revision, revision, revision - 1})
		w.same("the other", string(other.Body), "2")
	}
	err := w.db.Try(w.ctx, func(d *ledger.Draft) error {
		return d.Put(ledger.Entry{Kind: "version", Name: "tried", Body: []byte("1")}, ledger.Absent)
	})
	w.ok(err)
	if _, err := w.db.Entry(w.ctx, "version", "tried"); !errors.Is(err, ledger.ErrNotFound) {
		w.Errorf("what was tried is kept: %v", err)
	}
	_, err = w.db.VerifyAudit(w.ctx, ledger.AuditHead{})
	w.ok(err)
}

func blobs(w *world) {
	big := bytes.Repeat([]byte("x"), 3<<20)
	var hash string
	w.change(func(d *ledger.Draft) error {
		hash = d.Blob(big)
		w.same("again", d.Blob(big), hash)
		got, err := d.Content(hash)
		w.ok(err)
		w.same("in the draft", len(got), len(big))
		return d.Put(ledger.Entry{Kind: "file", Name: "f", Body: []byte(`{}`)}, ledger.Absent)
	})
	w.reopen()
	got, err := w.db.Content(w.ctx, hash)
	w.ok(err)
	if !bytes.Equal(got, big) || hash != ledger.HashOf(big) {
		w.Fatal("the content is not as it was")
	}
	_, err = w.db.Content(w.ctx, ledger.HashOf(nil))
	w.fails(err, ledger.ErrNotFound)
}

// file puts a thing that refers to a content.
func (w *world) file(db *ledger.DB, name, content string) string {
	w.Helper()
	hash, err := w.content(db, name, content)
	w.ok(err)
	return hash
}

// content makes an entry with a content, and gives the content's hash.
func (w *world) content(db *ledger.DB, name, content string) (hash string, err error) {
	_, err = db.Change(w.ctx, architect, func(d *ledger.Draft) error {
		hash = d.Blob([]byte(content))
		return d.Put(ledger.Entry{Kind: "file", Name: name, Body: fmt.Appendf(nil, `{"files":{"a.yaml":%q}}`, hash)}, ledger.Any)
	})
	return hash, err
}

// prune deletes what nothing refers to, and tells how much that was.
func (w *world) prune() int {
	w.Helper()
	n, err := w.db.Prune(w.ctx)
	w.ok(err)
	return n
}

func pruned(w *world) {
	w.same("before the first change", w.prune(), 0)
	old := w.file(w.db, "f", "old")
	kept := w.file(w.db, "g", "kept")
	both := w.file(w.db, "h", "both")
	w.file(w.db, "i", "both")
	w.same("nothing is unused", w.prune()+w.prune(), 0)
	now := w.file(w.db, "f", "new")
	w.change(func(d *ledger.Draft) error { return d.Delete("file", "h", ledger.Any) })
	w.same("for the first time", w.prune(), 0)
	_, err := w.db.Content(w.ctx, old)
	w.ok(err) // a replica may still build a table of it
	w.same("for the second time", w.prune(), 1)
	_, err = w.db.Content(w.ctx, old)
	w.fails(err, ledger.ErrNotFound)
	for _, hash := range []string{now, kept, both} {
		_, err := w.db.Content(w.ctx, hash)
		w.ok(err)
	}
	// What comes back between two calls is kept, and what was deleted can be had again.
	w.file(w.db, "g", "other")
	w.same("unused for a moment", w.prune(), 0)
	w.file(w.db, "j", "kept")
	w.file(w.db, "k", "old")
	w.same("used again", w.prune()+w.prune(), 0)
	for _, hash := range []string{kept, old} {
		_, err := w.db.Content(w.ctx, hash)
		w.ok(err)
	}
}

// prunedMeanwhile changes entries from content to content while contents are
// deleted: what an entry refers to is there at any time.
func prunedMeanwhile(w *world) {
	w.file(w.db, "f0", "content 0")
	dbs := []*ledger.DB{w.db}
	if w.engine.Shared {
		dbs = append(dbs, w.open("two"))
	}
	var changing, pruning sync.WaitGroup
	var done atomic.Bool
	for i, db := range dbs {
		changing.Go(func() {
			for n := range 30 { // few contents: each comes back again and again
				err := ledger.ErrConflict // of a change that others were always faster than
				for errors.Is(err, ledger.ErrConflict) {
					_, err = w.content(db, fmt.Sprint("f", i), fmt.Sprint("content ", n%3))
				}
				if err != nil {
					w.Error(err)
				}
			}
		})
		pruning.Go(func() {
			for !done.Load() {
				if _, err := db.Prune(w.ctx); err != nil {
					w.Error(err)
				}
			}
		})
	}
	changing.Wait()
	done.Store(true)
	pruning.Wait()
	c, err := w.db.Control(w.ctx)
	w.ok(err)
	for _, e := range c.Of("file") {
		var body struct{ Files map[string]string }
		w.ok(json.Unmarshal(e.Body, &body))
		for _, hash := range body.Files {
			_, err := w.db.Content(w.ctx, hash)
			w.ok(err)
		}
	}
}

func controlWatched(w *world) {
	var calls, systems, elsewhere atomic.Int64
	stop := w.db.WatchControl(func() { calls.Add(1) })
	w.db.Watch(func(string) { systems.Add(1) })
	if w.engine.Shared {
		w.open("two").WatchControl(func() { elsewhere.Add(1) })
	} else {
		elsewhere.Add(1)
	}
	before := calls.Load()
	heard := elsewhere.Load()
	w.put("app", "a", "{}")
	if calls.Load() == before {
		w.Fatal("who watches here was not told at once")
	}
	for end := time.Now().Add(time.Minute); w.engine.Shared && elsewhere.Load() == heard; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.Fatal("the other replica was not told")
		}
	}
	w.same("systems", systems.Load(), 0)
	stop()
	before = calls.Load()
	w.put("app", "a", "1")
	w.same("after the end", calls.Load(), before)
}

func replicas(w *world) {
	w.ok(w.db.Seen(w.ctx, ledger.Replica{Revision: 3, Served: 2, Built: w.now(), Problems: []string{"a: wrong"}}))
	list, err := w.db.Replicas(w.ctx)
	w.ok(err)
	if len(list) != 1 {
		w.Fatalf("replicas %+v", list)
	}
	r := list[0]
	w.same("replica", []any{r.Name, r.Revision, r.Served, r.Problems, w.near(r.Seen), r.Built.UnixMicro()},
		[]any{"one", 3, 2, []string{"a: wrong"}, true, w.now().UnixMicro()})
	w.ok(w.db.Seen(w.ctx, ledger.Replica{Revision: 3, Served: 3}))
	list, err = w.db.Replicas(w.ctx)
	w.ok(err)
	w.same("served", []any{len(list), list[0].Served, len(list[0].Problems)}, []any{1, 3, 0})
	w.advance(25 * time.Hour)
	list, err = w.db.Replicas(w.ctx)
	w.ok(err)
	w.same("long gone", len(list), 0)
}

func lastUsed(w *world) {
	at := w.now()
	w.ok(w.db.Used(w.ctx, "key", map[string]time.Time{"a": at, "b": at}))
	w.ok(w.db.Used(w.ctx, "key", map[string]time.Time{"a": at.Add(time.Minute), "b": at.Add(-time.Minute)}))
	got, err := w.db.LastUsed(w.ctx, "key", []string{"a", "b", "c"})
	w.ok(err)
	w.same("used", []any{len(got), got["a"].UnixMicro(), got["b"].UnixMicro()}, []any{2, at.Add(time.Minute).UnixMicro(), at.UnixMicro()})
	c, err := w.db.Control(w.ctx)
	w.ok(err)
	w.same("revision", c.Revision, 0)
}
