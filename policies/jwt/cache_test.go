package jwt

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/policies/policytest"
)

func numbered(n int) *tokenID {
	return &tokenID{digest: sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache()
	now := time.Now()
	said := &claims{expires: now.Add(time.Hour), key: &key{}}
	favourite := numbered(-1)
	c.put(favourite, said, now)
	for n := range 10 * shardCount * shardCapacity {
		now = now.Add(time.Microsecond)
		c.put(numbered(n), said, now)
		if n%100 == 0 && c.get(favourite, now) == nil {
			t.Fatal("the token that is used most had to go")
		}
	}
	if n := c.len(); n > shardCount*shardCapacity || n < shardCount*shardCapacity*9/10 {
		t.Errorf("%d tokens are remembered", n)
	}
}

func TestCacheEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		now := time.Now()
		alive, gone := &key{}, &key{}
		c.put(numbered(1), &claims{expires: now.Add(time.Minute), key: alive}, now)
		c.put(numbered(2), &claims{expires: now.Add(time.Hour), key: alive}, now)
		c.put(numbered(3), &claims{expires: now.Add(time.Hour), key: gone}, now)
		if c.get(numbered(1), now.Add(time.Minute-1)) == nil || c.get(numbered(4), now) != nil {
			t.Error("before the end")
		}
		if c.get(&tokenID{digest: numbered(1).digest, verifier: 1}, now) != nil {
			t.Error("the verdict of other rules counts")
		}
		if c.get(numbered(1), now.Add(time.Minute)) != nil {
			t.Error("a token outlives its end")
		}
		gone.dropped.Store(true)
		if c.get(numbered(3), now) != nil {
			t.Error("a token outlives its key")
		}
		c.put(numbered(1), &claims{expires: now.Add(time.Minute), key: alive}, now)
		c.put(numbered(3), &claims{expires: now.Add(time.Hour), key: gone}, now)
		time.Sleep(2 * time.Minute)
		if c.purge(); c.len() != 1 {
			t.Errorf("%d tokens are left", c.len())
		}
	})
}

// Refused tokens, and those that only the leeway lets through, are looked at
// each time.
func TestNotRemembered(t *testing.T) {
	es := freshES256(t, "key")
	state := newState(quiet())
	s := policytest.New(t, options(state, newIDP(t, es).URL, ""))
	for status, exp := range map[int]time.Duration{200: -10 * time.Second, 401: -time.Minute} {
		if a := get(t, s, es.sign(t, nil, map[string]any{"exp": time.Now().Add(exp).Unix()})); a.Status != status || state.cache.len() != 0 {
			t.Errorf("%d, %d remembered", a.Status, state.cache.len())
		}
	}
	// A token whose client is unknown is right, but its app is looked up each time.
	if a := get(t, s, es.sign(t, nil, map[string]any{"client_id": "nobody"})); a.Status != 401 {
		t.Errorf("%d", a.Status)
	}
}

// A remembered token costs next to nothing.
func TestHitAllocates(t *testing.T) {
	es := freshES256(t, "key")
	call := repeated(t, newIDP(t, es), es.sign(t, nil, nil))
	if n := testing.AllocsPerRun(1000, call); n > 1 { // the bytes to be hashed
		t.Errorf("%v allocations", n)
	}
}

// repeated gives a function that sends the same token through the policy again.
func repeated(t testing.TB, i *idp, token string) func() {
	server := policytest.New(t, options(newState(quiet()), i.URL, ""))
	p := &policy{
		verifier: rules(newState(quiet()), i.URL), consumers: server.Gateway.Table().Consumers,
		next: func(*gateway.Exchange) (*gateway.Response, error) { return nil, nil },
	}
	r := httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)
	values := []string{"Bearer " + token}
	x := &gateway.Exchange{}
	return func() {
		*x = gateway.Exchange{Request: r}
		r.Header["Authorization"] = values
		if _, err := p.handle(x); err != nil || x.App == nil || len(x.Scopes) != 2 {
			t.Fatal(x.App, err)
		}
	}
}

// rules accept what an issuer at an address signs, and fetch its keys once.
func rules(s *state, url string) *verifier {
	return s.verifier(Settings{Issuers: []Issuer{{
		Issuer: issuerName, JWKSURL: url, Audiences: []string{"orders"}, Algorithms: algorithms, Refresh: 1e15, MaxStale: 1e15, MinRefreshInterval: 1e15,
	}}})
}

func BenchmarkHit(b *testing.B) {
	es := freshES256(b, "key")
	call := repeated(b, newIDP(b, es), es.sign(b, nil, nil))
	call()
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

func BenchmarkMiss(b *testing.B) {
	es := freshES256(b, "key")
	v := rules(newState(quiet()), newIDP(b, es).URL)
	token := es.sign(b, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.check(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
