package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// try calls a simulator in process; lost tells that the connection was cut.
func try(s *Server, method, path, body string, header ...string) (status int, answer record, h http.Header, lost bool) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			lost = true
		}
	}()
	s.ServeHTTP(w, r)
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer, w.Header(), false
}

func start(t *testing.T, kind string, o Options) *Server {
	t.Helper()
	if o.Latency == 0 {
		o.Latency = time.Nanosecond
	}
	s, err := New(kind, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// want calls and checks the status.
func want(t *testing.T, s *Server, status int, method, path, body string, header ...string) (record, http.Header) {
	t.Helper()
	got, answer, h, lost := try(s, method, path, body, header...)
	if lost || got != status {
		t.Fatalf("%s %s: %d (lost %v), want %d: %v", method, path, got, lost, status, answer)
	}
	return answer, h
}

func items(answer record, key string) []any {
	list, _ := answer[key].([]any)
	return list
}

func TestKinds(t *testing.T) {
	for _, k := range Kinds() {
		if k.Doc == "" || strings.Contains(k.Doc, "\n") {
			t.Errorf("%s is described as %q", k.Name, k.Doc)
		}
		start(t, k.Name, Options{})
	}
	if _, err := New("netsweet", Options{}); err == nil || !strings.Contains(err.Error(), `no simulator "netsweet"; one of crm, netsuite, dataverse, wms, tms, business-central`) {
		t.Errorf("an unknown kind: %v", err)
	}
}

// The kinds' own latency, in virtual time.
func TestLatency(t *testing.T) {
	for kind, path := range map[string]string{"netsuite": recordPath + "vendor", "wms": "/stock", "crm": "/accounts"} {
		synctest.Test(t, func(t *testing.T) {
			s, err := New(kind, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				started := time.Now()
				want(t, s, 200, "GET", path, "")
				if took := time.Since(started); took < s.kind.latency || took > s.kind.latency+s.kind.jitter {
					t.Errorf("%s took %v", kind, took)
				}
			}
		})
	}
}

func TestTheWorldIsTheSameForASeed(t *testing.T) {
	list := func(seed uint64) string {
		answer, _ := want(t, start(t, "netsuite", Options{Seed: seed}), 200, "GET", recordPath+"salesOrder", "")
		text, _ := json.Marshal(answer)
		return string(text)
	}
	if first, again := list(3), list(3); first != again {
		t.Error("two worlds of one seed differ")
	}
	if list(3) == list(4) {
		t.Error("two worlds of different seeds are the same")
	}
}

// All simulators show the same distributor.
func TestTheWorldIsOne(t *testing.T) {
	erp := start(t, "netsuite", Options{})
	for kind, n := range map[string]int{"inventoryItem": 50, "vendor": 12, "customer": 20, "salesOrder": 30, "invoice": 20} {
		if answer, _ := want(t, erp, 200, "GET", recordPath+kind, ""); answer["totalResults"] != float64(n) {
			t.Errorf("there are %v of %s, want %d", answer["totalResults"], kind, n)
		}
	}
	order, _ := want(t, erp, 200, "GET", recordPath+"salesOrder/1000", "")
	shipments, _ := want(t, start(t, "tms", Options{}), 200, "GET", "/shipments?orderRef=SO1000", "")
	if shipments["total"] != 1.0 {
		t.Errorf("the TMS ships SO1000 %v times", shipments["total"])
	}
	same, _ := want(t, start(t, "dataverse", Options{}), 200, "GET", "/api/data/v9.2/salesorders(ordernumber='SO1000')", "")
	if same["totalamount"] != order["total"] {
		t.Errorf("the order is %v in the ERP and %v in Dataverse", order["total"], same["totalamount"])
	}
	customer, _ := want(t, erp, 200, "GET", recordPath+"customer/200", "")
	account, _ := want(t, start(t, "crm", Options{}), 200, "GET", "/accounts/C0001", "")
	if account["name"] != customer["companyName"] {
		t.Errorf("the customer is %v in the ERP and %v in the CRM", customer["companyName"], account["name"])
	}
	if stock, _ := want(t, start(t, "wms", Options{}), 200, "GET", "/stock?sku=SKU-0001", ""); stock["total"] != 2.0 {
		t.Errorf("SKU-0001 lies in %v places", stock["total"])
	}
}

const someOrder = `{"entity":{"id":"200"},"memo":"urgent","item":{"items":[{"item":{"refName":"SKU-0001"},"quantity":3},{"item":{"id":"101"},"quantity":2,"rate":10.5}]}}`

func TestNetSuiteOrdersAreKept(t *testing.T) {
	s := start(t, "netsuite", Options{})
	_, h := want(t, s, 204, "POST", recordPath+"salesOrder", someOrder)
	order, _ := want(t, s, 200, "GET", h.Get("Location"), "")
	item, _ := want(t, s, 200, "GET", recordPath+"inventoryItem/eid:SKU-0001", "")
	lines := items(order["item"].(record), "items")
	if total := cents(3*item["basePrice"].(float64) + 21); len(lines) != 2 || order["total"] != total || order["memo"] != "urgent" {
		t.Errorf("the order, which comes to %v, is %v", total, order)
	}
	want(t, s, 204, "PATCH", h.Get("Location"), `{"memo":"can wait"}`)
	if order, _ = want(t, s, 200, "GET", h.Get("Location"), ""); order["memo"] != "can wait" {
		t.Errorf("the memo is %v", order["memo"])
	}
	want(t, s, 400, "PATCH", recordPath+"salesOrder/1000", `{"memo":"x"}`) // billed
}

func TestNetSuiteUpsertHasOneEffect(t *testing.T) {
	s := start(t, "netsuite", Options{})
	_, first := want(t, s, 204, "PUT", recordPath+"salesOrder/eid:WEB-A", someOrder)
	_, second := want(t, s, 204, "PUT", recordPath+"salesOrder/eid:WEB-A", someOrder)
	if first.Get("Location") != second.Get("Location") {
		t.Errorf("the same order is at %s and at %s", first.Get("Location"), second.Get("Location"))
	}
	found, _ := want(t, s, 200, "GET", recordPath+"salesOrder?q="+url.QueryEscape(`externalId IS "WEB-A"`), "")
	if found["totalResults"] != 1.0 {
		t.Errorf("the order is there %v times", found["totalResults"])
	}
	want(t, s, 200, "GET", recordPath+"salesOrder/eid:WEB-A", "")
	answer, _ := want(t, s, 400, "POST", recordPath+"salesOrder", strings.Replace(someOrder, "{", `{"externalId":"WEB-A",`, 1))
	if code := nsCode(answer); code != "DUP_RCRD" {
		t.Errorf("the second POST is refused with %s", code)
	}
}

func nsCode(answer record) string {
	details := items(answer, "o:errorDetails")
	if len(details) != 1 {
		return ""
	}
	return fmt.Sprint(details[0].(record)["o:errorCode"])
}

// No body may harm the simulator: it answers, and goes on.
func TestNetSuiteRefusals(t *testing.T) {
	s := start(t, "netsuite", Options{})
	line := func(l string) string { return `{"entity":{"id":"200"},"item":{"items":[` + l + `]}}` }
	for body, code := range map[string]string{
		"": "USER_ERROR", "{}": "USER_ERROR", "null": "USER_ERROR",
		"[]": "UNEXPECTED_ERROR", "{": "UNEXPECTED_ERROR", strings.Repeat(" ", maxBody) + "{}": "UNEXPECTED_ERROR",
		`{"entity":{"id":"9999"}}`: "USER_ERROR", `{"entity":{"id":"200"}}`: "USER_ERROR",
		line(`{"item":{"id":"9999"},"quantity":1}`):          "INVALID_KEY_OR_REF",
		line(`{"item":{"refName":"SKU-0050"},"quantity":1}`): "INACTIVE_ITEM",
		line(`7`): "INVALID_KEY_OR_REF",
		line(`{"item":{"id":"100"},"quantity":0}`):                   "USER_ERROR",
		line(`{"item":{"id":"100"},"quantity":-1}`):                  "USER_ERROR",
		line(`{"item":{"id":"100"},"quantity":"NaN"}`):               "USER_ERROR",
		line(`{"item":{"id":"100"},"quantity":1e308}`):               "USER_ERROR",
		line(`{"item":{"id":"100"},"quantity":1,"rate":"Infinity"}`): "USER_ERROR",
	} {
		for _, c := range []struct{ method, path string }{{"POST", "salesOrder"}, {"PUT", "salesOrder/eid:X"}} {
			if answer, _ := want(t, s, 400, c.method, recordPath+c.path, body); nsCode(answer) != code {
				t.Errorf("%s %.60q is refused with %v, want %s", c.method, body, answer, code)
			}
		}
	}
	want(t, s, 204, "POST", recordPath+"salesOrder", line(`{"item":{"id":"100"},"quantity":1,"rate":null}`))
	for _, path := range []string{"salesOrder/1", "salesOrder/eid:none", "nothing", "nothing/1"} {
		if answer, _ := want(t, s, 404, "GET", recordPath+path, ""); nsCode(answer) == "" {
			t.Errorf("%s: %v is no error of the vendor", path, answer)
		}
	}
	want(t, s, 405, "PUT", recordPath+"salesOrder/1000", someOrder)
	want(t, s, 400, "GET", recordPath+"salesOrder?limit=1001", "")
	want(t, s, 400, "GET", recordPath+"salesOrder?offset=-1", "")
	want(t, s, 400, "GET", recordPath+"salesOrder?q=anything", "")
	if answer, _ := want(t, s, 200, "GET", recordPath+"salesOrder", ""); answer["totalResults"] != 31.0 {
		t.Errorf("there are %v orders, want 31", answer["totalResults"])
	}
}

func TestNetSuitePages(t *testing.T) {
	s := start(t, "netsuite", Options{})
	seen := map[any]bool{}
	for offset := 0; ; offset += 7 {
		answer, _ := want(t, s, 200, "GET", fmt.Sprintf("%ssalesOrder?limit=7&offset=%d", recordPath, offset), "")
		for _, i := range items(answer, "items") {
			seen[i.(record)["id"]] = true
		}
		if answer["hasMore"] == false {
			break
		}
	}
	if len(seen) != 30 {
		t.Errorf("the pages hold %d orders, want 30", len(seen))
	}
}

// occupy keeps n calls under way for a minute of virtual time.
func occupy(s *Server, n int, method, path string, header ...string) {
	for range n {
		go try(s, method, path, "", header...)
	}
	synctest.Wait()
}

func TestNetSuiteConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "netsuite", Options{Latency: time.Minute, Concurrency: 5})
		if limits, _ := want(t, s, 200, "GET", "/services/rest/system/v1/governanceLimits", ""); limits["accountConcurrencyLimit"] != 5.0 {
			t.Errorf("the limits are %v", limits)
		}
		occupy(s, 4, "GET", recordPath+"vendor")
		occupy(s, 1, "POST", "/app/site/hosting/restlet.nl") // one pool for both interfaces
		answer, h := want(t, s, 429, "GET", recordPath+"vendor", "")
		if nsCode(answer) != "CONCURRENCY_LIMIT_EXCEEDED" || h.Get("Retry-After") != "" {
			t.Errorf("the refusal is %v, %v", answer, h)
		}
		answer, _ = want(t, s, 400, "POST", "/app/site/hosting/restlet.nl", "")
		if e, _ := answer["error"].(record); e["code"] != "SSS_REQUEST_LIMIT_EXCEEDED" {
			t.Errorf("the RESTlet's refusal is %v", answer)
		}
		r := s.Report()
		if r.Violations != 2 || r.Refused != 2 || r.InFlight != 5 || r.Arrived != 8 || r.MaxInFlight != 6 {
			t.Errorf("the report is %+v", r)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want(t, s, 200, "GET", recordPath+"vendor", "")
		if r := s.Report(); r.InFlight != 0 || r.Violations != 2 {
			t.Errorf("in the end the report is %+v", r)
		}
	})
}

