package system

import "sync"

// shelf holds things by the configuration that they were made of, as long as
// somebody uses them.
type shelf[T any] struct {
	close func(T)

	mu    sync.Mutex
	items map[string]*item[T]
}

type item[T any] struct {
	value T
	users int
}

// take gives the thing of a key, and makes it if there is none. release must be
// called once; the last one closes it.
func (s *shelf[T]) take(key string, create func() T) (value T, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[key]
	if it == nil {
		if s.items == nil {
			s.items = map[string]*item[T]{}
		}
		it = &item[T]{value: create()}
		s.items[key] = it
	}
	it.users++
	return it.value, sync.OnceFunc(func() { s.put(key, it) })
}

func (s *shelf[T]) put(key string, it *item[T]) {
	s.mu.Lock()
	it.users--
	last := it.users == 0
	if last {
		delete(s.items, key)
	}
	s.mu.Unlock()
	if last {
		s.close(it.value)
	}
}

func (s *shelf[T]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}
