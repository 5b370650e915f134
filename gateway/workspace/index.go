package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// index knows the contents of all files that count, by their hashes.
type index struct {
	entries []indexed
	hashes  map[string]string // of the files, in hexadecimal
}

// indexed is a file with its hash, or a folder that another name leads to, too.
type indexed struct{ name, content string }

// newIndex reads all files; hidden ones do not count. Links are followed:
// mounted volumes consist of them. A folder that several names lead to is read
// once, since links may lead back.
func newIndex(fsys fs.FS) *index {
	x := &index{hashes: map[string]string{}}
	var folders []fs.FileInfo
	if root, err := fs.Stat(fsys, "."); err == nil {
		folders = append(folders, root)
	}
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, _ := fs.ReadDir(fsys, dir) // Load reports what cannot be read, where it matters
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			info, err := fs.Stat(fsys, name)
			switch {
			case err != nil:
			case info.IsDir() && depth > 0:
				i := slices.IndexFunc(folders, func(f fs.FileInfo) bool { return os.SameFile(f, info) })
				if i >= 0 {
					x.entries = append(x.entries, indexed{name, fmt.Sprintf("is folder %d", i)})
					continue
				}
				folders = append(folders, info)
				walk(name, depth-1)
			case info.Mode().IsRegular():
				if hash := hashOf(fsys, name); hash != "" {
					x.entries = append(x.entries, indexed{name, hash})
					x.hashes[name] = hash
				}
			}
		}
	}
	walk(".", 16)
	return x
}

// hashOf is the hash of a file's content; empty when it cannot be read.
func hashOf(fsys fs.FS, name string) string {
	if h, ok := fsys.(Hashed); ok {
		return h.Hash(name)
	}
	data, err := source.ReadBytes(fsys, name, source.DefaultLimits.Bytes)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// over lays another index over this one.
func (x *index) over(other *index) *index {
	both := &index{entries: slices.Concat(x.entries, other.entries), hashes: map[string]string{}}
	for _, layer := range []*index{x, other} {
		for name, hash := range layer.hashes {
			both.hashes[name] = hash
		}
	}
	return both
}

// revision identifies names and contents of all files but those that are left
// out, which are files or whole folders.
func (x *index) revision(leftOut ...string) string {
	h := sha256.New()
	for _, e := range x.entries {
		top, _, _ := strings.Cut(e.name, "/")
		if !slices.Contains(leftOut, top) {
			fmt.Fprintf(h, "%s\x00%s\x00", e.name, e.content)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// content is what a name of a file system stands for: a hash, "folder", or
// empty when there is nothing.
func (x *index) content(fsys fs.FS, name string) string {
	if hash := x.hashes[name]; hash != "" {
		return hash
	}
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		return "folder"
	}
	return hashOf(fsys, name) // a hidden one, or behind a link
}
