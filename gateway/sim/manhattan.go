package sim

import (
	"net/http"
	"time"
)

// manhattan builds Manhattan Active Warehouse: an hourly number of calls by the
// clock, in which the tenant's own pages count, too (Foreign). Source:
// developer.manh.com, API limits, which begins with 500 calls; the rest of its
// table, and what a call too many gets, could not be read.
func manhattan(s *Server, o Options) {
	requests, hour := o.requests(500, time.Hour)
	s.limits = []*limit{{name: "hour", source: fixed(requests, hour, nil), refuse: func(*visit, refusal) answer {
		return manhattanError(http.StatusTooManyRequests, "The API limit of the tenant is exceeded.")
	}}}
	s.failure = manhattanError
	wrap := func(found []record) any { return record{"success": true, "data": found} }
	s.handle("GET /item-master/api/item-master/item", listing(itemsOf, wrap))
	s.handle("GET /inventory-management/api/inventory-management/inventory", listing(stockOf, wrap))
	s.handle("GET /dcorder/api/dcorder/originalOrder", listing(placedOf, wrap))
	s.handle("POST /dcorder/api/dcorder/originalOrder/save", adding(http.StatusOK, as("data")))
}

func manhattanError(status int, text string) answer {
	return answer{status: status, body: record{"success": false, "statusCode": status, "messages": record{"Message": []record{{"Description": text}}}}}
}
