package sim

import (
	"net/http"
	"strconv"
)

// spOperation is an operation of the Selling Partner API with its default usage plan.
type spOperation struct {
	name, method, path string
	rate, burst        float64 // calls a second; calls
}

// spOperations are a choice of the 303 operations whose descriptions state a
// rate. Source: amzn/selling-partner-api-models, models/*, as of 5 August 2026.
func spOperations() []spOperation {
	return []spOperation{
		{"getOrders", "GET", "/orders/v0/orders", 0.0167, 20},
		{"getOrder", "GET", "/orders/v0/orders/{orderId}", 0.5, 30},
		{"getOrderItems", "GET", "/orders/v0/orders/{orderId}/orderItems", 0.5, 30},
		{"searchOrders", "GET", "/orders/2026-01-01/orders", 0.0056, 20},
		{"confirmShipment", "POST", "/orders/v0/orders/{orderId}/shipmentConfirmation", 2, 10},
		{"createFeed", "POST", "/feeds/2021-06-30/feeds", 0.0083, 15},
		{"getFeed", "GET", "/feeds/2021-06-30/feeds/{feedId}", 2, 15},
		{"createFeedDocument", "POST", "/feeds/2021-06-30/documents", 0.5, 15},
		{"getListingsItem", "GET", "/listings/2021-08-01/items/{sellerId}/{sku}", 5, 10},
		{"putListingsItem", "PUT", "/listings/2021-08-01/items/{sellerId}/{sku}", 5, 10},
		{"patchListingsItem", "PATCH", "/listings/2021-08-01/items/{sellerId}/{sku}", 5, 5},
		{"getInventorySummaries", "GET", "/fba/inventory/v1/summaries", 2, 2},
		{"searchCatalogItems", "GET", "/catalog/2022-04-01/items", 2, 2},
		{"createReport", "POST", "/reports/2021-06-30/reports", 0.0167, 15},
		{"getReport", "GET", "/reports/2021-06-30/reports/{reportId}", 2, 15},
		{"listTransactions", "GET", "/finances/2024-06-19/transactions", 0.5, 10},
		{"purchaseShipment", "POST", "/shipping/v2/shipments", 80, 100},
	}
}

// amazon builds the Selling Partner API: a token bucket for each account and app
// and operation. The neutral surface counts as getListingsItem and
// putListingsItem, or as what ?operation= names. Source: developer-docs.amazon.com, usage plans.
func amazon(s *Server, o Options) {
	rates, plans := map[string]string{}, map[string]string{}
	s.prepare = func(v *visit) { v.plan = spPlan(v, plans) }
	for _, op := range spOperations() {
		rates[op.name] = strconv.FormatFloat(op.rate*o.Scale, 'g', 6, 64)
		s.limits = append(s.limits, &limit{
			name: op.name, source: bucket(op.burst, op.rate*o.Scale), scope: byHeader("X-Amz-Access-Token"), refuse: quotaExceeded,
			cost: func(v *visit) float64 { return count(v.plan == op.name) },
		})
		plans[op.method+" "+op.path] = op.name
		work := listing(placedOf, under("payload"))
		if op.method != http.MethodGet {
			work = adding(http.StatusOK, as("payload"))
		}
		s.handle(op.method+" "+op.path, work)
	}
	s.failure = func(status int, text string) answer { return spError(status, "InvalidInput", text) }
	s.finish = func(v *visit, a *answer) {
		if rate := rates[v.plan]; rate != "" {
			a.header.Set("X-Amzn-Ratelimit-Limit", rate)
		}
	}
}

// spPlan names the operation whose bucket counts a call.
func spPlan(v *visit, plans map[string]string) string {
	if v.r.URL.Path != anyPath {
		return plans[v.operation]
	}
	if name := v.r.URL.Query().Get("operation"); name != "" {
		return name
	}
	if v.r.Method == http.MethodGet {
		return "getListingsItem"
	}
	return "putListingsItem"
}

func quotaExceeded(*visit, refusal) answer {
	return spError(http.StatusTooManyRequests, "QuotaExceeded", "You exceeded your quota for the requested resource.")
}

func spError(status int, code, text string) answer {
	return answer{status: status, body: record{"errors": []record{{"code": code, "message": text, "details": ""}}}}
}
