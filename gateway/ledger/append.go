package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs"
)

// appending is a write on its way into the ledger.
type appending struct {
	w        *Write
	keys     []string // its business keys, each once
	keysJSON string
	lanes    []string // the names of its lanes
	coalesce []byte
	ahead    int64
	run      int64 // that it is a step of in the place of another write; 0 for none

	// What the transaction finds out; reset when it runs again.
	seq, token int64
	fresh      bool // it is a new write
	late       bool
	gap        bool
	ready      bool
	blockers   int64
	handed     bool
	superseded int
	replaces   string
	receipt    Receipt
}

// Append keeps a write. When it returns without an error the write is durable.
// Several appends that are under way at the same time share a commit. A ctx
// that ends while the write is being committed does not take it back.
// ErrKeyReused, *FullError, ErrInvalid, ErrFailing.
func (db *DB) Append(ctx context.Context, w *Write) (Receipt, error) {
	a, err := prepare(w)
	if err != nil {
		return Receipt{}, err
	}
	if a.ahead, err = db.tally.reserve(w); err != nil {
		return db.known(ctx, w, err)
	}
	err = db.submit(ctx, &op{write: a})
	db.tally.release(w)
	if err != nil {
		return Receipt{}, err
	}
	return a.receipt, nil
}

// known answers an append for which there is no room, if it needs none.
func (db *DB) known(ctx context.Context, w *Write, full error) (Receipt, error) {
	if w.Key == "" {
		return Receipt{}, full
	}
	var receipt Receipt
	err := db.read(ctx, func(t tx) error {
		var seq int64
		var print []byte
		found, err := one(t, []any{&seq, &print}, "SELECT k.seq, k.fingerprint FROM keys k WHERE k.key = ?1 AND k.app = ?3 AND k.operation = ?4 AND "+keptKey,
			w.Key, db.now(), w.App, w.Operation)
		switch {
		case err != nil:
			return err
		case !found:
			return full
		case !bytes.Equal(print, w.Fingerprint):
			return ErrKeyReused
		}
		receipt, err = db.receipt(t, seq)
		return err
	})
	return receipt, err
}

// keptKey tells whether a row k of keys is still in force at ?2.
const keptKey = "(k.until >= ?2 OR EXISTS (SELECT 1 FROM writes w WHERE w.seq = k.seq AND w.settled = 0))"

// receipt answers with a write that was there before.
func (db *DB) receipt(t tx, seq int64) (Receipt, error) {
	list, err := db.records(t, []int64{seq}, true)
	if err != nil {
		return Receipt{}, err
	}
	if len(list) == 0 {
		return Receipt{}, fmt.Errorf("%w: number %d", ErrNotFound, seq)
	}
	return Receipt{ID: list[0].ID, Seq: seq, Existing: list[0]}, nil
}

// prepare checks a write, and does what needs no transaction.
func prepare(w *Write) (*appending, error) {
	switch {
	case w.System == "" || strings.ContainsAny(w.System, "/\x00"):
		return nil, fmt.Errorf("%w: system %q", ErrInvalid, w.System)
	case w.Class > specs.Critical:
		return nil, fmt.Errorf("%w: class %d", ErrInvalid, w.Class)
	case w.Sequence != nil && len(w.Lanes) == 0:
		return nil, fmt.Errorf("%w: a sequence needs a lane", ErrInvalid)
	case w.Coalesce && len(w.Lanes) == 0:
		return nil, fmt.Errorf("%w: coalescing needs a lane", ErrInvalid)
	}
	for _, s := range append([]string{w.App, w.Operation, w.Key, w.Correlation}, w.Lanes...) {
		if strings.ContainsRune(s, 0) || !valid(s) { // Postgres cannot keep them
			return nil, fmt.Errorf("%w: a name or key is not text", ErrInvalid)
		}
	}
	a := &appending{w: w}
	for _, key := range w.Lanes {
		if !slices.Contains(a.keys, key) {
			a.keys = append(a.keys, key)
		}
	}
	a.lanes = laneNames(w.System, a.keys)
	list, err := json.Marshal(a.keys)
	if err != nil {
		return nil, err
	}
	a.keysJSON = string(list)
	if w.Coalesce {
		a.coalesce = coalesceKey(w, a.keys)
	}
	return a, nil
}

func valid(s string) bool { return strings.ToValidUTF8(s, "") == s }

// coalesceKey is the same for writes that may stand for each other.
func coalesceKey(w *Write, keys []string) []byte {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	h := sha256.New()
	for _, s := range append([]string{w.System, w.App, w.Operation}, keys...) {
		fmt.Fprintf(h, "%d %s", len(s), s)
	}
	return h.Sum(nil)[:16]
}

