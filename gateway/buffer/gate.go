package buffer

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// gate is the way of the writes to one system, as this replica goes it: how
// many of each class stand in the budget's line, and whether any may come.
type gate struct {
	buffer *Buffer
	system string
	wake   chan struct{}
	asked  time.Time // when doubts were last looked for; only the dispatcher touches it
	// searches are for writes that a full line keeps out; only the dispatcher touches them.
	searches [len(specs.Classes)]search

	mu   sync.Mutex
	line [len(specs.Classes)]int // claimed and not admitted yet, by class
	// kinds is what stands in line, by class and kind.
	kinds  [len(specs.Classes)]map[kind]int
	coming [len(specs.Classes)]int // being appended, to be handed over if nothing is before them
	flight int                     // admitted
	asking int                     // doubts that are being settled
	// behind tells that the ledger may hold ready writes of a class that are
	// not claimed: a new one must not be handed over before them.
	behind [len(specs.Classes)]bool
	// closed is until when writes of a class are not claimed, because of those of
	// the kinds in full, and shut until when none is.
	closed [len(specs.Classes)]time.Time
	full   [len(specs.Classes)]map[kind]time.Time
	shut   time.Time
	// failures counts how often in a row the system was not reached or had no
	// room. While it is not zero, one write at a time tries.
	failures int
	ended    rate
	// parcels are those that writes can join, by what is in them; alone are
	// writes that go in none. fits is how many writes the budget lets through
	// together, where that is known to be less than the system takes.
	parcels map[alike]*parcel
	alone   map[string]bool
	fits    map[alike]int
}

func newGate(b *Buffer, system string) *gate {
	g := &gate{buffer: b, system: system, wake: make(chan struct{}, 1), parcels: map[alike]*parcel{}, alone: map[string]bool{}, fits: map[alike]int{}}
	for c := range g.behind {
		g.behind[c] = true // until the ledger has been asked
		g.kinds[c], g.full[c] = map[kind]int{}, map[kind]time.Time{}
	}
	return g
}

func (g *gate) wakeUp() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// most is how many writes may be at a system or in its line at a time.
func (g *gate) most() int {
	connections := 0
	if s := g.buffer.current.Load(); s != nil {
		connections = s.system.Connections(g.system)
	}
	return max(connections, 1)
}

// reserve takes a place for a write that is about to be appended, if it may be
// handed over: nothing of its class or above is behind. The place must be taken
// with enter, or given back with release.
func (g *gate) reserve(c specs.Class) bool {
	most := g.most()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.buffer.ctx.Err() != nil {
		return false
	}
	now := time.Now()
	ahead := false
	for d := c; d <= specs.Critical; d++ {
		ahead = ahead || g.behind[d]
	}
	if ahead || g.failures > 0 || g.free(c, now, most) == 0 {
		g.behind[c] = true
		return false
	}
	g.coming[c]++
	return true
}

// enter puts a write that was handed over into the line.
func (g *gate) enter(c *ledger.Claimed) {
	g.mu.Lock()
	g.coming[c.Class]--
	g.stand(c.Rank, kindOf(c), 1)
	g.mu.Unlock()
}

// stand counts what stands in line. g.mu is held.
func (g *gate) stand(c specs.Class, k kind, n int) {
	g.line[c] += n
	g.kinds[c][k] += n
	if g.kinds[c][k] == 0 {
		delete(g.kinds[c], k)
	}
}

// release gives a place back that was not used.
func (g *gate) release(c specs.Class) {
	g.mu.Lock()
	g.coming[c]--
	g.mu.Unlock()
	g.wakeUp()
}

func (g *gate) active() int {
	n := g.flight
	for c := range g.line {
		n += g.line[c] + g.coming[c]
	}
	return n
}

// free is how many more writes of a class may be claimed. What stands in line
// of the classes below does not count: it must not keep a more urgent one out.
func (g *gate) free(c specs.Class, now time.Time, most int) int {
	if now.Before(g.shut) || now.Before(g.closed[c]) {
		return 0
	}
	left := most - g.flight
	for d := c; d <= specs.Critical; d++ {
		left -= g.line[d] + g.coming[d]
	}
	if g.failures > 0 {
		left = min(left, 1-g.active())
	}
	return max(0, min(left, g.buffer.options.Line-g.line[c]))
}

// room is what may be claimed now.
func (g *gate) room(now time.Time) ledger.Room {
	most := g.most()
	g.mu.Lock()
	defer g.mu.Unlock()
	r := ledger.Room{Most: make([]int, len(specs.Classes)), Lease: g.buffer.options.Lease, Timeout: g.buffer.timeout}
	for c := range r.Most {
		r.Most[c] = g.free(specs.Class(c), now, most)
		r.Max += r.Most[c]
	}
	r.Max = min(r.Max, max(0, most-g.flight))
	if g.failures > 0 {
		r.Max = min(r.Max, 1)
	}
	return r
}

// took notes what was claimed of a room.
func (g *gate) took(r ledger.Room, claims []*ledger.Claimed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var got [len(specs.Classes)]int
	for _, c := range claims {
		got[c.Rank]++
		g.stand(c.Rank, kindOf(c), 1)
	}
	for c := range g.behind {
		g.behind[c] = len(claims) >= r.Max || got[c] >= r.Most[c]
	}
}

