package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/issuer"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies/jwt"
)

// openIssuer makes the token endpoint; nil when the workspace has none.
func openIssuer(ctx context.Context, dir string, config *workspace.Config, p *parts) (*issuer.Issuer, error) {
	o := config.OAuth
	if o == nil {
		return nil, nil
	}
	secret, err := issuerSecret(dir, o)
	if err != nil {
		return nil, fmt.Errorf("oauth.secret: %w", err)
	}
	i, err := issuer.Open(ctx, issuer.Options{
		Settings: issuerSettings(o), Store: issuerStore{p.ledger}, Secret: secret, Log: p.log,
		Consumers: func() *gateway.Consumers { return p.consumers.Load() },
	})
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return i, nil
}

func issuerSettings(o *workspace.OAuth) issuer.Settings {
	return issuer.Settings{
		Issuer: o.Issuer, Audience: o.Audience, Algorithm: o.Algorithm,
		Lifetime: o.Lifetime.Std(), Rotation: o.Rotation.Std(), Overlap: o.Overlap.Std(),
	}
}

// named stands for the token endpoint where nothing is served: it has its
// names, and no keys.
type named struct{ settings issuer.Settings }

// ownOf is the token endpoint that a workspace says it has, to be looked at only.
func ownOf(config *workspace.Config) jwt.Own {
	if config.OAuth == nil {
		return nil
	}
	return named{issuerSettings(config.OAuth)}
}

func (n named) Name() string { return n.settings.Issuer }

func (n named) Audience() string {
	if n.settings.Audience == "" {
		return n.settings.Issuer
	}
	return n.settings.Audience
}

func (n named) Key(string) (crypto.PublicKey, string) { return nil, "" }
func (n named) Revoked(string) bool                   { return false }

// issuerSecret is the configured secret, or that of a file.
func issuerSecret(dir string, o *workspace.OAuth) ([]byte, error) {
	if !o.Secret.IsZero() {
		return o.Key()
	}
	return fileSecret(dir, "oauth.key")
}

// fileSecret is the secret of a file beside the ledger's, which is made where
// there is none.
func fileSecret(dir, name string) ([]byte, error) {
	state, err := workspace.StateDirectory(dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(state, name)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, workspace.SecretLength)
		rand.Read(key)
		if err := os.MkdirAll(state, 0o700); err != nil {
			return nil, err
		}
		return key, writeSecret(file, hex.EncodeToString(key)+"\n")
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != workspace.SecretLength {
		return nil, fmt.Errorf("%s is damaged: it has %d hexadecimal digits and nothing else", file, 2*workspace.SecretLength)
	}
	return key, nil
}

// writeSecret makes a file that only its owner may read, durable when it returns.
func writeSecret(file, text string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// issuerStore keeps signing keys and revoked tokens in the ledger.
type issuerStore struct{ ledger *ledger.DB }

const (
	signingKeys   = "signing-key"
	revokedTokens = "revoked-token"
)

var issuerItself = ledger.By{Actor: "token endpoint", Role: "gateway"}

// keptKey is the body of a signing key; the key itself is the entry's secret.
type keptKey struct {
	Algorithm string    `json:"algorithm"`
	From      time.Time `json:"from"`
}

func (s issuerStore) Keys(ctx context.Context) ([]issuer.Key, error) {
	c, err := s.ledger.Control(ctx)
	if err != nil {
		return nil, err
	}
	return readKeys(c)
}

func readKeys(c *ledger.Control) ([]issuer.Key, error) {
	var keys []issuer.Key
	for _, e := range c.Of(signingKeys) {
		var k keptKey
		if err := json.Unmarshal(e.Body, &k); err != nil {
			return nil, fmt.Errorf("the signing key %s: %w", e.Name, err)
		}
		keys = append(keys, issuer.Key{ID: e.Name, Algorithm: k.Algorithm, From: k.From, Sealed: e.Secret})
	}
	return keys, nil
}

// newest is the id of the key that signs last; empty when there is none.
func newest(keys []issuer.Key) (id string) {
	var from time.Time
	for _, k := range keys {
		if id == "" || k.From.After(from) {
			id, from = k.ID, k.From
		}
	}
	return id
}

func (s issuerStore) AddKey(ctx context.Context, k issuer.Key, last string) error {
	body, err := json.Marshal(keptKey{k.Algorithm, k.From})
	if err != nil {
		return err
	}
	_, err = s.ledger.ChangeAtOnce(ctx, issuerItself, func(d *ledger.Draft) error {
		keys, err := readKeys(d.Control())
		if err != nil || newest(keys) != last {
			return err // another replica was faster
		}
		return d.Put(ledger.Entry{Kind: signingKeys, Name: k.ID, Body: body, Secret: k.Sealed}, ledger.Absent)
	})
	return err
}

func (s issuerStore) RemoveKey(ctx context.Context, id string) error {
	_, err := s.ledger.ChangeAtOnce(ctx, issuerItself, func(d *ledger.Draft) error {
		if err := d.Delete(signingKeys, id, ledger.Any); !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		return nil
	})
	return err
}

// keptToken is the body of a revoked token.
type keptToken struct {
	Until time.Time `json:"until"`
}

func (s issuerStore) Revoke(ctx context.Context, token string, until time.Time) error {
	body, err := json.Marshal(keptToken{until.UTC()})
	if err != nil {
		return err
	}
	_, err = s.ledger.ChangeAtOnce(ctx, issuerItself, func(d *ledger.Draft) error {
		for _, e := range d.List(revokedTokens, "") { // those that have ended are in nobody's way
			if until, err := endOf(e.Body); err != nil || d.Now.After(until) {
				if err := d.Delete(revokedTokens, e.Name, ledger.Any); err != nil {
					return err
				}
			}
		}
		return d.Put(ledger.Entry{Kind: revokedTokens, Name: token, Body: body}, ledger.Any)
	})
	return err
}

func endOf(body []byte) (time.Time, error) {
	var t keptToken
	err := json.Unmarshal(body, &t)
	return t.Until, err
}

func (s issuerStore) Revoked(ctx context.Context) (map[string]time.Time, error) {
	c, err := s.ledger.Control(ctx)
	if err != nil {
		return nil, err
	}
	revoked := map[string]time.Time{}
	for _, e := range c.Of(revokedTokens) {
		until, err := endOf(e.Body)
		if err != nil {
			return nil, fmt.Errorf("the revoked token %s: %w", e.Name, err)
		}
		revoked[e.Name] = until
	}
	return revoked, nil
}
