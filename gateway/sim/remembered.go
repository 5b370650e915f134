package sim

import (
	"fmt"
	"net/http"
	"time"
)

// remembered are answers that are given again to the same key.
type remembered struct {
	keep    time.Duration
	answers map[string]memory
	keys    []string // oldest first
}

type memory struct {
	at     time.Time
	body   string
	answer answer
}

// maxRemembered bounds the answers that are kept.
const maxRemembered = 10_000

func (m *remembered) clear() { m.answers, m.keys = map[string]memory{}, nil }

func (m *remembered) forget(now time.Time) {
	for len(m.keys) > 0 && (len(m.keys) > maxRemembered || now.Sub(m.answers[m.keys[0]].at) >= m.keep) {
		delete(m.answers, m.keys[0])
		m.keys = m.keys[1:]
	}
}

// once does the work of a key once; the same key with another body is refused.
func (m *remembered) once(keyOf func(*http.Request) string, work handler) handler {
	return func(s *Server, r *http.Request, body map[string]any) answer {
		key := keyOf(r)
		if key == "" {
			return work(s, r, body)
		}
		if len(key) > 128 {
			return s.failure(http.StatusBadRequest, "The idempotency key is longer than 128 characters.")
		}
		now := time.Now()
		m.forget(now)
		key = r.Header.Get("Authorization") + " " + r.URL.Path + " " + key
		text := fmt.Sprint(body) // maps are printed in order
		if old, ok := m.answers[key]; ok {
			if old.body != text {
				return s.failure(http.StatusBadRequest, "The idempotency key was used with another request.")
			}
			again := old.answer
			again.header, again.idle = again.header.Clone(), true
			return again
		}
		a := work(s, r, body).rendered()
		if len(text) > 10_000 {
			return a
		}
		m.answers[key] = memory{now, text, answer{status: a.status, header: a.header.Clone(), body: a.body}}
		m.keys = append(m.keys, key)
		return a
	}
}
