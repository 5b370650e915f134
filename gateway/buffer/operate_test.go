package buffer_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/ledger"
)

// operate calls the operators' side.
func (w *world) operate(method, path, body string, headers ...string) reply {
	w.t.Helper()
	server := httptest.NewServer(w.buffer.Operator(ledger.By{}))
	defer server.Close()
	r, err := http.NewRequest(method, server.URL+"/admin/v1/writes"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Set(name, strings.TrimSpace(value))
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp, string(data)}
}

func TestOperatorDecides(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(nil, vanish)
	doubtful := w.post("/orders", `{"id":"1"}`).Header.Get("Headrace-Write")
	behind := w.post("/orders", `{"id":"1"}`, "Prefer: respond-async").Header.Get("Headrace-Write")
	w.erp.behave(nil, nil)
	const by = `{"actor":"ann","reason":"seen in the ERP"`
	w.want(w.operate("GET", "/"+behind+"/explain", ""), 200, doubtful, "go first")
	w.want(w.operate("GET", "?dead=true&app=shop", ""), 200, doubtful)
	w.want(w.operate("GET", "?key=id%3D1&state=held", ""), 200, behind)
	w.want(w.operate("POST", "/"+behind+"/resolve", by+`,"state":"delivered"}`), 409)
	w.want(w.operate("POST", "/"+doubtful+"/resolve", by+`,"state":"done"}`), 400)
	w.want(w.operate("POST", "/"+doubtful+"/resolve", `{"state":"delivered"}`), 400, "actor")
	w.want(w.operate("POST", "/"+doubtful+"/resolve", by+`,"state":"delivered"}`, "Content-Type: text/plain"), 415)
	w.want(w.operate("POST", "/"+doubtful+"/resolve", by+`,"state":"delivered"}`, "Sec-Fetch-Site: cross-site"), 403)
	w.want(w.operate("POST", "/"+doubtful+"/resolve", by+`,"state":"delivered"}`), 200, `"delivered"`)
	w.becomes("/writes/"+behind, "delivered")
	w.want(w.operate("GET", "/audit", ""), 200, "ann", "resolve", doubtful)
	w.want(w.operate("GET", "/nothing", ""), 404)
	w.want(w.operate("PUT", "/nothing", ""), 404)
}

func TestOperatorEdits(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(refuse, nil)
	at := w.post("/orders", `{"id":"1","colour":"gren"}`, "Prefer: respond-async").Header.Get("Location")
	old := w.becomes(at, "refused")
	w.erp.behave(nil, nil)
	w.want(w.operate("POST", "/"+old.ID+"/edit", `{"actor":"ann","body":[1]}`), 422)
	w.want(w.operate("POST", "/"+old.ID+"/edit", `{"actor":"ann"}`), 400)
	r := w.operate("POST", "/"+old.ID+"/edit", `{"actor":"ann","body":{"id":"1","colour":"green"}}`)
	w.want(r, 200, `"replaces":"/writes/`+old.ID)
	var fresh struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &fresh); err != nil {
		t.Fatal(err)
	}
	w.becomes("/writes/"+fresh.ID, "delivered")
	if e := w.erp.effects(); len(e) != 1 || !strings.Contains(e[0], "green") {
		t.Errorf("done: %v", e)
	}
	if v := w.read(at); v.ReplacedBy != "/writes/"+fresh.ID || v.NeedsAttention {
		t.Errorf("%+v", v)
	}
}

func TestOperatorGroupsAndPauses(t *testing.T) {
	w := newWorld(t, nil)
	w.erp.behave(refuse, nil)
	var last string
	for _, id := range []string{"1", "2", "3"} {
		last = w.post("/orders", `{"id":"`+id+`"}`, "Prefer: respond-async").Header.Get("Location")
		w.becomes(last, "refused")
	}
	w.erp.behave(nil, nil)
	w.want(w.operate("GET", "/groups", ""), 200, `"writes":3`, `"group":"refused: 422"`)
	w.want(w.operate("POST", "/pauses/pause", `{"actor":"ann","system":"erp"}`), 200, `"system":"erp"`)
	w.want(w.operate("POST", "/groups/retry", `{"actor":"ann","system":"erp","operation":"orders/v1/createOrder","group":"refused: 422"}`), 200, `"writes":3`)
	w.want(w.post("/orders", `{"id":"9"}`, "Prefer: wait=0"), 202)
	w.want(w.operate("GET", last[len("/writes"):]+"/explain", ""), 200, "the system erp is paused")
	if n := len(w.erp.effects()); n != 0 {
		t.Errorf("%d effects in a pause", n)
	}
	w.want(w.operate("POST", "/pauses/resume", `{"actor":"ann","system":"erp"}`), 200, `"items":[]`)
	w.eventually("all four are done", func() bool { return len(w.erp.effects()) == 4 })
	w.becomes(last, "delivered")
	r := w.operate("GET", "/export?state=delivered", "")
	w.want(r, 200)
	if n := strings.Count(r.body, "\n"); n != 4 || !strings.Contains(r.body, `"request":{"method":"POST"`) {
		t.Errorf("%d lines: %s", n, r.body)
	}
}
