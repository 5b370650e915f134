package specs

import (
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// media is a media type or range without its parameters, in lower case.
type media struct{ typ, subtype string }

func (m media) String() string { return m.typ + "/" + m.subtype }

// parseMedia reads a Content-Type, or a key of OpenAPI's content. What is no
// media type has an empty subtype.
func parseMedia(s string) media {
	s, _, _ = strings.Cut(s, ";")
	s = strings.TrimSpace(s)
	typ, subtype, _ := strings.Cut(s, "/")
	return media{strings.ToLower(typ), strings.ToLower(subtype)}
}

// isJSON tells whether content of this type is JSON: application/json and all
// types with the suffix +json (RFC 6839).
func isJSON(m media) bool {
	return m.subtype == "json" || strings.HasSuffix(m.subtype, "+json")
}

// contentKind is how content is checked.
type contentKind uint8

const (
	otherContent contentKind = iota
	jsonContent
	formContent
	multipartContent
	textContent
)

func kindOf(m media) contentKind {
	switch {
	case isJSON(m):
		return jsonContent
	case m == media{"application", "x-www-form-urlencoded"}:
		return formContent
	case m == media{"multipart", "form-data"}:
		return multipartContent
	case m == media{"text", "plain"}:
		return textContent
	}
	return otherContent
}

// content is what may be sent as one media type, or as one of a range.
type content struct {
	media  media
	kind   contentKind
	schema *schema.Schema
	// fields tells how the properties of a form are written.
	fields map[string]*paramChecker
}

// reads tells whether the bytes are looked at when they are of a kind.
func (c *content) reads(kind contentKind) bool {
	switch kind {
	case jsonContent:
		return true
	case otherContent:
		return false
	}
	return !c.schema.Free()
}

// contents are the media types that may be sent, the most specific first.
type contents []*content

// compileContents compiles the media types of a body that stands at a node.
func (c *checkCompiler) compileContents(v openapi3.Content, at source.Node, dir schema.Direction) contents {
	var list contents
	for name, mt := range v {
		m := parseMedia(name)
		if m.subtype == "" {
			c.ps.Add(at.At("content", name), "is not a media type", "write for example application/json or image/*")
			continue
		}
		one := &content{media: m, kind: kindOf(m), schema: c.schemas.Any()}
		if mt != nil {
			where := at.At("content", name)
			one.schema = c.schemas.Compile(mt.Schema, where.Get("schema"), c.ps)
			if one.kind == formContent || one.kind == multipartContent {
				one.fields = c.compileFields(one, mt, where, dir)
			}
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *content) int {
		if d := a.media.breadth() - b.media.breadth(); d != 0 {
			return d
		}
		return strings.Compare(a.media.String(), b.media.String())
	})
	return list
}

// breadth orders types before ranges.
func (m media) breadth() int {
	switch {
	case m.typ == "*":
		return 3
	case m.subtype == "*":
		return 2
	case strings.HasPrefix(m.subtype, "*"):
		return 1
	}
	return 0
}

func (m media) matches(sent media) bool {
	if m == sent || m.typ == "*" {
		return true
	}
	if m.typ != sent.typ {
		return false
	}
	suffix, wild := strings.CutPrefix(m.subtype, "*")
	return wild && strings.HasSuffix(sent.subtype, suffix)
}

// find is the content for a Content-Type: the same type, else a range that
// covers it, else application/json for types with the suffix +json; nil when
// there is none. The kind is that of what was sent, which a range leaves open.
func (l contents) find(contentType string) (one *content, kind contentKind) {
	for _, one := range l { // the usual case, without taking the text apart
		if contentType == "application/json" && one.media == (media{"application", "json"}) {
			return one, one.kind
		}
	}
	sent := parseMedia(contentType)
	if sent.subtype == "" {
		return nil, otherContent
	}
	for _, one := range l {
		if one.media.matches(sent) {
			return one, kindOf(sent)
		}
	}
	for _, one := range l {
		if isJSON(sent) && one.media == (media{"application", "json"}) {
			return one, jsonContent
		}
	}
	return nil, otherContent
}

// accepted lists the media types, for messages.
func (l contents) accepted() string {
	words := make([]string, len(l))
	for i, one := range l {
		words[i] = one.media.String()
	}
	return strings.Join(words, ", ")
}
