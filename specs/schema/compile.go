package schema

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/source"
)

// compiler compiles one schema and all that it reaches.
type compiler struct {
	*Set
	ps *source.Problems
	// made holds what was compiled so far, with its place.
	made []made
}

type made struct {
	schema *Schema
	at     place
}

// scope is what surrounds a schema.
type scope struct {
	// beside are the schemas that apply to the same value and stand around
	// this one: their properties tell what is readOnly.
	beside []*openapi3.Schema
	// resource is the schema that starts the embedded resource; nil for the document.
	resource *openapi3.Schema
}

func (s scope) child() scope { return scope{resource: s.resource} }

func (c *compiler) problem(at place, wrong, right string) { c.ps.Add(at.node, wrong, right) }

// compile compiles a schema or a reference to one.
func (c *compiler) compile(ref *openapi3.SchemaRef, at place, sc scope) *Schema {
	switch {
	case ref == nil:
		return c.free
	case ref.Value == nil:
		c.problem(at, fmt.Sprintf("the reference %q leads nowhere", ref.Ref), "name an existing schema")
		return c.free
	}
	label := ref.Value.Title
	if ref.Ref != "" {
		if base, extra, split := c.siblings(ref); split {
			return c.compileSiblings(ref, base, extra, at, sc)
		}
		if alias := c.component(ref.Ref); alias != nil && alias.Ref != "" && alias.Value != nil && len(keysBeside(ref)) == 0 {
			return c.compile(alias, c.follow(ref.Ref, at), scope{})
		}
		at = c.follow(ref.Ref, at)
		sc = scope{resource: c.resourceOf(ref.Ref)}
		label = ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
	}
	return c.compileValue(ref.Value, label, at, sc)
}

// follow is the place that a reference leads to.
func (c *compiler) follow(ref string, at place) place {
	pointer, local := localPointer(ref)
	if !local || at.foreign {
		return place{node: at.node, foreign: true}
	}
	if to, exact := c.root.Pointer(pointer); exact && c.root.Exists() {
		return place{node: to, exact: true}
	}
	return place{node: at.node}
}

// localPointer is the JSON pointer of a reference into the same document.
func localPointer(ref string) (pointer string, local bool) {
	fragment, local := strings.CutPrefix(ref, "#/")
	if !local {
		return "", false
	}
	if decoded, err := url.PathUnescape(fragment); err == nil {
		fragment = decoded
	}
	return "/" + fragment, true
}

// component is the schema under components that a reference names; nil when it
// names something else.
func (c *compiler) component(ref string) *openapi3.SchemaRef {
	pointer, _ := localPointer(ref)
	name, found := strings.CutPrefix(pointer, "/components/schemas/")
	if !found || c.doc == nil || c.doc.Components == nil {
		return nil
	}
	return c.doc.Components.Schemas[source.Unescape(name)]
}

func (c *compiler) compileValue(v *openapi3.Schema, label string, at place, sc scope) *Schema {
	return c.compileAs(v, v, label, at, sc)
}

// compileAs compiles a schema that is known under a key, which lets cycles find it.
func (c *compiler) compileAs(key, v *openapi3.Schema, label string, at place, sc scope) *Schema {
	if s, done := c.compiled[key]; done {
		return s
	}
	s := &Schema{shared: c.shared, label: label}
	c.compiled[key] = s
	c.made = append(c.made, made{s, at})
	if v.SchemaID != "" {
		sc.resource = v
		s.resource = c.resourceFor(v)
	}
	if v.Always != nil {
		s.never, s.free = !*v.Always, *v.Always
		return s
	}
	s.nullable = v.Nullable
	s.types = c.types(v, at)
	c.text(s, v, at)
	c.number(s, v, at)
	c.array(s, v, at, sc)
	c.object(s, v, at, sc)
	c.enum(s, v, at)
	c.place(s, v, at, sc)
	c.unseen(s, v, at, sc)
	c.dynamic(s, v, at, sc)
	s.free = s.types == 0 && s.text == nil && s.number == nil && s.array == nil && s.object == nil &&
		s.enum == nil && s.place == nil && s.unseen == nil && s.dynamic == nil && s.resource == nil
	return s
}

var typesByName = map[string]types{
	"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber | typeInteger,
	"string": typeString, "array": typeArray, "object": typeObject,
}

func (c *compiler) types(v *openapi3.Schema, at place) types {
	var set types
	for _, name := range v.Type.Slice() {
		t, known := typesByName[name]
		if !known {
			c.problem(at.in("type"), fmt.Sprintf("%q is no type", name), "write string, number, integer, boolean, array, object or null")
			return 0
		}
		set |= t
	}
	return set
}

func (c *compiler) text(s *Schema, v *openapi3.Schema, at place) {
	r := &textRules{minLength: size(v.MinLength), maxLength: limit(v.MaxLength), format: formatOf(v.Format)}
	if v.Pattern != "" {
		r.pattern = c.pattern(v.Pattern, at.in("pattern"))
	}
	if r.minLength > 0 || r.maxLength >= 0 || r.pattern != nil || r.format != nil {
		s.text = r
	}
}

// size and limit bring counts into the range of an int.
func size(n uint64) int { return int(min(n, 1<<31-1)) }

func limit(n *uint64) int {
	if n == nil {
		return -1
	}
	return size(*n)
}

