package budget

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// Diary keeps what a Memory writes down, so that it outlasts the process.
type Diary interface {
	// Note keeps the last word about a system; nil error means that it is durable.
	Note(ctx context.Context, system string, state []byte) error
	// Notes gives what was kept, by system.
	Notes(ctx context.Context) (map[string][]byte, error)
}

// Remember makes the store begin with what a process before it has spent, and
// write down what it spends itself. It must be called before the first admission.
//
// A call must not wait for a disk, so what may be spent is written down ahead:
// how many units may be under way at most, and how many may be taken, until the
// next note. An admission that would go beyond waits for a note, which allows
// more; otherwise notes come once a second, and stop when nothing is called.
// After a crash all that was allowed counts as spent, from the last moment at
// which it could have been: what may have been under way until its lease and the
// hold after it are over, the rest for the hold. So nothing is forgotten, and
// what is lost of the capacity is what a second or two would have taken. After an
// orderly end, told by Close, nothing is lost. A first start finds no notes and
// waits for nothing.
//
// While the diary fails, calls go on, and a note is tried every second: only a
// crash in that time would be forgotten. failed is told of each failure.
func (m *Memory) Remember(ctx context.Context, d Diary, failed func(system string, err error)) error {
	notes, err := d.Notes(ctx)
	if err != nil {
		return err
	}
	now := m.now()
	for name, text := range notes {
		var n note
		if err := json.Unmarshal(text, &n); err != nil {
			return fmt.Errorf("what %s has spent cannot be read: %w", name, err)
		}
		m.system(name).before = n.settle(m.wall(now))
	}
	m.diary, m.failed = d, failed
	return nil
}

