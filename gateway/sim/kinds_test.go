package sim

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// send calls a simulator and gives the answer as it is.
func send(s *Server, method, path, body string, header ...string) (int, string, http.Header) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

// border is where a kind's limit lies: so many calls come in, the next is
// refused in the vendor's words, and after a time one comes in again.
type border struct {
	kind, limit        string
	o                  Options
	path, method, body string
	fits               int
	// under keeps the calls under way, for a minute.
	under bool
	// opens is the time from the first call until there is room, exactly.
	opens time.Duration
	// about allows that much of opens to be missed, for rates.
	about time.Duration

	status int
	sign   string
	says   map[string]string // headers; "" means absent
}

const soapCall = `<soapenv:Envelope><soapenv:Body><getServerTime/></soapenv:Body></soapenv:Envelope>`

func borders() []border {
	const minute, hour = time.Minute, time.Hour
	none := map[string]string{"Retry-After": ""}
	return []border{
		{kind: "netsuite", limit: "account-concurrency", path: recordPath + "vendor", fits: 15, under: true, status: 429, sign: `"o:errorCode":"CONCURRENCY_LIMIT_EXCEEDED"`, says: none},
		{kind: "netsuite", limit: "account-concurrency", method: "POST", path: "/app/site/hosting/restlet.nl", fits: 15, under: true, status: 400, sign: `"code":"SSS_REQUEST_LIMIT_EXCEEDED"`, says: none},
		{
			kind: "netsuite", limit: "account-concurrency", o: Options{Overshoot: 1}, method: "POST", path: "/services/NetSuitePort_2025_2", body: soapCall, fits: 16, under: true,
			status: 500, sign: "<platformFaults:code>WS_REQUEST_BLOCKED</platformFaults:code>", says: map[string]string{"Content-Type": "text/xml; charset=utf-8", "Retry-After": ""},
		},
		{kind: "netsuite", limit: "account-concurrency", o: Options{Foreign: 5}, path: anyPath, fits: 10, under: true, status: 429, sign: "CONCURRENCY_LIMIT_EXCEEDED"},
		{kind: "dataverse", limit: "requests", path: dvAccounts, fits: 6000, opens: 300 * time.Second, status: 429, sign: `"code":"0x80072322"`, says: map[string]string{"Retry-After": "300"}},
		{kind: "dataverse", limit: "concurrency", path: dvAccounts, fits: 52, under: true, status: 429, sign: `"code":"0x80072326"`},
		{kind: "business-central", limit: "requests", path: anyPath, fits: 6000, opens: 5 * minute, status: 429, sign: `"code":"Application_TooManyRequests","message":"Too many requests reached. Actual (6001). Maximum (6000)."`, says: map[string]string{"Retry-After": "300"}},
		{kind: "business-central", limit: "connections", path: anyPath, fits: 100, under: true, status: 429, sign: `Actual (101). Maximum (100).`},
		{kind: "dynamics365-fno", limit: "resources", path: "/data/CustomersV3", fits: 12, under: true, status: 429, sign: "due to system experiencing high resource utilization.", says: map[string]string{"Retry-After": "30"}},
		{kind: "dynamics365-fno", limit: "rate", o: Options{Rate: 20, Concurrency: 100}, path: anyPath, fits: 20, opens: time.Second, status: 429, sign: "high resource utilization"},
		{
			kind: "salesforce", limit: "daily", o: Options{Requests: 500}, path: "/services/data/v62.0/query", fits: 500, opens: 24 * hour, status: 403,
			sign: `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`, says: map[string]string{"Sforce-Limit-Info": "api-usage=500/500", "Retry-After": ""},
		},
		{kind: "sap-s4hana", limit: "resources", path: sapRoot + "API_BUSINESS_PARTNER/A_Customer", fits: 10, under: true, status: 503, sign: "503 Service Unavailable", says: map[string]string{"Content-Type": "text/html"}},
		{kind: "sap-api-management", limit: "spike-arrest", path: "/items", fits: 1, opens: 100 * time.Millisecond, status: 429, sign: `{"fault":{"detail":{"errorcode":"policies.ratelimit.SpikeArrestViolation"},"faultstring":"Spike arrest violation. Allowed rate : 10ps"}}`, says: none},
		{kind: "sap-api-management", limit: "quota", o: Options{Rate: 1e9, Requests: 7, Latency: time.Microsecond}, path: anyPath, fits: 7, opens: 5 * minute, status: 429, sign: "policies.ratelimit.QuotaViolation", says: none},
		{kind: "sap-business-one", limit: "node", path: anyPath, fits: 8, under: true, status: 502, sign: "<h1>Proxy Error</h1>", says: map[string]string{"Content-Type": "text/html; charset=iso-8859-1", "Retry-After": ""}},
		{kind: "acumatica", limit: "processed", o: Options{Concurrency: 16, Requests: 1000}, path: anyPath, fits: 36, under: true, status: 429, sign: "declined", says: none},
		{kind: "quickbooks-online", limit: "realm-app-second", path: "/v3/company/42/query", fits: 10, opens: time.Second, status: 429, sign: "message=ThrottleExceeded; errorCode=003001; statusCode=429", says: none},
		{kind: "xero", limit: "minute", path: "/api.xro/2.0/Invoices", fits: 60, opens: minute, status: 429, says: map[string]string{"X-Rate-Limit-Problem": "minute", "Retry-After": "60", "X-MinLimit-Remaining": "0", "X-DayLimit-Remaining": "4940", "X-AppMinLimit-Remaining": "9940"}},
		{kind: "xero", limit: "concurrent", path: anyPath, fits: 5, under: true, status: 429, says: map[string]string{"X-Rate-Limit-Problem": "concurrent", "Retry-After": ""}},
		{kind: "shopify-rest", limit: "calls", path: "/admin/api/2024-10/products.json", fits: 40, opens: 500 * time.Millisecond, about: time.Millisecond, status: 429, sign: "Exceeded 2 calls per second for api client.", says: map[string]string{"Retry-After": "1.0", "X-Shopify-Shop-Api-Call-Limit": "40/40"}},
		{
			kind: "shopify-graphql", limit: "points", method: "POST", path: "/admin/api/2025-01/graphql.json", body: `{"query":"{products{nodes{id}}}","points":500}`, fits: 4, opens: 5 * time.Second, about: time.Millisecond,
			status: 200, sign: `"extensions":{"code":"THROTTLED"`, says: none,
		},
		{kind: "amazon-sp-api", limit: "getOrders", path: "/orders/v0/orders", fits: 20, opens: 59880 * time.Millisecond, about: time.Second, status: 429, sign: `{"errors":[{"code":"QuotaExceeded","details":"","message":"You exceeded your quota for the requested resource."}]}`, says: map[string]string{"x-amzn-RateLimit-Limit": "0.0167", "Retry-After": ""}},
		{kind: "amazon-sp-api", limit: "createFeed", method: "POST", path: anyPath + "?operation=createFeed", fits: 15, opens: 120482 * time.Millisecond, about: time.Second, status: 429, sign: "QuotaExceeded", says: map[string]string{"x-amzn-RateLimit-Limit": "0.0083"}},
		{kind: "odoo", limit: "rate", method: "POST", path: "/json/2/sale.order/search_read", fits: 1, opens: time.Second, status: 429, sign: `"message":"Too Many Requests"`, says: none},
		{kind: "oracle-fusion", limit: "resources", path: "/fscmRestApi/resources/11.13.18.05/itemsV2", fits: 16, under: true, status: 503, sign: "503 Service Unavailable"},
		{kind: "oracle-fusion", limit: "rate", o: Options{Rate: 5}, path: anyPath, fits: 5, opens: time.Second, status: 429, sign: "Too many requests.", says: map[string]string{"Retry-After": "1"}},
		{kind: "workday", limit: "resources", path: "/ccx/api/v1/acme/customers", fits: 10, under: true, status: 503, sign: "503 Service Unavailable"},
		{kind: "manhattan", limit: "hour", path: "/item-master/api/item-master/item", fits: 500, opens: hour, status: 429, sign: "The API limit of the tenant is exceeded.", says: none},
		{kind: "generic", limit: "concurrency", path: "/items", fits: 10, under: true, status: 429, sign: "too many requests", says: map[string]string{"Retry-After": "1"}},
		{kind: "generic", limit: "requests", o: Options{Requests: 8, Window: 10 * time.Second}, path: "/orders", fits: 8, opens: 10 * time.Second, status: 429, says: map[string]string{"Retry-After": "10"}},
	}
}

