package counter

import (
	"math"
	"sync"
)

// cell names one count: the limit's name and the caller's key.
type cell struct{ name, key string }

// table holds counts of one sort.
type table[C any] struct {
	shards [shardCount]shard[C]
}

// bound sets how many keys may be counted at once.
func (t *table[C]) bound(keys int) {
	for i := range t.shards {
		t.shards[i].most = max(1, keys/shardCount)
	}
}

type shard[C any] struct {
	mu     sync.Mutex
	counts map[cell]*entry[C]
	most   int
	_      [40]byte // keeps the locks of neighbours on different cache lines
}

// entry is a count that is worth keeping until a moment; after it, the count is
// the same as a new one.
type entry[C any] struct {
	until int64
	count C
}

// forever keeps an entry for as long as somebody has to come back to it.
const forever = math.MaxInt64

// get finds or makes the entry of a cell. The caller holds the lock.
func (s *shard[C]) get(c cell, now int64) (*entry[C], error) {
	if e := s.counts[c]; e != nil {
		return e, nil
	}
	if len(s.counts) >= s.most && !s.drop(now) {
		return nil, ErrFull
	}
	if s.counts == nil {
		s.counts = map[cell]*entry[C]{}
	}
	e := &entry[C]{until: now}
	s.counts[c] = e
	return e, nil
}

func (s *shard[C]) sweep(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(now)
}

// drop removes what is not needed and tells whether that made room. Maps do not
// shrink, so a map that is mostly empty is made anew.
func (s *shard[C]) drop(now int64) bool {
	before := len(s.counts)
	for c, e := range s.counts {
		if e.until <= now {
			delete(s.counts, c)
		}
	}
	if after := len(s.counts); after < before/4 {
		counts := make(map[cell]*entry[C], after)
		for c, e := range s.counts {
			counts[c] = e
		}
		s.counts = counts
	}
	return len(s.counts) < before
}