// Close writes down what is spent, for good: an orderly end. Nothing must be
// admitted any more.
func (m *Memory) Close(ctx context.Context) error {
	if m.diary == nil {
		return nil
	}
	m.closed.Store(true)
	m.mu.RLock()
	systems := make(map[string]*memorySystem, len(m.systems))
	for name, s := range m.systems {
		systems[name] = s
	}
	m.mu.RUnlock()
	var first error
	for name, s := range systems {
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		used := s.noted || len(s.before) > 0
		s.mu.Unlock()
		if !used {
			continue
		}
		if err := m.write(ctx, name, s, true, math.MaxUint64); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// How often notes are written, how long one is in force, how long nothing is
// called until a note allows nothing any more, and how long one may take.
const (
	noteEvery  = time.Second
	noteLasts  = 15 * time.Second
	noteQuiet  = 10 * time.Second
	noteWithin = 2 * time.Second
)

// note is what is written down of a system. Times are milliseconds since 1970.
type note struct {
	// Until is how long it is in force: after it nothing was admitted under it.
	Until int64 `json:"until"`
	// Lease is the longest lease of a call, in milliseconds.
	Lease int64               `json:"lease"`
	Pools map[string]notePool `json:"pools"`
}

// notePool is what is written down of a pool, in thousandths of a unit.
type notePool struct {
	// Held are units by the time at which they come back.
	Held [][2]int64 `json:"held,omitempty"`
	// Full is when a bucket is full again if nothing more is taken.
	Full int64 `json:"full,omitempty"`
	// Under are units of an earlier process that may be under way, by the time
	// until which; Ended such that were taken and had ended by a time.
	Under [][2]int64 `json:"under,omitempty"`
	Ended [][2]int64 `json:"ended,omitempty"`
	// Most is how many units may be under way at most, Left how many may have
	// been taken besides those under Held, Under and Full.
	Most int64 `json:"most,omitempty"`
	Left int64 `json:"left,omitempty"`
}

// settle makes what was allowed spent, as late as it could have been. now is in
// milliseconds since 1970.
func (n *note) settle(now int64) map[string]notePool {
	last := min(now, n.Until)
	for key, p := range n.Pools {
		if p.Most > 0 {
			p.Under = append(p.Under, [2]int64{last + n.Lease, p.Most})
		}
		if rest := p.Left - p.Most; rest > 0 {
			p.Ended = append(p.Ended, [2]int64{last, rest})
		}
		p.Most, p.Left = 0, 0
		n.Pools[key] = p
	}
	return n.Pools
}

// longestKept is how long units of a pool are kept that nobody asks for any
// more: longer than any window.
const longestKept = 400 * 24 * time.Hour

// over tells that nothing of it is spent any more.
func (p *notePool) over(now int64) bool {
	for _, list := range [][][2]int64{p.Held, {{p.Full, 1}}} {
		for _, e := range list {
			if e[0] > now {
				return false
			}
		}
	}
	for _, list := range [][][2]int64{p.Under, p.Ended} { // and held after it
		for _, e := range list {
			if e[0]+longestKept.Milliseconds() > now {
				return false
			}
		}
	}
	return true
}

// wall is a time of the store in milliseconds since 1970, never too early; moment
// is the reverse.
func (m *Memory) wall(at int64) int64 {
	now := time.Now()
	off := at - int64(now.Sub(m.epoch))
	return int64(math.Ceil(float64(now.UnixNano()+off) / 1e6))
}

func (s *memorySystem) moment(wall, now int64) int64 {
	return min(now+(wall-time.Now().UnixMilli())*int64(time.Millisecond), 1<<61)
}

// allowance is how far a pool may go until the next note. It is zero for pools
// that are not written down.
type allowance struct {
	most, upTo Units // under way at most; taken in all
	taken      Units // since the store began
	// peak is the most that was under way since the last note, before what had
	// been taken then; wanted is what waits for the next one.
	peak, before, wanted Units
}

// noting tells whether what is taken of a pool is written down: not where
// nothing is limited, nor what only keeps classes to their pace.
func (p *Pool) noting() bool { return p.Capacity > 0 && !p.Free && !p.pacing }

// lasting tells whether units stay after a call's end.
func (p *memoryPool) lasting() bool { return p.hold > 0 || p.calendar != nil || p.interval > 0 }

// allowed tells whether the last note covers an admission. Where it does not,
// what is missing is noted as wanted.
func (s *memorySystem) allowed(m *Memory, a *Admission, pools []*memoryPool, now int64) bool {
	if m.diary == nil || now < s.unkept {
		return true
	}
	ok := now < s.noteUntil && a.Lease <= s.noteLease
	for i, p := range pools {
		ask := &a.Asks[i]
		ok = ok && (!ask.Pool.noting() || p.flying.sum+ask.Units <= p.most && (!p.lasting() || p.taken+ask.Units <= p.upTo))
	}
	if !ok {
		s.lease = max(s.lease, a.Lease)
		for i, p := range pools {
			if a.Asks[i].Pool.noting() {
				p.noting = true
				p.wanted += a.Asks[i].Units
			}
		}
	}
	return ok
}

// took counts an admission against what is allowed.
func (s *memorySystem) took(m *Memory, a *Admission, pools []*memoryPool, now int64) {
	if m.diary == nil {
		return
	}
	s.called = now
	for i, p := range pools {
		p.taken += a.Asks[i].Units
		p.peak = max(p.peak, p.flying.sum)
	}
	if s.timer == nil && !m.closed.Load() {
		s.timer = time.AfterFunc(noteEvery, func() { m.tick(a.System, s) })
	}
}

// tick writes a note, and goes on until nothing is called any more.
func (m *Memory) tick(name string, s *memorySystem) {
	s.mu.Lock()
	quiet := m.now()-s.called >= int64(noteQuiet)
	s.mu.Unlock()
	if m.closed.Load() {
		return
	}
	_ = m.write(context.Background(), name, s, quiet, math.MaxUint64) // told to failed; tried again
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.closed.Load() || quiet && m.now()-s.called >= int64(noteQuiet) {
		s.timer = nil
		return
	}
	s.timer.Reset(noteEvery)
}

// write writes a note. A last one allows nothing more. after is the turn after
// which it is needed: those that wait together share one.
func (m *Memory) write(ctx context.Context, name string, s *memorySystem, last bool, after uint64) error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	s.mu.Lock()
	if s.turn > after {
		s.mu.Unlock()
		return nil
	}
	now := m.now()
	allow := map[*memoryPool]allowance{}
	until, lease := now+int64(noteLasts), s.lease
	if last {
		until = now
	}
	n := note{Until: m.wall(until), Lease: lease.Milliseconds() + 1, Pools: map[string]notePool{}}
	for key, p := range s.before {
		if p.over(m.wall(now)) {
			delete(s.before, key)
			continue
		}
		n.Pools[key] = p
	}
	for key, p := range s.pools {
		p.advance(now)
		if !p.noting {
			continue
		}
		next := allowance{}
		if !last {
			next = p.next(now - s.wrote)
		}
		allow[p] = next
		// Until it is known which note is in force, both have to be kept.
		p.most, p.upTo = min(p.most, next.most), min(p.upTo, next.upTo)
		if text := p.note(m, next, now, last); !text.over(n.Until) || text.Most > 0 {
			n.Pools[key] = text
		}
	}
	s.wrote, s.turn, s.noteUntil = now, s.turn+1, min(s.noteUntil, until)
	s.mu.Unlock()
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noteWithin)
	defer cancel()
	err = m.diary.Note(ctx, name, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unkept = m.now() + int64(noteEvery)
		m.failed(name, err)
		return err
	}
	s.noted, s.noteUntil, s.noteLease = true, until, lease
	for p, next := range allow {
		p.most, p.upTo = next.most, next.upTo
	}
	return nil
}

