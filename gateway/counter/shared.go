package counter

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
)

// Shared is a budget.Store for any number of processes, its replicas: Redis
// counts for all of them. There is one for each process, for all its systems.
// It is safe for concurrent use.
//
// # The argument
//
// No limit is exceeded whatever happens to Redis, to the network and to the
// replicas. What follows speaks of one system; C is the capacity of a pool.
//
//  1. One script admits a call to all its pools or to none, by Redis' own time.
//     All that is known of a system is one hash, which is there or not as a whole.
//  2. A registry in the hash has all replicas with their last beat and their share.
//     All shares together are never more than one: a replica says with each beat
//     which share it goes by, it is offered no more than the others leave, and
//     the registry notes the larger of the two, so that an answer may get lost.
//     Its beats are numbered, and one that a later one has overtaken is refused.
//     Of a pool or bucket with a place for a single call the heir has all, and the others have
//     none: one of the replicas, which stays it as long as it is known.
//  3. A replica that has not beaten for Missing may be on its own. Admissions then
//     leave its share of every pool free, on top of what is counted.
//  4. A replica whose call fails or is late admits nothing any more: it is
//     uncertain. It is alone when Missing and a margin have passed since the
//     latest moment at which a beat of its can have been carried out. Since a
//     script refuses what comes later than the caller allows for, that moment is
//     known, also if answers were lost; until it is sure that Redis answers, it
//     asks without beating. So rule 3 holds by the time it is alone.
//  5. Alone, it admits from its share. What others were admitted before rule 3
//     held may fill the pool, so until that is over (the longest lease of all
//     replicas, and the hold) it only uses again what Redis surely counted for it
//     when rule 3 came to hold: its calls under way and held, and those that ended
//     without Redis hearing of it, because Redis counts them until their leases
//     are over. One that was idle had nothing, and waits. However late this replica
//     hears of an admission, or of the end of a call, Redis surely counts the call
//     for its lease from when it was asked for, and no longer: a replica that stood
//     still for a while goes by that.
//  6. What it admits alone is in nobody's count as long as it is not told. It beats
//     no more from the moment at which it is alone until Redis has taken in all of
//     it, because a beat ends the reserve of rule 3.
//
// Let A be the calls that occupy the pool at some time t, with those of lone
// replicas. If the last admission to A by Redis came when a lone replica was
// missing already, then it left that replica's share free, and the replica's own
// older calls were counted in Redis as long as they occupied anything: the sum
// fits. If it came before, then it counted all of A's older calls together with
// what the replica occupied, of which the replica never uses more until they are
// over. Several lone replicas have shares that are no more than one together.
//
// A longer lease than any before is given only when all replicas know of it,
// because they wait for it under rule 5.
//
// Long pools (a hold of five minutes or more, and calendar windows) would stand
// still for that long. Their use is guarded: within the time that it takes to
// become missing it grows by a hundredth of the capacity or a tenth of what is
// left; by half of it where the hold is 30 seconds or more and the pool takes 500
// calls or more. A replica therefore knows a ceiling of what is used when it comes to be
// alone, and may use its share of what is above as well: what all lone replicas
// use again is below the ceiling, and their shares of the rest are one together.
// It spends its share of a guarded pool evenly over the window, or over Alone if
// that is shorter, but for a fiftieth at once. So there is some left as long as it
// lasts, and when it dies, only what it can have spent by then is unknown.
//
// Other pools are not guarded, because a burst has to find all of a pool at once.
// What others were admitted in the last seconds can fill them, and so a replica that
// was idle cannot know of a single place that is free: it waits under rule 5.
//
// A bucket is divided like a capacity: Redis goes on with the part of size and
// refill that the missing leave. A lone replica begins with an empty bucket when
// the longest lease is over. When it returns, its part returns empty.
//
// # Losing the counts
//
// Every start of a Redis server and every promotion of a replica changes its
// replication id, which the script compares with the one that the state was made
// under; a flush leaves no state. Then nothing is admitted (the fence) until
// everybody who is known to somebody has come and told what it has under way and
// held. Who does not come in time counts as missing, with all shares that nobody
// else has; for what it may have sent, and what was sent by replicas that have
// left, pools count as used up to the known ceiling, or as full, until that is over.
// Buckets begin empty. A system of which nobody knows anything begins at zero,
// unless ColdStart says otherwise. That nobody knows anything shows when the fence
// has stood its time, or at once when as many replicas are there as ever run
// (Replicas) and none of them remembers anything.
//
// # Clocks
//
// Redis' clock is the server's wall clock. Each script is told the least and the
// most that it can be, by the caller's own clock since its last beat. A clock that
// was put back goes on from the least; one that was put forward has its calls
// refused until a replica has taken the difference back. What is put forward by
// less than an answer takes cannot be told from a slow answer.
//
// # What is assumed
//
// Clocks of processes run equally fast within a thousandth. A process does not
// send a call after its lease. Redis keeps what it was told as long as it runs
// under the same replication id. A system whose counts and all whose replicas are
// lost at once begins at zero, except for what a lone replica still sends.
type Shared struct {
	client  redis.UniversalClient
	options Options
	by      float64 // names this process, a whole number
	started time.Time
	scripts luaScripts

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	systems map[string]*system
	pubsub  *redis.PubSub
}

