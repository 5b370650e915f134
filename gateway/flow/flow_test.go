package flow_test

import (
	"net/http"
	"strings"
	"sync/atomic"
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
		text := strings.Replace(bookingFlows, "optional: true, timeout: 30s, fallback: {available: unknown}}\n      - stepId: erp", "cache: 1h}\n      - stepId: erp", 1)
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

// control is a document whose workflows go all ways.
const control = `arazzo: 1.0.1
info: {title: Booking, version: 1.0.0}
sourceDescriptions:
  - {name: erp, url: "headrace:orders/v1", type: openapi}
  - {name: wms, url: "headrace:stock/v1", type: openapi}
workflows:
  - workflowId: first
    inputs: &in {type: object, required: [orderId, customer, sku], properties: {orderId: {type: string}, customer: {type: string}, sku: {type: string}}}
    steps:
      - stepId: look
        operationId: $sourceDescriptions.erp.getCredit
        parameters: [{name: customer, in: path, value: $inputs.customer}]
        outputs: {limit: $response.body#/limit}
    outputs: {limit: $steps.look.outputs.limit}
  - workflowId: reserving
    inputs: {type: object, properties: {order: {type: string}}}
    steps:
      - stepId: reserve
        operationId: $sourceDescriptions.wms.reserve
        requestBody: {contentType: application/json, payload: {orderId: $inputs.order, sku: B2}}
        outputs: {number: $response.body#/number}
        x-headrace:
          compensation:
            operationId: $sourceDescriptions.wms.release
            requestBody: {contentType: application/json, payload: {orderId: $inputs.order, reservation: $steps.reserve.outputs.number}}
    outputs: {number: $steps.reserve.outputs.number}
  - workflowId: book
    inputs: *in
    dependsOn: [first]
    steps:
      - stepId: stock
        operationId: $sourceDescriptions.wms.getStock
        parameters: [{name: sku, in: path, value: $inputs.sku}]
        outputs: {available: $response.body#/available}
        onFailure: [{name: again, type: retry, retryAfter: 0.01, retryLimit: 2, criteria: [{condition: $statusCode >= 500}]}]
      - stepId: pick
        workflowId: reserving
        parameters: [{name: order, value: $inputs.orderId}]
        outputs: {number: $outputs.number}
      - stepId: order
        operationId: $sourceDescriptions.erp.createOrder
        requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, limit: $workflows.first.outputs.limit}}
        outputs: {number: $response.body#/number}
        onFailure:
          - {name: skip, type: goto, stepId: wave, criteria: [{condition: $statusCode == 409}]}
          - {name: stop, type: end}
        onSuccess: [{name: enough, type: end, criteria: [{condition: $inputs.customer == 'short'}]}]
      - stepId: wave
        operationId: $sourceDescriptions.wms.startWave
        requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId}}
        outputs: {wave: $response.body#/number}
    outputs: {order: $steps.order.outputs.number, pick: $steps.pick.outputs.number, wave: $steps.wave.outputs.wave, limit: $workflows.first.outputs.limit}
`

// Retries, gotos, ends, workflows within workflows and before them.
func TestControl(t *testing.T) {
	bend := func(w *world) {
		api := strings.Replace(bookingAPI, "  /availability/{sku}:\n    get:\n      operationId: availability\n      x-headrace: {flow: availability}\n      parameters: [{name: sku, in: path, required: true, schema: {type: string}}]\n      responses: {\"200\": {description: any, content: {application/json: {schema: {type: object}}}}}\n", "", 1)
		w.files["apis/booking/1.0.0/openapi.yaml"].Data = []byte(api)
		w.files["apis/booking/1.0.0/flows.arazzo.yaml"].Data = []byte(control)
	}
	const reserveB2 = `POST /reservations {"orderId":"o1","sku":"B2"}`
	for _, c := range []struct {
		name     string
		customer string
		erp, wms func(t *testing.T) func(w http.ResponseWriter, r *http.Request, body string) bool
		status   int
		says     string
		wmsDid   []string
		erpDid   []string
	}{
		{name: "all goes well", customer: "c1", status: 201, says: `"limit":1000,"order":1,"pick":1,"wave":2`,
			wmsDid: []string{reserveB2, `POST /waves {"orderId":"o1"}`}, erpDid: []string{orderO1}},
		{name: "it ends early and well", customer: "short", status: 201, says: `"order":1`, wmsDid: []string{reserveB2}, erpDid: []string{orderO1}},
		{name: "a refused order is jumped over", customer: "c1", status: 201, says: `"wave":2`,
			erp: func(*testing.T) func(http.ResponseWriter, *http.Request, string) bool {
				return refuse(409, on("POST", "/orders"))
			},
			wmsDid: []string{reserveB2, `POST /waves {"orderId":"o1"}`}},
		{name: "an end after a failure undoes what a workflow within did", customer: "c1", status: 422, says: "undone",
			erp: func(*testing.T) func(http.ResponseWriter, *http.Request, string) bool {
				return refuse(400, on("POST", "/orders"))
			},
			wmsDid: []string{reserveB2, `POST /releases {"orderId":"o1","reservation":1}`}},
		{name: "a read is tried again", customer: "c1", status: 201, says: `"order":1`,
			wms: func(*testing.T) func(http.ResponseWriter, *http.Request, string) bool {
				return times(2, refuse(500, on("GET", "/stock/A1")))
			},
			wmsDid: []string{reserveB2, `POST /waves {"orderId":"o1"}`}, erpDid: []string{orderO1}},
		{name: "a read is not tried for ever", customer: "c1", status: 502, says: "the step stock",
			wms: func(*testing.T) func(http.ResponseWriter, *http.Request, string) bool {
				return times(3, refuse(500, on("GET", "/stock/A1")))
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, bend)
			if c.erp != nil {
				w.erp.behave(c.erp(t))
			}
			if c.wms != nil {
				w.wms.behave(c.wms(t))
			}
			w.want(w.call("POST", "/booking/v1/bookings", `{"orderId":"o1","customer":"`+c.customer+`","sku":"A1"}`, "shop"), c.status, c.says)
			w.did(w.wms, c.wmsDid...)
			w.did(w.erp, c.erpDid...)
		})
	}
}

// times has a refusal come so often and then no more.
func times(n int32, f func(http.ResponseWriter, *http.Request, string) bool) func(http.ResponseWriter, *http.Request, string) bool {
	var refused atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, body string) bool {
		if refused.Load() >= n {
			return true
		}
		if !f(w, r, body) {
			refused.Add(1)
			return false
		}
		return true
	}
}
