package issuer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// memory is a Store that outlasts no process.
type memory struct {
	mu      sync.Mutex
	keys    []Key
	revoked map[string]time.Time
	failure error
}

func (m *memory) Keys(context.Context) ([]Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.keys), m.failure
}

func (m *memory) AddKey(_ context.Context, k Key, last string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.keys); n > 0 && m.keys[n-1].ID == last || n == 0 && last == "" {
		m.keys = append(m.keys, k)
	}
	return m.failure
}

func (m *memory) RemoveKey(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = slices.DeleteFunc(m.keys, func(k Key) bool { return k.ID == id })
	return m.failure
}

func (m *memory) Revoke(_ context.Context, token string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revoked == nil {
		m.revoked = map[string]time.Time{}
	}
	m.revoked[token] = until
	return m.failure
}

func (m *memory) Revoked(context.Context) (map[string]time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.revoked), m.failure
}

var someSettings = Settings{Issuer: "https://api.example.com", Algorithm: "ES256", Lifetime: 15 * time.Minute, Rotation: 30 * 24 * time.Hour, Overlap: time.Hour}

func secret() []byte {
	s := make([]byte, SecretLength)
	rand.Read(s)
	return s
}

// consumers has the app shop with the client shop-client, whose secret is "right".
func consumers(t *testing.T) *gateway.Consumers {
	t.Helper()
	const file = `
organisations: {acme: {title: Acme}}
apps:
  shop:
    organisation: acme
    oauth:
      - {id: shop-client, hash: "sha256:27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9", scopes: [orders:read, orders:write]}
      - {id: ending, hash: "sha256:27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9", expires: 2000-01-01T00:05:00Z}
  other:
    organisation: acme
    oauth: [{id: other-client, hash: "sha256:27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9"}]
  off:
    organisation: acme
    disabled: true
    oauth: [{id: off-client, hash: "sha256:27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9"}]
`
	var ps source.Problems
	var parsed gateway.ConsumerFile
	source.Decode(source.Parse("consumers.yaml", []byte(file), source.DefaultLimits, &ps), &parsed, &ps)
	c := gateway.NewConsumers(&parsed, nil, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, m *memory, settings Settings) *Issuer {
	t.Helper()
	c := consumers(t)
	i, err := Open(t.Context(), Options{
		Settings: settings, Store: m, Secret: make([]byte, SecretLength), Log: slog.New(slog.DiscardHandler),
		Consumers: func() *gateway.Consumers { return c },
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// call sends a form to an endpoint, as the client id with its secret.
func call(t *testing.T, i *Issuer, handler func(*gateway.Exchange) (*gateway.Response, error), form url.Values, auth ...string) (*gateway.Response, map[string]any) {
	t.Helper()
	r := httptest.NewRequest("POST", "/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(auth) > 0 {
		r.SetBasicAuth(auth[0], auth[1])
	}
	resp, err := handler(&gateway.Exchange{Request: r, BodyLimit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]any{}
	if err := json.Unmarshal(resp.Bytes, &said); err != nil {
		t.Fatalf("%v in %q", err, resp.Bytes)
	}
	return resp, said
}

func request(t *testing.T, i *Issuer, form url.Values, auth ...string) (*gateway.Response, map[string]any) {
	t.Helper()
	e := endpoints{i}
	return call(t, i, e.form(e.token), form, auth...)
}

var grant = url.Values{"grant_type": {"client_credentials"}}

func with(pairs ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	for n := 0; n < len(pairs); n += 2 {
		form.Add(pairs[n], pairs[n+1])
	}
	return form
}

func TestToken(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		settings := someSettings
		settings.Algorithm = algorithm
		i := open(t, &memory{}, settings)
		resp, said := request(t, i, with("scope", "orders:read"), "shop-client", "right")
		if resp.Status != 200 || said["token_type"] != "Bearer" || said["expires_in"] != 900.0 || said["scope"] != "orders:read" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", resp.Status, said)
		}
		// Whoever has the published keys can check it.
		var c claims
		parsed, err := jwt.ParseWithClaims(said["access_token"].(string), &c, published(t, i), jwt.WithValidMethods([]string{algorithm}))
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Header["typ"] != "at+jwt" || c.Client != "shop-client" || c.Subject != "shop-client" || c.Issuer != i.Name() || !slices.Contains(c.Audience, i.Audience()) || c.ID == "" || c.Scope != "orders:read" {
			t.Errorf("%v %+v", parsed.Header, c)
		}
	}
}

// published looks keys up among those that are published.
func published(t *testing.T, i *Issuer) jwt.Keyfunc {
	t.Helper()
	resp, err := endpoints{i}.keys(nil)
	if err != nil {
		t.Fatal(err)
	}
	return keyIn(t, resp.Bytes)
}

func TestSecretInForm(t *testing.T) {
	i := open(t, &memory{}, someSettings)
	resp, said := request(t, i, with("client_id", "shop-client", "client_secret", "right"))
	if resp.Status != 200 || said["scope"] != "orders:read orders:write" {
		t.Errorf("%d %v", resp.Status, said)
	}
}

func TestTokenRefused(t *testing.T) {
	long := with("client_id", "shop-client", "client_secret", "right")
	for name, c := range map[string]struct {
		form   url.Values
		auth   []string
		status int
		code   string
	}{
		"wrong secret":     {grant, []string{"shop-client", "wrong"}, 401, "invalid_client"},
		"unknown client":   {grant, []string{"nobody", "right"}, 401, "invalid_client"},
		"disabled app":     {grant, []string{"off-client", "right"}, 401, "invalid_client"},
		"ended secret":     {grant, []string{"ending", "right"}, 401, "invalid_client"},
		"nobody":           {grant, nil, 401, "invalid_client"},
		"secret twice":     {long, []string{"shop-client", "right"}, 400, "invalid_request"},
		"no grant":         {url.Values{}, []string{"shop-client", "right"}, 400, "invalid_request"},
		"another grant":    {url.Values{"grant_type": {"password"}}, []string{"shop-client", "right"}, 400, "unsupported_grant_type"},
		"grant twice":      {url.Values{"grant_type": {"client_credentials", "client_credentials"}}, []string{"shop-client", "right"}, 400, "invalid_request"},
		"scope of another": {with("scope", "orders:read admin"), []string{"shop-client", "right"}, 400, "invalid_scope"},
		"no scope to have": {with("scope", "orders:read"), []string{"other-client", "right"}, 400, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, said := request(t, open(t, &memory{}, someSettings), c.form, c.auth...)
			if resp.Status != c.status || said["error"] != c.code {
				t.Errorf("%d %v", resp.Status, said)
			}
			if (resp.Header.Get("WWW-Authenticate") != "") != (c.status == 401) {
				t.Errorf("the challenge is %q", resp.Header.Get("WWW-Authenticate"))
			}
			if strings.Contains(string(resp.Bytes), "right") || strings.Contains(string(resp.Bytes), "wrong.") {
				t.Errorf("the answer repeats the secret: %s", resp.Bytes)
			}
		})
	}
	i := open(t, &memory{}, someSettings)
	r := httptest.NewRequest("POST", "/oauth2/token", strings.NewReader(`{"grant_type":"client_credentials"}`))
	r.Header.Set("Content-Type", "application/json")
	e := endpoints{i}
	if resp, err := e.form(e.token)(&gateway.Exchange{Request: r, BodyLimit: 1 << 20}); err != nil || resp.Status != 400 {
		t.Errorf("JSON: %v %v", resp, err)
	}
}

// Guessing gets slower with each wrong secret; the right one is refused with them, from there only.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := open(t, &memory{}, someSettings)
		for range 10 {
			if resp, _ := request(t, i, grant, "shop-client", "wrong"); resp.Status != 401 {
				t.Fatal(resp.Status)
			}
		}
		resp, _ := request(t, i, grant, "shop-client", "right")
		if resp.Status != 429 || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%d %q", resp.Status, resp.Header.Get("Retry-After"))
		}
		if resp, _ := request(t, i, grant, "other-client", "right"); resp.Status != 200 {
			t.Errorf("another client: %d", resp.Status)
		}
		// Ids that no client can have are not remembered.
		quiet := open(t, &memory{}, someSettings)
		if resp, _ := request(t, quiet, grant, strings.Repeat("x", gateway.LongestClientID+1), "wrong"); resp.Status != 401 || !quiet.guard.Quiet() {
			t.Errorf("%d, and the id is remembered", resp.Status)
		}
		time.Sleep(time.Second)
		if resp, _ := request(t, i, grant, "shop-client", "wrong"); resp.Status != 401 {
			t.Errorf("after a second: %d", resp.Status)
		}
		time.Sleep(time.Second)
		if resp, _ := request(t, i, grant, "shop-client", "right"); resp.Status != 429 {
			t.Errorf("the second block is not longer: %d", resp.Status)
		}
		time.Sleep(time.Second)
		if resp, _ := request(t, i, grant, "shop-client", "right"); resp.Status != 200 {
			t.Errorf("after the block: %d", resp.Status)
		}
	})
}

