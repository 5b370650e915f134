package counter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// lossy loses the replies to some calls after they had their effect.
type lossy struct {
	trips
	lose atomic.Bool
}

func (h *lossy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if h.lose.CompareAndSwap(true, false) {
			return errors.New("the reply was lost")
		}
		return err
	}
}

// given makes counters that have the time of this machine, or of the bubble
// that they are made in.
func overLossy(s *redistest.Server) (*Redis, *lossy) {
	c, err := Dial(Address{Hosts: []string{s.Address}})
	if err != nil {
		panic(err)
	}
	h := &lossy{}
	c.AddHook(h)
	return NewRedis(c, RedisOptions{alone: true, clock: func() int64 { return time.Now().UnixMicro() }}), h
}

// crash ends a replica that brings nothing back.
func (r *Redis) crash() {
	r.closing.Do(func() {
		close(r.done)
		<-r.stopped
		for i := range r.throttles.shards {
			s := &r.throttles.shards[i]
			s.mu.Lock()
			clear(s.counts)
			s.mu.Unlock()
		}
		r.client.Close()
	})
}

type leaseMove struct {
	who          int
	wait         time.Duration
	calls        int
	crash, loses bool
}

// TestLeasesNeverAdmitMore has several replicas call in bursts and pauses that
// are about as long as leases, crash and lose replies: over no stretch of time
// do they admit more than burst + rate·time together, and in the end all of the
// burst comes back.
func TestLeasesNeverAdmitMore(t *testing.T) {
	s := redistest.Run(t)
	leased := 0
	rapid.Check(t, func(t *rapid.T) {
		burst := rapid.SampledFrom([]int{10, 16, 40, 400}).Draw(t, "burst")
		rate := float64(burst) * rapid.SampledFrom([]float64{0.1, 2, 10}).Draw(t, "rate")
		replicas := rapid.SampledFrom([]int{1, 2, 3}).Draw(t, "replicas")
		moves := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) leaseMove {
			return leaseMove{
				who: rapid.IntRange(0, replicas-1).Draw(t, "who"), wait: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 12, 60, 120, 210, 460, 1000}).Draw(t, "wait")) * time.Millisecond,
				calls: rapid.SampledFrom([]int{1, 3, burst / 10, burst / 4, 2 * burst}).Draw(t, "calls"),
				crash: rapid.IntRange(0, 19).Draw(t, "crash") == 0, loses: rapid.IntRange(0, 19).Draw(t, "loses") == 0,
			}
		}), 10, 60).Draw(t, "moves")
		rapid.SyncTest(t, func(t *rapid.T) {
			n, err := playLeases(s, burst, rate, replicas, moves)
			if leased += n; err != nil {
				t.Fatal(err)
			}
		})
	})
	if leased == 0 {
		t.Error("no call was leased")
	}
}

// playLeases gives how many calls were admitted without a round trip.
func playLeases(s *redistest.Server, burst int, rate float64, replicas int, moves []leaseMove) (leased int, err error) {
	all, hooks := make([]*Redis, replicas), make([]*lossy, replicas)
	for i := range all {
		all[i], hooks[i] = overLossy(s)
	}
	defer func() {
		for _, r := range all {
			r.crash()
		}
	}()
	all[0].client.FlushAll(context.Background())
	var admitted []time.Time
	take := func(i int) (bool, error) {
		before := hooks[i].n.Load()
		v, err := all[i].Throttle("n", rate, burst).Take(context.Background(), "a")
		if v.OK {
			admitted = append(admitted, time.Now())
			if hooks[i].n.Load() == before {
				leased++
			}
		}
		return v.OK, err
	}
	for _, m := range moves {
		time.Sleep(m.wait)
		if m.crash {
			all[m.who].crash()
			all[m.who], hooks[m.who] = overLossy(s)
		}
		hooks[m.who].lose.Store(m.loses)
		for range m.calls {
			if ok, err := take(m.who); !ok && !errors.Is(err, ErrAway) {
				break
			}
		}
		hooks[m.who].lose.Store(false)
	}
	for i, first := range admitted {
		for n, at := range admitted[i:] {
			if allowed := float64(burst) + rate*at.Sub(first).Seconds(); float64(n+1) > allowed+1e-6 {
				return leased, fmt.Errorf("%d calls were admitted within %s, %.3f are allowed", n+1, at.Sub(first), allowed)
			}
		}
	}
	time.Sleep(leaseKept + time.Duration(math.Ceil(float64(burst)/rate))*time.Second + time.Second)
	again := 0
	for range burst + 1 {
		if ok, err := take(0); err != nil {
			return leased, err
		} else if ok {
			again++
		}
	}
	if again != burst {
		return leased, fmt.Errorf("%d calls of %d came back", again, burst)
	}
	return leased, nil
}

