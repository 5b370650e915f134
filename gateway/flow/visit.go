package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// result is what a visit came to.
type result struct {
	OK bool `json:"ok"`
	// Operation is what was called, API/vMAJOR/operationId, System who answered it.
	Operation string `json:"operation,omitempty"`
	System    string `json:"system,omitempty"`
	Status    int    `json:"status,omitempty"`
	// Outputs are those of the step.
	Outputs map[string]any `json:"outputs,omitempty"`
	// Action is 1 and more for the action of the step's list that is taken; 0 for none.
	Action int `json:"action,omitempty"`
	// At is when it ended, After for how long the step is left alone at least.
	At    time.Time     `json:"at"`
	After time.Duration `json:"after,omitempty"`
	// Problem says why it failed.
	Problem *problem `json:"problem,omitempty"`
	// Answer is the whole answer, where that is the answer of the workflow.
	Answer *answer `json:"answer,omitempty"`
}

func (r *result) encode() []byte {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // what came from JSON always has a JSON form
	}
	return data
}

func decodeResult(data []byte) (*result, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	r := &result{}
	return r, d.Decode(r)
}

// problem is a refusal that can be kept.
type problem struct {
	Name       string `json:"name"`
	Status     int    `json:"status"`
	Title      string `json:"title"`
	Detail     string `json:"detail,omitempty"`
	System     string `json:"system,omitempty"`
	Pool       string `json:"pool,omitempty"`
	SystemCode string `json:"systemCode,omitempty"`
}

func problemOf(e *gateway.Error) *problem {
	return &problem{Name: e.Problem.Name, Status: e.Problem.Status, Title: e.Problem.Title, Detail: e.Detail, System: e.System, Pool: e.Pool, SystemCode: e.SystemCode}
}

func (p *problem) refusal(detail string, after time.Duration) *gateway.Error {
	return &gateway.Error{Problem: gateway.Problem{Name: p.Name, Status: p.Status, Title: p.Title}, Detail: detail,
		System: p.System, Pool: p.Pool, SystemCode: p.SystemCode, RetryAfter: after}
}

// failure ends a workflow: a step has failed for good.
type failure struct {
	step   string
	result *result
}

func (f *failure) Error() string { return "the step " + f.step + " has failed" }

// refusal is what the caller of the run is told.
func (f *failure) refusal() *gateway.Error {
	p := f.result.Problem
	if p == nil {
		return &gateway.Error{Problem: gateway.FlowFailed, Detail: fmt.Sprintf("the step %s was answered %d", f.step, f.result.Status), RetryAfter: f.result.After}
	}
	detail := "the step " + f.step + " failed"
	if p.Detail != "" {
		detail += ": " + p.Detail
	}
	return p.refusal(detail, f.result.After)
}

// parked lets go of a run that waits; zero for a write alone.
type parked struct{ until time.Time }

func (parked) Error() string { return "the run waits" }

// stuck leaves a run to a person.
type stuck struct{ write, cause, reason string }

func (s *stuck) Error() string { return s.reason }

// passed ends a flow early with an answer of a step that stands for it.
type passed struct{ answer *answer }

func (passed) Error() string { return "the step answers" }

// journal is what a run knows of its visits.
type journal struct {
	results map[string]*result
	writes  map[string]visitWrite // begun, and not known yet what they came to
	fresh   []ledger.RunStep      // learnt, and not kept yet
}

// visitWrite is the write of a visit.
type visitWrite struct {
	id    string
	began time.Time
}

// read takes over what the ledger knows.
func (j *journal) read(steps []ledger.RunStep) error {
	j.results, j.writes = map[string]*result{}, map[string]visitWrite{}
	for _, s := range steps {
		if s.Ended.IsZero() {
			j.writes[s.Visit] = visitWrite{s.Write, s.Began}
			continue
		}
		r, err := decodeResult(s.Result)
		if err != nil {
			return fmt.Errorf("the visit %s cannot be read: %w", s.Visit, err)
		}
		j.results[s.Visit] = r
	}
	return nil
}
