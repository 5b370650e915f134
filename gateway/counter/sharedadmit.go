package counter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
)

// The answers of admit.lua.
const (
	admitRefused, admitGranted, admitLate, admitStrange, admitFenced = 0, 1, 2, 3, 4

	whyPaused, whySuspended, whyTrial = 1, 2, 3
)

// shortLook is when to ask again while nothing can be said; longLook bounds how long
// a line relies on being woken.
const (
	shortLook = 20 * time.Millisecond
	longLook  = 250 * time.Millisecond
)

// admit decides by the mode of the moment.
func (y *system) admit(a *budget.Admission) (budget.Decision, error) {
	now := time.Now()
	y.mu.Lock()
	y.note(a)
	y.look(now)
	switch y.mode {
	case budget.ModeShared:
		args, generation := y.question(a, now), y.generation
		ahead := y.ahead(now)
		y.mu.Unlock()
		return y.admitShared(a, args, ahead, generation, now)
	case budget.ModeAlone:
		defer y.mu.Unlock()
		return y.admitAlone(a, now), nil
	}
	left := y.standsSuspended(now).For
	y.mu.Unlock()
	if left > 0 {
		return budget.Decision{Pool: 0, Refused: 1<<len(a.Asks) - 1, Suspended: true, RoomIn: left, Again: min(left, longLook)}, nil
	}
	if uncounted(a) && !a.Probe {
		a.At, a.Trial = 0, false // there is nothing to settle
		return budget.Decision{Granted: true, Pool: -1}, nil
	}
	return waiting(a), nil
}

// uncounted tells of a call to which no limit applies: nothing can be exceeded,
// whatever is not known.
func uncounted(a *budget.Admission) bool {
	return !slices.ContainsFunc(a.Asks, func(ask budget.Ask) bool { return ask.Pool.Capacity > 0 && !ask.Pool.Free })
}

// note remembers the pools that calls use, and the longest lease. A probe is no
// call: nothing is under way for as long as it says.
func (y *system) note(a *budget.Admission) {
	if !a.Probe {
		y.lease = max(y.lease, a.Lease)
	}
	for i := range a.Asks {
		ask := &a.Asks[i]
		if p := y.pools[ask.Key]; p == nil || ask.Pool.Revision >= p.Revision {
			y.pools[ask.Key] = ask.Pool
		}
	}
}

// waiting refuses for a moment, without saying why.
func waiting(a *budget.Admission) budget.Decision {
	return budget.Decision{Pool: 0, Refused: 1<<len(a.Asks) - 1, Again: shortLook}
}

func (y *system) question(a *budget.Admission, now time.Time) []any {
	args := make([]any, 0, 3+2*len(a.Asks))
	args = append(args,
		numbers(y.clock.least(now), y.clock.most(now)+atMost(y.store.options.Deadline), atLeast(a.Lease), float64(a.Class),
			given(a.Queued, 1)+given(a.Floor, 2)+given(a.Probe, 4)+given(a.Overdraw, 8), y.store.by),
		y.epoch, y.store.options.Replica)
	wall := y.clock.wall(now)
	for i := range a.Asks {
		ask := &a.Asks[i]
		args = append(args, ask.Key, askNumbers(ask, shape(ask.Pool, wall), ask.Units, nil, 0))
	}
	return args
}

// admitShared asks Redis. The caller may leave meanwhile; it is told all the same,
// so that nothing is taken that nobody knows of.
func (y *system) admitShared(a *budget.Admission, args []any, ahead *packet, generation int, sent time.Time) (budget.Decision, error) {
	ctx, cancel := context.WithTimeout(context.Background(), y.store.options.Deadline)
	defer cancel()
	t, err := y.send(ctx, ahead, args)
	if ahead != nil && !a.Queued {
		y.wake() // the line may have asked before this
	}
	if err != nil || time.Since(sent) > y.store.options.Deadline {
		y.lost(generation)
		return waiting(a), scriptError(err)
	}
	switch t.code {
	case admitRefused:
		d, err := refusal(t)
		if d.Suspended {
			y.refusedSuspended(d, sent)
		}
		return d, err
	case admitGranted:
		if a.Probe {
			return budget.Decision{Granted: true, Pool: -1}, nil
		}
		if y.take(a, t, generation, sent) {
			return budget.Decision{Granted: true, Pool: -1}, nil
		}
	case admitLate:
		y.wakeBeats()
	case admitStrange, admitFenced:
		y.lost(generation)
	}
	return waiting(a), nil
}

// scriptError passes on what a script itself complains of: a mistake of ours, or a
// server that does not know what we need. Everything else is Redis out of reach.
func scriptError(err error) error {
	var e redis.Error
	if errors.As(err, &e) && len(e.Error()) > 4 && e.Error()[:4] == "ERR " {
		return err
	}
	return nil
}

func refusal(t told) (budget.Decision, error) {
	if len(t.rest) < 7 {
		return budget.Decision{}, errAnswer
	}
	d := budget.Decision{
		Pool: int(t.rest[2]), Refused: uint32(t.rest[3]), Paused: t.rest[4] == whyPaused, Suspended: t.rest[4] == whySuspended,
		RoomIn: time.Duration(t.rest[5]) * time.Microsecond, Again: time.Duration(t.rest[6]) * time.Microsecond,
	}
	if d.RoomIn == 0 {
		d.Again = min(d.Again, longLook)
	}
	return d, nil
}

