package jwt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/policies/policytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller sends tokens through a chain, for tests in which time is made up.
func caller(t *testing.T, s *state, url, more string) func(token string) *gateway.Error {
	t.Helper()
	chain, problems := policytest.Compile(t, options(s, url, more))
	if problems != nil {
		t.Fatal(problems)
	}
	return func(token string) *gateway.Error {
		x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
		x.Request.Header.Set("Authorization", "Bearer "+token)
		_, err := chain(x)
		if err == nil && x.App == nil {
			t.Error("nobody was identified")
		}
		if err == nil {
			return nil
		}
		return gateway.AsError(err)
	}
}

func status(err *gateway.Error) int {
	if err == nil {
		return 200
	}
	return err.Problem.Status
}

// quietly waits until the fetch that a request has begun is over.
func quietly(s *state) {
	for _, k := range s.held() {
		k.mu.Lock()
		running := k.running
		k.mu.Unlock()
		if running != nil {
			<-running
		}
	}
}

func (s *state) held() []*keySet {
	s.keySets.mu.Lock()
	defer s.keySets.mu.Unlock()
	var sets []*keySet
	for _, w := range s.keySets.values {
		if k := w.Value(); k != nil {
			sets = append(sets, k)
		}
	}
	return sets
}

func TestRotation(t *testing.T) {
	old, next := freshES256(t, "old"), freshES256(t, "next")
	i := newIDP(t, old)
	synctest.Test(t, func(t *testing.T) {
		s := newState(quiet())
		call := caller(t, s, i.URL, "")
		long := map[string]any{"exp": time.Now().Add(240 * time.Hour).Unix()}
		oldToken, nextToken := old.sign(t, nil, long), next.sign(t, nil, long)
		if got := status(call(oldToken)); got != 200 || i.count() != 1 {
			t.Fatalf("the first token: %d after %d fetches", got, i.count())
		}
		if s.cache.len() != 1 {
			t.Fatalf("%d tokens are remembered", s.cache.len())
		}
		// The issuer changes over; both keys are listed.
		i.list(old, next)
		time.Sleep(31 * time.Second)
		if got := status(call(nextToken)); got != 200 || i.count() != 2 {
			t.Fatalf("a new kid: %d after %d fetches", got, i.count())
		}
		if got := status(call(oldToken)); got != 200 || i.count() != 2 || s.cache.len() != 2 {
			t.Fatalf("the old key: %d, %d tokens remembered", got, s.cache.len())
		}
		// The old key is withdrawn: at the next refresh its tokens go, the remembered one first.
		i.list(next)
		time.Sleep(15*time.Minute + time.Second)
		if got := status(call(nextToken)); got != 200 {
			t.Fatalf("while keys are fetched: %d", got)
		}
		quietly(s)
		if i.count() != 3 || s.cache.len() != 1 {
			t.Errorf("%d fetches, %d tokens are remembered", i.count(), s.cache.len())
		}
		if got := status(call(oldToken)); got != 401 {
			t.Errorf("a withdrawn key: %d", got)
		}
		if got := status(call(nextToken)); got != 200 {
			t.Errorf("the new key: %d", got)
		}
	})
}

// After a long silence keys are fetched before the next token is believed,
// even a remembered one.
func TestSilence(t *testing.T) {
	old, next := freshES256(t, "old"), freshES256(t, "next")
	i := newIDP(t, old)
	synctest.Test(t, func(t *testing.T) {
		call := caller(t, newState(quiet()), i.URL, "")
		token := old.sign(t, nil, map[string]any{"exp": time.Now().Add(240 * time.Hour).Unix()})
		if got := status(call(token)); got != 200 {
			t.Fatal(got)
		}
		i.list(next)
		time.Sleep(12 * time.Hour)
		if got := status(call(token)); got != 401 || i.count() != 2 {
			t.Errorf("%d after %d fetches", got, i.count())
		}
	})
}

