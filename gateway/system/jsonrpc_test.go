package system

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tryton answers as Tryton 6.0 does: everything that is not exactly
// {id, method, params} otherwise, refusals with HTTP 200, a log-in of its own.
type tryton struct {
	mu     sync.Mutex
	logins int
	bodies []string
	seen   []*http.Request
	// answer gives the rest of an answer's members for a method: "result":…, or "error":…
	answer func(method string, params []any) string
	// raw answers a call instead.
	raw func(method string, w http.ResponseWriter) bool
}

const trytonToken = "8fe8e6b9"

func (s *tryton) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	var call map[string]json.RawMessage
	if r.URL.Path != "/headrace/" || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(data, &call) != nil ||
		len(call) != 3 || call["id"] == nil || call["method"] == nil || call["params"] == nil {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(500)
		io.WriteString(w, "<!doctype html><title>500 Internal Server Error</title>")
		return
	}
	var method string
	var params []any
	json.Unmarshal(call["method"], &method)
	json.Unmarshal(call["params"], &params)
	s.mu.Lock()
	s.bodies, s.seen = append(s.bodies, string(data)), append(s.seen, r)
	s.mu.Unlock()
	if s.raw != nil && s.raw(method, w) {
		return
	}
	if method == "common.db.login" {
		s.mu.Lock()
		s.logins++
		s.mu.Unlock()
		if fmt.Sprint(params) != "[gateway map[password:pw] en]" {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"id":%s,"result":[2,"%s"]}`, call["id"], trytonToken)
		return
	}
	if r.Header.Get("Authorization") != "Session "+base64.StdEncoding.EncodeToString([]byte("gateway:2:"+trytonToken)) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Tryton"`)
		w.WriteHeader(401)
		return
	}
	if method == "model.res.user.get_preferences" {
		fmt.Fprintf(w, `{"id":%s,"result":{"company":1,"language":"en","groups":[6,8]}}`, call["id"])
		return
	}
	fmt.Fprintf(w, `{"id":%s,%s}`, call["id"], s.answer(method, params))
}

func (s *tryton) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	body := s.bodies[len(s.bodies)-1]
	return body[strings.Index(body, `"method"`):]
}

const trytonSettings = `dialect: jsonrpc
jsonrpc: {context: last}
connections: {keep_alive: false}
credentials:
  kind: session
  username: gateway
  password: ${env:TRYTON_PASSWORD}
  login: {method: common.db.login, params: '[$username, {password: $password}, "en"]'}
  headers: {Authorization: '"Session " + ("\($username):\(.[0]):\(.[1])" | @base64)'}
  context: {method: model.res.user.get_preferences, params: '[true, {}]'}
overload:
  - {match: could not obtain lock|could not serialize, retry_after: 3s}
  - {status: [429, 503]}
errors:
  - {match: connection to server|server closed the connection, as: unavailable, retry_after: 5s}
  - {json: '.[1][0] | select(type == "string")', match: 'not allowed to read records', as: refused, status: 404, message: '"there is no such record"'}
  - {match: ^UserError$, as: refused}
  - {match: ^UserWarning$, as: conflict, message: '.[1][1]'}
  - {match: ^ConcurrencyException$, as: conflict}
`

func openTryton(t *testing.T, s *tryton, paths string) *world {
	t.Helper()
	t.Setenv("TRYTON_PASSWORD", "pw")
	p := plan{system: trytonSettings, paths: paths}
	w := open(t, p, s)
	p.url = w.system.URL + "/headrace/"
	w.reload(p)
	return w
}

const confirm = `
call:
  method: model.sale.sale.confirm
  params: '[[$request.path.id | tonumber]]'
  then:
    method: model.sale.sale.read
    params: '[[$request.path.id | tonumber], ["state", "number"]]'
    expect: .[0].state == "confirmed"
    otherwise: only a quotation can be confirmed
    result: '{state: .[0].state, total: .[0].total.decimal | todecimal, company: $session.company}'`

