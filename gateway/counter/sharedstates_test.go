package counter

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
	"github.com/headrace/headrace/specs"
)

// callOf is a call to one pool.
func callOf(p *budget.Pool) *budget.Admission {
	return &budget.Admission{System: "erp", Asks: []budget.Ask{{Pool: p, Key: p.Name, Units: 1000}}, Lease: time.Minute}
}

// toldOf has Redis decide on a call.
func toldOf(t *testing.T, s *Shared, a *budget.Admission) (d budget.Decision) {
	t.Helper()
	soon(t, "an answer of Redis", func() bool {
		var err error
		d, err = s.Admit(t.Context(), a)
		return err == nil && (d.Granted || d.Again != shortLook)
	})
	return d
}

// fill admits calls until one is refused.
func fill(t *testing.T, s *Shared, p *budget.Pool) (n int) {
	t.Helper()
	for toldOf(t, s, callOf(p)).Granted {
		n++
	}
	return n
}

func mustSettle(t *testing.T, s *Shared, a *budget.Admission) {
	t.Helper()
	if err := s.Settle(t.Context(), a, budget.Settlement{}); err != nil {
		t.Fatal(err)
	}
	soon(t, "it is settled", func() bool { y := s.system("erp"); y.mu.Lock(); defer y.mu.Unlock(); return len(y.queue) == 0 })
}

func used(t *testing.T, s *Shared, key string) (u budget.Units) {
	t.Helper()
	all, err := s.Usage(t.Context(), "erp")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Key == key {
			return one.Used
		}
	}
	return 0
}

func TestSharedColdStart(t *testing.T) {
	for _, start := range []string{"free", "occupied"} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			r := redistest.Run(t)
			o := patient("one")
			o.ColdStart = start
			s := open(t, clientOf(r.Address), o)
			pools := []*budget.Pool{
				{Name: "concurrency", Capacity: 3000},
				{Name: "window", Capacity: 3000, Hold: 4 * time.Minute},
				{Name: "minutes", Capacity: 3000, Calendar: &budget.Calendar{Every: 4 * time.Minute}},
			}
			want := map[string]int{"free": 3, "occupied": 0}[start]
			for _, p := range pools {
				if n := fill(t, s, p); n != want {
					t.Errorf("%s: %d calls were admitted, want %d", p.Name, n, want)
				}
			}
			skip(t, r, 50*time.Hour, s)
			for _, p := range pools {
				if n := fill(t, s, p); n != 3 {
					t.Errorf("%s: %d calls were admitted when all was over", p.Name, n)
				}
			}
		})
	}
}

func TestSharedForget(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	client := clientOf(r.Address)
	defer client.Close()
	one, two := open(t, clientOf(r.Address), patient("one")), open(t, clientOf(r.Address), patient("two"))
	warm(one, "erp")
	warm(two, "erp")
	state := func(name string) ReplicaState {
		all, err := Replicas(t.Context(), client, "erp")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.Name == name {
				return r.State
			}
		}
		return ""
	}
	soon(t, "both have a half", func() bool { return one.Standing("erp").Share == 0.5 && two.Standing("erp").Share == 0.5 })
	(&replica{Shared: two, stop: func() {}}).die()
	soon(t, "it is missing", func() bool { return state("two") == Missing && state("one") == Present })
	pool := &budget.Pool{Name: "concurrency", Capacity: 10_000}
	if n := fill(t, one, pool); n != 5 {
		t.Errorf("%d calls were admitted beside a missing replica", n)
	}
	soon(t, "it is known how much is left free", func() bool { return one.Standing("erp").Kept == 0.5 })
	if err := Forget(t.Context(), client, "erp", "three"); !errors.Is(err, ErrNoReplica) {
		t.Errorf("one that nobody knows: %v", err)
	}
	soon(t, "one that is there is not forgotten", func() bool { return errors.Is(Forget(t.Context(), client, "erp", "one"), ErrPresent) })
	if err := Forget(t.Context(), client, "erp", "two"); err != nil {
		t.Fatal(err)
	}
	if n := fill(t, one, pool); n != 0 {
		t.Errorf("%d calls were admitted before what it may have sent was over", n)
	}
	skip(t, r, 10*time.Minute, one)
	soon(t, "it is there again", func() bool { s := one.Standing("erp"); return s.Share == 1 && s.Kept == 0 })
	if n := fill(t, one, pool); n != 10 {
		t.Errorf("%d calls were admitted when the other one was forgotten", n)
	}
}

