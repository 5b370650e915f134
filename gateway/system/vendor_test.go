package system

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/gateway/sim"
)

// simulated is a vendor's system and a gateway that goes by its profile.
func simulated(t *testing.T, kind string, o sim.Options, system, paths string) (*world, *sim.Server) {
	t.Helper()
	s, err := sim.New(kind, o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, plan: plan{system: system, paths: paths}, calls: &observed{count: map[string]int{}}}
	w.system = httptest.NewServer(s)
	t.Cleanup(w.system.Close)
	w.start(Options{})
	return w, s
}

func (w *world) fault(text string) {
	w.t.Helper()
	resp, err := http.Post(w.system.URL+"/_sim/faults", "application/json", strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		w.t.Fatal(resp.Status)
	}
}

func TestEveryProfileHasItsSimulator(t *testing.T) {
	for _, name := range profiles.Names() {
		if _, err := sim.New(name, sim.Options{}); err != nil {
			t.Error(err)
		}
	}
}

// The account turns out to have less than its licence says: the probe finds
// it, and the system is never asked for more.
func TestNetSuite(t *testing.T) {
	w, s := simulated(t, "netsuite", sim.Options{Latency: 5 * time.Millisecond, Concurrency: 4, Seed: 1},
		"profile: netsuite\nfacts: {tier: enterprise}\nlimits: [{name: concurrency, headroom: 1}]",
		at("GET", "/services/rest/record/v1/customer", "customers", "wait: 5s")+at("POST", "/app/site/hosting/restlet.nl", "restlet", "wait: 0s"))
	w.hasten()
	w.want(w.send("GET", "/services/rest/record/v1/customer", ""), 200, "items")
	pool := func() float64 { return w.set.Status(t.Context())[0].Budget.Pools[0].Capacity }
	eventually(t, "the probe finds nothing", func() bool { return pool() == 3 })
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() { w.want(w.send("GET", "/services/rest/record/v1/customer", ""), 200, "items") })
	}
	all.Wait()
	if r := s.Report(); r.Violations != 0 {
		t.Errorf("%d violations", r.Violations)
	}
	// Its refusals have two faces.
	for method, path := range map[string]string{"POST": "/app/site/hosting/restlet.nl", "GET": "/services/rest/record/v1/customer"} {
		w.fault(`{"kind":"overload","path":"` + path + `","count":1}`)
		r := w.send(method, path, map[string]string{"POST": "{}"}[method])
		w.want(r, 503, `"pool":"concurrency"`)
		if r.problem() != "saturated" {
			t.Error(r.text)
		}
		eventually(t, "the pause does not end", func() bool { return len(w.pauses()) == 0 })
		time.Sleep(time.Millisecond)
	}
}

// A user who is refused stops until the time that was told, and a little longer.
func TestDataverse(t *testing.T) {
	w, s := simulated(t, "dataverse", sim.Options{Seed: 1}, "profile: dataverse", at("GET", "/api/data/v9.2/accounts", "accounts", "wait: 0s"))
	w.want(w.send("GET", "/api/data/v9.2/accounts", ""), 200, "value")
	if used := w.used(); used["requests"] != 1 || used["entitlement"] != 1 || used["execution"] <= 0 {
		t.Errorf("used %v", used)
	}
	// Others spend the same user's budget at the system: its headers tell.
	for range 50 {
		resp, err := http.Get(w.system.URL + "/api/data/v9.2/accounts?$top=1")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	w.want(w.send("GET", "/api/data/v9.2/accounts", ""), 200, "value")
	if used := w.used(); used["requests"] < 52 || used["requests"] > 53 || used["entitlement"] != 2 {
		t.Errorf("used %v", used)
	}
	w.fault(`{"kind":"overload","count":1}`)
	r := w.send("GET", "/api/data/v9.2/accounts", "")
	w.want(r, 503, `"pool":"requests"`)
	pauses := w.pauses()
	for _, pool := range []string{"concurrency", "requests", "execution", "entitlement"} {
		if pauses[pool] < 3 || pauses[pool] > 10 {
			t.Errorf("%s is paused for %d s", pool, pauses[pool])
		}
	}
	before := s.Report().Arrived
	w.want(w.send("GET", "/api/data/v9.2/accounts", ""), 503, "saturated")
	if now := s.Report().Arrived; now != before {
		t.Errorf("%d calls in the pause", now-before)
	}
}
