package portal

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// pool is a sandbox that notes what comes, and answers as told.
type pool struct {
	*shelf
	got    *http.Request
	body   string
	answer http.HandlerFunc
}

func newPool(t *testing.T) *pool {
	t.Helper()
	p := &pool{}
	sandbox := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		p.got, p.body = r, string(data)
		p.answer(w, r)
	}))
	t.Cleanup(sandbox.Close)
	p.shelf = newShelf(t, tableOf(t, pond()), func(o *Options) { o.Sandbox = sandbox.URL + "/" })
	return p
}

const partnersKey = "hr_abcdefgh_averysecretkeyofapartner"

func TestTry(t *testing.T) {
	p := newPool(t)
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("RateLimit-Policy", `"throttle-plan";q=200;w=2`)
		w.Header().Add("RateLimit", `"throttle-plan";r=199;t=12600`)
		w.Header().Set("Set-Cookie", "session=ofthesystem")
		w.WriteHeader(201)
		io.WriteString(w, `{"b":1,"a":"<b>"}`)
	}
	p.shows("/try/orders/v2/placeOrder", `name="path.id" value="AA-1"`, "Idempotency-Key", "C-0001", "Your API key")
	form := url.Values{"key": {partnersKey}, "path.id": {"WEB 7/../x"}, "body": {`{"customer":{}}`}, "repeat": {`"once"`}, "query.evil": {"x"}, "header.Host": {"evil.example"}, "path.other": {"y"}, "async": {"1"}}
	resp, body := p.do("POST", "/try/orders/v2/placeOrder", form)
	if resp.StatusCode != 200 || p.got == nil {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if p.got.Method != "PUT" || p.got.RequestURI != "/orders/v2/orders/WEB%207%2F..%2Fx" || p.body != `{"customer":{}}` || p.got.Header.Get("X-Api-Key") != partnersKey ||
		p.got.Header.Get("Content-Type") != "application/json" || p.got.Header.Get("Idempotency-Key") != `"once"` || p.got.Header.Get("Prefer") != "respond-async" || strings.Contains(p.got.Host, "evil") {
		t.Errorf("%s %s %v %s", p.got.Method, p.got.RequestURI, p.got.Header, p.body)
	}
	for _, part := range []string{"201", "throttle-plan: 199 left of 200 in 2 seconds, more in 4 hours", "&#34;a&#34;: &#34;&lt;b&gt;&#34;", "X-Api-Key: …", "Set-Cookie: …", "PUT " + p.options.Sandbox + "/orders/v2/orders/WEB%207%2F..%2Fx"} {
		if !strings.Contains(body, part) {
			t.Errorf("the page lacks %q:\n%s", part, body)
		}
	}
	if strings.Contains(body, partnersKey) || strings.Contains(p.log.String(), partnersKey) {
		t.Error("the key is shown or logged")
	}
}

// A write that is held is followed until it is over.
func TestTryFollowsWrites(t *testing.T) {
	p := newPool(t)
	state := `{"id":"90rd1m3q2e1hjt6c","state":"held","place":17,"eta":"2027-01-31T12:00:12Z"}`
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == "PUT" {
			w.WriteHeader(202)
		}
		io.WriteString(w, state)
	}
	_, body := p.do("POST", "/try/orders/v2/placeOrder", url.Values{"key": {partnersKey}, "path.id": {"A"}})
	for _, part := range []string{`data-id="90rd1m3q2e1hjt6c"`, "Place 17 in line.", "Look again", "held"} {
		if !strings.Contains(body, part) {
			t.Errorf("the page lacks %q:\n%s", part, body)
		}
	}
	state = `{"id":"90rd1m3q2e1hjt6c","state":"delivered","outcome":{"status":201}}`
	_, body = p.do("POST", "/try/orders/v2/placeOrder/write", url.Values{"key": {partnersKey}, "write": {"90rd1m3q2e1hjt6c"}})
	if p.got.Method != "GET" || p.got.RequestURI != "/writes/90rd1m3q2e1hjt6c" || p.got.Header.Get("X-Api-Key") != partnersKey || !strings.Contains(body, "data-over") || strings.Contains(body, "Look again") || strings.Contains(body, partnersKey) {
		t.Errorf("%s %s\n%s", p.got.Method, p.got.RequestURI, body)
	}
	p.got = nil
	for _, id := range []string{"", "../apis", "a/b", "x?y=z1234567", strings.Repeat("a", 65)} {
		if resp, _ := p.do("POST", "/try/orders/v2/placeOrder/write", url.Values{"key": {partnersKey}, "write": {id}}); resp.StatusCode != 400 || p.got != nil {
			t.Errorf("%q: %d", id, resp.StatusCode)
		}
	}
}

