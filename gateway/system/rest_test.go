package system

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestPassThrough(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("GET", "/orders/{id}", "getOrder", "") + at("POST", "/orders", "createOrder", "") + at("PUT", "/orders/{id}/files/{name}", "putFile", ""), app: "shop"},
		got.answers(200, `{"id":1}`, "Content-Type: application/json", "Etag: \"x\"", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Set-Cookie: s=1",
			"Access-Control-Allow-Origin: *", "Alt-Svc: h3", "X-Own: 1", "X-Own: 2"))
	r := w.send("GET", "/orders/1?a=1&b=%20x&a=2", "", "Accept: application/json", "Accept-Encoding: br", "X-Correlation-Id: c-1", "X-Request-Id: r-1",
		"Authorization: Bearer secret", "Cookie: s=1", "Connection: X-Mine, close", "X-Mine: 1", "Te: trailers", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Port: 1",
		"Forwarded: for=6.6.6.6", "X-Real-Ip: 6.6.6.6", "Proxy-Authorization: x", "X-Other: 1", "X-Other: 2", "If-None-Match: \"x\"", "Prefer: wait=5, odata.maxpagesize=10", "Idempotency-Key: k")
	w.want(r, 200, `{"id":1}`)
	sent, _ := got.last()
	if sent.URL.RequestURI() != "/orders/1?a=1&b=%20x&a=2" {
		t.Errorf("called %s", sent.URL.RequestURI())
	}
	for name, want := range map[string]string{
		"Accept": "[application/json]", "Accept-Encoding": "[br]", "X-Correlation-Id": "[c-1]", "X-Request-Id": "[r-1]", "X-Other": "[1 2]",
		"If-None-Match": `["x"]`, "X-Forwarded-For": "[127.0.0.1]", "X-Forwarded-Proto": "[http]", "Prefer": "[odata.maxpagesize=10]", "User-Agent": "[test]",
		"X-Forwarded-Host": "[" + strings.TrimSuffix(strings.TrimPrefix(w.url, "http://"), "/orders/v1") + "]",
		"Authorization":    "[]", "Cookie": "[]", "X-Mine": "[]", "Te": "[]", "Connection": "[]", "Forwarded": "[]", "X-Real-Ip": "[]", "X-Forwarded-Port": "[]",
		"Proxy-Authorization": "[]", "Idempotency-Key": "[]",
	} {
		if values := fmt.Sprint(sent.Header[name]); values != want {
			t.Errorf("the system got %s: %s, want %s", name, values, want)
		}
	}
	for name, want := range map[string]string{
		"Content-Type": "[application/json]", "Etag": `["x"]`, "X-Own": "[1 2]", "X-Hop": "[]", "Keep-Alive": "[]", "Set-Cookie": "[]",
		"Access-Control-Allow-Origin": "[]", "Alt-Svc": "[]", "X-Request-Id": "[r-1]", "Content-Length": "[8]",
	} {
		if values := fmt.Sprint(r.Header[name]); values != want {
			t.Errorf("the caller got %s: %s, want %s", name, values, want)
		}
	}
	if rec := w.record(0); rec.Attempts != 1 || rec.System <= 0 || rec.Decision != "answered" {
		t.Errorf("recorded %+v", rec)
	}
	if w.calls.get("erp getOrder delivered") != 1 {
		t.Errorf("observed %v", w.calls.count)
	}
}

// A caller without a User-Agent gets none from net/http; a HEAD stays one.
func TestPassThroughHead(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("GET", "/orders/{id}", "getOrder", "")}, got.answers(200, "12345", "X-A: b"))
	r := w.send("HEAD", "/orders/1", "", "User-Agent: ")
	if r.StatusCode != 200 || r.ContentLength != 5 || r.text != "" || r.Header.Get("X-A") != "b" {
		t.Errorf("%d %d %q %v", r.StatusCode, r.ContentLength, r.text, r.Header)
	}
	if sent, _ := got.last(); sent.Method != "HEAD" {
		t.Errorf("the system got a %s", sent.Method)
	}
	if n := w.transport().inFlight.Load(); n != 0 {
		t.Errorf("%d calls in flight", n)
	}
}

