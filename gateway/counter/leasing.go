package counter

import (
	"context"
	"strconv"
	"time"

	"github.com/headrace/headrace/gateway"
)

const (
	// leaseFor is how long leased calls may be made, and leaseKept how long
	// Redis keeps them: longer than a reply takes.
	leaseFor  = 200 * time.Millisecond
	leaseKept = leaseFor + deadline
	// leaseAhead is how much of the calls to come is leased at once.
	leaseAhead = 100 * time.Millisecond
	// A refusal is told again without asking as long as nothing can have
	// changed, and within these bounds: the second where others have leases,
	// which they may bring back.
	refusalKept, refusalShort = 100 * time.Millisecond, 10 * time.Millisecond
)

// leasing is a limit on the rate over all replicas. Redis counts in
// microseconds and with 53 bits.
type leasing struct {
	redis *Redis
	place place
	grains
}

func newLeasing(r *Redis, name string, rate float64, burst int) *leasing {
	return &leasing{redis: r, place: r.memory.place(name), grains: newGrains(rate, burst, int64(time.Second/time.Microsecond), 1<<52)}
}

// leased is what this replica knows of a bucket.
type leased struct {
	grains grains // that everything here is meant by
	// used is what was used at a moment, as last known, without what is left of
	// this replica's lease; others have so many calls leased.
	used, at, others int64
	// refused is until when calls are refused without asking.
	refused int64
	// calls are left of those that were leased, under an id, until a moment.
	calls, granted, until int64
	id                    string
	// flight tells that a call is on its way to fetch a new lease.
	flight bool
	// pace is how fast calls come, in calls a second: so many since a moment,
	// and the mean before.
	made, since int64
	pace        float64
	// owed calls were admitted by the local count; seeded is the at that it went on from.
	owed, seeded int64
}

// Take implements gateway.Limit.
func (t *leasing) Take(ctx context.Context, key string) (gateway.Verdict, error) {
	r := t.redis
	now := r.memory.now()
	c, i := t.place.cell(key)
	s := &r.throttles.shards[i]
	s.mu.Lock()
	e, err := s.get(c, now)
	if err != nil { // no room to remember it: ask every time
		s.mu.Unlock()
		reply, err := t.visit(ctx, c, errand{take: 1})
		if err != nil {
			return gateway.Verdict{}, err
		}
		return t.verdict(reply.ok, reply.used), nil
	}
	l := &e.count
	l.count(now)
	if l.grains == t.grains {
		if l.calls > 0 && now < l.until {
			l.calls--
			l.used, l.at = t.estimate(l, now)+t.call, now
			v := t.verdict(true, l.used)
			s.mu.Unlock()
			return v, nil
		}
		if now < l.refused {
			v := t.verdict(false, t.estimate(l, now))
			s.mu.Unlock()
			return v, nil
		}
	}
	out := t.send(l, now)
	s.mu.Unlock()
	r.sweep(now)
	reply, err := t.visit(ctx, c, out)
	used := t.learn(c, i, now, out, reply, err)
	if err != nil {
		return gateway.Verdict{}, err
	}
	return t.verdict(reply.ok, used), nil
}

// errand is what a visit to Redis asks for and brings along.
type errand struct {
	take, wish, owed int64
	// back is a lease that ends, and left what it had left.
	back string
	left int64
	// name is that of a new lease; only one errand at a time asks for one.
	name string
}

// answer is what it came to: all that is used, leased calls included, the calls
// of the new lease, and those of all leases.
type answer struct {
	ok                    bool
	used, granted, leased int64
}

// send makes an errand out of a call. While another is on its way with the
// lease, this one asks for itself alone.
func (t *leasing) send(l *leased, now int64) errand {
	out := errand{take: 1, owed: l.owed}
	l.owed = 0
	if l.flight {
		return out
	}
	out.back, out.left = l.id, l.calls
	l.drop()
	if wish := int64(l.pace * leaseAhead.Seconds()); wish > 1 && t.burst >= 16 {
		out.wish = min(wish, t.burst/8)
		out.name = t.redis.leaseName()
		l.flight = true
	}
	return out
}

func (r *Redis) leaseName() string {
	return "l" + r.id + strconv.FormatInt(r.serial.Add(1), 36)
}

func (t *leasing) visit(ctx context.Context, c cell, e errand) (answer, error) {
	r := t.redis
	reply, err := r.run(ctx, r.scripts.throttle, r.key("throttle", c),
		t.call, t.drain, t.burst, e.take, e.wish, leaseKept.Microseconds(), e.back, e.left, e.name, e.owed)
	if err != nil {
		return answer{}, err
	}
	return answer{ok: reply[0] == 1, used: reply[1], granted: reply[2], leased: reply[3]}, nil
}

