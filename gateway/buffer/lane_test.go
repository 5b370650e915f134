package buffer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/ledger"
)

// refuse answers 422.
func refuse(rw http.ResponseWriter, _ *http.Request, _ string) bool {
	rw.WriteHeader(422)
	return false
}

// A refusal that its caller is told does not stop the lane; one that nobody
// heard does, unless the operation says otherwise.
func TestWhoHearsARefusal(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(refuse, nil)
	w.want(w.post("/orders", `{"id":"1"}`), 422)
	heard := w.post("/orders", `{"id":"1"}`)
	w.want(heard, 422)
	if v := w.read("/writes/" + heard.Header.Get("Headrace-Write")); v.NeedsAttention || v.State != "refused" {
		t.Errorf("%+v", v)
	}
	unheard := w.post("/orders", `{"id":"2"}`, "Prefer: respond-async")
	if v := w.becomes(unheard.Header.Get("Location"), "refused"); !v.NeedsAttention || v.Outcome.Status != 422 {
		t.Errorf("%+v", v)
	}
	on := w.post("/going-on", `{"id":"3"}`, "Prefer: respond-async")
	w.becomes(on.Header.Get("Location"), "refused")
	w.erp.behave(nil, nil)
	w.want(w.post("/orders", `{"id":"2"}`, "Prefer: wait=0"), 202)
	w.want(w.post("/going-on", `{"id":"3"}`), 201)
	if r := w.post("/orders", `{"id":"2"}`, "Prefer: wait=1"); r.StatusCode != 202 {
		t.Errorf("a stopped lane went on: %d", r.StatusCode)
	}
}

// The writes of a key keep their order, whoever sends them: two buffers share
// the ledger, and callers are answered at once or later.
func TestOrderOverTwoBuffers(t *testing.T) {
	w := newWorld(t, nil)
	second := buffer.New(w.o)
	first := w.buffer
	w.buffer = second
	_, set := w.build()
	second.Use(set)
	w.buffer = first
	t.Cleanup(func() { second.Close(t.Context()); set.Close() })

	var overloaded atomic.Int32
	w.erp.behave(func(rw http.ResponseWriter, _ *http.Request, body string) bool {
		time.Sleep(time.Millisecond)
		if overloaded.Add(1)%7 == 0 { // it is overloaded now and then
			rw.WriteHeader(503)
			return false
		}
		return true
	}, nil)
	const keys, each = 6, 12
	var wait sync.WaitGroup
	for k := range keys {
		wait.Go(func() {
			for n := range each {
				r := w.send("POST", "/orders/v1/orders", fmt.Sprintf(`{"id":"k%d","n":%d}`, k, n), "shop", fmt.Sprintf("Prefer: wait=%d", n%2))
				if r.StatusCode != 201 && r.StatusCode != 202 {
					t.Errorf("answered %d %s", r.StatusCode, r.body)
				}
			}
		})
	}
	wait.Wait()
	w.eventually("all are done", func() bool { return len(w.erp.effects()) >= keys*each })
	time.Sleep(100 * time.Millisecond)
	next := map[string]int{}
	for _, effect := range w.erp.effects() {
		var body struct {
			ID string
			N  int
		}
		_, text, _ := strings.Cut(strings.TrimPrefix(effect, "POST "), " ")
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		if body.N != next[body.ID] {
			t.Fatalf("%s: %d came instead of %d", body.ID, body.N, next[body.ID])
		}
		next[body.ID]++
	}
}

func TestSequence(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.Settings.Gap = 10 * time.Second })
	w.want(w.post("/sequence", `{"id":"1","revision":1}`), 201, `{"number":1}`)
	third := w.post("/sequence", `{"id":"1","revision":3}`, "Prefer: wait=0")
	w.want(third, 202)
	w.want(w.post("/sequence", `{"id":"1","revision":1}`), 201, `{"number":1}`) // came already
	w.want(w.post("/sequence", `{"id":"1","revision":2}`), 201)
	w.becomes(third.Header.Get("Location"), "delivered")
	w.want(w.post("/sequence", `{"id":"1","revision":"x"}`), 422, "whole number")
	w.want(w.post("/sequence", `{"id":"1"}`), 422)
	w.want(w.post("/sequence", `{"id":{"a":1},"revision":9}`), 422, "text or a number")
	if e := w.erp.effects(); len(e) != 3 || !strings.Contains(e[1], `"revision":2`) {
		t.Errorf("done: %v", e)
	}
	w.want(w.post("/sequence", `{"id":"2","revision":5}`), 201)
	w.want(w.post("/sequence", `{"id":"2","revision":4}`), 409, "after a later one")
}

// The newest state stands for older ones that have not been sent.
func TestCoalesce(t *testing.T) {
	w := newWorld(t, nil)
	release := make(chan struct{})
	w.erp.behave(func(http.ResponseWriter, *http.Request, string) bool { <-release; return true }, nil)
	var places []string
	for n := range 4 {
		r := w.post("/stock", fmt.Sprintf(`{"id":"1","n":%d}`, n), "Prefer: respond-async")
		places = append(places, r.Header.Get("Location"))
	}
	close(release)
	w.becomes(places[3], "delivered")
	if v := w.becomes(places[1], "superseded"); v.ReplacedBy == "" {
		t.Errorf("%+v", v)
	}
	if n := len(w.erp.effects()); n != 2 {
		t.Errorf("done: %v", w.erp.effects())
	}
}

