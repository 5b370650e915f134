package counter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/countertest"
	"github.com/headrace/headrace/gateway/counter/redistest"
	"github.com/headrace/headrace/gateway/gatewaytest"
)

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// twoReplicas know of each other.
func twoReplicas(t *testing.T, s *redistest.Server) (a, b *Redis) {
	t.Helper()
	a, b = member(t, s), member(t, s)
	eventually(t, "both replicas know of each other", func() bool {
		a.beat()
		b.beat()
		return a.Standing().Replicas == 2 && b.Standing().Replicas == 2
	})
	return a, b
}

// either is what the policies do: the shared count, or else the local one. It
// gives how many of so many calls were admitted, and how many were lost on
// their way to Redis.
func either(t *testing.T, shared, local gateway.Limit, calls int) (admitted, lost int) {
	t.Helper()
	for range calls {
		v, err := shared.Take(context.Background(), "a")
		if err != nil {
			if !errors.Is(err, ErrAway) {
				t.Fatal(err)
			}
			if err != ErrAway {
				lost++
			}
			v = admit(t, local, "a")
		}
		if v.OK {
			admitted++
		}
	}
	return admitted, lost
}

// TestQuotaGoesOnAlone kills Redis in the middle of a quota: each replica has
// its half of what was left, and no more.
func TestQuotaGoesOnAlone(t *testing.T) {
	for name, w := range map[string]gateway.Window{"rolling": hour, "calendar": {Calendar: "month"}} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Run(t)
			a, b := twoReplicas(t, s)
			quota := func(r *Redis) (gateway.Limit, gateway.Limit) {
				return r.Quota("n", 100, w), r.Local().Quota("n", 100, w)
			}
			sharedA, localA := quota(a)
			sharedB, localB := quota(b)
			if n, _ := either(t, sharedA, localA, 39); n != 39 {
				t.Fatalf("%d calls of 39 were admitted", n)
			}
			if v := admit(t, sharedB, "a"); v.Remaining != 60 {
				t.Fatalf("the other replica sees %+v", v)
			}
			admit(t, sharedA, "a") // hears that 59 are left
			s.Kill()
			n, _ := either(t, sharedA, localA, 200)
			m, _ := either(t, sharedB, localB, 200)
			if n != 29 || m != 30 {
				t.Errorf("alone, %d and %d calls were admitted, want 29 and 30", n, m)
			}
			if got := a.Standing(); got.Mode != budget.ModeAlone || got.Share != 0.5 {
				t.Errorf("it stands as %+v", got)
			}
			// Others have their share of a quota that nothing was heard of.
			n = 0
			for range 200 {
				if v := admit(t, localA, "new"); v.OK {
					n++
				}
			}
			if n != 50 {
				t.Errorf("%d calls of a new key were admitted, want 50", n)
			}
		})
	}
}

// TestQuotaIsToldLater pauses Redis: what the local count admitted meanwhile is
// in the shared one afterwards, once, and only calls that were lost on their way
// may count twice.
func TestQuotaIsToldLater(t *testing.T) {
	for name, w := range map[string]gateway.Window{"rolling": hour, "calendar": {Calendar: "month"}} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Run(t)
			r := member(t, s)
			shared, local := r.Quota("n", 1000, w), r.Local().Quota("n", 1000, w)
			before, _ := either(t, shared, local, 100)
			s.Pause()
			alone, lost := either(t, shared, local, 50)
			s.Resume()
			eventually(t, "the counts are shared again", func() bool { return r.Standing().Mode == budget.ModeShared })
			if before != 100 || alone != 50 {
				t.Fatalf("%d and %d calls were admitted", before, alone)
			}
			used := int64(1000) - admit(t, shared, "a").Remaining
			if used < 151 || used > int64(151+lost) {
				t.Errorf("%d calls are counted, 151 were made, %d of them lost on the way", used, lost)
			}
			if again := 1000 - admit(t, shared, "a").Remaining; again != used+1 {
				t.Errorf("what was owed was told twice: %d, then %d", used, again)
			}
		})
	}
}