func TestOutage(t *testing.T) {
	es := freshES256(t, "key")
	i := newIDP(t, es)
	synctest.Test(t, func(t *testing.T) {
		var log gatewaytest.Log
		s := newState(slog.New(slog.NewTextHandler(&log, nil)))
		call := caller(t, s, i.URL, ", refresh: 10m, max_stale: 1h")
		token := func() string {
			return es.sign(t, nil, map[string]any{"exp": time.Now().Add(2 * time.Hour).Unix()})
		}
		remembered := token()
		if got := status(call(remembered)); got != 200 {
			t.Fatal(got)
		}
		i.fail()
		for elapsed := time.Duration(0); elapsed < time.Hour-time.Minute; elapsed += time.Minute {
			time.Sleep(time.Minute)
			if got := status(call(remembered)); got != 200 {
				t.Fatalf("a remembered token after %v: %d", elapsed, got)
			}
			if got := status(call(token())); got != 200 {
				t.Fatalf("a new token after %v: %d", elapsed, got)
			}
			quietly(s)
		}
		if n := i.count(); n < 40 || n > 60 {
			t.Errorf("%d fetches in an hour", n)
		}
		if !strings.Contains(log.String(), "answered 500") || !strings.Contains(log.String(), i.URL) {
			t.Errorf("the log has %q", log.String())
		}
		time.Sleep(2 * time.Minute)
		for _, text := range []string{remembered, token()} {
			err := call(text)
			if status(err) != 503 || err.Problem != gateway.NotReady || err.RetryAfter < time.Second || err.RetryAfter > 30*time.Second {
				t.Fatalf("keys that are too old: %+v", err)
			}
			if !strings.Contains(err.Cause.Error(), "answered 500") || strings.Contains(err.Error(), text) {
				t.Errorf("cause %v", err.Cause)
			}
		}
		i.list(es)
		time.Sleep(30 * time.Second)
		if got := status(call(remembered)); got != 200 {
			t.Errorf("after the outage: %d", got)
		}
	})
}

// transport answers requests for keys inside the bubble of a test, or hangs.
type transport struct {
	mu     sync.Mutex
	answer []byte // nil hangs
}

func (h *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	answer := h.answer
	h.mu.Unlock()
	if answer == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return answering(answer).RoundTrip(r)
}

// An issuer that hangs for hours costs no call any time while keys are known.
func TestHangingOutage(t *testing.T) {
	es := freshES256(t, "key")
	synctest.Test(t, func(t *testing.T) {
		h := &transport{answer: keySetOf(es)}
		s := newState(quiet())
		s.client.Transport = h
		call := caller(t, s, "http://127.0.0.1:1", "")
		token := es.sign(t, nil, map[string]any{"exp": time.Now().Add(48 * time.Hour).Unix()})
		if got := status(call(token)); got != 200 {
			t.Fatal(got)
		}
		h.mu.Lock()
		h.answer = nil
		h.mu.Unlock()
		for range 23 * 60 {
			time.Sleep(time.Minute)
			began := time.Now()
			if got := status(call(token)); got != 200 || time.Since(began) > 0 {
				t.Fatalf("%d after %v", got, time.Since(began))
			}
		}
		quietly(s)
	})
}

