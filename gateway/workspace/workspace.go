package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

	unread []string // major versions whose documents could not be read, as NAME/vMAJOR
}

// File and folder names of a workspace.
const (
	ConfigFile    = "headrace.yaml"
	ConsumersFile = "consumers.yaml"
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
func Load(fsys fs.FS, ps *source.Problems) *Workspace {
	w := &Workspace{FS: fsys, Systems: map[string]source.Node{}}
	// Hashed before they are read: a change while they are read makes the next
	// look find another revision.
	w.Revision = revision(fsys)
	w.Answers = revision(fsys, ConfigFile, ConsumersFile)
	w.checkEntries(ps)
	// An absent file has defaults for everything.
	source.Decode(w.read(ConfigFile, ps), &w.Config, ps)
	w.Config.check(ps)
	if n := w.read(ConsumersFile, ps); n.Exists() {
		source.Decode(n, &w.Consumers, ps)
	}
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
	known := []string{ConfigFile, ConsumersFile, SystemsDir, APIsDir, MappingsDir}
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
	g.SetLimit(4)
	for i, dir := range dirs {
		g.Go(func() error {
			var found source.Problems
			documents[i] = specs.Load(w.FS, dir, &found)
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

// revision hashes names and contents of all files but those that are left out;
// hidden ones do not count. Links are followed: mounted volumes consist of them.
// A folder that several names lead to is read once, since links may lead back.
func revision(fsys fs.FS, leftOut ...string) string {
	h := sha256.New()
	var folders []fs.FileInfo
	if root, err := fs.Stat(fsys, "."); err == nil {
		folders = append(folders, root)
	}
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, _ := fs.ReadDir(fsys, dir) // Load reports what cannot be read, where it matters
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if strings.HasPrefix(e.Name(), ".") || slices.Contains(leftOut, name) {
				continue
			}
			info, err := fs.Stat(fsys, name)
			switch {
			case err != nil:
			case info.IsDir() && depth > 0:
				i := slices.IndexFunc(folders, func(f fs.FileInfo) bool { return os.SameFile(f, info) })
				if i >= 0 {
					fmt.Fprintf(h, "%s is folder %d", name, i)
					continue
				}
				folders = append(folders, info)
				walk(name, depth-1)
			case info.Mode().IsRegular():
				if data, err := source.ReadBytes(fsys, name, source.DefaultLimits.Bytes); err == nil {
					sum := sha256.Sum256(data)
					h.Write([]byte(name))
					h.Write(sum[:])
				}
			}
		}
	}
	walk(".", 16)
	return hex.EncodeToString(h.Sum(nil))[:16]
}