// size is what a write counts against bounds: what it takes in the tables, roughly.
func (w *Write) size() int64 {
	n := len(w.Request) + len(w.Key) + len(w.Correlation) + len(w.Operation) + 400
	for _, l := range w.Lanes {
		n += 2*len(l) + 40
	}
	return int64(n)
}

// append keeps the writes of a batch. Those that concern each other more than
// by standing in line wait for the next transaction.
func (w *work) append(ops []*op) error {
	if len(ops) == 0 {
		return nil
	}
	ops, err := w.stepsOf(w.apart(ops))
	if err != nil || len(ops) == 0 {
		return err
	}
	known, err := w.lookUp(ops)
	if err != nil {
		return err
	}
	for i, o := range ops {
		w.begin(o.write, known.numbers[i])
	}
	if err := w.keep(ops, known.keys); err != nil {
		return err
	}
	var list []*appending
	for _, o := range ops {
		if a := o.write; a.fresh {
			if err := w.number(a); err != nil {
				return err
			}
			if a.fresh {
				list = append(list, a)
			}
		}
	}
	if err := w.enlist(list, known); err != nil {
		return err
	}
	return w.noteSteps(ops)
}

// enlist adds writes that are new to their lanes and tables.
func (w *work) enlist(list []*appending, known *facts) error {
	superseded, err := w.supersede(list)
	if err != nil {
		return err
	}
	if superseded {
		if known.heads, err = w.heads(lanesOf(list)); err != nil {
			return err
		}
	}
	if err := w.place(list, known); err != nil {
		return err
	}
	if err := w.add(list); err != nil {
		return err
	}
	if err := w.urge(list, known.heads); err != nil {
		return err
	}
	return w.goOn(list)
}

// apart puts those writes off whose idempotency key, sequence, coalescing or step
// meets that of an earlier one of the batch.
func (w *work) apart(ops []*op) (now []*op) {
	met := map[string]bool{}
	for _, o := range ops {
		a := o.write
		var marks []string
		if a.w.Key != "" {
			marks = append(marks, "key\x00"+a.w.App+"\x00"+a.w.Operation+"\x00"+a.w.Key)
		}
		if a.w.Sequence != nil {
			marks = append(marks, "seq\x00"+a.lanes[0])
		}
		if a.coalesce != nil {
			marks = append(marks, string(a.coalesce))
		}
		if r := a.w.Run; r != nil { // the same step again, whose first caller has given up
			marks = append(marks, fmt.Sprintf("run\x00%d\x00%s", r.Claim.Seq, r.Visit))
		}
		if slices.ContainsFunc(marks, func(m string) bool { return met[m] }) {
			if w.later == nil {
				w.later = map[*op]bool{}
			}
			w.later[o] = true
			continue
		}
		for _, m := range marks {
			met[m] = true
		}
		now = append(now, o)
	}
	return now
}

// facts is what the tables tell of new writes before anything of them is kept.
type facts struct {
	numbers []int64 // one for each
	keys    map[keyName]keptRow
	heads   map[string]head // of their lanes
	paused  map[string]bool // the systems among those that are asked to hand over
}

// keyName is what an idempotency key is unique by.
type keyName struct{ app, operation, key string }

func (w *Write) keyName() keyName { return keyName{w.App, w.Operation, w.Key} }

// keptRow is a row of keys.
type keptRow struct {
	seq         int64
	fingerprint []byte
	kept        bool // still in force
}

// lookUp asks all that has to be known of new writes, in one round trip.
func (w *work) lookUp(ops []*op) (*facts, error) {
	known := &facts{numbers: make([]int64, len(ops)), keys: map[keyName]keptRow{}, paused: map[string]bool{}}
	if err := w.db.engine.numbers(w.tx, known.numbers); err != nil {
		return nil, err
	}
	var list []*appending
	var keys, systems []string
	for _, o := range ops {
		list = append(list, o.write)
		if key := o.write.w.Key; key != "" {
			keys = append(keys, key)
		}
		if o.write.w.Hand {
			systems = append(systems, o.write.w.System)
		}
	}
	if err := w.askKeys(keys, known.keys); err != nil {
		return nil, err
	}
	if err := w.askPaused(systems, known.paused); err != nil {
		return nil, err
	}
	var err error
	if known.heads, err = w.askHeads(lanesOf(list), 0); err != nil {
		return nil, err
	}
	return known, w.answers()
}

