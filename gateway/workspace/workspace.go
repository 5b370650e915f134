package workspace

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Workspace is a directory as it was read: decoded, but not yet checked
// against itself.
type Workspace struct {
	FS        fs.FS
	Config    Config
	Documents []*specs.Document
	// Systems are the files of systems/ by name.
	Systems   map[string]source.Node
	Consumers gateway.ConsumerFile
	// Revision identifies the content of all files, Answers that of those which
	// decide what is answered: documents, systems and mappings.
	Revision, Answers string

	// Files is the Revision of the directory's own files, without the registry's.
	Files string

	index    *index
	compiled *Compiled
	unread   []string // major versions whose documents could not be read, as NAME/vMAJOR
}

// File and folder names of a workspace.
const (
	ConfigFile    = "headrace.yaml"
	ConsumersFile = "consumers.yaml"
	ConsumersDir  = "consumers"
	SystemsDir    = "systems"
	APIsDir       = "apis"
	MappingsDir   = "mappings"
)

var (
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	versionPattern = regexp.MustCompile(`^(\d+)\.(\d+)(\.(\d+))?$`)
)

// Load reads a workspace. What cannot be read or decoded goes to ps; the rest
// is there all the same, so that Build can find more.
func Load(fsys fs.FS, ps *source.Problems) *Workspace { return load(fsys, nil, &Compiled{}, ps) }

// load reads a workspace of files and, where it is not nil, a registry.
func load(files fs.FS, registry Hashed, compiled *Compiled, ps *source.Problems) *Workspace {
	w := &Workspace{FS: files, Systems: map[string]source.Node{}, compiled: compiled}
	compiled.begin()
	// Hashed before they are read: a change while they are read makes the next
	// look find another revision.
	w.index = newIndex(files)
	w.Files = w.index.revision()
	if registry != nil {
		both := layers{files, registry}
		both.clashes(ps)
		w.FS, w.index = both, w.index.over(newIndex(registry))
	}
	w.Revision = w.index.revision()
	w.Answers = w.index.revision(ConfigFile, ConsumersFile, ConsumersDir)
	w.checkEntries(ps)
	// An absent file has defaults for everything.
	source.Decode(w.read(ConfigFile, ps), &w.Config, ps)
	w.Config.check(ps)
	w.loadConsumers(ps)
	w.loadSystems(ps)
	w.loadDocuments(ps)
	return w
}

// read parses a file that may be absent.
func (w *Workspace) read(name string, ps *source.Problems) source.Node {
	if _, err := fs.Stat(w.FS, name); errors.Is(err, fs.ErrNotExist) {
		return source.Node{}
	}
	return source.Read(w.FS, name, source.DefaultLimits, ps)
}

// checkEntries finds files that would be silently left out.
func (w *Workspace) checkEntries(ps *source.Problems) {
	entries, err := fs.ReadDir(w.FS, ".")
	if err != nil {
		ps.AddFile(".", "the workspace cannot be read: "+err.Error(), "")
		return
	}
	known := []string{ConfigFile, ConsumersFile, ConsumersDir, SystemsDir, APIsDir, MappingsDir}
	found := 0
	for _, e := range entries {
		if slices.Contains(known, e.Name()) {
			found++
			continue
		}
		if hint := source.DidYouMean(e.Name(), known); strings.HasPrefix(hint, "did you") {
			ps.AddFile(e.Name(), "is not read by this name", hint)
		}
	}
	if found == 0 {
		ps.AddFile(".", "is not a workspace", "a workspace has headrace.yaml, systems/ and apis/")
	}
}

func (w *Workspace) loadSystems(ps *source.Problems) {
	entries, _ := fs.ReadDir(w.FS, SystemsDir)
	for _, e := range entries {
		file := path.Join(SystemsDir, e.Name())
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		switch {
		case e.IsDir() || !ok:
			ps.AddFile(file, "is not read", "a system is a file NAME.yaml")
		case !namePattern.MatchString(name):
			ps.AddFile(file, "is not a name for a system", "use small letters, digits and hyphens")
		default:
			// A file that cannot be read keeps its name, so that nobody misses it.
			w.Systems[name] = source.Read(w.FS, file, source.DefaultLimits, ps)
		}
	}
}

// loadDocuments loads the API documents side by side; compiling large ones
// takes a while.
func (w *Workspace) loadDocuments(ps *source.Problems) {
	var dirs []string
	for _, api := range w.dirs(APIsDir, ps) {
		if name := path.Base(api); !namePattern.MatchString(name) {
			ps.AddFile(api, "is not a name for an API", "use small letters, digits and hyphens")
			continue
		}
		for _, version := range w.dirs(api, ps) {
			if !versionPattern.MatchString(path.Base(version)) {
				ps.AddFile(version, "is not a version", "name the folder as a semantic version, for example 1.2.0")
				continue
			}
			dirs = append(dirs, version)
		}
	}
	documents := make([]*specs.Document, len(dirs))
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(w.compiled.width())
	for i, dir := range dirs {
		g.Go(func() error {
			var found source.Problems
			documents[i] = w.compiled.load(dir, w.FS, w.index, dir, &found)
			mu.Lock()
			defer mu.Unlock()
			ps.Append(found.List()...)
			return nil
		})
	}
	g.Wait()
	for i, d := range documents {
		if d == nil {
			major := versionPattern.FindStringSubmatch(path.Base(dirs[i]))[1]
			w.unread = append(w.unread, path.Base(path.Dir(dirs[i]))+"/v"+major)
		}
	}
	w.Documents = slices.DeleteFunc(documents, func(d *specs.Document) bool { return d == nil })
}

// dirs lists the folders of a folder; stray files are problems.
func (w *Workspace) dirs(dir string, ps *source.Problems) []string {
	entries, err := fs.ReadDir(w.FS, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ps.AddFile(dir, "cannot be read: "+err.Error(), "")
	}
	var dirs []string
	for _, e := range entries {
		switch name := path.Join(dir, e.Name()); {
		case e.IsDir():
			dirs = append(dirs, name)
		case !strings.HasPrefix(e.Name(), ".") && !strings.HasSuffix(e.Name(), ".md"):
			ps.AddFile(name, "is not read", "documents stand in apis/NAME/VERSION/openapi.yaml")
		}
	}
	return dirs
}
