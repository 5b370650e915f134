// Package source reads the files of a workspace and remembers where everything
// stood, so that every fault can be reported with its file, line and column.
package source

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file of the workspace. Line and Column count from 1;
// 0 means that the fault concerns the file as a whole.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one fault of a configuration or an API document.
type Problem struct {
	Position
	// Path leads to the faulty value inside its file, for example
	// paths["/orders"].post.x-headrace.wait. It is empty for the whole file.
	Path string `json:"path,omitempty"`
	// Wrong says what is wrong, Right what would be right.
	Wrong string `json:"wrong"`
	Right string `json:"right,omitempty"`
}

// String gives the problem as file:line:col: path: what is wrong, what would be right.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Position.String())
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Wrong)
	if p.Right != "" {
		b.WriteString("; " + p.Right)
	}
	return b.String()
}

// Problems collects faults. The zero value is ready to use. It is not safe for
// concurrent use.
type Problems struct {
	list []Problem
}

// Add notes a fault at a node: what is wrong, and what would be right (which may be empty).
func (ps *Problems) Add(at Node, wrong, right string) {
	ps.list = append(ps.list, Problem{Position: at.Position(), Path: at.path, Wrong: wrong, Right: right})
}

// AddFile notes a fault of a file as a whole.
func (ps *Problems) AddFile(name, wrong, right string) {
	ps.list = append(ps.list, Problem{Position: Position{File: name}, Wrong: wrong, Right: right})
}

// Append adds faults that were collected elsewhere.
func (ps *Problems) Append(list ...Problem) { ps.list = append(ps.list, list...) }

// Len is the number of faults so far. Comparing it before and after a step
// tells whether the step went well.
func (ps *Problems) Len() int { return len(ps.list) }

// List gives the faults sorted by file, line, column and text, each once.
func (ps *Problems) List() []Problem {
	list := slices.Clone(ps.list)
	slices.SortFunc(list, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Wrong, b.Wrong),
			cmp.Compare(a.Right, b.Right),
		)
	})
	return slices.Compact(list)
}

// Err is nil when there are no faults, and otherwise an error that names all of them, one a line.
func (ps *Problems) Err() error {
	if len(ps.list) == 0 {
		return nil
	}
	return &Error{Problems: ps.List()}
}

// Error carries the faults that made a load or a build fail.
type Error struct {
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// MarshalJSON gives the list of problems.
func (e *Error) MarshalJSON() ([]byte, error) { return json.Marshal(e.Problems) }
