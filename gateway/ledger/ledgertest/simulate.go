package ledgertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// Simulate plays random histories of appends, claims, settlements, crashes and
// operators' actions, and compares the ledger with a model after every step.
// All histories share one ledger; each has a system of its own.
func Simulate(t *testing.T, e Engine) {
	w := newWorld(t, e)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		m := &model{world: w, rt: rt, system: fmt.Sprint("sys", n), paused: map[string]bool{}, keys: map[string]*entry{}}
		rt.Repeat(map[string]func(*rapid.T){
			"":        m.compare,
			"append":  m.appends,
			"append2": m.appends,
			"append3": m.appends,
			"claim":   m.claims,
			"claim2":  m.claims,
			"settle":  m.settles,
			"settle2": m.settles,
			"settle3": m.settles,
			"ask":     m.asks,
			"advance": func(*rapid.T) { w.advance(7 * time.Second) },
			"recover": m.recovers,
			"sweep":   m.sweeps,
			"cancel":  m.cancels,
			"retry":   m.retries,
			"discard": m.discards,
			"resolve": m.resolves,
			"replace": m.replaces,
			"pause":   m.pauses,
			"resume":  m.resumes,
			"restart": m.restarts,
		})
	})
}

// entry is a write in the model.
type entry struct {
	id             string
	lanes          []string
	class, rank    specs.Class
	state          ledger.State
	dead, goesOn   bool
	open, coalesce bool
	laned, waiting bool // waiting for notBefore
	place          int
	attempts       int
	epoch          int64
	notBefore      time.Time
	expires, lease time.Time
	orphan         bool // its claim is of a process before
	replacedBy     string
}

// model is a ledger in memory: lists, and no index.
type model struct {
	*world
	rt     *rapid.T
	system string
	list   []*entry
	paused map[string]bool
	keys   map[string]*entry
	places int
	given  []*ledger.Claimed
}

// before tells whether something stands before e in a lane.
func (m *model) before(e *entry, lane string) bool {
	return m.paused[lane] || slices.ContainsFunc(m.list, func(o *entry) bool {
		return o != e && o.laned && slices.Contains(o.lanes, lane) && o.place < e.place
	})
}

func (m *model) blockers(e *entry) (n int) {
	for _, lane := range e.lanes {
		if e.laned && m.before(e, lane) {
			n++
		}
	}
	return n
}

func (m *model) ready(e *entry) bool {
	return e.state == ledger.Held && !e.waiting && m.blockers(e) == 0
}

// inherit raises the heads of lanes to what they block, until nothing changes.
func (m *model) inherit() {
	for changed := true; changed; {
		changed = false
		for _, head := range m.list {
			for _, lane := range head.lanes {
				if !head.laned || m.before(head, lane) {
					continue
				}
				for _, o := range m.list {
					if o.laned && slices.Contains(o.lanes, lane) && o.rank > head.rank {
						head.rank, changed = o.rank, true
					}
				}
			}
		}
	}
}

func (m *model) enter(e *entry) {
	m.places++
	e.place, e.laned = m.places, len(e.lanes) > 0
}

// compare is the check after every step.
func (m *model) compare(rt *rapid.T) {
	m.inherit()
	page, err := m.db.List(m.ctx, ledger.Filter{System: m.system, Oldest: true, Limit: 1000})
	if err != nil {
		rt.Fatal(err)
	}
	if len(page.Writes) != len(m.list) {
		rt.Fatalf("%d writes, want %d", len(page.Writes), len(m.list))
	}
	live := int64(0)
	for i, r := range page.Writes {
		e := m.list[i]
		got := fmt.Sprintf("%s %s dead %v ready %v blockers %d rank %s attempts %d open %v by %q", r.ID, r.State, r.Dead, r.Ready, r.Blockers, r.Rank, r.Attempts, r.Open, r.ReplacedBy)
		want := fmt.Sprintf("%s %s dead %v ready %v blockers %d rank %s attempts %d open %v by %q", e.id, e.state, e.dead, m.ready(e), m.blockers(e), e.rank, e.attempts, e.open, e.replacedBy)
		if got != want {
			rt.Fatalf("write %d\n got %s\nwant %s", i, got, want)
		}
		if !r.State.Final() {
			live++
		}
	}
	if writes, _ := m.db.Depth(m.system); writes != live && !m.engine.Shared {
		rt.Fatalf("%d writes are counted, %d are held", writes, live)
	}
}

