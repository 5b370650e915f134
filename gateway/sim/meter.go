package sim

import (
	"sync"
	"time"
)

// meter counts one scope of one limit: a user, a store, a node. Its methods
// are called with the server's lock held and with times that never go back.
type meter interface {
	// fits tells whether a call of that cost may come in now; if not, how long
	// it takes until it may, as far as that can be known (else 0).
	fits(now time.Time, cost float64) (wait time.Duration, ok bool)
	// take lets a call in. It may have to wait for its place.
	take(now time.Time, cost float64) place
	// done is told when the answer is ready.
	done(now time.Time, u use)
	// used is what counts at this moment: within the window, at once, out of the bucket.
	used(now time.Time) float64
	// idle tells that forgetting the meter would change nothing.
	idle(now time.Time) bool
	// clear forgets what has passed, but not the calls that are under way.
	clear()
}

// place is where an admitted call stands: it starts after delay, and when it has its turn, if there is one.
type place struct {
	delay time.Duration
	turn  *turn
}

// use is what a call came to.
type use struct {
	at           time.Time // of its arrival
	took         time.Duration
	cost, actual float64
	abandoned    bool // it left the line before its turn
}

// shape is what a meter can say of itself: capacity units in a window, so that
// capacity/window is the rate that can be kept up; no window for what counts at once.
type shape struct {
	kind     string
	capacity float64
	window   time.Duration
}

// source makes the meters of a limit, one for each scope.
type source struct {
	shape
	meter func(l *limit, scope string) meter
}

// slack forgives what adding and subtracting fractions leaves behind.
const slack = 1e-6

// gauge adds up how long how many calls were under way.
type gauge struct {
	n    int
	last time.Time
	area float64 // call-seconds
}

func (g *gauge) add(now time.Time, n int) {
	g.area = g.total(now)
	g.last = now
	g.n += n
}

func (g *gauge) total(now time.Time) float64 {
	if g.n == 0 {
		return g.area
	}
	return g.area + float64(g.n)*now.Sub(g.last).Seconds()
}

// seconds reads a number of seconds.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// atOnce counts calls from their arrival until their answers are ready.
func atOnce(capacity int) source {
	return source{shape{"at-once", float64(capacity), 0}, func(l *limit, _ string) meter {
		return &together{capacity: capacity + l.overshoot, running: l.held, held: l.held, busy: &l.busy}
	}}
}

type together struct {
	capacity, running, held int
	busy                    *gauge
}

func (m *together) fits(time.Time, float64) (time.Duration, bool) { return 0, m.running < m.capacity }

func (m *together) take(now time.Time, _ float64) place {
	m.running++
	m.busy.add(now, 1)
	return place{}
}

func (m *together) done(now time.Time, _ use) {
	m.running--
	m.busy.add(now, -1)
}

func (m *together) used(time.Time) float64 { return float64(m.running) }
func (m *together) idle(time.Time) bool    { return m.running == m.held }
func (m *together) clear()                 {}

// inLine runs a number of calls at once and lets others wait in order of their
// arrival, for patience at the most. A pace may hold the first of the line back.
func inLine(capacity, places int, patience time.Duration, pace func() pacer) source {
	return source{shape{"line", float64(capacity), 0}, func(l *limit, _ string) meter {
		m := &line{capacity: capacity, places: places, patience: patience, running: l.held, held: l.held, busy: &l.busy, mu: l.mu}
		if pace != nil {
			m.pace = pace()
		}
		return m
	}}
}

// pacer holds the first of a line back.
type pacer interface {
	delay(now time.Time) time.Duration
	started(now time.Time)
	clear()
}

type line struct {
	capacity, places, running, held int
	patience                        time.Duration
	pace                            pacer // may be nil
	busy                            *gauge
	mu                              *sync.Mutex
	waiting                         []*turn
}

// turn is a place in a line.
type turn struct {
	line    *line
	ready   chan struct{} // closed when it is the call's turn
	due     time.Time     // set when it stands first
	started bool
}

func (m *line) fits(now time.Time, _ float64) (time.Duration, bool) {
	free := len(m.waiting) == 0 && m.running < m.capacity && (m.pace == nil || m.pace.delay(now) <= 0)
	return 0, free || len(m.waiting) < m.places
}

func (m *line) take(now time.Time, _ float64) place {
	t := &turn{line: m, ready: make(chan struct{})}
	m.waiting = append(m.waiting, t)
	m.pump(now)
	if t.started {
		return place{}
	}
	return place{turn: t}
}

// pump starts who may start.
func (m *line) pump(now time.Time) {
	for len(m.waiting) > 0 && m.running < m.capacity {
		first := m.waiting[0]
		if m.pace != nil && first.due.IsZero() {
			delay := m.pace.delay(now)
			first.due = now.Add(delay)
			if delay > 0 {
				time.AfterFunc(delay, m.wake)
			}
		}
		if first.due.After(now) {
			return
		}
		m.waiting = m.waiting[1:]
		m.running++
		m.busy.add(now, 1)
		if m.pace != nil {
			m.pace.started(now)
		}
		first.started = true
		close(first.ready)
	}
}

