package system

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/gatewaytest"
)

// eventually waits until something holds; the test fails when it never does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal(what)
}

// hasten makes the probes of a world ask often. It is not used yet.
func (w *world) hasten() {
	for _, s := range w.set.systems {
		for _, p := range s.probes {
			p.every = 50 * time.Millisecond
		}
	}
}

// limited is a system that tells of its limits.
type limited struct {
	asked  atomic.Int64 // probes that came
	answer atomic.Pointer[string]
	status atomic.Int64
	user   atomic.Pointer[string]
}

func (l *limited) say(status int, text string) {
	l.answer.Store(&text)
	l.status.Store(int64(status))
}

func (l *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/limits" {
		io.WriteString(w, "{}")
		return
	}
	user, _, _ := r.BasicAuth()
	l.user.Store(&user)
	w.WriteHeader(int(l.status.Load()))
	io.WriteString(w, *l.answer.Load())
	l.asked.Add(1)
}

const probing = "credentials: {kind: basic, username: gateway, password: '${env:PROBE_SECRET}'}\n" +
	"limits: [{name: calls, capacity: 5, headroom: 1}, {name: daily, capacity: 100, hold: 24h, pace: off, adaptive: off}]\n" +
	"probes: [{every: 1s, get: /limits, pool: calls, capacity: .max}, {every: 1s, get: /limits, pool: daily, capacity: .day, used: .used, exact: true}]\n"

func TestProbes(t *testing.T) {
	t.Setenv("PROBE_SECRET", "s3cr3t")
	l := &limited{}
	l.say(200, `{"max":8,"day":50,"used":20}`)
	log := &gatewaytest.Log{}
	p := plan{system: probing, paths: at("GET", "/x", "x", "")}
	w := open(t, p, l)
	w.fleet.log = slog.New(slog.NewTextHandler(log, nil))
	p.url = w.system.URL + "/api"
	w.reload(p)
	w.hasten()
	pool := func(name string) (capacity, used float64) {
		for _, pool := range w.set.Status(t.Context())[0].Budget.Pools {
			if pool.Name == name {
				return pool.Capacity, pool.Used
			}
		}
		return 0, 0
	}
	// Nobody is asked before the table is used.
	time.Sleep(50 * time.Millisecond)
	if n := l.asked.Load(); n != 0 {
		t.Fatalf("%d probes of a table that is not used", n)
	}
	w.want(w.send("GET", "/x", ""), 200, "")
	eventually(t, "the capacity that was found is not in use", func() bool {
		calls, _ := pool("calls")
		daily, _ := pool("daily")
		return calls == 7 && daily == 50
	})
	if user := *l.user.Load(); user != "gateway" {
		t.Errorf("asked as %q", user)
	}
	if n := w.calls.get("erp probe delivered"); n < 2 {
		t.Errorf("%d probes were observed", n)
	}
	eventually(t, "what is used is not taken over", func() bool { _, used := pool("daily"); return used >= 20 && used < 25 })

	// The system grows; what others use of it becomes less.
	l.say(200, `{"max":12,"day":null,"used":3}`)
	eventually(t, "a new capacity is not in use", func() bool { calls, _ := pool("calls"); return calls == 11 })
	if daily, _ := pool("daily"); daily != 50 {
		t.Errorf("null made %g of the capacity", daily)
	}

	// A number that leaves no room is not believed, and said once.
	l.say(200, `{"max":1,"day":50,"used":3}`)
	eventually(t, "nothing is said of a useless number", func() bool { return strings.Contains(log.String(), "does not fit its settings") })
	if calls, _ := pool("calls"); calls != 11 {
		t.Errorf("a useless number made %g of the capacity", calls)
	}
	l.say(403, `{"error":"s3cr3t is not allowed"}`)
	asked := l.asked.Load()
	eventually(t, "the probes have stopped", func() bool { return l.asked.Load() >= asked+4 })
	if n := strings.Count(log.String(), "a probe has failed"); n != 2 {
		t.Errorf("two probes failed, which was said %d times: %s", n, log)
	}
	l.say(200, `{"max":12,"day":50,"used":3}`)
	eventually(t, "nothing is said of their recovery", func() bool { return strings.Count(log.String(), "a probe works again") == 2 })
	if strings.Contains(log.String(), "s3cr3t") {
		t.Error(log)
	}

	// The same limits keep what was found, and so does one that stays as it is
	// while others change. One that says something else forgets it, and one that no
	// probe asks after any more. A table that is not used yet changes nothing.
	w.reload(p)
	w.hasten()
	w.want(w.send("GET", "/x", ""), 200, "")
	if calls, _ := pool("calls"); calls != 11 {
		t.Errorf("after a reload of the same the capacity is %g", calls)
	}
	limits := func(text string, probes string) {
		t.Helper()
		p.system = "credentials: {kind: basic, username: gateway, password: '${env:PROBE_SECRET}'}\nlimits: [" + text + "]\nprobes: [" + probes + "]"
		w.reload(p) // and the probes are not hastened: they do not come before a second
		w.want(w.send("GET", "/x", ""), 200, "")
	}
	const asks = "{every: 1h, get: /limits, pool: calls, capacity: .max}"
	l.say(403, "{}") // from here on, nothing is found
	for _, c := range []struct {
		limits, probes string
		want           float64
	}{
		{"{name: other, capacity: 9}, {name: calls, capacity: 5, headroom: 2}", asks, 10},
		{"{name: calls, capacity: 5, scope: '{app}'}, {name: other, capacity: 9}", asks, 0}, // none of the whole system
		{"{name: calls, capacity: 5, headroom: 1}", asks, 4},
	} {
		limits(c.limits, c.probes)
		if calls, _ := pool("calls"); calls != c.want {
			t.Errorf("with the limits %s the capacity is %g, want %g", c.limits, calls, c.want)
		}
	}
	again := func() {
		t.Helper()
		l.say(200, `{"max":12,"day":50,"used":3}`)
		p.system = probing
		w.reload(p)
		w.hasten()
		w.want(w.send("GET", "/x", ""), 200, "")
		eventually(t, "the capacity is not found again", func() bool { calls, _ := pool("calls"); return calls == 11 })
		l.say(403, "{}")
		asked := l.asked.Load()
		eventually(t, "the probes have stopped", func() bool { return l.asked.Load() >= asked+2 })
	}
	for _, c := range []struct {
		limits, probes string
		want           float64
	}{
		{"{name: calls, capacity: '2 + 3', headroom: 1}", asks, 4},              // another formula
		{"{name: calls, bucket: {size: 5, refill: 1/s}, headroom: 1}", asks, 4}, // another family
		{"{name: calls, capacity: 5, headroom: 1}", "", 4},                      // nobody asks any more
		{"{name: calls, capacity: 5, headroom: 1, hold: 10ms}", asks, 11},       // the formula stays
	} {
		again()
		limits(c.limits, c.probes)
		if calls, _ := pool("calls"); calls != c.want {
			t.Errorf("with the limits %s the capacity is %g, want %g", c.limits, calls, c.want)
		}
	}
	again()
	// What was found is forgotten where it leaves no room beside other settings.
	l.say(200, `{"max":3,"day":50,"used":3}`)
	eventually(t, "a smaller capacity is not found", func() bool { calls, _ := pool("calls"); return calls == 2 })
	l.say(403, "{}")
	asked = l.asked.Load()
	eventually(t, "the probes have stopped", func() bool { return l.asked.Load() >= asked+2 })
	limits("{name: calls, capacity: 5, headroom: 4}", asks)
	if calls, _ := pool("calls"); calls != 1 {
		t.Errorf("a finding that leaves no room makes %g of the capacity", calls)
	}
	again()
	p.system = "limits: [{name: calls, capacity: 6}]"
	w.reload(p)
	if calls, _ := pool("calls"); calls != 11 {
		t.Errorf("a table that is not used made %g of the capacity", calls)
	}
	w.want(w.send("GET", "/x", ""), 200, "")
	if calls, _ := pool("calls"); calls != 6 {
		t.Errorf("after a reload of other limits the capacity is %g", calls)
	}
	// Without its table nobody asks any more.
	eventually(t, "the probes go on", func() bool {
		before := l.asked.Load()
		time.Sleep(200 * time.Millisecond)
		return l.asked.Load() == before
	})
}

