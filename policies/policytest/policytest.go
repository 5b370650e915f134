// Package policytest serves an operation through compiled policies on a real
// listener, for the tests of policies.
package policytest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Options describe the operation.
type Options struct {
	// Kinds are the policies that exist.
	Kinds []gateway.Kind
	// Policies is what stands under x-headrace.policies, in YAML.
	Policies string
	// Consumers is consumers.yaml.
	Consumers string
	// Schemes are the document's security schemes by name; their bits are set.
	Schemes map[string]*specs.SecurityScheme
	// Security is the operation's security as in OpenAPI: alternatives of
	// scopes by scheme; nil means that the document says nothing.
	Security []map[string][]string
	// Method and Path are GET and /orders when empty; the API is orders/v1.
	Method, Path string
	// Answer is the layer's handler; nil answers 200.
	Answer gateway.Handler
	// Unstarted leaves the server to the test, for TLS.
	Unstarted bool
}

// Seen is what reached the layer.
type Seen struct {
	App, Plan  string
	Identified uint32
	Scopes     []string
	Class      specs.Class
	BodyLimit  int64
	Header     http.Header
	Query, URI string
}

// Server serves the operation.
type Server struct {
	*httptest.Server
	Gateway *gateway.Gateway

	mu      sync.Mutex
	seen    []Seen
	records []gateway.Record
}

// New compiles and serves the operation; problems fail the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{}
	table, ps := s.build(t, o)
	if err := ps.Err(); err != nil {
		t.Fatalf("the configuration is not accepted:\n%v", err)
	}
	s.Gateway = gateway.New(gateway.Options{Recorder: s})
	s.Gateway.Swap(table)
	s.Server = httptest.NewUnstartedServer(s.Gateway)
	if !o.Unstarted {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// Swap replaces the operation, as a reload does.
func (s *Server) Swap(t testing.TB, o Options) {
	t.Helper()
	table, ps := s.build(t, o)
	if err := ps.Err(); err != nil {
		t.Fatalf("the configuration is not accepted:\n%v", err)
	}
	s.Gateway.Swap(table)
}

// Problems compiles the operation and gives what is wrong, each on a line
// without the file's name.
func Problems(t testing.TB, o Options) []string {
	t.Helper()
	_, problems := Compile(t, o)
	return problems
}

// Compile gives the operation's chain by itself, for fuzzing and benchmarks,
// with the problems, which do not fail the test.
func Compile(t testing.TB, o Options) (chain gateway.Handler, problems []string) {
	t.Helper()
	table, ps := new(Server).build(t, o)
	for _, p := range ps.List() {
		_, text, _ := strings.Cut(p.String(), ": ")
		problems = append(problems, text)
	}
	return table.Operations[0].Handler, problems
}

func (s *Server) build(t testing.TB, o Options) (*gateway.Table, *source.Problems) {
	t.Helper()
	ps := &source.Problems{}
	document := &specs.Document{Name: "orders", Version: "1.0.0", Schemes: o.Schemes}
	for i, name := range slices.Sorted(maps.Keys(o.Schemes)) {
		o.Schemes[name].Name, o.Schemes[name].Bit = name, 1<<i
	}
	if o.Method == "" {
		o.Method = http.MethodGet
	}
	if o.Path == "" {
		o.Path = "/orders"
	}
	op := &specs.Operation{Document: document, ID: "order", Method: o.Method, Path: o.Path, Security: security(t, o)}
	if o.Policies != "" {
		var policies specs.Policies
		source.Decode(source.Parse("openapi.yaml", []byte(o.Policies), source.DefaultLimits, ps), &policies, ps)
		op.Governance.Policies = policies
	}
	document.Operations = []*specs.Operation{op}
	api := &gateway.API{Name: "orders", Version: "1.0.0", Major: "v1", Base: "/orders/v1", Document: document}
	var file gateway.ConsumerFile
	if o.Consumers != "" {
		source.Decode(source.Parse("consumers.yaml", []byte(o.Consumers), source.DefaultLimits, ps), &file, ps)
	}
	consumers := gateway.NewConsumers(&file, []*gateway.API{api}, ps)
	served := &gateway.Operation{API: api, Spec: op, Route: api.Base + o.Path, Class: specs.Normal}
	served.Handler = gateway.Compile(&gateway.Binding{API: api, Operation: op, Consumers: consumers, Problems: ps}, o.Kinds, layer{s, o.Answer})
	tree := new(specs.Tree[*gateway.Operation])
	if err := tree.Add(o.Method, served.Route, served); err != nil {
		t.Fatal(err)
	}
	return &gateway.Table{APIs: []*gateway.API{api}, Operations: []*gateway.Operation{served}, Consumers: consumers, Tree: tree}, ps
}

func security(t testing.TB, o Options) []specs.Requirement {
	t.Helper()
	if o.Security == nil {
		return nil
	}
	alternatives := []specs.Requirement{}
	for _, alternative := range o.Security {
		requirement := specs.Requirement{}
		for name, scopes := range alternative {
			if o.Schemes[name] == nil {
				t.Fatalf("the test has no security scheme %q", name)
			}
			requirement = append(requirement, specs.SchemeUse{Scheme: o.Schemes[name], Scopes: scopes})
		}
		alternatives = append(alternatives, requirement)
	}
	return alternatives
}

// layer notes what reaches it.
type layer struct {
	server *Server
	answer gateway.Handler
}

func (l layer) Bind(*gateway.Binding) gateway.Handler {
	return func(x *gateway.Exchange) (*gateway.Response, error) {
		seen := Seen{
			Identified: x.Identified, Scopes: x.Scopes, Class: x.Class, BodyLimit: x.BodyLimit,
			Header: x.Request.Header.Clone(), Query: x.Request.URL.RawQuery, URI: x.Request.RequestURI,
		}
		if x.App != nil {
			seen.App = x.App.Name
		}
		if x.Subscription != nil {
			seen.Plan = x.Subscription.PlanName
		}
		l.server.mu.Lock()
		l.server.seen = append(l.server.seen, seen)
		l.server.mu.Unlock()
		if l.answer != nil {
			return l.answer(x)
		}
		return &gateway.Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}}, Bytes: []byte("ok\n")}, nil
	}
}