func TestLimitsOfKinds(t *testing.T) {
	for _, b := range borders() {
		t.Run(b.kind+" "+b.limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { b.check(t) })
		})
	}
}

func (b border) check(t *testing.T) {
	b.method = cmp.Or(b.method, "GET")
	if b.under {
		b.o.Latency = time.Minute
	}
	s := start(t, b.kind, b.o)
	began := time.Now()
	for i := range b.fits {
		if b.under {
			go send(s, b.method, b.path, b.body)
			synctest.Wait()
			if r := s.Report(); r.InFlight != i+1 || r.Violations != 0 {
				t.Fatalf("call %d of %d: %d are under way, %d refused", i+1, b.fits, r.InFlight, r.Violations)
			}
		} else if status, text, _ := send(s, b.method, b.path, b.body); status != 200 && status != 201 {
			t.Fatalf("call %d of %d: %d %s", i+1, b.fits, status, text)
		}
	}
	b.refuses(t, s)
	if got := violations(s); got[b.limit] != 1 || len(got) != 1 {
		t.Errorf("the limits counted %v", got)
	}
	if b.under {
		time.Sleep(time.Hour)
		synctest.Wait()
	} else {
		time.Sleep(time.Until(began.Add(b.opens - b.about - 1)))
		b.refuses(t, s)
		time.Sleep(time.Until(began.Add(b.opens + b.about)))
	}
	if s.kind.Name == "acumatica" || !b.under {
		s.latency = 1
	}
	if status, text, _ := send(s, b.method, b.path, b.body); status != 200 && status != 201 || strings.Contains(text, "THROTTLED") {
		t.Errorf("afterwards: %d %s", status, text)
	}
}

func (b border) refuses(t *testing.T, s *Server) {
	t.Helper()
	before := s.Report().Violations
	status, text, h := send(s, b.method, b.path, b.body)
	if status != b.status || !strings.Contains(text, b.sign) {
		t.Fatalf("the refusal is %d %s", status, text)
	}
	if got := s.Report().Violations; got != before+1 {
		t.Errorf("%d violations", got)
	}
	for name, value := range b.says {
		if before == 0 && h.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, h.Get(name), value)
		}
	}
}

// violations are those of each limit that has any.
func violations(s *Server) map[string]int {
	found := map[string]int{}
	for _, l := range s.Report().Limits {
		if l.Violations > 0 {
			found[l.Name] = l.Violations
		}
	}
	return found
}

// Every kind that has limits which refuse is in the table, or has a test of its own below.
func TestEveryKindHasABorder(t *testing.T) {
	tested := map[string]bool{"crm": true, "wms": true, "tms": true, "frappe": true, "sap-btp-token": true, "sage-intacct": true}
	for _, b := range borders() {
		tested[b.kind] = true
	}
	for _, k := range Kinds() {
		if !tested[k.Name] {
			t.Errorf("%s is not tested", k.Name)
		}
	}
}

func TestEveryKindIsDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		if !strings.Contains(string(text), "// # "+k.Name+"\n") {
			t.Errorf("%s has no section in doc.go", k.Name)
		}
	}
}

func TestTheNeutralSurface(t *testing.T) {
	for _, k := range Kinds() {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, k.Name, Options{Latency: 10 * time.Millisecond})
			status, text, _ := send(s, "GET", anyPath, "")
			if status != 200 || !strings.Contains(text, `"sku":"SKU-0001"`) {
				t.Errorf("%s: %d %s", k.Name, status, text)
			}
			time.Sleep(2 * time.Second)
			if status, text, _ := send(s, "POST", anyPath, `{"reference":"PO-1"}`); status != 201 || !strings.Contains(text, `"reference":"PO-1"`) {
				t.Errorf("%s: %d %s", k.Name, status, text)
			}
			r := s.Report()
			used := 0.0
			for _, l := range r.Limits {
				used = max(used, l.Used)
			}
			if r.Effects != 1 || r.Arrived != 2 || used == 0 {
				t.Errorf("%s: the report is %+v", k.Name, r)
			}
		})
	}
}

