package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/counter/countertest"
)

func store() gateway.Counters { return New() }

func TestConform(t *testing.T) { countertest.Conform(t, store) }
func TestSimulate(t *testing.T) {
	countertest.Simulate(t, countertest.Terms{}, func() (gateway.Counters, func()) { return store(), nil })
}

var hour = gateway.Window{Length: time.Hour}

// size is the number of counts that are kept.
func (m *Memory) size() (n int) {
	for i := range shardCount {
		n += len(m.buckets.shards[i].counts) + len(m.windows.shards[i].counts) + len(m.calendars.shards[i].counts) + len(m.calls.shards[i].counts)
	}
	return n
}

func take(l gateway.Limit, key string) (gateway.Verdict, error) {
	return l.Take(context.Background(), key)
}

// admit takes without an error; the verdict may be a refusal.
func admit(t *testing.T, l gateway.Limit, key string) gateway.Verdict {
	t.Helper()
	v, err := take(l, key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestUnusedKeysAreDropped counts many keys of each sort once and goes on with
// one: what is full again is forgotten, what still counts is kept.
func TestUnusedKeysAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := New(), context.Background()
		throttle, rolling := m.Throttle("n", 1, 5), m.Quota("n", 5, gateway.Window{Length: time.Minute})
		monthly, calls := m.Quota("n", 5, gateway.Window{Calendar: "month"}), m.Concurrency("n", 2)
		const keys = 1000
		for i := range keys {
			key := strconv.Itoa(i)
			admit(t, throttle, key)
			admit(t, rolling, key)
			admit(t, monthly, key)
			if _, err := calls.Acquire(ctx, key); err != nil {
				t.Fatal(err)
			}
			if i >= 10 {
				calls.Release(key)
			}
		}
		for range 300 {
			time.Sleep(time.Second)
			admit(t, throttle, "0")
		}
		// One bucket, the month's quotas, and the calls still under way.
		if got, want := m.size(), 1+keys+10; got != want {
			t.Errorf("%d counts are kept after five minutes, want %d", got, want)
		}
		if v, err := calls.Acquire(ctx, "3"); err != nil || v.Remaining != 0 {
			t.Errorf("a call under way was forgotten: %+v, %v", v, err)
		}
		time.Sleep(40 * 24 * time.Hour)
		for range 20 {
			admit(t, throttle, "0")
			time.Sleep(time.Minute)
		}
		if got, want := m.size(), 1+10; got != want {
			t.Errorf("%d counts are kept in the next month, want %d", got, want)
		}
	})
}

// TestBounded counts ever new keys: beyond the bound they are refused with
// ErrFull, those that are known go on, and room comes back with time.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 20_000
		m := newMemory(keys)
		l := m.Throttle("n", 1, 2)
		admit(t, l, "known")
		full, i := 0, 0
		for ; full < 100; i++ {
			if _, err := take(l, strconv.Itoa(i)); errors.Is(err, ErrFull) {
				full++
			} else if err != nil {
				t.Fatal(err)
			}
			if i > 2*keys {
				t.Fatal("no bound")
			}
		}
		if n := m.size(); n > keys {
			t.Errorf("%d keys are counted, at most %d were asked for", n, keys)
		}
		if v := admit(t, l, "known"); v.Remaining != 0 {
			t.Errorf("a known key was forgotten: %+v", v)
		}
		time.Sleep(3 * time.Second)
		for i := range 1000 {
			if _, err := take(l, "new"+strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestQuotaIsSmall fills a window with calls at ever new moments: what is kept
// of them must not grow with their number.
func TestQuotaIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		l := m.Quota("n", 1_000_000, gateway.Window{Length: time.Hour})
		for range 5000 {
			time.Sleep(1700 * time.Millisecond)
			admit(t, l, "a")
		}
		for i := range shardCount {
			for _, e := range m.windows.shards[i].counts {
				if n := cap(e.count.spans); n > 4*sliceCount {
					t.Errorf("%d spans are kept", n)
				}
			}
		}
	})
}

// TestClockSetBack sets the wall clock back over a month's border by way of the
// count: the new month's calls must not be forgotten when it comes again.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New()
		l := m.Quota("n", 3, gateway.Window{Calendar: "hour"}).(*byCalendar)
		admit(t, l, "a")
		c, i := l.place.cell("a")
		m.calendars.shards[i].counts[c].count.start += int64(time.Hour) // as if it were an hour later
		if v := admit(t, l, "a"); v.Remaining != 1 {
			t.Errorf("the clock was set back, and the count with it: %+v", v)
		}
	})
}

func TestExtremes(t *testing.T) {
	m := New()
	for _, c := range []struct {
		rate  float64
		burst int
	}{{0, 0}, {-1, 5}, {1e-300, 1}, {1e18, 1 << 40}, {1e-9, 1 << 40}, {1 / 3600.0, 1 << 30}, {5e8, 1 << 20}} {
		l := m.Throttle(fmt.Sprint(c), c.rate, c.burst)
		v := admit(t, l, "a")
		if !v.OK || v.Remaining < 0 || v.Reset < 0 || v.RetryAfter < 0 || v.Limit > int64(max(1, c.burst)) {
			t.Errorf("rate %g burst %d: %+v", c.rate, c.burst, v)
		}
	}
	if v := admit(t, m.Quota("none", 0, hour), "a"); v.OK {
		t.Errorf("a quota of nothing admits a call: %+v", v)
	}
	m.Concurrency("n", 1).Release("never acquired")
}

func TestNoAllocations(t *testing.T) {
	m, ctx := New(), context.Background()
	throttle, rolling := m.Throttle("n", 1e6, 100), m.Quota("n", 1<<40, hour)
	monthly, calls := m.Quota("n", 1<<40, gateway.Window{Calendar: "month"}), m.Concurrency("n", 2)
	for name, f := range map[string]func(){
		"throttle": func() { take(throttle, "a") },
		"rolling":  func() { take(rolling, "a") },
		"calendar": func() { take(monthly, "a") },
		"calls": func() {
			if v, _ := calls.Acquire(ctx, "a"); v.OK {
				calls.Release("a")
			}
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n > 0 {
			t.Errorf("%s allocates %g times a call", name, n)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	m := New()
	for name, l := range map[string]gateway.Limit{
		"throttle": m.Throttle("orders/v1/createOrder", 1e9, 1000), "refused": m.Throttle("refused", 1e-9, 1),
		"rolling": m.Quota("orders/v1/createOrder", 1<<40, hour), "calendar": m.Quota("orders/v1/createOrder", 1<<40, gateway.Window{Calendar: "day"}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				take(l, "shop")
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			var serial atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				key := "shop" + strconv.FormatInt(serial.Add(1), 10)
				for pb.Next() {
					take(l, key)
				}
			})
		})
	}
}

func BenchmarkConcurrency(b *testing.B) {
	l := New().Concurrency("orders/v1/createOrder", 10)
	b.ReportAllocs()
	for b.Loop() {
		l.Acquire(context.Background(), "shop")
		l.Release("shop")
	}
}