// Prepare, Begin and End make the server the gateway's recorder.
func (s *Server) Prepare(*gateway.Operation) {}

// Begin does nothing.
func (s *Server) Begin(*gateway.Exchange) {}

// End notes how an exchange ended.
func (s *Server) End(x *gateway.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, x.Record)
}

// Answer is what a caller got.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	// Problem is the end of the problem document's type; empty when it is none.
	Problem, Detail string
	// Seen is what reached the layer for this request; nil when nothing did.
	Seen *Seen
}

// Do sends a request and tells what came of it. Only one may be under way at a time.
func (s *Server) Do(t testing.TB, client *http.Client, r *http.Request) Answer {
	t.Helper()
	s.mu.Lock()
	before := len(s.seen)
	s.mu.Unlock()
	if client == nil {
		client = s.Client()
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	var document struct{ Type, Detail string }
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(body, &document); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		a.Problem, a.Detail = strings.TrimPrefix(document.Type, gateway.TypeBase), document.Detail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) > before {
		a.Seen = &s.seen[len(s.seen)-1]
	}
	return a
}

// Get sends a GET for /orders/v1 and a target such as /orders?a=1, with headers
// given as name, value, name, value.
func (s *Server) Get(t testing.TB, target string, headers ...string) Answer {
	t.Helper()
	return s.Do(t, nil, s.Request(t, http.MethodGet, target, headers...))
}

// Request makes a request as Get sends it, with any method.
func (s *Server) Request(t testing.TB, method, target string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+"/orders/v1"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// Causes gives what was written down as reasons of refusals, for tests that
// look for secrets in it.
func (s *Server) Causes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, r := range s.records {
		if r.Cause != nil {
			b.WriteString(r.Cause.Error() + "\n")
		}
	}
	return b.String()
}
