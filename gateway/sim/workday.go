package sim

import (
	"net/http"
)

// workday builds Workday, whose numbers are for its customers only. That it
// answers 503 when it is busy and 429 when calls come too fast is an assumption.
func workday(s *Server, o Options) {
	s.limits = hiddenLimits(o, 10, unavailable, tooFast)
	const root = "/ccx/api/v1/{tenant}/"
	wrap := func(found []record) any { return record{"data": found, "total": len(found)} }
	s.handle("GET "+root+"customers", listing(customersOf, wrap))
	s.handle("GET "+root+"supplierInvoices", listing(invoicesOf, wrap))
	s.handle("GET "+root+"salesOrders", listing(placedOf, wrap))
	s.handle("POST "+root+"salesOrders", adding(http.StatusCreated, as("")))
}
