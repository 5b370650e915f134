package portal

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"golang.org/x/net/html"

	"github.com/headrace/headrace/specs"
)

// pond is a workspace with what documents can hold: two majors, references to
// common files, plans, a guide, and notes that are nobody's business.
func pond() map[string]string {
	return map[string]string{
		"systems/hidden-erp.yaml": "dialect: rest\nurl: https://secret-backend.internal/base\n",
		"common/problem.yaml":     "Problem: {type: object, x-note: internal-note, properties: {title: {type: string}}}\n",
		"consumers.yaml": `
organisations: {acme: {title: Acme}}
apps: {shop: {organisation: acme, title: Web shop}}
products: {desk: {title: Order desk, apis: [orders/v1, orders/v2]}}
plans:
  gold: {title: Gold, class: high, policies: {throttle: {rate: 100/s, burst: 200}, quota: {limit: 1000000, per: day}, concurrency: {limit: 50}}}
  free: {title: Free, class: low, policies: {throttle: {rate: 1/m}, quota: {limit: 10, window: 24h}}}
`,
		"apis/orders/1.0.0/lifecycle.yaml": "status: deprecated\ndeprecate: {since: 2026-01-01, sunset: 2999-06-30, successor: /orders/v2, link: \"https://example.com/move\"}\n",
		"apis/orders/1.0.0/openapi.yaml":   pondDocument("1.0.0"),
		"apis/orders/2.0.0/openapi.yaml":   pondDocument("2.0.0"),
		"apis/orders/2.0.0/guide.md":       "# First steps\n\nPlace an **order**.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
	}
}

func pondDocument(version string) string {
	return `openapi: 3.1.0
info: {title: Orders, version: ` + version + `, description: "Sales orders. They come from shops.", x-team-chat: internal-note}
servers: [{url: "https://secret-backend.internal/vendor"}]
x-internal: internal-note
x-headrace:
  system: hidden-erp
  domain: sales
  owner: order-team
  policies: {apikey: {}, subscription: {}, throttle: {rate: 50/s, burst: 100}}
security: [{key: []}]
paths:
  x-paths: internal-note
  /orders:
    servers: [{url: "https://secret-backend.internal/path"}]
    get:
      operationId: listOrders
      summary: List orders.
      x-headrace: {call: {path: /secret-records}, wait: 3s, policies: {cache: {ttl: 30s, stale: 5m}}}
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 20}}
        - {name: customer, in: query, required: true, description: Only *theirs*., schema: {type: string, pattern: "^C-[0-9]{4}$"}}
      responses: {"200": {description: The orders., content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Order"}}}}}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, pattern: "^[A-Z]{2}-[0-9]+$"}}]
    put:
      operationId: placeOrder
      summary: Place an order.
      x-headrace: {call: {path: "/secret-records/{id}"}, class: high, wait: 10s, lane: [$request.path.id, $request.body#/customer/id], coalesce: latest, on_failure: continue, idempotency: {key: required}}
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}
      responses:
        "201": {description: Done., content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}
        default: {description: A refusal., content: {application/problem+json: {schema: {$ref: "../../../common/problem.yaml#/Problem"}}}}
    delete:
      operationId: deleteOrder
      deprecated: true
      x-headrace: {call: {path: "/secret-records/{id}"}, idempotency: {key: "off"}}
      responses: {"204": {description: Gone.}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}}
  schemas:
    Order:
      type: object
      required: [id, customer]
      $comment: internal-note
      x-sap: internal-note
      properties:
        id: {type: string, readOnly: true}
        x-kept: {type: string, description: A property of that name.}
        customer: {type: object, properties: {id: {type: string, examples: [C-0001]}}}
        status: {type: string, enum: [open, done]}
        parent: {$ref: "#/components/schemas/Order"}
        how: {oneOf: [{title: By post, type: object, properties: {street: {type: string}}}, {title: By hand, type: object, properties: {shop: {type: string}}}]}
`
}

