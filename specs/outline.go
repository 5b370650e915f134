package specs

import (
	"maps"
	"slices"

	"github.com/headrace/headrace/specs/schema"
)

// Parameter is a declared parameter of an operation.
type Parameter struct {
	// Name is canonical for headers. In is path, query, header or cookie.
	Name, In string
	Required bool
	Schema   *schema.Schema
}

// Parameters are those of an operation and of its path, as far as OpenAPI knows
// them: Accept, Content-Type and Authorization are described elsewhere.
func (o *Operation) Parameters() []Parameter {
	if o.request == nil {
		return nil
	}
	return o.request.declared
}

// Content is a media type that a body may have.
type Content struct {
	// Type is the media type or range, in lower case.
	Type string
	// JSON tells whether it is JSON.
	JSON   bool
	Schema *schema.Schema
}

func (l contents) list() []Content {
	var list []Content
	for _, c := range l {
		list = append(list, Content{c.media.String(), c.kind == jsonContent, c.schema})
	}
	return list
}

// Body gives the media types of the request's body; taken is false for an
// operation without one.
func (o *Operation) Body() (contents []Content, required, taken bool) {
	if o.request == nil || o.request.body == nil {
		return nil, false, false
	}
	return o.request.body.contents.list(), o.request.body.required, true
}

// Statuses are those that the operation declares by number, sorted.
func (o *Operation) Statuses() []int {
	if o.responses == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(o.responses.exact))
}

// AllAnswers gives the media types of all answers that are declared, failures,
// ranges and default among them.
func (o *Operation) AllAnswers() []Content {
	if o.responses == nil {
		return nil
	}
	list := []*response{o.responses.other}
	list = append(list, o.responses.ranges[:]...)
	for _, status := range o.Statuses() {
		list = append(list, o.responses.exact[status])
	}
	var all []Content
	for _, r := range list {
		if r != nil {
			all = append(all, r.contents.list()...)
		}
	}
	return all
}

// Answers gives the media types of an answer with a status; declared is false
// where the document says nothing of it.
func (o *Operation) Answers(status int) (contents []Content, declared bool) {
	if o.responses == nil {
		return nil, false
	}
	r := o.responses.find(status)
	if r == nil {
		return nil, false
	}
	return r.contents.list(), true
}
