package ledger

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs"
)

// work is one transaction of the committer, and what follows from it when it
// has been committed.
type work struct {
	tx
	db  *DB
	now int64

	locked map[string]bool
	runs   map[int64]*runRow // those that the batch is about, locked
	later  map[*op]bool      // ops that have to wait for the next transaction
	finish []func()          // what is done with answers that come with the commit
	deltas []delta
	wake   map[string]bool
	notes  []*Audit // what is to be audited, when all else is done
}

// run does everything that a batch asks for: what ends first, because it
// makes room, then what is new, then claims.
func (w *work) run(batch []*op) error {
	if batch[0].alone != nil {
		if err := batch[0].alone(w); err != nil {
			return err
		}
		return w.chain()
	}
	var settles, writes, claims, runs []*op
	var lanes []string
	for _, o := range batch {
		o.err = nil
		switch {
		case o.settle != nil:
			settles = append(settles, o)
			lanes = append(lanes, laneNames(o.settle.claim.System, o.settle.claim.Lanes)...)
		case o.write != nil:
			writes = append(writes, o)
			lanes = append(lanes, o.write.lanes...)
		case o.claim != nil:
			claims = append(claims, o)
		case o.run != nil:
			runs = append(runs, o)
		}
	}
	if err := w.lock(lanes); err != nil {
		return err
	}
	if err := w.lockRuns(aboutRuns(batch)); err != nil {
		return err
	}
	if err := w.settle(settles); err != nil {
		return err
	}
	if err := w.append(writes); err != nil {
		return err
	}
	if err := w.carry(runs); err != nil {
		return err
	}
	for _, o := range claims {
		if err := w.claim(o.claim); err != nil {
			return err
		}
	}
	return nil
}

// committed carries out what waited for the commit.
func (w *work) committed() {
	for _, f := range w.finish {
		f()
	}
	w.db.tally.add(w.now, w.deltas)
	w.wakeAll()
}

func (w *work) wakeAll() {
	for system := range w.wake {
		w.db.watch.tell(system)
	}
}

// stir remembers that a system has something to do.
func (w *work) stir(system string) {
	if w.wake == nil {
		w.wake = map[string]bool{}
	}
	w.wake[system] = true
}

// lock keeps other replicas out of lanes. Within a transaction it should be
// called once, with all of them, before any row is touched.
func (w *work) lock(lanes []string) error {
	lanes = slices.Clone(lanes)
	slices.Sort(lanes)
	lanes = slices.DeleteFunc(slices.Compact(lanes), func(l string) bool { return w.locked[l] })
	if w.locked == nil {
		w.locked = map[string]bool{}
	}
	for _, l := range lanes {
		w.locked[l] = true
	}
	return w.db.engine.lock(w.tx, lanes)
}

// laneNames makes the names that lanes have in the tables.
func laneNames(system string, keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = system + "/" + key
	}
	return names
}

// laneKey is the business key of a lane's name.
func laneKey(name string) (system, key string) {
	system, key, _ = strings.Cut(name, "/")
	return system, key
}

// rank is how a class stands in the tables: the most urgent is the least.
func rank(c specs.Class) int64 { return int64(specs.Critical - c) }

func class(rank int64) specs.Class { return specs.Critical - specs.Class(rank) }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// head is what stands first in a lane.
type head struct {
	seq, place int64
	rank       int64 // its own, as far as the lane knows
	urgent     int64 // the most urgent behind it, as far as is looked; 4 when there is none
}

// heads reads the heads of lanes; empty ones are not in the map. The lanes'
// index knows all urgent writes; of the classes below only the next few writes
// are looked at, because they must not make a long lane slow.
func (w *work) heads(lanes []string) (map[string]head, error) {
	return w.headsFrom(lanes, 0)
}

// headsFrom reads the heads of lanes in which nothing stands before a place.
func (w *work) headsFrom(lanes []string, place int64) (map[string]head, error) {
	heads, err := w.askHeads(lanes, place)
	if err != nil {
		return nil, err
	}
	return heads, w.answers()
}

