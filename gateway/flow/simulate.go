package flow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// TestsName is the name of the file of a flow's tests, beside its document.
const TestsName = "flows_test.yaml"

// testFile is what it holds.
type testFile struct {
	Tests []Test      `yaml:"tests" check:"required" doc:"The tests, each with a request and what it comes to."`
	Node  source.Node `yaml:",node"`
}

// Test is one test of a flow.
type Test struct {
	Name      string      `yaml:"name" check:"required" doc:"What the test shows."`
	Operation string      `yaml:"operation" check:"required" doc:"The operation that is called, by its operationId."`
	Path      source.Node `yaml:"path" doc:"Path parameters of the request by name."`
	Query     source.Node `yaml:"query" doc:"Query parameters by name."`
	Headers   source.Node `yaml:"headers" doc:"Headers by name."`
	Body      source.Node `yaml:"body" doc:"The body, as JSON."`
	App       string      `yaml:"app" doc:"The app that calls."`
	Answers   source.Node `yaml:"answers" doc:"What the operations that steps call answer, by API/vMAJOR/operationId: status, headers and body, or a list of such, one for each call; the last one goes on."`
	Want      Want        `yaml:"want" check:"required" doc:"What must come out."`
	Node      source.Node `yaml:",node"`
}

// Want is what a test expects. What it does not name may be anything.
type Want struct {
	State  string         `yaml:"state" enum:"completed,failed,compensated,stuck" doc:"How the run ends."`
	Status int            `yaml:"status" doc:"The status of the answer."`
	Body   source.Node    `yaml:"body" doc:"The answer's body; a mapping may leave out members."`
	Writes source.Strings `yaml:"writes" doc:"The operations that were called and change something, in order, those that undo others included."`
	Node   source.Node    `yaml:",node"`
}

// Result is how a test ended.
type Result struct {
	API, Test string
	source.Position
	// Failure says what was not as it should be; it is empty when all is well.
	Failure string
}

// RunTests runs the tests that stand beside the flows of a table, against
// simulated answers: nothing is kept, and no system is called. What is wrong
// with the tests themselves goes to ps.
func (s *Set) RunTests(fsys fs.FS, ps *source.Problems) []Result {
	var results []Result
	for _, a := range s.linker.APIs {
		if a.Flows == nil {
			continue
		}
		api := s.apis[a.Name+"/"+a.Major]
		name := path.Join("apis", api.Name, api.Version, TestsName)
		if _, err := fs.Stat(fsys, name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var file testFile
		before := ps.Len()
		source.Decode(source.Read(fsys, name, source.DefaultLimits, ps), &file, ps)
		if ps.Len() > before {
			continue
		}
		for _, t := range file.Tests {
			results = append(results, Result{API: a.Name + "/" + a.Major, Test: t.Name, Position: t.Node.Position(), Failure: s.test(api, t, ps)})
		}
	}
	return results
}

// simulation answers the calls of a test.
type simulation struct {
	mu      sync.Mutex
	answers map[string][]*answer
	calls   map[string]int
	writes  []string
}

// answer gives the next answer of an operation.
func (m *simulation) answer(key string, safe bool) *answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !safe {
		m.writes = append(m.writes, key)
	}
	list := m.answers[key]
	if len(list) == 0 {
		return nil
	}
	n := min(m.calls[key], len(list)-1)
	m.calls[key]++
	return list[n]
}

// test runs one test, and says what was not as it should be.
func (s *Set) test(api *gateway.API, t Test, ps *source.Problems) string {
	e := s.entries[api.Name+"/"+api.Major+"/"+t.Operation]
	if e == nil {
		ps.Add(t.Node.At("operation"), "no workflow answers "+strconv.Quote(t.Operation), "")
		return ""
	}
	m := &simulation{answers: map[string][]*answer{}, calls: map[string]int{}}
	for _, f := range t.Answers.Fields() {
		if s.lower[f.Name] == nil {
			ps.Add(f.Key, "there is no operation "+strconv.Quote(f.Name), source.DidYouMean(f.Name, s.lowerNames()))
			return ""
		}
		items := f.Value.Items()
		if f.Value.Kind() == source.Map {
			items = []source.Node{f.Value}
		}
		for _, item := range items {
			m.answers[f.Name] = append(m.answers[f.Name], answerIn(item))
		}
	}
	x, err := t.exchange(api, e)
	if err != nil {
		ps.Add(t.Node, err.Error(), "")
		return ""
	}
	state, a := s.simulate(x, e, m)
	return t.Want.differs(state, a, m.writes)
}

