package buffer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// Operator is the operators' side of the buffer, below /admin/v1/writes. by is
// who calls, which is the business of what it is mounted in; where it is zero,
// actions say so themselves.
func (b *Buffer) Operator(by ledger.By) http.Handler {
	mux := http.NewServeMux()
	const root = "/admin/v1/writes"
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+root+path, func(w http.ResponseWriter, r *http.Request) {
			value, err := f(r)
			reply(w, value, err)
		})
	}
	o := operator{b, by}
	handle("GET ", o.list)
	handle("GET /{id}", o.show)
	handle("GET /{id}/explain", o.explain)
	handle("POST /{id}/cancel", o.act(func(ctx context.Context, id string, by ledger.By) error { return b.ledger.Cancel(ctx, id, by) }))
	handle("POST /{id}/retry", o.act(func(ctx context.Context, id string, by ledger.By) error { return b.ledger.RetryNow(ctx, id, by) }))
	handle("POST /{id}/discard", o.act(func(ctx context.Context, id string, by ledger.By) error { return b.ledger.Discard(ctx, id, by) }))
	handle("POST /{id}/resolve", o.resolve)
	handle("POST /{id}/edit", o.edit)
	handle("GET /groups", o.groups)
	handle("POST /groups/retry", o.group(b.ledger.RetryGroup))
	handle("POST /groups/discard", o.group(func(ctx context.Context, g ledger.Group, _ specs.Class, n int, by ledger.By) (int, error) {
		return b.ledger.DiscardGroup(ctx, g, n, by)
	}))
	handle("GET /pauses", o.pauses)
	handle("POST /pauses/pause", o.pause(b.ledger.Pause))
	handle("POST /pauses/resume", o.pause(b.ledger.Resume))
	handle("GET /audit", o.audit)
	mux.HandleFunc("GET "+root+"/export", o.export)
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
		resp, err = jsonResponse(http.StatusOK, http.Header{"Content-Type": {"application/json"}}, value)
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
	buffer *Buffer
	by     ledger.By
}

// fullView is a write as operators see it.
type fullView struct {
	view
	System   string       `json:"system"`
	App      string       `json:"app,omitempty"`
	Rank     specs.Class  `json:"rank"`
	Group    string       `json:"group,omitempty"`
	Ready    bool         `json:"ready"`
	Blockers int          `json:"blockers,omitempty"`
	Gap      bool         `json:"gap,omitempty"`
	Sequence *int64       `json:"sequence,omitempty"`
	Bytes    int64        `json:"bytes"`
	Owner    string       `json:"owner,omitempty"`
	Lease    time.Time    `json:"lease,omitzero"`
	KeyUntil time.Time    `json:"keyUntil,omitzero"`
	Request  *requestView `json:"request,omitempty"`
	Steps    []fullStep   `json:"steps,omitempty"`
}

type fullStep struct {
	stepView
	Started time.Time `json:"started,omitzero"`
	Replica string    `json:"replica,omitempty"`
	Actor   string    `json:"actor,omitempty"`
}

