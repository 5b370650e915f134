package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// loadConsumers reads consumers.yaml, and the files below consumers/ that hold
// parts of the same shape. A name stands in one of them only.
func (w *Workspace) loadConsumers(ps *source.Problems) {
	if _, err := fs.Stat(w.FS, ConsumersFile); !errors.Is(err, fs.ErrNotExist) {
		if n := w.compiled.read(w.FS, w.index, ConsumersFile, ps); n.Exists() {
			source.Decode(n, &w.Consumers, ps)
		}
	}
	for _, name := range w.consumerFiles(ConsumersDir, 1, ps) {
		n := w.compiled.read(w.FS, w.index, name, ps)
		if !n.Exists() {
			continue
		}
		var part gateway.ConsumerFile
		source.Decode(n, &part, ps)
		into := &w.Consumers
		into.Organisations = merge(into.Organisations, part.Organisations, "organisations", w.Consumers.Node, n, func(o *gateway.Organisation) source.Node { return o.Node }, ps)
		into.Members = merge(into.Members, part.Members, "members", w.Consumers.Node, n, func(m *gateway.Member) source.Node { return m.Node }, ps)
		into.Apps = merge(into.Apps, part.Apps, "apps", w.Consumers.Node, n, func(a *gateway.App) source.Node { return a.Node }, ps)
		into.Products = merge(into.Products, part.Products, "products", w.Consumers.Node, n, func(p *gateway.Product) source.Node { return p.Node }, ps)
		into.Plans = merge(into.Plans, part.Plans, "plans", w.Consumers.Node, n, func(p *gateway.Plan) source.Node { return p.Node }, ps)
		into.Subscriptions = append(into.Subscriptions, part.Subscriptions...)
	}
}

// consumerFiles lists the files of a folder and of its folders, sorted.
func (w *Workspace) consumerFiles(dir string, depth int, ps *source.Problems) []string {
	entries, err := fs.ReadDir(w.FS, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ps.AddFile(dir, "cannot be read: "+err.Error(), "")
	}
	var names []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."), strings.HasSuffix(e.Name(), ".md"):
		case isFolder(w.FS, name) && depth > 0:
			names = append(names, w.consumerFiles(name, depth-1, ps)...)
		case !strings.HasSuffix(name, ".yaml"):
			ps.AddFile(name, "is not read", "parts of consumers.yaml are files consumers/NAME.yaml or consumers/FOLDER/NAME.yaml")
		default:
			names = append(names, name)
		}
	}
	return names
}

func isFolder(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

// merge adds the named things of a part. main is consumers.yaml, part the file
// that they stand in.
func merge[T any](into, from map[string]*T, section string, main, part source.Node, node func(*T) source.Node, ps *source.Problems) map[string]*T {
	if into == nil {
		into = map[string]*T{}
	}
	for _, name := range slices.Sorted(maps.Keys(from)) {
		at := part.At(section, name)
		other, there := into[name]
		switch {
		case there:
			where := main.At(section, name)
			if other != nil {
				where = node(other)
			}
			ps.Add(at, fmt.Sprintf("%q stands at %s already", name, where.Position()), "keep one of them")
		case from[name] == nil:
			ps.Add(at, fmt.Sprintf("nothing stands under %q", name), "write {} where nothing has to be said")
		default:
			into[name] = from[name]
		}
	}
	return into
}

// LoadConsumers reads consumers.yaml and the folder consumers/ of a workspace,
// without looking at anything else.
func LoadConsumers(fsys fs.FS, ps *source.Problems) gateway.ConsumerFile {
	w := &Workspace{FS: fsys, index: &index{}, compiled: &Compiled{}}
	w.loadConsumers(ps)
	return w.Consumers
}
