package sim

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

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
