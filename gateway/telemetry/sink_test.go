package telemetry

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway/gatewaytest"
)

func openTestSink(t *testing.T, w io.Writer) *sink {
	s := openSink(w, func(w io.Writer, n int64) { io.WriteString(w, "dropped\n") })
	t.Cleanup(func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestLinesAreWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gatewaytest.Log{}
		s := openTestSink(t, out)
		for range 3 {
			time.Sleep(time.Hour)
			s.Write([]byte("line\n"))
			time.Sleep(flushPeriod - time.Millisecond)
			before := out.String()
			time.Sleep(2 * time.Millisecond)
			if after := out.String(); after != before+"line\n" {
				t.Fatalf("%q, then %q", before, after)
			}
		}
	})
}

func TestManyLinesAreWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gatewaytest.Log{}
		s := openTestSink(t, out)
		s.Write([]byte(strings.Repeat("x", flushSize-1) + "\n"))
		synctest.Wait()
		if len(out.String()) != flushSize {
			t.Errorf("%d bytes written before the time", len(out.String()))
		}
	})
}

func TestCloseWritesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gatewaytest.Log{}
		s := openTestSink(t, out)
		s.Write([]byte("one\n"))
		s.Write([]byte("two\n"))
		if err := s.close(t.Context()); err != nil || out.String() != "one\ntwo\n" {
			t.Errorf("%v %q", err, out)
		}
		s.Write([]byte("three\n"))
		if out.String() != "one\ntwo\nthree\n" {
			t.Errorf("%q", out)
		}
	})
}

// stuck is a writer that waits until it is let go.
type stuck struct {
	gatewaytest.Log
	free chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.free
	return s.Log.Write(b)
}

func TestASlowWriterLosesLinesAndDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{free: make(chan struct{})}
		s := openTestSink(t, out)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		started := time.Now()
		const lines = 3 * pendingLimit / 1024
		for range lines {
			s.Write(line)
			synctest.Wait()
		}
		if waited := time.Since(started); waited != 0 {
			t.Errorf("writing took %s", waited)
		}
		// One piece hangs in the writer, pendingLimit is kept, the rest is lost.
		kept := (pendingLimit + flushSize) / 1024
		if n := s.dropped.Load(); n != int64(lines-kept) {
			t.Errorf("%d of %d lines dropped", n, lines)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		close(out.free)
		if err := s.close(t.Context()); err != nil {
			t.Error(err)
		}
		text := out.String()
		if n := strings.Count(text, string(line)); n != kept {
			t.Errorf("%d of %d lines written", n, kept)
		}
		if strings.Count(text, "dropped\n") != 1 {
			t.Error("nobody is told that lines were dropped")
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAWriterThatFailsCountsAsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTestSink(t, broken{})
		s.Write([]byte("one\n"))
		s.Write([]byte("two\n"))
		time.Sleep(2 * flushPeriod)
		if n := s.dropped.Load(); n != 2 {
			t.Errorf("%d dropped", n)
		}
	})
}
