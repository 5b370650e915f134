package system

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/source"
)

// problems gives what is wrong with a plan, one a line, without the known path of the operation.
func problems(t *testing.T, p plan) string {
	t.Helper()
	return problemsOf(t, p.fs("http://127.0.0.1:1"))
}

func TestSystemProblems(t *testing.T) {
	t.Setenv("SET", "x")
	t.Setenv("ODD", "a\nb")
	for _, c := range []struct{ system, url, want string }{
		{"", "", ""},
		{"dialect: soap", "", `systems/erp.yaml:2:10: dialect: "soap" is not known here; one of jsonrpc, rest`},
		{"titel: x", "", `systems/erp.yaml:2:1: titel: unknown key "titel"; did you mean "title"?`},
		{"", "''", `systems/erp.yaml:1:6: url: the scheme "" is not supported; http or https`},
		{"", "ftp://x", `systems/erp.yaml:1:6: url: the scheme "ftp" is not supported; http or https`},
		{"", "http:///x", `systems/erp.yaml:1:6: url: the URL has no host; write for example https://erp.example.com/api`},
		{"", "http://:80", `systems/erp.yaml:1:6: url: the URL has no host; write for example https://erp.example.com/api`},
		{"", "http://user:pw@x", `systems/erp.yaml:1:6: url: a URL must not hold a user or a password; use credentials, with references to secrets`},
		{"", "http://x/?a=1", `systems/erp.yaml:1:6: url: a URL of a system has neither a query nor a fragment; put query parameters into the calls`},
		{"", "http://x/#a", `systems/erp.yaml:1:6: url: a URL of a system has neither a query nor a fragment; put query parameters into the calls`},
		{"", "http://x/a/../b", `systems/erp.yaml:1:6: url: the path of the URL is not a clean one; without //, . and ..`},
		{"", "http://x:99999", `systems/erp.yaml:1:6: url: "99999" is not a port`},
		{"", "'http://x y'", `systems/erp.yaml:1:6: url: is not a URL; write for example https://erp.example.com/api`},
		{"timeout: 0s", "", `systems/erp.yaml:2:10: timeout: 0s is too small; the least is 1ms`},
		{"timeout: soon", "", `systems/erp.yaml:2:10: timeout: "soon" is not valid here; write a duration such as 250ms, 2s, 5m, 24h or 7d`},
		{"connections: {max: 0}", "", `systems/erp.yaml:2:20: connections.max: 0 is too small; the least is 1`},
		{"correlation_header: a b", "", `systems/erp.yaml:2:21: correlation_header: "a b" cannot be used as a header; for example X-Correlation-Id`},
		{"correlation_header: host", "", `systems/erp.yaml:2:21: correlation_header: "host" cannot be used as a header; for example X-Correlation-Id`},
		{"pass_on: [cokie]", "", `systems/erp.yaml:2:10: pass_on: "cokie" is not a header that is withheld; did you mean "Cookie"?`},
		{"jsonrpc: {context: last}", "", `systems/erp.yaml:2:10: jsonrpc: the system speaks rest; remove it, or set dialect: jsonrpc`},
		{"limits: [{name: a}]", "", `systems/erp.yaml:2:10: limits[0]: the limit has neither a capacity nor a bucket; give one of them`},
		{"limits: [{name: a, capacity: 1, operations: [getX]}]", "", `systems/erp.yaml:2:46: limits[0].operations[0]: no operation "getX" calls this system; write an operationId of an API whose system this is`},
		{"overload: [{retry_after: 1s}]", "", `systems/erp.yaml:2:12: overload[0]: the sign fits every answer; give at least one of status, header, json, match and fault`},
		{"overload: [{status: 42}]", "", `systems/erp.yaml:2:21: overload[0].status: 42 is not the status of an answer; from 200 to 599`},
		{"line: {app: 0}", "", `systems/erp.yaml:2:13: line.app: 0 is too small; the least is 1`},
		{"line: {app: 101}", "", `systems/erp.yaml:2:13: line.app: 101 is too large; the most is 100`},
		{"line: {calls: 0}", "", `systems/erp.yaml:2:15: line.calls: 0 is too small; the least is 1`},
		{"line: {bytes: 0}", "", `systems/erp.yaml:2:15: line.bytes: 0 is too small; the least is 1`},
		{"line: {apps: 5}", "", `systems/erp.yaml:2:8: line.apps: unknown key "apps"; did you mean "app"?`},
		{"overload: [{status: [429, x]}]", "", `systems/erp.yaml:2:27: overload[0].status[1]: expected an integer, found a string`},
		{"overload: [{match: '('}]", "", "systems/erp.yaml:2:20: overload[0].match: \"(\" is not valid here; error parsing regexp: missing closing ): `(`"},
		{"overload: [{json: '.a |'}]", "", `systems/erp.yaml:2:19: overload[0].json: is not a mapping: unexpected EOF (line 1, column 5 of the text)`},
		{"overload: [{header: 'a b'}]", "", `systems/erp.yaml:2:21: overload[0].header: "a b" is not the name of a header`},
		{"limits: [{name: calls, capacity: 1}]\noverload: [{status: 429, pool: cals}]", "", `systems/erp.yaml:3:32: overload[0].pool: there is no limit "cals"; did you mean "calls"?`},
		{"probes: [{every: 1m, get: /x, capacity: .a}]", "", `systems/erp.yaml:2:10: probes[0]: nothing says which limit the answer speaks of; give the name of a limit as pool`},
		{"facts: {users: .nan}", "", `systems/erp.yaml:2:16: facts.users: .nan is not a finite number`},
		{"errors: [{as: refused}]", "", `systems/erp.yaml:2:10: errors[0]: the sign fits every error; give at least one of http, json, match and fault`},
		{"errors: [{match: x, as: refusd}]", "", `systems/erp.yaml:2:25: errors[0].as: "refusd" is not known here; did you mean "refused"?`},
		{"errors: [{match: x}]", "", `systems/erp.yaml:2:10: errors[0]: the key "as" is missing`},
		{"errors: [{match: x, as: overload, status: 429}]", "", `systems/erp.yaml:2:43: errors[0].status: the status cannot be chosen for overload; only for refused and conflict`},
		{"dialect: jsonrpc\njsonrpc: {version: '1.0'}", "", `systems/erp.yaml:3:20: jsonrpc.version: "1.0" is not known here; did you mean "2.0"?`},
		{"dialect: jsonrpc\njsonrpc: {context: last}", "", `systems/erp.yaml:3:20: jsonrpc.context: there is no $session to be sent; it comes from credentials of the kind session`},
		{"dialect: jsonrpc\nserver_errors: pass", "", `systems/erp.yaml:3:16: server_errors: an answer of jsonrpc is never passed on as it came; remove it`},
		{"mapping: {time: 1m}", "", `systems/erp.yaml:2:17: mapping.time: 1m is too large; the most is 10s`},

		{"credentials: {kind: basc}", "", `systems/erp.yaml:2:21: credentials.kind: "basc" is not known here; did you mean "basic"?`},
		{"credentials: {kind: basic, username: x}", "", `systems/erp.yaml:2:14: credentials: the kind basic needs the key "password"`},
		{"credentials: {kind: basic, username: x, password: secret}", "", `systems/erp.yaml:2:51: credentials.password: is not a reference to a secret; a secret must not stand in a file; write ${env:NAME} or ${file:/path}`},
		{"credentials: {kind: basic, username: x, password: '${env:NOT_SET_ANYWHERE}'}", "", `systems/erp.yaml:2:51: credentials.password: the environment variable NOT_SET_ANYWHERE is not set`},
		{"credentials: {kind: basic, username: 'a:b', password: '${env:SET}'}", "", `systems/erp.yaml:2:38: credentials.username: a user of basic authentication has no colon; RFC 7617, section 2`},
		{"credentials: {kind: basic, username: x, password: '${env:SET}', key: '${env:SET}'}", "", `systems/erp.yaml:2:65: credentials.key: the key "key" has no meaning for the kind basic; remove it, or choose another kind`},
		{"credentials: {username: x}", "", `systems/erp.yaml:2:15: credentials.username: the key "username" has no meaning for the kind none; remove it, or choose another kind`},
		{"credentials: {kind: api-key, key: '${env:SET}', name: 'a b'}", "", `systems/erp.yaml:2:55: credentials.name: "a b" cannot be used as a header; for example X-API-Key`},
		{"credentials: {kind: api-key, key: '${env:SET}', name: host}", "", `systems/erp.yaml:2:55: credentials.name: "host" cannot be used as a header; for example X-API-Key`},
		{"credentials: {kind: api-key, key: '${env:ODD}'}", "", `systems/erp.yaml:2:35: credentials.key: the key cannot stand in a header; it must not hold line ends or control characters`},
		{"credentials: {kind: oauth2, client_id: a, client_secret: '${env:SET}', token_url: /token}", "", `systems/erp.yaml:2:83: credentials.token_url: is not the URL of a token endpoint; write for example https://login.example.com/oauth2/token`},
		{"credentials: {kind: oauth2, client_id: a, client_secret: '${env:SET}', token_url: 'http://u:p@x'}", "", `systems/erp.yaml:2:83: credentials.token_url: a URL must not hold a user or a password; use client_id and client_secret`},
		{"credentials: {kind: oauth2, client_id: a, client_secret: '${env:SET}', token_url: 'http://x', parameters: {grant_type: x}}", "", `systems/erp.yaml:2:120: credentials.parameters.grant_type: the parameter "grant_type" is set by the gateway; remove it`},
		{"credentials: {kind: session, headers: {A: .}}", "", `systems/erp.yaml:2:14: credentials: the kind session needs the key "login"`},
		{"credentials: {kind: session, login: {path: login}, headers: {A: .}}", "", `systems/erp.yaml:2:44: credentials.login.path: a path begins with /; for example /login`},
		{"credentials: {kind: session, login: {path: /login, method: FETCH, params: '[]'}, headers: {A: .}}", "",
			"systems/erp.yaml:2:60: credentials.login.method: \"FETCH\" is not an HTTP method; GET, POST, PUT, PATCH or DELETE\n" +
				"systems/erp.yaml:2:75: credentials.login.params: a call of rest has no params; it has method, path and body"},
		{"credentials: {kind: session, login: {path: /login}, headers: {'a b': ., B: $user}}", "",
			"systems/erp.yaml:2:70: credentials.headers[\"a b\"]: \"a b\" cannot be used as a header\n" +
				"systems/erp.yaml:2:76: credentials.headers.B: is not a mapping: there is no variable $user (line 1, column 1 of the text); the variables are $request, $session, $app, $status, $headers, $username, $password"},
		{"dialect: jsonrpc\ncredentials: {kind: session, login: {path: /x, body: .}, headers: {A: .}}", "",
			"systems/erp.yaml:3:37: credentials.login: the key \"method\" is missing\n" +
				"systems/erp.yaml:3:44: credentials.login.path: a call of jsonrpc has no path; it has method and params\n" +
				"systems/erp.yaml:3:54: credentials.login.body: a call of jsonrpc has no body; it has method and params"},
	} {
		call := ""
		if strings.Contains(c.system, "dialect: jsonrpc") {
			call = "call: {method: m}"
		}
		if got := problems(t, plan{system: c.system, url: c.url, paths: at("GET", "/x", "x", call)}); got != c.want {
			t.Errorf("%s %s:\n%s\nwant:\n%s", c.system, c.url, got, c.want)
		}
	}
}

