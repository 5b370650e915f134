package buffer_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A write that goes through in time is answered by the system itself.
func TestAnsweredInTime(t *testing.T) {
	w := newWorld(t, nil)
	r := w.post("/orders", `{"id":"1"}`)
	w.want(r, 201, `{"number":1}`)
	if r.Header.Get("X-Erp") != "one" {
		t.Error("the system's header is missing")
	}
	v := w.read("/writes/" + r.Header.Get("Headrace-Write"))
	if v.State != "delivered" || v.Outcome.Status != 201 || string(v.Outcome.Body) != `{"number":1}` || v.Keys[0] != "id=1" || v.Attempts != 1 {
		t.Errorf("the resource says %+v", v)
	}
	w.want(w.send("GET", "/writes/"+v.ID, "", "other"), 404, "no-such-write")
	w.want(w.send("GET", "/writes/"+v.ID, "", ""), 404)
}

// A caller whose patience is over gets an address, and the write goes on.
func TestPatience(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	w.erp.behave(func(http.ResponseWriter, *http.Request, string) bool { <-release; return true }, nil)
	r := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async")
	w.want(r, 202, `"state":"held"`)
	if r.Header.Get("Preference-Applied") != "respond-async" || r.Header.Get("Retry-After") == "" {
		t.Errorf("the header is %v", r.Header)
	}
	close(release)
	w.becomes(r.Header.Get("Location"), "delivered")
	if n := len(w.erp.effects()); n != 1 {
		t.Errorf("%d effects", n)
	}
}

// A system that is away makes writes wait, and nothing is lost or out of order.
func TestSystemAway(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(func(rw http.ResponseWriter, _ *http.Request, _ string) bool {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return false
	}, nil)
	var last string
	for _, n := range []string{"a", "b", "c"} {
		r := w.post("/orders", `{"id":"1","n":"`+n+`"}`, "Prefer: wait=0")
		w.want(r, 202)
		last = r.Header.Get("Location")
	}
	w.erp.behave(nil, nil)
	v := w.becomes(last, "delivered")
	if v.Attempts != 1 {
		t.Errorf("unavailability counted: %d attempts", v.Attempts)
	}
	if got := strings.Join(w.erp.effects(), "|"); got != `POST /orders {"id":"1","n":"a"}|POST /orders {"id":"1","n":"b"}|POST /orders {"id":"1","n":"c"}` {
		t.Errorf("done: %s", got)
	}
}

// The lost answer of an operation that nothing makes safe is told, and the
// write waits for a person.
func TestNeverBlind(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(nil, vanish)
	r := w.post("/orders", `{"id":"1"}`)
	w.want(r, 502, "not known")
	v := w.read("/writes/" + r.Header.Get("Headrace-Write"))
	if v.State != "doubtful" || !v.NeedsAttention {
		t.Errorf("the resource says %+v", v)
	}
	w.erp.behave(nil, nil)
	w.want(w.post("/orders", `{"id":"1"}`, "Prefer: wait=0"), 202) // its lane is stopped
	w.want(w.post("/orders", `{"id":"2"}`), 201)
	time.Sleep(300 * time.Millisecond)
	if n := len(w.erp.effects()); n != 2 {
		t.Errorf("%d effects", n)
	}
}

// Without a ledger nothing is accepted, and nothing is sent; reads go on.
func TestLedgerAway(t *testing.T) {
	w := newWorld(t, nil)
	w.ledger.Close()
	r := w.post("/orders", `{"id":"1"}`)
	w.want(r, 503, "ledger-unavailable")
	if r.Header.Get("Retry-After") == "" || len(w.erp.effects()) != 0 {
		t.Errorf("effects %v, header %v", w.erp.effects(), r.Header)
	}
	w.want(w.send("GET", "/orders/v1/orders?id=1", "", "shop"), 200)
	w.crash()
}

// A caller that leaves takes nothing back.
func TestCallerLeaves(t *testing.T) {
	w := newWorld(t, nil)
	release := w.stuck()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", w.front.URL+"/orders/v1/orders", strings.NewReader(`{"id":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Test-App", "shop")
	go func() {
		for {
			w.erp.mu.Lock()
			seen := w.erp.seen
			w.erp.mu.Unlock()
			if seen > 0 {
				leave()
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Fatal("it did not leave")
	}
	close(release)
	w.eventually("it is delivered all the same", func() bool {
		return strings.Contains(w.send("GET", "/writes?state=delivered", "", "shop").body, "createOrder")
	})
}

// A body of any size goes through byte for byte, and so does the answer.
func TestLargeBodies(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(nil, func(rw http.ResponseWriter, _ *http.Request, body string) bool {
		rw.Header().Set("Content-Type", "text/plain")
		rw.Write([]byte(body)) // longer than what is read at once
		return false
	})
	body := `{"id":"1","text":"` + strings.Repeat("é\\n<&> ", 60_000) + `"}`
	r := w.post("/orders", body, "Idempotency-Key: k")
	w.want(r, 200)
	if again := w.post("/orders", body, "Idempotency-Key: k"); r.body != body || again.body != body {
		t.Errorf("%d bytes came back as %d and %d", len(body), len(r.body), len(again.body))
	}
	if e := w.erp.effects(); len(e) != 1 || e[0] != "POST /orders "+body {
		t.Error("the body was changed")
	}
}