// take notes an admission by Redis, unless the answer has become void meanwhile, or
// the lease is over: however long this took, Redis counts the call no longer than for
// its lease, which began when it was asked or later.
func (y *system) take(a *budget.Admission, t told, generation int, sent time.Time) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.generation != generation || time.Since(sent) >= a.Lease {
		return false
	}
	if t.now > y.clock.most(time.Now())+jump { // units came back too early
		y.wakeBeats()
		return false
	}
	a.Trial = t.rest[4] == whyTrial
	if now := time.Now(); !sent.Before(y.suspension.told) {
		y.learn(suspension{trial: a.Trial, mine: a.Trial}, now)
	}
	f := y.fly(a, sent)
	f.epoch, f.admitted, f.ends = y.epoch, t.now, t.now+atLeast(a.Lease)
	f.ended = t.rest[7:]
	return true
}

// fly counts an admission as this replica's own, for its lease from when it was asked for.
func (y *system) fly(a *budget.Admission, asked time.Time) *flight {
	y.shadow.Record(a, time.Since(asked))
	f := &flight{asks: a.Asks, at: a.At, until: asked.Add(a.Lease)}
	y.lastID = max(y.lastID+1, a.At)
	a.At = y.lastID
	y.flights[a.At] = f
	return f
}

// settling is a settlement on its way to Redis.
type settling struct {
	flight *flight
	s      budget.Settlement
	done   time.Time
	number float64
	// sent tells that Redis may have carried it out.
	sent bool
}

// The bounds of settlements under way: what is over has to wait for its lease.
const (
	maxSettling = 10_000
	batch       = 128
)

func (y *system) settle(a *budget.Admission, s budget.Settlement) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	f := y.flights[a.At]
	if f == nil {
		return nil
	}
	delete(y.flights, a.At)
	if now := time.Now(); now.After(f.until) && s.Outcome == budget.Ended {
		y.late(f, s, now)
	}
	own := *a
	own.At = f.at
	mine := s
	mine.Reports = nil // they speak of what all replicas use, and a shadow of one
	_ = y.shadow.Settle(context.Background(), &own, mine)
	if f.wasAlone && y.lone != nil {
		own.At = f.loneAt
		_ = y.lone.admitted.Settle(context.Background(), &own, mine)
	}
	if s.Outcome == budget.Unknown && !s.Overload && s.Actual == nil {
		return nil
	}
	if len(y.queue) >= maxSettling {
		y.queue = y.queue[1:]
	}
	y.settled++
	y.queue = append(y.queue, settling{flight: f, s: s, done: time.Now(), number: y.settled})
	y.signal()
	return nil
}

func (y *system) signal() {
	select {
	case y.due <- struct{}{}:
	default:
	}
}

// settles carries settlements to Redis, many at a time, until the store is closed.
// As long as calls stand in line, the next of them is about to ask for what a
// settlement frees, and takes it along.
func (y *system) settles() {
	defer y.store.work.Done()
	for {
		select {
		case <-y.store.ctx.Done():
			return
		case <-y.due:
			if y.watched() {
				time.Sleep(linger)
			}
			for y.store.ctx.Err() == nil && y.flush(context.Background()) {
			}
		}
	}
}

// linger is how long settlements wait for an admission that takes them along.
const linger = time.Millisecond

func (y *system) watched() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.wakes) > 0
}

// packet is some settlements on their way. Redis knows by the numbers what it has
// carried out, so there is only one packet at a time: whoever has it holds y.carrying.
type packet struct {
	settlements [][]any
	last        float64
}

// pack makes a packet of what is queued. y.mu and y.carrying are held.
func (y *system) pack(now time.Time) *packet {
	n := min(batch, len(y.queue))
	p := &packet{last: y.queue[n-1].number}
	for i := range y.queue[:n] {
		if s := &y.queue[i]; s.flight.epoch == y.epoch {
			s.sent = true
			p.settlements = append(p.settlements, y.settlement(*s, now))
		}
	}
	return p
}

// ahead is the packet that goes ahead of an admission, in the same round trip: what
// it frees is there for the call. It is nil when there is none. y.mu is held.
func (y *system) ahead(now time.Time) *packet {
	if len(y.queue) == 0 || !y.carrying.TryLock() {
		return nil
	}
	return y.pack(now)
}

func (y *system) load(ctx context.Context, pipe redis.Pipeliner, p *packet) (answers []*redis.Cmd) {
	for _, s := range p.settlements {
		answers = append(answers, y.store.scripts.settle.EvalSha(ctx, pipe, y.keys, s...))
	}
	return answers
}

// failed is what the script complained of, which would be the same each time, or
// else an error of a packet that is to be sent again.
func failed(answers []*redis.Cmd) (refused []error, again error) {
	for _, a := range answers {
		switch err := a.Err(); {
		case err == nil:
		case hopeless(err):
			refused = append(refused, err)
		default:
			return nil, err
		}
	}
	return refused, nil
}

