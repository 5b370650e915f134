package specs

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/specs/source"
)

// Bounds on what a document may refer to outside itself.
const (
	maxFiles  = 256      // files, per document
	maxBytes  = 64 << 20 // all of them together
	maxCopied = 200_000  // values that are copied from them
	maxChain  = 64       // references from one to the next
)

// file is a file that references are relative to.
type file struct {
	// name is its path inside the workspace; the document's own for all that
	// its overlay added, since references are relative to the document.
	name string
	root source.Node
}

// resolver checks a document's structure and its references, and makes the
// document self-contained: what it refers to in other files of the workspace
// is copied into its components, and referred to there. Path items are copied
// to where they are referred to.
type resolver struct {
	fsys   fs.FS
	main   *file
	grafts *source.Grafts
	ps     *source.Problems

	files  map[string]*file
	bytes  int64
	values int // copied so far
	// done are the references that were rewritten and the path items that were
	// put together: an alias may lead to them again.
	done map[*yaml.Node]bool
	// within are the path items that are being checked.
	within map[*yaml.Node]bool
	// names are the components that were made of parts of other files, by what they are and where they stood.
	names map[place]string
	// taken are the names of components by kind, of those kinds that got new ones.
	taken map[string]map[string]bool
	// queue holds copied components that are not part of the document yet.
	queue []adopted
}

type place struct{ file, pointer, kind string }

type adopted struct {
	name, kind string
	y          *yaml.Node
	in         *file
}

// resolve checks the document and makes it self-contained.
func (r *resolver) resolve() {
	r.files = map[string]*file{r.main.name: r.main}
	r.names, r.taken = map[place]string{}, map[string]map[string]bool{}
	r.done, r.within = map[*yaml.Node]bool{}, map[*yaml.Node]bool{}
	r.check(r.main.root, shapeOf("document"), r.main)
	for len(r.queue) > 0 {
		next := r.queue[0]
		r.queue = r.queue[1:]
		r.check(r.attach(next), shapeOf(next.kind), next.in)
	}
}

// attach makes a copied component part of the document.
func (r *resolver) attach(a adopted) source.Node {
	section := mapping(mapping(r.main.root.YAML(), "components"), sections[a.kind])
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: a.name, Line: a.y.Line, Column: a.y.Column}
	section.Content = append(section.Content, key, a.y)
	r.grafts.Add(key, a.in.name)
	r.grafts.Add(a.y, a.in.name)
	return r.main.root.Get("components").Get(sections[a.kind]).Get(a.name)
}

// sections are the places of shared objects under components.
var sections = map[string]string{
	"schema": "schemas", "response": "responses", "parameter": "parameters", "example": "examples",
	"requestBody": "requestBodies", "header": "headers", "securityScheme": "securitySchemes",
	"link": "links", "callback": "callbacks", "pathItem": "pathItems",
}

// refer resolves a reference to an object of a kind. One that leaves the
// document is rewritten.
func (r *resolver) refer(ref source.Node, kind string, in *file) {
	if r.done[ref.YAML()] {
		return
	}
	target, pointer, to := r.locate(ref, kind, in)
	if to == nil || !r.finite(ref, target, to) {
		return
	}
	if to == r.main {
		if ref.Text()[0] != '#' || in != r.main {
			r.rewrite(ref, "#"+(&url.URL{Path: pointer}).EscapedPath())
		}
		return
	}
	if name := r.adopt(ref, target, place{to.name, pointer, kind}, to); name != "" {
		r.rewrite(ref, "#/components/"+sections[kind]+"/"+name)
	}
}

func (r *resolver) rewrite(ref source.Node, value string) {
	ref.YAML().Value = value
	r.done[ref.YAML()] = true
}

