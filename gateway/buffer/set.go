package buffer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/specs/source"
)

// Set is the buffer of one table, around its system layer: reads go straight
// through, writes take the path of the buffer. It lives until the table is
// closed and nothing is sent by it any more.
type Set struct {
	buffer     *Buffer
	system     *system.Set
	operations map[string]*operation

	users   atomic.Int64 // what is being sent, plus one while the table lives
	closing sync.Once
}

// Build makes the set of a table.
func (b *Buffer) Build(s *system.Set) *Set {
	set := &Set{buffer: b, system: s, operations: map[string]*operation{}}
	set.users.Store(1)
	return set
}

// System is the system layer behind the set.
func (s *Set) System() *system.Set { return s.system }

// Bind compiles an operation. Problems go to the binding; the handler is nil then.
func (s *Set) Bind(b *gateway.Binding) gateway.Handler {
	direct := s.system.Bind(b)
	if direct == nil || b.Operation.Safe() {
		return direct
	}
	o := compile(s, b)
	if o == nil {
		return nil
	}
	s.operations[o.key] = o
	return o.serve
}

// CheckUse is that of the system layer. A write that may go in a batch may be
// under way for as long as the batch.
func (s *Set) CheckUse(ps *source.Problems) {
	s.system.CheckUse(ps)
	for _, o := range s.operations {
		if call, _ := s.system.Batch(o.call); call != "" {
			o.timeout = max(o.timeout, s.system.Timeout(call))
		}
	}
}

// Close lets go of the set once nothing is sent by it any more.
func (s *Set) Close() { s.closing.Do(s.Release) }

// Acquire keeps the set, and what it sends by, from being let go of; false when
// it has been. Release ends that.
func (s *Set) Acquire() bool {
	for {
		n := s.users.Load()
		if n == 0 {
			return false
		}
		if s.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release ends what Acquire has begun.
func (s *Set) Release() {
	if s.users.Add(-1) == 0 {
		s.system.Close()
	}
}

// longest is the longest time that a request may be under way.
func (s *Set) longest() time.Duration {
	var longest time.Duration
	for _, o := range s.operations {
		longest = max(longest, o.timeout)
	}
	return longest
}
