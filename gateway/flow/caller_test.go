package flow_test

import (
	"strings"
	"testing"
)

// A run has one answer for one key, and another request needs another key.
func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, nil)
	first := w.book("o1", `Idempotency-Key: "k1"`)
	w.want(first, 201, `"booked":1`)
	again := w.book("o1", `Idempotency-Key: "k1"`)
	w.want(again, 201, `"booked":1`)
	if a, b := first.Header.Get("Headrace-Run"), again.Header.Get("Headrace-Run"); a != b || a == "" {
		t.Errorf("runs %q and %q", a, b)
	}
	w.want(w.book("o2", `Idempotency-Key: "k1"`), 422, "idempotency-key-reused")
	w.want(w.book("o2", `Idempotency-Key: "`), 400)
	w.did(w.erp, orderO1)
}

// A run under way is waited for by whoever sends its key again.
func TestSameRunTwice(t *testing.T) {
	w := newWorld(t, nil)
	hold := make(chan struct{})
	w.erp.after = nil
	w.wms.behave(refuse(503, on("POST", "/reservations")))
	r := w.book("o1", `Idempotency-Key: "k1"`, "Prefer: respond-async")
	w.want(r, 202)
	done := make(chan reply)
	go func() { done <- w.book("o1", `Idempotency-Key: "k1"`) }()
	close(hold)
	w.wms.behave(nil)
	w.want(<-done, 201, `"booked":1`)
	w.did(w.erp, orderO1)
}

// Runs belong to their app.
func TestOwnRuns(t *testing.T) {
	w := newWorld(t, nil)
	r := w.book("o1")
	at := "/runs/" + r.Header.Get("Headrace-Run")
	w.want(w.call("GET", at, "", "other"), 404, "no-such-run")
	w.want(w.call("GET", "/runs/0000000000000000000000000a", "", "shop"), 404)
	w.want(w.call("GET", "/runs", "", "shop"), 200, strings.TrimPrefix(at, "/runs/"))
	if r := w.call("GET", "/runs?state=running", "", "shop"); strings.Contains(r.body, `"id"`) {
		t.Error(r.body)
	}
	if r := w.call("GET", "/runs", "", "other"); strings.Contains(r.body, `"id"`) {
		t.Error(r.body)
	}
	w.want(w.call("GET", "/runs?after=!", "", "shop"), 400)
	tag := w.call("GET", at, "", "shop").Header.Get("ETag")
	w.want(w.call("GET", at, "", "shop", "If-None-Match: "+tag), 304)
}

// Who asks for a run may wait for its end.
func TestLongPoll(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(refuse(503, on("POST", "/orders")))
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	if r.Header.Get("Retry-After") == "" || r.Header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("%v", r.Header)
	}
	done := make(chan reply)
	go func() { done <- w.call("GET", r.Header.Get("Location"), "", "shop", "Prefer: wait=60") }()
	w.erp.behave(nil)
	w.want(<-done, 200, `"state":"completed"`, `"booked":1`)
}

// What the flow needs and the request does not give is refused before a run is kept.
func TestInputs(t *testing.T) {
	w := newWorld(t, nil)
	w.want(w.call("POST", "/booking/v1/bookings", `{"orderId":"o1"}`, "shop"), 422)
	w.want(w.call("POST", "/booking/v1/bookings", `{`, "shop"), 400)
	if r := w.call("GET", "/runs", "", "shop"); strings.Contains(r.body, `"id"`) {
		t.Error(r.body)
	}
}

const subscribed = `organisations: {acme: {}}
apps:
  shop: {organisation: acme}
products: {selling: {apis: [booking/v1]}}
plans: {gold: {}}
subscriptions: [{app: shop, product: selling, plan: gold, status: STATUS}]
`

// A run whose app has lost its subscription stops as writes do, and goes on when
// it has one again. The systems' APIs need no subscription of their own.
func TestRevoked(t *testing.T) {
	subscription := func(status string) []byte { return []byte(strings.ReplaceAll(subscribed, "STATUS", status)) }
	w := newWorld(t, func(w *world) {
		w.files["consumers.yaml"].Data = subscription("approved")
		api := strings.ReplaceAll(bookingAPI, "wait: 30s}", "wait: 30s, policies: {subscription: {}}}")
		w.files["apis/booking/1.0.0/openapi.yaml"].Data = []byte(api)
	})
	w.erp.behave(refuse(503, on("POST", "/orders")))
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	at := r.Header.Get("Location")
	w.eventually("it has begun to order", func() bool { return len(w.run(at).Steps) == 4 })
	w.files["consumers.yaml"].Data = subscription("suspended")
	w.load()
	w.erp.behave(nil)
	v := w.becomes(at, "stuck")
	if !strings.Contains(v.Reason, "no approved subscription to booking/v1") {
		t.Errorf("%+v", v)
	}
	w.did(w.erp)
	w.files["consumers.yaml"].Data = subscription("approved")
	w.load()
	if err := w.ledger.RetryNow(t.Context(), strings.TrimPrefix(v.Steps[3].Write, "/writes/"), operator); err != nil {
		t.Fatal(err)
	}
	w.becomes(at, "completed")
	w.did(w.erp, orderO1)
}

// A run goes on by the flow that it began with, also when no table has it any more.
func TestPinned(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(refuse(503, on("POST", "/orders")))
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	at := r.Header.Get("Location")
	w.eventually("it has begun to order", func() bool { return len(w.run(at).Steps) == 4 })
	w.crash()
	changed := strings.Replace(bookingFlows, "booked: .order", "other: .order", 1)
	changed = strings.Replace(changed, "payload: {orderId: $inputs.orderId, order: $steps.order.outputs.number}", "payload: {wrong: $inputs.orderId}", 1)
	w.files["apis/booking/1.0.0/flows.arazzo.yaml"].Data = []byte(changed)
	w.erp.behave(nil)
	w.start()
	if v := w.becomes(at, "completed"); !strings.Contains(string(v.Outcome.Body), `"booked":1`) {
		t.Errorf("%s", v.Outcome.Body)
	}
	w.did(w.wms, reserveA1, waveO1)
	w.want(w.call("POST", "/booking/v1/bookings", `{"orderId":"o2","customer":"c1","sku":"A1"}`, "shop"), 201, `"other":2`)
}
