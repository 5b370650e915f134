package sim

import (
	"net/http"
	"time"
)

// fno builds Dynamics 365 Finance & Operations: only the limit by resources is
// in force, for which no number is published; user limits are off since 10.0.35.
// Source: MicrosoftDocs/dynamics-365-unified-operations-public,
// service-protection-api-limits.md. 30 s is the wait of its sample code; it grows for who goes on sending.
func fno(s *Server, o Options) {
	pauses := &penalties{least: o.span(30 * time.Second), most: o.span(5 * time.Minute)}
	refuse := func(_ *visit, f refusal) answer {
		f.wait = pauses.next(f)
		a := odataError(http.StatusTooManyRequests, "", "This request could not be processed at this time due to system experiencing high resource utilization.")
		a.header = f.retryAfter()
		return a
	}
	s.limits = hiddenLimits(o, 12, refuse, refuse)
	s.fresh = func() { pauses.until = map[string]time.Time{} }
	s.failure = func(status int, text string) answer { return odataError(status, "", text) }
	for set, records := range map[string]func(*data) []record{
		"CustomersV3": customersOf, "ReleasedProductsV2": itemsOf, "SalesOrderHeadersV2": placedOf, "InventoryOnHandEntities": stockOf,
	} {
		s.handle("GET /data/"+set, listing(records, under("value")))
	}
	s.handle("POST /data/SalesOrderHeadersV2", createTagged)
}
