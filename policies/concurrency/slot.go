package concurrency

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
)

// slot is the place of one call under way. It is released once.
type slot struct {
	policy   *policy
	calls    gateway.Concurrency // that let it in
	key      string
	since    time.Time
	released atomic.Bool
}

func (s *slot) release() {
	if s.released.CompareAndSwap(false, true) {
		s.calls.Release(s.key)
		s.policy.took.add(time.Since(s.since))
	}
}

// short is an answer that a connection takes at once.
const short = 64 << 10

// follow has the slot released when the answer's body is closed; false means
// that there is no body to wait for.
func (s *slot) follow(r *gateway.Response) bool {
	if r.Body == nil {
		if len(r.Bytes) <= short {
			return false
		}
		r.Body, r.Length, r.Bytes = io.NopCloser(bytes.NewReader(r.Bytes)), int64(len(r.Bytes)), nil
	}
	r.Body = &body{r.Body, s}
	return true
}

type body struct {
	io.ReadCloser
	slot *slot
}

func (b *body) Close() error {
	defer b.slot.release()
	return b.ReadCloser.Close()
}
