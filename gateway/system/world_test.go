package system

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// plan is a workspace of one system, erp, and one API, orders/v1.
type plan struct {
	// system is systems/erp.yaml without its url, which is added.
	system string
	// paths stands under paths: in the document; root under its x-headrace.
	paths, root string
	// schemes stands under components.securitySchemes.
	schemes string
	// files are further files of the workspace.
	files map[string]string
	// url replaces the URL of the system.
	url string
	// app is the caller's app.
	app string
}

func (p plan) fs(url string) fstest.MapFS {
	if p.url != "" {
		url = p.url
	}
	fsys := fstest.MapFS{}
	put := func(name, text string) { fsys[name] = &fstest.MapFile{Data: []byte(text)} }
	put("systems/erp.yaml", "url: "+url+"\n"+p.system)
	document := "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {system: erp" + p.root + "}\n"
	if p.schemes != "" {
		document += "components:\n  securitySchemes: " + p.schemes + "\n"
	}
	put("apis/orders/1.0.0/openapi.yaml", document+"paths:\n"+p.paths)
	for name, text := range p.files {
		put(name, text)
	}
	return fsys
}

// at is an operation for plan.paths: method, path, operationId and the rest of its x-headrace.
func at(method, path, id, headrace string) string {
	text := "  " + path + ":\n    " + strings.ToLower(method) + ":\n      operationId: " + id + "\n"
	var params []string
	for _, name := range templateParams(path) {
		params = append(params, "{name: "+name+", in: path, required: true, schema: {type: string}}")
	}
	if len(params) > 0 {
		text += "      parameters: [" + strings.Join(params, ", ") + "]\n"
	}
	if headrace != "" {
		text += "      x-headrace:\n        " + strings.ReplaceAll(strings.TrimSpace(headrace), "\n", "\n        ") + "\n"
	}
	return text + "      responses: {default: {description: any}}\n"
}

// build compiles a plan.
func build(fleet *Fleet, p plan, url string) (*Set, *gateway.Table, *source.Problems) {
	return buildFiles(fleet, p.fs(url), p.app)
}

