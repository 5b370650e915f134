package counter

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
)

// ErrAway means that Redis is out of reach, or slower than its deadline.
var ErrAway = errors.New("the shared counts are out of reach")

const (
	// deadline bounds every call to Redis that somebody waits for.
	deadline = 250 * time.Millisecond
	// probeEvery is how often Redis is asked whether it is back.
	probeEvery = 250 * time.Millisecond
	// maxPause is the longest that it is not asked, and steadyAfter how long it
	// has to be there before that is forgotten.
	maxPause    = 10 * time.Second
	steadyAfter = 30 * time.Second
	// beatEvery is how often a replica says that it is there, and absentAfter
	// when others believe that it is not.
	beatEvery   = 3 * time.Second
	absentAfter = 10 * time.Second
	// slotLease is how long a call under way is kept for a replica that does
	// not say that it is; it is renewed every renewEvery.
	slotLease  = 30 * time.Second
	renewEvery = 10 * time.Second
)

// RedisOptions set up the counters on Redis. The zero value works.
type RedisOptions struct {
	// Log is told when Redis is out of reach and when it is back; nobody when nil.
	Log *slog.Logger

	// clock stands for Redis' own in tests, in microseconds.
	clock func() int64
	// alone keeps out of the register of replicas, in tests.
	alone bool
	// deadline stands for the usual one where a test must not lose Redis by
	// being slow itself.
	deadline time.Duration
}

// Redis implements gateway.Counters for all replicas together. Quotas are exact
// to the call, in the time of Redis: one round trip each. Throttles lease calls
// in batches where they are called fast, so that most calls need no round trip;
// what is leased counts as used, and all replicas together never admit more
// than burst + rate·t calls in t seconds. At most a quarter of the burst is
// leased at any time, and nothing where the burst is below 16. Calls under way
// have leases, so that those of a replica that died come back after 30 s.
//
// Calls fail with ErrAway at once while Redis is out of reach, and after 250 ms
// when it goes out of reach. Local then counts by limit ÷ replicas last known,
// and never by less than one call; what it admitted is added when Redis is back.
//
// A call whose decision was lost on its way may count twice, never not at all.
// What Redis loses when it is restarted without its data, or fails over before
// they were copied, is lost here too.
type Redis struct {
	client  Client
	log     *slog.Logger
	options RedisOptions
	scripts scripts
	// id is this process's, and new with each.
	id     string
	serial atomic.Int64

	memory    *Memory // the local counts
	throttles table[leased]
	quotas    table[heard]
	under     under
	sweeper   sweeper

	away     atomic.Bool
	replicas atomic.Int64
	mu       sync.Mutex
	// since is when away was last changed. Where Redis is lost again soon after
	// it was found, it is not asked for a pause, which grows: part of a Cluster
	// may be down, and must not cost a deadline time and again. Both under mu.
	since time.Time
	pause time.Duration

	wake    chan struct{}
	done    chan struct{}
	stopped chan struct{}
	closing sync.Once
}

// scripts are the decisions of Redis.
type scripts struct {
	throttle, rolling, calendar, acquire, renew, beat script
}

//go:embed throttle.lua
var throttleLua string

//go:embed rolling.lua
var rollingLua string

//go:embed calendar.lua
var calendarLua string

//go:embed acquire.lua
var acquireLua string

//go:embed renew.lua
var renewLua string

//go:embed beat.lua
var beatLua string

const (
	clockLua = "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n"
	// givenLua takes the time from the last argument.
	givenLua = "local now = tonumber(table.remove(ARGV))\n"
)

// NewRedis makes the counters; client stays the caller's. Close must be called.
func NewRedis(client Client, o RedisOptions) *Redis {
	clock := clockLua
	if o.clock != nil {
		clock = givenLua
	}
	r := &Redis{
		client: client, log: o.Log, options: o, id: rand.Text()[:13], memory: New(), since: time.Now(),
		scripts: scripts{
			throttle: newScript(clock + throttleLua), rolling: newScript(clock + rollingLua), calendar: newScript(clock + calendarLua),
			acquire: newScript(clock + acquireLua), renew: newScript(clock + renewLua), beat: newScript(clock + beatLua),
		},
		wake: make(chan struct{}, 1), done: make(chan struct{}), stopped: make(chan struct{}),
	}
	if o.deadline == 0 {
		r.options.deadline = deadline
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.replicas.Store(1)
	r.throttles.bound(maxKeys)
	r.quotas.bound(maxKeys)
	r.under.cells, r.under.dirty = map[cell]*held{}, map[cell]bool{}
	r.sweeper.next.Store(int64(sweepEvery / shardCount))
	go r.keep()
	return r
}

// Close brings back what is leased and says goodbye, as far as Redis is within
// reach. Limits must not be used any more.
func (r *Redis) Close() {
	r.closing.Do(func() {
		close(r.done)
		<-r.stopped
		r.bringBack()
		if !r.away.Load() {
			r.flush()
		}
		if !r.options.alone && !r.away.Load() {
			ctx, cancel := context.WithTimeout(context.Background(), r.options.deadline)
			defer cancel()
			r.client.ZRem(ctx, replicasKey, r.id)
		}
	})
}

// Standing tells whether the counts are shared at the moment, and by which
// share of each limit this replica goes, or would go, alone.
func (r *Redis) Standing() budget.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.replicas.Load()
	s := budget.Standing{Mode: budget.ModeShared, Replicas: int(n), Share: 1 / float64(n), Since: r.since, Joined: true}
	if r.away.Load() {
		s.Mode = budget.ModeAlone
	}
	return s
}

