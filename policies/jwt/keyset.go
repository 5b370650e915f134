package jwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// fetchTimeout bounds one attempt to fetch keys, discovery included, and so
// how long a request waits for it.
const fetchTimeout = 5 * time.Second

// origin is where keys come from and how often. Equal origins share a key set.
type origin struct {
	// One of the three is given; issuer means discovery.
	url, file, issuer              string
	refresh, maxStale, minInterval time.Duration
}

// keySet has the keys of an issuer. It keeps no goroutine: what is due is
// fetched beside the request that notices.
type keySet struct {
	origin
	client  *http.Client
	timeout time.Duration // of one attempt
	log     *slog.Logger
	// rotated is called after keys were dropped.
	rotated func()

	current atomic.Pointer[snapshot] // nil before the first success
	due     atomic.Int64             // when keys are fetched again, in Unix nanoseconds

	mu        sync.Mutex
	attempted time.Time // when the last attempt began
	failure   error     // of the last attempt
	running   chan struct{}
}

// snapshot is what an issuer listed at one time.
type snapshot struct {
	fetched time.Time
	keys    []*key
	byID    map[string][]*key
}

// unavailable is the error of an issuer whose keys are not there.
type unavailable struct {
	cause      error
	retryAfter time.Duration
}

func (e *unavailable) Error() string { return "no keys of the issuer: " + e.cause.Error() }
func (e *unavailable) Unwrap() error { return e.cause }

var (
	errUnknownKey = errors.New("no key of the issuer has this kid and fits the algorithm")
	errNoKeyID    = errors.New("the token has no kid, and not exactly one key of the issuer fits the algorithm")
)

// alive tells whether the keys may still be used, and has them fetched when
// that is due. It never waits.
func (s *keySet) alive(_ *claims, now time.Time) bool {
	snap := s.current.Load()
	if snap == nil {
		return false
	}
	if now.UnixNano() >= s.due.Load() {
		s.begin(now)
	}
	age := now.Sub(snap.fetched)
	return age <= s.maxStale && !s.asleep(age)
}

// asleep tells that keys of this age are old because nobody has called for
// long, and not because the issuer is away.
func (s *keySet) asleep(age time.Duration) bool {
	return age > 2*s.refresh && s.lastFailure() == nil
}

// find is the key for a token. Where the kid is not known, the keys are
// fetched again, unless that was tried a moment ago. The error is
// *unavailable when there are no keys to decide by.
func (s *keySet) find(ctx context.Context, algorithm, id string) (*key, error) {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if k, err := snap.find(algorithm, id); !errors.Is(err, errUnknownKey) {
		return k, err
	}
	if !s.await(ctx, s.begin(time.Now())) {
		return nil, errUnknownKey
	}
	return s.current.Load().find(algorithm, id)
}

func (s *snapshot) find(algorithm, id string) (*key, error) {
	candidates, none := s.byID[id], errUnknownKey
	if id == "" {
		candidates, none = s.keys, errNoKeyID
	}
	var found *key
	for _, k := range candidates {
		if !k.fits(algorithm) {
			continue
		}
		if found != nil {
			return nil, none
		}
		found = k
	}
	if found == nil {
		return nil, none
	}
	return found, nil
}

// snapshot gives the keys. It waits where there are none that can be used, and
// where they have not been fetched for long because nobody has called.
func (s *keySet) snapshot(ctx context.Context) (*snapshot, error) {
	now := time.Now()
	snap := s.current.Load()
	wait := snap == nil || now.Sub(snap.fetched) > s.maxStale || s.asleep(now.Sub(snap.fetched))
	if !wait && now.UnixNano() < s.due.Load() {
		return snap, nil
	}
	if running := s.begin(now); wait {
		s.await(ctx, running)
		snap = s.current.Load()
	}
	if snap == nil || now.Sub(snap.fetched) > s.maxStale {
		return nil, s.unavailable(now)
	}
	return snap, nil
}

// reload fetches the keys and waits for them, unless that was tried a moment
// ago. The error is that of the last attempt.
func (s *keySet) reload() error {
	s.await(context.Background(), s.begin(time.Now()))
	return s.lastFailure()
}

func (s *keySet) lastFailure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

func (s *keySet) unavailable(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cause := s.failure
	if cause == nil {
		cause = errors.New("they are still being fetched")
	}
	return &unavailable{cause: cause, retryAfter: max(time.Second, s.attempted.Add(s.minInterval).Sub(now))}
}

// begin has the keys fetched and returns what is closed at the end of the
// attempt that is under way; nil when the last one was too short ago.
func (s *keySet) begin(now time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running
	}
	if !s.attempted.IsZero() && now.Sub(s.attempted) < s.minInterval {
		return nil
	}
	s.attempted = now
	s.due.Store(now.Add(s.minInterval).UnixNano())
	running := make(chan struct{})
	s.running = running
	go func() {
		defer close(running)
		if err := s.load(); err != nil {
			s.log.Warn("the keys of an issuer cannot be fetched", "from", s.name(), "error", err)
		}
	}()
	return running
}

// await waits for an attempt; false when there is none, or the caller left.
func (s *keySet) await(ctx context.Context, running <-chan struct{}) bool {
	if running == nil {
		return false
	}
	select {
	case <-running:
		return true
	case <-ctx.Done():
		return false
	}
}

// load fetches the keys and puts them in place of the old ones.
func (s *keySet) load() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	dropped := false
	s.mu.Lock()
	s.running, s.failure = nil, err
	if err == nil {
		dropped = s.install(keys)
	}
	s.mu.Unlock()
	if dropped {
		s.rotated()
	}
	return err
}

// install replaces the keys. Keys that are listed again stay the same objects,
// so that the tokens that they verified stay verified; the others are dropped.
func (s *keySet) install(keys []*key) (dropped bool) {
	now := time.Now()
	next := &snapshot{fetched: now, byID: map[string][]*key{}}
	old := map[[32]byte]*key{}
	if snap := s.current.Load(); snap != nil {
		for _, k := range snap.keys {
			old[k.fingerprint] = k
		}
	}
	seen := map[[32]byte]bool{}
	for _, k := range keys {
		if seen[k.fingerprint] {
			continue
		}
		seen[k.fingerprint] = true
		if same := old[k.fingerprint]; same != nil {
			k = same
			delete(old, k.fingerprint)
		}
		next.keys = append(next.keys, k)
		next.byID[k.id] = append(next.byID[k.id], k)
	}
	s.current.Store(next)
	s.due.Store(now.Add(s.refresh).UnixNano())
	for _, k := range old {
		k.dropped.Store(true)
	}
	return len(old) > 0
}

// name says in the log where keys come from.
func (s *keySet) name() string {
	switch {
	case s.file != "":
		return s.file
	case s.issuer != "":
		return fmt.Sprintf("%s%s", s.issuer, discoveryPath)
	}
	return s.url
}