func TestTheOverloadFaultSpeaksAsEveryVendor(t *testing.T) {
	for _, k := range Kinds() {
		s := start(t, k.Name, Options{})
		fault(t, s, `{"kind":"overload","count":1}`)
		if status, text, _ := send(s, "GET", anyPath, ""); status < 400 && !strings.Contains(text, "THROTTLED") {
			t.Errorf("%s: %d %s", k.Name, status, text)
		}
		if r := s.Report(); r.Refused != 1 || r.Violations != 0 || len(violations(s)) != 0 {
			t.Errorf("%s: a fault counts as a violation: %+v", k.Name, r)
		}
		fault(t, s, `{"kind":"drop-reply","method":"POST","count":1}`)
		if _, _, _, lost := try(s, "POST", anyPath, "{}"); !lost || s.Report().Effects != 1 || s.Report().InFlight != 0 {
			t.Errorf("%s: the reply was not lost after the work: %+v", k.Name, s.Report())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestScaleShortensWindowsAndQuickensRates(t *testing.T) {
	type shown struct{ capacity, window float64 }
	for kind, want := range map[string]map[string]shown{
		"dataverse":          {"requests": {6000, 5}, "execution-time": {20, 5}, "concurrency": {52, 0}},
		"xero":               {"minute": {60, 1}, "day": {5000, 1440}},
		"salesforce":         {"daily": {100_000, 1440}},
		"shopify-graphql":    {"points": {2000, 20.0 / 60}},
		"amazon-sp-api":      {"getOrders": {20, 20 / (0.0167 * 60)}},
		"frappe":             {"execution-time": {10, 60}},
		"sap-btp-token":      {"tokens": {60, 1.0 / 60}},
		"sap-api-management": {"spike-arrest": {1, 1.0 / 600}},
		"generic":            {"concurrency": {10, 0}},
	} {
		s := start(t, kind, Options{Scale: 60})
		found := map[string]shown{}
		for _, l := range s.Report().Limits {
			found[l.Name] = shown{l.Capacity, l.Window}
		}
		for name, w := range want {
			if got := found[name]; got.capacity != w.capacity || got.window < w.window*0.999999 || got.window > w.window*1.000001 {
				t.Errorf("%s: %s allows %v in %v s, want %v", kind, name, got.capacity, got.window, w)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "xero", Options{Scale: 60})
		for range 60 {
			want(t, s, 200, "GET", anyPath, "")
		}
		want(t, s, 429, "GET", anyPath, "")
		time.Sleep(time.Second)
		want(t, s, 200, "GET", anyPath, "")
	})
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, o := range []Options{{Scale: -1}, {Foreign: -1}, {Foreign: 1e6}, {Requests: -1}, {Requests: 1 << 40}, {Nodes: 1000}, {Latency: -1}, {Scale: 1e9}, {Window: -1}} {
		if _, err := New("generic", o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestTheMarkMeasuresAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "generic", Options{Latency: 100 * time.Millisecond, Concurrency: 4, Requests: 100, Window: 10 * time.Second})
		for range 50 {
			want(t, s, 200, "GET", anyPath, "")
		}
		want(t, s, 204, "POST", "/_sim/mark", "")
		for range 20 {
			want(t, s, 200, "GET", anyPath, "")
		}
		time.Sleep(2 * time.Second)
		r := s.Report()
		if r.Mark.Seconds != 4 || r.Mark.Arrived != 20 || r.Mark.Admitted != 20 || r.Mark.Violations != 0 {
			t.Errorf("since the mark: %+v", r.Mark)
		}
		if r.Mark.MedianMS < 99 || r.Mark.MedianMS > 101 || r.Mark.P99MS < 99 || r.Mark.P99MS > 101 {
			t.Errorf("the calls took %v and %v ms", r.Mark.MedianMS, r.Mark.P99MS)
		}
		at, window := r.Limits[0], r.Limits[1]
		if at.Mark.Used != 20 || at.Used != 70 || at.Mark.Busy < 1.999 || at.Mark.Busy > 2.001 || at.Peak != 1 || at.Mark.Utilisation < 0.124 || at.Mark.Utilisation > 0.126 {
			t.Errorf("at once: %+v", at)
		}
		if window.Mark.Used != 20 || window.Used != 70 || window.Peak != 70 || window.Mark.Utilisation != 0.5 || window.Scopes != 1 {
			t.Errorf("within the window: %+v", window)
		}
		want(t, s, 204, "POST", "/_sim/reset", "")
		if r := s.Report(); r.Limits[1].Used != 0 || r.Limits[1].Peak != 0 || r.Mark.Admitted != 0 {
			t.Errorf("after a reset: %+v", r)
		}
	})
}

func TestForeignTrafficUsesTheSameLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "xero", Options{Foreign: 0.5})
		defer s.Close()
		want(t, s, 200, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "t")
		time.Sleep(40*time.Second + time.Millisecond) // 20 calls of others
		for range 39 {
			want(t, s, 200, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "t")
		}
		want(t, s, 429, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "t")
		r := s.Report()
		minute := r.Limits[0]
		if r.Foreign.Sent != 20 || r.Foreign.Refused != 0 || minute.Foreign != 20 || minute.Used != 60 || minute.Violations != 1 || r.Arrived != 41 {
			t.Errorf("the report is %+v", r)
		}
		time.Sleep(4 * time.Second)
		if r := s.Report(); r.Foreign.Refused == 0 || r.Violations != 1 {
			t.Errorf("refused calls of others are violations: %+v", r)
		}
		s.Close()
		sent := s.Report().Foreign.Sent
		time.Sleep(time.Minute)
		if s.Report().Foreign.Sent != sent {
			t.Error("the traffic goes on after the end")
		}
	})
}

// Calls over a real connection and foreign ones at once: for the race detector.
func TestForeignTrafficBesideRealCalls(t *testing.T) {
	for _, kind := range []string{"dataverse", "business-central", "amazon-sp-api", "quickbooks-online"} {
		s := start(t, kind, Options{Foreign: 1000, Scale: 100, Latency: 100 * time.Microsecond})
		server := httptest.NewServer(s)
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for range 50 {
					resp, err := http.Post(server.URL+anyPath, "application/json", strings.NewReader(`{"elements":1}`))
					if err != nil {
						t.Error(err)
						return
					}
					resp.Body.Close()
				}
			})
		}
		callers.Wait()
		server.Close()
		s.Close()
		if r := s.Report(); r.Arrived != 200 || r.InFlight != 0 || r.Mark.Admitted+r.Violations != 200 {
			t.Errorf("%s: the report is %+v", kind, r)
		}
	}
}

func TestForeignCallsStandInTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "business-central", Options{Foreign: 10, Latency: time.Second})
		time.Sleep(10 * time.Second)
		processed := s.Report().Limits[2]
		if processed.Peak != 5 || processed.Queued == 0 || processed.Foreign < 50 {
			t.Errorf("the line: %+v", processed)
		}
		s.Close()
	})
}

