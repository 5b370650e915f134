package specs

import (
	"net/http"
	"strings"
	"testing"
)

const answersDoc = `{/x: {get: {responses: {
  "200": {description: ok, headers: {X-Total: {required: true, schema: {type: integer}}, X-Page: {$ref: "#/components/headers/Page"}, Content-Type: {required: true, schema: {type: integer}}},
    content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}, text/csv: {schema: {type: string}}}},
  "204": {description: nothing, content: {application/json: {schema: {type: object}}}},
  4XX: {$ref: "#/components/responses/Problem"}, default: {description: other, content: {application/json: {schema: {type: object, required: [error]}}}}}}},
/closed: {get: {responses: {"200": {description: ok}, "404": {description: no}}}}}`

const answersComponents = `{headers: {Page: {schema: {type: integer, minimum: 1}}},
responses: {Problem: {description: p, content: {application/problem+json: {schema: {type: object, required: [title]}}}}},
schemas: {Order: {type: object, required: [id, secret], properties: {id: {type: string, readOnly: true}, secret: {type: string, writeOnly: true}}}}}`

func TestResponses(t *testing.T) {
	const total = "X-Total"
	for _, version := range []string{"3.0.3", "3.1.0"} {
		d := checkDoc(t, version, answersDoc, answersComponents)
		for _, c := range []struct {
			operation   string
			status      int
			header      map[string]string
			body        string
			reads       bool
			want        string
			contentType string
		}{
			{"GET /x", 200, map[string]string{total: "1"}, `{"id": "1"}`, true, "", "application/json"},
			{"GET /x", 200, map[string]string{total: "x", "X-Page": "0"}, `{}`, true, "header X-Page: expected at least 1\nheader X-Total: expected an integer\nbody: the required property \"id\" is missing", "application/json; charset=utf-8"},
			{"GET /x", 200, nil, `{"id": "1"}`, true, "header X-Total: the header is missing; it is required", "application/json"},
			{"GET /x", 200, map[string]string{total: "1"}, `{"id": "1", "secret": "s"}`, true, "body/secret: the property is write-only: it must not be in a response", "application/json"},
			{"GET /x", 200, map[string]string{total: "1"}, ``, true, "body: not valid JSON: line 1, column 1 (byte 0): expected a JSON value, found nothing", "application/json"},
			{"GET /x", 200, map[string]string{total: "1"}, `a;b`, false, "", "text/csv"},
			{"GET /x", 200, map[string]string{total: "1"}, `<x/>`, false, "header Content-Type: this media type is not declared; expected application/json, text/csv", "text/xml"},
			{"GET /x", 200, map[string]string{total: "1"}, `{}`, false, "header Content-Type: the header is missing; expected application/json, text/csv", ""},
			{"GET /x", 204, nil, ``, false, "", ""},
			{"GET /x", 404, nil, `{}`, true, `body: the required property "title" is missing`, "application/problem+json"},
			{"GET /x", 500, nil, `{}`, true, `body: the required property "error" is missing`, "application/json"},
			{"GET /closed", 200, nil, `anything`, false, "", "text/plain"},
			{"GET /closed", 201, nil, ``, false, "status: the status 201 is not declared; expected one of 200, 404", ""},
		} {
			o := d.Operation(c.operation)
			h := http.Header{}
			for name, value := range c.header {
				h.Set(name, value)
			}
			if c.contentType != "" {
				h.Set("Content-Type", c.contentType)
			}
			if got := o.ReadsResponse(c.status, c.contentType); got != c.reads {
				t.Errorf("%s %d %s: reads %v", c.operation, c.status, c.contentType, got)
			}
			if got := violationsText(o.CheckResponse(c.status, h, []byte(c.body))); got != c.want {
				t.Errorf("%s %d %s\n got %s\nwant %s", c.operation, c.status, c.body, got, c.want)
			}
		}
		if got := d.Operation("GET /x").CheckResponse(200, http.Header{"X-Total": {"1"}, "Content-Type": {"application/json"}}, nil); got != nil {
			t.Errorf("an answer without a body to look at: %v", got)
		}
	}
}

func TestResponseProblems(t *testing.T) {
	for responses, want := range map[string]string{
		`{"2000": {description: x}}`:                                        "2000",
		`{"200": {description: x, content: {nonsense: {}}}}`:                `content.nonsense: is not a media type; write for example application/json or image/*`,
		`{"200": {description: x, headers: {A: {schema: {pattern: "["}}}}}`: `"[" is not a regular expression`,
	} {
		_, ps := tryCheckDoc("3.1.0", `{/x: {get: {responses: `+responses+`}}}`, "{}")
		if err := ps.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", responses, err)
		}
	}
}
