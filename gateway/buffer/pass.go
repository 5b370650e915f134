package buffer

import (
	"context"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// kind is what writes have in common that wait for the same limits.
type kind struct{ operation, app string }

func kindOf(c *ledger.Claimed) kind { return kind{c.Operation, c.App} }

// search is how far the ready writes of a class have been looked through for those
// that wait for other limits than the ones that fill the line. The writes of a line,
// as system.Set names it, are looked at once, and again when all is looked at anew.
type search struct {
	// from is from which place on writes are still to be looked at, by their line; seen
	// is that of lines that are not in it.
	from map[string]int64
	seen int64
	// ended tells that the last look came to the end; since and took are when the
	// first one began, and how long all took.
	ended bool
	since time.Time
	took  time.Duration
}

// anew is in how long all is looked at again; a search that has not ended goes on.
func (l *search) anew() time.Duration {
	if !l.ended {
		return 0
	}
	return max(lookAnew, 20*l.took) - time.Since(l.since)
}

const (
	// lookSize is how many writes are looked at together, and lookPause how long
	// it takes at least until the next ones are.
	lookSize  = 256
	lookPause = 10 * time.Millisecond
	// lookAnew is when all is looked at again at the earliest: a lane may have come to
	// a write that was not ready. It takes a twentieth of the time at most.
	lookAnew = 100 * time.Millisecond
)

// spare is who may stand in line besides those that fill it.
type spare struct {
	set     *Set
	places  int            // for all of them together
	each    int            // for those of a line
	waiting map[string]int // by line
	full    map[kind]bool  // kinds for which there was no room just now
	names   map[kind]string
}

func (s *spare) line(k kind) string {
	name, ok := s.names[k]
	if !ok {
		name = s.set.system.Line(k.operation, k.app)
		s.names[k] = name
	}
	return name
}

// spare tells which writes of a class are kept out by others, although they may have
// room: those that fill its places all wait for something else. It is nil when there
// may be no such writes.
func (g *gate) spare(c specs.Class, set *Set) *spare {
	now, most := time.Now(), g.most()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.buffer.ctx.Err() != nil || g.failures > 0 || now.Before(g.shut) || !g.behind[c] || g.free(c, now, most) > 0 {
		return nil
	}
	s := &spare{
		set: set, places: most - g.flight, each: max(1, min(g.buffer.options.Line, most)/2),
		waiting: map[string]int{}, full: map[kind]bool{}, names: map[kind]string{},
	}
	for d := c; d <= specs.Critical; d++ {
		for k, n := range g.kinds[d] {
			s.waiting[s.line(k)] += n
		}
	}
	for _, n := range s.waiting {
		if n < s.each {
			s.places -= n
		}
	}
	for k, until := range g.full[c] {
		s.full[k] = now.Before(until)
	}
	s.places = min(s.places, s.each)
	if s.places <= 0 {
		return nil
	}
	return s
}

// pass claims writes that have to pass those that fill the line of their class,
// because they wait for other limits. It tells when to look on.
func (g *gate) pass(ctx context.Context) (wait time.Duration, err error) {
	wait = g.buffer.options.Look
	set := g.buffer.current.Load()
	if set == nil || !set.system.Divided(g.system) {
		return wait, nil
	}
	for _, c := range specs.Classes {
		s := g.spare(c, set)
		if s == nil {
			continue
		}
		l := &g.searches[c]
		chosen, err := g.look(ctx, c, l, s)
		if err != nil {
			return wait, err
		}
		wait = min(wait, max(lookPause, l.anew()))
		if len(chosen) == 0 {
			continue
		}
		asked := time.Now()
		claims, err := g.buffer.ledger.Claim(ctx, g.system, ledger.Room{
			Max: len(chosen), Only: chosen, Lease: g.buffer.options.Lease, Timeout: g.buffer.timeout,
		})
		if err != nil {
			return wait, err
		}
		for _, claim := range claims {
			g.mu.Lock()
			g.stand(claim.Rank, kindOf(claim), 1)
			g.mu.Unlock()
			g.buffer.enlist() // Close waits for the dispatchers first
			g.buffer.carryOut(context.Background(), g, claim, nil, asked)
		}
	}
	return wait, nil
}

// look goes on looking through the ready writes of a class, and chooses those that
// have a place.
func (g *gate) look(ctx context.Context, c specs.Class, l *search, s *spare) (chosen []int64, err error) {
	began := time.Now()
	if l.from == nil || l.ended && l.anew() <= 0 {
		*l = search{from: map[string]int64{}, since: began}
	}
	from := l.seen
	for line, place := range l.from {
		if s.waiting[line] < s.each {
			from = min(from, place)
		}
	}
	list, err := g.buffer.ledger.Ready(ctx, g.system, c, from, lookSize)
	if err != nil {
		return nil, err
	}
	l.took += time.Since(began)
	l.ended = len(list) < lookSize
	end, left := from, map[string]bool{}
	for _, w := range list {
		k := kind{w.Operation, w.App}
		line := s.line(k)
		at, known := l.from[line]
		if !known {
			at = l.seen
		}
		if len(chosen) == s.places {
			l.ended = false
			break
		}
		end = w.Place + 1
		switch {
		case w.Place < at || left[line]:
		case s.full[k] || s.waiting[line] >= s.each:
			left[line] = true
			if at >= from {
				l.from[line] = w.Place // up to here it has been looked at now
			}
		default:
			s.waiting[line]++
			chosen = append(chosen, w.Seq)
		}
	}
	for line, place := range l.from {
		if place >= from && !left[line] {
			l.from[line] = max(place, end)
		}
	}
	l.seen = max(l.seen, end)
	return chosen, nil
}
