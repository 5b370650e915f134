package jsonpath

import (
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Query is a question about a document: a path, which asks whether it selects
// anything, or the condition of a filter without the filter around it, such as
// $.total > 100. In a condition, both $ and @ are the document. It is
// immutable and safe for concurrent use.
type Query struct {
	path *Path
	condition
}

// ParseQuery parses a query. The error says what is wrong with it as a path.
func ParseQuery(text string) (*Query, error) {
	path, err := Parse(text)
	if err == nil {
		return &Query{path: path}, nil
	}
	if !utf8.ValidString(text) {
		return nil, err
	}
	p := &parser{text: text}
	p.space()
	c, wrong := p.or()
	if p.space(); wrong != nil || p.at < len(p.text) {
		return nil, err
	}
	return &Query{condition: c}, nil
}

// Holds answers the query. It fails with ErrTooMuch after having looked at visits nodes.
func (q *Query) Holds(root *yaml.Node, visits int) (bool, error) {
	if q.path != nil {
		found, err := q.path.Select(root, visits)
		return len(found) > 0, err
	}
	e := evaluation{root: root, visits: visits}
	holds := q.holds(&e, root)
	if e.visits < 0 {
		return false, ErrTooMuch
	}
	return holds, nil
}