func TestPagesOfAPIs(t *testing.T) {
	s := newShelf(t, tableOf(t, pond()), func(o *Options) { o.Sandbox = "https://sandbox.example.com" })
	s.shows("/", "2 APIs", "6 operations", "sales", "Order desk")
	s.shows("/apis", "Orders", "deprecated", "3 operations", "system layer", "Sales orders.")
	s.shows("/apis?domain=sales&status=deprecated", "1 API")
	s.shows("/apis?domain=other", "No API is like that")
	s.shows("/apis/orders/v1", "30 June 2999", "/orders/v2", "https://example.com/move", "order-team", "Go to v2", "https://api.example.com/orders/v1",
		"100 calls a second, up to 200 at once", "1,000,000 calls a day", "50 calls at the same time", "10 calls in any 1 day", "An API key in the header X-Api-Key.")
	s.shows("/apis/orders/v2", "published", "/apis/orders/v2/guide", "Go to v1 (deprecated)")
	s.shows("/apis/orders/v2/guide", "<h2>First steps</h2>", "<strong>order</strong>", "<td>2</td>")
	s.shows("/apis/orders/v2/reference", "placeOrder", "List orders", "/orders/v2/orders/{id}")
	s.shows("/apis/orders/v2/reference/listOrders", "waits up to 3 seconds", "50 calls a second, up to 100 at once", "up to 30 seconds old", "Only <em>theirs</em>.", "at most 100", "20 when absent", "changes nothing")
	s.shows("/apis/orders/v2/reference/placeOrder", "High: goes before normal", "202 after 10 seconds", "Writes with the same id or customer.id", "A newer one takes the place", "does not stop the others",
		"It is required: without it", "A key stands for its request for 1 day.", "the same again", "Either By post", "Or By hand", "only in answers", "one of open, done", "Try it", "x-kept")
	s.shows("/apis/orders/v2/reference/deleteOrder", "deprecated", "takes no Idempotency-Key")
	s.shows("/products", "Order desk", "Gold", "Free")
	s.shows("/products/desk", "2 plans", "1 call a minute")
	for _, path := range []string{"/apis/orders/v3", "/apis/none/v1", "/apis/orders/v1/guide", "/apis/orders/v1/reference/none", "/products/none", "/try/orders/v1/none", "/nothing"} {
		if resp, body := s.open(path); resp.StatusCode != 404 || !strings.Contains(body, "There is nothing at this address.") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// What is published says nothing of how it is done here, in no form.
func TestPublishedDocumentsLeakNothing(t *testing.T) {
	s := newShelf(t, tableOf(t, pond()), func(o *Options) { o.Sandbox = "https://sandbox.example.com" })
	demo := newShelf(t, tableAt(t, "../deploy/demo/workspace"), nil)
	secrets := map[*shelf][]string{
		s:    {"x-headrace", "hidden-erp", "secret-backend", "secret-records", "internal-note", "x-sap", "x-note", "$comment", "x-internal", "x-team-chat"},
		demo: {"x-headrace", "127.0.0.1:91", "salesOrder", ".jq", "services/rest"},
	}
	for s, words := range secrets {
		for _, a := range s.catalogues.of(s.options.Tables.Table()).apis {
			paths := []string{a.Path(), a.Path() + "/reference", a.Path() + "/openapi.json", a.Path() + "/openapi.yaml", a.Path() + "/postman.json", a.Path() + "/changes", "/search?q=order"}
			for _, o := range a.Operations {
				paths = append(paths, o.Page())
				if s.options.Sandbox != "" {
					paths = append(paths, "/try/"+a.Name+"/"+a.Major+"/"+o.Slug)
				}
			}
			for _, path := range paths {
				body := s.shows(path)
				for _, word := range words {
					if strings.Contains(body, word) {
						t.Errorf("%s tells %q", path, word)
					}
				}
			}
		}
	}
}

func TestDownloads(t *testing.T) {
	s := newShelf(t, tableOf(t, pond()), nil)
	var doc struct {
		OpenAPI    string
		Servers    []struct{ URL string }
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	body := s.shows("/apis/orders/v2/openapi.json")
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Servers) != 1 || doc.Servers[0].URL != "https://api.example.com/orders/v2" || doc.Paths["/orders/{id}"]["put"] == nil || doc.Components.Schemas["Order"].Properties["x-kept"] == nil {
		t.Errorf("%+v", doc)
	}
	if strings.Index(body, `"openapi"`) > strings.Index(body, `"paths"`) || strings.Index(body, `"id": {`) > strings.Index(body, `"customer": {`) {
		t.Error("the order of the document is lost")
	}
	var fromJSON, fromYAML any
	if err := json.Unmarshal([]byte(body), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(s.shows("/apis/orders/v2/openapi.yaml")), &fromYAML); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(fromJSON)
	if b, err := json.Marshal(fromYAML); err != nil || string(a) != string(b) {
		t.Errorf("YAML is another document (%v):\n%s\n%s", err, a, b)
	}
	resp, _ := s.open("/apis/orders/v2/openapi.yaml")
	if got := resp.Header.Get("Content-Disposition"); got != `attachment; filename="orders-2.0.0-openapi.yaml"` {
		t.Error(got)
	}
	// It can be read as a document again.
	reread := tableOf(t, map[string]string{"apis/orders/2.0.0/openapi.json": body, "apis/orders/2.0.0/overlay.yaml": "overlay: 1.0.0\ninfo: {title: x, version: 1.0.0}\nactions: [{target: $, update: {x-headrace: {system: e, call: {path: /x}, policies: {apikey: {}}}}}]\n", "systems/e.yaml": "dialect: rest\nurl: http://127.0.0.1:1\n"})
	if len(reread.Operations) != 3 {
		t.Errorf("%d operations", len(reread.Operations))
	}
}

func TestPostman(t *testing.T) {
	s := newShelf(t, tableOf(t, pond()), nil)
	var c struct {
		Info struct{ Name, Schema string }
		Item []struct {
			Name    string
			Request struct {
				Method string
				Header []struct{ Key, Value string }
				URL    struct {
					Raw   string
					Path  []string
					Query []struct {
						Key, Value string
						Disabled   bool
					}
					Variable []struct{ Key, Value string }
				}
				Body struct{ Mode, Raw string }
			}
		}
		Variable []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(s.shows("/apis/orders/v2/postman.json")), &c); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(c.Info.Schema, "/v2.1.0/collection.json") || len(c.Item) != 3 || c.Variable[0].Value != "https://api.example.com" {
		t.Fatalf("%+v", c)
	}
	for _, i := range c.Item {
		r := i.Request
		switch r.Method {
		case "GET":
			if r.URL.Raw != "{{baseUrl}}/orders/v2/orders?customer=C-1111" || !r.URL.Query[0].Disabled || r.URL.Query[1].Disabled {
				t.Errorf("%+v", r.URL)
			}
		case "PUT":
			var body map[string]any
			if err := json.Unmarshal([]byte(r.Body.Raw), &body); err != nil || body["customer"] == nil || body["id"] != nil {
				t.Errorf("%v %+v", err, r.Body)
			}
			if r.URL.Path[3] != ":id" || r.URL.Variable[0].Value != "AA-1" || !strings.Contains(fmt.Sprint(r.Header), "{X-Api-Key {{apiKey}}}") || !strings.Contains(fmt.Sprint(r.Header), "{{$guid}}") {
				t.Errorf("%+v", r)
			}
		}
	}
}

var inCode = regexp.MustCompile(`(?s)<code data-sample>(.*?)</code>`)

// Samples are programs: those of languages that are here are parsed.
func TestSamples(t *testing.T) {
	files := pond()
	files["apis/orders/2.0.0/openapi.yaml"] = strings.ReplaceAll(pondDocument("2.0.0"), "examples: [C-0001]", `examples: ["it's \"q\" \\ `+"`x` $HOME {y} é\"]")
	table, file := tableOf(t, files), filepath.Join(t.TempDir(), "sample.mjs")
	s := newShelf(t, table, nil)
	for _, o := range s.catalogues.of(table).byPath["orders/v2"].Operations {
		k, err := s.contract(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range languages() {
			sample := k.sample("https://api.example.com", l.Name)
			want := []string{"https://api.example.com/orders/v2/orders", keyPlaceholder, o.Method}
			if o.Method == "GET" && l.Name == "curl" {
				want = want[:2]
			}
			for _, part := range want {
				if !strings.Contains(sample, part) {
					t.Errorf("%s %s lacks %s:\n%s", o.ID, l.Name, part, sample)
				}
			}
			program := map[string][]string{"curl": {"bash", "-n", "-c", sample}, "python": {"python3", "-c", "import ast,sys; ast.parse(sys.argv[1])", sample}, "javascript": {"node", "--check", file}}[l.Name]
			if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
				t.Fatal(err)
			}
			if l.Name == "go" {
				if _, err := parser.ParseFile(token.NewFileSet(), "x.go", sample, parser.AllErrors); err != nil {
					t.Errorf("%v:\n%s", err, sample)
				}
			} else if program != nil && o.ID == "placeOrder" {
				if path, err := exec.LookPath(program[0]); err == nil {
					if out, err := exec.Command(path, program[1:]...).CombinedOutput(); err != nil {
						t.Errorf("%s: %v %s\n%s", l.Name, err, out, sample)
					}
				}
			}
		}
	}
	resp, body := s.open("/apis/orders/v2/reference/placeOrder?lang=python")
	if m := inCode.FindStringSubmatch(body); m == nil || !strings.Contains(m[1], "requests.request") || len(resp.Cookies()) != 1 {
		t.Errorf("%v", resp.Cookies())
	}
	_, body = s.open("/apis/orders/v2/reference/placeOrder", "Cookie", "language=csharp")
	if m := inCode.FindStringSubmatch(body); m == nil || !strings.Contains(m[1], "HttpClient") {
		t.Error("the language is not kept")
	}
}

// Whoever writes a document must not write the page.
func TestDocumentsCannotInject(t *testing.T) {
	corpus := []string{
		"<script>window.bad=1</script>", "<img src=x onerror=bad()>", "<svg/onload=bad()>", "[x](javascript:bad())", "[x](JaVaScRiPt:bad())", "[x](data:text/html,<script>bad()</script>)",
		"<a href='javascript:bad()'>x</a>", "<iframe src=//evil.example></iframe>", "<style>*{display:none}</style>", "\"><script>bad()</script>", "'-bad()-'", "</code></pre><script>bad()</script>",
		"![x](https://evil.example/x.png)", "<form action=//evil.example><input name=key>", "<base href=//evil.example>", "<meta http-equiv=refresh content=0>", "<p style='position:fixed'>x</p>", "<p onclick=bad()>x</p>",
		"<a href=\"&#106;avascript:bad()\">x</a>", "[x]: javascript:bad()\n[y][x]", "<math><mtext></form><form><mglyph><style></math><img src onerror=bad()>", "{{.Portal}}<script>bad()</script>", "<input autofocus onfocus=bad()>",
		"<details open ontoggle=bad()>", "<object data=x>", "<link rel=stylesheet href=//evil.example>", "&lt;script&gt;bad()&lt;/script&gt;", "<ScRiPt>bad()</sCrIpT>", "<vbscript:bad>", "[x](vbscript:bad())",
	}
	files := map[string]string{"systems/erp.yaml": "dialect: rest\nurl: http://127.0.0.1:1\n"}
	var products, plans string
	for i, text := range append(corpus, "nothing") {
		evil(files, fmt.Sprintf("api-%d", i), text)
		q, _ := json.Marshal(text)
		products += fmt.Sprintf("  desk-%d: {title: %s, apis: [api-%d/v1]}\n", i, q, i)
		plans += fmt.Sprintf("  gold-%d: {title: %s}\n", i, q)
	}
	files["consumers.yaml"] = "products:\n" + products + "plans:\n" + plans
	s := newShelf(t, tableOf(t, files), func(o *Options) { o.Sandbox = "https://sandbox.example.com" })
	pages := []string{"/apis/api-%d/v1", "/apis/api-%d/v1/guide", "/apis/api-%d/v1/reference", "/apis/api-%d/v1/reference/op", "/try/api-%d/v1/op", "/products/desk-%d"}
	for _, page := range pages {
		plain := dangers(t, page, s.shows(fmt.Sprintf(page, len(corpus))))
		for i, text := range corpus {
			if got := dangers(t, page+" with "+text, s.shows(fmt.Sprintf(page, i))); got != plain {
				t.Errorf("%s with %q: %s, not %s", page, text, got, plain)
			}
		}
	}
	for _, page := range []string{"/", "/apis", "/products"} {
		dangers(t, page, s.shows(page))
	}
	plain := dangers(t, "search", s.shows("/search?q=nosuchword"))
	for _, text := range corpus {
		if got := dangers(t, text, s.shows("/search?q="+url.QueryEscape(text+" nosuchword"))); got != plain {
			t.Errorf("the search for %q: %s, not %s", text, got, plain)
		}
	}
}

// dangers counts the elements of a page that can do something, as a browser would
// see them, and finds attributes that nobody may have written.
func dangers(t *testing.T, page, body string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "script", "iframe", "style", "object", "embed", "base", "meta", "link", "form", "svg", "img", "math", "input", "button", "textarea":
			counts[n.Data]++
		}
		for _, a := range n.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			own := strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "//")
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc", a.Key == "autofocus", a.Key == "http-equiv":
				t.Errorf("%s has <%s %s=%q>", page, n.Data, a.Key, a.Val)
			case a.Key == "src", a.Key == "action", a.Key == "href" && n.Data != "a":
				if !own {
					t.Errorf("%s has <%s %s=%q>", page, n.Data, a.Key, a.Val)
				}
			case a.Key == "href":
				u, err := url.Parse(a.Val)
				if err != nil || u.Scheme != "" && u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "mailto" {
					t.Errorf("%s has <%s %s=%q>", page, n.Data, a.Key, a.Val)
				}
			}
		}
	}
	return fmt.Sprint(counts)
}

