package workspace

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// settle is how long a directory must be quiet before it is read again: editors
// and git write several files.
const settle = 150 * time.Millisecond

// Live keeps a gateway's table true to a directory and to the registry.
type Live struct {
	dir     string
	options Options
	gateway *gateway.Gateway
	log     *slog.Logger
	woken   chan struct{}

	loading  sync.Mutex // held for a whole reload
	building sync.Mutex // held while a table is built, to serve or to check
	tried    *tried     // what Check has built last; nil when nothing is kept. Guarded by building
	mu       sync.Mutex // guards last, briefly
	last     Reload
	layer    Layer // the last that was read of the registry
}

// tried is a table that was built to see whether it can be, and that is served
// if the registry comes to be so.
type tried struct {
	loaded *Loaded
	forget *time.Timer
}

// keptTried is how long a table is kept that nobody has asked for: a change is
// committed right after it was checked, or not at all.
const keptTried = 5 * time.Second

// A replica that follows a series of changes leaves time between its tables,
// twice as much as the last one took and never more than longestRest: the
// calls come first, and changes that come close together share a table.
const (
	restFactor  = 2
	longestRest = 300 * time.Millisecond
)

// Layer is what the registry holds: files that stand beside those of the
// directory, as of a revision.
type Layer struct {
	Files    Hashed
	Revision int64
}

// Reload is how the last attempt to read the directory ended.
type Reload struct {
	At time.Time
	// Revision is what was read; it is served unless there are problems.
	Revision string
	Took     time.Duration
	Problems []source.Problem
	// Files is the revision of the directory alone, Registry the registry's.
	Files    string
	Registry int64
	// Served is the registry's revision in the table that is served, Built when
	// that table was built.
	Served int64
	Built  time.Time
	// Count and Failed count all attempts and the refused ones.
	Count, Failed int
}

// NewLive makes a Live; nothing is read before Reload.
func NewLive(dir string, o Options, g *gateway.Gateway, log *slog.Logger) *Live {
	if o.Compiled == nil {
		o.Compiled = &Compiled{}
	}
	return &Live{dir: filepath.Clean(dir), options: o, gateway: g, log: log, woken: make(chan struct{}, 1)}
}

// Wake tells that the registry may have changed. It does not block.
func (l *Live) Wake() {
	select {
	case l.woken <- struct{}{}:
	default: // it has been told already
	}
}