func TestPlainConcurrency(t *testing.T) {
	for kind, c := range map[string]struct {
		path  string
		limit int
	}{"wms": {"/stock", 20}, "tms": {"/shipments", 10}, "crm": {"/accounts", 10}} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, kind, Options{Latency: time.Minute})
			occupy(s, c.limit, "GET", c.path)
			if _, h := want(t, s, 429, "GET", c.path, ""); h.Get("Retry-After") != "1" {
				t.Errorf("%s: the headers are %v", kind, h)
			}
			if r := s.Report(); r.Violations != 1 {
				t.Errorf("%s: %d violations", kind, r.Violations)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
		})
	}
}

func dvCode(answer record) any {
	e, _ := answer["error"].(record)
	return e["code"]
}

const dvAccounts = "/api/data/v9.2/accounts?$top=1"

func TestDataverseNumberOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "dataverse", Options{Latency: 10 * time.Millisecond})
		for i := range 6000 {
			_, h := want(t, s, 200, "GET", dvAccounts, "", "Authorization", "anna")
			if left := h.Get("X-Ms-Ratelimit-Burst-Remaining-Xrm-Requests"); left != strconv.Itoa(5999-i) {
				t.Fatalf("after %d calls %s are left", i+1, left)
			}
		}
		answer, h := want(t, s, 429, "GET", dvAccounts, "", "Authorization", "anna")
		if dvCode(answer) != "0x80072322" || answer["error"].(record)["message"] != "Number of requests exceeded the limit of 6000 over time window of 300 seconds." {
			t.Errorf("the refusal is %v", answer)
		}
		if wait, _ := strconv.Atoi(h.Get("Retry-After")); wait < 240 || wait > 242 { // the first call was 60 s ago
			t.Errorf("Retry-After is %v", h.Get("Retry-After"))
		}
		want(t, s, 200, "GET", dvAccounts, "", "Authorization", "bert") // the limit is each user's
		time.Sleep(241 * time.Second)
		want(t, s, 200, "GET", dvAccounts, "", "Authorization", "anna") // the window slides
	})
}

func TestDataverseExecutionTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "dataverse", Options{Latency: 24*time.Second + time.Millisecond})
		occupy(s, 50, "GET", dvAccounts)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		answer, _ := want(t, s, 429, "GET", dvAccounts, "")
		if dvCode(answer) != "0x80072321" || !strings.Contains(answer["error"].(record)["message"].(string), "limit of 1,200,000 milliseconds over time window of 300 seconds.") {
			t.Errorf("the refusal is %v", answer)
		}
		time.Sleep(5 * time.Minute)
		_, h := want(t, s, 200, "GET", dvAccounts, "")
		if left := h.Get("X-Ms-Ratelimit-Time-Remaining-Xrm-Requests"); left != "1176.00" {
			t.Errorf("%s seconds are left", left)
		}
	})
}

func TestDataverseConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "dataverse", Options{Latency: 10 * time.Second})
		occupy(s, 52, "GET", dvAccounts)
		if answer, _ := want(t, s, 429, "GET", dvAccounts, ""); dvCode(answer) != "0x80072326" {
			t.Errorf("the refusal is %v", answer)
		}
		if r := s.Report(); r.Violations != 1 || r.InFlight != 52 {
			t.Errorf("the report is %+v", r)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want(t, s, 200, "GET", dvAccounts, "")
	})
}

func TestDataversePenaltyGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "dataverse", Options{Latency: time.Hour, Concurrency: 1})
		occupy(s, 1, "GET", dvAccounts)
		last := 0
		for range 10 {
			_, h := want(t, s, 429, "GET", dvAccounts, "")
			wait, err := strconv.Atoi(h.Get("Retry-After"))
			if err != nil || wait <= last && wait < 300 || wait > 302 {
				t.Errorf("Retry-After is %v after %d", h.Get("Retry-After"), last)
			}
			last = wait
		}
		time.Sleep(time.Hour)
		synctest.Wait()
	})
}

func TestDataverseForgetsIdleUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "dataverse", Options{})
		for i := range maxScopes + 500 {
			want(t, s, 200, "GET", dvAccounts, "", "Authorization", strconv.Itoa(i))
		}
		users := s.limits[0].meters
		if len(users) > maxScopes+1 {
			t.Errorf("%d users are counted", len(users))
		}
		time.Sleep(time.Hour)
		want(t, s, 200, "GET", dvAccounts, "", "Authorization", "new")
		if len(users) > 1 {
			t.Errorf("%d users are counted after an hour", len(users))
		}
	})
}

func TestDataverseRecords(t *testing.T) {
	s := start(t, "dataverse", Options{})
	account, _ := want(t, s, 200, "GET", "/api/data/v9.2/accounts(accountnumber='C0001')", "")
	same, _ := want(t, s, 200, "GET", fmt.Sprintf("/api/data/v9.2/accounts(%v)", account["accountid"]), "")
	if same["accountnumber"] != "C0001" {
		t.Errorf("by its GUID the account is %v", same)
	}
	want(t, s, 204, "PATCH", "/api/data/v9.2/accounts(accountnumber='C0001')", `{"telephone1":"1"}`)
	found, _ := want(t, s, 200, "GET", "/api/data/v9.2/accounts?$filter="+url.QueryEscape("telephone1 eq '1'"), "")
	if len(items(found, "value")) != 1 {
		t.Errorf("%v have the new number", found)
	}
	order := "/api/data/v9.2/salesorders(ordernumber='B2B-1')"
	want(t, s, 404, "GET", order, "")
	for range 2 {
		want(t, s, 204, "PATCH", order, `{"name":"first","totalamount":10.5}`)
	}
	want(t, s, 204, "PATCH", order, `{"name":"second"}`)
	kept, _ := want(t, s, 200, "GET", order, "")
	if kept["name"] != "second" || kept["totalamount"] != 10.5 {
		t.Errorf("the order is %v", kept)
	}
	all, _ := want(t, s, 200, "GET", "/api/data/v9.2/salesorders", "")
	if len(items(all, "value")) != 31 {
		t.Errorf("there are %d orders, want 31", len(items(all, "value")))
	}
	_, h := want(t, s, 204, "POST", "/api/data/v9.2/salesorders", `{"ordernumber":"B2B-2","name":"x"}`)
	want(t, s, 200, "GET", h.Get("OData-EntityId"), "")
	want(t, s, 412, "POST", "/api/data/v9.2/salesorders", `{"ordernumber":"B2B-2","name":"x"}`)
	for _, body := range []string{"", "{}", `{"ordernumber":"B","name":"x","totalamount":"NaN"}`} {
		want(t, s, 400, "POST", "/api/data/v9.2/salesorders", body)
	}
	for _, path := range []string{"accounts(accountnumber='none')", "accounts(ordernumber='SO1000')", "contacts(name='x')", "accounts()", "salesorders('x'"} {
		if answer, _ := want(t, s, 404, "GET", "/api/data/v9.2/"+path, ""); dvCode(answer) == nil {
			t.Errorf("%s: %v is no error of the vendor", path, answer)
		}
	}
	want(t, s, 404, "PATCH", "/api/data/v9.2/accounts(accountnumber='none')", "{}")
	want(t, s, 400, "GET", "/api/data/v9.2/accounts?$filter=anything", "")
}

