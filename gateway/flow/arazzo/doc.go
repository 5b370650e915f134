// Package arazzo reads Arazzo documents (https://spec.openapis.org/arazzo, 1.0
// and what fits of 1.1) and compiles them into workflows: everything that can be
// known before a run is known, and wrong, when a workspace is checked.
//
// It runs nothing. Package flow runs what is compiled here.
//
// # Where flows stand, and what they call
//
// An API of the layer process or experience has flows.arazzo.yaml beside its
// openapi.yaml. Its operations name a workflow of it:
//
//	x-headrace: {flow: placeOrder}
//
// Source descriptions name APIs of the workspace by name and major version,
// never by a file, because a minor version replaces its predecessor in place:
//
//	sourceDescriptions:
//	  - {name: orders, url: "headrace:orders/v1", type: openapi}
//	  - {name: credit, url: ../../credit/v1, type: openapi}
//
// The two notations mean the same; the second is the place of the major version
// relative to the document, apis/NAME/VERSION/flows.arazzo.yaml. Nothing is ever
// fetched. A workflow of another API is not called as a workflow, which would pass by
// all that governs its operation: call the operation that it answers.
//
// # Values
//
// Values are those of encoding/json with numbers as json.Number, so that they
// keep their digits: nil, bool, string, json.Number, []any, map[string]any.
//
// An expression that leads nowhere (an input that was not given, a pointer into
// something else, a step that was left out) is absent, which is neither null nor an error: a
// parameter whose value is absent is not sent, a property of a payload is left out,
// an item of a list becomes null, and a text with an absent part in it is absent as a whole.
// In a condition what is absent is null.
//
// # The order of steps
//
// Steps run in the order of the document, except that a step may begin as soon as
// all steps in its After are over. After holds what the step reads from
// ($steps.X.outputs), what it says (dependsOn), and the barriers: a step that writes, or that may
// send the run elsewhere (goto, end), waits for all before it, and all behind wait for it.
package arazzo
