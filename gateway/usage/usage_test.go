package usage

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/gatewaytest"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

const document = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    post:
      operationId: putOrder
      parameters: [{name: expand, in: query, schema: {type: string}}]
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                shipTo: {type: object, properties: {city: {type: string}, zip: {type: string}}}
                lines: {type: array, items: {type: object, properties: {sku: {type: string}}}}
      responses: {'200': {description: fine}}
  /stock:
    get: {operationId: getStock, responses: {'200': {description: fine}}}
`

const apps = `
organisations: {acme: {}}
apps:
  shop: {organisation: acme}
  edi: {organisation: acme}
`

type recorder struct{}

func (recorder) Prepare(*gateway.Operation) {}
func (recorder) Begin(*gateway.Exchange)    {}
func (recorder) End(*gateway.Exchange)      {}

type world struct {
	*testing.T
	ctx     context.Context
	ledger  *ledger.DB
	meter   *Meter
	gateway *gateway.Gateway
	url     string
	status  int
	calls   atomic.Int64 // that were counted
}

func newWorld(t *testing.T, o Options) *world {
	w := &world{T: t, ctx: t.Context(), status: 200}
	var err error
	w.ledger, err = ledger.Open(w.ctx, "sqlite:"+filepath.Join(t.TempDir(), "l.db"), ledger.Options{Replica: "one", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ledger.Close() })
	if o.Every == 0 {
		o.Every = time.Hour
	}
	o.Ledger = w.ledger
	w.meter = Open(o)
	t.Cleanup(func() { w.meter.Close(context.Background()) })
	w.gateway = gateway.New(gateway.Options{Recorder: recorder{}, Meter: w.meter})
	server := httptest.NewServer(w.gateway)
	t.Cleanup(server.Close)
	w.url = server.URL + "/orders/v1"
	w.serve(document, apps)
	return w
}

func (w *world) site(document, consumers string) gatewaytest.Site {
	return gatewaytest.Site{
		Document: document, Consumers: consumers, Kinds: []gateway.Kind{checks()},
		Answer: func(*gateway.Exchange) (*gateway.Response, error) {
			return &gateway.Response{Status: w.status, Header: http.Header{}}, nil
		},
	}
}

// checks is a policy that validates requests.
func checks() gateway.Kind {
	return gateway.Define(gateway.Kind{Name: "checks", Stage: gateway.StageValidate, Levels: gateway.LevelAPI, Default: true},
		func(b *gateway.Binding, _ struct{}) gateway.Policy {
			return func(next gateway.Handler) gateway.Handler {
				return func(x *gateway.Exchange) (*gateway.Response, error) {
					body, err := x.Body()
					if err != nil {
						return nil, err
					}
					if f := b.Operation.CheckRequest(x.Request, x.Params, body, specs.CheckOptions{Seen: &x.Record.Seen}); f != nil {
						return nil, &gateway.Error{Problem: gateway.InvalidBody, Detail: f.Detail}
					}
					return next(x)
				}
			}
		})
}

func (w *world) serve(document, consumers string, candidates ...*gateway.Candidate) {
	w.Helper()
	table, problems := w.site(document, consumers).Table()
	if len(problems) > 0 {
		w.Fatal(problems)
	}
	table.APIs[0].Candidates = candidates
	w.gateway.Swap(table)
}

func (w *world) call(app, method, path, body string) int {
	w.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(w.ctx, method, w.url+path, content)
	if err != nil {
		w.Fatal(err)
	}
	if app != "" {
		r.Header.Set("X-Test-App", app)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	w.calls.Add(1)
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// flush writes until all calls are in the ledger: an answer may be read before
// its exchange is counted.
func (w *world) flush() {
	w.Helper()
	w.eventually("all calls are counted", func() bool {
		if err := w.meter.Flush(w.ctx); err != nil {
			w.Fatal(err)
		}
		list, err := w.ledger.Usages(w.ctx, ledger.UsageFilter{})
		if err != nil {
			w.Fatal(err)
		}
		n := int64(0)
		for _, u := range list {
			n += u.Calls
		}
		return n == w.calls.Load()
	})
}

func (w *world) version(app string) Version {
	w.Helper()
	v, err := Book{Ledger: w.ledger}.Version(w.ctx, "orders", "1.0.0", app, Period{})
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) same(what string, got, want any) {
	w.Helper()
	if !reflect.DeepEqual(got, want) {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatal("never: " + what)
		}
	}
}

func summary(v Version) []string {
	var list []string
	for _, o := range v.Operations {
		for _, a := range o.Apps {
			list = append(list, fmt.Sprintf("%s %s %d %d %d", o.Operation, a.App, a.Calls, a.ClientErrors, a.ServerErrors))
		}
		for _, f := range o.Fields {
			for _, a := range f.Apps {
				list = append(list, fmt.Sprintf("%s %s %s %d", o.Operation, f.Field, a.App, a.Calls))
			}
		}
	}
	return list
}

// Calls, errors and fields are counted by app, over tables and restarts.
func TestCounts(t *testing.T) {
	w := newWorld(t, Options{})
	w.same("ok", w.call("shop", "POST", "/orders/7?expand=lines", `{"shipTo": {"city": "Ulm"}, "lines": [{"sku": "A"}, {}]}`), 200)
	w.same("ok", w.call("shop", "POST", "/orders/7", `{"shipTo": {"city": "Ulm", "zip": "1"}}`), 200)
	w.same("refused", w.call("edi", "POST", "/orders/7", `{"shipTo": 1}`), 422)
	w.same("unknown caller", w.call("", "GET", "/stock", ""), 200)
	w.status = 503
	w.same("failed", w.call("shop", "GET", "/stock", ""), 503)
	w.serve(document, apps)
	w.same("another table", w.call("shop", "GET", "/stock", ""), 503)
	w.flush()
	w.same("counted", summary(w.version("")), []string{
		"getStock shop 2 0 2", "getStock  1 0 0",
		"putOrder shop 2 0 0", "putOrder edi 1 1 0",
		"putOrder /lines shop 1", "putOrder /lines/*/sku shop 1", "putOrder /shipTo shop 2", "putOrder /shipTo edi 1",
		"putOrder /shipTo/city shop 2", "putOrder /shipTo/zip shop 1", "putOrder ?expand shop 1",
	})
	w.same("of an app", summary(w.version("edi")), []string{"putOrder edi 1 1 0", "putOrder /shipTo edi 1"})
	v := w.version("edi")
	v.Without(func(string) []string { return []string{"/shipTo", "/lines"} })
	w.same("unused", v.Operations[0].Unused, []string{"/lines"})
	again := Open(Options{Ledger: w.ledger, Every: time.Hour})
	w.gateway = nil // what follows does not go through it
	if err := again.Close(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.same("after a restart", w.version("").Calls, int64(6))
}

// The ledger is written by itself, and at the end.
func TestWrites(t *testing.T) {
	w := newWorld(t, Options{Every: time.Millisecond})
	w.call("shop", "GET", "/stock", "")
	w.eventually("written", func() bool { return w.version("").Calls == 1 })
	last := Open(Options{Ledger: w.ledger, Every: time.Hour})
	table, _ := w.site(document, apps).Table()
	last.Prepare(table)
	last.Count(&gateway.Exchange{Operation: table.Operations[0], App: table.Consumers.Apps["edi"]})
	if err := last.Close(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.same("the last ones", len(w.version("edi").Operations), 1)
}

// What cannot be written is kept and written later.
func TestLedgerAway(t *testing.T) {
	w := newWorld(t, Options{})
	w.call("shop", "GET", "/stock", "")
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	w.eventually("counted", func() bool { return w.meter.Flush(ended) != nil })
	w.call("shop", "GET", "/stock", "")
	w.flush()
	w.same("nothing is lost or counted twice", w.version("").Calls, int64(2))
}

// Apps beyond the bound are counted together.
func TestOverflow(t *testing.T) {
	w := newWorld(t, Options{Counters: 3})
	names := "organisations: {acme: {}}\napps:\n"
	for i := range 10 {
		names += fmt.Sprintf("  app%d: {organisation: acme}\n", i)
	}
	w.serve(document, names)
	for i := range 10 {
		w.call(fmt.Sprint("app", i), "GET", "/stock", "")
	}
	w.flush()
	w.same("apps", summary(w.version("")), []string{"getStock (others) 7 0 0", "getStock app0 1 0 0", "getStock app1 1 0 0", "getStock app2 1 0 0"})
}

// Counting is right when many call at once while tables come and go.
func TestConcurrent(t *testing.T) {
	w := newWorld(t, Options{Every: time.Millisecond})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				w.call([]string{"shop", "edi"}[i%2], "POST", "/orders/1", `{"shipTo": {}}`)
			}
		})
	}
	for range 20 {
		w.serve(document, apps)
	}
	wg.Wait()
	w.flush()
	w.same("counted", summary(w.version("")), []string{"putOrder edi 100 0 0", "putOrder shop 100 0 0", "putOrder /shipTo edi 100", "putOrder /shipTo shop 100"})
}

// A version is in use by whoever called its major lately.
func TestInUse(t *testing.T) {
	w := newWorld(t, Options{})
	day := func(ago int) time.Time { return time.Now().UTC().AddDate(0, 0, -ago).Truncate(24 * time.Hour) }
	add := func(version, app string, ago int, calls int64) {
		_, err := w.ledger.AddUsage(w.ctx, []ledger.Usage{{UsageKey: ledger.UsageKey{Sort: ledger.Calls, API: "orders", Version: version, Operation: "getStock", App: app}, Day: day(ago), Calls: calls, Last: day(ago)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	add("1.0.0", "shop", 3, 2)
	add("1.1.0", "shop", 1, 3)
	add("1.0.0", "old", 31, 9)
	add("2.0.0", "new", 1, 9)
	for _, c := range []ledger.Usage{ // nobody knows who; only the second was let in at all
		{UsageKey: ledger.UsageKey{Operation: "putStock"}, Calls: 7, Refused: 7},
		{UsageKey: ledger.UsageKey{Operation: "listStock"}, Calls: 2, Refused: 1},
	} {
		c.Sort, c.API, c.Version, c.Day, c.Last = ledger.Calls, "orders", "1.1.0", day(1), day(1)
		if _, err := w.ledger.AddUsage(w.ctx, []ledger.Usage{c}); err != nil {
			t.Fatal(err)
		}
	}
	uses, err := Book{Ledger: w.ledger}.InUse(w.ctx, "orders", "1.1.0", DefaultDays)
	if err != nil {
		t.Fatal(err)
	}
	w.same("in use", uses, []Use{{App: "shop", Operation: "getStock", Calls: 5, Last: day(1).Local()}, {Operation: "listStock", Calls: 2, Last: day(1).Local()}})
}

// Days that are over are forgotten.
func TestKeep(t *testing.T) {
	w := newWorld(t, Options{Keep: 24 * time.Hour})
	old := time.Now().UTC().AddDate(0, 0, -3)
	key := ledger.UsageKey{Sort: ledger.Calls, API: "orders", Version: "1.0.0", Operation: "x", App: "shop"}
	if _, err := w.ledger.AddUsage(w.ctx, []ledger.Usage{{UsageKey: key, Day: old, Calls: 1, Last: old}}); err != nil {
		t.Fatal(err)
	}
	if err := w.meter.Flush(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.same("gone", len(w.version("").Operations), 0)
}

// candidate is a version of the API that demands more than the one that is served.
func (w *world) candidate(document string) *gateway.Candidate {
	var ps source.Problems
	d := specs.Load(fstest.MapFS{"apis/orders/1.1.0/openapi.yaml": {Data: []byte(document)}}, "apis/orders/1.1.0", &ps)
	if err := ps.Err(); err != nil {
		w.Fatal(err)
	}
	c := &gateway.Candidate{Name: "orders", Version: "1.1.0", Tree: new(specs.Tree[*specs.Operation])}
	for _, op := range d.Operations {
		if err := c.Tree.Add(op.Method, "/orders/v1"+op.Pattern, op); err != nil {
			w.Fatal(err)
		}
	}
	return c
}

// A candidate is tried on live traffic, and decides nothing.
func TestShadow(t *testing.T) {
	w := newWorld(t, Options{})
	stricter := strings.Replace(document, "properties: {sku: {type: string}}", "required: [sku], properties: {sku: {type: string}}", 1)
	stricter = stricter[:strings.Index(stricter, "  /stock:")]
	w.serve(document, apps, w.candidate(stricter))
	w.same("good", w.call("shop", "POST", "/orders/7", `{"lines": [{"sku": "A"}]}`), 200)
	w.same("would be refused", w.call("edi", "POST", "/orders/7", `{"lines": [{}, {}]}`), 200)
	w.same("is refused anyway", w.call("edi", "POST", "/orders/7", `{"lines": 1}`), 422)
	w.same("would not be there", w.call("edi", "GET", "/stock", ""), 200)
	var r Report
	w.eventually("tried", func() bool {
		w.flush()
		var err error
		if r, err = (Book{Ledger: w.ledger}).Report(w.ctx, "orders", "1.1.0", Period{}); err != nil {
			t.Fatal(err)
		}
		return r.Checked == 3
	})
	w.same("refused", r.Refused, int64(2))
	var places []string
	for _, p := range r.Places {
		places = append(places, fmt.Sprint(p.App, " ", p.Operation, " ", p.Pointer, " ", p.Calls))
	}
	w.same("places", places, []string{"edi getStock (operation) 1", "edi putOrder /lines/* 1"})
	w.same("calls are counted once", w.version("").Calls, int64(4))
}

// Callers do not wait for candidates: what comes while they are busy is left out.
func TestShadowIsBounded(t *testing.T) {
	s := newShadow() // nobody takes what is handed in
	op := &gateway.Operation{API: &gateway.API{Candidates: []*gateway.Candidate{{}}}}
	r := httptest.NewRequest("GET", "/", nil)
	for range shadowQueue + 5 {
		x := &gateway.Exchange{Request: r, Operation: op}
		x.Record.Decision = "answered"
		s.offer(x)
	}
	if len(s.queue) != shadowQueue || s.dropped.Load() != 5 {
		t.Fatal(len(s.queue), s.dropped.Load())
	}
	for i := range shadowPlaces + 10 {
		s.count(ledger.UsageKey{API: "a", Version: "1"}, []string{fmt.Sprint("/", i)})
	}
	if n := s.counts[ledger.UsageKey{API: "a", Version: "1", Field: more}].Calls; n != 10 || len(s.counts) != shadowPlaces+2 {
		t.Fatal(n, len(s.counts))
	}
}

// Counting a call costs no memory.
func TestCountAllocatesNothing(t *testing.T) {
	w := newWorld(t, Options{})
	table, _ := w.site(document, apps).Table()
	w.meter.Prepare(table)
	x := &gateway.Exchange{Operation: table.Operations[0], App: table.Consumers.Apps["shop"]}
	x.Record.Started, x.Record.Status = time.Now(), 200
	x.Record.Seen.Add(1)
	if n := testing.AllocsPerRun(100, func() { w.meter.Count(x) }); n > 0 {
		t.Error(n)
	}
}

func BenchmarkCount(b *testing.B) {
	db, err := ledger.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "l.db"), ledger.Options{Replica: "one"})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	m := Open(Options{Ledger: db})
	defer m.Close(b.Context())
	table, problems := (&world{}).site(document, apps).Table()
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	m.Prepare(table)
	x := &gateway.Exchange{Operation: table.Operations[0], App: table.Consumers.Apps["shop"]}
	x.Record.Started, x.Record.Status = time.Now(), 200
	for i := range 6 {
		x.Record.Seen.Add(i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Count(x)
		}
	})
}
