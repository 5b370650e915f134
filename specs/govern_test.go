package specs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/source"
)

func TestGovernanceIsInherited(t *testing.T) {
	d := load(t, "openapi.yaml", head+`
x-headrace:
  layer: system
  base: /sales/v1
  system: erp
  class: high
  timeout: 9s
  cost: {window: 2, points: .lines|length}
  lane: $request.body#/orderId
  sequence: $request.body#/revision
  on_failure: continue
  idempotency: {key: required, class: header, header: X-Key}
  policies: {throttle: {rate: 5/s}, cors: {}, size: {}}
paths:
  /orders:
    x-headrace: {system: wms, wait: 3s, policies: {throttle: {rate: 1/s}}}
    get: {operationId: read}
    post:
      operationId: write
      requestBody: {content: {}}
      x-headrace: {class: low, lane: [], sequence: $request.header.X-Seq, call: {method: PUT}, policies: {throttle: off, quota: {}}}
    put: {operationId: plain, requestBody: {content: {}}}
  /search:
    post: {operationId: search, x-headrace: {safe: true}}
  /act:
    get: {operationId: act, requestBody: {content: {}}, x-headrace: {safe: false}}
`[1:], "overlay.yaml", overlayHead+"- {target: '$.paths[''/orders''].post[''x-headrace'']', update: {lane: [$request.header.A, $request.header.B]}}")
	g := d.Governance
	if g.Layer != "system" || g.Base != "/sales/v1" || g.Status != "published" || g.System != "erp" || g.Cost["window"] != "2" || g.Cost["points"] != ".lines|length" {
		t.Errorf("got %+v", g)
	}
	write := d.Operation("write").Governance
	if write.System != "wms" || write.Class.String() != "low" || write.Wait.String() != "3s" || write.Timeout.String() != "9s" || write.OnFailure != "continue" ||
		fmt.Sprint(write.Lane) != "[$request.header.A $request.header.B]" || write.Sequence != "$request.header.X-Seq" || write.Idempotency.Header != "X-Key" || write.Idempotency.Key != "required" {
		t.Errorf("got %+v", write)
	}
	if got := policies(write); got != "cors={} quota={} size={} throttle=off" {
		t.Errorf("got %s", got)
	}
	for key, want := range map[string]string{"class": "openapi.yaml:22:27", "system": "openapi.yaml:17:26", "timeout": "openapi.yaml:8:12", "lane": "openapi.yaml:22:38", "safe": "openapi.yaml:22:19", "call": "openapi.yaml:22:81"} {
		if got := strings.TrimPrefix(write.At(key).Position().String(), dir+"/"); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	if write.Call.Get("method").Text() != "PUT" {
		t.Error("the call is not there")
	}
	plain := d.Operation("plain").Governance
	if plain.System != "wms" || plain.Class.String() != "high" || fmt.Sprint(plain.Lane) != "[$request.body#/orderId]" || policies(plain) != "cors={} size={} throttle={\"rate\":\"1/s\"}" || plain.Node.Get("operationId").Text() != "plain" {
		t.Errorf("got %+v", plain)
	}
	for _, id := range []string{"read", "search"} {
		if g := d.Operation(id).Governance; g.Lane != nil || g.Sequence != "" || g.Idempotency != nil || g.OnFailure != "" || g.System == "" {
			t.Errorf("%s inherits what is for writes: %+v", id, g)
		}
	}
	if act := d.Operation("act"); act.Safe() || act.Governance.Idempotency == nil {
		t.Error("act is a read")
	}
}

func policies(g OperationGovernance) string {
	var list []string
	for name, n := range g.Policies {
		text := string(n.AppendJSON(nil))
		if Off(n) {
			text = "off"
		}
		list = append(list, name+"="+text)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestOff(t *testing.T) {
	for text, want := range map[string]bool{"off": true, "'off'": true, "false": true, "FALSE": true, "'false'": false, "on": false, "true": false, "{}": false, "~": false, "OFF": false} {
		if got := Off(parse(t, "p: "+text).Get("p")); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// op is a document whose write carries the given governance.
func op(governance string) string {
	return head + `paths:
  /orders/{id}:
    parameters: [{name: id, in: path, schema: {}}, {name: rev, in: query, schema: {}}]
    get: {operationId: getOrder, parameters: [{name: by, in: query, required: true, schema: {}}]}
    put:
      operationId: putOrder
      requestBody: {content: {}}
      x-headrace: ` + governance + "\n    delete: {operationId: dropOrder}\n"
}

func TestGovernanceRefused(t *testing.T) {
	const at = `openapi.yaml:10:`
	const here = `paths["/orders/{id}"].put.x-headrace.`
	notAnExpression := "; write $request.body#/NAME, $request.path.NAME, $request.query.NAME or $request.header.NAME"
	for _, c := range []struct{ governance, want string }{
		{"{lane: [$request.body#/orderId, $request.path.id, $request.query.rev, $request.header.X-A], sequence: $request.body, coalesce: latest}", ""},
		{"{confirm: {operation: getOrder, with: {id: $request.path.id, by: $request.body#/a~1b}, when: .ok}, idempotency: {class: confirm}}", ""},
		{"{sequence: $request.body#/rev}", at + "30: " + here + "sequence: sequence needs a lane; say which writes it orders, for example lane: $request.body#/orderId"},
		{"{coalesce: latest}", at + "30: " + here + "coalesce: coalesce needs a lane; say which writes it orders, for example lane: $request.body#/orderId"},
		{"{safe: true, lane: $request.path.id}", at + "38: " + here + "lane: lane and safe: true contradict each other; a safe operation writes nothing: keep one of them"},
		{"{safe: true, idempotency: {}, confirm: {operation: getOrder, when: .a}, sequence: x, coalesce: latest, on_failure: stop}", strings.Join([]string{
			at + "45: " + here + "idempotency: idempotency and safe: true contradict each other; a safe operation writes nothing: keep one of them",
			at + "58: " + here + "confirm: confirm and safe: true contradict each other; a safe operation writes nothing: keep one of them",
			at + "101: " + here + "sequence: sequence and safe: true contradict each other; a safe operation writes nothing: keep one of them",
			at + "114: " + here + "coalesce: coalesce and safe: true contradict each other; a safe operation writes nothing: keep one of them",
			at + "134: " + here + "on_failure: on_failure and safe: true contradict each other; a safe operation writes nothing: keep one of them",
		}, "\n")},
		{"{lane: orderId}", at + "26: " + here + `lane: "orderId" is not a runtime expression` + notAnExpression},
		{"{lane: [$request.path.id, $.orderId]}", at + "45: " + here + `lane[1]: "$.orderId" is not a runtime expression` + notAnExpression},
		{"{lane: $request.path.ID}", at + "26: " + here + `lane: putOrder has no path parameter "ID"; did you mean "id"?`},
		{"{lane: $request.query.revision}", at + "26: " + here + `lane: putOrder has no query parameter "revision"; one of rev`},
		{"{lane: $request.cookie.a}", at + "26: " + here + `lane: "$request.cookie.a" is not a runtime expression; a request has a body, a path, a query and headers: one of body, header, path, query`},
		{"{lane: $request.path}", at + "26: " + here + `lane: "$request.path" is not a runtime expression; write $request.path.NAME`},
		{"{lane: $request.body.orderId}", at + "26: " + here + `lane: "$request.body.orderId" is not a runtime expression; a place in a body is written $request.body#/NAME`},
		{"{lane: '$request.body#/a~2'}", at + "26: " + here + `lane: "$request.body#/a~2" is not a runtime expression; in a JSON pointer ~ is written ~0, and / is written ~1`},
		{"{lane: '$request.header.a b'}", at + "26: " + here + `lane: "$request.header.a b" is not a runtime expression; "a b" is not the name of a header`},
		{"{idempotency: {class: header}}", at + "41: " + here + "idempotency.class: class header needs the system's header; write header: and its name, for example Idempotency-Key"},
		{"{idempotency: {header: X-Key}}", at + "42: " + here + "idempotency.header: header has no effect without class: header; write class: header, or remove it"},
		{"{idempotency: {class: header, header: 'X Key'}}", at + "57: " + here + `idempotency.header: "X Key" is not the name of a header`},
		{"{idempotency: {class: confirm}}", at + "41: " + here + "idempotency.class: class confirm needs confirm; name the read that tells whether a write arrived"},
		{"{idempotency: {class: headers}}", at + "41: " + here + `idempotency.class: "headers" is not known here; did you mean "header"?`},
		{"{confirm: {operation: getOrders, when: .a}}", at + "41: " + here + `confirm.operation: there is no operation "getOrders"; did you mean "getOrder"?`},
		{"{confirm: {operation: dropOrder, when: .a}}", at + "41: " + here + "confirm.operation: dropOrder is not a read; confirm by an operation that changes nothing"},
		{"{confirm: {operation: getOrder}}", at + "29: " + here + "confirm: getOrder needs the path parameter \"id\"; give it a runtime expression over the write\n" +
			at + "29: " + here + "confirm: getOrder needs the query parameter \"by\"; give it a runtime expression over the write\n" +
			at + "29: " + here + "confirm: the key \"when\" is missing; it says: jq condition over the read's answer; true means that the write arrived"},
		{"{confirm: {operation: getOrder, when: .a, with: {id: '7', buy: $request.path.id, by: $request.path.id}}}",
			at + "72: " + here + `confirm.with.id: "7" is not a runtime expression` + notAnExpression + "\n" + at + "77: " + here + `confirm.with.buy: getOrder has no parameter "buy"; did you mean "by"?`},
		{"{wiat: 3s, class: urgent, cost: {a: [1]}, policies: []}", strings.Join([]string{
			at + "20: " + here + `wiat: unknown key "wiat"; did you mean "wait"?`,
			at + "37: " + here + `class: "urgent" is not valid here; one of critical, high, normal, low`,
			at + "55: " + here + "cost.a: expected a number or an expression, found a list",
			at + "71: " + here + "policies: expected a mapping, found a list",
		}, "\n")},
		{"{status: draft}", at + "20: " + here + `status: unknown key "status"; one of batch, call, class, coalesce, confirm, cost, flow, idempotency, lane, on_failure, policies, safe, sequence, system, timeout, wait`},
		{"5", `openapi.yaml:10:19: paths["/orders/{id}"].put.x-headrace: expected a mapping, found an integer`},
	} {
		if got := refused("openapi.yaml", op(c.governance)); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.governance, got, c.want)
		}
	}
}

// TestBatchRefused packs putOrder into what is named.
func TestBatchRefused(t *testing.T) {
	const at = `openapi.yaml:10:`
	const here = `paths["/orders/{id}"].put.x-headrace.`
	const more = `  /bulk:
    post: {operationId: bulk, x-headrace: {system: erp}, requestBody: {content: {}}}
    get: {operationId: reads, x-headrace: {system: erp}}
  /bulk/{kind}:
    parameters: [{name: kind, in: path, required: true, schema: {}}]
    post: {operationId: kinds, x-headrace: {system: erp}, requestBody: {content: {}}}
  /packed:
    post: {operationId: packed, x-headrace: {system: erp, batch: {operation: bulk, size: 9, request: ., results: .}}, requestBody: {content: {}}}
  /away:
    post: {operationId: away, x-headrace: {system: wms}, requestBody: {content: {}}}
`
	const rest = "size: 5, request: ., results: .}}"
	for _, c := range []struct{ governance, want string }{
		{"{system: erp, batch: {operation: bulk, " + rest, ""},
		{"{system: erp, batch: {operation: bulk, keyed: true, " + strings.TrimSuffix(rest, "}") + ", idempotency: {class: header, header: X-Key}}", ""},
		{"{system: erp, batch: {operation: bulks, " + rest, at + "52: " + here + `batch.operation: there is no operation "bulks"; did you mean "bulk"?`},
		{"{system: erp, batch: {operation: putOrder, " + rest, at + "52: " + here + "batch.operation: putOrder cannot be packed into itself; write batch at the operations that are packed, not at the path or the root"},
		{"{system: erp, batch: {operation: reads, " + rest, at + "52: " + here + "batch.operation: reads is a read; name the operation that does several writes at once"},
		{"{system: erp, batch: {operation: packed, " + rest, at + "52: " + here + "batch.operation: packed is packed into batches itself; remove its batch"},
		{"{system: erp, batch: {operation: away, " + rest, at + "52: " + here + `batch.operation: away is a call of "wms", and putOrder one of "erp"; a batch stays within one system`},
		{"{system: erp, batch: {operation: kinds, " + rest, at + "52: " + here + `batch.operation: kinds needs the path parameter "kind", which a batch does not have; write it into the path of its call`},
		{"{system: erp, batch: {operation: bulk, " + strings.TrimSuffix(rest, "}") + ", idempotency: {class: header, header: X-Key}}", at + "40: " + here +
			"batch: class header and a batch contradict each other unless the system looks at the key of each part; let request pass each part's headers on and write keyed: true, or use natural-key or confirm"},
		{"{system: erp, batch: {operation: bulk, size: 1, request: ., results: .}}", at + "64: " + here + "batch.size: 1 is too small; the least is 2"},
		{"{system: erp, batch: {operation: bulk, size: many, request: ., results: .}}", at + "64: " + here + `batch.size: expected an integer, found a string`},
		{"{system: erp, batch: {operation: bulk, size: 5, requests: ., results: .}}", at + "40: " + here + "batch: the key \"request\" is missing; it says: jq that makes the batch call's body. Its input is the list of the parts: each write as it would be sent alone, with id, method, path, params, headers and body\n" +
			at + "67: " + here + `batch.requests: unknown key "requests"; did you mean "request"?`},
		{"{safe: true, batch: {operation: bulk, " + rest, at + "39: " + here + "batch: batch and safe: true contradict each other; a safe operation writes nothing: keep one of them"},
	} {
		if got := refused("openapi.yaml", op(c.governance)+more); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.governance, got, c.want)
		}
	}
}

func TestGovernanceRefusedElsewhere(t *testing.T) {
	get := func(governance string) string {
		return head + "paths: {/a: {get: {operationId: a, x-headrace: " + governance + "}}}"
	}
	for _, c := range []struct{ name, text, want string }{
		{"lane on a read", get("{lane: $request.header.A}"), `openapi.yaml:3:55: paths["/a"].get.x-headrace.lane: lane is for writes, and this operation only reads; remove it, or write safe: false if the operation changes something`},
		{"body on an operation without", strings.Replace(get("{lane: $request.body#/a}"), "get", "delete", 1), `openapi.yaml:3:58: paths["/a"].delete.x-headrace.lane: a has no request body`},
		{"safe above and a lane below", head + "x-headrace: {safe: true}\npaths: {/a: {post: {operationId: a, x-headrace: {lane: $request.header.A}}}}",
			`openapi.yaml:4:56: paths["/a"].post.x-headrace.lane: lane is for writes, and this operation only reads; remove it, or write safe: false if the operation changes something`},
		{"an inherited lane that does not fit", head + "x-headrace: {lane: $request.path.id}\npaths: {/a: {post: {operationId: a}}}", `openapi.yaml:3:20: x-headrace.lane: a has no path parameter "id"; none is defined`},
		{"base without slash", head + "x-headrace: {base: orders}\npaths: {}", "openapi.yaml:3:20: x-headrace.base: a path begins with /; for example /orders/v1"},
		{"base with a slash at its end", head + "x-headrace: {base: /orders/}\npaths: {}", "openapi.yaml:3:20: x-headrace.base: a base does not end with /; for example /orders/v1"},
		{"base with parameters", head + "x-headrace: {base: '/{a}'}\npaths: {}", "openapi.yaml:3:20: x-headrace.base: a base has no parameters; for example /orders/v1"},
		{"base with escapes", head + "x-headrace: {base: /a%20b}\npaths: {}", "openapi.yaml:3:20: x-headrace.base: a base is written plainly; for example /orders/v1"},
		{"status and layer", head + "x-headrace: {status: publishd, layer: systems}\npaths: {}",
			"openapi.yaml:3:22: x-headrace.status: \"publishd\" is not known here; did you mean \"published\"?\nopenapi.yaml:3:39: x-headrace.layer: \"systems\" is not known here; did you mean \"system\"?"},
		{"a flow in the system layer", get("{flow: a}"), `openapi.yaml:3:55: paths["/a"].get.x-headrace.flow: operations of the system layer are answered by a system, and not by a flow; write layer: process, or remove flow`},
		{"a flow of all operations", head + "x-headrace: {layer: process, flow: a}\npaths: {}", "openapi.yaml:3:36: x-headrace.flow: a flow answers one operation; write it at the operation"},
		{"a flow of a path", head + "x-headrace: {layer: process}\npaths: {/a: {x-headrace: {flow: {workflow: a}}, get: {x-headrace: {flow: b}}}}",
			`openapi.yaml:4:33: paths["/a"].x-headrace.flow: a flow answers one operation; write it at the operation`},
		{"a flow that names none", head + "x-headrace: {layer: process}\npaths: {/a: {get: {x-headrace: {flow: {inputs: {}}}}}}", `openapi.yaml:4:39: paths["/a"].get.x-headrace.flow: the key "workflow" is missing; it says: workflowId in the flows.arazzo.yaml beside the document`},
		{"a system of the process layer", head + "x-headrace: {layer: process, system: erp}\npaths: {/a: {get: {x-headrace: {flow: b}}}}",
			`openapi.yaml:3:38: x-headrace.system: system is for operations that a system answers, and a flow answers this one; remove it; the operations that the flow calls say it`},
		{"misplaced", "openapi: 3.1.0\ninfo: {title: x, version: '1', x-headrace: {}}\nwebhooks: {w: {x-headrace: {}, post: {x-headrace: {}}}}\ncomponents: {parameters: {p: {name: p, in: query, schema: {}, x-headrace: {}}}, pathItems: {i: {x-headrace: {}, get: {x-headrace: {}}}}}\n" +
			"paths: {x-headrace: {}, /a: {get: {responses: {'200': {description: ok, x-headrace: {}}}, tags: [], x-a: [{x-headrace: 1}]}}}",
			"openapi.yaml:2:32: info.x-headrace: x-headrace means nothing here; it stands at the root, at a path or at an operation\n" +
				"openapi.yaml:3:16: webhooks.w.x-headrace: x-headrace means nothing here; it stands at the root, at a path or at an operation\n" +
				"openapi.yaml:3:39: webhooks.w.post.x-headrace: x-headrace means nothing here; it stands at the root, at a path or at an operation\n" +
				"openapi.yaml:4:63: components.parameters.p.x-headrace: x-headrace means nothing here; it stands at the root, at a path or at an operation\n" +
				"openapi.yaml:5:9: paths.x-headrace: x-headrace means nothing here; it stands at the root, at a path or at an operation\n" +
				"openapi.yaml:5:73: paths[\"/a\"].get.responses.200.x-headrace: x-headrace means nothing here; it stands at the root, at a path or at an operation\n" +
				"openapi.yaml:5:108: paths[\"/a\"].get.x-a[0].x-headrace: x-headrace means nothing here; it stands at the root, at a path or at an operation"},
	} {
		if got := refused("openapi.yaml", c.text); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestParseExpression(t *testing.T) {
	for _, text := range []string{"$request.body", "$request.body#/orderId", "$request.body#/a~1b/0/~0", "$request.path.id", "$request.query.a.b", "$request.header.X-Rev"} {
		e, err := ParseExpression(text)
		if err != nil || e.String() != text {
			t.Errorf("%s: %s, %v", text, e, err)
		}
	}
	e, _ := ParseExpression("$request.body#/a~1b/0")
	if e.In != "body" || e.Name != "" || !slices.Equal(e.Pointer, []string{"a/b", "0"}) {
		t.Errorf("got %+v", e)
	}
	if e, _ := ParseExpression("$request.body#"); e.String() != "$request.body" || e.Pointer != nil {
		t.Errorf("got %+v", e)
	}
	for _, text := range []string{"", "x", "$", "$request", "$request.", "$request.header.", "$request.bodyx", "$response.body", "$request.body#x", "$request.method", "$request.header.a:b"} {
		if e, err := ParseExpression(text); err == nil {
			t.Errorf("%q is %s", text, e)
		}
	}
}

func TestSecurity(t *testing.T) {
	d := load(t, "openapi.yaml", head+`
security: [{key: []}]
paths:
  /default: {get: {operationId: default}}
  /public: {get: {operationId: public, security: []}}
  /either: {get: {operationId: either, security: [{token: [read, write], key: []}, {cert: []}, {}]}}
components:
  securitySchemes:
    token: {type: oauth2, flows: {}}
    key: {type: apiKey, in: header, name: X-Key}
    cert: {type: mutualTLS}
    bearer: {type: http, scheme: Bearer}
    same: {$ref: '#/components/securitySchemes/key'}
`[1:])
	if s := d.Schemes["same"]; s.Name != "same" || s.Param != "X-Key" || s.In != "header" || s.Bit != 1<<3 || d.Schemes["bearer"].Bit != 1 || d.Schemes["token"].Bit != 1<<4 || len(d.Schemes) != 5 {
		t.Errorf("got %+v", s)
	}
	if s := d.Schemes["bearer"]; s.HTTPScheme != "bearer" || s.Type != "http" || s.Node.Path() != "components.securitySchemes.bearer" {
		t.Errorf("got %+v", s)
	}
	for id, want := range map[string]string{"default": "key", "public": "", "either": "token(read,write)&key | cert | "} {
		o := d.Operation(id)
		var alternatives []string
		for _, r := range o.Security {
			var uses []string
			for _, u := range r {
				name := u.Scheme.Name
				if len(u.Scopes) > 0 {
					name += "(" + strings.Join(u.Scopes, ",") + ")"
				}
				uses = append(uses, name)
			}
			alternatives = append(alternatives, strings.Join(uses, "&"))
		}
		if got := strings.Join(alternatives, " | "); got != want || o.Security == nil {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
	if o := load(t, "openapi.yaml", small).Operations[0]; o.Security != nil {
		t.Error("security was made up")
	}
}

func TestSecurityRefused(t *testing.T) {
	var many strings.Builder
	for i := range maxSchemes + 1 {
		fmt.Fprintf(&many, "s%d: {type: mutualTLS}, ", i)
	}
	for _, c := range []struct{ text, want string }{
		{"security: [{kee: []}]\npaths: {}\ncomponents: {securitySchemes: {key: {type: mutualTLS}}}", `openapi.yaml:3:13: security[0].kee: there is no security scheme "kee"; did you mean "key"?`},
		{"paths: {/a: {get: {security: [{key: []}]}}}", `openapi.yaml:3:32: paths["/a"].get.security[0].key: there is no security scheme "key"; none is defined`},
		{"paths: {}\nsecurity: {}", "openapi.yaml:4:11: security: expected a list, found a mapping"},
		{"paths: {}\nsecurity: [{a: x}]", "openapi.yaml:4:13: security[0].a: there is no security scheme \"a\"; none is defined\nopenapi.yaml:4:16: security[0].a: expected a list, found a string"},
		{"paths: {}\ncomponents: {securitySchemes: {a: {type: apikey}}}", `openapi.yaml:4:42: components.securitySchemes.a.type: the type "apikey" is not known; did you mean "apiKey"?`},
		{"paths: {}\ncomponents: {securitySchemes: {a: {type: apiKey, in: heeder}}}", "openapi.yaml:4:35: components.securitySchemes.a: the key \"name\" is missing; the name of the header, query parameter or cookie\n" +
			`openapi.yaml:4:54: components.securitySchemes.a.in: an API key stands in a header, the query or a cookie; did you mean "header"?`},
		{"paths: {}\ncomponents: {securitySchemes: {a: {type: http}}}", `openapi.yaml:4:35: components.securitySchemes.a: the key "scheme" is missing; for example bearer or basic`},
		{"paths: {}\ncomponents: {securitySchemes: {a: {}}}", `openapi.yaml:4:35: components.securitySchemes.a: the key "type" is missing`},
		{"paths: {}\ncomponents: {securitySchemes: {" + many.String() + "}}", "openapi.yaml:4:31: components.securitySchemes: there are 33 security schemes; at most 32"},
	} {
		if got := refused("openapi.yaml", head+c.text); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestClass(t *testing.T) {
	for _, c := range Classes {
		var read Class
		text, _ := c.MarshalText()
		if err := read.UnmarshalText(text); err != nil || read != c {
			t.Errorf("%s: %v", c, err)
		}
	}
	if Classes[0] != Critical || Low.String() != "low" || new(Class).UnmarshalText([]byte("High")) == nil {
		t.Error("the classes are wrong")
	}
	var ps source.Problems
	if got := fmt.Sprint(source.Schema(OperationGovernance{})["properties"].(map[string]any)["class"]); !strings.Contains(got, "critical") || ps.Len() > 0 {
		t.Errorf("got %s", got)
	}
}