func TestTryton(t *testing.T) {
	s := &tryton{answer: func(method string, params []any) string {
		switch method {
		case "model.sale.sale.create":
			return `"result":[12345678901234567890]`
		case "model.sale.sale.read":
			return `"result":[{"state":"confirmed","total":{"__class__":"Decimal","decimal":"28.660"}}]`
		}
		return `"result":null`
	}}
	w := openTryton(t, s, at("POST", "/sales", "create", `
call:
  method: model.sale.sale.create
  params: '[[{party: .party, lines: [["create", [.lines[] | {unit_price: {__class__: "Decimal", decimal: (.price | tostring)}, quantity}]]]}]]'
  status: 201`)+at("POST", "/sales/{id}/confirm", "confirm", confirm)+at("GET", "/stock", "stock", `
call: {method: model.product.product.read, params: '[[1], ["quantity"]]', context: '{locations: [$request.query.at | tonumber], company: 2}', status: 204}`)+
		at("GET", "/version", "version", "call: {method: common.server.version}"))
	w.want(w.send("POST", "/sales", `{"party":3,"lines":[{"price":6.010,"quantity":1.0}]}`), 201, "[12345678901234567890]")
	if got := s.last(); got != `"method":"model.sale.sale.create","params":[[{"lines":[["create",[{"quantity":1.0,"unit_price":{"__class__":"Decimal","decimal":"6.010"}}]]],"party":3}],{"company":1,"groups":[6,8],"language":"en"}]}` {
		t.Errorf("sent %s", got)
	}
	r := w.send("POST", "/sales/7/confirm", "")
	w.want(r, 200, `{"company":1,"state":"confirmed","total":28.660}`)
	if r.Header.Get("Content-Type") != "application/json" || w.record(1).Attempts != 2 {
		t.Errorf("%v %+v", r.Header, w.record(1))
	}
	r = w.send("GET", "/stock?at=5", "")
	w.want(r, 204, "")
	if got := s.last(); got != `"method":"model.product.product.read","params":[[1],["quantity"],{"company":2,"groups":[6,8],"language":"en","locations":[5]}]}` || r.text != "" {
		t.Errorf("sent %s, answered %s", got, r.text)
	}
	w.want(w.send("GET", "/version", ""), 200, "null")
	if got := s.last(); got != `"method":"common.server.version","params":[{"company":1,"groups":[6,8],"language":"en"}]}` {
		t.Errorf("sent %s", got)
	}
	for _, r := range s.seen {
		if !r.Close || r.Header.Get("X-Correlation-Id") == "" {
			t.Errorf("close %v, headers %v", r.Close, r.Header)
		}
	}
	if s.logins != 1 {
		t.Errorf("%d log-ins", s.logins)
	}
}

// Tryton answers null to a transition that it did not make.
func TestReadBack(t *testing.T) {
	state := `"result":[{"state":"draft","total":{"decimal":"1"}}]`
	s := &tryton{answer: func(method string, params []any) string {
		if method == "model.sale.sale.read" {
			return state
		}
		return `"result":null`
	}}
	w := openTryton(t, s, at("POST", "/sales/{id}/confirm", "confirm", confirm)+
		at("POST", "/sales", "create", "call: {method: model.sale.sale.create, then: {method: model.sale.sale.read, params: '[[.[0]], [\"state\"]]'}}")+
		at("GET", "/sales", "list", "call: {method: model.sale.sale.create, then: {method: model.sale.sale.read}}")[len("  /sales:\n"):])
	r := w.send("POST", "/sales/7/confirm", "")
	w.want(r, 409, `"only a quotation can be confirmed"`)
	if r.problem() != "conflict" {
		t.Error(r.text)
	}
	state = `"error":["could not obtain lock",""]`
	w.want(w.send("POST", "/sales/7/confirm", ""), 502, "could not be read back")
	if n := w.calls.get("erp confirm overload"); n != 1 {
		t.Errorf("observed %v", w.calls.count)
	}
	w.want(w.send("GET", "/sales", ""), 503, "saturated") // a read has done nothing
	// The new id is the input of the second call's parameters.
	s = &tryton{answer: func(method string, params []any) string {
		if method == "model.sale.sale.create" {
			return `"result":[41]`
		}
		return `"result":` + strings.ReplaceAll(fmt.Sprintf("%v", params[0]), " ", ",")
	}}
	w = openTryton(t, s, w.plan.paths)
	w.want(w.send("POST", "/sales", ""), 200, "[41]")
	s.answer = func(string, []any) string { return `"result":[{"state":"confirmed"}]` }
	w.want(w.send("POST", "/sales/7/confirm", ""), 502, "failed") // total is missing
}

