package jwt

import (
	"crypto"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
)

// endpoint is a token endpoint of the gateway with one key.
type endpoint struct {
	key     *signer
	revoked atomic.Pointer[string]
	gone    atomic.Bool
}

func (e *endpoint) Name() string     { return "https://own.example" }
func (e *endpoint) Audience() string { return "own" }

func (e *endpoint) Key(id string) (crypto.PublicKey, string) {
	if id != e.key.id || e.gone.Load() {
		return nil, ""
	}
	return e.key.private.Public(), e.key.algorithm
}

func (e *endpoint) Revoked(token string) bool {
	r := e.revoked.Load()
	return r != nil && *r == token
}

const ownConsumers = `
organisations: {acme: {title: Acme}}
apps:
  shop:
    organisation: acme
    clients: [{issuer: "https://own.example", id: foreign}]
    oauth:
      - {id: shop-client, hash: "sha256:27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9"}
      - {id: ended, hash: "sha256:27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9", expires: 2001-01-01}
`

func own(t *testing.T) (*endpoint, *policytest.Server) {
	t.Helper()
	e := &endpoint{key: signers()["ES256"]}
	s := newState(quiet())
	s.own = e
	return e, policytest.New(t, policytest.Options{Kinds: []gateway.Kind{s.kind()}, Consumers: ownConsumers, Policies: "jwt: {own: true}"})
}

func (e *endpoint) token(t *testing.T, more map[string]any) string {
	claims := map[string]any{"iss": e.Name(), "aud": e.Audience(), "client_id": "shop-client", "jti": "one", "scope": "orders:read"}
	for name, value := range more {
		claims[name] = value
	}
	return e.key.sign(t, nil, claims)
}

func TestOwnTokens(t *testing.T) {
	e, s := own(t)
	if a := get(t, s, e.token(t, nil)); a.Status != 200 || a.Seen.App != "shop" || a.Seen.Scopes[0] != "orders:read" {
		t.Fatalf("%d %s %s", a.Status, a.Detail, s.Causes())
	}
	for name, more := range map[string]map[string]any{
		"another audience":      {"aud": "orders"},
		"another issuer":        {"iss": issuerName},
		"an unknown client":     {"client_id": "nobody"},
		"a client of others":    {"client_id": "foreign"},
		"a secret that is over": {"client_id": "ended"},
	} {
		if a := get(t, s, e.token(t, more)); a.Status != 401 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if a := get(t, s, signers()["RS256"].sign(t, nil, map[string]any{"iss": e.Name(), "aud": e.Audience(), "client_id": "shop-client"})); a.Status != 401 {
		t.Errorf("a key of somebody else: %d", a.Status)
	}
}

// A token that was revoked is refused at once, also one that was verified before.
func TestOwnTokenRevoked(t *testing.T) {
	e, s := own(t)
	token := e.token(t, nil)
	if a := get(t, s, token); a.Status != 200 {
		t.Fatal(a.Status, a.Detail)
	}
	id := "one"
	e.revoked.Store(&id)
	if a := get(t, s, token); a.Status != 401 || !strings.Contains(a.Detail, "revoked") {
		t.Errorf("%d %s", a.Status, a.Detail)
	}
	if a := get(t, s, e.token(t, map[string]any{"jti": "two"})); a.Status != 200 {
		t.Errorf("another token: %d", a.Status)
	}
	e.gone.Store(true)
	if a := get(t, s, e.token(t, map[string]any{"jti": "two"})); a.Status != 401 {
		t.Errorf("a key that is gone: %d", a.Status)
	}
}

func TestOwnIssuerTwice(t *testing.T) {
	s := newState(quiet())
	s.own = &endpoint{key: signers()["ES256"]}
	o := policytest.Options{Kinds: []gateway.Kind{s.kind()}, Consumers: ownConsumers,
		Policies: `jwt: {own: true, issuers: [{issuer: "https://own.example", audiences: own, jwks_url: "https://own.example/keys"}]}`}
	if got := strings.Join(policytest.Problems(t, o), "\n"); got != "jwt.issuers[0].issuer: is the gateway itself; own: true is enough" {
		t.Error(got)
	}
}