// evil adds an API that has the text wherever a document takes one.
func evil(files map[string]string, name, text string) {
	q, _ := json.Marshal(text)
	doc := strings.ReplaceAll(`{"openapi":"3.1.0","info":{"title":T,"version":"1.0.0","description":T,"contact":{"name":T}},
"x-headrace":{"system":"erp","domain":T,"owner":T,"call":{"path":"/x"},"policies":{"apikey":{},"subscription":{},"deprecate":{"since":"2026-01-01","successor":"/x/v2"}}},"security":[{"key":[]}],
"paths":{"/o/{id}":{"post":{"operationId":"op","summary":T,"description":T,"tags":[T],
"parameters":[{"name":"id","in":"path","required":true,"description":T,"schema":{"type":"string","description":T,"example":T,"default":T}},{"name":T,"in":"query","description":T,"example":T,"schema":{"type":"string","enum":[T],"title":T,"format":T}}],
"requestBody":{"description":T,"content":{"application/json":{"example":{T:T},"schema":{"type":"object","properties":{T:{"type":"string","description":T,"default":T,"const":T,"title":T},"y":{"oneOf":[{"title":T,"type":"string"},{"title":T,"type":"integer"}]}}}}}},
"responses":{"200":{"description":T,"headers":{"X-A":{"description":T,"schema":{"type":"string","example":T}}},"content":{"application/json":{"schema":{"type":"string","example":T}}}}}}}},
"components":{"securitySchemes":{"key":{"type":"apiKey","in":"header","name":"X-Api-Key"}}}}`, "T", string(q))
	files["apis/"+name+"/1.0.0/openapi.json"] = doc
	files["apis/"+name+"/1.0.0/guide.md"] = text + "\n\n" + text + "\n"
}