// A call that has been answered does not count any more when its answer is read.
func TestWhoHasAnAnswerMaySendTheNextCall(t *testing.T) {
	s := start(t, "generic", Options{Concurrency: 1, Latency: time.Microsecond})
	server := httptest.NewServer(s)
	defer server.Close()
	for range 500 {
		resp, err := http.Get(server.URL + anyPath)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if r := s.Report(); r.Violations != 0 || r.Arrived != 500 {
		t.Errorf("the report is %+v", r)
	}
}

func TestDataverseNodesCountApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "dataverse", Options{Nodes: 2, Requests: 3})
		_, h := want(t, s, 200, "GET", dvAccounts, "")
		cookie := strings.Split(h.Get("Set-Cookie"), ";")[0]
		for range 2 {
			want(t, s, 200, "GET", dvAccounts, "", "Cookie", cookie)
		}
		want(t, s, 429, "GET", dvAccounts, "", "Cookie", cookie)
		_, h = want(t, s, 200, "GET", dvAccounts, "") // another server
		if other := strings.Split(h.Get("Set-Cookie"), ";")[0]; other == cookie || h.Get("X-Ms-Ratelimit-Burst-Remaining-Xrm-Requests") != "2" {
			t.Errorf("the other server: %v", h)
		}
	})
}

func TestBusinessCentralQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "business-central", Options{Latency: 7 * time.Minute})
		statuses := make(chan int, 100)
		for range 12 {
			go func() {
				status, _, _ := send(s, "GET", anyPath, "")
				statuses <- status
			}()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		found := map[int]int{}
		for range 12 {
			found[<-statuses]++
		}
		// 5 at once, 5 after 7 minutes, and 2 that waited for 8.
		if found[200] != 10 || found[503] != 2 || violations(s)["processed"] != 2 {
			t.Errorf("the answers are %v, the violations %v", found, violations(s))
		}
		s.latency = 9 * time.Minute
		began := time.Now()
		status, text, _ := send(s, "POST", anyPath, "{}")
		if took := time.Since(began); status != 408 || took != 8*time.Minute || s.Report().Effects != 0 {
			t.Errorf("a call of 9 minutes: %d after %v: %s", status, took, text)
		}
	})
}

func TestBusinessCentralVersions(t *testing.T) {
	s := start(t, "business-central", Options{})
	const company = "/v2.0/t/production/api/v2.0/companies(1)/"
	made, _ := want(t, s, 201, "POST", company+"salesOrders", `{"number":"SO1"}`)
	path := fmt.Sprintf("%ssalesOrders(%v)", company, made["id"])
	want(t, s, 400, "PATCH", path, `{"number":"SO2"}`)
	want(t, s, 409, "PATCH", path, `{"number":"SO2"}`, "If-Match", `W/"7"`)
	want(t, s, 200, "PATCH", path, `{"number":"SO2"}`, "If-Match", made[etagField].(string))
	want(t, s, 409, "PATCH", path, `{"number":"SO3"}`, "If-Match", made[etagField].(string))
	if kept, _ := want(t, s, 200, "GET", path, ""); kept["number"] != "SO2" {
		t.Errorf("the order is %v", kept)
	}
	want(t, s, 404, "GET", company+"salesOrders(1)", "")
	want(t, s, 200, "GET", company+"items", "")
}

func TestSalesforceCountsLongCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "salesforce", Options{Latency: time.Minute})
		occupy(s, 40, "GET", anyPath) // shorter calls are unlimited
		time.Sleep(20*time.Second - 1)
		occupy(s, 1, "GET", anyPath)
		time.Sleep(time.Nanosecond)
		status, text, _ := send(s, "GET", anyPath, "")
		if status != 403 || !strings.Contains(text, "ConcurrentRequests (Concurrent API Requests) Limit exceeded.") || violations(s)["long-running"] != 1 {
			t.Errorf("%d %s", status, text)
		}
		time.Sleep(41 * time.Second)
		occupy(s, 1, "GET", anyPath)
		limits, _ := want(t, s, 200, "GET", "/services/data/v62.0/limits", "")
		if daily := limits["DailyApiRequests"].(record); daily["Max"] != 100000.0 || daily["Remaining"] != 100000.0-43 {
			t.Errorf("the limits are %v", limits)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
	})
}

func TestSalesforceUpsertHasOneEffect(t *testing.T) {
	s := start(t, "salesforce", Options{})
	const path = "/services/data/v62.0/sobjects/Order/Ref__c/PO-1"
	first, _ := want(t, s, 201, "PATCH", path, `{"Status":"Draft"}`)
	second, _ := want(t, s, 200, "PATCH", path, `{"Status":"Activated"}`)
	if first["id"] != second["id"] || len(s.data.placed) != 1 || s.data.placed[0]["Status"] != "Activated" {
		t.Errorf("%v, %v, %v", first, second, s.data.placed)
	}
	if status, text, _ := send(s, "GET", "/services/data/v62.0/nothing", ""); status != 404 || !strings.HasPrefix(text, `[{"errorCode"`) {
		t.Errorf("%d %s", status, text)
	}
}

// A collection has a result for each record; one that fails leaves the others
// alone, unless all or none is asked for.
func TestSalesforceCollections(t *testing.T) {
	s := start(t, "salesforce", Options{})
	const path = "/services/data/v62.0/composite/sobjects"
	record := func(name string) string { return `{"attributes": {"type": "Account"}, "Name": "` + name + `"}` }
	long := record(strings.Repeat("x", 256))
	status, text, _ := send(s, "POST", path, `{"allOrNone": false, "records": [`+record("a")+`,`+long+`,`+record("b")+`]}`)
	if status != 200 || strings.Count(text, `"success":true`) != 2 || strings.Count(text, `STRING_TOO_LONG`) != 1 || len(s.data.placed) != 2 || s.Report().Effects != 2 {
		t.Errorf("%d %s, %d effects", status, text, s.Report().Effects)
	}
	status, text, _ = send(s, "POST", path, `{"allOrNone": true, "records": [`+record("a")+`,`+long+`]}`)
	if status != 200 || strings.Contains(text, `"success":true`) || !strings.Contains(text, "ALL_OR_NONE_OPERATION_ROLLED_BACK") || s.Report().Effects != 2 {
		t.Errorf("%d %s, %d effects", status, text, s.Report().Effects)
	}
	for range 2 {
		status, text, _ = send(s, "PATCH", path+"/Account/Ref__c", `{"records": [{"attributes": {"type": "Account"}, "Ref__c": "r1", "Name": "c"}]}`)
	}
	if status != 200 || !strings.Contains(text, `"created":false`) || len(s.data.placed) != 3 {
		t.Errorf("%d %s", status, text)
	}
	many := strings.Repeat(record("d")+",", 200) + record("d")
	if status, text, _ := send(s, "POST", path, `{"records": [`+many+`]}`); status != 400 || !strings.Contains(text, "EXCEEDED_ID_LIMIT") {
		t.Errorf("%d %s", status, text)
	}
	if status, text, _ := send(s, "POST", path, `{}`); status != 400 {
		t.Errorf("%d %s", status, text)
	}
}

