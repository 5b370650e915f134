package validate

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/specs"
)

const contract = `openapi: %s
info: {title: Orders, version: 1.0.0}
x-headrace: {policies: {validate: %s}}
paths:
  /orders/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer}}
      - {name: page, in: query, schema: {type: integer, minimum: 1}}
    get:
      operationId: getOrder
      responses:
        '200': {$ref: '#/components/responses/Order'}
        '404': {description: none}
    head:
      operationId: headOrder
      responses: {'200': {description: fine}}
    put:
      operationId: putOrder
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Order'}
      responses:
        '200': {$ref: '#/components/responses/Order'}
        '204': {description: unchanged}
  /export:
    post:
      operationId: export
      requestBody: {content: {text/csv: {}}}
      responses:
        '200':
          description: lines
          content: {text/csv: {}}
components:
  schemas:
    Order:
      type: object
      required: [number]
      properties: {number: {type: string, maxLength: 5}, total: {type: number}}
  responses:
    Order:
      description: an order
      content:
        application/json:
          schema: {$ref: '#/components/schemas/Order'}
        Application/XML; charset=utf-8: {}
`

func site(settings string, answer gateway.Handler) gatewaytest.Site {
	if answer == nil {
		answer = reply(200, "application/json", `{"number":"A1"}`)
	}
	return gatewaytest.Site{Document: fmt.Sprintf(contract, "3.0.3", settings), Kinds: []gateway.Kind{Kind()}, Answer: answer}
}

func reply(status int, contentType, body string) gateway.Handler {
	return func(*gateway.Exchange) (*gateway.Response, error) {
		h := http.Header{}
		if contentType != "" {
			h["Content-Type"] = []string{contentType}
		}
		return &gateway.Response{Status: status, Header: h, Bytes: []byte(body)}, nil
	}
}

const good = `{"number":"A1"}`

func TestRequests(t *testing.T) {
	cases := []struct {
		name, method, path, contentType, body, accept string
		problem                                       gateway.Problem // none: 200
		says                                          []string
	}{
		{name: "a good read", method: "GET", path: "/orders/1?page=2&other=x"},
		{name: "a good write", method: "PUT", path: "/orders/1", contentType: "application/json", body: good},
		{name: "a parameter of the path", method: "GET", path: "/orders/x", problem: gateway.InvalidRequest, says: []string{`"in":"path"`, `"name":"id"`}},
		{name: "two parameters", method: "GET", path: "/orders/x?page=0", problem: gateway.InvalidRequest, says: []string{`"name":"id"`, `"name":"page"`}},
		{name: "no body", method: "PUT", path: "/orders/1", problem: gateway.InvalidRequest},
		{name: "another type", method: "PUT", path: "/orders/1", contentType: "text/plain", body: good, problem: gateway.UnsupportedMedia},
		{name: "no JSON", method: "PUT", path: "/orders/1", contentType: "application/json", body: `{"number":`, problem: gateway.InvalidRequest},
		{name: "a wrong body", method: "PUT", path: "/orders/1", contentType: "application/json", body: `{"number":"much too long","total":"x"}`,
			problem: gateway.InvalidBody, says: []string{`"pointer":"/number"`, `"pointer":"/total"`}},
		{name: "accept one", method: "GET", path: "/orders/1", accept: "text/html, application/json;q=0.1"},
		{name: "accept the other", method: "GET", path: "/orders/1", accept: "application/xml"},
		{name: "accept neither", method: "GET", path: "/orders/1", accept: "text/html", problem: gateway.NotAcceptable, says: []string{"application/json, application/xml"}},
		{name: "accept where nothing may come", method: "PUT", path: "/orders/1", contentType: "application/json", body: good, accept: "text/html"},
	}
	for _, version := range []string{"3.0.3", "3.1.0"} {
		at := site("{}", nil)
		at.Document = fmt.Sprintf(contract, version, "{}")
		s := gatewaytest.Serve(t, at)
		for _, c := range cases {
			t.Run(version+" "+c.name, func(t *testing.T) {
				var headers []string
				if c.contentType != "" {
					headers = append(headers, "Content-Type: "+c.contentType)
				}
				if c.accept != "" {
					headers = append(headers, "Accept: "+c.accept)
				}
				r := s.Send(c.method, c.path, c.body, "", headers...)
				if c.problem.Name == "" {
					if r.StatusCode != 200 {
						t.Fatalf("answered %d %s", r.StatusCode, r.Text)
					}
					return
				}
				if r.StatusCode != c.problem.Status || !strings.Contains(r.Text, gateway.TypeBase+c.problem.Name+`"`) {
					t.Errorf("answered %d %s, want %s", r.StatusCode, r.Text, c.problem.Name)
				}
				for _, says := range c.says {
					if !strings.Contains(r.Text, says) {
						t.Errorf("%s does not say %s", r.Text, says)
					}
				}
			})
		}
	}
}

