// Package jsonpath selects nodes of a YAML or JSON document by a JSONPath as
// RFC 9535 defines it: all segments, selectors, filters and functions, and
// nothing beyond. Selection is bounded, whatever the path and the document.
package jsonpath

import (
	"errors"

	"go.yaml.in/yaml/v4"
)

// Path is a parsed JSONPath. It is immutable and safe for concurrent use.
type Path struct {
	text     string
	segments []segment
}

func (p *Path) String() string { return p.text }

// Match is a selected node and where it hangs: Parent.Content[Index], which in
// a mapping is the value of the key at Index-1. The root has no Parent.
type Match struct {
	Node, Parent *yaml.Node
	Index        int
}

// ErrTooMuch means that a selection would look at more nodes than it may.
var ErrTooMuch = errors.New("the path selects too much")

// Select gives the nodes in the order of RFC 9535; a node can be selected more
// than once. It fails with ErrTooMuch after having looked at visits nodes.
func (p *Path) Select(root *yaml.Node, visits int) ([]Match, error) {
	e := evaluation{root: root, visits: visits}
	matches := e.walk(p.segments, Match{Node: root})
	if e.visits < 0 {
		return nil, ErrTooMuch
	}
	return matches, nil
}

// segment selects below each node that the segments before it selected.
type segment struct {
	descend   bool
	selectors []selector
}

// selector selects children of a node.
type selector interface {
	apply(e *evaluation, parent *yaml.Node, found []Match) []Match
}

type (
	nameSelector  string
	indexSelector int64
	wildcard      struct{}
	slice         struct {
		start, end *int64
		step       int64
	}
	filter struct{ condition }
)

// singular tells whether a query can select one node at most.
func singular(segments []segment) bool {
	for _, s := range segments {
		if s.descend || len(s.selectors) != 1 {
			return false
		}
		switch s.selectors[0].(type) {
		case nameSelector, indexSelector:
		default:
			return false
		}
	}
	return true
}
