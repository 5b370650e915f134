package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

func (c *compiler) place(s *Schema, v *openapi3.Schema, at place, sc scope) {
	beside := scope{beside: append(slices.Clip(sc.beside), v), resource: sc.resource}
	p := &placeRules{}
	for i, ref := range v.AllOf {
		if one := c.compile(ref, at.in("allOf").item(i), beside); !one.free {
			p.all = append(p.all, one)
		}
	}
	p.any = c.alternatives(v.AnyOf, v, at.in("anyOf"), at, beside)
	p.one = c.alternatives(v.OneOf, v, at.in("oneOf"), at, beside)
	if v.Not != nil {
		p.not = c.compile(v.Not, at.in("not"), sc.child())
	}
	if v.If != nil {
		p.when = c.compile(v.If, at.in("if"), beside)
		if v.Then != nil {
			p.then = c.compile(v.Then, at.in("then"), beside)
		}
		if v.Else != nil {
			p.otherwise = c.compile(v.Else, at.in("else"), beside)
		}
	}
	if s.place != nil { // const beside enum
		p.all = append(p.all, s.place.all...)
	}
	s.place = p
	if p.all == nil && p.any == nil && p.one == nil && p.not == nil && p.when == nil {
		s.place = nil
	}
}

// alternatives compiles anyOf or oneOf; nil when there is none.
func (c *compiler) alternatives(refs openapi3.SchemaRefs, v *openapi3.Schema, list, at place, sc scope) *alternatives {
	if len(refs) == 0 {
		return nil
	}
	a := &alternatives{}
	for i, ref := range refs {
		a.list = append(a.list, c.compile(ref, list.item(i), sc))
	}
	if v.Discriminator != nil && v.Discriminator.PropertyName != "" {
		a.discriminator = c.discriminator(v.Discriminator, refs, a.list, at.in("discriminator"))
	}
	return a
}

// discriminator is nil when no alternative can be told by its name: inline
// schemas have none.
func (c *compiler) discriminator(v *openapi3.Discriminator, refs openapi3.SchemaRefs, list []*Schema, at place) *discriminator {
	d := &discriminator{property: v.PropertyName, hash: c.shared.hash(v.PropertyName), choices: map[string]*Schema{}}
	mapped := map[string]bool{}
	for _, value := range sorted(v.Mapping) {
		target := openapi3.SchemaRef(v.Mapping[value])
		if !strings.ContainsAny(target.Ref, "/.#") {
			target.Ref = "#/components/schemas/" + target.Ref
		}
		mapped[target.Ref] = true
		if d.choices[value] = c.choice(&target, refs, list, at); d.choices[value] == nil {
			delete(d.choices, value)
			c.problem(at.in("mapping", value), fmt.Sprintf("the schema %q does not exist", v.Mapping[value].Ref), "name one of the alternatives")
		}
	}
	for i, ref := range refs {
		if ref == nil {
			continue
		}
		if name := ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]; name != "" && !mapped[ref.Ref] && d.choices[name] == nil {
			d.choices[name] = list[i]
		}
	}
	if len(d.choices) == 0 {
		return nil
	}
	var names []string
	for _, value := range sorted(d.choices) {
		names = append(names, strconv.Quote(value))
	}
	d.want = describeEnum(names)
	return d
}

// choice is the schema that a mapping names: one of the alternatives, or any
// other schema of the document.
func (c *compiler) choice(target *openapi3.SchemaRef, refs openapi3.SchemaRefs, list []*Schema, at place) *Schema {
	for i, ref := range refs {
		if ref != nil && (ref.Ref == target.Ref || target.Value != nil && ref.Value == target.Value) {
			return list[i]
		}
	}
	if component := c.component(target.Ref); target.Value == nil && component != nil {
		target.Value = component.Value
	}
	if target.Value == nil {
		return nil
	}
	return c.compile(target, at, scope{})
}

func (c *compiler) unseen(s *Schema, v *openapi3.Schema, at place, sc scope) {
	u := &unseenRules{
		items:      c.either(v.UnevaluatedItems, at.in("unevaluatedItems"), sc),
		properties: c.either(v.UnevaluatedProperties, at.in("unevaluatedProperties"), sc),
	}
	if u.items != nil || u.properties != nil {
		s.unseen = u
	}
}

// siblings takes a reference of 3.1 apart whose siblings look at what the
// referenced schema left over: the resolved schema has the siblings as the last
// of its allOf, where unevaluatedProperties would see nothing of the rest.
func (c *compiler) siblings(ref *openapi3.SchemaRef) (base, extra *openapi3.Schema, split bool) {
	n := len(ref.Value.AllOf)
	if n == 0 {
		return nil, nil, false
	}
	last := ref.Value.AllOf[n-1]
	if last == nil || last.Ref != "" || last.Value == nil || !looksAtRest(last.Value) {
		return nil, nil, false
	}
	keys := keysBeside(ref)
	if keys["unevaluatedProperties"] == nil && keys["unevaluatedItems"] == nil {
		return nil, nil, false
	}
	plain := *ref.Value
	plain.AllOf = plain.AllOf[: n-1 : n-1]
	return &plain, last.Value, true
}

// keysBeside are the siblings of a reference as written.
func keysBeside(ref *openapi3.SchemaRef) map[string]any {
	written, err := ref.MarshalYAML()
	if err != nil {
		return nil
	}
	keys, _ := written.(map[string]any)
	delete(keys, "$ref")
	return keys
}

func looksAtRest(v *openapi3.Schema) bool {
	return v.UnevaluatedProperties.Has != nil || v.UnevaluatedProperties.Schema != nil ||
		v.UnevaluatedItems.Has != nil || v.UnevaluatedItems.Schema != nil
}

// compileSiblings compiles the siblings of a reference with the referenced
// schema as one more of their allOf.
func (c *compiler) compileSiblings(ref *openapi3.SchemaRef, base, extra *openapi3.Schema, at place, sc scope) *Schema {
	whole := *extra
	whole.Nullable = ref.Value.Nullable
	whole.AllOf = append(extra.AllOf[:len(extra.AllOf):len(extra.AllOf)], &openapi3.SchemaRef{Value: base})
	return c.compileAs(extra, &whole, ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:], at, sc)
}
