package buffer

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/specs"
)

// parcel is the writes of one operation that stand in the line of the budget
// together. When it is let through they go in one call; one by itself goes alone.
// Writes join a parcel as long as it stands in line.
type parcel struct {
	buffer *Buffer
	gate   *gate
	alike  alike
	kind   kind // of the write that stands for all in the gate's line
	size   int
	// turn is its place in the line: it leaves the line and comes back whenever
	// it has grown.
	turn  system.Turn
	since time.Time

	mu      sync.Mutex
	members []*member
	bytes   int
	closed  bool   // nobody joins any more
	grown   func() // has it come back to the line with those that joined; nil outside of it
}

// alike is what the writes of a parcel have in common.
type alike struct {
	operation string
	rank      specs.Class
	app       string // empty where the system counts all apps together
}

// member is a write in a parcel.
type member struct {
	*claim
	ctx    context.Context // ends when the claim is lost or the buffer drains
	kept   *kept
	passed *Set // the set by which nothing speaks against sending it
}

// maxParcel is how many bytes of requests are packed together.
const maxParcel = 2 << 20

// maxAlone bounds how many writes are remembered that have to go alone.
const maxAlone = 10_000

// sorted tells which parcels a write can go in; false when it goes alone.
func (g *gate) sorted(c *ledger.Claimed) (s alike, size int, ok bool) {
	set := g.buffer.current.Load()
	if set == nil {
		return s, 0, false
	}
	if _, size = set.system.Batch(c.Operation); size == 0 || len(c.Request) > maxParcel {
		return s, 0, false
	}
	g.mu.Lock()
	alone := g.alone[c.ID]
	delete(g.alone, c.ID) // it is about to go
	g.mu.Unlock()
	if alone {
		return s, 0, false
	}
	s = alike{operation: c.Operation, rank: c.Rank}
	if set.system.PerApp(g.system) {
		s.app = c.App
	}
	return s, size, true
}

// carryOut has a claimed write sent, which was enlisted: in a parcel with others
// like it, or alone. k is its request where it is at hand, asked when it was claimed.
func (b *Buffer) carryOut(ctx context.Context, g *gate, c *ledger.Claimed, k *kept, asked time.Time) {
	s, size, ok := g.sorted(c)
	if ok && k == nil {
		var err error
		if k, err = decodeRequest(c.Request); err != nil {
			ok = false // found out again, and settled, by itself
		}
	}
	if ok && strings.Contains(k.Operation, gateway.VariantMark) {
		ok = false // another version's calls are not packed with it
	}
	if !ok {
		b.carry(func() { b.send(ctx, g, c, k, asked) })
		return
	}
	m := &member{kept: k}
	m.ctx, m.claim = b.hold(ctx, g, c, asked)
	g.mu.Lock()
	if fits := g.fits[s]; fits > 0 {
		size = min(size, fits)
	}
	p := g.parcels[s]
	if p != nil && p.join(m) {
		g.stand(s.rank, kindOf(c), -1) // the parcel stands for it
		behind := slices.Contains(g.behind[:], true)
		g.mu.Unlock()
		if behind {
			g.wakeUp()
		}
		b.carrying.Done() // the parcel is counted
		return
	}
	p = &parcel{buffer: b, gate: g, alike: s, kind: kindOf(c), size: size, since: time.Now(), members: []*member{m}, bytes: len(c.Request)}
	g.parcels[s] = p
	g.mu.Unlock()
	b.carry(func() { p.run(context.WithoutCancel(ctx)) })
}

// join takes a write in; false when the parcel is full or on its way.
func (p *parcel) join(m *member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.members) >= p.size || p.bytes+len(m.Request) > maxParcel {
		return false
	}
	p.members = append(p.members, m)
	p.bytes += len(m.Request)
	if p.grown != nil {
		p.grown()
	}
	return true
}

// close ends the joining, and gives those that are in.
func (p *parcel) close() []*member {
	p.mu.Lock()
	p.closed = true
	list := p.members
	p.members = nil
	p.mu.Unlock()
	p.gate.mu.Lock()
	if p.gate.parcels[p.alike] == p {
		delete(p.gate.parcels, p.alike)
	}
	p.gate.mu.Unlock()
	return list
}

// run stands in line until the parcel has been sent or nobody is left in it.
func (p *parcel) run(ctx context.Context) {
	admitted := false
	defer func() { p.gate.leave(p.alike.rank, p.kind, admitted) }()
	for !p.attempt(ctx, &admitted) {
	}
}

