package flow

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// request is what a run was asked for, and by whom. It holds no credential, so
// that it can be kept.
type request struct {
	RequestID   string `json:"requestId"`
	Correlation string `json:"correlation"`
	// Trace is the traceparent of the call that began the run.
	Trace string `json:"trace,omitempty"`
	// App is empty when nobody was identified.
	App string `json:"app,omitempty"`
	// Through is the API that the caller called, NAME/vMAJOR, Subscribed that it
	// was under a subscription to it.
	Through    string      `json:"through"`
	Subscribed bool        `json:"subscribed,omitempty"`
	Class      specs.Class `json:"class"`
	// Classed tells that the class is the plan's or that the operation names one.
	// Otherwise each step has the class of the operation that it calls.
	Classed  bool           `json:"classed,omitempty"`
	Inputs   map[string]any `json:"inputs,omitempty"`
	Received time.Time      `json:"received"`
}

func requestOf(x *gateway.Exchange, inputs map[string]any) *request {
	through := x.Through
	if through == nil {
		through = x.Operation.API
	}
	r := &request{
		RequestID: x.ID, Correlation: x.Correlation, Trace: x.Request.Header.Get("Traceparent"), Through: through.Name + "/" + through.Major,
		Subscribed: x.Subscription != nil, Class: x.Class, Inputs: inputs, Received: x.Record.Started,
		Classed: x.Operation.Spec.Governance.Class != nil || x.Subscription != nil && x.Subscription.Plan.Class != nil || x.Class != x.Operation.Class,
	}
	if x.App != nil {
		r.App = x.App.Name
	}
	return r
}

func (r *request) encode() ([]byte, error) { return json.Marshal(r) }

// decodeRequest reads what was kept; numbers keep their digits.
func decodeRequest(data []byte) (*request, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	r := &request{}
	return r, d.Decode(r)
}
