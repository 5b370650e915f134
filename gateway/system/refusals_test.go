package system

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/specs/source"
)

// refusal is an answer of a vendor's system, as the vendor or those who met it
// tell, and what the profile has to make of it.
type refusal struct {
	profile string
	call    string // GET /orders when empty
	status  int
	headers string // one a line
	body    string
	// pools are those that must be paused, for at least wait; none when the
	// answer is no sign of overload.
	pools string
	wait  time.Duration
	// shrinks is the pool that must shrink; any one or none when empty.
	shrinks string
	// fate is the outcome of the call; overload when empty.
	fate string
}

const (
	faultHead = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault>`
	faultTail = `</soapenv:Fault></soapenv:Body></soapenv:Envelope>`
)

var refusals = []refusal{
	{profile: "netsuite", status: 400, body: `{"error":{"code":"SSS_REQUEST_LIMIT_EXCEEDED","message":"Request limit exceeded."}}`, pools: "concurrency"},
	{profile: "netsuite", status: 429, body: `{"type":"about:blank","title":"Too Many Requests","status":429,"o:errorDetails":[{"detail":"Too many requests","o:errorCode":"CONCURRENCY_LIMIT_EXCEEDED"}]}`, pools: "concurrency"},
	{profile: "netsuite", status: 400, body: `{"title":"Bad Request","status":400,"o:errorDetails":[{"detail":"x","o:errorCode":"SSS_REQUEST_LIMIT_EXCEEDED"}]}`, pools: "concurrency"},
	{profile: "netsuite", call: "POST /services/NetSuitePort_2025_2", status: 500, pools: "concurrency", body: faultHead +
		`<faultcode>soapenv:Server.userException</faultcode><faultstring>SuiteTalk concurrent request limit exceeded. Request blocked.</faultstring><detail><platformFaults:exceededConcurrentRequestLimitFault xmlns:platformFaults="urn:faults_2025_2.platform.webservices.netsuite.com"><platformFaults:code>WS_REQUEST_BLOCKED</platformFaults:code></platformFaults:exceededConcurrentRequestLimitFault></detail>` + faultTail},
	{profile: "netsuite", call: "POST /services/NetSuitePort_2025_2", status: 500, pools: "concurrency", body: faultHead +
		`<faultcode>soapenv:Server.userException</faultcode><faultstring>Only one request may be made against a session at a time</faultstring><detail><f:ExceededRequestLimitFault xmlns:f="urn:x"><f:code>WS_CONCUR_SESSION_DISALLWD</f:code></f:ExceededRequestLimitFault></detail>` + faultTail},
	{profile: "netsuite", status: 400, body: `{"title":"Bad Request","status":400,"o:errorDetails":[{"detail":"Invalid value","o:errorCode":"INVALID_CONTENT"}]}`, fate: "refused"},
	{profile: "netsuite", call: "POST /services/rest/record/v1/customer", status: 400, body: `{"title":"Conflict","status":400,"o:errorDetails":[{"detail":"x","o:errorCode":"IDEMPOTENCY_ERROR"}]}`, fate: "refused"},

	{profile: "dataverse", status: 429, headers: "Retry-After: 20", pools: "concurrency entitlement execution requests", wait: 20 * time.Second, shrinks: "requests",
		body: `{"error":{"code":"0x80072322","message":"Number of requests exceeded the limit of 6000 over time window of 300 seconds."}}`},
	{profile: "dataverse", status: 429, headers: "Retry-After: 40", pools: "concurrency entitlement execution requests", wait: 40 * time.Second, shrinks: "execution",
		body: `{"error":{"code":"0x80072321","message":"Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds over time window of 300 seconds."}}`},
	{profile: "dataverse", status: 429, headers: "Retry-After: 30", pools: "concurrency entitlement execution requests", wait: 30 * time.Second, shrinks: "concurrency",
		body: `{"error":{"code":"0x80072326","message":"Number of concurrent requests exceeded the limit of 52."}}`},
	{profile: "dataverse", status: 403, body: `{"error":{"code":"0x80040220","message":"Principal user is missing a privilege."}}`, fate: "refused"},

	{profile: "dynamics365-fno", status: 429, headers: "Retry-After: 60", pools: "concurrency", wait: 60 * time.Second,
		body: "This request could not be processed at this time due to system experiencing high resource utilization."},
	{profile: "dynamics365-fno", status: 429, body: "Number of requests exeeded the limit of 6000 over the time window of 300 seconds.", pools: "concurrency", wait: 30 * time.Second},

	{profile: "business-central", status: 429, body: `{"error":{"code":"Application_TooManyRequests","message":"Too many requests reached. Actual (101). Maximum (100)."}}`, pools: "concurrency", shrinks: "concurrency"},
	{profile: "business-central", status: 429, body: `{"error":{"code":"Application_TooManyRequests","message":"Too many requests reached. Actual (6001). Maximum (6000)."}}`, pools: "requests", shrinks: "requests"},
	{profile: "business-central", status: 429, pools: "concurrency requests", shrinks: "concurrency"},
	{profile: "business-central", status: 503, body: `{"error":{"code":"Application_ServiceUnavailable","message":"x"}}`, pools: "concurrency"},
	{profile: "business-central", status: 408, fate: "unavailable"},
	{profile: "business-central", call: "POST /api/v2.0/salesOrders", status: 408, fate: "doubtful"},
	{profile: "business-central", call: "POST /api/v2.0/salesOrders", status: 504, fate: "doubtful"},

	{profile: "salesforce", status: 403, body: `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, pools: "daily", wait: time.Minute},
	{profile: "salesforce", status: 403, body: `[{"message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, pools: "long-running"},
	{profile: "salesforce", status: 403, body: `[{"message":"insufficient access rights on object id","errorCode":"INSUFFICIENT_ACCESS_OR_READONLY"}]`, fate: "refused"},
	{profile: "salesforce", call: "POST /services/Soap/u/61.0", status: 500, pools: "daily", wait: time.Minute, shrinks: "daily", body: faultHead +
		`<faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode><faultstring>REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.</faultstring>` + faultTail},

	{profile: "salesforce", call: "POST /services/Soap/u/61.0", status: 500, pools: "long-running", shrinks: "long-running", body: faultHead +
		`<faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode><faultstring>ConcurrentRequests (Concurrent API Requests) Limit exceeded.</faultstring>` + faultTail},
	{profile: "salesforce", call: "POST /services/Soap/u/61.0", status: 500, pools: "daily long-running", shrinks: "long-running", body: faultHead +
		`<faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode>` + faultTail},

	{profile: "sap-s4hana", status: 429, headers: "Retry-After: 60", pools: "concurrency", wait: time.Minute},
	{profile: "sap-s4hana", status: 503, body: "<html>Service Unavailable</html>", pools: "concurrency"},
	{profile: "sap-s4hana", status: 412, body: `{"error":{"code":"/IWBEP/CM_MGW_RT/020","message":{"value":"Precondition failed"}}}`, fate: "refused"},

	{profile: "sap-api-management", status: 429, body: `{"fault":{"faultstring":"Spike arrest violation. Allowed rate : 6pm","detail":{"errorcode":"policies.ratelimit.SpikeArrestViolation"}}}`, pools: "spike-arrest"},
	{profile: "sap-api-management", status: 429, body: `{"fault":{"faultstring":"Rate limit quota violation.","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}`, pools: "quota"},
	{profile: "sap-api-management", status: 429, pools: "quota spike-arrest"},

	{profile: "sap-btp-token", call: "POST /oauth/token", status: 429, headers: "Retry-After: 3", body: `{"error":{"code":11006,"message":"Rate limit exceeded","details":[{"code":11007}]}}`, pools: "tokens", wait: 3 * time.Second},
	{profile: "sap-btp-token", call: "POST /oauth/token", status: 429, headers: "Retry-After: date", body: "<html><head><title>429 Too Many Requests</title></head><body><center>nginx</center></body></html>", pools: "tokens", wait: 30 * time.Second},

	{profile: "sap-business-one", status: 502, body: "<!DOCTYPE HTML><html><head><title>502 Proxy Error</title></head><body><h1>Proxy Error</h1></body></html>", pools: "concurrency"},
	{profile: "sap-business-one", call: "POST /b1s/v2/Orders", status: 502, body: "<html><head><title>502 Proxy Error</title></head></html>", pools: "concurrency", fate: "doubtful"},

	{profile: "acumatica", status: 429, pools: "concurrency pacing requests", wait: 2 * time.Second},
	{profile: "acumatica", call: "POST /entity/auth/login", status: 429, body: `{"message":"API login limit exceeded. Please try again later."}`, pools: "concurrency pacing requests"},

	{profile: "sage-intacct", status: 429, body: `{"ia::result":{"ia::error":{"code":"GW-0010","message":"Too many requests"}}}`, pools: "concurrency"},
	{profile: "sage-intacct", call: "POST /ia/xml/xmlgw.phtml", status: 500, body: `<response><errormessage><error><errorno>GW-0010</errorno></error></errormessage></response>`, pools: "concurrency"},

	{profile: "quickbooks-online", status: 429, body: `{"Fault":{"Error":[{"Message":"ThrottleExceeded","code":"3001"}],"type":"THROTTLED"}}`, pools: "app concurrency intuit reads reads-builder realm", wait: time.Minute},
	{profile: "quickbooks-online", call: "POST /v3/company/1/invoice", status: 429, pools: "app concurrency intuit realm", wait: time.Minute},

	{profile: "xero", status: 429, headers: "X-Rate-Limit-Problem: minute\nRetry-After: 17", pools: "minute", wait: 17 * time.Second},
	{profile: "xero", status: 429, headers: "X-Rate-Limit-Problem: day\nRetry-After: 3000", shrinks: "daily", pools: "daily", wait: 3000 * time.Second},
	{profile: "xero", status: 429, headers: "X-Rate-Limit-Problem: appminute\nRetry-After: 5", pools: "app-minute", wait: 5 * time.Second},
	{profile: "xero", status: 429, headers: "X-Rate-Limit-Problem: concurrent", pools: "concurrency"},
	{profile: "xero", status: 429, pools: "app-minute concurrency daily minute", shrinks: "concurrency"},

	{profile: "shopify-rest", status: 429, headers: "Retry-After: 2.0\nX-Shopify-Shop-Api-Call-Limit: 40/40", body: `{"errors":"Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service."}`, pools: "calls", wait: 2 * time.Second},
	{profile: "shopify-rest", status: 423, body: `{"errors":"Locked"}`, fate: "unavailable"},
	{profile: "shopify-graphql", call: "POST /admin/api/2026-10/graphql.json", status: 200, pools: "points",
		body: `{"errors":[{"message":"Throttled","extensions":{"code":"THROTTLED"}}],"extensions":{"cost":{"requestedQueryCost":752,"actualQueryCost":null,"throttleStatus":{"maximumAvailable":1000.0,"currentlyAvailable":666,"restoreRate":50.0}}}}`},
	{profile: "shopify-graphql", call: "POST /admin/api/2026-10/graphql.json", status: 429, pools: "points", body: `{"errors":[{"message":"Throttled","extensions":{"code":"THROTTLED"}}]}`},
	{profile: "shopify-graphql", call: "POST /admin/api/2026-10/graphql.json", status: 200, body: `{"data":{"shop":null},"errors":[{"message":"Access denied","extensions":{"code":"ACCESS_DENIED"}}]}`, fate: "delivered"},

	{profile: "amazon-sp-api", call: "GET /orders/v0/orders", status: 429, body: `{"errors":[{"code":"QuotaExceeded","message":"You exceeded your quota for the requested resource.","details":""}]}`, pools: "ordersV0.getOrders"},
	{profile: "amazon-sp-api", call: "GET /orders/v0/orders/1", status: 429, body: `{"errors":[{"code":"QuotaExceeded","message":"You exceeded your quota for the requested resource."}]}`, pools: "ordersV0.getOrder"},

	{profile: "frappe", status: 429, headers: "Retry-After: 1800\nX-RateLimit-Limit: 600000000\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1800", body: "Too Many Requests", pools: "execution", wait: 1800 * time.Second},
	{profile: "odoo", status: 429, body: `{"name":"odoo.http.TooManyRequests","message":"","arguments":[],"context":{},"debug":""}`, pools: "concurrency rate"},
	{profile: "oracle-fusion", status: 429, headers: "Retry-After: 4", pools: "concurrency", wait: 4 * time.Second},
	{profile: "oracle-fusion", status: 503, pools: "concurrency"},
	{profile: "workday", status: 429, pools: "concurrency"},
	{profile: "workday", status: 503, pools: "concurrency"},
	{profile: "manhattan", status: 429, pools: "concurrency hourly"},
	{profile: "generic", status: 429, headers: "Retry-After: 7", pools: "concurrency", wait: 7 * time.Second},
	{profile: "generic", status: 503, pools: "concurrency"},
	{profile: "generic", status: 404, fate: "refused"},
}

// Each profile understands what its vendor's system says when it is saturated,
// and takes nothing else for it.
func TestRefusalsOfVendors(t *testing.T) {
	covered := map[string]bool{}
	for _, r := range refusals {
		covered[r.profile] = covered[r.profile] || r.pools != ""
		t.Run(r.profile, func(t *testing.T) { r.check(t) })
	}
	for _, name := range profiles.Names() {
		if !covered[name] {
			t.Errorf("no refusal of %s is known", name)
		}
	}
}

func (r refusal) check(t *testing.T) {
	method, path, ok := strings.Cut(r.call, " ")
	if !ok {
		method, path = "GET", "/orders"
	}
	if r.fate == "" {
		r.fate = "overload"
	}
	var got seen
	// A template, since the names of its parameters are the API's own affair.
	template := strings.Replace(path, "/orders/1", "/orders/{number}", 1)
	w := open(t, plan{system: "profile: " + r.profile + "\n" + withoutProbes(t, r.profile), paths: at(method, template, "call", "wait: 0s")}, got.answers(r.status, r.body, r.lines()...))
	body := ""
	if method == "POST" {
		body = `{"query":"{ shop { name } }"}`
	}
	answer := w.send(method, path, body, "Content-Type: application/json")
	if n := w.calls.get("erp call " + r.fate); n != 1 {
		t.Fatalf("%d %s: answered %d %s; the outcomes are %v, want %s", r.status, r.body, answer.StatusCode, answer.text, w.calls.count, r.fate)
	}
	var paused, shrunk []string
	for _, p := range w.set.Status(t.Context())[0].Budget.Pools {
		if p.Effective < p.Capacity {
			shrunk = append(shrunk, p.Name)
		}
		if p.PausedUntil.IsZero() {
			continue
		}
		paused = append(paused, p.Name)
		if left := time.Until(p.PausedUntil); left < r.wait/2 {
			t.Errorf("%s is paused for %s, want %s", p.Name, left, r.wait)
		}
	}
	if text := strings.Join(shrunk, " "); len(shrunk) > 1 || r.shrinks != "" && text != r.shrinks {
		t.Errorf("%d %s: shrinks %q, want %q", r.status, r.body, text, r.shrinks)
	}
	slices.Sort(paused)
	if text := strings.Join(slices.Compact(paused), " "); text != r.pools {
		t.Errorf("%d %s: pauses %q, want %q", r.status, r.body, text, r.pools)
	}
}

func (r refusal) lines() []string {
	var lines []string
	for line := range strings.Lines(r.headers) {
		line = strings.TrimSpace(line)
		if line == "Retry-After: date" {
			line = "Retry-After: " + time.Now().Add(r.wait).UTC().Format(http.TimeFormat)
		}
		lines = append(lines, line)
	}
	if strings.HasPrefix(r.body, "{") || strings.HasPrefix(r.body, "[") {
		lines = append(lines, "Content-Type: application/json")
	}
	return lines
}

// withoutProbes turns the probes of a profile off, so that none of them gets
// the answer that is meant for the call.
func withoutProbes(t *testing.T, profile string) string {
	var ps source.Problems
	p := profiles.Load(profile, &ps)
	if p == nil {
		t.Fatal(ps.Err())
	}
	text := ""
	for _, probe := range p.System.Get("probes").Items() {
		text += "  - {every: 0s, get: " + probe.Get("get").Text() + "}\n"
	}
	if text == "" {
		return ""
	}
	return "probes:\n" + text
}