// A $batch stops at the first request that fails, goes on when it is told to,
// and does all or none in a snapshot.
func TestBusinessCentralBatches(t *testing.T) {
	s := start(t, "business-central", Options{})
	const path = "/v2.0/t/production/api/v2.0/$batch"
	const three = `{"requests": [
{"id": "a", "method": "POST", "url": "companies(1)/salesOrders", "headers": {"Content-Type": "application/json"}, "body": {"number": "S1"}},
{"id": "b", "method": "PATCH", "url": "companies(1)/salesOrders(77)", "headers": {"If-Match": "*"}, "body": {"number": "S2"}},
{"id": "c", "method": "POST", "url": "companies(1)/salesOrders", "body": {"number": "S3"}}]}`
	for _, c := range []struct {
		header  []string
		results string
		placed  int
	}{
		{nil, "a 201 b 404 ", 1},
		{[]string{"Prefer", "odata.continue-on-error"}, "a 201 b 404 c 201 ", 2},
		{[]string{"Isolation", "snapshot"}, "b 404 ", 0},
	} {
		before, effects := len(s.data.placed), s.Report().Effects
		got, _ := want(t, s, 200, "POST", path, three, c.header...)
		results := ""
		for _, item := range items(got, "responses") {
			results += fmt.Sprint(item.(record)["id"], " ", item.(record)["status"], " ")
		}
		if results != c.results || len(s.data.placed)-before != c.placed || s.Report().Effects-effects != c.placed {
			t.Errorf("%v: %s, %d placed, %d effects", c.header, results, len(s.data.placed)-before, s.Report().Effects-effects)
		}
	}
	want(t, s, 400, "POST", path, `{"requests": []}`)
}

func TestFinanceAndOperationsPauseGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "dynamics365-fno", Options{Concurrency: 1, Latency: time.Hour})
		occupy(s, 1, "GET", anyPath)
		for _, pause := range []string{"30", "60", "120", "240", "300"} {
			if _, h := want(t, s, 429, "GET", anyPath, ""); h.Get("Retry-After") != pause {
				t.Errorf("Retry-After is %s, want %s", h.Get("Retry-After"), pause)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
	})
}

func TestS4HANATokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "sap-s4hana", Options{})
		const orders = sapRoot + "API_SALES_ORDER_SRV/A_SalesOrder"
		if status, text, h := send(s, "POST", orders, `{"SalesOrder":"1"}`); status != 403 || text != "CSRF token validation failed" || h.Get("X-Csrf-Token") != "Required" {
			t.Errorf("without a token: %d %s", status, text)
		}
		_, h := want(t, s, 200, "GET", orders, "", "X-Csrf-Token", "Fetch")
		token, cookie := h.Get("X-Csrf-Token"), strings.Split(h.Get("Set-Cookie"), ";")[0]
		want(t, s, 200, "GET", orders, "")
		_, other := want(t, s, 200, "GET", orders, "", "X-Csrf-Token", "fetch")
		for _, pair := range [][]string{{"X-Csrf-Token", token}, {"Cookie", cookie}, {"X-Csrf-Token", other.Get("X-Csrf-Token"), "Cookie", cookie}} {
			if status, _, _ := send(s, "POST", orders, `{"SalesOrder":"1"}`, pair...); status != 403 {
				t.Errorf("%v: %d", pair, status)
			}
		}
		if n := s.Report().Effects; n != 0 {
			t.Errorf("%d effects of refused calls", n)
		}
		pair := []string{"X-Csrf-Token", token, "Cookie", cookie}
		made, h := want(t, s, 201, "POST", orders, `{"Note":"a"}`, pair...)
		path := fmt.Sprintf("%s('%v')", orders, made["d"].(record)["id"])
		want(t, s, 428, "PATCH", path, `{"Note":"b"}`, pair...)
		want(t, s, 412, "PATCH", path, `{"Note":"b"}`, append(pair, "If-Match", `W/"9"`)...)
		want(t, s, 204, "PATCH", path, `{"Note":"b"}`, append(pair, "If-Match", h.Get("Etag"))...)
		want(t, s, 412, "PATCH", path, `{"Note":"c"}`, append(pair, "If-Match", h.Get("Etag"))...)
		time.Sleep(30 * time.Minute)
		if status, _, _ := send(s, "POST", orders, `{"Note":"a"}`, pair...); status != 403 {
			t.Errorf("after the session's end: %d", status)
		}
	})
}

func TestS4HANARepeatableRequests(t *testing.T) {
	s := start(t, "sap-s4hana", Options{})
	const orders = sapRoot + "API_SALES_ORDER_SRV/A_SalesOrder"
	_, h := want(t, s, 200, "GET", orders, "", "X-Csrf-Token", "fetch")
	header := []string{"X-Csrf-Token", h.Get("X-Csrf-Token"), "Cookie", strings.Split(h.Get("Set-Cookie"), ";")[0], "RequestID", "0123456789ABCDEF0123456789ABCDEF"}
	want(t, s, 400, "POST", orders, `{"Note":"a"}`, header...)
	header = append(header, "RepeatabilityCreation", "2026-11-23T08:00:00Z")
	first, h := want(t, s, 201, "POST", orders, `{"Note":"a"}`, header...)
	second, _ := want(t, s, 201, "POST", orders, `{"Note":"a"}`, header...)
	if fmt.Sprint(first) != fmt.Sprint(second) || h.Get("RepeatabilityResult") != "accepted" || s.Report().Effects != 1 || len(s.data.placed) != 1 {
		t.Errorf("%v, then %v; %d effects", first, second, s.Report().Effects)
	}
	want(t, s, 400, "POST", orders, `{"Note":"b"}`, header...)
}

func TestSpikeArrestIsEachNodesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "sap-api-management", Options{Nodes: 3})
		for range 3 {
			want(t, s, 200, "GET", anyPath, "")
		}
		want(t, s, 429, "GET", anyPath, "")
		time.Sleep(100 * time.Millisecond)
		want(t, s, 429, "POST", anyPath, `{"elements":5}`) // a weight needs a longer gap
		time.Sleep(400 * time.Millisecond)
		for range 3 {
			want(t, s, 201, "POST", anyPath, `{"elements":5}`)
		}
	})
}

func TestTokenEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "sap-btp-token", Options{Latency: 1})
		token := func() (int, string, http.Header) {
			return send(s, "POST", "/oauth/token", "grant_type=client_credentials&client_id=a", "Content-Type", "application/x-www-form-urlencoded")
		}
		began := time.Now()
		done := make(chan time.Duration, 200)
		for range 180 { // 60 at once, 120 wait
			go func() {
				if status, text, _ := token(); status != 200 || !strings.Contains(text, `"token_type":"bearer"`) {
					t.Errorf("%d %s", status, text)
				}
				done <- time.Since(began)
			}()
		}
		synctest.Wait()
		status, text, h := token()
		if status != 429 || !strings.Contains(text, "<center>nginx</center>") || h.Get("Retry-After") != "1" || violations(s)["tokens"] != 1 {
			t.Errorf("%d %s %v", status, text, h)
		}
		last := time.Duration(0)
		for range 180 {
			last = max(last, <-done)
		}
		if last < 1990*time.Millisecond || last > 2010*time.Millisecond {
			t.Errorf("the last of the queue was served after %v, want 2 s", last)
		}
		if s.Report().Effects != 0 || s.Report().Limits[0].Queued != 120 {
			t.Errorf("the report is %+v", s.Report())
		}
		if status, _, _ := send(s, "POST", "/oauth/token", ""); status != 400 {
			t.Errorf("without a grant: %d", status)
		}
	})
}

func TestBusinessOneSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "sap-business-one", Options{Nodes: 2})
		lost := func(header ...string) {
			t.Helper()
			if status, text, _ := send(s, "GET", "/b1s/v1/Items", "", header...); status != 401 || !strings.Contains(text, `"code":301`) {
				t.Errorf("%v: %d %s", header, status, text)
			}
		}
		lost()
		want(t, s, 401, "POST", "/b1s/v1/Login", "{}")
		_, h := want(t, s, 200, "POST", "/b1s/v1/Login", `{"CompanyDB":"A","UserName":"u","Password":"p"}`)
		cookies := h.Values("Set-Cookie")
		session, node := strings.Split(cookies[0], ";")[0], strings.Split(cookies[1], ";")[0]
		both := session + "; " + node
		want(t, s, 200, "GET", "/b1s/v1/Items", "", "Cookie", both)
		other := "ROUTEID=.node1"
		if node == other {
			other = "ROUTEID=.node2"
		}
		lost("Cookie", session+"; "+other) // the other node does not know the session
		lost("Cookie", node)
		made, _ := want(t, s, 201, "POST", "/b1s/v1/Orders", `{"CardCode":"C0001"}`, "Cookie", both)
		if made["CardCode"] != "C0001" || s.Report().Effects != 1 {
			t.Errorf("%v, %d effects", made, s.Report().Effects)
		}
		time.Sleep(30*time.Minute - time.Second)
		want(t, s, 200, "GET", "/b1s/v1/Items", "", "Cookie", both) // use keeps it alive
		time.Sleep(30 * time.Minute)
		lost("Cookie", both)
		_, h = want(t, s, 200, "POST", "/b1s/v1/Login", `{"CompanyDB":"A","UserName":"u","Password":"p"}`)
		both = strings.Split(h.Values("Set-Cookie")[0], ";")[0] + "; " + strings.Split(h.Values("Set-Cookie")[1], ";")[0]
		want(t, s, 204, "POST", "/b1s/v1/Logout", "", "Cookie", both)
		lost("Cookie", both)
	})
}

// The example of the documentation: 50 at once on 16 cores: 16 run, 20 wait, 14 are declined.
func TestAcumaticaQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "acumatica", Options{Concurrency: 16, Requests: 1000, Latency: time.Second})
		occupy(s, 50, "GET", anyPath)
		if r := s.Report(); r.Limits[0].Peak != 16 || r.Limits[0].Queued != 20 || r.Violations != 14 || r.InFlight != 36 {
			t.Errorf("the report is %+v", r)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if r := s.Report(); r.InFlight != 0 || r.Limits[2].Used != 36 {
			t.Errorf("in the end the report is %+v", r)
		}
	})
}

func TestAcumaticaDelaysFromTheHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "acumatica", Options{Requests: 50})
		for range 25 {
			want(t, s, 200, "GET", anyPath, "")
		}
		time.Sleep(40*time.Second - 25)
		began := time.Now()
		want(t, s, 200, "GET", anyPath, "")
		if took := time.Since(began); took != 800*time.Millisecond+1 {
			t.Errorf("the call took %v, want 0.8 s", took)
		}
		if r := s.Report(); r.Violations != 0 || r.Limits[0].Queued != 1 {
			t.Errorf("the report is %+v", r)
		}
	})
}

func TestAcumaticaSessions(t *testing.T) {
	s := start(t, "acumatica", Options{Sessions: 2})
	const login = `{"name":"admin","password":"x"}`
	login1 := func() string {
		_, h := want(t, s, 204, "POST", "/entity/auth/login", login)
		return strings.Split(h.Get("Set-Cookie"), ";")[0]
	}
	want(t, s, 401, "POST", "/entity/auth/login", "{}")
	first, second := login1(), login1()
	if status, text, _ := send(s, "POST", "/entity/auth/login", login); status != 429 || !strings.Contains(text, "API login limit exceeded.") || violations(s)["sessions"] != 1 {
		t.Errorf("the third login: %d %s", status, text)
	}
	const orders = "/entity/Default/24.200.001/SalesOrder"
	want(t, s, 401, "PUT", orders, "{}")
	made, _ := want(t, s, 200, "PUT", orders, `{"OrderNbr":{"value":"SO1"},"Note":{"value":"a"}}`, "Cookie", first)
	again, _ := want(t, s, 200, "PUT", orders, `{"OrderNbr":{"value":"SO1"},"Note":{"value":"b"}}`, "Cookie", second)
	if made["id"] != again["id"] || again["Note"].(record)["value"] != "b" {
		t.Errorf("%v, then %v", made, again)
	}
	want(t, s, 204, "POST", "/entity/auth/logout", "", "Cookie", first)
	want(t, s, 401, "PUT", orders, "{}", "Cookie", first)
	login1()
}