// attempt stands in line with those that are in now. It is true when it is over
// for all of them; otherwise others have joined, or some have left.
func (p *parcel) attempt(ctx context.Context, admitted *bool) (over bool) {
	b := p.buffer
	set := b.acquire()
	if set == nil {
		p.settleAll(p.close(), func(m *member) (ledger.Settlement, *outcome) {
			return m.held(time.Time{}, "the gateway is ending"), nil
		})
		return true
	}
	defer set.Release()
	p.weed(set)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	list := p.members[:len(p.members):len(p.members)]
	if len(list) == 0 {
		p.closed = true
	}
	p.grown = cancel
	p.mu.Unlock()
	if len(list) == 0 {
		p.close()
		return true
	}
	for _, m := range list {
		defer context.AfterFunc(m.ctx, cancel)() // those who are lost are left out in the next round
	}
	t := &trip{parcel: p, set: set, list: list, admitted: admitted}
	if !b.survive(list[0].claim, func() { t.run(ctx) }) {
		p.closeFor(list)
		now := time.Now()
		p.settleAll(list, func(m *member) (ledger.Settlement, *outcome) {
			s := b.stillDoubtful(now.Add(m.Timeout+b.options.Grace), "the gateway failed while it was sending")
			s.Attempt = true
			return s, nil
		})
		return true
	}
	return t.over
}

// weed takes out what must not be sent, and settles it.
func (p *parcel) weed(set *Set) {
	p.mu.Lock()
	list := p.members
	p.mu.Unlock()
	o := set.operations[p.alike.operation]
	gone := map[*member]ledger.Settlement{}
	for _, m := range list {
		switch {
		case m.ctx.Err() != nil || !m.valid():
			gone[m] = m.held(time.Time{}, "it was taken out of the line")
		case m.passed != set:
			if s, wrong := p.buffer.spoken(m.claim, o, m.kept); wrong {
				gone[m] = s
			}
			m.passed = set
		}
	}
	if len(gone) == 0 {
		return
	}
	p.mu.Lock()
	kept := make([]*member, 0, len(p.members))
	var out []*member
	for _, m := range p.members {
		if _, wrong := gone[m]; wrong {
			p.bytes -= len(m.Request)
			out = append(out, m)
		} else {
			kept = append(kept, m)
		}
	}
	p.members = kept
	p.mu.Unlock()
	p.settleAll(out, func(m *member) (ledger.Settlement, *outcome) { return gone[m], nil })
}

// closeFor ends the joining for good. Those who have joined besides the listed
// ones stand in line in a parcel of their own.
func (p *parcel) closeFor(list []*member) {
	b, g := p.buffer, p.gate
	all := p.close()
	if len(all) <= len(list) {
		return
	}
	rest := &parcel{buffer: b, gate: g, alike: p.alike, kind: p.kind, size: p.size, since: time.Now(), members: all[len(list):]}
	for _, m := range rest.members {
		rest.bytes += len(m.Request)
	}
	g.mu.Lock()
	g.stand(p.alike.rank, p.kind, 1)
	if g.parcels[p.alike] == nil {
		g.parcels[p.alike] = rest
	}
	g.mu.Unlock()
	// This parcel is being carried, so the buffer has not ended.
	b.carrying.Go(func() { rest.run(context.Background()) })
}

// settleAll settles writes at once, so that they share a commit.
func (p *parcel) settleAll(list []*member, what func(*member) (ledger.Settlement, *outcome)) {
	var wait sync.WaitGroup
	for _, m := range list {
		s, out := what(m)
		wait.Go(func() {
			defer p.buffer.letGo(m.claim)
			p.buffer.settle(m.claim, s, out)
		})
	}
	wait.Wait()
}

// trip is one way of a parcel through the line, and perhaps to the system.
type trip struct {
	parcel   *parcel
	set      *Set
	list     []*member
	admitted *bool
	// sent tells that the parcel was let through with this list, over that the
	// list has been settled.
	sent, over bool
	batch      string // names the call; empty for a write by itself
}

// let tells the budget whether the call may go; it is closed to others then.
func (t *trip) let() bool {
	for _, m := range t.list {
		if !m.valid() || !t.sent && m.ctx.Err() != nil {
			return false
		}
	}
	timeout, now := t.set.operations[t.parcel.alike.operation].timeout, time.Now().UnixNano()
	for _, m := range t.list {
		m.timeout.Store(int64(timeout))
		m.sent.Store(now)
	}
	if t.sent {
		return true // once more with another credential
	}
	t.sent, *t.admitted = true, true
	t.parcel.closeFor(t.list)
	t.parcel.gate.admit(t.parcel.alike.rank, t.parcel.kind)
	return true
}

