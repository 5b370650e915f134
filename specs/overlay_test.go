package specs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/source"
)

const overlayHead = "overlay: 1.0.0\ninfo: {title: o, version: '1'}\nactions:\n"

// changed gives a document as JSON after an overlay's actions.
func changed(t *testing.T, document, actions string) string {
	t.Helper()
	var ps source.Problems
	var grafts source.Grafts
	root := source.Parse("openapi.yaml", []byte(document), source.DefaultLimits, &ps).WithGrafts(&grafts)
	n := source.Parse("overlay.yaml", []byte(overlayHead+actions), source.DefaultLimits, &ps)
	root, _ = overlaid(root, n, &grafts, &ps)
	if err := ps.Err(); err != nil {
		return err.Error()
	}
	return string(root.AppendJSON(nil))
}

func TestOverlay(t *testing.T) {
	for _, c := range []struct{ name, document, actions, want string }{
		{"update the root", "a: 1\n", "- {target: $, update: {b: 2}}", `{"a":1,"b":2}`},
		{"merge objects", "a: {b: {c: 1, d: 2}}", "- {target: $.a, update: {b: {d: 3, e: [4]}, f: {}}}", `{"a":{"b":{"c":1,"d":3,"e":[4]},"f":{}}}`},
		{"append to a list that is selected", "a: [1]", "- {target: $.a, update: {b: 2}}\n- {target: $.a, update: [3]}\n- {target: $.a, update: 4}", `{"a":[1,{"b":2},[3],4]}`},
		{"append to lists inside", "a: {b: [1]}", "- {target: $.a, update: {b: [2, 3]}}", `{"a":{"b":[1,2,3]}}`},
		{"replace what is of another sort", "a: {b: 1, c: {d: 1}, e: [1]}", "- {target: $.a, update: {b: {x: 1}, c: 2, e: {y: 1}}}", `{"a":{"b":{"x":1},"c":2,"e":{"y":1}}}`},
		{"null leaves objects and lists", "a: {b: {c: 1}, d: [1], e: 1}", "- {target: $, update: {a: {b: , d: null, e: null, f: null}}}", `{"a":{"b":{"c":1},"d":[1],"e":null,"f":null}}`},
		{"many targets", "p: {x: {get: {}}, y: {get: {}, put: {}}}", "- {target: $.p.*.get, update: {k: [1]}}\n- {target: $.p.x.get, update: {k: [2]}}", `{"p":{"x":{"get":{"k":[1,2]}},"y":{"get":{"k":[1]},"put":{}}}}`},
		{"a target twice", "a: {b: []}", "- {target: \"$['a','a'].b\", update: 1}", `{"a":{"b":[1]}}`},
		{"by filter", "l: [{n: a}, {n: b, q: 1}]", "- {target: '$.l[?@.n == ''b'']', update: {r: 2}}", `{"l":[{"n":"a"},{"n":"b","q":1,"r":2}]}`},
		{"remove a key", "a: {b: 1, c: 2}", "- {target: $.a.b, remove: true}", `{"a":{"c":2}}`},
		{"remove entries together", "l: [0, 1, 2, 3, 4]", "- {target: '$.l[0,2,4]', remove: true}", `{"l":[1,3]}`},
		{"remove what is inside of what is removed", "a: {b: {b: 1}}", "- {target: $..b, remove: true}", `{"a":{}}`},
		{"remove before update", "a: {b: [1]}", "- {target: '$.a.b[*]', remove: true}\n- {target: $.a.b, update: 2}", `{"a":{"b":[2]}}`},
		{"remove wins", "a: {b: {}}", "- {target: $.a.b, remove: true, update: {c: 1}}", `{"a":{}}`},
		{"remove false", "a: {}", "- {target: $.a, remove: false, update: {c: 1}}", `{"a":{"c":1}}`},
		{"extensions", "a: {}", "- {target: $.a, x-why: 1, description: because, update: {x-b: 1}}\nextends: openapi.yaml\nx-c: {d: 1}", `{"a":{"x-b":1}}`},
		{"aliases become copies", "a: &a {k: 1}\nb: *a\n", "- {target: $.a, update: {k: 2}}", `{"a":{"k":2},"b":{"k":1}}`},
		{"aliases in the overlay", "a: {}\nb: {}", "- {target: $.a, update: &u {k: [1]}}\n- {target: $.b, update: *u}\n- {target: $.b.k, update: 2}", `{"a":{"k":[1]},"b":{"k":[1,2]}}`},

		{"nothing matches", "a: 1", "- {target: $.b, update: {}}", "overlay.yaml:4:12: actions[0].target: $.b matches nothing in the document"},
		{"not a path", "a: 1", "- {target: 'paths./a', update: {}}", `overlay.yaml:4:12: actions[0].target: "paths./a" is not a JSONPath: at character 1: a path begins with $`},
		{"remove all", "a: 1", "- {target: $, remove: true}", "overlay.yaml:4:12: actions[0].target: the whole document cannot be removed"},
		{"update a text", "a: 1", "- {target: $.a, update: 2}", "overlay.yaml:4:12: actions[0].target: $.a selects a single value; select the object that contains it"},
		{"update an object with a text", "a: {}", "- {target: $.a, update: b}", "overlay.yaml:4:25: actions[0].update: an object is updated with an object"},
		{"does nothing", "a: {}", "- {target: $.a}", "overlay.yaml:4:3: actions[0]: the action does nothing; give it an update, or remove: true"},
		{"all at once", "a: {}", "- {target: $.b, update: {}}\n- {taget: $.c}\n- {target: $.d, update: {}}", "overlay.yaml:4:12: actions[0].target: $.b matches nothing in the document\noverlay.yaml:5:3: actions[1]: the key \"target\" is missing; it says: JSONPath (RFC 9535) of the objects and lists that are changed\noverlay.yaml:5:4: actions[1].taget: unknown key \"taget\"; did you mean \"target\"?\noverlay.yaml:6:12: actions[2].target: $.d matches nothing in the document"},
		{"several actions", "a: {}", "- {target: $.b, update: {}}\n- {target: $.c, update: {}}", "overlay.yaml:4:12: actions[0].target: $.b matches nothing in the document\noverlay.yaml:5:12: actions[1].target: $.c matches nothing in the document"},
	} {
		if got := changed(t, c.document, c.actions); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestOverlayDocumentsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"overlay: 1.0.0\ninfo: {title: o, version: '1'}\nactions: []":            "overlay.yaml:3:10: actions: there are no actions; at least one, or no overlay at all",
		"overlay: 1.0.0\ninfo: {title: o}\nactions: [{target: $}]":               "overlay.yaml:2:7: info: the key \"version\" is missing; it says: version of the overlay",
		"overlay: 2.0.0\ninfo: {title: o, version: '1'}\nactions: [{target: $}]": "overlay.yaml:1:10: overlay: Overlay 2.0.0 is not supported; write overlay: 1.0.0",
		"overlay: 1.1.0\ninfo: {title: o, version: '1'}\nactions: [{target: $}]": "overlay.yaml:1:10: overlay: Overlay 1.1.0 is not supported; write overlay: 1.0.0",
		"[]": "overlay.yaml:1:1: expected a mapping, found a list",
		"{}": "overlay.yaml:1:1: the key \"actions\" is missing; it says: what is changed, in order\noverlay.yaml:1:1: the key \"info\" is missing; it says: title and version of the overlay\noverlay.yaml:1:1: the key \"overlay\" is missing; it says: version of the Overlay Specification: 1.0.0",
		"overlay: 1.0.0\ninfo: {title: o, version: '1'}\nactions: {target: $}": "overlay.yaml:3:10: actions: expected a list, found a mapping",
	} {
		if got := refused("openapi.yaml", small, "overlay.yaml", text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// Problems of what an overlay brought stand in the overlay, all others where
// they stood.
func TestOverlayKeepsPlaces(t *testing.T) {
	got := refused("openapi.yaml", small, "overlay.yaml", overlayHead+`
- target: $.paths['/orders'].post
  update:
    x-headrace: {lane: orderId, idempotency: {class: header}}
    parameters:
    - {name: x, in: query, schema: {minLength: -1}}
    requestBody:
      content: {text/plain: {schema: {$ref: 'nowhere.yaml'}}}
- target: $.components.schemas.Order.properties
  update: {lines: {items: {type: array, maxItems: x}}}
`)
	want := `overlay.yaml:7:24: paths["/orders"].post.x-headrace.lane: "orderId" is not a runtime expression; write $request.body#/NAME, $request.path.NAME, $request.query.NAME or $request.header.NAME
overlay.yaml:7:54: paths["/orders"].post.x-headrace.idempotency.class: class header needs the system's header; write header: and its name, for example Idempotency-Key
overlay.yaml:9:48: paths["/orders"].post.parameters[0].schema.minLength: -1 is too small; the least is 0
overlay.yaml:11:45: paths["/orders"].post.requestBody.content["text/plain"].schema.$ref: nowhere.yaml: cannot be read: file does not exist; references lead to files of the workspace, relative to the file that they stand in
overlay.yaml:13:51: components.schemas.Order.properties.lines.items.maxItems: expected an integer, found a string`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	d := load(t, "openapi.yaml", small, "overlay.yaml", overlayHead+"- {target: \"$.paths['/orders'].get\", update: {x-headrace: {wait: 1s}, operationId: renamed}}")
	o := d.Operation("renamed")
	if o == nil || o.Node.Position().File != dir+"/openapi.yaml" || o.Governance.At("wait").Position().String() != dir+"/overlay.yaml:4:66" {
		t.Errorf("got %+v", o)
	}
}

// A wrong action must not make everything that the others bring look absent.
func TestOverlayIsAppliedAsFarAsItGoes(t *testing.T) {
	good := "- {target: $, update: {x-headrace: {system: erp}}}\n"
	for actions, want := range map[string]int{good + "- {target: $.nothing, update: {}}\n": 4, good + "- {taget: $}\n": 0, "[": 0} {
		var ps source.Problems
		d := Load(workspace("openapi.yaml", small, "overlay.yaml", overlayHead+actions), dir, &ps)
		if ps.Len() != 1 && want > 0 || d == nil || len(d.Operations) != want {
			t.Errorf("%s: got %+v, %v", actions, d, ps.Err())
		}
		if want > 0 && d.Operations[0].Governance.System != "erp" {
			t.Error("an action that works was not applied")
		}
	}
}

func TestOverlayIsBounded(t *testing.T) {
	large := "l: [" + strings.Repeat("{}, ", 20_000) + "{}]"
	got := changed(t, large, "- {target: '$.l[*]', update: {k: ["+strings.Repeat("1, ", 200)+"1]}}\n- {target: $.l, update: {}}")
	if got != "overlay.yaml:4:3: actions[0]: the document grows too large" {
		t.Errorf("got %.200s", got)
	}
	got = changed(t, large, "- {target: '$..*[?count($..*) > 1]', update: {}}")
	if got != "overlay.yaml:4:12: actions[0].target: $..*[?count($..*) > 1]: the path selects too much; write a narrower target" {
		t.Errorf("got %.200s", got)
	}
	deep := strings.Repeat("{a: ", 150) + "{}" + strings.Repeat("}", 150)
	got = changed(t, deep, "- {target: '$..*[?!@.a]', update: "+deep+"}")
	if !strings.Contains(got, "is nested too deeply") {
		t.Errorf("got %.200s", got)
	}
}

func FuzzOverlay(f *testing.F) {
	f.Add([]byte("a: {b: [1, {c: 2}]}"), []byte(overlayHead+"- {target: '$.a.b[?@.c]', update: {d: &x [1]}}\n- {target: $..d, update: *x}\n- {target: $.a, remove: true}"))
	f.Add([]byte("paths: {/a: {get: {}}}"), []byte(overlayHead+"- {target: $.paths.*.*, update: {x-headrace: {lane: x}}, x-y: 1}"))
	f.Add([]byte("- &a [1]\n- *a"), []byte(overlayHead+"- {target: '$[*]', update: {}}\n- {target: '$..[0]', remove: true}"))
	f.Fuzz(func(t *testing.T, document, text []byte) {
		if len(document) > 2048 || len(text) > 2048 {
			return
		}
		var ps source.Problems
		var grafts source.Grafts
		limits := source.Limits{Bytes: 2048, Depth: 30, Nodes: 500}
		root := source.Parse("d", document, limits, &ps).WithGrafts(&grafts)
		n := source.Parse("o", text, limits, &ps)
		if !root.Exists() || !n.Exists() {
			return
		}
		before := string(root.AppendJSON(nil))
		edited, complete := overlaid(root, n, &grafts, &ps)
		if !json.Valid(edited.AppendJSON(nil)) {
			t.Fatal("not a document")
		}
		if string(root.AppendJSON(nil)) != before {
			t.Fatal("the original was changed")
		}
		if !complete && ps.Len() == 0 {
			t.Fatalf("complete is %v: %v", complete, ps.Err())
		}
		if again := (&source.Problems{}); !edited.Verify(documentLimits, again) {
			t.Fatal(again.Err())
		}
	})
}
