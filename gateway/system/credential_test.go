package system

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestFixedCredentials(t *testing.T) {
	t.Setenv("ERP_SECRET", "s3cr3t ü")
	t.Setenv("ERP_KEY", "k&y=1")
	for _, c := range []struct{ settings, header, value, uri string }{
		{"credentials: {kind: none}", "Authorization", "", "/x?a=1"},
		{"credentials: {kind: basic, username: gw, password: '${env:ERP_SECRET}'}", "Authorization", "Basic Z3c6czNjcjN0IMO8", "/x?a=1"},
		{"credentials: {kind: api-key, key: '${env:ERP_KEY}'}", "X-Api-Key", "k&y=1", "/x?a=1"},
		{"credentials: {kind: api-key, key: '${env:ERP_KEY}', in: header, name: X-Erp}", "X-Erp", "k&y=1", "/x?a=1"},
		{"credentials: {kind: api-key, key: '${env:ERP_KEY}', in: query, name: a key}", "X-Api-Key", "", "/x?a=1&a+key=k%26y%3D1"},
	} {
		var got seen
		w := open(t, plan{system: c.settings, paths: at("GET", "/x", "x", "")}, got.answers(200, ""))
		w.send("GET", "/x?a=1", "", "Authorization: Bearer caller", "X-Api-Key: caller")
		sent, _ := got.last()
		value := sent.Header.Get(c.header)
		if c.value == "" && c.header == "X-Api-Key" && value == "caller" { // not a secret that the document knows
			value = ""
		}
		if value != c.value || sent.RequestURI != c.uri {
			t.Errorf("%s: %q %s", c.settings, value, sent.RequestURI)
		}
	}
}

// No answer, error or log line ever holds a secret, wherever it stands.
func TestSecretsStaySecret(t *testing.T) {
	t.Setenv("ERP_SECRET", "s3cr3t")
	var log bytes.Buffer
	for _, settings := range []string{
		"credentials: {kind: api-key, key: '${env:ERP_SECRET}', in: query, name: key}",
		"credentials: {kind: basic, username: gw, password: '${env:ERP_SECRET}'}",
		"credentials: {kind: oauth2, client_id: gw, client_secret: '${env:ERP_SECRET}', token_url: 'http://127.0.0.1:1/token', parameters: {a: b}}",
		"credentials: {kind: session, username: gw, password: '${env:ERP_SECRET}', login: {path: /login, body: '{p: $password, broken: ($password | .x)}'}, headers: {A: .}}",
		"credentials: {kind: session, username: gw, password: '${env:ERP_SECRET}', login: {path: /login, body: '$password'}, headers: {A: '$password | error'}}",
	} {
		for _, url := range []string{"http://127.0.0.1:1", "http://does-not-exist.invalid"} {
			w := &world{t: t, plan: plan{url: url, system: settings, paths: at("GET", "/x", "x", "")}, calls: &observed{count: map[string]int{}}}
			w.start(Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
			r := w.send("GET", "/x?a=1", "")
			w.want(r, 503, "")
			status, _ := json.Marshal(w.set.Status(t.Context()))
			text := r.text + fmt.Sprint(w.record(0).Cause) + string(status) + fmt.Sprintf("%v %+v", w.plan, w.set.systems["erp"].settings)
			if strings.Contains(text+log.String(), "s3cr3t") {
				t.Errorf("%s: %s %s", settings, text, log.String())
			}
		}
	}
}

// A system that repeats what it was sent does not get the gateway to repeat it.
func TestSecretsAreNotEchoed(t *testing.T) {
	t.Setenv("ERP_SECRET", "s3cr3t word")
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/granted" {
			fmt.Fprint(w, `{"access_token":"t0k3n-t0k3n","expires_in":3600}`)
			return
		}
		w.WriteHeader(400)
		said, _ := json.Marshal(fmt.Sprintf("bad: %s %s %q", r.URL.RawQuery, body, r.Header))
		fmt.Fprintf(w, `{"error":"invalid","error_description":%s}`, said)
	})
	server := httptest.NewServer(echo)
	defer server.Close()
	const errors = "errors: [{http: 400, as: refused, message: .error_description}]\n"
	for _, settings := range []string{
		"credentials: {kind: api-key, key: '${env:ERP_SECRET}', in: query, name: key}",
		"credentials: {kind: api-key, key: '${env:ERP_SECRET}'}",
		"credentials: {kind: basic, username: gw, password: '${env:ERP_SECRET}'}",
		"credentials: {kind: oauth2, client_id: gw, client_secret: '${env:ERP_SECRET}', token_url: 'URL/token', client_auth: post}",
		"credentials: {kind: oauth2, client_id: gw, client_secret: '${env:ERP_SECRET}', token_url: 'URL/token'}",
		"credentials: {kind: oauth2, client_id: gw, client_secret: '${env:ERP_SECRET}', token_url: 'URL/granted'}",
		"credentials: {kind: session, username: gw, password: '${env:ERP_SECRET}', login: {path: /login, body: '{p: $password}'}, headers: {A: .}}",
	} {
		var log bytes.Buffer
		w := &world{t: t, calls: &observed{count: map[string]int{}}, plan: plan{url: server.URL, system: strings.ReplaceAll(settings, "URL", server.URL) + "\n" + errors, paths: at("GET", "/x", "x", "")}}
		w.start(Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
		r := w.send("GET", "/x", "")
		text := r.text + fmt.Sprint(w.record(0).Cause) + log.String()
		if r.StatusCode < 400 || !strings.Contains(text, "bad") || !strings.Contains(text, "(secret)") {
			t.Errorf("%s: %d %s", settings, r.StatusCode, text)
		}
		for _, secret := range []string{"s3cr3t", base64.StdEncoding.EncodeToString([]byte("gw:s3cr3t word")), base64.StdEncoding.EncodeToString([]byte("gw:s3cr3t+word")), "t0k3n"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %s", settings, text)
			}
		}
	}
}

