package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs/source"
)

// trial tells whether a call that was admitted now would be a trial.
func trial(s suspended) bool { return s.Suspension().Mine }

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		s := budget.New(budget.Options{System: "erp"})
		b := newBreaker(Breaker{Rate: 50, Calls: 4, Window: source.Duration(10 * time.Second), Open: source.Duration(5 * time.Second), Probes: 2},
			s, func(from, to string) { changes = append(changes, to) }, func(err error) { t.Error(err) })
		call := func(result error) {
			t.Helper()
			done, wait := b.allow(trial(s))
			if wait != 0 {
				t.Fatalf("refused for %v", wait)
			}
			done(result)
		}
		for _, r := range []error{nil, errFailed, nil, errExcluded, errExcluded} {
			call(r)
		}
		if b.state() != "closed" || b.pause() != 0 {
			t.Fatal(b.state())
		}
		call(errFailed) // two of four
		if b.state() != "open" {
			t.Fatal(b.state())
		}
		time.Sleep(2 * time.Second)
		if _, wait := b.allow(false); wait != 3*time.Second || b.pause() != 3*time.Second {
			t.Errorf("wait %v, pause %v", wait, b.pause())
		}
		time.Sleep(3*time.Second + time.Millisecond)
		if b.state() != "half-open" || b.pause() != 0 {
			t.Errorf("%s", b.state())
		}
		// Two probes at a time; one that does not count gives its place back.
		first, _ := b.allow(trial(s))
		second, _ := b.allow(trial(s))
		if _, wait := b.allow(trial(s)); wait <= 0 {
			t.Error("a third probe")
		}
		first(errExcluded)
		third, wait := b.allow(trial(s))
		if wait != 0 {
			t.Error("the place of the probe is lost")
		}
		second(nil)
		third(nil)
		if b.state() != "closed" {
			t.Error(b.state())
		}
		// Old failures leave the window.
		for range 3 {
			call(errFailed)
		}
		time.Sleep(11 * time.Second)
		call(errFailed)
		if b.state() != "closed" {
			t.Error("failures of long ago opened it")
		}
		if s := fmt.Sprint(changes); s != "[open half-open closed]" {
			t.Error(s)
		}
	})
}

func TestBreakerOff(t *testing.T) {
	s := budget.New(budget.Options{System: "erp"})
	b := newBreaker(Breaker{Off: true}, s, func(from, to string) {}, func(err error) { t.Error(err) })
	for range 100 {
		if done, wait := b.allow(false); done != nil || wait != 0 {
			t.Fatal("off")
		}
	}
	if b.state() != "closed" || b.pause() != 0 {
		t.Error(b.state())
	}
	// A suspension that was made before it was off ends with the first call after it.
	_ = s.Suspend(t.Context(), time.Nanosecond)
	eventually(t, "the system stays suspended", func() bool {
		_, wait := b.allow(trial(s))
		return wait == 0 && s.Suspension() == budget.Suspension{}
	})
}