// locate finds what a reference means; to is nil when it means nothing, which
// is reported then.
func (r *resolver) locate(ref source.Node, kind string, in *file) (target source.Node, pointer string, to *file) {
	name, fragment, _ := strings.Cut(ref.Text(), "#")
	pointer, err := url.PathUnescape(fragment)
	if err != nil || pointer != "" && pointer[0] != '/' {
		r.ps.Add(ref, fmt.Sprintf("%q is not a reference that can be followed", ref.Text()), "write #/ and the way to the object, for example #/components/schemas/Order")
		return target, "", nil
	}
	to = in
	if name != "" {
		if to = r.open(ref, name, in); to == nil {
			return target, "", nil
		}
	}
	target, ok := to.root.Pointer(pointer)
	switch {
	case pointer == "" && to == r.main:
		r.ps.Add(ref, fmt.Sprintf("%q is the document itself, not %s", ref.Text(), article(kind)), "write #/ and the way to the object, for example #/components/schemas/Order")
		return target, "", nil
	case !ok:
		r.dangling(ref, pointer, to)
		return target, "", nil
	case !suits(pointer, kind):
		r.ps.Add(ref, fmt.Sprintf("%s is not %s", ref.Text(), article(kind)), "components of this sort stand in #/components/"+sections[kind])
		return target, "", nil
	case target.Kind() != source.Map && !(kind == "schema" && target.Kind() == source.Bool):
		r.ps.Add(ref, fmt.Sprintf("%s is %s, not %s", ref.Text(), target.Kind().Named(), article(kind)), "")
		return target, "", nil
	}
	return target, pointer, to
}

// dangling reports a reference that leads nowhere.
func (r *resolver) dangling(ref source.Node, pointer string, to *file) {
	right := ""
	i := strings.LastIndexByte(pointer, '/')
	if parent, ok := to.root.Pointer(pointer[:i]); ok && parent.Kind() == source.Map {
		var names []string
		for _, f := range parent.Fields() {
			names = append(names, f.Name)
		}
		right = source.DidYouMean(source.Unescape(pointer[i+1:]), names)
	}
	r.ps.Add(ref, fmt.Sprintf("%s leads nowhere", ref.Text()), right)
}

// unescapePointer decodes a pointer as it stands in a reference.
func unescapePointer(fragment string) string {
	if pointer, err := url.PathUnescape(fragment); err == nil {
		return pointer
	}
	return fragment
}

// suits tells whether a pointer into components names the right section.
func suits(pointer, kind string) bool {
	rest, ok := strings.CutPrefix(pointer, "/components/")
	section, name, found := strings.Cut(rest, "/")
	return !ok || !found || strings.Contains(name, "/") || section == sections[kind]
}

// finite reports references that only lead to each other. Files that were not
// read yet end the search: it begins anew where they are referred to.
func (r *resolver) finite(ref, target source.Node, to *file) bool {
	for range maxChain {
		next := target.Get("$ref")
		if next.Kind() != source.String {
			return true
		}
		name, fragment, _ := strings.Cut(next.Text(), "#")
		if name != "" {
			if to = r.files[path.Join(path.Dir(to.name), unescapePointer(name))]; to == nil {
				return true
			}
		}
		var ok bool
		if target, ok = to.root.Pointer(unescapePointer(fragment)); !ok {
			return true
		}
	}
	r.ps.Add(ref, ref.Text()+" leads back to itself", "")
	return false
}

// open reads the file that a reference names, if that is allowed.
func (r *resolver) open(ref source.Node, name string, in *file) *file {
	refuse := func(wrong string) *file {
		r.ps.Add(ref, fmt.Sprintf("%s: %s", ref.Text(), wrong), "references lead to files of the workspace, relative to the file that they stand in")
		return nil
	}
	u, err := url.Parse(name)
	switch {
	case err != nil || u.RawQuery != "" || strings.ContainsAny(name, `\?`):
		return refuse("is not a reference that can be followed")
	case u.Scheme != "" || u.Host != "":
		return refuse("documents are not fetched from the network")
	case path.IsAbs(u.Path):
		return refuse("absolute paths are not followed")
	}
	full := path.Join(path.Dir(in.name), u.Path)
	if !fs.ValidPath(full) {
		return refuse("leads out of the workspace")
	}
	if strings.Contains("/"+full, "/.") || full == "headrace.yaml" {
		return refuse("belongs to the process, and is no part of a document")
	}
	if f, ok := r.files[full]; ok {
		if f != nil && !f.root.Exists() {
			return nil // reported already
		}
		return f
	}
	if len(r.files) > maxFiles || r.bytes > maxBytes {
		return refuse("the document refers to too many files")
	}
	f := &file{name: full}
	r.files[full] = f
	data, err := source.ReadBytes(r.fsys, full, documentLimits.Bytes)
	if err != nil {
		return refuse("cannot be read: " + source.Reason(err))
	}
	r.bytes += int64(len(data))
	if f.root = source.Parse(full, data, documentLimits, r.ps); !f.root.Exists() {
		return nil
	}
	return f
}

