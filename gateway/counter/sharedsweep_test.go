package counter

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
	"github.com/headrace/headrace/gateway/gatewaytest"
)

// fields counts what Redis keeps of a system under names that begin with a prefix.
func fields(t *testing.T, r *redistest.Server, prefix string) int {
	t.Helper()
	c := clientOf(r.Address)
	defer c.Close()
	names, err := c.HKeys(t.Context(), systemKeys("erp")[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// skip lets time pass for Redis and for the replicas that are there, between two
// beats of theirs.
func skip(t *testing.T, r *redistest.Server, d time.Duration, there ...*Shared) {
	t.Helper()
	lock := func() (still bool) {
		still = true
		for _, s := range there {
			y := s.system("erp")
			y.mu.Lock()
			still = still && y.beatSent.Equal(y.beatHeard)
		}
		return still
	}
	unlock := func() {
		for _, s := range there {
			s.system("erp").mu.Unlock()
		}
	}
	soon(t, "no beat is under way", func() bool {
		if !lock() {
			unlock()
			return false
		}
		return true
	})
	for _, s := range there {
		s.system("erp").clock.at += float64(d.Microseconds())
	}
	shift(t, r, d)
	unlock()
	since := time.Now()
	for _, s := range there {
		soon(t, "it is heard of again", func() bool {
			y := s.system("erp")
			y.mu.Lock()
			defer y.mu.Unlock()
			return y.beatHeard.After(since) && y.mode == budget.ModeShared
		})
	}
}

// Pools that a scope made are removed when they hold nothing, those that hold
// anything stay, and the whole ends some day.
func TestSharedSweepsIdlePools(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	s := open(t, clientOf(r.Address), patient("one"))
	warm(s, "erp")
	day := &budget.Calendar{Every: 24 * time.Hour}
	pools := []*budget.Pool{
		{Name: "concurrency", Capacity: 10_000},
		{Name: "window", Capacity: 10_000, Hold: 5 * time.Second},
		{Name: "bucket", Capacity: 10_000, Interval: 1e6},
		{Name: "daily", Capacity: 10_000, Calendar: day},
		{Name: "adaptive", Capacity: 10_000, Adaptive: &budget.Adaptive{Floor: 1000, Cut: 0.5, Recover: time.Minute}},
	}
	const scopes = 30
	call := func(scope string, s2 budget.Settlement, settle bool) {
		t.Helper()
		a := &budget.Admission{System: "erp", Lease: time.Minute}
		for _, p := range pools {
			a.Asks = append(a.Asks, budget.Ask{Pool: p, Key: p.Name + "/" + scope, Units: 1000})
		}
		eventually(t, "a call is admitted", func() bool {
			d, err := s.Admit(t.Context(), a)
			return err == nil && d.Granted
		})
		if settle {
			if err := s.Settle(t.Context(), a, s2); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range scopes {
		call(fmt.Sprint(i), budget.Settlement{Overload: i%2 == 0, Pause: 31, Shrink: 31}, i%3 != 0)
	}
	eventually(t, "all is settled", func() bool { y := s.system("erp"); y.mu.Lock(); defer y.mu.Unlock(); return len(y.queue) == 0 })
	if n := fields(t, r, "p:"); n < scopes*len(pools) {
		t.Fatalf("%d pools are known before anything is over", n)
	}
	skip(t, r, 40*24*time.Hour, s)
	held := func() {
		a := &budget.Admission{System: "erp", Lease: time.Hour}
		for _, p := range pools {
			a.Asks = append(a.Asks, budget.Ask{Pool: p, Key: p.Name + "/held", Units: 1000})
		}
		eventually(t, "a call is admitted", func() bool {
			d, err := s.Admit(t.Context(), a)
			return err == nil && d.Granted
		})
	}
	held()
	eventually(t, "what is idle is removed", func() bool { return fields(t, r, "p:") == len(pools) })
	if f, h := fields(t, r, "f:"), fields(t, r, "h:"); f != len(pools) || h != 0 {
		t.Errorf("%d slices under way and %d held are left, want %d and none", f, h, len(pools))
	}
	c := clientOf(r.Address)
	defer c.Close()
	if ttl := c.TTL(t.Context(), systemKeys("erp")[0]).Val(); ttl < 40*24*time.Hour {
		t.Errorf("all ends in %s", ttl)
	}
	call("again", budget.Settlement{}, true)
}

// A pool that is removed and made again admits no more than it would have.
func TestSharedSweepKeepsLimits(t *testing.T) {
	c := newChaos(t)
	r := redistest.Run(t)
	c.spoil = func(s *luaScripts) {
		// Without the rest that a pool has, it is removed whenever it holds nothing.
		s.beat = spoiled("beat", "now < h[SEEN] + SHORTER_AFTER", "false")
	}
	two(c, r, 100)
	c.progress(600)
	c.verdict()
}

// What is known of the settlements of a replica goes with it, whether it says
// goodbye or not.
func TestSharedSettlementsOfThoseWhoLeft(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	pool := &budget.Pool{Name: "concurrency", Capacity: 10_000}
	serve := func(name string) *Shared {
		s := open(t, clientOf(r.Address), patient(name))
		a := callOf(pool)
		if !toldOf(t, s, a).Granted {
			t.Fatal("a call is not admitted")
		}
		mustSettle(t, s, a)
		return s
	}
	stays, leaves, dies := serve("stays"), serve("leaves"), serve("dies")
	if n := fields(t, r, "q:"); n != 3 {
		t.Fatalf("%d replicas have settled, want 3", n)
	}
	if err := leaves.Close(); err != nil {
		t.Fatal(err)
	}
	if n := fields(t, r, "q:"); n != 2 {
		t.Errorf("the settlements of %d replicas are known when one has left, want 2", n)
	}
	(&replica{Shared: dies, stop: func() {}}).die()
	skip(t, r, 2*time.Hour, stays)
	soon(t, "the dead one is forgotten", func() bool { return fields(t, r, "q:") == 1 })
}

// Two processes with one name are told of, and the one that leaves does not take the
// other's place away.
func TestSharedNameTwice(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	var said gatewaytest.Log
	o := patient("one")
	o.Log = slog.New(slog.NewJSONHandler(&said, nil))
	first := open(t, clientOf(r.Address), o)
	warm(first, "erp")
	soon(t, "it has joined", func() bool { return first.Standing("erp").Share == 1 })
	second := open(t, clientOf(r.Address), patient("one"))
	warm(second, "erp")
	soon(t, "the first says that its name is taken", func() bool { return strings.Contains(said.String(), "another process has the name of this replica") })

	client := clientOf(r.Address)
	defer client.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the second is there", func() bool { all, err := Replicas(t.Context(), client, "erp"); return err == nil && len(all) == 1 })
	left, err := first.scripts.leave.Run(t.Context(), client, systemKeys("erp"), "one", "1", first.number()).Int()
	if err != nil || left != 0 {
		t.Errorf("the first can say goodbye for the second: %d, %v", left, err)
	}
	if all, err := Replicas(t.Context(), client, "erp"); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
