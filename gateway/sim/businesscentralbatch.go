package sim

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// maxOperations is how many requests a $batch takes. Source:
// MicrosoftDocs/dynamics365smb-devitpro-pb, operational-limits-online.md.
const maxOperations = 100

// odataBatch does the requests of a JSON $batch one after the other. It stops at
// the first that fails, unless the caller prefers odata.continue-on-error; with
// Isolation: snapshot it does all or none. Source: use-odata-batch.md, and the
// OData JSON format, section 19.
func odataBatch(work func(s *Server, r *http.Request, body map[string]any) answer) handler {
	return func(s *Server, r *http.Request, body map[string]any) answer {
		requests, _ := body["requests"].([]any)
		if len(requests) == 0 || len(requests) > maxOperations {
			return odataError(http.StatusBadRequest, "BadRequest", fmt.Sprintf("A batch has from 1 to %d requests.", maxOperations))
		}
		goesOn := strings.Contains(strings.Join(r.Header["Prefer"], ","), "odata.continue-on-error")
		whole := r.Header.Get("Isolation") == "snapshot"
		before, next := s.snapshot(), s.data.next
		responses, done := []record{}, 0
		for _, item := range requests {
			request, _ := item.(map[string]any)
			a := part(s, r, request, work)
			id, _ := request["id"].(string)
			headers := record{"Content-Type": "application/json"}
			for name := range a.header {
				headers[name] = a.header.Get(name)
			}
			responses = append(responses, record{"id": id, "status": a.status, "headers": headers, "body": a.body})
			if a.status < 300 {
				done++
				continue
			}
			if whole {
				s.data.placed, s.data.next, done = before, next, 0
				responses = responses[len(responses)-1:]
				break
			}
			if !goesOn {
				break
			}
		}
		s.report.Effects += max(0, done-1) // one is counted with the call
		return answer{status: http.StatusOK, body: record{"responses": responses}, idle: done == 0}
	}
}

// snapshot copies what callers have left.
func (s *Server) snapshot() []record {
	list := slices.Clone(s.data.placed)
	for i := range list {
		list[i] = copyOf(list[i])
	}
	return list
}

// part does one request of a batch.
func part(s *Server, r *http.Request, request map[string]any, work func(*Server, *http.Request, map[string]any) answer) answer {
	method, _ := request["method"].(string)
	url, _ := request["url"].(string)
	body, _ := request["body"].(map[string]any)
	single := r.Clone(r.Context())
	single.Method, single.Header = strings.ToUpper(method), http.Header{}
	headers, _ := request["headers"].(map[string]any)
	for name, value := range headers {
		single.Header.Set(name, fmt.Sprint(value))
	}
	entity, _, _ := strings.Cut(path.Base(url), "?")
	single.SetPathValue("entity", entity)
	return work(s, single, body)
}