func TestWMS(t *testing.T) {
	s := start(t, "wms", Options{})
	before, _ := want(t, s, 200, "GET", "/stock?sku=SKU-0001&warehouse=EAST", "")
	level := items(before, "items")[0].(record)["onHand"].(float64)
	after, _ := want(t, s, 201, "POST", "/stock/SKU-0001/adjustments", `{"warehouse":"EAST","quantity":5}`)
	if after["onHand"] != level+5 {
		t.Errorf("%v and 5 make %v", level, after["onHand"])
	}
	again, _ := want(t, s, 200, "GET", "/stock?sku=SKU-0001&warehouse=EAST", "")
	if items(again, "items")[0].(record)["onHand"] != level+5 {
		t.Errorf("the level is not kept: %v", again)
	}
	want(t, s, 409, "POST", "/stock/SKU-0001/adjustments", `{"warehouse":"EAST","quantity":-10000}`)
	want(t, s, 404, "POST", "/stock/SKU-0001/adjustments", `{"warehouse":"NORTH","quantity":1}`)
	want(t, s, 400, "POST", "/stock/SKU-0001/adjustments", "")
	want(t, s, 400, "GET", "/stock?limit=0", "")
	want(t, s, 404, "GET", "/nothing", "")
}

func TestTMS(t *testing.T) {
	s := start(t, "tms", Options{})
	made, _ := want(t, s, 201, "POST", "/shipments", `{"orderRef":"SO5001","to":{"name":"x","city":"y"}}`)
	path := fmt.Sprintf("/shipments/%v", made["id"])
	want(t, s, 201, "POST", path+"/milestones", `{"code":"DELIVERED","at":"2026-11-24T08:00:00Z"}`)
	kept, _ := want(t, s, 200, "GET", path, "")
	if kept["status"] != "delivered" || len(items(kept, "milestones")) != 2 || kept["orderRef"] != "SO5001" {
		t.Errorf("the shipment is %v", kept)
	}
	want(t, s, 400, "POST", "/shipments", "")
	want(t, s, 400, "POST", path+"/milestones", "")
	want(t, s, 404, "GET", "/shipments/none", "")
	want(t, s, 404, "POST", "/shipments/none/milestones", `{"code":"X"}`)
	for range maxMilestones - 2 {
		want(t, s, 201, "POST", path+"/milestones", `{"code":"X"}`)
	}
	want(t, s, 507, "POST", path+"/milestones", `{"code":"X"}`)
}

