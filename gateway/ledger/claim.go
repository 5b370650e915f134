package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
)

// Room is how many writes may be claimed.
type Room struct {
	// Max bounds all classes together.
	Max int
	// Most bounds each class, by specs.Class; nil means Max for each.
	Most []int
	// Floor is taken from each class first, before the rest goes strictly by
	// class; nil means none. It counts towards Max and Most.
	Floor []int
	// Only, when not nil, are the writes that may be claimed, by their numbers as
	// Ready gives them; Most and Floor say nothing then.
	Only []int64
	// Lease is how long the claims are valid; Options.Lease when zero.
	Lease time.Duration
	// Timeout is how long a request of an operation may be with the system now,
	// zero where nobody knows; what the writes were appended with when nil.
	Timeout func(operation string) time.Duration
}

// Claimed is a write that this replica may send, or whose doubt it may
// settle, until Lease. It is settled once.
type Claimed struct {
	ID    string
	Seq   int64
	Epoch int64
	Lease time.Time

	System, App, Operation string
	Class, Rank            specs.Class
	Lanes                  []string
	Key, Correlation       string
	Continue               bool
	// Run is the number of the run that it is a step of; 0 for none.
	Run     int64
	Request []byte
	Bytes   int64
	// Attempts counts earlier sendings that count as such.
	Attempts int
	// Sendings counts all claims for sending, this one included.
	Sendings int
	// Timeout is how long a request of it may be with the system, as the ledger
	// knows: should this process be lost, its request counts as running as long.
	Timeout time.Duration
	// Open tells that an earlier sending may have been done, and that it is
	// sent again because that is safe.
	Open bool
	// Accepted, Expires and FirstSent are those of the Record; FirstSent is
	// the time of this claim when it is the first.
	Accepted, Expires, FirstSent time.Time
	// Doubtful tells that its fate is open: settle it by asking, or hold it
	// again to have it sent again.
	Doubtful bool

	started time.Time
}

// claiming is a claim on its way: of ready writes, or of doubtful ones.
type claiming struct {
	system   string
	room     Room
	doubtful bool
	picked   []int64
	claimed  []*Claimed
}

// Claim takes the ready writes of a system, strictly by rank and then by
// place, and makes them sending. It first makes ready what has become due. A
// paused system gives none.
func (db *DB) Claim(ctx context.Context, system string, room Room) ([]*Claimed, error) {
	c := &claiming{system: system, room: room}
	if room.Max <= 0 {
		return nil, ctx.Err()
	}
	err := db.submit(ctx, &op{claim: c})
	return c.claimed, err
}

// ClaimDoubtful takes at most n doubtful writes of a system whose fate may be
// asked for now, those in doubt for the longest first. They stay doubtful.
// Dead ones are left to people. A paused system gives none.
func (db *DB) ClaimDoubtful(ctx context.Context, system string, n int, lease time.Duration) ([]*Claimed, error) {
	c := &claiming{system: system, room: Room{Max: n, Lease: lease}, doubtful: true}
	if n <= 0 {
		return nil, ctx.Err()
	}
	err := db.submit(ctx, &op{claim: c})
	return c.claimed, err
}

// step bounds what one transaction does besides what it was asked for.
const step = 256

// claim carries out a claim. What is claimed is read with the commit.
func (w *work) claim(c *claiming) error {
	c.picked, c.claimed = nil, nil
	paused := map[string]bool{}
	if err := w.askPaused([]string{c.system}, paused); err != nil {
		return err
	}
	seqs, err := w.candidates(c)
	if err != nil || len(seqs) == 0 || paused[c.system] {
		return err
	}
	c.picked = seqs
	lease := c.room.Lease
	if lease <= 0 {
		lease = w.db.options.Lease
	}
	until := w.now + lease.Microseconds()
	if c.doubtful {
		err = w.do("UPDATE writes SET owner = ?2, lease = ?3, started = ?4, epoch = epoch + 1 WHERE seq {in ?1}", seqs, w.db.owner, until, w.now)
	} else {
		err = w.do(`UPDATE writes SET state = 'sending', ready = 0, owner = ?2, lease = ?3, started = ?4, epoch = epoch + 1, sendings = sendings + 1,
	version = version + 1, first_sent = CASE WHEN first_sent = 0 THEN ?4 ELSE first_sent END
WHERE seq {in ?1}`, seqs, w.db.owner, until, w.now)
	}
	if err != nil {
		return err
	}
	found := make(map[int64]*hot, len(seqs))
	w.finish = append(w.finish, func() {
		for _, seq := range seqs { // in the order of the claim
			if h := found[seq]; h != nil {
				c.claimed = append(c.claimed, w.claimed(h))
			}
		}
	})
	err = w.askLoad(seqs, true, func(h *hot) { found[h.seq] = h })
	if err != nil || c.doubtful || c.room.Timeout == nil {
		return err
	}
	if err := w.answers(); err != nil {
		return err
	}
	return w.retime(found, c.room.Timeout)
}

