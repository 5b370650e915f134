package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// fetches is a fetcher that does what it is told.
type fetches struct {
	at     []time.Duration
	start  time.Time
	result func(n int) (*grant, error)
}

func (f *fetches) fetch(ctx context.Context, _ *system) (*grant, error) {
	f.at = append(f.at, time.Since(f.start))
	return f.result(len(f.at))
}

func (f *fetches) leave(context.Context, *system, *grant) {}

func keeperFor(f *fetches) (*keeper, *system) {
	f.start = time.Now()
	s := &system{name: "erp", settings: &Settings{Timeout: source.Duration(30 * time.Second)}, fleet: &Fleet{log: slog.New(slog.DiscardHandler)}, fetcher: f}
	return newKeeper("session"), s
}

// With a wrong password, log-ins come so rarely that a lock after six failures
// in five minutes is never reached, however many calls come in.
func TestRefusedLoginsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetches{result: func(int) (*grant, error) { return nil, fmt.Errorf("no: %w", errRefused) }}
		k, s := keeperFor(f)
		defer k.close()
		for time.Since(f.start) < 2*time.Hour {
			_, err := k.get(t.Context(), s)
			e, ok := errors.AsType[*gateway.Error](err)
			if !ok || e.RetryAfter <= 0 || e.RetryAfter > lastRefusedWait {
				t.Fatalf("%v", err)
			}
			time.Sleep(time.Second)
		}
		for i := range f.at {
			n := 0
			for _, at := range f.at[i:] {
				if at < f.at[i]+5*time.Minute {
					n++
				}
			}
			if n > 3 {
				t.Errorf("%d log-ins in five minutes: %v", n, f.at)
			}
		}
		if len(f.at) < 8 {
			t.Errorf("only %d attempts in two hours", len(f.at))
		}
	})
}

// A system that is away is asked again soon.
func TestFailedFetchesComeBackSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := false
		f := &fetches{result: func(int) (*grant, error) {
			if up {
				return &grant{}, nil
			}
			return nil, errors.New("connection refused")
		}}
		k, s := keeperFor(f)
		defer k.close()
		for range 600 {
			k.get(t.Context(), s)
			time.Sleep(time.Second)
		}
		if n := len(f.at); n < 15 || n > 30 {
			t.Errorf("%d attempts in ten minutes: %v", n, f.at)
		}
		up = true
		time.Sleep(lastFailedWait)
		g, err := k.get(t.Context(), s)
		if g == nil || err != nil {
			t.Error(err)
		}
		g.accepted()
		k.refused(g) // a session that had worked is replaced at once
		if again, err := k.get(t.Context(), s); again == nil || again == g || err != nil {
			t.Error(err)
		}
	})
}

// A token that the system refuses from the start is replaced soon: one
// operation whose answer is always 401 must not keep all others away for long.
func TestRefusedTokensAreReplacedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetches{result: func(int) (*grant, error) { return &grant{}, nil }}
		k, s := keeperFor(f)
		k.kind = "oauth2"
		defer k.close()
		for n := range 10 {
			g, err := k.get(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			k.refused(g)
			_, err = k.get(t.Context(), s)
			e, ok := errors.AsType[*gateway.Error](err)
			if want := min(firstTokenWait<<n, lastTokenWait); !ok || e.RetryAfter != want {
				t.Fatalf("after %d refused tokens: %v; want %s", n+1, err, want)
			}
			time.Sleep(e.RetryAfter)
		}
		g, err := k.get(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		g.accepted()
		k.refused(g)
		if _, err := k.get(t.Context(), s); err != nil {
			t.Errorf("a token that had worked is replaced at once: %v", err)
		}
	})
}

// A grant that another call has replaced already is not given up a second time.
func TestRefusedTwice(t *testing.T) {
	f := &fetches{result: func(int) (*grant, error) { return &grant{}, nil }}
	k, s := keeperFor(f)
	defer k.close()
	g, _ := k.get(t.Context(), s)
	g.accepted()
	k.refused(g)
	second, _ := k.get(t.Context(), s)
	k.refused(g)
	if third, err := k.get(t.Context(), s); third != second || err != nil {
		t.Error("the new session was given up", err)
	}
}

// Whoever waits is let go when the log-in takes too long, and gets the
// session when it came after all.
func TestSlowLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetches{result: func(int) (*grant, error) { time.Sleep(40 * time.Second); return &grant{}, nil }}
		k, s := keeperFor(f)
		defer k.close()
		if _, err := k.get(t.Context(), s); gateway.AsError(err).Problem != gateway.SystemUnavailable {
			t.Error(err)
		}
		if g, err := k.get(t.Context(), s); g == nil || err != nil {
			t.Error(err)
		}
		if len(f.at) != 1 {
			t.Errorf("%d log-ins", len(f.at))
		}
	})
}

// A fetch that breaks down, or that gives what has ended already, does no harm.
func TestOddFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fetches{result: func(n int) (*grant, error) {
			if n == 1 {
				panic("no")
			}
			return &grant{expires: time.Now().Add(-time.Second)}, nil
		}}
		k, s := keeperFor(f)
		defer k.close()
		if _, err := k.get(t.Context(), s); err == nil {
			t.Error("no error")
		}
		time.Sleep(2 * time.Second)
		if g, err := k.get(t.Context(), s); g == nil || err != nil {
			t.Error(err)
		}
		if len(f.at) != 2 {
			t.Errorf("%d fetches", len(f.at))
		}
	})
}

// Without room in the budget there is no log-in, but no failure either.
func TestNoRoomForLogin(t *testing.T) {
	f := &fetches{result: func(n int) (*grant, error) {
		if n == 1 {
			return nil, &gateway.Error{Problem: gateway.Saturated}
		}
		return &grant{}, nil
	}}
	k, s := keeperFor(f)
	defer k.close()
	if _, err := k.get(t.Context(), s); gateway.AsError(err).Problem != gateway.Saturated {
		t.Error(err)
	}
	if _, err := k.get(t.Context(), s); err != nil {
		t.Error(err)
	}
}
