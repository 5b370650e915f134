package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// shopifyREST builds the Admin REST API: per app and store a leaky bucket of 40
// calls that runs out at 2 a second. Source: shopify.dev, Admin REST rate
// limits; bucket sizes are unverified for today's plans.
func shopifyREST(s *Server, o Options) {
	size, rate := float64(orElse(o.Requests, 40)), o.rate(2)
	calls := &limit{name: "calls", source: bucket(size, rate), scope: byStore, refuse: func(_ *visit, f refusal) answer {
		return answer{
			status: http.StatusTooManyRequests, header: http.Header{"Retry-After": {strconv.Itoa(f.seconds()) + ".0"}},
			body: record{"errors": fmt.Sprintf("Exceeded %g calls per second for api client. Reduce request rates to resume uninterrupted service.", rate)},
		}
	}}
	s.limits = []*limit{calls}
	s.failure = func(status int, text string) answer { return answer{status: status, body: record{"errors": text}} }
	s.finish = func(v *visit, a *answer) {
		a.header.Set("X-Shopify-Shop-Api-Call-Limit", fmt.Sprintf("%.0f/%.0f", calls.of(calls.key(v), v.at).used(time.Now()), size))
	}
	const root = "/admin/api/{version}/"
	for set, records := range map[string]func(*data) []record{
		"products": itemsOf, "customers": customersOf, "orders": placedOf, "inventory_levels": stockOf,
	} {
		s.handle("GET "+root+set+".json", listing(records, under(set)))
	}
	s.handle("POST "+root+"orders.json", adding(http.StatusCreated, as("order")))
	s.handle("POST "+root+"inventory_levels/adjust.json", adding(http.StatusOK, as("inventory_level")))
}

func byStore(v *visit) string { return v.r.Header.Get("X-Shopify-Access-Token") }