// Last tells how the last attempt ended.
func (l *Live) Last() Reload {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Loaded is a workspace that has been read and built.
type Loaded struct {
	Workspace *Workspace
	Table     *gateway.Table
	Systems   SystemLayer
	// TLS is what the gateway's listener needs; nil without TLS.
	TLS *tls.Config
}

// Read loads and builds a directory, without the registry. The error is a
// *source.Error that lists every problem; the table is closed then, but the
// rest is there.
func Read(dir string, o Options) (*Loaded, error) { return read(dir, nil, o) }

func read(dir string, registry Hashed, o Options) (*Loaded, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if o.Compiled == nil {
		o.Compiled = &Compiled{}
	}
	var ps source.Problems
	l := &Loaded{Workspace: load(root.FS(), registry, o.Compiled, &ps)}
	if t := l.Workspace.Config.TLS; t != nil && t.Certificate != "" && t.Key != "" {
		if l.TLS, err = t.load(dir); err != nil {
			ps.Add(t.Node, err.Error(), "")
		}
	}
	l.Table, l.Systems = Build(l.Workspace, o, &ps)
	if err := ps.Err(); err != nil {
		l.Table.Close()
		return l, err
	}
	o.Compiled.prove(l.Table)
	return l, nil
}

// Check builds the table that would be served if the registry had these files.
// It is kept for a moment, so that a change that is made then is not built
// twice. The error is a *source.Error that lists every problem.
func (l *Live) Check(files Hashed) error {
	l.building.Lock()
	defer l.building.Unlock()
	l.drop()
	loaded, err := read(l.dir, files, l.options)
	if err != nil {
		return err
	}
	t := &tried{loaded: loaded}
	t.forget = time.AfterFunc(keptTried, func() {
		l.building.Lock()
		defer l.building.Unlock()
		if l.tried == t {
			l.drop()
		}
	})
	l.tried = t
	return nil
}

// drop closes the table that was only tried.
func (l *Live) drop() {
	if l.tried != nil {
		l.tried.forget.Stop()
		l.tried.loaded.Table.Close()
		l.tried = nil
	}
}

// take gives the table that was tried, if it is of these files; nil otherwise.
// It is the last that was built: a system's limits go by the newest.
func (l *Live) take(registry Hashed) *Loaded {
	if l.tried == nil {
		return nil
	}
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	now := newIndex(root.FS())
	if registry != nil {
		now = now.over(newIndex(registry))
	}
	loaded := l.tried.loaded
	if now.revision() != loaded.Workspace.Revision {
		return nil
	}
	l.tried.forget.Stop()
	l.tried = nil
	return loaded
}

// Over shows the directory with these files of the registry over it.
func (l *Live) Over(files Hashed, use func(fs.FS) error) error {
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return use(layers{root.FS(), files})
}

// Reload reads the directory and the registry, and swaps the table. When
// anything is wrong, the old table goes on and the error lists the problems.
func (l *Live) Reload() error {
	l.loading.Lock()
	defer l.loading.Unlock()
	started := time.Now()
	r := l.Last()
	r.At, r.Count, r.Problems, r.Revision, r.Files = started, r.Count+1, nil, "", ""
	loaded, err := l.read(&r)
	r.Took = time.Since(started)
	if loaded != nil {
		r.Revision, r.Files = loaded.Workspace.Revision, loaded.Workspace.Files
	}
	if err != nil {
		r.Failed++
		var faults *source.Error
		if errors.As(err, &faults) {
			r.Problems = faults.Problems
		} else {
			r.Problems = []source.Problem{{Position: source.Position{File: l.dir}, Wrong: err.Error()}}
		}
		l.note(r)
		return err
	}
	r.Served, r.Built = r.Registry, loaded.Table.Built
	swap := func() { l.gateway.Swap(loaded.Table) }
	if l.options.Swapping != nil {
		l.options.Swapping(loaded, r.Registry, swap)
	} else {
		swap()
	}
	if l.options.Served != nil {
		l.options.Served(loaded)
	}
	l.note(r)
	return nil
}

// read reads both layers. While the registry cannot be read, what it last said goes on.
func (l *Live) read(r *Reload) (*Loaded, error) {
	if l.options.Registry == nil {
		return l.build(nil)
	}
	layer, err := l.options.Registry()
	switch {
	case err == nil:
		l.layer = layer
	case l.layer.Files == nil:
		return nil, fmt.Errorf("the registry cannot be read: %w", err)
	default:
		l.log.Warn("the registry cannot be read; what it last said goes on", "error", err)
	}
	r.Registry = l.layer.Revision
	return l.build(l.layer.Files)
}

func (l *Live) build(registry Hashed) (*Loaded, error) {
	l.building.Lock()
	defer l.building.Unlock()
	if loaded := l.take(registry); loaded != nil {
		return loaded, nil
	}
	l.drop()
	return read(l.dir, registry, l.options)
}

func (l *Live) note(r Reload) {
	l.mu.Lock()
	l.last = r
	l.mu.Unlock()
	if l.options.Tried != nil {
		l.options.Tried(r)
	}
}

// Run reloads whenever the directory or the registry changes, or again
// receives, until ctx ends. A refused reload is logged, problem by problem.
func (l *Live) Run(ctx context.Context, again <-chan os.Signal) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", l.dir, err)
	}
	defer watcher.Close()
	l.watch(watcher)
	defer l.forget()
	quiet := time.NewTimer(0) // what changed before the watch began is found at once
	rested := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-watcher.Events:
			if !ok {
				return errors.New("the file watcher ended")
			}
			if l.concerns(event.Name) {
				quiet.Reset(settle)
			}
		case err := <-watcher.Errors:
			l.log.Warn("watching the workspace", "error", err)
		case <-again:
			l.forget() // certificates outside the directory may have changed
			l.reload(watcher, true)
		case <-l.woken:
			rested.Reset(l.rest())
		case <-rested.C:
			if l.behind() && !l.advance() {
				l.reload(watcher, true)
			}
		case <-quiet.C:
			l.reload(watcher, false)
		}
	}
}