// askHeads asks for the heads of lanes: the map is filled with the answer.
// Index entries of what has left a lane may still be there (see front); place
// is where to begin.
func (w *work) askHeads(lanes []string, place int64) (map[string]head, error) {
	heads := make(map[string]head, len(lanes))
	if len(lanes) == 0 {
		return heads, nil
	}
	err := w.ask(func(r row) error {
		var lane string
		var h head
		err := r.Scan(&lane, &h.seq, &h.place, &h.rank, &h.urgent)
		heads[lane] = h
		return err
	}, `SELECT l.lane, l.seq, l.place, l.rank,
	COALESCE((SELECT min(u.rank) FROM lanes u WHERE u.lane = l.lane AND u.rank < 2), 4)
FROM {texts ?1} JOIN lanes l ON l.lane = v.value AND l.place = (SELECT min(m.place) FROM lanes m WHERE m.lane = v.value AND m.place >= ?2)`, lanes, place)
	return heads, err
}

// reorder runs change, which adds to lanes or takes from them, and passes on
// what follows: who has lost the head of a lane is blocked once more, who has
// come to it once less, and inherits the rank of what it now blocks.
func (w *work) reorder(lanes []string, change func() error) error {
	lanes = slices.Clone(lanes)
	slices.Sort(lanes)
	lanes = slices.Compact(lanes)
	before, err := w.heads(lanes)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := w.heads(lanes)
	if err != nil {
		return err
	}
	return w.pass(lanes, before, after)
}

// depart is a reorder in which writes leave their lanes. The heads before it
// are known, and nothing need be asked for them, when all of them are heads.
func (w *work) depart(list []*hot) error {
	before := map[string]head{}
	var lanes []string
	first := list[0].place
	for _, h := range list {
		first = min(first, h.place)
		for _, lane := range h.lanes() {
			lanes = append(lanes, lane)
			before[lane] = head{seq: h.seq, place: h.place}
		}
	}
	if slices.ContainsFunc(list, func(h *hot) bool { return h.blockers > 0 }) {
		return w.reorder(lanes, func() error { return w.leave(list) })
	}
	if err := w.leave(list); err != nil {
		return err
	}
	slices.Sort(lanes)
	lanes = slices.Compact(lanes)
	after, err := w.headsFrom(lanes, first)
	if err != nil {
		return err
	}
	return w.pass(lanes, before, after)
}

// pass passes on what follows from a change of heads.
func (w *work) pass(lanes []string, before, after map[string]head) error {
	less := map[int64]int64{}
	var risen []string
	for _, lane := range lanes {
		b, a := before[lane], after[lane]
		if b.seq == a.seq {
			continue
		}
		if b.seq != 0 {
			less[b.seq]--
		}
		if a.seq != 0 {
			less[a.seq]++
			risen = append(risen, lane)
			system, _ := laneKey(lane)
			w.db.front.lower(system, a.place)
			w.stir(system)
		}
	}
	if err := w.unblock(less); err != nil {
		return err
	}
	for _, lane := range risen {
		if err := w.inherit(lane, after[lane], after[lane].urgent, 0); err != nil {
			return err
		}
	}
	return nil
}

// unblock takes so many blockers from writes. Writes that have left their
// lanes are not touched.
func (w *work) unblock(less map[int64]int64) error {
	var once []int64
	for seq, n := range less {
		switch n {
		case 0:
		case 1:
			once = append(once, seq)
		default:
			err := w.do(`UPDATE writes SET blockers = blockers - ?2,
	ready = CASE WHEN blockers = ?2 AND state = 'held' AND not_before = 0 AND gap = 0 THEN 1 ELSE 0 END
WHERE seq = ?1 AND laned = 1`, seq, n)
			if err != nil {
				return err
			}
		}
	}
	if len(once) == 0 {
		return nil
	}
	slices.Sort(once)
	return w.do(`UPDATE writes SET blockers = blockers - 1,
	ready = CASE WHEN blockers = 1 AND state = 'held' AND not_before = 0 AND gap = 0 THEN 1 ELSE 0 END
WHERE seq {in ?1} AND laned = 1`, once)
}

// deep bounds how far a rank is passed on, from lane to lane.
const deep = 16

