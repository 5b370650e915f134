package system

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
)

// books counts what a store grants and what is settled.
type books struct {
	*budget.Memory
	granted, settled atomic.Int64
	mu               sync.Mutex
	last             budget.Settlement
}

func (b *books) Admit(ctx context.Context, a *budget.Admission) (budget.Decision, error) {
	d, err := b.Memory.Admit(ctx, a)
	if err == nil && d.Granted && !a.Probe {
		b.granted.Add(1)
	}
	return d, err
}

func (b *books) Settle(ctx context.Context, a *budget.Admission, s budget.Settlement) error {
	b.settled.Add(1)
	b.mu.Lock()
	b.last = s
	b.mu.Unlock()
	return b.Memory.Settle(ctx, a, s)
}

// balance waits until all that was granted has been settled, and no more.
func (b *books) balance(t *testing.T, want int64) budget.Settlement {
	t.Helper()
	eventually(t, fmt.Sprintf("%d of %d admissions are settled", b.settled.Load(), b.granted.Load()), func() bool {
		return b.granted.Load() >= want && b.settled.Load() == b.granted.Load()
	})
	if n := b.granted.Swap(0); n != want {
		t.Errorf("%d admissions, want %d", n, want)
	}
	b.settled.Store(0)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// Whatever becomes of a call, it is settled once.
func TestSettleAlwaysHappens(t *testing.T) {
	var mode atomic.Value
	mode.Store("")
	arrived := make(chan struct{}, 100)
	store := &books{Memory: budget.NewMemory()}
	w := &world{t: t, plan: plan{
		system: "timeout: 300ms\nbreaker: {off: true}\nlimits: [{name: calls, capacity: 1000}, {name: time, capacity: 1000000, hold: 1s, adaptive: off, cost: {by: duration, unit: 1ms}}, {name: points, capacity: 1000, hold: 1s, adaptive: off, cost: {by: value, request: '.points // 1', answer: .cost}}]\n" +
			"reports: [{pool: calls, json: '.left | error'}, {pool: points, header: X-Left, exact: true}]\noverload: [{status: 429, hint: none, retry_after: 1ms}]",
		paths: at("GET", "/x", "x", "wait: 5s") + at("POST", "/w", "w", "wait: 5s") + at("GET", "/m", "m", "wait: 5s\ncall: {response: '.a | error'}"),
	}, calls: &observed{count: map[string]int{}}}
	w.system = newServer(t, func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or a lost caller is not noticed
		arrived <- struct{}{}
		rw.Header().Set("Content-Type", "application/json")
		switch m := mode.Load().(string); m {
		case "late":
			<-r.Context().Done()
		case "cut":
			panic(http.ErrAbortHandler)
		case "short", "stream-short":
			if m == "stream-short" {
				rw.Header().Set("Content-Type", "text/plain")
			}
			io.WriteString(rw, `{"a":1`)
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "stream-late":
			rw.Header().Set("Content-Type", "text/plain")
			io.WriteString(rw, strings.Repeat("x", 1000))
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		case "stream":
			rw.Header().Set("Content-Type", "text/plain")
			for range 100 {
				io.WriteString(rw, strings.Repeat("x", 10_000))
			}
		case "404", "429", "500":
			rw.WriteHeader(int(m[0]-'0')*100 + int(m[1]-'0')*10 + int(m[2]-'0'))
			io.WriteString(rw, `{"cost":"none"}`)
		default:
			io.WriteString(rw, `{"a":1,"cost":2,"left":3}`)
		}
	})
	w.start(Options{Store: store})

	for _, c := range []struct {
		mode, method, path string
		outcome            budget.Outcome
		overload           bool
	}{
		{"", "GET", "/x", budget.Ended, false},
		{"", "POST", "/w", budget.Ended, false},
		{"", "GET", "/m", budget.Ended, false},
		{"404", "GET", "/x", budget.Ended, false},
		{"429", "POST", "/w", budget.Ended, true},
		{"500", "POST", "/w", budget.Ended, false},
		{"short", "GET", "/x", budget.Ended, false},
		{"short", "POST", "/w", budget.Unknown, false},
		{"short", "GET", "/m", budget.Ended, false},
		{"cut", "GET", "/x", budget.Ended, false},
		{"cut", "POST", "/w", budget.Unknown, false},
		{"late", "GET", "/x", budget.Unknown, false},
		{"late", "POST", "/w", budget.Unknown, false},
	} {
		t.Run(c.mode+" "+c.method+c.path, func(t *testing.T) {
			mode.Store(c.mode)
			w.send(c.method, c.path, map[string]string{"POST": `{"points":3}`}[c.method])
			s := store.balance(t, 1)
			if s.Outcome != c.outcome || s.Overload != c.overload {
				t.Errorf("settled as %+v", s)
			}
			if c.mode == "late" && (len(s.Actual) != 3 || s.Actual[1].Float() < 300) {
				t.Errorf("a call whose answer never came took %v", s.Actual)
			}
		})
	}
	// leave sends a request whose caller leaves once it has arrived.
	leave := func(method, path string, left func(*http.Response)) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for len(arrived) > 0 {
			<-arrived
		}
		r, _ := http.NewRequestWithContext(ctx, method, w.url+path, nil)
		go func() {
			<-arrived
			if left == nil {
				cancel()
			}
		}()
		resp, err := client.RoundTrip(r)
		if err == nil {
			if left != nil {
				left(resp)
			}
			cancel()
			resp.Body.Close()
		}
	}
	mode.Store("late")
	leave("GET", "/x", nil)
	store.balance(t, 1)
	leave("POST", "/w", nil) // it goes on
	store.balance(t, 1)
	for _, m := range []string{"stream", "stream-late"} {
		mode.Store(m)
		leave("GET", "/x", func(r *http.Response) { r.Body.Read(make([]byte, 10)) })
		store.balance(t, 1)
	}
	mode.Store("stream-short")
	leave("GET", "/x", func(r *http.Response) { io.Copy(io.Discard, r.Body) })
	store.balance(t, 1)

	// A panic after the answer has come.
	mode.Store("")
	sys := w.set.systems["erp"]
	sys.reports.headers = []headerReport{{pool: "calls", header: "Content-Type", match: new(regexp.Regexp)}}
	w.want(w.send("GET", "/x", ""), 500, "internal")
	if s := store.balance(t, 1); s.Outcome != budget.Unknown {
		t.Errorf("settled as %+v", s)
	}
	if n := w.transport().inFlight.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
	sys.reports.headers = nil
	w.want(w.send("GET", "/x", ""), 200, "")
}