// No token outlives the secret that it was given for.
func TestTokenOfAnEndingSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins in the year 2000
		_, said := request(t, open(t, &memory{}, someSettings), grant, "ending", "right")
		if said["expires_in"] != 300.0 {
			t.Error(said)
		}
	})
}

func TestRevocationAndIntrospection(t *testing.T) {
	i := open(t, &memory{}, someSettings)
	e := endpoints{i}
	_, said := request(t, i, with("scope", "orders:read"), "shop-client", "right")
	token := url.Values{"token": {said["access_token"].(string)}}
	active := func(auth ...string) any {
		_, said := call(t, i, e.form(e.introspect), token, auth...)
		return said["active"]
	}
	if active("shop-client", "right") != true || active("other-client", "right") != false {
		t.Fatal("only its own client is told of a token")
	}
	if resp, _ := call(t, i, e.form(e.revoke), token, "other-client", "right"); resp.Status != 200 || active("shop-client", "right") != true {
		t.Error("another client revoked the token")
	}
	if resp, _ := call(t, i, e.form(e.revoke), url.Values{}, "shop-client", "right"); resp.Status != 400 {
		t.Error("a revocation of nothing")
	}
	if resp, _ := call(t, i, e.form(e.revoke), token, "shop-client", "right"); resp.Status != 200 || active("shop-client", "right") != false {
		t.Error("the token lives")
	}
	read, err := i.read(token.Get("token"))
	if err != nil || !i.Revoked(read.ID) {
		t.Errorf("%v %v", read, err)
	}
	for _, foreign := range []string{"", "x", said["access_token"].(string) + "x", unsigned(t, i)} {
		if _, said := call(t, i, e.form(e.introspect), url.Values{"token": {foreign}}, "shop-client", "right"); said["active"] != false {
			t.Errorf("%.20q is active", foreign)
		}
	}
}

