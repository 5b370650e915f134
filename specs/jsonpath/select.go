package jsonpath

import (
	"regexp"

	"go.yaml.in/yaml/v4"
)

// evaluation is one run of a path over a document.
type evaluation struct {
	root   *yaml.Node
	visits int
	// patterns are regular expressions that the document itself brought along.
	patterns map[string]*regexp.Regexp
}

// look counts a node that is looked at; false ends the evaluation.
func (e *evaluation) look() bool {
	e.visits--
	return e.visits >= 0
}

func (e *evaluation) walk(segments []segment, from Match) []Match {
	matches := []Match{from}
	for _, s := range segments {
		var found []Match
		for _, m := range matches {
			if s.descend {
				found = e.descend(s.selectors, m.Node, found)
			} else {
				found = e.children(s.selectors, m.Node, found)
			}
		}
		matches = found
	}
	return matches
}

func (e *evaluation) children(selectors []selector, parent *yaml.Node, found []Match) []Match {
	parent = target(parent)
	for _, s := range selectors {
		if !e.look() {
			return nil
		}
		found = s.apply(e, parent, found)
	}
	return found
}

func (e *evaluation) descend(selectors []selector, parent *yaml.Node, found []Match) []Match {
	found = e.children(selectors, parent, found)
	for _, child := range values(target(parent)) {
		if e.visits < 0 {
			return nil
		}
		found = e.descend(selectors, child.Node, found)
	}
	return found
}

// target follows an alias to what it stands for.
func target(y *yaml.Node) *yaml.Node {
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return y
}

// values are the children of a mapping or list.
func values(parent *yaml.Node) []Match {
	var first, step int
	switch parent.Kind {
	case yaml.MappingNode:
		first, step = 1, 2
	case yaml.SequenceNode:
		first, step = 0, 1
	default:
		return nil
	}
	children := make([]Match, 0, len(parent.Content)/step)
	for i := first; i < len(parent.Content); i += step {
		children = append(children, Match{Node: parent.Content[i], Parent: parent, Index: i})
	}
	return children
}

func (name nameSelector) apply(_ *evaluation, parent *yaml.Node, found []Match) []Match {
	if parent.Kind != yaml.MappingNode {
		return found
	}
	for i := 1; i < len(parent.Content); i += 2 {
		if parent.Content[i-1].Value == string(name) {
			return append(found, Match{Node: parent.Content[i], Parent: parent, Index: i})
		}
	}
	return found
}

func (index indexSelector) apply(_ *evaluation, parent *yaml.Node, found []Match) []Match {
	if parent.Kind != yaml.SequenceNode {
		return found
	}
	i, length := int64(index), int64(len(parent.Content))
	if i < 0 {
		i += length
	}
	if i < 0 || i >= length {
		return found
	}
	return append(found, Match{Node: parent.Content[i], Parent: parent, Index: int(i)})
}

func (wildcard) apply(e *evaluation, parent *yaml.Node, found []Match) []Match {
	children := values(parent)
	if e.visits -= len(children); e.visits < 0 {
		return nil
	}
	return append(found, children...)
}

// apply follows section 2.3.4.2.2 of RFC 9535.
func (s slice) apply(e *evaluation, parent *yaml.Node, found []Match) []Match {
	if parent.Kind != yaml.SequenceNode || s.step == 0 {
		return found
	}
	length := int64(len(parent.Content))
	lower, upper := s.bounds(length)
	add := func(i int64) bool {
		found = append(found, Match{Node: parent.Content[i], Parent: parent, Index: int(i)})
		return e.look()
	}
	if s.step > 0 {
		for i := lower; i < upper && add(i); i += s.step {
		}
	} else {
		for i := upper; i > lower && add(i); i += s.step {
		}
	}
	return found
}

func (s slice) bounds(length int64) (lower, upper int64) {
	start, end := int64(0), length
	if s.step < 0 {
		start, end = length-1, -length-1
	}
	if s.start != nil {
		start = *s.start
	}
	if s.end != nil {
		end = *s.end
	}
	if start < 0 {
		start += length
	}
	if end < 0 {
		end += length
	}
	if s.step > 0 {
		return min(max(start, 0), length), min(max(end, 0), length)
	}
	return min(max(end, -1), length-1), min(max(start, -1), length-1)
}

func (f filter) apply(e *evaluation, parent *yaml.Node, found []Match) []Match {
	for _, child := range values(parent) {
		if !e.look() {
			return nil
		}
		if f.holds(e, child.Node) {
			found = append(found, child)
		}
	}
	return found
}
