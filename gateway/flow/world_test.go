package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/flow"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

// backend is a system that misbehaves on command. It remembers what was done.
type backend struct {
	*httptest.Server
	mu     sync.Mutex
	done   []string // method, path and body of what took effect, in order
	reads  int
	seen   http.Header           // of the last call
	twice  int                   // calls for what had been done before
	after  func(r *http.Request) // between an effect and its answer
	answer func(w http.ResponseWriter, r *http.Request, body string) bool
}

func newBackend(t testing.TB) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

// behave decides about calls before they take effect: false means that it answered.
func (b *backend) behave(answer func(w http.ResponseWriter, r *http.Request, body string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	answer := b.answer
	b.seen = r.Header.Clone()
	b.mu.Unlock()
	if answer != nil && !answer(w, r, string(data)) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		b.mu.Lock()
		b.reads++
		b.mu.Unlock()
		fmt.Fprintf(w, `{"id":%q,"limit":1000,"available":7}`, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		return
	}
	n, after := b.do(strings.TrimSpace(r.Method + " " + r.URL.Path + " " + string(data)))
	if after != nil {
		after(r)
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"number":%d}`, n)
}

// do does something once: a request names what it makes.
func (b *backend) do(effect string) (number int, after func(*http.Request)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.done, effect); i >= 0 {
		b.twice++
		return i + 1, b.after
	}
	b.done = append(b.done, effect)
	return len(b.done), b.after
}

func (b *backend) effects() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.done...)
}

// refuse answers calls that a test picks with a status.
func refuse(status int, pick func(r *http.Request) bool) func(w http.ResponseWriter, r *http.Request, body string) bool {
	return func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if !pick(r) {
			return true
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, `{"message":"no"}`)
		return false
	}
}

const erpAPI = `openapi: 3.0.3
info: {title: ERP orders, version: 1.0.0}
x-headrace: {system: erp, timeout: 30s, wait: 30s}
paths:
  /credit/{customer}:
    get:
      operationId: getCredit
      parameters: [{name: customer, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: any, content: {application/json: {schema: {type: object}}}}}
  /orders:
    post:
      operationId: createOrder
      x-headrace: {lane: $request.body#/orderId, timeout: 2s, idempotency: {class: natural-key}}
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [orderId]}}}}
      responses: {"201": {description: any, content: {application/json: {schema: {type: object}}}}}
  /orders/{orderId}:
    delete:
      operationId: cancelOrder
      x-headrace: {lane: $request.path.orderId, timeout: 2s, idempotency: {class: natural-key}}
      parameters: [{name: orderId, in: path, required: true, schema: {type: string}}]
      responses: {"201": {description: any, content: {application/json: {schema: {type: object}}}}}
`

const wmsAPI = `openapi: 3.0.3
info: {title: WMS stock, version: 1.0.0}
x-headrace: {system: wms, timeout: 30s, wait: 30s}
paths:
  /stock/{sku}:
    get:
      operationId: getStock
      parameters: [{name: sku, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: any, content: {application/json: {schema: {type: object}}}}}
  /reservations:
    post:
      operationId: reserve
      x-headrace: {lane: $request.body#/orderId, timeout: 2s, idempotency: {class: natural-key}}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {"201": {description: any, content: {application/json: {schema: {type: object}}}}}
  /releases:
    post:
      operationId: release
      x-headrace: {lane: $request.body#/orderId, timeout: 2s, idempotency: {class: natural-key}}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {"201": {description: any, content: {application/json: {schema: {type: object}}}}}
  /waves:
    post:
      operationId: startWave
      x-headrace: {lane: $request.body#/orderId, timeout: 2s, idempotency: {class: natural-key}}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {"201": {description: any, content: {application/json: {schema: {type: object}}}}}
`

const bookingAPI = `openapi: 3.0.3
info: {title: Booking, version: 1.0.0}
x-headrace: {layer: process, wait: 30s}
paths:
  /bookings:
    post:
      operationId: book
      x-headrace: {flow: book}
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [orderId, customer, sku], properties: {orderId: {type: string}, customer: {type: string}, sku: {type: string}}}}}
      responses: {"201": {description: booked, content: {application/json: {schema: {type: object}}}}}
  /availability/{sku}:
    get:
      operationId: availability
      x-headrace: {flow: availability}
      parameters: [{name: sku, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: any, content: {application/json: {schema: {type: object}}}}}
