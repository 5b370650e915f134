package countertest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
)

// Conform proves the contract on the wall clock, in about a second. make gives
// a store without counts; a store that cannot be emptied may give the same one
// again, because every law counts under a name of its own.
func Conform(t *testing.T, make func() gateway.Counters) {
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) {
			t.Parallel()
			if err := law.holds(subject{make(), fmt.Sprintf("%s %d", law.name, serial.Add(1))}); err != nil {
				t.Error(err)
			}
		})
	}
}

// serial keeps the names of several runs on one store apart.
var serial atomic.Int64

// subject is a store, and a name that nothing has been counted under.
type subject struct {
	gateway.Counters
	name string
}

var laws = []struct {
	name  string
	holds func(subject) error
}{
	{"a throttle admits its burst and no more", throttleBurst},
	{"a throttle gives back at its rate", throttleRate},
	{"a throttle's wait is honest", throttleWait},
	{"a throttle keeps its count under new numbers", throttleReload},
	{"a throttle holds under concurrent calls", throttleRace},
	{"a quota admits its limit and no more", quotaLimit},
	{"a quota's wait is honest", quotaWait},
	{"a quota keeps its count under new numbers", quotaReload},
	{"a quota holds in every window under concurrent calls", quotaRace},
	{"a calendar quota admits its limit and no more", calendarLimit},
	{"a concurrency admits its limit and no more", concurrencyLimit},
	{"a concurrency keeps its count under new numbers", concurrencyReload},
	{"a concurrency holds under concurrent calls", concurrencyRace},
	{"every throttle, quota and concurrency counts names and keys apart", apart},
}

// verdict is what a call must be told; negative times mean any.
type verdict struct {
	ok               bool
	limit, remaining int64
	// reset and retry tell whether the times are there at all.
	reset, retry bool
}

func take(l gateway.Limit, key string, want verdict) error {
	v, err := l.Take(context.Background(), key)
	if err != nil {
		return err
	}
	return want.check(v)
}

func (want verdict) check(v gateway.Verdict) error {
	got := verdict{v.OK, v.Limit, v.Remaining, v.Reset > 0, v.RetryAfter > 0}
	if got != want {
		return fmt.Errorf("got %+v, want %+v", v, want)
	}
	return nil
}

func throttleBurst(s subject) error {
	l := s.Throttle(s.name, 0.01, 3)
	for left := int64(2); left >= 0; left-- {
		if err := take(l, "a", verdict{true, 3, left, true, left == 0}); err != nil {
			return err
		}
	}
	for range 3 {
		if err := take(l, "a", verdict{false, 3, 0, true, true}); err != nil {
			return fmt.Errorf("after the burst: %w", err)
		}
	}
	return nil
}

func throttleRate(s subject) error {
	const rate, burst = 200, 5
	l := s.Throttle(s.name, rate, burst)
	log, err := hammer(1, 30, func() (gateway.Verdict, error) { return l.Take(context.Background(), "a") })
	if err != nil {
		return err
	}
	return log.atMost(func(stretch time.Duration) float64 { return burst + rate*stretch.Seconds() })
}

func throttleWait(s subject) error {
	l := s.Throttle(s.name, 20, 2)
	return honest(func() (gateway.Verdict, error) { return l.Take(context.Background(), "a") }, 3)
}

// honest exhausts a limit and comes back exactly when it was told to.
func honest(take func() (gateway.Verdict, error), times int) error {
	for range times {
		var v gateway.Verdict
		var err error
		for range 1000 {
			if v, err = take(); err != nil || !v.OK {
				break
			}
		}
		if err != nil || v.OK {
			return fmt.Errorf("never refused: %+v, %w", v, err)
		}
		if v.RetryAfter <= 0 || v.RetryAfter > v.Reset {
			return fmt.Errorf("refused, to come back after %s, when all is there again after %s", v.RetryAfter, v.Reset)
		}
		told := v.RetryAfter
		time.Sleep(told)
		if v, err = take(); err != nil || !v.OK {
			return fmt.Errorf("refused again after the %s that it was told to wait: %+v, %w", told, v, err)
		}
	}
	return nil
}

