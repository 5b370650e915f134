package specs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

const orderDoc = `{
/orders: {post: {parameters: [{name: dry, in: query, schema: {type: boolean}}],
  requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}, responses: {"201": {description: ok}}}},
/free: {post: {requestBody: {content: {application/json: {}}}, responses: {"200": {description: ok}}}},
/many: {post: {requestBody: {content: {
    application/merge-patch+json: {schema: {type: object, minProperties: 1}},
    text/plain: {schema: {type: integer}}, text/csv: {schema: {type: string}}, image/*: {}, "application/*+xml": {}}}, responses: {"200": {description: ok}}}},
/any: {post: {requestBody: {content: {"*/*": {schema: {type: object}}}}, responses: {"200": {description: ok}}}},
/none: {get: {responses: {"200": {description: ok}}}},
/ref: {put: {requestBody: {$ref: "#/components/requestBodies/Order"}, responses: {"200": {description: ok}}}},
/form: {post: {requestBody: {content: {
    application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Form"}, encoding: {list: {explode: false}, deep: {style: deepObject}}},
    multipart/form-data: {schema: {$ref: "#/components/schemas/Form"}}}}, responses: {"200": {description: ok}}}}
}`

const orderComponents = `{schemas: {
  Order: {type: object, required: [id, lines], additionalProperties: false, properties: {
    id: {type: string}, state: {type: string, readOnly: true}, lines: {type: array, minItems: 1, items: {type: object, required: [quantity], properties: {quantity: {type: integer}}}}}},
  Form: {type: object, required: [name], properties: {name: {type: string, minLength: 2}, age: {type: integer}, tags: {type: array, items: {type: string, maxLength: 3}}, list: {type: array, items: {type: integer}},
    deep: {type: object, properties: {x: {type: integer}}}, meta: {type: object, properties: {a: {type: integer}}}, file: {type: string, format: binary}}}},
requestBodies: {Order: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}}}`