`

const bookingFlows = `arazzo: 1.0.1
info: {title: Booking, version: 1.0.0}
sourceDescriptions:
  - {name: erp, url: "headrace:orders/v1", type: openapi}
  - {name: wms, url: "headrace:stock/v1", type: openapi}
workflows:
  - workflowId: book
    inputs:
      type: object
      required: [orderId, customer, sku]
      properties: {orderId: {type: string}, customer: {type: string}, sku: {type: string}}
    steps:
      - stepId: credit
        operationId: $sourceDescriptions.erp.getCredit
        parameters: [{name: customer, in: path, value: $inputs.customer}]
        outputs: {limit: $response.body#/limit}
      - stepId: stock
        operationId: $sourceDescriptions.wms.getStock
        parameters: [{name: sku, in: path, value: $inputs.sku}]
        outputs: {available: $response.body#/available}
        successCriteria: [{condition: $statusCode == 200}, {condition: "$response.body#/available > 0"}]
      - stepId: reserve
        operationId: $sourceDescriptions.wms.reserve
        requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, sku: $inputs.sku}}
        outputs: {reservation: $response.body#/number}
        x-headrace:
          compensation:
            operationId: $sourceDescriptions.wms.release
            requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, reservation: $steps.reserve.outputs.reservation}}
      - stepId: order
        operationId: $sourceDescriptions.erp.createOrder
        requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, limit: $steps.credit.outputs.limit}}
        outputs: {number: $response.body#/number}
        x-headrace:
          compensation:
            operationId: $sourceDescriptions.erp.cancelOrder
            parameters: [{name: orderId, in: path, value: $inputs.orderId}]
      - stepId: wave
        operationId: $sourceDescriptions.wms.startWave
        requestBody: {contentType: application/json, payload: {orderId: $inputs.orderId, order: $steps.order.outputs.number}}
        outputs: {wave: $response.body#/number}
    outputs:
      order: $steps.order.outputs.number
      reservation: $steps.reserve.outputs.reservation
      available: $steps.stock.outputs.available
    x-headrace: {answer: {body: '{booked: .order, left: (.available - 1), id: $inputs.orderId}'}}
  - workflowId: availability
    inputs: {type: object, required: [sku], properties: {sku: {type: string}}}
    steps:
      - stepId: wms
        operationId: $sourceDescriptions.wms.getStock
        parameters: [{name: sku, in: path, value: $inputs.sku}]
        outputs: {available: $response.body#/available}
        x-headrace: {optional: true, timeout: 30s, fallback: {available: unknown}}
      - stepId: erp
        operationId: $sourceDescriptions.erp.getCredit
        parameters: [{name: customer, in: path, value: $inputs.sku}]
        outputs: {available: $response.body#/available}
        x-headrace: {optional: true, timeout: 30s, fallback: {available: unknown}}
    outputs: {wms: $steps.wms.outputs.available, erp: $steps.erp.outputs.available}
`

const shopAPI = `openapi: 3.0.3
info: {title: Shop, version: 1.0.0}
x-headrace: {layer: experience, wait: 30s}
paths:
  /buy:
    post:
      operationId: buy
      x-headrace: {flow: buy}
      requestBody: {required: true, content: {application/json: {schema: {type: object, properties: {id: {type: string}}}}}}
      responses: {"200": {description: bought, content: {application/json: {schema: {type: object}}}}}
`

const shopFlows = `arazzo: 1.0.1
info: {title: Shop, version: 1.0.0}
sourceDescriptions: [{name: booking, url: "headrace:booking/v1", type: openapi}]
workflows:
  - workflowId: buy
    inputs: {type: object, required: [id], properties: {id: {type: string}}}
    steps:
      - stepId: book
        operationId: $sourceDescriptions.booking.book
        requestBody: {contentType: application/json, payload: {orderId: $inputs.id, customer: web, sku: A1}}
        outputs: {left: $response.body#/left}
    outputs: {stillThere: $steps.book.outputs.left}
`

const consumers = `organisations: {acme: {}}
apps:
  shop: {organisation: acme}
  other: {organisation: acme}
`

// world is a gateway with flows over two systems.
type world struct {
	t        testing.TB
	erp, wms *backend
	// url is the ledger's; a SQLite file when empty.
	url, replica string
	ledger       *ledger.DB
	buffer       *buffer.Buffer
	flows        *flow.Flows
	set          *flow.Set // of the table
	fleet        *system.Fleet
	front        *httptest.Server
	gate         *gateway.Gateway
	files        fstest.MapFS
	linger       time.Duration
	lease        time.Duration
}

// identify believes the header X-Test-App.
func identify() gateway.Kind {
	return gateway.Define(gateway.Kind{Name: "test-app", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI, Default: true, Challenge: "Test"},
		func(b *gateway.Binding, _ struct{}) gateway.Policy {
			return func(next gateway.Handler) gateway.Handler {
				return func(x *gateway.Exchange) (*gateway.Response, error) {
					if app := b.Consumers.Apps[x.Request.Header.Get("X-Test-App")]; app != nil {
						if err := x.Recognise(app, 0, nil); err != nil {
							return nil, err
						}
						x.Subscription = b.Consumers.Subscription(app, b.API)
					}
					return next(x)
				}
			}
		})
}

// subscription is the policy of that name, as far as it matters here.
func subscription() gateway.Kind {
	return gateway.Define(gateway.Kind{Name: "subscription", Stage: gateway.StageSubscription, Levels: gateway.LevelAPI},
		func(b *gateway.Binding, _ struct{}) gateway.Policy {
			return func(next gateway.Handler) gateway.Handler {
				return func(x *gateway.Exchange) (*gateway.Response, error) {
					if x.App == nil || b.Consumers.Revoked(x.App.Name, b.API.Name+"/"+b.API.Major) != "" {
						return nil, &gateway.Error{Problem: gateway.NotSubscribed}
					}
					return next(x)
				}
			}
		})
}

type quiet struct{}

func (quiet) Prepare(*gateway.Operation) {}
func (quiet) Begin(*gateway.Exchange)    {}
func (quiet) End(*gateway.Exchange)      {}

func newWorld(t testing.TB, change func(*world)) *world {
	w := &world{t: t, erp: newBackend(t), wms: newBackend(t), linger: 50 * time.Millisecond, lease: 5 * time.Second}
	w.url = "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	w.files = fstest.MapFS{
		"headrace.yaml":                        {Data: []byte("{}")},
		"consumers.yaml":                       {Data: []byte(consumers)},
		"systems/erp.yaml":                     {Data: []byte("url: " + w.erp.URL + "\nbreaker: {off: true}\n")},
		"systems/wms.yaml":                     {Data: []byte("url: " + w.wms.URL + "\nbreaker: {off: true}\n")},
		"apis/orders/1.0.0/openapi.yaml":       {Data: []byte(erpAPI)},
		"apis/stock/1.0.0/openapi.yaml":        {Data: []byte(wmsAPI)},
		"apis/booking/1.0.0/openapi.yaml":      {Data: []byte(bookingAPI)},
		"apis/booking/1.0.0/flows.arazzo.yaml": {Data: []byte(bookingFlows)},
		"apis/shop/1.0.0/openapi.yaml":         {Data: []byte(shopAPI)},
		"apis/shop/1.0.0/flows.arazzo.yaml":    {Data: []byte(shopFlows)},
	}
	if change != nil {
		change(w)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	if w.ledger, err = ledger.Open(w.t.Context(), w.url, ledger.Options{Replica: w.replica, Lease: w.lease, Grace: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	w.fleet = system.Open(system.Options{})
	w.buffer = buffer.New(buffer.Options{
		Ledger: w.ledger, Lease: w.lease, Grace: 50 * time.Millisecond, LineWait: time.Second, Backoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
		Look: 100 * time.Millisecond,
	})
	w.flows = flow.New(flow.Options{Ledger: w.ledger, Buffer: w.buffer, Lease: w.lease, Look: 100 * time.Millisecond, Linger: w.linger, Backoff: 20 * time.Millisecond})
	w.gate = gateway.New(gateway.Options{Recorder: quiet{}})
	w.load()
	w.front = httptest.NewServer(w.gate)
}

// load builds the files and swaps the table in.
func (w *world) load() {
	w.t.Helper()
	var ps source.Problems
	table, set, flows := w.build(&ps)
	for _, p := range ps.List() {
		w.t.Error(p)
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
	w.gate.Swap(table)
	w.buffer.Use(set)
	w.flows.Use(flows)
	w.set = flows
}

// refuses expects the files to be refused with a problem.
func (w *world) refuses(problem string) {
	w.t.Helper()
	var ps source.Problems
	table, _, _ := w.build(&ps)
	table.Close()
	if err := ps.Err(); err == nil || !strings.Contains(err.Error(), problem) {
		w.t.Errorf("%v, want %q", err, problem)
	}
}

// build makes the table of the files, with what is wrong with them.
func (w *world) build(ps *source.Problems) (table *gateway.Table, set *buffer.Set, flows *flow.Set) {
	writes, writesDir := buffer.Document()
	runs, runsDir := flow.Document()
	table, _ = workspace.Build(workspace.Load(w.files, ps), workspace.Options{
		Kinds: []gateway.Kind{identify(), subscription()},
		Systems: func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) workspace.SystemLayer {
			set = w.buffer.Build(w.fleet.Build(fsys, systems, ps))
			return set
		},
		Flows: func(fsys fs.FS, apis []*gateway.API, c *gateway.Consumers, _ workspace.SystemLayer, ps *source.Problems) workspace.FlowLayer {
			flows = w.flows.Build(fsys, apis, c, set, ps)
			return flows
		},
		Own: []workspace.Own{{Files: writes, Dir: writesDir, Layer: w.buffer.Resource()}, {Files: runs, Dir: runsDir, Layer: w.flows.Resource()}},
	}, ps)
	return table, set, flows
}

// stop ends the world as a process would that is asked to.
func (w *world) stop() {
	if w.front == nil {
		return
	}
	w.flows.Drain()
	w.buffer.Drain()
	w.front.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	w.flows.Close(ctx)
	w.buffer.Close(ctx)
	w.gate.Stop()
	w.ledger.Close()
	w.fleet.Close()
	w.front = nil
}

// crash ends the world as a killed process would: nothing is kept any more.
func (w *world) crash() {
	w.t.Helper()
	w.ledger.Close()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	w.flows.Close(ended)
	w.buffer.Close(ended)
	w.front.CloseClientConnections()
	w.front.Close()
	w.gate.Stop()
}

// reply is an answer with its body.
type reply struct {
	*http.Response
	body string
}

// call makes a request as an app, with headers given as "Name: value".
func (w *world) call(method, path, body, app string, headers ...string) reply {
	w.t.Helper()
	r, err := http.NewRequest(method, w.front.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range append(headers, "X-Test-App: "+app) {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, strings.TrimSpace(value))
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp, string(data)}
}

// book begins a booking of an order.
func (w *world) book(order string, headers ...string) reply {
	w.t.Helper()
	return w.call("POST", "/booking/v1/bookings", fmt.Sprintf(`{"orderId":%q,"customer":"c1","sku":"A1"}`, order), "shop", headers...)
}

func (w *world) want(r reply, status int, parts ...string) {
	w.t.Helper()
	if r.StatusCode != status {
		w.t.Fatalf("answered %d %s, want %d", r.StatusCode, r.body, status)
	}
	for _, part := range parts {
		if !strings.Contains(r.body, part) {
			w.t.Fatalf("answered %s, without %s", r.body, part)
		}
	}
}

// runView is what the resource tells of a run.
type runView struct {
	ID, State, Reason, Cause string
	NeedsAttention           bool
	Outcome                  *struct {
		Status int
		Body   json.RawMessage
	}
	Steps []struct{ Visit, State, Write string }
}

func (w *world) run(location string) runView {
	w.t.Helper()
	r := w.call("GET", location, "", "shop")
	w.want(r, 200)
	var v runView
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// becomes waits until a run is in a state.
func (w *world) becomes(location, state string) runView {
	w.t.Helper()
	var v runView
	w.eventually("the run is "+state, func() bool { v = w.run(location); return v.State == state }, func() string { return fmt.Sprintf("%+v", v) })
	return v
}

func (w *world) eventually(what string, holds func() bool, last ...func() string) {
	w.t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, f := range last {
		what += "; last: " + f()
	}
	w.t.Fatal("never: " + what)
}

// did expects what has taken effect at a system.
func (w *world) did(b *backend, effects ...string) {
	w.t.Helper()
	if got := b.effects(); strings.Join(got, "\n") != strings.Join(effects, "\n") {
		w.t.Fatalf("it did\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(effects, "\n"))
	}
}
