package counter

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
)

// system is what a replica knows of one system.
type system struct {
	store *Shared
	name  string
	keys  []string
	// joined is closed when Redis has answered for the first time.
	joined chan struct{}
	kick   chan struct{} // has the beats look at once
	due    chan struct{} // has the settlements looked at
	// shadow counts this replica's own calls, whoever admitted them.
	shadow *budget.Memory

	// carrying is held by who takes settlements to Redis; it is never waited for
	// while mu is held.
	carrying sync.Mutex

	mu    sync.Mutex
	mode  string
	since time.Time
	// member tells that it was another mode than uncertain at some time.
	member bool
	// fenced is when the fence lifts at the latest that the last answer told of.
	fenced time.Time
	// epoch names the state in Redis that this replica is part of; empty before the first.
	epoch string
	// generation changes whenever answers to earlier questions are void.
	generation int
	clock      reference
	share      float64
	kept       float64
	taken      bool
	heir       bool // alone, it has the pools of a single place
	replicas   int
	lease      time.Duration // the longest of all replicas
	left       time.Time     // when the last replica left
	peers      []peer
	ceilings   map[string]budget.Units
	// beatSent is when the last beat was sent that may have been carried out, and
	// beatHeard when the last one was sent that was answered.
	beatSent, beatHeard time.Time
	// words numbers what the registry is told. What was given up without an answer may
	// arrive after what was said later; Redis goes by the later of the two.
	words    float64
	failures int
	warned   bool // the log has been told why Redis is out of reach

	suspension suspension

	lone *lone // not nil from being alone until what was admitted then is told

	flights map[time.Duration]*flight
	overdue map[string]overdue
	lastID  time.Duration
	pools   map[string]*budget.Pool
	queue   []settling
	settled float64 // the number of the last settlement
	// unsettled counts those that Redis cannot carry out.
	unsettled int64
	wakes     map[int]func()
	watches   int
}

// flight is an admitted call.
type flight struct {
	asks []budget.Ask
	// at and loneAt are when it was admitted, in the time of the shadow and of
	// what was admitted alone.
	at, loneAt time.Duration
	until      time.Time // the end of its lease
	// epoch is the state in Redis that counts it, until leaseEnd in Redis' time; it
	// is empty as long as it was admitted alone.
	epoch          string
	admitted, ends float64
	wasAlone       bool
	// ended is what had ended in each pool when Redis admitted it.
	ended []int64
}

func (f *flight) endedAt(i int) float64 {
	if i < len(f.ended) {
		return float64(f.ended[i])
	}
	return 0
}

// reference relates Redis' clock to this process's: it gave at between sent and heard.
type reference struct {
	at          float64
	sent, heard time.Time
}

// jump is how much further, in microseconds, Redis' clock has to be than it can be
// for having been put forward.
const jump = 1000

// drift is how much faster one clock may run than another.
const drift = 1e-3

func (r reference) least(now time.Time) float64 {
	if r.at == 0 {
		return 0
	}
	return r.at + math.Floor(float64(now.Sub(r.heard))/1e3*(1-drift))
}

func (r reference) most(now time.Time) float64 {
	if r.at == 0 {
		return 1 << 52
	}
	return r.at + math.Ceil(float64(now.Sub(r.sent))/1e3*(1+drift))
}

func (r reference) wall(now time.Time) time.Time {
	if r.at == 0 {
		return time.Now()
	}
	return time.UnixMicro(int64(r.least(now)))
}

func newSystem(s *Shared, name string) *system {
	return &system{
		store: s, name: name, keys: systemKeys(name),
		joined: make(chan struct{}), kick: make(chan struct{}, 1), due: make(chan struct{}, 1),
		shadow: budget.NewMemory(), mode: budget.ModeUncertain, since: time.Now(),
		ceilings: map[string]budget.Units{}, flights: map[time.Duration]*flight{}, overdue: map[string]overdue{}, pools: map[string]*budget.Pool{}, wakes: map[int]func(){},
	}
}

func (y *system) set(mode string) {
	if y.mode == mode {
		return
	}
	y.store.options.Log.Info("the mode of a system's counts has changed", "system", y.name, "from", y.mode, "to", mode, "replicas", y.replicas, "share", y.share)
	y.mode, y.since = mode, time.Now()
	y.member = y.member || mode != budget.ModeUncertain
}

