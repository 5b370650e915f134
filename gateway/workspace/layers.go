package workspace

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Hashed is a file system that knows the contents of its files without reading
// them.
type Hashed interface {
	fs.FS
	// Hash is the hexadecimal SHA-256 of a file's content; empty when it is not a file.
	Hash(name string) string
}

// layers are the files of a directory and those of the registry as one file
// system. Where both have a file the registry's is seen; clashes reports it.
type layers struct {
	files    fs.FS
	registry Hashed
}

func (l layers) Open(name string) (fs.File, error) {
	f, err := l.registry.Open(name)
	if err == nil {
		if info, err := f.Stat(); err == nil && !info.IsDir() {
			return f, nil
		}
		f.Close()
	}
	f, missing := l.files.Open(name)
	if missing != nil && err == nil { // a folder of the registry alone
		return l.registry.Open(name)
	}
	return f, missing
}

func (l layers) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(l.registry, name)
	if err == nil && !info.IsDir() {
		return info, nil
	}
	own, missing := fs.Stat(l.files, name)
	if missing != nil && err == nil {
		return info, nil
	}
	return own, missing
}

// Hash reads files of the directory, and asks for those of the registry.
func (l layers) Hash(name string) string {
	if hash := l.registry.Hash(name); hash != "" {
		return hash
	}
	return hashOf(l.files, name)
}

func (l layers) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(l.files, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return list, err
	}
	more, missing := fs.ReadDir(l.registry, name)
	if missing != nil {
		return list, err
	}
	for _, e := range more {
		i, found := slices.BinarySearchFunc(list, e.Name(), func(e fs.DirEntry, name string) int { return strings.Compare(e.Name(), name) })
		switch {
		case !found:
			list = slices.Insert(list, i, e)
		case !e.IsDir():
			list[i] = e
		}
	}
	return list, nil
}

// clashes reports what stands in both layers.
func (l layers) clashes(ps *source.Problems) {
	said := map[string]bool{}
	fs.WalkDir(l.registry, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			if _, err := fs.Stat(l.files, name); errors.Is(err, fs.ErrNotExist) {
				return fs.SkipDir // nothing below it stands in both
			}
			return nil
		}
		thing := thingOf(name)
		if _, err := fs.Stat(l.files, thing); err == nil && !said[thing] {
			said[thing] = true
			ps.AddFile(thing, "stands in the files of the workspace and in the registry", "keep it in one of them")
		}
		return nil
	})
}

// thingOf is what a file belongs to: the folder of an API's version, or the
// file itself.
func thingOf(name string) string {
	if parts := strings.Split(name, "/"); parts[0] == APIsDir && len(parts) > 3 {
		return path.Join(parts[:3]...)
	}
	return name
}
