package buffer

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

// view is a write as its app sees it.
type view struct {
	ID             string       `json:"id"`
	Location       string       `json:"location"`
	State          ledger.State `json:"state"`
	NeedsAttention bool         `json:"needsAttention,omitempty"`
	Reason         string       `json:"reason,omitempty"`
	Operation      string       `json:"operation"`
	Class          specs.Class  `json:"class"`
	Keys           []string     `json:"keys,omitempty"`
	IdempotencyKey string       `json:"idempotencyKey,omitempty"`
	Correlation    string       `json:"correlation,omitempty"`
	Accepted       time.Time    `json:"accepted"`
	FirstSent      time.Time    `json:"firstSent,omitzero"`
	NotBefore      time.Time    `json:"notBefore,omitzero"`
	Expires        time.Time    `json:"expires,omitzero"`
	Settled        time.Time    `json:"settled,omitzero"`
	Attempts       int          `json:"attempts"`
	Place          int64        `json:"place,omitempty"`
	ETA            time.Time    `json:"eta,omitzero"`
	Outcome        *outcomeView `json:"outcome,omitempty"`
	Replaces       string       `json:"replaces,omitempty"`
	ReplacedBy     string       `json:"replacedBy,omitempty"`
	Timeline       []stepView   `json:"timeline,omitempty"`
}

type outcomeView struct {
	Status    int             `json:"status"`
	Headers   http.Header     `json:"headers,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
	Problem   string          `json:"problem,omitempty"`
	Confirmed bool            `json:"confirmed,omitempty"`
}

type stepView struct {
	At      time.Time    `json:"at"`
	State   ledger.State `json:"state"`
	Attempt int          `json:"attempt,omitempty"`
	Status  int          `json:"status,omitempty"`
	Reason  string       `json:"reason,omitempty"`
}

func viewOf(r *ledger.Record) view {
	v := view{
		ID: r.ID, Location: Path + "/" + r.ID, State: r.State, NeedsAttention: r.Dead, Reason: r.Reason, Operation: r.Operation, Class: r.Class,
		Keys: r.Lanes, IdempotencyKey: r.Key, Correlation: r.Correlation, Accepted: r.Accepted.UTC(), FirstSent: r.FirstSent.UTC(),
		Settled: r.Settled.UTC(), Attempts: r.Attempts, Replaces: link(r.Replaces), ReplacedBy: link(r.ReplacedBy),
	}
	if !r.State.Final() {
		v.NotBefore, v.Expires = r.NotBefore.UTC(), r.Expires.UTC()
	}
	for _, s := range r.Timeline {
		v.Timeline = append(v.Timeline, stepView{At: s.At.UTC(), State: s.State, Attempt: s.Attempt, Status: s.Status, Reason: s.Reason})
	}
	if a, err := decodeAnswer(r.Response); err == nil {
		v.Outcome = a.view()
	}
	return v
}

func (a *answer) view() *outcomeView {
	return &outcomeView{Status: a.Status, Headers: a.Header, Body: BodyView(a.body, a.Header), Problem: a.Problem, Confirmed: a.Confirmed}
}

// BodyView shows a body as JSON where its header says so and it is, else as a
// text; nil for none.
func BodyView(body []byte, h http.Header) json.RawMessage {
	if len(body) == 0 {
		return nil
	}
	if jsonMedia(h) && json.Valid(body) {
		return body
	}
	data, err := json.Marshal(strings.ToValidUTF8(string(body), "�"))
	if err != nil {
		panic(err) // texts always have a JSON form
	}
	return data
}

func link(id string) string {
	if id == "" {
		return ""
	}
	return Path + "/" + id
}