// next is what a pool is allowed from the next note on, by what was taken in
// the time since the last one.
func (p *memoryPool) next(since int64) allowance {
	need := max(p.peak, p.flying.sum+p.wanted)
	a := allowance{most: need}
	if need >= p.most {
		a.most += need / 4
	} else {
		a.most = max(need, p.most-(p.most-need)/4-1)
	}
	a.most = max(p.flying.sum+p.wanted, min(a.most, p.whole))
	if p.lasting() {
		rate := float64(p.taken-p.before) / float64(max(since, int64(noteEvery)))
		block := max(p.wanted, Units(2*rate*float64(noteEvery)), p.whole/32, 1)
		a.upTo = p.taken + min(block, max(p.wanted, p.whole/4))
	}
	p.peak, p.before, p.wanted = p.flying.sum, p.taken, 0
	return a
}

// noteSlices is how many moments are written down of a pool at most; the rest
// goes with the next later one.
const noteSlices = 40

// note is what is written down of a pool. After a last one nothing is open but
// what is known to be under way.
func (p *memoryPool) note(m *Memory, next allowance, now int64, last bool) notePool {
	n := notePool{Held: p.slices(m, p.held.each)}
	if p.interval > 0 && p.full > now {
		n.Full = m.wall(p.full)
	}
	for _, e := range p.past {
		n.Under = append(n.Under, [2]int64{m.wall(e.at), int64(e.units)})
	}
	if last {
		n.Under = append(n.Under, p.slices(m, p.flying.each)...)
		return n
	}
	n.Most = int64(next.most)
	if p.lasting() {
		n.Left = int64(p.flying.sum + max(0, next.upTo-p.taken))
		n.Most = min(n.Most, n.Left)
	}
	return n
}

// slices lists units by the time at which they come back.
func (p *memoryPool) slices(m *Memory, each func(func(at int64, u Units))) [][2]int64 {
	var list [][2]int64
	each(func(at int64, u Units) {
		if u > 0 {
			list = append(list, [2]int64{m.wall(at), int64(u)})
		}
	})
	step := (len(list) + noteSlices - 1) / noteSlices
	if step <= 1 {
		return list
	}
	var few [][2]int64
	for i := 0; i < len(list); i += step {
		group := list[i:min(i+step, len(list))]
		sum := [2]int64{group[len(group)-1][0]}
		for _, e := range group {
			sum[1] += e[1]
		}
		few = append(few, sum)
	}
	return few
}

// resume makes a new pool hold what an earlier process has spent.
func (p *memoryPool) resume(n notePool, now int64) {
	p.noting = true
	at := func(e [2]int64) int64 { return p.owner.moment(e[0], now) }
	for _, e := range n.Held {
		if until := at(e); until > now {
			p.keep(until, Units(e[1]), now)
		}
	}
	if n.Full > 0 && p.interval > 0 {
		p.full = max(p.full, p.owner.moment(n.Full, now))
	}
	for _, e := range n.Ended {
		p.endedAt(at(e), Units(e[1]), now)
	}
	for _, e := range n.Under {
		if until := at(e); until > now {
			p.past = append(p.past, ending{until, Units(e[1])})
			p.pastSum += Units(e[1])
		} else {
			p.endedAt(until, Units(e[1]), now)
		}
	}
	slices.SortFunc(p.past, func(a, b ending) int { return cmp.Compare(a.at, b.at) })
}

// pass ends what may have been under way of an earlier process and no longer can be.
func (p *memoryPool) pass(now int64) {
	for len(p.past) > 0 && p.past[0].at <= now {
		e := p.past[0]
		p.past, p.pastSum = p.past[1:], p.pastSum-e.units
		p.end(e.at, e.units)
	}
}

// keep holds units until a time, also where the pool's settings have changed
// since they were written down.
func (p *memoryPool) keep(until int64, u Units, now int64) {
	switch {
	case p.interval > 0:
		p.end(now, u) // it was a capacity
	case p.calendar != nil || p.hold > 0:
		p.held.add(until, u)
	}
}

// endedAt is end for a call that ended before the store began, or may have.
func (p *memoryPool) endedAt(at int64, u Units, now int64) {
	until := at
	switch {
	case p.interval > 0:
		until = max(p.full, at) + p.refill(u, now)
	case p.calendar != nil:
		until = p.free(at)
	default:
		until = at + p.hold
	}
	if until > now {
		p.end(at, u)
	}
}

// under is what is under way, or may be.
func (p *memoryPool) under() Units { return p.flying.sum + p.pastSum }

// remembering is the part of a memorySystem that Remember needs.
type remembering struct {
	before map[string]notePool // of pools that nobody has asked for yet
	// writing takes one: who writes a note.
	writing chan struct{}

	timer             *time.Timer // of the next note; nil while none is due
	noted             bool
	turn              uint64 // counts notes
	wrote, called     int64  // when the last note was made, and the last call admitted
	noteUntil, unkept int64  // how long the note is in force; how long calls go on without
	lease, noteLease  time.Duration
}
