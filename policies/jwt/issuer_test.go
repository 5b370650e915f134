package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
	"github.com/headrace/headrace/specs"
)

// signer is a private key that an issuer signs with.
type signer struct {
	id, algorithm string
	private       crypto.Signer
	// public is what stands in the key set; more may be written over it.
	public map[string]any
}

// signers makes a key for each algorithm, once for all tests.
var signers = sync.OnceValue(func() map[string]*signer {
	all := map[string]*signer{}
	two, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	for _, algorithm := range algorithms {
		var private crypto.Signer = two
		switch algorithm {
		case "ES256":
			private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		case "ES384":
			private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		case "ES512":
			private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		case "EdDSA":
			_, private, err = ed25519.GenerateKey(rand.Reader)
		}
		if err != nil {
			panic(err)
		}
		all[algorithm] = newSigner("key-"+algorithm, algorithm, private)
	}
	return all
})

func newSigner(id, algorithm string, private crypto.Signer) *signer {
	jwk, err := jwkset.NewJWKFromKey(private.Public(), jwkset.JWKOptions{})
	if err != nil {
		panic(err)
	}
	data, err := json.Marshal(jwk.Marshal())
	if err != nil {
		panic(err)
	}
	s := &signer{id: id, algorithm: algorithm, private: private}
	if err := json.Unmarshal(data, &s.public); err != nil {
		panic(err)
	}
	s.public["kid"], s.public["alg"], s.public["use"] = id, algorithm, "sig"
	return s
}

// freshES256 makes a signer that no other test has.
func freshES256(t testing.TB, id string) *signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(id, "ES256", private)
}

// with is the signer with other values in the key set.
func (s *signer) with(changes map[string]any) *signer {
	other := *s
	other.public = maps.Clone(s.public)
	for name, value := range changes {
		if value == nil {
			delete(other.public, name)
		} else {
			other.public[name] = value
		}
	}
	return &other
}

// sign makes a token. Values in header and claims are added to the usual ones;
// nil removes one.
func (s *signer) sign(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(s.algorithm), jwt.MapClaims(merge(map[string]any{
		"iss": issuerName, "aud": "orders", "client_id": "shop", "scope": "orders:read orders:write",
		"exp": time.Now().Add(5 * time.Minute).Unix(), "iat": time.Now().Unix(),
	}, claims)))
	token.Header = merge(map[string]any{"alg": s.algorithm, "typ": "at+jwt", "kid": s.id}, header)
	text, err := token.SignedString(s.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func merge(values, changes map[string]any) map[string]any {
	for name, value := range changes {
		if value == nil {
			delete(values, name)
		} else {
			values[name] = value
		}
	}
	return values
}

func keySetOf(signers ...*signer) []byte {
	keys := []map[string]any{}
	for _, s := range signers {
		keys = append(keys, s.public)
	}
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return data
}

const issuerName = "https://login.example.com/realms/partners"

// idp serves a key set.
type idp struct {
	*httptest.Server
	mu      sync.Mutex
	answer  http.HandlerFunc
	fetches int
}

func newIDP(t testing.TB, signers ...*signer) *idp {
	i := &idp{}
	i.list(signers...)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.fetches++
		answer := i.answer
		i.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *idp) set(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

// list has the server answer with these keys from now on.
func (i *idp) list(signers ...*signer) {
	data := keySetOf(signers...)
	i.set(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
}

// fail has the server answer with an error from now on.
func (i *idp) fail() {
	i.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
}

func (i *idp) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

const consumers = `
organisations: {acme: {}}
apps:
  shop:
    organisation: acme
    clients: [{issuer: 'https://login.example.com/realms/partners', id: shop}, {issuer: 'https://sts.example.net', id: shop-2}]
  other: {organisation: acme, clients: [{issuer: 'https://login.example.com/realms/partners', id: other}]}
  disabled: {organisation: acme, disabled: true, clients: [{issuer: 'https://login.example.com/realms/partners', id: disabled}]}
`

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// options configure an operation whose tokens come from an address; more is
// added to the settings of the issuer.
func options(s *state, url, more string) policytest.Options {
	return policytest.Options{
		Kinds: []gateway.Kind{s.kind()}, Consumers: consumers,
		Policies: fmt.Sprintf("jwt: {issuers: [{issuer: %q, jwks_url: %q, audiences: [orders, all] %s}]}", issuerName, url, more),
		Schemes: map[string]*specs.SecurityScheme{
			"bearer": {Type: "http", HTTPScheme: "bearer"}, "key": {Type: "apiKey"}, "oauth": {Type: "oauth2"}, "oidc": {Type: "openIdConnect"},
		},
	}
}

// serve starts a gateway for tokens of an issuer.
func serve(t testing.TB, i *idp, more string) *policytest.Server {
	t.Helper()
	return policytest.New(t, options(newState(quiet()), i.URL, more))
}

func get(t testing.TB, s *policytest.Server, token string) policytest.Answer {
	t.Helper()
	return s.Get(t, "/orders", "Authorization", "Bearer "+token)
}

// A claim is named, or a path leads to it.
func TestLookUp(t *testing.T) {
	said := map[string]any{
		"groups":                    "a",
		"https://example.com/roles": "b",
		"realm_access":              map[string]any{"roles": "c", "deep": map[string]any{"er": "d"}},
		"realm_access.roles":        "at the top",
		"resource_access":           map[string]any{"head.race": map[string]any{"roles": "e"}},
		"list":                      []any{"f"},
	}
	for name, want := range map[string]any{
		"groups": "a", "https://example.com/roles": "b", "realm_access.roles": "at the top", "realm_access.deep.er": "d", `resource_access.head\.race.roles`: "e",
		"none": nil, "realm_access.none": nil, "realm_access.roles.none": nil, "list.0": nil, "groups.a": nil, "resource_access.head.race.roles": nil, "": nil,
	} {
		got, ok := lookUp(said, name)
		if got != want || ok != (want != nil) {
			t.Errorf("%q: %v, %v", name, got, ok)
		}
	}
	for name, fine := range map[string]bool{"roles": true, "a.b": true, `a\.b`: true, `a\..b`: true, "": false, ".": false, "a.": false, ".a": false, "a..b": false} {
		if err := CheckClaim(name); (err == nil) != fine {
			t.Errorf("%q: %v", name, err)
		}
	}
}
