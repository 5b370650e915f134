package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Limits bound what a single file may cost.
type Limits struct {
	// Bytes is the largest file that is read, and a quarter of the text that
	// it may come to after aliases have been expanded.
	Bytes int64
	// Depth is the deepest nesting.
	Depth int
	// Nodes bounds the number of values after aliases have been expanded.
	Nodes int
}

// DefaultLimits leave room for the largest published vendor documents.
var DefaultLimits = Limits{Bytes: 16 << 20, Depth: 200, Nodes: 2_000_000}

// Read reads and parses a JSON or YAML file of the workspace. What is wrong
// with it goes to ps; the zero Node is returned then.
func Read(fsys fs.FS, name string, limits Limits, ps *Problems) Node {
	data, err := ReadBytes(fsys, name, limits.Bytes)
	if err != nil {
		ps.AddFile(name, "cannot be read: "+Reason(err), "")
		return Node{}
	}
	return Parse(name, data, limits, ps)
}

// ReadBytes reads a regular file of at most limit bytes. Opening a pipe would
// wait for its writer, and a device may never end.
func ReadBytes(fsys fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("larger than %s", Size(limit))
	}
	return data, nil
}

// Reason says why a file could not be read, without its name.
func Reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// Parse parses JSON or YAML. Duplicate keys, merge keys, tags, several
// documents in one file, and anything beyond the limits are problems; the zero
// Node is returned then.
func Parse(name string, data []byte, limits Limits, ps *Problems) Node {
	if int64(len(data)) > limits.Bytes {
		ps.AddFile(name, "is larger than "+Size(limits.Bytes).String(), "")
		return Node{}
	}
	root, problem := parse(data)
	if problem != nil {
		problem.File = name
		ps.Append(*problem)
		return Node{}
	}
	n := Node{file: name, yaml: root}
	if !n.Verify(limits, ps) {
		return Node{}
	}
	return n
}

// parse reads JSON by itself, since a YAML parser refuses some of it
// (surrogate pairs) and takes longer for the rest.
func parse(data []byte) (root *yaml.Node, problem *Problem) {
	if json.Valid(data) {
		return parseJSON(data), nil
	}
	defer func() { // a parser must not bring the process down, whatever it is given
		if r := recover(); r != nil {
			root, problem = nil, &Problem{Wrong: fmt.Sprintf("is not valid YAML or JSON: the parser gave up: %v", r)}
		}
	}()
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, syntax(data, err)
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case err == io.EOF:
		return nil, &Problem{Wrong: "is empty"}
	case err != nil:
		return nil, syntax(data, err)
	case doc.Kind != yaml.DocumentNode || len(doc.Content) == 0:
		return nil, &Problem{Wrong: "is empty"}
	}
	switch err := loader.Load(&second); {
	case err == nil:
		at := Position{Line: second.Line, Column: second.Column}
		return nil, &Problem{Position: at, Wrong: "a second document begins here", Right: "one file holds one document"}
	case err != io.EOF:
		return nil, syntax(data, err)
	}
	return doc.Content[0], nil
}

// syntax places an error of the YAML parser. What was opened and never closed
// is reported where it was opened.
func syntax(data []byte, err error) *Problem {
	p := &Problem{Wrong: "is not valid YAML or JSON: " + err.Error()}
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		return p
	}
	p.Wrong = "is not valid YAML or JSON: " + e.Message
	mark := e.Mark
	if e.ContextMsg != "" {
		p.Wrong += " " + e.ContextMsg
		if e.ContextMark.Line > 0 && mark.Line >= lines(data) && mark.Line > e.ContextMark.Line {
			mark = e.ContextMark
		}
	}
	p.Line, p.Column = mark.Line, mark.Column
	if p.Line == 0 {
		p.Line, p.Column = unreadable(data)
	}
	if last := lines(data); p.Line > last {
		p.Line, p.Column = last, 1
	}
	return p
}

// lines is the number of lines that a person sees.
func lines(data []byte) int {
	n := bytes.Count(data, []byte("\n"))
	if !bytes.HasSuffix(data, []byte("\n")) {
		n++
	}
	return n
}

// unreadable finds the first character that may not stand in YAML.
func unreadable(data []byte) (line, column int) {
	line, column = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return line, column
		}
		data, column = data[size:], column+1
	}
	return 0, 0
}