func TestSearch(t *testing.T) {
	table := tableOf(t, pond())
	s := newShelf(t, table, nil)
	x := s.catalogues.of(table).index
	best := func(query string) string {
		list, _ := x.find(query, 1)
		if len(list) == 0 {
			return ""
		}
		text := list[0].API.Name
		if list[0].Operation != nil {
			text += " " + list[0].Operation.ID
		}
		return strings.TrimSpace(text + " " + list[0].Field)
	}
	for query, want := range map[string]string{
		"orders": "orders", "ORD": "orders", "place": "orders placeOrder", "placeOrder": "orders placeOrder", "order place": "orders placeOrder", "limit": "orders listOrders ?limit", "street": "orders placeOrder /how/street",
		"orders street": "orders placeOrder /how/street", "team": "orders", "nosuchword": "", "": "", "orders nosuchword": "", "!!": "",
	} {
		if got := best(query); got != want {
			t.Errorf("%q finds %q, not %q", query, got, want)
		}
	}
	s.shows("/search?q=place", "for “place”", "Place an order", "/apis/orders/v2/reference/placeOrder")
	s.shows("/search?q=nosuchword", "Nothing for “nosuchword”")
	s.shows("/search", "also by their beginnings")
	s.shows("/search?q=" + strings.Repeat("word+", 300))
	if again := s.catalogues.of(table); again.index != x {
		t.Error("the index is made again for the same table")
	}
}

