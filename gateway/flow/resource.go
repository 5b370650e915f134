package flow

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

//go:embed document
var document embed.FS

// Document is where the OpenAPI document of the status resource stands: its
// files, and its folder in them.
func Document() (files fs.FS, dir string) {
	files, err := fs.Sub(document, "document")
	if err != nil {
		panic(err) // it is embedded
	}
	return files, "apis/runs/1.0.0"
}

// Resource is the layer of the status resource: what apps are told of their runs.
func (f *Flows) Resource() gateway.Layer { return resource{f} }

type resource struct{ flows *Flows }

func (r resource) Bind(b *gateway.Binding) gateway.Handler {
	switch b.Operation.ID {
	case "listRuns":
		return r.list
	case "getRun":
		return r.get
	}
	b.Problems.Add(b.Operation.Node, "nothing answers "+b.Operation.ID, "")
	return nil
}

// view is a run as its app sees it.
type view struct {
	ID             string          `json:"id"`
	Location       string          `json:"location"`
	State          ledger.RunState `json:"state"`
	NeedsAttention bool            `json:"needsAttention,omitempty"`
	Reason         string          `json:"reason,omitempty"`
	Cause          string          `json:"cause,omitempty"`
	Operation      string          `json:"operation"`
	Class          specs.Class     `json:"class"`
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
	Correlation    string          `json:"correlation,omitempty"`
	Accepted       time.Time       `json:"accepted"`
	Settled        time.Time       `json:"settled,omitzero"`
	Outcome        *outcomeView    `json:"outcome,omitempty"`
	Steps          []stepView      `json:"steps,omitempty"`
}

type outcomeView struct {
	Status  int             `json:"status"`
	Headers http.Header     `json:"headers,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
	Problem string          `json:"problem,omitempty"`
}

// stepView is a visit. Its state is waiting, succeeded or failed.
type stepView struct {
	Visit  string    `json:"visit"`
	State  string    `json:"state"`
	Status int       `json:"status,omitempty"`
	Write  string    `json:"write,omitempty"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

func viewOf(r *ledger.RunRecord) view {
	v := view{
		ID: r.ID, Location: Path + "/" + r.ID, State: r.State, NeedsAttention: r.State == ledger.Stuck, Reason: r.Reason, Cause: r.Cause,
		Operation: r.Operation, Class: r.Class, IdempotencyKey: r.Key, Correlation: r.Correlation, Accepted: r.Accepted.UTC(), Settled: r.Settled.UTC(),
	}
	for _, s := range r.Steps {
		if s, ok := stepViewOf(s); ok {
			v.Steps = append(v.Steps, s)
		}
	}
	if len(r.Response) > 0 {
		if a, err := decodeAnswer(r.Response); err == nil {
			v.Outcome = &outcomeView{Status: a.Status, Headers: a.Header, Body: buffer.BodyView(a.Body, a.Header), Problem: a.Problem}
		}
	}
	return v
}

// stepViewOf is a visit as people see it; marks of the run's own are none.
func stepViewOf(s ledger.RunStep) (stepView, bool) {
	if strings.HasSuffix(s.Visit, "!") {
		return stepView{}, false
	}
	v := stepView{Visit: s.Visit, State: "waiting", Began: s.Began.UTC(), Ended: s.Ended.UTC()}
	if s.Write != "" {
		v.Write = buffer.Path + "/" + s.Write
	}
	if s.Ended.IsZero() {
		return v, true
	}
	res, err := decodeResult(s.Result)
	if err != nil {
		return v, true
	}
	v.State, v.Status = "failed", res.Status
	if res.OK {
		v.State = "succeeded"
	}
	if res.Problem != nil {
		v.Reason = res.Problem.Detail
		if v.Reason == "" {
			v.Reason = res.Problem.Title
		}
	}
	return v, true
}

// longestPoll is how long an answer waits for an end at most.
const longestPoll = 2 * time.Minute

// own finds a run of the caller's app. A run of another app is as unknown as one
// that does not exist.
func (r resource) own(x *gateway.Exchange) (*ledger.RunRecord, error) {
	record, err := r.flows.ledger.GetRun(x.Context(), x.Params.Get("id"))
	if err != nil {
		return nil, refusal(err)
	}
	app := ""
	if x.App != nil {
		app = x.App.Name
	}
	if record.App != app {
		return nil, &gateway.Error{Problem: gateway.NoSuchRun}
	}
	return record, nil
}

func (r resource) get(x *gateway.Exchange) (*gateway.Response, error) {
	record, err := r.own(x)
	if err != nil {
		return nil, err
	}
	if wait, ok := x.Prefer(); ok && wait > 0 && record.State == ledger.Running {
		if _, _, err = r.flows.await(x.Context(), record.ID, min(wait, longestPoll), false); err != nil {
			return nil, err
		}
		if record, err = r.own(x); err != nil {
			return nil, err
		}
	}
	tag := fmt.Sprintf(`W/"%d-%d-%s"`, record.Version, len(record.Steps), record.State)
	h := http.Header{"Etag": {tag}, "Cache-Control": {"no-cache"}}
	if known := x.Request.Header.Get("If-None-Match"); known != "" && strings.Contains(known, strings.TrimPrefix(tag, "W/")) {
		return &gateway.Response{Status: http.StatusNotModified, Header: h}, nil
	}
	h["Content-Type"] = []string{"application/json"}
	return jsonResponse(h, viewOf(record))
}

type page struct {
	Items []view `json:"items"`
	Next  string `json:"next,omitempty"`
}

func (r resource) list(x *gateway.Exchange) (*gateway.Response, error) {
	if x.App == nil {
		return nil, &gateway.Error{Problem: gateway.Unauthenticated, Detail: "runs are listed for the app that began them, and no credential was given"}
	}
	filter, err := filterOf(x.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	filter.App = x.App.Name
	p, err := r.flows.ledger.ListRuns(x.Context(), filter)
	if err != nil {
		return nil, refusal(err)
	}
	answer := page{Items: []view{}, Next: p.Next}
	for _, record := range p.Runs {
		answer.Items = append(answer.Items, viewOf(record))
	}
	return jsonResponse(http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}, answer)
}

// filterOf reads what a list is restricted to.
func filterOf(q url.Values) (ledger.RunFilter, error) {
	f := ledger.RunFilter{Operation: q.Get("operation"), Correlation: q.Get("correlation"), After: q.Get("after"), Limit: 50}
	bad := func(detail string) (ledger.RunFilter, error) {
		return f, &gateway.Error{Problem: gateway.BadRequest, Detail: detail}
	}
	for _, text := range q["state"] {
		s := ledger.RunState(text)
		if !s.Known() {
			return bad("there is no state " + strconv.Quote(text))
		}
		f.States = append(f.States, s)
	}
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return bad(name + " is not a time such as 2027-01-31T12:00:00Z")
			}
			*into = t
		}
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return bad("limit is a number from 1 on")
		}
		f.Limit = n
	}
	return f, nil
}

func jsonResponse(h http.Header, value any) (*gateway.Response, error) {
	data, err := jsonBytes(value)
	if err != nil {
		return nil, err
	}
	return &gateway.Response{Status: http.StatusOK, Header: h, Bytes: data, Length: int64(len(data))}, nil
}
