package system

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/source"
)

func reportsOf(t *testing.T, text string) reports {
	t.Helper()
	var ps source.Problems
	var s Settings
	n := source.Parse("f.yaml", []byte("url: http://x\nlimits: [{name: a, capacity: 1}, {name: b, capacity: 1}]\nreports: ["+text+"]"), source.DefaultLimits, &ps)
	source.Decode(n, &s, &ps)
	b := &builder{problems: &ps, library: mapping.Open(fstest.MapFS{}, mapping.DefaultLimits, &ps)}
	r := b.reports(&s)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

func shown(all []budget.PoolReport) string {
	var list []string
	for _, r := range all {
		list = append(list, fmt.Sprintf("%s used %g remaining %g limit %g exact %v", r.Pool, r.Used, r.Remaining, r.Limit, r.Exact))
	}
	return strings.Join(list, "; ")
}

func TestReportsFromHeaders(t *testing.T) {
	for _, c := range []struct{ report, value, want string }{
		{"{pool: a, header: x-limit, exact: true}", "17", "a used -1 remaining 17 limit 0 exact true"},
		{"{pool: a, header: x-limit}", " 1,199.50 ", "a used -1 remaining 1199.5 limit 0 exact false"},
		{"{pool: a, header: x-limit}", "-3", "a used -1 remaining 0 limit 0 exact false"},
		{"{pool: a, header: x-limit}", "many", ""},
		{"{pool: a, header: x-limit}", "NaN", ""},
		{"{pool: a, header: x-limit}", "", ""},
		{`{pool: a, header: x-limit, match: 'api-usage=(?<used>\d+)/(?<limit>\d+)', exact: true}`, "api-usage=10018/100000; api-bursts=1/750", "a used 10018 remaining -1 limit 100000 exact true"},
		{`{pool: a, header: x-limit, match: '^(?<used>\d+)/(?<limit>\d+)$'}`, "32/40", "a used 32 remaining -1 limit 40 exact false"},
		{`{pool: a, header: x-limit, match: 'r=(?<remaining>\d+)(?:;u=(?<used>\d+))?'}`, "r=5", "a used -1 remaining 5 limit 0 exact false"},
		{`{pool: a, header: x-limit, match: 'r=(?<remaining>\d+)'}`, "u=5", ""},
		{`{pool: a, header: x-limit}, {pool: b, header: x-limit, exact: true}`, "5", "a used -1 remaining 5 limit 0 exact false; b used -1 remaining 5 limit 0 exact true"},
	} {
		r := reportsOf(t, c.report)
		if got := shown(r.fromHeaders(nil, http.Header{"X-Limit": {c.value}})); got != c.want {
			t.Errorf("%s %q: %s", c.report, c.value, got)
		}
		if got := r.fromHeaders(nil, http.Header{"Other": {"1"}}); got != nil {
			t.Errorf("%s without its header: %s", c.report, shown(got))
		}
	}
}

func TestReportsFromBodies(t *testing.T) {
	for _, c := range []struct{ report, body, want string }{
		{"{pool: a, json: '.extensions.cost.throttleStatus.currentlyAvailable', exact: true}", `{"extensions":{"cost":{"throttleStatus":{"currentlyAvailable":666}}}}`, "a used -1 remaining 666 limit 0 exact true"},
		{"{pool: a, json: '.x | {remaining: .left, limit: .max}'}", `{"x":{"left":"1,000","max":2000}}`, "a used -1 remaining 1000 limit 2000 exact false"},
		{"{pool: a, json: '{used: .n}'}", `{"n":5}`, "a used 5 remaining -1 limit 0 exact false"},
		{"{pool: a, json: '.x'}", `{}`, ""},
		{"{pool: a, json: '.x'}", `{"x":"text"}`, ""},
		{"{pool: a, json: '.x.y'}", `{"x":1}`, ""},
		{"{pool: a, json: '{limit: .x}'}", `{"x":1}`, ""},
		{"{pool: a, json: '$headers.x // .y'}", `{"y":1}`, "a used -1 remaining 1 limit 0 exact false"},
	} {
		r := reportsOf(t, c.report)
		value, err := mapping.Decode([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(r.fromBody(t.Context(), nil, mapping.Input{Value: value, Status: 200, Headers: map[string]any{}})); got != c.want {
			t.Errorf("%s %s: %s", c.report, c.body, got)
		}
	}
}

// Answers that are read for a report go through as they came, and only JSON is read.
func TestReportsLeaveAnswersAlone(t *testing.T) {
	large := `{"left":500,"text":"` + strings.Repeat("x", 3000) + `"}`
	var encoding, typ, body string
	hold := make(chan struct{})
	w := open(t, plan{system: "answer: 2KiB\nlimits: [{name: a, capacity: 1000, hold: 1h, pace: off}]\nreports: [{pool: a, json: .left}]", paths: at("GET", "/x", "x", "") + at("GET", "/y", "y", "call: {response: .left}") + at("HEAD", "/z", "z", "")},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", typ)
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			if r.URL.RawQuery == "slow" {
				io.WriteString(w, body)
				w.(http.Flusher).Flush()
				<-hold
				return
			}
			if r.URL.RawQuery == "broken" {
				w.Header().Set("Content-Length", "1000")
			}
			io.WriteString(w, body)
		}))
	for _, c := range []struct{ encoding, typ, body string }{
		{"", "application/json", `{"left":500}`},
		{"gzip", "application/json; charset=utf-8", zipped(`{"left":500}`)},
		{"gzip", "application/json", zipped(large)},
		{"br", "application/json", "whatever"},
		{"", "application/json", large},
		{"", "application/json", "not JSON"},
		{"", "text/plain", "text"},
		{"", "application/json", ""},
	} {
		encoding, typ, body = c.encoding, c.typ, c.body
		if r := w.send("GET", "/x", ""); r.StatusCode != 200 || r.text != c.body || r.Header.Get("Content-Encoding") != c.encoding {
			t.Errorf("%+v became %d %q", c, r.StatusCode, r.text)
		}
	}
	encoding, typ, body = "", "application/json", `{"left":500}`
	w.want(w.send("GET", "/y", ""), 200, "500")
	w.want(w.send("HEAD", "/z", ""), 200, "")
	w.want(w.send("GET", "/x?broken", ""), 502, "broke its answer off")
	// A stream of something else is not held back.
	typ = "text/event-stream"
	resp, err := client.RoundTrip(mustRequest(w.url + "/x?slow"))
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len(body))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != body {
		t.Errorf("%q %v", first, err)
	}
	close(hold)
	resp.Body.Close()
}