// hopeless tells of a script's own mistakes, which do not get better. A server that is
// not up to a script at the moment says so without having run it, or by a command of
// the script; before version 7 its word then stands in the midst of the error.
func hopeless(err error) bool {
	var e redis.Error
	if !errors.As(err, &e) {
		return false
	}
	text := e.Error()
	word, _, _ := strings.Cut(text, " ")
	if word != "ERR" && word != "WRONGTYPE" || !strings.Contains(text, "user_script") {
		return false
	}
	for _, passing := range []string{"-READONLY", "-OOM", "-MISCONF", "-LOADING", "-MASTERDOWN", "-CLUSTERDOWN", "-NOREPLICAS", "Script killed"} {
		if strings.Contains(text, passing) {
			return false
		}
	}
	return true
}

// delivered takes a packet out of the queue; it tells whether there is more. What
// was refused stays counted until the end of its lease.
func (y *system) delivered(p *packet, refused []error) (more bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(refused) > 0 && y.unsettled == 0 {
		y.store.options.Log.Error("Redis cannot carry out the settlement of a call; it is dropped, as will be all others like it, and its lease frees what it holds", "system", y.name, "error", refused[0].Error())
	}
	y.unsettled += int64(len(refused))
	for len(y.queue) > 0 && y.queue[0].number <= p.last {
		y.queue = y.queue[1:]
	}
	return len(y.queue) > 0
}

// send asks for an admission, after what goes ahead of it.
func (y *system) send(ctx context.Context, ahead *packet, args []any) (told, error) {
	if ahead == nil {
		return readTold(y.store.scripts.admit.Run(ctx, y.store.client, y.keys, args...).Result())
	}
	pipe := y.store.client.Pipeline()
	settlements := y.load(ctx, pipe, ahead)
	admission := y.store.scripts.admit.EvalSha(ctx, pipe, y.keys, args...)
	_, err := pipe.Exec(ctx) // which each command that failed has, too
	if refused, again := failed(settlements); again == nil && (err == nil || len(refused) > 0 || admission.Err() != nil) {
		y.delivered(ahead, refused)
	}
	y.carrying.Unlock()
	y.signal() // for what has come meanwhile, or has not arrived
	if redis.HasErrorPrefix(admission.Err(), "NOSCRIPT") {
		return y.send(ctx, nil, args)
	}
	return readTold(admission.Result())
}

// flush sends a packet; it tells whether there may be more to send. A packet
// without an answer is sent again later.
func (y *system) flush(ctx context.Context) bool {
	y.carrying.Lock()
	defer y.carrying.Unlock()
	y.mu.Lock()
	if y.mode != budget.ModeShared || len(y.queue) == 0 {
		y.mu.Unlock()
		return false
	}
	p, generation := y.pack(time.Now()), y.generation
	y.mu.Unlock()
	var refused []error
	if len(p.settlements) > 0 {
		again, complaints, err := y.carry(ctx, p)
		if err != nil {
			y.lost(generation)
			return false
		}
		if again {
			return true
		}
		refused = complaints
	}
	more := y.delivered(p, refused)
	y.wake()
	return more
}

// carry sends a packet; it tells whether to send it again, to a server that knows the
// script now, and what the script complained of otherwise.
func (y *system) carry(ctx context.Context, p *packet) (again bool, refused []error, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*y.store.options.Deadline)
	defer cancel()
	pipe := y.store.client.Pipeline()
	answers := y.load(ctx, pipe, p)
	_, failure := pipe.Exec(ctx)
	if refused, err = failed(answers); err == nil && len(refused) == 0 {
		err = failure
	}
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		// Nothing was carried out yet; the numbers see to it that nothing is twice.
		return true, nil, y.store.scripts.settle.Load(ctx, y.store.client).Err()
	}
	return false, refused, err
}

func (y *system) settlement(s settling, now time.Time) []any {
	f := s.flight
	args := make([]any, 0, 2+2*len(f.asks))
	// Another replica may have put the clock right meanwhile, to a time that this
	// one would not believe yet.
	most := y.clock.most(now) + 3*atMost(y.store.options.Deadline)
	args = append(args, numbers(
		y.clock.least(now), most, f.ends, f.admitted, atMost(now.Sub(s.done)), float64(s.s.Outcome), given(s.s.Overload, 1+float64(s.s.Shrink)),
		atLeast(min(s.s.RetryAfter, budget.MaxHint)), float64(s.s.Pause), y.store.by, s.number,
	), y.epoch)
	wall := y.clock.wall(now)
	for i := range f.asks {
		ask := &f.asks[i]
		actual := ask.Units
		if s.s.Actual != nil {
			actual = s.s.Actual[i]
		}
		var report *budget.Report
		for j := range s.s.Reports {
			if s.s.Reports[j].Ask == i {
				report = &s.s.Reports[j]
			}
		}
		args = append(args, ask.Key, askNumbers(ask, shape(ask.Pool, wall), actual, report, f.endedAt(i)))
	}
	return args
}