func (s *Set) lowerNames() []string {
	var names []string
	for name := range s.lower {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// answerIn reads a simulated answer.
func answerIn(n source.Node) *answer {
	a := &answer{Status: http.StatusOK, Header: http.Header{}}
	if status, ok := n.Get("status").Number(); ok {
		a.Status = int(status)
	}
	if body := n.Get("body"); body.Exists() {
		a.Body = body.AppendJSON(nil)
		a.Header.Set("Content-Type", "application/json")
	}
	for _, f := range n.Get("headers").Fields() {
		a.Header.Set(f.Name, f.Value.Text())
	}
	return a
}

// exchange makes the request of a test.
func (t Test) exchange(api *gateway.API, e *entry) (*gateway.Exchange, error) {
	op := e.Operation
	target, query := op.Path, url.Values{}
	var params specs.Params
	for _, f := range t.Path.Fields() {
		params = append(params, specs.Param{Name: f.Name, Value: f.Value.Text()})
		target = strings.ReplaceAll(target, "{"+f.Name+"}", url.PathEscape(f.Value.Text()))
	}
	for _, f := range t.Query.Fields() {
		query.Set(f.Name, f.Value.Text())
	}
	hr, err := http.NewRequest(op.Method, "http://headrace"+api.Base+target+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	for _, f := range t.Headers.Fields() {
		hr.Header.Set(f.Name, f.Value.Text())
	}
	if t.Body.Exists() {
		body := t.Body.AppendJSON(nil)
		hr.Body, hr.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		hr.Header.Set("Content-Type", "application/json")
	}
	x := &gateway.Exchange{Request: hr, ID: "test", Correlation: "test", Params: params, BodyLimit: maxAnswer,
		Operation: &gateway.Operation{API: api, Spec: op, Class: specs.Normal, Wait: time.Second}, Class: specs.Normal}
	x.Record.Started = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if t.App != "" {
		x.App = &gateway.App{Name: t.App}
	}
	return x, nil
}

// simulate goes through a flow as a run would, with simulated answers.
func (s *Set) simulate(x *gateway.Exchange, e *entry, m *simulation) (ledger.RunState, *answer) {
	inputs, _, err := s.inputs(x, e)
	if err != nil {
		return ledger.Failed, refusalOf(gateway.AsError(err), x.ID)
	}
	r := &run{flows: s.flows, request: requestOf(x, inputs), workflow: e.Workflow, status: e.usual, outer: x, simulated: m, over: map[string]flowOver{}}
	// A long time ago is no time out.
	r.request.Received = time.Now()
	r.journal.results = map[string]*result{}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	defer r.cancel()
	end, err := r.carry()
	if err != nil {
		return ledger.Failed, refusalOf(gateway.AsError(err), x.ID)
	}
	a, err := decodeAnswer(end.Response)
	if err != nil {
		a = &answer{}
	}
	return end.State, a
}

// differs says what is not as it is wanted.
func (w Want) differs(state ledger.RunState, a *answer, writes []string) string {
	switch {
	case w.State != "" && w.State != string(state):
		return "it is " + string(state) + ", want " + w.State + ": " + strings.TrimSpace(string(a.Body))
	case w.Status != 0 && w.Status != a.Status:
		return "answered " + strconv.Itoa(a.Status) + ", want " + strconv.Itoa(w.Status) + ": " + strings.TrimSpace(string(a.Body))
	case w.Node.Get("writes").Exists() && !slices.Equal(writes, w.Writes):
		return "it wrote " + strings.Join(writes, ", ") + "; want " + strings.Join(w.Writes, ", ")
	case !w.Body.Exists():
		return ""
	}
	want, err := mapping.Decode(w.Body.AppendJSON(nil))
	if err != nil {
		return err.Error()
	}
	got, err := a.value()
	if err != nil {
		return err.Error()
	}
	if !within(want, got) {
		return "answered " + strings.TrimSpace(string(a.Body)) + ", want " + string(w.Body.AppendJSON(nil))
	}
	return ""
}

// within tells whether a value has all that another one says.
func within(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		for name, v := range want {
			g, there := fields[name]
			if !ok || !there || !within(v, g) {
				return false
			}
		}
		return ok
	case []any:
		list, ok := got.([]any)
		return ok && slices.EqualFunc(want, list, within)
	}
	return text(want) == text(got) && (want == nil) == (got == nil)
}
