package schema

import (
	"hash/maphash"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/source"
)

// Set holds the compiled schemas of one document. A component schema is
// compiled once, cycles included. A Set is not safe for concurrent use; the
// schemas that it compiled are.
type Set struct {
	doc      *openapi3.T
	root     source.Node
	shared   *shared
	compiled map[*openapi3.Schema]*Schema
	patterns map[string]*pattern
	// anchors holds the schemas with an anchor by the schema that starts their
	// resource; nil until it is asked for.
	anchors map[*openapi3.Schema]map[string]anchor
	// resources are the compiled resources by the schema that starts them; the
	// document itself has the key nil.
	resources map[*openapi3.Schema]*resource
	free      *Schema
}

// NewSet starts the set of a document whose references are resolved. root is
// the same document as it was read, for the places of problems and the digits
// of numbers; it may be absent.
func NewSet(doc *openapi3.T, root source.Node) *Set {
	set := &Set{
		doc: doc, root: root,
		shared:    &shared{seed: maphash.MakeSeed()},
		compiled:  map[*openapi3.Schema]*Schema{},
		patterns:  map[string]*pattern{},
		resources: map[*openapi3.Schema]*resource{},
	}
	set.free = &Schema{shared: set.shared, free: true, acyclic: true}
	return set
}

// Root is the document as it was read; it may be absent.
func (set *Set) Root() source.Node { return set.root }

// Any is the schema that accepts every JSON value; checking with it finds out
// whether a text is well-formed.
func (set *Set) Any() *Schema { return set.free }

// Compile compiles a schema that stands at a node of the document. What cannot
// be compiled is a problem; the schema that is returned accepts more then. A
// nil schema accepts everything.
func (set *Set) Compile(ref *openapi3.SchemaRef, at source.Node, ps *source.Problems) *Schema {
	c := &compiler{Set: set, ps: ps}
	s := c.compile(ref, place{node: at, exact: at.Exists()}, scope{})
	c.finish()
	return s
}

// place is where a schema stands.
type place struct {
	// node is the schema itself if exact is set, and otherwise the nearest
	// node that is known.
	node  source.Node
	exact bool
	// foreign places are in other files, which are not at hand.
	foreign bool
}

// in is the place of a keyword's value.
func (p place) in(names ...string) place {
	if !p.exact {
		return p
	}
	for _, name := range names {
		next := p.node.Get(name)
		if !next.Exists() {
			p.exact = false
			return p
		}
		p.node = next
	}
	return p
}

// item is the place of an item of a list.
func (p place) item(i int) place {
	if !p.exact {
		return p
	}
	items := p.node.Items()
	if i >= len(items) {
		p.exact = false
		return p
	}
	p.node = items[i]
	return p
}

// value is the node of a keyword, absent when it is not known.
func (p place) value(keyword string) source.Node {
	if !p.exact {
		return source.Node{}
	}
	return p.node.Get(keyword)
}