// Replicas that lose Redis in the middle of a long window use what is surely left
// of it, by their shares, and no more than that.
func TestSharedLongPoolsAlone(t *testing.T) {
	for _, pool := range []*budget.Pool{
		{Name: "hour", Capacity: 1_000_000, Hold: time.Hour},
		{Name: "weeks", Capacity: 1_000_000, Calendar: &budget.Calendar{Every: 5000 * time.Hour}},
	} {
		t.Run(pool.Name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Run(t)
			options := func(name string) Options { o := quick(name); o.Alone = 8 * time.Second; return o }
			one, two := open(t, clientOf(r.Address), options("one")), open(t, clientOf(r.Address), options("two"))
			stores := []*Shared{one, two}
			for _, s := range stores {
				warm(s, "erp")
			}
			before := 0
			soon(t, "a part is used", func() bool {
				a := callOf(pool)
				if d, err := stores[before%2].Admit(t.Context(), a); err == nil && d.Granted {
					_ = stores[before%2].Settle(t.Context(), a, budget.Settlement{})
					before++
				}
				for range 20 { // what the guard leaves at a time
					a := callOf(pool)
					d, err := one.Admit(t.Context(), a)
					if err != nil || !d.Granted {
						break
					}
					_ = one.Settle(t.Context(), a, budget.Settlement{})
					before++
				}
				return before >= 200
			})
			soon(t, "both know of it", func() bool {
				for _, s := range stores {
					y := s.system("erp")
					y.mu.Lock()
					c := y.ceilings[pool.Name]
					ok := y.mode == budget.ModeShared && y.share == 0.5 && c >= budget.Units(before)*1000 && c < pool.Capacity/2
					y.mu.Unlock()
					if !ok {
						return false
					}
				}
				return true
			})
			r.Kill()
			after := map[*Shared]int{}
			for _, s := range stores {
				awaitMode(t, s, budget.ModeAlone)
			}
			for one.Standing("erp").Mode == budget.ModeAlone || two.Standing("erp").Mode == budget.ModeAlone {
				for _, s := range stores {
					for {
						a := callOf(pool)
						d, err := s.Admit(t.Context(), a)
						if err != nil || !d.Granted {
							break
						}
						_ = s.Settle(t.Context(), a, budget.Settlement{})
						after[s]++
					}
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Logf("%d calls before, %d and %d alone", before, after[one], after[two])
			if sum := before + after[one] + after[two]; sum > 1000 {
				t.Errorf("%d calls were admitted of 1000", sum)
			}
			for _, s := range stores {
				if after[s] < 10 {
					t.Errorf("%d calls were admitted alone", after[s])
				}
			}
		})
	}
}

// before calls a function once, just before a script is called. A command whose
// context is done by then fails, as it does where a connection is to be made first.
type before struct{ do atomic.Pointer[func()] }

func (h *before) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *before) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if do := h.do.Load(); do != nil && cmd.Name() == "evalsha" && h.do.CompareAndSwap(do, nil) {
			(*do)()
		}
		if err := ctx.Err(); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (h *before) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A replica that is closed says goodbye, also when it is just about to beat: without
// one its share would stay free for as long as it may go on alone.
func TestSharedSaysGoodbye(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	last := open(t, clientOf(r.Address), patient("last"))
	warm(last, "erp")
	client := clientOf(r.Address)
	hook := new(before)
	client.AddHook(hook)
	s := open(t, client, patient("one"))
	warm(s, "erp")
	closed := make(chan error, 1)
	start := func() {
		go func() { closed <- s.Close() }()
		<-s.ctx.Done()
		time.Sleep(10 * time.Millisecond) // for the contexts that are made of it
	}
	hook.do.Store(&start)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	all, err := Replicas(t.Context(), client, "erp")
	if err != nil || len(all) != 1 || all[0].Name != "last" {
		t.Fatalf("it was closed, and Redis knows %+v, %v", all, err)
	}
}

// Nobody takes the leave of a later process that has the same name.
func TestSharedLeavesForItself(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	s := open(t, clientOf(r.Address), patient("one"))
	warm(s, "erp")
	if n, err := s.scripts.leave.Run(t.Context(), s.client, systemKeys("erp"), "one", "1", "5").Int(); err != nil || n != 0 {
		t.Errorf("another process took its leave: %d, %v", n, err)
	}
	if all, err := Replicas(t.Context(), s.client, "erp"); err != nil || len(all) != 1 {
		t.Errorf("Redis knows %v, %v", all, err)
	}
}

