package specs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/headrace/headrace/specs/source"
)

// structureText is the structure of an OpenAPI document (3.0.4 and 3.1.1): a
// line for every object, with its keys and their types. {x} is a mapping with
// free keys, [x] a list, a|b one of several words, x! a required key, * any other key; objects marked &
// may be references, and those marked … may have keys that are not listed.
// Keys that begin with x- may stand everywhere.
const structureText = `
document    openapi:text! info:info! jsonSchemaDialect:text servers:any paths:paths webhooks:{pathItem} components:components security:[{[text]}] tags:any externalDocs:any
info        title:text! version:text! summary:text description:text termsOfService:text contact:any license:any
paths       *:pathItem
components  schemas:{schema} responses:{response} parameters:{parameter} examples:{example} requestBodies:{requestBody} headers:{header} securitySchemes:{securityScheme} links:{link} callbacks:{callback} pathItems:{pathItem}
pathItem&   summary:text description:text servers:any parameters:[parameter] get:operation put:operation post:operation delete:operation options:operation head:operation patch:operation trace:operation
operation   tags:[text] summary:text description:text externalDocs:any operationId:text parameters:[parameter] requestBody:requestBody responses:responses callbacks:{callback} deprecated:flag security:[{[text]}] servers:any
parameter&  name:text! in:path|query|header|cookie! description:text required:flag deprecated:flag allowEmptyValue:flag style:text explode:flag allowReserved:flag schema:schema content:{mediaType} example:any examples:{example}
header&     description:text required:flag deprecated:flag allowEmptyValue:flag style:text explode:flag allowReserved:flag schema:schema content:{mediaType} example:any examples:{example}
requestBody& description:text content:{mediaType}! required:flag
responses   *:response
response&   description:text headers:{header} content:{mediaType} links:{link}
mediaType   schema:schema example:any examples:{example} encoding:{encoding}
encoding    contentType:text headers:{header} style:text explode:flag allowReserved:flag
example&    summary:text description:text value:any externalValue:text
link&       operationRef:text operationId:text parameters:any requestBody:any description:text server:any
callback&   *:pathItem
securityScheme& type:text! description:text name:text in:text scheme:text bearerFormat:text flows:any openIdConnectUrl:text
schema&…    title:text description:text format:text pattern:text multipleOf:number maximum:number minimum:number exclusiveMaximum:bound exclusiveMinimum:bound maxLength:count minLength:count maxItems:count minItems:count maxProperties:count minProperties:count maxContains:count minContains:count uniqueItems:flag nullable:flag readOnly:flag writeOnly:flag deprecated:flag required:[text] enum:[any] type:types allOf:[schema] anyOf:[schema] oneOf:[schema] prefixItems:[schema] not:schema items:schema contains:schema propertyNames:schema if:schema then:schema else:schema contentSchema:schema unevaluatedItems:schema unevaluatedProperties:schema additionalProperties:schema properties:{schema} patternProperties:{schema} dependentSchemas:{schema} $defs:{schema} dependentRequired:{[text]} discriminator:discriminator contentMediaType:text contentEncoding:text
discriminator propertyName:text! mapping:{text}
`

// shape is the type of a value: a scalar type, an object of the table, or a
// mapping or list of another shape.
type shape struct {
	name   string // text, flag, number, count, bound, types, any, or an object
	inner  *shape
	list   bool // with inner: a list, else a mapping
	object *object
}

type object struct {
	keys map[string]*shape
	// other is the shape of keys that are not listed; nil when there are none.
	other     *shape
	reference bool
	open      bool
	required  []string
}

// structure gives the objects by name.
var structure = sync.OnceValue(func() map[string]*object {
	objects := map[string]*object{}
	for line := range strings.Lines(strings.TrimSpace(structureText)) {
		name, _, _ := strings.Cut(line, " ")
		objects[strings.TrimRight(name, "&…")] = &object{
			keys: map[string]*shape{}, reference: strings.Contains(name, "&"), open: strings.Contains(name, "…"),
		}
	}
	for line := range strings.Lines(strings.TrimSpace(structureText)) {
		words := strings.Fields(line)
		o := objects[strings.TrimRight(words[0], "&…")]
		for _, word := range words[1:] {
			name, typ, _ := strings.Cut(word, ":")
			typ, required := strings.CutSuffix(typ, "!")
			if required {
				o.required = append(o.required, name)
			}
			if name == "*" {
				o.other = parseShape(typ, objects)
			} else {
				o.keys[name] = parseShape(typ, objects)
			}
		}
	}
	return objects
})

