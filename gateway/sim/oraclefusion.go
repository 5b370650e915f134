package sim

import (
	"net/http"
	"strconv"
)

// oracleFusion builds Oracle Fusion Cloud ERP, which publishes no number. That
// it answers 503 when it is busy and 429 when calls come too fast is an assumption.
func oracleFusion(s *Server, o Options) {
	s.limits = hiddenLimits(o, 16, unavailable, tooFast)
	const root = "/fscmRestApi/resources/11.13.18.05/"
	wrap := func(found []record) any {
		return record{"items": found, "count": len(found), "hasMore": false, "limit": 500, "offset": 0}
	}
	s.failure = func(status int, text string) answer {
		return answer{status: status, body: record{"title": http.StatusText(status), "status": strconv.Itoa(status), "detail": text}}
	}
	s.handle("GET "+root+"itemsV2", listing(itemsOf, wrap))
	s.handle("GET "+root+"invoices", listing(invoicesOf, wrap))
	s.handle("GET "+root+"salesOrdersForOrderHub", listing(placedOf, wrap))
	s.handle("POST "+root+"salesOrdersForOrderHub", adding(http.StatusCreated, as("")))
}