// lanesOf lists the names of the lanes of writes, each once.
func lanesOf(list []*appending) (lanes []string) {
	for _, a := range list {
		lanes = append(lanes, a.lanes...)
	}
	slices.Sort(lanes)
	return slices.Compact(lanes)
}

// askKeys asks for the rows of idempotency keys, whosever they are.
func (w *work) askKeys(keys []string, found map[keyName]keptRow) error {
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return w.ask(func(r row) error {
		var name keyName
		var k keptRow
		var kept int64
		err := r.Scan(&name.app, &name.operation, &name.key, &k.seq, &k.fingerprint, &kept)
		k.kept = kept == 1
		found[name] = k
		return err
	}, "SELECT k.app, k.operation, k.key, k.seq, k.fingerprint, CASE WHEN "+keptKey+" THEN 1 ELSE 0 END FROM {texts ?1} JOIN keys k ON k.key = v.value",
		slices.Compact(keys), w.now)
}

// askPaused asks which of the systems are paused.
func (w *work) askPaused(systems []string, paused map[string]bool) error {
	if len(systems) == 0 {
		return nil
	}
	slices.Sort(systems)
	return w.ask(func(r row) error {
		var system string
		err := r.Scan(&system)
		paused[system] = true
		return err
	}, "SELECT p.system FROM {texts ?1} JOIN pauses p ON p.system = v.value AND p.lane = ''", slices.Compact(systems))
}

// begin gives a write its number, and forgets an earlier run of the transaction.
func (w *work) begin(a *appending, seq int64) {
	*a = appending{w: a.w, keys: a.keys, keysJSON: a.keysJSON, lanes: a.lanes, coalesce: a.coalesce, ahead: a.ahead, replaces: a.replaces, run: a.run}
	a.seq, a.token, a.fresh = seq, token(), true
	a.receipt = Receipt{ID: w.db.ids.name(a.seq, a.token), Seq: a.seq, Ahead: a.ahead}
}

// keep takes the idempotency keys of new writes, and finds the writes of those
// that are taken. Keys are taken in order: two replicas that take the same
// ones must not wait for each other. When another replica has taken one since
// they were looked up, the transaction is thwarted and runs again.
func (w *work) keep(ops []*op, found map[keyName]keptRow) error {
	var rows [][]any
	keyed := slices.Clone(ops)
	slices.SortFunc(keyed, func(a, b *op) int { return strings.Compare(a.write.w.Key, b.write.w.Key) })
	for _, o := range keyed {
		a := o.write
		if a.w.Key == "" {
			continue
		}
		if k, ok := found[a.w.keyName()]; ok && k.kept {
			if err := w.repeat(o, k); err != nil {
				return err
			}
			continue
		} else if ok {
			err := w.do("DELETE FROM keys WHERE app = ?1 AND operation = ?2 AND key = ?3 AND seq = ?4", a.w.App, a.w.Operation, a.w.Key, k.seq)
			if err != nil {
				return err
			}
		}
		rows = append(rows, []any{a.w.App, a.w.Operation, a.w.Key, a.w.Fingerprint, a.seq, w.now, w.now + a.w.KeepKey.Microseconds()})
	}
	return w.insert(&keysTable, rows, "")
}

// repeat answers a write whose idempotency key is taken.
func (w *work) repeat(o *op, k keptRow) error {
	a := o.write
	a.fresh = false
	if !bytes.Equal(k.fingerprint, a.w.Fingerprint) {
		o.err = ErrKeyReused
		return nil
	}
	var err error
	a.receipt, err = w.db.receipt(w.tx, k.seq)
	return err
}

// number finds the place of a write in its sequence.
func (w *work) number(a *appending) error {
	if a.w.Sequence == nil {
		return nil
	}
	lane, n := a.lanes[0], *a.w.Sequence
	var seq int64
	found, err := one(w.tx, []any{&seq}, "SELECT seq FROM numbers WHERE lane = ?1 AND number = ?2", lane, n)
	if err != nil {
		return err
	}
	if found {
		a.fresh = false
		if a.w.Key != "" {
			if err := w.do("UPDATE keys SET seq = ?4 WHERE app = ?1 AND operation = ?2 AND key = ?3", a.w.App, a.w.Operation, a.w.Key, seq); err != nil {
				return err
			}
		}
		a.receipt, err = w.db.receipt(w.tx, seq)
		return err
	}
	var last int64
	found, err = one(w.tx, []any{&last}, "SELECT number FROM numbers WHERE lane = ?1 AND gone = 1 ORDER BY number DESC LIMIT 1", lane)
	if err != nil {
		return err
	}
	a.late = found && n < last
	a.gap = found && n > last+1
	a.receipt.Late, a.receipt.Gap = a.late, a.gap
	return w.do("INSERT INTO numbers (lane, number, seq, gone) VALUES (?1, ?2, ?3, ?4)", lane, n, a.seq, flag(!a.gap))
}

