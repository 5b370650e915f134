package arazzo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// limits bound a document.
var limits = source.Limits{Bytes: 1 << 20, Depth: 100, Nodes: 100_000}

// Bounds on what a document has.
const (
	maxSteps     = 200 // in a workflow
	maxWorkflows = 500
)

// Parse reads and compiles an Arazzo document and checks what can be checked
// without the workspace. All that is wrong goes to ps; the document is nil when
// it is none at all, and otherwise as far as it could be compiled.
func Parse(fsys fs.FS, name string, ps *source.Problems) *Document {
	root := source.Read(fsys, name, limits, ps)
	if !root.Exists() {
		return nil
	}
	r := &reader{ps: ps, document: &Document{File: name, Node: root}, components: map[string]source.Node{}}
	if !r.version(root.Get("arazzo"), root) {
		return nil
	}
	r.read(root)
	r.check()
	r.schemas(root)
	r.document.uses = r.uses
	for _, w := range r.document.Workflows {
		w.order()
	}
	return r.document
}

// reader compiles one document.
type reader struct {
	ps       *source.Problems
	document *Document
	// selectors tells that the document's version knows Selector Objects.
	selectors bool
	self      string
	// components are the parameters and actions by kind and name.
	components map[string]source.Node
	// workflow and step are being read.
	workflow *Workflow
	step     *Step
	// deciding tells that a condition is being read, common that it stands at the workflow.
	deciding, common bool
	// uses are all expressions of the document, checked when all is read.
	uses []use
	// targets are actions and steps that name others, resolved when all is read.
	targets []target
}

// schemas compiles the schemas of the inputs.
func (r *reader) schemas(root source.Node) {
	var roots []source.Node
	var of []*Workflow
	for _, w := range r.document.Workflows {
		if n := w.Node.Get("inputs"); n.Kind() == source.Map && w.inputsNode.Exists() {
			roots, of = append(roots, n), append(of, w)
		}
	}
	if len(roots) == 0 {
		return
	}
	for i, s := range specs.Schemas(roots, root.Get("components").Get("inputs"), "#/components/inputs/", r.ps) {
		of[i].schema = s
	}
}

// use is an expression where it stands.
type use struct {
	expression *Expression
	at         source.Node
	workflow   *Workflow
	step       *Step // nil: at the workflow itself
	place      place
	// criterion tells that it stands in a condition, which looks at failures too;
	// common that it stands there for all steps of the workflow.
	criterion, common bool
}

// place is a point of a run at which an expression is evaluated: it decides what is known.
type place uint8

const (
	// making: a request is put together.
	making place = iota
	// judging: the answer is there.
	judging
	// ending: the workflow has ended, and its outputs are made.
	ending
	// answering: the outputs are there.
	answering
	// undoing: a step is compensated.
	undoing
	// replacing: an optional step has failed.
	replacing
	// inheriting: it is evaluated by steps, where it is checked.
	inheriting
)

// target is a name of a step or workflow that stands somewhere.
type target struct {
	at       source.Node
	workflow *Workflow
	id       string
	step     func(*Step)     // nil: a workflow is meant
	flow     func(*Workflow) // nil: a step is meant
}

// versions are the feature sets that are known.
var versions = regexp.MustCompile(`^1\.([01])\.\d+$`)

func (r *reader) version(n, root source.Node) bool {
	switch {
	case root.Kind() != source.Map:
		r.ps.Add(root, "expected an Arazzo document, found "+root.Kind().Named(), "")
	case !n.Exists():
		r.ps.Add(root, `the key "arazzo" is missing`, "write arazzo: 1.0.1")
	case n.Kind() != source.String:
		r.ps.Add(n, "expected a string, found "+n.Kind().Named(), fmt.Sprintf("write arazzo: %q", "1.0.1"))
	default:
		m := versions.FindStringSubmatch(n.Text())
		if m == nil {
			r.ps.Add(n, fmt.Sprintf("Arazzo %s is not supported", n.Text()), "1.0 and 1.1 are")
			return false
		}
		r.selectors = m[1] == "1"
		return true
	}
	return false
}

