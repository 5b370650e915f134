package mapping

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Dir is the folder of a workspace that mappings stand in.
const Dir = "mappings"

const (
	fileSuffix = ".jq"
	testSuffix = "_test.yaml"
	// maxFile bounds a mapping's text in bytes.
	maxFile = 1 << 20
)

// Library holds the compiled mappings of a workspace. Every file is compiled
// once, whether an operation uses it or not, so that all problems are found.
type Library struct {
	limits Limits
	files  map[string]*Mapping // nil for a file with problems
}

// Open compiles all mappings/*.jq. The problems stand inside the files.
func Open(fsys fs.FS, limits Limits, ps *source.Problems) *Library {
	l := &Library{limits: limits, files: map[string]*Mapping{}}
	walk(fsys, ps, func(name string) {
		if strings.HasSuffix(name, fileSuffix) {
			l.files[name] = l.read(fsys, name, ps)
		}
	})
	return l
}

// With gives the same mappings, which run within other limits; none of them may be zero.
func (l *Library) With(limits Limits) *Library { return &Library{limits: limits, files: l.files} }

// walk visits the files of the folder; one that nothing reads is a problem.
func walk(fsys fs.FS, ps *source.Problems, visit func(name string)) {
	fs.WalkDir(fsys, Dir, func(name string, d fs.DirEntry, err error) error {
		hidden := name != Dir && strings.HasPrefix(path.Base(name), ".")
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == Dir:
			return nil
		case err != nil:
			ps.AddFile(name, "cannot be read: "+err.Error(), "")
		case d.IsDir() && hidden:
			return fs.SkipDir
		case d.IsDir(), hidden, strings.HasSuffix(name, ".md"):
		case strings.HasSuffix(name, fileSuffix), strings.HasSuffix(name, testSuffix):
			visit(name)
		default:
			ps.AddFile(name, "is not read", "a mapping is a file NAME.jq, its tests are NAME_test.yaml")
		}
		return nil
	})
}

func (l *Library) read(fsys fs.FS, name string, ps *source.Problems) *Mapping {
	data, err := source.ReadBytes(fsys, name, maxFile)
	if err != nil {
		ps.AddFile(name, "cannot be read: "+err.Error(), "")
		return nil
	}
	m, err := Compile(name, string(data), l.limits)
	if err == nil {
		return m
	}
	e, ok := errors.AsType[*SyntaxError](err)
	if !ok {
		ps.AddFile(name, err.Error(), "")
		return nil
	}
	ps.Append(source.Problem{
		Position: source.Position{File: name, Line: e.Line, Column: e.Column},
		Wrong:    "is not a mapping: " + e.Wrong, Right: e.Right,
	})
	return nil
}

var (
	fileReference = regexp.MustCompile(`^mappings/[^\n]*\.jq$`)
	likeFile      = regexp.MustCompile(`^[\w/-][\w./-]*\.jq$`)
)

// Get compiles a mapping: jq, or the name of a file mappings/NAME.jq. An absent
// one gives nil without a problem. more names further variables; files have none.
func (l *Library) Get(s Source, ps *source.Problems, more ...string) *Mapping {
	n := s.Node
	if !n.Exists() {
		return nil
	}
	text := n.Text()
	switch {
	case n.Kind() == source.List || n.Kind() == source.Map || n.Kind() == source.Null:
		ps.Add(n, "expected jq, found "+n.Kind().Named(), "write it in quotes, or name a file mappings/NAME.jq")
		return nil
	case fileReference.MatchString(text):
		m, ok := l.files[path.Clean(text)]
		if !ok {
			ps.Add(n, fmt.Sprintf("there is no mapping %q", text), source.DidYouMean(text, slices.Collect(maps.Keys(l.files))))
		}
		if m == nil {
			return nil
		}
		bounded := *m
		bounded.limits = l.limits
		return &bounded
	case likeFile.MatchString(text):
		ps.Add(n, fmt.Sprintf("%q is not the name of a mapping", text), fmt.Sprintf("files are named from the workspace: %s/%s", Dir, path.Base(text)))
		return nil
	}
	m, err := Compile(name(n), text, l.limits, more...)
	if err == nil {
		return m
	}
	e, ok := errors.AsType[*SyntaxError](err)
	if !ok {
		ps.Add(n, err.Error(), "")
		return nil
	}
	ps.Add(n, fmt.Sprintf("is not a mapping: %s (line %d, column %d of the text)", e.Wrong, e.Line, e.Column), e.Right)
	return nil
}

// name is how a mapping that stands inline is called in errors at run time.
func name(n source.Node) string { return n.File() + ": " + n.Path() }