// requestView is what is sent. It holds no credential: those are made when it is sent.
type requestView struct {
	Method    string          `json:"method"`
	Params    specs.Params    `json:"params,omitempty"`
	Query     string          `json:"query,omitempty"`
	Headers   http.Header     `json:"headers,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
	RequestID string          `json:"requestId"`
	Received  time.Time       `json:"received"`
}

func fullViewOf(r *ledger.Record) fullView {
	v := fullView{
		view: viewOf(r), System: r.System, App: r.App, Rank: r.Rank, Group: r.Group, Ready: r.Ready, Blockers: r.Blockers, Gap: r.Gap,
		Sequence: r.Sequence, Bytes: r.Bytes, Owner: r.Owner, Lease: r.Lease.UTC(), KeyUntil: r.KeyUntil.UTC(),
	}
	if k, err := decodeRequest(r.Request); err == nil {
		v.Request = &requestView{
			Method: k.Method, Params: k.Params, Query: k.Query, Headers: k.Header, Body: BodyView(k.Body, k.Header), RequestID: k.RequestID, Received: k.Received.UTC(),
		}
	}
	for i, s := range r.Timeline {
		v.Steps = append(v.Steps, fullStep{stepView: v.Timeline[i], Started: s.Started.UTC(), Replica: s.Replica, Actor: s.Actor})
	}
	v.Timeline = nil
	return v
}

type fullPage struct {
	Items []fullView `json:"items"`
	Next  string     `json:"next,omitempty"`
}

// operatorFilter reads what operators may restrict a list by, besides what apps may.
func operatorFilter(q url.Values) (ledger.Filter, error) {
	f, err := filter(q)
	if err != nil {
		return f, err
	}
	f.System, f.App, f.Group = q.Get("system"), q.Get("app"), q.Get("group")
	f.Dead, f.Oldest = q.Get("dead") == "true" || f.Group != "", q.Get("oldest") == "true"
	if text := q.Get("age"); text != "" {
		age, err := time.ParseDuration(text)
		if err != nil || age < 0 {
			return f, &gateway.Error{Problem: gateway.BadRequest, Detail: "age is a duration such as 10m"}
		}
		f.Until = time.Now().Add(-age)
	}
	return f, nil
}

func (o operator) list(r *http.Request) (any, error) {
	f, err := operatorFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	p, err := o.buffer.List(r.Context(), f)
	if err != nil {
		return nil, listRefusal(err)
	}
	page := fullPage{Items: []fullView{}, Next: p.Next}
	for _, record := range p.Writes {
		page.Items = append(page.Items, fullViewOf(record))
	}
	return page, nil
}

func (o operator) show(r *http.Request) (any, error) {
	record, err := o.buffer.ledger.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, storeRefusal(err)
	}
	return fullViewOf(record), nil
}

// explanation says why a write stands where it does.
type explanation struct {
	fullView
	// Why says it in a sentence each, the most important first.
	Why          []string    `json:"why"`
	SystemPaused bool        `json:"systemPaused,omitempty"`
	Ahead        int64       `json:"ahead"`
	Before       []aheadView `json:"before,omitempty"`
	// Batches are the calls in which it was sent with others.
	Batches []batchView `json:"batches,omitempty"`
}

// batchView is a call that took several writes; With are the other ones.
type batchView struct {
	Batch string   `json:"batch"`
	With  []string `json:"with"`
}

type aheadView struct {
	Key       string       `json:"key"`
	Head      string       `json:"head"`
	HeadState ledger.State `json:"headState,omitempty"`
	Writes    int64        `json:"writes"`
}

func (o operator) explain(r *http.Request) (any, error) {
	e, err := o.buffer.ledger.Explain(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, storeRefusal(err)
	}
	x := explanation{fullView: fullViewOf(e.Record), SystemPaused: e.SystemPaused, Ahead: e.Ahead}
	for _, a := range e.Before {
		x.Before = append(x.Before, aheadView{Key: a.Lane, Head: a.Head, HeadState: a.HeadState, Writes: a.Writes})
	}
	s := o.buffer.standOf(e)
	x.Place, x.ETA = s.place, s.estimate
	x.Why = o.buffer.why(r.Context(), e)
	batches, err := o.buffer.ledger.Batches(r.Context(), e.Record.ID)
	if err != nil {
		return nil, storeRefusal(err)
	}
	for _, t := range batches {
		x.Batches = append(x.Batches, batchView{t.Batch, t.With})
		x.Why = append(x.Why, togetherText(t))
	}
	return x, nil
}

// mostNamed is how many of the writes of a batch a sentence names.
const mostNamed = 10

// togetherText says in a sentence with whom a write was sent.
func togetherText(t ledger.Together) string {
	text := fmt.Sprintf("it was sent in batch %s with %d others: ", t.Batch, len(t.With))
	text += strings.Join(t.With[:min(mostNamed, len(t.With))], ", ")
	if more := len(t.With) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// action is the body of what an operator does.
type action struct {
	Actor  string `json:"actor"`
	Reason string `json:"reason"`

	// State is delivered, refused or held, of a doubt that is resolved.
	State ledger.State `json:"state"`
	// Body is the changed body of an edit.
	Body json.RawMessage `json:"body"`

	System    string       `json:"system"`
	Key       string       `json:"key"`
	Operation string       `json:"operation"`
	Group     string       `json:"group"`
	Class     *specs.Class `json:"class"`
}

// longestAction is the longest body of an action.
const longestAction = 16 << 20

// takeAction reads an action. Who acts and why are kept with what is done.
func (o operator) takeAction(r *http.Request) (*action, ledger.By, error) {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		return nil, ledger.By{}, &gateway.Error{Problem: gateway.UnsupportedMedia, Detail: "an action is application/json"}
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, longestAction))
	if err != nil {
		return nil, ledger.By{}, gateway.TooLarge(longestAction)
	}
	a := &action{}
	if len(bytes.TrimSpace(data)) > 0 {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(a); err != nil {
			return nil, ledger.By{}, &gateway.Error{Problem: gateway.BadRequest, Detail: "the body is not an action: " + err.Error()}
		}
	}
	by := o.by
	by.Actor, by.Reason = cmp.Or(by.Actor, a.Actor), cmp.Or(by.Reason, a.Reason)
	if by.Actor == "" {
		return nil, ledger.By{}, &gateway.Error{Problem: gateway.BadRequest, Detail: "actor is missing: who does it is kept with what is done"}
	}
	return a, by, nil
}

// act makes the handler of something that is done to one write. The answer is the write.
func (o operator) act(do func(context.Context, string, ledger.By) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		_, by, err := o.takeAction(r)
		if err != nil {
			return nil, err
		}
		return o.after(r, do(r.Context(), r.PathValue("id"), by))
	}
}

// after shows the write that something was done to.
func (o operator) after(r *http.Request, err error) (any, error) {
	if err != nil {
		return nil, actionRefusal(err)
	}
	o.buffer.refresh(r.PathValue("id"))
	o.buffer.wakeAll()
	return o.show(r)
}

func (o operator) resolve(r *http.Request) (any, error) {
	a, by, err := o.takeAction(r)
	if err != nil {
		return nil, err
	}
	s := ledger.Settlement{State: a.State, Reason: a.Reason}
	switch a.State {
	case ledger.Delivered, ledger.Refused, ledger.Held:
	default:
		return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "state is delivered (it was done), refused (it was not, and shall not be) or held (it was not, and is sent again)"}
	}
	return o.after(r, o.buffer.ledger.Resolve(r.Context(), r.PathValue("id"), s, by))
}

// edit sends a changed body in the place of a write that is held or dead. It
// is checked against the contract as it is now.
func (o operator) edit(r *http.Request) (any, error) {
	a, by, err := o.takeAction(r)
	if err != nil {
		return nil, err
	}
	record, err := o.buffer.ledger.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, storeRefusal(err)
	}
	w, err := o.buffer.edited(record, a.Body)
	if err != nil {
		return nil, err
	}
	receipt, err := o.buffer.ledger.Replace(r.Context(), record.ID, w, by)
	if err != nil {
		return nil, actionRefusal(err)
	}
	o.buffer.refresh(record.ID)
	o.buffer.wakeAll()
	fresh, err := o.buffer.ledger.Get(r.Context(), receipt.ID)
	if err != nil {
		return nil, storeRefusal(err)
	}
	return fullViewOf(fresh), nil
}

// edited makes the write that stands for another one with a changed body.
func (b *Buffer) edited(old *ledger.Record, body json.RawMessage) (*ledger.Write, error) {
	set := b.acquire()
	if set == nil {
		return nil, &gateway.Error{Problem: gateway.NotReady}
	}
	defer set.Release()
	o := set.operations[old.Operation]
	if o == nil {
		return nil, &gateway.Error{Problem: gateway.Conflict, Detail: "there is no operation " + old.Operation + " any more"}
	}
	k, err := decodeRequest(old.Request)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "body is missing: the changed body"}
	}
	k.Body = body
	var text string
	if !strings.Contains(k.Header.Get("Content-Type"), "json") && json.Unmarshal(body, &text) == nil {
		k.Body = []byte(text)
	}
	check := &http.Request{Method: k.Method, Header: k.Header, URL: &url.URL{Path: o.spec.Path, RawQuery: k.Query}}
	if fault := o.spec.CheckRequest(check, k.Params, k.Body, specs.CheckOptions{}); fault != nil {
		return nil, &gateway.Error{Problem: gateway.InvalidBody, Detail: fault.Detail, Violations: fault.Violations}
	}
	r := k.Request
	lanes, err := o.laneKeys(&r)
	if err != nil {
		return nil, err
	}
	k.Estimate = time.Time{}
	data, err := k.encode()
	if err != nil {
		return nil, err
	}
	w := &ledger.Write{
		System: old.System, App: old.App, Operation: old.Operation, Class: old.Class, Lanes: lanes, Continue: o.goesOn, Timeout: o.timeout, Correlation: old.Correlation, Request: data,
	}
	if expiry := b.settings.Load().Expiry; expiry > 0 {
		w.Expires = time.Now().Add(expiry)
	}
	return w, nil
}

type groupView struct {
	System    string    `json:"system"`
	Operation string    `json:"operation"`
	Group     string    `json:"group"`
	Writes    int64     `json:"writes"`
	Oldest    time.Time `json:"oldest"`
	Newest    time.Time `json:"newest"`
	Example   string    `json:"example"`
}

type itemList[T any] struct {
	Items []T `json:"items"`
}

func (o operator) groups(r *http.Request) (any, error) {
	groups, err := o.buffer.ledger.Groups(r.Context(), r.URL.Query().Get("system"))
	if err != nil {
		return nil, storeRefusal(err)
	}
	list := itemList[groupView]{Items: []groupView{}}
	for _, g := range groups {
		list.Items = append(list.Items, groupView{g.System, g.Operation, g.Group, g.Writes, g.Oldest.UTC(), g.Newest.UTC(), g.Example})
	}
	return list, nil
}

// groupStep is how many writes of a group are touched in one transaction, and
// maxGroup how many by one action.
const (
	groupStep = 200
	maxGroup  = 100_000
)

// group replays or discards all dead writes of a cause. Replays run in class
// low unless told otherwise: they must not push aside what is new.
func (o operator) group(step func(context.Context, ledger.Group, specs.Class, int, ledger.By) (int, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		a, by, err := o.takeAction(r)
		if err != nil {
			return nil, err
		}
		class := specs.Low
		if a.Class != nil {
			class = *a.Class
		}
		g := ledger.Group{System: a.System, Operation: a.Operation, Group: a.Group}
		if g.System == "" || g.Operation == "" || g.Group == "" {
			return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "a group is told by system, operation and group"}
		}
		total := 0
		for n := groupStep; n == groupStep && total < maxGroup; total += n {
			if n, err = step(r.Context(), g, class, groupStep, by); err != nil {
				return nil, actionRefusal(err)
			}
		}
		o.buffer.wakeAll()
		return map[string]int{"writes": total}, nil
	}
}

type pauseView struct {
	System string    `json:"system"`
	Key    string    `json:"key,omitempty"`
	Since  time.Time `json:"since"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
}