// Options set up a Shared.
type Options struct {
	// Replica names this process among all that share the Redis; it must be its
	// own, and should be the same again when the process is started anew.
	Replica string
	// Beat is how often a replica says that it is there; 1 s when zero. Missing is
	// when others take it for missing; 3 s when zero. Both must be the same for
	// all replicas.
	Beat, Missing time.Duration
	// Alone is how long a replica goes on without Redis at most; 1 h when zero. Its
	// share stays reserved for as long, and for what it may have sent.
	Alone time.Duration
	// Deadline is how long an answer of Redis may take; 250 ms when zero.
	Deadline time.Duration
	// ColdStart tells what a system is taken for that nobody knows anything of:
	// free (the default) or occupied.
	ColdStart string
	// Replicas is the most replicas that ever run at a time; zero when that is not
	// known. When as many are there and remember nothing, an empty Redis need not
	// wait for any other. A replica that comes beyond them is admitted all the same.
	Replicas int
	// Log is told of changes of mode; nothing is logged when nil.
	Log *slog.Logger
}

// ErrOptions is the error of Open for options or a client that do not do.
var ErrOptions = errors.New("counter: these options do not do")

func (o *Options) complete() error {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.Beat, time.Second)
	set(&o.Missing, 3*time.Second)
	set(&o.Alone, time.Hour)
	set(&o.Deadline, 250*time.Millisecond)
	if o.ColdStart == "" {
		o.ColdStart = "free"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Replica == "":
		return fmt.Errorf("%w: the replica has no name", ErrOptions)
	case o.Beat < 0 || o.Deadline < 0 || o.Missing < o.Beat || o.Alone < o.Missing:
		return fmt.Errorf("%w: beat %s, missing %s and alone %s must grow", ErrOptions, o.Beat, o.Missing, o.Alone)
	case o.Replicas < 0:
		return fmt.Errorf("%w: %d replicas", ErrOptions, o.Replicas)
	case o.ColdStart != "free" && o.ColdStart != "occupied":
		return fmt.Errorf("%w: a cold start is free or occupied, not %q", ErrOptions, o.ColdStart)
	}
	return nil
}

