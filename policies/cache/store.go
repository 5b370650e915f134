package cache

import (
	"container/list"
	"runtime"
	"sync"
	"weak"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// store keeps answers within a bound on their size, the least recently used
// going first, and knows what is being asked for at the moment.
type store struct {
	mu      sync.Mutex
	bound   int64
	size    int64
	kept    map[string]*list.Element
	order   list.List // of *item, the most recently used first
	flights map[flightKey]*flight
}

type item struct {
	key   string
	entry *entry
	size  int64
}

// flightKey joins calls for one answer; those of another class do not wait,
// because a system may admit them sooner.
type flightKey struct {
	key   string
	class specs.Class
}

// flight is a call that others may wait for. When it has landed, entry is what
// is kept, and err why it failed.
type flight struct {
	landed chan struct{}
	entry  *entry
	err    error
}

func newStore() *store {
	return &store{kept: map[string]*list.Element{}, flights: map[flightKey]*flight{}}
}

// get finds an entry, fresh or not; nil when there is none.
func (s *store) get(key []byte) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	element := s.kept[string(key)]
	if element == nil {
		return nil
	}
	s.order.MoveToFront(element)
	return element.Value.(*item).entry
}

// put keeps an entry in place of an older one.
func (s *store) put(key string, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element := s.kept[key]; element != nil {
		s.remove(element)
	}
	i := &item{key, e, e.size(key)}
	if i.size > s.bound {
		return
	}
	s.kept[key] = s.order.PushFront(i)
	s.size += i.size
	s.shrink()
}

func (s *store) shrink() {
	for s.size > s.bound {
		s.remove(s.order.Back())
	}
}

func (s *store) remove(element *list.Element) {
	i := s.order.Remove(element).(*item)
	delete(s.kept, i.key)
	s.size -= i.size
}

// resize changes the bound.
func (s *store) resize(bound int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound = bound
	s.shrink()
}

// join makes the caller the first to ask, who must land the flight, or gives
// the flight of the one who is.
func (s *store) join(key flightKey) (f *flight, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[key]; f != nil {
		return f, false
	}
	f = &flight{landed: make(chan struct{})}
	s.flights[key] = f
	return f, true
}

func (s *store) land(key flightKey, f *flight) {
	s.mu.Lock()
	delete(s.flights, key)
	s.mu.Unlock()
	close(f.landed)
}

// stores finds the store of a place again when a new table is built. A store
// lives as long as a table uses it.
type stores struct {
	mu   sync.Mutex
	open map[storeKey]weakStore
}

// storeKey names a store: by the revision of what answers are made with or,
// where that is not known, by the API as it stands in one table.
type storeKey struct {
	place, revision string
	api             weak.Pointer[gateway.API]
}

type weakStore = weak.Pointer[store]

func (s *stores) get(b *gateway.Binding, bound int64) *store {
	key := storeKey{place: b.Place(), revision: b.API.Revision}
	if key.revision == "" {
		key.api = weak.Make(b.API)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.open[key].Value()
	if found == nil {
		found = newStore()
		s.open[key] = weak.Make(found)
		runtime.AddCleanup(found, s.drop, key)
	}
	found.resize(bound)
	return found
}

// drop forgets a store that no table uses any more.
func (s *stores) drop(key storeKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key].Value() == nil {
		delete(s.open, key)
	}
}