func (m *model) lanes(rt *rapid.T) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 3, rapid.ID[string]).Draw(rt, "lanes")
}

func (m *model) draw(rt *rapid.T) *ledger.Write {
	wr := &ledger.Write{
		System: m.system, App: m.system, Operation: "op", Lanes: m.lanes(rt), Request: []byte("x"),
		Class:    specs.Class(rapid.IntRange(0, 3).Draw(rt, "class")),
		Continue: rapid.Bool().Draw(rt, "continue"),
	}
	if rapid.IntRange(0, 3).Draw(rt, "later") == 0 {
		wr.NotBefore = m.in(10500 * time.Millisecond)
	}
	if rapid.IntRange(0, 3).Draw(rt, "expires") == 0 {
		wr.Expires = m.in(17500 * time.Millisecond)
	}
	return wr
}

func (m *model) entry(wr *ledger.Write, id string) *entry {
	e := &entry{id: id, lanes: wr.Lanes, class: wr.Class, rank: wr.Class, state: ledger.Held, goesOn: wr.Continue, coalesce: wr.Coalesce,
		waiting: !wr.NotBefore.IsZero(), notBefore: wr.NotBefore, expires: wr.Expires}
	m.list = append(m.list, e)
	return e
}

func (m *model) appends(rt *rapid.T) {
	wr := m.draw(rt)
	wr.Coalesce = len(wr.Lanes) > 0 && rapid.IntRange(0, 2).Draw(rt, "coalesce") == 0
	wr.Hand = rapid.Bool().Draw(rt, "hand")
	if k := rapid.IntRange(0, 9).Draw(rt, "key"); k < 3 {
		wr.Key, wr.KeepKey = fmt.Sprint(k), 1000*time.Hour
	}
	r, err := m.db.Append(m.ctx, wr)
	if err != nil {
		rt.Fatal(err)
	}
	if known := m.keys[wr.Key]; wr.Key != "" && known != nil {
		if r.Existing == nil || r.ID != known.id {
			rt.Fatalf("key %s gave %s, want %s", wr.Key, r.ID, known.id)
		}
		return
	}
	superseded := 0
	for _, o := range m.list {
		if wr.Coalesce && o.coalesce && o.state == ledger.Held && !o.open && sameLanes(o.lanes, wr.Lanes) {
			o.state, o.laned, o.waiting, o.replacedBy = ledger.Superseded, false, false, r.ID
			superseded++
		}
	}
	m.inherit() // before the new one is there
	e := m.entry(wr, r.ID)
	m.enter(e)
	if wr.Key != "" {
		m.keys[wr.Key] = e
	}
	ready := m.ready(e)
	if r.Ready != ready || r.Superseded != superseded || (r.Claimed != nil) != (ready && wr.Hand) || r.Existing != nil {
		rt.Fatalf("receipt %+v, want ready %v, superseded %d", r, ready, superseded)
	}
	if r.Claimed != nil {
		m.take(e, r.Claimed)
	}
}

