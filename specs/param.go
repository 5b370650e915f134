package specs

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// paramChecker is a compiled parameter of a request, or header of a response.
type paramChecker struct {
	// in is path, query, header or cookie; the name of a header is canonical.
	in, name string
	required bool
	// allowEmpty lets an empty value pass, whatever its type.
	allowEmpty bool
	style      style
	explode    bool
	// json parameters hold a JSON text (content in OpenAPI's words).
	json   bool
	schema *schema.Schema
	// forms are the forms that the value may have, in the order they are tried.
	forms []form
	// properties names the members of an object that is spread over the query.
	properties []string
	// open objects take members that properties does not name.
	open bool
	dir  schema.Direction
}

// style is how a value is written.
type style string

const (
	simple         style = "simple"
	label          style = "label"
	matrix         style = "matrix"
	formStyle      style = "form"
	spaceDelimited style = "spaceDelimited"
	pipeDelimited  style = "pipeDelimited"
	deepObject     style = "deepObject"
)

// styles lists which are known where; the first is the default.
var styles = map[string][]style{
	"path":   {simple, label, matrix},
	"query":  {formStyle, spaceDelimited, pipeDelimited, deepObject},
	"header": {simple},
	"cookie": {formStyle},
}

// form is the sort of value that a parameter holds.
type form uint8

const (
	scalarForm form = iota
	arrayForm
	objectForm
)

// compileParameters compiles the parameters of a path and an operation; those
// of the operation replace those of the path with the same name.
func (c *checkCompiler) compileParameters() []*paramChecker {
	var list []*paramChecker
	add := func(refs openapi3.Parameters, at source.Node) {
		items := at.Get("parameters").Items()
		seen := map[string]source.Node{}
		for i, ref := range refs {
			where := at
			if i < len(items) {
				where = c.follow(items[i], ref.Ref)
			}
			p := c.compileParameter(ref.Value, where)
			if p == nil {
				continue
			}
			key := p.in + " " + p.name
			if other, twice := seen[key]; twice && string(other.AppendJSON(nil)) != string(where.AppendJSON(nil)) {
				c.ps.Add(where, fmt.Sprintf("the parameter %s in the %s is described twice, and not alike", p.name, p.in), "keep one of them")
			}
			seen[key] = where
			same := func(other *paramChecker) bool { return other.in == p.in && other.name == p.name }
			if i := slices.IndexFunc(list, same); i >= 0 {
				list[i] = p
			} else {
				list = append(list, p)
			}
		}
	}
	add(c.item.Parameters, c.schemas.Root().Get("paths").Get(c.operation.Path))
	add(c.op.Parameters, c.at)
	return list
}

// follow is the node that a reference leads to, or else the reference itself.
func (c *checkCompiler) follow(at source.Node, ref string) source.Node {
	if to, ok := c.schemas.Root().Pointer(unescapePointer(strings.TrimPrefix(ref, "#"))); ref != "" && ok {
		return to
	}
	return at
}

// compileParameter is nil for what OpenAPI ignores and for what cannot be compiled.
func (c *checkCompiler) compileParameter(v *openapi3.Parameter, at source.Node) *paramChecker {
	if v == nil {
		c.ps.Add(at, "the reference leads nowhere", "name an existing parameter")
		return nil
	}
	p := &paramChecker{in: v.In, name: v.Name, required: v.Required || v.In == "path", allowEmpty: v.AllowEmptyValue && v.In == "query", dir: schema.Request}
	if p.in == "header" {
		p.name = http.CanonicalHeaderKey(p.name)
		switch p.name {
		case "Accept", "Content-Type", "Authorization", // described elsewhere in a document
			"Host": // always there, and decided by who routes to us
			return nil
		}
	}
	if !c.compileValue(p, v, at) {
		return nil
	}
	return p
}

// compileValue compiles style and schema; false after a problem.
func (c *checkCompiler) compileValue(p *paramChecker, v *openapi3.Parameter, at source.Node) bool {
	known := styles[p.in]
	if known == nil {
		c.ps.Add(at.At("in"), fmt.Sprintf("%q is no place for a parameter", p.in), "write path, query, header or cookie")
		return false
	}
	p.style = style(v.Style)
	if p.style == "" {
		p.style = known[0]
	}
	if !slices.Contains(known, p.style) {
		var words []string
		for _, s := range known {
			words = append(words, string(s))
		}
		c.ps.Add(at.At("style"), fmt.Sprintf("the style %q is not known in %s", v.Style, p.in), "write "+strings.Join(words, ", "))
		return false
	}
	p.explode = p.style == formStyle || p.style == deepObject
	if v.Explode != nil {
		p.explode = *v.Explode
	}
	if v.Schema == nil && len(v.Content) > 0 {
		return c.compileParameterContent(p, v, at)
	}
	p.schema = c.schemas.Compile(v.Schema, at.Get("schema"), c.ps)
	p.shape()
	return true
}

func (c *checkCompiler) compileParameterContent(p *paramChecker, v *openapi3.Parameter, at source.Node) bool {
	if len(v.Content) > 1 {
		c.ps.Add(at.At("content"), "a parameter has exactly one media type", "keep one of them")
		return false
	}
	for name, media := range v.Content {
		p.json = isJSON(parseMedia(name))
		if p.schema = c.schemas.Any(); media != nil && p.json {
			p.schema = c.schemas.Compile(media.Schema, at.At("content", name).Get("schema"), c.ps)
		}
	}
	p.forms = []form{scalarForm}
	return true
}

// shape finds the forms that the schema allows.
func (p *paramChecker) shape() {
	if p.schema.AcceptsScalar() {
		p.forms = append(p.forms, scalarForm)
	}
	if p.schema.Free() {
		return
	}
	if p.schema.AcceptsArray() {
		p.forms = append(p.forms, arrayForm)
	}
	if p.schema.AcceptsObject() {
		p.forms = append(p.forms, objectForm)
		p.properties = p.schema.Properties()
		p.open = p.schema.Extra() != nil
	}
	if p.forms == nil {
		p.forms = []form{scalarForm}
	}
}

// violations translates what was found about the value.
func (p *paramChecker) violations(list []Violation, found []schema.Violation) []Violation {
	for _, v := range found {
		list = append(list, Violation{In: p.in, Name: p.name, Pointer: v.Pointer, Detail: v.Detail})
	}
	return list
}

func (p *paramChecker) missing() Violation {
	return Violation{In: p.in, Name: p.name, Detail: "the parameter is missing; it is required"}
}
