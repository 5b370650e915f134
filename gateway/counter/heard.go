package counter

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
)

// heard is what this replica last heard of a quota.
type heard struct {
	left, at int64 // at is zero when nothing was heard
	// owed calls were admitted by the local count, in the calendar window that
	// began at since; seeded is the at that the local count went on from.
	owed, since, seeded int64
	// told are those among them that are on their way, under a serial: Redis
	// adds them once, however often they are told.
	told   int64
	serial string
}

// tell gives what is owed, to be told together with a decision.
func (h *heard) tell(r *Redis) (owed int64, serial string) {
	if h.told == 0 && h.owed > 0 {
		h.told, h.owed = h.owed, 0
		h.serial = strconv.FormatInt(r.serial.Add(1), 36)
	}
	return h.told, h.serial
}

// shared is a quota over all replicas.
type shared struct {
	redis *Redis
	place place
	limit int64
	// The window is rolling where length is not zero.
	length, slice int64
	window        gateway.Window
	current       atomic.Pointer[frame]
}

func newQuota(r *Redis, name string, limit int64, w gateway.Window) *shared {
	return &shared{
		redis: r, place: r.memory.place(name), limit: limit, window: w,
		length: w.Length.Microseconds(), slice: max(1, w.Length.Microseconds()/sliceCount),
	}
}

// Take implements gateway.Limit.
func (q *shared) Take(ctx context.Context, key string) (gateway.Verdict, error) {
	if q.redis.away.Load() {
		return gateway.Verdict{}, ErrAway
	}
	c, i := q.place.cell(key)
	owed, since, serial := q.debt(c, i)
	var reply []int64
	var err error
	if q.length > 0 {
		reply, err = q.redis.run(ctx, q.redis.scripts.rolling, q.redis.key("rolling", c), q.limit, q.length, q.slice, owed, "o"+q.redis.id, serial)
	} else {
		reply, err = q.calendar(ctx, c, owed, since, serial)
	}
	now := q.redis.memory.now()
	q.redis.sweep(now)
	if err != nil {
		return gateway.Verdict{}, err
	}
	v := gateway.Verdict{OK: reply[0] == 1, Limit: q.limit, Remaining: reply[1], Reset: micros(reply[2])}
	if v.Remaining == 0 {
		v.RetryAfter = v.Reset
		if q.length > 0 {
			v.RetryAfter = micros(reply[3])
		}
	}
	q.learn(c, i, now, v, serial)
	return v, nil
}

// debt is what the local count has admitted under a key and Redis does not know.
func (q *shared) debt(c cell, shard uint32) (owed, since int64, serial string) {
	s := &q.redis.quotas.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.counts[c]; e != nil {
		owed, serial = e.count.tell(q.redis)
		since = e.count.since
	}
	return owed, since, serial
}

// learn remembers the verdict, from which the local count would go on.
func (q *shared) learn(c cell, shard uint32, now int64, v gateway.Verdict, serial string) {
	s := &q.redis.quotas.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.get(c, now)
	if err != nil {
		return
	}
	h := &e.count
	h.left, h.at = v.Remaining, max(1, now)
	if serial != "" && h.serial == serial {
		h.told, h.serial = 0, ""
	}
	e.until = max(e.until, now+int64(v.Reset))
}

// frame is the calendar window that a moment falls into, with its neighbours:
// where they begin and end, in microseconds of Unix time.
type frame [4]int64

func frameOf(w gateway.Window, t time.Time) *frame {
	start, end := w.Bounds(t)
	before, _ := w.Bounds(start.Add(-1))
	_, after := w.Bounds(end)
	return &frame{before.UnixMicro(), start.UnixMicro(), end.UnixMicro(), after.UnixMicro()}
}

// calendar asks with the windows around this machine's time; where Redis' is
// further off, it says so, and is asked once more with those around its own.
func (q *shared) calendar(ctx context.Context, c cell, owed, since int64, serial string) ([]int64, error) {
	r := q.redis
	f := q.current.Load()
	if now := time.Now(); f == nil || now.UnixMicro() < f[1] || now.UnixMicro() >= f[2] {
		f = frameOf(q.window, now)
		q.current.Store(f)
	}
	for {
		reply, err := r.run(ctx, r.scripts.calendar, r.key("calendar", c), q.limit, owed, since, "o"+r.id, serial, f[0], f[1], f[2], f[3])
		if err != nil || reply[0] >= 0 {
			return reply, err
		}
		f = frameOf(q.window, time.UnixMicro(reply[1]))
	}
}