// unsigned is a token that nobody has signed.
func unsigned(t *testing.T, i *Issuer) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": i.Name(), "aud": i.Audience(), "client_id": "shop-client", "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["kid"], token.Header["typ"] = i.known.Load().ring[0].ID, "at+jwt"
	text, err := token.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A key is published before it signs, and until the last token that it signed has ended.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		i := open(t, m, someSettings)
		first := i.known.Load().ring.signing(time.Now()).ID
		step := func(d time.Duration) (signs string, published int) {
			time.Sleep(d)
			if err := i.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			return i.known.Load().ring.signing(time.Now()).ID, len(i.known.Load().ring)
		}
		if id, n := step(someSettings.Rotation - someSettings.Overlap - time.Minute); id != first || n != 1 {
			t.Fatalf("%s %d", id, n)
		}
		if id, n := step(2 * time.Minute); id != first || n != 2 {
			t.Fatalf("the next key is not published in time: %s %d", id, n)
		}
		_, said := request(t, i, grant, "shop-client", "right")
		second, n := step(someSettings.Overlap)
		if second == first || n != 2 {
			t.Fatalf("%s %d", second, n)
		}
		if _, err := i.read(said["access_token"].(string)); err == nil {
			t.Error("the token should have ended by now")
		}
		if id, n := step(someSettings.Lifetime + leeway); id != second || n != 1 {
			t.Errorf("the old key is kept: %d", n)
		}
	})
}