func (c *compiler) pattern(expr string, at place) *pattern {
	p, done := c.patterns[expr]
	if !done {
		p = compilePattern(expr)
		c.patterns[expr] = p
	}
	if p.err != nil {
		c.problem(at, fmt.Sprintf("%q is not a regular expression: %v", expr, p.err), "write one of ECMA-262")
		return nil
	}
	return p
}

func (c *compiler) array(s *Schema, v *openapi3.Schema, at place, sc scope) {
	r := &arrayRules{minItems: size(v.MinItems), maxItems: limit(v.MaxItems), unique: v.UniqueItems}
	if v.Items != nil {
		r.items = c.compile(v.Items, at.in("items"), sc.child())
	}
	for i, item := range v.PrefixItems {
		r.prefix = append(r.prefix, c.compile(item, at.in("prefixItems").item(i), sc.child()))
	}
	if v.Contains != nil {
		r.contains = c.compile(v.Contains, at.in("contains"), sc.child())
		r.minContains, r.maxContains = 1, limit(v.MaxContains)
		if v.MinContains != nil {
			r.minContains = size(*v.MinContains)
		}
	}
	if r.minItems > 0 || r.maxItems >= 0 || r.unique || r.items != nil || r.prefix != nil || r.contains != nil {
		s.array = r
	}
}

func (c *compiler) object(s *Schema, v *openapi3.Schema, at place, sc scope) {
	r := &objectRules{minimum: size(v.MinProps), maximum: limit(v.MaxProps)}
	c.properties(r, v, at, sc)
	for _, expr := range sorted(v.PatternProperties) {
		if p := c.pattern(expr, at.in("patternProperties", expr)); p != nil {
			r.patterns = append(r.patterns, patternProperty{p, c.compile(v.PatternProperties[expr], at.in("patternProperties", expr), sc.child())})
		}
	}
	r.extra = c.either(v.AdditionalProperties, at.in("additionalProperties"), sc)
	if v.PropertyNames != nil {
		r.names = c.compile(v.PropertyNames, at.in("propertyNames"), sc.child())
	}
	for _, name := range sorted(v.DependentRequired) {
		r.dependents = append(r.dependents, dependent{name: name, hash: c.shared.hash(name), required: v.DependentRequired[name]})
	}
	for _, name := range sorted(v.DependentSchemas) {
		beside := scope{beside: append(slices.Clip(sc.beside), v), resource: sc.resource}
		dependency := c.compile(v.DependentSchemas[name], at.in("dependentSchemas", name), beside)
		r.dependents = append(r.dependents, dependent{name: name, hash: c.shared.hash(name), schema: dependency})
	}
	if r.minimum > 0 || r.maximum >= 0 || r.properties.list != nil || r.patterns != nil || r.extra != nil || r.names != nil || r.dependents != nil {
		s.object = r
	}
}

// either compiles what may be a boolean or a schema; nil when it is absent.
func (c *compiler) either(b openapi3.BoolSchema, at place, sc scope) *Schema {
	switch {
	case b.Has != nil && *b.Has:
		return c.free
	case b.Has != nil:
		return &Schema{shared: c.shared, never: true, acyclic: true}
	case b.Schema != nil:
		return c.compile(b.Schema, at, sc.child())
	}
	return nil
}

func (c *compiler) properties(r *objectRules, v *openapi3.Schema, at place, sc scope) {
	for _, name := range sorted(v.Properties) {
		ref := v.Properties[name]
		p := property{name: name, hash: c.shared.hash(name), schema: c.compile(ref, at.in("properties", name), sc.child())}
		if ref != nil && ref.Value != nil {
			p.barred[Request], p.barred[Response] = ref.Value.ReadOnly, ref.Value.WriteOnly
		}
		r.properties.list = append(r.properties.list, p)
	}
	for _, name := range v.Required {
		i := slices.IndexFunc(r.properties.list, func(p property) bool { return p.name == name })
		if i < 0 {
			i = len(r.properties.list)
			r.properties.list = append(r.properties.list, property{name: name, hash: c.shared.hash(name)})
		}
		readOnly, writeOnly := oneWay(name, append(slices.Clip(sc.beside), v))
		r.properties.list[i].required = [3]bool{Neither: true, Request: !readOnly, Response: !writeOnly}
	}
	if r.properties.list == nil {
		return
	}
	for _, p := range r.properties.list {
		for dir, required := range p.required {
			if required {
				r.requiredCount[dir]++
			}
		}
	}
	r.properties.index()
}

// oneWay tells whether a property is readOnly or writeOnly in schemas that
// apply together, their allOf included.
func oneWay(name string, schemas []*openapi3.Schema) (readOnly, writeOnly bool) {
	seen := map[*openapi3.Schema]bool{}
	for len(schemas) > 0 {
		v := schemas[len(schemas)-1]
		schemas = schemas[:len(schemas)-1]
		if seen[v] {
			continue
		}
		seen[v] = true
		if p := v.Properties[name]; p != nil && p.Value != nil {
			readOnly, writeOnly = readOnly || p.Value.ReadOnly, writeOnly || p.Value.WriteOnly
		}
		for _, ref := range v.AllOf {
			if ref != nil && ref.Value != nil {
				schemas = append(schemas, ref.Value)
			}
		}
	}
	return readOnly, writeOnly
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