func TestTryRefuses(t *testing.T) {
	p := newPool(t)
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://evil.example/")
		w.WriteHeader(302)
	}
	for _, id := range []string{"", ".", ".."} {
		if _, body := p.do("POST", "/try/orders/v2/placeOrder", url.Values{"path.id": {id}}); p.got != nil || !strings.Contains(body, "Fill in id.") {
			t.Errorf("%q:\n%s", id, body)
		}
	}
	if _, body := p.do("POST", "/try/orders/v2/placeOrder", url.Values{"path.id": {"A"}, "key": {"a\r\nX-Evil: 1"}}); p.got != nil || !strings.Contains(body, "cannot be sent") || strings.Contains(body, "X-Evil") {
		t.Errorf("%s", body)
	}
	if strings.Contains(p.log.String(), "X-Evil") {
		t.Error("the key is logged")
	}
	if _, body := p.do("POST", "/try/orders/v2/deleteOrder", url.Values{"path.id": {"A"}}); p.got == nil || p.got.Header.Get("Idempotency-Key") != "" || !strings.Contains(body, "302") {
		t.Errorf("a redirect is followed:\n%s", body)
	}
	if resp, _ := p.do("POST", "/try/orders/v2/placeOrder", url.Values{"path.id": {"A"}}, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 403 {
		t.Errorf("from another site: %d", resp.StatusCode)
	}
	for range mostTries {
		p.sandbox.places <- struct{}{}
	}
	if resp, _ := p.do("POST", "/try/orders/v2/deleteOrder", url.Values{"path.id": {"A"}}); resp.StatusCode != 503 {
		t.Errorf("with no place left: %d", resp.StatusCode)
	}
	for range mostTries {
		<-p.sandbox.places
	}
	p.options.Sandbox = "http://127.0.0.1:1"
	if _, body := p.do("POST", "/try/orders/v2/listOrders", url.Values{"query.customer": {"C-1"}}); !strings.Contains(body, "The sandbox has not answered.") {
		t.Error(body)
	}
	p.options.Sandbox = ""
	if resp, _ := p.open("/try/orders/v2/listOrders"); resp.StatusCode != 404 {
		t.Errorf("without a sandbox: %d", resp.StatusCode)
	}
}

// What nests deeply is shown as it came: its indentation would grow with the square.
func TestDeepAnswersStayShort(t *testing.T) {
	p := newPool(t)
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, deep)
	}
	if _, body := p.do("POST", "/try/orders/v2/listOrders", url.Values{"query.customer": {"C-1"}}); !strings.Contains(body, deep) {
		t.Errorf("%d bytes", len(body))
	}
	for text, want := range map[string]int{deep: len(deep), `{"a":[1]}`: len("{\n  \"a\": [\n    1\n  ]\n}"), `["` + strings.Repeat(`\"[`, 100) + `"]`: len("[\n  \"\"\n]") + 300} {
		if got := len(indented([]byte(text))); got != want {
			t.Errorf("%.20s: %d bytes, want %d", text, got, want)
		}
	}
}

func TestTryCutsLongAnswers(t *testing.T) {
	p := newPool(t)
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `"`+strings.Repeat("x", shownBody)+`"`)
	}
	if _, body := p.do("POST", "/try/orders/v2/listOrders", url.Values{"query.customer": {"C-1"}}); !strings.Contains(body, "only its beginning") || len(body) > shownBody+20000 {
		t.Errorf("%d bytes", len(body))
	}
}
