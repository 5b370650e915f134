package sim

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// measured makes one meter of a source, as a limit would have it.
func measured(of source) (meter, *limit) {
	l := &limit{name: "test", source: of, mu: &sync.Mutex{}, meters: map[string]meter{}}
	return l.of("", time.Now()), l
}

// admits takes a call in if it fits.
func admits(m meter, cost float64) bool {
	now := time.Now()
	if _, ok := m.fits(now, cost); !ok {
		return false
	}
	m.take(now, cost)
	return true
}

// takes expects that so many calls fit, and no more.
func takes(t *testing.T, m meter, n int, cost float64) {
	t.Helper()
	for i := range n {
		if !admits(m, cost) {
			t.Fatalf("call %d of %d does not fit", i+1, n)
		}
	}
	if admits(m, cost) {
		t.Fatalf("more than %d calls fit", n)
	}
}

func waits(t *testing.T, m meter, cost float64, want time.Duration) {
	t.Helper()
	if wait, ok := m.fits(time.Now(), cost); ok || wait < want-time.Microsecond || wait > want+time.Microsecond {
		t.Errorf("room in %v (now: %v), want %v", wait, ok, want)
	}
}

func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := measured(atOnce(3))
		takes(t, m, 3, 1)
		time.Sleep(10 * time.Second)
		m.done(time.Now(), use{})
		takes(t, m, 1, 1)
		for range 3 {
			m.done(time.Now(), use{})
		}
		if busy := l.busy.total(time.Now()); busy != 30 || !m.idle(time.Now()) {
			t.Errorf("%v call-seconds were under way", busy)
		}
	})
}

func TestAtOnceOvershootAndHeldPlaces(t *testing.T) {
	l := &limit{source: atOnce(3), overshoot: 1, held: 2, meters: map[string]meter{}}
	m := l.of("", time.Now())
	takes(t, m, 2, 1) // 3 + 1 - 2
	if used := m.used(time.Now()); used != 4 {
		t.Errorf("%v are counted", used)
	}
}

func TestSlidingWindowAtItsBorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(sliding(5, time.Minute))
		admits(m, 2)
		time.Sleep(20 * time.Second)
		takes(t, m, 3, 1)
		waits(t, m, 1, 40*time.Second)
		waits(t, m, 3, 60*time.Second) // the first is not enough
		waits(t, m, 6, 0)              // never
		time.Sleep(40*time.Second - 1)
		if admits(m, 1) {
			t.Error("a call came in a nanosecond before the window had passed")
		}
		time.Sleep(time.Nanosecond)
		takes(t, m, 2, 1)
		time.Sleep(time.Minute)
		if !m.idle(time.Now()) {
			t.Error("the window does not empty")
		}
	})
}

func TestSlidingWindowWithFractions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(sliding(1, time.Second))
		for range 1000 { // adding and subtracting leaves no trace
			takes(t, m, 10, 0.1)
			time.Sleep(time.Second)
		}
	})
}

func TestFixedWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight
		m, _ := measured(fixed(3, time.Hour, nil))
		time.Sleep(59 * time.Minute)
		takes(t, m, 3, 1)
		waits(t, m, 1, time.Minute)
		time.Sleep(time.Minute - 1)
		if admits(m, 1) {
			t.Error("a call came in before the hour")
		}
		time.Sleep(time.Nanosecond)
		takes(t, m, 3, 1)
	})
}

func TestFixedWindowWithPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(fixed(1, 24*time.Hour, func(string) time.Duration { return 7 * time.Hour }))
		takes(t, m, 1, 1)
		waits(t, m, 1, 7*time.Hour)
		time.Sleep(7 * time.Hour)
		takes(t, m, 1, 1)
		waits(t, m, 1, 24*time.Hour)
	})
	if phase := phaseIn(time.Hour); phase("a") == phase("b") || phase("a") != phaseIn(time.Hour)("a") || phase("a") >= time.Hour {
		t.Error("tenants have no phases of their own")
	}
}

func TestTokenBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := measured(bucket(20, 0.0167))
		if l.window.Round(time.Second) != 1198*time.Second {
			t.Errorf("the bucket fills in %v", l.window)
		}
		takes(t, m, 20, 1)
		token := seconds(1 / 0.0167)
		waits(t, m, 1, token)
		time.Sleep(token - time.Second)
		if admits(m, 1) {
			t.Error("the token came too early")
		}
		time.Sleep(time.Second)
		takes(t, m, 1, 1)
		time.Sleep(100 * token)
		takes(t, m, 20, 1) // it holds no more than its size
	})
}

func TestTokenBucketRefunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(bucket(1000, 50))
		takes(t, m, 2, 500)
		m.done(time.Now(), use{cost: 500, actual: 100})
		takes(t, m, 1, 400)
		time.Sleep(time.Hour)
		m.done(time.Now(), use{cost: 500, actual: 0})
		takes(t, m, 2, 500) // a refund does not overfill it
	})
}

func TestLeakyQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(leaky(60, 60, 30))
		for i := range 90 {
			now := time.Now()
			if _, ok := m.fits(now, 1); !ok {
				t.Fatalf("call %d is refused", i+1)
			}
			want := max(0, time.Duration(i-59)*time.Second/60)
			if p := m.take(now, 1); p.delay < want-time.Microsecond || p.delay > want+time.Microsecond {
				t.Errorf("call %d waits for %v, want %v", i+1, p.delay, want)
			}
		}
		waits(t, m, 1, time.Second/60)
		time.Sleep(time.Second)
		takes(t, m, 60, 1)
	})
}

func TestExecutionTimeIsChargedAfterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(execution(sliding(10, time.Minute)))
		for range 3 {
			if !admits(m, 1) {
				t.Fatal("a call under way is charged")
			}
		}
		m.done(time.Now(), use{took: 10 * time.Second})
		if !admits(m, 1) {
			t.Error("the limit refuses at its border: only what exceeds it is too much")
		}
		m.done(time.Now(), use{took: time.Millisecond})
		if admits(m, 1) {
			t.Error("the time is used up")
		}
		time.Sleep(time.Minute)
		if !admits(m, 1) {
			t.Error("the window does not slide")
		}
		if m.idle(time.Now()) {
			t.Error("a meter with calls under way would be forgotten")
		}
	})
}

func TestSpacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(spaced(10 * time.Second))
		takes(t, m, 1, 1)
		time.Sleep(4 * time.Second)
		waits(t, m, 1, 6*time.Second)
		waits(t, m, 3, 26*time.Second) // a weight needs a longer gap
		time.Sleep(6*time.Second - 1)
		if admits(m, 1) {
			t.Error("a call came in before the gap had passed")
		}
		time.Sleep(time.Nanosecond)
		takes(t, m, 1, 1) // no count is kept: a long pause earns nothing
		time.Sleep(time.Hour)
		takes(t, m, 1, 1)
	})
}

func TestAgedCountsOnlyLongCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := measured(aged(2, 20*time.Second))
		started := time.Now()
		for range 5 {
			if !admits(m, 1) {
				t.Fatal("a young call is counted")
			}
		}
		time.Sleep(20*time.Second - 1)
		if !admits(m, 1) {
			t.Error("a call is old too early")
		}
		time.Sleep(time.Nanosecond)
		if admits(m, 1) {
			t.Error("5 old calls are under way")
		}
		for range 4 {
			m.done(time.Now(), use{at: started, took: 25 * time.Second})
		}
		if !admits(m, 1) || l.busy.total(time.Now()) != 20 {
			t.Errorf("the old calls are gone; they were old for %v s", l.busy.area)
		}
	})
}

func TestLineServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := measured(inLine(1, 2, time.Minute, nil))
		if p := m.take(time.Now(), 1); p.turn != nil {
			t.Fatal("the first waits")
		}
		first, second := m.take(time.Now(), 1).turn, m.take(time.Now(), 1).turn
		if admits(m, 1) {
			t.Error("three wait")
		}
		m.done(time.Now(), use{})
		if !first.started || second.started {
			t.Error("it is not the first one's turn")
		}
		if first.abandon() || !second.abandon() || second.abandon() {
			t.Error("only who waits can leave the line")
		}
		m.done(time.Now(), use{abandoned: true})
		if m.used(time.Now()) != 1 {
			t.Errorf("%v are processed", m.used(time.Now()))
		}
		m.done(time.Now(), use{})
		if !m.idle(time.Now()) {
			t.Error("the line is not empty")
		}
	})
}

// The example of the documentation: 50 a minute, 25 processed, 20 s left make 0.8 s.
func TestHalfway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &halfway{perMinute: 50, minute: time.Minute}
		for range 24 {
			h.started(time.Now())
		}
		time.Sleep(40 * time.Second)
		if d := h.delay(time.Now()); d != 0 {
			t.Errorf("below the half the delay is %v", d)
		}
		h.started(time.Now())
		if d := h.delay(time.Now()); d != 800*time.Millisecond {
			t.Errorf("the delay is %v, want 0.8 s", d)
		}
		for range 25 {
			h.started(time.Now())
		}
		if d := h.delay(time.Now()); d != 20*time.Second {
			t.Errorf("when all are processed the delay is %v, want 20 s", d)
		}
		time.Sleep(20 * time.Second)
		if d := h.delay(time.Now()); d == 0 {
			t.Error("26 of the last minute are forgotten")
		}
	})
}

// Under random calls no window holds more than it may: counted apart, by brute force.
func TestSlidingWindowAgainstCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity, window = 7, time.Second
		m, _ := measured(sliding(capacity, window))
		var admitted []time.Time
		refused := 0
		for i := range 2000 {
			time.Sleep(time.Duration(i*i%97) * 3 * time.Millisecond)
			now := time.Now()
			inside := 0
			for _, at := range admitted {
				if now.Sub(at) < window {
					inside++
				}
			}
			ok := admits(m, 1)
			if ok != (inside < capacity) {
				t.Fatalf("with %d in the window the answer is %v", inside, ok)
			}
			if ok {
				admitted = append(admitted, now)
			} else {
				refused++
			}
		}
		if refused == 0 {
			t.Error("nothing was refused: the test is too slow")
		}
	})
}

func TestLatencies(t *testing.T) {
	var l latencies
	if l.quantile(0.5) != 0 {
		t.Error("nothing has a median")
	}
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]float64{0.5: 500, 0.99: 990} {
		if got := l.quantile(q); got < want*0.99 || got > want*1.01 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	l.add(0)
	l.add(100 * time.Hour)
}