// supersede ends the held writes that new ones stand for, before the new ones
// look what is in their lanes.
func (w *work) supersede(list []*appending) (some bool, err error) {
	var changes []*change
	for _, a := range list {
		if a.coalesce == nil || a.late || a.gap {
			continue
		}
		var seqs []int64
		err := w.query(func(r row) error {
			var seq int64
			err := r.Scan(&seq)
			seqs = append(seqs, seq)
			return err
		}, "SELECT seq FROM writes WHERE coalesce = ?1 AND state = 'held' AND open = 0 AND dead = 0", a.coalesce)
		if err != nil {
			return false, err
		}
		old, err := w.load(seqs, false)
		if err != nil {
			return false, err
		}
		for _, h := range old {
			if h.state != Held || h.open || h.numbered && a.w.Sequence == nil { // another replica was faster
				continue
			}
			a.superseded++
			a.replaces = w.db.ids.name(h.seq, h.token) // the newest of them
			changes = append(changes, &change{row: h, to: Superseded, replaced: a.receipt.ID, reason: "a newer write stands for it"})
		}
		a.receipt.Superseded = a.superseded
	}
	return len(changes) > 0, w.change(changes)
}

// place finds out what is before the new writes in their lanes. The heads are
// those before, and after it those of lanes that begin with one of the writes, too.
func (w *work) place(list []*appending, known *facts) error {
	for _, a := range list {
		if a.late || a.gap {
			continue
		}
		for _, lane := range a.lanes {
			if _, taken := known.heads[lane]; taken {
				a.blockers++
			} else {
				known.heads[lane] = head{seq: a.seq, place: a.seq, rank: rank(a.w.Class), urgent: rank(specs.Low) + 1}
			}
		}
		a.ready = a.blockers == 0 && micro(a.w.NotBefore) <= w.now
		a.handed = a.ready && a.w.Hand && !known.paused[a.w.System]
	}
	return w.addLanes(list)
}

func (w *work) addLanes(list []*appending) error {
	var rows [][]any
	for _, a := range list {
		if a.late || a.gap {
			continue
		}
		for _, lane := range a.lanes {
			rows = append(rows, []any{lane, a.seq, a.seq, rank(a.w.Class)})
		}
	}
	return w.insert(&lanesTable, rows, "")
}

// add inserts the rows of new writes.
func (w *work) add(list []*appending) error {
	var plain, writes, requests, steps [][]any
	var told []int64
	for _, a := range list {
		if a.late || a.gap || a.handed {
			writes = append(writes, w.writeRow(a))
		} else {
			plain = append(plain, w.plainRow(a))
		}
		requests = append(requests, w.requestRow(a))
		if a.late {
			steps = append(steps, []any{a.seq, int64(1), w.now, int64(0), string(Refused), int64(0), int64(0), w.db.options.Replica, "", lateReason})
		} else {
			w.deltas = append(w.deltas, delta{a.w.System, a.w.App, a.w.Class, 1, a.w.size()})
		}
		if a.handed {
			a.receipt.Claimed = w.handed(a)
		}
		a.receipt.Ready = a.ready
		if !a.handed {
			told = append(told, a.seq)
			w.db.front.lower(a.w.System, a.seq) // a later number of another replica may have been claimed
			w.stir(a.w.System)
		}
	}
	if err := w.insert(&plainTable, plain, ""); err != nil {
		return err
	}
	if err := w.insert(&writesTable, writes, ""); err != nil {
		return err
	}
	if err := w.insert(&requestsTable, requests, ""); err != nil {
		return err
	}
	if err := w.tell(told); err != nil {
		return err
	}
	return w.insert(&timelineTable, steps, "")
}

// lateCause groups the writes that came after those that they had to precede.
const (
	lateCause  = "late"
	lateReason = "its successors in the sequence went before it came"
)

// plainRow is the row of a write that waits for nothing but its turn and its time.
func (w *work) plainRow(a *appending) []any {
	notBefore := micro(a.w.NotBefore)
	if notBefore <= w.now {
		notBefore = 0
	}
	return []any{a.seq, a.w.System, a.w.App, rank(a.w.Class), rank(a.w.Class), a.seq,
		a.blockers, flag(a.ready), flag(len(a.lanes) > 0), flag(a.w.Continue), a.w.size(), notBefore, micro(a.w.Expires), a.coalesce, a.w.Timeout.Microseconds(), a.runSeq()}
}