// TestBodyArrivesWhole: what was read for the check is still there for the system.
func TestBodyArrivesWhole(t *testing.T) {
	large := `{"number":"A1","note":"` + strings.Repeat("x", 300_000) + `"}`
	var got string
	s := gatewaytest.Serve(t, site("{}", func(x *gateway.Exchange) (*gateway.Response, error) {
		body, length, err := x.Stream()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(body)
		if got = string(data); int64(len(got)) != length {
			t.Errorf("%d bytes, said to be %d", len(got), length)
		}
		return &gateway.Response{Status: 204}, err
	}))
	if r := s.Send("PUT", "/orders/1", large, "", "Content-Type: application/json"); r.StatusCode != 204 || got != large {
		t.Errorf("answered %d %s; %d of %d bytes arrived", r.StatusCode, r.Text, len(got), len(large))
	}
	s.Refused(s.Send("PUT", "/orders/1", strings.Repeat("x", 2<<20), "", "Content-Type: application/json"), gateway.BodyTooLarge)
}

// TestUnreadBodyStreams: an operation without a described body is not read.
func TestUnreadBodyStreams(t *testing.T) {
	table, problems := site("{}", func(x *gateway.Exchange) (*gateway.Response, error) {
		if _, length, err := x.Stream(); length != -1 || err != nil {
			t.Errorf("the body was read: length %d, %v", length, err)
		}
		return &gateway.Response{Status: 200, Header: http.Header{"Content-Type": {"text/csv"}}}, nil
	}).Table()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, op := range table.Operations {
		if op.Spec.ID == "export" {
			r, _ := http.NewRequest("POST", op.Route, io.MultiReader(strings.NewReader("x")))
			r.ContentLength = -1
			r.Header.Set("Content-Type", "text/csv")
			if _, err := op.Handler(&gateway.Exchange{Request: r, Operation: op, BodyLimit: 100}); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("no such operation")
}

func TestQuery(t *testing.T) {
	s := gatewaytest.Serve(t, site("{query: strict}", nil))
	r := s.Do("GET", "/orders/1?pgae=2", "")
	s.Refused(r, gateway.InvalidRequest)
	if !strings.Contains(r.Text, `"name":"pgae"`) {
		t.Errorf("%s", r.Text)
	}
}

func TestDefault(t *testing.T) {
	at := site("{}", nil)
	at.Document = strings.Replace(at.Document, "x-headrace: {policies: {validate: {}}}\n", "", 1)
	s := gatewaytest.Serve(t, at)
	s.Refused(s.Do("GET", "/orders/x", ""), gateway.InvalidRequest)
	for _, settings := range []string{"off", `"off"`, "{request: off}"} {
		s := gatewaytest.Serve(t, site(settings, nil))
		if r := s.Do("GET", "/orders/x", ""); r.StatusCode != 200 {
			t.Errorf("validate: %s, answered %d %s", settings, r.StatusCode, r.Text)
		}
	}
}

func TestReportRequests(t *testing.T) {
	s := gatewaytest.Serve(t, site("{request: report}", nil))
	for i, c := range []struct {
		r    gatewaytest.Reply
		says string
	}{
		{s.Do("GET", "/orders/x", ""), "path id"},
		{s.Do("GET", "/orders/1", "", "Accept: text/html"), "available as application/json"},
		{s.Send("PUT", "/orders/1", `{"number":7}`, "", "Content-Type: application/json"), "body/number"},
		{s.Send("PUT", "/orders/1", `7`, "", "Content-Type: text/plain"), "this media type is not accepted"},
	} {
		if c.r.StatusCode != 200 {
			t.Errorf("answered %d %s", c.r.StatusCode, c.r.Text)
		}
		record := s.Record(i)
		if record.Decision != "answered" || !strings.Contains(fmt.Sprint(record.RequestViolations), c.says) {
			t.Errorf("recorded %s %v, want %q", record.Decision, record.RequestViolations, c.says)
		}
	}
}

func TestResponses(t *testing.T) {
	long := `{"number":"A1","note":"` + strings.Repeat("x", 3000) + `"}`
	compressed := func(*gateway.Exchange) (*gateway.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
		return &gateway.Response{Status: 200, Header: h, Bytes: []byte("\x1f\x8b")}, nil
	}
	streamed := func(body string) gateway.Handler {
		return func(*gateway.Exchange) (*gateway.Response, error) {
			h := http.Header{"Content-Type": {"application/json"}}
			return &gateway.Response{Status: 200, Header: h, Body: io.NopCloser(strings.NewReader(body)), Length: -1}, nil
		}
	}
	for _, c := range []struct {
		name   string
		answer gateway.Handler
		says   string // empty: nothing is wrong
	}{
		{"good", reply(200, "application/json", good), ""},
		{"good stream", streamed(good), ""},
		{"declared without content", reply(404, "text/plain", "nothing"), ""},
		{"of a type that is not described", reply(200, "application/xml", "<order/>"), ""},
		{"a missing field", reply(200, "application/json", `{"total":1}`), "number"},
		{"a wrong field", reply(200, "application/json", `{"number":"secret!"}`), "body/number"},
		{"a wrong stream", streamed(`{"number":"secret!"}`), "body/number"},
		{"broken JSON", reply(200, "application/json", `{"number"`), "body"},
		{"nothing", func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}}, nil
		}, "body"},
		{"empty", reply(200, "application/json", ""), "body"},
		{"another type", reply(200, "text/html", "<p>secret!"), "Content-Type"},
		{"an undeclared status", reply(500, "text/plain", "secret!"), "status"},
		{"too long", streamed(long), "longer than 2KiB"},
		{"too long in memory", reply(200, "application/json", long), "longer than 2KiB"},
		{"compressed", compressed, "compressed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain := gatewaytest.Serve(t, site("{}", c.answer)).Do("GET", "/orders/1", "")

			s := gatewaytest.Serve(t, site("{response: report, max_response: 2KiB}", c.answer))
			r := s.Do("GET", "/orders/1", "")
			if r.StatusCode != plain.StatusCode || r.Text != plain.Text {
				t.Errorf("reported, but the answer was changed: %d %s", r.StatusCode, r.Text)
			}
			if got := fmt.Sprint(s.Record(0).Violations); (c.says == "") != (got == "[]") || !strings.Contains(got, c.says) {
				t.Errorf("recorded %s, want %q", got, c.says)
			}

			s = gatewaytest.Serve(t, site("{response: enforce, max_response: 2KiB}", c.answer))
			r = s.Do("GET", "/orders/1", "")
			if c.says == "" {
				if r.StatusCode != plain.StatusCode || r.Text != plain.Text {
					t.Errorf("good, but answered %d %s", r.StatusCode, r.Text)
				}
				return
			}
			s.Refused(r, gateway.InvalidResponse)
			if got := fmt.Sprint(s.Record(0).Violations); !strings.Contains(got, c.says) {
				t.Errorf("enforced, and recorded %s, want %q", got, c.says)
			}
			if strings.Contains(r.Text, "secret!") || strings.Contains(r.Text, "xxx") {
				t.Errorf("the faulty answer is shown: %s", r.Text)
			}
		})
	}
}

