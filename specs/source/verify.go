package source

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// textFactor says how many times its largest size a file's text may come to
// after aliases have been expanded.
const textFactor = 4

// Verify walks a tree once as it will be read, with aliases expanded, and
// reports what Parse promises to report. It is also for documents that were
// put together from several files.
func (n Node) Verify(limits Limits, ps *Problems) bool {
	before := ps.Len()
	v := verifier{root: n, ps: ps, nodes: limits.Nodes, text: limits.Bytes * textFactor}
	v.walk(n.yaml, limits.Depth)
	return ps.Len() == before
}

type verifier struct {
	root  Node
	ps    *Problems
	nodes int
	text  int64
	// steps is the way from the root to the current value. Paths are only
	// spelt out for problems.
	steps []step
	spent bool
}

type step struct {
	y     *yaml.Node
	key   *yaml.Node // nil in a list
	index int
}

func (v *verifier) walk(y *yaml.Node, depth int) {
	target := y
	for target.Kind == yaml.AliasNode {
		target = target.Alias
	}
	v.nodes--
	v.text -= int64(len(target.Value))
	switch {
	case v.spent:
		return
	case v.nodes < 0:
		v.stop("the file has too many values after aliases are expanded")
		return
	case v.text < 0:
		v.stop("the file has too much text after aliases are expanded")
		return
	case depth == 0:
		v.stop("is nested too deeply, or an alias contains itself")
		return
	case target.Style&yaml.TaggedStyle != 0 && target.Tag != "!!str":
		v.add("the tag "+target.Tag+" is not supported", "write the value without it")
	}
	switch target.Kind {
	case yaml.SequenceNode:
		for i, item := range target.Content {
			v.steps = append(v.steps, step{y: item, index: i})
			v.walk(item, depth-1)
			v.steps = v.steps[:len(v.steps)-1]
		}
	case yaml.MappingNode:
		v.walkMap(target, depth)
	}
}

func (v *verifier) walkMap(target *yaml.Node, depth int) {
	var seen map[string]bool
	if len(target.Content) > 2 {
		seen = make(map[string]bool, len(target.Content)/2)
	}
	for i := 0; i+1 < len(target.Content); i += 2 {
		key, value := target.Content[i], target.Content[i+1]
		v.text -= int64(len(key.Value))
		v.steps = append(v.steps, step{y: key, key: key})
		switch {
		case key.Kind != yaml.ScalarNode:
			v.add("a key must be a plain word", "")
		case key.Tag == "!!merge":
			v.add("merge keys are not supported", "repeat the values")
		case key.Style&yaml.TaggedStyle != 0 && key.Tag != "!!str":
			v.add("the tag "+key.Tag+" is not supported", "write the key without it")
		case seen[key.Value]:
			v.add(fmt.Sprintf("the key %q appears twice", key.Value), "keep one of them")
		}
		if seen != nil {
			seen[key.Value] = true
		}
		v.steps[len(v.steps)-1].y = value
		v.walk(value, depth-1)
		v.steps = v.steps[:len(v.steps)-1]
	}
}

func (v *verifier) stop(wrong string) {
	v.add(wrong, "")
	v.spent = true
}

// add reports a problem at the end of the current steps.
func (v *verifier) add(wrong, right string) {
	var path strings.Builder
	n := v.root
	for _, s := range v.steps {
		if s.key != nil {
			name := join("", s.key.Value)
			if path.Len() > 0 && name[0] != '[' {
				path.WriteByte('.')
			}
			path.WriteString(name)
		} else {
			path.WriteString("[" + strconv.Itoa(s.index) + "]")
		}
		n = n.child(s.y, "")
	}
	n.path = path.String()
	v.ps.Add(n, wrong, right)
}
