package specs

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// documentLimits bound a document, its overlay and each file that it refers to.
var documentLimits = source.Limits{Bytes: 16 << 20, Depth: 200, Nodes: 1_000_000}

// documentNames are the names of a document in its folder.
var documentNames = []string{"openapi.yaml", "openapi.yml", "openapi.json", "openapi"}

const documentsExpected = "expected openapi.yaml, openapi.json or openapi"

// Load reads the OpenAPI document in a folder of the workspace, which is
// openapi.yaml, openapi.yml, openapi.json or a file openapi without extension,
// applies overlay.yaml and lifecycle.yaml if they are there, and compiles it. fsys is the whole
// workspace, and nothing outside it is read; the folder's two last names are
// the names of the API and of its version.
//
// All that is wrong goes to ps. What is returned is complete only if nothing
// was wrong; otherwise it is as far as loading came, so that others can look
// for further problems, and nil when there is nothing to look at.
func Load(fsys fs.FS, dir string, ps *source.Problems) *Document {
	name := one(fsys, dir, "an OpenAPI document", documentNames, ps)
	if name == "" {
		ps.AddFile(dir, "has no OpenAPI document", documentsExpected)
		return nil
	}
	l := newLoader(fsys, path.Join(dir, name), ps)
	if l == nil {
		return nil
	}
	complete := l.overlay(dir)
	complete = l.lifecycle(dir) && complete
	l.load(complete)
	l.trim()
	l.document.Guide = guide(fsys, dir, ps)
	return l.document
}

// newLoader reads a document's file; nil when it is none.
func newLoader(fsys fs.FS, file string, ps *source.Problems) *loader {
	root := source.Read(fsys, file, documentLimits, ps)
	if !root.Exists() || !supported(root, ps) {
		return nil
	}
	dir, grafts := path.Dir(file), &source.Grafts{}
	return &loader{
		fsys: fsys, ps: ps, grafts: grafts, root: root.WithGrafts(grafts),
		placed:   map[*yaml.Node]bool{},
		document: &Document{Name: path.Base(path.Dir(dir)), Version: path.Base(dir)},
	}
}

