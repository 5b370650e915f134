package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// By says who does something, and why. It is kept as an audit row.
type By struct {
	// Actor did it, in the role Role; Reason is why, in the actor's words.
	Actor, Role, Reason string
	// RequestID is the request by which it was done; empty without one.
	RequestID string
}

// Audit is one action of a person. Each is chained by its hash to the one
// before it, over all replicas, so that none can be edited, removed or inserted
// without VerifyAudit finding it.
type Audit struct {
	// Number is one more than that of the action before.
	Number int64
	At     time.Time
	By     By
	// Action is cancel, retry, resolve, replace, discard, pause or resume of a
	// write, or create, update or delete of a thing of the control plane, or what
	// Draft.Note was told. Target is the write's ID, SYSTEM or SYSTEM/LANE, or
	// KIND/NAME.
	Action, Target string
	// Revision is the one of the control plane that the action made; 0 for writes.
	Revision int64
	// Before and After are the bodies of the thing; nil when it was not, or is
	// no longer, there. They hold no secrets.
	Before, After []byte
	// Hash is SHA-256 over the hash of the row before and everything above.
	Hash []byte
}

// sum is the hash that the row has behind one of the hash before.
func (a *Audit) sum(before []byte) []byte {
	h := sha256.New()
	field := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	number := func(n int64) { field(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	field(before)
	number(a.Number)
	number(a.At.UnixMicro())
	for _, text := range []string{a.By.Actor, a.By.Role, a.By.Reason, a.By.RequestID, a.Action, a.Target} {
		field([]byte(text))
	}
	number(a.Revision)
	for _, body := range [][]byte{a.Before, a.After} {
		if body == nil { // is not an empty one
			number(0)
		} else {
			number(1)
			field(body)
		}
	}
	return h.Sum(nil)
}

// link is a place in the chain: a row's number and hash.
type link struct {
	number int64
	hash   []byte
}

// The links that meta keeps: the last row, and the last that was deleted
// because of its age.
const (
	auditHead = "audit_head"
	auditTail = "audit_tail"
)

func (l link) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(l.number)), l.hash...)
}

// readLink reads a link and keeps other replicas from changing it.
func readLink(t tx, name, lock string) (link, error) {
	var value []byte
	found, err := one(t, []any{&value}, "SELECT value FROM meta WHERE name = ?1 "+lock, name)
	if err == nil && (!found || len(value) != 8+sha256.Size) {
		err = fmt.Errorf("ledger: meta has no %s", name)
	}
	if err != nil {
		return link{}, err
	}
	return link{int64(binary.BigEndian.Uint64(value)), value[8:]}, nil
}

func (l link) write(t tx, name string) error {
	return t.do("UPDATE meta SET value = ?2 WHERE name = ?1", name, l.bytes())
}

// beginChain makes the chain the first time; rows from before there was one
// are its first.
func beginChain(t tx) error {
	start := link{hash: make([]byte, sha256.Size)}
	made := false
	err := t.query(func(row) error { made = true; return nil },
		"INSERT INTO meta (name, value) VALUES ('audit_head', ?1) ON CONFLICT (name) DO NOTHING RETURNING 1", start.bytes())
	if err != nil || !made {
		return err
	}
	if err := t.do("INSERT INTO meta (name, value) VALUES ('audit_tail', ?1)", start.bytes()); err != nil {
		return err
	}
	var old []*Audit
	err = t.query(func(r row) (err error) {
		a, err := scanAudit(r)
		old = append(old, a)
		return err
	}, "SELECT "+auditColumns+" FROM audit ORDER BY number")
	if err != nil || len(old) == 0 {
		return err
	}
	if err := t.do("DELETE FROM audit"); err != nil {
		return err
	}
	return chain(t, old)
}

// audit notes an action; the row is written when all else of the transaction
// is done, so that replicas wait for each other as shortly as possible.
func (w *work) audit(action, target string, by By) error {
	w.notes = append(w.notes, &Audit{By: by, Action: action, Target: target})
	return nil
}

// chain writes what was noted.
func (w *work) chain() error {
	for _, a := range w.notes {
		a.At = moment(w.now)
	}
	return chain(w.tx, w.notes)
}

func chain(t tx, list []*Audit) error {
	if len(list) == 0 {
		return nil
	}
	head, err := readLink(t, auditHead, "{lock}")
	if err != nil {
		return err
	}
	var rows [][]any
	for _, a := range list {
		a.Number = head.number + 1
		a.Hash = a.sum(head.hash)
		head = link{a.Number, a.Hash}
		rows = append(rows, []any{a.Number, a.At.UnixMicro(), a.By.Actor, a.By.Role, a.By.Reason, a.By.RequestID, a.Action, a.Target,
			a.Revision, a.Before, a.After, a.Hash})
	}
	if err := t.insert(&auditTable, rows, ""); err != nil {
		return err
	}
	return head.write(t, auditHead)
}

var auditTable = table{"audit", []column{{"number", integer}, {"at", integer}, {"actor", text}, {"role", text}, {"reason", text}, {"request", text},
	{"action", text}, {"target", text}, {"revision", integer}, {"was", blob}, {"became", blob}, {"hash", blob}}}

const auditColumns = "number, at, actor, role, reason, request, action, target, revision, was, became, hash"

func scanAudit(r row) (*Audit, error) {
	a := &Audit{}
	var at int64
	err := r.Scan(&a.Number, &at, &a.By.Actor, &a.By.Role, &a.By.Reason, &a.By.RequestID, &a.Action, &a.Target, &a.Revision, &a.Before, &a.After, &a.Hash)
	a.At = moment(at)
	return a, err
}

