package specs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"unicode/utf8"

	"github.com/headrace/headrace/specs/source"
)

// GuideFile says beside a document how its API is meant to be used, in Markdown.
const GuideFile = "guide.md"

// GuideSize is how long a guide may be, in bytes.
const GuideSize = 256 << 10

// guide reads the guide beside a document; empty when there is none.
func guide(fsys fs.FS, dir string, ps *source.Problems) string {
	name := path.Join(dir, GuideFile)
	data, err := fs.ReadFile(fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		ps.AddFile(name, "cannot be read: "+err.Error(), "")
	case len(data) > GuideSize:
		ps.AddFile(name, fmt.Sprintf("is longer than %s", source.Size(GuideSize)), "")
	case !utf8.Valid(data):
		ps.AddFile(name, "is not UTF-8", "")
	default:
		return string(data)
	}
	return ""
}
