package sim

import (
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// limit is one line of a kind's table of limits.
type limit struct {
	name string
	source
	// scope tells whose count a call goes to; nil: there is one for all.
	scope func(*visit) string
	// cost is what a call counts, 0 when the limit does not concern it; nil: 1.
	cost func(*visit) float64
	// actual is what a call turned out to have cost; nil: its cost.
	actual func(*visit) float64
	// refuse is the vendor's answer to a call too many.
	refuse func(*visit, refusal) answer
	// late answers a call whose patience in the line ran out.
	late func(*visit) answer
	// billed limits count, and refuse nothing.
	billed bool
	// overshoot is how many more are let in at once, as a lenient vendor does.
	overshoot int

	// held is how many places others take all the time.
	held   int
	mu     *sync.Mutex // the server's
	meters map[string]meter
	busy   gauge
	tally
	marked tally
}

// tally is what a limit has counted.
type tally struct {
	violations, queued  int
	used, foreign, peak float64
	busy                float64 // call-seconds, filled in when it is read
}

// refusal tells a vendor's answer what it may say.
type refusal struct {
	limit *limit
	key   string
	now   time.Time
	// wait is how long it takes until there is room, 0 where that cannot be known.
	wait time.Duration
}

// seconds is the wait in whole seconds, rounded up, 1 at least.
func (f refusal) seconds() int { return max(1, int(math.Ceil(f.wait.Seconds()))) }

// retryAfter is the header of that name.
func (f refusal) retryAfter() http.Header {
	return http.Header{"Retry-After": {strconv.Itoa(f.seconds())}}
}

// visit is one call on its way through a simulator.
type visit struct {
	r         *http.Request
	operation string
	at        time.Time
	// elements and points are what the body says that the call is worth; actual
	// is what its points come to in the end.
	elements, points, actual float64
	// node is the server that answers, where there are several; plan the usage
	// plan that counts the call.
	node    int
	plan    string
	foreign bool

	admitted bool
	left     bool
	charges  []charge
	place    place
	waitsFor *limit
}

// charge is what a visit took from a meter.
type charge struct {
	limit *limit
	meter meter
	cost  float64
}

// weigh reads the cost that a body may state: {"elements": n} or {"points": n, "actual": m}.
func (v *visit) weigh(body map[string]any) {
	if n, ok := amount(body["elements"]); ok && n >= 1 {
		v.elements = n
	}
	if text, ok := body["xml"].(string); ok { // each function of a Sage Intacct call is one
		v.elements = max(1, float64(strings.Count(text, "<function")))
	}
	if n, ok := amount(body["points"]); ok && n > 0 {
		v.points, v.actual = n, n
	}
	if n, ok := amount(body["actual"]); ok {
		v.actual = n
	}
}

func elements(v *visit) float64       { return v.elements }
func byAuthorization(v *visit) string { return v.r.Header.Get("Authorization") }
func byNode(v *visit) string          { return strconv.Itoa(v.node) }
func byHeader(n string) func(*visit) string {
	return func(v *visit) string { return v.r.Header.Get(n) }
}

// count is 1 for what is so.
func count(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (l *limit) key(v *visit) string {
	if l.scope == nil {
		return ""
	}
	return l.scope(v)
}

func (l *limit) costOf(v *visit) float64 {
	if l.cost == nil {
		return 1
	}
	return l.cost(v)
}

// maxScopes bounds the users, stores and nodes that are counted apart.
const maxScopes = 1000

// of finds the count of a scope.
func (l *limit) of(key string, now time.Time) meter {
	m := l.meters[key]
	if m == nil && len(l.meters) >= maxScopes {
		maps.DeleteFunc(l.meters, func(_ string, m meter) bool { return m.idle(now) })
		if len(l.meters) >= maxScopes {
			key = "" // the rest are counted as one
			m = l.meters[key]
		}
	}
	if m == nil {
		m = l.meter(l, key)
		l.meters[key] = m
	}
	return m
}

// left is what a scope has still free.
func (l *limit) left(v *visit, now time.Time) float64 {
	return max(0, l.capacity-l.of(l.key(v), now).used(now))
}

// admit lets a call in if all limits have room for it, and takes nothing
// otherwise. It is called with the lock held.
func (s *Server) admit(v *visit) *answer {
	for _, l := range s.limits {
		cost := l.costOf(v)
		if cost == 0 {
			continue
		}
		key := l.key(v)
		m := l.of(key, v.at)
		if wait, ok := m.fits(v.at, cost); !ok && !l.billed {
			v.charges = nil
			if !v.foreign {
				l.violations++
			}
			a := l.refuse(v, refusal{l, key, v.at, wait})
			return &a
		}
		v.charges = append(v.charges, charge{l, m, cost})
	}
	v.admitted = true
	for _, c := range v.charges {
		p := c.meter.take(v.at, c.cost)
		v.place.delay = max(v.place.delay, p.delay)
		if p.turn != nil {
			v.place.turn, v.waitsFor = p.turn, c.limit
		}
		if p.turn != nil || p.delay > 0 {
			c.limit.queued++
		}
		c.limit.count(v, c.cost)
		c.limit.top(c.meter, v.at)
	}
	return nil
}

// count adds what a call costs. Execution time is known only at the end.
func (l *limit) count(v *visit, cost float64) {
	if l.kind == "execution-time" {
		return
	}
	l.add(v, cost)
}

func (l *limit) add(v *visit, cost float64) {
	l.used += cost
	if v.foreign {
		l.foreign += cost
	}
}

func (l *limit) top(m meter, now time.Time) { l.peak = max(l.peak, m.used(now)) }

// settle ends what a call has taken, with the lock held, before the answer is written.
func (s *Server) settle(v *visit, now time.Time, abandoned bool) {
	for _, c := range v.charges {
		u := use{at: v.at, took: now.Sub(v.at), cost: c.cost, actual: c.cost}
		u.abandoned = abandoned && c.limit == v.waitsFor
		if c.limit.actual != nil {
			u.actual = c.limit.actual(v)
			c.limit.add(v, u.actual-u.cost)
		}
		if c.limit.kind == "execution-time" {
			c.limit.add(v, u.took.Seconds())
		}
		c.meter.done(now, u)
		c.limit.top(c.meter, now)
	}
	v.charges = nil
}

// penalties are pauses that grow while a caller goes on sending.
type penalties struct {
	least, most time.Duration
	until       map[string]time.Time
}

// next is the pause to tell after a refusal: until there is room, and twice
// what was left of the last one.
func (p *penalties) next(f refusal) time.Duration {
	pause := max(p.least, f.wait)
	if left := p.until[f.key].Sub(f.now); left > 0 {
		pause = max(pause, min(2*left, p.most))
	}
	if len(p.until) >= maxScopes {
		maps.DeleteFunc(p.until, func(_ string, t time.Time) bool { return f.now.After(t) })
	}
	if len(p.until) < maxScopes {
		p.until[f.key] = f.now.Add(pause)
	}
	return pause
}
