package specs

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// The bounds of a form.
const (
	maxFields    = 1000
	maxFieldText = 1 << 20
)

// compileFields compiles how the properties of a form are written.
func (c *checkCompiler) compileFields(one *content, v *openapi3.MediaType, at source.Node, dir schema.Direction) map[string]*paramChecker {
	fields := map[string]*paramChecker{}
	for _, name := range one.schema.Properties() {
		property := one.schema.Property(name)
		f := &paramChecker{in: "query", name: name, style: formStyle, explode: true, schema: property, dir: dir}
		// A part without a Content-Type is text, or JSON if its property is an object.
		f.json = property.AcceptsObject() && !property.AcceptsScalar()
		if encoding := v.Encoding[name]; encoding != nil {
			c.encode(f, encoding, at.At("encoding", name))
		}
		fields[name] = f
	}
	return fields
}

func (c *checkCompiler) encode(f *paramChecker, v *openapi3.Encoding, at source.Node) {
	if v.ContentType != "" {
		f.json = isJSON(parseMedia(v.ContentType))
	}
	if v.Style == "" && v.Explode == nil {
		return
	}
	if v.Style != "" {
		f.style = style(v.Style)
	}
	if !slices.Contains(styles["query"], f.style) {
		c.ps.Add(at.At("style"), "the style is not known in forms", "write form, spaceDelimited, pipeDelimited or deepObject")
		f.style = formStyle
	}
	f.explode, f.json = f.style == formStyle || f.style == deepObject, false
	if v.Explode != nil {
		f.explode = *v.Explode
	}
}

// checkForm checks application/x-www-form-urlencoded.
func (c *content) checkForm(body []byte, dir schema.Direction) *Fault {
	pairs, ok := splitQuery(nil, string(body))
	if !ok {
		return bodyFault(http.StatusBadRequest, malformedEscape)
	}
	m := newMembers(make([]byte, 0, 2*len(body)+2), c.schema)
	done := make(map[string]bool, len(pairs))
	for _, pair := range pairs {
		name, _, _ := strings.Cut(pair.name, "[")
		f := c.fields[name]
		if f == nil || f.style != deepObject {
			name, f = pair.name, c.fields[pair.name]
		}
		if done[name] {
			continue
		}
		done[name] = true
		if len(done) > maxFields {
			return bodyFault(http.StatusUnprocessableEntity, "the form has too many fields")
		}
		if detail := m.addField(name, f, pairs); detail != "" {
			return newFault(http.StatusUnprocessableEntity, []Violation{{In: "body", Pointer: "/" + schema.EscapePointer(name), Detail: detail}})
		}
	}
	return c.checkBuilt(m.end(), dir)
}

// checkBuilt checks a form that was put together as JSON.
func (c *content) checkBuilt(built []byte, dir schema.Direction) *Fault {
	violations, err := c.schema.Check(built, dir)
	if err != nil {
		return bodyFault(http.StatusBadRequest, err.Detail)
	}
	return contentFault(violations)
}

// addField adds all pairs of one name as one member; what it returns is wrong with them.
func (m *members) addField(name string, f *paramChecker, pairs []queryPair) (detail string) {
	if f != nil && f.style == deepObject {
		tree := f.deep(pairs)
		switch {
		case tree == nil:
			return "expected the members as " + name + "[name]=value"
		case tree.fault != "":
			return tree.fault
		}
		m.key(name)
		m.json = tree.append(m.json, f.schema)
		return ""
	}
	var values []string
	for _, pair := range pairs {
		if pair.name == name {
			values = append(values, pair.value)
		}
	}
	if f != nil && !f.explode && f.schema.AcceptsArray() {
		pieces, found := f.pieces(values)
		if found != nil {
			return found[0].Detail
		}
		values = pieces
	}
	for i, value := range values {
		text, ok := queryUnescape(value)
		if !ok {
			return malformedEscape
		}
		values[i] = text
	}
	m.addTexts(name, f, values)
	return ""
}

// addTexts adds the texts of one field, as JSON where they are.
func (m *members) addTexts(name string, f *paramChecker, texts []string) {
	if f == nil || !f.json || len(texts) != 1 || !json.Valid([]byte(texts[0])) {
		m.addList(name, texts)
		return
	}
	m.key(name)
	m.json = append(m.json, texts[0]...)
}

// checkMultipart checks multipart/form-data. Files count as strings, without
// a look at their content.
func (c *content) checkMultipart(body []byte, contentType string, dir schema.Direction) *Fault {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return unsupported("Content-Type", "the boundary is missing")
	}
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	var names []string
	texts := map[string][]string{}
	asJSON := map[string]bool{}
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return bodyFault(http.StatusBadRequest, "not valid multipart content")
		}
		name := part.FormName()
		if n >= maxFields || name == "" {
			return bodyFault(http.StatusUnprocessableEntity, "the form has too many fields, or one without a name")
		}
		text, err := c.partText(part, name)
		if err != nil {
			return bodyFault(http.StatusBadRequest, "not valid multipart content")
		}
		if texts[name] == nil {
			names = append(names, name)
		}
		texts[name] = append(texts[name], text)
		asJSON[name] = isJSON(parseMedia(part.Header.Get("Content-Type")))
	}
	m := newMembers(nil, c.schema)
	for _, name := range names {
		f := c.fields[name]
		if asJSON[name] {
			f = &paramChecker{json: true}
		}
		m.addTexts(name, f, texts[name])
	}
	return c.checkBuilt(m.end(), dir)
}

// partText is the text of a part; empty for files.
func (c *content) partText(part *multipart.Part, name string) (string, error) {
	sent := part.Header.Get("Content-Type")
	file := part.FileName() != "" || sent != "" && kindOf(parseMedia(sent)) != jsonContent && kindOf(parseMedia(sent)) != textContent
	if file {
		_, err := io.Copy(io.Discard, part)
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(part, maxFieldText))
	return string(text), err
}
