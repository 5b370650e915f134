//go:build !race

// The race detector slows replicas down so much that they lose Redis by themselves.

package counter

import (
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// siblings are two replicas that both know of each other.
func siblings(t *testing.T, r *redistest.Server, alone time.Duration) (one, two *Shared) {
	t.Helper()
	options := func(name string) Options { o := quick(name); o.Alone = alone; return o }
	one, two = open(t, clientOf(r.Address), options("one")), open(t, clientOf(r.Address), options("two"))
	warm(one, "erp")
	warm(two, "erp")
	soon(t, "both share", func() bool {
		a, b := one.Standing("erp"), two.Standing("erp")
		return a.Mode == budget.ModeShared && b.Mode == budget.ModeShared && a.Share == 0.5 && b.Share == 0.5
	})
	return one, two
}

// grants counts how many calls a replica admits at once.
func grants(t *testing.T, s *Shared, p *budget.Pool) (n int) {
	t.Helper()
	for {
		d, err := s.Admit(t.Context(), callOf(p))
		if err != nil {
			t.Fatal(err)
		}
		if !d.Granted {
			return n
		}
		n++
	}
}

// A replica that has calls under way when Redis is lost uses their places again
// when it is alone, long before their leases are over: Redis still counts them. One
// that had none has to wait for the others' leases, of a minute here.
func TestSharedPlacesAlone(t *testing.T) {
	t.Parallel()
	pool := &budget.Pool{Name: "concurrency", Capacity: 5000}
	for name, busy := range map[string][2]int{"both busy": {3, 2}, "one idle": {5, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Run(t)
			one, two := siblings(t, r, time.Minute)
			stores := []*Shared{one, two}
			var calls [2][]*budget.Admission
			for i, s := range stores {
				for range busy[i] {
					a := callOf(pool)
					if !toldOf(t, s, a).Granted {
						t.Fatal("a call is not admitted")
					}
					calls[i] = append(calls[i], a)
				}
			}
			r.Kill()
			soon(t, "both have noticed", func() bool {
				return one.Standing("erp").Mode != budget.ModeShared && two.Standing("erp").Mode != budget.ModeShared
			})
			for i, s := range stores {
				for _, a := range calls[i] {
					if err := s.Settle(t.Context(), a, budget.Settlement{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i, s := range stores {
				awaitMode(t, s, budget.ModeAlone)
				if n := grants(t, s, pool); n != min(2, busy[i]) {
					t.Errorf("replica %d admits %d calls alone, and had %d under way", i+1, n, busy[i])
				}
			}
		})
	}
}

// What Redis may have heard of is not used again before the leases are over.
func TestSharedPlacesThatAreTold(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, _ := siblings(t, r, time.Minute)
	pool := &budget.Pool{Name: "concurrency", Capacity: 5000}
	told, kept := callOf(pool), callOf(pool)
	for _, a := range []*budget.Admission{told, kept} {
		if !toldOf(t, one, a).Granted {
			t.Fatal("a call is not admitted")
		}
	}
	mustSettle(t, one, told)
	r.Kill()
	awaitMode(t, one, budget.ModeAlone)
	if err := one.Settle(t.Context(), kept, budget.Settlement{}); err != nil {
		t.Fatal(err)
	}
	if n := grants(t, one, pool); n != 1 {
		t.Errorf("%d calls are admitted where Redis counts one", n)
	}
}

// A long window's share is spent evenly: a part at once, and the rest by and by, of
// which a refusal tells when.
func TestSharedPaceAlone(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, two := siblings(t, r, time.Hour)
	pool := &budget.Pool{Name: "daily", Capacity: 40_000_000, Hold: 24 * time.Hour}
	for _, s := range []*Shared{one, two} {
		a := callOf(pool)
		if !toldOf(t, s, a).Granted {
			t.Fatal("a call is not admitted")
		}
		mustSettle(t, s, a)
	}
	soon(t, "both know how much is used", func() bool {
		for _, s := range []*Shared{one, two} {
			y := s.system("erp")
			y.mu.Lock()
			ceiling := y.ceilings[pool.Name]
			y.mu.Unlock()
			if ceiling == 0 {
				return false
			}
		}
		return true
	})
	r.Kill()
	for _, s := range []*Shared{one, two} {
		awaitMode(t, s, budget.ModeAlone)
		since := time.Now()
		n := grants(t, s, pool)
		// A fiftieth of the share, and 5.6 calls for each second until here.
		if most := 400 + int(6*(time.Since(since)+10*time.Second).Seconds()); n < 400 || n > most {
			t.Errorf("%d calls are admitted at once, want 400 to %d", n, most)
		}
		d, err := s.Admit(t.Context(), callOf(pool))
		for err == nil && d.Granted {
			d, err = s.Admit(t.Context(), callOf(pool))
		}
		if err != nil || d.RoomIn <= 0 || d.RoomIn > time.Second {
			t.Errorf("the next one has room in %s, %v", d.RoomIn, err)
		}
	}
}

// A question that takes nothing does not keep anybody waiting.
func TestSharedProbesHaveNoLease(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	one, two := siblings(t, r, time.Minute)
	probe := callOf(&budget.Pool{Name: "concurrency", Capacity: 5000})
	probe.Probe, probe.Lease = true, time.Hour
	for _, s := range []*Shared{one, two} {
		if !toldOf(t, s, probe).Granted {
			t.Error("it is refused")
		}
		if y := s.system("erp"); y.lease > time.Minute {
			t.Errorf("others wait for %s", y.lease)
		}
	}
}

// A replica says why it admits nothing, and until when.
func TestSharedSaysWhy(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	r.Kill()
	o := quick("one")
	o.Alone = 2 * time.Second
	s := open(t, clientOf(r.Address), o)
	if got := s.Standing("erp"); got.Cause != budget.NotReached || got.Joined || !got.Until.IsZero() {
		t.Errorf("before the first answer: %+v", got)
	}
	r.Start()
	soon(t, "the fence", func() bool {
		got := s.Standing("erp")
		return got.Cause == budget.Fenced && !got.Joined && time.Until(got.Until) < o.Missing+2*o.Beat+time.Second || got.Mode == budget.ModeShared
	})
	soon(t, "it has joined", func() bool {
		got := s.Standing("erp")
		return got.Mode == budget.ModeShared && got.Joined && got.Cause == "" && got.Until.IsZero()
	})
	r.Kill()
	soon(t, "it has noticed", func() bool { got := s.Standing("erp"); return got.Cause == budget.Lost || got.Mode == budget.ModeAlone })
	soon(t, "it has been alone for long enough", func() bool {
		got := s.Standing("erp")
		return got.Cause == budget.Over && got.Joined && got.Until.IsZero()
	})
}

// An empty Redis waits for replicas that may remember something: for ten minutes
// here, and not at all when all that there can be are there.
func TestSharedFirstStart(t *testing.T) {
	t.Parallel()
	r := redistest.Run(t)
	options := func(name string) Options {
		return Options{Replica: name, Beat: 50 * time.Millisecond, Missing: 10 * time.Minute, Alone: time.Hour, Deadline: 5 * time.Second, Replicas: 2}
	}
	one := open(t, clientOf(r.Address), options("one"))
	soon(t, "the first one waits", func() bool { return one.Standing("erp").Cause == budget.Fenced })
	if left := time.Until(one.Standing("erp").Until); left < 5*time.Minute {
		t.Errorf("it says that it waits for %s", left)
	}
	if d, err := one.Admit(t.Context(), callOf(&budget.Pool{Name: "concurrency", Capacity: 1000})); err != nil || d.Granted {
		t.Errorf("it admits a call meanwhile: %+v, %v", d, err)
	}
	two := open(t, clientOf(r.Address), options("two"))
	awaitMode(t, two, budget.ModeShared)
	awaitMode(t, one, budget.ModeShared)
}

// A place for a single call is one replica's when all are alone, and is left free
// for it when it is missing.
func TestSharedSinglePlace(t *testing.T) {
	t.Parallel()
	pool := &budget.Pool{Name: "single", Capacity: 1000}
	spaced := &budget.Pool{Name: "spaced", Capacity: 1000, Interval: float64(20*time.Minute) / 1000}
	brief := func(p *budget.Pool) *budget.Admission {
		a := callOf(p)
		a.Lease = 300 * time.Millisecond
		return a
	}
	start := func(t *testing.T) (r *redistest.Server, heir, other *Shared) {
		r = redistest.Run(t)
		stores := []*Shared{open(t, clientOf(r.Address), quick("one")), open(t, clientOf(r.Address), quick("two"))}
		for _, s := range stores {
			a := brief(&budget.Pool{Name: "wide", Capacity: 1 << 50})
			soon(t, "a call is admitted", func() bool { d, err := s.Admit(t.Context(), a); return err == nil && d.Granted })
			mustSettle(t, s, a)
		}
		soon(t, "there is one heir", func() bool {
			heir, other = nil, nil
			for _, s := range stores {
				y := s.system("erp")
				y.mu.Lock()
				switch {
				case y.mode != budget.ModeShared || y.share != 0.5:
				case y.heir:
					heir = s
				default:
					other = s
				}
				y.mu.Unlock()
			}
			return heir != nil && other != nil
		})
		return r, heir, other
	}
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		r, heir, other := start(t)
		r.Kill()
		awaitMode(t, heir, budget.ModeAlone)
		awaitMode(t, other, budget.ModeAlone)
		soon(t, "the heir has the place", func() bool { d, err := heir.Admit(t.Context(), callOf(pool)); return err == nil && d.Granted })
		for _, p := range []*budget.Pool{pool, spaced} {
			if n := grants(t, other, p); n != 0 {
				t.Errorf("the other one admits %d calls of the limit %s", n, p.Name)
			}
		}
		quick := &budget.Pool{Name: "quick", Capacity: 1000, Interval: float64(20*time.Millisecond) / 1000}
		soon(t, "the heir has the spaced calls", func() bool { d, err := heir.Admit(t.Context(), brief(quick)); return err == nil && d.Granted })
		if d, err := heir.Admit(t.Context(), brief(spaced)); err != nil || d.Granted {
			t.Errorf("a bucket is not empty when a replica comes to be alone: %+v, %v", d, err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		_, heir, other := start(t)
		if d := toldOf(t, heir, brief(&budget.Pool{Name: "others", Capacity: 1000, Interval: 1})); !d.Granted {
			t.Error("a place is not given while both are there")
		}
		(&replica{Shared: heir, stop: func() {}}).die()
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			a := brief(pool) // it is admitted until the heir is missed
			if d, err := other.Admit(t.Context(), a); err == nil && d.Granted {
				mustSettle(t, other, a)
			}
		}
		for _, p := range []*budget.Pool{pool, spaced} {
			if d := toldOf(t, other, brief(p)); d.Granted {
				t.Errorf("Redis gives away the place in %s of an heir that may be alone", p.Name)
			}
		}
	})
}

// A server that answers and takes no writes is no server: replicas stay alone, and
// do not begin to be alone again and again, which would make none of their share
// free for as long.
func TestSharedServerThatTakesNoWrites(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string][3]string{
		"full":                {"maxmemory", "1", "0"},
		"without its replica": {"min-replicas-to-write", "1", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Run(t, "--maxmemory-policy", "noeviction")
			one, two := siblings(t, r, time.Minute)
			client := clientOf(r.Address)
			if err := client.ConfigSet(t.Context(), setting[0], setting[1]).Err(); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*Shared{one, two} {
				awaitMode(t, s, budget.ModeAlone)
			}
			since := one.Standing("erp").Since
			for range 60 {
				time.Sleep(50 * time.Millisecond)
				if now := one.Standing("erp"); now.Mode != budget.ModeAlone || !now.Since.Equal(since) {
					t.Fatalf("%s since %s, after alone since %s", now.Mode, now.Since, since)
				}
			}
			if err := client.ConfigSet(t.Context(), setting[0], setting[2]).Err(); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*Shared{one, two} {
				awaitMode(t, s, budget.ModeShared)
			}
		})
	}
}