func TestTop(t *testing.T) {
	for _, c := range []struct {
		weights []int32
		most    int
		want    string
	}{
		{[]int32{1, 0, 1}, 3, "[0 2] 2"}, {[]int32{1, 1, 1}, 2, "[0 1] 3"}, {[]int32{1, 5, 1, 5, 3}, 3, "[1 3 4] 5"}, {[]int32{1, 5, 1, 5, 3}, 4, "[1 3 4 0] 5"},
		{[]int32{1, 5, 1, 5, 3}, 9, "[1 3 4 0 2] 5"}, {[]int32{0, 0}, 2, "[] 0"}, {nil, 2, "[] 0"}, {[]int32{7}, 1, "[0] 1"}, {[]int32{2, 2, 1}, 2, "[0 1] 3"},
	} {
		if spots, total := top(c.weights, c.most); fmt.Sprint(spots, total) != c.want {
			t.Errorf("the best %d of %v: %v %d", c.most, c.weights, spots, total)
		}
	}
}

// Documents that have not changed are not read again for the next table.
func TestTermsAreKept(t *testing.T) {
	c := newCatalogue(tableOf(t, pond()))
	first := c.search(nil)
	second := c.search(first)
	for d, terms := range first {
		if second[d] != terms {
			t.Error("the terms were made again")
		}
	}
	if len(first) != 2 {
		t.Errorf("%d documents", len(first))
	}
}