// writeRow is the row of one that is late, waits for a gap, or is handed over.
func (w *work) writeRow(a *appending) []any {
	state, owner, cause, reason := Held, "", "", ""
	var lease, started, settled, epoch, version int64 = 0, 0, 0, 0, 1
	notBefore := micro(a.w.NotBefore)
	if notBefore <= w.now {
		notBefore = 0
	}
	switch {
	case a.late:
		state, cause, reason, settled = Refused, lateCause, lateReason, w.now
	case a.gap:
		notBefore = max(notBefore, w.now+max(1, a.w.GapWait.Microseconds()))
	case a.handed:
		state, owner, epoch, started = Sending, w.db.owner, 1, w.now
		lease = w.now + w.db.options.Lease.Microseconds()
	}
	laned := !a.late && !a.gap && len(a.lanes) > 0
	return []any{a.seq, a.w.System, a.w.App, string(state), rank(a.w.Class), rank(a.w.Class),
		a.seq, a.blockers, flag(a.ready && !a.handed), flag(a.gap), flag(laned), flag(a.late), int64(0),
		flag(a.w.Continue), a.w.size(), int64(0), flag(a.handed), epoch, version, owner,
		lease, started, started, notBefore, micro(a.w.Expires), settled,
		a.coalesce, int64(0), cause, reason, "", a.w.Timeout.Microseconds(), a.runSeq()}
}

func (w *work) requestRow(a *appending) []any {
	until := int64(0)
	if a.w.Key != "" {
		until = w.now + a.w.KeepKey.Microseconds()
	}
	request := a.w.Request
	if request == nil {
		request = []byte{}
	}
	return []any{a.seq, a.token, a.w.Operation, a.w.Correlation, w.now, a.keysJSON, a.w.Sequence, a.w.Key, until, a.w.Fingerprint, a.replaces, request}
}

func (w *work) handed(a *appending) *Claimed {
	return &Claimed{
		ID: a.receipt.ID, Seq: a.seq, Epoch: 1, Lease: moment(w.now + w.db.options.Lease.Microseconds()),
		System: a.w.System, App: a.w.App, Operation: a.w.Operation, Class: a.w.Class, Rank: a.w.Class, Lanes: a.keys,
		Key: a.w.Key, Correlation: a.w.Correlation, Run: a.runSeq(), Continue: a.w.Continue, Request: a.w.Request, Bytes: a.w.size(),
		Sendings: 1, Timeout: a.w.Timeout, Accepted: moment(w.now), Expires: a.w.Expires, FirstSent: moment(w.now), started: moment(w.now),
	}
}

// urge lets the heads of lanes inherit the rank of new writes behind them.
func (w *work) urge(list []*appending, heads map[string]head) error {
	most := map[string]int64{}
	for _, a := range list {
		if a.blockers == 0 {
			continue
		}
		for _, lane := range a.lanes {
			if to, ok := most[lane]; !ok || rank(a.w.Class) < to {
				most[lane] = rank(a.w.Class)
			}
		}
	}
	for _, lane := range slices.Sorted(maps.Keys(most)) {
		if h := heads[lane]; most[lane] < h.rank {
			if err := w.inherit(lane, h, most[lane], 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// goOn lets in what has waited for the numbers that new writes brought.
func (w *work) goOn(list []*appending) error {
	for _, a := range list {
		if a.w.Sequence != nil && !a.gap && !a.late {
			if err := w.letIn(a.lanes[0], *a.w.Sequence+1, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// letIn lets the waiting writes of a lane in whose numbers follow each other
// from n on.
func (w *work) letIn(lane string, n int64, reason string) error {
	for ; ; n++ {
		var seq int64
		found, err := one(w.tx, []any{&seq}, "SELECT seq FROM numbers WHERE lane = ?1 AND number = ?2 AND gone = 0", lane, n)
		if err != nil || !found {
			return err
		}
		if err := w.do("UPDATE numbers SET gone = 1 WHERE lane = ?1 AND number = ?2", lane, n); err != nil {
			return err
		}
		list, err := w.load([]int64{seq}, false)
		if err != nil {
			return err
		}
		if len(list) == 0 || !list[0].gap { // it was cancelled meanwhile
			continue
		}
		h := list[0]
		if err := w.enter(h); err != nil {
			return err
		}
		if err := w.change([]*change{{row: h, to: Held, reason: reason}}); err != nil {
			return err
		}
	}
}
