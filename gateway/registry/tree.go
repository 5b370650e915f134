package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
)

// patience is how long a content may take to be read.
const patience = 30 * time.Second

// tree is a set of files in memory: their contents by hash, read when they are
// needed. It is immutable once it is complete.
type tree struct {
	files   map[string]file
	folders map[string][]string // names of the entries, sorted when it is complete
	content func(hash string) ([]byte, error)
}

// file has its content, or the hash by which that is found.
type file struct {
	hash    string
	content []byte
}

func newTree(content func(hash string) ([]byte, error)) *tree {
	return &tree{files: map[string]file{}, folders: map[string][]string{".": nil}, content: content}
}

// mostInWorkspace is how many files a workspace may have that is applied.
const mostInWorkspace = 10_000

// Memory makes a file system of contents by their paths. A *Refusal says which
// path makes no sense.
func Memory(files map[string][]byte) (fs.FS, error) {
	if len(files) > mostInWorkspace {
		return nil, refuse(Invalid, fmt.Sprintf("%d at most", mostInWorkspace), "the workspace has %d files", len(files))
	}
	t := newTree(nil)
	for name, content := range files {
		if !fs.ValidPath(name) || name == "." {
			return nil, refuse(Invalid, "a path below the workspace, with slashes", "%q is not a path of a file", name)
		}
		if content == nil {
			content = []byte{}
		}
		t.write(name, content)
	}
	t.finish()
	for name := range files {
		if _, folder := t.folders[name]; folder {
			return nil, refuse(Invalid, "", "%q is a file and a folder", name)
		}
	}
	return t, nil
}

// add adds a file by its hash, and the folders above it.
func (t *tree) add(name string, f file) {
	t.files[name] = f
	for name != "." {
		above := path.Dir(name)
		_, known := t.folders[above]
		t.folders[above] = append(t.folders[above], path.Base(name))
		if known {
			return
		}
		name = above
	}
}

// write adds a file with its content.
func (t *tree) write(name string, content []byte) { t.add(name, file{ledger.HashOf(content), content}) }

// finish sorts the folders.
func (t *tree) finish() {
	for name, entries := range t.folders {
		slices.Sort(entries)
		t.folders[name] = slices.Compact(entries)
	}
}

// Hash is the hash of a file; empty when there is none.
func (t *tree) Hash(name string) string { return t.files[name].hash }

func (t *tree) Open(name string) (fs.File, error) {
	info, err := t.stat("open", name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		entries, err := t.ReadDir(name)
		return &folder{info: info, left: entries}, err
	}
	f := t.files[name]
	content := f.content
	if content == nil {
		if content, err = t.content(f.hash); err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
	return &open{info: info, Reader: bytes.NewReader(content)}, nil
}

func (t *tree) Stat(name string) (fs.FileInfo, error) { return t.stat("stat", name) }

func (t *tree) stat(op, name string) (*info, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if _, ok := t.folders[name]; ok {
		return &info{name: path.Base(name), folder: true}, nil
	}
	if _, ok := t.files[name]; ok {
		return &info{name: path.Base(name)}, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, ok := t.folders[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	list := make([]fs.DirEntry, len(entries))
	for i, base := range entries {
		_, folder := t.folders[path.Join(name, base)]
		list[i] = &info{name: base, folder: folder}
	}
	return list, nil
}

// info describes a file or a folder. Sizes are not known before a file is opened.
type info struct {
	name   string
	folder bool
}

func (i *info) Name() string               { return i.name }
func (i *info) Size() int64                { return 0 }
func (i *info) ModTime() time.Time         { return time.Time{} }
func (i *info) IsDir() bool                { return i.folder }
func (i *info) Sys() any                   { return nil }
func (i *info) Type() fs.FileMode          { return i.Mode().Type() }
func (i *info) Info() (fs.FileInfo, error) { return i, nil }
func (i *info) Mode() fs.FileMode {
	if i.folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// open is a file that is being read.
type open struct {
	info *info
	*bytes.Reader
}

func (o *open) Stat() (fs.FileInfo, error) { return o.info, nil }
func (o *open) Close() error               { return nil }

// folder is a folder that is being listed.
type folder struct {
	info *info
	left []fs.DirEntry
}

func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(f.left)
	} else if len(f.left) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.left))
	list := f.left[:n:n]
	f.left = f.left[n:]
	return list, nil
}

func (f *folder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *folder) Close() error               { return nil }
func (f *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.name, Err: errors.New("is a directory")}
}

// same tells whether two trees have the same files.
func (t *tree) same(o *tree) bool {
	if o == nil || len(t.files) != len(o.files) {
		return false
	}
	for name, f := range t.files {
		if other, ok := o.files[name]; !ok || other.hash != f.hash {
			return false
		}
	}
	return true
}