// rest is how long to wait before the next table.
func (l *Live) rest() time.Duration {
	last := l.Last()
	return min(restFactor*last.Took, longestRest) - time.Since(last.At.Add(last.Took))
}

// forget drops what was tried.
func (l *Live) forget() {
	l.building.Lock()
	defer l.building.Unlock()
	l.drop()
}

// reload reads again if something has changed, or if it was asked for.
func (l *Live) reload(watcher *fsnotify.Watcher, asked bool) {
	l.watch(watcher)
	if !asked {
		if root, err := os.OpenRoot(l.dir); err == nil {
			same := newIndex(root.FS()).revision() == l.Last().Files
			root.Close()
			if same {
				return
			}
		}
	}
	if err := l.Reload(); err != nil {
		last := l.Last()
		for _, p := range last.Problems {
			l.log.Error("the workspace is refused", "problem", p.String())
		}
		l.log.Error("the old configuration goes on", "problems", len(last.Problems))
		return
	}
	last := l.Last()
	l.log.Info("the workspace is live", "revision", last.Revision, "took_ms", last.Took.Milliseconds())
}

// behind tells whether the registry has another revision than the last that was tried.
func (l *Live) behind() bool {
	if l.options.Registry == nil {
		return false
	}
	layer, err := l.options.Registry()
	return err == nil && layer.Revision != l.Last().Registry
}

// advance takes note of a revision of the registry that changes nothing in the
// table that is served; false when there is something to build.
func (l *Live) advance() bool {
	layer, err := l.options.Registry()
	if err != nil {
		return false
	}
	l.loading.Lock()
	defer l.loading.Unlock()
	r := l.Last()
	if layer.Files != l.layer.Files || r.Served != r.Registry || len(r.Problems) > 0 {
		return false
	}
	l.layer = layer
	r.Registry, r.Served = layer.Revision, layer.Revision
	l.note(r)
	return true
}

// concerns tells whether a change may change the workspace. Hidden files do
// not count, but a mounted volume swaps the link ..data; beside the workspace
// only the link to it counts.
func (l *Live) concerns(name string) bool {
	base := filepath.Base(name)
	if linked(l.dir) && filepath.Dir(name) == filepath.Dir(l.dir) {
		return base == filepath.Base(l.dir)
	}
	return !strings.HasPrefix(base, ".") || strings.HasPrefix(base, "..")
}

func linked(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// watch adds every folder; fsnotify does not look below a folder by itself.
// Where the directory is a link, as of a tool that checks out beside and then
// swaps, what it leads to and the link itself are watched.
func (l *Live) watch(watcher *fsnotify.Watcher) {
	root, err := filepath.EvalSymlinks(l.dir)
	if err != nil {
		root = l.dir
	}
	if linked(l.dir) {
		if err := watcher.Add(filepath.Dir(l.dir)); err != nil {
			l.log.Warn("watching a folder", "folder", filepath.Dir(l.dir), "error", err)
		}
	}
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if path != root && len(d.Name()) > 1 && d.Name()[0] == '.' {
			return filepath.SkipDir
		}
		if err := watcher.Add(path); err != nil {
			l.log.Warn("watching a folder", "folder", path, "error", err)
		}
		return nil
	})
}