// However many tokens with unknown kids come, keys are fetched once an interval.
func TestUnknownKeyIDs(t *testing.T) {
	es, next := freshES256(t, "key"), freshES256(t, "next")
	i := newIDP(t, es)
	synctest.Test(t, func(t *testing.T) {
		s := newState(quiet())
		call := caller(t, s, i.URL, "")
		begin := time.Now()
		for n := range 1000 {
			if got := status(call(es.sign(t, map[string]any{"kid": fmt.Sprint(n)}, nil))); got != 401 {
				t.Fatal(got)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n, most := i.count(), int(time.Since(begin)/(30*time.Second))+1; n > most || n < most-1 {
			t.Errorf("%d fetches in %v", n, time.Since(begin))
		}
		i.list(es, next)
		time.Sleep(30 * time.Second)
		if got := status(call(next.sign(t, nil, nil))); got != 200 {
			t.Errorf("a key that is new: %d", got)
		}
	})
}

// Many callers at once wait for one fetch.
func TestOneFetch(t *testing.T) {
	es := freshES256(t, "key")
	i := newIDP(t, es)
	begun, release := make(chan struct{}, 100), make(chan struct{})
	i.set(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-release
		w.Write(keySetOf(es))
	})
	s := serve(t, i, "")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r := s.Request(t, http.MethodGet, "/orders", "Authorization", "Bearer "+es.sign(t, nil, nil))
			resp, err := s.Client().Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("%d", resp.StatusCode)
			}
		})
	}
	<-begun
	time.Sleep(20 * time.Millisecond)
	close(release)
	wg.Wait()
	if n := i.count(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// An issuer that hangs keeps neither a build nor, for long, a request.
func TestHanging(t *testing.T) {
	es := freshES256(t, "key")
	i := newIDP(t)
	release := make(chan struct{})
	defer close(release)
	i.set(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	state := newState(quiet())
	state.timeout = 100 * time.Millisecond
	began := time.Now()
	s := policytest.New(t, options(state, i.URL, ""))
	if took := time.Since(began); took > 90*time.Millisecond || i.count() != 0 {
		t.Errorf("the build took %v and %d fetches", took, i.count())
	}
	a := get(t, s, es.sign(t, nil, nil))
	if a.Status != 503 || a.Problem != "not-ready" || a.Header.Get("Retry-After") == "" || a.Seen != nil {
		t.Errorf("%d %s", a.Status, a.Problem)
	}
	began = time.Now()
	if a := get(t, s, es.sign(t, nil, nil)); a.Status != 503 || time.Since(began) > 90*time.Millisecond {
		t.Errorf("the next one waited again: %d after %v", a.Status, time.Since(began))
	}
	if a := s.Get(t, "/orders"); a.Status != 200 {
		t.Errorf("without a token: %d", a.Status)
	}
}

// A caller that leaves does not end the fetch for the others.
func TestCallerLeaves(t *testing.T) {
	es := freshES256(t, "key")
	i := newIDP(t, es)
	s := newState(quiet())
	v := rules(s, i.URL)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := v.verify(ctx, es.sign(t, nil, nil)); err == nil {
		t.Error("verified without keys")
	}
	quietly(s)
	if _, err := v.verify(t.Context(), es.sign(t, nil, nil)); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(v)
}

func TestBadAnswers(t *testing.T) {
	es := freshES256(t, "key")
	good := keySetOf(es)
	elsewhere := newIDP(t, es)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		cause  string
	}{
		"an error":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "answered 404"},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "answered 204"},
		"too long":   {func(w http.ResponseWriter, _ *http.Request) { w.Write(append(good, make([]byte, maxAnswer)...)) }, "longer than"},
		"endless":    {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "longer than"},
		"HTML":       {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, "not valid JSON"},
		"no keys":    {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) }, "none of the 0 keys"},
		"a shared key": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`))
		}, "none of the 1 keys"},
		"another host": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "another server"},
		"in circles":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, "too many redirects"},
		"another world": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, "another server"},
		"too many": {func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte(`{"keys":[` + strings.Repeat(`{"kty":"oct"},`, maxKeys) + `{}]}`))
		}, "201 keys"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIDP(t)
			i.set(c.answer)
			s := serve(t, i, "")
			if a := get(t, s, es.sign(t, nil, nil)); a.Status != 503 || !strings.Contains(s.Causes(), c.cause) {
				t.Errorf("%d, %s", a.Status, s.Causes())
			}
			if i.count() > maxRedirects+1 {
				t.Errorf("%d requests", i.count())
			}
		})
	}
	if elsewhere.count() != 0 {
		t.Error("the redirect was followed")
	}
	i := newIDP(t)
	i.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/keys", http.StatusFound)
			return
		}
		w.Write(good)
	})
	if a := get(t, serve(t, i, ""), es.sign(t, nil, nil)); a.Status != 200 {
		t.Errorf("a redirect on the same host: %d", a.Status)
	}
}

func endless(w http.ResponseWriter) {
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// One key that cannot be used does not spoil the others.
func TestMixedKeys(t *testing.T) {
	es := freshES256(t, "key")
	var set struct{ Keys []any }
	if err := json.Unmarshal(keySetOf(es), &set); err != nil {
		t.Fatal(err)
	}
	off := es.with(map[string]any{"kid": "off", "x": "AAAA"}) // not on the curve
	small := map[string]any{"kty": "RSA", "kid": "small", "n": strings.Repeat("z", 128), "e": "AQAB"}
	even := map[string]any{"kty": "RSA", "kid": "even", "n": strings.Repeat("z", 342), "e": "AAAC"}
	set.Keys = append([]any{off.public, small, even, "x", nil, map[string]any{"kty": 1}, map[string]any{"kty": "OKP", "crv": "X25519", "x": strings.Repeat("A", 43)}}, set.Keys...)
	data, err := json.Marshal(map[string]any{"keys": set.Keys})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseKeys(data)
	if err != nil || len(keys) != 1 || keys[0].id != "key" {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestDiscovery(t *testing.T) {
	es := freshES256(t, "key")
	i := newIDP(t)
	var document string
	i.set(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/realm" + discoveryPath:
			fmt.Fprint(w, document)
		case "/realm/keys":
			w.Write(keySetOf(es))
		default:
			w.WriteHeader(404)
		}
	})
	for _, c := range []struct {
		issuer, document string
		status           int
		cause            string
	}{
		{"/realm", `{"issuer": "URL/realm", "jwks_uri": "URL/realm/keys"}`, 200, ""},
		{"/realm/", `{"issuer": "URL/realm/", "jwks_uri": "URL/realm/keys"}`, 200, ""},
		{"/realm", `{"issuer": "https://other.example", "jwks_uri": "URL/realm/keys"}`, 503, "of another issuer"},
		{"/realm", `{"issuer": "URL/realm"}`, 503, "jwks_uri"},
		{"/realm", `{"issuer": "URL/realm", "jwks_uri": "http://keys.example/keys"}`, 503, "keys must come over https"},
		{"/realm", `{"issuer": "URL/realm", "jwks_uri": "file:///etc/passwd"}`, 503, "jwks_uri"},
		{"/realm", `[]`, 503, "not valid JSON"},
		{"/nothing", ``, 503, "answered 404"},
	} {
		document = strings.ReplaceAll(c.document, "URL", i.URL)
		o := options(newState(quiet()), "", "")
		o.Policies = fmt.Sprintf("jwt: {issuers: [{issuer: %q, discovery: true, audiences: orders}]}", i.URL+c.issuer)
		o.Consumers = fmt.Sprintf("{organisations: {acme: {}}, apps: {shop: {organisation: acme, clients: [{issuer: %q, id: shop}]}}}", i.URL+c.issuer)
		s := policytest.New(t, o)
		a := get(t, s, es.sign(t, nil, map[string]any{"iss": i.URL + c.issuer}))
		if a.Status != c.status || !strings.Contains(s.Causes(), c.cause) {
			t.Errorf("%s %s: %d, %s", c.issuer, c.document, a.Status, s.Causes())
		}
	}
	secure := &keySet{origin: origin{issuer: "https://login.example"}, client: &http.Client{Transport: answering(`{"issuer": "https://login.example", "jwks_uri": "http://127.0.0.1/keys"}`)}}
	if _, err := secure.discover(t.Context()); err == nil || !strings.Contains(err.Error(), "over https") {
		t.Errorf("from https to http: %v", err)
	}
}

// answering is a transport that gives every request the same answer.
type answering string

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteString(string(a))
	return w.Result(), nil
}

// A file is read again when a table is built, and a broken one refuses the table.
func TestFile(t *testing.T) {
	old, next := freshES256(t, "old"), freshES256(t, "next")
	name := filepath.Join(t.TempDir(), "keys.json")
	write := func(data []byte) {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newState(quiet())
		o := options(s, "", "")
		o.Policies = fmt.Sprintf("jwt: {issuers: [{issuer: %q, jwks_file: %q, audiences: orders}]}", issuerName, name)
		write(keySetOf(old))
		v := build(t, o)
		if _, err := v(old); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		write(keySetOf(next))
		again := build(t, o)
		if _, err := again(next); err != nil {
			t.Errorf("after the file changed: %v", err)
		}
		if _, err := v(old); err == nil {
			t.Error("the old key goes on")
		}
		time.Sleep(time.Minute)
		write([]byte("{"))
		if got := policytest.Problems(t, o); len(got) != 1 || !strings.HasPrefix(got[0], "jwt.issuers[0].jwks_file: the key set cannot be used: ") {
			t.Errorf("%q", got)
		}
		if _, err := v(next); err != nil {
			t.Errorf("the old table has lost its keys: %v", err)
		}
		runtime.KeepAlive(v)
	})
}

// build compiles a chain and gives what sends a token of a signer through it.
func build(t *testing.T, o policytest.Options) func(*signer) (*gateway.Response, error) {
	t.Helper()
	chain, problems := policytest.Compile(t, o)
	if problems != nil {
		t.Fatal(problems)
	}
	return func(s *signer) (*gateway.Response, error) {
		x := &gateway.Exchange{Request: httptest.NewRequest(http.MethodGet, "/orders/v1/orders", nil)}
		x.Request.Header.Set("Authorization", "Bearer "+s.sign(t, nil, nil))
		return chain(x)
	}
}

// Tables with equal settings share keys and remembered tokens; nothing stays
// of settings that no table has.
func TestSharing(t *testing.T) {
	es := freshES256(t, "key")
	i := newIDP(t, es)
	s := newState(quiet())
	token := es.sign(t, nil, nil)
	server := policytest.New(t, options(s, i.URL, ""))
	for range 5 {
		server.Swap(t, options(s, i.URL, ""))
		if a := get(t, server, token); a.Status != 200 {
			t.Fatalf("%d", a.Status)
		}
	}
	if s.keySets.len() != 1 || s.verifiers.len() != 1 || i.count() != 1 || s.cache.len() != 1 {
		t.Errorf("%d key sets, %d rules, %d fetches, %d tokens", s.keySets.len(), s.verifiers.len(), i.count(), s.cache.len())
	}
	// Other rules, the same keys: the keys are shared, the verdict is not.
	other := policytest.New(t, options(s, i.URL, ", algorithms: [RS256]"))
	if a := get(t, other, token); a.Status != 401 || i.count() != 1 || s.keySets.len() != 1 {
		t.Errorf("%d, %d fetches", a.Status, i.count())
	}
	server.Swap(t, policytest.Options{Kinds: []gateway.Kind{s.kind()}})
	other.Swap(t, policytest.Options{Kinds: []gateway.Kind{s.kind()}})
	for range 100 {
		runtime.GC()
		if s.keySets.len() == 0 && s.verifiers.len() == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d key sets and %d rules are still held", s.keySets.len(), s.verifiers.len())
}

// Traffic goes on while keys come and go.
func TestConcurrentRotation(t *testing.T) {
	always, sometimes := freshES256(t, "always"), freshES256(t, "sometimes")
	s := newState(quiet())
	v := rules(s, "http://127.0.0.1:1")
	set := v.issuers[0].keys.(*keySet)
	install := func(signers ...*signer) {
		keys, err := parseKeys(keySetOf(signers...))
		if err != nil {
			t.Fatal(err)
		}
		set.mu.Lock()
		set.attempted = time.Now()
		dropped := set.install(keys)
		set.mu.Unlock()
		if dropped {
			set.rotated()
		}
	}
	install(always, sometimes)
	kept, doomed := always.sign(t, nil, nil), sometimes.sign(t, nil, nil)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := v.verify(t.Context(), kept); err != nil {
					t.Errorf("a key that stays: %v", err)
					return
				}
				if _, err := v.verify(t.Context(), doomed); err != nil && !errors.Is(err, errUnknownKey) {
					t.Errorf("a key that comes and goes: %v", err)
					return
				}
			}
		})
	}
	for range 100 {
		install(always)
		install(always, sometimes)
		time.Sleep(time.Millisecond)
	}
	install(always)
	close(stop)
	wg.Wait()
	if _, err := v.verify(t.Context(), doomed); err == nil {
		t.Error("the withdrawn key is still accepted")
	}
}
