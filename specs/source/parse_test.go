package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v4"
)

// problems gives what is wrong, one a line.
func problems(ps *Problems) string {
	if err := ps.Err(); err != nil {
		return err.Error()
	}
	return ""
}

func parsed(t testing.TB, text string) Node {
	t.Helper()
	var ps Problems
	n := Parse("f.yaml", []byte(text), DefaultLimits, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestParseRefuses(t *testing.T) {
	small := Limits{Bytes: 1000, Depth: 5, Nodes: 50}
	bomb := "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n"
	for _, c := range []struct {
		name, text, want string
	}{
		{"empty", "", "f.yaml: is empty"},
		{"comment only", "# nothing\n", "f.yaml: is empty"},
		{"two documents", "a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here; one file holds one document"},
		{"two documents, the second empty", "a: 1\n...\n---\n", "f.yaml:3:1: a second document begins here; one file holds one document"},
		{"a broken second document", "a: 1\n---\n[", "f.yaml:3:1: is not valid YAML or JSON: did not find expected node content while parsing a flow node"},
		{"duplicate key", "a:\n  b: 1\n  c: 2\n  b: 3\n", "f.yaml:4:3: a.b: the key \"b\" appears twice; keep one of them"},
		{"duplicate key in JSON", "{\"a\": 1,\n \"a\": 2}", "f.yaml:2:2: a: the key \"a\" appears twice; keep one of them"},
		{"duplicate key in another notation", "\"1\": a\n1: b\n", "f.yaml:2:1: 1: the key \"1\" appears twice; keep one of them"},
		{"merge key", "a: &x {k: 1}\nb:\n  <<: *x\n", "f.yaml:3:3: b[\"<<\"]: merge keys are not supported; repeat the values"},
		{"list as key", "a:\n  ? [b]\n  : 1\n", "f.yaml:2:5: a[\"\"]: a key must be a plain word"},
		{"alias as key", "&k a: 1\n*k : 2\n", "f.yaml:2:1: k: a key must be a plain word"},
		{"tag", "a: !!binary aGk=\n", "f.yaml:1:4: a: the tag !!binary is not supported; write the value without it"},
		{"custom tag", "a: [!env HOME]\n", "f.yaml:1:5: a[0]: the tag !env is not supported; write the value without it"},
		{"tag on a key", "!!int 5: a\n", "f.yaml:1:1: 5: the tag !!int is not supported; write the key without it"},
		{"nodes", bomb, "f.yaml:2:8: c[1][0]: the file has too many values after aliases are expanded"},
		{"text", "a: &a " + strings.Repeat("x", 500) + "\nb: [*a, *a, *a, *a, *a, *a, *a, *a]\n", "f.yaml:2:29: b[6]: the file has too much text after aliases are expanded"},
		{"depth", "[[[[[[1]]]]]]", "f.yaml:1:6: [0][0][0][0][0]: is nested too deeply, or an alias contains itself"},
		{"alias in itself", "a: &a\n  b: *a\n", "f.yaml:2:6: a.b.b.b.b: is nested too deeply, or an alias contains itself"},
		{"size", strings.Repeat("#", 1001), "f.yaml: is larger than 1KB"},
		{"unclosed quote", "a: 1\nb: 'x\nc: 2\n", "f.yaml:2:4: is not valid YAML or JSON: found unexpected end of stream while scanning a quoted scalar"},
		{"unclosed bracket", "a: [1,\n  2\n", "f.yaml:1:4: is not valid YAML or JSON: did not find expected ',' or ']' while parsing a flow sequence"},
		{"colon", "a: b: c\n", "f.yaml:1:5: is not valid YAML or JSON: mapping values are not allowed in this context"},
		{"tab", "a:\n\tb: 1\n", "f.yaml:2:1: is not valid YAML or JSON: found character that cannot start any token while scanning for the next token"},
		{"unknown alias", "a: *b\n", "f.yaml:1:4: is not valid YAML or JSON: unknown anchor 'b' referenced"},
		{"control character", "a: 1\nb: x\x01\n", "f.yaml:2:5: is not valid YAML or JSON: control characters are not allowed (value: 1)"},
		{"not UTF-8", "ä: 1\nb: \xff\n", "f.yaml:2:4: is not valid YAML or JSON: invalid leading UTF-8 octet (value: 255)"},
		{"all at once", "a: 1\na: 2\n<<: {}\n", "f.yaml:2:1: a: the key \"a\" appears twice; keep one of them\nf.yaml:3:1: [\"<<\"]: merge keys are not supported; repeat the values"},
	} {
		var ps Problems
		n := Parse("f.yaml", []byte(c.text), small, &ps)
		if got := problems(&ps); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
		if n.Exists() {
			t.Errorf("%s: a node was returned", c.name)
		}
	}
}

func TestParseDeepNestingEnds(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 1<<20), strings.Repeat("- ", 1<<20), strings.Repeat(`{"a":`, 1<<20), strings.Repeat("[", 9000) + strings.Repeat("]", 9000)} {
		var ps Problems
		if n := Parse("f", []byte(text), DefaultLimits, &ps); n.Exists() || ps.Len() == 0 {
			t.Errorf("%.20s… was accepted", text)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a: yes\nb: on\nc: ~\nd: NULL\ne: TRUE\nf: 'true'\n", `{"a":"yes","b":"on","c":null,"d":null,"e":true,"f":"true"}`},
		{"[0x1F, 1_000, 0o17, 017, 0b11, +5, -0, 1., .5, 1e3, 12345678901234567890]", `[31,1000,15,15,3,5,-0,1,0.5,1e3,12345678901234567890]`},
		{"[1.10, 1E+2, .inf, -.inf, .nan]", `[1.10,1E+2,".inf","-.inf",".nan"]`},
		{"[2024-01-01, 12:30:45, !!str 5, '1', \"a\\tb\", \"\\x00\"]", `["2024-01-01","12:30:45","5","1","a\u0009b","\u0000"]`},
		{"a: &x {k: [1]}\nb: *x\n", `{"a":{"k":[1]},"b":{"k":[1]}}`},
		{"200: ok\ntrue: x\nnull: y\n", `{"200":"ok","true":"x","null":"y"}`},
		{"{\"a\": \"\\ud83d\\ude00\\u00e9/\\/\", \"b\": -1.50e+3, \"c\": [true, false, null, {}, []]}", `{"a":"😀é//","b":-1.50e+3,"c":[true,false,null,{},[]]}`},
		{"{\"a\": \"\\ud800\"}", "{\"a\":\"\uFFFD\"}"},
		{"{\n\t\"tab\": [\t1 ]\n}", `{"tab":[1]}`},
		{"[<b>&']", `["<b>&'"]`},
		{"a: |\n  x\n  y\nb: >-\n  p\n  q\n", `{"a":"x\ny\n","b":"p q"}`},
	} {
		if got := string(parsed(t, c.text).AppendJSON(nil)); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
	n := parsed(t, "x-h: 1\na: {x-h: {b: 2}, c: [{x-h: 3}, 4]}\nd: {x-h: 5}\n")
	if got, want := string(n.AppendJSONWithout([]byte("> "), "x-h")), `> {"a":{"c":[{},4]},"d":{}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A file means the same and stands at the same places whichever parser read it.
func TestJSONIsReadLikeYAML(t *testing.T) {
	text := "{\n  \"a\" : [ 1, -2.5e3,\r\n \"ü\\\"\\\\\\n\", {\"b\":null}],\t\"ö\": {}, \"t\":true}\n"
	fast := parseJSON([]byte(text))
	var slow yaml.Node
	if err := yaml.Unmarshal([]byte(text), &slow); err != nil {
		t.Fatal(err)
	}
	var compare func(a, b *yaml.Node)
	compare = func(a, b *yaml.Node) {
		if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Line != b.Line || a.Column != b.Column || len(a.Content) != len(b.Content) {
			t.Errorf("got %+v, want %+v", a, b)
			return
		}
		for i := range a.Content {
			compare(a.Content[i], b.Content[i])
		}
	}
	compare(fast, slow.Content[0])
}

func TestNode(t *testing.T) {
	n := parsed(t, "a:\n  - b: 1\n    /x y: {'': deep}\n  - two\nc: &c {d: null}\ne: *c\n")
	for _, c := range []struct {
		node Node
		want string
	}{
		{n, "f.yaml:1:1"},
		{n.Get("a").Items()[0].Get("b"), "f.yaml:2:8 a[0].b integer 1"},
		{n.Get("a").Items()[0].Get("/x y").Get(""), `f.yaml:3:16 a[0]["/x y"][""] string deep`},
		{n.Get("a").Items()[1], "f.yaml:4:5 a[1] string two"},
		{n.Get("e"), "f.yaml:6:4 e mapping"},
		{n.Get("e").Get("d"), "f.yaml:5:11 e.d null null"},
		{n.Key("c"), "f.yaml:5:1 c string c"},
		{n.At("c", "x", "y"), "f.yaml:5:4 c mapping"},
		{n.Get("nothing"), ""},
		{n.Get("a").Get("b"), ""},
		{n.Get("c").Key("x"), ""},
		{n.Get("a").Key("x"), ""},
	} {
		if c.want == "f.yaml:1:1" {
			c.want += "  mapping"
		}
		got := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.node.Position(), c.node.Path(), c.node.Kind(), c.node.Text()))
		if !c.node.Exists() {
			got = ""
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	for pointer, want := range map[string]string{"": "", "/a/0/b": "a[0].b", "/a/0/~1x y/": `a[0]["/x y"][""]`, "/e/d": "e.d"} {
		if got, ok := n.Pointer(pointer); !ok || got.Path() != want {
			t.Errorf("%s: got %s, %v", pointer, got.Path(), ok)
		}
	}
	for _, pointer := range []string{"a", "/a/2", "/a/-1", "/a/00", "/a/x", "/z", "/a/0/b/c"} {
		if got, ok := n.Pointer(pointer); ok {
			t.Errorf("%s leads to %s", pointer, got.Path())
		}
	}
	if (Node{}).Kind() != Null || (Node{}).Items() != nil || (Node{}).Fields() != nil || string((Node{}).AppendJSON(nil)) != "null" {
		t.Error("the zero Node is not absent")
	}
	if _, ok := (Node{}).Pointer(""); ok {
		t.Error("the zero Node has a value")
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]float64{"1": 1, "0x10": 16, "1_0.5": 10.5, "-2e3": -2000} {
		if got, ok := parsed(t, text).Number(); !ok || got != want {
			t.Errorf("%s: got %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"'1'", "true", ".inf", ".nan", "x", "[1]", "~"} {
		if got, ok := parsed(t, text).Number(); ok {
			t.Errorf("%s is the number %v", text, got)
		}
	}
}

func TestGrafts(t *testing.T) {
	n := parsed(t, "a: {b: [1, 2]}\nc: 3\n")
	var g Grafts
	n = n.WithGrafts(&g)
	foreign := parsed(t, "{x: &v {y: 1}, z: *v}")
	y := g.Clone(foreign.YAML())
	if y.Content[3].Kind != yaml.MappingNode {
		t.Error("an alias was kept")
	}
	g.Add(y, "other.yaml")
	a := n.Get("a").YAML()
	a.Content = append(a.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "new"}, y)
	if got := n.Get("a").Get("new").Get("x").Get("y"); got.Position().String() != "other.yaml:1:12" || got.Path() != "a.new.x.y" {
		t.Errorf("got %s %s", got.Position(), got.Path())
	}
	if got := n.Get("a").Get("b").Items()[1].Position().String(); got != "f.yaml:1:12" {
		t.Errorf("got %s", got)
	}
	copied := g.Clone(n.YAML())
	if got := Wrap("f.yaml", copied).WithGrafts(&g).At("a", "new", "x").Position().File; got != "other.yaml" {
		t.Errorf("a copy stands in %s", got)
	}
	if !g.Has(y) || g.Has(a) {
		t.Error("Has is wrong")
	}
	g.Retain(n.YAML())
	if !g.Has(y) || len(g.files) != 1 {
		t.Errorf("%d nodes are kept, want 1", len(g.files))
	}
	a.Content = a.Content[:2]
	g.Retain(n.YAML())
	if g.Has(y) {
		t.Error("a node that is gone was kept")
	}
	copied.Content[1].Value = "changed"
	if n.Get("a").YAML().Value == "changed" {
		t.Error("a copy shares nodes with its original")
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large.yaml"), bytes.Repeat([]byte("#"), 2048), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600), os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700)); err != nil {
		t.Fatal(err)
	}
	fsys := os.DirFS(dir)
	for name, want := range map[string]string{
		"missing.yaml": "missing.yaml: cannot be read: no such file or directory",
		"large.yaml":   "large.yaml: cannot be read: larger than 1KiB",
		"pipe.yaml":    "pipe.yaml: cannot be read: is not a regular file",
		"folder.yaml":  "folder.yaml: cannot be read: is a directory",
		"../x":         "../x: cannot be read: invalid argument",
	} {
		var ps Problems
		Read(fsys, name, Limits{Bytes: 1024, Depth: 10, Nodes: 10}, &ps)
		if name == "../x" {
			want = "../x: cannot be read: " + Reason(&fs.PathError{Err: fs.ErrInvalid})
		}
		if got := problems(&ps); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	var ps Problems
	n := Read(fstest.MapFS{"a/b.json": {Data: []byte(`{"x": 1}`)}}, "a/b.json", DefaultLimits, &ps)
	if n.Get("x").Text() != "1" || ps.Len() > 0 {
		t.Errorf("got %v, %v", n, ps.Err())
	}
	if got := Reason(errors.New("odd")); got != "odd" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a: 1\nb: [x, 'y', {z: ~}]\n", `{"a": "\ud83d\ude00", "b": [1e5, -0, true]}`, "a: &x [1]\nb: *x\n", "a: &a [*a]",
		"? a\n: b\n", "--- |\n x\n", "a: !!set {x}\n", "%YAML 1.1\n---\n0o7: .inf\n", "<<: {a: 1}", "a: 1\n---\nb: 2",
		"[1_0, 0x_, 0b2, 08, +.5, 1__, .e3, 0x]", "\xef\xbb\xbf{\"a\":1}", "a: \"\\x41\\u263a\\U0001F600\\N\\_\"",
	} {
		f.Add([]byte(seed))
	}
	limits := Limits{Bytes: 1 << 12, Depth: 20, Nodes: 500}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ps Problems
		n := Parse("f", data, limits, &ps)
		if n.Exists() == (ps.Len() > 0) {
			t.Fatalf("a node and problems, or neither: %v", ps.Err())
		}
		for _, p := range ps.List() {
			if p.File != "f" || p.Wrong == "" || strings.Contains(p.Path, "\n") {
				t.Errorf("a strange problem: %+v", p)
			}
		}
		if !n.Exists() {
			return
		}
		out := n.AppendJSON(nil)
		if !json.Valid(out) {
			t.Fatalf("not JSON: %q", out)
		}
		// What is written can take six bytes for one, plus what lists and mappings need.
		if most := 6*textFactor*int(limits.Bytes) + 20*limits.Nodes; len(out) > most {
			t.Fatalf("%d bytes", len(out))
		}
		again := Parse("f", out, Limits{Bytes: 1 << 20, Depth: 20, Nodes: 500}, &ps)
		if second := again.AppendJSON(nil); !bytes.Equal(out, second) {
			t.Fatalf("read again it is\n%s\nand was\n%s", second, out)
		}
	})
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
