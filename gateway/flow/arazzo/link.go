package arazzo

import (
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Entry is an operation that a workflow answers.
type Entry struct {
	Operation *specs.Operation
	Workflow  *Workflow
	inputs    []entryInput
}

// entryInput says where an input comes from.
type entryInput struct {
	name string
	from specs.Expression
}

// Inputs makes the inputs of a run from a request: parameters in the types that
// the inputs' schema asks for, defaults filled in. Violations say what does not meet the
// schema; the inputs must not be used then.
func (e *Entry) Inputs(r *Exchange) (inputs map[string]any, violations []specs.Violation) {
	return nil, nil
}

// API is an API of the workspace, as a linker sees it.
type API struct {
	Name, Major string
	Document    *specs.Document
	// Flows is the API's own Arazzo document; nil when it has none.
	Flows *Document
}

// Linker resolves the names in Arazzo documents to the operations of a workspace.
type Linker struct {
	// APIs are those that are served, one a major version.
	APIs []API
	// Mappings are the workspace's.
	Mappings *mapping.Library
}

// Link resolves what a document refers to in the workspace, and checks what can
// be checked with it: layers, operations, parameters, types. It gives the operations of the API
// that are answered by a workflow, by operationId. With any problem the document must not be run.
func (l *Linker) Link(api API, ps *source.Problems) map[string]*Entry { return nil }