// A write that was done is read back before calls that have not begun, however
// short it may stand in line itself: otherwise nobody would know what it did.
func TestReadBackGoesFirst(t *testing.T) {
	held := map[string]chan struct{}{"model.sale.sale.confirm": make(chan struct{}), "model.sale.sale.search": make(chan struct{})}
	free := map[string]func(){}
	for method, h := range held {
		free[method] = sync.OnceFunc(func() { close(h) })
	}
	var mu sync.Mutex
	var order []string
	s := &tryton{answer: func(method string, params []any) string {
		mu.Lock()
		order = append(order, strings.TrimPrefix(method, "model.sale.sale."))
		mu.Unlock()
		if h := held[method]; h != nil {
			<-h
		}
		return `"result":[{"state":"confirmed","total":{"decimal":"1"}}]`
	}}
	w := openTryton(t, s, at("POST", "/sales/{id}/confirm", "confirm", "wait: 50ms"+confirm)+
		at("GET", "/sales", "list", "wait: 20s\ncall: {method: model.sale.sale.search}"))
	w.plan.system = trytonSettings + "limits: [{name: concurrency, capacity: 1}]\n"
	w.plan.url = w.system.URL + "/headrace/"
	w.reload(w.plan)
	ended := make(chan reply, 4)
	var running sync.WaitGroup
	defer func() {
		for _, f := range free {
			f()
		}
		running.Wait()
	}()
	begin := func(method, path string) { running.Go(func() { ended <- w.send(method, path, "") }) }
	arrived := func(n int) bool { mu.Lock(); defer mu.Unlock(); return len(order) >= n }
	begin("POST", "/sales/7/confirm")
	eventually(t, "the write is at the system", func() bool { return arrived(1) })
	for range 3 {
		begin("GET", "/sales")
	}
	waiting := func(n int) func() bool {
		return func() bool {
			total := 0
			for _, count := range w.set.Status(t.Context())[0].Budget.Waiting {
				total += count
			}
			return total == n
		}
	}
	eventually(t, "three reads stand in line", waiting(3))
	free["model.sale.sale.confirm"]()
	// A read may come in between, while nothing of the write stands in line.
	eventually(t, "the next call is at the system", func() bool { return arrived(2) })
	time.Sleep(100 * time.Millisecond) // more than the write itself may wait
	free["model.sale.sale.search"]()
	statuses := map[int]int{}
	for range 4 {
		statuses[(<-ended).StatusCode]++
	}
	if back := slices.Index(order, "read"); back < 1 || back > 2 || statuses[200] != 4 {
		t.Errorf("the calls came as %s, and were answered with %v", order, statuses)
	}
}

func TestTrytonRefusals(t *testing.T) {
	long := strings.Repeat("The value for field is not valid. ", 40)
	for _, c := range []struct {
		name, answer string
		status       int
		part         string
		outcome      string
		without      string
	}{
		{"user error", `"error":["UserError",["You must enter a warehouse.","",null]]`, 422, `"detail":"You must enter a warehouse.","requestId"`, "refused", ""},
		{"the code", `"error":["UserError",["No.","",null]]`, 422, `"systemCode":"UserError"`, "refused", ""},
		{"27 KB", `"error":["UserError",["` + long + `","",[[["party","=",63]],{"party":{"secret":"` + strings.Repeat("x", 27000) + `"}}]]]`, 422, "…", "refused", "secret"},
		{"not found", `"error":["UserError",["You are not allowed to read records \"9\" of \"Sale\"","",null]]`, 404, "there is no such record", "refused", "allowed"},
		{"warning", `"error":["UserWarning",["1f1a.done","Stock moves have no origin.",""]]`, 409, "Stock moves have no origin.", "refused", "1f1a"},
		{"optimistic lock", `"error":["ConcurrencyException","Records were modified in the meanwhile"]`, 409, "Records were modified", "refused", ""},
		{"lock", `"error":["could not obtain lock on row in relation \"ir_sequence_strict\"\n",""]`, 503, "saturated", "overload", "ir_sequence"},
		{"database down", `"error":["connection to server on socket \"/tmp/x\" failed",""]`, 503, "not available", "unavailable", "socket"},
		{"unknown model", `"error":["'sale.order'",""]`, 502, "an error that is not known here", "refused", "sale.order"},
		{"2.0", `"error":{"code":-32601,"message":"secret"}`, 502, "-32601", "refused", ""},
		{"2.0 by code", `"error":{"code":"UserError","message":"said"}`, 422, `"said"`, "refused", ""},
		{"a text", `"error":"secret"`, 502, "not known here", "refused", "secret"},
		{"no error", `"error":null,"result":5`, 200, "5", "delivered", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &tryton{answer: func(string, []any) string { return c.answer }}
			w := openTryton(t, s, at("POST", "/x", "x", "call: {method: m}"))
			r := w.send("POST", "/x", "")
			w.want(r, c.status, c.part)
			if c.without != "" && strings.Contains(r.text, c.without) || len(r.text) > 1200 {
				t.Errorf("%d bytes: %s", len(r.text), r.text)
			}
			if w.calls.get("erp x "+c.outcome) != 1 {
				t.Errorf("observed %v", w.calls.count)
			}
			if hint := r.Header.Get("Retry-After"); (c.status == 503) != (hint != "") {
				t.Errorf("Retry-After: %q", hint)
			}
		})
	}
}

