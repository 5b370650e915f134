package arazzo

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// landscape reads the APIs of testdata/landscape. changes replace a text in a
// file once each: FILE, old, new.
func landscape(t testing.TB, changes ...[3]string) (map[string]API, *Linker, *source.Problems) {
	t.Helper()
	files := fstest.MapFS{}
	root := os.DirFS("testdata/landscape")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		files[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		name := "apis/" + c[0]
		if files[name] == nil || !bytes.Contains(files[name].Data, []byte(c[1])) {
			t.Fatalf("%s has no %q", name, c[1])
		}
		files[name] = &fstest.MapFile{Data: bytes.Replace(files[name].Data, []byte(c[1]), []byte(c[2]), 1)}
	}
	ps := &source.Problems{}
	l := &Linker{Mappings: mapping.Open(files, mapping.Limits{}, ps)}
	apis := map[string]API{}
	for _, name := range []string{"orders", "stock", "crm", "fulfilment", "sales"} {
		dir := path.Join("apis", name, "1.0.0")
		a := API{Name: name, Major: "v1", Document: specs.Load(files, dir, ps)}
		if _, err := fs.Stat(files, path.Join(dir, FileName)); err == nil {
			a.Flows = Parse(files, path.Join(dir, FileName), ps)
		}
		apis[name] = a
		l.APIs = append(l.APIs, a)
	}
	return apis, l, ps
}

// linked links all documents of the landscape.
func linked(t testing.TB, changes ...[3]string) (map[string]API, map[string]*Entry, *source.Problems) {
	t.Helper()
	apis, l, ps := landscape(t, changes...)
	entries := map[string]*Entry{}
	for _, a := range l.APIs {
		for id, e := range l.Link(a, ps) {
			entries[id] = e
		}
	}
	return apis, entries, ps
}

// sound links the landscape as it is.
func sound(t testing.TB) (map[string]API, map[string]*Entry) {
	t.Helper()
	apis, entries, ps := linked(t)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return apis, entries
}

// wants checks that exactly the problems that contain the given texts are there.
func wants(t *testing.T, ps *source.Problems, want ...string) {
	t.Helper()
	list := ps.List()
	for _, w := range want {
		found := false
		for _, p := range list {
			found = found || strings.Contains(p.String(), w)
		}
		if !found {
			t.Errorf("no problem says %q", w)
		}
	}
	if t.Failed() || len(list) != len(want) {
		t.Errorf("%d problems, want %d:\n%v", len(list), len(want), ps.Err())
	}
}

func TestLandscape(t *testing.T) {
	sound(t)
}