// TestResponsesThatBreakOff are never passed on as whole.
func TestResponsesThatBreakOff(t *testing.T) {
	s := gatewaytest.Serve(t, site("{response: report}", func(*gateway.Exchange) (*gateway.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}}
		return &gateway.Response{Status: 200, Header: h, Body: io.NopCloser(strings.NewReader(`{"num`)), Length: 100}, nil
	}))
	s.Refused(s.Do("GET", "/orders/1", ""), gateway.BadGateway)
}

// TestNotCompressed: the system is asked for answers that can be checked.
func TestNotCompressed(t *testing.T) {
	seen := map[string]string{}
	answer := func(x *gateway.Exchange) (*gateway.Response, error) {
		seen[x.Operation.Spec.ID] = x.Request.Header.Get("Accept-Encoding")
		return reply(200, "application/json", good)(x)
	}
	gatewaytest.Serve(t, site("{response: report}", answer)).Do("GET", "/orders/1", "", "Accept-Encoding: gzip")
	if seen["getOrder"] != "" {
		t.Errorf("the system was told %q", seen["getOrder"])
	}
	gatewaytest.Serve(t, site("{}", answer)).Do("GET", "/orders/1", "", "Accept-Encoding: gzip")
	if seen["getOrder"] != "gzip" {
		t.Errorf("the system was told %q where nothing is checked", seen["getOrder"])
	}
}