func parseShape(typ string, objects map[string]*object) *shape {
	switch typ[0] {
	case '{', '[':
		return &shape{inner: parseShape(typ[1:len(typ)-1], objects), list: typ[0] == '['}
	}
	return &shape{name: typ, object: objects[typ]}
}

// shapeOf is the shape of an object of the table.
func shapeOf(name string) *shape { return &shape{name: name, object: structure()[name]} }

// check reports values of the wrong type, and missing and unknown keys, and
// resolves the references on its way.
func (r *resolver) check(n source.Node, s *shape, in *file) {
	switch {
	case s.inner != nil && s.list:
		if r.expect(n, source.List, "a list") {
			for _, item := range n.Items() {
				r.check(item, s.inner, in)
			}
		}
	case s.inner != nil:
		if r.expect(n, source.Map, "a mapping") {
			for _, f := range n.Fields() {
				r.check(f.Value, s.inner, in)
			}
		}
	case s.object != nil:
		r.checkObject(n, s, in)
	default:
		r.checkScalar(n, s)
	}
}

func (r *resolver) expect(n source.Node, want source.Kind, named string) bool {
	if n.Kind() == want {
		return true
	}
	r.ps.Add(n, "expected "+named+", found "+n.Kind().Named(), "")
	return false
}

func (r *resolver) checkScalar(n source.Node, s *shape) {
	if words := strings.Split(s.name, "|"); len(words) > 1 {
		if r.expect(n, source.String, "a string") && !slices.Contains(words, n.Text()) {
			r.ps.Add(n, fmt.Sprintf("%q is not known here", n.Text()), source.DidYouMean(n.Text(), words))
		}
		return
	}
	switch kind := n.Kind(); s.name {
	case "text":
		if kind != source.String && kind != source.List && kind != source.Map {
			r.ps.Add(n, "expected a string, found "+kind.Named(), fmt.Sprintf("put it in quotes: %q", n.Text()))
			return
		}
		r.expect(n, source.String, "a string")
	case "flag":
		r.expect(n, source.Bool, "a boolean")
	case "number":
		if kind != source.Int {
			r.expect(n, source.Float, "a number")
		}
	case "bound":
		if kind != source.Int && kind != source.Float {
			r.expect(n, source.Bool, "a number or a boolean")
		}
	case "count":
		if r.expect(n, source.Int, "an integer") && strings.HasPrefix(n.Text(), "-") {
			r.ps.Add(n, n.Text()+" is too small", "the least is 0")
		}
	case "types":
		if kind != source.List {
			r.checkType(n, "a type or a list of types")
		}
		for _, item := range n.Items() {
			r.checkType(item, "a type")
		}
	}
}

// types are those of JSON Schema.
var types = []string{"string", "number", "integer", "boolean", "array", "object", "null"}

func (r *resolver) checkType(n source.Node, named string) {
	if r.expect(n, source.String, named) && !slices.Contains(types, n.Text()) {
		r.ps.Add(n, fmt.Sprintf("the type %q is not known", n.Text()), source.DidYouMean(n.Text(), types))
	}
}

