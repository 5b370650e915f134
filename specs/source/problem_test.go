package source

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestProblemsAreSortedAndSaidOnce(t *testing.T) {
	var ps Problems
	if ps.Err() != nil || ps.Len() != 0 {
		t.Error("the zero value has problems")
	}
	n := parsed(t, "b: 1\na: {x: 2}\n")
	ps.Add(n.Get("a").Get("x"), "second line", "do this")
	ps.Add(n.Get("b"), "z", "")
	ps.Add(n.Get("b"), "a", "")
	ps.Add(n.Get("b"), "a", "")
	ps.AddFile("f.yaml", "as a whole", "")
	ps.AddFile("a.yaml", "earlier file", "remove it")
	ps.Append(Problem{Position: Position{File: "f.yaml", Line: 1, Column: 20}, Wrong: "column"}, Problem{Position: Position{File: "f.yaml", Line: 10, Column: 1}, Wrong: "line 10"})
	want := `a.yaml: earlier file; remove it
f.yaml: as a whole
f.yaml:1:4: b: a
f.yaml:1:4: b: z
f.yaml:1:20: column
f.yaml:2:8: a.x: second line; do this
f.yaml:10:1: line 10`
	err := ps.Err()
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != 7 || ps.Len() != 8 {
		t.Fatalf("%d problems of %d", len(e.Problems), ps.Len())
	}
	out, _ := json.Marshal(&Error{Problems: e.Problems[4:6]})
	if want := `[{"file":"f.yaml","line":1,"column":20,"wrong":"column"},{"file":"f.yaml","line":2,"column":8,"path":"a.x","wrong":"second line","right":"do this"}]`; string(out) != want {
		t.Errorf("got %s", out)
	}
}

func TestDidYouMean(t *testing.T) {
	words := []string{"timeout", "title", "wait", "class", "on_failure"}
	for word, want := range map[string]string{
		"timout":     `did you mean "timeout"?`,
		"Timeout":    `did you mean "timeout"?`,
		"wiat":       `did you mean "wait"?`,
		"titel":      `did you mean "title"?`,
		"onfailure":  `did you mean "on_failure"?`,
		"on-failure": `did you mean "on_failure"?`,
		"budget":     "one of class, on_failure, timeout, title, wait",
		"":           "one of class, on_failure, timeout, title, wait",
	} {
		if got := DidYouMean(word, words); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
	if got := DidYouMean("x", nil); got != "none is defined" {
		t.Error(got)
	}
	if got := DidYouMean("x", []string{"y"}); got != `did you mean "y"?` && got != "one of y" {
		t.Error(got)
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = "some-long-word-" + string(rune('A'+i))
	}
	if got := DidYouMean("q", many); len(got) > 600 || got[len(got)-3:] != "…" {
		t.Error(got)
	}
	if many[0] != "some-long-word-A" {
		t.Error("the words were changed")
	}
}