// The breaker counts what says that the system is not well: overload signs and
// server errors, but not its refusals.
func TestWhatOpensTheBreaker(t *testing.T) {
	for _, c := range []struct {
		name, system, call string
		status             int
		body               string
		opens              bool
	}{
		{"refusals", "", "", 422, "no", false},
		{"not found", "", "", 404, "", false},
		{"unauthorised", "", "", 401, "", false},
		{"server errors", "", "", 500, "", true},
		{"server errors that are passed on", "server_errors: pass", "", 500, "", true},
		{"overload", "overload: [{status: 429}]", "", 429, "", true},
		{"overload with 400", "overload: [{status: 400, match: LIMIT}]", "", 400, "LIMIT", true},
		{"without the sign", "overload: [{status: 400, match: LIMIT}]", "", 400, "other", false},
		{"a conflict", "errors: [{match: locked, as: conflict}]", "", 500, "locked", false},
		{"a fault", "errors: [{match: boom, as: fault}]", "", 400, "boom", true},
		{"mappings that fail", "", "call: {response: .x.y}", 200, `{"x":1}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got seen
			w := open(t, plan{system: "breaker: {calls: 3, open: 20s}\n" + c.system, paths: at("GET", "/x", "x", "wait: 5s\n"+c.call)}, got.answers(c.status, c.body))
			for range 5 {
				w.send("GET", "/x", "")
			}
			want := 5
			if c.opens {
				want = 3
				r := w.send("GET", "/x", "")
				w.want(r, 503, "is left alone for a while")
				if s := r.Header.Get("Retry-After"); s < "15" || s > "25" {
					t.Errorf("Retry-After: %s", s)
				}
			}
			if got.count() != want {
				t.Errorf("%d calls", got.count())
			}
			if s := w.set.Status(t.Context())[0]; (s.Breaker == "open") != c.opens || (s.Pause > 0) != c.opens {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestBreakerCloses(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	var log bytes.Buffer
	var calls atomic.Int64
	w := open(t, plan{system: "breaker: {calls: 2, open: 100ms, probes: 1}", paths: at("GET", "/x", "x", "")}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if broken.Load() {
			w.WriteHeader(500)
		}
	}))
	w.fleet.log = slog.New(slog.NewTextHandler(&log, nil))
	for range 5 {
		w.send("GET", "/x", "")
	}
	time.Sleep(120 * time.Millisecond)
	w.want(w.send("GET", "/x", ""), 502, "") // the probe
	w.want(w.send("GET", "/x", ""), 503, "left alone")
	broken.Store(false)
	time.Sleep(120 * time.Millisecond)
	w.want(w.send("GET", "/x", ""), 200, "")
	w.want(w.send("GET", "/x", ""), 200, "")
	if calls.Load() != 5 {
		t.Errorf("%d calls", calls.Load())
	}
	if !strings.Contains(log.String(), "system=erp from=closed to=open") {
		t.Error(log.String())
	}
}

// Probes that lose their caller still tell how the system is.
func TestAbandonedProbe(t *testing.T) {
	var mode atomic.Int64
	w := open(t, plan{system: "breaker: {calls: 2, open: 50ms, probes: 1}", paths: at("GET", "/x", "x", "")}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case 0:
			w.WriteHeader(500)
		case 1:
			time.Sleep(100 * time.Millisecond)
		}
	}))
	for range 2 {
		w.send("GET", "/x", "")
	}
	time.Sleep(60 * time.Millisecond)
	mode.Store(1)
	c := http.Client{Timeout: 30 * time.Millisecond}
	c.Get(w.url + "/x")
	w.record(2)
	mode.Store(2)
	w.want(w.send("GET", "/x", ""), 200, "")
}

// The budget holds whatever the callers do: never more than two at a time, the
// others wait or are told when to come back.
func TestBudget(t *testing.T) {
	var now, most atomic.Int64
	w := open(t, plan{system: "limits: [{name: concurrency, capacity: 2}]", paths: at("GET", "/x", "x", "wait: 5s") + at("GET", "/y", "y", "wait: 0s"), app: "shop"},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(20 * time.Millisecond)
			now.Add(-1)
		}))
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() { w.want(w.send("GET", "/x", ""), 200, "") })
	}
	time.Sleep(30 * time.Millisecond)
	for _, r := range []reply{w.send("GET", "/y", ""), w.send("GET", "/x", "", "Prefer: wait=0"), w.send("GET", "/x", "", "Prefer: respond-async")} {
		w.want(r, 503, `"pool":"concurrency"`)
		if r.Header.Get("Retry-After") == "" || r.problem() != "saturated" {
			t.Errorf("%v %s", r.Header, r.text)
		}
	}
	wg.Wait()
	if most.Load() > 2 {
		t.Errorf("%d calls at once", most.Load())
	}
	waited := 0
	for i := range 15 {
		if w.record(i).Wait > 10*time.Millisecond {
			waited++
		}
	}
	if waited < 8 {
		t.Errorf("only %d exchanges waited", waited)
	}
}

// Log-ins and read-backs pass the budget, too.
func TestBudgetCountsEverything(t *testing.T) {
	s := &tryton{answer: func(string, []any) string { return `"result":[{"state":"confirmed","total":{"decimal":"1"}}]` }}
	t.Setenv("TRYTON_PASSWORD", "pw")
	p := plan{system: trytonSettings + "limits: [{name: window, capacity: 100, hold: 1h, pace: off}, {name: rare, capacity: 100, hold: 1h, pace: off}]\n", paths: at("POST", "/sales/{id}/confirm", "confirm", "cost: {rare: 7, window: '$request.path.id | tonumber'}"+confirm)}
	w := open(t, p, s)
	p.url = w.system.URL + "/headrace/"
	w.reload(p)
	w.want(w.send("POST", "/sales/3/confirm", ""), 200, "confirmed")
	used := map[string]float64{}
	for _, pool := range w.set.Status(t.Context())[0].Budget.Pools {
		used[pool.Name] = pool.Used
	}
	// The log-in and the context cost 1 each; the call and its read-back what the operation says.
	if used["window"] != 2+2*3 || used["rare"] != 2+2*7 {
		t.Errorf("used %v", used)
	}
	w.want(w.send("POST", "/sales/x/confirm", ""), 422, "cost.window failed")
}

// A breaker keeps all replicas from the system, and lets its own probes through.
func TestBreakerOverReplicas(t *testing.T) {
	var broken atomic.Bool
	var calls atomic.Int64
	system := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if broken.Load() {
			w.WriteHeader(500)
		}
	}))
	defer system.Close()
	store := budget.NewMemory()
	replica := func() *world {
		w := &world{t: t, plan: plan{url: system.URL, system: "breaker: {calls: 2, open: 400ms, probes: 1}", paths: at("GET", "/x", "x", "wait: 0s")}, calls: &observed{count: map[string]int{}}}
		w.start(Options{Store: store})
		return w
	}
	a, b := replica(), replica()
	a.want(a.send("GET", "/x", ""), 200, "")
	b.want(b.send("GET", "/x", ""), 200, "")
	broken.Store(true)
	a.want(a.send("GET", "/x", ""), 502, "") // one of two
	// The other one has seen no failure of its own.
	eventually(t, "the other replica goes on", func() bool { return b.send("GET", "/x", "").problem() == "system-unavailable" })
	before := calls.Load()
	r := b.send("GET", "/x", "")
	b.want(r, 503, "left alone")
	if r.problem() != "system-unavailable" || r.Header.Get("Retry-After") == "" || calls.Load() != before {
		t.Errorf("%v after %d calls", r.Header, calls.Load()-before)
	}
	if s := b.set.Status(t.Context())[0]; s.Breaker != "open" || s.Pause <= 0 || s.Budget.SuspendedUntil.IsZero() {
		t.Errorf("%+v", s)
	}
	// A probe that fails suspends the system again.
	eventually(t, "no probe goes out", func() bool { return a.send("GET", "/x", "").StatusCode == 502 })
	eventually(t, "the other replica goes on", func() bool { return b.send("GET", "/x", "").problem() == "system-unavailable" })
	// One that succeeds frees it for all.
	broken.Store(false)
	eventually(t, "the breaker does not close", func() bool { return a.send("GET", "/x", "").StatusCode == 200 })
	eventually(t, "the system stays suspended", func() bool { return b.set.Status(t.Context())[0].Budget.SuspendedUntil.IsZero() })
	b.want(b.send("GET", "/x", ""), 200, "")
}

// slow takes a second to learn of a suspension, and keeps what it was told.
type slow struct {
	*budget.Budget
	mu   sync.Mutex
	told []time.Duration
}

func (s *slow) Suspend(ctx context.Context, d time.Duration) error {
	time.Sleep(time.Second)
	s.mu.Lock()
	s.told = append(s.told, d)
	s.mu.Unlock()
	return s.Budget.Suspend(ctx, d)
}

// What the breaker says reaches the store in order, whatever it takes to answer.
func TestBreakerTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{Budget: budget.New(budget.Options{System: "erp"})}
		b := newBreaker(Breaker{Rate: 50, Calls: 1, Window: source.Duration(10 * time.Second), Open: source.Duration(5 * time.Second), Probes: 1},
			s, func(string, string) {}, func(err error) { t.Error(err) })
		call := func(result error) {
			t.Helper()
			done, wait := b.allow(trial(s))
			if wait != 0 {
				t.Fatalf("refused for %v", wait)
			}
			done(result)
			if want := map[bool]string{true: "closed", false: "open"}[result == nil]; b.state() != want {
				t.Errorf("it is %s, want %s", b.state(), want)
			}
		}
		call(errFailed)
		time.Sleep(6*time.Second + time.Millisecond)
		call(errFailed)
		time.Sleep(6*time.Second + time.Millisecond)
		call(nil)
		b.close()
		if said := fmt.Sprint(s.told); said != "[5s 5s 0s]" || b.state() != "closed" {
			t.Errorf("%s, and it is %s", said, b.state())
		}
	})
}

// yielding counts how often another replica is let to try.
type yielding struct {
	*budget.Budget
	n atomic.Int64
}

func (y *yielding) Yield(ctx context.Context) error {
	y.n.Add(1)
	return y.Budget.Yield(ctx)
}

// A replica that has no trial under way any more, and nothing found out, lets another
// one try. What has succeeded here still counts when it tries again.
func TestBreakerYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &yielding{Budget: budget.New(budget.Options{System: "erp"})}
		b := newBreaker(Breaker{Rate: 50, Calls: 1, Window: source.Duration(10 * time.Second), Open: source.Duration(5 * time.Second), Probes: 2},
			s, func(string, string) {}, func(err error) { t.Error(err) })
		yields := func(want int64, state string) {
			t.Helper()
			if b.close(); s.n.Load() != want || b.state() != state {
				t.Errorf("%d times another one was let to try, want %d; it is %s, want %s", s.n.Load(), want, b.state(), state)
			}
		}
		done, _ := b.allow(false)
		done(errFailed)
		time.Sleep(5*time.Second + time.Millisecond)
		first, _ := b.allow(true)
		second, _ := b.allow(true)
		b.unused(true) // an admitted call that was not made, beside others
		first(errExcluded)
		yields(0, "half-open")
		second(nil)
		yields(1, "half-open")
		b.unused(true)
		b.unused(false)
		yields(2, "half-open")
		done, _ = b.allow(true)
		done(nil)
		yields(2, "closed")
	})
}

// away is a store that nobody can tell anything.
type away struct{ *budget.Budget }

func (away) Suspend(context.Context, time.Duration) error { return errors.New("out of reach") }

// Whoever cannot tell the others does for itself what all would do.
func TestBreakerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		untold := 0
		s := away{budget.New(budget.Options{System: "erp"})}
		b := newBreaker(Breaker{Rate: 50, Calls: 1, Window: source.Duration(10 * time.Second), Open: source.Duration(5 * time.Second), Probes: 1},
			s, func(string, string) {}, func(error) { untold++ })
		state := func(want string) {
			t.Helper()
			if b.close(); b.state() != want {
				t.Errorf("it is %s, want %s", b.state(), want)
			}
		}
		done, _ := b.allow(false)
		done(errFailed)
		state("open")
		time.Sleep(5*time.Second + time.Millisecond)
		state("half-open")
		done, _ = b.allow(false)
		if _, wait := b.allow(false); done == nil || wait <= 0 {
			t.Error("not one trial at a time")
		}
		done(errFailed)
		state("open")
		time.Sleep(5*time.Second + time.Millisecond)
		done, _ = b.allow(false)
		done(nil)
		state("closed")
		if untold != 3 {
			t.Errorf("that nobody could be told is said %d times", untold)
		}
	})
}

// A limit chooses its calls by method and path below the system's URL, as they
// go out, also those that the gateway makes on its own behalf.
func TestCallsOfALimit(t *testing.T) {
	var got seen
	const limit = "capacity: 100, hold: 1h, pace: off, adaptive: off"
	p := plan{
		system: "limits: [{name: writes, " + limit + ", calls: POST /**}, {name: orders, " + limit + ", calls: '* /v2/orders/*'}, {name: logins, " + limit + ", calls: POST /login}, {name: users, " + limit + ", scope: '{account}-{principal}-{node}'}]\n" +
			"account: acme\ncredentials: {kind: session, username: gw, login: {path: /login}, headers: {A: '\"x\"'}, node: '$headers.route'}",
		paths: at("GET", "/orders/{id}", "read", "call: {path: '/v2/orders/{id}'}") + at("POST", "/orders", "create", "") + at("POST", "/login", "login", ""),
	}
	w := open(t, p, got.answers(200, "{}", "Route: n1"))
	p.url = w.system.URL + "/api"
	w.reload(p)
	w.send("GET", "/orders/17", "")
	w.send("POST", "/orders", "{}")
	w.send("POST", "/orders", "{}")
	used := map[string]float64{}
	for _, pool := range w.set.Status(t.Context())[0].Budget.Pools {
		used[pool.Name+" "+pool.Scope] = pool.Used
	}
	want := map[string]float64{"writes ": 3, "orders ": 1, "logins ": 1, "users acme-gw-n1": 3, "users acme-gw-": 1}
	if !maps.Equal(used, want) {
		t.Errorf("used %v, want %v", used, want)
	}
}
