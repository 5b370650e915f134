package budget

import "github.com/headrace/headrace/specs"

// Bounds keep a line short. The zero Bounds are 10 000 calls, 64 MiB, and no share.
//
// Where the line is full, an app is refused a place of its class only if no other app
// holds more of the class than it would: the latest call of the one that holds most
// gives way. So of k apps that want places of a class, each has a k-th part of what
// the classes above leave, or as much of it as it wants; and an app alone has it all.
type Bounds struct {
	// Calls and Bytes bound the calls that wait, and the memory that they hold.
	Calls int
	Bytes int64
	// AppShare is the part of both that the calls of an app and class may take at
	// most, whoever else waits; zero is the whole. One call may always wait.
	AppShare float64
}

// complete fills in what is not said.
func (b Bounds) complete() Bounds {
	if b.Calls == 0 {
		b.Calls = 10_000
	}
	if b.Bytes == 0 {
		b.Bytes = 64 << 20
	}
	if b.AppShare == 0 {
		b.AppShare = 1
	}
	return b
}

// fit tells of a line whether a call has a place behind it.
func (b Bounds) fit(c *Call) func(count int, bytes int64) bool {
	return func(count int, bytes int64) bool { return count < b.Calls && bytes+int64(c.Bytes) <= b.Bytes }
}

// share is the part of a line that some calls take.
func (b Bounds) share(count int, bytes int64) float64 {
	return max(float64(count)/float64(b.Calls), float64(bytes)/float64(b.Bytes))
}

// crowding says why the line has no place for a call.
type crowding uint8

const (
	roomy crowding = iota
	crowdedLine
	// crowdedApp: the app has its part of the line already.
	crowdedApp
)

// appLine has the calls of an app that stand in line, by class.
type appLine struct {
	name  string
	total int
	count [len(specs.Classes)]int
	bytes [len(specs.Classes)]int64
	last  [len(specs.Classes)]*waiter
}

// enlist adds a waiter to those of its app, by arrival.
func (l *line) enlist(w *waiter) {
	c := w.call.Class
	a := l.apps[w.call.App]
	if a == nil {
		a = &appLine{name: w.call.App}
		l.apps[a.name] = a
	}
	w.app = a
	w.older, w.newer = a.last[c], nil
	for w.older != nil && w.older.arrival > w.arrival {
		w.older, w.newer = w.older.older, w.older
	}
	if w.older != nil {
		w.older.newer = w
	}
	if w.newer != nil {
		w.newer.older = w
	} else {
		a.last[c] = w
	}
	a.total++
	a.count[c]++
	a.bytes[c] += int64(w.call.Bytes)
}

// discharge takes a waiter out of those of its app.
func (l *line) discharge(w *waiter) {
	c, a := w.call.Class, w.app
	if w.older != nil {
		w.older.newer = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		a.last[c] = w.older
	}
	w.app, w.older, w.newer = nil, nil, nil
	a.count[c]--
	a.bytes[c] -= int64(w.call.Bytes)
	if a.total--; a.total == 0 {
		delete(l.apps, a.name)
	}
}

// holds is the part of the line that an app holds of a class, with a call of its own if it is not nil.
func (l *line) holds(a *appLine, c specs.Class, more *Call, b Bounds) float64 {
	count, bytes := 0, int64(0)
	if a != nil {
		count, bytes = a.count[c], a.bytes[c]
	}
	if more != nil {
		count, bytes = count+1, bytes+int64(more.Bytes)
	}
	return b.share(count, bytes)
}

// within tells whether a call's app keeps to its share.
func (l *line) within(c *Call, b Bounds) bool {
	a := l.apps[c.App]
	return b.AppShare >= 1 || a == nil || a.count[c.Class] == 0 || l.holds(a, c.Class, c, b) <= b.AppShare
}

// shared tells that calls of a call's app and calls of others stand in line in its class.
func (l *line) shared(c *Call) bool {
	a := l.apps[c.App]
	return a != nil && a.count[c.Class] > 0 && a.count[c.Class] < l.byClass[c.Class]
}

// giveWay takes calls out of a full line, so that a call has a place: the latest of
// the app that holds most of the call's class, as long as that is more than the call's
// own app would hold. It is nil, and nothing has changed, when that does not suffice.
func (l *line) giveWay(c *Call, b Bounds) []*waiter {
	mine, earned := l.holds(l.apps[c.App], c.Class, c, b), l.earned
	var given []*waiter
	for !b.fit(c)(l.from(c.Class)) {
		a := l.heaviest(c, b)
		if a == nil || l.holds(a, c.Class, nil, b) <= mine {
			for _, w := range given {
				l.add(w)
			}
			l.earned = earned
			return nil
		}
		w := a.last[c.Class]
		l.remove(w)
		given = append(given, w)
	}
	return given
}

// heaviest is the app other than a call's own that holds most of its class; of
// several the one whose latest call came last. It is nil when there is none.
func (l *line) heaviest(c *Call, b Bounds) *appLine {
	var heaviest *appLine
	most := 0.0
	for _, a := range l.apps {
		if a.count[c.Class] == 0 || a.name == c.App {
			continue
		}
		holds := l.holds(a, c.Class, nil, b)
		if heaviest == nil || holds > most || holds == most && a.last[c.Class].arrival > heaviest.last[c.Class].arrival {
			heaviest, most = a, holds
		}
	}
	return heaviest
}