func (y *system) standing() budget.Standing {
	y.mu.Lock()
	defer y.mu.Unlock()
	now := time.Now()
	y.look(now)
	s := budget.Standing{Mode: y.mode, Replicas: max(1, y.replicas), Share: y.share, Since: y.since, Joined: y.member, Suspension: y.standsSuspended(now), Unsettled: y.unsettled}
	switch y.mode {
	case budget.ModeShared:
		s.Kept = y.kept
	case budget.ModeAlone:
		s.Until = y.expires()
	case budget.ModeUncertain:
		s.Cause, s.Until = y.cause(now)
	}
	return s
}

// cause is why nothing is admitted, and when that ends by itself.
func (y *system) cause(now time.Time) (budget.Cause, time.Time) {
	switch {
	case y.failures == 0 && now.Before(y.fenced):
		return budget.Fenced, y.fenced
	case y.epoch == "" || y.share <= 0:
		return budget.NotReached, time.Time{}
	case y.expired(now):
		return budget.Over, time.Time{}
	}
	return budget.Lost, y.certain()
}

// await waits for the first answer of Redis, as long as an answer may take.
func (y *system) await(ctx context.Context) {
	timer := time.NewTimer(y.store.options.Deadline)
	defer timer.Stop()
	select {
	case <-y.joined:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// look goes over from uncertain to alone when it is time, and back when a lone
// replica's share is no longer kept for it.
func (y *system) look(now time.Time) {
	switch y.mode {
	case budget.ModeUncertain:
		if y.epoch == "" || y.share <= 0 || y.expired(now) {
			return
		}
		if now.Before(y.certain()) {
			return
		}
		y.goAlone(now)
	case budget.ModeAlone:
		if y.expired(now) {
			y.set(budget.ModeUncertain)
		}
	}
}

// certain is when Redis surely leaves this replica's share free, if no beat arrives.
func (y *system) certain() time.Time {
	o := &y.store.options
	return y.beatSent.Add(2*o.Deadline + o.Missing + o.Missing/100)
}

// expires is when others may take this replica for gone.
func (y *system) expires() time.Time {
	alone := y.store.options.Alone
	return y.beatHeard.Add(alone - alone/100)
}

func (y *system) expired(now time.Time) bool { return now.After(y.expires()) }

// lost takes note that Redis has not answered a question of a generation.
func (y *system) lost(generation int) {
	y.mu.Lock()
	if y.generation == generation && y.mode == budget.ModeShared {
		y.set(budget.ModeUncertain)
	}
	y.mu.Unlock()
	y.wakeBeats()
}

func (y *system) wakeBeats() {
	select {
	case y.kick <- struct{}{}:
	default:
	}
}

// beats tells Redis that this replica is there, until the store is closed.
func (y *system) beats() {
	defer y.store.work.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-y.store.ctx.Done():
			return
		case <-timer.C:
		case <-y.kick:
		}
		y.step()
		timer.Reset(y.pause())
		if !y.apart() {
			continue
		}
		// What failed is tried again after the pause, however many calls ask for it.
		select {
		case <-y.store.ctx.Done():
			return
		case <-timer.C:
			timer.Reset(0)
		}
	}
}

// apart tells that Redis has not answered as it should.
func (y *system) apart() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.failures > 0
}

func (y *system) pause() time.Duration {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.mode == budget.ModeShared {
		return y.store.options.Beat
	}
	return max(time.Millisecond, y.store.options.Beat/8)
}

// step beats, or finds out first whether Redis answers: a beat that may have been
// carried out puts off the time when the replica is alone.
func (y *system) step() {
	y.mu.Lock()
	now := time.Now()
	y.look(now)
	y.prune(now)
	mode, lone, fresh, o := y.mode, y.lone, y.epoch == "", &y.store.options
	patience := now.Before(y.beatSent.Add(2 * (2*o.Deadline + o.Missing)))
	hold := y.failures > 1 && patience
	y.mu.Unlock()
	if mode != budget.ModeShared && !fresh {
		if hold {
			return
		}
		if err := y.ask(); err != nil {
			y.mu.Lock()
			y.warn(err)
			y.mu.Unlock()
			return
		}
	}
	if lone != nil && !y.rejoin("") {
		return
	}
	for range 3 { // strangers and late ones get it right with the second beat
		if y.store.ctx.Err() != nil || !y.beat(lone) {
			return
		}
	}
}