// learn takes in what a visit that began at sent came to, and gives what is
// used without this replica's lease. Times are reckoned such that a lease is
// never used too long, and a caller never told too little.
func (t *leasing) learn(c cell, shard uint32, sent int64, out errand, in answer, err error) int64 {
	r := t.redis
	now := r.memory.now()
	s := &r.throttles.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, full := s.get(c, now)
	if full != nil {
		return in.used
	}
	l := &e.count
	if out.name != "" {
		l.flight = false
	}
	if err != nil {
		l.owed += out.owed
		return 0
	}
	if l.grains != t.grains {
		l.grains = t.grains
		l.drop() // a lease by other numbers runs out
	}
	if in.granted > 0 {
		l.calls, l.granted, l.until, l.id = in.granted, in.granted, sent+int64(leaseFor), out.name
		t.watch(c, shard, out.name, l.until-now)
	}
	l.used, l.at, l.others = max(0, in.used-l.calls*t.call), now, max(0, in.leased-l.granted)
	l.refused = 0
	if !in.ok && out.take > 0 {
		kept := refusalKept
		if in.leased > 0 {
			kept = refusalShort
		}
		l.refused = sent + min(int64(kept), t.time(in.used+t.call-t.burst*t.call)*int64(time.Microsecond))
	}
	e.until = max(e.until, now+min(t.time(in.used), int64(time.Hour/time.Microsecond))*int64(time.Microsecond)+int64(leaseKept))
	return l.used
}

// drop forgets the lease.
func (l *leased) drop() { l.id, l.calls, l.granted = "", 0, 0 }

// watch brings back what is left of a lease when its time is over.
func (t *leasing) watch(c cell, shard uint32, name string, after int64) {
	time.AfterFunc(time.Duration(after), func() {
		s := &t.redis.throttles.shards[shard]
		s.mu.Lock()
		e := s.counts[c]
		if e == nil || e.count.id != name || e.count.flight {
			s.mu.Unlock()
			return
		}
		out := errand{back: name, left: e.count.calls}
		e.count.drop()
		s.mu.Unlock()
		if out.left == 0 {
			return
		}
		sent := t.redis.memory.now()
		in, err := t.visit(context.Background(), c, out)
		t.learn(c, shard, sent, out, in, err)
	})
}

// bringBack ends all leases of this replica, as long as Redis answers.
func (r *Redis) bringBack() {
	end := time.Now().Add(time.Second)
	for i := range r.throttles.shards {
		s := &r.throttles.shards[i]
		s.mu.Lock()
		outs := map[cell]*leased{}
		for c, e := range s.counts {
			if e.count.calls > 0 {
				old := e.count
				outs[c] = &old
				e.count.drop()
			}
		}
		s.mu.Unlock()
		for c, l := range outs {
			if r.away.Load() || time.Now().After(end) {
				return
			}
			t := &leasing{redis: r, grains: l.grains}
			t.visit(context.Background(), c, errand{back: l.id, left: l.calls})
		}
	}
}

// estimate is what is used at a moment, as far as this replica knows.
func (t *leasing) estimate(l *leased, now int64) int64 {
	drained := l.used
	if elapsed := max(0, now-l.at) / int64(time.Microsecond); elapsed >= t.time(l.used) {
		drained = 0
	} else {
		drained -= elapsed * t.drain
	}
	return min(l.used, max(drained, l.others*t.call))
}

// verdict is told when so much is used after the call.
func (t *leasing) verdict(ok bool, used int64) gateway.Verdict {
	full := t.burst * t.call
	return gateway.Verdict{
		OK: ok, Limit: t.burst, Remaining: max(0, full-used) / t.call,
		Reset: micros(t.time(used)), RetryAfter: micros(t.time(used + t.call - full)),
	}
}

// paceEvery is how long calls are counted before the pace is worked out.
const paceEvery = 10 * time.Millisecond

// count follows how fast calls come.
func (l *leased) count(now int64) {
	if elapsed := now - l.since; elapsed >= int64(paceEvery) {
		lately := float64(l.made) / time.Duration(elapsed).Seconds()
		l.pace = (l.pace + lately) / 2
		if elapsed > int64(leaseFor) {
			l.pace = lately // it is another time
		}
		l.since, l.made = now, 0
	}
	l.made++
}
