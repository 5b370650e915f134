// Package gatewaytest serves an API on a real listener for the tests of
// policies: a document and consumers as they stand in a workspace, compiled
// chains, and a handler in place of a system.
package gatewaytest

import (
	"io"
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

// Site is what a test serves: the API orders/v1 and its consumers.
type Site struct {
	// Document is openapi.yaml of apis/orders/1.0.0.
	Document string
	// Consumers is consumers.yaml. Callers name their app in the header
	// X-Test-App: it and its subscription are believed.
	Consumers string
	// Revision is the API's, for what outlasts a table.
	Revision string
	Kinds    []gateway.Kind
	// Answer stands in for the system.
	Answer gateway.Handler
}

// Bind makes a Site the layer of its own operations.
func (s Site) Bind(*gateway.Binding) gateway.Handler { return s.Answer }

// Table compiles the site. The problems are those of files and chains.
func (s Site) Table() (*gateway.Table, []source.Problem) {
	const dir = "apis/orders/1.0.0"
	var ps source.Problems
	files := fstest.MapFS{dir + "/openapi.yaml": {Data: []byte(s.Document)}}
	d := specs.Load(files, dir, &ps)
	if d == nil {
		return nil, ps.List()
	}
	api := &gateway.API{Name: "orders", Version: "1.0.0", Major: "v1", Base: "/orders/v1", Document: d, Revision: s.Revision}
	var consumers gateway.ConsumerFile
	if s.Consumers != "" {
		source.Decode(source.Parse("consumers.yaml", []byte(s.Consumers), source.DefaultLimits, &ps), &consumers, &ps)
	}
	table := &gateway.Table{
		Built: time.Now(), APIs: []*gateway.API{api}, Tree: new(specs.Tree[*gateway.Operation]),
		Consumers: gateway.NewConsumers(&consumers, []*gateway.API{api}, &ps),
	}
	kinds := append([]gateway.Kind{identify()}, s.Kinds...)
	for _, spec := range d.Operations {
		op := &gateway.Operation{API: api, Spec: spec, Route: api.Base + spec.Path, Class: specs.Normal}
		op.Handler = gateway.Compile(&gateway.Binding{API: api, Operation: spec, Consumers: table.Consumers, Problems: &ps}, kinds, s)
		if err := table.Tree.Add(spec.Method, op.Route, op); err != nil {
			ps.Add(spec.Node, err.Error(), "")
		}
		table.Operations = append(table.Operations, op)
	}
	return table, ps.List()
}

// identify believes the header X-Test-App.
func identify() gateway.Kind {
	return gateway.Define(gateway.Kind{Name: "test-app", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI, Default: true},
		func(b *gateway.Binding, _ struct{}) gateway.Policy {
			return func(next gateway.Handler) gateway.Handler {
				return func(x *gateway.Exchange) (*gateway.Response, error) {
					if app := b.Consumers.Apps[x.Request.Header.Get("X-Test-App")]; app != nil {
						x.App, x.Subscription = app, b.Consumers.Subscription(app, b.API)
					}
					return next(x)
				}
			}
		})
}

// Server is a site on a listener of 127.0.0.1.
type Server struct {
	URL     string
	Gateway *gateway.Gateway

	t testing.TB
	records
}

// Serve starts a site; the test fails on any problem.
func Serve(t testing.TB, s Site) *Server {
	t.Helper()
	server := &Server{t: t}
	server.Gateway = gateway.New(gateway.Options{Recorder: &server.records, BodyLimit: 1 << 20})
	server.Reload(s)
	listener := httptest.NewServer(server.Gateway)
	t.Cleanup(listener.Close)
	server.URL = listener.URL + "/orders/v1"
	return server
}

// Reload swaps another site in.
func (s *Server) Reload(site Site) {
	s.t.Helper()
	table, problems := site.Table()
	for _, p := range problems {
		s.t.Error(p)
	}
	if len(problems) > 0 {
		s.t.FailNow()
	}
	s.Gateway.Swap(table)
}

// client sends what it is told to and nothing of its own.
var client = &http.Transport{DisableCompression: true}

// Reply is an answer with its whole body.
type Reply struct {
	*http.Response
	Text string
}

// Do sends a request to a path under the API's base, as an app (which may be
// empty), with headers given as "Name: value".
func (s *Server) Do(method, path, app string, headers ...string) Reply {
	s.t.Helper()
	return s.Send(method, path, "", app, headers...)
}

// Send is Do with a body.
func (s *Server) Send(method, path, body, app string, headers ...string) Reply {
	s.t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = nil, 0
	}
	if app != "" {
		r.Header.Set("X-Test-App", app)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, strings.TrimSpace(value))
	}
	resp, err := client.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return Reply{resp, string(text)}
}

// Refused checks that a reply is a problem document of a sort.
func (s *Server) Refused(r Reply, want gateway.Problem) {
	s.t.Helper()
	if r.StatusCode != want.Status || !strings.Contains(r.Text, `"type":"`+gateway.TypeBase+want.Name+`"`) {
		s.t.Errorf("answered %d %s, want %d %s", r.StatusCode, r.Text, want.Status, want.Name)
	}
}

// records keeps what was recorded about the exchanges.
type records struct {
	mu   sync.Mutex
	list []gateway.Record
}

func (*records) Prepare(*gateway.Operation) {}
func (*records) Begin(*gateway.Exchange)    {}
func (r *records) End(x *gateway.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, x.Record)
}

// Record is the record of the n-th exchange that ended, from 0 on; it waits for it.
func (s *Server) Record(n int) gateway.Record {
	s.t.Helper()
	for range 400 {
		s.mu.Lock()
		if len(s.list) > n {
			defer s.mu.Unlock()
			return s.list[n]
		}
		s.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("exchange %d did not end", n)
	return gateway.Record{}
}
