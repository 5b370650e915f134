package sim

import (
	"fmt"
	"net/http"
	"regexp"
	"time"
)

// businessCentral builds Dynamics 365 Business Central online. Per user: 5
// processed at once and 95 in a queue (100 connections), 6000 calls in 5
// minutes, 503 after 8 minutes in the queue, 408 after 8 minutes of work.
// Source: MicrosoftDocs/dynamics365smb-devitpro-pb, operational-limits-online.md.
// The body of the 429 and its Retry-After are reported by users only.
func businessCentral(s *Server, o Options) {
	processed := orElse(o.Concurrency, 5)
	connections := processed + 95
	requests, window := o.requests(6000, 5*time.Minute)
	tooMany := func(actual, maximum float64) func(*visit, refusal) answer {
		return func(_ *visit, f refusal) answer {
			a := odataError(http.StatusTooManyRequests, "Application_TooManyRequests",
				fmt.Sprintf("Too many requests reached. Actual (%.0f). Maximum (%.0f).", actual, maximum))
			a.header = f.retryAfter()
			return a
		}
	}
	s.limits = []*limit{
		{name: "requests", source: sliding(requests, window), scope: byAuthorization, refuse: tooMany(requests+1, requests)},
		{name: "connections", source: atOnce(connections), scope: byAuthorization, refuse: tooMany(float64(connections+1), float64(connections))},
		{
			name: "processed", source: inLine(processed, 95, o.span(8*time.Minute), nil), scope: byAuthorization,
			refuse: tooMany(float64(connections+1), float64(connections)),
			late: func(*visit) answer {
				return odataError(http.StatusServiceUnavailable, "Application_ServiceUnavailable", "The request waited too long to be processed.")
			},
		},
	}
	s.longest = o.span(8 * time.Minute)
	s.timeout = func(*visit) answer {
		return odataError(http.StatusRequestTimeout, "Application_OperationTimeout", "The operation exceeded its time and was cancelled.")
	}
	s.failure = func(status int, text string) answer { return odataError(status, "BadRequest", text) }
	const root = "/v2.0/{tenant}/{environment}/api/v2.0/"
	const company = root + "{company}/"
	for set, records := range map[string]func(*data) []record{
		"customers": customersOf, "items": itemsOf, "salesOrders": placedOf, "salesInvoices": invoicesOf,
	} {
		s.handle("GET "+company+set, listing(records, under("value")))
	}
	s.handle("POST "+company+"salesOrders", createTagged)
	get := withTagged(func(rec record, _ *http.Request, _ map[string]any) answer {
		return answer{status: http.StatusOK, header: http.Header{"Etag": {rec[etagField].(string)}}, body: rec}
	})
	s.handle("GET "+company+"{entity}", get)
	s.handle("PATCH "+company+"{entity}", withTagged(changeTagged))
	s.handle("POST "+root+"$batch", odataBatch(func(s *Server, r *http.Request, body map[string]any) answer {
		switch entity := r.PathValue("entity"); {
		case r.Method == http.MethodPost && entity == "salesOrders":
			return createTagged(s, r, body)
		case r.Method == http.MethodPatch:
			return withTagged(changeTagged)(s, r, body)
		case r.Method == http.MethodGet:
			return get(s, r, body)
		}
		return s.failure(http.StatusNotFound, "The resource does not exist.")
	}))
}

// changeTagged changes a document that nobody else has changed.
func changeTagged(rec record, r *http.Request, body map[string]any) answer {
	switch r.Header.Get("If-Match") {
	case "":
		return odataError(http.StatusBadRequest, "BadRequest", "The If-Match header is missing.")
	case "*", rec[etagField]:
		change(rec, body)
		return answer{status: http.StatusOK, body: rec}
	}
	return odataError(http.StatusConflict, "Request_EntityChanged", "Another user has already changed the record.")
}

func placedOf(d *data) []record { return d.placed }

// etagField is where OData puts the version of a record.
const etagField = "@odata.etag"

// createTagged keeps a document with a version.
func createTagged(s *Server, _ *http.Request, body map[string]any) answer {
	if len(body) == 0 {
		return s.failure(http.StatusBadRequest, "The body is empty.")
	}
	rec := s.data.keep(body)
	change(rec, nil)
	return answer{status: http.StatusCreated, header: http.Header{"Etag": {rec[etagField].(string)}}, body: rec}
}

// change overwrites short fields that are there already or fit, and moves the version on.
func change(rec record, body map[string]any) {
	for name, v := range body {
		text, ok := v.(string)
		if _, there := rec[name]; ok && name != "id" && name != etagField && len(text) <= 200 && (there || len(rec) < 20) {
			rec[name] = text
		}
	}
	version, _ := rec["version"].(int)
	rec["version"] = version + 1
	rec[etagField] = fmt.Sprintf(`W/"%d"`, version+1)
}

var taggedKey = regexp.MustCompile(`^\w+\('?([\w-]+)'?\)$`)

// withTagged finds the document of a path such as salesOrders(5001) first.
func withTagged(work func(record, *http.Request, map[string]any) answer) handler {
	return func(s *Server, r *http.Request, body map[string]any) answer {
		if m := taggedKey.FindStringSubmatch(r.PathValue("entity")); m != nil {
			if rec := find(s.data.placed, "id", m[1]); rec != nil {
				if rec[etagField] == nil {
					change(rec, nil)
				}
				return work(rec, r, body)
			}
		}
		return s.failure(http.StatusNotFound, "The record does not exist.")
	}
}
