package arazzo

import (
	"net/http"
	"net/url"

	"github.com/headrace/headrace/specs"
)

// Scope is what is known at one point of a run. Its methods are called by
// Eval and Holds only, by one goroutine at a time.
type Scope interface {
	// Inputs are those of the run, defaults filled in; nil when there are none.
	Inputs() map[string]any
	// Outputs are those of the workflow itself, as far as they are known. Where a
	// step has called a workflow, they are that workflow's while the step is judged.
	Outputs() map[string]any
	// Step are the outputs of a step of the same workflow; ok is false while it
	// is not over. They may be nil.
	Step(id string) (outputs map[string]any, ok bool)
	// Flow are the inputs and outputs of another workflow of the document that
	// ran within this run; ok is false while it is not over.
	Flow(id string) (inputs, outputs map[string]any, ok bool)
	// Exchange is the step's call with its answer; nil where there is none, as
	// while a request is being made. For a step that called a workflow it is the
	// last call that this made.
	Exchange() *Exchange
}

// Exchange is the call of a step, as expressions see it.
type Exchange struct {
	URL, Method string
	Path        specs.Params
	Query       url.Values
	Header      http.Header
	Body        any
	// Status is 0 while there is no answer.
	Status         int
	ResponseHeader http.Header
	// ResponseBody is the decoded JSON, or the text of another sort of body; nil
	// for none. Shape has been applied.
	ResponseBody any
}
