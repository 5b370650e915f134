package flow_test

import (
	"net/http"
	"strings"
	"testing"
)

const (
	reserveA1 = `POST /reservations {"orderId":"o1","sku":"A1"}`
	orderO1   = `POST /orders {"limit":1000,"orderId":"o1"}`
	waveO1    = `POST /waves {"order":1,"orderId":"o1"}`
	releaseO1 = `POST /releases {"orderId":"o1","reservation":1}`
)

// A run reads side by side, then writes in order, and answers with its outputs.
func TestRun(t *testing.T) {
	w := newWorld(t, nil)
	r := w.book("o1", "X-Correlation-Id: c-17")
	w.want(r, 201, `"booked":1`, `"left":6`, `"id":"o1"`)
	w.did(w.wms, reserveA1, waveO1)
	w.did(w.erp, orderO1)
	if got := w.erp.seen.Get("X-Correlation-Id"); got != "c-17" {
		t.Errorf("the system was told the correlation id %q", got)
	}
	v := w.run("/runs/" + r.Header.Get("Headrace-Run"))
	if v.State != "completed" || len(v.Steps) != 5 || v.Outcome.Status != 201 {
		t.Errorf("%+v", v)
	}
}

// A flow that only reads has partial answers, and keeps nothing.
func TestReadOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.want(w.call("GET", "/booking/v1/availability/A1", "", "shop"), 200, `"wms":7`, `"erp":7`)
	w.wms.behave(refuse(500, func(*http.Request) bool { return true }))
	w.want(w.call("GET", "/booking/v1/availability/A1", "", "shop"), 200, `"wms":"unknown"`, `"erp":7`)
	if r := w.call("GET", "/runs", "", "shop"); strings.Contains(r.body, `"id"`) {
		t.Errorf("a run was kept: %s", r.body)
	}
}

// An experience API passes the write of a process API through, and shapes its answer.
func TestExperience(t *testing.T) {
	w := newWorld(t, nil)
	r := w.call("POST", "/shop/v1/buy", `{"id":"o1"}`, "shop", `Idempotency-Key: "k"`)
	w.want(r, 200, `"stillThere":6`)
	w.want(w.call("POST", "/shop/v1/buy", `{"id":"o1"}`, "shop", `Idempotency-Key: "k"`), 200, `"stillThere":6`)
	w.did(w.wms, reserveA1, waveO1)
}

// What may be given again is not asked for again, for the same app and inputs.
func TestCache(t *testing.T) {
	w := newWorld(t, func(w *world) {
		text := strings.Replace(bookingFlows, "optional: true, timeout: 2s, fallback: {available: unknown}}\n      - stepId: erp", "cache: 1h}\n      - stepId: erp", 1)
		w.files["apis/booking/1.0.0/flows.arazzo.yaml"].Data = []byte(text)
	})
	for _, sku := range []string{"A1", "A1", "B2"} {
		w.want(w.call("GET", "/booking/v1/availability/"+sku, "", "shop"), 200, `"wms":7`)
	}
	w.want(w.call("GET", "/booking/v1/availability/A1", "", "other"), 200, `"wms":7`)
	if w.wms.reads != 3 || w.erp.reads != 4 {
		t.Errorf("%d and %d reads", w.wms.reads, w.erp.reads)
	}
}

// The answer of a whole flow that only reads may be given again.
func TestCachedFlow(t *testing.T) {
	w := newWorld(t, func(w *world) {
		text := strings.Replace(bookingFlows, "    outputs: {wms:", "    x-headrace: {cache: 1h}\n    outputs: {wms:", 1)
		w.files["apis/booking/1.0.0/flows.arazzo.yaml"].Data = []byte(text)
	})
	for range 3 {
		w.want(w.call("GET", "/booking/v1/availability/A1", "", "shop"), 200, `"wms":7`)
	}
	w.want(w.call("GET", "/booking/v1/availability/A1", "", "other"), 200, `"wms":7`)
	if w.wms.reads != 2 {
		t.Errorf("%d reads", w.wms.reads)
	}
}