// one finds the one of several files that a folder may have; empty when it has
// none. More than one is a problem.
func one(fsys fs.FS, dir, what string, names []string, ps *source.Problems) string {
	var found []string
	for _, name := range names {
		if info, err := fs.Stat(fsys, path.Join(dir, name)); err == nil && !info.IsDir() {
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		ps.AddFile(dir, fmt.Sprintf("has %s more than once: %s", what, strings.Join(found, ", ")), "keep one of them")
		return found[0]
	}
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// versions are those that kin-openapi knows; a document of an unknown version
// would be read by the rules of none.
var versions = []string{"3.0.0", "3.0.1", "3.0.2", "3.0.3", "3.0.4", "3.1.0", "3.1.1", "3.1.2"}

func supported(root source.Node, ps *source.Problems) bool {
	version := root.Get("openapi")
	switch {
	case root.Kind() != source.Map:
		ps.Add(root, "expected an OpenAPI document, found "+root.Kind().Named(), "")
	case root.Get("swagger").Exists():
		ps.Add(root.Get("swagger"), "OpenAPI 2.0 (Swagger) is not supported", "convert the document to OpenAPI 3.0 or 3.1")
	case !version.Exists():
		ps.Add(root, `the key "openapi" is missing`, "write openapi: 3.0.3 or openapi: 3.1.0")
	case version.Kind() != source.String:
		ps.Add(version, "expected a string, found "+version.Kind().Named(), fmt.Sprintf("write openapi: %q", "3.1.0"))
	case !slices.Contains(versions, version.Text()):
		ps.Add(version, fmt.Sprintf("OpenAPI %s is not supported", version.Text()), "3.0.0 to 3.0.4 and 3.1.0 to 3.1.2 are")
	default:
		return true
	}
	return false
}

// loader loads one document.
type loader struct {
	fsys     fs.FS
	ps       *source.Problems
	grafts   *source.Grafts
	root     source.Node
	document *Document
	// placed are the keys of the x-headrace that stand where they may.
	placed map[*yaml.Node]bool
	// everybody is the security of operations that say nothing themselves.
	everybody []Requirement
	// model is kin-openapi's, as long as the loader lives; nil when it finds the
	// document wrong.
	model *openapi3.T
}

// load compiles the document. Without its overlay it is not complete: what
// concerns its operations would be said in vain then, and they are left out.
func (l *loader) load(complete bool) {
	d, before := l.document, l.ps.Len()
	r := resolver{fsys: l.fsys, main: &file{name: l.root.File(), root: l.root}, grafts: l.grafts, ps: l.ps}
	r.resolve()
	l.sections()
	sound := complete && l.ps.Len() == before // faults of governance do not hide those of schemas
	d.Title, d.Description = l.root.At("info", "title").Text(), l.root.Get("info").Get("description").Text()
	l.governRoot()
	l.schemes()
	if complete {
		l.operations()
		l.misplaced()
		l.checkOperations()
	}
	d.public = l.root.AppendJSONWithout(nil, Extension)
	if sound {
		l.compile()
	}
	d.Root = l.root
}

// sections checks what the version asks for at the root.
func (l *loader) sections() {
	paths, webhooks := l.root.Get("paths"), l.root.Key("webhooks")
	switch old := strings.HasPrefix(l.root.Get("openapi").Text(), "3.0"); {
	case old && webhooks.Exists():
		l.ps.Add(webhooks, "webhooks came with OpenAPI 3.1", "write openapi: 3.1.0")
	case old && !paths.Exists():
		l.ps.Add(l.root, `the key "paths" is missing`, "")
	case !paths.Exists() && !webhooks.Exists() && !l.root.Get("components").Exists():
		l.ps.Add(l.root, "the document has neither paths nor webhooks nor components", "")
	}
}

// operations lists the operations of all paths, governed.
func (l *loader) operations() {
	for _, p := range l.root.Get("paths").Fields() {
		if strings.HasPrefix(p.Name, "x-") || p.Value.Kind() != source.Map {
			continue
		}
		own, governed := l.govern(p.Value, l.document.Governance.OperationGovernance)
		l.ownFlow(&own)
		for _, f := range p.Value.Fields() {
			if slices.Contains(methods, f.Name) && f.Value.Kind() == source.Map {
				l.operation(p, f, governed)
			}
		}
	}
	slices.SortFunc(l.document.Operations, func(a, b *Operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
}

// methods are those that a path item can have.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func (l *loader) operation(p, f source.Field, above OperationGovernance) {
	o := &Operation{
		Document: l.document, Method: strings.ToUpper(f.Name), Path: p.Name, Node: f.Value,
		ID: f.Value.Get("operationId").Text(), Summary: f.Value.Get("summary").Text(),
		Deprecated: strings.EqualFold(f.Value.Get("deprecated").Text(), "true"),
	}
	if o.ID == "" {
		o.ID = o.Method + " " + o.Path
	}
	o.Security = l.security(f.Value)
	if o.SecurityNode = f.Value.Get("security"); !o.SecurityNode.Exists() {
		o.SecurityNode = l.root.Get("security")
	}
	l.governOperation(o, above)
	l.document.Operations = append(l.document.Operations, o)
}

// checkOperations finds what concerns operations together: ids that stand
// twice, and paths that a request cannot tell apart.
func (l *loader) checkOperations() {
	ids := map[string]*Operation{}
	paths := map[string]template{}
	for _, o := range l.document.Operations {
		if other := ids[o.ID]; other != nil {
			l.ps.Add(o.Node.At("operationId"), fmt.Sprintf("the operationId %q stands at %s %s too", o.ID, other.Method, other.Path), "every operation needs its own")
		}
		ids[o.ID] = o
		t, err := parseTemplate(o.Path)
		if err != nil {
			l.ps.Add(l.root.Get("paths").Key(o.Path), err.Error(), "")
			continue
		}
		paths[o.Path] = t
		l.checkPath(o, t)
	}
	l.patterns(paths)
	var tree Tree[*Operation]
	for _, o := range l.document.Operations {
		if _, ok := paths[o.Path]; ok {
			if err := tree.Add(o.Method, o.Pattern, o); err != nil {
				l.ps.Add(l.root.Get("paths").Key(o.Path), err.Error(), "")
				o.Pattern = ""
			}
		}
		l.checkGovernance(o)
	}
}

// patterns gives operations the patterns of their paths. Where several paths
// differ by the names of parameters only, the types of these tell them apart.
func (l *loader) patterns(paths map[string]template) {
	alike := map[string]int{}
	for _, t := range paths {
		alike[t.shape()]++
	}
	for _, o := range l.document.Operations {
		t, ok := paths[o.Path]
		if !ok {
			continue
		}
		if o.Pattern = o.Path; alike[t.shape()] == 1 {
			continue
		}
		for _, p := range l.parameters(o) {
			if p.in == "path" && p.kind != "" {
				o.Pattern = strings.ReplaceAll(o.Pattern, "{"+p.name+"}", "{"+p.name+"|"+p.kind+"}")
			}
		}
	}
}

// compile makes the checkers.
func (l *loader) compile() {
	api := l.read()
	if api == nil {
		return
	}
	l.model = api
	schemas := schema.NewSet(api, l.root)
	for _, o := range l.document.Operations {
		item := api.Paths.Value(o.Path)
		compileChecks(o, checkInput{doc: api, item: item, op: item.GetOperation(o.Method), schemas: schemas, at: o.Node}, l.ps)
	}
}

// Public is the document as JSON, overlay applied and self-contained, without
// any x-headrace: what consumers may see of it. The bytes are the caller's.
func (d *Document) Public() ([]byte, error) {
	if len(d.public) == 0 {
		return nil, fmt.Errorf("%s %s was not loaded", d.Name, d.Version)
	}
	return slices.Clone(d.public), nil
}

// trim keeps of the document's nodes what its operations and security schemes
// are made of: the rest is many times as large, and is in the checkers and in
// the public document already.
func (l *loader) trim() {
	root := l.root.YAML()
	drop(root, "webhooks", "tags", "servers", "externalDocs")
	components := l.root.Get("components")
	keep(components.YAML(), "securitySchemes")
	for _, p := range l.root.Get("paths").Fields() {
		for _, f := range p.Value.Fields() {
			if slices.Contains(methods, f.Name) {
				keep(f.Value.YAML(), Extension, "operationId", "summary", "tags", "deprecated", "security")
			}
		}
		drop(p.Value.YAML(), "parameters", "servers")
	}
	l.grafts.Retain(root)
}

// keep leaves only the named entries in a mapping, drop all but them.
func keep(mapping *yaml.Node, names ...string) {
	filter(mapping, func(name string) bool { return slices.Contains(names, name) })
}

func drop(mapping *yaml.Node, names ...string) {
	filter(mapping, func(name string) bool { return !slices.Contains(names, name) })
}

func filter(mapping *yaml.Node, wanted func(name string) bool) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return
	}
	var content []*yaml.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if wanted(mapping.Content[i].Value) {
			content = append(content, mapping.Content[i], mapping.Content[i+1])
		}
	}
	mapping.Content = content
}