func TestCRM(t *testing.T) {
	s := start(t, "crm", Options{})
	made, h := want(t, s, 201, "POST", "/accounts", `{"name":"Reedmere Tools","city":"Quay"}`)
	kept, _ := want(t, s, 200, "GET", h.Get("Location"), "")
	if kept["name"] != "Reedmere Tools" || kept["number"] != made["number"] {
		t.Errorf("the account is %v", kept)
	}
	changed, _ := want(t, s, 200, "PATCH", h.Get("Location"), `{"status":"closed"}`)
	found, _ := want(t, s, 200, "GET", "/accounts?status=closed", "")
	if changed["status"] != "closed" || found["total"] != 1.0 {
		t.Errorf("closed accounts: %v", found)
	}
	want(t, s, 201, "POST", "/accounts/C0001/activities", `{"type":"call","subject":"Delivery of SO1000"}`)
	activities, _ := want(t, s, 200, "GET", "/activities?account=C0001", "")
	if activities["total"] != 1.0 {
		t.Errorf("the activities are %v", activities)
	}
	want(t, s, 409, "POST", "/accounts", `{"name":"x","number":"C0001"}`)
	want(t, s, 400, "POST", "/accounts", "")
	want(t, s, 400, "POST", "/accounts/C0001/activities", "{}")
	want(t, s, 404, "GET", "/accounts/none", "")
}

func fault(t *testing.T, s *Server, text string) {
	t.Helper()
	want(t, s, 201, "POST", "/_sim/faults", text)
}

func orders(t *testing.T, s *Server) float64 {
	t.Helper()
	answer, _ := want(t, s, 200, "GET", recordPath+"salesOrder", "")
	return answer["totalResults"].(float64)
}

func TestFaultError(t *testing.T) {
	s := start(t, "netsuite", Options{})
	fault(t, s, `{"kind":"error","status":503,"method":"POST","path":"`+recordPath+`","count":2}`)
	for range 2 {
		if answer, _ := want(t, s, 503, "POST", recordPath+"salesOrder", someOrder); nsCode(answer) != "UNEXPECTED_ERROR" {
			t.Errorf("the error is %v", answer)
		}
	}
	if n := orders(t, s); n != 30 {
		t.Errorf("the work was done: %v orders", n)
	}
	want(t, s, 204, "POST", recordPath+"salesOrder", someOrder) // the count is used up
	fault(t, s, `{"kind":"error","count":1}`)
	want(t, s, 500, "GET", recordPath+"vendor", "")
}

func TestFaultSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "wms", Options{})
		fault(t, s, `{"kind":"slow","latency_ms":3000,"count":1}`)
		started := time.Now()
		want(t, s, 200, "GET", "/stock", "")
		if took := time.Since(started); took < 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestFaultDropReplyDoesTheWork(t *testing.T) {
	s := start(t, "netsuite", Options{})
	fault(t, s, `{"kind":"drop-reply","method":"PUT","count":1}`)
	if _, _, _, lost := try(s, "PUT", recordPath+"salesOrder/eid:LOST", someOrder); !lost {
		t.Error("the reply arrived")
	}
	want(t, s, 200, "GET", recordPath+"salesOrder/eid:LOST", "")
	if r := s.Report(); r.Effects != 1 || r.Faults != 1 || r.InFlight != 0 {
		t.Errorf("the report is %+v", r)
	}
}

