package gateway

import (
	"fmt"
	"testing"
	"time"
)

func TestGuard(t *testing.T) {
	var g Guard
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if !g.Quiet() {
		t.Error("a new guard remembers something")
	}
	for range freeGuesses {
		if b := g.Blocked("a", now); b != 0 {
			t.Fatalf("blocked for %s", b)
		}
		g.Wrong("a", now)
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if b := g.Blocked("a", now); b != want*time.Second {
			t.Errorf("blocked for %s, not %d s", b, want)
		}
		if b := g.Blocked("a", now.Add(want*time.Second)); b != 0 {
			t.Errorf("still blocked for %s", b)
		}
		g.Wrong("a", now)
	}
	if g.Blocked("b", now) != 0 {
		t.Error("another is blocked")
	}
	if g.Wrong("a", now.Add(guessesKept+time.Second)); g.Blocked("a", now.Add(guessesKept+time.Second)) != 0 {
		t.Error("what is long ago counts")
	}
	if g.Right("a"); !g.Quiet() {
		t.Error("the right one is not believed")
	}
}

// However many are guessed at, the guard stays within its bound.
func TestGuardIsBounded(t *testing.T) {
	var g Guard
	now := time.Now()
	for n := range mostGuessed + 1000 {
		g.Wrong(fmt.Sprint(n), now)
	}
	if n := len(g.wrong); n > mostGuessed || n < mostGuessed/2 {
		t.Errorf("%d are remembered", n)
	}
}
