package buffer_test

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
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/system"
	"github.com/headrace/headrace/gateway/workspace"
	"github.com/headrace/headrace/specs/source"
)

// erp is a system that misbehaves on command. It remembers what was done.
type erp struct {
	*httptest.Server
	mu   sync.Mutex
	done []string // method, path and body of what took effect, in order
	seen int      // calls, whatever became of them
	keys map[string]int
	// answer decides about a call before it takes effect: false means that it
	// answered by itself. after decides about the answer of one that did.
	answer func(w http.ResponseWriter, r *http.Request, body string) bool
	after  func(w http.ResponseWriter, r *http.Request, body string) bool
}

func newERP(t testing.TB) *erp {
	e := &erp{keys: map[string]int{}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

// behave changes how the system behaves from now on.
func (e *erp) behave(answer, after func(w http.ResponseWriter, r *http.Request, body string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer, e.after = answer, after
}

func (e *erp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	body := string(data)
	e.mu.Lock()
	e.seen++
	answer, after := e.answer, e.after
	e.mu.Unlock()
	if answer != nil && !answer(w, r, body) {
		return
	}
	if r.Method == http.MethodGet {
		e.read(w, r)
		return
	}
	effect := r.Method + " " + r.URL.Path + " " + body
	e.mu.Lock()
	key := r.Header.Get("X-Once")
	if e.keys[key] == 0 || key == "" {
		e.done = append(e.done, effect)
		if key != "" {
			e.keys[key] = len(e.done)
		}
	}
	n := len(e.done)
	e.mu.Unlock()
	if after != nil && !after(w, r, body) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Erp", "one")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"number":%d}`, n)
}

// read tells how often something was done to a path.
func (e *erp) read(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, effect := range e.done {
		if strings.Contains(effect, `"`+r.URL.Query().Get("id")+`"`) {
			n++
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"count":%d}`, n)
}

// forget makes it know no idempotency key any more.
func (e *erp) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.keys)
}

func (e *erp) effects() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.done...)
}

// vanish breaks the connection without an answer.
func vanish(http.ResponseWriter, *http.Request, string) bool { panic(http.ErrAbortHandler) }

const document = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, timeout: 5s, wait: 2s}
paths:
  /orders:
    get:
      operationId: findOrders
      parameters: [{name: id, in: query, schema: {type: string}}]
      responses: {default: {description: any}}
    post:
      operationId: createOrder
      x-headrace: {lane: $request.body#/id}
      requestBody: &body {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {default: {description: any}}
  /keyed:
    post:
      operationId: keyed
      x-headrace: {timeout: 400ms, idempotency: {class: header, header: X-Once, ttl: 10m}, lane: $request.body#/id}
      requestBody: *body
      responses: {default: {description: any}}
  /forgetful:
    post:
      operationId: forgetful
      x-headrace: {timeout: 400ms, idempotency: {class: header, header: X-Once, ttl: 1s}, lane: $request.body#/id}
      requestBody: *body
      responses: {default: {description: any}}
  /forgetful-asked:
    post:
      operationId: forgetfulAsked
      x-headrace:
        timeout: 400ms
        idempotency: {class: header, header: X-Once, ttl: 1s}
        lane: $request.body#/id
        confirm: {operation: findOrders, with: {id: $request.body#/id}, when: .count > 0}
      requestBody: *body
      responses: {default: {description: any}}
  /natural:
    post:
      operationId: natural
      x-headrace: {timeout: 400ms, idempotency: {class: natural-key, key: required}, lane: $request.body#/id}
      requestBody: *body
      responses: {default: {description: any}}
  /confirmed:
    post:
      operationId: confirmed
      x-headrace:
        lane: $request.body#/id
        timeout: 400ms
        idempotency: {class: confirm, key: 'off'}
        confirm: {operation: findOrders, with: {id: $request.body#/id}, when: .count > 0}
      requestBody: *body
      responses: {default: {description: any}}
  /going-on:
    post:
      operationId: goingOn
      x-headrace: {lane: $request.body#/id, on_failure: continue}
      requestBody: *body
      responses: {default: {description: any}}
  /sequence:
    post:
      operationId: sequence
      x-headrace: {lane: $request.body#/id, sequence: $request.body#/revision}
      requestBody: *body
      responses: {default: {description: any}}
  /stock:
    post:
      operationId: stock
      x-headrace: {lane: $request.body#/id, coalesce: latest}
      requestBody: *body
      responses: {default: {description: any}}
`

const consumers = `organisations: {acme: {}}
apps:
  shop: {organisation: acme}
  other: {organisation: acme}
`

// world is a gateway with a buffer in front of an ERP.
type world struct {
	t    testing.TB
	erp  *erp
	path string // of the ledger
	// url and replica are those of a ledger on Postgres; empty for SQLite.
	url, replica string
	ledger       *ledger.DB
	buffer       *buffer.Buffer
	fleet        *system.Fleet
	front        *httptest.Server
	gate         *gateway.Gateway
	files        fstest.MapFS
	o            buffer.Options
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

// subscribed asks for nothing; plans count where it stands.
func subscribed() gateway.Kind {
	return gateway.Define(gateway.Kind{Name: "subscription", Stage: gateway.StageSubscription, Levels: gateway.LevelAPI, Doc: "d"},
		func(*gateway.Binding, struct{}) gateway.Policy {
			return func(next gateway.Handler) gateway.Handler { return next }
		})
}

type quiet struct{}

func (quiet) Prepare(*gateway.Operation) {}
func (quiet) Begin(*gateway.Exchange)    {}
func (quiet) End(*gateway.Exchange)      {}

// newWorld starts a world; limits are those of the system.
func newWorld(t testing.TB, change func(*world)) *world {
	w := &world{t: t, erp: newERP(t), path: filepath.Join(t.TempDir(), "ledger.db")}
	w.o = buffer.Options{
		Lease: time.Minute, Grace: 50 * time.Millisecond, LineWait: time.Second, Backoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
		Look: 100 * time.Millisecond, Settings: buffer.DefaultSettings,
	}
	w.files = fstest.MapFS{
		"headrace.yaml":                  {Data: []byte("{}")},
		"consumers.yaml":                 {Data: []byte(consumers)},
		"systems/erp.yaml":               {Data: []byte("url: " + w.erp.URL + "\nbreaker: {off: true}\n")},
		"apis/orders/1.0.0/openapi.yaml": {Data: []byte(document)},
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
	url := w.url
	if url == "" {
		url = "sqlite:" + w.path
	}
	var err error
	if w.ledger, err = ledger.Open(w.t.Context(), url, ledger.Options{Replica: w.replica, Lease: w.o.Lease, Grace: w.o.Grace, Log: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	w.o.Ledger = w.ledger
	w.fleet = system.Open(system.Options{})
	w.buffer = buffer.New(w.o)
	w.gate = gateway.New(gateway.Options{Recorder: quiet{}})
	w.load()
	w.front = httptest.NewServer(w.gate)
}

// load builds the files and swaps the table in.
func (w *world) load() {
	w.t.Helper()
	table, set := w.build()
	w.gate.Swap(table)
	w.buffer.Use(set)
}

func (w *world) build() (*gateway.Table, *buffer.Set) {
	w.t.Helper()
	var ps source.Problems
	table, set := w.compile(&ps)
	for _, p := range ps.List() {
		w.t.Error(p)
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
	return table, set
}

// compile makes the table of the files, with what is wrong with them.
func (w *world) compile(ps *source.Problems) (*gateway.Table, *buffer.Set) {
	files, dir := buffer.Document()
	var set *buffer.Set
	table, _ := workspace.Build(workspace.Load(w.files, ps), workspace.Options{
		Kinds: []gateway.Kind{identify(), subscribed()},
		Systems: func(fsys fs.FS, systems map[string]source.Node, ps *source.Problems) workspace.SystemLayer {
			set = w.buffer.Build(w.fleet.Build(fsys, systems, ps))
			return set
		},
		Own: []workspace.Own{{Files: files, Dir: dir, Layer: w.buffer.Resource()}},
	}, ps)
	return table, set
}

// refuses expects the files to be refused with a problem.
func (w *world) refuses(problem string) {
	w.t.Helper()
	var ps source.Problems
	table, _ := w.compile(&ps)
	table.Close()
	if err := ps.Err(); err == nil || !strings.Contains(err.Error(), problem) {
		w.t.Errorf("%v, want %q", err, problem)
	}
}

// stop ends the world as a process would that is asked to.
func (w *world) stop() { w.stopWithin(10 * time.Second) }

// stopWithin gives what is under way so much time.
func (w *world) stopWithin(drain time.Duration) {
	if w.front == nil {
		return
	}
	w.buffer.Drain()
	w.front.Close()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	w.buffer.Close(ctx)
	w.gate.Stop()
	w.ledger.Close()
	w.fleet.Close()
	w.front = nil
}

// reply is an answer with its body.
type reply struct {
	*http.Response
	body string
}

// call makes a request, with headers given as "Name: value". A body is JSON
// unless they say otherwise.
func (w *world) call(method, url, body string, headers ...string) reply {
	w.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, strings.TrimSpace(value))
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
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

// send sends a request as an app.
func (w *world) send(method, path, body, app string, headers ...string) reply {
	w.t.Helper()
	return w.call(method, w.front.URL+path, body, append(headers, "X-Test-App: "+app)...)
}

func (w *world) post(path, body string, headers ...string) reply {
	w.t.Helper()
	return w.send("POST", "/orders/v1"+path, body, "shop", headers...)
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

// write is what the status resource tells.
type write struct {
	ID, State, Reason, Operation, IdempotencyKey string
	NeedsAttention                               bool
	Attempts                                     int
	Place                                        int64
	Keys                                         []string
	Outcome                                      *struct {
		Status    int
		Headers   http.Header
		Body      json.RawMessage
		Problem   string
		Confirmed bool
	}
	Timeline   []struct{ State, Reason string }
	ReplacedBy string
}

func (w *world) read(location string) write {
	w.t.Helper()
	r := w.send("GET", location, "", "shop")
	w.want(r, 200)
	var v write
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		w.t.Fatal(err)
	}
	return v
}

// becomes waits until a write is in a state.
func (w *world) becomes(location, state string) write {
	w.t.Helper()
	var v write
	w.eventually("the write is "+state, func() bool { v = w.read(location); return v.State == state }, func() string { return fmt.Sprintf("%+v", v) })
	return v
}

func (w *world) eventually(what string, holds func() bool, last ...func() string) {
	w.t.Helper()
	for range 1500 {
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

// crash ends the world as a killed process would: nothing is settled any more.
func (w *world) crash() {
	w.t.Helper()
	w.ledger.Close() // what tries to settle later fails
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	w.buffer.Close(ended)
	w.front.CloseClientConnections()
	w.front.Close()
	w.gate.Stop()
}
