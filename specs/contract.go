package specs

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/source"
)

// Contract is a document as a whole, to be looked at rather than served: with
// its parameters, bodies, examples and descriptions, which a Document drops.
type Contract struct {
	*Document
	// Whole is the document with its overlay applied.
	Whole source.Node

	model *openapi3.T
}

// LoadContract reads an OpenAPI document: a file, or a folder as Load takes it,
// with its overlay. All that is wrong goes to ps. It is nil when anything is.
func LoadContract(fsys fs.FS, name string, ps *source.Problems) *Contract {
	before, file := ps.Len(), name
	info, err := fs.Stat(fsys, name)
	folder := err == nil && info.IsDir()
	if folder {
		base := one(fsys, name, "an OpenAPI document", documentNames, ps)
		if base == "" {
			ps.AddFile(name, "has no OpenAPI document", documentsExpected)
			return nil
		}
		file = path.Join(name, base)
	}
	l := newLoader(fsys, file, ps)
	if l == nil {
		return nil
	}
	complete := true
	if folder {
		complete = l.overlay(name)
		complete = l.lifecycle(name) && complete
	}
	l.load(complete)
	if ps.Len() > before {
		return nil
	}
	c := &Contract{Document: l.document, Whole: l.root, model: l.model}
	c.locate()
	return c
}

// locate notes in kin-openapi's model where everything stands in our files.
func (c *Contract) locate() {
	_ = c.model.WalkSchemas(func(pointer string, s *openapi3.SchemaRef) error {
		s.Value.Origin = c.origin(pointer)
		return nil
	})
	_ = c.model.WalkParameters(func(pointer string, p *openapi3.ParameterRef) error {
		p.Value.Origin = c.origin(pointer)
		return nil
	})
	for name, item := range c.model.Paths.Map() {
		at := "/paths/" + escapePointer(name)
		item.Origin = c.origin(at)
		for method, op := range item.Operations() {
			c.locateOperation(at+"/"+strings.ToLower(method), op)
		}
	}
	c.model.Origin = c.origin("")
}

func (c *Contract) locateOperation(at string, op *openapi3.Operation) {
	op.Origin = c.origin(at)
	if b := op.RequestBody; b != nil && b.Value != nil {
		b.Value.Origin = c.origin(at + "/requestBody")
	}
	for status, r := range op.Responses.Map() {
		if r.Value != nil && r.Value.Origin == nil {
			r.Value.Origin = c.origin(at + "/responses/" + escapePointer(status))
		}
	}
}

func escapePointer(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

// origin says where the value at a pointer stands, its keys, and the items of
// its lists. Where the model was rearranged, it is the nearest that stands.
func (c *Contract) origin(pointer string) *openapi3.Origin {
	pointer = strings.TrimPrefix(pointer, "#")
	n, ok := c.Whole.Pointer(pointer)
	for !ok && pointer != "" {
		pointer = pointer[:strings.LastIndex(pointer, "/")]
		n, ok = c.Whole.Pointer(pointer)
	}
	o := &openapi3.Origin{Key: location("", n)}
	for _, f := range n.Fields() {
		o.Fields = append(o.Fields, *location(f.Name, n.At(f.Name)))
		for _, item := range f.Value.Items() {
			if item.Kind() != source.Map && item.Kind() != source.List {
				if o.Sequences == nil {
					o.Sequences = map[string][]openapi3.Location{}
				}
				o.Sequences[f.Name] = append(o.Sequences[f.Name], *location(item.Text(), item))
			}
		}
	}
	return o
}

func location(name string, n source.Node) *openapi3.Location {
	p := n.Position()
	return &openapi3.Location{Name: name, File: p.File, Line: p.Line, Column: p.Column}
}

// String names the contract among people.
func (c *Contract) String() string { return fmt.Sprintf("%s %s", c.Title, c.Version) }

// Model is kin-openapi's model of the document, references resolved; every
// Origin in it says where the thing stands in our files. It is for packages
// below specs, and must not be changed.
func (c *Contract) Model() *openapi3.T { return c.model }
