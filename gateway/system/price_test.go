package system

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
)

// used is what is occupied of each pool.
func (w *world) used() map[string]float64 {
	used := map[string]float64{}
	for _, pool := range w.set.Status(w.t.Context())[0].Budget.Pools {
		used[pool.Name] = pool.Used
	}
	return used
}

func TestMeasuredCosts(t *testing.T) {
	const hold = "capacity: 100000, hold: 1h, adaptive: off, pace: off"
	for _, c := range []struct {
		name, cost, headrace string
		method, body         string
		status               int
		answer               string
		want                 float64
	}{
		{"bytes", "{by: bytes}", "", "POST", `{"a":1}`, 200, `{"b":23}`, 7 + 8},
		{"bytes of a read", "{by: bytes}", "", "GET", "", 200, `{"b":23}`, 8},
		{"bytes of what is sent", "{by: bytes}", "call: {request: '{longer: .a}'}", "POST", `{"a":1}`, 200, `{"b":23}`, 12 + 8},
		{"bytes in kibibytes", "{by: bytes, unit: 1KiB}", "", "POST", strings.Repeat(" ", 2046) + "{}", 200, strings.Repeat(" ", 1024), 3},
		{"bytes of a refusal", "{by: bytes}", "", "POST", `{"a":1}`, 404, `nothing`, 7 + 7},
		{"elements", "{by: elements, request: '.orders | length'}", "", "POST", `{"orders":[1,2,3]}`, 200, "{}", 3},
		{"elements in tens", "{by: elements, unit: 10, request: '.orders | length'}", "", "POST", `{"orders":[1,2,3]}`, 200, "{}", 0.3},
		{"elements of another request", "{by: elements, estimate: 4, request: '.orders | length'}", "", "POST", `not JSON`, 200, "{}", 4},
		{"elements without a body", "{by: elements, estimate: 4, request: '.orders[0] | length'}", "", "GET", "", 200, "{}", 0},
		{"a value", "{by: value, request: '.points // 10'}", "", "POST", `{"points":25}`, 200, "{}", 25},
		{"a value by itself", "{by: value, request: '.points // 10'}", "", "POST", `{}`, 200, "{}", 10},
		{"a refund", "{by: value, request: '.points // 10', answer: '.extensions.cost.actualQueryCost'}", "", "POST", `{"points":25}`, 200, `{"extensions":{"cost":{"actualQueryCost":3}}}`, 3},
		{"more than was asked", "{by: value, request: '.points // 10', answer: .actual}", "", "POST", `{"points":25}`, 200, `{"actual":40}`, 40},
		{"no refund", "{by: value, request: '.points // 10', answer: '.extensions.cost.actualQueryCost'}", "", "POST", `{"points":25}`, 200, `{"extensions":{"cost":{"actualQueryCost":null}}}`, 25},
		{"an answer that is no JSON", "{by: value, request: '.points // 10', answer: .actual}", "", "POST", `{"points":25}`, 200, `oops`, 25},
		{"the operation's own number", "{by: value, request: '.points // 10', answer: .actual}", "cost: {pool: 6}", "POST", `{"points":25}`, 200, `{"total":40}`, 6},
		{"the operation's own number, settled by the answer", "{by: value, request: '.points // 10', answer: .actual}", "cost: {pool: 6}", "POST", `{"points":25}`, 200, `{"actual":4}`, 4},
		{"the operation's own mapping", "{by: bytes}", "cost: {pool: '.points * 2'}", "POST", `{"points":25}`, 200, `{}`, 50},
		{"exempt", "{by: value, request: .points}", "", "POST", `{"points":0}`, 200, "{}", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got seen
			paths := at(c.method, "/x", "x", "wait: 0s\n"+c.headrace)
			w := open(t, plan{system: "limits: [{name: pool, " + hold + ", cost: " + c.cost + "}]", paths: paths}, got.answers(c.status, c.answer, "Content-Type: application/json"))
			r := w.send(c.method, "/x", c.body, "Content-Type: application/json")
			if r.StatusCode != c.status || r.text != c.answer {
				t.Errorf("%d %s", r.StatusCode, r.text)
			}
			w.record(0)
			if used := w.used()["pool"]; used < c.want-1e-6 || used > c.want+0.001 {
				t.Errorf("the call cost %g, want %g", used, c.want)
			}
		})
	}
}

// An operation's own mapping must give a number: nothing is sent otherwise.
func TestCostThatCannotBeWorkedOut(t *testing.T) {
	var got seen
	w := open(t, plan{system: "limits: [{name: pool, capacity: 10, hold: 1h, pace: off}]", paths: at("POST", "/x", "x", "cost: {pool: .points}")}, got.answers(200, "{}"))
	w.want(w.send("POST", "/x", `{"points":"many"}`), 422, "cost.pool failed")
	w.want(w.send("POST", "/x", `{"points":-1}`), 422, "cost.pool failed")
	if got.count() != 0 || w.used()["pool"] != 0 {
		t.Errorf("%d calls, %v", got.count(), w.used())
	}
}