// problemsOf gives what is wrong with files, one a line.
func problemsOf(t *testing.T, fsys fstest.MapFS) string {
	t.Helper()
	f := Open(Options{})
	defer f.Close()
	set, _, ps := buildFiles(f, fsys, "")
	set.Close()
	var lines []string
	for _, p := range ps.List() {
		if strings.Contains(p.Wrong, "is missing") {
			p.Right = "" // the documentation of the key
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

func buildFiles(fleet *Fleet, fsys fstest.MapFS, app string) (*Set, *gateway.Table, *source.Problems) {
	var ps source.Problems
	systems := map[string]source.Node{}
	for name := range fsys {
		if stem, ok := strings.CutPrefix(name, "systems/"); ok {
			systems[strings.TrimSuffix(stem, ".yaml")] = source.Read(fsys, name, source.DefaultLimits, &ps)
		}
	}
	set := fleet.Build(fsys, systems, &ps)
	d := specs.Load(fsys, "apis/orders/1.0.0", &ps)
	if d == nil {
		return set, nil, &ps
	}
	api := &gateway.API{Name: "orders", Version: "1.0.0", Major: "v1", Base: "/orders/v1", Document: d}
	table := &gateway.Table{Built: time.Now(), APIs: []*gateway.API{api}, Tree: new(specs.Tree[*gateway.Operation]), Close: set.Close}
	for _, spec := range d.Operations {
		op := &gateway.Operation{API: api, Spec: spec, Route: api.Base + spec.Path, Class: specs.Normal, Wait: time.Second}
		if w := spec.Governance.Wait; w != nil {
			op.Wait = w.Std()
		}
		handler := set.Bind(&gateway.Binding{API: api, Operation: spec, Problems: &ps})
		op.Handler = func(x *gateway.Exchange) (*gateway.Response, error) {
			if app != "" {
				x.App = &gateway.App{Name: app}
			}
			return handler(x)
		}
		if err := table.Tree.Add(spec.Method, op.Route, op); err != nil {
			ps.Add(spec.Node, err.Error(), "")
		}
		table.Operations = append(table.Operations, op)
	}
	set.CheckUse(&ps)
	return set, table, &ps
}

// world is a gateway in front of a system that misbehaves on command.
type world struct {
	t       testing.TB
	fleet   *Fleet
	gateway *gateway.Gateway
	set     *Set
	url     string // the gateway's, with the base of the API
	plan    plan
	system  *httptest.Server
	calls   *observed

	mu      sync.Mutex
	records []gateway.Record
}

func (w *world) Prepare(*gateway.Operation) {}
func (w *world) Begin(*gateway.Exchange)    {}
func (w *world) End(x *gateway.Exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, x.Record)
}

// observed counts the calls by operation and outcome.
type observed struct {
	mu    sync.Mutex
	count map[string]int
}

func (o *observed) CallDone(system, operation, outcome string, d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count[system+" "+operation+" "+outcome]++
}

func (o *observed) get(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count[key]
}

// open starts a world; the test fails on any problem.
func open(t testing.TB, p plan, system http.Handler) *world {
	t.Helper()
	w := &world{t: t, plan: p, calls: &observed{count: map[string]int{}}}
	if system != nil {
		w.system = httptest.NewServer(system)
		t.Cleanup(w.system.Close)
	}
	w.start(Options{Observer: w.calls})
	return w
}

func (w *world) start(o Options) {
	w.t.Helper()
	w.fleet = Open(o)
	w.gateway = gateway.New(gateway.Options{Recorder: w, BodyLimit: 1 << 20})
	w.reload(w.plan)
	front := httptest.NewServer(w.gateway)
	w.url = front.URL + "/orders/v1"
	w.t.Cleanup(func() {
		front.Close()
		w.gateway.Stop()
		w.fleet.Close()
	})
}

func (w *world) reload(p plan) {
	w.t.Helper()
	url := ""
	if w.system != nil {
		url = w.system.URL
	}
	set, table, ps := build(w.fleet, p, url)
	for _, problem := range ps.List() {
		w.t.Error(problem)
	}
	if ps.Len() > 0 {
		set.Close()
		w.t.FailNow()
	}
	w.set = set
	w.gateway.Swap(table)
}

// record is the record of the n-th exchange that ended.
func (w *world) record(n int) gateway.Record {
	w.t.Helper()
	for range 400 {
		w.mu.Lock()
		if len(w.records) > n {
			defer w.mu.Unlock()
			return w.records[n]
		}
		w.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Fatalf("exchange %d did not end", n)
	return gateway.Record{}
}

// reply is an answer with its whole body.
type reply struct {
	*http.Response
	text string
}

func (r reply) problem() string {
	if _, after, ok := strings.Cut(r.text, `"type":"`+gateway.TypeBase); ok {
		name, _, _ := strings.Cut(after, `"`)
		return name
	}
	return ""
}

var client = &http.Transport{DisableCompression: true}

// send sends a request; headers are given as "Name: value".
func (w *world) send(method, path, body string, headers ...string) reply {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, w.url+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "test")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	resp, err := client.RoundTrip(r)
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

// want checks an answer: its status, and a part of its body.
func (w *world) want(r reply, status int, part string) {
	w.t.Helper()
	if r.StatusCode != status || !strings.Contains(r.text, part) {
		w.t.Errorf("answered %d %s; want %d %s", r.StatusCode, r.text, status, part)
	}
}

// seen keeps the requests that a system got.
type seen struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func (s *seen) note(r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	s.bodies = append(s.bodies, string(data))
}

func (s *seen) last() (*http.Request, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		return &http.Request{Header: http.Header{}}, ""
	}
	return s.requests[len(s.requests)-1], s.bodies[len(s.bodies)-1]
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// answers notes requests and answers each with the same.
func (s *seen) answers(status int, body string, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note(r)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// newTLS is a server with a certificate that nobody trusts.
func newTLS(t *testing.T, h http.Handler) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// newServer is a system that is closed with the test.
func newServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}