// erp is a system with a token endpoint and a log-in, both of which can be
// told to misbehave.
type erp struct {
	mu      sync.Mutex
	valid   map[string]bool
	logins  atomic.Int64
	calls   atomic.Int64
	last    http.Header
	form    string
	answer  func(n int64, w http.ResponseWriter, r *http.Request) bool // for log-ins; false goes on
	seconds string
	delay   time.Duration
}

func (e *erp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/token", "/login":
		n := e.logins.Add(1)
		time.Sleep(e.delay)
		e.mu.Lock()
		e.last, e.form = r.Header.Clone(), string(body)
		e.mu.Unlock()
		if e.answer != nil && e.answer(n, w, r) {
			return
		}
		token := fmt.Sprintf("t%d", n)
		e.mu.Lock()
		e.valid[token] = true
		e.mu.Unlock()
		w.Header().Set("X-Session", token)
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%s}`, token, e.seconds)
	case "/logout":
		e.end(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		w.WriteHeader(204)
	case "/whoami":
		fmt.Fprint(w, `{"company":7,"rate":1.50}`)
	default:
		e.calls.Add(1)
		e.mu.Lock()
		good := e.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		e.mu.Unlock()
		if !good {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), body)
	}
}

// end makes the system forget a token; all of them when it is empty.
func (e *erp) end(token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if token == "" {
		clear(e.valid)
	}
	delete(e.valid, token)
}

func newERP() *erp { return &erp{valid: map[string]bool{}, seconds: "3600"} }

// openERP starts a world whose token endpoint is the system itself.
func openERP(t *testing.T, e *erp, settings string, paths string) *world {
	t.Helper()
	t.Setenv("ERP_SECRET", "s3:cr t")
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	w := &world{t: t, calls: &observed{count: map[string]int{}}, plan: plan{url: server.URL, paths: paths, system: strings.ReplaceAll(settings, "URL", server.URL)}}
	w.start(Options{Observer: w.calls})
	return w
}

const oauthSettings = "credentials: {kind: oauth2, token_url: 'URL/token', client_id: 'gw&1', client_secret: '${env:ERP_SECRET}', scope: [a, b], audience: erp, parameters: {resource: r}}\n"

func TestOAuth2(t *testing.T) {
	for settings, want := range map[string]string{
		oauthSettings: "Basic Z3clMjYxOnMzJTNBY3IrdA== audience=erp&grant_type=client_credentials&resource=r&scope=a+b",
		strings.Replace(oauthSettings, "scope:", "client_auth: post, scope:", 1): " audience=erp&client_id=gw%261&client_secret=s3%3Acr+t&grant_type=client_credentials&resource=r&scope=a+b",
	} {
		e := newERP()
		w := openERP(t, e, settings, at("GET", "/x", "x", ""))
		for range 3 {
			w.want(w.send("GET", "/x", "", "Authorization: Bearer caller"), 200, "Bearer t1")
		}
		if s := e.last.Get("Authorization") + " " + e.form; s != want || e.logins.Load() != 1 {
			t.Errorf("asked for a token %d times with %s", e.logins.Load(), s)
		}
		if s := w.set.Status(t.Context())[0].Credential; !strings.HasPrefix(s, "oauth2, since ") {
			t.Error(s)
		}
	}
}

// However many calls need a token at the same time, one is fetched.
func TestSingleFlight(t *testing.T) {
	e := newERP()
	e.delay = 50 * time.Millisecond
	w := openERP(t, e, oauthSettings, at("GET", "/x", "x", ""))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { w.want(w.send("GET", "/x", ""), 200, "Bearer t1") })
	}
	wg.Wait()
	if n := e.logins.Load(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
}

// A token is replaced before it ends, aside from the calls.
func TestEarlyRenewal(t *testing.T) {
	e := newERP()
	e.seconds = `"1"` // as some servers write it
	w := openERP(t, e, oauthSettings, at("GET", "/x", "x", ""))
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
	time.Sleep(850 * time.Millisecond)
	e.delay = 50 * time.Millisecond
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1") // it does not wait for the new token
	time.Sleep(80 * time.Millisecond)
	w.want(w.send("GET", "/x", ""), 200, "Bearer t2")
	if n := e.logins.Load(); n != 2 {
		t.Errorf("%d tokens were fetched", n)
	}
}

// A token that the system does not accept any more is replaced once, and the
// call made again, if its body is still there.
func TestTokenNotAccepted(t *testing.T) {
	e := newERP()
	w := openERP(t, e, oauthSettings, at("GET", "/x", "x", "")+at("POST", "/y", "y", ""))
	w.want(w.send("POST", "/y", "body"), 200, "Bearer t1 body")
	e.end("")
	w.want(w.send("POST", "/y", "body"), 200, "Bearer t2 body")
	if rec := w.record(1); rec.Attempts != 2 {
		t.Errorf("recorded %+v", rec)
	}
	e.end("")
	r, _ := http.NewRequest("POST", w.url+"/y", strings.NewReader(strings.Repeat("x", buffered+1)))
	resp, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 {
		t.Errorf("a body that is gone: %d", resp.StatusCode)
	}
	w.want(w.send("GET", "/x", ""), 200, "Bearer t3")
}

// A system that accepts no token at all does not make the gateway flood its
// token endpoint: after a token that never worked it waits.
func TestNoTokenIsAccepted(t *testing.T) {
	e := newERP()
	w := openERP(t, e, oauthSettings, at("GET", "/x", "x", ""))
	w.want(w.send("GET", "/x", ""), 200, "t1")
	e.answer = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprintf(w, `{"access_token":"bad","expires_in":3600}`)
		return true
	}
	e.end("")
	w.want(w.send("GET", "/x", ""), 502, "does not accept the gateway's credentials")
	for range 10 {
		r := w.send("GET", "/x", "")
		w.want(r, 503, "has no access to erp")
		if after, _ := strconv.Atoi(r.Header.Get("Retry-After")); after < 1 || after > 5 {
			t.Errorf("Retry-After: %s", r.Header.Get("Retry-After"))
		}
	}
	if n := e.logins.Load(); n != 2 {
		t.Errorf("%d tokens were fetched", n)
	}
	if s := w.set.Status(t.Context())[0].Credential; !strings.Contains(s, "failed 1 times") {
		t.Error(s)
	}
}

func TestTokenEndpointFails(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		cause      string
		least      string // of Retry-After, in seconds
	}{
		{"refused", `{"error":"invalid_client","error_description":"unknown client"}`, 401, "401 invalid_client unknown client", "55"},
		{"wrong scope", `{"error":"invalid_scope"}`, 400, "400 invalid_scope", "55"},
		{"down", `<html>`, 503, "answers 503", "1"},
		{"too many", ``, 429, "answers 429", "1"},
		{"no JSON", `<html>`, 200, "does not answer with JSON", "1"},
		{"no token", `{}`, 200, "gives no access_token", "1"},
		{"another type", `{"access_token":"x","token_type":"mac"}`, 200, `the type "mac"`, "1"},
		{"no lifetime", `{"access_token":"x","expires_in":"soon"}`, 200, "no lifetime in seconds", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newERP()
			e.answer = func(n int64, w http.ResponseWriter, r *http.Request) bool {
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
				return true
			}
			w := openERP(t, e, oauthSettings, at("GET", "/x", "x", ""))
			for range 3 {
				r := w.send("GET", "/x", "")
				w.want(r, 503, "no access to erp")
				if after := r.Header.Get("Retry-After"); after < c.least || after > "60" {
					t.Errorf("Retry-After: %s", after)
				}
			}
			if cause := fmt.Sprint(w.record(0).Cause); !strings.Contains(cause, c.cause) {
				t.Error(cause)
			}
			if n := e.logins.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
			if e.calls.Load() != 0 {
				t.Error("the system was called")
			}
		})
	}
}

const sessionSettings = `credentials:
  kind: session
  username: gw
  password: ${env:ERP_SECRET}
  login: {path: /login, body: '{user: $username, password: $password}'}
  token: .access_token
  headers: {Authorization: '"Bearer " + .', X-Company: $username}
  context: {method: GET, path: /whoami}
  session: '{company, rate}'
  logout: {path: /logout}
