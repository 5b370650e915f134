package sim

import (
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
