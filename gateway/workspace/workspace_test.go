package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// stand is a system layer that answers nothing.
type stand struct{}

func (stand) Bind(*gateway.Binding) gateway.Handler {
	return func(*gateway.Exchange) (*gateway.Response, error) {
		return nil, &gateway.Error{Problem: gateway.NotFound}
	}
}
func (stand) CheckUse(*source.Problems) {}
func (stand) Close()                    {}

// recorder records nothing.
type recorder struct{}

func (recorder) Prepare(*gateway.Operation) {}
func (recorder) Begin(*gateway.Exchange)    {}
func (recorder) End(*gateway.Exchange)      {}

func options(built func()) Options {
	return Options{Systems: func(fs.FS, map[string]source.Node, *source.Problems) SystemLayer {
		if built != nil {
			built()
		}
		return stand{}
	}}
}

const document = "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\nx-headrace: {system: erp}\npaths:\n  /PATH:\n    get: {operationId: list, responses: {\"200\": {description: ok}}}\n"

// write puts a file in place whole: nobody reads half of it, and of two writers
// the later one wins.
func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	draft, err := os.CreateTemp(filepath.Dir(file), ".draft-*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := draft.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(draft.Close(), os.Rename(draft.Name(), file)); err != nil {
		t.Fatal(err)
	}
}

func follow(t *testing.T, dir string, built func()) (*gateway.Gateway, *Live) {
	t.Helper()
	g := gateway.New(gateway.Options{Recorder: recorder{}})
	l := NewLive(dir, options(built), g, slog.New(slog.DiscardHandler))
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	return g, l
}