// TestDeadRedisCostsOneDeadline sends many calls to a Redis that does not
// answer: those on their way when it is lost wait, all later ones do not even ask.
func TestDeadRedisCostsOneDeadline(t *testing.T) {
	s := redistest.Run(t)
	r := member(t, s)
	limit, calls := r.Quota("n", 1e6, hour), r.Concurrency("n", 1e6)
	admit(t, limit, "a")
	s.Pause()
	defer s.Resume()
	if _, err := take(limit, "a"); !errors.Is(err, ErrAway) {
		t.Fatalf("a server that does not answer: %v", err)
	}
	var count trips
	r.client.AddHook(&count)
	for range 1000 {
		if _, err := take(limit, "a"); !errors.Is(err, ErrAway) {
			t.Fatal(err)
		}
		if _, err := calls.Acquire(context.Background(), "a"); !errors.Is(err, ErrAway) {
			t.Fatal(err)
		}
	}
	if n := count.n.Load(); n > 100 {
		t.Errorf("%d round trips were tried for 2000 calls", n)
	}
}

// TestFlapping loses Redis again and again right after it was found: it is asked
// ever less often, and no more than a few calls pay for it.
func TestFlapping(t *testing.T) {
	s := redistest.Run(t)
	synctest.Test(t, func(t *testing.T) {
		r, h := overLossy(s)
		defer r.crash()
		l := r.Quota("n", 1<<40, hour)
		failed := 0
		for range 60_000 { // a minute
			h.lose.Store(!r.away.Load()) // every call that is tried fails, and every probe is answered
			if _, err := take(l, "a"); err != nil && err != ErrAway {
				failed++
			}
			h.lose.Store(false)
			time.Sleep(time.Millisecond)
		}
		if failed < 3 || failed > 15 {
			t.Errorf("%d calls were tried in a minute", failed)
		}
	})
}