func (m *line) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pump(time.Now())
}

// abandon takes a call out of the line; false if its turn has come meanwhile.
func (t *turn) abandon() bool {
	m := t.line
	for i, other := range m.waiting {
		if other == t {
			m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
			m.pump(time.Now())
			return true
		}
	}
	return false
}

func (m *line) done(now time.Time, u use) {
	if u.abandoned {
		return
	}
	m.running--
	m.busy.add(now, -1)
	m.pump(now)
}

func (m *line) used(time.Time) float64 { return float64(m.running) }

func (m *line) idle(time.Time) bool {
	return m.running == m.held && len(m.waiting) == 0 && m.pace == nil
}

func (m *line) clear() {
	if m.pace != nil {
		m.pace.clear()
	}
}

// aged counts at once, but only calls that have been under way for an age.
func aged(capacity int, age time.Duration) source {
	return source{shape{"at-once-aged", float64(capacity), 0}, func(l *limit, _ string) meter {
		return &elders{capacity: capacity, age: age, held: l.held, busy: &l.busy}
	}}
}

type elders struct {
	capacity, held int
	age            time.Duration
	busy           *gauge
	running        []time.Time // when they arrived, oldest first
}

func (m *elders) count(now time.Time) int {
	n := 0
	for n < len(m.running) && now.Sub(m.running[n]) >= m.age {
		n++
	}
	return n + m.held
}

func (m *elders) fits(now time.Time, _ float64) (time.Duration, bool) {
	return 0, m.count(now) < m.capacity
}

func (m *elders) take(now time.Time, _ float64) place {
	m.running = append(m.running, now)
	return place{}
}

// done adds the time that the call was old to the gauge in one piece: it was
// not seen growing old.
func (m *elders) done(now time.Time, u use) {
	for i, at := range m.running {
		if at.Equal(u.at) {
			m.running = append(m.running[:i], m.running[i+1:]...)
			break
		}
	}
	m.busy.area += max(0, u.took-m.age).Seconds()
}

func (m *elders) used(now time.Time) float64 { return float64(m.count(now)) }
func (m *elders) idle(time.Time) bool        { return len(m.running) == 0 }
func (m *elders) clear()                     {}

// sliding allows so much within every window: a call counts from its arrival
// until a window later, to the nanosecond.
func sliding(capacity float64, window time.Duration) source {
	return source{shape{"sliding-window", capacity, window}, func(*limit, string) meter {
		return &trail{capacity: capacity, window: window}
	}}
}

type trail struct {
	capacity float64
	window   time.Duration
	marks    []mark // oldest first
	sum      float64
}

type mark struct {
	at   time.Time
	cost float64
}

func (m *trail) trim(now time.Time) {
	for len(m.marks) > 0 && now.Sub(m.marks[0].at) >= m.window {
		m.sum -= m.marks[0].cost
		m.marks = m.marks[1:]
	}
	if len(m.marks) == 0 {
		m.marks, m.sum = nil, 0
	}
}

func (m *trail) fits(now time.Time, cost float64) (time.Duration, bool) {
	m.trim(now)
	over := m.sum + cost - m.capacity
	if over <= slack {
		return 0, true
	}
	for _, old := range m.marks {
		if over -= old.cost; over <= slack {
			return old.at.Add(m.window).Sub(now), false
		}
	}
	return 0, false
}

func (m *trail) take(now time.Time, cost float64) place {
	m.trim(now)
	m.marks = append(m.marks, mark{now, cost})
	m.sum += cost
	return place{}
}

func (m *trail) done(time.Time, use) {}

func (m *trail) used(now time.Time) float64 {
	m.trim(now)
	return m.sum
}

func (m *trail) idle(now time.Time) bool { return m.used(now) == 0 }
func (m *trail) clear()                  { m.marks, m.sum = nil, 0 }

// fixed allows so much from one tick of the clock to the next. Windows are
// aligned with the Unix epoch, moved by a phase of each scope (nil: none).
func fixed(capacity float64, window time.Duration, phase func(scope string) time.Duration) source {
	return source{shape{"fixed-window", capacity, window}, func(_ *limit, scope string) meter {
		m := &ticks{capacity: capacity, window: window}
		if phase != nil {
			m.phase = phase(scope)
		}
		return m
	}}
}

type ticks struct {
	capacity      float64
	window, phase time.Duration
	tick          int64
	sum           float64
}

func (m *ticks) advance(now time.Time) {
	if tick := (now.UnixNano() - int64(m.phase)) / int64(m.window); tick != m.tick {
		m.tick, m.sum = tick, 0
	}
}

// left is the time until the window ends.
func (m *ticks) left(now time.Time) time.Duration {
	return m.window - time.Duration((now.UnixNano()-int64(m.phase))%int64(m.window))
}