func TestHeadersOfPages(t *testing.T) {
	table := tableOf(t, pond())
	s := newShelf(t, table, func(o *Options) { o.URL = "https://developers.example.com/" })
	resp, body := s.open("/")
	for name, want := range map[string]string{
		"Content-Security-Policy": contentPolicy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
		"Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.Contains(body, "style=") || strings.Contains(body, "<style") || regexp.MustCompile(`<script(?:>| [^>]*>)[^<]`).MatchString(body) || strings.Contains(body, " on") && regexp.MustCompile(` on[a-z]+="`).MatchString(body) {
		t.Error("something stands inline")
	}
	total := len(body)
	for _, m := range regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(body, -1) {
		resp, data := s.open(m[1])
		total += len(data)
		if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d %v", m[1], resp.StatusCode, resp.Header)
		}
	}
	if total > 100<<10 {
		t.Errorf("the first page weighs %d bytes", total)
	}
	for _, path := range []string{"/assets/portal.000000000000.css", "/assets/../portal.go", "/assets/"} {
		if resp, _ := s.open(path); resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	if resp, _ := s.open("/favicon.ico"); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	resp, body = s.do("HEAD", "/apis", nil)
	if resp.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
}

func TestTheme(t *testing.T) {
	s := newShelf(t, tableOf(t, pond()), func(o *Options) { o.URL = "https://developers.example.com" })
	form := func(theme, next string) map[string][]string {
		return map[string][]string{"theme": {theme}, "next": {next}}
	}
	resp, _ := s.do("POST", "/theme", form("dark", "/apis?layer=system"))
	c := resp.Cookies()
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/apis?layer=system" || len(c) != 1 || c[0].Name != "__Host-theme" || !c[0].Secure || !c[0].HttpOnly {
		t.Errorf("%d %v %v", resp.StatusCode, resp.Header, c)
	}
	if _, body := s.open("/", "Cookie", "__Host-theme=dark"); !strings.Contains(body, `<html lang="en" data-theme="dark">`) {
		t.Error("the page is not dark")
	}
	if _, body := s.open("/", "Cookie", `__Host-theme=x"><script>`); !strings.Contains(body, `<html lang="en">`) {
		t.Error("a theme that is none")
	}
	if resp, _ := s.do("POST", "/theme", form("pink", "/")); resp.StatusCode != 400 {
		t.Errorf("%d", resp.StatusCode)
	}
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:x", "", "/a\nb", "/\t/evil.example"} {
		if resp, _ := s.do("POST", "/theme", form("light", next)); resp.Header.Get("Location") != "/" {
			t.Errorf("%q leads to %q", next, resp.Header.Get("Location"))
		}
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		if resp, _ := s.do("POST", "/theme", form("dark", "/"), header...); resp.StatusCode != 403 || len(resp.Cookies()) != 0 {
			t.Errorf("%v: %d", header, resp.StatusCode)
		}
	}
	if resp, _ := s.do("POST", "/theme", form("dark", "/"), "Origin", "https://developers.example.com"); resp.StatusCode != 303 {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, _ := s.do("POST", "/theme", map[string][]string{"theme": {strings.Repeat("x", shortBody+1)}}); resp.StatusCode < 400 {
		t.Errorf("a long form: %d", resp.StatusCode)
	}
}

