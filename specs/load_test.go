package specs

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/specs/source"
)

const dir = "apis/orders/1.0.0"

// workspace makes files of names and contents. Names that do not begin with
// apis/ are in the document's folder.
func workspace(files ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		name := files[i]
		if !strings.HasPrefix(name, "apis/") {
			name = path.Join(dir, name)
		}
		fsys[name] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return fsys
}

// load loads a document that has nothing wrong.
func load(t testing.TB, files ...string) *Document {
	t.Helper()
	var ps source.Problems
	d := Load(workspace(files...), dir, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

// refused gives the problems of a document, without the folder's name.
func refused(files ...string) string {
	var ps source.Problems
	Load(workspace(files...), dir, &ps)
	if err := ps.Err(); err != nil {
		return strings.ReplaceAll(err.Error(), dir+"/", "")
	}
	return ""
}

const head = "openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0}\n"

// small is a document with an operation of each kind.
const small = head + `x-headrace: {system: erp, class: high, policies: {throttle: {rate: 5/s}, cors: {}}}
paths:
  /orders:
    x-headrace: {class: low, wait: 3s}
    get: {operationId: listOrders, parameters: [{name: number, in: query, required: true, schema: {type: string}}], responses: {"200": {description: ok}}}
    post:
      operationId: createOrder
      summary: Create an order
      x-headrace: {wait: 9s, policies: {throttle: off}}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
      responses: {"201": {description: created}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {operationId: getOrder, deprecated: true, responses: {"200": {description: ok}}}
    delete: {responses: {"204": {description: gone}}}
components:
  schemas:
    Order: {type: object, properties: {lines: {type: array, items: {$ref: '#/components/schemas/Line'}}}}
    Line: {type: object, properties: {order: {$ref: '#/components/schemas/Order'}}}
`

func TestLoad(t *testing.T) {
	d := load(t, "openapi.yaml", small)
	if d.Name != "orders" || d.Version != "1.0.0" || d.Title != "Orders" || d.Governance.Layer != "system" || d.Governance.Status != "published" {
		t.Errorf("got %+v", d)
	}
	var lines []string
	for _, o := range d.Operations {
		lines = append(lines, fmt.Sprint(o.ID, " | ", o.Method, " ", o.Path, " ", o.Pattern, " ", o.Safe(), " ", o.Deprecated, " ", o.Summary, " ", o.Node.Position()))
	}
	want := []string{
		"listOrders | GET /orders /orders true false  " + dir + "/openapi.yaml:7:10",
		"createOrder | POST /orders /orders false false Create an order " + dir + "/openapi.yaml:9:7",
		"DELETE /orders/{id} | DELETE /orders/{id} /orders/{id} false false  " + dir + "/openapi.yaml:17:13",
		"getOrder | GET /orders/{id} /orders/{id} true true  " + dir + "/openapi.yaml:16:10",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if d.Operation("getOrder") != d.Operations[3] || d.Operation("nothing") != nil {
		t.Error("Operation finds the wrong one")
	}
	if d.Operations[0].Document != d || d.Root.Get("paths").Get("/orders").Get("get").Get("operationId").Text() != "listOrders" {
		t.Error("the document is not there")
	}
}

func TestLoadFindsTheFile(t *testing.T) {
	for _, name := range []string{"openapi.yaml", "openapi.yml", "openapi.json", "openapi"} {
		text := small
		if name == "openapi.json" {
			text = string(parse(t, small).AppendJSON(nil))
		}
		if d := load(t, name, text); len(d.Operations) != 4 {
			t.Errorf("%s: %d operations", name, len(d.Operations))
		}
	}
	if got, want := refused("README.md", ""), dir+": has no OpenAPI document; expected openapi.yaml, openapi.json or openapi"; got != want {
		t.Errorf("got %s", got)
	}
	if got, want := refused("openapi.yaml", small, "openapi", small), dir+": has an OpenAPI document more than once: openapi.yaml, openapi; keep one of them"; got != want {
		t.Errorf("got %s", got)
	}
	if got, want := refused("openapi.yaml", small, "overlay.yaml", "", "overlay.json", ""), dir+": has an overlay more than once: overlay.yaml, overlay.json; keep one of them\noverlay.yaml: is empty"; got != want {
		t.Errorf("got %s", got)
	}
}

func parse(t testing.TB, text string) source.Node {
	t.Helper()
	var ps source.Problems
	n := source.Parse("f.yaml", []byte(text), source.DefaultLimits, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLoadRefuses(t *testing.T) {
	get := head + "paths:\n  /orders:\n    get: {responses: {\"200\": {description: ok}}"
	for _, c := range []struct{ name, text, want string }{
		{"not a mapping", "[]", "openapi.yaml:1:1: expected an OpenAPI document, found a list"},
		{"Swagger", "swagger: '2.0'", "openapi.yaml:1:10: swagger: OpenAPI 2.0 (Swagger) is not supported; convert the document to OpenAPI 3.0 or 3.1"},
		{"no version", "info: {}", "openapi.yaml:1:1: the key \"openapi\" is missing; write openapi: 3.0.3 or openapi: 3.1.0"},
		{"version as number", "openapi: 3.1", "openapi.yaml:1:10: openapi: expected a string, found a number; write openapi: \"3.1.0\""},
		{"unknown version", "openapi: 4.0.0", "openapi.yaml:1:10: openapi: OpenAPI 4.0.0 is not supported; 3.0.0 to 3.0.4 and 3.1.0 to 3.1.2 are"},
		{"version 3.2", "openapi: 3.2.0", "openapi.yaml:1:10: openapi: OpenAPI 3.2.0 is not supported; 3.0.0 to 3.0.4 and 3.1.0 to 3.1.2 are"},
		{"no info", "openapi: 3.1.0\npaths: {}", "openapi.yaml:1:1: the key \"info\" is missing"},
		{"no title", "openapi: 3.1.0\ninfo: {version: 1.0.0}\npaths: {}", "openapi.yaml:2:7: info: the key \"title\" is missing"},
		{"nothing where an object has to stand", "openapi: 3.1.0\ninfo:\npaths: {/a: , /b: {get: {parameters: [null]}}}\ncomponents: {schemas: {A: {properties: {b: }}}}",
			"openapi.yaml:1:1: the key \"info\" is missing\nopenapi.yaml:3:13: paths[\"/a\"]: expected a path item, found nothing\n" +
				"openapi.yaml:3:39: paths[\"/b\"].get.parameters[0]: expected a parameter, found nothing\nopenapi.yaml:4:44: components.schemas.A.properties.b: expected a schema, found nothing"},
		{"no paths in 3.0", head, "openapi.yaml:1:1: the key \"paths\" is missing"},
		{"nothing in 3.1", "openapi: 3.1.0\ninfo: {title: x, version: '1'}", "openapi.yaml:1:1: the document has neither paths nor webhooks nor components"},
		{"version not a string", "openapi: 3.1.0\ninfo: {title: x, version: 1.0}\npaths: {}", "openapi.yaml:2:27: info.version: expected a string, found a number; put it in quotes: \"1.0\""},
		{"webhooks in 3.0", head + "paths: {}\nwebhooks: {}", "openapi.yaml:4:1: webhooks: webhooks came with OpenAPI 3.1; write openapi: 3.1.0"},
		{"unknown key", get + ", paramters: []}", `openapi.yaml:5:50: paths["/orders"].get.paramters: unknown key "paramters" in an operation; did you mean "parameters"?`},
		{"unknown method", head + "paths: {/a: {gett: {}}}", `openapi.yaml:3:14: paths["/a"].gett: unknown key "gett" in a path item; did you mean "get"?`},
		{"wrong types", get + ", deprecated: 'no', tags: x, parameters: {}}", "openapi.yaml:5:62: paths[\"/orders\"].get.deprecated: expected a boolean, found a string\n" +
			"openapi.yaml:5:74: paths[\"/orders\"].get.tags: expected a list, found a string\nopenapi.yaml:5:89: paths[\"/orders\"].get.parameters: expected a list, found a mapping"},
		{"wrong types in schemas", get + "}\ncomponents: {schemas: {A: {required: true, minLength: -1, maxItems: 1.5, minimum: a, exclusiveMinimum: x, type: 5, items: []}}}",
			"openapi.yaml:6:38: components.schemas.A.required: expected a list, found a boolean\n" +
				"openapi.yaml:6:55: components.schemas.A.minLength: -1 is too small; the least is 0\n" +
				"openapi.yaml:6:69: components.schemas.A.maxItems: expected an integer, found a number\n" +
				"openapi.yaml:6:83: components.schemas.A.minimum: expected a number, found a string\n" +
				"openapi.yaml:6:104: components.schemas.A.exclusiveMinimum: expected a number or a boolean, found a string\n" +
				"openapi.yaml:6:113: components.schemas.A.type: expected a type or a list of types, found an integer\n" +
				"openapi.yaml:6:123: components.schemas.A.items: expected a schema, found a list"},
		{"path without slash", head + "paths: {orders: {get: {}}}", "openapi.yaml:3:9: paths.orders: a path begins with /"},
		{"path with a query", head + "paths: {'/a?b=c': {get: {}}}", `openapi.yaml:3:9: paths["/a?b=c"]: a path has no query and no fragment`},
		{"undeclared path parameter", head + "paths: {'/a/{id}': {get: {}}}", `openapi.yaml:3:26: paths["/a/{id}"].get: the path parameter {id} is not declared; declare it in parameters, with in: path`},
		{"path parameter that is not in the path", head + "paths: {'/a/{id}': {get: {parameters: [{name: ID, in: path, schema: {}}, {name: id, in: path, schema: {}}]}}}",
			`openapi.yaml:3:40: paths["/a/{id}"].get.parameters[0]: the path has no {ID}; did you mean "id"?`},
		{"the same path twice", head + "paths:\n  /a/{x}: {get: {parameters: [{name: x, in: path, schema: {}}]}}\n  /a/{y}: {get: {parameters: [{name: y, in: path, schema: {}}]}}",
			`openapi.yaml:5:3: paths["/a/{y}"]: is the same path as /a/{x}, which has GET already`},
		{"the same operationId twice", head + "paths: {/a: {get: {operationId: x}, post: {operationId: x}}}",
			`openapi.yaml:3:57: paths["/a"].post.operationId: the operationId "x" stands at GET /a too; every operation needs its own`},
		{"parameter in the body", head + "paths: {/a: {get: {parameters: [{name: x, in: body, schema: {}}]}}}",
			`openapi.yaml:3:47: paths["/a"].get.parameters[0].in: "body" is not known here; one of cookie, header, path, query`},
		{"misspelt place", head + "paths: {/a: {get: {parameters: [{name: x, in: qeury, schema: {}}]}}}",
			`openapi.yaml:3:47: paths["/a"].get.parameters[0].in: "qeury" is not known here; did you mean "query"?`},
		{"nothing under a method", head + "paths: {/a: {get: }}", `openapi.yaml:3:19: paths["/a"].get: expected an operation, found nothing`},
		{"misspelt keywords", get + "}\ncomponents: {schemas: {A: {minimun: 1, tpye: string, properties: {note: {}}, Required: [x], reqired: [x]}}}",
			"openapi.yaml:6:28: components.schemas.A.minimun: unknown keyword \"minimun\" in a schema; did you mean \"minimum\"?\n" +
				"openapi.yaml:6:40: components.schemas.A.tpye: unknown keyword \"tpye\" in a schema; did you mean \"type\"?\n" +
				"openapi.yaml:6:78: components.schemas.A.Required: unknown keyword \"Required\" in a schema; did you mean \"required\"?\n" +
				"openapi.yaml:6:93: components.schemas.A.reqired: unknown keyword \"reqired\" in a schema; did you mean \"required\"?"},
		{"bounds that no value keeps", get + "}\ncomponents: {schemas: {A: {minimum: 5, maximum: 4.5, minLength: 3, maxLength: 2, minItems: 2, maxItems: 2, enum: []}}}",
			"openapi.yaml:6:37: components.schemas.A.minimum: 5 is more than 4.5: no value can be both; exchange or correct them\n" +
				"openapi.yaml:6:65: components.schemas.A.minLength: 3 is more than 2: no value can be both; exchange or correct them\n" +
				"openapi.yaml:6:114: components.schemas.A.enum: the list is empty: no value is allowed; name the values, or remove it"},
		{"unknown schema type", get + "}\ncomponents: {schemas: {A: {properties: {b: {allOf: [{type: strin}]}}}}}",
			`openapi.yaml:6:60: components.schemas.A.properties.b.allOf[0].type: the type "strin" is not known; did you mean "string"?`},
		{"keyword of 3.1 in 3.0", get + "}\ncomponents: {schemas: {A: {const: 1}}}", `openapi.yaml:6:27: components.schemas.A: field const is for OpenAPI >=3.1`},
		{"many at once, with governance", head + "x-headrace: {systm: erp}\npaths: {/a: {get: {operationId: 1, x-headrace: {class: urgent}}}}",
			"openapi.yaml:3:14: x-headrace.systm: unknown key \"systm\"; did you mean \"system\"?\n" +
				"openapi.yaml:4:33: paths[\"/a\"].get.operationId: expected a string, found an integer; put it in quotes: \"1\"\n" +
				"openapi.yaml:4:56: paths[\"/a\"].get.x-headrace.class: \"urgent\" is not valid here; one of critical, high, normal, low"},
	} {
		if got := refused("openapi.yaml", c.text); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// What vendors do and what has no effect must not refuse a document.
func TestLoadForgives(t *testing.T) {
	for name, text := range map[string]string{
		"3.1 with webhooks only":          "openapi: 3.1.0\ninfo: {title: x, version: '1'}\nwebhooks: {new: {post: {responses: {}, operationId: x}}}",
		"no responses":                    head + "paths: {/a: {get: {}}}",
		"response without description":    head + "paths: {/a: {get: {responses: {'200': {}}}}}",
		"examples against the schema":     head + "paths: {}\ncomponents: {schemas: {A: {type: string, example: 5, default: 7}}}",
		"pattern of another dialect":      head + "paths: {}\ncomponents: {schemas: {A: {type: string, pattern: '(?<=a)b'}}}",
		"broken servers, tags, docs":      head + "servers: [{url: 'https://{host}'}]\ntags: [{name: a}, {name: a}]\nexternalDocs: {}\npaths: {}",
		"broken OAuth URLs":               head + "paths: {}\ncomponents: {securitySchemes: {a: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://{h}:{p}', scopes: {}}}}}}",
		"doubled parameter":               head + "paths: {/a: {get: {parameters: [{name: x, in: query, schema: {}}, {name: x, in: query, schema: {}}]}}}",
		"path parameter without required": head + "paths: {'/a/{x}': {get: {parameters: [{name: x, in: path, schema: {}}]}}}",
		"array without items":             head + "paths: {}\ncomponents: {schemas: {A: {type: array}}}",
		"null where a text may stand":     head + "paths: {/a: {get: {summary: , description: null, tags: null}}}",
		"null where an object may stand":  head + "servers:\nsecurity:\npaths: {/a: {get: {requestBody: , responses: , parameters: , security: , callbacks: }}}\ncomponents: {schemas: , parameters: }",
		"keys of extensions":              head + "x-a: 1\npaths: {x-b: 1, /a: {x-c: 1, get: {x-d: {$ref: nowhere}, responses: {x-e: 1}}}}",
		"references in examples":          head + "paths: {}\ncomponents: {examples: {a: {value: {$ref: '#/nowhere'}}}, schemas: {A: {example: {$ref: x}, enum: [{$ref: y}], properties: {$ref: {type: string}}}}}",
		"boolean schemas":                 "openapi: 3.1.0\ninfo: {title: x, version: '1'}\npaths: {}\ncomponents: {schemas: {A: true, B: {properties: {c: false}, additionalProperties: false}}}",
		"paths that types tell apart": head + "paths:\n  /a/{x}: {get: {parameters: [{name: x, in: path, schema: {type: string}}]}}\n" +
			"  /a/{y}: {get: {parameters: [{name: y, in: path, schema: {$ref: '#/components/schemas/Y'}}]}}\n  /a/{z}: {get: {parameters: [{$ref: '#/components/parameters/Z'}]}}\n" +
			"components: {schemas: {Y: {type: string, format: uuid}}, parameters: {Z: {name: z, in: path, schema: {type: integer}}}}",
	} {
		if got := refused("openapi.yaml", text); got != "" {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	d := load(t, "openapi.yaml", "openapi: 3.1.0\ninfo: {title: x, version: '1'}\nwebhooks: {new: {post: {operationId: x}}}")
	if len(d.Operations) != 0 {
		t.Error("a webhook is among the operations")
	}
}

func TestTypesTellPathsApart(t *testing.T) {
	d := load(t, "openapi.yaml", head+"paths:\n  /a/{x}: {get: {parameters: [{name: x, in: path, schema: {type: string}}]}}\n"+
		"  /a/{y}: {parameters: [{name: y, in: path, schema: {type: string, format: uuid}}], get: {}}\n"+
		"  /b/{z}: {get: {parameters: [{name: z, in: path, schema: {type: integer}}]}}\n")
	var patterns []string
	for _, o := range d.Operations {
		patterns = append(patterns, o.Pattern)
	}
	if got := strings.Join(patterns, " "); got != "/a/{x} /a/{y|uuid} /b/{z}" {
		t.Errorf("got %s", got)
	}
}

func TestPublic(t *testing.T) {
	d := load(t, "openapi.yaml", small, "overlay.yaml", "overlay: 1.0.0\ninfo: {title: o, version: '1'}\nactions:\n  - {target: $.info, update: {description: added}}\n"+
		"  - {target: \"$.paths['/orders'].get\", update: {x-headrace: {class: high}}}\n")
	public, err := d.Public()
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(public, &v); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(public), Extension) || v["info"].(map[string]any)["description"] != "added" {
		t.Errorf("got %s", public)
	}
	if got := slices.Sorted(maps.Keys(v)); strings.Join(got, " ") != "components info openapi paths" {
		t.Errorf("got %v", got)
	}
	public[0] = 'x'
	if again, _ := d.Public(); again[0] != '{' {
		t.Error("the bytes are shared")
	}
	if _, err := new(Document).Public(); err == nil {
		t.Error("a document that was not loaded is public")
	}
	if d.Root.Get("components").Get("schemas").Exists() {
		t.Error("the schemas are kept")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(small), []byte(""))
	f.Add([]byte("openapi: 3.1.0\ninfo: {title: x, version: '1'}\npaths: {/a: {$ref: 'b.yaml#/a'}}\n"), []byte("a: {get: {responses: {'200': {$ref: '#/r'}}}}\nr: {description: x}\n"))
	f.Add([]byte(head+"paths: {'/A(''{k}'')': {get: {security: [{a: [b]}], parameters: [{$ref: '#/components/parameters/k'}], x-headrace: {lane: $request.path.k}}}}\ncomponents: {parameters: {k: {name: k, in: path, schema: {$ref: '#/components/schemas/K'}}}, schemas: {K: {anyOf: [{$ref: '#/components/schemas/K'}]}}}"), []byte("[]"))
	f.Add([]byte(head+"paths: {/a: {$ref: ''}, /b: {$ref: '#'}, /c: {$ref: 'b.yaml'}}\ncomponents: {schemas: {A: {$ref: 'b.yaml#'}, B: {$ref: '#/'}}, parameters: }"), []byte("get: {parameters: [{$ref: 'openapi.yaml'}], callbacks: {c: {x: {$ref: b.yaml}}}}"))
	f.Fuzz(func(t *testing.T, document, other []byte) {
		if len(document) > 4096 || len(other) > 4096 {
			return
		}
		var ps source.Problems
		fsys := fstest.MapFS{path.Join(dir, "openapi.yaml"): {Data: document}, path.Join(dir, "b.yaml"): {Data: other}}
		d := Load(fsys, dir, &ps)
		for _, p := range ps.List() {
			if p.File == "" {
				t.Errorf("a problem without a file: %s", p)
			}
		}
		if ps.Len() > 0 {
			return
		}
		if public, err := d.Public(); err != nil || !json.Valid(public) {
			t.Errorf("%v: %s", err, public)
		}
		var tree Tree[*Operation]
		for _, o := range d.Operations {
			if err := tree.Add(o.Method, o.Pattern, o); err != nil {
				t.Errorf("%s: %v", o.ID, err)
			}
		}
	})
}

// sealed fails the test when anything but the named files is opened.
type sealed struct {
	fs.FS
	t       *testing.T
	allowed []string
}

func (s sealed) Open(name string) (fs.File, error) {
	if !slices.Contains(s.allowed, name) && !strings.HasPrefix(path.Base(name), "openapi") && !strings.HasPrefix(path.Base(name), "overlay") && path.Base(name) != LifecycleFile && path.Base(name) != GuideFile {
		s.t.Errorf("%s was opened", name)
	}
	return s.FS.Open(name)
}
