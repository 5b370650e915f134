package flow_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/ledger"
)

// bend changes the flows of the booking.
func bend(w *world, pairs ...string) {
	file := w.files["apis/booking/1.0.0/flows.arazzo.yaml"]
	text := strings.NewReplacer(pairs...).Replace(string(file.Data))
	if text == string(file.Data) {
		w.t.Fatal("nothing was changed")
	}
	file.Data = []byte(text)
}

// begun counts what a system did that begins so.
func (b *backend) begun(prefix string) (n int) {
	for _, e := range b.effects() {
		if strings.HasPrefix(e, prefix) {
			n++
		}
	}
	return n
}

// over waits until a run has ended or is stuck.
func (w *world) over(location string) (v runView) {
	w.t.Helper()
	w.eventually("the run is over", func() bool { v = w.run(location); return v.State != "running" })
	return v
}

// undoes expects that what was reserved has been released.
func (w *world) undoes(v runView) {
	w.t.Helper()
	reserved, released := w.wms.begun("POST /reservations"), w.wms.begun("POST /releases")
	want := "failed"
	if reserved > 0 {
		want = "compensated"
	}
	if v.State != want || released != reserved {
		w.t.Errorf("%d reserved, %d released: %+v", reserved, released, v)
	}
}

// What was done at a second attempt is undone, too, when the run is gone through
// again after its time was over.
func TestUndoneAfterTime(t *testing.T) {
	w := newWorld(t, func(w *world) {
		bend(w, "        outputs: {reservation: $response.body#/number}\n", "        outputs: {reservation: $response.body#/number}\n        onFailure: [{name: again, type: retry, retryAfter: 0.01, retryLimit: 1}]\n",
			"    x-headrace: {answer:", "    x-headrace: {timeout: 3s, answer:")
	})
	w.wms.behave(times(1, refuse(422, on("POST", "/reservations"))))
	w.erp.behave(refuse(503, on("POST", "/orders")))
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	w.undoes(w.over(r.Header.Get("Location")))
	w.did(w.erp)
}

// A run that never comes to an end is undone.
func TestEndless(t *testing.T) {
	w := newWorld(t, func(w *world) {
		bend(w, "        operationId: $sourceDescriptions.erp.createOrder\n        requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, limit: $steps.credit.outputs.limit}}\n        outputs: {number: $response.body#/number}\n",
			"        operationId: $sourceDescriptions.erp.getCredit\n        parameters: [{name: customer, in: path, value: $inputs.customer}]\n        outputs: {number: $response.body#/limit}\n        onSuccess: [{name: round, type: goto, stepId: order, criteria: [{condition: $statusCode == 200}]}]\n",
			"        x-headrace:\n          compensation:\n            operationId: $sourceDescriptions.erp.cancelOrder\n            parameters: [{name: orderId, in: path, value: $inputs.orderId}]\n", "")
	})
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	w.becomes(r.Header.Get("Location"), "compensated")
	if w.wms.begun(releaseO1) != 1 {
		t.Errorf("%d released", w.wms.begun(releaseO1))
	}
}

// inTime is a workflow within another one that has its time.
const inTime = `  - workflowId: reserving
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
      - stepId: look
        operationId: $sourceDescriptions.erp.getCredit
        parameters: [{name: customer, in: path, value: c2}]
        onFailure: [{name: again, type: retry, retryAfter: 0.02, retryLimit: 1000}]
    outputs: {number: $steps.reserve.outputs.number}
`

// reserveWithin has a workflow within the booking reserve, in a step with something more.
func reserveWithin(w *world, workflow, more string) {
	bend(w, "workflows:\n", "workflows:\n"+workflow,
		"      - stepId: reserve\n        operationId: $sourceDescriptions.wms.reserve\n        requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, sku: $inputs.sku}}\n        outputs: {reservation: $response.body#/number}\n        x-headrace:\n          compensation:\n            operationId: $sourceDescriptions.wms.release\n            requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, reservation: $steps.reserve.outputs.reservation}}\n",
		"      - stepId: reserve\n        workflowId: reserving\n        parameters: [{name: order, value: $inputs.orderId}]\n        outputs: {reservation: $outputs.number}\n        "+more+"\n")
}

// A step that calls a workflow and whose time was over stays so, also when what it
// waited for is there when the run is gone through again.
func TestStepTimeStaysOver(t *testing.T) {
	w := newWorld(t, func(w *world) {
		reserveWithin(w, inTime, "x-headrace: {timeout: 3s}")
	})
	w.erp.behave(refuse(500, on("GET", "/credit/c2")))
	w.wms.behave(refuse(503, on("POST", "/releases")))
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	at := r.Header.Get("Location")
	w.eventually("it is being undone, or has failed with nothing to undo", func() bool {
		v := w.run(at)
		n := len(v.Steps)
		return v.State != "running" || n > 0 && strings.HasPrefix(v.Steps[n-1].Visit, "undo:")
	})
	w.crash()
	w.erp.behave(nil)
	w.wms.behave(nil)
	w.start()
	w.undoes(w.over(at))
	w.did(w.erp)
}

// The time of a workflow within another one does not begin anew whenever the run
// is gone through again.
func TestInnerTime(t *testing.T) {
	w := newWorld(t, func(w *world) {
		text := strings.Replace(inTime, "retryAfter: 0.02", "retryAfter: 0.2", 1)
		reserveWithin(w, text+"    x-headrace: {timeout: 2s}\n", "x-headrace: {class: high}")
	})
	w.erp.behave(refuse(500, on("GET", "/credit/c2")))
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	w.undoes(w.over(r.Header.Get("Location")))
	w.did(w.erp)
}

// The pause before a workflow is tried again does not begin anew either.
func TestInnerPause(t *testing.T) {
	w := newWorld(t, func(w *world) {
		reserveWithin(w, inTime, "successCriteria: [{condition: $outputs.number == 99}]\n        onFailure: [{name: again, type: retry, retryAfter: 0.5, retryLimit: 1}]")
	})
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	w.undoes(w.over(r.Header.Get("Location")))
	w.did(w.erp)
}

// The document of a run is kept also where the first call that came with it
// repeated an earlier one.
func TestDocumentKept(t *testing.T) {
	w := newWorld(t, nil)
	w.want(w.book("o1", `Idempotency-Key: "k1"`), 201, `"booked":1`)
	bend(w, "booked: .order", "second: .order")
	w.load()
	w.want(w.book("o1", `Idempotency-Key: "k1"`), 201, `"booked":1`)
	w.erp.behave(refuse(503, on("POST", "/orders")))
	r := w.book("o2", "Prefer: respond-async")
	w.want(r, 202)
	at := r.Header.Get("Location")
	w.eventually("it has begun to order", func() bool { return len(w.run(at).Steps) == 4 })
	w.crash()
	bend(w, "second: .order", "third: .order")
	w.erp.behave(nil)
	w.start()
	if v := w.over(at); v.State != "completed" || !strings.Contains(string(v.Outcome.Body), `"second":2`) {
		t.Errorf("%+v", v)
	}
}

// A write that never can be kept is a refusal, and is not tried for ever.
func TestUnkeepable(t *testing.T) {
	w := newWorld(t, nil)
	r := w.call("POST", "/booking/v1/bookings", `{"orderId":"a\u0000b","customer":"c1","sku":"A1"}`, "shop", "Prefer: respond-async")
	w.want(r, http.StatusAccepted)
	if v := w.over(r.Header.Get("Location")); v.State != string(ledger.Failed) || v.Cause != "invalid-request" {
		t.Errorf("%+v", v)
	}
	w.did(w.wms)
}