// TestCallerThatLeaves must not make anybody believe that Redis is away.
func TestCallerThatLeaves(t *testing.T) {
	r := member(t, redistest.Run(t))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Quota("n", 5, hour).Take(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if r.Standing().Mode != budget.ModeShared {
		t.Error("the counts are believed to be away")
	}
}

// TestThrottleGoesOnAlone has each of two replicas admit half a burst, less
// what was used.
func TestThrottleGoesOnAlone(t *testing.T) {
	s := redistest.Run(t)
	a, _ := twoReplicas(t, s)
	shared, local := a.Throttle("n", 0.001, 10), a.Local().Throttle("n", 0.001, 10)
	either(t, shared, local, 4)
	s.Kill()
	if n, _ := either(t, shared, local, 20); n != 3 {
		t.Errorf("%d calls were admitted alone, want half of the 6 that were left", n)
	}
	s.Start()
	eventually(t, "the counts are shared again", func() bool { return a.Standing().Mode == budget.ModeShared })
	if v := admit(t, shared, "a"); v.Remaining != 6 {
		t.Errorf("%+v: an empty Redis knows of the 3 calls that were admitted alone, and this one", v)
	}
}

// TestCallsGoOnAlone counts calls under way alone, those from before included,
// and tells of them when Redis is back, even if it has lost everything.
func TestCallsGoOnAlone(t *testing.T) {
	s := redistest.Run(t)
	a, b := twoReplicas(t, s)
	shared, local := a.Concurrency("n", 6), a.Local().Concurrency("n", 6)
	ctx := context.Background()
	if v, err := shared.Acquire(ctx, "a"); err != nil || !v.OK {
		t.Fatal(v, err)
	}
	s.Kill()
	if _, err := shared.Acquire(ctx, "a"); !errors.Is(err, ErrAway) {
		t.Fatal(err)
	}
	for i, ok := range []bool{true, true, false} {
		if v, err := local.Acquire(ctx, "a"); err != nil || v.OK != ok {
			t.Errorf("call %d alone: %+v, %v", i, v, err)
		}
	}
	s.Start()
	other := b.Concurrency("n", 6)
	eventually(t, "the other replica sees three calls under way", func() bool {
		v, err := other.Acquire(ctx, "a")
		if err != nil {
			return false
		}
		if v.OK {
			other.Release("a")
		}
		return v.Remaining == 2
	})
	shared.Release("a")
	local.Release("a")
	local.Release("a")
	eventually(t, "the other replica sees that they have ended", func() bool {
		v, err := other.Acquire(ctx, "a")
		if err == nil && v.OK {
			other.Release("a")
		}
		return err == nil && v.Remaining == 5
	})
}

// TestCallsOfTheDead plays on a fake clock: the calls of a replica that crashed
// and those whose release was lost come back when their lease has run out; those
// that are still under way stay.
func TestCallsOfTheDead(t *testing.T) {
	s := redistest.Run(t)
	synctest.Test(t, func(t *testing.T) {
		a, _ := overLossy(s)
		b, _ := overLossy(s)
		defer b.crash()
		ctx := context.Background()
		dead, living := a.Concurrency("n", 4), b.Concurrency("n", 4)
		acquire := func(l gateway.Concurrency, ok bool, left int64) {
			t.Helper()
			if v, err := l.Acquire(ctx, "a"); err != nil || v.OK != ok || v.Remaining != left {
				t.Errorf("%+v, %v; want %v and %d left", v, err, ok, left)
			}
		}
		acquire(dead, true, 3)
		acquire(dead, true, 2)
		acquire(living, true, 1)
		acquire(living, true, 0)
		a.crash()
		b.under.mu.Lock()
		for _, h := range b.under.cells { // one of them ends, and nobody is told
			h.live = h.live[1:]
		}
		b.under.mu.Unlock()
		time.Sleep(slotLease - time.Second)
		acquire(living, false, 0)
		time.Sleep(renewEvery + 2*time.Second)
		acquire(living, true, 2)
		time.Sleep(time.Hour)
		acquire(living, true, 1)
	})
}

// TestScriptsAreForgotten flushes the scripts of the server between calls.
func TestScriptsAreForgotten(t *testing.T) {
	r := member(t, redistest.Run(t))
	l := r.Quota("n", 5, hour)
	for left := int64(4); left >= 0; left-- {
		if v := admit(t, l, "a"); v.Remaining != left {
			t.Errorf("%+v, want %d left", v, left)
		}
		r.client.ScriptFlush(context.Background())
	}
}

// TestPassword has the wrong one refused, and never shown.
func TestPassword(t *testing.T) {
	s := redistest.Run(t, "--requirepass", "s3cret-right")
	for password, mode := range map[string]string{"s3cret-right": budget.ModeShared, "s3cret-wrong": budget.ModeAlone} {
		c, err := Dial(Address{Hosts: []string{s.Address}, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		var log gatewaytest.Log
		r := NewRedis(c, RedisOptions{Log: slog.New(slog.NewJSONHandler(&log, nil))})
		_, err = take(r.Quota("n", 100, hour), "a")
		if got := r.Standing().Mode; got != mode || (err == nil) != (mode == budget.ModeShared) {
			t.Errorf("%s: %s, %v", password, got, err)
		}
		r.Close()
		c.Close()
		if text := fmt.Sprint(log.String(), err); strings.Contains(text, "s3cret") {
			t.Errorf("the password is shown: %s", text)
		}
	}
}

// TestCluster runs the laws on a Cluster of one node, which refuses scripts
// whose keys are not declared or not in one slot.
func TestCluster(t *testing.T) {
	s := redistest.Run(t, "--cluster-enabled", "yes")
	direct := dial(t, s)
	if err := direct.ClusterAddSlotsRange(context.Background(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Cluster is up", func() bool {
		return strings.Contains(direct.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
	})
	c, err := Dial(Address{Hosts: []string{s.Address}, Cluster: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := NewRedis(c, RedisOptions{})
	t.Cleanup(r.Close)
	countertest.Conform(t, func() gateway.Counters { return r })
}

// TestSentinel finds the server by asking a Sentinel.
func TestSentinel(t *testing.T) {
	s := redistest.Run(t)
	sentinel := redistest.RunSentinel(t, "main", s)
	c, err := Dial(Address{Hosts: []string{sentinel.Address}, Master: "main"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := NewRedis(c, RedisOptions{})
	defer r.Close()
	l := r.Quota("n", 100, hour)
	eventually(t, "a call is counted", func() bool {
		v, err := take(l, "a")
		return err == nil && v.OK
	})
}