func throttleReload(s subject) error {
	old := s.Throttle(s.name, 0.01, 10)
	for range 4 {
		if _, err := old.Take(context.Background(), "a"); err != nil {
			return err
		}
	}
	if err := take(s.Throttle(s.name, 0.02, 6), "a", verdict{true, 6, 1, true, false}); err != nil {
		return fmt.Errorf("5 of 6 used: %w", err)
	}
	if err := take(s.Throttle(s.name, 0.01, 2), "a", verdict{false, 2, 0, true, true}); err != nil {
		return fmt.Errorf("a burst that is used up: %w", err)
	}
	return take(old, "a", verdict{true, 10, 4, true, false})
}

func throttleRace(s subject) error {
	const rate, burst = 100, 20
	l := s.Throttle(s.name, rate, burst)
	log, err := hammer(8, 40, func() (gateway.Verdict, error) { return l.Take(context.Background(), "a") })
	if err != nil {
		return err
	}
	return log.atMost(func(stretch time.Duration) float64 { return burst + rate*stretch.Seconds() })
}

func quotaLimit(s subject) error {
	l := s.Quota(s.name, 3, gateway.Window{Length: time.Hour})
	for left := int64(2); left >= 0; left-- {
		if err := take(l, "a", verdict{true, 3, left, true, left == 0}); err != nil {
			return err
		}
	}
	for range 3 {
		if err := take(l, "a", verdict{false, 3, 0, true, true}); err != nil {
			return fmt.Errorf("after the limit: %w", err)
		}
	}
	return nil
}

func quotaWait(s subject) error {
	l := s.Quota(s.name, 4, gateway.Window{Length: 80 * time.Millisecond})
	return honest(func() (gateway.Verdict, error) { return l.Take(context.Background(), "a") }, 3)
}

func quotaReload(s subject) error {
	hour := gateway.Window{Length: time.Hour}
	old := s.Quota(s.name, 10, hour)
	for range 4 {
		if _, err := old.Take(context.Background(), "a"); err != nil {
			return err
		}
	}
	if err := take(s.Quota(s.name, 6, hour), "a", verdict{true, 6, 1, true, false}); err != nil {
		return fmt.Errorf("5 of 6 used: %w", err)
	}
	if err := take(s.Quota(s.name, 2, hour), "a", verdict{false, 2, 0, true, true}); err != nil {
		return fmt.Errorf("5 of 2 used: %w", err)
	}
	return take(old, "a", verdict{true, 10, 4, true, false})
}

func quotaRace(s subject) error {
	const limit, length = 50, 100 * time.Millisecond
	l := s.Quota(s.name, limit, gateway.Window{Length: length})
	log, err := hammer(8, 3*limit, func() (gateway.Verdict, error) { return l.Take(context.Background(), "a") })
	if err != nil {
		return err
	}
	return log.within(length, limit)
}

func calendarLimit(s subject) error {
	w := gateway.Window{Calendar: "month"}
	for range 2 { // the second time, if a month ended meanwhile
		_, end := w.Bounds(time.Now())
		l := s.Quota(s.name, 2, w)
		for i, want := range []verdict{{true, 2, 1, true, false}, {true, 2, 0, true, true}, {false, 2, 0, true, true}} {
			v, err := l.Take(context.Background(), "a")
			if err != nil {
				return err
			}
			if !time.Now().Before(end) {
				break
			}
			if err := want.check(v); err != nil {
				return fmt.Errorf("call %d: %w", i+1, err)
			}
			if off := time.Until(end) - v.Reset; off > time.Second || off < -time.Second {
				return fmt.Errorf("the month ends in %s, but the verdict says %s", time.Until(end), v.Reset)
			}
			if i == 2 {
				return nil
			}
		}
	}
	return fmt.Errorf("two months ended within one test")
}

func concurrencyLimit(s subject) error {
	l := s.Concurrency(s.name, 2)
	for _, want := range []verdict{{true, 2, 1, false, false}, {true, 2, 0, false, false}, {false, 2, 0, false, false}} {
		if err := acquire(l, "a", want); err != nil {
			return err
		}
	}
	l.Release("a")
	if err := acquire(l, "a", verdict{true, 2, 0, false, false}); err != nil {
		return fmt.Errorf("after a release: %w", err)
	}
	if err := acquire(l, "a", verdict{false, 2, 0, false, false}); err != nil {
		return fmt.Errorf("a refused call was counted, or a release counted twice: %w", err)
	}
	l.Release("a")
	l.Release("a")
	return acquire(l, "a", verdict{true, 2, 1, false, false})
}

