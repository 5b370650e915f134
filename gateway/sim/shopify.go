package sim

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
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

// shopifyGraphQL builds the GraphQL Admin API: per app and store a bucket of
// points that is refilled at 100 a second. A call is charged what it asks for,
// and gets back what it did not need. Source: shopify.dev, GraphQL Admin API
// rate limits; the bucket of 20 s of points is unverified.
func shopifyGraphQL(s *Server, o Options) {
	size, rate := float64(orElse(o.Requests, 2000)), o.rate(100)
	points := &limit{name: "points", source: bucket(size, rate), scope: byStore}
	points.cost = func(v *visit) float64 {
		if v.points > maxQueryCost {
			return 0 // the gate refuses it, and it costs nothing
		}
		return v.points
	}
	points.actual = func(v *visit) float64 { return min(v.actual, v.points) }
	status := func(v *visit) record {
		return record{"maximumAvailable": size, "currentlyAvailable": float64(int(points.left(v, time.Now()))), "restoreRate": rate}
	}
	points.refuse = func(v *visit, _ refusal) answer {
		return answer{status: http.StatusOK, idle: true, body: record{
			"errors": []record{{"message": "Throttled", "extensions": record{"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"}}},
			"extensions": record{"cost": record{
				"requestedQueryCost": v.points, "actualQueryCost": nil, "throttleStatus": status(v),
			}},
		}}
	}
	s.limits = []*limit{points}
	s.weighs, s.points = true, 10
	s.failure = func(code int, text string) answer {
		return answer{status: code, body: record{"errors": []record{{"message": text}}}}
	}
	s.gate = func(v *visit) *answer {
		if v.points <= maxQueryCost {
			return nil
		}
		a := answer{status: http.StatusOK, idle: true, body: record{"errors": []record{{
			"message":    fmt.Sprintf("Query cost is %.0f, which exceeds the single query max cost limit (%d).", v.points, maxQueryCost),
			"extensions": record{"code": "MAX_COST_EXCEEDED", "cost": v.points, "maxCost": maxQueryCost},
		}}}}
		return &a
	}
	s.finish = func(v *visit, a *answer) {
		if body, ok := a.body.(record); ok && v.admitted {
			body["extensions"] = record{"cost": record{"requestedQueryCost": v.points, "actualQueryCost": min(v.actual, v.points), "throttleStatus": status(v)}}
		}
	}
	s.handle("POST /admin/api/{version}/graphql.json", runQuery)
}

// maxQueryCost is the most that a single query may ask for.
const maxQueryCost = 1000

var queried = regexp.MustCompile(`\b(products|customers|orders|inventoryLevels)\b`)

// runQuery knows mutations, which leave their variables behind, and the connections of its records.
func runQuery(s *Server, _ *http.Request, body map[string]any) answer {
	query, _ := body["query"].(string)
	if strings.HasPrefix(strings.TrimSpace(query), "mutation") {
		variables, _ := body["variables"].(map[string]any)
		return answer{status: http.StatusOK, body: record{"data": record{"orderCreate": record{"order": s.data.keep(variables), "userErrors": []any{}}}}}
	}
	name := queried.FindString(query)
	records := map[string][]record{"products": s.data.items, "customers": s.data.customers, "orders": s.data.placed, "inventoryLevels": s.data.stock}[name]
	if name == "" {
		return answer{status: http.StatusOK, idle: true, body: record{"errors": []record{{"message": "The query names no connection that is known."}}}}
	}
	return answer{status: http.StatusOK, idle: true, body: record{"data": record{name: record{"nodes": append([]record{}, records[:min(10, len(records))]...)}}}}
}
