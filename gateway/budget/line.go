package budget

import (
	"strings"

	"github.com/headrace/headrace/specs"
)

// floors are the shares that a waiting class earns of what is sent of the
// classes above it.
var floors = [len(specs.Classes)]float64{specs.Low: 0.02, specs.Normal: 0.05, specs.High: 0.10}

// line holds the calls that wait, under the budget's lock. Calls that need the
// same pools form a queue, so that looking for the next one costs as much as
// there are queues, not as there are calls.
type line struct {
	queues  []*queue
	byPools map[string]*queue
	places  map[string]*place // by pool key
	apps    map[string]*appLine
	count   int
	byClass [len(specs.Classes)]int
	bytes   [len(specs.Classes)]int64 // by class
	// earned is what the floor of a waiting class has come to, as shares of a pool.
	earned  [len(specs.Classes)]float64
	arrived uint64
	pass    uint64
	running bool // a dispatcher serves the line
}

// queue holds the calls that need the same pools, by class and arrival.
type queue struct {
	name   string
	places []*place
	first  [len(specs.Classes)]*waiter
	last   [len(specs.Classes)]*waiter
	count  int
}

// place is what the line knows of a pool.
type place struct {
	key     string
	queues  int
	units   [len(specs.Classes)]Units // that wait for it, by class
	count   [len(specs.Classes)]int
	claimed uint64 // the pass in which an earlier call could not get its units
}

// waiter is a call in line.
type waiter struct {
	call     Call
	ticket   *Ticket
	arrival  uint64
	queue    *queue
	previous *waiter
	next     *waiter
	// app has the calls of the same app; older and newer are its neighbours there, in
	// the order of arrival within the class.
	app          *appLine
	older, newer *waiter
	weight       float64
	// decision is the latest refusal by the store.
	decision Decision
	// done is closed when the call is out of the line: with the ticket
	// admitted, or displaced by a more urgent call.
	done      chan struct{}
	out       bool
	displaced crowding
}

func newLine() line {
	return line{byPools: map[string]*queue{}, places: map[string]*place{}, apps: map[string]*appLine{}}
}

// add puts a waiter at the end of its class; one that is added again keeps the
// place that its arrival gives it.
func (l *line) add(w *waiter) {
	c := w.call.Class
	w.queue = l.queueOf(w.ticket)
	w.weight = w.ticket.weight()
	q := w.queue
	after := q.last[c]
	for after != nil && after.arrival > w.arrival {
		after = after.previous
	}
	w.previous = after
	if after == nil {
		w.next, q.first[c] = q.first[c], w
	} else {
		w.next, after.next = after.next, w
	}
	if w.next == nil {
		q.last[c] = w
	} else {
		w.next.previous = w
	}
	l.enlist(w)
	q.count++
	l.count++
	l.bytes[c] += int64(w.call.Bytes)
	l.byClass[c]++
	for i, p := range q.places {
		p.count[c]++
		p.units[c] += w.ticket.admission.Asks[i].Units
	}
}

// remove takes a waiter out.
func (l *line) remove(w *waiter) {
	c, q := w.call.Class, w.queue
	if w.previous == nil {
		q.first[c] = w.next
	} else {
		w.previous.next = w.next
	}
	if w.next == nil {
		q.last[c] = w.previous
	} else {
		w.next.previous = w.previous
	}
	w.previous, w.next = nil, nil
	l.discharge(w)
	q.count--
	l.count--
	l.bytes[c] -= int64(w.call.Bytes)
	if l.byClass[c]--; l.byClass[c] == 0 {
		l.earned[c] = 0
	}
	for i, p := range q.places {
		p.count[c]--
		p.units[c] -= w.ticket.admission.Asks[i].Units
	}
	if q.count == 0 {
		l.drop(q)
	}
}

// queueOf finds or makes the queue of a ticket's pools.
func (l *line) queueOf(t *Ticket) *queue {
	asks := t.admission.Asks
	name := asks[0].Key
	if len(asks) > 1 {
		keys := make([]string, len(asks))
		for i := range asks {
			keys[i] = asks[i].Key
		}
		name = strings.Join(keys, "\x00")
	}
	if q := l.byPools[name]; q != nil {
		return q
	}
	q := &queue{name: name}
	for i := range asks {
		p := l.places[asks[i].Key]
		if p == nil {
			p = &place{key: asks[i].Key}
			l.places[p.key] = p
		}
		p.queues++
		q.places = append(q.places, p)
	}
	l.byPools[name] = q
	l.queues = append(l.queues, q)
	return q
}