// Those who wait and leave, or wait in vain, hold nothing.
func TestSettleOfThoseWhoWait(t *testing.T) {
	store := &books{Memory: budget.NewMemory()}
	release := make(chan struct{})
	w := &world{t: t, plan: plan{system: "limits: [{name: calls, capacity: 1}]", paths: at("GET", "/x", "x", "wait: 5s") + at("GET", "/y", "y", "wait: 20ms")}, calls: &observed{count: map[string]int{}}}
	w.system = newServer(t, func(rw http.ResponseWriter, r *http.Request) { <-release })
	w.start(Options{Store: store})
	var all sync.WaitGroup
	all.Go(func() { w.want(w.send("GET", "/x", ""), 200, "") })
	eventually(t, "the first call is not admitted", func() bool { return store.granted.Load() == 1 })
	for range 5 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, "GET", w.url+"/x", nil)
			if resp, err := client.RoundTrip(r); err == nil {
				resp.Body.Close()
				t.Errorf("%d", resp.StatusCode)
			}
		})
	}
	w.want(w.send("GET", "/y", ""), 503, "saturated")
	eventually(t, "those who left still wait", func() bool { return w.set.Status(t.Context())[0].Budget.Waiting[1] == 0 && w.waiting() == 0 })
	close(release)
	all.Wait()
	store.balance(t, 1)
}

// waiting counts the calls in line.
func (w *world) waiting() int {
	n := 0
	for _, count := range w.set.Status(w.t.Context())[0].Budget.Waiting {
		n += count
	}
	return n
}

// Log-ins, their contexts and log-outs are calls like others: each is admitted
// and settled, also when it fails.
func TestSettleOfLogins(t *testing.T) {
	store := &books{Memory: budget.NewMemory()}
	var status atomic.Int64
	status.Store(200)
	w := &world{t: t, plan: plan{
		system: "timeout: 300ms\nlimits: [{name: calls, capacity: 1}, {name: logins, capacity: 2, hold: 1m, adaptive: off, operations: [log-in, x]}]\n" +
			"credentials: {kind: session, username: gw, login: {path: /login}, headers: {A: '\"x\"'}, context: {path: /context}, logout: {path: /logout}}",
		paths: at("GET", "/x", "x", "wait: 0s"),
	}, calls: &observed{count: map[string]int{}}}
	w.system = newServer(t, func(rw http.ResponseWriter, r *http.Request) {
		if s := int(status.Load()); s == 0 {
			panic(http.ErrAbortHandler)
		} else if s != 200 {
			rw.WriteHeader(s)
		}
		io.WriteString(rw, "{}")
	})
	w.start(Options{Store: store})
	w.want(w.send("GET", "/x", ""), 200, "")
	store.balance(t, 3)
	if used := w.used()["logins"]; used != 2 {
		t.Errorf("the log-in and the call cost %g", used)
	}
	p := w.plan
	w.plan.system = strings.ReplaceAll(p.system, "gw", "other") // another session: the first one logs out
	w.reload(w.plan)
	store.balance(t, 1)
	for _, s := range []int64{0, 500, 403} {
		status.Store(s)
		w.plan.system = strings.ReplaceAll(p.system, "gw", fmt.Sprintf("user%d", s))
		w.plan.system = strings.Replace(w.plan.system, "capacity: 2", fmt.Sprintf("capacity: %d", 1000+s), 1)
		w.reload(w.plan)
		w.want(w.send("GET", "/x", ""), 503, "no access")
		store.balance(t, 1)
	}
}