func (r *reader) read(root source.Node) {
	d := r.document
	sum := sha256.Sum256(root.AppendJSON(nil))
	d.Hash = hex.EncodeToString(sum[:])
	r.keys(root, "arazzo", "$self", "info", "sourceDescriptions", "workflows", "components")
	info := r.mapping(root, "info", true)
	r.keys(info, "title", "summary", "description", "version")
	d.Title, d.Version = r.text(info, "title", true), r.text(info, "version", true)
	r.self = r.text(root, "$self", false)
	if strings.Contains(r.self, "#") {
		r.ps.Add(root.Get("$self"), "$self has a fragment", "it names the document as a whole")
	}
	r.sources(root)
	r.readComponents(r.mapping(root, "components", false))
	workflows := r.list(root, "workflows", true)
	if len(workflows) > maxWorkflows {
		r.ps.Add(root.Get("workflows"), fmt.Sprintf("a document has %d workflows at most", maxWorkflows), "")
		return
	}
	for _, n := range workflows {
		if w := r.readWorkflow(n); w != nil {
			d.Workflows = append(d.Workflows, w)
		}
	}
}

// sources reads the source descriptions.
func (r *reader) sources(root source.Node) {
	for _, n := range r.list(root, "sourceDescriptions", true) {
		r.keys(n, "name", "url", "type")
		s := &Source{Name: r.text(n, "name", true), URL: r.text(n, "url", true), Type: r.text(n, "type", false), Node: n}
		switch s.Type {
		case "":
			s.Type = "openapi"
		case "openapi", "arazzo":
		case "asyncapi":
			r.ps.Add(n.Get("type"), "AsyncAPI is not supported", "flows call APIs that are described in OpenAPI")
		default:
			r.ps.Add(n.Get("type"), fmt.Sprintf("%q is not known here", s.Type), source.DidYouMean(s.Type, []string{"openapi", "arazzo"}))
		}
		if s.Name != "" && !identifier(s.Name) {
			r.ps.Add(n.Get("name"), fmt.Sprintf("%q is not a name that expressions can use", s.Name), "use letters, digits, - and _")
		}
		if r.document.source(s.Name) != nil {
			r.ps.Add(n.Get("name"), fmt.Sprintf("there is another source description %q", s.Name), "every one needs its own name")
			continue
		}
		s.API, s.Major = apiOf(s.URL, r.document.File)
		r.document.Sources = append(r.document.Sources, s)
	}
}

func (d *Document) source(name string) *Source {
	for _, s := range d.Sources {
		if s.Name == name {
			return s
		}
	}
	return nil
}

var (
	apiPattern      = regexp.MustCompile(`^headrace:([a-z][a-z0-9-]*)/(v\d+)$`)
	relativePattern = regexp.MustCompile(`^apis/([a-z][a-z0-9-]*)/(v\d+)(/openapi\.(yaml|yml|json))?$`)
)