func TestStrangeAnswers(t *testing.T) {
	for _, c := range []struct {
		name           string
		status         int
		body           string
		want           int
		part           string
		outcome, reads string
	}{
		{"a page", 200, "<html>", 502, "did not answer in JSON-RPC", "doubtful", "unavailable"},
		{"a bare result", 200, "7", 502, "did not answer in JSON-RPC", "doubtful", "unavailable"},
		{"an object", 200, `{"a":1}`, 502, "did not answer in JSON-RPC", "doubtful", "unavailable"},
		{"nothing", 200, ``, 502, "did not answer in JSON-RPC", "doubtful", "unavailable"},
		{"broken", 200, `{"result":`, 502, "did not answer in JSON-RPC", "doubtful", "unavailable"},
		{"another call", 200, `{"id":999999,"result":1}`, 502, "answered another call", "doubtful", "unavailable"},
		{"forbidden", 403, "<h1>Forbidden</h1> secret", 502, "erp answered 403", "refused", "refused"},
		{"no database", 404, "secret", 502, "erp answered 404", "refused", "refused"},
		{"no slash", 308, "", 502, "a redirect", "refused", "refused"},
		{"too many", 429, "", 503, "saturated", "overload", "overload"},
		{"server error", 500, "secret", 502, "erp answered 500", "doubtful", "unavailable"},
		{"an error with a status", 400, `{"id":1,"error":["UserError",["No.",""]]}`, 422, "No.", "refused", "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &tryton{raw: func(method string, w http.ResponseWriter) bool {
				if method != "m" {
					return false
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
				return true
			}}
			w := openTryton(t, s, at("POST", "/x", "x", "wait: 5s\ncall: {method: m}")+at("POST", "/y", "y", "wait: 5s\nsafe: true\ncall: {method: m}"))
			for path, outcome := range map[string]string{"/x": "x " + c.outcome, "/y": "y " + c.reads} {
				r := w.send("POST", path, "")
				w.want(r, c.want, c.part)
				if strings.Contains(r.text, "secret") {
					t.Error(r.text)
				}
				if w.calls.get("erp "+outcome) != 1 {
					t.Errorf("observed %v", w.calls.count)
				}
			}
		})
	}
}

// Tryton deletes a session that was idle for too long, and answers 401.
func TestTrytonSessionLost(t *testing.T) {
	lost := true
	s := &tryton{answer: func(string, []any) string { return `"result":1` }}
	s.raw = func(method string, w http.ResponseWriter) bool {
		if method == "m" && lost {
			lost = false
			w.WriteHeader(401)
			return true
		}
		return false
	}
	w := openTryton(t, s, at("POST", "/x", "x", "call: {method: m}"))
	w.want(w.send("POST", "/x", ""), 200, "1")
	if s.logins != 2 || w.record(0).Attempts != 2 {
		t.Errorf("%d log-ins, %d attempts", s.logins, w.record(0).Attempts)
	}
}

func TestJSONRPC2(t *testing.T) {
	var got seen
	w := open(t, plan{system: "dialect: jsonrpc\njsonrpc: {version: '2.0'}", paths: at("POST", "/x", "x", "call: {method: 'a \"b', params: '.', result: '.x'}")},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got.note(r)
			_, body := got.last()
			var call struct{ ID int }
			json.Unmarshal([]byte(body), &call)
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%d,"result":{"x":1.0}}`, call.ID)
		}))
	w.want(w.send("POST", "/x", "[1]"), 200, "1.0")
	sent, body := got.last()
	if body != `{"jsonrpc":"2.0","id":1,"method":"a \"b","params":[1]}` || sent.URL.Path != "/" {
		t.Errorf("%s %s", sent.URL, body)
	}
	w.want(w.send("POST", "/x", `{"a":1}`), 422, "params failed")
	w.want(w.send("POST", "/x", `{`), 400, "not JSON")
}
