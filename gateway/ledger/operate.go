package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/specs"
)

// Cancel takes back a write that is held, and of which every sending, if there
// was one, is known to have done nothing. *StateError otherwise.
func (db *DB) Cancel(ctx context.Context, id string, by By) error {
	return db.act(ctx, id, "cancel", by, func(w *work, h *hot) error {
		if h.state != Held || h.open {
			return h.wrong()
		}
		return w.change([]*change{{row: h, to: Cancelled, reason: by.Reason, actor: by.Actor}})
	})
}

// RetryNow makes a held write due at once, and a dead one held again with its
// attempts forgotten. A dead one that let its lanes go on comes last in them.
// A doubtful one stays open. *StateError otherwise.
func (db *DB) RetryNow(ctx context.Context, id string, by By) error {
	return db.act(ctx, id, "retry", by, func(w *work, h *hot) error {
		if h.state != Held && !h.dead {
			return h.wrong()
		}
		return w.retry(h, h.class, by)
	})
}

// retry makes a held or dead write due in a class.
func (w *work) retry(h *hot, to int64, by By) error {
	enter := !h.laned && len(h.keys) > 0
	c := &change{row: h, to: Held, open: h.open || h.state == Doubtful, fresh: h.dead, reason: by.Reason, actor: by.Actor}
	if h.gap || h.numbered && h.dead {
		if err := w.do("UPDATE numbers SET gone = 1 WHERE lane = ?1 AND number = ?2", h.lanes()[0], h.number); err != nil {
			return err
		}
	}
	h.rank = to
	if enter {
		if err := w.enter(h); err != nil {
			return err
		}
	}
	if err := w.change([]*change{c}); err != nil {
		return err
	}
	if enter || !h.laned {
		return nil
	}
	return w.rerank(h)
}

// rerank gives a write in its lanes the rank that it has by itself and by what
// it blocks.
func (w *work) rerank(h *hot) error {
	for _, lane := range h.lanes() {
		if err := w.do("UPDATE lanes SET rank = ?3 WHERE lane = ?1 AND place = ?2", lane, h.place, h.rank); err != nil {
			return err
		}
	}
	heads, err := w.heads(h.lanes())
	if err != nil {
		return err
	}
	for lane, first := range heads {
		to := h.rank
		if first.seq == h.seq {
			to = first.urgent
		}
		if err := w.inherit(lane, first, to, 0); err != nil {
			return err
		}
	}
	return nil
}

// Resolve says for a doubtful write what a person has found out: Delivered,
// Refused, or Held to send it again. *StateError if it is not doubtful.
func (db *DB) Resolve(ctx context.Context, id string, s Settlement, by By) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.State != Delivered && s.State != Refused && s.State != Held || s.Dead {
		return fmt.Errorf("%w: a doubt is resolved as delivered, refused or held", ErrInvalid)
	}
	return db.act(ctx, id, "resolve", by, func(w *work, h *hot) error {
		if h.state != Doubtful {
			return h.wrong()
		}
		enter := s.State == Held && !h.laned && len(h.keys) > 0
		c := s.change(h, &Claimed{Doubtful: true})
		c.actor, h.started = by.Actor, 0
		if c.reason == "" {
			c.reason = by.Reason
		}
		if enter {
			if err := w.enter(h); err != nil {
				return err
			}
		}
		return w.change([]*change{c})
	})
}

// Replace appends a changed write in the place of a held or dead one and ends
// the old one: superseded when it was held, refused when it was doubtful, and
// not dead any more. It takes the old one's place in its lanes if it names the
// same ones and the old one still stands in them, and the end otherwise. Both
// requests are kept, each with the other's ID. Key, Sequence, Coalesce, Hand
// and Bound of w are left aside. *StateError otherwise.
func (db *DB) Replace(ctx context.Context, id string, w *Write, by By) (Receipt, error) {
	changed := *w
	changed.Key, changed.Sequence, changed.Coalesce, changed.Hand = "", nil, false, false
	a, err := prepare(&changed)
	if err != nil {
		return Receipt{}, err
	}
	err = db.act(ctx, id, "replace", by, func(w *work, h *hot) error {
		if h.state != Held && !h.dead || h.state == Held && h.open || a.w.System != h.system {
			return h.wrong()
		}
		if err := w.lock(a.lanes); err != nil {
			return err
		}
		return w.replace(h, a, id, by)
	})
	return a.receipt, err
}

