package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// shelf keeps answers of steps and workflows that may be given again, in memory.
type shelf struct {
	mu    sync.Mutex
	kept  map[[32]byte]kept
	order [][32]byte // the oldest first
	bytes int
}

// kept is an answer on the shelf.
type kept struct {
	answer *answer
	until  time.Time
}

// shelfBytes and shelfEntry bound the shelf, and what is put on it, in bytes.
const (
	shelfBytes = 64 << 20
	shelfEntry = 1 << 20
)

// get finds an answer that is still good.
func (s *shelf) get(key [32]byte) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.kept[key]
	if !ok || time.Now().After(k.until) {
		return nil
	}
	return k.answer
}

// put keeps an answer for a time, and drops the oldest when there is no room.
func (s *shelf) put(key [32]byte, a *answer, ttl time.Duration) {
	size := len(a.Body) + 512
	if size > shelfEntry || a.Status != http.StatusOK {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[[32]byte]kept{}
	}
	if old, ok := s.kept[key]; ok {
		s.bytes -= len(old.answer.Body) + 512
	} else {
		s.order = append(s.order, key)
	}
	s.kept[key] = kept{a, time.Now().Add(ttl)}
	s.bytes += size
	for s.bytes > shelfBytes && len(s.order) > 1 {
		oldest := s.order[0]
		s.order = s.order[1:]
		s.bytes -= len(s.kept[oldest].answer.Body) + 512
		delete(s.kept, oldest)
	}
}

// shelfKey is the same for calls that may have the same answer: of one app, in
// one table, for the same thing.
func shelfKey(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256(p)
		h.Write(sum[:])
	}
	var key [32]byte
	h.Sum(key[:0])
	return key
}

// callKey is the key of a step's call.
func (r *run) callKey(l *lower, c *call) [32]byte {
	var headers bytes.Buffer
	_ = c.header.Write(&headers) // a buffer takes all
	return shelfKey([]byte(l.op.API.Revision), []byte(r.request.App), []byte(l.op.API.Key(l.op.Spec)), []byte(c.path), []byte(c.query.Encode()), headers.Bytes(), c.body)
}

// flowKey is the key of a workflow's answer.
func (r *run) flowKey(revision string) [32]byte {
	inputs, err := json.Marshal(r.request.Inputs)
	if err != nil {
		panic(err) // they came from JSON
	}
	return shelfKey([]byte(revision), []byte(r.request.App), []byte(r.workflow.Document.Hash), []byte(r.workflow.ID), inputs)
}
