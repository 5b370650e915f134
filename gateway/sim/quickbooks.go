package sim

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// quickbooks builds QuickBooks Online: 500 calls a minute for a realm, 10 a
// second for a realm and app, batches 40 a minute for a realm and app and 120 for a
// realm, 800 a minute over all endpoints. Nothing says when to come back. Source:
// developer.intuit.com, limits and throttles; the answer, XML whatever was asked
// for, is reported in issues of its clients.
func quickbooks(s *Server, o Options) {
	requests, minute := o.requests(500, time.Minute)
	realm := func(v *visit) string { return v.r.PathValue("realm") }
	realmAndApp := func(v *visit) string { return realm(v) + " " + v.r.Header.Get("Authorization") }
	batches := func(v *visit) float64 { return count(strings.HasSuffix(v.r.URL.Path, "/batch")) }
	s.limits = []*limit{
		{name: "realm-minute", source: sliding(requests, minute), scope: realm, refuse: intuitThrottle},
		{name: "realm-app-second", source: sliding(10, o.span(time.Second)), scope: realmAndApp, refuse: intuitThrottle},
		{name: "batch-realm-app-minute", source: sliding(40, o.span(time.Minute)), scope: realmAndApp, cost: batches, refuse: intuitThrottle},
		{name: "batch-realm-minute", source: sliding(120, o.span(time.Minute)), scope: realm, cost: batches, refuse: intuitThrottle},
		{name: "all-minute", source: sliding(800, o.span(time.Minute)), refuse: intuitThrottle},
	}
	s.failure = func(status int, text string) answer {
		return answer{status: status, body: record{"Fault": record{"Error": []record{{"Message": text, "code": "2010"}}, "type": "ValidationFault"}}}
	}
	replies := &remembered{keep: o.span(24 * time.Hour)}
	s.fresh = replies.clear
	byRequestID := func(r *http.Request) string { return r.URL.Query().Get("requestid") }
	const root = "/v3/company/{realm}/"
	s.handle("GET "+root+"query", runIntuitQuery)
	s.handle("POST "+root+"invoice", replies.once(byRequestID, adding(http.StatusOK, as("Invoice"))))
	s.handle("POST "+root+"salesreceipt", replies.once(byRequestID, adding(http.StatusOK, as("SalesReceipt"))))
	s.handle("POST "+root+"batch", runIntuitBatch)
}

// runIntuitQuery knows the tables of items, customers and invoices.
func runIntuitQuery(s *Server, r *http.Request, _ map[string]any) answer {
	query := strings.ToLower(r.URL.Query().Get("query"))
	name, found := "Item", s.data.items
	switch {
	case strings.Contains(query, "from customer"):
		name, found = "Customer", s.data.customers
	case strings.Contains(query, "from invoice"):
		name, found = "Invoice", s.data.placed
	}
	found = append([]record{}, found[:min(100, len(found))]...)
	return answer{status: http.StatusOK, body: record{"QueryResponse": record{name: found, "startPosition": 1, "maxResults": len(found)}}}
}

func runIntuitBatch(s *Server, _ *http.Request, body map[string]any) answer {
	items, _ := body["BatchItemRequest"].([]any)
	if len(items) == 0 || len(items) > 30 {
		return s.failure(http.StatusBadRequest, "A batch holds 1 to 30 items.")
	}
	results := []record{}
	for _, item := range items {
		given, _ := item.(map[string]any)
		results = append(results, record{"bId": given["bId"]})
	}
	return answer{status: http.StatusOK, body: record{"BatchItemResponse": results}}
}

func intuitThrottle(_ *visit, f refusal) answer {
	return answer{
		status: http.StatusTooManyRequests, header: http.Header{"Content-Type": {"application/xml"}},
		body: fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?><IntuitResponse time="%s" xmlns="http://schema.intuit.com/finance/v3">`+
			`<Fault type="SERVICE"><Error code="3001"><Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>`+
			`<Detail>The request limit was reached.  Try again later</Detail></Error></Fault></IntuitResponse>`, f.now.UTC().Format(time.RFC3339)),
	}
}