// Every route has a handler, and stands once.
func TestRoutes(t *testing.T) {
	s := newShelf(t, tableOf(t, pond()), nil)
	seen := map[string]bool{}
	for _, r := range s.routes() {
		key := r.method + " " + r.path
		if r.handler == nil || seen[key] || r.method != "GET" && r.method != "POST" || !strings.HasPrefix(r.path, "/") {
			t.Errorf("%s", key)
		}
		seen[key] = true
	}
	if resp, _ := s.do("DELETE", "/apis", nil); resp.StatusCode != 405 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestWords(t *testing.T) {
	for pattern, want := range map[string]string{
		"^SKU-[0-9]{4}$": "SKU-1111", "^[A-Z]{2,5}-[0-9]{1,12}$": "AA-1", "(a|b)c?": "a", "^\\d+$": "1", "(": "", "": "", "^$": "", "[^a]": "1",
	} {
		got, _ := matching(pattern)
		if got != want {
			t.Errorf("%s: %q", pattern, got)
		}
		if got != "" && !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("%s does not match %q", pattern, got)
		}
	}
	for text, want := range map[string]string{"Orders. More.": "Orders.", "# Title\n\nx": "Title", "`a` **b**": "a b", "": ""} {
		if got := firstSentence(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for n, want := range map[int]string{0: "0 calls", 1: "1 call", 2: "2 calls"} {
		if got := count(n, "call"); got != want {
			t.Error(got)
		}
	}
	if got := string(ticks("a `b<c` d `e")); got != "a <code>b&lt;c</code> d e" {
		t.Error(got)
	}
	if got := writeText(0); !strings.Contains(got, "202 at once") {
		t.Error(got)
	}
	if classText(nil) != classText(new(specs.Normal)) {
		t.Error("no class is another class")
	}
}

// Who looks decides what there is to go to, and what may be done.
func TestNavigation(t *testing.T) {
	names := func(v *visitor, here string) string {
		var list []string
		for _, i := range navigation(v, here, true) {
			name := i.Text
			if i.Here {
				name = "[" + name + "]"
			}
			list = append(list, name)
		}
		return strings.Join(list, " ")
	}
	person := &visitor{account: "1", email: "ann@example.com", organisation: "acme", role: "developer"}
	for want, got := range map[string]string{
		"[Catalogue] Status Sign in Sign up":                                                         names(nil, "/try/orders/v1/x"),
		"Catalogue [Apps] Usage Writes Webhooks Notices Organisation Account":                        names(person, "/apps/shop"),
		"Catalogue Apps Usage Writes Webhooks Notices [Requests] Organisations Organisation Account": names(&visitor{manager: true}, "/manage/requests"),
	} {
		if got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	for least, want := range map[who]bool{anyone: true, signedIn: true, member: true, developer: true, owner: false, manager: false} {
		if person.may(least) != want || (*visitor)(nil).may(least) != (least == anyone) {
			t.Errorf("%d", least)
		}
	}
	if person.Name() != "ann@example.com" || person.Acting() {
		t.Errorf("%+v", person)
	}
}