func (r *resolver) checkObject(n source.Node, s *shape, in *file) {
	if s.name == "schema" && n.Kind() == source.Bool {
		return
	}
	if !r.expect(n, source.Map, article(s.name)) {
		return
	}
	if r.done[n.YAML()] {
		return
	}
	if s.name == "pathItem" {
		r.within[n.YAML()] = true
		defer delete(r.within, n.YAML())
	}
	if ref := n.Get("$ref"); ref.Exists() && s.object.reference {
		if ref.Kind() != source.String {
			r.ps.Add(ref, "expected a reference, found "+ref.Kind().Named(), "")
			return
		}
		if s.name == "pathItem" {
			r.include(n, s, in)
			return
		}
		r.refer(ref, s.name, in)
		if s.name != "schema" {
			return // what stands beside a reference means nothing
		}
	}
	for _, f := range n.Fields() {
		r.checkField(f, s, in)
	}
	for _, name := range s.object.required {
		if n.Get(name).Kind() == source.Null {
			r.ps.Add(n, fmt.Sprintf("the key %q is missing", name), "")
		}
	}
	switch {
	case s.name == "schema":
		r.contradictions(n)
	case s.name == "discriminator":
		r.checkMapping(n.Get("mapping"), in)
	case (s.name == "parameter" || s.name == "header") && n.Get("schema").Exists() && n.Get("content").Exists():
		r.ps.Add(n.Get("content"), article(s.name)+" has either a schema or content", "keep one of them")
	}
}

func (r *resolver) checkField(f source.Field, s *shape, in *file) {
	k, known := s.object.keys[f.Name]
	switch {
	case known && f.Value.Kind() == source.Null && k.name != "operation": // as good as absent
	case known:
		r.check(f.Value, k, in)
	case strings.HasPrefix(f.Name, "x-"):
	case s.object.open:
		r.checkWord(f, s.object)
	case s.object.other != nil:
		r.check(f.Value, s.object.other, in)
	default:
		r.ps.Add(f.Key, fmt.Sprintf("unknown key %q in %s", f.Name, article(s.name)),
			source.DidYouMean(f.Name, slices.Collect(maps.Keys(s.object.keys))))
	}
}

// schemaWords are keywords of schemas whose values are not looked at here.
var schemaWords = []string{"$id", "$schema", "$anchor", "$comment", "$ref", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor",
	"$vocabulary", "id", "const", "default", "example", "examples", "definitions", "dependencies", "additionalItems", "xml", "externalDocs"}

// checkWord finds misspelt keywords of a schema, which would check nothing.
// Others that nobody knows are allowed (JSON Schema, section 4.3.1), so only
// what begins like a long enough word is taken for it.
func (r *resolver) checkWord(f source.Field, o *object) {
	if f.Name == "" || slices.Contains(schemaWords, f.Name) {
		return
	}
	words := slices.DeleteFunc(append(slices.Collect(maps.Keys(o.keys)), schemaWords...), func(word string) bool {
		return len(word) < 4 || !strings.EqualFold(word[:1], f.Name[:1])
	})
	if right := source.DidYouMean(f.Name, words); strings.HasPrefix(right, "did you") {
		r.ps.Add(f.Key, fmt.Sprintf("unknown keyword %q in a schema", f.Name), right)
	}
}

// contradictions finds bounds of a schema that no value can keep.
func (r *resolver) contradictions(n source.Node) {
	for _, word := range []string{"imum", "Length", "Items", "Properties"} {
		least, most := n.Get("min"+word), n.Get("max"+word)
		a, low := least.Number()
		b, high := most.Number()
		if low && high && a > b {
			r.ps.Add(least, fmt.Sprintf("%s is more than %s: no value can be both", least.Text(), most.Text()), "exchange or correct them")
		}
	}
	if enum := n.Get("enum"); enum.Kind() == source.List && len(enum.Items()) == 0 {
		r.ps.Add(enum, "the list is empty: no value is allowed", "name the values, or remove it")
	}
}

// checkMapping resolves the values of a discriminator's mapping that are
// references; others are names of schemas.
func (r *resolver) checkMapping(mapping source.Node, in *file) {
	for _, f := range mapping.Fields() {
		if strings.ContainsAny(f.Value.Text(), "#/") {
			r.refer(f.Value, "schema", in)
		}
	}
}

// article names an object as problems speak of it.
func article(name string) string {
	words := map[string]string{
		"pathItem": "a path item", "requestBody": "a request body", "mediaType": "a media type",
		"securityScheme": "a security scheme", "paths": "a mapping of paths", "responses": "a mapping of responses",
		"components": "a mapping of components", "document": "an OpenAPI document", "info": "a mapping",
	}
	if words[name] != "" {
		return words[name]
	}
	if strings.ContainsRune("aeio", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}