// TestHead: an answer to HEAD announces a body that does not come, whether the
// document knows HEAD or the operation of GET answers it.
func TestHead(t *testing.T) {
	at := site("{response: enforce}", func(*gateway.Exchange) (*gateway.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}}
		return &gateway.Response{Status: 200, Header: h, Body: http.NoBody, Length: 500}, nil
	})
	table, problems := at.Table()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, op := range table.Operations {
		if !strings.HasSuffix(op.Spec.ID, "Order") || op.Spec.Method == "PUT" {
			continue
		}
		r, _ := http.NewRequest("HEAD", "/orders/v1/orders/1", nil)
		x := &gateway.Exchange{Request: r, Operation: op, Params: specs.Params{{Name: "id", Value: "1"}}}
		if resp, err := op.Handler(x); err != nil || resp.Status != 200 {
			t.Errorf("%s: %+v, %v", op.Spec.ID, resp, err)
		}
	}
}

func TestAccept(t *testing.T) {
	both := offers{"application/json", "application/xml"}
	for _, c := range []struct {
		offers offers
		accept []string
		met    bool
	}{
		{nil, []string{"text/html"}, true},
		{both, nil, true},
		{both, []string{""}, true},
		{both, []string{"*/*"}, true},
		{both, []string{"*"}, true},
		{both, []string{"application/*"}, true},
		{both, []string{"APPLICATION/Json; charset=utf-8"}, true},
		{both, []string{"text/html", "application/xml;q=0.3"}, true},
		{both, []string{"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}, true},
		{both, []string{"text/html"}, false},
		{both, []string{"app/*"}, false},
		{both, []string{"application/json;q=0, application/xml; Q=0.000"}, false},
		{both, []string{"*/*, application/json;q=0"}, true}, // XML is left
		{offers{"application/json"}, []string{"*/*, application/json;q=0"}, false},
		{offers{"application/json"}, []string{"application/*;q=0, application/json"}, true},
		{offers{"application/json"}, []string{"application/json;q=x"}, true},
	} {
		if got := c.offers.meet(c.accept); got != c.met {
			t.Errorf("%q met by %q: %v", c.accept, c.offers, got)
		}
	}
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"application/json", "text/html;q=0,*/*;q=0.1", ";;,=,q=", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		o := offers{"application/json"}
		if !o.meet([]string{accept, "application/json"}) && !strings.Contains(strings.ToLower(accept), "application/json") {
			t.Errorf("%q beside application/json refuses it", accept)
		}
		if !o.meet([]string{"application/json", accept}) && !strings.Contains(strings.ToLower(accept), "application/json") {
			t.Errorf("%q beside application/json refuses it", accept)
		}
	})
}

func TestProblems(t *testing.T) {
	for settings, want := range map[string]string{
		"{request: warn}":           `"warn" is not known here`,
		"{response: yes}":           "is not known here",
		"{query: strict, quer: x}":  `did you mean "query"?`,
		"{max_response: very long}": "write a size",
	} {
		_, problems := site(settings, nil).Table()
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) || problems[0].Line != 3 {
			t.Errorf("%s: %v, want one problem in line 3 with %q", settings, problems, want)
		}
	}
}
