package portal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/counter"
	"github.com/headrace/headrace/gateway/event"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/policies"
	"github.com/headrace/headrace/specs/source"
)

const ordersV1 = `openapi: 3.0.3
info: {title: Orders <b>&</b>, version: 1.0.0}
x-headrace:
  system: hidden-erp
  domain: sales
  status: deprecated
  timeout: 5s
  policies: {apikey: {}, subscription: {}, deprecate: {since: 2026-01-01, sunset: 2099-03-01, successor: /orders/v2, link: "https://developers.example.com/moving"}}
paths:
  /orders:
    post:
      operationId: createOrder
      summary: Create an order.
      x-headrace: {lane: $request.body#/id}
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [id, quantity], properties: {id: {type: string}, quantity: {type: integer, minimum: 1}}}}}
      responses: {default: {description: any}}
`

const ordersV2 = `openapi: 3.0.3
info: {title: Orders, version: 2.0.0}
x-headrace: {system: hidden-erp, domain: sales}
paths:
  /orders: {get: {operationId: listOrders, responses: {default: {description: any}}}}
`

const sceneConsumers = `organisations: {acme: {title: Acme}, rival: {title: Rival}}
apps:
  shop: {organisation: acme, title: Shop, keys: [{prefix: sceneshp, hash: 'sha256:3ce2626d7528596e5c955d24f44b9996adc8929ac170ddeea709fc661a2a4f90'}]}
  till: {organisation: acme}
  spy: {organisation: rival}
products: {sales: {title: Sales, apis: [orders/v1]}}
plans: {basic: {title: Basic, policies: {quota: {limit: 1000, per: day}}}}
subscriptions: [{app: shop, product: sales, plan: basic}]
`

// shopKey is the key whose hash stands there.
const shopKey = "hr_sceneshp_secret-of-a-test-0123456789"

// scene is a portal in front of a gateway whose system says what the test wants.
type scene struct {
	*testing.T
	erp    *httptest.Server
	answer func(w http.ResponseWriter, body string) // of the system; 201 when nil
	store  *ledger.DB
	buffer *buffer.Buffer
	events *event.Sender
	gate   *gateway.Gateway
	portal *Portal
	health []SystemHealth
}

type mute struct{}

func (mute) Prepare(*gateway.Operation) {}
func (mute) Begin(*gateway.Exchange)    {}
func (mute) End(*gateway.Exchange)      {}

var (
	ann   = &visitor{account: "ann", email: "ann@acme.example", organisation: "acme", role: "developer"}
	vic   = &visitor{account: "vic", email: "vic@acme.example", organisation: "acme", role: "viewer"}
	rival = &visitor{account: "mallory", email: "mallory@rival.example", organisation: "rival", role: "owner", manager: true}
)