// candidates are the writes that a claim may take.
func (w *work) candidates(c *claiming) ([]int64, error) {
	if c.doubtful {
		return w.doubts(c)
	}
	if c.room.Only != nil {
		return w.chosen(c)
	}
	return w.pick(c)
}

// chosen are those of the named writes that are still ready.
func (w *work) chosen(c *claiming) ([]int64, error) {
	if err := w.ripen(c.system); err != nil {
		return nil, err
	}
	seqs, err := w.seqs(`SELECT seq FROM writes WHERE seq {in ?1} AND system = ?2 AND ready = 1 AND (expires = 0 OR expires > ?3 OR open = 1)
ORDER BY rank, place {skip}`, c.room.Only, c.system, w.now)
	return seqs[:min(len(seqs), c.room.Max)], err
}

// retime notes how long the requests of writes may take now, where that is not
// what it was when they were appended.
func (w *work) retime(found map[int64]*hot, timeout func(operation string) time.Duration) error {
	changed := map[int64][]int64{}
	for _, h := range found {
		if t := timeout(h.operation).Microseconds(); t > 0 && t != h.timeout {
			h.timeout = t
			changed[t] = append(changed[t], h.seq)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(changed)) {
		if err := w.do("UPDATE writes SET timeout = ?2 WHERE seq {in ?1}", changed[t], t); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) claimed(h *hot) *Claimed {
	return &Claimed{
		ID: w.db.ids.name(h.seq, h.token), Seq: h.seq, Epoch: h.epoch, Lease: moment(h.lease),
		System: h.system, App: h.app, Operation: h.operation, Class: class(h.class), Rank: class(h.rank), Lanes: h.keys,
		Key: h.key, Correlation: h.correlation, Run: h.run, Continue: h.goesOn, Request: h.request, Bytes: h.bytes,
		Attempts: int(h.attempts), Sendings: int(h.sendings), Timeout: time.Duration(h.timeout) * time.Microsecond, Open: h.open, Doubtful: h.state == Doubtful,
		Accepted: moment(h.accepted), Expires: moment(h.expires), FirstSent: moment(h.firstSent), started: moment(h.started),
	}
}

// pick chooses the ready writes that go.
func (w *work) pick(c *claiming) ([]int64, error) {
	if err := w.ripen(c.system); err != nil {
		return nil, err
	}
	most := c.room.limits()
	m := w.db.front.of(c.system)
	from, whole := m.begin()
	if !w.db.engine.shared() {
		from, whole = [len(specs.Classes)]int64{}, true
	}
	for {
		began := time.Now()
		ready, err := w.foremost(c.system, most, from)
		if err != nil {
			return nil, err
		}
		seqs := c.room.choose(ready.seqs)
		if !whole && (m.lowered || len(seqs) < min(c.room.Max, most[0]+most[1]+most[2]+most[3])) {
			from, whole = [len(specs.Classes)]int64{}, true
			continue
		}
		if whole {
			m.asked, m.took = time.Now(), time.Since(began)
		}
		m.learn(from, ready.place, ready.last)
		return seqs, nil
	}
}

// readiness is what a look at the front of each class has found.
type readiness struct {
	seqs  [len(specs.Classes)][]int64 // by class
	place [len(specs.Classes)]int64   // the least, by rank
	last  int64                       // the greatest of all
}

// foremost reads the front of each class, from a place on. Each class is
// looked for by itself: the index is read from the front of the class, and the
// rows of another class are not even looked at.
func (w *work) foremost(system string, most [len(specs.Classes)]int, from [len(specs.Classes)]int64) (ready readiness, err error) {
	err = w.query(func(r row) error {
		var seq, rank, place int64
		err := r.Scan(&seq, &rank, &place)
		ready.seqs[class(rank)] = append(ready.seqs[class(rank)], seq)
		if ready.place[rank] == 0 {
			ready.place[rank] = place
		}
		ready.last = max(ready.last, place)
		return err
	}, pickText(), system, w.now, int64(most[specs.Critical]), int64(most[specs.High]), int64(most[specs.Normal]), int64(most[specs.Low]),
		from[0], from[1], from[2], from[3])
	return ready, err
}

// pickText reads the front of each class, the most urgent first.
func pickText() string {
	var parts []string
	for rank := range specs.Classes {
		parts = append(parts, fmt.Sprintf(`SELECT * FROM (SELECT seq, rank, place FROM writes
WHERE system = ?1 AND ready = 1 AND rank = %d AND place >= ?%d AND (expires = 0 OR expires > ?2 OR open = 1) ORDER BY place LIMIT ?%d {skip}) c%d`, rank, rank+7, rank+3, rank))
	}
	return strings.Join(parts, " UNION ALL ")
}

// limits is how many of each class may be looked at.
func (r Room) limits() (most [len(specs.Classes)]int) {
	for c := range most {
		most[c] = r.Max
		if r.Most != nil {
			most[c] = 0
			if c < len(r.Most) {
				most[c] = max(0, min(r.Max, r.Most[c]))
			}
		}
	}
	return most
}

// choose takes from what is ready, by class: the floors first, and then
// strictly. The most urgent come first in the list.
func (r Room) choose(ready [len(specs.Classes)][]int64) []int64 {
	var take [len(specs.Classes)]int
	left := r.Max
	for _, c := range specs.Classes {
		if int(c) < len(r.Floor) {
			take[c] = max(0, min(r.Floor[c], len(ready[c]), left))
			left -= take[c]
		}
	}
	var list []int64
	for _, c := range specs.Classes {
		more := min(len(ready[c])-take[c], left)
		left -= more
		list = append(list, ready[c][:take[c]+more]...)
	}
	return list
}

// ripen makes ready what has become due.
func (w *work) ripen(system string) error {
	return w.ask(func(r row) error {
		var place int64
		err := r.Scan(&place)
		w.db.front.lower(system, place)
		return err
	}, `UPDATE writes SET not_before = 0, ready = CASE WHEN blockers = 0 THEN 1 ELSE 0 END
WHERE seq IN (SELECT seq FROM writes WHERE system = ?1 AND state = 'held' AND gap = 0 AND not_before > 0 AND not_before <= ?2 ORDER BY not_before LIMIT 256 {skip}) RETURNING place`,
		system, w.now)
}

// doubts chooses the doubtful writes that are asked for.
func (w *work) doubts(c *claiming) (seqs []int64, err error) {
	err = w.query(func(r row) error {
		var seq int64
		err := r.Scan(&seq)
		seqs = append(seqs, seq)
		return err
	}, `SELECT seq FROM writes WHERE system = ?1 AND state = 'doubtful' AND dead = 0 AND not_before <= ?2 AND lease <= ?2 ORDER BY not_before, seq LIMIT ?3 {skip}`,
		c.system, w.now, int64(c.room.Max))
	return seqs, err
}

// Recover makes doubtful what is sending under a lease that has run out, or
// under a claim of this replica's name from before this DB was opened; on
// SQLite any claim from before is such. Doubtful writes that such a process
// has claimed can be claimed again. A lost request may still run for the
// write's Timeout and grace beyond it, from now, or from the end of the lease
// if that was earlier: nothing is sent after it. otherwise is the timeout of
// writes that have none. It returns how many became doubtful, a few hundred at
// most: call it again while that is not zero, after Open, and every few
// seconds where replicas share a ledger.
func (db *DB) Recover(ctx context.Context, grace, otherwise time.Duration) (int, error) {
	var n int
	err := db.alone(ctx, func(w *work) error {
		asked, err := w.orphans("state = 'doubtful' AND dead = 0", false)
		if err != nil {
			return err
		}
		if len(asked) > 0 {
			if err := w.do("UPDATE writes SET owner = '', lease = 0 WHERE seq {in ?1} AND state = 'doubtful'", asked); err != nil {
				return err
			}
		}
		seqs, err := w.orphans("state = 'sending'", true)
		if err != nil {
			return err
		}
		n = len(seqs)
		list, err := w.load(seqs, false)
		if err != nil {
			return err
		}
		var changes []*change
		for _, h := range list {
			if h.state == Sending { // it has not just been settled
				changes = append(changes, &change{row: h, to: Doubtful, notBefore: w.over(h, grace, otherwise), attempt: true,
					reason: "its replica was lost while it was sending"})
			}
		}
		return w.change(changes)
	})
	return n, err
}

// over is when the request of a lost claim can no longer be running.
func (w *work) over(h *hot, grace, otherwise time.Duration) int64 {
	sent := w.now
	if w.gone(h.owner) {
		sent = min(sent, h.lease) // it has ended; a process that only stands still may not have
	}
	timeout := h.timeout
	if timeout == 0 {
		timeout = otherwise.Microseconds()
	}
	return sent + timeout + grace.Microseconds()
}

// gone tells that the process is no more that owns a claim: another of this
// replica's name, or, where the ledger belongs to one process, any other.
func (w *work) gone(owner string) bool {
	db := w.db
	return owner != db.owner && (!db.engine.shared() || strings.HasPrefix(owner, db.options.Replica+" "))
}

// orphans finds the writes of a kind whose claims are those of processes that
// are gone, or, if expired, whose lease has run out.
func (w *work) orphans(kind string, expired bool) (seqs []int64, err error) {
	db := w.db
	err = w.query(func(r row) error {
		var seq, lease int64
		var owner string
		err := r.Scan(&seq, &owner, &lease)
		if w.gone(owner) || expired && lease < w.now {
			seqs = append(seqs, seq)
		}
		return err
	}, "SELECT seq, owner, lease FROM writes WHERE owner <> '' AND owner > '' AND "+kind+" AND (lease < ?1 OR owner <> ?2) LIMIT 10000 {skip}", w.now, db.owner)
	slices.Sort(seqs)
	return seqs[:min(step, len(seqs))], err
}

// Renew makes claims valid for lease from now, and returns those that are not
// this replica's any more.
func (db *DB) Renew(ctx context.Context, lease time.Duration, claims ...*Claimed) (lost []*Claimed, err error) {
	err = db.alone(ctx, func(w *work) error {
		lost = nil
		until := w.now + lease.Microseconds()
		for _, c := range claims {
			var seq int64
			kept, err := one(w.tx, []any{&seq}, `UPDATE writes SET lease = ?4 WHERE seq = ?1 AND epoch = ?2 AND owner = ?3 RETURNING seq`, c.Seq, c.Epoch, db.owner, until)
			if err != nil {
				return err
			}
			if !kept {
				lost = append(lost, c)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// Ready is a write that could be claimed.
type Ready struct {
	Seq, Place     int64
	Operation, App string
}

// Ready lists writes of a class that could be claimed, at most n from a place on,
// in the order in which Claim takes them. It locks nothing, so that some may have been
// claimed when it returns.
func (db *DB) Ready(ctx context.Context, system string, class specs.Class, from int64, n int) (list []Ready, err error) {
	err = db.read(ctx, func(t tx) error {
		list = nil
		return t.query(func(r row) error {
			var one Ready
			err := r.Scan(&one.Seq, &one.Place, &one.Operation, &one.App)
			list = append(list, one)
			return err
		}, `SELECT w.seq, w.place, r.operation, w.app FROM writes w JOIN requests r ON r.seq = w.seq
WHERE w.system = ?1 AND w.ready = 1 AND w.rank = ?2 AND w.place >= ?3 ORDER BY w.place LIMIT ?4`, system, rank(class), from, int64(n))
	})
	return list, err
}

// Next is when the next held write of a system becomes due, a gap ends, an
// expiry passes, or a doubtful write may be asked for; zero when nothing waits for time.
func (db *DB) Next(ctx context.Context, system string) (time.Time, error) {
	var next int64
	err := db.read(ctx, func(t tx) error {
		_, err := one(t, []any{&next}, `SELECT COALESCE(min(t), 0) FROM (
SELECT min(not_before) AS t FROM writes WHERE system = ?1 AND state = 'held' AND not_before > 0
UNION ALL SELECT min(CASE WHEN lease > not_before THEN lease ELSE not_before END) FROM writes WHERE system = ?1 AND state = 'doubtful' AND dead = 0
UNION ALL SELECT min(expires) FROM writes WHERE system = ?1 AND state = 'held' AND expires > 0 AND open = 0) n`, system)
		return err
	})
	return moment(next), err
}

// Sweep does what time demands and no claim has done: ends gaps that have
// waited long enough and expires writes. It does at most a few hundred and
// returns how many; call it again when it is not zero, and every second or so.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	var n int
	err := db.alone(ctx, func(w *work) error {
		n = 0
		expired, err := w.seqs("SELECT seq FROM writes WHERE state = 'held' AND expires > 0 AND open = 0 AND expires <= ?1 ORDER BY expires LIMIT 256 {skip}", w.now)
		if err != nil {
			return err
		}
		gaps, err := w.seqs("SELECT seq FROM writes WHERE gap = 1 AND not_before <= ?1 ORDER BY not_before, seq LIMIT 256 {skip}", w.now)
		if err != nil {
			return err
		}
		list, err := w.loadLocked(append(expired, gaps...))
		if err != nil {
			return err
		}
		n = len(list)
		var changes []*change
		for _, h := range list {
			if h.expires > 0 && h.expires <= w.now {
				changes = append(changes, &change{row: h, to: Expired, reason: "its time was over before it was sent"})
			}
		}
		if err := w.change(changes); err != nil {
			return err
		}
		return w.endGaps(list)
	})
	return n, err
}

// endGaps lets writes in whose missing numbers did not come in time, in the
// order of the numbers.
func (w *work) endGaps(list []*hot) error {
	slices.SortFunc(list, func(a, b *hot) int { return cmp.Compare(a.number, b.number) })
	for _, h := range list {
		if !h.gap || h.state != Held {
			continue
		}
		// Those that have waited behind it for less time go with it, and those
		// before it must not be later than it.
		lane := h.lanes()[0]
		var first int64
		found, err := one(w.tx, []any{&first}, "SELECT min(number) FROM numbers WHERE lane = ?1 AND gone = 0 AND number <= ?2 HAVING min(number) IS NOT NULL", lane, h.number)
		if err != nil {
			return err
		}
		for found {
			if err := w.letIn(lane, first, "the numbers before it did not come in time"); err != nil {
				return err
			}
			found, err = one(w.tx, []any{&first}, "SELECT min(number) FROM numbers WHERE lane = ?1 AND gone = 0 AND number <= ?2 HAVING min(number) IS NOT NULL", lane, h.number)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// seqs reads the numbers of writes.
func (w *work) seqs(text string, args ...any) (list []int64, err error) {
	err = w.query(func(r row) error {
		var seq int64
		err := r.Scan(&seq)
		list = append(list, seq)
		return err
	}, text, args...)
	return list, err
}

// loadLocked locks the lanes of writes, and then loads them.
func (w *work) loadLocked(seqs []int64) ([]*hot, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	var lanes []string
	err := w.query(func(r row) error {
		var system, keys string
		err := r.Scan(&system, &keys)
		lanes = append(lanes, laneNames(system, parseLanes(keys))...)
		return err
	}, "SELECT w.system, r.lanes FROM requests r JOIN writes w ON w.seq = r.seq WHERE r.seq {in ?1}", seqs)
	if err != nil {
		return nil, err
	}
	if err := w.lock(lanes); err != nil {
		return nil, err
	}
	return w.load(seqs, false)
}