func acquire(l gateway.Concurrency, key string, want verdict) error {
	v, err := l.Acquire(context.Background(), key)
	if err != nil {
		return err
	}
	return want.check(v)
}

func concurrencyReload(s subject) error {
	old := s.Concurrency(s.name, 3)
	for left := int64(2); left >= 1; left-- {
		if err := acquire(old, "a", verdict{true, 3, left, false, false}); err != nil {
			return err
		}
	}
	fewer := s.Concurrency(s.name, 2)
	if err := acquire(fewer, "a", verdict{false, 2, 0, false, false}); err != nil {
		return fmt.Errorf("2 of 2 under way: %w", err)
	}
	old.Release("a") // a call ends under the table that it began with
	return acquire(fewer, "a", verdict{true, 2, 0, false, false})
}

func concurrencyRace(s subject) error {
	const limit = 3
	l := s.Concurrency(s.name, limit)
	var under, most atomic.Int64
	_, err := hammer(8, 30*limit, func() (gateway.Verdict, error) {
		v, err := l.Acquire(context.Background(), "a")
		if err != nil || !v.OK {
			return v, err
		}
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(time.Millisecond)
		under.Add(-1)
		l.Release("a")
		return v, nil
	})
	switch {
	case err != nil:
		return err
	case most.Load() > limit:
		return fmt.Errorf("%d calls were under way, %d are allowed", most.Load(), limit)
	}
	if err := idle(l, limit); err != nil {
		return err
	}
	for left := int64(limit - 2); left >= 0; left-- {
		if err := acquire(l, "a", verdict{true, limit, left, false, false}); err != nil {
			return fmt.Errorf("when all calls have ended: %w", err)
		}
	}
	return nil
}

// idle has one call under way, and waits until no other counts: a call that has
// ended at one replica counts until that one has told the others.
func idle(l gateway.Concurrency, limit int64) error {
	var last gateway.Verdict
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		v, err := l.Acquire(context.Background(), "a")
		if err != nil {
			return err
		}
		if v.OK && v.Remaining == limit-1 {
			return nil
		}
		if last = v; v.OK {
			l.Release("a")
		}
	}
	return fmt.Errorf("calls that have ended still count: %+v", last)
}

// apart uses a limit of one up for every name and key.
func apart(s subject) error {
	hour := gateway.Window{Length: time.Hour}
	names := []string{s.name}
	for i := range 100 { // enough to meet in one shard
		names = append(names, fmt.Sprint(s.name, "/", i))
	}
	for _, name := range names {
		for _, key := range []string{"a", "b", "a/b"} {
			limits := []gateway.Limit{
				s.Throttle(name, 0.01, 1), s.Quota(name, 1, hour), s.Quota(name+"/month", 1, gateway.Window{Calendar: "month"}),
			}
			for i, l := range limits {
				if err := take(l, key, verdict{true, 1, 0, true, true}); err != nil {
					return fmt.Errorf("limit %d of %q for %q: %w", i, name, key, err)
				}
			}
			if err := acquire(s.Concurrency(name, 1), key, verdict{true, 1, 0, false, false}); err != nil {
				return fmt.Errorf("concurrency of %q for %q: %w", name, key, err)
			}
		}
	}
	return nil
}

// hammer calls from several goroutines until so many calls were admitted. A
// machine may be slow, but not that slow: three seconds must do.
func hammer(goroutines, calls int, take func() (gateway.Verdict, error)) (*record, error) {
	var wg sync.WaitGroup
	log := &record{}
	end := time.Now().Add(3 * time.Second)
	for range goroutines {
		wg.Go(func() {
			for log.count() < calls && time.Now().Before(end) {
				if log.call(take) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if n := log.count(); log.err == nil && n < calls {
		return nil, fmt.Errorf("only %d calls were admitted in three seconds", n)
	}
	return log, log.err
}