func TestFaultDropRequestDoesNothing(t *testing.T) {
	s := start(t, "netsuite", Options{})
	fault(t, s, `{"kind":"drop-request","method":"PUT","count":1}`)
	if _, _, _, lost := try(s, "PUT", recordPath+"salesOrder/eid:LOST", someOrder); !lost {
		t.Error("the request arrived")
	}
	want(t, s, 404, "GET", recordPath+"salesOrder/eid:LOST", "")
	if r := s.Report(); r.Effects != 0 || r.InFlight != 0 {
		t.Errorf("the report is %+v", r)
	}
}

func TestFaultOverloadSpeaksAsTheVendor(t *testing.T) {
	for _, c := range []struct {
		kind, method, path string
		status             int
		sign               string
	}{
		{"netsuite", "GET", recordPath + "vendor", 429, "CONCURRENCY_LIMIT_EXCEEDED"},
		{"netsuite", "POST", "/app/site/hosting/restlet.nl", 400, "SSS_REQUEST_LIMIT_EXCEEDED"},
		{"dataverse", "GET", dvAccounts, 429, "0x80072322"},
		{"wms", "GET", "/stock", 429, "too many requests"},
	} {
		s := start(t, c.kind, Options{})
		fault(t, s, `{"kind":"overload","count":1}`)
		answer, _ := want(t, s, c.status, c.method, c.path, "")
		if text, _ := json.Marshal(answer); !bytes.Contains(text, []byte(c.sign)) {
			t.Errorf("%s %s: the refusal is %s", c.kind, c.path, text)
		}
		want(t, s, 200, c.method, c.path, "")
		if r := s.Report(); r.Refused != 1 || r.Violations != 0 {
			t.Errorf("%s: a fault counts as a violation: %+v", c.kind, r)
		}
	}
}

func TestFaultDownLastsUntilItIsCleared(t *testing.T) {
	s := start(t, "wms", Options{})
	fault(t, s, `{"kind":"down"}`)
	for range 5 {
		if _, _, _, lost := try(s, "GET", "/stock", ""); !lost {
			t.Error("the system is up")
		}
	}
	want(t, s, 200, "GET", "/_sim/report", "")
	want(t, s, 204, "DELETE", "/_sim/faults", "")
	want(t, s, 200, "GET", "/stock", "")
}

func TestFaultsEndByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "wms", Options{})
		fault(t, s, `{"kind":"down","seconds":10}`)
		time.Sleep(9 * time.Second)
		if _, _, _, lost := try(s, "GET", "/stock", ""); !lost {
			t.Error("the fault ended too early")
		}
		time.Sleep(2 * time.Second)
		want(t, s, 200, "GET", "/stock", "")
	})
}

func TestFaultsKeepToTheirPath(t *testing.T) {
	s := start(t, "netsuite", Options{})
	fault(t, s, `{"kind":"error","path":"`+recordPath+`vendor"}`)
	want(t, s, 200, "GET", recordPath+"customer", "")
	want(t, s, 500, "GET", recordPath+"vendor", "")
}

func TestWrongFaultsAreRefused(t *testing.T) {
	s := start(t, "wms", Options{})
	for _, text := range []string{
		"", "[]", `{"kind":"flood"}`, `{"kind":"error","state":1}`, `{"kind":"error","status":7}`, `{"kind":"error","status":200}`,
		`{"kind":"slow"}`, `{"kind":"down","count":-1}`, `{"kind":"down","seconds":-1}`, `{"kind":"slow","latency_ms":1000000000}`,
	} {
		if answer, _ := want(t, s, 400, "POST", "/_sim/faults", text); answer["error"] == "" {
			t.Errorf("%s is refused without a reason", text)
		}
	}
	want(t, s, 200, "GET", "/stock", "")
	for range maxFaults {
		fault(t, s, `{"kind":"error","path":"/elsewhere"}`)
	}
	want(t, s, 409, "POST", "/_sim/faults", `{"kind":"down"}`)
}

func TestReportAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "netsuite", Options{})
		for range 3 {
			want(t, s, 204, "POST", recordPath+"salesOrder", someOrder)
		}
		time.Sleep(2 * time.Second)
		want(t, s, 404, "GET", "/nothing", "")
		report, _ := want(t, s, 200, "GET", "/_sim/report", "")
		seconds := items(report, "perSecond")
		if len(seconds) != 60 || seconds[59] != 1.0 || seconds[57] != 3.0 {
			t.Errorf("the arrivals a second are %v", seconds)
		}
		operations := report["operations"].(record)
		if report["arrived"] != 4.0 || report["effects"] != 3.0 || operations["POST "+recordPath+"salesOrder"] != 3.0 || operations["/"] != 1.0 {
			t.Errorf("the report is %v", report)
		}
		fault(t, s, `{"kind":"down"}`)
		want(t, s, 204, "POST", "/_sim/reset", "")
		if n := orders(t, s); n != 30 {
			t.Errorf("after a reset there are %v orders", n)
		}
		if r := s.Report(); r.Arrived != 1 {
			t.Errorf("after a reset the report is %+v", r)
		}
		want(t, s, 404, "GET", "/_sim/nothing", "")
	})
}

// A reset while calls are under way must not unsettle the limit.
func TestResetKeepsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, "netsuite", Options{Latency: time.Minute, Concurrency: 3})
		occupy(s, 3, "GET", recordPath+"vendor")
		want(t, s, 204, "POST", "/_sim/reset", "")
		want(t, s, 429, "GET", recordPath+"vendor", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		occupy(s, 3, "GET", recordPath+"vendor")
		if r := s.Report(); r.InFlight != 3 || r.Violations != 1 {
			t.Errorf("the report is %+v", r)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}

// Over a real connection: a cut is an error for the client, many clients at a
// time are counted right, and a caller that leaves does not stop the work.
func TestOverTheNetwork(t *testing.T) {
	s := start(t, "netsuite", Options{Latency: 20 * time.Millisecond, Concurrency: 4})
	server := httptest.NewServer(s)
	defer server.Close()
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 5 {
				resp, err := http.Get(server.URL + recordPath + "vendor")
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				mu.Lock()
				statuses[resp.StatusCode]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if r := s.Report(); r.Arrived != 100 || r.Refused != statuses[429] || r.Violations != statuses[429] || statuses[200]+statuses[429] != 100 || statuses[429] == 0 || r.InFlight != 0 {
		t.Errorf("the callers saw %v, the report is %+v", statuses, r)
	}

	fault(t, s, `{"kind":"drop-reply","count":1}`)
	put := func(id string, timeout time.Duration) error {
		r, err := http.NewRequest("PUT", server.URL+recordPath+"salesOrder/eid:"+id, strings.NewReader(someOrder))
		if err != nil {
			t.Fatal(err)
		}
		r.GetBody = nil
		resp, err := (&http.Client{Timeout: timeout}).Do(r)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if put("CUT", time.Second) == nil {
		t.Error("the connection was not cut")
	}
	want(t, s, 200, "GET", recordPath+"salesOrder/eid:CUT", "")
	var timeout interface{ Timeout() bool }
	if err := put("LEFT", 5*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the caller did not leave: %v", err)
	}
	time.Sleep(100 * time.Millisecond)
	want(t, s, 200, "GET", recordPath+"salesOrder/eid:LEFT", "")
}

// Adjustments in one call are done each by itself.
func TestAdjustmentsTogether(t *testing.T) {
	s := start(t, "wms", Options{})
	got, _ := want(t, s, 200, "POST", "/stock/adjustments", `{"adjustments": [
{"sku": "SKU-0001", "warehouse": "EAST", "quantity": 5}, {"sku": "SKU-9999", "warehouse": "EAST", "quantity": 5}, {"sku": "SKU-0002", "warehouse": "WEST", "quantity": 1}]}`)
	results := ""
	for _, item := range items(got, "results") {
		results += fmt.Sprint(item.(record)["status"], " ")
	}
	if results != "201 404 201 " || s.Report().Effects != 2 {
		t.Errorf("%s, %d effects", results, s.Report().Effects)
	}
	want(t, s, 400, "POST", "/stock/adjustments", `{}`)
}
