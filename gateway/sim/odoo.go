package sim

import (
	"net/http"
	"time"
)

// odoo builds Odoo Online with one worker: calls of a database are worked on one
// after another, and one call a second is taken. Sources: odoo.sh/faq (one worker
// of a staging build); the one call a second was told by Odoo's staff in a thread,
// and stands in no documentation. How many wait for the worker is an assumption.
func odoo(s *Server, o Options) {
	database := byHeader("X-Odoo-Database")
	refuse := func(*visit, refusal) answer { return odooError(http.StatusTooManyRequests, "Too Many Requests") }
	requests, window := o.requests(1, time.Second)
	s.limits = []*limit{
		{name: "rate", source: sliding(requests, window), scope: database, refuse: refuse},
		{
			name: "worker", source: inLine(orElse(o.Concurrency, 1), 20, o.span(2*time.Minute), nil), scope: database, refuse: refuse,
			late: func(*visit) answer { return odooError(http.StatusServiceUnavailable, "Service Unavailable") },
		},
	}
	s.failure = odooError
	for model, records := range map[string]func(*data) []record{
		"product.product": itemsOf, "res.partner": customersOf, "stock.quant": stockOf, "account.move": invoicesOf, "sale.order": placedOf,
	} {
		read := listing(records, func(found []record) any { return found })
		s.handle("POST /json/2/"+model+"/search_read", func(s *Server, r *http.Request, body map[string]any) answer {
			a := read(s, r, body)
			a.idle = true
			return a
		})
	}
	s.handle("POST /json/2/sale.order/create", adding(http.StatusOK, func(rec record) any { return []any{rec["id"]} }))
}

func odooError(status int, text string) answer {
	return answer{status: status, body: record{"name": "werkzeug.exceptions.HTTPException", "message": text, "arguments": []any{text, status}, "context": record{}, "debug": ""}}
}
