package countertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/gateway"
)

// Simulate proves the contract by random scripts on a fake clock: never more
// than the limit in any window, all of it eventually, and verdicts that are
// true. make gives a store without counts, made within the bubble of its
// script, and what to call at the script's end; nil for nothing.
func Simulate(t *testing.T, terms Terms, make func() (counters gateway.Counters, end func())) {
	t.Run("throttle", func(t *testing.T) { simulate(t, throttleScripts, terms, make) })
	t.Run("quota", func(t *testing.T) { simulate(t, quotaScripts, terms, make) })
	t.Run("calendar", func(t *testing.T) { simulate(t, calendarScripts, terms, make) })
	t.Run("concurrency", func(t *testing.T) { simulate(t, concurrencyScripts, terms, make) })
}

// Terms are what a store may do less exactly than the model. The zero value
// allows nothing.
type Terms struct {
	// Resolution is that of the store's clock; a nanosecond when zero.
	Resolution time.Duration
	// Leased is how many calls of a burst may be out of reach, because they were
	// leased and not made; none when nil. It is never leave to admit more.
	Leased func(burst int) int
	// Several replicas answer in turn: one that has calls leased does not know
	// what the others did since. What it tells with admitted calls may be too good.
	Several bool
}

func (t Terms) resolution() time.Duration { return max(1, t.Resolution) }

func (t Terms) leased(burst int) float64 {
	if t.Leased == nil {
		return 0
	}
	return float64(t.Leased(burst))
}

// sleep waits until the store's clock shows a moment not before the one asked for.
func (t Terms) sleep(d time.Duration) {
	if over := time.Now().Add(d).UnixNano() % int64(t.resolution()); over > 0 {
		d += t.resolution() - time.Duration(over)
	}
	time.Sleep(d)
}

// player is a script that can be played on a store; it gives what was wrong.
type player interface {
	play(gateway.Counters, Terms) error
}

func simulate[S player](t *testing.T, scripts *rapid.Generator[S], terms Terms, make func() (gateway.Counters, func())) {
	rapid.Check(t, func(t *rapid.T) {
		script := scripts.Draw(t, "script")
		rapid.SyncTest(t, func(t *rapid.T) {
			counters, end := make()
			if end != nil {
				defer end()
			}
			if err := script.play(counters, terms); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// step is a pause, and calls at one moment after it.
type step struct {
	// Told has the caller wait as long as the last refusal said, instead of Wait.
	Told bool
	Wait time.Duration
	// Limit is a new limit from now on, where it is not zero.
	Limit int64
	Key   string
	Calls int
}

// waits draws pauses around a length: fractions, the length itself, and beside it.
func waits(t *rapid.T, length time.Duration) time.Duration {
	switch rapid.IntRange(0, 4).Draw(t, "sort of pause") {
	case 0:
		return 0
	case 1:
		return length + time.Duration(rapid.IntRange(-2, 2).Draw(t, "beside"))
	case 2:
		return length/64 + time.Duration(rapid.IntRange(-2, 2).Draw(t, "beside"))
	case 3:
		return time.Duration(rapid.Int64Range(0, int64(3*length)).Draw(t, "long"))
	}
	return time.Duration(rapid.Int64Range(0, max(1, int64(length)/20)).Draw(t, "short"))
}

func steps(t *rapid.T, length time.Duration, calls int) []step {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			Told: rapid.IntRange(0, 4).Draw(t, "told") == 0, Wait: max(0, waits(t, length)),
			Key: rapid.SampledFrom([]string{"a", "a", "b"}).Draw(t, "key"), Calls: rapid.IntRange(1, calls).Draw(t, "calls"),
		}
	})
	return rapid.SliceOfN(one, 1, 40).Draw(t, "steps")
}

// stream draws calls one after the other, at small distances, for longer than a
// length: none of them may hold back the ones before it.
func stream(t *rapid.T, length time.Duration) []step {
	distance := max(1, length/time.Duration(rapid.IntRange(60, 200).Draw(t, "calls a window")))
	list := make([]step, int(length/distance)*3/2)
	for i := range list {
		list[i] = step{Wait: distance, Key: "a", Calls: 1}
	}
	return list
}

// run plays steps on a limit; check compares each verdict with a model. A call
// that comes back when it was told to, and has not been overtaken, must pass.
func run(steps []step, terms Terms, limit func(step) gateway.Limit, check func(step, gateway.Verdict) error) error {
	told := map[string]time.Duration{}
	at := map[string]time.Time{}
	for i, s := range steps {
		pause, waited := s.Wait, false
		if d, ok := told[s.Key]; ok && s.Told {
			pause, waited = time.Until(at[s.Key].Add(d)), true
		}
		terms.sleep(pause)
		if s.Limit != 0 {
			clear(told) // it was told by other numbers
		}
		l := limit(s)
		for n := range s.Calls {
			v, err := l.Take(context.Background(), s.Key)
			if err != nil {
				return err
			}
			if waited && n == 0 && !v.OK {
				return fmt.Errorf("step %d: refused after the %s that it was told to wait: %+v", i, told[s.Key], v)
			}
			if err := check(s, v); err != nil {
				return fmt.Errorf("step %d at %s, call %d: %w: %+v", i, time.Now().UTC(), n, err, v)
			}
			delete(told, s.Key)
			if !v.OK {
				told[s.Key], at[s.Key] = v.RetryAfter, time.Now()
				break // the rest would be told the same
			}
		}
	}
	return nil
}

// between checks a time against what the model says, within a tolerance.
func between(what string, got, least, most time.Duration) error {
	if got < least || got > most {
		return fmt.Errorf("%s is %s, the model says %s to %s", what, got, least, most)
	}
	return nil
}