func TestOperationProblems(t *testing.T) {
	const at1 = "apis/orders/1.0.0/openapi.yaml:"
	for _, c := range []struct{ system, path, headrace, want string }{
		{"", "/x/{id}", "call: {path: '/y/{id}', query: {a: '1'}, headers: {X-A: '\"b\"'}, request: ., response: ., status: 201, location: '\"/x\"'}", ""},
		{"", "/x", "system: epr", `9:17: paths["/x"].post.x-headrace.system: there is no system "epr"; did you mean "erp"?`},
		{"", "/x", "call: {pth: /y}", `9:16: paths["/x"].post.x-headrace.call.pth: unknown key "pth"; did you mean "path"?`},
		{"", "/x", "call: {method: FETCH}", `9:24: paths["/x"].post.x-headrace.call.method: "FETCH" is not known here; did you mean "PATCH"?`},
		{"", "/x/{id}", "call: {path: '/y/{di}'}", `10:22: paths["/x/{id}"].post.x-headrace.call.path: the operation has no path parameter {di}; did you mean "id"?`},
		{"", "/x", "call: {path: '/y/{id}'}", `9:22: paths["/x"].post.x-headrace.call.path: the operation has no path parameter {id}; none is defined`},
		{"", "/x", "call: {path: y}", `9:22: paths["/x"].post.x-headrace.call.path: a path begins with /`},
		{"", "/x", "call: {path: /y?a=1}", `9:22: paths["/x"].post.x-headrace.call.path: a path has no query; put query parameters under query`},
		{"", "/x/{id}", "call: {path: '/y/{id'}", `10:22: paths["/x/{id}"].post.x-headrace.call.path: the braces do not match`},
		{"", "/x/{id}", "call: {path: '/y/id}'}", `10:22: paths["/x/{id}"].post.x-headrace.call.path: the braces do not match`},
		{"", "/x", "call: {path: /y/%zz}", `9:22: paths["/x"].post.x-headrace.call.path: a % must be followed by two hexadecimal digits`},
		{"", "/x", "call: {path: /y/../z}", `9:22: paths["/x"].post.x-headrace.call.path: a path has no dot segments`},
		{"", "/x", "call: {headers: {'a b': ., Connection: .}}", `9:33: paths["/x"].post.x-headrace.call.headers["a b"]: "a b" cannot be used as a header
` + at1 + `9:48: paths["/x"].post.x-headrace.call.headers.Connection: "Connection" cannot be used as a header`},
		{"", "/x", "call: {query: {a: .x.}}", `9:27: paths["/x"].post.x-headrace.call.query.a: is not a mapping: unexpected EOF (line 1, column 4 of the text)`},
		{"", "/x", "call: {request: mappings/none.jq}", `9:25: paths["/x"].post.x-headrace.call.request: there is no mapping "mappings/none.jq"; none is defined`},
		{"", "/x", "call: {method: GET, request: .}", `9:38: paths["/x"].post.x-headrace.call.request: a GET has no body; remove it, or set another method`},
		{"", "/x", "call: {status: 404}", `9:24: paths["/x"].post.x-headrace.call.status: 404 is too large; the most is 299`},
		{"", "/x", "timeout: 0s", `9:18: paths["/x"].post.x-headrace.timeout: a call needs some time; for example 30s`},
		{"limits: [{name: calls, capacity: 5}]", "/x", "cost: {cals: 2}", `9:22: paths["/x"].post.x-headrace.cost.cals: erp has no limit "cals"; did you mean "calls"?`},
		{"limits: [{name: calls, capacity: 5}]", "/x", "cost: {calls: 6}", `9:23: paths["/x"].post.x-headrace.cost.calls: a call of this cost is never admitted: the limit "calls" has room for 5`},
		{"limits: [{name: calls, capacity: 5}]", "/x", "cost: {calls: -2}", `9:23: paths["/x"].post.x-headrace.cost.calls: a call cannot cost -2; from 0 to 1e12`},
		{"limits: [{name: calls, capacity: 5}]", "/x", "cost: {calls: '.a |'}", `9:23: paths["/x"].post.x-headrace.cost.calls: is not a mapping: unexpected EOF (line 1, column 5 of the text)`},
		{"dialect: jsonrpc", "/x", "", `7:7: paths["/x"].post: nothing says what to call at erp; set call with a method`},
		{"dialect: jsonrpc", "/x", "call: {path: /y}", `9:15: paths["/x"].post.x-headrace.call: the key "method" is missing
` + at1 + `9:16: paths["/x"].post.x-headrace.call.path: unknown key "path"; one of context, method, params, result, status, then`},
		{"dialect: jsonrpc", "/x", "call: {method: m, context: '{}'}", `9:36: paths["/x"].post.x-headrace.call.context: erp takes no context; set jsonrpc.context: last in its file, or put the object into params`},
		{"dialect: jsonrpc", "/x", "call: {method: m, params: [1]}", `9:35: paths["/x"].post.x-headrace.call.params: expected jq, found a list; write it in quotes, or name a file mappings/NAME.jq`},
		{"dialect: jsonrpc", "/x", "call: {method: m, result: ., then: {method: n}}", `9:35: paths["/x"].post.x-headrace.call.result: the answer is made of the second call's result; move it to then.result`},
		{"dialect: jsonrpc", "/x", "call: {method: m, then: {method: n, otherwise: x}}", `9:56: paths["/x"].post.x-headrace.call.then.otherwise: there is no condition that could fail; set expect`},
	} {
		want := c.want
		if want != "" {
			want = at1 + want
		}
		if got := problems(t, plan{system: c.system, paths: at("POST", c.path, "x", c.headrace)}); got != want {
			t.Errorf("%s %s:\n%s\nwant:\n%s", c.system, c.headrace, got, want)
		}
	}
}