// Open makes a store on a client, which stays the caller's. It does not wait for
// Redis. The client must heed the deadlines of contexts (ContextTimeoutEnabled).
func Open(client redis.UniversalClient, o Options) (*Shared, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	heeds := true
	switch c := client.(type) {
	case *redis.Client:
		heeds = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		heeds = c.Options().ContextTimeoutEnabled
	}
	if !heeds {
		return nil, fmt.Errorf("%w: the client does not heed deadlines", ErrOptions)
	}
	s := &Shared{client: client, options: o, started: time.Now(), scripts: lua(), systems: map[string]*system{}}
	var random [8]byte
	_, _ = rand.Read(random[:])
	s.by = float64(binary.LittleEndian.Uint64(random[:]) >> 16)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close settles what is left to settle, says goodbye, and ends all goroutines. Calls
// that are still under way come back by their leases.
func (s *Shared) Close() error {
	s.mu.Lock()
	s.closed = true
	systems := make([]*system, 0, len(s.systems))
	for _, y := range s.systems {
		systems = append(systems, y)
	}
	pubsub := s.pubsub
	s.mu.Unlock()
	s.cancel()
	var errs []error
	if pubsub != nil {
		errs = append(errs, pubsub.Close())
	}
	s.work.Wait()
	for _, y := range systems {
		errs = append(errs, y.leave())
	}
	return errors.Join(errs...)
}

var errClosed = errors.New("counter: the store is closed")

// number is the process's, as scripts write it.
func (s *Shared) number() string { return strconv.FormatFloat(s.by, 'f', 0, 64) }

// newEpoch names a state that does not exist yet.
func (s *Shared) newEpoch() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// system finds or makes what is known of a system; nil after Close.
func (s *Shared) system(name string) *system {
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.systems[name]
	if y == nil && !s.closed {
		y = newSystem(s, name)
		s.systems[name] = y
		s.work.Add(2)
		go y.beats()
		go y.settles()
	}
	return y
}

// Admit implements budget.Store. Without Redis it is not an error: the decision
// is made by this replica's share, or it is to ask again.
func (s *Shared) Admit(ctx context.Context, a *budget.Admission) (budget.Decision, error) {
	y := s.system(a.System)
	if y == nil {
		return budget.Decision{}, errClosed
	}
	select {
	case <-y.joined:
	default:
		y.await(ctx)
	}
	return y.admit(a)
}

// Settle implements budget.Store. It does not wait for Redis.
func (s *Shared) Settle(_ context.Context, a *budget.Admission, r budget.Settlement) error {
	y := s.system(a.System)
	if y == nil {
		return errClosed
	}
	return y.settle(a, r)
}

// Usage implements budget.Store: the use of all replicas while the counts are
// shared, and this replica's own otherwise.
func (s *Shared) Usage(ctx context.Context, system string) ([]budget.Usage, error) {
	y := s.system(system)
	if y == nil {
		return nil, errClosed
	}
	return y.usage(ctx)
}

// Suspend implements budget.Store. Out of Redis' reach it holds for this replica,
// and is an error.
func (s *Shared) Suspend(ctx context.Context, system string, d time.Duration) error {
	y := s.system(system)
	if y == nil {
		return errClosed
	}
	return y.suspend(ctx, max(0, d))
}

// Yield implements budget.Store.
func (s *Shared) Yield(ctx context.Context, system string) error {
	y := s.system(system)
	if y == nil {
		return errClosed
	}
	y.change(suspension{trial: true})
	return y.tellSuspension(ctx, -time.Microsecond)
}

// Watch implements budget.Store.
func (s *Shared) Watch(system string, wake func()) (stop func()) {
	y := s.system(system)
	if y == nil {
		return func() {}
	}
	s.listen(y)
	return y.watch(wake)
}

// listen has the replicas' messages about a system wake its lines. Without Redis
// none come, and lines look again by themselves.
func (s *Shared) listen(y *system) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.pubsub != nil {
		_ = s.pubsub.Subscribe(s.ctx, y.keys[0])
		return
	}
	s.pubsub = s.client.Subscribe(s.ctx, y.keys[0])
	messages := s.pubsub.Channel()
	s.work.Go(func() {
		own := s.number()
		for m := range messages {
			if m.Payload == own {
				continue // its lines have been woken, or have taken what was freed
			}
			s.mu.Lock()
			var told *system
			for _, y := range s.systems {
				if y.keys[0] == m.Channel {
					told = y
				}
			}
			s.mu.Unlock()
			if told != nil {
				told.wake()
			}
		}
	})
}