`

func TestSession(t *testing.T) {
	e := newERP()
	w := openERP(t, e, sessionSettings, at("GET", "/x", "x", "call: {headers: {X-Session: '$session | tojson'}}"))
	for range 2 {
		w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
	}
	if e.form != `{"password":"s3:cr t","user":"gw"}` || e.logins.Load() != 1 {
		t.Errorf("%d log-ins with %s", e.logins.Load(), e.form)
	}
	for key, n := range map[string]int{"erp log-in delivered": 1, "erp context delivered": 1, "erp x delivered": 2} {
		if w.calls.get(key) != n {
			t.Errorf("observed %v", w.calls.count)
		}
	}
	e.end("")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { w.want(w.send("GET", "/x", ""), 200, "Bearer t2") })
	}
	wg.Wait()
	if n := e.logins.Load(); n != 2 {
		t.Errorf("%d log-ins", n)
	}
	w.gateway.Stop()
	w.fleet.Close()
	if len(e.valid) != 0 {
		t.Error("the session was not ended")
	}
}

// $session and headers by the answer's headers; no context.
func TestSessionByHeaders(t *testing.T) {
	e := newERP()
	w := openERP(t, e, `credentials:
  kind: session
  login: {method: PUT, path: /login}
  token: '{id: $headers["x-session"], n: 1.5}'
  headers: {Authorization: '"Bearer " + .id', Cookie: 'null'}
  session: .