// Two replicas that rotate at once make one key.
func TestTwoReplicasRotate(t *testing.T) {
	m := &memory{}
	a, b := open(t, m, someSettings), open(t, m, someSettings)
	changed := someSettings
	changed.Algorithm = "EdDSA"
	a.settings, b.settings = changed, changed
	var g sync.WaitGroup
	for _, i := range []*Issuer{a, b} {
		g.Go(func() {
			if err := i.Refresh(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if len(m.keys) != 2 {
		t.Errorf("%d keys", len(m.keys))
	}
}

func TestWrongSecretForKeys(t *testing.T) {
	m := &memory{}
	open(t, m, someSettings)
	_, err := Open(t.Context(), Options{Settings: someSettings, Store: m, Secret: secret(), Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "it was encrypted with another secret") {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), Options{Settings: someSettings, Store: m, Secret: []byte("short"), Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a short secret is taken")
	}
	// Keys cannot be exchanged for each other.
	m.keys[0].ID = "another"
	if _, err := Open(t.Context(), Options{Settings: someSettings, Store: m, Secret: make([]byte, SecretLength), Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a key is taken under another name")
	}
}

// While the store is away, the keys that are known go on.
func TestStoreAway(t *testing.T) {
	m := &memory{}
	i := open(t, m, someSettings)
	m.mu.Lock()
	m.failure = io.ErrUnexpectedEOF
	m.mu.Unlock()
	if err := i.Refresh(t.Context()); err == nil {
		t.Error("nothing is said")
	}
	resp, said := request(t, i, grant, "shop-client", "right")
	if resp.Status != http.StatusOK {
		t.Fatal(said)
	}
	e := endpoints{i}
	if resp, _ := call(t, i, e.form(e.revoke), url.Values{"token": {said["access_token"].(string)}}, "shop-client", "right"); resp.Status != http.StatusServiceUnavailable {
		t.Errorf("a revocation that is not kept: %d", resp.Status)
	}
}

// A client cannot fill what all replicas keep of revoked tokens.
func TestRevocationsHaveAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		i := open(t, m, someSettings)
		e := endpoints{i}
		revoke := func(client string) *gateway.Response {
			_, said := request(t, i, grant, client, "right")
			resp, _ := call(t, i, e.form(e.revoke), url.Values{"token": {said["access_token"].(string)}}, client, "right")
			return resp
		}
		for range mostRevocations {
			if resp := revoke("shop-client"); resp.Status != 200 {
				t.Fatal(resp.Status)
			}
		}
		time.Sleep(20 * time.Second)
		if resp := revoke("shop-client"); resp.Status != 429 || resp.Header.Get("Retry-After") != "40" || len(m.revoked) != mostRevocations {
			t.Errorf("%d %v, %d kept", resp.Status, resp.Header, len(m.revoked))
		}
		if resp := revoke("other-client"); resp.Status != 200 {
			t.Errorf("another client: %d", resp.Status)
		}
		time.Sleep(40 * time.Second)
		if resp := revoke("shop-client"); resp.Status != 200 {
			t.Errorf("a minute later: %d", resp.Status)
		}
	})
}