// TestThrottleIsUsedToTheFull has two replicas offer ten times the rate for two
// seconds of a fake clock: leases leave hardly anything lying about.
func TestThrottleIsUsedToTheFull(t *testing.T) {
	s := redistest.Run(t)
	synctest.Test(t, func(t *testing.T) {
		const rate, burst, seconds = 2000, 200, 2
		var limits []gateway.Limit
		for range 2 {
			r, _ := overLossy(s)
			defer r.crash()
			limits = append(limits, r.Throttle("n", rate, burst))
		}
		admitted := 0
		for start := time.Now(); time.Since(start) < seconds*time.Second; time.Sleep(100 * time.Microsecond) {
			for _, l := range limits {
				if v := admit(t, l, "a"); v.OK {
					admitted++
				}
			}
		}
		if most := burst + rate*seconds; admitted > most || admitted < most*98/100 {
			t.Errorf("%d calls were admitted, %d are allowed", admitted, most)
		} else {
			t.Logf("%d calls of %d were admitted", admitted, most)
		}
	})
}

// TestLeasesSaveRoundTrips calls from two replicas on the wall clock, well
// below the limit: nothing is refused, and few calls need Redis.
func TestLeasesSaveRoundTrips(t *testing.T) {
	s := redistest.Run(t)
	var wg sync.WaitGroup
	var count trips
	var refused atomic.Int64
	const replicas, calls = 2, 4000
	for range replicas {
		r := calm(t, s)
		r.client.AddHook(&count)
		l := r.Throttle("n", 1e6, 1e6)
		wg.Go(func() {
			for range calls {
				if v, err := l.Take(context.Background(), "a"); err != nil || !v.OK {
					refused.Add(1)
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	wg.Wait()
	n := count.n.Load()
	t.Logf("%d round trips for %d calls", n, replicas*calls)
	if refused.Load() > 0 || n > replicas*calls/4 {
		t.Errorf("%d refused, %d round trips for %d calls", refused.Load(), n, replicas*calls)
	}
}

// TestSmallBurstsAreNotLeased has every call of a small limit decided by Redis:
// each replica sees what the other took.
func TestSmallBurstsAreNotLeased(t *testing.T) {
	s := redistest.Run(t)
	p := pair{a: calm(t, s), b: calm(t, s)}
	for burst := 1; burst < 16; burst++ {
		l := p.Throttle(fmt.Sprint("n", burst), 1e-3, burst)
		for left := burst - 1; left >= 0; left-- {
			if v := admit(t, l, "a"); !v.OK || v.Remaining != int64(left) {
				t.Fatalf("burst %d: %+v, %d are left", burst, v, left)
			}
		}
		if v := admit(t, l, "a"); v.OK {
			t.Errorf("burst %d: one more was admitted", burst)
		}
	}
}

// TestRefusalsAreRemembered asks Redis once for many calls beyond the limit.
func TestRefusalsAreRemembered(t *testing.T) {
	r := calm(t, redistest.Run(t))
	l := r.Throttle("n", 0.001, 1)
	admit(t, l, "a")
	var count trips
	r.client.AddHook(&count)
	for range 100 {
		if v := admit(t, l, "a"); v.OK || v.RetryAfter <= 0 || v.Remaining != 0 {
			t.Fatalf("%+v", v)
		}
	}
	if n := count.n.Load(); n > 50 {
		t.Errorf("%d round trips for 100 refusals", n)
	}
}

var _ gateway.Counters = (*Redis)(nil)
