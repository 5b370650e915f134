package flow

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// Operator is the operators' side of runs, below /admin/v1/runs and
// /admin/v1/traces. by is who calls; where it is zero, actions say so themselves.
func (f *Flows) Operator(by ledger.By) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(*http.Request) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /admin/v1"+path, func(w http.ResponseWriter, r *http.Request) {
			value, err := answer(r)
			reply(w, value, err)
		})
	}
	o := operator{f, by}
	handle("GET /runs", o.list)
	handle("GET /runs/{id}", o.show)
	handle("POST /runs/{id}/retry", o.act(func(ctx context.Context, id string, a deed) error { return f.ledger.RetryRun(ctx, id, a.by) }))
	handle("POST /runs/{id}/undo", o.act(func(ctx context.Context, id string, a deed) error { return f.ledger.UndoRun(ctx, id, a.by) }))
	handle("POST /runs/{id}/resolve", o.act(func(ctx context.Context, id string, a deed) error {
		return f.ledger.ResolveRun(ctx, id, ledger.RunState(a.State), a.by)
	}))
	handle("GET /traces/{correlation}", o.trace)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, nil, &gateway.Error{Problem: gateway.NotFound, Detail: "the admin API has no " + r.Method + " here"})
	})
	// Where the admin API needs no token, a page of another site must not act.
	return http.NewCrossOriginProtection().Handler(mux)
}

// reply writes a value as JSON, or a refusal as a problem document.
func reply(w http.ResponseWriter, value any, err error) {
	var resp *gateway.Response
	if err == nil {
		resp, err = jsonResponse(http.Header{"Content-Type": {"application/json"}}, value)
	}
	if err != nil {
		resp = gateway.AsError(err).Response(w.Header().Get("X-Request-Id"))
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.Status)
	w.Write(resp.Bytes)
}

type operator struct {
	flows *Flows
	by    ledger.By
}

// fullView is a run as operators see it.
type fullView struct {
	view
	App      string          `json:"app,omitempty"`
	Workflow string          `json:"workflow"`
	Flow     string          `json:"flow"`
	Undo     bool            `json:"undo,omitempty"`
	Waits    string          `json:"waits,omitempty"`
	Owner    string          `json:"owner,omitempty"`
	Inputs   json.RawMessage `json:"inputs,omitempty"`
}

func fullViewOf(r *ledger.RunRecord) fullView {
	v := fullView{view: viewOf(r), App: r.App, Workflow: r.Workflow, Flow: r.Flow, Undo: r.Undo, Waits: r.Waits, Owner: r.Owner}
	if req, err := decodeRequest(r.Request); err == nil && len(r.Request) > 0 {
		v.Inputs, _ = json.Marshal(req.Inputs) // it came from JSON
	}
	return v
}

type fullPage struct {
	Items []fullView `json:"items"`
	Next  string     `json:"next,omitempty"`
}

func (o operator) list(r *http.Request) (any, error) {
	filter, err := filterOf(r.URL.Query())
	if err != nil {
		return nil, err
	}
	filter.App = r.URL.Query().Get("app")
	p, err := o.flows.ledger.ListRuns(r.Context(), filter)
	if err != nil {
		return nil, refusal(err)
	}
	page := fullPage{Items: []fullView{}, Next: p.Next}
	for _, record := range p.Runs {
		page.Items = append(page.Items, fullViewOf(record))
	}
	return page, nil
}

func (o operator) show(r *http.Request) (any, error) {
	record, err := o.flows.ledger.GetRun(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, refusal(err)
	}
	return fullViewOf(record), nil
}

// deed is what an operator does to a run.
type deed struct {
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
	State  string `json:"state"`

	by ledger.By
}

// act does something to a run, and answers with the run.
func (o operator) act(f func(ctx context.Context, id string, a deed) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var a deed
		data, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		if err != nil {
			return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "the request body broke off before its end", Cause: err}
		}
		if len(data) > 0 {
			if err := json.Unmarshal(data, &a); err != nil {
				return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "the body is not the JSON that is expected here"}
			}
		}
		a.by = o.by
		if a.by == (ledger.By{}) {
			a.by = ledger.By{Actor: a.Actor, Reason: a.Reason}
		}
		if strings.TrimSpace(a.by.Reason) == "" {
			return nil, &gateway.Error{Problem: gateway.ReasonMissing, Detail: "give a reason: it is kept with what is done"}
		}
		if err := f(r.Context(), r.PathValue("id"), a); err != nil {
			return nil, refusal(err)
		}
		return o.show(r)
	}
}