func (w *work) replace(h *hot, a *appending, id string, by By) error {
	a.replaces, a.run = id, h.run
	known, err := w.lookUp([]*op{{write: a}})
	if err != nil {
		return err
	}
	w.begin(a, known.numbers[0])
	if err := w.restep(h, a); err != nil {
		return err
	}
	inPlace := h.laned && slices.Equal(slices.Sorted(slices.Values(a.keys)), slices.Sorted(slices.Values(h.keys)))
	place, blockers := h.place, h.blockers
	to := h.state
	switch to {
	case Held:
		to = Superseded
	case Doubtful:
		to = Refused
	}
	end := &change{row: h, to: to, replaced: a.receipt.ID, reason: by.Reason, actor: by.Actor}
	if !inPlace {
		if err := w.change([]*change{end}); err != nil {
			return err
		}
		if known.heads, err = w.heads(lanesOf([]*appending{a})); err != nil {
			return err
		}
		return w.enlist([]*appending{a}, known)
	}
	// The old one's entries in the lanes become the new one's: nobody else moves.
	h.laned = false
	if err := w.change([]*change{end}); err != nil {
		return err
	}
	a.blockers, a.ready = blockers, blockers == 0 && micro(a.w.NotBefore) <= w.now
	if err := w.add([]*appending{a}); err != nil {
		return err
	}
	w.db.front.lower(h.system, place)
	if err := w.do("UPDATE writes SET place = ?2 WHERE seq = ?1", a.seq, place); err != nil {
		return err
	}
	var past [][]any
	for _, lane := range a.lanes {
		if err := w.do("UPDATE lanes SET seq = ?3, rank = ?4 WHERE lane = ?1 AND place = ?2", lane, place, a.seq, rank(a.w.Class)); err != nil {
			return err
		}
		past = append(past, []any{lane, h.seq})
	}
	if err := w.insert(&pastTable, past, "ON CONFLICT DO NOTHING"); err != nil {
		return err
	}
	return w.rerank(&hot{seq: a.seq, place: place, system: a.w.System, keys: a.keys, rank: rank(a.w.Class)})
}

// Discard gives up a dead write: it stays in its state, a doubtful one becomes
// refused, and its lanes go on. *StateError if it is not dead.
func (db *DB) Discard(ctx context.Context, id string, by By) error {
	return db.act(ctx, id, "discard", by, func(w *work, h *hot) error {
		if !h.dead {
			return h.wrong()
		}
		return w.discard(h, by)
	})
}

func (w *work) discard(h *hot, by By) error {
	return w.change([]*change{{row: h, to: Refused, reason: by.Reason, actor: by.Actor}})
}

func (h *hot) wrong() error { return &StateError{h.state, h.dead} }

// act does something to one write on a person's behalf.
func (db *DB) act(ctx context.Context, id, action string, by By, f func(*work, *hot) error) error {
	seq, token, ok := db.ids.parse(id)
	if !ok {
		return ErrNotFound
	}
	return db.alone(ctx, func(w *work) error {
		list, err := w.loadLocked([]int64{seq})
		if err != nil {
			return err
		}
		if len(list) == 0 || list[0].token != token {
			return ErrNotFound
		}
		if err := f(w, list[0]); err != nil {
			return err
		}
		return w.audit(action, id, by)
	})
}

// Group is a set of dead writes with the same cause.
type Group struct {
	System, Operation, Group string
	Writes                   int64
	Oldest, Newest           time.Time
	// Example is the ID of the newest.
	Example string
}

// Groups counts the dead writes of a system by cause, the largest groups
// first; of all systems when system is empty.
func (db *DB) Groups(ctx context.Context, system string) ([]Group, error) {
	var list []Group
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var g Group
			var oldest, newest, seq, token int64
			err := r.Scan(&g.System, &g.Operation, &g.Group, &g.Writes, &oldest, &newest, &seq, &token)
			g.Oldest, g.Newest, g.Example = moment(oldest), moment(newest), db.ids.name(seq, token)
			list = append(list, g)
			return err
		}, `SELECT g.system, g.operation, g.cause, g.n, g.oldest, g.newest, g.seq, x.token FROM (
	SELECT w.system, r.operation, w.cause, count(*) AS n, min(r.accepted) AS oldest, max(r.accepted) AS newest, max(w.seq) AS seq
	FROM writes w JOIN requests r ON r.seq = w.seq WHERE w.dead = 1 AND (?1 = '' OR w.system = ?1)
	GROUP BY w.system, r.operation, w.cause) g JOIN requests x ON x.seq = g.seq
ORDER BY g.n DESC, g.system, g.operation, g.cause`, system)
	})
	return list, err
}