// admit moves a write from the line to the system.
func (g *gate) admit(c specs.Class, k kind) {
	g.mu.Lock()
	g.stand(c, k, -1)
	g.flight++
	behind := g.behind[c]
	g.mu.Unlock()
	if behind {
		g.wakeUp()
	}
}

// leave takes a write out, from the line or from the system.
func (g *gate) leave(c specs.Class, k kind, admitted bool) {
	g.mu.Lock()
	if admitted {
		g.flight--
	} else {
		g.stand(c, k, -1)
	}
	behind := slices.Contains(g.behind[:], true)
	g.mu.Unlock()
	if behind {
		g.wakeUp()
	}
}

// answered notes that the system is there.
func (g *gate) answered() {
	g.mu.Lock()
	was := g.failures
	g.failures, g.shut = 0, time.Time{}
	g.mu.Unlock()
	if was > 0 {
		g.wakeUp()
	}
}

// failed notes that the system was not reached or had no room, and tells until
// when it is left alone: its own hint, or a pause that doubles.
func (g *gate) failed(hint time.Duration) time.Time {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.shut) && g.failures > 0 {
		return g.shut // several found it out together
	}
	pause := hint
	if pause <= 0 {
		pause = g.buffer.pause(g.failures)
	}
	g.failures++
	g.shut = now.Add(min(pause, g.buffer.options.MaxBackoff))
	return g.shut
}

// crowded notes that the budget had no room for a kind of writes of a class.
func (g *gate) crowded(c specs.Class, k kind, hint time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.closed[c] = now.Add(min(max(hint, 10*time.Millisecond), g.buffer.options.Backoff))
	maps.DeleteFunc(g.full[c], func(_ kind, until time.Time) bool { return !now.Before(until) })
	g.full[c][k] = g.closed[c]
}

// pause is an exponential back-off with full jitter, of at least a tenth.
func (b *Buffer) pause(n int) time.Duration {
	most := min(time.Duration(float64(b.options.Backoff)*math.Pow(2, float64(min(n, 30)))), b.options.MaxBackoff)
	return most/10 + rand.N(most-most/10)
}

// askEvery is how often doubts are looked for at most: they are rare, and come
// of age rather than suddenly.
const askEvery = 100 * time.Millisecond

// maxAsking is how many doubts of a system are settled at a time.
const maxAsking = 4

// dispatch claims what can be sent, as long as the buffer runs.
func (g *gate) dispatch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-g.buffer.ctx.Done():
			return
		case <-g.wake:
		case <-timer.C:
		}
		timer.Reset(g.serve())
	}
}

// serve claims all that may go now, and tells when to look again at the latest.
func (g *gate) serve() time.Duration {
	b := g.buffer
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if b.current.Load() == nil {
		return b.options.Look
	}
	if room := g.room(time.Now()); room.Max > 0 {
		asked := time.Now()
		claims, err := b.ledger.Claim(ctx, g.system, room)
		if err != nil {
			return g.trouble(err)
		}
		g.took(room, claims)
		for _, c := range claims {
			b.enlist() // Close waits for the dispatchers first
			b.carryOut(context.Background(), g, c, nil, asked)
		}
	}
	wait, err := g.pass(ctx)
	if err != nil {
		return g.trouble(err)
	}
	if err := g.ask(ctx); err != nil {
		return g.trouble(err)
	}
	next, err := b.ledger.Next(ctx, g.system)
	if err != nil {
		return g.trouble(err)
	}
	return min(wait, g.again(next))
}

// ask claims doubts whose fate may be asked for.
func (g *gate) ask(ctx context.Context) error {
	b := g.buffer
	g.mu.Lock()
	n := maxAsking - g.asking
	if time.Now().Before(g.shut) {
		n = 0
	}
	g.mu.Unlock()
	if n <= 0 || time.Since(g.asked) < askEvery {
		return nil
	}
	g.asked = time.Now()
	claims, err := b.ledger.ClaimDoubtful(ctx, g.system, n, b.options.Lease)
	if err != nil {
		return err
	}
	for _, c := range claims {
		g.mu.Lock()
		g.asking++
		g.mu.Unlock()
		done := func() {
			g.mu.Lock()
			g.asking--
			g.mu.Unlock()
			g.wakeUp()
		}
		asked := g.asked
		b.enlist()
		b.carry(func() { defer done(); b.resolve(g, c, asked) })
	}
	return nil
}

func (g *gate) trouble(err error) time.Duration {
	if g.buffer.ctx.Err() == nil {
		g.buffer.log.Warn("the ledger gives no writes", "system", g.system, "error", err)
	}
	return time.Second
}

// again is when to look next: when something becomes due or a gate opens.
func (g *gate) again(due time.Time) time.Duration {
	now := time.Now()
	wait := g.buffer.options.Look
	consider := func(t time.Time) {
		if t.After(now) {
			wait = min(wait, t.Sub(now)+time.Millisecond)
		}
	}
	if !due.IsZero() {
		if !due.After(now) {
			due = now.Add(askEvery)
		}
		consider(due)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	consider(g.shut)
	for _, t := range g.closed {
		consider(t)
	}
	return wait
}
