package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// Guard slows down those who guess credentials. It counts wrong ones by what was
// guessed and from where; after a few, more are refused unseen for a while that
// doubles with each. The right credential is refused with them, from that
// address only. The zero value is ready; it is safe for concurrent use.
type Guard struct {
	mu    sync.Mutex
	wrong map[string]*wrong
	count atomic.Int64 // of wrong
}

type wrong struct {
	count int
	last  time.Time
}

const (
	freeGuesses  = 10
	longestBlock = time.Minute
	// guessesKept is how long a wrong guess is remembered, mostGuessed how many are.
	guessesKept = 10 * time.Minute
	mostGuessed = 50_000
)

// Quiet tells that nothing wrong is remembered, so that nobody is blocked. It
// costs next to nothing.
func (g *Guard) Quiet() bool { return g.count.Load() == 0 }

// Blocked says for how long credentials with this key are refused unseen; zero
// when they are not.
func (g *Guard) Blocked(key string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wrong[key]
	if w == nil || w.count < freeGuesses {
		return 0
	}
	block := longestBlock
	if n := w.count - freeGuesses; n < 6 {
		block = min(block, time.Second<<n)
	}
	return max(0, block-now.Sub(w.last))
}

// Wrong notes a wrong credential.
func (g *Guard) Wrong(key string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wrong == nil {
		g.wrong = map[string]*wrong{}
	}
	w := g.wrong[key]
	if w == nil || now.Sub(w.last) > guessesKept {
		if len(g.wrong) >= mostGuessed {
			g.sweep(now)
		}
		w = &wrong{}
		g.wrong[key] = w
	}
	w.count++
	w.last = now
	g.count.Store(int64(len(g.wrong)))
}

// sweep makes room: it forgets what is old, or else a tenth of all.
func (g *Guard) sweep(now time.Time) {
	for key, w := range g.wrong {
		if now.Sub(w.last) > guessesKept {
			delete(g.wrong, key)
		}
	}
	for key := range g.wrong {
		if len(g.wrong) < mostGuessed*9/10 {
			return
		}
		delete(g.wrong, key)
	}
}

// Right forgets the wrong guesses.
func (g *Guard) Right(key string) {
	g.mu.Lock()
	delete(g.wrong, key)
	g.count.Store(int64(len(g.wrong)))
	g.mu.Unlock()
}