// shorten deletes the oldest rows, up to the first that is of the time before
// or later, some at a time.
func (w *work) shorten(before int64) error {
	tail, err := readLink(w.tx, auditTail, "{lock}")
	if err != nil {
		return err
	}
	last, younger := tail, false
	err = w.query(func(r row) error {
		var at int64
		var next link
		err := r.Scan(&next.number, &at, &next.hash)
		if younger = younger || at >= before; !younger {
			last = next
		}
		return err
	}, "SELECT number, at, hash FROM audit WHERE number > ?1 ORDER BY number LIMIT 1000", tail.number)
	if err != nil || last.number == tail.number {
		return err
	}
	if err := w.do("DELETE FROM audit WHERE number <= ?1", last.number); err != nil {
		return err
	}
	return last.write(w.tx, auditTail)
}

// AuditFilter chooses audit rows; empty fields choose all.
type AuditFilter struct {
	Actor, Action, Target string
	// Kind chooses what was done to things of the control plane of this kind.
	Kind string
	// Since is the first moment, Until the one after the last.
	Since, Until time.Time
	// Before is the number from which earlier rows are listed; from the newest when 0.
	Before int64
	// Limit is at most 1000; 100 when 0.
	Limit int
}

// Audits lists actions, the newest first.
func (db *DB) Audits(ctx context.Context, f AuditFilter) ([]*Audit, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	if f.Limit < 0 || f.Limit > 1000 {
		return nil, fmt.Errorf("%w: a limit of %d", ErrInvalid, f.Limit)
	}
	var list []*Audit
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			a, err := scanAudit(r)
			list = append(list, a)
			return err
		}, "SELECT "+auditColumns+` FROM audit WHERE (CAST(?1 AS bigint) = 0 OR number < ?1) AND (CAST(?2 AS text) = '' OR actor = ?2)
AND (CAST(?3 AS text) = '' OR action = ?3) AND (CAST(?4 AS text) = '' OR target = ?4)
AND at >= ?5 AND (CAST(?6 AS bigint) = 0 OR at < ?6) AND (CAST(?8 AS text) = '' OR (target >= ?9 AND target < ?10)) ORDER BY number DESC LIMIT ?7`,
			f.Before, f.Actor, f.Action, f.Target, micro(f.Since), micro(f.Until), int64(f.Limit), f.Kind, f.Kind+"/", f.Kind+"0")
	})
	return list, err
}

// AuditHead is the end of a chain. Who keeps it elsewhere can later prove that
// nothing up to it was changed, even by one who may write all tables: the row
// of this number has this hash.
type AuditHead struct {
	// First is the first row that is kept, Last the last; none when Last is less.
	First, Last int64
	Hash        []byte
}

// AuditError names the first row at which the chain is broken.
type AuditError struct {
	Number int64
	Wrong  string
}

func (e *AuditError) Error() string { return fmt.Sprintf("ledger: audit row %d %s", e.Number, e.Wrong) }

// VerifyAudit goes through the whole chain. *AuditError when a row was edited,
// removed or inserted. since may be the head of an earlier time, which has to
// be in the chain still, as long as its row is kept; the zero value asks for nothing.
func (db *DB) VerifyAudit(ctx context.Context, since AuditHead) (AuditHead, error) {
	var found AuditHead
	err := db.read(ctx, func(t tx) error {
		tail, err := readLink(t, auditTail, "")
		if err != nil {
			return err
		}
		head, err := readLink(t, auditHead, "")
		if err != nil {
			return err
		}
		if since.Last == tail.number && since.Last > 0 && !bytes.Equal(since.Hash, tail.hash) {
			return &AuditError{since.Last, "has not the hash that was noted"}
		}
		v := verifier{at: tail, head: head, since: since}
		err = t.query(func(r row) error {
			a, err := scanAudit(r)
			if err != nil {
				return err
			}
			return v.next(a)
		}, "SELECT "+auditColumns+" FROM audit ORDER BY number")
		if err != nil {
			return err
		}
		found = AuditHead{First: tail.number + 1, Last: head.number, Hash: head.hash}
		return v.end()
	})
	return found, err
}

// verifier follows a chain.
type verifier struct {
	at, head link
	since    AuditHead
}

func (v *verifier) next(a *Audit) error {
	due := v.at.number + 1
	switch {
	case a.Number < due || a.Number > v.head.number:
		return &AuditError{a.Number, "was inserted: it is not part of the chain"}
	case a.Number > due:
		return &AuditError{due, "was removed"}
	case !bytes.Equal(a.Hash, a.sum(v.at.hash)):
		return &AuditError{a.Number, "was edited, or what stands before it was"}
	case a.Number == v.since.Last && !bytes.Equal(a.Hash, v.since.Hash):
		return &AuditError{a.Number, "has not the hash that was noted"}
	}
	v.at = link{a.Number, a.Hash}
	return nil
}

func (v *verifier) end() error {
	switch {
	case v.at.number < v.head.number:
		return &AuditError{v.at.number + 1, "was removed"}
	case !bytes.Equal(v.at.hash, v.head.hash):
		return &AuditError{v.at.number, "was edited: it is not the one that was written last"}
	case v.since.Last > v.head.number:
		return &AuditError{v.since.Last, "was removed: it has been noted"}
	}
	return nil
}
