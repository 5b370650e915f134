package specs

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Match is what a Tree found for a request. Value is the zero value when
// nothing matched; Allow then lists the methods that the path has, if any,
// sorted and separated by commas.
type Match[T any] struct {
	Value  T
	Params Params
	Allow  string
}

// Tree finds the value for a method and path. The zero value is ready to use.
// Adding is not safe for concurrent use; matching is, once all is added.
//
// A pattern is a path with parameters in braces, anywhere in a segment:
// /orders/{id}, /A_SalesOrder('{SalesOrder}'), /{file}.json, /{from}-{to}.
//
//   - Segments are compared decoded and case-sensitively. An encoded slash
//     separates nothing and comes back in the value as a slash. A path with a
//     malformed escape, or with a segment . or .., matches nothing.
//   - A trailing slash is significant, and so are empty segments.
//   - A parameter takes at least one character. One in single quotes reads an
//     OData string: doubled quotes stay inside it, and its value is the decoded
//     key with single ones. Any other takes what stands before the first
//     occurrence of the text that follows it, or before the last one if it is
//     the last of its segment.
//   - {name|uuid} and {name|integer} take nothing but that. They are for paths
//     that only the types of their parameters tell apart.
//   - Going from left to right, a literal beats a parameter; of segments that
//     begin alike, one that matches less beats one that matches all of it and
//     more. Where that does not decide, Add refuses the second pattern.
//   - The path decides before the method: where the best pattern lacks the
//     method, no other one is tried.
//
// Matching visits every node of the tree once at most and reads a segment once
// for each pattern that begins like it.
type Tree[T any] struct {
	root node[T]
}

// node is the part of the tree behind some segments.
type node[T any] struct {
	literals map[string]*node[T]
	params   *prefix[T]
	leaf     *leaf[T]
}

// prefix is a radix tree over what parametric segments begin with. The edges
// of a prefix begin with all that leads to it.
type prefix[T any] struct {
	text     string
	firsts   []byte // the first bytes of the children
	children []*prefix[T]
	edges    []*edge[T] // the more specific first
}

// edge is a parametric segment and what comes after it.
type edge[T any] struct {
	segment
	quotes []bool // by parameter: it is an OData string
	node   node[T]
}

// leaf is the end of one or more patterns of the same shape.
type leaf[T any] struct {
	routes []route[T]
	allow  string
}

type route[T any] struct {
	method, pattern string
	names           []string
	value           T
}

// Add puts a value into the tree. It fails when the pattern is malformed, when
// the same pattern has the method already (whatever the names of its
// parameters), and when no rule decides between it and another one.
func (t *Tree[T]) Add(method, pattern string, value T) error {
	parsed, err := parseTemplate(pattern)
	if err != nil {
		return err
	}
	if other := t.root.rival(parsed.segments, false); other != nil {
		return fmt.Errorf("a request can match both this path and %s, and neither is the more specific", other.routes[0].pattern)
	}
	n := &t.root
	for _, s := range parsed.segments {
		n = n.grow(s)
	}
	if n.leaf == nil {
		n.leaf = &leaf[T]{}
	}
	for _, r := range n.leaf.routes {
		if r.method == method {
			return fmt.Errorf("is the same path as %s, which has %s already", r.pattern, method)
		}
	}
	n.leaf.routes = append(n.leaf.routes, route[T]{method: method, pattern: pattern, names: parsed.names, value: value})
	n.leaf.allow = n.leaf.methods()
	return nil
}

// grow gives the node behind a segment, and makes it when there is none.
func (n *node[T]) grow(s segment) *node[T] {
	if !s.parametric() {
		child := n.literals[s.literals[0]]
		if child == nil {
			child = &node[T]{}
			if n.literals == nil {
				n.literals = map[string]*node[T]{}
			}
			n.literals[s.literals[0]] = child
		}
		return child
	}
	if n.params == nil {
		n.params = &prefix[T]{}
	}
	p := n.params.grow(s.literals[0])
	for _, e := range p.edges {
		if e.shape() == s.shape() {
			return &e.node
		}
	}
	e := &edge[T]{segment: s}
	for i := range len(s.literals) - 1 {
		e.quotes = append(e.quotes, s.quoted(i))
	}
	p.edges = append(p.edges, e)
	slices.SortFunc(p.edges, func(a, b *edge[T]) int {
		return cmp.Or(b.weight()-a.weight(), strings.Compare(a.shape(), b.shape()))
	})
	return &e.node
}

// grow gives the prefix for a text, and makes it when there is none.
func (p *prefix[T]) grow(text string) *prefix[T] {
	if text == "" {
		return p
	}
	i := slices.Index(p.firsts, text[0])
	if i < 0 {
		child := &prefix[T]{text: text}
		p.firsts, p.children = append(p.firsts, text[0]), append(p.children, child)
		return child
	}
	child := p.children[i]
	common := 0
	for common < min(len(text), len(child.text)) && text[common] == child.text[common] {
		common++
	}
	if common < len(child.text) {
		lower := *child
		lower.text = child.text[common:]
		*child = prefix[T]{text: child.text[:common], firsts: []byte{lower.text[0]}, children: []*prefix[T]{&lower}}
	}
	return child.grow(text[common:])
}