// apiOf reads the API of the workspace that a URL names; empty when it names none.
func apiOf(url, file string) (name, major string) {
	if m := apiPattern.FindStringSubmatch(url); m != nil {
		return m[1], m[2]
	}
	if strings.Contains(url, ":") || strings.HasPrefix(url, "/") {
		return "", ""
	}
	if m := relativePattern.FindStringSubmatch(path.Join(path.Dir(file), url)); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// componentName is what keys under components look like.
var componentName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

func (r *reader) readComponents(n source.Node) {
	r.keys(n, append([]string{"inputs"}, componentKinds...)...)
	for _, kind := range append([]string{"inputs"}, componentKinds...) {
		for _, f := range r.mapping(n, kind, false).Fields() {
			if !componentName.MatchString(f.Name) {
				r.ps.Add(f.Key, fmt.Sprintf("%q is not a name for a component", f.Name), "use letters, digits, . - and _")
			}
			r.components[kind+"."+f.Name] = f.Value
		}
	}
}

// reusable follows a Reusable Object to the component of a kind. override is
// the value beside the reference.
func (r *reader) reusable(n source.Node, kind string) (target, override source.Node, ok bool) {
	ref := n.Get("reference")
	if !ref.Exists() {
		return n, source.Node{}, n.Kind() == source.Map || r.expected(n, source.Map)
	}
	name, ok := strings.CutPrefix(ref.Text(), "$components."+kind+".")
	if !ok {
		r.ps.Add(ref, fmt.Sprintf("%q does not lead to a component of this kind", ref.Text()), "write $components."+kind+".NAME")
		return n, override, false
	}
	target = r.components[kind+"."+name]
	if !target.Exists() {
		r.ps.Add(ref, fmt.Sprintf("there is no component %q", name), source.DidYouMean(name, r.componentNames(kind)))
		return n, override, false
	}
	override = n.Get("value")
	if override.Exists() && kind != "parameters" {
		r.ps.Add(n.Key("value"), "only a parameter takes another value", "remove it")
	}
	return target, override, true
}

func (r *reader) componentNames(kind string) []string {
	var names []string
	for key := range r.components {
		if name, ok := strings.CutPrefix(key, kind+"."); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// keys reports keys that the specification does not have at a place. Extensions
// (x-…) may stand everywhere, but ours is read where it means something only.
func (r *reader) keys(n source.Node, known ...string) {
	extended := slices.Contains(known, specs.Extension)
	for _, f := range n.Fields() {
		switch {
		case slices.Contains(known, f.Name):
		case f.Name == specs.Extension && !extended:
			r.ps.Add(f.Key, specs.Extension+" means nothing here", "it stands at a workflow or at a step")
		case !strings.HasPrefix(f.Name, "x-"):
			r.ps.Add(f.Key, fmt.Sprintf("unknown key %q", f.Name), source.DidYouMean(f.Name, known))
		}
	}
}

func (r *reader) expected(n source.Node, want source.Kind) bool {
	if n.Kind() == want {
		return true
	}
	right := ""
	if k := n.Kind(); want == source.String && k != source.List && k != source.Map && k != source.Null {
		right = fmt.Sprintf("put it in quotes: %q", n.Text())
	}
	r.ps.Add(n, "expected "+want.Named()+", found "+n.Kind().Named(), right)
	return false
}

func (r *reader) missing(n source.Node, key string) {
	r.ps.Add(n, fmt.Sprintf("the key %q is missing", key), "")
}

// text reads a string; empty when it is absent or none.
func (r *reader) text(n source.Node, key string, required bool) string {
	value := n.Get(key)
	switch {
	case !value.Exists():
		if required && n.Exists() {
			r.missing(n, key)
		}
		return ""
	case !r.expected(value, source.String):
		return ""
	case required && value.Text() == "":
		r.ps.Add(value, key+" is empty", "")
	}
	return value.Text()
}

func (r *reader) mapping(n source.Node, key string, required bool) source.Node {
	value := n.Get(key)
	switch {
	case !value.Exists():
		if required && n.Exists() {
			r.missing(n, key)
		}
		return source.Node{}
	case !r.expected(value, source.Map):
		return source.Node{}
	}
	return value
}

// list reads a list of mappings or texts; one that is required has an item.
func (r *reader) list(n source.Node, key string, required bool) []source.Node {
	value := n.Get(key)
	switch {
	case !value.Exists():
		if required {
			r.missing(n, key)
		}
		return nil
	case !r.expected(value, source.List):
		return nil
	case required && len(value.Items()) == 0:
		r.ps.Add(value, key+" is empty", "at least one is needed")
	}
	return value.Items()
}

// seconds reads a number of seconds that is not negative.
func (r *reader) seconds(n source.Node) time.Duration {
	if !n.Exists() {
		return 0
	}
	f, ok := n.Number()
	switch {
	case !ok:
		r.ps.Add(n, "expected a number, found "+n.Kind().Named(), "")
	case f < 0 || f > 30*86400:
		r.ps.Add(n, n.Text()+" is out of range", "it is a number of seconds, 30 days at most")
	default:
		return time.Duration(f * float64(time.Second))
	}
	return 0
}

// count reads an integer between two bounds.
func (r *reader) count(n source.Node, absent, least, most int) int {
	if !n.Exists() {
		return absent
	}
	f, ok := n.Number()
	switch {
	case n.Kind() != source.Int || !ok:
		r.ps.Add(n, "expected an integer, found "+n.Kind().Named(), "")
	case f < float64(least) || f > float64(most):
		r.ps.Add(n, n.Text()+" is out of range", fmt.Sprintf("from %d to %d", least, most))
	default:
		return int(f)
	}
	return absent
}

// add notes an expression for the checks that follow.
func (r *reader) add(e *Expression, at source.Node, p place) {
	r.uses = append(r.uses, use{expression: e, at: at, workflow: r.workflow, step: r.step, place: p, criterion: r.deciding, common: r.common})
}

func (r *reader) syntax(at source.Node, err *syntaxError) { r.ps.Add(at, err.wrong, err.right) }