`, at("GET", "/x", "x", "call: {query: {s: '$session | tojson'}}"))
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
	if g := w.set.systems["erp"].credential.(*keeper).last(); string(g.sessionJSON) != `{"id":"t1","n":1.5}` {
		t.Errorf("%s", g.sessionJSON)
	}
}

func TestSessionGrowsOld(t *testing.T) {
	for _, settings := range []string{"  fresh: 80ms\n", "  lifetime: 80ms\n"} {
		e := newERP()
		w := openERP(t, e, sessionSettings+settings, at("GET", "/x", "x", ""))
		for range 4 {
			w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
		}
		time.Sleep(90 * time.Millisecond)
		w.want(w.send("GET", "/x", ""), 200, "Bearer t2")
	}
	// One that was idle is ended.
	e := newERP()
	idle := openERP(t, e, sessionSettings+"  fresh: 80ms\n", at("GET", "/x", "x", ""))
	idle.want(idle.send("GET", "/x", ""), 200, "Bearer t1")
	time.Sleep(90 * time.Millisecond)
	idle.want(idle.send("GET", "/x", ""), 200, "Bearer t2")
	for range 100 {
		if idle.calls.get("erp log-out delivered") == 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	e.mu.Lock()
	if e.valid["t1"] || !e.valid["t2"] {
		t.Errorf("%v", e.valid)
	}
	e.mu.Unlock()
	// A session in use stays fresh.
	e = newERP()
	w := openERP(t, e, sessionSettings+"  fresh: 200ms\n", at("GET", "/x", "x", ""))
	for range 5 {
		w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
		time.Sleep(60 * time.Millisecond)
	}
}

func TestLoginFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings string
		answer   func(w http.ResponseWriter)
		least    string
	}{
		{"wrong password", "", func(w http.ResponseWriter) { w.WriteHeader(401) }, "55"},
		{"locked", "overload: [{status: 429}]\n", func(w http.ResponseWriter) { w.WriteHeader(429) }, "55"},
		{"refused with 200", "", func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":false}`) }, "55"},
		{"down", "", func(w http.ResponseWriter) { w.WriteHeader(503) }, "1"},
		{"another answer", "", func(w http.ResponseWriter) { fmt.Fprint(w, `[]`) }, "1"},
		{"a header that cannot be", "", func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":"a\nb"}`) }, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newERP()
			e.answer = func(n int64, w http.ResponseWriter, r *http.Request) bool { c.answer(w); return true }
			w := openERP(t, e, c.settings+sessionSettings, at("GET", "/x", "x", ""))
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					r := w.send("GET", "/x", "")
					w.want(r, 503, "no access to erp")
					if after := r.Header.Get("Retry-After"); after < c.least || after > "60" {
						t.Errorf("Retry-After: %s", after)
					}
				})
			}
			wg.Wait()
			if n := e.logins.Load(); n != 1 {
				t.Errorf("%d log-ins", n)
			}
		})
	}
}

// A caller that leaves while the log-in is under way does not end it for others.
func TestCallerLeavesLogin(t *testing.T) {
	e := newERP()
	e.delay = 100 * time.Millisecond
	w := openERP(t, e, sessionSettings, at("GET", "/x", "x", ""))
	c := http.Client{Timeout: 30 * time.Millisecond}
	if _, err := c.Get(w.url + "/x"); err == nil {
		t.Error("answered")
	}
	w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
	if w.record(0).Decision != "caller-left" || e.logins.Load() != 1 {
		t.Errorf("%+v, %d log-ins", w.record(0), e.logins.Load())
	}
}