func TestIntacct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "sage-intacct", Options{Latency: 10 * time.Second, Requests: 20})
		occupy(s, 5, "GET", anyPath) // no overlap of 2 seconds yet
		time.Sleep(2*time.Second - 1)
		occupy(s, 1, "GET", anyPath)
		time.Sleep(time.Nanosecond)
		if status, text, _ := send(s, "GET", anyPath, ""); status != 429 || !strings.Contains(text, `"code":"GW-0010"`) {
			t.Errorf("%d %s", status, text)
		}
		if status, text, _ := send(s, "POST", "/ia/xml/xmlgw.phtml", "<request/>"); status != 429 || !strings.Contains(text, "<errorno>GW-0010</errorno>") {
			t.Errorf("%d %s", status, text)
		}
		if got := violations(s)["concurrency"]; got != 2 {
			t.Errorf("%d violations", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s.latency = 1
		want(t, s, 201, "POST", anyPath, `{"elements":5}`)
		status, text, _ := send(s, "POST", "/ia/xml/xmlgw.phtml", `<request><function controlid="1"><create/></function><function controlid="2"><create/></function></request>`)
		if status != 200 || strings.Count(text, "<result>") != 2 {
			t.Errorf("%d %s", status, text)
		}
		billed := s.Report().Limits[1]
		if billed.Used != 6+5+2 || billed.Violations != 0 || !billed.Billed {
			t.Errorf("billed: %+v", billed)
		}
		want(t, s, 201, "POST", anyPath, `{"elements":50}`) // more than the month holds is billed, not refused
	})
}

func TestQuickBooksOtherLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "quickbooks-online", Options{})
		call := func(status int, realm, method, what, body, app string) {
			t.Helper()
			if got, text, _ := send(s, method, "/v3/company/"+realm+"/"+what, body, "Authorization", app); got != status {
				t.Fatalf("%s of %s at %s: %d %s", what, app, realm, got, text)
			}
		}
		const batch = `{"BatchItemRequest":[{"bId":"1"}]}`
		for i := range 40 {
			call(200, "1", "POST", "batch", batch, "a")
			if i%10 == 9 {
				time.Sleep(time.Second)
			}
		}
		call(429, "1", "POST", "batch", batch, "a")
		call(200, "1", "GET", "query", "", "a")
		for i := range 80 {
			call(200, "1", "POST", "batch", batch, string(rune('b'+i/40)))
			if i%10 == 9 {
				time.Sleep(time.Second)
			}
		}
		call(429, "1", "POST", "batch", batch, "d") // 120 of the realm
		for i := range 379 {
			call(200, "1", "GET", "query", "", strconv.Itoa(i/10))
		}
		call(429, "1", "GET", "query", "", "z") // 500 of the realm
		for i := range 300 {
			call(200, "2", "GET", "query", "", strconv.Itoa(i/10))
		}
		call(429, "3", "GET", "query", "", "z") // 800 of all
		got := violations(s)
		if got["batch-realm-app-minute"] != 1 || got["batch-realm-minute"] != 1 || got["realm-minute"] != 1 || got["all-minute"] != 1 {
			t.Errorf("the violations are %v", got)
		}
	})
}

func TestXeroDayAndApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "xero", Options{Requests: 1_000_000})
		for range 5000 {
			want(t, s, 200, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "a")
		}
		_, h := want(t, s, 429, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "a")
		if h.Get("X-Rate-Limit-Problem") != "day" || h.Get("X-DayLimit-Remaining") != "0" {
			t.Errorf("the headers are %v", h)
		}
		left, err := strconv.Atoi(h.Get("Retry-After"))
		if err != nil || left < 1 || left > 86400 {
			t.Fatalf("Retry-After is %q", h.Get("Retry-After"))
		}
		for range 5000 {
			want(t, s, 200, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "b")
		}
		_, h = want(t, s, 429, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "c")
		if h.Get("X-Rate-Limit-Problem") != "appminute" {
			t.Errorf("the headers are %v", h)
		}
		time.Sleep(time.Duration(left-1) * time.Second)
		want(t, s, 429, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "a")
		time.Sleep(time.Second)
		want(t, s, 200, "GET", anyPath, "", "Authorization", "app", "Xero-Tenant-Id", "a")
	})
}

func TestXeroRemembersKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "xero", Options{})
		put := func(status int, key, body string) string {
			t.Helper()
			got, text, _ := send(s, "PUT", "/api.xro/2.0/Invoices", body, "Idempotency-Key", key)
			if got != status {
				t.Fatalf("%s: %d %s", key, got, text)
			}
			return text
		}
		first := put(200, "k1", `{"Reference":"a"}`)
		if again := put(200, "k1", `{"Reference":"a"}`); again != first || s.Report().Effects != 1 || len(s.data.placed) != 1 {
			t.Errorf("%s, then %s", first, again)
		}
		put(400, "k1", `{"Reference":"b"}`)
		put(400, strings.Repeat("k", 129), "{}")
		if used := s.Report().Limits[0].Used; used != 4 {
			t.Errorf("%v calls count, want all 4", used)
		}
		time.Sleep(6*time.Minute - 1)
		put(200, "k1", `{"Reference":"a"}`)
		time.Sleep(time.Nanosecond)
		if put(200, "k1", `{"Reference":"a"}`) == first || s.Report().Effects != 2 {
			t.Error("the key is remembered for more than 6 minutes")
		}
	})
}

func TestShopifyPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "shopify-graphql", Options{})
		const path = "/admin/api/2025-01/graphql.json"
		left := func(body string) float64 {
			t.Helper()
			answer, _ := want(t, s, 200, "POST", path, body)
			cost, _ := answer["extensions"].(record)["cost"].(record)
			return cost["throttleStatus"].(record)["currentlyAvailable"].(float64)
		}
		if n := left(`{"query":"{products{nodes{id}}}","points":900,"actual":100}`); n != 1900 { // the rest is given back
			t.Errorf("%v are left", n)
		}
		if n := left(`{"query":"mutation{orderCreate{id}}","variables":{"note":"a"}}`); n != 1890 {
			t.Errorf("%v are left after a mutation", n)
		}
		if n := s.Report().Effects; n != 1 {
			t.Errorf("%d effects of a query and a mutation", n)
		}
		answer, _ := want(t, s, 200, "POST", path, `{"query":"{products{nodes{id}}}","points":1001}`)
		if text := fmt.Sprint(answer); !strings.Contains(text, "MAX_COST_EXCEEDED") || s.Report().Violations != 0 {
			t.Errorf("a query of 1001 points: %s", text)
		}
		points := s.Report().Limits[0]
		if points.Used != 110 || points.Peak != 900 {
			t.Errorf("the points: %+v", points)
		}
	})
}

func TestFrappeChargesAfterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "frappe", Options{Latency: 100 * time.Second})
		occupy(s, 7, "GET", "/api/resource/Item") // under way, they overshoot
		time.Sleep(100 * time.Second)
		synctest.Wait()
		status, text, h := send(s, "GET", "/api/resource/Item", "")
		if status != 429 || text != "Too Many Requests" || h.Get("X-Ratelimit-Limit") != "600000000" || h.Get("X-Ratelimit-Remaining") != "0" ||
			h.Get("X-Ratelimit-Reset") != "3500" || h.Get("Retry-After") != "3500" || h.Get("X-Ratelimit-Used") != "" {
			t.Errorf("%d %s %v", status, text, h)
		}
		if l := s.Report().Limits[0]; l.Used != 700 || l.Peak != 700 || l.Violations != 1 {
			t.Errorf("the limit: %+v", l)
		}
		time.Sleep(3500*time.Second - 1)
		if status, _, _ := send(s, "GET", "/api/resource/Item", ""); status != 429 {
			t.Errorf("before the hour: %d", status)
		}
		time.Sleep(time.Nanosecond)
		_, h = want(t, s, 200, "GET", "/api/resource/Sales%20Order", "")
		if h.Get("X-Ratelimit-Remaining") != "500000000" || h.Get("X-Ratelimit-Used") != "100000000" || h.Get("Retry-After") != "" {
			t.Errorf("the headers are %v", h)
		}
	})
}

func TestOdooWorksOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "odoo", Options{Latency: 5 * time.Second})
		for range 3 {
			occupy(s, 1, "POST", anyPath, "X-Odoo-Database", "a")
			time.Sleep(time.Second)
		}
		want(t, s, 201, "POST", anyPath, "", "X-Odoo-Database", "b") // a database of its own: 3 s to 8 s
		if r := s.Report(); r.InFlight != 2 || r.Limits[1].Peak != 1 || r.Limits[1].Queued != 2 || r.Violations != 0 {
			t.Errorf("the report is %+v", r)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}

// The shelves of each kind, one reading and one writing call.
func TestSurfaces(t *testing.T) {
	for _, c := range []struct{ kind, method, path, body, sign string }{
		{"dynamics365-fno", "GET", "/data/ReleasedProductsV2", "", `{"value":[{`},
		{"dynamics365-fno", "POST", "/data/SalesOrderHeadersV2", `{"Ref":"1"}`, `"Ref":"1"`},
		{"sap-api-management", "POST", "/orders", `{"Ref":"1"}`, `"Ref":"1"`},
		{"quickbooks-online", "GET", "/v3/company/1/query?query=select+*+from+Customer", "", `{"QueryResponse":{"Customer":[`},
		{"quickbooks-online", "POST", "/v3/company/1/invoice?requestid=1", `{"DocNumber":"1"}`, `{"Invoice":{"DocNumber":"1"`},
		{"shopify-rest", "POST", "/admin/api/2024-10/orders.json", `{"note":"x"}`, `{"order":{`},
		{"amazon-sp-api", "PUT", "/listings/2021-08-01/items/s/k", `{"productType":"VALVE"}`, `{"payload":{`},
		{"frappe", "POST", "/api/resource/Sales%20Order", `{"customer":"C0001"}`, `{"data":{"customer":"C0001"`},
		{"odoo", "POST", "/json/2/sale.order/create", `{"name":"x"}`, `["5001"]`},
		{"oracle-fusion", "POST", "/fscmRestApi/resources/11.13.18.05/salesOrdersForOrderHub", `{"Ref":"1"}`, `"Ref":"1"`},
		{"workday", "POST", "/ccx/api/v1/acme/salesOrders", `{"Ref":"1"}`, `"Ref":"1"`},
		{"manhattan", "POST", "/dcorder/api/dcorder/originalOrder/save", `{"Ref":"1"}`, `{"data":{`},
		{"sage-intacct", "POST", "/ia/api/v1/objects/accounts-receivable/invoice", `{"Ref":"1"}`, `{"ia::result":{`},
		{"generic", "POST", "/orders", `{"reference":"1"}`, `"reference":"1"`},
		{"netsuite", "POST", "/services/NetSuitePort_2025_2", `<a><getAccountGovernanceInfo/></a>`, "<accountConcurrencyLimit>15</accountConcurrencyLimit>"},
	} {
		s := start(t, c.kind, Options{})
		status, text, _ := send(s, c.method, c.path, c.body)
		if status != 200 && status != 201 || !strings.Contains(text, c.sign) {
			t.Errorf("%s %s %s: %d %.300s", c.kind, c.method, c.path, status, text)
		}
		if status, _, _ := send(start(t, c.kind, Options{}), c.method, "/nothing", ""); status != 404 {
			t.Errorf("%s: a path that is not there: %d", c.kind, status)
		}
		if c.method == "POST" && c.body[0] == '{' {
			s = start(t, c.kind, Options{})
			if status, _, _ := send(s, c.method, c.path, "{}"); status != 400 {
				t.Errorf("%s: an empty body: %d", c.kind, status)
			}
		}
	}
}

func TestWhatCallersLeaveIsBounded(t *testing.T) {
	d := &data{}
	d.keep(map[string]any{"long": strings.Repeat("x", 201), "id": "mine", "nested": map[string]any{}, "ok": "yes"})
	if rec := d.placed[0]; len(rec) != 2 || rec["ok"] != "yes" || rec["id"] == "mine" {
		t.Errorf("kept is %v", rec)
	}
	for range maxPlaced + 10 {
		d.keep(nil)
	}
	if len(d.placed) != maxPlaced {
		t.Errorf("%d are kept", len(d.placed))
	}
	m := &remembered{keep: time.Hour}
	m.clear()
	s := start(t, "generic", Options{})
	work := m.once(func(r *http.Request) string { return r.Header.Get("K") }, adding(http.StatusOK, as("")))
	for i := range maxRemembered + 10 {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("K", strconv.Itoa(i))
		work(s, r, map[string]any{"a": "b"})
	}
	if len(m.answers) > maxRemembered+1 || len(m.keys) != len(m.answers) {
		t.Errorf("%d answers are remembered", len(m.answers))
	}
	open := &sessions{ttl: time.Hour}
	open.clear()
	for range maxSessions + 10 {
		open.open(time.Now(), "")
	}
	if len(open.last) != maxSessions {
		t.Errorf("%d sessions are open", len(open.last))
	}
}
