package sim

import (
	"net/http"
	"time"
)

// generic builds a system whose limits are all given: calls at once (10), and
// calls within a sliding window (none, unless Requests are given; 1 s).
func generic(s *Server, o Options) {
	refuse := func(_ *visit, f refusal) answer {
		a := plain(http.StatusTooManyRequests, "too many requests")
		a.header = f.retryAfter()
		return a
	}
	s.limits = []*limit{{name: "concurrency", source: atOnce(orElse(o.Concurrency, 10)), refuse: refuse}}
	if o.Requests > 0 {
		n, window := o.requests(o.Requests, time.Second)
		s.limits = append(s.limits, &limit{name: "requests", source: sliding(n, window), refuse: refuse})
	}
	s.handle("GET /items", listPlain(&s.data.items, "itemId"))
	s.handle("GET /orders", listPlain(&s.data.placed, "reference"))
	s.handle("POST /orders", adding(http.StatusCreated, as("")))
}
