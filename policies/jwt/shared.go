package jwt

import (
	"runtime"
	"sync"
	"weak"
)

// shared has one value for each key for as long as somebody holds it: tables
// come and go, and what they have in common stays. The zero value is ready to use.
type shared[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]weak.Pointer[V]
}

// get returns the value of a key; build makes it where nobody holds one.
func (s *shared[K, V]) get(key K, build func() *V) *V {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.values[key].Value(); v != nil {
		return v
	}
	v := build()
	w := weak.Make(v)
	if s.values == nil {
		s.values = map[K]weak.Pointer[V]{}
	}
	s.values[key] = w
	runtime.AddCleanup(v, func(key K) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.values[key] == w {
			delete(s.values, key)
		}
	}, key)
	return v
}

// len is the number of values that somebody holds, or held until a moment ago.
func (s *shared[K, V]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}
