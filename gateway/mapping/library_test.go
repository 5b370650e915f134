package mapping

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/headrace/headrace/specs/source"
)

func files(texts map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range texts {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func list(ps *source.Problems) string {
	var lines []string
	for _, p := range ps.List() {
		if strings.Contains(p.Wrong, "is missing") {
			p.Right = "" // the documentation of the key
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

func TestLibrary(t *testing.T) {
	fsys := files(map[string]string{
		"mappings/order.jq":        "# An order.\n{id: .id}\n",
		"mappings/sub/price.jq":    ".price",
		"mappings/broken.jq":       "{a: 1,\n   b: )}",
		"mappings/env.jq":          ".a\n| env.HOME",
		"mappings/README.md":       "",
		"mappings/.hidden":         "",
		"mappings/.git/x.txt":      "",
		"mappings/order.txt":       "",
		"mappings/order_test.yaml": "[]",
	})
	var ps source.Problems
	l := Open(fsys, DefaultLimits, &ps)
	n := source.Parse("api.yaml", []byte(strings.Join([]string{
		"ok: mappings/order.jq",
		"nested: mappings/sub/price.jq",
		"inline: .a | .b",
		"missing: mappings/ordr.jq",
		"short: order.jq",
		"bad: .a | foo",
		"block: |",
		"  .a",
		"  | $x",
		"list: [1]",
		"map: {a: 1}",
		"'null':",
		"number: 5",
		"broken: mappings/broken.jq",
	}, "\n")), source.DefaultLimits, &ps)
	got := map[string]*Mapping{}
	for _, f := range n.Fields() {
		got[f.Name] = l.Get(Source{f.Value}, &ps)
	}
	want := strings.TrimSpace(`
api.yaml:4:10: missing: there is no mapping "mappings/ordr.jq"; did you mean "mappings/order.jq"?
api.yaml:5:8: short: "order.jq" is not the name of a mapping; files are named from the workspace: mappings/order.jq
api.yaml:6:6: bad: is not a mapping: there is no function foo with 0 arguments (line 1, column 6 of the text)
api.yaml:7:8: block: is not a mapping: there is no variable $x (line 2, column 3 of the text); the variables are $request, $session, $app, $status, $headers
api.yaml:10:7: list: expected jq, found a list; write it in quotes, or name a file mappings/NAME.jq
api.yaml:11:6: map: expected jq, found a mapping; write it in quotes, or name a file mappings/NAME.jq
api.yaml:12:8: null: expected jq, found nothing; write it in quotes, or name a file mappings/NAME.jq
mappings/broken.jq:2:7: is not a mapping: unexpected token ")"
mappings/env.jq:2:3: is not a mapping: env cannot be used in a mapping
mappings/order.txt: is not read; a mapping is a file NAME.jq, its tests are NAME_test.yaml`)
	if list(&ps) != want {
		t.Errorf("problems:\n%s\nwant:\n%s", list(&ps), want)
	}
	for _, name := range []string{"ok", "nested", "inline", "number"} {
		if got[name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
	if got["ok"].Name != "mappings/order.jq" || got["inline"].Name != "api.yaml: inline" {
		t.Errorf("named %q and %q", got["ok"].Name, got["inline"].Name)
	}
	if m := l.Get(Source{}, &ps); m != nil || list(&ps) != want {
		t.Error("an absent node is a mapping")
	}
	var none source.Problems
	small := l.With(Limits{Time: time.Second, Output: 3}).Get(Source{n.Get("ok")}, &none)
	if _, err := small.JSON(t.Context(), Input{}); err == nil || none.Len() > 0 {
		t.Error("the smaller limits do not hold")
	}
	if _, err := got["ok"].JSON(t.Context(), Input{}); err != nil {
		t.Errorf("the smaller limits hold elsewhere: %v", err)
	}
	if got["broken"] != nil {
		t.Error("a broken mapping is there")
	}
}

func TestNoMappings(t *testing.T) {
	var ps source.Problems
	Open(files(nil), DefaultLimits, &ps)
	if r := RunTests(files(nil), DefaultLimits, &ps); len(r) > 0 || ps.Len() > 0 {
		t.Errorf("%v %s", r, list(&ps))
	}
}

func TestRunTests(t *testing.T) {
	fsys := files(map[string]string{
		"mappings/order.jq": `if .lines == [] then error("at least one line") else {id: $request.path.id, total, app: $app, day: (now | todate), s: $status, h: $headers.location, c: $session.company, m: $request.method, b: ($request.body.total == .total)} end`,
		"mappings/order_test.yaml": strings.Join([]string{
			"- name: all is well",
			"  input: {total: 10.50}",
			"  request: {path: {id: a/b}, method: POST}",
			"  session: {company: 1}",
			"  app: shop",
			"  status: 201",
			"  now: 2026-11-23T08:00:00Z",
			"  headers: {location: /x}",
			"  want: {id: a/b, total: 10.5, app: shop, day: '2026-11-23T08:00:00Z', s: 201, h: /x, c: 1, m: POST, b: true}",
			"- name: refused",
			"  input: {lines: []}",
			"  error: at least one",
			"- name: another error",
			"  input: {lines: []}",
			"  error: at most",
			"- name: no error",
			"  input: {}",
			"  error: at least",
			"- name: another total",
			"  input: {total: 10.51}",
			"  want: {id: null, total: 10.5, app: null, day: '2000-01-01T00:00:00Z', s: null, h: null, c: null, m: GET, b: true}",
			"- name: a key too many",
			"  input: {total: 10.51}",
			"  want: {id: null}",
			"- name: fails",
			"  input: 5",
			"  want: {}",
		}, "\n"),
		"mappings/other_test.yaml":  "[]",
		"mappings/wrong.jq":         ".",
		"mappings/wrong_test.yaml":  "- {name: a, want: 1, error: x}\n- {name: b}\n- {want: 1}\n- {name: c, want: 1, request: {paht: {}}}\n- {name: d, want: 1, now: today}\n- {name: e, want: 1, wnt: 2}\n- {name: ok, input: {a: [1, {b/c: 2}]}, want: {a: [1, {b/c: 3}]}}",
		"mappings/object.jq":        ".",
		"mappings/object_test.yaml": "name: a",
		"mappings/broken.jq":        ")",
		"mappings/broken_test.yaml": "- {name: a, want: 1}",
	})
	var ps source.Problems
	var got []string
	for _, r := range RunTests(fsys, DefaultLimits, &ps) {
		got = append(got, fmt.Sprintf("%s %s: %s: %s", r.Mapping, r.Position, r.Test, r.Failure))
	}
	want := strings.TrimSpace(`
mappings/order.jq mappings/order_test.yaml:1:3: all is well: 
mappings/order.jq mappings/order_test.yaml:10:3: refused: 
mappings/order.jq mappings/order_test.yaml:13:3: another error: fails, but otherwise: mapping mappings/order.jq: error: at least one line
mappings/order.jq mappings/order_test.yaml:16:3: no error: gives {"app":null,"b":true,"c":null,"day":"2000-01-01T00:00:00Z","h":null,"id":null,"m":"GET","s":null,"total":null} instead of an error
mappings/order.jq mappings/order_test.yaml:19:3: another total: gives 10.51 instead of 10.5 at /total
mappings/order.jq mappings/order_test.yaml:22:3: a key too many: gives null instead of nothing at /app
mappings/order.jq mappings/order_test.yaml:25:3: fails: mapping mappings/order.jq: expected an object but got: number (5)
mappings/wrong.jq mappings/wrong_test.yaml:7:3: ok: gives 2 instead of 3 at /a/1/b~1c`)
	if strings.Join(got, "\n") != want {
		t.Errorf("results:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
	wantProblems := strings.TrimSpace(`
mappings/broken.jq:1:1: is not a mapping: unexpected token ")"
mappings/object_test.yaml:1:1: tests are a list; write - name: …
mappings/other_test.yaml: there is no mapping mappings/other.jq to be tested
mappings/wrong_test.yaml:1:3: [0]: a test needs either want or error
mappings/wrong_test.yaml:2:3: [1]: a test needs either want or error
mappings/wrong_test.yaml:3:3: [2]: the key "name" is missing
mappings/wrong_test.yaml:4:32: [3].request.paht: $request has no "paht"; did you mean "path"?
mappings/wrong_test.yaml:5:27: [4].now: "today" is not a time; write for example 2026-11-23T08:00:00Z
mappings/wrong_test.yaml:6:22: [5].wnt: unknown key "wnt"; did you mean "want"?`)
	if list(&ps) != wantProblems {
		t.Errorf("problems:\n%s\nwant:\n%s", list(&ps), wantProblems)
	}
}

func TestSameNumber(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1", "1.0", true}, {"100", "1e2", true}, {"0.10", "1E-1", true}, {"0", "-0.0", true}, {"1e3", "1000.00", true}, {"-5", "-5.0", true},
		{"1", "-1", false}, {"12345678901234567.89", "12345678901234567.88", false}, {"1e2", "1e3", false}, {"10", "1", false},
		{"1e999999999999", "1e999999999999", true},
	} {
		got, err := Decode([]byte("[" + c.a + "," + c.b + "]"))
		if err != nil {
			t.Fatal(err)
		}
		pair := got.([]any)
		if _, same := equal("", pair[0], pair[1]); same != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, same)
		}
	}
}