// adopt copies a part of another file into the components and gives the name
// that it has there; empty when that is too much.
func (r *resolver) adopt(ref, target source.Node, from place, in *file) string {
	if name, ok := r.names[from]; ok {
		return name
	}
	if !r.afford(ref, target) {
		return ""
	}
	name := r.free(from)
	r.names[from] = name
	r.queue = append(r.queue, adopted{name: name, kind: from.kind, y: source.Clone(target.YAML()), in: in})
	return name
}

func (r *resolver) afford(ref, target source.Node) bool {
	if r.values > maxCopied {
		return false // reported already
	}
	if r.values += count(target.YAML()); r.values > maxCopied {
		r.ps.Add(ref, "the document refers to too much in other files", "")
		return false
	}
	return true
}

// mapping gives a key's mapping, and makes it when there is none.
func mapping(parent *yaml.Node, key string) *yaml.Node {
	i := entry(parent, key)
	if i < 0 {
		i = len(parent.Content) + 1
		parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, nil)
	} else if y := resolved(parent.Content[i]); y.Kind == yaml.MappingNode {
		return y
	}
	parent.Content[i] = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: parent.Line, Column: parent.Column}
	return parent.Content[i]
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// free finds a name for a component after the last step of its pointer, or
// after its file.
func (r *resolver) free(from place) string {
	base := path.Base(from.pointer)
	if from.pointer == "" {
		base = strings.TrimSuffix(path.Base(from.file), path.Ext(from.file))
	}
	base = strings.Trim(unfit.ReplaceAllString(base, "_"), "_")
	if base == "" {
		base = from.kind
	}
	taken := r.taken[from.kind]
	if taken == nil {
		taken = map[string]bool{}
		for _, f := range r.main.root.Get("components").Get(sections[from.kind]).Fields() {
			taken[f.Name] = true
		}
		r.taken[from.kind] = taken
	}
	name := base
	for i := 2; taken[name]; i++ {
		name = base + "_" + strconv.Itoa(i)
	}
	taken[name] = true
	return name
}

// include copies a path item to where it is referred to. What stands beside
// the reference goes before what it leads to.
func (r *resolver) include(n source.Node, s *shape, in *file) {
	var content []*yaml.Node
	var from []*file // by entry of content
	seen := map[string]bool{"$ref": true}
	for layer := n; ; {
		for _, f := range layer.Fields() {
			if !seen[f.Name] {
				seen[f.Name] = true
				content = append(content, f.Key.YAML(), f.Value.YAML())
				from = append(from, in)
			}
		}
		ref := layer.Get("$ref")
		if !ref.Exists() {
			break
		}
		target, _, to := r.locate(ref, "pathItem", in)
		if to == nil || !r.afford(ref, target) {
			return
		}
		if r.within[target.YAML()] {
			r.ps.Add(ref, ref.Text()+" leads back to itself", "")
			return
		}
		r.within[target.YAML()] = true
		defer delete(r.within, target.YAML())
		layer, in = r.copy(target, to), to
	}
	n.YAML().Content = content
	r.done[n.YAML()] = true
	for i, f := range n.Fields() {
		r.checkField(f, s, from[i])
	}
}

// copy copies a path item whose entries will stand in another one.
func (r *resolver) copy(target source.Node, from *file) source.Node {
	y := r.grafts.Clone(target.YAML())
	for _, child := range y.Content {
		if !r.grafts.Has(child) {
			r.grafts.Add(child, from.name)
		}
	}
	return source.Wrap(from.name, y).WithGrafts(r.grafts)
}