func TestNoSystem(t *testing.T) {
	p := plan{paths: at("GET", "/x", "x", "") + at("GET", "/y", "y", "")}
	fsys := p.fs("http://x")
	fsys["apis/orders/1.0.0/openapi.yaml"].Data = []byte(strings.Replace(string(fsys["apis/orders/1.0.0/openapi.yaml"].Data), "x-headrace: {system: erp}\n", "", 1))
	if got := problemsOf(t, fsys); got != "apis/orders/1.0.0/openapi.yaml:1:1: nothing says which system answers; set x-headrace.system to the name of a file in systems/, here or at each operation" {
		t.Error(got)
	}
}

// Problems of a mapping file stand inside it, once, however often it is used.
func TestMappingFileProblems(t *testing.T) {
	got := problems(t, plan{
		files: map[string]string{"mappings/a.jq": "{a: 1}\n| .b )", "mappings/unused.jq": "$nope"},
		paths: at("POST", "/x", "x", "call: {request: mappings/a.jq}") + at("POST", "/y", "y", "call: {request: mappings/a.jq}"),
	})
	want := "mappings/a.jq:2:6: is not a mapping: unexpected token \")\"\n" +
		"mappings/unused.jq:1:1: is not a mapping: there is no variable $nope; the variables are $request, $session, $app, $status, $headers"
	if got != want {
		t.Errorf("%s", got)
	}
}

// Every key is explained.
func TestReference(t *testing.T) {
	var explained func(name string, v any)
	explained = func(name string, v any) {
		for _, k := range source.Keys(v) {
			if k.Doc == "" {
				t.Errorf("%s.%s is not explained", name, k.Name)
			}
			if k.Nested != nil {
				explained(name+"."+k.Name, k.Nested)
			}
		}
	}
	for name, v := range map[string]any{"system": Settings{}, "rest": RestCall{}, "jsonrpc": JSONRPCCall{}} {
		explained(name, v)
	}
}