// inherit gives the head of a lane the rank of what it blocks, and passes it
// on to the heads that block this head in its other lanes.
func (w *work) inherit(lane string, h head, to int64, depth int) error {
	if to >= h.rank && h.rank == rank(specs.Low) {
		// A low head may block a normal write.
		_, err := one(w.tx, []any{&to}, `SELECT COALESCE(min(f.rank), 4) FROM (SELECT rank FROM lanes WHERE lane = ?1 ORDER BY place LIMIT 32) f`, lane)
		if err != nil {
			return err
		}
	}
	if h.seq == 0 || to >= h.rank || depth > deep {
		return nil
	}
	var keys, system string
	found, err := one(w.tx, []any{&keys, &system}, "SELECT r.lanes, w.system FROM requests r JOIN writes w ON w.seq = r.seq WHERE r.seq = ?1", h.seq)
	if err != nil || !found {
		return err
	}
	lanes := laneNames(system, parseLanes(keys))
	w.db.front.lower(system, h.place)
	if err := w.do("UPDATE writes SET rank = ?2 WHERE seq = ?1 AND rank > ?2", h.seq, to); err != nil {
		return err
	}
	for _, l := range lanes {
		if err := w.do("UPDATE lanes SET rank = ?3 WHERE lane = ?1 AND place = ?2 AND rank > ?3", l, h.place, to); err != nil {
			return err
		}
	}
	if len(lanes) == 1 {
		return nil
	}
	heads, err := w.heads(lanes)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		if before := heads[l]; before.seq != 0 && before.seq != h.seq && before.rank > to {
			if err := w.inherit(l, before, to, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseLanes(list string) []string {
	var keys []string
	json.Unmarshal([]byte(list), &keys) //nolint:errcheck // the package wrote it
	return keys
}

// hot is a write's row, locked.
type hot struct {
	seq, place          int64
	system, app         string
	state               State
	class, rank, bytes  int64
	blockers, attempts  int64
	sendings, epoch     int64
	version, started    int64
	lease               int64
	laned, dead, goesOn bool
	open, gap           bool
	keys                []string
	token, number       int64
	numbered            bool
	operation           string
	correlation, key    string
	accepted, expires   int64
	firstSent           int64
	owner               string
	notBefore, timeout  int64
	run                 int64
	request             []byte
}

// lanes are the names of the write's lanes.
func (h *hot) lanes() []string { return laneNames(h.system, h.keys) }

// load locks writes and reads them, in the order of their numbers. Those that
// are not there are not in the list. request says whether it is read, too.
func (w *work) load(seqs []int64, request bool) (list []*hot, err error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	if err := w.askLoad(seqs, request, func(h *hot) { list = append(list, h) }); err != nil {
		return nil, err
	}
	err = w.answers()
	return list, err
}

// askLoad is a load whose rows come with the answer.
func (w *work) askLoad(seqs []int64, request bool, got func(*hot)) error {
	body := "r.request"
	if !request {
		body = "NULL"
	}
	return w.ask(func(r row) error {
		h := &hot{}
		var laned, dead, goesOn, open, gap int64
		var keys string
		var number *int64
		err := r.Scan(&h.seq, &h.place, &h.system, &h.app, &h.state, &h.class, &h.rank, &h.bytes, &h.blockers, &h.attempts,
			&h.sendings, &h.epoch, &h.version, &h.started, &h.lease, &laned, &dead, &goesOn, &open, &gap, &h.expires, &h.firstSent, &h.owner, &h.notBefore, &h.timeout, &h.run,
			&h.token, &h.operation, &h.correlation, &h.accepted, &keys, &number, &h.key, &h.request)
		h.laned, h.dead, h.goesOn, h.open, h.gap = laned == 1, dead == 1, goesOn == 1, open == 1, gap == 1
		h.keys = parseLanes(keys)
		if number != nil {
			h.number, h.numbered = *number, true
		}
		got(h)
		return err
	}, `SELECT w.seq, w.place, w.system, w.app, w.state, w.class, w.rank, w.bytes, w.blockers, w.attempts,
	w.sendings, w.epoch, w.version, w.started, w.lease, w.laned, w.dead, w.goes_on, w.open, w.gap, w.expires, w.first_sent, w.owner, w.not_before, w.timeout, w.run,
	r.token, r.operation, r.correlation, r.accepted, r.lanes, r.number, r.key, `+body+`
FROM writes w JOIN requests r ON r.seq = w.seq WHERE w.seq {in ?1} ORDER BY w.seq {lockw}`, seqs)
}

// change is a write's way into another state, or out of being dead.
type change struct {
	row *hot
	to  State
	// dead, cause: it needs a person, and why.
	dead  bool
	cause string
	// notBefore in microseconds, of held and doubtful writes.
	notBefore int64
	open      bool
	attempt   bool // the sending counts
	fresh     bool // attempts are forgotten
	status    int64
	response  []byte
	reason    string
	actor     string
	replaced  string // the ID of what stands for it
	quiet     bool   // its app is not told
}

// change carries out changes, each of another write, and lets lanes go on.
func (w *work) change(list []*change) error {
	var leave []*hot
	var steps, answers [][]any
	var told []int64
	for _, c := range list {
		h := c.row
		// What is dead keeps its lanes unless they may go on; what is final lets them go.
		leaves := h.laned && (c.dead && h.goesOn || !c.dead && c.to.Final())
		if leaves {
			leave = append(leave, h)
		}
		if err := w.rewrite(c, leaves); err != nil {
			return err
		}
		steps = append(steps, []any{h.seq, h.version, w.now, h.started, string(c.to), h.attempts, c.status, w.db.options.Replica, c.actor, c.reason})
		if c.response != nil {
			answers = append(answers, []any{h.seq, c.response})
		}
		if !c.quiet {
			told = append(told, h.seq)
		}
		switch before, after := h.state.Final(), c.to.Final(); {
		case !before && after:
			w.deltas = append(w.deltas, delta{h.system, h.app, class(h.class), -1, -h.bytes})
		case before && !after:
			w.deltas = append(w.deltas, delta{h.system, h.app, class(h.class), 1, h.bytes})
		}
		if !c.to.Final() {
			w.db.front.lower(h.system, h.place)
			w.stir(h.system)
		}
		h.state, h.dead, h.started = c.to, c.dead, 0
	}
	if err := w.insert(&timelineTable, steps, ""); err != nil {
		return err
	}
	if err := w.insert(&responsesTable, answers, "ON CONFLICT (seq) DO UPDATE SET response = excluded.response"); err != nil {
		return err
	}
	if err := w.tell(told); err != nil {
		return err
	}
	if err := w.wakeRuns(list); err != nil || len(leave) == 0 {
		return err
	}
	return w.depart(leave)
}

// rewrite updates the row of a write.
func (w *work) rewrite(c *change, leaves bool) error {
	h := c.row
	h.version++
	switch {
	case c.fresh:
		h.attempts = 0
	case c.attempt:
		h.attempts++
	}
	if leaves {
		h.laned = false
	}
	settled := int64(0)
	if c.to.Final() {
		settled = w.now
	}
	h.open = c.open && !c.to.Final()
	h.notBefore = c.notBefore
	if h.notBefore <= w.now && c.to == Held {
		h.notBefore = 0
	}
	return w.do(`UPDATE writes SET state = CAST(?2 AS text), dead = ?3, cause = ?4, reason = ?5, not_before = CAST(?6 AS bigint), open = ?7, attempts = ?8, version = ?9,
	laned = CAST(?10 AS smallint), settled = ?11, status = CASE WHEN CAST(?12 AS integer) = 0 THEN status ELSE CAST(?12 AS integer) END, replaced_by = CASE WHEN CAST(?13 AS text) = '' THEN replaced_by ELSE CAST(?13 AS text) END,
	rank = ?14, gap = 0, owner = '', lease = 0, started = 0,
	blockers = CASE WHEN CAST(?10 AS smallint) = 0 THEN 0 ELSE blockers END,
	ready = CASE WHEN CAST(?2 AS text) = 'held' AND CAST(?6 AS bigint) = 0 AND (CAST(?10 AS smallint) = 0 OR blockers = 0) THEN 1 ELSE 0 END
WHERE seq = ?1`, h.seq, string(c.to), flag(c.dead), c.cause, c.reason, h.notBefore, flag(h.open), h.attempts, h.version,
		flag(h.laned), settled, c.status, c.replaced, h.rank)
}

// leave takes writes out of their lanes.
func (w *work) leave(list []*hot) error {
	var past [][]any
	for _, h := range list {
		for _, lane := range h.lanes() {
			if err := w.do("DELETE FROM lanes WHERE lane = ?1 AND place = ?2", lane, h.place); err != nil {
				return err
			}
			past = append(past, []any{lane, h.seq})
		}
	}
	return w.insert(&pastTable, past, "ON CONFLICT DO NOTHING")
}

// enter puts a write without lanes at the end of its lanes.
func (w *work) enter(h *hot) error {
	var places [1]int64
	if err := w.db.engine.numbers(w.tx, places[:]); err != nil {
		return err
	}
	lanes := h.lanes()
	heads, err := w.heads(lanes)
	if err != nil {
		return err
	}
	h.place, h.laned = places[0], true
	var rows [][]any
	for _, lane := range lanes {
		rows = append(rows, []any{lane, h.place, h.seq, h.rank})
	}
	if err := w.insert(&lanesTable, rows, ""); err != nil {
		return err
	}
	h.blockers = int64(len(heads))
	err = w.do("UPDATE writes SET place = ?2, laned = 1, gap = 0, blockers = ?3, ready = 0 WHERE seq = ?1", h.seq, h.place, h.blockers)
	if err != nil {
		return err
	}
	for lane, before := range heads {
		if h.rank < before.rank {
			if err := w.inherit(lane, before, h.rank, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// The tables that rows are added to in bulk.
var (
	writesTable = table{"writes", []column{{"seq", integer}, {"system", text}, {"app", text}, {"state", text}, {"class", integer}, {"rank", integer},
		{"place", integer}, {"blockers", integer}, {"ready", integer}, {"gap", integer}, {"laned", integer}, {"dead", integer}, {"open", integer},
		{"goes_on", integer}, {"bytes", integer}, {"attempts", integer}, {"sendings", integer}, {"epoch", integer}, {"version", integer}, {"owner", text},
		{"lease", integer}, {"started", integer}, {"first_sent", integer}, {"not_before", integer}, {"expires", integer}, {"settled", integer},
		{"coalesce", blob}, {"status", integer}, {"cause", text}, {"reason", text}, {"replaced_by", text}, {"timeout", integer}, {"run", integer}}}
	// plainTable has what is not the default in a write that just waits.
	plainTable = table{"writes", []column{{"seq", integer}, {"system", text}, {"app", text}, {"class", integer}, {"rank", integer}, {"place", integer},
		{"blockers", integer}, {"ready", integer}, {"laned", integer}, {"goes_on", integer}, {"bytes", integer}, {"not_before", integer}, {"expires", integer},
		{"coalesce", blob}, {"timeout", integer}, {"run", integer}}}
	requestsTable = table{"requests", []column{{"seq", integer}, {"token", integer}, {"operation", text}, {"correlation", text}, {"accepted", integer},
		{"lanes", text}, {"number", integer}, {"key", text}, {"key_until", integer}, {"fingerprint", blob}, {"replaces", text}, {"request", blob}}}
	responsesTable = table{"responses", []column{{"seq", integer}, {"response", blob}}}
	lanesTable     = table{"lanes", []column{{"lane", text}, {"place", integer}, {"seq", integer}, {"rank", integer}}}
	pastTable      = table{"lanes_past", []column{{"lane", text}, {"seq", integer}}}
	keysTable      = table{"keys", []column{{"app", text}, {"operation", text}, {"key", text}, {"fingerprint", blob}, {"seq", integer}, {"since", integer}, {"until", integer}}}
	timelineTable  = table{"timeline", []column{{"seq", integer}, {"version", integer}, {"at", integer}, {"started", integer}, {"state", text},
		{"attempt", integer}, {"status", integer}, {"replica", text}, {"actor", text}, {"reason", text}}}
)
