package specs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/source"
)

func TestReferencesAreFollowedInsideTheWorkspace(t *testing.T) {
	files := []string{
		"openapi.yaml", head + `
paths:
  /a:
    $ref: paths/a.yaml
    summary: mine
  /b: {$ref: '../../shared/paths.json#/~1b'}
  /c:
    get:
      parameters: [{$ref: '../../shared/common.yaml#/parameters/limit'}]
      requestBody: {$ref: '../../shared/common.yaml#/bodies/order%20body'}
      responses: {'200': {$ref: 'responses.yaml'}, '400': {$ref: 'responses.yaml#'}}
components:
  schemas:
    Order: {type: string}
    Local: {$ref: 'openapi.yaml#/components/schemas/Order'}
    Cat: {type: object, discriminator: {propertyName: kind, mapping: {tree: '../../shared/common.yaml#/schemas/Tree', cat: Cat}}}
`,
		"paths/a.yaml", `
summary: theirs
x-headrace: {class: high}
get:
  operationId: getA
  x-headrace: {wait: 5s}
  responses: {'200': {$ref: '../responses.yaml'}}
`,
		"apis/shared/paths.json", `{"/b": {"$ref": "#/other"}, "other": {"get": {"operationId": "getB", "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"$ref": "common.yaml#/schemas/Tree"}}}}}}}}`,
		"apis/shared/common.yaml", `
parameters: {limit: {name: limit, in: query, schema: {$ref: '#/schemas/Order'}}}
bodies: {order body: {content: {application/json: {schema: {$ref: '#/schemas/Tree'}}}}}
schemas:
  Order: {type: integer}
  Tree: {type: object, properties: {children: {type: array, items: {$ref: '#/schemas/Tree'}}, main: {$ref: '../orders/1.0.0/openapi.yaml#/components/schemas/Order'}}}
`,
		"responses.yaml", "{description: ok, headers: {X-A: {schema: {$ref: '../../shared/common.yaml#/schemas/Order'}}}}",
	}
	d := load(t, files...)
	public, _ := d.Public()
	var v struct {
		Paths      map[string]any
		Components map[string]map[string]any
	}
	if err := json.Unmarshal(public, &v); err != nil {
		t.Fatal(err)
	}
	text := string(public)
	for _, want := range []string{
		`"/a":{"summary":"mine","get":{"operationId":"getA","responses":{"200":{"$ref":"#/components/responses/responses"}}}}`,
		`"/b":{"get":{"operationId":"getB","responses":{"200":{"description":"ok","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Tree"}}}}}}}`,
		`"parameters":[{"$ref":"#/components/parameters/limit"}]`,
		`"requestBody":{"$ref":"#/components/requestBodies/order_body"}`,
		`"responses":{"200":{"$ref":"#/components/responses/responses"},"400":{"$ref":"#/components/responses/responses"}}`,
		`"Order":{"type":"string"},"Local":{"$ref":"#/components/schemas/Order"}`,
		`"mapping":{"tree":"#/components/schemas/Tree","cat":"Cat"}`,
		`"Tree":{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#/components/schemas/Tree"}},"main":{"$ref":"#/components/schemas/Order"}}}`,
		`"Order_2":{"type":"integer"}`,
		`"limit":{"name":"limit","in":"query","schema":{"$ref":"#/components/schemas/Order_2"}}`,
		`"responses":{"description":"ok","headers":{"X-A":{"schema":{"$ref":"#/components/schemas/Order_2"}}}}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nis not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "yaml") || strings.Contains(text, Extension) || len(v.Components["schemas"]) != 5 {
		t.Errorf("got %s", text)
	}
	a := d.Operation("getA")
	if a.Governance.Wait.String() != "5s" || *a.Governance.Class != High || a.Governance.At("wait").Position().String() != dir+"/paths/a.yaml:6:22" || a.Node.Position().File != dir+"/paths/a.yaml" {
		t.Errorf("got %+v at %s", a.Governance, a.Node.Position())
	}
}

func TestReferencesFromADocumentWithoutComponents(t *testing.T) {
	for _, components := range []string{"", "components:\n", "components: {schemas: }\n"} {
		d := load(t, "openapi.yaml", head+components+"paths: {/a: {post: {requestBody: {content: {a/b: {schema: {$ref: 'a.json'}}}}}}}", "a.json", `{"type": "string"}`)
		if public, _ := d.Public(); !strings.Contains(string(public), `"schemas":{"a":{"type":"string"}}`) {
			t.Errorf("%s: got %s", components, public)
		}
	}
}

func TestReferencesBehindAliases(t *testing.T) {
	d := load(t, "openapi.yaml", head+"paths: {/a: &p {$ref: 'p.yaml'}, /b: *p}\ncomponents: {schemas: {A: &a {$ref: 's.yaml'}, B: *a}}", "p.yaml", "get: {parameters: [{name: x, in: query, schema: {$ref: s.yaml}}]}", "s.yaml", "type: string")
	public, _ := d.Public()
	for _, want := range []string{`"schemas":{"A":{"$ref":"#/components/schemas/s"},"B":{"$ref":"#/components/schemas/s"},"s":{"type":"string"}}`, `"/b":{"get":{"parameters":[{"name":"x","in":"query","schema":{"$ref":"#/components/schemas/s"}}]}}`} {
		if !strings.Contains(string(public), want) {
			t.Errorf("%s\nis not in\n%s", want, public)
		}
	}
}

func TestReferencesRefused(t *testing.T) {
	schema := func(ref string) string {
		return head + "paths: {}\ncomponents: {schemas: {A: {$ref: '" + ref + "'}, Order: {}}, parameters: {P: {name: p, in: query, schema: {}}}}"
	}
	right := "; references lead to files of the workspace, relative to the file that they stand in"
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"dangling", []string{"openapi.yaml", schema("#/components/schemas/Ordr")}, `openapi.yaml:4:34: components.schemas.A.$ref: #/components/schemas/Ordr leads nowhere; did you mean "Order"?`},
		{"dangling far away", []string{"openapi.yaml", schema("#/a/b/c")}, "openapi.yaml:4:34: components.schemas.A.$ref: #/a/b/c leads nowhere"},
		{"not a pointer", []string{"openapi.yaml", schema("#Order")}, `openapi.yaml:4:34: components.schemas.A.$ref: "#Order" is not a reference that can be followed; write #/ and the way to the object, for example #/components/schemas/Order`},
		{"bad escape", []string{"openapi.yaml", schema("#/%zz")}, `openapi.yaml:4:34: components.schemas.A.$ref: "#/%zz" is not a reference that can be followed; write #/ and the way to the object, for example #/components/schemas/Order`},
		{"another sort", []string{"openapi.yaml", schema("#/components/parameters/P")}, "openapi.yaml:4:34: components.schemas.A.$ref: #/components/parameters/P is not a schema; components of this sort stand in #/components/schemas"},
		{"a text", []string{"openapi.yaml", schema("#/info/title")}, "openapi.yaml:4:34: components.schemas.A.$ref: #/info/title is a string, not a schema"},
		{"empty", []string{"openapi.yaml", schema("")}, `openapi.yaml:4:34: components.schemas.A.$ref: "" is the document itself, not a schema; write #/ and the way to the object, for example #/components/schemas/Order`},
		{"the document", []string{"openapi.yaml", schema("openapi.yaml#")}, `openapi.yaml:4:34: components.schemas.A.$ref: "openapi.yaml#" is the document itself, not a schema; write #/ and the way to the object, for example #/components/schemas/Order`},
		{"network", []string{"openapi.yaml", schema("https://example.com/a.yaml#/x")}, "openapi.yaml:4:34: components.schemas.A.$ref: https://example.com/a.yaml#/x: documents are not fetched from the network" + right},
		{"network without scheme", []string{"openapi.yaml", schema("//example.com/a.yaml")}, "openapi.yaml:4:34: components.schemas.A.$ref: //example.com/a.yaml: documents are not fetched from the network" + right},
		{"file scheme", []string{"openapi.yaml", schema("file:///etc/passwd")}, "openapi.yaml:4:34: components.schemas.A.$ref: file:///etc/passwd: documents are not fetched from the network" + right},
		{"absolute", []string{"openapi.yaml", schema("/etc/passwd")}, "openapi.yaml:4:34: components.schemas.A.$ref: /etc/passwd: absolute paths are not followed" + right},
		{"traversal", []string{"openapi.yaml", schema("../../../../etc/passwd")}, "openapi.yaml:4:34: components.schemas.A.$ref: ../../../../etc/passwd: leads out of the workspace" + right},
		{"hidden beside it", []string{"openapi.yaml", schema(".state/oauth.key")}, "openapi.yaml:4:34: components.schemas.A.$ref: .state/oauth.key: belongs to the process, and is no part of a document" + right},
		{"settings", []string{"openapi.yaml", schema("../../../headrace.yaml")}, "openapi.yaml:4:34: components.schemas.A.$ref: ../../../headrace.yaml: belongs to the process, and is no part of a document" + right},
		{"encoded traversal", []string{"openapi.yaml", schema("%2e%2e/%2e%2e/%2e%2e/%2e%2e/x")}, "openapi.yaml:4:34: components.schemas.A.$ref: %2e%2e/%2e%2e/%2e%2e/%2e%2e/x: leads out of the workspace" + right},
		{"backslash", []string{"openapi.yaml", schema(`..\x`)}, `openapi.yaml:4:34: components.schemas.A.$ref: ..\x: is not a reference that can be followed` + right},
		{"query", []string{"openapi.yaml", schema("a.yaml?x")}, "openapi.yaml:4:34: components.schemas.A.$ref: a.yaml?x: is not a reference that can be followed" + right},
		{"missing file", []string{"openapi.yaml", schema("a.yaml#/x")}, "openapi.yaml:4:34: components.schemas.A.$ref: a.yaml#/x: cannot be read: file does not exist" + right},
		{"broken file", []string{"openapi.yaml", schema("a.yaml#/x"), "a.yaml", "x: ["}, "a.yaml:1:1: is not valid YAML or JSON: did not find expected node content while parsing a flow node"},
		{"dangling in a file", []string{"openapi.yaml", schema("a.yaml#/y"), "a.yaml", "x: {}"}, `openapi.yaml:4:34: components.schemas.A.$ref: a.yaml#/y leads nowhere; did you mean "x"?`},
		{"wrong in a file", []string{"openapi.yaml", schema("a.yaml#/x"), "a.yaml", "x:\n  properties: {a: {minLength: x}, b: {$ref: '#/z'}}"},
			"a.yaml:2:31: components.schemas.x.properties.a.minLength: expected an integer, found a string\na.yaml:2:45: components.schemas.x.properties.b.$ref: #/z leads nowhere; did you mean \"x\"?"},
		{"in a circle", []string{"openapi.yaml", head + "paths: {}\ncomponents: {schemas: {A: {$ref: '#/components/schemas/B'}, B: {$ref: '#/components/schemas/A'}}}"},
			"openapi.yaml:4:34: components.schemas.A.$ref: #/components/schemas/B leads back to itself\nopenapi.yaml:4:71: components.schemas.B.$ref: #/components/schemas/A leads back to itself"},
		{"in a circle over files", []string{"openapi.yaml", schema("a.yaml#/x"), "a.yaml", "x: {$ref: 'b.yaml'}", "b.yaml", "$ref: 'openapi.yaml#/components/schemas/A'"},
			"a.yaml:1:11: components.schemas.x.$ref: b.yaml leads back to itself"},
		{"path items in a circle", []string{"openapi.yaml", head + "paths: {/a: {$ref: 'a.yaml'}}", "a.yaml", "$ref: openapi.yaml#/paths/~1a"}, "a.yaml:1:7: $ref: openapi.yaml#/paths/~1a leads back to itself"},
		{"path items in their callbacks", []string{"openapi.yaml", head + "paths: {/a: {post: {callbacks: {c: {x: {$ref: '#/paths/~1a'}}}}}}"}, "openapi.yaml:3:47: paths[\"/a\"].post.callbacks.c.x.$ref: #/paths/~1a leads back to itself"},
		{"not a text", []string{"openapi.yaml", strings.Replace(schema("x"), "'x'", "5", 1)}, `openapi.yaml:4:34: components.schemas.A.$ref: expected a reference, found an integer`},
		{"not a path item", []string{"openapi.yaml", head + "paths: {/a: {$ref: '#/info/title'}}"}, "openapi.yaml:3:20: paths[\"/a\"].$ref: #/info/title is a string, not a path item"},
	} {
		if got := refused(c.files...); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestOnlyTheWorkspaceIsRead(t *testing.T) {
	for _, ref := range []string{"https://example.com/x.yaml", "/etc/passwd", "../../../../../../etc/passwd", "file:../x", "..%2f..%2f..%2f..%2fetc/passwd"} {
		var ps source.Problems
		fsys := sealed{t: t, FS: workspace("openapi.yaml", head+"paths: {/a: {$ref: '"+ref+"'}}\ncomponents: {schemas: {A: {$ref: '"+ref+"#/x'}, B: {externalDocs: {url: '"+ref+"'}}}, examples: {e: {externalValue: '"+ref+"'}}}")}
		Load(fsys, dir, &ps)
		if ps.Len() != 2 {
			t.Errorf("%s: %v", ref, ps.Err())
		}
	}
}

func TestReferencesAreBounded(t *testing.T) {
	files := []string{"openapi.yaml", head + "paths: {}\ncomponents: {schemas: {A: {$ref: 'f0.yaml'}}}"}
	for i := range maxFiles + 10 {
		files = append(files, fmt.Sprintf("f%d.yaml", i), fmt.Sprintf("properties: {next: {$ref: f%d.yaml}}", i+1))
	}
	if got := refused(files...); !strings.Contains(got, "the document refers to too many files") || strings.Count(got, "\n") > 0 {
		t.Errorf("got %s", got)
	}
	// Small files that grow by being copied: every path item doubles the next.
	files = []string{"openapi.yaml", head + "paths: {/a: {$ref: 'p0.yaml'}}"}
	for i := range 30 {
		files = append(files, fmt.Sprintf("p%d.yaml", i), fmt.Sprintf("get: {callbacks: {a: {x: {$ref: p%d.yaml}, y: {$ref: p%d.yaml}}}}", i+1, i+1))
	}
	if got := refused(append(files, "p30.yaml", "{}")...); !strings.Contains(got, "the document refers to too much in other files") {
		t.Errorf("got %.300s", got)
	}
}

// The bundled document says the same as one that was written in one piece.
func TestEveryObjectOfTheStructureIsKnown(t *testing.T) {
	for name, o := range structure() {
		for key, s := range o.keys {
			for s.inner != nil {
				s = s.inner
			}
			if s.object == nil && !strings.Contains(s.name, "|") && !strings.Contains(" text flag number count bound types any ", " "+s.name+" ") {
				t.Errorf("%s.%s has the unknown type %q", name, key, s.name)
			}
		}
		if o.reference && sections[name] == "" {
			t.Errorf("%s can be referred to, but has no section", name)
		}
	}
}