func (w *world) transport() *transport { return w.set.systems["erp"].transport }

// styled is a GET whose path parameter a has the schema, and the style behind it.
func styled(path, schema string) string {
	return "  " + path + ":\n    get:\n      parameters: [{name: a, in: path, required: true, schema: " + schema + "}]\n      responses: {default: {description: any}}\n"
}

func TestPathParameters(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("GET", "/orders/{id}/lines", "a", "") + at("GET", "/A_SalesOrder('{key}')", "b", "") +
		at("GET", "/mapped/{a}/{b}", "c", "call: {path: '/x(k=''{b}'')/{a}%20/ü'}") +
		at("GET", "/dots/x{a}", "d", "call: {path: '/files/{a}'}") +
		styled("/list/{a}", "{type: array, items: {type: string}}") + styled("/label/{a}", "{type: array}, style: label") +
		styled("/matrix/{a}", "{type: object}, style: matrix, explode: true") + styled("/key/{a}", "{type: string}, style: matrix")}, got.answers(200, "{}"))
	for path, want := range map[string]string{
		"/orders/1/lines":                  "/orders/1/lines",
		"/orders/a%2Fb/lines":              "/orders/a%2Fb/lines",
		"/orders/a%20b%3Fc%23d/lines":      "/orders/a%20b%3Fc%23d/lines",
		"/orders/%252F/lines":              "/orders/%252F/lines",
		"/orders/%C3%BC,;=:@&+$!*()/lines": "/orders/%C3%BC%2C%3B%3D%3A%40%26%2B%24%21%2A%28%29/lines",
		"/orders/a-b_c.d~e/lines":          "/orders/a-b_c.d~e/lines",
		"/A_SalesOrder('1')":               "/A_SalesOrder('1')",
		"/A_SalesOrder('O''Neil')":         "/A_SalesOrder('O%27%27Neil')",
		"/A_SalesOrder('O%27%27Neil')":     "/A_SalesOrder('O%27%27Neil')",
		"/A_SalesOrder('a%2Fb')":           "/A_SalesOrder('a%2Fb')",
		"/mapped/1/O'Neil":                 "/x(k='O%27%27Neil')/1%20/%C3%BC",
		"/dots/x...":                       "/files/...",
		"/list/1,2%2C3,%2F;":               "/list/1,2,3,%2F%3B",
		"/label/.1,2":                      "/label/.1,2",
		"/matrix/;x=1;y=%202%3F":           "/matrix/;x=1;y=%202%3F",
		"/key/;a=1":                        "/key/;a=1",
	} {
		w.want(w.send("GET", path, ""), 200, "")
		if sent, _ := got.last(); sent.RequestURI != want {
			t.Errorf("%s: called %s, want %s", path, sent.RequestURI, want)
		}
	}
	before := got.count()
	for _, path := range []string{"/dots/x..", "/dots/x.", "/dots/x%2E%2E", "/mapped/%2E%2E%2Fx/2", "/mapped/a%2F..%5Cx/2"} {
		w.want(w.send("GET", path, ""), 400, "dot segment")
	}
	if got.count() != before {
		t.Error("a request with dot segments was sent")
	}
}

func TestBasePath(t *testing.T) {
	var got seen
	for _, url := range []string{"/base%20x", "/base%20x/"} {
		w := open(t, plan{paths: at("GET", "/orders", "a", "")}, got.answers(200, "{}"))
		p := w.plan
		p.url = w.system.URL + url
		w.reload(p)
		w.want(w.send("GET", "/orders", ""), 200, "")
		if sent, _ := got.last(); sent.RequestURI != "/base%20x/orders" {
			t.Errorf("called %s", sent.RequestURI)
		}
	}
}

