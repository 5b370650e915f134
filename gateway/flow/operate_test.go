package flow_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/flow"
	"github.com/headrace/headrace/gateway/ledger"
)

// admin makes a call of the operators' side.
func (w *world) admin(method, path, body string) reply {
	w.t.Helper()
	r := httptest.NewRequest(method, "/admin/v1"+path, strings.NewReader(body))
	rec := httptest.NewRecorder()
	w.flows.Operator(ledger.By{}).ServeHTTP(rec, r)
	return reply{rec.Result(), rec.Body.String()}
}

// Operators list runs, look at them, and decide about those that are stuck.
func TestOperator(t *testing.T) {
	w := newWorld(t, nil)
	w.wms.behave(refuse(409, func(r *http.Request) bool { return r.URL.Path == "/waves" || r.URL.Path == "/releases" }))
	r := w.book("o1")
	w.want(r, 202)
	id := r.Header.Get("Headrace-Run")
	w.becomes("/runs/"+id, "stuck")
	w.want(w.admin("GET", "/runs?state=stuck&app=shop", ""), 200, id)
	if got := w.admin("GET", "/runs?app=other", ""); strings.Contains(got.body, id) {
		t.Error(got.body)
	}
	w.want(w.admin("GET", "/runs/"+id, ""), 200, `"cause":"compensation failed"`, `"sku":"A1"`, `"workflow":"book"`)
	w.want(w.admin("GET", "/runs/nonsense", ""), 404, "no-such-run")
	w.want(w.admin("GET", "/runs?state=odd", ""), 400)
	w.want(w.admin("POST", "/runs/"+id+"/retry", `{}`), 422, "reason-missing")
	w.want(w.admin("POST", "/runs/"+id+"/resolve", `{"reason":"seen","state":"stuck"}`), 400)
	w.want(w.admin("POST", "/runs/"+id+"/resolve", `{"actor":"ada","reason":"released by hand","state":"compensated"}`), 200, `"state":"compensated"`, "released by hand")
	w.want(w.admin("POST", "/runs/"+id+"/retry", `{"reason":"again"}`), 409, "wrong-state")
	w.want(w.admin("POST", "/runs/"+id+"/undo", `{"reason":"again"}`), 409, "wrong-state")
	w.want(w.admin("PUT", "/runs", ""), 404)
}

// A correlation id finds the whole transaction, over all systems.
func TestTrace(t *testing.T) {
	w := newWorld(t, nil)
	w.want(w.book("o1", "X-Correlation-Id: c-17"), 201)
	w.want(w.call("POST", "/stock/v1/reservations", `{"orderId":"o9"}`, "shop", "X-Correlation-Id: c-17"), 201)
	var trace flow.Trace
	r := w.admin("GET", "/traces/c-17", "")
	w.want(r, 200)
	if err := json.Unmarshal([]byte(r.body), &trace); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, e := range trace.Entries {
		kinds[e.Kind]++
		if e.Kind != "run" && (e.System == "" || e.Operation == "" || e.Ended.IsZero()) {
			t.Errorf("%+v", e)
		}
	}
	if trace.State != "completed" || kinds["run"] != 1 || kinds["read"] != 2 || kinds["write"] != 4 || len(trace.Systems) != 2 || trace.Systems[1].Calls != 4 {
		t.Errorf("%s", r.body)
	}
	w.want(w.admin("GET", "/traces/unknown", ""), 404)
	w.wms.behave(refuse(422, on("POST", "/waves")))
	w.want(w.book("o2", "X-Correlation-Id: c-18"), 422)
	w.want(w.admin("GET", "/traces/c-18", ""), 200, `"state":"compensated"`, `"step":"undo:order#1#1"`)
}