// A probe of a jsonrpc system is one of its calls.
func TestProbeByCall(t *testing.T) {
	w := open(t, plan{
		system: "dialect: jsonrpc\nlimits: [{name: calls, capacity: 5}]\nprobes: [{every: 1s, call: {method: limits, params: '[1]'}, pool: calls, capacity: .max}]",
		paths:  at("GET", "/x", "x", "call: {method: m}"),
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Method string
			Params []int
		}
		json.NewDecoder(r.Body).Decode(&call)
		result := "{}"
		if call.Method == "limits" && len(call.Params) == 1 {
			result = `{"max":9}`
		}
		w.Write([]byte(`{"id":` + string(call.ID) + `,"result":` + result + `}`))
	}))
	w.hasten()
	w.want(w.send("GET", "/x", ""), 200, "")
	eventually(t, "the probe finds nothing", func() bool { return w.set.Status(t.Context())[0].Budget.Pools[0].Capacity == 9 })
}

// An older table that comes into use late changes nothing any more.
func TestOlderTable(t *testing.T) {
	f := Open(Options{})
	defer f.Close()
	var got seen
	s := httptest.NewServer(got.answers(200, "{}"))
	defer s.Close()
	server := s.URL
	old, _, _ := build(f, plan{system: "limits: [{name: a, capacity: 1}]", paths: at("GET", "/x", "x", "")}, server)
	now, _, _ := build(f, plan{system: "limits: [{name: a, capacity: 2}]", paths: at("GET", "/x", "x", "")}, server)
	defer old.Close()
	defer now.Close()
	for _, set := range []*Set{now, old} {
		if r := set.Send(context.Background(), &Request{Operation: "orders/v1/x", Method: "GET"}); r.Err != nil {
			t.Fatal(r.Err)
		}
		if c := now.Status(t.Context())[0].Budget.Pools[0].Capacity; c != 2 {
			t.Errorf("the capacity is %g", c)
		}
	}
}