func (o operator) pauses(r *http.Request) (any, error) {
	pauses, err := o.buffer.ledger.Pauses(r.Context())
	if err != nil {
		return nil, storeRefusal(err)
	}
	list := itemList[pauseView]{Items: []pauseView{}}
	for _, p := range pauses {
		list.Items = append(list.Items, pauseView{p.System, p.Lane, p.Since.UTC(), p.By.Actor, p.By.Reason})
	}
	return list, nil
}

// pause stops the writes of a system or of one of its keys, or lets them go on.
func (o operator) pause(do func(ctx context.Context, system, lane string, by ledger.By) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		a, by, err := o.takeAction(r)
		if err != nil {
			return nil, err
		}
		if a.System == "" {
			return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "system is missing"}
		}
		if err := do(r.Context(), a.System, a.Key, by); err != nil {
			return nil, actionRefusal(err)
		}
		o.buffer.wakeAll()
		return o.pauses(r)
	}
}

type auditView struct {
	Number int64     `json:"number"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
	Action string    `json:"action"`
	Target string    `json:"target"`
}

func (o operator) audit(r *http.Request) (any, error) {
	before, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("before"), "0"), 10, 64)
	if err != nil || before < 0 {
		return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "before is the number of an entry"}
	}
	audits, err := o.buffer.ledger.Audits(r.Context(), ledger.AuditFilter{Before: before, Limit: 200})
	if err != nil {
		return nil, storeRefusal(err)
	}
	list := itemList[auditView]{Items: []auditView{}}
	for _, a := range audits {
		list.Items = append(list.Items, auditView{a.Number, a.At.UTC(), a.By.Actor, a.By.Reason, a.Action, a.Target})
	}
	return list, nil
}

// export writes every write that a filter takes, whole, one a line.
func (o operator) export(w http.ResponseWriter, r *http.Request) {
	f, err := operatorFilter(r.URL.Query())
	if err != nil {
		reply(w, nil, err)
		return
	}
	f.Limit = 200
	begun := false
	out := json.NewEncoder(w)
	for {
		p, err := o.buffer.List(r.Context(), f)
		if err != nil {
			if !begun {
				reply(w, nil, listRefusal(err))
				return
			}
			panic(http.ErrAbortHandler) // half an export must not look whole
		}
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		for _, record := range p.Writes {
			whole, err := o.buffer.ledger.Get(r.Context(), record.ID)
			if err == ledger.ErrNotFound {
				continue // it was deleted meanwhile
			}
			if err == nil {
				err = out.Encode(fullViewOf(whole))
			}
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		if f.After = p.Next; f.After == "" {
			return
		}
	}
}
