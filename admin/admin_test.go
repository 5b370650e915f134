package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// state is what the application looks at, as the test wants it.
type state struct {
	table    *gateway.Table
	systems  []SystemStatus
	reload   Reload
	draining bool
}

func (s *state) Table() *gateway.Table { return s.table }

func (s *state) options() Options {
	return Options{
		Open: true, Version: "1.2.3", Started: time.Now().Add(-90 * time.Minute), Tables: s,
		Systems:  func() []SystemStatus { return s.systems },
		Reload:   func() Reload { return s.reload },
		Draining: func() bool { return s.draining },
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "headrace_requests_total 1\n") }),
	}
}

func serve(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(New(o))
	t.Cleanup(server.Close)
	return server
}

// ask sends a request; header is name, value, and so on.
func ask(t *testing.T, server *httptest.Server, method, path string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// expect calls and compares the JSON answer, in which "*" stands for anything.
func expect(t *testing.T, server *httptest.Server, path string, status int, want string) {
	t.Helper()
	resp, body := ask(t, server, "GET", path)
	if resp.StatusCode != status {
		t.Errorf("%s: status %d, not %d: %s", path, resp.StatusCode, status, body)
	}
	var have, wanted any
	if err := json.Unmarshal(body, &have); err != nil {
		t.Fatalf("%s: %v in %q", path, err, body)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if !matches(have, wanted) {
		t.Errorf("%s: have %s\nwant %s", path, body, want)
	}
}

func matches(have, want any) bool {
	switch w := want.(type) {
	case string:
		return w == "*" || have == want
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok || len(h) != len(w) {
			return false
		}
		for name, value := range w {
			if !matches(h[name], value) {
				return false
			}
		}
		return true
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(w) {
			return false
		}
		for i := range w {
			if !matches(h[i], w[i]) {
				return false
			}
		}
		return true
	}
	return have == want
}

// distributor is a table with two APIs, in no particular order.
func distributor() *gateway.Table {
	document := func(title, domain, status string) *specs.Document {
		return &specs.Document{Title: title, Governance: specs.APIGovernance{Layer: "system", Domain: domain, Owner: "team-erp", Status: status}}
	}
	orders := &gateway.API{Name: "orders", Version: "1.2.0", Major: "v1", Base: "/orders/v1", Document: document("Orders", "sales", "published")}
	inventory := &gateway.API{Name: "inventory", Version: "2.0.1", Major: "v2", Base: "/inventory/v2", Document: document("Inventory", "logistics", "deprecated")}
	operation := func(api *gateway.API, method, path, id string) *gateway.Operation {
		spec := &specs.Operation{ID: id, Method: method, Path: path, Summary: "Does " + id, Governance: specs.OperationGovernance{System: "erp"}}
		return &gateway.Operation{API: api, Spec: spec, Route: api.Base + path, Class: specs.High, Wait: 5 * time.Second}
	}
	create := operation(orders, "POST", "/orders", "createOrder")
	create.Spec.Governance.Policies = specs.Policies{"throttle": source.Node{}, "apikey": source.Node{}}
	return &gateway.Table{
		Revision: "abc123", Built: time.Now().Add(-time.Hour),
		APIs:       []*gateway.API{orders, inventory},
		Operations: []*gateway.Operation{create, operation(orders, "GET", "/orders/{id}", "getOrder"), operation(inventory, "GET", "/stock", "listStock")},
	}
}

func refusedReload() Reload {
	return Reload{
		At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Took: 250 * time.Millisecond, Revision: "def456", Attempts: 3, Refused: 1, Registry: 7, Served: 6,
		Problems: []source.Problem{{
			Position: source.Position{File: "systems/erp.yaml", Line: 4, Column: 3}, Path: "timeuot",
			Wrong: `unknown key "timeuot"`, Right: `did you mean "timeout"?`,
		}},
	}
}

func someSystems() []SystemStatus {
	return []SystemStatus{
		{Name: "erp", Title: "NetSuite", Dialect: "rest", URL: "http://127.0.0.1:9101", Credential: "none", Breaker: "closed", InFlight: 4, Waiting: Waiting{High: 2, Low: 7}, Pools: []PoolStatus{
			{Name: "concurrency", Used: 4, Capacity: 5},
			{Name: "window", Used: 1234.5, Capacity: 6000, PausedUntil: time.Now().Add(90 * time.Second)},
		}},
		{Name: "wms", Dialect: "jsonrpc", URL: "http://127.0.0.1:9102/rpc", Credential: "session, 3 m old", Breaker: "open"},
	}
}

func TestHealth(t *testing.T) {
	s := &state{}
	server := serve(t, s.options())
	const notYet = `{"ready":false,"reasons":["no configuration has been loaded yet"],"warnings":[]}`
	expect(t, server, "/healthz", 200, `{"alive":true}`)
	expect(t, server, "/readyz", 503, notYet)

	s.table = distributor()
	expect(t, server, "/readyz", 200, `{"ready":true,"reasons":[],"warnings":[]}`)

	s.reload = refusedReload()
	expect(t, server, "/readyz", 200, `{"ready":true,"reasons":[],"warnings":["the registry's revision 7 cannot be built here; revision 6 is served","the last reload was refused with 1 problem; the configuration before it goes on"]}`)

	options := s.options()
	s.reload = Reload{}
	options.Stores = func() []StoreStatus {
		return []StoreStatus{
			{Store: "counters", Mode: "alone", Replicas: 4, Share: 0.25, Since: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
			{Store: "budget", System: "erp", Mode: "shared", Replicas: 4, Share: 0.25, Since: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		}
	}
	lost := serve(t, options)
	expect(t, lost, "/readyz", 200, `{"ready":true,"reasons":[],"warnings":["the store of the counters is out of reach, and the mode is alone: this replica goes by 0.25 of each limit, of 4 replicas last known"],"stores":[{"store":"counters","mode":"alone","replicas":4,"share":0.25,"since":"2026-03-01T12:00:00Z"},{"store":"budget","system":"erp","mode":"shared","replicas":4,"share":0.25,"since":"2026-03-01T12:00:00Z"}]}`)
	if _, page := ask(t, lost, "GET", "/"); !strings.Contains(string(page), `<span class="badge fair">alone</span>`) || !strings.Contains(string(page), `<th scope="row">budget of erp</th><td>shared</td>`) {
		t.Errorf("the page does not show the stores: %s", page)
	}

	broken := errors.New("disk full")
	options = s.options()
	options.Ledger = func() error { return broken }
	full := serve(t, options)
	expect(t, full, "/readyz", 503, `{"ready":false,"reasons":["the ledger takes no writes; the log says why"],"warnings":[]}`)
	expect(t, full, "/readyz?for=reads", 200, `{"ready":true,"reasons":[],"warnings":["the ledger takes no writes; the log says why"]}`)
	if resp, _ := ask(t, full, "GET", "/readyz?for=write"); resp.StatusCode != 400 {
		t.Errorf("readiness for what does not exist: %d", resp.StatusCode)
	}
	broken = nil
	expect(t, full, "/readyz", 200, `{"ready":true,"reasons":[],"warnings":[]}`)
	soon := time.Unix(1, 0) // stands for an hour from when it is asked
	for name, c := range map[string]struct {
		erp    StoreStatus
		others []StoreStatus
		status int
		says   string
	}{
		"started without Redis": {StoreStatus{Cause: "not reached"}, nil, 503, `"reasons":["the store of the budget of erp has not been reached since the start`},
		"the fence of the first start": {StoreStatus{Cause: "fenced", Until: soon}, nil, 503,
			`"reasons":["the store of the budget of erp is new, or has lost what it knew: nothing is admitted until all replicas have told what they use, for 1h0m0s more at most (20`},
		"the fence of a system that was added": {StoreStatus{Cause: "fenced", Until: soon}, []StoreStatus{{Store: "budget", System: "wms", Mode: "shared", Joined: true}}, 200,
			`"warnings":["the store of the budget of erp is new`},
		"the fence after a failover":     {StoreStatus{Cause: "fenced", Until: soon, Joined: true}, nil, 200, `"warnings":["the store of the budget of erp is new`},
		"Redis was lost":                 {StoreStatus{Cause: "lost", Until: soon, Share: 0.5, Joined: true}, nil, 200, `is out of reach: nothing is admitted until others surely leave free this replica's 0.5 of each limit, in 1h0m0s"`},
		"Redis was lost long ago":        {StoreStatus{Cause: "over", Joined: true}, nil, 200, `out of reach for longer than stores.alone`},
		"there is no limit to be waited": {StoreStatus{Cause: "not reached"}, nil, 200, `"warnings":["the store of the budget of erp has not been reached`},
	} {
		c.erp.Store, c.erp.System, c.erp.Mode, c.erp.Limited = "budget", "erp", "uncertain", !strings.HasPrefix(name, "there is no")
		options.Stores = func() []StoreStatus {
			erp := c.erp
			if erp.Until == soon {
				erp.Until = time.Now().Add(time.Hour)
			}
			return append([]StoreStatus{erp}, c.others...)
		}
		resp, body := ask(t, serve(t, options), "GET", "/readyz")
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	options.Stores = func() []StoreStatus {
		return []StoreStatus{
			{Store: "budget", System: "erp", Mode: "shared", Replicas: 2, Breaker: "open", Left: 11600 * time.Millisecond},
			{Store: "budget", System: "wms", Mode: "shared", Replicas: 2, Breaker: "half-open"},
		}
	}
	expect(t, serve(t, options), "/readyz", 200, `{"ready":true,"reasons":[],"warnings":["the breaker of erp is open: no replica calls it for another 12s","the breaker of wms is half-open: one replica tries whether it works again"],"stores":[{"store":"budget","system":"erp","mode":"shared","replicas":2,"share":0,"since":"0001-01-01T00:00:00Z","breaker":"open"},{"store":"budget","system":"wms","mode":"shared","replicas":2,"share":0,"since":"0001-01-01T00:00:00Z","breaker":"half-open"}]}`)
	options.Stores = func() []StoreStatus {
		return []StoreStatus{
			{Store: "budget", System: "erp", Mode: "shared", Replicas: 3, Share: 0.5, Kept: 1. / 3, Limited: true},
			{Store: "budget", System: "unlimited", Mode: "shared", Replicas: 3, Share: 0.5, Kept: 0.25},
		}
	}
	expect(t, serve(t, options), "/readyz", 200, `{"ready":true,"reasons":[],"warnings":["0.333 of each limit of erp is left free for replicas that are missing; headrace replicas says which"],"stores":["*","*"]}`)

	s.reload = refusedReload()
	s.draining = true
	expect(t, server, "/readyz", 503, `{"ready":false,"reasons":["the process is shutting down"],"warnings":["*","*"]}`)
	expect(t, server, "/healthz", 200, `{"alive":true}`)
	if resp, body := ask(t, server, "HEAD", "/readyz"); resp.StatusCode != 503 || len(body) != 0 {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
}

func TestAdminAPI(t *testing.T) {
	s := &state{table: distributor(), systems: someSystems(), reload: refusedReload()}
	server := serve(t, s.options())
	expect(t, server, "/admin/v1/status", 200, `{"version":"1.2.3","started":"*","uptimeSeconds":5400,"revision":"abc123","built":"*","apis":2,"operations":3,
		"readiness":{"ready":true,"reasons":[],"warnings":["*","*"]},
		"reload":{"at":"2026-03-01T12:00:00Z","tookMillis":250,"revision":"def456","accepted":false,"problems":1,"attempts":3,"refused":1,"registry":7,"served":6}}`)
	expect(t, server, "/admin/v1/apis", 200, `{"items":[
		{"name":"inventory","version":"2.0.1","major":"v2","title":"Inventory","base":"/inventory/v2","layer":"system","domain":"logistics","owner":"team-erp","status":"deprecated","operations":1},
		{"name":"orders","version":"1.2.0","major":"v1","title":"Orders","base":"/orders/v1","layer":"system","domain":"sales","owner":"team-erp","status":"published","operations":2}]}`)
	const stock = `{"api":"inventory","version":"2.0.1","id":"listStock","method":"GET","route":"/inventory/v2/stock","summary":"Does listStock","system":"erp","class":"high","waitMillis":5000,"safe":true,"policies":[]}`
	const orders = `{"api":"orders","version":"1.2.0","id":"createOrder","method":"POST","route":"/orders/v1/orders","summary":"Does createOrder","system":"erp","class":"high","waitMillis":5000,"safe":false,"policies":["apikey","throttle"]},
		{"api":"orders","version":"1.2.0","id":"getOrder","method":"GET","route":"/orders/v1/orders/{id}","summary":"Does getOrder","system":"erp","class":"high","waitMillis":5000,"safe":true,"policies":[]}`
	expect(t, server, "/admin/v1/operations", 200, `{"items":[`+stock+`,`+orders+`]}`)
	expect(t, server, "/admin/v1/operations?api=inventory", 200, `{"items":[`+stock+`]}`)
	expect(t, server, "/admin/v1/systems", 200, `{"items":[
		{"name":"erp","title":"NetSuite","dialect":"rest","url":"http://127.0.0.1:9101","credential":"none","breaker":"closed","inFlight":4,"waiting":{"critical":0,"high":2,"normal":0,"low":7},"pools":[
			{"name":"concurrency","used":4,"capacity":5},{"name":"window","used":1234.5,"capacity":6000,"pausedUntil":"*"}]},
		{"name":"wms","dialect":"jsonrpc","url":"http://127.0.0.1:9102/rpc","credential":"session, 3 m old","breaker":"open","inFlight":0,"waiting":{"critical":0,"high":0,"normal":0,"low":0},"pools":[]}]}`)
	expect(t, server, "/admin/v1/problems", 200, `{"at":"2026-03-01T12:00:00Z","revision":"def456","items":[
		{"file":"systems/erp.yaml","line":4,"column":3,"path":"timeuot","wrong":"unknown key \"timeuot\"","right":"did you mean \"timeout\"?"}]}`)
}

func TestAdminAPIBeforeTheFirstTable(t *testing.T) {
	o := (&state{}).options()
	o.Systems, o.Reload, o.Draining, o.Metrics = nil, nil, nil, nil
	server := serve(t, o)
	for _, path := range []string{"/admin/v1/apis", "/admin/v1/operations", "/admin/v1/systems", "/admin/v1/problems"} {
		expect(t, server, path, 200, `{"items":[]}`)
	}
	expect(t, server, "/admin/v1/status", 200, `{"version":"1.2.3","started":"*","uptimeSeconds":"*","apis":0,"operations":0,
		"readiness":{"ready":false,"reasons":["*"],"warnings":[]},"reload":{"tookMillis":0,"accepted":false,"problems":0,"attempts":0,"refused":0,"registry":0,"served":0}}`)
	if resp, body := ask(t, server, "GET", "/"); resp.StatusCode != 200 || !bytes.Contains(body, []byte("not ready")) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	expect(t, server, "/metrics", 404, `{"type":"urn:headrace:problem:not-found","title":"*","status":404,"detail":"*","requestId":"*"}`)
}

func TestMetrics(t *testing.T) {
	o := (&state{}).options()
	o.Token = "token"
	if resp, body := ask(t, serve(t, o), "GET", "/metrics"); resp.StatusCode != 200 || string(body) != "headrace_requests_total 1\n" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// What is no part of the admin API is open, but for the page.
func TestWhoMayCallWhatElse(t *testing.T) {
	o := (&state{table: distributor()}).options()
	o.Token = "the-admin-token"
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	server := serve(t, o)
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("operator:"+password))
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if resp, _ := ask(t, server, "GET", path); resp.StatusCode != 200 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	for _, c := range []struct {
		authorization string
		page, status  int
	}{
		{"", 401, 401},
		{"Bearer ", 401, 401},
		{"Bearer wrong", 401, 401},
		{"Bearer the-admin-token-", 401, 401},
		{"Basic the-admin-token", 401, 401},
		{basic("wrong"), 401, 401},
		{basic("the-admin-token"), 200, 401},
		{"Bearer the-admin-token", 200, 200},
		{"bearer the-admin-token", 200, 200},
	} {
		for path, want := range map[string]int{"/": c.page, "/admin/v1/status": c.status} {
			resp, body := ask(t, server, "GET", path, "Authorization", c.authorization)
			if resp.StatusCode != want {
				t.Errorf("%s with %q: %d, not %d", path, c.authorization, resp.StatusCode, want)
			}
			if want == 401 && (resp.Header.Get("WWW-Authenticate") == "" || bytes.Contains(body, []byte("abc123"))) {
				t.Errorf("%s with %q: %v %s", path, c.authorization, resp.Header, body)
			}
		}
	}
	if text := log.String(); !strings.Contains(text, "wrong admin token") || strings.Contains(text, "the-admin-token") {
		t.Errorf("the log says %s", text)
	}
}

func TestWithoutATokenTheNameMustBeThisMachines(t *testing.T) {
	server := serve(t, (&state{table: distributor()}).options())
	for host, status := range map[string]int{
		"localhost": 200, "localhost:8081": 200, "admin.localhost:8081": 200, "127.0.0.1": 200, "[::1]:8081": 200, "10.0.0.7:8081": 200,
		"evil.example": 403, "evil.example:8081": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403,
	} {
		for _, path := range []string{"/", "/admin/v1/status"} {
			if resp, _ := ask(t, server, "GET", path, "Host", host); resp.StatusCode != status {
				t.Errorf("%s at %s: %d, not %d", path, host, resp.StatusCode, status)
			}
		}
		if resp, _ := ask(t, server, "GET", "/healthz", "Host", host); resp.StatusCode != 200 {
			t.Errorf("health at %s: %d", host, resp.StatusCode)
		}
	}
}

func TestRefusalsAreProblemDocuments(t *testing.T) {
	o := (&state{table: distributor()}).options()
	o.Systems = func() []SystemStatus { panic("the systems are on fire") }
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	server := serve(t, o)
	for _, c := range []struct {
		method, path string
		status       int
		name         string
	}{
		{"GET", "/nothing", 404, "not-found"},
		{"GET", "/admin/v1/../../etc/passwd", 404, "not-found"},
		{"POST", "/admin/v1/status", 405, "method-not-allowed"},
		{"DELETE", "/", 405, "method-not-allowed"},
		{"GET", "/admin/v1/systems", 500, "internal"},
		{"GET", "/", 500, "internal"},
	} {
		resp, body := ask(t, server, c.method, c.path)
		var problem struct {
			Type, RequestID string
			Status          int
		}
		if err := json.Unmarshal(body, &problem); err != nil {
			t.Fatalf("%s %s: %v: %s", c.method, c.path, err, body)
		}
		if resp.StatusCode != c.status || problem.Status != c.status || problem.Type != gateway.TypeBase+c.name ||
			problem.RequestID != resp.Header.Get("X-Request-Id") || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, resp.StatusCode, resp.Header, body)
		}
		if c.status == 405 && !strings.Contains(resp.Header.Get("Allow"), "GET") {
			t.Errorf("Allow: %q", resp.Header.Get("Allow"))
		}
		if bytes.Contains(body, []byte("on fire")) {
			t.Errorf("the caller is told %s", body)
		}
	}
	if !strings.Contains(log.String(), "on fire") {
		t.Error("the log does not say what happened")
	}
}

func TestLargeRequestsAreRefused(t *testing.T) {
	server := serve(t, (&state{table: distributor()}).options())
	r, err := http.NewRequest("GET", server.URL+"/admin/v1/status", strings.NewReader(strings.Repeat("x", 65<<10)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestPage(t *testing.T) {
	s := &state{table: distributor(), systems: someSystems(), reload: refusedReload()}
	s.systems[0].Title = `<script>alert("x")</script>`
	resp, body := ask(t, serve(t, s.options()), "GET", "/")
	text := string(body)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/html; charset=UTF-8" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	for _, part := range []string{
		"abc123", "1 h 30 min", "inventory", "/orders/v1", "2 APIs", "concurrency", "4 of 5", "1,234.5 of 6,000", "paused for 1 minute", "2 high, 0 normal, 7 low",
		"systems/erp.yaml:4:3", "timeuot", "did you mean", "def456", `<span class="badge bad">breaker open</span>`,
		`class="bar full" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect width="80"`, `<rect width="20.6"`, `&lt;script&gt;`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the page does not say %q", part)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "style=") || strings.Contains(text, "//") {
		t.Error("the page has a script, an inline style, or something from elsewhere")
	}
	_, style, _ := strings.Cut(text, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || strings.Contains(policy, "unsafe") {
		t.Errorf("browsers would not apply the style under %s", policy)
	}
}

func TestSecurityHeadersAreEverywhere(t *testing.T) {
	server := serve(t, (&state{}).options())
	for _, path := range []string{"/", "/healthz", "/metrics", "/admin/v1/status", "/nothing"} {
		resp, _ := ask(t, server, "GET", path)
		for name, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if resp.Header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, resp.Header.Get(name))
			}
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %q", path, resp.Header.Get("Content-Security-Policy"))
		}
	}
}

func TestSince(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", time.Second: "1 second", 59 * time.Second: "59 seconds", 90 * time.Second: "1 minute",
		3*time.Hour + 5*time.Minute: "3 h 5 min", 49 * time.Hour: "2 d 1 h",
	} {
		if have := since(d); have != want {
			t.Errorf("%s: %q, not %q", d, have, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 5: "5", 999.96: "1,000", 1000: "1,000", 1234567.25: "1,234,567.2", 0.5: "0.5", -1234: "-1,234", -123: "-123"} {
		if have := units(f); have != want {
			t.Errorf("%v: %q, not %q", f, have, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, c := range [][3]float64{{0, 5, 0}, {1, 3, 33.3}, {5, 5, 100}, {7, 5, 100}, {-1, 5, 0}, {0, 0, 100}} {
		if have := percent(c[0], c[1]); have != c[2] {
			t.Errorf("%v of %v: %v, not %v", c[0], c[1], have, c[2])
		}
	}
}