// A body arrives untouched, long or short. One of unknown length is sent with
// its length, because it was read whole before.
func TestUpload(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("POST", "/orders", "create", "")}, got.answers(201, "ok"))
	large := strings.Repeat("0123456789", 50_000)
	for _, body := range []string{"", "x", large} {
		w.want(w.send("POST", "/orders", body, "Content-Type: text/plain"), 201, "ok")
		if sent, text := got.last(); text != body || sent.ContentLength != int64(len(body)) {
			t.Errorf("the system got %d bytes (%d), want %d", len(text), sent.ContentLength, len(body))
		}
	}
	r, _ := http.NewRequest("POST", w.url+"/orders", io.MultiReader(strings.NewReader(large)))
	resp, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if sent, text := got.last(); text != large || sent.ContentLength != int64(len(large)) {
		t.Errorf("the system got %d bytes (%d)", len(text), sent.ContentLength)
	}
	before := got.count()
	r, _ = http.NewRequest("POST", w.url+"/orders", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20+1))))
	resp, err = client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("a body that is too large: %d", resp.StatusCode)
	}
	if _, text := got.last(); got.count() > before && len(text) > 1<<20 {
		t.Error("the system got a body that is too large")
	}
}

func TestRestMappings(t *testing.T) {
	var got seen
	system := got.answers(200, `{"internalId": 12345678901234567890, "total": 10.50, "memo": null}`, "Content-Type: application/json", "Etag: \"v1\"", "X-Inside: secret",
		"Location: /services/record/77")
	w := open(t, plan{
		paths: at("POST", "/orders/{id}", "create", `
call:
  method: PUT
  path: /services/{id}/record
  query: {expand: '["lines", "tax"]', company: $app, none: 'null', n: '$request.query.limit // 50'}
  headers: {X-Company: '$request.headers["x-company"]', X-None: 'null', X-Amount: .total}
  request: mappings/out.jq
  response: '{id: .internalId, total, status: $status, place: $headers.location, method: $request.method, was: $request.body.total}'
  status: 201
  location: '"/orders/v1/orders/" + ($headers.location | split("/") | last)'`),
		files: map[string]string{"mappings/out.jq": `if .lines == [] then error("at least one line is needed") else {items: (.lines | map(.)), sum: .total} end`},
		app:   "shop",
	}, system)
	r := w.send("POST", "/orders/a%2Fb?limit=7&x=1", `{"lines":[{"q":1.0}],"total":99999999999999999.990}`, "Content-Type: application/json", "X-Company: acme",
		"Accept-Encoding: gzip", "Range: bytes=0-1", "Content-Encoding: identity")
	w.want(r, 201, `{"id":12345678901234567890,"method":"POST","place":"/services/record/77","status":200,"total":10.50,"was":99999999999999999.990}`)
	for name, want := range map[string]string{"Location": "[/orders/v1/orders/77]", "Etag": `["v1"]`, "X-Inside": "[]", "Content-Type": "[application/json]"} {
		if values := fmt.Sprint(r.Header[name]); values != want {
			t.Errorf("the caller got %s: %s, want %s", name, values, want)
		}
	}
	sent, body := got.last()
	if sent.Method != "PUT" || sent.RequestURI != "/services/a%2Fb/record?company=shop&expand=lines&expand=tax&n=7" || body != `{"items":[{"q":1.0}],"sum":99999999999999999.990}` {
		t.Errorf("the system got %s %s %s", sent.Method, sent.RequestURI, body)
	}
	for name, want := range map[string]string{"Content-Type": "[application/json]", "X-Company": "[acme]", "X-None": "[]", "X-Amount": "[99999999999999999.990]", "Accept-Encoding": "[identity]", "Range": "[]", "Content-Encoding": "[]"} {
		if values := fmt.Sprint(sent.Header[name]); values != want {
			t.Errorf("the system got %s: %s, want %s", name, values, want)
		}
	}
	before := got.count()
	w.want(w.send("POST", "/orders/1", `{"lines":[],"total":1}`), 422, `"at least one line is needed"`)
	w.want(w.send("POST", "/orders/1", `{"lines":5`), 400, "not JSON")
	w.want(w.send("POST", "/orders/1", `[1]`), 422, "headers.X-Amount failed")
	w.want(w.send("POST", "/orders/1", `{"lines":"x","total":1} `), 422, "mappings/out.jq failed")
	w.want(w.send("POST", "/orders/1", `x`, "Content-Encoding: gzip"), 415, "compressed")
	w.want(w.send("POST", "/orders/1", `{"lines":[1],"total":"a\nb"}`), 400, "X-Amount")
	if got.count() != before {
		t.Error("a request that cannot be mapped was sent")
	}
}

