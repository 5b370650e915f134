package system

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/sim"
)

// tokenWorld is a gateway whose systems erp and crm get their tokens from the simulated
// token endpoint of SAP BTP, under the budget of the system btp.
func tokenWorld(t *testing.T, btp string) (*world, *sim.Server) {
	t.Helper()
	t.Setenv("ERP_SECRET", "s3cr3t word")
	s, err := sim.New("sap-btp-token", sim.Options{Seed: 1, Latency: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(s)
	t.Cleanup(endpoint.Close)
	erp := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Authorization")) })
	credentials := "credentials: {kind: oauth2, token_url: '" + endpoint.URL + "/oauth/token', client_id: gw, client_secret: '${env:ERP_SECRET}', budget: btp}\n"
	w := &world{t: t, calls: &observed{count: map[string]int{}}, system: endpoint, plan: plan{
		url: erp.URL, system: credentials, paths: at("GET", "/x", "x", "wait: 0s") + at("GET", "/y", "y", "system: crm\nwait: 0s") + at("POST", "/oauth/token", "direct", "system: btp\nwait: 0s\nsafe: true"),
		files: map[string]string{"systems/btp.yaml": "url: " + endpoint.URL + "\nprofile: sap-btp-token\n" + btp, "systems/crm.yaml": "url: " + erp.URL + "\n" + credentials},
	}}
	w.start(Options{Observer: w.calls})
	return w, s
}

// tokens is what is used of the limit tokens.
func (w *world) tokens() (used float64, paused bool) {
	for _, s := range w.set.Status(w.t.Context()) {
		for _, p := range s.Budget.Pools {
			if s.Name == "btp" && p.Name == "tokens" {
				used, paused = p.Used, !p.PausedUntil.IsZero()
			}
		}
	}
	return used, paused
}

const longTokens = "limits: [{name: tokens, capacity: 4, hold: 1h, pace: off, adaptive: off, reserves: {critical: 2}}]\n"

// The fetch of a token is a call of the system that the endpoint belongs to: counted,
// in class critical, for whichever system it is, and when it fails as well.
func TestTokensUnderABudget(t *testing.T) {
	w, s := tokenWorld(t, longTokens)
	w.want(w.send("GET", "/x", ""), 200, "Bearer simulated-1")
	if used, _ := w.tokens(); used != 1 || w.calls.get("btp token delivered") != 1 || s.Report().Arrived != 1 {
		t.Fatalf("%v tokens are counted, %d have arrived, and the calls are %v", used, s.Report().Arrived, w.calls.count)
	}
	// What callers ask for themselves counts with it, and leaves the reserve.
	w.want(w.send("POST", "/oauth/token", "grant_type=x", "Content-Type: application/x-www-form-urlencoded"), 200, "simulated-2")
	w.want(w.send("POST", "/oauth/token", "grant_type=x", "Content-Type: application/x-www-form-urlencoded"), 503, `"pool":"tokens"`)
	w.fault(`{"kind":"error","status":400,"count":1}`)
	w.want(w.send("GET", "/y", ""), 503, "no access to crm")
	if used, _ := w.tokens(); used != 3 || w.calls.get("btp token refused") != 1 {
		t.Errorf("a fetch that failed: %v are counted, and the calls are %v", used, w.calls.count)
	}
}

// A fetch that finds no room is no failure of the credentials: the caller is told when
// there is room, and the endpoint is not called.
func TestTokensWithoutRoom(t *testing.T) {
	w, s := tokenWorld(t, "timeout: 200ms\nlimits: [{name: tokens, capacity: 1, hold: 1h, pace: off}]\n")
	w.want(w.send("GET", "/x", ""), 200, "simulated-1")
	for range 3 {
		r := w.send("GET", "/y", "")
		w.want(r, 503, `"pool":"tokens"`)
		if r.problem() != "saturated" || !strings.Contains(r.text, `"system":"btp"`) || len(r.Header.Get("Retry-After")) < 4 {
			t.Errorf("%v %s", r.Header, r.text)
		}
	}
	if n := s.Report().Arrived; n != 1 {
		t.Errorf("%d calls have arrived", n)
	}
	for _, st := range w.set.Status(t.Context()) {
		if st.Name == "crm" && st.Credential != "oauth2, none" {
			t.Errorf("the credentials are %q", st.Credential)
		}
	}
}

// An overload that the endpoint tells of pauses it for all systems that get tokens there.
func TestTokensInAPause(t *testing.T) {
	w, s := tokenWorld(t, "timeout: 500ms\n")
	w.fault(`{"kind":"overload","seconds":3600}`)
	r := w.send("GET", "/x", "")
	w.want(r, 503, `"pool":"tokens"`)
	if _, paused := w.tokens(); !paused || r.problem() != "saturated" || w.calls.get("btp token overload") != 1 {
		t.Fatalf("paused: %v; %s; %v", paused, r.text, w.calls.count)
	}
	// It is asked again when the pause is over, and not for good.
	arrived := s.Report().Arrived
	eventually(t, "nothing is tried again", func() bool {
		w.want(w.send("GET", "/y", ""), 503, "saturated")
		return s.Report().Arrived > arrived
	})
}

// The endpoint that fails has a breaker, and its words are censored.
func TestTokensOfABrokenEndpoint(t *testing.T) {
	t.Setenv("ERP_SECRET", "s3cr3t word")
	var log bytes.Buffer
	var calls atomic.Int64
	endpoint := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(500)
		w.Write(append([]byte(r.Header.Get("Authorization")+" "), body...))
	})
	for _, auth := range []string{"basic", "post"} {
		log.Reset()
		w := &world{t: t, calls: &observed{count: map[string]int{}}, plan: plan{
			url: endpoint.URL + "/erp", paths: at("GET", "/x", "x", "wait: 0s"),
			system: "credentials: {kind: oauth2, token_url: '" + endpoint.URL + "/auth/token', client_id: gw, client_secret: '${env:ERP_SECRET}', client_auth: " + auth + ", budget: login}\n",
			files:  map[string]string{"systems/login.yaml": "url: " + endpoint.URL + "/auth\nbreaker: {calls: 1, open: 1h}\n"},
		}}
		w.start(Options{Observer: w.calls, Log: slog.New(slog.NewTextHandler(&log, nil))})
		w.want(w.send("GET", "/x", ""), 503, "no access to erp")
		eventually(t, "the breaker does not open", func() bool {
			for _, s := range w.set.Status(t.Context()) {
				if s.Name == "login" {
					return s.Breaker == "open"
				}
			}
			return false
		})
		w.fleet.Close()
		text := log.String()
		if !strings.Contains(text, "(secret)") || strings.Contains(text, "s3cr3t") || w.calls.get("login token unavailable") != 1 {
			t.Errorf("%v: %s", w.calls.count, text)
		}
	}
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
}

