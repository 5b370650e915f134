package counter

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway"
)

// under are this replica's calls under way.
type under struct {
	mu    sync.Mutex
	cells map[cell]*held
	// ended counts the calls that Redis has yet to be told of; they are under
	// the cells of dirty.
	ended int
	dirty map[cell]bool
}

// held are the calls under way that are counted together.
type held struct {
	// live are the ids of the calls; any of them stands for any other.
	live []string
	// ended are the ids of calls that Redis has to drop.
	ended []string
	// renewed is when Redis was last told what is live.
	renewed time.Time
}

// maxEnded bounds what Redis is told of calls that have ended; beyond it, their
// leases run out, because they are not renewed.
const maxEnded = 1 << 16

// at finds or makes what is held under a cell. The caller holds the lock.
func (u *under) at(c cell) *held {
	h := u.cells[c]
	if h == nil {
		h = &held{renewed: time.Now()}
		u.cells[c] = h
	}
	return h
}

// end has Redis told that ids have ended. The caller holds the lock.
func (u *under) end(c cell, ids ...string) {
	if len(ids) == 0 {
		return
	}
	if u.ended+len(ids) > maxEnded {
		return
	}
	u.at(c).ended = append(u.at(c).ended, ids...)
	u.ended += len(ids)
	u.dirty[c] = true
}

// pending gives the ids that have ended. They stay until they were told: it does
// no harm to tell them twice. The caller holds the lock.
func (u *under) pending(c cell) []string {
	if h := u.cells[c]; h != nil {
		return slices.Clone(h.ended)
	}
	return nil
}

// told drops ids that Redis knows to have ended. The caller holds the lock.
func (u *under) told(c cell, ids []string) {
	h := u.cells[c]
	if h == nil || len(ids) == 0 {
		return
	}
	known := make(map[string]bool, len(ids))
	for _, id := range ids {
		known[id] = true
	}
	before := len(h.ended)
	h.ended = slices.DeleteFunc(h.ended, func(id string) bool { return known[id] })
	u.ended -= before - len(h.ended)
}

// tidy forgets a cell of which nothing is left. The caller holds the lock.
func (u *under) tidy(c cell) {
	if h := u.cells[c]; h != nil && len(h.live)+len(h.ended) == 0 {
		delete(u.cells, c)
	}
}

// expire has everything that is live told again.
func (u *under) expire() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, h := range u.cells {
		h.renewed = time.Time{}
	}
}

// slots is a limit on calls under way over all replicas. Each call is known to
// Redis by an id, so that nothing is harmed when it is told twice that a call
// has begun or ended.
type slots struct {
	redis *Redis
	place place
	limit int64
}

// Acquire implements gateway.Concurrency.
func (l *slots) Acquire(ctx context.Context, key string) (gateway.Verdict, error) {
	r := l.redis
	c, _ := l.place.cell(key)
	id := r.id + strconv.FormatInt(r.serial.Add(1), 36)
	args := []any{l.limit, slotLease.Microseconds(), id}
	r.under.mu.Lock()
	ended := r.under.pending(c)
	r.under.mu.Unlock()
	for _, id := range ended {
		args = append(args, id)
	}
	reply, err := r.run(ctx, r.scripts.acquire, r.key("calls", c), args...)
	r.under.mu.Lock()
	defer r.under.mu.Unlock()
	defer r.under.tidy(c)
	if err != nil {
		r.under.end(c, id) // Redis may have taken it in
		r.nudge()
		return gateway.Verdict{}, err
	}
	r.under.told(c, ended)
	if ok := reply[0] == 1; !ok {
		return gateway.Verdict{Limit: l.limit}, nil
	}
	h := r.under.at(c)
	if h.live = append(h.live, id); len(h.live) == 1 {
		h.renewed = time.Now()
		r.nudge() // somebody has to renew it
	}
	return gateway.Verdict{OK: true, Limit: l.limit, Remaining: max(0, l.limit-reply[1])}, nil
}

// Release implements gateway.Concurrency. Redis is told aside, at once or with
// the next call under the key; until it knows, the call counts.
func (l *slots) Release(key string) {
	r := l.redis
	c, _ := l.place.cell(key)
	r.under.mu.Lock()
	defer r.under.mu.Unlock()
	h := r.under.cells[c]
	if h == nil || len(h.live) == 0 {
		return
	}
	id := h.live[0]
	h.live = h.live[1:]
	r.under.end(c, id)
	r.under.tidy(c)
	r.nudge()
}

// flush tells Redis which calls have ended, all in one round trip.
func (r *Redis) flush() {
	r.under.mu.Lock()
	ended := map[cell][]string{}
	for c := range r.under.dirty {
		if ids := r.under.pending(c); len(ids) > 0 {
			ended[c] = ids
		}
	}
	clear(r.under.dirty)
	r.under.mu.Unlock()
	if len(ended) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.options.deadline)
	defer cancel()
	_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for c, ids := range ended {
			p.ZRem(ctx, r.key("calls", c), ids)
		}
		return nil
	})
	if err != nil {
		r.lose(err)
	}
	r.under.mu.Lock()
	defer r.under.mu.Unlock()
	for c, ids := range ended {
		if err != nil {
			r.under.dirty[c] = true
			continue
		}
		r.under.told(c, ids)
		r.under.tidy(c)
	}
}

// renew tells Redis of the calls that are still under way, where it is time,
// and gives how long it will be until it is again: -1 when nothing is under way.
func (r *Redis) renew(now time.Time) time.Duration {
	due := map[cell][]string{}
	next := time.Duration(-1)
	r.under.mu.Lock()
	for c, h := range r.under.cells {
		if len(h.live) == 0 {
			continue
		}
		wait := h.renewed.Add(renewEvery).Sub(now)
		if wait <= 0 {
			due[c] = slices.Clone(h.live)
			h.renewed, wait = now, renewEvery
		}
		if next < 0 || wait < next {
			next = wait
		}
	}
	r.under.mu.Unlock()
	for c, ids := range due {
		args := []any{slotLease.Microseconds()}
		for _, id := range ids {
			args = append(args, id)
		}
		r.run(context.Background(), r.scripts.renew, r.key("calls", c), args...) // when it fails, all is told anew once Redis is back
		r.under.mu.Lock()
		live := map[string]bool{}
		for _, id := range r.under.at(c).live {
			live[id] = true
		}
		for _, id := range ids {
			if !live[id] { // it may have been dropped, and then renewed
				r.under.end(c, id)
				next = 0
			}
		}
		r.under.tidy(c)
		r.under.mu.Unlock()
	}
	return next
}