func run(t *testing.T, l *Live) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// serves waits until the table has a route.
func serves(t *testing.T, g *gateway.Gateway, route string) {
	t.Helper()
	for range 500 {
		for _, o := range g.Table().Operations {
			if o.Route == route {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s is never served", route)
}

// A change that comes while a reload reads and builds is not lost.
func TestChangeWhileReloading(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "systems/erp.yaml", "url: http://127.0.0.1:9")
	write(t, dir, "apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "a", 1))
	builds := 0
	g, l := follow(t, dir, func() {
		if builds++; builds == 2 {
			write(t, dir, "apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "c", 1))
		}
	})
	run(t, l)
	write(t, dir, "apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "b", 1))
	serves(t, g, "/orders/v1/c")
}

// Nor is one that comes between the first load and the watch.
func TestChangeBeforeTheWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "systems/erp.yaml", "url: http://127.0.0.1:9")
	write(t, dir, "apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "a", 1))
	g, l := follow(t, dir, nil)
	write(t, dir, "apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "b", 1))
	run(t, l)
	serves(t, g, "/orders/v1/b")
}

// A new folder is watched, and a mounted volume that swaps its link is followed.
func TestNewFoldersAndSwappedLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "..1/systems/erp.yaml", "url: http://127.0.0.1:9")
	write(t, dir, "..1/apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "a", 1))
	for _, name := range []string{"systems", "apis"} {
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..1", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	g, l := follow(t, dir, nil)
	run(t, l)
	serves(t, g, "/orders/v1/a")
	write(t, dir, "..2/systems/erp.yaml", "url: http://127.0.0.1:9")
	write(t, dir, "..2/apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "b", 1))
	write(t, dir, "..2/apis/stock/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "c", 1))
	if err := os.Symlink("..2", filepath.Join(dir, "..new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	serves(t, g, "/orders/v1/b")
	serves(t, g, "/stock/v1/c")
}

// The directory may be a link, as of a tool that checks out beside and swaps:
// edits behind the link count, and so does another place that it leads to.
func TestLinkedDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"1", "2"} {
		write(t, dir, name+"/systems/erp.yaml", "url: http://127.0.0.1:9")
		write(t, dir, name+"/apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", name, 1))
	}
	link := filepath.Join(dir, "current")
	if err := os.Symlink("1", link); err != nil {
		t.Fatal(err)
	}
	g, l := follow(t, link+"/", nil)
	run(t, l)
	serves(t, g, "/orders/v1/1")
	write(t, dir, "1/apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "edited", 1))
	serves(t, g, "/orders/v1/edited")
	if err := errors.Join(os.Symlink("2", link+"-new"), os.Rename(link+"-new", link)); err != nil {
		t.Fatal(err)
	}
	serves(t, g, "/orders/v1/2")
	write(t, dir, "2/apis/orders/1.0.0/openapi.yaml", strings.Replace(document, "PATH", "again", 1))
	serves(t, g, "/orders/v1/again")
}

// Links that lead back do not multiply the folders that are read, and another
// target of a link is another revision.
func TestRevisionOfLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/x.yaml", "x: 1")
	write(t, dir, "b/x.yaml", "x: 1")
	for name, target := range map[string]string{"l1": ".", "l2": ".", "l3": ".", "a/up": "..", "b/up": "..", "last": "a"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	before := newIndex(root.FS()).revision()
	if before != newIndex(root.FS()).revision() {
		t.Error("the same files have two revisions")
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "last")), os.Symlink("b", filepath.Join(dir, "last"))); err != nil {
		t.Fatal(err)
	}
	if before == newIndex(root.FS()).revision() {
		t.Error("another target of a link was not noticed")
	}
}

// FuzzWorkspace: whatever stands in the files, there are problems or a table,
// and the problems are in order.
func FuzzWorkspace(f *testing.F) {
	f.Add("listen: {gateway: 127.0.0.1:1}", "url: http://127.0.0.1:9", "apps: {a: {organisation: b, keys: [{prefix: x}]}}\nplans: {p: }", document)
	f.Add("limits: {body: 1KiB}", "- x", "subscriptions: [{app: a, product: b, plan: c}, null]", "openapi: 3.1.0")
	f.Fuzz(func(t *testing.T, config, system, consumers, api string) {
		if len(config)+len(system)+len(consumers)+len(api) > 4096 {
			return
		}
		var ps source.Problems
		w := Load(fstest.MapFS{
			ConfigFile: {Data: []byte(config)}, SystemsDir + "/erp.yaml": {Data: []byte(system)},
			ConsumersFile: {Data: []byte(consumers)}, APIsDir + "/orders/1.0.0/openapi.yaml": {Data: []byte(api)},
		}, &ps)
		table, _ := Build(w, options(nil), &ps)
		table.Close()
		list := ps.List()
		for i, p := range list {
			if p.Wrong == "" || p.File == "" {
				t.Errorf("a problem without place or text: %+v", p)
			}
			if i > 0 && list[i-1].File > p.File {
				t.Error("the problems are not in order")
			}
		}
	})
}

// held is a registry's files in memory.
type held struct{ fstest.MapFS }

func (h held) Hash(name string) string {
	if h.MapFS[name] == nil {
		return ""
	}
	sum := sha256.Sum256(h.MapFS[name].Data)
	return hex.EncodeToString(sum[:])
}

// A table that was checked is the one that is served when the change is made,
// and no other: not after another build, and not when anything else has changed.
func TestCheckedIsServed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "systems/erp.yaml", "url: http://127.0.0.1:9")
	release := func(path string) held {
		return held{fstest.MapFS{"apis/orders/1.0.0/openapi.yaml": {Data: []byte(strings.Replace(document, "PATH", path, 1))}}}
	}
	builds, now := 0, Layer{Files: release("a"), Revision: 1}
	o := options(func() { builds++ })
	o.Registry = func() (Layer, error) { return now, nil }
	g := gateway.New(gateway.Options{Recorder: recorder{}})
	l := NewLive(dir, o, g, slog.New(slog.DiscardHandler))
	reload := func(route string, want int) {
		t.Helper()
		if err := l.Reload(); err != nil {
			t.Fatal(err)
		}
		if serves(t, g, route); builds != want {
			t.Errorf("%d tables were built instead of %d", builds, want)
		}
	}
	check := func(files held) {
		t.Helper()
		if err := l.Check(files); err != nil {
			t.Fatal(err)
		}
	}
	reload("/orders/v1/a", 1)

	check(release("b"))
	now = Layer{Files: release("b"), Revision: 2}
	reload("/orders/v1/b", 2)

	check(release("c")) // and another replica was faster
	now = Layer{Files: release("d"), Revision: 3}
	reload("/orders/v1/d", 4)
	now = Layer{Files: release("c"), Revision: 4}
	reload("/orders/v1/c", 5) // what was checked is older than what was built since

	check(release("e"))
	write(t, dir, "systems/crm.yaml", "url: http://127.0.0.1:9")
	now = Layer{Files: release("e"), Revision: 5}
	reload("/orders/v1/e", 7)

	check(release("f"))
	l.forget()
	now = Layer{Files: release("f"), Revision: 6}
	reload("/orders/v1/f", 9)
}
