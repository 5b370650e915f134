package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/mapping"
)

// maxAnswer is the longest answer of a step in bytes that is looked at.
const maxAnswer = 10 << 20

// answer is a response that can be kept: this as JSON, a line end, and the body.
type answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	// Problem is the name of the gateway's own refusal; empty otherwise.
	Problem string `json:"problem,omitempty"`
	Body    []byte `json:"body,omitempty"`
}

func (a *answer) encode() []byte {
	head := *a
	head.Body = nil
	data, err := json.Marshal(head)
	if err != nil {
		panic(err) // numbers and texts always have a JSON form
	}
	return append(append(data, '\n'), a.Body...)
}

func decodeAnswer(data []byte) (*answer, error) {
	head, body, ok := bytes.Cut(data, []byte{'\n'})
	if !ok {
		return nil, errors.New("the answer that was kept cannot be read")
	}
	a := &answer{}
	err := json.Unmarshal(head, a)
	a.Body = body
	return a, err
}

// response makes the answer a value for a caller.
func (a *answer) response() *gateway.Response {
	h := maps.Clone(a.Header)
	if h == nil {
		h = http.Header{}
	}
	return &gateway.Response{Status: a.Status, Header: h, Bytes: a.Body, Length: int64(len(a.Body)), Own: a.Problem != ""}
}

// answerOf reads a response whole.
func answerOf(r *gateway.Response) (*answer, error) {
	body, err := r.Content(maxAnswer)
	if err != nil {
		return nil, err
	}
	return &answer{Status: r.Status, Header: r.Header, Body: body}, nil
}

// refusalOf is a refusal as the problem document that its caller gets.
func refusalOf(e *gateway.Error, requestID string) *answer {
	r := e.Response(requestID)
	return &answer{Status: r.Status, Header: r.Header, Problem: e.Problem.Name, Body: r.Bytes}
}

// value is the body as expressions see it: JSON decoded, anything else as text,
// nil for none.
func (a *answer) value() (any, error) {
	if len(a.Body) == 0 {
		return nil, nil
	}
	if !strings.Contains(a.Header.Get("Content-Type"), "json") {
		return string(a.Body), nil
	}
	v, err := mapping.Decode(a.Body)
	if err != nil {
		return nil, &gateway.Error{Problem: gateway.BadGateway, Detail: "the answer is not the JSON that it says it is", Cause: err}
	}
	return v, nil
}