// Standing implements budget.Store.
func (s *Shared) Standing(system string) budget.Standing {
	y := s.system(system)
	if y == nil {
		return budget.Standing{Mode: budget.ModeUncertain}
	}
	return y.standing()
}

//go:embed lua/*.lua
var luaFiles embed.FS

// luaScripts are what Redis runs. Each is one round trip and atomic.
type luaScripts struct {
	admit, settle, ask, beat, rejoin, leave, usage, suspend, correct, replicas *redis.Script
}

// lua are the scripts, worked out once: that takes a third of a second.
var lua = sync.OnceValue(func() luaScripts {
	text := func(name string) string {
		b, err := luaFiles.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // it is embedded
		}
		return string(b)
	}
	common := text("common")
	script := func(name string) *redis.Script { return redis.NewScript(inline(common + text(name))) }
	return luaScripts{
		admit: script("admit"), settle: script("settle"), ask: script("ask"), beat: script("beat"), rejoin: script("rejoin"),
		leave: script("leave"), usage: script("usage"), suspend: script("suspend"), correct: script("correct"), replicas: script("replicas"),
	}
})

// constant is a line of a script that names numbers or texts in capitals.
var constant = regexp.MustCompile(`(?m)^local ([A-Z][A-Z_]*(?:, [A-Z][A-Z_]*)*) = ((?:-?\d+|'[^']*')(?:, (?:-?\d+|'[^']*'))*)(?: *--.*)?\n`)

// places is a comment of a script that lists the fields of a variable.
var places = regexp.MustCompile(`(?m)^-- places of (\w+): (.*)\n`)

// inline puts a script's constants where they are used. Lua has none of its own,
// and variables of a script that many of its functions use cost Redis ten
// microseconds each time that it runs: it looks for each of them in one long list.
// Likewise fields that have places become those: x.name becomes x[1].
func inline(script string) string {
	fields := map[string][]string{} // of each variable
	for _, m := range places.FindAllStringSubmatch(script, -1) {
		fields[m[1]] = append(fields[m[1]], strings.Split(m[2], ", ")...)
	}
	script = places.ReplaceAllString(script, "")
	for variable, names := range fields {
		script = putPlaces(script, variable, names)
	}
	values := map[string]string{}
	for _, m := range constant.FindAllStringSubmatch(script, -1) {
		list := strings.Split(m[2], ", ")
		for i, name := range strings.Split(m[1], ", ") {
			if values[name] != "" {
				panic("a script names " + name + " twice") // a test runs them all
			}
			values[name] = list[i]
		}
	}
	script = constant.ReplaceAllString(script, "")
	script = needed(script)
	return regexp.MustCompile(`\b[A-Z][A-Z_]*\b`).ReplaceAllStringFunc(script, func(word string) string {
		if value, ok := values[word]; ok {
			return value
		}
		return word
	})
}

// function is one of a script that is in no other.
var function = regexp.MustCompile(`(?m)^local function (\w+)\([^)]*\)(?: .* end\n|\n[\s\S]*?^end\n)`)

// needed leaves out functions of a script that nothing in it names: Redis makes them
// all anew each time that it runs.
func needed(script string) string {
	for {
		before := len(script)
		for _, m := range function.FindAllStringSubmatch(script, -1) {
			rest := strings.Replace(script, m[0], "", 1)
			said := regexp.MustCompile(`--.*`).ReplaceAllString(rest, "")
			if !regexp.MustCompile(`\b` + m[1] + `\b`).MatchString(said) {
				script = rest
			}
		}
		if len(script) == before {
			return script
		}
	}
}

// putPlaces puts the places of a variable's fields where they are named.
func putPlaces(script, variable string, names []string) string {
	word := func(b byte) bool {
		return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(script, variable+".")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		end := 0
		for end < len(after) && word(after[end]) {
			end++
		}
		whole := before == "" || !word(before[len(before)-1])
		if i := slices.Index(names, after[:end]); whole && i >= 0 {
			fmt.Fprintf(&out, "%s[%d]", variable, i+1)
		} else {
			out.WriteString(variable + "." + after[:end])
		}
		script = after[end:]
	}
}