// run stands in line, sends, and settles.
func (t *trip) run(ctx context.Context) {
	p, b := t.parcel, t.parcel.buffer
	wait := max(0, b.options.LineWait-time.Since(p.since))
	requests := make([]*system.Request, len(t.list))
	for i, m := range t.list {
		r := m.kept.Request
		r.Class, r.Wait, r.IdempotencyKey = m.Rank, wait, m.ID
		requests[i] = &r
	}
	var results []*system.Result
	if len(requests) == 1 {
		r := requests[0]
		r.Admitted, r.Turn = t.let, &p.turn
		results = []*system.Result{t.set.system.Send(ctx, r)}
	} else {
		t.batch = rand.Text()[:12]
		results = t.set.system.SendBatch(ctx, t.carrier(wait), requests)
	}
	if !t.sent && ctx.Err() != nil && b.ctx.Err() == nil {
		return // others have joined, or some have left: once more
	}
	if !t.sent {
		p.closeFor(t.list)
	}
	t.learn(t.sent || results[0].Outcome != system.Overload)
	if t.sent && t.batch != "" && b.options.Observer != nil {
		b.options.Observer.BatchSent(p.gate.system, p.alike.rank, len(t.list))
	}
	t.over = true
	t.settle(requests, results)
}

// carrier is the call that takes the parcel.
func (t *trip) carrier(wait time.Duration) system.Request {
	r := system.Request{
		App: t.list[0].App, RequestID: t.batch, Correlation: t.batch, Class: t.parcel.alike.rank, Received: time.Now(), Wait: wait,
		Admitted: t.let, Turn: &t.parcel.turn,
	}
	for _, m := range t.list {
		if m.App != r.App {
			r.App = "" // nobody's
		}
	}
	return r
}

// learn adapts the size of parcels to what the budget lets through: half of one
// that found no room, and up again with those that do. A budget that counts the
// elements of a batch may have room for a few although it has none for many.
func (t *trip) learn(room bool) {
	g, key := t.parcel.gate, t.parcel.alike
	if !t.set.system.PricedBySize(key.operation) {
		return // a smaller one would have found no more room
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	fits := g.fits[key]
	switch {
	case !room && len(t.list) > 1:
		g.fits[key] = len(t.list) / 2
	case room && fits > 0 && len(t.list) >= fits:
		g.fits[key] = 2 * fits
		if 2*fits >= maxSize {
			delete(g.fits, key)
		}
	}
}

// maxSize is the largest batch that a workspace can ask for.
const maxSize = 1000

// settle settles each write by its own result.
func (t *trip) settle(requests []*system.Request, results []*system.Result) {
	b, g := t.parcel.buffer, t.parcel.gate
	settlements := map[*member]ledger.Settlement{}
	outcomes := map[*member]*outcome{}
	judge := func(i int) {
		m := t.list[i]
		if results[i].Alone() {
			g.sendAlone(m.ID)
			s := m.held(time.Time{}, fmt.Sprintf("batch %s of %d was refused as a whole, so it is sent alone: %s", t.batch, len(t.list), reasonOf(results[i])))
			if t.sent {
				s.Batch = t.batch
			}
			settlements[m] = s
			return
		}
		s, out := b.judge(m.claim, t.set.operations[t.parcel.alike.operation], requests[i], results[i])
		if t.batch != "" && t.sent {
			s.Batch = t.batch
			s.Reason = fmt.Sprintf("in batch %s of %d: %s", t.batch, len(t.list), s.Reason)
		}
		settlements[m], outcomes[m] = s, out
	}
	// What the system did comes first: that some had no room is the latest that
	// is known of it.
	for _, overload := range []bool{false, true} {
		for i := range t.list {
			if (results[i].Outcome == system.Overload) == overload {
				judge(i)
			}
		}
	}
	t.parcel.settleAll(t.list, func(m *member) (ledger.Settlement, *outcome) { return settlements[m], outcomes[m] })
}

// sendAlone remembers that a write must not be packed.
func (g *gate) sendAlone(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.alone) >= maxAlone {
		clear(g.alone) // they are packed once more, and refused once more
	}
	g.alone[id] = true
}
