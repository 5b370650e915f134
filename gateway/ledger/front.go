package ledger

import (
	"time"

	"github.com/headrace/headrace/specs"
)

// front remembers, by system, below which places nothing is ready. Postgres
// keeps index entries of rows that were claimed as long as any session holds a
// snapshot from before; a claim that began at the start of a class would read
// all of them, every time. Only the committer uses it.
//
// What this process makes ready lowers the front. What another replica makes
// ready below it is seen when a claim finds too little, and within a second
// otherwise: the order between lanes may be off by as much, the order in a lane
// never.
type front map[string]*foremost

type foremost struct {
	place [len(specs.Classes)]int64 // by rank
	seen  int64                     // the greatest place of a claim
	asked time.Time                 // when all was looked at
	took  time.Duration             // how long that lasted
	// lowered tells that something became ready since the last claim began.
	lowered bool
}

func (f front) of(system string) *foremost {
	m := f[system]
	if m == nil {
		m = &foremost{}
		f[system] = m
	}
	return m
}

// lower notes that a write of a place may have become ready.
func (f front) lower(system string, place int64) {
	m := f[system]
	if m == nil {
		return
	}
	for rank := range m.place {
		m.place[rank] = min(m.place[rank], place)
	}
	m.lowered = true
}

// begin tells where a claim begins to look, by rank: at the front, or at the
// start when it is time to look at all.
func (m *foremost) begin() (from [len(specs.Classes)]int64, whole bool) {
	m.lowered = false
	if time.Since(m.asked) > max(time.Second, 20*m.took) {
		return from, true
	}
	return m.place, m.place == from
}

// learn moves the front to what a claim has found: the least place of each
// rank, or beyond all that was seen where there was none.
func (m *foremost) learn(from, found [len(specs.Classes)]int64, last int64) {
	m.seen = max(m.seen, last)
	for rank := range found {
		switch {
		case found[rank] > 0:
			m.place[rank] = found[rank]
		default:
			m.place[rank] = max(from[rank], m.seen)
		}
	}
}