func (l *line) drop(q *queue) {
	delete(l.byPools, q.name)
	for i, other := range l.queues {
		if other == q {
			last := len(l.queues) - 1
			l.queues[i], l.queues[last] = l.queues[last], nil
			l.queues = l.queues[:last]
			break
		}
	}
	for _, p := range q.places {
		if p.queues--; p.queues == 0 {
			delete(l.places, p.key)
		}
	}
}

// head is the earliest waiter of a class whose pools nobody before it has claimed.
func (l *line) head(c specs.Class) *waiter {
	var head *waiter
	for _, q := range l.queues {
		if w := q.first[c]; w != nil && (head == nil || w.arrival < head.arrival) && !q.claimed(l.pass) {
			head = w
		}
	}
	return head
}

func (q *queue) claimed(pass uint64) bool {
	for _, p := range q.places {
		if p.claimed == pass {
			return true
		}
	}
	return false
}

// claim keeps the pools that refused a waiter from those that come after it.
func (l *line) claim(w *waiter, refused uint32) {
	for i, p := range w.queue.places {
		if refused&(1<<i) != 0 || refused == 0 {
			p.claimed = l.pass
		}
	}
}

func (l *line) claimAll() {
	for _, p := range l.places {
		p.claimed = l.pass
	}
}

// pick is whose turn it is: a class that has earned its floor, or else the most
// urgent class. byFloor tells which. It is nil when no more calls can be tried
// in this pass.
func (l *line) pick() (w *waiter, byFloor bool) {
	above := 0
	for _, c := range specs.Classes {
		if l.byClass[c] > 0 && above > 0 {
			if w := l.head(c); w != nil && l.earned[c] >= w.weight {
				return w, true
			}
		}
		above += l.byClass[c]
	}
	for _, c := range specs.Classes {
		if l.byClass[c] > 0 {
			if w := l.head(c); w != nil {
				return w, false
			}
		}
	}
	return nil, false
}

// sent accounts for a call that was admitted while others wait: the classes
// below earn their floors, its own has used up what it had earned.
func (l *line) sent(c specs.Class, weight float64) {
	for _, d := range specs.Classes {
		switch {
		case d < c && l.byClass[d] > 0:
			l.earned[d] += floors[d] * weight * (1 + 1e-9)
		case d == c:
			l.earned[d] = max(0, l.earned[d]-weight)
		}
	}
}

// ahead is what waits before a call of class c at a pool.
func (l *line) ahead(key string, c specs.Class) (units Units, count int) {
	if p := l.places[key]; p != nil {
		for _, d := range specs.Classes {
			if d >= c {
				units += p.units[d]
				count += p.count[d]
			}
		}
	}
	return units, count
}

// from is how many calls of class c and above wait, and the memory that they hold.
func (l *line) from(c specs.Class) (count int, bytes int64) {
	for d := c; d <= specs.Critical; d++ {
		count += l.byClass[d]
		bytes += l.bytes[d]
	}
	return count, bytes
}

// youngest is the waiter that came last in the lowest class below c; nil when
// nobody of a lower class waits.
func (l *line) youngest(c specs.Class) *waiter {
	for d := specs.Low; d < c; d++ {
		if l.byClass[d] == 0 {
			continue
		}
		var youngest *waiter
		for _, q := range l.queues {
			if w := q.last[d]; w != nil && (youngest == nil || w.arrival > youngest.arrival) {
				youngest = w
			}
		}
		return youngest
	}
	return nil
}

// renew judges all waiters by new limits, in the order of their arrival.
func (l *line) renew(b *Budget) {
	var all []*waiter
	for _, q := range l.queues {
		for _, c := range specs.Classes {
			for w := q.first[c]; w != nil; w = w.next {
				all = append(all, w)
			}
		}
	}
	for _, w := range all {
		l.remove(w)
		w.ticket, w.decision = b.newTicket(&w.call), Decision{}
	}
	for _, w := range all {
		l.add(w)
	}
}