// A token endpoint may stand under the budget of the system that the token is for, and
// limits may choose its calls.
func TestTokensUnderTheOwnBudget(t *testing.T) {
	e := newERP()
	settings := "limits: [{name: all, capacity: 100, hold: 1h, pace: off}, {name: tokens, capacity: 5, hold: 1h, pace: off, calls: POST /token}, {name: named, capacity: 5, hold: 1h, pace: off, operations: token}]\n" +
		strings.Replace(oauthSettings, "scope:", "budget: erp, scope:", 1)
	w := openERP(t, e, settings, at("GET", "/x", "x", ""))
	for range 3 {
		w.want(w.send("GET", "/x", ""), 200, "Bearer t1")
	}
	if used := w.used(); used["all"] != 4 || used["tokens"] != 1 || used["named"] != 1 {
		t.Errorf("used %v", used)
	}
	if want := "Basic Z3clMjYxOnMzJTNBY3IrdA== audience=erp&grant_type=client_credentials&resource=r&scope=a+b"; e.last.Get("Authorization")+" "+e.form != want || e.last.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("asked with %v %s", e.last, e.form)
	}
}

func TestTokenBudgetProblems(t *testing.T) {
	t.Setenv("SET", "x")
	credentials := func(url, budget string) string {
		return "credentials: {kind: oauth2, client_id: a, client_secret: '${env:SET}', token_url: '" + url + "', budget: " + budget + "}\n"
	}
	files := map[string]string{
		"systems/btp.yaml": "url: http://login.example.com/auth\nlimits: [{name: a, capacity: 1, calls: POST /token}]",
		"systems/rpc.yaml": "url: http://login.example.com\ndialect: jsonrpc",
	}
	const unused = "systems/btp.yaml:2:40: limits[0].calls: no call to this system fits \"POST /token\"; the paths are those below the system's URL, with parameters in braces\n"
	for _, c := range []struct{ url, budget, want string }{
		{"http://login.example.com/auth/token", "btp", ""},
		{"HTTP://LOGIN.example.com/auth/token", "btp", ""},
		{"http://login.example.com/auth/token", "btb", unused + `systems/erp.yaml:2:130: credentials.budget: there is no system "btb"; did you mean "btp"?`},
		{"http://login.example.com/auth/token", "rpc", unused + `systems/erp.yaml:2:130: credentials.budget: the system "rpc" speaks jsonrpc; a token endpoint belongs to a system of the dialect rest`},
		{"http://login.example.com/author/token", "btp", unused + `systems/erp.yaml:2:83: credentials.token_url: is not below the url of the system "btp", whose budget it is to stand under; its calls are made over the connections of that system`},
		{"http://other.example.com/auth/token", "btp", unused + `systems/erp.yaml:2:83: credentials.token_url: is not below the url of the system "btp", whose budget it is to stand under; its calls are made over the connections of that system`},
		{"https://login.example.com/auth/token", "btp", unused + `systems/erp.yaml:2:83: credentials.token_url: is not below the url of the system "btp", whose budget it is to stand under; its calls are made over the connections of that system`},
	} {
		p := plan{system: credentials(c.url, c.budget), paths: at("GET", "/x", "x", ""), files: files}
		got := problemsOf(t, p.fs("http://erp.example.com"))
		if got != c.want {
			t.Errorf("%s under %s:\n%s\nwant:\n%s", c.url, c.budget, got, c.want)
		}
	}
	// A system that has problems of its own is there all the same.
	files["systems/btp.yaml"] = "url: http://login.example.com/auth\ntimeout: x"
	got := problemsOf(t, plan{system: credentials("http://login.example.com/auth/token", "btp"), paths: at("GET", "/x", "x", ""), files: files}.fs("http://erp.example.com"))
	if !strings.HasPrefix(got, "systems/btp.yaml:2:10: timeout: ") || strings.Contains(got, "\n") {
		t.Error(got)
	}
	got = problemsOf(t, plan{system: "credentials: {kind: basic, username: x, password: '${env:SET}', budget: erp}\n", paths: at("GET", "/x", "x", "")}.fs("http://erp.example.com"))
	if !strings.Contains(got, `credentials.budget: the key "budget" has no meaning for the kind basic`) {
		t.Error(got)
	}
}
