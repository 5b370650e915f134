package budget

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/specs"
)

// queueing has calls stand in a line of which nobody is admitted, and keeps what became of them.
type queueing struct {
	b      *Budget
	ctx    context.Context
	leave  context.CancelFunc
	errors map[int]string
	calls  int
}

func newQueueing(bounds Bounds) *queueing {
	q := &queueing{b: New(Options{System: "erp", Limits: []Limit{capacity("l", 1, 0)}, Line: bounds}), errors: map[int]string{}}
	q.ctx, q.leave = context.WithCancel(context.Background())
	_, _ = q.b.Admit(q.ctx, Call{}) // takes the only place
	return q
}

// join gives the number of the call.
func (q *queueing) join(app string, c specs.Class, bytes int) int {
	q.calls++
	n := q.calls
	go func() {
		if _, err := q.b.Admit(q.ctx, Call{App: app, Class: c, Bytes: bytes, Wait: time.Hour}); err != nil && q.ctx.Err() == nil {
			q.errors[n] = err.Error()
		}
	}()
	synctest.Wait()
	return n
}

// count is how many calls of an app and class stand in line.
func (q *queueing) count(app string, c specs.Class) int {
	if a := q.b.line.apps[app]; a != nil {
		return a.count[c]
	}
	return 0
}

const appFull = "calls of this app already take its part of the line for erp"

// An app that is alone has the whole line. When others come, it gives way until all
// have the same, and those of its calls go that came last.
func TestAnAppThatFloodsGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(Bounds{Calls: 6})
		defer q.leave()
		for range 6 {
			q.join("flood", specs.Normal, 0)
		}
		if n := q.join("flood", specs.Normal, 0); !strings.Contains(q.errors[n], "too many calls wait for erp") {
			t.Errorf("with nobody else there, a call too many is told %q", q.errors[n])
		}
		for i := range 3 {
			if n := q.join("shop", specs.Normal, 0); q.errors[n] != "" {
				t.Errorf("the call %d of another app: %s", i, q.errors[n])
			}
			if gone := 6 - i; !strings.Contains(q.errors[gone], appFull) {
				t.Errorf("the call %d of the flood: %q", gone, q.errors[gone])
			}
		}
		for _, app := range []string{"shop", "flood"} {
			if n := q.join(app, specs.Normal, 0); !strings.Contains(q.errors[n], appFull) {
				t.Errorf("%s has half of the line, and is told %q", app, q.errors[n])
			}
		}
		if n := q.join("third", specs.Normal, 0); q.errors[n] != "" || q.count("flood", specs.Normal)+q.count("shop", specs.Normal) != 5 {
			t.Errorf("a third app: %s", q.errors[n])
		}
		// More urgent classes are not asked to give way, and less urgent ones go first.
		for range 6 {
			q.join("urgent", specs.Critical, 0)
		}
		if n := q.join("shop", specs.Normal, 0); !strings.Contains(q.errors[n], "too many calls wait for erp") {
			t.Errorf("behind more urgent calls: %q", q.errors[n])
		}
		if q.count("urgent", specs.Critical) != 6 || len(q.b.line.apps) != 1 {
			t.Errorf("%d apps in line", len(q.b.line.apps))
		}
	})
}

// A share bounds an app whoever else waits; one call may always stand in line.
func TestTheShareOfAnApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(Bounds{Calls: 10, Bytes: 1000, AppShare: 0.3})
		defer q.leave()
		for i := range 4 {
			if n := q.join("a", specs.Low, 10); (q.errors[n] != "") != (i == 3) {
				t.Errorf("call %d: %q", i, q.errors[n])
			}
		}
		if n := q.join("a", specs.High, 10); q.errors[n] != "" {
			t.Errorf("in another class: %s", q.errors[n])
		}
		if n := q.join("b", specs.Low, 400); q.errors[n] != "" {
			t.Errorf("a single large call: %s", q.errors[n])
		}
		if n := q.join("b", specs.Low, 1); !strings.Contains(q.errors[n], appFull) {
			t.Errorf("a second call beyond the share of memory: %q", q.errors[n])
		}
		q.b.Bound(Bounds{Calls: 10, Bytes: 1000})
		if n := q.join("a", specs.Low, 10); q.errors[n] != "" {
			t.Errorf("without a share: %s", q.errors[n])
		}
	})
}

