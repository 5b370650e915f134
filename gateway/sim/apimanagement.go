package sim

import (
	"fmt"
	"net/http"
	"time"
)

// apiManagement builds SAP API Management in front of a system: a spike arrest,
// which keeps calls apart on each server and keeps no count, and a quota from one
// tick to the next. Both are set by the owner of a proxy; 10 a second and 1000 in
// 5 minutes are examples. Source: SAP-docs/btp-integration-suite, spike-arrest and
// quota; the bodies are Apigee's.
func apiManagement(s *Server, o Options) {
	rate := o.rate(10)
	requests, window := o.requests(1000, 5*time.Minute)
	nodes, arrivals := max(1, o.Nodes), 0
	s.limits = []*limit{
		{name: "spike-arrest", source: spaced(seconds(1 / rate)), scope: byNode, cost: elements, refuse: func(*visit, refusal) answer {
			return apigeeFault("policies.ratelimit.SpikeArrestViolation", fmt.Sprintf("Spike arrest violation. Allowed rate : %gps", rate))
		}},
		{name: "quota", source: fixed(requests, window, nil), cost: elements, refuse: func(*visit, refusal) answer {
			return apigeeFault("policies.ratelimit.QuotaViolation", "Rate limit quota violation. Quota limit  exceeded. Identifier : _default")
		}},
	}
	s.weighs = true
	s.fresh = func() { arrivals = 0 }
	s.prepare = func(v *visit) {
		v.node = arrivals % nodes
		arrivals++
	}
	s.handle("GET /items", listing(itemsOf, under("items")))
	s.handle("GET /orders", listing(placedOf, under("orders")))
	s.handle("POST /orders", adding(http.StatusCreated, as("")))
}

func apigeeFault(code, text string) answer {
	return answer{status: http.StatusTooManyRequests, body: record{"fault": record{"faultstring": text, "detail": record{"errorcode": code}}}}
}
