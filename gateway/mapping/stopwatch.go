package mapping

import (
	"context"
	"time"
)

// stopwatch is a context that ends at a time. gojq asks it before every
// instruction, so that it needs no timer.
type stopwatch struct {
	context.Context
	end   time.Time
	limit time.Duration
	asked uint
	over  bool
}

// A mapping of few instructions that takes long was probably kept waiting by a
// busy machine: it gets patience times as long.
const (
	few      = 1 << 14
	patience = 10
)

var stopped = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (s *stopwatch) Done() <-chan struct{} {
	if s.asked++; s.asked%256 == 0 {
		late := time.Since(s.end)
		s.over = late > 0 && (s.asked >= few || late > (patience-1)*s.limit)
	}
	if s.over {
		return stopped
	}
	return s.Context.Done()
}

func (s *stopwatch) Err() error {
	if s.over {
		return context.DeadlineExceeded
	}
	return s.Context.Err()
}
