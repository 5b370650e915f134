package flow_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headrace/headrace/gateway/ledger"
)

var operator = ledger.By{Actor: "ada", Reason: "looked into it"}

// on picks calls of a path.
func on(method, path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && r.URL.Path == path }
}

// A read that fails ends a run with nothing to undo.
func TestFailed(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(refuse(404, on("GET", "/credit/c1")))
	r := w.book("o1")
	w.want(r, 422, "flow-failed", "the step credit was answered 404")
	w.did(w.wms)
	if v := w.run("/runs/" + r.Header.Get("Headrace-Run")); v.State != "failed" || v.Cause != "flow-failed" {
		t.Errorf("%+v", v)
	}
}

// A step that fails for good has the steps before it undone, the last first.
func TestCompensated(t *testing.T) {
	w := newWorld(t, nil)
	w.wms.behave(refuse(422, on("POST", "/waves")))
	r := w.book("o1")
	w.want(r, 422, "the step wave", "what was done before was undone")
	w.did(w.wms, reserveA1, releaseO1)
	w.did(w.erp, orderO1, "DELETE /orders/o1")
	v := w.run("/runs/" + r.Header.Get("Headrace-Run"))
	var undone []string
	for _, s := range v.Steps {
		if strings.HasPrefix(s.Visit, "undo:") {
			undone = append(undone, s.Visit)
		}
	}
	if v.State != "compensated" || strings.Join(undone, " ") != "undo:order#1#1 undo:reserve#1#1" {
		t.Errorf("%s %v", v.State, undone)
	}
	// The refusal was told to the run; it is not left to a person, and stops no lane.
	w.wms.behave(nil)
	w.want(w.book("o1"), 201)
}

// A compensation that is refused once is tried again.
func TestCompensationAgain(t *testing.T) {
	w := newWorld(t, nil)
	var refused atomic.Int32
	w.wms.behave(func(rw http.ResponseWriter, r *http.Request, body string) bool {
		if on("POST", "/releases")(r) && refused.Add(1) == 1 || on("POST", "/waves")(r) {
			return refuse(409, func(*http.Request) bool { return true })(rw, r, body)
		}
		return true
	})
	w.want(w.book("o1"), 422, "undone")
	w.did(w.wms, reserveA1, releaseO1)
}

// A compensation that fails for good leaves the run to a person, who lets it try again.
func TestStuckCompensation(t *testing.T) {
	w := newWorld(t, nil)
	w.wms.behave(refuse(409, func(r *http.Request) bool { return r.URL.Path == "/waves" || r.URL.Path == "/releases" }))
	r := w.book("o1")
	w.want(r, 202, `"state":"stuck"`)
	at := r.Header.Get("Location")
	v := w.becomes(at, "stuck")
	if !v.NeedsAttention || v.Cause != "compensation failed" {
		t.Errorf("%+v", v)
	}
	w.did(w.wms, reserveA1)
	w.did(w.erp, orderO1, "DELETE /orders/o1")
	w.wms.behave(nil)
	if err := w.ledger.RetryRun(t.Context(), v.ID, operator); err != nil {
		t.Fatal(err)
	}
	w.becomes(at, "compensated")
	w.did(w.wms, reserveA1, releaseO1)
	if err := w.ledger.RetryRun(t.Context(), v.ID, operator); err == nil {
		t.Error("a run that is over was retried")
	}
}

// A run that is stuck at a dead write goes on by what is decided about the write.
func TestStuckWrite(t *testing.T) {
	for _, decision := range []ledger.State{ledger.Delivered, ledger.Refused, ledger.Held} {
		t.Run(string(decision), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				// Nothing tells whether a lost order arrived.
				w.files["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.ReplaceAll(erpAPI, "lane: $request.body#/orderId, timeout: 2s, idempotency: {class: natural-key}", "lane: $request.body#/orderId, timeout: 2s"))
			})
			w.erp.behave(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
				if r.Method == "POST" {
					panic(http.ErrAbortHandler)
				}
				return true
			})
			r := w.book("o1")
			w.want(r, 202)
			at := r.Header.Get("Location")
			v := w.becomes(at, "stuck")
			if v.Cause != "write needs a decision" {
				t.Fatalf("%+v", v)
			}
			write := strings.TrimPrefix(v.Steps[len(v.Steps)-1].Write, "/writes/")
			if err := w.ledger.RetryRun(t.Context(), v.ID, operator); err == nil {
				t.Error("the run was retried although its write needs a decision")
			}
			w.erp.behave(nil)
			if err := w.ledger.Resolve(t.Context(), write, ledger.Settlement{State: decision, Status: 201}, operator); err != nil {
				t.Fatal(err)
			}
			switch decision {
			case ledger.Refused:
				w.becomes(at, "compensated")
				w.did(w.erp)
				w.did(w.wms, reserveA1, releaseO1)
			case ledger.Held:
				w.becomes(at, "completed")
				w.did(w.erp, orderO1)
			default:
				w.becomes(at, "completed")
				w.did(w.erp) // a person has said that it was done
			}
		})
	}
}

// An operator has a run undone that waits; what it waits for is waited for first.
func TestUndo(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(refuse(503, on("POST", "/orders")))
	r := w.book("o1", "Prefer: respond-async")
	w.want(r, 202)
	at := r.Header.Get("Location")
	w.eventually("it has begun to order", func() bool { return len(w.run(at).Steps) == 4 })
	if err := w.ledger.UndoRun(t.Context(), strings.TrimPrefix(at, "/runs/"), operator); err != nil {
		t.Fatal(err)
	}
	w.erp.behave(nil)
	if v := w.becomes(at, "compensated"); !strings.Contains(v.Reason, "an operator has it undone") {
		t.Errorf("%+v", v)
	}
	w.did(w.erp, orderO1, "DELETE /orders/o1")
	w.did(w.wms, reserveA1, releaseO1)
}
