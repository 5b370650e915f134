package specs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// maxSchemes is the number of security schemes that a document may have: one
// bit each in a set.
const maxSchemes = 32

// schemes reads the document's security schemes, and what it requires of
// operations that say nothing themselves.
func (l *loader) schemes() {
	l.document.Schemes = map[string]*SecurityScheme{}
	section := l.root.Get("components").Get("securitySchemes")
	fields := section.Fields()
	slices.SortFunc(fields, func(a, b source.Field) int { return strings.Compare(a.Name, b.Name) })
	if len(fields) > maxSchemes {
		l.ps.Add(section, fmt.Sprintf("there are %d security schemes", len(fields)), fmt.Sprintf("at most %d", maxSchemes))
	}
	for i, f := range fields {
		n := l.follow(f.Value)
		s := &SecurityScheme{Name: f.Name, Type: n.Get("type").Text(), Node: f.Value}
		if i < maxSchemes {
			s.Bit = 1 << i
		}
		if n.Kind() == source.Map {
			l.scheme(n, s)
		}
		l.document.Schemes[f.Name] = s
	}
	l.everybody = l.requirements(l.root.Get("security"))
}

// scheme reads what a scheme's type needs. A missing type is reported as such
// already.
func (l *loader) scheme(n source.Node, s *SecurityScheme) {
	switch s.Type {
	case "apiKey":
		s.In, s.Param = n.Get("in").Text(), n.Get("name").Text()
		if in := []string{"header", "query", "cookie"}; !slices.Contains(in, s.In) {
			l.ps.Add(n.At("in"), "an API key stands in a header, the query or a cookie", source.DidYouMean(s.In, in))
		}
		if s.Param == "" {
			l.ps.Add(n, `the key "name" is missing`, "the name of the header, query parameter or cookie")
		}
	case "http":
		s.HTTPScheme = strings.ToLower(n.Get("scheme").Text())
		if s.HTTPScheme == "" {
			l.ps.Add(n, `the key "scheme" is missing`, "for example bearer or basic")
		}
	case "", "mutualTLS", "oauth2", "openIdConnect":
	default:
		l.ps.Add(n.Get("type"), fmt.Sprintf("the type %q is not known", s.Type),
			source.DidYouMean(s.Type, []string{"apiKey", "http", "mutualTLS", "oauth2", "openIdConnect"}))
	}
}

// follow gives the object behind a reference inside the document, and any
// other node as it is.
func (l *loader) follow(n source.Node) source.Node {
	for range maxChain {
		pointer, ok := strings.CutPrefix(n.Get("$ref").Text(), "#")
		if !ok {
			return n
		}
		target, ok := l.root.Pointer(unescapePointer(pointer))
		if !ok {
			return n
		}
		n = target
	}
	return n
}

// security is what an operation requires of its callers.
func (l *loader) security(operation source.Node) []Requirement {
	if own := operation.Get("security"); own.Kind() == source.List {
		return l.requirements(own)
	}
	return l.everybody
}

// requirements reads alternatives; nil when there is no list.
func (l *loader) requirements(n source.Node) []Requirement {
	if n.Kind() != source.List {
		return nil
	}
	alternatives := []Requirement{}
	for _, item := range n.Items() {
		together := Requirement{}
		for _, f := range item.Fields() {
			scheme := l.document.Schemes[f.Name]
			if scheme == nil {
				l.ps.Add(f.Key, fmt.Sprintf("there is no security scheme %q", f.Name), source.DidYouMean(f.Name, slices.Collect(maps.Keys(l.document.Schemes))))
				continue
			}
			use := SchemeUse{Scheme: scheme}
			for _, scope := range f.Value.Items() {
				use.Scopes = append(use.Scopes, scope.Text())
			}
			together = append(together, use)
		}
		alternatives = append(alternatives, together)
	}
	return alternatives
}
