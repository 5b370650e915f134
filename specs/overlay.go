package specs

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/specs/jsonpath"
	"github.com/headrace/headrace/specs/source"
)

// overlay is an OpenAPI Overlay 1.0 document.
type overlay struct {
	Overlay string      `yaml:"overlay" check:"required" doc:"Version of the Overlay Specification: 1.0.0."`
	Info    overlayInfo `yaml:"info" check:"required" doc:"Title and version of the overlay."`
	Extends string      `yaml:"extends" doc:"The document that the overlay was written for."`
	Actions []action    `yaml:"actions" check:"required" doc:"What is changed, in order."`
	Node    source.Node `yaml:",node"`
}

type overlayInfo struct {
	Title   string `yaml:"title" check:"required" doc:"What the overlay is for."`
	Version string `yaml:"version" check:"required" doc:"Version of the overlay."`
}

// action changes all nodes that its target selects.
type action struct {
	Target      string      `yaml:"target" check:"required" doc:"JSONPath (RFC 9535) of the objects and lists that are changed."`
	Description string      `yaml:"description" doc:"Why the action is there."`
	Update      source.Node `yaml:"update" doc:"Properties that are merged into an object, or an entry that is appended to a list."`
	Remove      bool        `yaml:"remove" doc:"The target is removed."`
	Node        source.Node `yaml:",node"`
}

// visitFactor bounds the work of one target, in looks at a node for every node
// of the document.
const visitFactor = 50

var overlayVersion = regexp.MustCompile(`^1\.0\.\d+$`)

// overlay changes the document by overlay.yaml beside it, if there is one. It
// is false when the overlay cannot be read, and its governance is not there.
func (l *loader) overlay(dir string) (complete bool) {
	name := one(l.fsys, dir, "an overlay", []string{"overlay.yaml", "overlay.yml", "overlay.json"}, l.ps)
	if name == "" {
		return true
	}
	n := source.Read(l.fsys, path.Join(dir, name), documentLimits, l.ps)
	if !n.Exists() {
		return false
	}
	l.root, complete = overlaid(l.root, n, l.grafts, l.ps)
	return complete
}

// overlaid gives a copy of the document with the actions of an overlay
// applied, as far as they can be. Nodes that come from the overlay keep their
// place in its file, which grafts notes. It is false when the overlay cannot be
// read as a whole: what the document lacks then is not its own fault.
func overlaid(root, n source.Node, grafts *source.Grafts, ps *source.Problems) (source.Node, bool) {
	before := ps.Len()
	var o overlay
	source.Decode(withoutExtensions(n), &o, ps)
	switch {
	case o.Overlay != "" && !overlayVersion.MatchString(o.Overlay):
		ps.Add(n.At("overlay"), fmt.Sprintf("Overlay %s is not supported", o.Overlay), "write overlay: 1.0.0")
		return root, false
	case n.Get("actions").Kind() == source.List && len(o.Actions) == 0:
		ps.Add(n.At("actions"), "there are no actions", "at least one, or no overlay at all")
	}
	whole := ps.Len() == before // the actions that can be read are tried all the same, to find more
	e := editor{root: source.Clone(root.YAML()), grafts: grafts, ps: ps, file: n.File(), left: documentLimits.Nodes}
	e.left -= count(e.root)
	for _, a := range o.Actions {
		if a.Target == "" || !whole && !a.Update.Exists() && !a.Remove {
			continue // reported already
		}
		e.apply(a)
	}
	edited := source.Wrap(root.File(), e.root).WithGrafts(grafts)
	if e.left < 0 || !edited.Verify(documentLimits, ps) {
		return root, false
	}
	return edited, whole
}

// withoutExtensions leaves out the x- keys of an overlay and of its actions,
// which the specification allows and which mean nothing here.
func withoutExtensions(n source.Node) source.Node {
	root := strip(n.YAML())
	for i := 1; i < len(root.Content); i += 2 {
		switch value := root.Content[i]; root.Content[i-1].Value {
		case "info":
			root.Content[i] = strip(value)
		case "actions":
			list := *value
			list.Content = nil
			for _, a := range value.Content {
				list.Content = append(list.Content, strip(a))
			}
			if value.Kind == yaml.SequenceNode {
				root.Content[i] = &list
			}
		}
	}
	return source.Wrap(n.File(), root)
}

func strip(y *yaml.Node) *yaml.Node {
	if y.Kind != yaml.MappingNode {
		return y
	}
	stripped := *y
	stripped.Content = nil
	for i := 0; i+1 < len(y.Content); i += 2 {
		if !strings.HasPrefix(y.Content[i].Value, "x-") {
			stripped.Content = append(stripped.Content, y.Content[i], y.Content[i+1])
		}
	}
	return &stripped
}