func (m *ticks) fits(now time.Time, cost float64) (time.Duration, bool) {
	m.advance(now)
	return m.left(now), m.sum+cost <= m.capacity+slack
}

func (m *ticks) take(now time.Time, cost float64) place {
	m.advance(now)
	m.sum += cost
	return place{}
}

func (m *ticks) done(time.Time, use) {}

func (m *ticks) used(now time.Time) float64 {
	m.advance(now)
	return m.sum
}

func (m *ticks) idle(now time.Time) bool { return m.used(now) == 0 }
func (m *ticks) clear()                  { m.sum = 0 }

// execution charges the seconds that a call took to another source, when the
// answer is ready: it refuses only when the time is used up already.
func execution(s source) source {
	return source{shape{"execution-time", s.capacity, s.window}, func(l *limit, scope string) meter {
		return &timed{meter: s.meter(l, scope)}
	}}
}

type timed struct {
	meter
	running int
}

func (m *timed) fits(now time.Time, _ float64) (time.Duration, bool) { return m.meter.fits(now, 0) }

func (m *timed) take(time.Time, float64) place {
	m.running++
	return place{}
}

func (m *timed) done(now time.Time, u use) {
	m.running--
	m.meter.take(now, u.took.Seconds())
}

func (m *timed) idle(now time.Time) bool { return m.running == 0 && m.meter.idle(now) }

// bucket holds so many tokens and is refilled at a rate a second. What a call
// took too much is given back when it is done.
func bucket(size, rate float64) source {
	return source{shape{"token-bucket", size, seconds(size / rate)}, func(*limit, string) meter {
		return &tokens{size: size, rate: rate}
	}}
}

// leaky is a bucket that lets calls wait for their tokens: rate a second, burst
// at once, and so many places to wait.
func leaky(burst, rate float64, places int) source {
	return source{shape{"leaky-queue", burst, seconds(burst / rate)}, func(*limit, string) meter {
		return &tokens{size: burst, rate: rate, debt: float64(places)}
	}}
}

type tokens struct {
	size, rate, debt float64
	out              float64 // tokens that are not there
	at               time.Time
}

func (m *tokens) advance(now time.Time) {
	m.out = max(0, m.out-now.Sub(m.at).Seconds()*m.rate)
	m.at = now
}

func (m *tokens) fits(now time.Time, cost float64) (time.Duration, bool) {
	m.advance(now)
	over := m.out + cost - m.size - m.debt
	if over <= slack {
		return 0, true
	}
	return seconds(over / m.rate), false
}

func (m *tokens) take(now time.Time, cost float64) place {
	m.advance(now)
	m.out += cost
	return place{delay: seconds(max(0, m.out-m.size) / m.rate)}
}

func (m *tokens) done(now time.Time, u use) {
	m.advance(now)
	m.out = max(0, m.out+u.actual-u.cost)
}

func (m *tokens) used(now time.Time) float64 {
	m.advance(now)
	return m.out
}

func (m *tokens) idle(now time.Time) bool { return m.used(now) == 0 }
func (m *tokens) clear()                  { m.out = 0 }

// spaced keeps calls a gap apart; a call that costs more needs a longer one.
func spaced(gap time.Duration) source {
	return source{shape{"spacing", 1, gap}, func(*limit, string) meter { return &spacing{gap: gap} }}
}

type spacing struct {
	gap  time.Duration
	last time.Time
}

func (m *spacing) fits(now time.Time, cost float64) (time.Duration, bool) {
	wait := m.last.Add(time.Duration(cost * float64(m.gap))).Sub(now)
	return max(0, wait), m.last.IsZero() || wait <= 0
}

func (m *spacing) take(now time.Time, _ float64) place {
	m.last = now
	return place{}
}

func (m *spacing) done(time.Time, use) {}

func (m *spacing) used(now time.Time) float64 {
	if m.idle(now) {
		return 0
	}
	return 1
}

func (m *spacing) idle(now time.Time) bool { return m.last.IsZero() || now.Sub(m.last) >= m.gap }
func (m *spacing) clear()                  { m.last = time.Time{} }

// seats counts sessions that are open, and a call that opens one.
func seats(capacity int, of *sessions) source {
	return source{shape{"sessions", float64(capacity), 0}, func(*limit, string) meter { return &seated{capacity: capacity, sessions: of} }}
}

type seated struct {
	capacity, opening int
	sessions          *sessions
}

func (m *seated) fits(now time.Time, _ float64) (time.Duration, bool) {
	return 0, m.opening+m.sessions.count(now) < m.capacity
}

func (m *seated) take(time.Time, float64) place {
	m.opening++
	return place{}
}

func (m *seated) done(time.Time, use)        { m.opening-- }
func (m *seated) used(now time.Time) float64 { return float64(m.opening + m.sessions.count(now)) }
func (m *seated) idle(time.Time) bool        { return m.opening == 0 }
func (m *seated) clear()                     {}