// What a replica had sent that left before the counts were lost is told by
// nobody: pools count as full until it must be over.
func TestSharedLossAfterGoodbye(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	client := clientOf(r.Address)
	defer client.Close()
	one, two := open(t, clientOf(r.Address), patient("one")), open(t, clientOf(r.Address), patient("two"))
	warm(one, "erp")
	warm(two, "erp")
	pool := &budget.Pool{Name: "window", Capacity: 5000, Hold: 4 * time.Minute}
	for range 3 {
		a := callOf(pool)
		if !toldOf(t, two, a).Granted {
			t.Fatal("a call is not admitted")
		}
		mustSettle(t, two, a)
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the other one has left", func() bool {
		y := one.system("erp")
		y.mu.Lock()
		defer y.mu.Unlock()
		return !y.left.IsZero() && y.replicas == 1
	})
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if n := fill(t, one, pool); n != 0 {
		t.Errorf("%d calls were admitted of which nobody knows whether there is room", n)
	}
	if u := used(t, one, pool.Name); u != pool.Capacity {
		t.Errorf("%v units are counted", u.Float())
	}
	skip(t, r, 10*time.Minute, one)
	if n := fill(t, one, pool); n != 5 {
		t.Errorf("%d calls were admitted when all was over", n)
	}
}

// The room that a critical call waits for at one replica is not given to low ones
// of another, unless they have earned their floor.
func TestSharedClassesOverReplicas(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, two := open(t, clientOf(r.Address), patient("one")), open(t, clientOf(r.Address), patient("two"))
	warm(one, "erp")
	warm(two, "erp")
	of := func(p *budget.Pool, c specs.Class, floor bool) *budget.Admission {
		a := callOf(p)
		a.Class, a.Queued, a.Floor = c, true, floor
		return a
	}
	// demand has a critical call wait at the other replica, and frees the room.
	demand := func(p *budget.Pool) time.Time {
		first := of(p, specs.Low, false)
		if !toldOf(t, one, first).Granted {
			t.Fatal("the first call is not admitted")
		}
		since := time.Now()
		if toldOf(t, two, of(p, specs.Critical, false)).Granted {
			t.Fatal("there is room for two")
		}
		mustSettle(t, one, first)
		return since
	}
	tries := 0
	soon(t, "a try that is fast enough", func() bool {
		tries++
		pool := &budget.Pool{Name: fmt.Sprint("low-", tries), Capacity: 1000}
		since := demand(pool)
		d := toldOf(t, one, of(pool, specs.Low, false))
		if time.Since(since) > time.Second { // the demand lasts that long at least
			return false
		}
		if d.Granted {
			t.Error("a low call went before a critical one")
		}
		if !toldOf(t, two, of(pool, specs.Critical, false)).Granted {
			t.Error("the critical call has no room")
		}
		return true
	})
	pool := &budget.Pool{Name: "floor", Capacity: 1000}
	demand(pool)
	if !toldOf(t, one, of(pool, specs.Low, true)).Granted {
		t.Error("a low call that has earned its floor has no room")
	}
}

// While two replicas are configured differently the longer hold counts, as long
// as the one that has it is heard of.
func TestSharedReplicasThatDiffer(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, two := open(t, clientOf(r.Address), patient("one")), open(t, clientOf(r.Address), patient("two"))
	warm(one, "erp")
	warm(two, "erp")
	long := &budget.Pool{Name: "window", Capacity: 10_000, Hold: time.Hour}
	short := &budget.Pool{Name: "window", Capacity: 10_000, Hold: time.Minute}
	call := func(s *Shared, p *budget.Pool) {
		t.Helper()
		a := callOf(p)
		if !toldOf(t, s, a).Granted {
			t.Fatal("a call is not admitted")
		}
		mustSettle(t, s, a)
	}
	both := func(d time.Duration) {
		skip(t, r, d, one, two)
	}
	call(two, short)
	call(one, long) // reaches what is held
	for range 3 {   // both go on
		both(70 * time.Second)
		call(one, long)
		call(two, short)
	}
	both(10 * time.Minute)
	if u := used(t, one, "window"); u != 8000 {
		t.Errorf("%v units are held by the longer hold, want 8", u.Float())
	}
	call(two, short) // the one with the longer hold was silent
	call(two, short)
	both(2 * time.Hour)
	if u := used(t, one, "window"); u != 0 {
		t.Errorf("%v units are held when all is over", u.Float())
	}
	call(two, short)
	both(2 * time.Minute)
	if u := used(t, one, "window"); u != 0 {
		t.Errorf("%v units are held by a hold that nobody has", u.Float())
	}
}