// editor applies actions to a tree that is its own and has no aliases.
type editor struct {
	root   *yaml.Node
	grafts *source.Grafts
	ps     *source.Problems
	file   string // the overlay's
	// left is the number of nodes that the document may still grow by.
	left int
}

func (e *editor) apply(a action) {
	if e.left < 0 {
		return // reported already
	}
	at := a.Node.At("target")
	target, err := jsonpath.Parse(a.Target)
	if err != nil {
		e.ps.Add(at, fmt.Sprintf("%q is not a JSONPath: %s", a.Target, err), "")
		return
	}
	matches, err := target.Select(e.root, visitFactor*(documentLimits.Nodes-e.left)+1000)
	switch {
	case err != nil:
		e.ps.Add(at, fmt.Sprintf("%s: %s", a.Target, err), "write a narrower target")
		return
	case len(matches) == 0:
		e.ps.Add(at, fmt.Sprintf("%s matches nothing in the document", a.Target), "")
		return
	case a.Remove:
		e.remove(a, matches)
		return
	case !a.Update.Exists():
		e.ps.Add(a.Node, "the action does nothing", "give it an update, or remove: true")
		return
	}
	seen := map[*yaml.Node]bool{}
	for _, m := range matches {
		if !seen[m.Node] && !e.update(a, m.Node) {
			return
		}
		seen[m.Node] = true
	}
}

// update merges into one target; false ends the action.
func (e *editor) update(a action, target *yaml.Node) bool {
	value := a.Update.YAML()
	switch {
	case target.Kind == yaml.SequenceNode:
		target.Content = append(target.Content, e.graft(value))
	case target.Kind != yaml.MappingNode:
		e.ps.Add(a.Node.At("target"), fmt.Sprintf("%s selects a single value", a.Target), "select the object that contains it")
		return false
	case value.Kind != yaml.MappingNode:
		e.ps.Add(a.Update, "an object is updated with an object", "")
		return false
	default:
		e.merge(target, value)
	}
	if e.left < 0 {
		e.ps.Add(a.Node, "the document grows too large", "")
		return false
	}
	return true
}

// merge follows the specification: objects are merged recursively, the entries
// of lists are appended, everything else is replaced. A null leaves what is
// there, so that an overlay can mirror the structure of its document.
func (e *editor) merge(target, update *yaml.Node) {
	for i := 0; i+1 < len(update.Content); i += 2 {
		key, value := update.Content[i], resolved(update.Content[i+1])
		at := entry(target, key.Value)
		if at < 0 {
			target.Content = append(target.Content, e.graft(key), e.graft(value))
			continue
		}
		old := target.Content[at]
		switch {
		case old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			e.merge(old, value)
		case old.Kind == yaml.SequenceNode && value.Kind == yaml.SequenceNode:
			for _, item := range value.Content {
				old.Content = append(old.Content, e.graft(item))
			}
		case old.Kind != yaml.ScalarNode && value.ShortTag() == "!!null":
		default:
			target.Content[at-1], target.Content[at] = e.graft(key), e.graft(value)
		}
	}
}

func resolved(y *yaml.Node) *yaml.Node {
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return y
}

// graft copies a node of the overlay into the document. Nothing is copied any
// more once the document has become too large.
func (e *editor) graft(y *yaml.Node) *yaml.Node {
	if e.left >= 0 {
		e.left -= count(y)
	}
	if e.left < 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	y = source.Clone(y)
	e.grafts.Add(y, e.file)
	return y
}

// count is the number of values that a copy would have.
func count(y *yaml.Node) int {
	y = resolved(y)
	total := 1
	for _, child := range y.Content {
		total += count(child)
	}
	return total
}

// entry is the index of a key's value in a mapping; -1 when there is none.
func entry(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i + 1
		}
	}
	return -1
}

// remove takes all targets out at once, so that indexes mean what they meant
// before the action.
func (e *editor) remove(a action, matches []jsonpath.Match) {
	gone := map[*yaml.Node]bool{}
	parents := map[*yaml.Node]bool{}
	for _, m := range matches {
		if m.Parent == nil {
			e.ps.Add(a.Node.At("target"), "the whole document cannot be removed", "")
			return
		}
		gone[m.Node], parents[m.Parent] = true, true
	}
	for parent := range parents {
		var kept []*yaml.Node
		step := 1
		if parent.Kind == yaml.MappingNode {
			step = 2
		}
		for i := 0; i < len(parent.Content); i += step {
			if !gone[parent.Content[i+step-1]] {
				kept = append(kept, parent.Content[i:i+step]...)
			}
		}
		parent.Content = kept
	}
}