func TestResponseMappingFails(t *testing.T) {
	var body string
	w := open(t, plan{paths: at("GET", "/a", "a", "call: {response: .x.y}") + at("POST", "/b", "b", "call: {response: 'if . == null then {none: true} else .x end', status: 202}") +
		at("GET", "/c", "c", "call: {response: '\"x\" * 200000', location: '\"/y\"'}"), system: "answer: 1KiB\nmapping: {output: 100KiB}"},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }))
	body = `{"x":5}`
	w.want(w.send("GET", "/a", ""), 502, "bad-gateway")
	w.want(w.send("POST", "/b", ""), 202, "5")
	w.want(w.send("GET", "/c", ""), 502, "failed")
	body = `<html>`
	w.want(w.send("GET", "/a", ""), 502, "cannot be mapped")
	body = ""
	w.want(w.send("POST", "/b", ""), 202, `{"none":true}`)
	body = `{"x":"` + strings.Repeat("y", 2000) + `"}`
	w.want(w.send("GET", "/a", ""), 502, "larger than 1KiB")
	if n := w.calls.get("erp a delivered"); n != 2 {
		t.Errorf("%d delivered", n)
	}
}

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		name, system, call string
		method             string
		status             int
		body               string
		headers            []string
		want               int
		part, outcome      string
	}{
		{name: "the system's own refusal", status: 404, body: `{"error":"no such order"}`, want: 404, part: "no such order", outcome: "refused"},
		{name: "with a mapping", call: "call: {response: .}", status: 404, body: `{"error":"secret"}`, want: 404, part: "system-refused", outcome: "refused"},
		{name: "a server error", status: 500, body: "stack trace", want: 502, part: "erp answered 500", outcome: "unavailable"},
		{name: "a server error of a write", method: "POST", status: 500, body: "stack trace", want: 502, part: "is not known", outcome: "doubtful"},
		{name: "passed on", system: "server_errors: pass", status: 500, body: "its own words", want: 500, part: "its own words", outcome: "unavailable"},
		{name: "not there", method: "POST", status: 503, headers: []string{"Retry-After: 30"}, want: 503, part: "system-unavailable", outcome: "unavailable"},
		{name: "not implemented", method: "POST", status: 501, want: 502, part: "answered 501", outcome: "refused"},
		{name: "a redirect", status: 302, headers: []string{"Location: http://inside/login"}, want: 502, part: "a redirect", outcome: "refused"},
		{name: "a redirect passed on", system: "redirects: pass", status: 302, headers: []string{"Location: https://files.example/x"}, want: 302, outcome: "delivered"},
		{name: "not modified", status: 304, want: 304, outcome: "delivered"},
		{name: "not modified, mapped", call: "call: {response: .}", status: 304, want: 304, outcome: "delivered"},
		{name: "no content", call: "call: {response: .}", status: 204, want: 204, outcome: "delivered"},
		{name: "unauthorised without credentials", status: 401, headers: []string{"Www-Authenticate: Basic"}, want: 502, part: "does not accept", outcome: "refused"},
		{name: "unauthorised with the caller's own", system: "pass_on: Authorization", status: 401, headers: []string{"Www-Authenticate: Basic"}, want: 401, outcome: "refused"},
		{name: "overload without a sign", method: "POST", status: 429, headers: []string{"Retry-After: 7"}, want: 503, part: "saturated", outcome: "overload"},
		{name: "overload", system: "overload: [{status: 429}]", method: "POST", status: 429, headers: []string{"Retry-After: 7"}, want: 503, part: "saturated", outcome: "overload"},
		{name: "overload of another sort", system: "overload: [{status: 429}]", status: 400, body: "x", want: 400, part: "x", outcome: "refused"},
		{name: "overload by JSON", system: `overload: [{status: 400, json: '."o:errorDetails"[]?."o:errorCode"', match: REQUEST_LIMIT}]`, status: 400,
			body: `{"o:errorDetails":[{"o:errorCode":"OTHER"},{"o:errorCode":"SSS_REQUEST_LIMIT_EXCEEDED"}]}`, want: 503, part: "saturated", outcome: "overload"},
		{name: "no overload by JSON", system: `overload: [{status: 400, json: '."o:errorDetails"[]?."o:errorCode"', match: REQUEST_LIMIT}]`, status: 400,
			body: `{"o:errorDetails":[{"o:errorCode":"OTHER"}]}`, want: 400, part: "OTHER", outcome: "refused"},
		{name: "overload by text", system: `overload: [{match: 'too (many|busy)'}]`, status: 500, body: "we are too busy", want: 503, part: "saturated", outcome: "overload"},
		{name: "overload by header", system: `overload: [{header: X-Limit, match: '^0$'}]`, status: 403, headers: []string{"X-Limit: 0"}, want: 503, part: "saturated", outcome: "overload"},
		{name: "another header", system: `overload: [{header: X-Limit, match: '^0$'}]`, status: 403, headers: []string{"X-Limit: 10"}, want: 403, outcome: "refused"},
		{name: "header alone", system: `overload: [{header: X-Limit}]`, status: 403, headers: []string{"X-Limit: 10"}, want: 503, outcome: "overload"},
		{name: "an error with 200", system: `errors: [{http: 200, json: .success == false, as: refused, status: 409, message: .message}]`, status: 200,
			body: `{"success":false,"message":"already shipped"}`, want: 409, part: "already shipped", outcome: "refused"},
		{name: "a success with 200", system: `errors: [{http: 200, json: .success == false, as: refused}]`, status: 200, body: `{"success":true}`, want: 200, part: "true", outcome: "delivered"},
		{name: "a conflict", system: `errors: [{http: 400, match: locked, as: conflict}]`, status: 400, body: `locked`, want: 409, part: "conflict", outcome: "refused"},
		{name: "maintenance", system: `errors: [{match: maintenance, as: unavailable, retry_after: 5m}]`, status: 500, body: `maintenance`, want: 503, part: "not available", outcome: "unavailable"},
		{name: "a fault", system: `errors: [{http: 400, match: boom, as: fault}]`, status: 400, body: `boom`, want: 502, part: "failed to do it", outcome: "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got seen
			if c.method == "" {
				c.method = "GET"
			}
			w := open(t, plan{system: c.system, paths: at(c.method, "/x", "x", c.call)}, got.answers(c.status, c.body, c.headers...))
			r := w.send(c.method, "/x", "")
			w.want(r, c.want, c.part)
			if n := w.calls.get("erp x " + c.outcome); n != 1 {
				t.Errorf("observed %v", w.calls.count)
			}
			if r.problem() != "" && strings.Contains(r.text, "stack") || strings.Contains(r.text, "secret") {
				t.Errorf("the system's words reached the caller: %s", r.text)
			}
			if hint := r.Header.Get("Retry-After"); (c.want == 503) != (hint != "") {
				t.Errorf("Retry-After: %q", hint)
			}
		})
	}
}