// A call occupies what calls of its operation took lately, and in the end what
// it took itself.
func TestCostByDuration(t *testing.T) {
	release := make(chan struct{})
	w := open(t, plan{
		system: "limits: [{name: time, capacity: 1000000, hold: 1h, adaptive: off, pace: off, cost: {by: duration, unit: 1ms, estimate: 5s}}]",
		paths:  at("GET", "/x", "x", "") + at("GET", "/y", "y", ""),
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/x" {
			<-release
		}
		io.WriteString(w, "{}")
	}))
	started := time.Now()
	done := make(chan reply)
	go func() { done <- w.send("GET", "/x", "") }()
	for w.used()["time"] == 0 {
		time.Sleep(time.Millisecond)
	}
	if used := w.used()["time"]; used != 5000 {
		t.Errorf("the first call was taken for %g ms", used)
	}
	time.Sleep(50 * time.Millisecond)
	close(release)
	w.want(<-done, 200, "")
	w.record(0)
	used, took := w.used()["time"], float64(time.Since(started).Milliseconds())
	if used < 50 || used > took+1 {
		t.Errorf("the call of %g ms cost %g ms", took, used)
	}
	known, ok := w.fleet.usual("erp", "x", "time").get()
	if !ok || known < 50e6 {
		t.Errorf("the next call is taken for %g ns", known)
	}
	if _, ok := w.fleet.usual("erp", "y", "time").get(); ok {
		t.Error("another operation is taken for it, too")
	}
	// What is known outlasts a reload.
	w.reload(w.plan)
	costs := w.set.operations["orders/v1/x"].prices.guess(nil, &outgoing{})
	if len(costs) != 1 || costs[0].Units != known/1e6 {
		t.Errorf("after a reload a call is taken for %v", costs)
	}
}

// What is sent is known before the call; only the answer has to be guessed.
func TestGuessOfBytes(t *testing.T) {
	u := &usual{}
	p := prices{metered: []meter{{pool: "volume", charge: &budget.Charge{By: "bytes", Unit: 10, Estimate: 500}, guesses: true, usual: u}}}
	guess := func(size int) float64 { return p.guess(nil, &outgoing{body: make([]byte, size)})[0].Units }
	if guess(100) != 50 || guess(1000) != 100 {
		t.Errorf("at first %g and %g", guess(100), guess(1000))
	}
	p.after(t.Context(), nil, &measured{sent: 1000, received: 80, ordinary: true})
	if guess(100) != 18 || guess(0) != 8 {
		t.Errorf("then %g and %g", guess(100), guess(0))
	}
	p.after(t.Context(), nil, &measured{received: 1600})
	if guess(0) != 8 {
		t.Error("a call that was not answered in an ordinary way says something of others")
	}
	for range 100 {
		p.after(t.Context(), nil, &measured{received: 1600, ordinary: true})
	}
	if g := guess(0); g < 150 || g > 160 {
		t.Errorf("in the end %g", g)
	}
}

// Nothing is worked out per call where nothing is measured.
func TestPricesCostNothing(t *testing.T) {
	p := prices{fixed: []budget.Cost{{Pool: "a", Units: 2}}}
	r, out := &Request{}, &outgoing{}
	if n := testing.AllocsPerRun(100, func() {
		costs, _ := p.before(t.Context(), r)
		p.guess(costs, out)
		p.after(t.Context(), costs, &measured{})
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// Only the calls that a limit applies to are read for it.
func TestCostsOfOtherCalls(t *testing.T) {
	var got seen
	w := open(t, plan{
		system: "limits: [{name: points, capacity: 100, hold: 1m, calls: POST /a, cost: {by: value, request: .points, answer: .cost}}]",
		paths:  at("POST", "/a", "a", "") + at("POST", "/b", "b", ""),
	}, got.answers(200, `{"cost":4}`, "Content-Type: application/json"))
	a, b := w.set.operations["orders/v1/a"], w.set.operations["orders/v1/b"]
	if !a.needsBody || !a.prices.looks || b.needsBody || b.prices.looks {
		t.Errorf("%+v\n%+v", a.prices, b.prices)
	}
	w.send("POST", "/a", `{"points":2}`)
	w.send("POST", "/b", `{"points":2}`)
	if used := w.used()["points"]; used != 4 {
		t.Errorf("used %g", used)
	}
}

func TestHeldBytes(t *testing.T) {
	body := []byte("12345")
	for _, c := range []struct {
		name       string
		body, sent []byte
		want       int
	}{
		{"nothing", nil, nil, 0}, {"not sent", body, nil, 5}, {"passed on", body, body, 5},
		{"made of it", body, []byte("1234567"), 12}, {"made of nothing", nil, []byte("123"), 3},
	} {
		if got := (&outgoing{body: c.sent}).held(c.body); got != c.want {
			t.Errorf("%s: %d bytes are held, want %d", c.name, got, c.want)
		}
	}
}