// RetryGroup retries at most n dead writes of a group, the oldest first, in
// the given class, and returns how many; call it again while that is n. Only
// System, Operation and Group of g are looked at.
func (db *DB) RetryGroup(ctx context.Context, g Group, to specs.Class, n int, by By) (int, error) {
	if to > specs.Critical {
		return 0, fmt.Errorf("%w: class %d", ErrInvalid, to)
	}
	return db.actGroup(ctx, g, "retry", n, by, func(w *work, h *hot) error { return w.retry(h, rank(to), by) })
}

// DiscardGroup discards at most n dead writes of a group, the oldest first.
func (db *DB) DiscardGroup(ctx context.Context, g Group, n int, by By) (int, error) {
	return db.actGroup(ctx, g, "discard", n, by, func(w *work, h *hot) error { return w.discard(h, by) })
}

func (db *DB) actGroup(ctx context.Context, g Group, action string, n int, by By, f func(*work, *hot) error) (int, error) {
	n = min(n, step)
	done := 0
	err := db.alone(ctx, func(w *work) error {
		done = 0
		seqs, err := w.seqs(`SELECT w.seq FROM writes w JOIN requests r ON r.seq = w.seq
WHERE w.dead = 1 AND w.system = ?1 AND r.operation = ?2 AND w.cause = ?3 ORDER BY w.seq LIMIT ?4`, g.System, g.Operation, g.Group, int64(n))
		if err != nil {
			return err
		}
		list, err := w.loadLocked(seqs)
		if err != nil {
			return err
		}
		for _, h := range list {
			if !h.dead { // another replica was faster
				continue
			}
			if err := f(w, h); err != nil {
				return err
			}
			if err := w.audit(action, w.db.ids.name(h.seq, h.token), by); err != nil {
				return err
			}
			done++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return done, nil
}

// Pause is a stop that a person has ordered: of a lane, or of a whole system
// when Lane is empty.
type Pause struct {
	System, Lane string
	Since        time.Time
	By           By
}

// Pause stops claims of a system, or of one of its lanes. What is sending is
// not touched. Pausing twice is pausing once.
func (db *DB) Pause(ctx context.Context, system, lane string, by By) error {
	if _, err := prepare(&Write{System: system, Lanes: []string{lane}}); err != nil {
		return err
	}
	return db.alone(ctx, func(w *work) error {
		return w.pausing(system, lane, func() error {
			err := w.do(`INSERT INTO pauses (system, lane, since, actor, reason) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING`,
				system, lane, w.now, by.Actor, by.Reason)
			if err != nil || lane == "" {
				return err
			}
			// A pause stands before everything in the lane.
			return w.do("INSERT INTO lanes (lane, place, seq, rank) VALUES (?1, 0, 0, 4) ON CONFLICT DO NOTHING", laneNames(system, []string{lane})[0])
		}, "pause", by)
	})
}

// Resume ends a pause. Without one it does nothing.
func (db *DB) Resume(ctx context.Context, system, lane string, by By) error {
	return db.alone(ctx, func(w *work) error {
		return w.pausing(system, lane, func() error {
			err := w.do("DELETE FROM pauses WHERE system = ?1 AND lane = ?2", system, lane)
			if err != nil || lane == "" {
				return err
			}
			return w.do("DELETE FROM lanes WHERE lane = ?1 AND place = 0", laneNames(system, []string{lane})[0])
		}, "resume", by)
	})
}

func (w *work) pausing(system, lane string, f func() error, action string, by By) error {
	w.stir(system)
	target, lanes := system, []string(nil)
	if lane != "" {
		lanes = laneNames(system, []string{lane})
		target = lanes[0]
	}
	if err := w.lock(lanes); err != nil {
		return err
	}
	if err := w.reorder(lanes, f); err != nil {
		return err
	}
	return w.audit(action, target, by)
}

// Pauses lists what is paused, the oldest first.
func (db *DB) Pauses(ctx context.Context) ([]Pause, error) {
	var list []Pause
	err := db.read(ctx, func(t tx) error {
		return t.query(func(r row) error {
			var p Pause
			var since int64
			err := r.Scan(&p.System, &p.Lane, &since, &p.By.Actor, &p.By.Reason)
			p.Since = moment(since)
			list = append(list, p)
			return err
		}, "SELECT system, lane, since, actor, reason FROM pauses ORDER BY since, system, lane")
	})
	return list, err
}