// Beyond its bounds a buffer takes nothing more, and says when to come back.
func TestBounds(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.Settings.Writes, w.o.Settings.Share = 6, 0.5 })
	w.erp.behave(func(rw http.ResponseWriter, _ *http.Request, _ string) bool { rw.WriteHeader(503); return false }, nil)
	for n := range 3 {
		w.want(w.post("/orders", fmt.Sprintf(`{"id":"%d"}`, n), "Prefer: wait=0"), 202)
	}
	r := w.post("/orders", `{"id":"9"}`, "Prefer: wait=0")
	w.want(r, 503, "buffer-full", "the app's share")
	if r.Header.Get("Retry-After") == "" {
		t.Error("it does not say when")
	}
	for n := range 3 {
		w.want(w.send("POST", "/orders/v1/orders", fmt.Sprintf(`{"id":"%d"}`, n), "other", "Prefer: wait=0"), 202)
	}
	w.want(w.send("POST", "/orders/v1/orders", `{}`, "", "Prefer: wait=0"), 503, "buffer-full", "the buffer of erp")
	w.erp.behave(nil, nil)
	w.eventually("all six are done", func() bool { return len(w.erp.effects()) == 6 })
	w.want(w.post("/orders", `{"id":"9"}`), 201)
}

// A plan says how much of a buffer one app may fill.
func TestWriteShareOfAPlan(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.o.Settings.Writes, w.o.Settings.Share = 6, 0.5
		w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.Replace(document, "wait: 2s}", "wait: 2s, policies: {subscription: {}}}", 1))
		w.files["consumers.yaml"].Data = []byte(consumers + "products: {desk: {apis: [orders/v1]}}\nplans: {small: {write_share: 20}}\nsubscriptions: [{app: shop, product: desk, plan: small}]\n")
	})
	w.erp.behave(func(rw http.ResponseWriter, _ *http.Request, _ string) bool { rw.WriteHeader(503); return false }, nil)
	w.want(w.post("/orders", `{"id":"0"}`, "Prefer: wait=0"), 202)
	w.want(w.post("/orders", `{"id":"1"}`, "Prefer: wait=0"), 503, "buffer-full", "the app's share")
	for n := range 3 {
		w.want(w.send("POST", "/orders/v1/orders", fmt.Sprintf(`{"id":"%d"}`, n), "other", "Prefer: wait=0"), 202)
	}
	w.want(w.send("POST", "/orders/v1/orders", `{"id":"9"}`, "other", "Prefer: wait=0"), 503, "buffer-full", "the app's share")
	w.erp.behave(nil, nil)
	w.eventually("all four are done", func() bool { return len(w.erp.effects()) == 4 })
}

// An app that was disabled meanwhile has nothing sent any more.
func TestRevoked(t *testing.T) {
	w := newWorld(t, nil)
	by := ledger.By{Actor: "test"}
	if err := w.ledger.Pause(t.Context(), "erp", "", by); err != nil { // so that it is held for sure
		t.Fatal(err)
	}
	id := w.post("/orders", `{"id":"1"}`, "Prefer: wait=0").Header.Get("Headrace-Write")
	w.files["consumers.yaml"].Data = []byte(strings.Replace(consumers, "shop: {organisation: acme}", "shop: {organisation: acme, disabled: true}", 1))
	w.load()
	if err := w.ledger.Resume(t.Context(), "erp", "", by); err != nil {
		t.Fatal(err)
	}
	var record *ledger.Record
	w.eventually("it is refused", func() bool {
		var err error
		record, err = w.ledger.Get(t.Context(), id)
		return err == nil && record.State == ledger.Refused
	})
	if !record.Dead || record.Group != "revoked" || len(w.erp.effects()) != 0 {
		t.Errorf("%+v", record)
	}
}

// Under a budget of one call at a time the urgent come first, and the low
// class gets its floor.
func TestUrgentFirst(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.files["systems/erp.yaml"].Data = append(w.files["systems/erp.yaml"].Data, "limits: [{name: one, capacity: 1}]\n"...)
		text := strings.Replace(document, "  /going-on:\n    post:\n      operationId: goingOn\n      x-headrace: {", "  /going-on:\n    post:\n      operationId: goingOn\n      x-headrace: {class: critical, ", 1)
		w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(text)
		w.o.Line, w.o.LineWait = 5, time.Minute
	})
	gate := make(chan struct{})
	w.erp.behave(func(http.ResponseWriter, *http.Request, string) bool { <-gate; return true }, nil)
	for n := range 20 {
		w.want(w.post("/orders", fmt.Sprintf(`{"id":"n%d"}`, n), "Prefer: respond-async"), 202)
	}
	var last string
	for n := range 5 {
		r := w.post("/going-on", fmt.Sprintf(`{"id":"c%d"}`, n), "Prefer: respond-async")
		w.want(r, 202)
		last = r.Header.Get("Location")
		w.becomes(last, "sending") // it stands in line
	}
	close(gate)
	w.becomes(last, "delivered")
	position := slices.IndexFunc(w.erp.effects(), func(e string) bool { return strings.Contains(e, `"c4"`) })
	if position > 8 { // one under way, the floor's, and five of its own
		t.Errorf("the last critical write came as number %d", position)
	}
	w.eventually("all are done", func() bool { return len(w.erp.effects()) == 25 })
}
