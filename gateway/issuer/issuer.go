// Package issuer is the gateway's own token endpoint: OAuth 2.0 client
// credentials (RFC 6749, section 4.4) with signed access tokens (RFC 9068), the
// keys to check them with (RFC 7517), introspection (RFC 7662), revocation
// (RFC 7009) and metadata (RFC 8414).
//
// Keys and revoked tokens are kept in a Store that all replicas share. A key
// stands among the published ones a while before anything is signed with it,
// and until the last token that it signed has ended, so that whoever keeps the
// published keys for a while always has the right one.
package issuer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
)

// Settings are what the workspace says of the token endpoint.
type Settings struct {
	// Issuer is the iss of the tokens: the address at which callers reach the gateway.
	Issuer string
	// Audience is their aud; Issuer when empty.
	Audience string
	// Algorithm is ES256 or EdDSA.
	Algorithm string
	// Lifetime is how long a token is good for, Rotation how long a key signs,
	// and Overlap how long a key is published before it signs.
	Lifetime, Rotation, Overlap time.Duration
}

// Key is a signing key as it is kept.
type Key struct {
	ID        string
	Algorithm string
	// From is when it begins to sign. It is published at once.
	From time.Time
	// Sealed is the private key, encrypted.
	Sealed []byte
}

// Store keeps what all replicas share. It is safe for concurrent use.
type Store interface {
	// Keys lists the signing keys.
	Keys(ctx context.Context) ([]Key, error)
	// AddKey keeps a key, unless the newest is another one than last (its ID;
	// empty for none): then another replica was faster, and nothing happens.
	AddKey(ctx context.Context, k Key, last string) error
	// RemoveKey forgets a key.
	RemoveKey(ctx context.Context, id string) error
	// Revoke has a token (its jti) refused until it would have ended.
	Revoke(ctx context.Context, token string, until time.Time) error
	// Revoked lists the tokens that are refused, and when they would have ended.
	Revoked(ctx context.Context) (map[string]time.Time, error)
}

// Options are what an Issuer is made with.
type Options struct {
	Settings Settings
	Store    Store
	// Secret encrypts the private keys: 32 bytes.
	Secret []byte
	// Consumers are those of the table that is served; nil before the first.
	Consumers func() *gateway.Consumers
	Log       *slog.Logger
}

// Issuer signs tokens and knows those that it has signed. It is safe for
// concurrent use.
type Issuer struct {
	settings  Settings
	store     Store
	seal      seal
	consumers func() *gateway.Consumers
	log       *slog.Logger
	guard     gateway.Guard
	pace      pace

	known atomic.Pointer[known]
	mu    sync.Mutex // one Refresh at a time
}

// known is what the store held when it was last read. It is immutable.
type known struct {
	ring    ring
	revoked map[string]time.Time
}

// Open makes an Issuer, with a first key where the store has none.
func Open(ctx context.Context, o Options) (*Issuer, error) {
	s, err := newSeal(o.Secret)
	if err != nil {
		return nil, err
	}
	if o.Settings.Audience == "" {
		o.Settings.Audience = o.Settings.Issuer
	}
	i := &Issuer{settings: o.Settings, store: o.Store, seal: s, consumers: o.Consumers, log: o.Log}
	if err := i.Refresh(ctx); err != nil {
		return nil, err
	}
	return i, nil
}

// Refresh reads the store, and does what is due: makes a key in time before the
// newest ends, and forgets those whose tokens have all ended. It is called when
// the store has changed and every minute.
func (i *Issuer) Refresh(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.load(ctx); err != nil {
		return err
	}
	done, err := i.tend(ctx, time.Now())
	if done && err == nil {
		err = i.load(ctx)
	}
	return err
}

func (i *Issuer) load(ctx context.Context) error {
	kept, err := i.store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("the signing keys cannot be read: %w", err)
	}
	revoked, err := i.store.Revoked(ctx)
	if err != nil {
		return fmt.Errorf("the revoked tokens cannot be read: %w", err)
	}
	r, err := newRing(kept, i.seal, i.known.Load())
	if err != nil {
		return err
	}
	i.known.Store(&known{ring: r, revoked: revoked})
	return nil
}

// tend makes and forgets keys; done tells that it did something.
func (i *Issuer) tend(ctx context.Context, now time.Time) (done bool, err error) {
	ring, s := i.known.Load().ring, i.settings
	last, from := "", now
	if n := len(ring); n > 0 {
		last, from = ring[n-1].ID, ring[n-1].From.Add(s.Rotation)
	}
	if len(ring) == 0 || ring[len(ring)-1].Algorithm != s.Algorithm || !now.Before(from.Add(-s.Overlap)) {
		if len(ring) > 0 {
			from = now.Add(s.Overlap)
		}
		k, err := newKey(s.Algorithm, from, i.seal)
		if err != nil {
			return false, err
		}
		if err := i.store.AddKey(ctx, k, last); err != nil {
			return false, fmt.Errorf("a signing key cannot be kept: %w", err)
		}
		i.log.Info("a new signing key", "kid", k.ID, "algorithm", k.Algorithm, "from", k.From)
		done = true
	}
	for _, k := range ring.spent(now, s.Lifetime) {
		if err := i.store.RemoveKey(ctx, k.ID); err != nil {
			return done, fmt.Errorf("an old signing key cannot be forgotten: %w", err)
		}
		i.log.Info("an old signing key is forgotten", "kid", k.ID)
		done = true
	}
	return done, nil
}

// Run keeps the issuer true to the store until ctx ends. changed receives when
// the store may have changed; a minute is the longest between two looks.
func (i *Issuer) Run(ctx context.Context, changed <-chan struct{}) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
		}
		if err := i.Refresh(ctx); err != nil && ctx.Err() == nil {
			i.log.Error("the token endpoint goes on with the keys that it has", "error", err)
		}
	}
}

// Name is the iss of the tokens.
func (i *Issuer) Name() string { return i.settings.Issuer }

// Audience is the aud of the tokens.
func (i *Issuer) Audience() string { return i.settings.Audience }

// Key is the public key of a kid, and the only algorithm that it is good for;
// nil when there is none.
func (i *Issuer) Key(id string) (public crypto.PublicKey, algorithm string) {
	for _, k := range i.known.Load().ring {
		if k.ID == id {
			return k.private.Public(), k.Algorithm
		}
	}
	return nil, ""
}

// Revoked tells that a token (its jti) is refused.
func (i *Issuer) Revoked(token string) bool {
	_, ok := i.known.Load().revoked[token]
	return ok
}

var errNoKey = errors.New("there is no key to sign with yet")

// revoke has a token refused, here at once and elsewhere when the store has told.
func (i *Issuer) revoke(ctx context.Context, token string, until time.Time) error {
	if err := i.store.Revoke(ctx, token, until.Add(leeway)); err != nil {
		return err
	}
	return i.Refresh(ctx)
}
