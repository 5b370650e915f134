package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"

	"github.com/headrace/headrace/gateway"
)

// maxAnswer is the longest answer of a system in bytes that is kept with a write.
const maxAnswer = 10 << 20

// answer is what a write came to for its caller, kept like a request: this as
// JSON, a line end, and the body.
type answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	// Problem is the name of the gateway's own refusal; empty for the system's words.
	Problem string `json:"problem,omitempty"`
	// Confirmed tells that the system's own answer was lost: this is what the
	// read said that confirmed the write.
	Confirmed bool `json:"confirmed,omitempty"`

	body []byte
}

func (a *answer) encode() []byte {
	data, err := json.Marshal(a)
	if err != nil {
		panic(err) // numbers and texts always have a JSON form
	}
	data = append(data, '\n')
	return append(data, a.body...)
}

func decodeAnswer(data []byte) (*answer, error) {
	head, body, ok := bytes.Cut(data, []byte{'\n'})
	if !ok {
		return nil, errors.New("the answer that was kept cannot be read")
	}
	a := &answer{body: body}
	return a, json.Unmarshal(head, a)
}

// response makes the answer a value for a caller.
func (a *answer) response() *gateway.Response {
	return &gateway.Response{Status: a.Status, Header: maps.Clone(a.Header), Bytes: a.body, Length: int64(len(a.body)), Own: a.Problem != "" || a.Confirmed}
}

// answerOf keeps a response, which is in memory.
func answerOf(r *gateway.Response) *answer {
	return &answer{Status: r.Status, Header: r.Header, body: r.Bytes}
}

// refusalOf keeps a refusal as the problem document that its caller gets.
func refusalOf(e *gateway.Error, requestID string) *answer {
	r := e.Response(requestID)
	return &answer{Status: r.Status, Header: r.Header, Problem: e.Problem.Name, body: r.Bytes}
}