// The guarantee: the line keeps its bounds; a call is refused a place, or loses it,
// for the sake of its app only where no other app of its class holds more than its own
// does; calls of a class are never displaced for less urgent ones; and what the line
// notes of its apps is what stands in it.
func TestFairnessOfTheLine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		bounds := Bounds{Calls: rapid.IntRange(1, 12).Draw(r, "calls"), Bytes: 100}.complete()
		b := New(Options{System: "erp", Limits: []Limit{capacity("a", 1, 0), capacity("b", 1, 0)}, Line: bounds})
		l := &b.line
		var waiting []*waiter
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			if len(waiting) > 0 && rapid.IntRange(0, 4).Draw(r, "leaves") == 0 {
				i := rapid.IntRange(0, len(waiting)-1).Draw(r, "who")
				b.takeOut(waiting[i])
				waiting = append(waiting[:i], waiting[i+1:]...)
			}
			if rapid.IntRange(0, 15).Draw(r, "new limits") == 0 {
				l.renew(b)
			}
			c := Call{
				App: rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(r, "app"), Class: specs.Class(rapid.IntRange(0, 3).Draw(r, "class")),
				Bytes: rapid.SampledFrom([]int{0, 1, 30, 90}).Draw(r, "bytes"),
			}
			holds := func(app string, class specs.Class) float64 { return l.holds(l.apps[app], class, nil, bounds) }
			before := map[string]float64{}
			for app := range l.apps {
				before[app] = holds(app, c.Class)
			}
			mine := l.holds(l.apps[c.App], c.Class, &c, bounds)
			why := b.makeRoom(&c)
			if why != roomy {
				for app := range l.apps {
					if holds(app, c.Class) != before[app] {
						r.Fatalf("refused %+v, and the calls of %q have changed", c, app)
					}
				}
				// Taking from those that hold more would not have sufficed: what they
				// would be left with is what the call's app would hold, at most.
				above, aboveBytes := l.from(c.Class)
				for app, a := range l.apps {
					for w := a.last[c.Class]; w != nil && app != c.App && bounds.share(a.count[c.Class], a.bytes[c.Class]) > mine; w = w.older {
						above, aboveBytes = above-1, aboveBytes-int64(w.call.Bytes)
						a = &appLine{count: a.count, bytes: a.bytes}
						a.count[c.Class]--
						a.bytes[c.Class] -= int64(w.call.Bytes)
					}
				}
				if bounds.fit(&c)(above, aboveBytes) {
					r.Fatalf("refused %+v, although others hold more: %v, mine %g", c, before, mine)
				}
				continue
			}
			for _, w := range waiting {
				if w.displaced == roomy {
					continue
				}
				switch {
				case w.call.Class > c.Class:
					r.Fatalf("%+v displaces the more urgent %+v", c, w.call)
				case w.call.Class == c.Class && (w.displaced != crowdedApp || w.call.App == c.App || before[w.call.App] <= mine):
					r.Fatalf("%+v (%g) displaces %+v (%g)", c, mine, w.call, before[w.call.App])
				}
			}
			kept := waiting[:0]
			for _, w := range waiting {
				if w.displaced == roomy {
					kept = append(kept, w)
				} else if !w.out {
					r.Fatal("displaced, and not out of the line")
				}
			}
			waiting = kept
			l.arrived++
			w := &waiter{call: c, ticket: b.newTicket(&c), arrival: l.arrived, done: make(chan struct{})}
			l.add(w)
			b.waiting.Add(1)
			waiting = append(waiting, w)
			if err := consistent(b, waiting); err != nil {
				r.Fatal(err)
			}
		}
	})
}

// consistent compares what the line notes with what stands in it.
func consistent(b *Budget, waiting []*waiter) error {
	l := &b.line
	count, bytes := l.from(specs.Low)
	if count > b.bounds.Calls || bytes > b.bounds.Bytes || count != len(waiting) || int(b.waiting.Load()) != count {
		return fmt.Errorf("%d calls, %d bytes, %d in line, %d noted", count, bytes, len(waiting), b.waiting.Load())
	}
	seen := 0
	for name, a := range l.apps {
		for _, c := range specs.Classes {
			n, size := 0, int64(0)
			newest := uint64(1 << 60)
			for w := a.last[c]; w != nil; w = w.older {
				if w.call.App != name || w.call.Class != c || w.arrival >= newest || w.app != a {
					return fmt.Errorf("%q has %+v at a wrong place", name, w.call)
				}
				newest = w.arrival
				n, size = n+1, size+int64(w.call.Bytes)
			}
			if n != a.count[c] || size != a.bytes[c] {
				return fmt.Errorf("%q has %d calls of %d bytes, noted are %d and %d", name, n, size, a.count[c], a.bytes[c])
			}
			seen += n
		}
	}
	if seen != len(waiting) {
		return fmt.Errorf("the apps have %d calls of %d", seen, len(waiting))
	}
	return nil
}
