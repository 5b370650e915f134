package sim

import (
	"fmt"
	"net/http"
	"time"
)

// salesforce builds an org of the Enterprise edition: 25 calls of 20 seconds and
// more at once, 100 000 calls in rolling 24 hours. Source: Salesforce, API
// Request Limits and Allocations; the text of the errors is reported by users.
func salesforce(s *Server, o Options) {
	old := o.span(20 * time.Second)
	if o.Age > 0 {
		old = o.span(o.Age)
	}
	perDay, window := o.requests(100_000, 24*time.Hour)
	refuse := func(message string) func(*visit, refusal) answer {
		return func(*visit, refusal) answer {
			return salesforceError(http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", message)
		}
	}
	daily := &limit{name: "daily", source: sliding(perDay, window), refuse: refuse("TotalRequests Limit exceeded.")}
	s.limits = []*limit{daily, {
		name: "long-running", source: aged(orElse(o.Concurrency, 25), old),
		refuse: refuse("ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
	}}
	s.failure = func(status int, text string) answer { return salesforceError(status, "INVALID_REQUEST", text) }
	s.finish = func(v *visit, a *answer) {
		a.header.Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%.0f/%.0f", daily.of("", v.at).used(time.Now()), perDay))
	}
	s.handle("GET /services/data/{version}/limits", func(*Server, *http.Request, map[string]any) answer {
		left := perDay - daily.of("", time.Now()).used(time.Now())
		return answer{status: http.StatusOK, body: record{"DailyApiRequests": record{"Max": perDay, "Remaining": max(0, left)}}}
	})
	s.handle("GET /services/data/{version}/query", listing(accountsOf, func(found []record) any {
		return record{"totalSize": len(found), "done": true, "records": found}
	}))
	s.handle("POST /services/data/{version}/sobjects/{type}", func(s *Server, _ *http.Request, body map[string]any) answer {
		if len(body) == 0 {
			return s.failure(http.StatusBadRequest, "The body is empty.")
		}
		return answer{status: http.StatusCreated, body: record{"id": s.data.keep(body)["id"], "success": true, "errors": []any{}}}
	})
	s.handle("PATCH /services/data/{version}/sobjects/{type}/{field}/{value}", upsertObject)
	s.handle("POST /services/data/{version}/composite/sobjects", collect(createRecord))
	s.handle("PATCH /services/data/{version}/composite/sobjects/{type}/{field}", collect(upsertRecord))
}

func accountsOf(d *data) []record { return d.accounts }

func salesforceError(status int, code, message string) answer {
	return answer{status: status, body: []record{{"message": message, "errorCode": code}}}
}

// upsertObject makes or changes a record by its external id, so that sending
// it twice has one effect: 201, then 200.
func upsertObject(s *Server, r *http.Request, body map[string]any) answer {
	field, value := r.PathValue("field"), r.PathValue("value")
	if rec := find(s.data.placed, field, value); rec != nil {
		change(rec, body)
		return answer{status: http.StatusOK, body: record{"id": rec["id"], "success": true, "created": false, "errors": []any{}}}
	}
	body[field] = value
	return answer{status: http.StatusCreated, body: record{"id": s.data.keep(body)["id"], "success": true, "created": true, "errors": []any{}}}
}