func TestRetryHints(t *testing.T) {
	var got seen
	w := open(t, plan{system: "overload: [{status: 429, hint: X-Wait, retry_after: 40s}]\n", paths: at("GET", "/x", "x", "wait: 0s")}, got.answers(429, ""))
	if s := w.send("GET", "/x", "").Header.Get("Retry-After"); s < "40" || s > "50" {
		t.Errorf("Retry-After: %s", s)
	}
	// The budget has believed it: nothing is sent before that.
	r := w.send("GET", "/x", "")
	w.want(r, 503, "saturated")
	if got.count() != 1 {
		t.Errorf("%d calls", got.count())
	}
}

func TestLocation(t *testing.T) {
	place := ""
	w := open(t, plan{paths: at("POST", "/orders", "a", "") + at("POST", "/mapped", "b", "call: {path: /orders}")},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", place)
			w.WriteHeader(201)
		}))
	p := w.plan
	p.url = w.system.URL + "/base/"
	w.reload(p)
	for _, c := range []struct{ path, place, want string }{
		{"/orders", "/base/orders/1?x=1", "/orders/v1/orders/1?x=1"},
		{"/orders", w.system.URL + "/base/orders/1", "/orders/v1/orders/1"},
		{"/orders", "/elsewhere/1", ""},
		{"/orders", "/baseless/1", ""},
		{"/orders", w.system.URL, ""},
		{"/orders", "https://files.example/1", "https://files.example/1"},
		{"/orders", "//files.example/1", "//files.example/1"},
		{"/orders", "relative", "relative"},
		{"/mapped", "/base/orders/1", ""},
		{"/mapped", "https://files.example/1", "https://files.example/1"},
	} {
		place = c.place
		if got := w.send("POST", c.path, "").Header.Get("Location"); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.place, c.path, got, c.want)
		}
	}
}