func mustRequest(url string) *http.Request {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	return r
}

func TestReportAndProbeProblems(t *testing.T) {
	const limits = "limits: [{name: calls, capacity: 1}]\n"
	for text, want := range map[string]string{
		"reports: [{header: x}]":                                   `systems/erp.yaml:3:11: reports[0]: the key "pool" is missing`,
		"reports: [{pool: cals, header: x}]":                       `systems/erp.yaml:3:18: reports[0].pool: there is no limit "cals"; did you mean "calls"?`,
		"reports: [{pool: calls}]":                                 `systems/erp.yaml:3:11: reports[0]: a report comes from a header or from json; give one of them`,
		"reports: [{pool: calls, header: x, json: .x}]":            `systems/erp.yaml:3:11: reports[0]: a report comes from a header or from json; give one of them`,
		"reports: [{pool: calls, header: a b}]":                    `systems/erp.yaml:3:33: reports[0].header: "a b" is not the name of a header`,
		`reports: [{pool: calls, header: x, match: '(\d+)'}]`:      `systems/erp.yaml:3:43: reports[0].match: the expression has no group for what is used or remains; name one, for example (?<remaining>\d+)`,
		`reports: [{pool: calls, header: x, match: '(?<left>.)'}]`: `systems/erp.yaml:3:43: reports[0].match: the expression has no group for what is used or remains; name one, for example (?<remaining>\d+)`,
		"reports: [{pool: calls, json: .x, match: x}]":             `systems/erp.yaml:3:42: reports[0].match: there is no header to be matched; give json an expression that gives the number`,
		"reports: [{pool: calls, json: '.a |'}]":                   `systems/erp.yaml:3:31: reports[0].json: is not a mapping: unexpected EOF (line 1, column 5 of the text)`,
		"probes: [{every: 5m, get: /x, pool: cals, capacity: .}]":  `systems/erp.yaml:3:37: probes[0].pool: there is no limit "cals"; did you mean "calls"?`,
		"probes: [{every: 5m, pool: calls, capacity: .}]":          `systems/erp.yaml:3:10: probes[0]: a probe has either get or call; give one of them`,
		"probes: [{every: 5m, get: x, pool: calls, capacity: .}]":  `systems/erp.yaml:3:27: probes[0].get: a path begins with /; for example /login`,
		"probes: [{every: 5m, get: /x, pool: calls}]":              `systems/erp.yaml:3:10: probes[0]: nothing says what the answer tells; give at least one of capacity, remaining and used`,
		"probes: [{every: 5ms, get: /x, pool: calls, used: .}]":    `systems/erp.yaml:3:18: probes[0].every: 5ms is too short; the least is 1s`,
		"probes: [{get: /x, pool: calls, used: .}]":                `systems/erp.yaml:3:10: probes[0]: the key "every" is missing`,
		"probes: [{every: 5m, get: /x, pool: calls, used: '('}]":   `systems/erp.yaml:3:50: probes[0].used: is not a mapping: unexpected EOF (line 1, column 2 of the text)`,
		"overload: [{match: x, hint: a b}]":                        `systems/erp.yaml:3:29: overload[0].hint: "a b" is not the name of a header`,
		"overload: [{match: x, hint_unit: h}]":                     `systems/erp.yaml:3:34: overload[0].hint_unit: "h" is not known here; did you mean "s"?`,
		"overload: [{match: x, hint_json: '('}]":                   `systems/erp.yaml:3:34: overload[0].hint_json: is not a mapping: unexpected EOF (line 1, column 2 of the text)`,
		"overload: [{fault: '('}]":                                 "systems/erp.yaml:3:20: overload[0].fault: \"(\" is not valid here; error parsing regexp: missing closing ): `(`",
	} {
		if got := problems(t, plan{system: limits + text, paths: at("GET", "/x", "x", "")}); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, want)
		}
	}
	got := problems(t, plan{system: "limits: [{name: a, capacity: 1, hold: 1h, cost: {by: value, request: '('}}]", paths: at("GET", "/x", "x", "")})
	if !strings.Contains(got, "limits[0].cost.request: is not a mapping: unexpected EOF") {
		t.Error(got)
	}
}
