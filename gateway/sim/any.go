package sim

import (
	"net/http"
	"strconv"
)

// The same small surface in every kind, so that one workspace can drive all of
// them. It is limited and refused as every other call of the kind.
const anyPath = "/_any/items"

func (s *Server) serveAny() {
	s.handle("GET "+anyPath, func(s *Server, _ *http.Request, _ map[string]any) answer {
		found := []record{}
		for _, item := range s.data.items[:10] {
			found = append(found, record{"id": item["id"], "sku": item["itemId"], "name": item["displayName"]})
		}
		return answer{status: http.StatusOK, body: record{"items": found, "total": len(s.data.items)}}
	})
	s.handle("POST "+anyPath, func(s *Server, _ *http.Request, body map[string]any) answer {
		rec := s.data.keep(body)
		return answer{status: http.StatusCreated, header: http.Header{"Location": {anyPath + "/" + rec["id"].(string)}}, body: rec}
	})
}

// maxPlaced bounds what callers may leave behind; the oldest is forgotten.
const maxPlaced = 10_000

// keep stores a document of a caller, cut to its short fields.
func (d *data) keep(body map[string]any) record {
	rec := record{"id": d.id()}
	for name, v := range body {
		if text, ok := v.(string); ok && len(text) > 200 || len(rec) >= 20 || len(name) > 100 || name == "id" {
			continue
		}
		switch v.(type) {
		case []any, map[string]any:
		default:
			rec[name] = v
		}
	}
	if len(d.placed) >= maxPlaced {
		d.placed = d.placed[1:]
	}
	d.placed = append(d.placed, rec)
	return rec
}

// listing answers the first hundred records in a vendor's envelope.
func listing(records func(*data) []record, wrap func([]record) any) handler {
	return func(s *Server, r *http.Request, _ map[string]any) answer {
		found := records(s.data)
		n, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil || n <= 0 {
			n = 100
		}
		return answer{status: http.StatusOK, body: wrap(append([]record{}, found[:min(n, len(found))]...))}
	}
}

// adding keeps a caller's document, and answers with it in a vendor's envelope.
func adding(status int, wrap func(record) any) handler {
	return func(s *Server, _ *http.Request, body map[string]any) answer {
		if len(body) == 0 {
			return s.failure(http.StatusBadRequest, "the body is empty")
		}
		return answer{status: status, body: wrap(s.data.keep(body))}
	}
}

func itemsOf(d *data) []record     { return d.items }
func customersOf(d *data) []record { return d.customers }
func invoicesOf(d *data) []record  { return d.invoices }
func stockOf(d *data) []record     { return d.stock }

// under wraps records as one field of an object.
func under(name string) func([]record) any {
	return func(found []record) any { return record{name: found} }
}

// as wraps a record as one field of an object; "" leaves it as it is.
func as(name string) func(record) any {
	return func(rec record) any {
		if name == "" {
			return rec
		}
		return record{name: rec}
	}
}