func newScene(t *testing.T) *scene {
	s := &scene{T: t}
	s.erp = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if s.answer != nil {
			s.answer(w, string(body))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"number": 7}`)
	}))
	t.Cleanup(s.erp.Close)
	var err error
	s.store, err = ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Log: slog.New(slog.DiscardHandler)})
	s.ok(err)
	t.Cleanup(func() { s.store.Close() })
	fleet := system.Open(system.Options{})
	t.Cleanup(fleet.Close)
	s.buffer = buffer.New(buffer.Options{Ledger: s.store, Settings: buffer.DefaultSettings, Backoff: 20 * time.Millisecond, Look: 50 * time.Millisecond})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.buffer.Drain()
		s.buffer.Close(ctx)
	})
	files := fstest.MapFS{
		"headrace.yaml": {Data: []byte("{}")}, "consumers.yaml": {Data: []byte(sceneConsumers)},
		"systems/hidden-erp.yaml":        {Data: []byte("url: " + s.erp.URL + "\nbreaker: {off: true}\n")},
		"apis/orders/1.0.0/openapi.yaml": {Data: []byte(ordersV1)}, "apis/orders/2.0.0/openapi.yaml": {Data: []byte(ordersV2)},
	}
	var ps source.Problems
	var set *buffer.Set
	document, dir := buffer.Document()
	table, _ := workspace.Build(workspace.Load(files, &ps), workspace.Options{
		Kinds: policies.All(policies.Options{Counters: counter.New(), Log: slog.New(slog.DiscardHandler)}),
		Systems: func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) workspace.SystemLayer {
			set = s.buffer.Build(fleet.Build(fsys, systems, ps))
			return set
		},
		Own: []workspace.Own{{Files: document, Dir: dir, Layer: s.buffer.Resource()}},
	}, &ps)
	for _, p := range ps.List() {
		t.Error(p)
	}
	if t.Failed() {
		t.FailNow()
	}
	s.gate = gateway.New(gateway.Options{Recorder: mute{}})
	t.Cleanup(s.gate.Stop)
	s.gate.Swap(table)
	s.buffer.Use(set)
	s.events, err = event.New(event.Options{Ledger: s.store, Secret: bytes.Repeat([]byte{1}, event.SecretLength), Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s.ok(err)
	s.portal, err = newPortal(Options{URL: "http://portal.example", Tables: s.gate, Store: s.store, Writes: s.buffer, Events: s.events,
		Systems: func(context.Context) []SystemHealth { return s.health }})
	s.ok(err)
	return s
}

func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// order sends an order of the shop without waiting for it, and returns its id.
func (s *scene) order(body string) string {
	s.Helper()
	r := httptest.NewRequest("POST", "/orders/v1/orders", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Api-Key", shopKey)
	r.Header.Set("Prefer", "respond-async")
	w := httptest.NewRecorder()
	s.gate.ServeHTTP(w, r)
	id := strings.TrimPrefix(w.Header().Get("Location"), "/writes/")
	if w.Code != http.StatusAccepted || id == "" {
		s.Fatalf("%d %s", w.Code, w.Body)
	}
	return id
}

// until waits for a write to come to a state.
func (s *scene) until(id string, state ledger.State) {
	s.Helper()
	for range 6000 {
		r, err := s.store.Get(s.Context(), id)
		s.ok(err)
		if r.State == state {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Fatalf("the write does not become %s", state)
}

// ask makes a request as somebody: the route of the table, with its check of who
// may, and its handler.
func (s *scene) ask(v *visitor, method, address string, form url.Values) (status int, page, location string) {
	s.Helper()
	body := io.Reader(nil)
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, address, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	e := echo.New()
	var found *route
	for _, x := range s.portal.routes() {
		e.Add(x.method, echoPath(x.path), func(echo.Context) error { found = &x; return nil })
	}
	w := httptest.NewRecorder()
	ctx := e.NewContext(r, w)
	e.Router().Find(method, r.URL.Path, ctx)
	s.ok(ctx.Handler()(ctx))
	if found == nil {
		s.Fatalf("there is no route %s %s", method, address)
	}
	if !v.may(found.who) {
		return http.StatusForbidden, "", ""
	}
	c := &call{Context: ctx, portal: s.portal, visitor: v, table: s.gate.Table()}
	if err := found.handler(s.portal, c); err != nil {
		f := asFailure(err)
		if f.status >= 500 {
			s.Errorf("%s %s: %v", method, address, err)
		}
		return f.status, f.problem, ""
	}
	return w.Code, w.Body.String(), w.Header().Get("Location")
}

// shows expects a page to hold texts.
func (s *scene) shows(v *visitor, address string, texts ...string) string {
	s.Helper()
	status, page, _ := s.ask(v, "GET", address, nil)
	if status != http.StatusOK {
		s.Fatalf("%s: %d %s", address, status, page)
	}
	for _, text := range texts {
		if !strings.Contains(page, text) {
			s.Errorf("%s does not say %q:\n%s", address, text, page[strings.Index(page, "<main"):])
		}
	}
	if strings.Contains(page, "hidden-erp") || strings.Contains(page, s.erp.URL) || strings.Contains(page, "<b>&</b>") {
		s.Errorf("%s shows what is inside, or what was not escaped", address)
	}
	return page
}

// refuse makes the system refuse what has no SKU in its own words.
func refuse(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(body, `"bad"`) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		io.WriteString(w, `{"error": "customer is blocked <script>alert(1)</script>"}`)
		return
	}
	if strings.Contains(body, `"worse"`) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "<p>inner words")
		return
	}
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, `{"number": 7}`)
}

func TestARefusedWriteIsCorrected(t *testing.T) {
	s := newScene(t)
	s.answer = refuse
	id := s.order(`{"id":"bad","quantity":2}`)
	s.until(id, ledger.Refused)
	behind := s.order(`{"id":"bad","quantity":3}`)
	s.shows(vic, "/writes?app=shop", "refused, needs you", id[:8], "Create an order")
	s.shows(vic, "/writes?app=shop&view=attention", id[:8])
	s.shows(ann, "/writes?app=shop&find=bad", id[:8], behind[:8])
	s.shows(ann, "/writes?app=shop&find="+id, id[:8])
	if page := s.shows(vic, "/writes/"+id, "needs you", "customer is blocked"); strings.Contains(page, "Send the corrected write") || strings.Contains(page, "<script>alert") {
		t.Error("a viewer may correct it, or an answer was not escaped")
	}
	s.shows(ann, "/writes/"+id, "Send the corrected write", "&#34;quantity&#34;: 2", "/orders/v1/orders")
	a, err := s.store.NewAccount(t.Context(), ledger.Account{Email: ann.email})
	s.ok(err)
	me := *ann
	me.account = a.ID
	s.shows(&me, "/notices", "Writes that need you", "1 write that")
	for _, wrong := range []struct{ body, says string }{{`{"id":"bad","quantity":0}`, "/quantity"}, {`{"id":`, "not JSON"}, {``, "not JSON"}} {
		status, page, _ := s.ask(ann, "POST", "/writes/"+id+"/fix", url.Values{"body": {wrong.body}})
		if status < 400 || status >= 500 || !strings.Contains(page, wrong.says) || !strings.Contains(page, "Send the corrected write") {
			t.Errorf("%s: %d %s", wrong.body, status, page)
		}
	}
	status, _, location := s.ask(ann, "POST", "/writes/"+id+"/fix", url.Values{"body": {"{\r\n \"id\": \"good\", \"quantity\": 2}"}})
	if status != http.StatusSeeOther || location == "/writes/"+id {
		t.Fatalf("%d %s", status, location)
	}
	s.until(strings.TrimPrefix(location, "/writes/"), ledger.Delivered)
	s.shows(ann, location, "It was done.", "In place of")
	s.shows(ann, "/writes/"+id, "a corrected one was sent", "Replaced by")
	s.until(behind, ledger.Refused) // it went on, and was refused for itself
	status, _, _ = s.ask(ann, "POST", "/writes/"+behind+"/leave", url.Values{})
	r, err := s.store.Get(t.Context(), behind)
	s.ok(err)
	if status != http.StatusSeeOther || r.Dead {
		t.Errorf("%d, dead %v", status, r.Dead)
	}
	worse := s.order(`{"id":"worse","quantity":2}`)
	s.until(worse, ledger.Refused)
	s.shows(ann, "/writes/"+worse, "he system answered 400")
	s.shows(ann, "/writes?app=shop", "the system answered 400")
	audits, err := s.store.Audits(t.Context(), ledger.AuditFilter{Actor: "member:ann@acme.example"})
	s.ok(err)
	if len(audits) != 2 || audits[0].By.Role != "developer" {
		t.Errorf("audited: %+v", audits)
	}
}

func TestAHeldWriteIsTakenBack(t *testing.T) {
	s := newScene(t)
	s.ok(s.store.Pause(t.Context(), "hidden-erp", "", ledger.By{Actor: "operator"}))
	id := s.order(`{"id":"1","quantity":2}`)
	s.shows(ann, "/writes/"+id, "Cancel it", "Change it before it is sent")
	if status, _, _ := s.ask(vic, "POST", "/writes/"+id+"/cancel", url.Values{}); status != http.StatusForbidden {
		t.Errorf("a viewer may cancel: %d", status)
	}
	if status, _, _ := s.ask(ann, "POST", "/writes/"+id+"/cancel", url.Values{}); status != http.StatusSeeOther {
		t.Errorf("%d", status)
	}
	s.until(id, ledger.Cancelled)
	s.shows(ann, "/writes/"+id, "taken back")
	// Twice is told, and does nothing.
	if status, _, _ := s.ask(ann, "POST", "/writes/"+id+"/cancel", url.Values{}); status != http.StatusSeeOther {
		t.Errorf("%d", status)
	}
}

// Objects of another organisation are as unknown as those that are not there.
func TestOthersThingsAreUnknown(t *testing.T) {
	s := newScene(t)
	id := s.order(`{"id":"1","quantity":2}`)
	hook, _, err := s.events.Create(t.Context(), "shop", event.Draft{URL: "https://shop.example/h", Types: event.Types}, ledger.By{Actor: "ann"})
	s.ok(err)
	n, err := s.store.TestHook(t.Context(), hook, ledger.By{Actor: "ann"})
	s.ok(err)
	walked := 0
	for _, r := range s.portal.eventRoutes() {
		if !strings.Contains(r.path, "{") || strings.HasPrefix(r.path, "/notices/") {
			continue
		}
		path := strings.NewReplacer("/writes/{write}", "/writes/"+id, "/webhooks/{webhook}", "/webhooks/"+hook, "{number}", fmt.Sprint(n), "{app}", "shop").Replace(r.path)
		form := url.Values(nil)
		if r.method == "POST" {
			form = url.Values{"body": {`{"id":"1","quantity":9}`}, "url": {"https://rival.example/"}, "types": {"delivered"}, "hours": {"1"}, "to": {"off"}}
		}
		for _, v := range []*visitor{rival, {account: "x", email: "x@x.example", role: "owner"}} {
			if status, page, _ := s.ask(v, r.method, path, form); status != http.StatusNotFound && !(v.organisation == "" && status == http.StatusForbidden) {
				t.Errorf("%s %s: %d %s", r.method, path, status, page)
			}
		}
		walked++
	}
	if walked < 15 {
		t.Errorf("only %d routes were walked", walked)
	}
	for _, address := range []string{"/usage?app=shop", "/usage.csv?app=shop", "/writes?app=shop"} {
		if status, _, _ := s.ask(rival, "GET", address, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", address, status)
		}
	}
	if status, _, _ := s.ask(rival, "POST", "/webhooks", url.Values{"app": {"shop"}, "url": {"https://rival.example/"}, "types": {"delivered"}}); status != http.StatusNotFound {
		t.Errorf("a webhook on another's app: %d", status)
	}
	if page := s.shows(rival, "/writes?app=spy"); strings.Contains(page, id[:8]) {
		t.Error("the list shows another's write")
	}
	if page := s.shows(rival, "/writes?app=spy&find="+id); strings.Contains(page, "<code>"+id[:8]) {
		t.Error("another's write is found")
	}
	if page := s.shows(rival, "/webhooks"); strings.Contains(page, hook) {
		t.Error("the list shows another's webhook")
	}
}

var shown = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)

func TestWebhooksInThePortal(t *testing.T) {
	s := newScene(t)
	got := make(chan struct{}, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got <- struct{}{} }))
	defer receiver.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.events.Run(ctx) }()
	defer func() { cancel(); <-done }()
	s.shows(ann, "/webhooks", "no webhook yet", "New webhook")
	for _, wrong := range []url.Values{
		{"app": {"shop"}, "url": {"https://10.0.0.1/"}, "types": {"delivered"}}, {"app": {"shop"}, "url": {"ftp://x.example/"}, "types": {"delivered"}}, {"app": {"shop"}, "url": {"https://x.example/"}},
	} {
		if status, page, _ := s.ask(ann, "POST", "/webhooks", wrong); status != http.StatusUnprocessableEntity || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%v: %d", wrong, status)
		}
	}
	status, page, _ := s.ask(ann, "POST", "/webhooks", url.Values{"app": {"shop"}, "url": {receiver.URL}, "about": {"Our <shop>"}, "types": {"delivered", "refused"}})
	secret := shown.FindString(page)
	if status != http.StatusOK || secret == "" {
		t.Fatalf("%d %s", status, page)
	}
	hooks, err := s.store.Hooks(t.Context(), []string{"shop"})
	s.ok(err)
	at := "/webhooks/" + hooks[0].ID
	if page := s.shows(ann, "/webhooks", "Our &lt;shop&gt;") + s.shows(ann, at, "Send a test event"); strings.Contains(page, "whsec_") {
		t.Error("the secret is shown a second time")
	}
	status, _, location := s.ask(ann, "POST", at+"/test", url.Values{})
	if status != http.StatusSeeOther {
		t.Fatalf("%d", status)
	}
	<-got
	s.shows(ann, location, "headrace.webhook.test", "webhook-id")
	s.until(s.order(`{"id":"1","quantity":2}`), ledger.Delivered)
	<-got
	s.shows(ann, at, "headrace.write.delivered")
	if status, _, _ := s.ask(ann, "POST", location+"/again", url.Values{}); status != http.StatusSeeOther {
		t.Errorf("again: %d", status)
	}
	<-got
	_, page, _ = s.ask(ann, "POST", at+"/rotate", url.Values{"hours": {"24"}})
	if next := shown.FindString(page); next == "" || next == secret || !strings.Contains(page, "signs as well until") {
		t.Errorf("rotated: %s", page)
	}
	if status, _, _ := s.ask(ann, "POST", at+"/rotate", url.Values{"hours": {"9999"}}); status != http.StatusBadRequest {
		t.Errorf("an overlap of a year: %d", status)
	}
	s.ask(ann, "POST", at+"/turn", url.Values{"to": {"off"}})
	s.shows(ann, at, ">off<", "Turn it on")
	s.ask(ann, "POST", at, url.Values{"url": {receiver.URL}, "about": {"New name"}, "types": {"held"}})
	s.shows(vic, at, "New name")
	if status, _, _ := s.ask(vic, "POST", at+"/delete", url.Values{}); status != http.StatusForbidden {
		t.Errorf("a viewer may delete: %d", status)
	}
	s.ask(ann, "POST", at+"/delete", url.Values{})
	if status, _, _ := s.ask(ann, "GET", at, nil); status != http.StatusNotFound {
		t.Errorf("deleted: %d", status)
	}
}

// use writes down calls of an app.
func (s *scene) use(app, version, operation string, day time.Time, calls, refused, failed int64) {
	s.Helper()
	_, err := s.store.AddUsage(s.Context(), []ledger.Usage{{UsageKey: ledger.UsageKey{Sort: ledger.Calls, API: "orders", Version: version, Operation: operation, App: app},
		Day: day, Calls: calls, Refused: refused, Failed: failed, Took: time.Duration(calls) * 25 * time.Millisecond, Last: day}})
	s.ok(err)
}

func TestUsageIsShown(t *testing.T) {
	s := newScene(t)
	now := time.Now().UTC()
	s.shows(ann, "/usage", "No call in the last 30 days")
	s.use("shop", "1.0.0", "createOrder", now, 12345, 200, 3)
	s.use("shop", "1.0.0", "createOrder", now.AddDate(0, 0, -20), 10, 0, 0)
	s.use("till", "2.0.0", "listOrders", now, 7, 0, 0)
	s.use("spy", "2.0.0", "listOrders", now, 4242, 0, 0)
	page := s.shows(ann, "/usage", "12,362", "<svg", "25 ms", "Create an order", "1.6 %")
	if strings.Contains(page, "4,242") || strings.Contains(page, "style=") {
		t.Error("another organisation's calls are counted, or a style stands inline")
	}
	s.shows(ann, "/usage?app=shop&days=7", "12,345", "Basic", "of 1,000 calls this day")
	s.shows(ann, "/apps/till/usage", "listOrders")
	if status, _, _ := s.ask(ann, "GET", "/usage?days=12", nil); status != http.StatusBadRequest {
		t.Errorf("12 days: %d", status)
	}
	status, text, _ := s.ask(ann, "GET", "/usage.csv?app=shop", nil)
	want := "day,app,api,version,operation,calls,refused,failed,mean_ms\n" +
		now.AddDate(0, 0, -20).Format(time.DateOnly) + ",shop,orders,1.0.0,createOrder,10,0,0,25.000\n" +
		now.Format(time.DateOnly) + ",shop,orders,1.0.0,createOrder,12345,200,3,25.000\n"
	if status != http.StatusOK || text != want {
		t.Errorf("%d %s", status, text)
	}
	if cell("=1+1") != "'=1+1" || cell("a=1") != "a=1" {
		t.Error("a spreadsheet would take a text for a formula")
	}
	if got := share(1, 100000) + share(0, 5) + share(5, 0) + share(1, 2); got != "<0.1 %0 %–50 %" {
		t.Error(got)
	}
}

func TestNoticesComeFromRealUsage(t *testing.T) {
	s := newScene(t)
	a, err := s.store.NewAccount(t.Context(), ledger.Account{Email: "ann@acme.example"})
	s.ok(err)
	me := *ann
	me.account = a.ID
	boss := me
	boss.manager = true
	// shop is subscribed; till concerns it from its first call on.
	page := s.shows(&me, "/notices", "Orders &lt;b&gt;", "ends on <strong>1 March 2099", "has not called it", "/apis/orders/v2", "Move to Orders v2")
	if strings.Contains(page, "till") {
		t.Error("an app is told of what it does not use")
	}
	s.use("till", "1.0.0", "createOrder", time.Now().UTC(), 3, 0, 0)
	s.shows(&me, "/notices", "<strong>till</strong> has called it 3 times")
	if status, _, _ := s.ask(&me, "POST", "/notices", url.Values{"title": {"x"}}); status != http.StatusForbidden {
		t.Errorf("a partner may announce: %d", status)
	}
	for _, wrong := range []url.Values{{"title": {""}}, {"title": {"x"}, "starts": {"tomorrow"}}, {"title": {"x"}, "starts": {"2099-01-02T10:00"}}, {"title": {"x"}, "apis": {"nothing/v1"}}} {
		if status, page, _ := s.ask(&boss, "POST", "/notices", wrong); status != http.StatusUnprocessableEntity || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%v: %d", wrong, status)
		}
	}
	if status, page, _ := s.ask(&boss, "POST", "/notices", url.Values{"title": {"Year's end <i>"}, "body": {"We count."}, "apis": {"orders/v1"}, "starts": {"2099-01-02T10:00"}, "ends": {"2099-01-02T12:00"}}); status != http.StatusSeeOther {
		t.Errorf("%d %s", status, page)
	}
	s.shows(&me, "/notices", "Year&#39;s end &lt;i&gt;", "2099-01-02 10:00 UTC")
	s.shows(nil, "/status", "Year&#39;s end")
	s.ask(&me, "POST", "/notices/mail", url.Values{"mail": {"nothing"}})
	list, err := s.portal.wishes(&call{Context: echo.New().NewContext(httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()), portal: s.portal, visitor: &me})
	s.ok(err)
	for _, w := range list {
		if w.On {
			t.Errorf("%s is %v", w.Name, w.On)
		}
	}
}

func TestStatusNamesNoSystem(t *testing.T) {
	s := newScene(t)
	s.shows(nil, "/status", "Everything works.", ">working<")
	for _, c := range []struct {
		health SystemHealth
		says   string
	}{
		{SystemHealth{Down: true}, "not available"}, {SystemHealth{Paused: true}, "writes are held"},
		{SystemHealth{Held: 3, OldestHeld: time.Now().Add(-time.Hour)}, "writes are held"}, {SystemHealth{Waiting: 50}, ">slow<"}, {SystemHealth{Held: 3, OldestHeld: time.Now()}, "Everything works."},
	} {
		c.health.System = "hidden-erp"
		s.health = []SystemHealth{c.health}
		s.portal.sinces = sinces{}
		s.shows(nil, "/status", c.says)
	}
}