func TestForwarded(t *testing.T) {
	for setting, want := range map[string]string{
		"forwarded: replace": "[127.0.0.1] [http]", "forwarded: append": "[6.6.6.6, 7.7.7.7, 127.0.0.1] [http]", "forwarded: off": "[] []",
	} {
		var got seen
		w := open(t, plan{system: strings.ReplaceAll(setting, "off", "'off'"), paths: at("GET", "/x", "x", "")}, got.answers(200, ""))
		w.send("GET", "/x", "", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7", "X-Forwarded-Proto: https")
		sent, _ := got.last()
		if s := fmt.Sprint(sent.Header["X-Forwarded-For"], " ", sent.Header["X-Forwarded-Proto"]); s != want {
			t.Errorf("%s: %s, want %s", setting, s, want)
		}
	}
}

func TestPassOn(t *testing.T) {
	var got seen
	w := open(t, plan{system: "pass_on: [authorization, cookie, set-cookie]\ncorrelation_header: x-trace", paths: at("GET", "/x", "x", "")}, got.answers(200, "", "Set-Cookie: s=2"))
	r := w.send("GET", "/x", "", "Authorization: Basic eA==", "Cookie: s=1", "X-Correlation-Id: c")
	sent, _ := got.last()
	if sent.Header.Get("Authorization") != "Basic eA==" || sent.Header.Get("Cookie") != "s=1" || r.Header.Get("Set-Cookie") != "s=2" {
		t.Errorf("%v %v", sent.Header, r.Header)
	}
	if sent.Header.Get("X-Trace") != "c" || sent.Header.Get("X-Correlation-Id") != "" {
		t.Errorf("%v", sent.Header)
	}
}

// What proves to the gateway who the caller is goes no further.
func TestCallersCredentialsStay(t *testing.T) {
	var got seen
	w := open(t, plan{
		schemes: "{key: {type: apiKey, in: header, name: X-Shop-Key}, query: {type: apiKey, in: query, name: key}}",
		paths:   at("GET", "/x", "x", "") + at("POST", "/y", "y", "call: {request: $request, query: {q: '$request.query | tojson'}}"),
	}, got.answers(200, ""))
	w.send("GET", "/x?a=1&key=secret&b=2", "", "X-Shop-Key: secret")
	sent, _ := got.last()
	if sent.RequestURI != "/x?a=1&b=2" || sent.Header.Get("X-Shop-Key") != "" {
		t.Errorf("%s %v", sent.RequestURI, sent.Header)
	}
	w.send("POST", "/y?a=1&k%65y=secret", "{}", "X-Shop-Key: secret", "Authorization: secret", "Cookie: secret")
	sent, body := got.last()
	if strings.Contains(body+sent.RequestURI+fmt.Sprint(sent.Header), "secret") || !strings.Contains(body, `"a":"1"`) {
		t.Errorf("%s %s %v", sent.RequestURI, body, sent.Header)
	}
}

func TestIdempotencyHeader(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("POST", "/a", "a", "idempotency: {class: header, header: X-Once}") + at("POST", "/b", "b", "idempotency: {class: header, header: Idempotency-Key}") + at("POST", "/c", "c", "")}, got.answers(200, ""))
	for path, want := range map[string]string{"/a": "X-Once", "/b": "Idempotency-Key", "/c": ""} {
		w.send("POST", path, "", "Idempotency-Key: k-1")
		sent, _ := got.last()
		for _, name := range []string{"X-Once", "Idempotency-Key"} {
			if has := sent.Header.Get(name) == "k-1"; has != (name == want) {
				t.Errorf("%s: %s is %v", path, name, has)
			}
		}
	}
}
