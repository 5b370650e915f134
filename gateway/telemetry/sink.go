package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// The log is written in pieces: a crash loses what the last flushPeriod
// brought, at most flushSize bytes while the writer keeps up. A writer that is
// slower gets lines dropped beyond pendingLimit, never a request that waits.
const (
	flushPeriod  = 100 * time.Millisecond
	flushSize    = 32 << 10
	pendingLimit = 1 << 20
)

// sink buffers lines for a writer. Each Write is one line, written whole or
// dropped whole.
type sink struct {
	w io.Writer
	// notice tells the writer that n more lines were dropped.
	notice  func(w io.Writer, n int64)
	dropped atomic.Int64

	mu      sync.Mutex
	pending []byte
	closed  bool

	some, full chan struct{} // something is pending; more than flushSize is
	stop       chan struct{}
	stopOnce   sync.Once
	done       chan struct{}
}

func openSink(w io.Writer, notice func(io.Writer, int64)) *sink {
	s := &sink{
		w: w, notice: notice,
		some: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// Write takes a line without waiting for the writer, until close has ended;
// from then on it writes by itself.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.w.Write(line)
	}
	if len(s.pending)+len(line) > pendingLimit {
		s.dropped.Add(1)
		return len(line), nil
	}
	before := len(s.pending)
	s.pending = append(s.pending, line...)
	if before == 0 {
		signal(s.some)
	}
	if len(s.pending) >= flushSize {
		signal(s.full)
	}
	return len(line), nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes what is pending, soon after it came.
func (s *sink) run() {
	defer close(s.done)
	var spare []byte
	var reported int64
	timer := time.NewTimer(flushPeriod)
	defer timer.Stop()
	for stopped := false; !stopped; {
		select {
		case <-s.some:
			timer.Reset(flushPeriod)
			select {
			case <-timer.C:
			case <-s.full:
			case <-s.stop:
				stopped = true
			}
		case <-s.stop:
			stopped = true
		}
		spare = s.flush(spare)
		if n := s.dropped.Load(); n > reported {
			s.notice(s.w, n-reported)
			reported = n
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(s.pending)
	s.pending, s.closed = nil, true
}

// flush writes what is pending and returns its memory, to be filled next.
func (s *sink) flush(spare []byte) []byte {
	s.mu.Lock()
	lines := s.pending
	s.pending = spare[:0]
	s.mu.Unlock()
	s.write(lines)
	return lines
}

func (s *sink) write(lines []byte) {
	if len(lines) == 0 {
		return
	}
	if n, err := s.w.Write(lines); err != nil {
		s.dropped.Add(int64(bytes.Count(lines[min(n, len(lines)):], []byte{'\n'})))
	}
}

// close writes what is pending. It gives up when ctx ends and the writer still hangs.
func (s *sink) close(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stop) })
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the log is not written: %w", ctx.Err())
	}
}

// newHandler is the format of lines that are not exchanges.
func newHandler(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
			a.Value = slog.StringValue(a.Value.Time().UTC().Format(timeFormat))
		}
		return a
	}})
}

// notice writes past the buffer, from the goroutine that empties it.
func (t *Telemetry) notice(w io.Writer, n int64) {
	slog.New(newHandler(w, &t.level)).Warn("log lines were dropped", "lines", n)
}
