package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func plain(status int, text string) answer {
	return answer{status: status, body: record{"error": text}}
}

// listPlain answers {"items": […], "total": n}, filtered by equal values.
func listPlain(records *[]record, filters ...string) handler {
	return func(_ *Server, r *http.Request, _ map[string]any) answer {
		q := r.URL.Query()
		limit, offset, ok := page(q, 500)
		if !ok {
			return plain(http.StatusBadRequest, "limit is 1 to 500, offset not negative")
		}
		matched := []record{}
		for _, rec := range *records {
			fits := true
			for _, name := range filters {
				fits = fits && (q.Get(name) == "" || fmt.Sprint(rec[name]) == q.Get(name))
			}
			if fits {
				matched = append(matched, rec)
			}
		}
		return answer{status: http.StatusOK, body: record{"items": slicePage(matched, offset, limit), "total": len(matched)}}
	}
}

// someAtOnce is the limit of the plain systems.
func someAtOnce(n int) []*limit {
	return []*limit{{name: "at-once", source: atOnce(n), refuse: func(*visit, refusal) answer {
		return answer{status: http.StatusTooManyRequests, header: http.Header{"Retry-After": {"1"}}, body: record{"error": "too many requests at once"}}
	}}}
}

// wms builds the warehouse management: 20 calls at once.
func wms(s *Server, o Options) {
	s.limits = someAtOnce(orElse(o.Concurrency, 20))
	s.handle("GET /stock", listPlain(&s.data.stock, "sku", "warehouse"))
	s.handle("POST /stock/{sku}/adjustments", adjustStock)
	s.handle("POST /stock/adjustments", adjustStocks)
}

// maxAdjustments is how many adjustments go in one call.
const maxAdjustments = 50

// adjustStocks carries out several adjustments, each by itself, and answers for
// each in their order.
func adjustStocks(s *Server, r *http.Request, body map[string]any) answer {
	list, _ := body["adjustments"].([]any)
	if len(list) == 0 || len(list) > maxAdjustments {
		return plain(http.StatusBadRequest, fmt.Sprintf("adjustments has from 1 to %d entries", maxAdjustments))
	}
	results, done := []record{}, 0
	for _, item := range list {
		one, _ := item.(map[string]any)
		sku, _ := one["sku"].(string)
		r.SetPathValue("sku", sku)
		a := adjustStock(s, r, one).rendered() // as it is now
		if a.status < 300 {
			done++
		}
		results = append(results, record{"status": a.status, "body": a.body})
	}
	s.report.Effects += max(0, done-1) // one is counted with the call
	return answer{status: http.StatusOK, body: record{"results": results}, idle: done == 0}
}

func adjustStock(s *Server, r *http.Request, body map[string]any) answer {
	quantity, err := strconv.Atoi(fmt.Sprint(body["quantity"]))
	if err != nil || quantity == 0 {
		return plain(http.StatusBadRequest, "quantity is a whole number other than 0")
	}
	for _, rec := range s.data.stock {
		if rec["sku"] != r.PathValue("sku") || rec["warehouse"] != body["warehouse"] {
			continue
		}
		onHand := rec["onHand"].(int) + quantity
		if onHand < rec["allocated"].(int) {
			return plain(http.StatusConflict, fmt.Sprintf("only %d of %s are free in %s", rec["available"], rec["sku"], rec["warehouse"]))
		}
		rec["onHand"], rec["available"] = onHand, onHand-rec["allocated"].(int)
		rec["updatedAt"] = time.Now().UTC().Format(time.RFC3339)
		return answer{status: http.StatusCreated, body: rec}
	}
	return plain(http.StatusNotFound, "no such stock")
}

// tms builds the transport management: 10 calls at once.
func tms(s *Server, o Options) {
	s.limits = someAtOnce(orElse(o.Concurrency, 10))
	s.handle("GET /shipments", listPlain(&s.data.shipments, "orderRef", "status"))
	s.handle("GET /shipments/{id}", func(s *Server, r *http.Request, _ map[string]any) answer {
		if rec := find(s.data.shipments, "id", r.PathValue("id")); rec != nil {
			return answer{status: http.StatusOK, body: rec}
		}
		return plain(http.StatusNotFound, "no such shipment")
	})
	s.handle("POST /shipments", planShipment)
	s.handle("POST /shipments/{id}/milestones", addMilestone)
}

func planShipment(s *Server, _ *http.Request, body map[string]any) answer {
	ref, _ := body["orderRef"].(string)
	if ref == "" {
		return plain(http.StatusBadRequest, "orderRef is missing")
	}
	if len(s.data.shipments) >= maxOrders {
		return plain(http.StatusInsufficientStorage, "the simulator holds no more shipments; reset it")
	}
	id := "SH-" + s.data.id()
	carrier, _ := body["carrier"].(string)
	if carrier == "" {
		carrier = carriers[len(s.data.shipments)%len(carriers)]
	}
	rec := record{
		"id": id, "orderRef": ref, "carrier": carrier, "status": "planned", "from": body["from"], "to": body["to"], "plannedOn": day(1),
		"trackingNumber": "TRK" + strings.TrimPrefix(id, "SH-"), "milestones": []any{record{"code": "PLANNED", "at": time.Now().UTC().Format(time.RFC3339)}},
	}
	s.data.shipments = append(s.data.shipments, rec)
	return answer{status: http.StatusCreated, body: rec}
}

// maxMilestones bounds what one shipment may gather.
const maxMilestones = 200

func addMilestone(s *Server, r *http.Request, body map[string]any) answer {
	rec := find(s.data.shipments, "id", r.PathValue("id"))
	if rec == nil {
		return plain(http.StatusNotFound, "no such shipment")
	}
	code, _ := body["code"].(string)
	if code == "" {
		return plain(http.StatusBadRequest, "code is missing")
	}
	milestones := rec["milestones"].([]any)
	if len(milestones) >= maxMilestones {
		return plain(http.StatusInsufficientStorage, "the shipment has too many milestones")
	}
	rec["milestones"] = append(milestones, record{"code": code, "at": body["at"]})
	if code == "DELIVERED" {
		rec["status"] = "delivered"
	}
	return answer{status: http.StatusCreated, body: rec}
}

func orElse(given, otherwise int) int {
	if given > 0 {
		return given
	}
	return otherwise
}