// context bounds a question. Close does not break it off: an answer that is given
// up would make the replica uncertain, and then it could not say goodbye.
func (y *system) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), y.store.options.Deadline)
}

// ask finds out whether Redis answers and takes writes, without beating.
func (y *system) ask() error {
	ctx, cancel := y.context()
	defer cancel()
	return y.store.scripts.ask.Run(ctx, y.store.client, y.keys).Err()
}

// warn logs once why the counts are out of reach, until they are back. y.mu is held.
func (y *system) warn(err error) {
	if !y.warned {
		y.warned = true
		y.store.options.Log.Warn("the counts of a system's limits are out of reach", "system", y.name, "error", err.Error())
	}
}

// beat sends one beat, and tells whether to send another at once. It would end the
// reserve for what is admitted alone and not told yet: so none is sent but for a time
// alone that Redis is known to know nothing of, and will not count this beat for. The
// replica may have come to be alone since the beats looked, if that took long.
func (y *system) beat(unknown *lone) (more bool) {
	o := &y.store.options
	y.mu.Lock()
	if y.lone != nil && y.lone != unknown {
		y.mu.Unlock()
		return false
	}
	sent := time.Now()
	before, generation := y.beatSent, y.generation
	y.beatSent = sent
	y.words++
	clock, epoch := y.clock, y.epoch
	args := []any{
		numbers(clock.least(sent), clock.most(sent)+atMost(o.Deadline), y.store.by, y.share, atMost(time.Since(y.store.started)),
			atMost(o.Missing), atLeast(o.Beat), atLeast(o.Alone), given(o.ColdStart == "occupied", 1), atLeast(y.lease), float64(o.Replicas), y.words),
		epoch, o.Replica, y.store.newEpoch(),
	}
	for key := range y.pools {
		if len(args) == 4+maxHeard {
			break
		}
		args = append(args, key)
	}
	y.mu.Unlock()

	ctx, cancel := y.context()
	defer cancel()
	t, err := readTold(y.store.scripts.beat.Run(ctx, y.store.client, y.keys, args...).Result())
	heard := time.Now()
	y.mu.Lock()
	if err != nil || heard.Sub(sent) > o.Deadline { // one that is late tells little of the clock
		y.failures++
		if err != nil {
			y.warn(err)
		}
		if refusedByServer(err) {
			y.beatSent = before
		}
		y.mu.Unlock()
		y.lost(generation)
		return false
	}
	late := t.code == beatLate
	if jumped := clock.most(heard); t.code != beatStrange && t.now > jumped+jump {
		y.mu.Unlock()
		y.correct(jumped - t.raw)
		return true
	}
	y.clock = reference{at: t.now, sent: sent, heard: heard}
	y.mu.Unlock()
	if late {
		return true
	}
	answer, err := t.beat()
	if err != nil {
		y.lost(generation)
		return false
	}
	if t.code == beatStrange {
		y.mu.Lock()
		y.store.options.Log.Warn("the counts of a system were lost; its replicas tell what they know", "system", y.name)
		y.mu.Unlock()
		return y.rejoin(answer.Epoch)
	}
	y.heard(answer, sent)
	return false
}

const (
	beatOK, beatLate, beatStrange = 1, 2, 3
	// maxHeard is the number of pools that a replica asks after with a beat.
	maxHeard = 64
)

