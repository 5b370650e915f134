package specs

import (
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// checkInput is what the checkers of one operation are compiled from.
type checkInput struct {
	doc  *openapi3.T
	item *openapi3.PathItem
	op   *openapi3.Operation
	// schemas holds the compiled schemas of the document: one set for all of
	// its operations, so that a component is compiled once.
	schemas *schema.Set
	// at is where the operation stands.
	at source.Node
}

// checkCompiler compiles the checkers of one operation.
type checkCompiler struct {
	checkInput
	operation *Operation
	ps        *source.Problems
}

// compileChecks compiles the checkers of an operation. What cannot be compiled
// is a problem at the node it stands in.
func compileChecks(o *Operation, in checkInput, ps *source.Problems) {
	c := &checkCompiler{checkInput: in, operation: o, ps: ps}
	o.request = c.compileRequest()
	o.responses = c.compileResponses()
}

// Fault is why a request was not accepted.
type Fault struct {
	// Status is 400 for parameters and syntax, 415 for the media type, 422 for the content of the body.
	Status int
	// Detail says it in one sentence.
	Detail string
	// Violations are all that is wrong, up to a bound.
	Violations []Violation
}

// CheckOptions are the choices that a policy has.
type CheckOptions struct {
	// StrictQuery refuses query parameters that the operation does not declare;
	// otherwise they are tolerated.
	StrictQuery bool
	// Seen is where the fields of the request are noted, those of Operation.Fields;
	// nil when nobody wants to know.
	Seen *schema.Seen
}

// ReadsBody tells whether CheckRequest looks at the content of the body.
func (o *Operation) ReadsBody() bool {
	return o.request != nil && o.request.body != nil && o.request.body.reads
}

// Headers lists the request headers that the operation declares as parameters,
// in canonical spelling; Cookie stands for cookie parameters. Accept,
// Content-Type, Authorization and Host are never among them.
func (o *Operation) Headers() []string {
	if o.request == nil {
		return nil
	}
	var names []string
	for _, p := range o.request.header {
		names = append(names, p.name)
	}
	if o.request.cookie != nil {
		names = append(names, "Cookie")
	}
	return names
}

// CheckRequest checks parameters, headers, cookies and body. nil means that
// all is well. body is looked at only if ReadsBody says so; it must be whole
// then. Content of a type that is declared, but is neither JSON, a form nor
// plain text, passes unchecked. When parameters are wrong as well as the body,
// all violations are reported with the status 400.
func (o *Operation) CheckRequest(r *http.Request, params Params, body []byte, opts CheckOptions) *Fault {
	if o.request == nil {
		return nil
	}
	violations := o.request.checkParameters(r, params, opts)
	fault := o.request.checkBody(r, body, opts)
	switch {
	case violations == nil:
		return fault
	case fault != nil:
		violations = append(violations, fault.Violations...)
	}
	return newFault(http.StatusBadRequest, violations)
}

func newFault(status int, violations []Violation) *Fault {
	f := &Fault{Status: status, Detail: violations[0].String(), Violations: violations}
	if n := len(violations); n > 1 {
		f.Detail = fmt.Sprintf("%d faults; the first: %s", n, f.Detail)
	}
	return f
}

// ReadsResponse tells whether CheckResponse would look at a body of this status and content type.
func (o *Operation) ReadsResponse(status int, contentType string) bool {
	if o.responses == nil || !carriesBody(o.Method, status) {
		return false
	}
	resp := o.responses.find(status)
	if resp == nil {
		return false
	}
	one, kind := resp.contents.find(contentType)
	return one != nil && one.reads(kind)
}

// CheckResponse checks an answer's status, headers and body. The body must be
// whole; nil means that it is not looked at, as for answers to HEAD and where
// ReadsResponse says so. No violations means that all is well.
func (o *Operation) CheckResponse(status int, h http.Header, body []byte) []Violation {
	if o.responses == nil {
		return nil
	}
	return o.responses.check(o.Method, status, h, body)
}