// send checks a request as it comes out of a server: with a Content-Length.
func send(d *Document, id, contentType, body string) string {
	o := d.Operation(id)
	method, target, _ := strings.Cut(id, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(method, target, nil)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	read := []byte(nil)
	if o.ReadsBody() {
		read = []byte(body)
	}
	return faultText(o.CheckRequest(r, nil, read, CheckOptions{}))
}

func TestBodies(t *testing.T) {
	const missingType = "415 header Content-Type: the header is missing; expected "
	const wrongType = "415 header Content-Type: this media type is not accepted; expected "
	const many = "application/merge-patch+json, text/csv, text/plain, application/*+xml, image/*"
	for _, version := range []string{"3.0.3", "3.1.0"} {
		d := checkDoc(t, version, orderDoc, orderComponents)
		for _, c := range []struct{ operation, contentType, body, want string }{
			{"POST /orders", "application/json", `{"id": "1", "lines": [{"quantity": 1}]}`, ""},
			{"POST /orders", "Application/JSON ; charset=utf-8", `{"id": "1", "lines": [{"quantity": 1}]}`, ""},
			{"POST /orders", "application/vnd.shop+json", `{"id": "1", "lines": [{"quantity": 1}]}`, ""},
			{"POST /orders", "application/json", `{"id": 1, "lines": [{"quantity": "2"}], "x": 1}`, "422 body/id: expected a string, found a number\nbody/lines/0/quantity: expected an integer, found a string\nbody/x: there is no such property; expected one of \"id\", \"lines\""},
			{"POST /orders", "application/json", `{"id": "1", "lines": [{"quantity": 1}], "state": "new"}`, "422 body/state: the property is read-only: leave it out of the request"},
			{"POST /orders", "application/json", `{"id": "1", "id": "2"}`, "422 body/id: the property appears twice in its object"},
			{"POST /orders", "application/json", "{\n\"id\": }", "400 body: not valid JSON: line 2, column 7 (byte 8): expected a value"},
			{"POST /orders", "application/json", "", "400 body: the body is missing; it is required"},
			{"POST /orders", "text/xml", "<a/>", wrongType + "application/json"},
			{"POST /orders", "", "{}", missingType + "application/json"},
			{"POST /orders", "nonsense", "{}", wrongType + "application/json"},
			{"POST /orders?dry=x", "application/json", `{}`, "400 query dry: expected a boolean\nbody: the required property \"id\" is missing\nbody: the required property \"lines\" is missing"},
			{"POST /orders?dry=x", "text/xml", `{}`, "400 query dry: expected a boolean\nheader Content-Type: this media type is not accepted; expected application/json"},
			{"PUT /ref", "application/json", `{"id": "1", "lines": []}`, "422 body/lines: expected at least 1 item, found 0"},
			{"POST /free", "application/json", `{"a": [1]}`, ""},
			{"POST /free", "application/json", `{"a": [1}`, "400 body: not valid JSON: line 1, column 9 (byte 8): expected , or ] in an array"},
			{"POST /free", "", ``, ""},
			{"POST /many", "application/merge-patch+json", `{}`, "422 body: expected at least 1 property, found 0"},
			{"POST /many", "text/plain", `12`, ""},
			{"POST /many", "text/plain; charset=utf-8", `twelve`, "422 body: expected an integer"},
			{"POST /many", "text/csv", `a,b`, ""},
			{"POST /many", "image/png", "\x89PNG", ""},
			{"POST /many", "application/vnd.x+xml", "?", ""},
			{"POST /many", "application/json", "{}", wrongType + many},
			{"POST /any", "application/json", `[]`, "422 body: expected an object, found an array"},
			{"POST /any", "application/pdf", `%PDF`, ""},
			{"GET /none", "", "", ""},
			{"GET /none", "text/plain", "x", "400 body: the operation takes no body"},
		} {
			id, query, _ := strings.Cut(c.operation, "?")
			got := ""
			if query == "" {
				got = send(d, id, c.contentType, c.body)
			} else {
				r := httptest.NewRequest("POST", "/orders?"+query, strings.NewReader(c.body))
				r.Header.Set("Content-Type", c.contentType)
				got = faultText(d.Operation(id).CheckRequest(r, nil, []byte(c.body), CheckOptions{}))
			}
			if got != c.want {
				t.Errorf("%s %s %s\n got %s\nwant %s", c.operation, c.contentType, c.body, got, c.want)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	d := checkDoc(t, "3.0.3", `{/a: {parameters: [{name: x-company, in: header, schema: {type: string}}], get: {parameters: [{name: accept, in: header, schema: {type: string}},
		{name: X-Branch, in: header, schema: {type: string}}, {name: page, in: query, schema: {type: integer}}], responses: {"200": {description: ok}}}},
		/b: {get: {parameters: [{name: one, in: cookie, schema: {type: string}}, {name: two, in: cookie, schema: {type: string}}], responses: {"200": {description: ok}}}},
		/c: {get: {responses: {"200": {description: ok}}}}}`, "{}")
	for id, want := range map[string][]string{"GET /a": {"X-Company", "X-Branch"}, "GET /b": {"Cookie"}, "GET /c": nil} {
		if got := d.Operation(id).Headers(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

// A compressed body is refused where it would be looked at, and only there.
func TestCompressedBodies(t *testing.T) {
	d := checkDoc(t, "3.1.0", orderDoc, orderComponents)
	for _, c := range []struct{ id, coding, contentType, want string }{
		{"POST /orders", "gzip", "application/json", "415 header Content-Encoding: the body cannot be checked when it is compressed; send it as it is"},
		{"POST /orders", "Identity", "application/json", "400 body: not valid JSON: line 1, column 2 (byte 1): the text is not valid UTF-8"},
		{"POST /many", "gzip", "image/png", ""},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("\x1f\x8b"))
		r.Header.Set("Content-Type", c.contentType)
		r.Header.Set("Content-Encoding", c.coding)
		if got := faultText(d.Operation(c.id).CheckRequest(r, nil, []byte("\x1f\x8b"), CheckOptions{})); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.id, c.coding, got, c.want)
		}
	}
}

func TestReadsBody(t *testing.T) {
	d := checkDoc(t, "3.0.3", `{/a: {post: {requestBody: {content: {application/json: {}}}, responses: {"200": {description: ok}}}},
		/b: {post: {requestBody: {content: {application/octet-stream: {schema: {type: string, format: binary}}, text/plain: {}, "image/*": {}}}, responses: {"200": {description: ok}}}},
		/c: {get: {responses: {"200": {description: ok}}}}}`, "{}")
	for id, want := range map[string]bool{"POST /a": true, "POST /b": false, "GET /c": false} {
		if got := d.Operation(id).ReadsBody(); got != want {
			t.Errorf("%s: %v", id, got)
		}
	}
}

// A body whose length is not announced counts as one.
func TestChunkedBodyOfAnOperationThatTakesNone(t *testing.T) {
	d := checkDoc(t, "3.0.3", orderDoc, orderComponents)
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = faultText(d.Operation("GET /none").CheckRequest(r, nil, nil, CheckOptions{}))
	}))
	defer server.Close()
	for want, body := range map[string]io.Reader{"": nil, "400 body: the operation takes no body": struct{ io.Reader }{strings.NewReader("x")}} {
		r, err := http.NewRequest("GET", server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestForms(t *testing.T) {
	d := checkDoc(t, "3.0.3", orderDoc, orderComponents)
	for body, want := range map[string]string{
		"name=abc&age=5&tags=a&tags=b&list=1,2&deep[x]=3": "",
		"name=abc&tags=a&meta=%7B%22a%22%3A1%7D&other=z":  "",
		"name=a+b&file=x":                       "",
		"age=x":                                 "422 body: the required property \"name\" is missing\nbody/age: expected an integer, found a string",
		"name=abc&tags=long":                    "422 body/tags/0: expected at most 3 characters, found 4",
		"name=abc&list=1,x":                     "422 body/list/1: expected an integer, found a string",
		"name=abc&list=1&list=2":                "422 body/list: expected a single value, found 2",
		"name=abc&deep[x]=y":                    "422 body/deep/x: expected an integer, found a string",
		"name=abc&deep=y":                       "422 body/deep: expected the members as deep[name]=value",
		"name=abc&meta=%7B%22a%22%3A%22x%22%7D": "422 body/meta/a: expected an integer, found a string",
		"name=abc&meta=no":                      "422 body/meta: expected an object, found a string",
		"name=%zz":                              "422 body/name: the percent-encoding is malformed",
		"%zz=1":                                 "400 body: the percent-encoding is malformed",
		"name=%FF%FF":                           "400 body: the text is not valid UTF-8",
		"name=a&name=b":                         "422 body/name: expected a string, found an array",
		"name=abc" + strings.Repeat("&x", 1):    "",
		"name=abc&" + strings.Join(manyNames(maxFields+1, "&"), ""): "422 body: the form has too many fields",
	} {
		if got := sortedLines(send(d, "POST /form", "application/x-www-form-urlencoded", body)); got != sortedLines(want) {
			t.Errorf("%.80s\n got %s\nwant %s", body, got, want)
		}
	}
}

func manyNames(n int, separator string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "n" + strings.Repeat("a", i/26) + string(rune('a'+i%26)) + "=1" + separator
	}
	return list
}

func sortedLines(s string) string {
	lines := strings.Split(s, "\n")
	if len(lines) > 1 {
		status, first, _ := strings.Cut(lines[0], " ")
		lines[0] = first
		for i := range lines {
			for j := i; j > 0 && lines[j] < lines[j-1]; j-- {
				lines[j], lines[j-1] = lines[j-1], lines[j]
			}
		}
		return status + " " + strings.Join(lines, "\n")
	}
	return s
}

func TestMultipart(t *testing.T) {
	d := checkDoc(t, "3.0.3", orderDoc, orderComponents)
	part := func(disposition, contentType, text string) string {
		head := "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n"
		if contentType != "" {
			head += "Content-Type: " + contentType + "\r\n"
		}
		return head + "\r\n" + text + "\r\n"
	}
	name := part(`name="name"`, "", "abc")
	for _, c := range []struct{ contentType, body, want string }{
		{"multipart/form-data; boundary=b", name + part(`name="age"`, "", "5") + part(`name="tags"`, "", "a") + part(`name="tags"`, "", "b") + "--b--\r\n", ""},
		{"multipart/form-data; boundary=b", name + part(`name="file"; filename="x.bin"`, "application/octet-stream", "\xff\x00") + "--b--\r\n", ""},
		{"multipart/form-data; boundary=b", name + part(`name="meta"`, "application/json", `{"a": "x"}`) + "--b--\r\n", "422 body/meta/a: expected an integer, found a string"},
		{"multipart/form-data; boundary=b", name + part(`name="meta"`, "", `{"a": "x"}`) + "--b--\r\n", "422 body/meta/a: expected an integer, found a string"},
		{"multipart/form-data; boundary=b", part(`name="age"`, "text/plain", "x") + "--b--\r\n", "422 body: the required property \"name\" is missing\nbody/age: expected an integer, found a string"},
		{"multipart/form-data; boundary=b", name, "400 body: not valid multipart content"},
		{"multipart/form-data; boundary=b", part(`filename="x"`, "", "x") + "--b--\r\n", "422 body: the form has too many fields, or one without a name"},
		{"multipart/form-data", name + "--b--\r\n", "415 header Content-Type: the boundary is missing"},
	} {
		if got := sortedLines(send(d, "POST /form", c.contentType, c.body)); got != sortedLines(c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.body, got, c.want)
		}
	}
}
