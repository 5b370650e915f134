package system

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
)

// The waits after a log-in that failed: they double from the first to the last.
// A refused log-in waits so long that a lock after six failures in five
// minutes, as Tryton has it, is never reached.
const (
	firstRefusedWait = time.Minute
	lastRefusedWait  = 15 * time.Minute
	firstFailedWait  = time.Second
	lastFailedWait   = 30 * time.Second
	firstTokenWait   = 5 * time.Second // after a token that never worked
	lastTokenWait    = time.Minute
)

// keeper keeps a grant that has to be fetched. One fetch is under way at a
// time, whoever waits for it, and a fetch that failed is not tried again before
// a wait that grows. It outlasts the tables whose systems use it; what fetches
// is the system at hand.
type keeper struct {
	kind   string
	ctx    context.Context // ends with the keeper
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	current  *grant
	fetching *fetch
	failures int
	notUntil time.Time
	reason   *gateway.Error // why the last fetch failed
	since    time.Time
}

// fetch is a fetch under way. grant or err is set before done is closed.
type fetch struct {
	done  chan struct{}
	grant *grant
	err   *gateway.Error
}

// errRefused marks a fetch that the other side refused because of what it was
// given; others may go better soon.
var errRefused = errors.New("refused")

func newKeeper(kind string) *keeper {
	k := &keeper{kind: kind}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (k *keeper) renewable() bool { return true }

// get gives the current grant, or waits for one, at most as long as a call may take.
func (k *keeper) get(ctx context.Context, s *system) (*grant, error) {
	g, f, err := k.now(s)
	if f == nil {
		return g, err
	}
	timeout := time.NewTimer(s.settings.Timeout.Std())
	defer timeout.Stop()
	select {
	case <-f.done:
		if f.err != nil {
			return nil, f.err
		}
		return f.grant, nil
	case <-ctx.Done():
		return nil, &gateway.Error{Problem: gateway.CallerLeft, System: s.name, Cause: ctx.Err()}
	case <-timeout.C:
		return nil, &gateway.Error{
			Problem: gateway.SystemUnavailable, System: s.name, RetryAfter: spread(time.Second), Detail: "it takes " + s.name + " too long to let the gateway in",
		}
	}
}

// now gives the current grant, the fetch to wait for, or the reason why there
// is neither.
func (k *keeper) now(s *system) (*grant, *fetch, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if g := k.current; g != nil && g.valid(now) {
		if !g.renew.IsZero() && now.After(g.renew) && k.fetching == nil && now.After(k.notUntil) {
			k.start(s)
		}
		return g, nil, nil
	}
	if k.fetching == nil {
		if now.Before(k.notUntil) {
			return nil, nil, k.pausing(s, now)
		}
		k.start(s)
	}
	return nil, k.fetching, nil
}

// pausing is the refusal while no fetch is tried.
func (k *keeper) pausing(s *system, now time.Time) *gateway.Error {
	wait := k.notUntil.Sub(now)
	e := &gateway.Error{
		Problem: gateway.SystemUnavailable, System: s.name, RetryAfter: wait,
		Detail: fmt.Sprintf("the gateway has no access to %s; it tries again in %s", s.name, wait.Round(time.Second)),
	}
	if k.reason != nil {
		e.Cause = k.reason
	}
	return e
}

// start fetches a grant aside, so that a caller who leaves does not end it.
func (k *keeper) start(s *system) {
	f := &fetch{done: make(chan struct{})}
	k.fetching = f
	if k.current != nil && k.current.worked.Load() {
		k.failures = 0
	}
	k.work.Go(func() {
		g, err := k.fetch(s)
		k.mu.Lock()
		defer k.mu.Unlock()
		defer close(f.done)
		k.fetching = nil
		if err != nil {
			f.err = k.failed(s, err)
			return
		}
		now := time.Now()
		g.used.Store(now.UnixNano())
		if old := k.current; old != nil && old.idle(now) {
			k.work.Go(func() { k.leave(s, old) }) // no call is under way with it
		}
		f.grant = g
		k.current, k.since, k.reason, k.notUntil = g, now, nil, time.Time{}
	})
}

func (k *keeper) fetch(s *system) (g *grant, err error) {
	defer func() {
		if p := recover(); p != nil {
			g, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(k.ctx, 4*s.settings.Timeout.Std(), errTimeout)
	defer cancel()
	return s.fetcher.fetch(ctx, s)
}

// leave ends a session that was idle for too long. It would hold a place at the
// system until it ends by itself.
func (k *keeper) leave(s *system, g *grant) {
	ctx, cancel := context.WithTimeout(k.ctx, leaveTimeout)
	defer cancel()
	s.fetcher.leave(ctx, s, g)
}

// failed notes a failure and makes the error for those who waited. A lack of
// room in the budget is none.
func (k *keeper) failed(s *system, err error) *gateway.Error {
	if e, ok := errors.AsType[*gateway.Error](err); ok && e.Problem.Name == gateway.Saturated.Name {
		return e
	}
	first, last := firstFailedWait, lastFailedWait
	if errors.Is(err, errRefused) {
		first, last = firstRefusedWait, lastRefusedWait
	}
	k.pause(first, last)
	k.reason = &gateway.Error{
		Problem: gateway.SystemUnavailable, System: s.name, RetryAfter: time.Until(k.notUntil), Cause: err,
		Detail: "the gateway has no access to " + s.name,
	}
	s.fleet.log.Warn("no access to a system", "system", s.name, "credentials", k.kind, "failures", k.failures, "next", k.notUntil.UTC().Format(time.RFC3339), "error", err.Error())
	return k.reason
}

func (k *keeper) pause(first, last time.Duration) {
	wait := min(first<<min(k.failures, 10), last)
	k.failures++
	k.notUntil = time.Now().Add(wait)
}

// refused gives a grant up. One that never worked counts as a failed fetch:
// whoever logs in again and again without use is locked out in the end. No
// account stands behind a token, and one that is refused may only be too new
// for the system's clock: another is fetched soon.
func (k *keeper) refused(g *grant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != g {
		return
	}
	k.current = nil
	k.reason = nil
	switch {
	case g.worked.Load():
		k.failures = 0
	case k.kind == "oauth2":
		k.pause(firstTokenWait, lastTokenWait)
	default:
		k.pause(firstRefusedWait, lastRefusedWait)
	}
}

// state describes the grant.
func (k *keeper) state() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	switch {
	case k.current != nil && k.current.valid(now):
		return k.kind + ", since " + k.since.UTC().Format(time.RFC3339)
	case k.fetching != nil:
		return k.kind + ", being fetched"
	case now.Before(k.notUntil):
		return fmt.Sprintf("%s, failed %d times, again in %s", k.kind, k.failures, k.notUntil.Sub(now).Round(time.Second))
	}
	return k.kind + ", none"
}

// last gives the grant that was in use; nil when there is none.
func (k *keeper) last() *grant {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// close stops fetching and waits for its end.
func (k *keeper) close() {
	k.cancel()
	k.work.Wait()
}