func sameLanes(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (m *model) take(e *entry, c *ledger.Claimed) {
	e.epoch++
	e.lease, e.orphan = m.in(time.Minute), false
	if e.state == ledger.Held {
		e.state = ledger.Sending
	}
	m.given = append(m.given, c)
}

func (m *model) claims(rt *rapid.T) {
	n := rapid.IntRange(1, 4).Draw(rt, "max")
	list, err := m.db.Claim(m.ctx, m.system, ledger.Room{Max: n})
	if err != nil {
		rt.Fatal(err)
	}
	var ready []*entry
	for _, e := range m.list {
		if e.state == ledger.Held && !e.notBefore.After(m.now()) {
			e.waiting = false
		}
		if m.ready(e) && (e.expires.IsZero() || e.expires.After(m.now()) || e.open) {
			ready = append(ready, e)
		}
	}
	slices.SortStableFunc(ready, func(a, b *entry) int {
		if a.rank != b.rank {
			return int(b.rank) - int(a.rank)
		}
		return a.place - b.place
	})
	m.took(rt, list, ready[:min(n, len(ready))])
}

// took expects claims of certain writes.
func (m *model) took(rt *rapid.T, list []*ledger.Claimed, want []*entry) {
	var ids []string
	for _, e := range want {
		ids = append(ids, e.id)
	}
	if got := claimedIDs(list); !slices.Equal(got, ids) {
		rt.Fatalf("claimed %v, want %v", got, ids)
	}
	for i, e := range want {
		if list[i].Open != e.open || list[i].Attempts != e.attempts || list[i].Rank != e.rank || list[i].Doubtful != (e.state == ledger.Doubtful) {
			rt.Fatalf("claim %+v, want %+v", list[i], e)
		}
		m.take(e, list[i])
	}
}

func (m *model) asks(rt *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(rt, "max")
	list, err := m.db.ClaimDoubtful(m.ctx, m.system, n, time.Minute)
	if err != nil {
		rt.Fatal(err)
	}
	var due []*entry
	for _, e := range m.list {
		if e.state == ledger.Doubtful && !e.dead && !e.notBefore.After(m.now()) && !e.lease.After(m.now()) {
			due = append(due, e)
		}
	}
	slices.SortStableFunc(due, func(a, b *entry) int { return a.notBefore.Compare(b.notBefore) })
	m.took(rt, list, due[:min(n, len(due))])
}

func (m *model) find(id string) *entry {
	i := slices.IndexFunc(m.list, func(e *entry) bool { return e.id == id })
	if i < 0 {
		return nil
	}
	return m.list[i]
}

func (m *model) settles(rt *rapid.T) {
	if len(m.given) == 0 {
		rt.Skip("nothing is claimed")
	}
	c := rapid.SampledFrom(m.given).Draw(rt, "claim")
	e := m.find(c.ID)
	s := rapid.SampledFrom([]ledger.Settlement{
		{State: ledger.Delivered}, {State: ledger.Delivered}, {State: ledger.Refused}, {State: ledger.Refused, Dead: true, Group: "g"},
		{State: ledger.Held}, {State: ledger.Held, NotBefore: m.in(3500 * time.Millisecond)}, {State: ledger.Held, Open: true},
		{State: ledger.Doubtful, NotBefore: m.in(3500 * time.Millisecond)}, {State: ledger.Doubtful, Dead: true, Group: "d"}, {State: ledger.Expired},
	}).Draw(rt, "settlement")
	s.Attempt = rapid.Bool().Draw(rt, "attempt")
	err := m.db.Settle(m.ctx, c, s)
	switch {
	case e.epoch == c.Epoch && (e.state == ledger.Sending || e.state == ledger.Doubtful && !e.dead):
		if err != nil {
			rt.Fatal(err)
		}
		e.open = (s.Open || e.open && !c.Doubtful) && s.State == ledger.Held
		if s.Attempt {
			e.attempts++
		}
		m.become(e, s)
	case e.epoch == c.Epoch && e.state == s.State && e.dead == s.Dead:
		if err != nil {
			rt.Fatal(err)
		}
	case !errors.Is(err, ledger.ErrFenced):
		rt.Fatalf("a stale claim gave %v", err)
	}
}

func (m *model) become(e *entry, s ledger.Settlement) {
	e.state, e.dead, e.lease, e.notBefore = s.State, s.Dead, time.Time{}, s.NotBefore
	e.waiting = s.State == ledger.Held && s.NotBefore.After(m.now())
	if e.dead && e.goesOn || !e.dead && e.state.Final() {
		e.laned = false
	}
}

func (m *model) recovers(rt *rapid.T) {
	for {
		n, err := m.db.Recover(m.ctx, 10500*time.Millisecond, 0)
		if err != nil {
			rt.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	for _, e := range m.list {
		switch {
		case e.state == ledger.Sending && (e.orphan || e.lease.Before(m.now())):
			e.attempts++
			e.open = false
			sent := m.now()
			if e.orphan && e.lease.Before(sent) {
				sent = e.lease // its process is gone, and sent nothing after that
			}
			m.become(e, ledger.Settlement{State: ledger.Doubtful, NotBefore: sent.Add(10500 * time.Millisecond)})
		case e.state == ledger.Doubtful && !e.dead && e.orphan:
			e.lease = time.Time{}
		}
	}
}

func (m *model) sweeps(rt *rapid.T) {
	for {
		n, err := m.db.Sweep(m.ctx)
		if err != nil {
			rt.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	for _, e := range m.list {
		if e.state == ledger.Held && !e.open && !e.expires.IsZero() && !e.expires.After(m.now()) {
			m.become(e, ledger.Settlement{State: ledger.Expired})
		}
	}
}

// any draws a write for a person's action.
func (m *model) any(rt *rapid.T) *entry {
	if len(m.list) == 0 {
		rt.Skip("there is no write")
	}
	return rapid.SampledFrom(m.list).Draw(rt, "write")
}

// allowed compares an action's error with what the model says.
func (m *model) allowed(rt *rapid.T, err error, ok bool) bool {
	if ok && err != nil || !ok && !errors.Is(err, ledger.ErrState) {
		rt.Fatalf("got %v, allowed %v", err, ok)
	}
	return ok
}

func (m *model) cancels(rt *rapid.T) {
	e := m.any(rt)
	if m.allowed(rt, m.db.Cancel(m.ctx, e.id, me), e.state == ledger.Held && !e.open) {
		m.become(e, ledger.Settlement{State: ledger.Cancelled})
	}
}

func (m *model) retries(rt *rapid.T) {
	e := m.any(rt)
	if !m.allowed(rt, m.db.RetryNow(m.ctx, e.id, me), e.state == ledger.Held || e.dead) {
		return
	}
	if e.dead {
		e.attempts = 0
	}
	e.open = e.open || e.state == ledger.Doubtful
	e.rank = e.class
	m.become(e, ledger.Settlement{State: ledger.Held})
	if !e.laned && len(e.lanes) > 0 {
		m.enter(e)
	}
}

func (m *model) discards(rt *rapid.T) {
	e := m.any(rt)
	if m.allowed(rt, m.db.Discard(m.ctx, e.id, me), e.dead) {
		m.become(e, ledger.Settlement{State: ledger.Refused})
	}
}

func (m *model) resolves(rt *rapid.T) {
	e := m.any(rt)
	s := rapid.SampledFrom([]ledger.Settlement{{State: ledger.Delivered}, {State: ledger.Refused}, {State: ledger.Held}}).Draw(rt, "settlement")
	if !m.allowed(rt, m.db.Resolve(m.ctx, e.id, s, me), e.state == ledger.Doubtful) {
		return
	}
	e.open = false
	m.become(e, s)
	if s.State == ledger.Held && !e.laned && len(e.lanes) > 0 {
		m.enter(e)
	}
}

func (m *model) replaces(rt *rapid.T) {
	e := m.any(rt)
	wr := m.draw(rt)
	if rapid.Bool().Draw(rt, "same lanes") {
		wr.Lanes = e.lanes
	}
	r, err := m.db.Replace(m.ctx, e.id, wr, me)
	if !m.allowed(rt, err, e.state == ledger.Held && !e.open || e.dead) {
		return
	}
	place, laned := e.place, e.laned
	s := ledger.Settlement{State: ledger.Refused}
	if e.state == ledger.Held {
		s.State = ledger.Superseded
	}
	m.become(e, s)
	e.replacedBy = r.ID
	if laned && sameLanes(e.lanes, wr.Lanes) {
		fresh := m.entry(wr, r.ID)
		fresh.place, fresh.laned = place, true
		return
	}
	m.inherit()
	m.enter(m.entry(wr, r.ID))
}

func (m *model) pauses(rt *rapid.T) {
	lane := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "lane")
	if err := m.db.Pause(m.ctx, m.system, lane, me); err != nil {
		rt.Fatal(err)
	}
	m.paused[lane] = true
}

func (m *model) resumes(rt *rapid.T) {
	lane := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "lane")
	if err := m.db.Resume(m.ctx, m.system, lane, me); err != nil {
		rt.Fatal(err)
	}
	delete(m.paused, lane)
}

func (m *model) restarts(rt *rapid.T) {
	if rapid.IntRange(0, 4).Draw(rt, "restart") > 0 {
		rt.Skip("seldom")
	}
	m.reopen()
	for _, e := range m.list {
		e.orphan = true
	}
}
