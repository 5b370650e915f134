package sim

import (
	"fmt"
	"time"
)

// sessions are what callers have opened, each for so long after its last use.
type sessions struct {
	ttl  time.Duration
	last map[string]time.Time // by owner and id
	n    int
}

// maxSessions bounds what is kept; beyond it, one that has not been used for longest ends.
const maxSessions = 1000

func (s *sessions) clear() { s.last, s.n = map[string]time.Time{}, 0 }

// open begins a session; touch knows it by owner and id together.
func (s *sessions) open(now time.Time, owner string) string {
	if s.count(now) >= maxSessions {
		oldest := ""
		for id, at := range s.last {
			if oldest == "" || at.Before(s.last[oldest]) {
				oldest = id
			}
		}
		delete(s.last, oldest)
	}
	s.n++
	id := fmt.Sprintf("S%08d", s.n)
	s.last[owner+id] = now
	return id
}

// touch tells whether a session is alive, and keeps it so.
func (s *sessions) touch(id string, now time.Time) bool {
	at, ok := s.last[id]
	if !ok || now.Sub(at) >= s.ttl {
		delete(s.last, id)
		return false
	}
	s.last[id] = now
	return true
}

func (s *sessions) count(now time.Time) int {
	for id, at := range s.last {
		if now.Sub(at) >= s.ttl {
			delete(s.last, id)
		}
	}
	return len(s.last)
}