// heard takes in a beat's answer.
func (y *system) heard(b beatAnswer, sent time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.epoch == "" && b.Began {
		y.store.options.Log.Warn("nothing is known of what a system's limits were used before", "system", y.name, "taken for", y.store.options.ColdStart)
	}
	if most := y.store.options.Replicas; most > 0 && b.Replicas > most && y.replicas <= most {
		y.store.options.Log.Warn("more replicas share a system's counts than may run", "system", y.name, "replicas", b.Replicas, "most", most)
	}
	y.epoch, y.beatHeard, y.failures, y.warned = b.Epoch, sent, 0, false
	if b.Taken && !y.taken {
		y.store.options.Log.Error("another process has the name of this replica: limits hold only as long as Redis is there; see stores.replica", "system", y.name, "replica", y.store.options.Replica)
	}
	y.taken = y.taken || b.Taken
	y.keep(b.Kept)
	y.share, y.heir, y.replicas, y.peers = b.Share, b.Heir, b.Replicas, b.Peers
	y.lease = max(y.lease, time.Duration(b.Lease)*time.Microsecond)
	y.fenced = time.Time{}
	if b.Fenced {
		y.fenced = time.Now().Add(time.Duration(b.Lifts) * time.Microsecond)
	}
	y.left = time.Time{}
	if b.Left >= 0 {
		y.left = sent.Add(-time.Duration(b.Left) * time.Microsecond)
	}
	clear(y.ceilings)
	for _, p := range b.Pools {
		y.ceilings[p.Key] = budget.Units(math.Ceil(p.Ceiling * (1 + 1e-12)))
	}
	if !sent.Before(y.suspension.told) {
		s, now := suspension{trial: b.Trial, mine: b.Mine}, time.Now()
		if b.Suspended > 0 {
			s.until = now.Add(time.Duration(b.Suspended) * time.Microsecond)
		}
		y.learn(s, now)
	}
	select {
	case <-y.joined:
	default:
		close(y.joined)
	}
	if b.Fenced || y.lone != nil {
		y.set(budget.ModeUncertain)
		return
	}
	if y.mode != budget.ModeShared {
		y.set(budget.ModeShared)
		y.generation++
		y.signal()
		go y.wake()
	}
}

// keep takes note of the part of the system's limits that is left free for others. y.mu is held.
func (y *system) keep(part float64) {
	switch log := y.store.options.Log; {
	case part > y.kept:
		log.Warn("a part of a system's limits is left free for replicas that are missing", "system", y.name, "part", part)
	case part == 0 && y.kept > 0:
		log.Info("no part of a system's limits is left free any more", "system", y.name)
	}
	y.kept = part
}

// reset goes by what Redis' clock says now, or has it put right.
func (y *system) reset(t told, sent time.Time) {
	heard := time.Now()
	if most := y.clock.most(heard); t.now > most+jump {
		go y.correct(most - t.raw)
		return
	}
	y.clock = reference{at: t.now, sent: sent, heard: heard}
}

// correct takes back what Redis' clock was put forward.
func (y *system) correct(most float64) {
	y.store.options.Log.Warn("the clock of Redis was put forward; the difference is taken back", "system", y.name)
	ctx, cancel := y.context()
	defer cancel()
	if y.store.scripts.correct.Run(ctx, y.store.client, y.keys, strconv.FormatFloat(most, 'f', 0, 64), microseconds(2*y.store.options.Deadline)).Err() != nil {
		y.wakeBeats()
	}
}

// rejoin tells Redis what this replica holds: all of it to a new epoch, after a loss
// of the counts, or what it admitted while it was alone when epoch is empty. It
// tells whether a beat should follow: Redis knows now, or knows nothing at all.
func (y *system) rejoin(epoch string) bool {
	o, whole := &y.store.options, epoch != ""
	y.mu.Lock()
	y.set(budget.ModeUncertain) // what is told must not change
	y.generation++
	generation := y.generation
	now := time.Now()
	y.beatSent = now
	y.words++
	if !whole {
		epoch = y.epoch
	}
	pushes, flights := y.holdings(whole, now)
	y.forgo(whole)
	peers := y.peers
	if peers == nil {
		peers = []peer{}
	}
	names, _ := json.Marshal(peers)
	left := -1.0
	if !y.left.IsZero() {
		left = atMost(now.Sub(y.left))
	}
	args := []any{
		numbers(y.clock.least(now), y.clock.most(now)+atMost(o.Deadline), y.store.by, y.share, given(whole, 1), atLeast(y.lease), left, given(y.heir, 1), y.words),
		epoch, o.Replica, names,
	}
	wall := y.clock.wall(now)
	for _, p := range pushes {
		ask := budget.Ask{Pool: p.pool, Key: p.key}
		args = append(args, p.key, askNumbers(&ask, shape(p.pool, wall), 0, nil, 0), p.numbers())
	}
	y.mu.Unlock()

	ctx, cancel := y.context()
	defer cancel()
	t, err := readTold(y.store.scripts.rejoin.Run(ctx, y.store.client, y.keys, args...).Result())
	late := time.Since(now) > o.Deadline // it tells little of the clock
	y.mu.Lock()
	defer y.mu.Unlock()
	// It may have come to be alone again before this was heard: then there is more to tell.
	if err != nil || t.code != beatOK || late && whole || y.generation != generation {
		y.failures++
		defer y.wakeBeats()
		if err == nil && t.code == beatLate && !late {
			y.reset(t, now)
		}
		return err == nil && t.code == beatStrange && !whole
	}
	y.clock = reference{at: t.now, sent: now, heard: time.Now()}
	for _, f := range flights {
		f.epoch, f.wasAlone, f.ended = epoch, false, nil
		f.ends = t.now + atLeast(f.until.Sub(now))
		f.admitted = min(f.admitted, t.now)
	}
	y.lone, y.epoch = nil, epoch
	return true
}

