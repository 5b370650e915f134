package schema

import (
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// resource is a schema resource: what stands under one $id, or the document
// without those.
type resource struct {
	// dynamic holds the schemas with a $dynamicAnchor.
	dynamic map[string]*Schema
}

// dynamicRef is a $dynamicRef: target, unless a resource further out has the anchor.
type dynamicRef struct {
	anchor   string // empty when the target is no $dynamicAnchor
	target   *Schema
	document *resource
}

// resolve finds the outermost resource on the way that has the anchor. The
// document is always the outermost.
func (w *walker) resolve(d *dynamicRef) *Schema {
	if d.anchor == "" {
		return d.target
	}
	if s := d.document.dynamic[d.anchor]; s != nil {
		return s
	}
	for _, r := range w.resources {
		if s := r.dynamic[d.anchor]; s != nil {
			return s
		}
	}
	return d.target
}

// anchor is a schema with an $anchor or a $dynamicAnchor.
type anchor struct {
	schema  *openapi3.Schema
	at      place
	dynamic bool
}

// resourceOf is the schema that starts the embedded resource that a reference
// leads into; nil for the document itself.
func (c *compiler) resourceOf(ref string) *openapi3.Schema {
	const prefix = "#/components/schemas/"
	if inside, found := strings.CutPrefix(ref, prefix); found {
		name, _, _ := strings.Cut(inside, "/")
		ref = prefix + name
	}
	if component := c.component(ref); component != nil && component.Value != nil && component.Value.SchemaID != "" {
		return component.Value
	}
	return nil
}

// resourceFor compiles the dynamic anchors of a resource.
func (c *compiler) resourceFor(start *openapi3.Schema) *resource {
	if r := c.resources[start]; r != nil {
		return r
	}
	r := &resource{dynamic: map[string]*Schema{}}
	c.resources[start] = r
	c.collectAnchors()
	for _, name := range sorted(c.anchors[start]) {
		if a := c.anchors[start][name]; a.dynamic {
			r.dynamic[name] = c.compileValue(a.schema, name, a.at, scope{resource: start})
		}
	}
	return r
}

func (c *compiler) dynamic(s *Schema, v *openapi3.Schema, at place, sc scope) {
	if v.DynamicRef == "" {
		return
	}
	c.collectAnchors()
	name, local := strings.CutPrefix(v.DynamicRef, "#")
	a, found := c.anchors[sc.resource][name]
	start := sc.resource
	if !found {
		start = nil
		a, found = c.anchors[nil][name]
	}
	if !local || !found {
		c.problem(at.in("$dynamicRef"), fmt.Sprintf("the anchor %q does not exist", v.DynamicRef), "write # and a $dynamicAnchor or $anchor of a schema under components")
		return
	}
	s.dynamic = &dynamicRef{target: c.compileValue(a.schema, name, a.at, scope{resource: start})}
	if a.dynamic {
		s.dynamic.anchor, s.dynamic.document = name, c.resourceFor(nil)
	}
}

// collectAnchors looks through the schemas under components.
func (c *compiler) collectAnchors() {
	if c.anchors != nil {
		return
	}
	c.anchors = map[*openapi3.Schema]map[string]anchor{}
	if c.doc == nil || c.doc.Components == nil {
		return
	}
	seen := map[*openapi3.Schema]bool{}
	root := place{node: c.root, exact: c.root.Exists()}.in("components", "schemas")
	for _, name := range sorted(c.doc.Components.Schemas) {
		c.collectAnchorsIn(c.doc.Components.Schemas[name], root.in(name), nil, seen)
	}
}

func (c *compiler) collectAnchorsIn(ref *openapi3.SchemaRef, at place, resource *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	if ref == nil || ref.Ref != "" || ref.Value == nil || seen[ref.Value] {
		return
	}
	v := ref.Value
	seen[v] = true
	if v.SchemaID != "" {
		resource = v
	}
	if c.anchors[resource] == nil {
		c.anchors[resource] = map[string]anchor{}
	}
	if v.Anchor != "" {
		c.anchors[resource][v.Anchor] = anchor{v, at, false}
	}
	if v.DynamicAnchor != "" {
		c.anchors[resource][v.DynamicAnchor] = anchor{v, at, true}
	}
	for _, child := range children(v, at) {
		c.collectAnchorsIn(child.ref, child.at, resource, seen)
	}
}

type child struct {
	ref *openapi3.SchemaRef
	at  place
}

// children lists the schemas that stand directly in a schema.
func children(v *openapi3.Schema, at place) []child {
	var list []child
	for keyword, ref := range map[string]*openapi3.SchemaRef{
		"items": v.Items, "not": v.Not, "contains": v.Contains, "propertyNames": v.PropertyNames,
		"if": v.If, "then": v.Then, "else": v.Else, "additionalProperties": v.AdditionalProperties.Schema,
		"unevaluatedItems": v.UnevaluatedItems.Schema, "unevaluatedProperties": v.UnevaluatedProperties.Schema,
	} {
		list = append(list, child{ref, at.in(keyword)})
	}
	for keyword, refs := range map[string]openapi3.SchemaRefs{
		"allOf": v.AllOf, "anyOf": v.AnyOf, "oneOf": v.OneOf, "prefixItems": v.PrefixItems,
	} {
		for i, ref := range refs {
			list = append(list, child{ref, at.in(keyword).item(i)})
		}
	}
	for keyword, refs := range map[string]openapi3.Schemas{
		"properties": v.Properties, "patternProperties": v.PatternProperties, "dependentSchemas": v.DependentSchemas, "$defs": v.Defs,
	} {
		for name, ref := range refs {
			list = append(list, child{ref, at.in(keyword, name)})
		}
	}
	return list
}