// Throttle implements gateway.Counters.
func (r *Redis) Throttle(name string, rate float64, burst int) gateway.Limit {
	return newLeasing(r, name, rate, burst)
}

// Quota implements gateway.Counters. No rolling window holds more than limit
// calls; a call may occupy its place up to a 64th of the window longer.
func (r *Redis) Quota(name string, limit int64, w gateway.Window) gateway.Limit {
	return newQuota(r, name, limit, w)
}

// Concurrency implements gateway.Counters.
func (r *Redis) Concurrency(name string, limit int) gateway.Concurrency {
	return &slots{redis: r, place: r.memory.place(name), limit: int64(limit)}
}

// Local implements gateway.Counters.
func (r *Redis) Local() gateway.Counters { return local{r} }

// share is this replica's part of a limit while it is on its own.
func (r *Redis) share(limit int64) int64 { return max(1, limit/r.replicas.Load()) }

// run asks Redis for a decision, within the deadline.
func (r *Redis) run(ctx context.Context, s script, key string, args ...any) ([]int64, error) {
	if r.away.Load() {
		return nil, ErrAway
	}
	return r.ask(ctx, s, key, args...)
}

// ask does so whether or not Redis is believed to be within reach.
func (r *Redis) ask(ctx context.Context, s script, key string, args ...any) ([]int64, error) {
	bounded, cancel := context.WithTimeout(ctx, r.options.deadline)
	defer cancel()
	if r.options.clock != nil {
		args = append(args, r.options.clock())
	}
	reply, err := s.run(bounded, r.client, key, args...)
	switch {
	case err == nil:
		return reply, nil
	case ctx.Err() != nil: // the caller has left, or had less time
		return nil, ctx.Err()
	}
	r.lose(err)
	return nil, errors.Join(ErrAway, err)
}

// lose has all calls fail at once until Redis answers again.
func (r *Redis) lose(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away.Load() {
		return
	}
	now := time.Now()
	if now.Sub(r.since) > steadyAfter {
		r.pause = 0
	} else {
		r.pause = min(max(probeEvery, 2*r.pause), maxPause)
	}
	r.since = now
	r.away.Store(true)
	r.log.Error("the shared counts are out of reach; policies go on as on_store_error says", "cause", err.Error(), "replicas", r.replicas.Load())
	r.nudge()
}

func (r *Redis) find() {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := time.Since(r.since)
	r.since = time.Now()
	r.away.Store(false)
	r.log.Info("the shared counts are within reach again", "after", took.Round(time.Millisecond).String())
}

// resting is how much longer Redis is not asked whether it is back.
func (r *Redis) resting() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(r.since.Add(r.pause))
}

// nudge has keep look at what there is to do.
func (r *Redis) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// keep does what no call waits for, until Close.
func (r *Redis) keep() {
	defer close(r.stopped)
	var beat time.Time // the next
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-r.wake:
		case <-timer.C:
		}
		now := time.Now()
		wait := time.Duration(-1)
		switch {
		case r.away.Load():
			if wait = r.resting(); wait > 0 {
				break
			}
			if r.beat() {
				r.find()
				r.under.expire() // what was acquired meanwhile is told at once
				r.nudge()
			}
			wait, beat = probeEvery, now.Add(beatEvery)
		case !r.options.alone:
			if !now.Before(beat) {
				r.beat()
				beat = now.Add(beatEvery)
			}
			wait = beat.Sub(now)
		}
		if !r.away.Load() {
			r.flush()
			if next := r.renew(now); next >= 0 && (wait < 0 || next < wait) {
				wait = next
			}
		}
		timer.Stop()
		if wait >= 0 {
			timer.Reset(wait)
		}
	}
}

const replicasKey = "hr:replicas"

// beat says that this replica is there, and learns how many there are. It also
// writes, so that a server that cannot be written to does not count as back.
func (r *Redis) beat() bool {
	reply, err := r.ask(context.Background(), r.scripts.beat, replicasKey, r.id, absentAfter.Microseconds())
	if err != nil || len(reply) == 0 {
		return false
	}
	r.replicas.Store(max(1, reply[0]))
	return true
}

// key is where Redis keeps a count. Names and keys may hold anything, so the
// name's length tells where it ends.
func (r *Redis) key(sort string, c cell) string {
	return strings.Join([]string{"hr:", sort, ":{", strconv.Itoa(len(c.name)), ":", c.name, ":", c.key, "}"}, "")
}

// sweep drops what is not needed any more from some shards.
func (r *Redis) sweep(now int64) {
	r.memory.sweep(now)
	r.sweeper.sweep(now, func(i uint32) {
		r.throttles.shards[i].sweep(now)
		r.quotas.shards[i].sweep(now)
	})
}

// micros is a time of Redis as a duration.
func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
