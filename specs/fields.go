package specs

import (
	"strings"

	"github.com/headrace/headrace/specs/schema"
)

// fields are the parts of a request that are told apart.
type fields struct {
	names []string
	// query is the place of each query parameter in names; -1 beyond the bound.
	query  []int
	bodies []bodyFields
}

type bodyFields struct {
	content *content
	fields  *schema.Fields
}

func (f *fields) of(c *content) *schema.Fields {
	for i := range f.bodies {
		if f.bodies[i].content == c {
			return f.bodies[i].fields
		}
	}
	return nil
}

// Fields names the parts of a request that are told apart, at most
// schema.MaxFields of them: query parameters as ?name, then the properties of
// JSON bodies as JSON pointers with * for the items of arrays. Bit i of
// CheckOptions.Seen stands for the i-th. A name stands twice where two media
// types have it. The list must not be changed.
func (o *Operation) Fields() []string {
	if o.request == nil {
		return nil
	}
	return o.request.fields().names
}

func (rc *requestChecker) findFields() *fields {
	f := &fields{}
	for _, p := range rc.query {
		at := -1
		if len(f.names) < schema.MaxFields {
			at = len(f.names)
			f.names = append(f.names, "?"+p.name)
		}
		f.query = append(f.query, at)
	}
	if rc.body == nil {
		return f
	}
	for _, c := range rc.body.contents {
		if c.kind != jsonContent && c.media.breadth() == 0 || c.schema.Free() {
			continue
		}
		found := c.schema.Fields(len(f.names), schema.MaxFields-len(f.names))
		f.names = append(f.names, found.Names...)
		f.bodies = append(f.bodies, bodyFields{c, found})
	}
	return f
}

// seeQuery notes the parameters of a query.
func (rc *requestChecker) seeQuery(pairs []queryPair, seen *schema.Seen) {
	places := rc.fields().query
	for i, p := range rc.query {
		if places[i] < 0 {
			continue
		}
		for j := range pairs {
			if p.named(pairs[j].name) {
				seen.Add(places[i])
				break
			}
		}
	}
}

// named tells whether a name of the query belongs to the parameter.
func (p *paramChecker) named(name string) bool {
	if name == p.name {
		return true
	}
	if p.style == deepObject {
		rest, ok := strings.CutPrefix(name, p.name)
		return ok && rest != "" && rest[0] == '['
	}
	if p.spread() {
		for _, member := range p.properties {
			if member == name {
				return true
			}
		}
	}
	return false
}