// methods lists what the path allows. HEAD comes with GET.
func (l *leaf[T]) methods() string {
	var methods []string
	for _, r := range l.routes {
		methods = append(methods, r.method)
	}
	if slices.Contains(methods, "GET") && !slices.Contains(methods, "HEAD") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// rival finds a pattern that matches some of the requests that the segments
// match without one of the two being preferred. open tells that the segments
// so far already differ in a way that decides nothing.
func (n *node[T]) rival(segments []segment, open bool) *leaf[T] {
	if len(segments) == 0 {
		if open {
			return n.leaf
		}
		return nil
	}
	s, rest := segments[0], segments[1:]
	if !open && !s.parametric() {
		if child := n.literals[s.literals[0]]; child != nil {
			return child.rival(rest, false)
		}
		return nil
	}
	if open {
		for text, child := range n.literals {
			if s.overlaps(segment{literals: []string{text}}) {
				if l := child.rival(rest, true); l != nil {
					return l
				}
			}
		}
	}
	return n.params.rival(s, rest, open)
}

func (p *prefix[T]) rival(s segment, rest []segment, open bool) *leaf[T] {
	if p == nil {
		return nil
	}
	for _, e := range p.edges {
		same := e.shape() == s.shape()
		undecided := open || e.literals[0] == s.literals[0] && !e.covers(s) && !s.covers(e.segment)
		if !same && !(undecided && e.overlaps(s)) {
			continue
		}
		if l := e.node.rival(rest, open || !same); l != nil {
			return l
		}
	}
	for _, child := range p.children {
		if l := child.rival(s, rest, open); l != nil {
			return l
		}
	}
	return nil
}

// Match finds the value for a method and an escaped path. HEAD is answered by
// GET where a path has no HEAD of its own. It allocates the Params, and what
// escapes and doubled quotes need to be decoded.
func (t *Tree[T]) Match(method, escapedPath string) Match[T] {
	if escapedPath == "" || escapedPath[0] != '/' {
		return Match[T]{}
	}
	l, r, params := t.root.find(method, escapedPath[1:], 0)
	switch {
	case l == nil:
		return Match[T]{}
	case r == nil:
		return Match[T]{Allow: l.allow}
	}
	return Match[T]{Value: r.value, Params: params}
}

// find matches what is left of a path, without its leading slash, behind a
// number of parameters. The route is nil when the path has no such method.
func (n *node[T]) find(method, path string, depth int) (*leaf[T], *route[T], Params) {
	escaped, rest, more := strings.Cut(path, "/")
	text, ok := unescape(escaped)
	if !ok || text == "." || text == ".." {
		return nil, nil, nil
	}
	if child := n.literals[text]; child != nil {
		if l, r, params := child.next(method, rest, more, depth); l != nil {
			return l, r, params
		}
	}
	if n.params == nil || text == "" {
		return nil, nil, nil
	}
	return n.params.find(text, method, rest, more, depth)
}

// next goes on behind a segment: at the end of the path, or with the rest of it.
func (n *node[T]) next(method, rest string, more bool, depth int) (*leaf[T], *route[T], Params) {
	if more {
		return n.find(method, rest, depth)
	}
	if n.leaf == nil {
		return nil, nil, nil
	}
	r := n.leaf.route(method)
	if r == nil || depth == 0 {
		return n.leaf, r, nil
	}
	params := make(Params, depth)
	for i, name := range r.names {
		params[i].Name = name
	}
	return n.leaf, r, params
}

func (l *leaf[T]) route(method string) *route[T] {
	for i := range l.routes {
		if l.routes[i].method == method {
			return &l.routes[i]
		}
	}
	if method == "HEAD" {
		return l.route("GET")
	}
	return nil
}

// find tries the edges that a segment begins with, the longest beginning
// first. text is what is left of the segment. Values are read once to see
// whether they fit, and again into the Params of the pattern that was found.
func (p *prefix[T]) find(text, method, rest string, more bool, depth int) (*leaf[T], *route[T], Params) {
	if child := p.child(text); child != nil {
		if below, ok := strings.CutPrefix(text, child.text); ok {
			if l, r, params := child.find(below, method, rest, more, depth); l != nil {
				return l, r, params
			}
		}
	}
	for _, e := range p.edges {
		if !e.capture(text, nil) {
			continue
		}
		l, r, params := e.node.next(method, rest, more, depth+len(e.kinds))
		if l == nil {
			continue
		}
		if params != nil {
			e.capture(text, params[depth:])
		}
		return l, r, params
	}
	return nil, nil, nil
}

// child is the only child that can begin like the text; nil when there is none.
func (p *prefix[T]) child(text string) *prefix[T] {
	if text == "" {
		return nil
	}
	if i := bytes.IndexByte(p.firsts, text[0]); i >= 0 {
		return p.children[i]
	}
	return nil
}

// capture reads the parameters of a segment behind its first literal, into the
// values of params unless that is nil. It tells whether they fit.
func (e *edge[T]) capture(text string, params Params) bool {
	for i, quoted := range e.quotes {
		following, last := e.literals[i+1], i == len(e.quotes)-1
		value, ok := "", false
		switch {
		case quoted:
			value, text = odataString(text)
			if last {
				ok = text == following
			} else {
				text, ok = strings.CutPrefix(text, following)
			}
		case last:
			value, ok = strings.CutSuffix(text, following)
		case text == "":
			return false
		default:
			// The first character is the parameter's, whatever it is.
			if at := strings.Index(text[1:], following); at >= 0 {
				value, text, ok = text[:at+1], text[at+1+len(following):], true
			}
		}
		if !ok || value == "" || !e.kinds[i].admits(value) {
			return false
		}
		if params != nil {
			if quoted {
				value = strings.ReplaceAll(value, "''", "'")
			}
			params[i].Value = value
		}
	}
	return true
}

// odataString reads the inside of a quoted OData string up to its closing
// quote, which stays in rest.
func odataString(text string) (value, rest string) {
	for i := 0; i < len(text); i++ {
		if text[i] != '\'' {
			continue
		}
		if i+1 == len(text) || text[i+1] != '\'' {
			return text[:i], text[i:]
		}
		i++
	}
	return "", ""
}