// forgo drops settlements of calls that are told as ended.
func (y *system) forgo(whole bool) {
	kept := y.queue[:0]
	for _, s := range y.queue {
		if !whole && s.flight.epoch != "" {
			kept = append(kept, s)
		}
	}
	y.queue = kept
}

// prune forgets calls that nobody has settled, and pools that hold nothing.
func (y *system) prune(now time.Time) {
	for id, f := range y.flights {
		if now.After(f.until.Add(time.Minute)) {
			delete(y.flights, id)
		}
	}
	for key, o := range y.overdue {
		if !now.Before(o.till) {
			delete(y.overdue, key)
		}
	}
	if len(y.pools) > maxHeard {
		for key := range y.pools {
			if y.shadow.Occupied(y.name, key) == 0 {
				delete(y.pools, key)
			}
		}
	}
}

// refusedByServer tells of errors with which a server says that it has not run a script.
func refusedByServer(err error) bool {
	var e redis.Error
	if !errors.As(err, &e) {
		return false
	}
	word, _, _ := strings.Cut(e.Error(), " ")
	switch word {
	case "READONLY", "LOADING", "CLUSTERDOWN", "MASTERDOWN", "NOAUTH", "WRONGPASS", "MISCONF", "BUSY", "TRYAGAIN", "NOSCRIPT", "MOVED", "NOREPLICAS", "OOM":
		return true
	}
	return false
}

func (y *system) watch(wake func()) (stop func()) {
	y.mu.Lock()
	defer y.mu.Unlock()
	id := y.watches
	y.watches++
	y.wakes[id] = wake
	return func() {
		y.mu.Lock()
		defer y.mu.Unlock()
		delete(y.wakes, id)
	}
}

func (y *system) wake() {
	y.mu.Lock()
	wakes := make([]func(), 0, len(y.wakes))
	for _, w := range y.wakes {
		wakes = append(wakes, w)
	}
	y.mu.Unlock()
	for _, w := range wakes {
		w()
	}
}

// leave settles what is left and says goodbye. One that has admitted calls alone
// that nobody else knows of does not: others know it by its share until that has
// run out. Nor is it worth a wait where Redis is out of reach.
func (y *system) leave() error {
	y.mu.Lock()
	there, known := y.mode == budget.ModeShared, y.epoch != "" && y.lone == nil
	y.mu.Unlock()
	if !known {
		return nil
	}
	patience := y.store.options.Deadline
	if there {
		patience *= 4
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for y.flush(ctx) {
	}
	err := y.store.scripts.leave.Run(ctx, y.store.client, y.keys, y.store.options.Replica, "1", y.store.number()).Err()
	if !there {
		return nil
	}
	return err
}

func (y *system) usage(ctx context.Context) ([]budget.Usage, error) {
	if y.standing().Mode != budget.ModeShared {
		return y.shadow.Usage(ctx, y.name)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*y.store.options.Deadline)
	defer cancel()
	v, err := y.store.scripts.usage.Run(ctx, y.store.client, y.keys).Slice()
	if err != nil {
		return nil, err
	}
	all := make([]budget.Usage, 0, len(v))
	for _, item := range v {
		u, ok := item.([]any)
		if !ok || len(u) != 7 {
			return nil, errAnswer
		}
		n := func(i int) int64 { value, _ := u[i].(int64); return value }
		key, _ := u[0].(string)
		all = append(all, budget.Usage{
			Key: key, Used: budget.Units(n(1)), InFlight: budget.Units(n(2)), Foreign: budget.Units(n(3)), Capacity: budget.Units(n(4)),
			RoomIn: time.Duration(n(5)) * time.Microsecond, PausedFor: time.Duration(n(6)) * time.Microsecond,
		})
	}
	return all, nil
}

var errAnswer = errors.New("counter: Redis gave an answer that is not understood")
