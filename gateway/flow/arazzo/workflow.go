package arazzo

import (
	"time"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/jsonpath"
	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// FileName is the name of the document beside an API's openapi.yaml.
const FileName = "flows.arazzo.yaml"

// Document is an Arazzo document. After Link it is immutable and safe for
// concurrent use.
type Document struct {
	// File is the document's file in the workspace.
	File           string
	Title, Version string
	Sources        []*Source
	// Workflows are in the order of the document.
	Workflows []*Workflow
	// Hash identifies what the document says, for runs that outlive it: a run goes
	// on only with the document that it began with.
	Hash string
	Node source.Node

	// uses are all expressions of the document.
	uses []use
}

// Workflow finds a workflow; nil when there is none.
func (d *Document) Workflow(id string) *Workflow {
	for _, w := range d.Workflows {
		if w.ID == id {
			return w
		}
	}
	return nil
}

// Source is a source description.
type Source struct {
	Name, URL string
	// Type is openapi or arazzo.
	Type string
	// API and Major name the API of the workspace, for example orders and v1;
	// empty where the URL names none.
	API, Major string
	Node       source.Node
}

// Workflow is a compiled workflow.
type Workflow struct {
	Document                 *Document
	ID, Summary, Description string
	// Inputs are the properties of the inputs' schema, sorted by name.
	Inputs []Input
	// Steps are in the order of the document, without those that only compensate.
	Steps []*Step
	// DependsOn are workflows that must have been completed before, within the
	// run; they get the inputs of this one, by their names.
	DependsOn []*Workflow
	// Outputs are evaluated when the run ends well.
	Outputs []Output
	// OnSuccess and OnFailure are in every step's own lists already, behind the
	// step's; they are here for who looks at the workflow as a whole.
	OnSuccess, OnFailure []*Action

	// Timeout bounds a whole run, from its start to its last step's end, without
	// compensation; 0 when it is not bounded.
	Timeout time.Duration
	// Class is that of all its steps; nil for that of the call which started it.
	Class *specs.Class
	// Answer is how outputs become the answer of the operation; never nil.
	Answer *Answer
	// Cache is how long the answer of a workflow that only reads may be given
	// again to the same app for the same inputs; 0 for never.
	Cache time.Duration
	// Writes tells that a step of it, or of a workflow that it calls, changes
	// something. It is known after Link.
	Writes bool
	Node   source.Node

	inputsNode source.Node
	// schema is that of the inputs; nil when there is none.
	schema *schema.Schema
	// inherited are the parameters of all steps.
	inherited []Parameter
	// undoing are the steps that only compensate.
	undoing []*Step
}

// Step finds a step, also one that only compensates; nil when there is none.
func (w *Workflow) Step(id string) *Step {
	for _, s := range w.Steps {
		if s.ID == id {
			return s
		}
	}
	for _, s := range w.undoing {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Input is a declared input of a workflow.
type Input struct {
	Name     string
	Required bool
	// Default is used when the input is not given; absent when it has none.
	Default source.Node
	Node    source.Node
}

// Output names a value.
type Output struct {
	Name  string
	Value Value
	Node  source.Node
}

// Step is one step of a workflow: a call of an operation or of a workflow.
type Step struct {
	Workflow        *Workflow
	ID, Description string
	// Index is the step's place in Workflow.Steps; -1 for one that only compensates.
	Index int
	// Call is the operation; nil for a step that calls a workflow.
	Call *Call
	// Flow is the workflow of the same document; nil for a step that calls an operation.
	Flow *Workflow
	// Parameters are the step's own and those of the workflow that it does not override.
	Parameters []Parameter
	// Body is nil for a step without one.
	Body *RequestBody
	// Success are the criteria, all of which must hold; where there are none, a
	// status below 400 is success.
	Success []*Criterion
	// OnSuccess and OnFailure are looked through in order; the first whose
	// criteria hold is taken. Without any, success goes on to the next step, and
	// failure ends the run as failed.
	OnSuccess, OnFailure []*Action
	Outputs              []Output
	// After are the indexes of the steps that must be over before it may begin,
	// sorted. It is known after Link.
	After []int

	// Timeout bounds the step with all its retries; 0 when it is not bounded.
	Timeout time.Duration
	// Class overrides that of the run; nil when it does not.
	Class *specs.Class
	// Optional steps do not fail a run: where one fails, its outputs are those of Fallback.
	Optional bool
	// Fallback are the outputs of an optional step that failed; those it does
	// not name are absent.
	Fallback []Output
	// Compensation undoes the step once it has succeeded; nil when nothing does.
	Compensation *Step
	// Shape maps the body of the answer before anything looks at it; nil when
	// nothing does. Its input is the body, and $inputs are the run's inputs.
	Shape *mapping.Mapping
	// Cache is how long the answer of a read may be used again for the same app
	// and request; 0 for never.
	Cache time.Duration
	Node  source.Node

	dependsOn []*Step
	// calls tells that a workflow is called, be it known or not.
	calls bool
	shape mapping.Source
	// undoneBy names the step that compensates; undoes is the step that this one compensates.
	undoneBy source.Node
	undoes   *Step
	// needs are the steps whose outputs a request reads.
	needs []*Step
}

// Writes tells whether the step changes something. It is known after Link.
func (s *Step) Writes() bool {
	if s.Flow != nil {
		return s.Flow.Writes
	}
	return s.Call != nil && s.Call.Operation != nil && !s.Call.Operation.Safe()
}

// Call names the operation of a step.
type Call struct {
	// Source is the API's source description.
	Source *Source
	// ID is the operationId; empty where the step names a path.
	ID string
	// Method and Path are the operation's where the step names its place.
	Method, Path string
	// Operation is known after Link.
	Operation *specs.Operation
	Node      source.Node
}

// Key is what the table calls the operation: API/vMAJOR/operationId. It is
// known after Link.
func (c *Call) Key() string {
	return c.Source.API + "/" + c.Source.Major + "/" + c.Operation.ID
}

// Parameter is a value for a parameter of an operation, or an input of a workflow.
type Parameter struct {
	Name string
	// In is path, query, header or cookie; empty for the input of a workflow.
	In    string
	Value Value
	Node  source.Node

	// inherited tells that it stands at the workflow, for all steps.
	inherited bool
}

// RequestBody makes the body of a call.
type RequestBody struct {
	// ContentType is application/json unless the document says otherwise.
	ContentType  string
	Payload      Value
	Replacements []Replacement
	Node         source.Node
}

// Replacement puts a value into a payload.
type Replacement struct {
	// Target are the decoded tokens of a JSON pointer; nil where the target is a JSONPath.
	Target []string
	Value  Value
	Node   source.Node

	path *jsonpath.Path
}

// ActionKind is what an action does.
type ActionKind string

// The kinds of actions. Retry is for failures only.
const (
	End   ActionKind = "end"
	Goto  ActionKind = "goto"
	Retry ActionKind = "retry"
)

// Action is what is done after a step has succeeded or failed.
type Action struct {
	Name string
	Kind ActionKind
	// Step or Flow is where goto goes to: a step of the same workflow, or another
	// workflow, which takes the place of this one. With retry it is what is done before the
	// step is tried again. Both are nil otherwise.
	Step *Step
	Flow *Workflow
	// Parameters are the inputs of Flow. Without any it gets those of this
	// workflow, by their names.
	Parameters []Parameter
	// RetryAfter is the least time to wait; an answer's Retry-After may say more.
	RetryAfter time.Duration
	// RetryLimit is how often the action may be taken for one step in a run; then
	// the next action in the list is looked at.
	RetryLimit int
	// Criteria must all hold; an action without any is always taken.
	Criteria []*Criterion
	Node     source.Node
}

// Answer is how the outputs of a workflow become the answer of its operation.
type Answer struct {
	// Status is the answer's; 0 for the operation's only declared success, or
	// 200: Entry.Status has it settled.
	Status int
	// Shape makes the body: its input are the outputs, $inputs the run's inputs.
	// nil: the outputs are the body.
	Shape *mapping.Mapping
	// Headers are evaluated with the outputs known.
	Headers []Output
	// Pass is the step whose answer is passed through as it is, status, headers
	// and body; nil when the outputs answer.
	Pass *Step
	Node source.Node

	body mapping.Source
}
