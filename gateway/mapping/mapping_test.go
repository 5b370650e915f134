package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func compile(t testing.TB, text string) *Mapping {
	t.Helper()
	m, err := Compile("test", text, DefaultLimits)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := Decode([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestRun(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC)
	for _, c := range []struct{ text, input, want string }{
		// What passes through keeps its digits.
		{`.`, `12345678901234567890`, `12345678901234567890`},
		{`.`, `0.10`, `0.10`},
		{`.`, `1e2`, `1e2`},
		{`.a`, `{"a": -0.0}`, `-0.0`},
		{`{price: .p, list: [.p, .q]}`, `{"p": 10.00, "q": 123456789012345678.901234567890}`, `{"list":[10.00,123456789012345678.901234567890],"price":10.00}`},
		{`with_entries(select(.value != null))`, `{"a": 1.50, "b": null}`, `{"a":1.50}`},
		{`{__class__: "Decimal", decimal: (.p | tostring)}`, `{"p": 0.10}`, `{"__class__":"Decimal","decimal":"0.10"}`},
		{`.p | todecimal`, `{"p": "12345678901234567.890"}`, `12345678901234567.890`},
		{`todecimal`, `1.0`, `1.0`},
		{`.p | tonumber`, `{"p": "6.0100"}`, `6.01`},
		{`map(.a) | sort`, `[{"a": 10}, {"a": 2.0}, {"a": 1e1}]`, `[2.0,10,1e1]`},
		{`.a + 1`, `{"a": 12345678901234567890}`, `12345678901234567891`},
		{`.[0] * 3`, `[0.5]`, `1.5`},
		{`[.[] | select(. == 10)] | length`, `[10, 10.0, 1e1]`, `3`},
		// Variables.
		{`[$app, $status, $session.company, $request.path.id, $headers.location]`, `null`, `["shop",201,7,"a/b","/x"]`},
		{`now`, `null`, `1795422600`},
		{`now | todate`, `null`, `"2026-11-23T08:30:00Z"`},
		{`def now: 3; now`, `null`, `3`},
		{`{$app}`, `null`, `{"app":"shop"}`},
		// The keys stand sorted, and text is escaped as JSON wants it.
		{`{b: 1, a: "\"\\\u0001ü\n\t\r<>&\u2028"}`, `null`, `{"a":"\"\\\u0001ü\n\t\r<>&` + "\u2028" + `","b":1}`},
		{`.`, `"\ud800"`, `"` + "\ufffd" + `"`},
		{`empty // 5`, `null`, `5`},
		{`1e-7, empty`, `null`, `1e-07`},
		{`1e300 * 10`, `null`, `1e+301`},
		{`.`, ``, `null`},
	} {
		got, err := compile(t, c.text).JSON(t.Context(), Input{
			Value: decode(t, c.input), App: "shop", Status: 201, Now: now,
			Session: decode(t, `{"company": 7}`), Request: decode(t, `{"path": {"id": "a/b"}}`), Headers: decode(t, `{"location": "/x"}`),
		})
		if err != nil || string(got) != c.want {
			t.Errorf("%s of %s: %s, %v; want %s", c.text, c.input, got, err, c.want)
		}
	}
}

func TestAbsentValuesAreNull(t *testing.T) {
	got, err := compile(t, `[., $request, $session, $app, $status, $headers]`).JSON(t.Context(), Input{})
	if err != nil || string(got) != `[null,null,null,null,null,null]` {
		t.Errorf("%s %v", got, err)
	}
}

func TestFurtherVariables(t *testing.T) {
	m, err := Compile("login", `[$username, $password]`, DefaultLimits, "$username", "$password")
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.JSON(t.Context(), Input{More: []any{"u", "p"}})
	if err != nil || string(got) != `["u","p"]` {
		t.Errorf("%s %v", got, err)
	}
	if _, err := m.Value(t.Context(), Input{}); err == nil {
		t.Error("a missing value is not noticed")
	}
}

func TestFailures(t *testing.T) {
	for text, want := range map[string]string{
		`empty`:                                 "gives no value",
		`1, 2`:                                  "more than one value",
		`1, error("x")`:                         "x",
		`.a`:                                    "expected an object",
		`def f: f; f`:                           "too long",
		`[range(1e9)]`:                          "too long",
		`"0123456789" * 200000`:                 "too large",
		`[range(100) | "x" * 20000]`:            "too large",
		`nan`:                                   "JSON cannot hold",
		`infinite`:                              "JSON cannot hold",
		`reduce range(10001) as $i (null; [.])`: "too deep",
		`reduce range(10001) as $i (null; {a: .})`: "too deep",
		`"1x" | todecimal`:                         "todecimal",
		`"1e9999" | todecimal`:                     "todecimal",
		`"" | todecimal`:                           "todecimal",
		`{} | todecimal`:                           "todecimal",
	} {
		m, err := Compile("orders.jq", text, Limits{Time: 150 * time.Millisecond, Output: 1 << 20})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		started := time.Now()
		got, err := m.JSON(t.Context(), Input{Value: "text"})
		e, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "mapping orders.jq: ") {
			t.Errorf("%s: %.100s, %v; want %s", text, got, err, want)
		} else if e.Mapping != "orders.jq" {
			t.Errorf("%s: named %q", text, e.Mapping)
		}
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("%s: took %v", text, took)
		}
	}
}

// TestNoData: an error can be logged, whatever was mapped.
func TestNoData(t *testing.T) {
	for text, want := range map[string]string{
		`.x`:                            "expected an object but got: string",
		`.[]`:                           "cannot iterate over: string",
		`tonumber`:                      "tonumber cannot be applied to",
		`fromjson`:                      "fromjson cannot be applied to",
		`todecimal`:                     "todecimal cannot be applied to",
		`. + 1`:                         "cannot add: string",
		`{a: .} | .[0]`:                 "expected an array but got: object",
		`[.] | .a`:                      "expected an object but got: array",
		`[.] | implode`:                 "implode cannot be applied to",
		`. * 1e9`:                       "repeat string result too large",
		`{(1 | tostring): .} | keys[.]`: "",
		`"x" | test(1; "SECRET")`:       "",
		`"x" | test("(SECRET")`:         "",
		`{a: .} | @csv`:                 "",
		`[[.]] | @csv`:                  "",
		`strptime("%Y")`:                "",
		`error`:                         "SECRET", // the mapping's own words
	} {
		m, err := Compile("orders.jq", text, Limits{Time: 150 * time.Millisecond, Output: 1 << 20})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		_, err = m.JSON(t.Context(), Input{Value: "SECRET, in a text that is longer than what gojq quotes"})
		if err == nil || !strings.Contains(err.Error(), want) || want != "SECRET" && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

func TestSaid(t *testing.T) {
	for text, said := range map[string]string{
		`error("at most 99 lines")`: "at most 99 lines",
		`error({code: 5})`:          "",
		`error(null)`:               "",
		`.secret.x`:                 "",
	} {
		_, err := compile(t, text).Value(t.Context(), Input{Value: decode(t, `{"secret": "s3cr3t"}`)})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Said != said {
			t.Errorf("%s: said %v", text, err)
		}
	}
}

// A caller that has left is not a mapping that is too slow.
func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := compile(t, `def f: f; f`).Value(ctx, Input{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A short mapping is not stopped because the machine was busy, but a long one is,
// and so is one whose few instructions take very long.
func TestStopwatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			asked uint
			late  time.Duration
			over  bool
		}{{255, 100 * time.Second, false}, {256, 500 * time.Millisecond, false}, {256, 2 * time.Second, true}, {few, time.Millisecond, true}, {few, -time.Millisecond, false}} {
			s := &stopwatch{Context: t.Context(), end: time.Now().Add(-c.late), limit: 100 * time.Millisecond, asked: c.asked - 1}
			select {
			case <-s.Done():
				if !c.over || s.Err() == nil {
					t.Errorf("%+v is over", c)
				}
			default:
				if c.over || s.Err() != nil {
					t.Errorf("%+v is not over", c)
				}
			}
		}
	})
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`"a b"`: "a b true <nil>", `0.10 | .`: "0.1 true <nil>", `.`: "0.10 true <nil>", `true`: "true true <nil>", `null`: " false <nil>",
	} {
		got, ok, err := compile(t, text).Text(t.Context(), Input{Value: json.Number("0.10")})
		if s := fmt.Sprint(got, " ", ok, " ", err); s != want {
			t.Errorf("%s: %s; want %s", text, s, want)
		}
	}
	for _, text := range []string{`[1]`, `{}`} {
		if _, _, err := compile(t, text).Text(t.Context(), Input{}); err == nil || !strings.Contains(err.Error(), "where a text is needed") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{`true`: true, `0`: true, `""`: true, `false`: false, `null`: false, `.state == "draft"`: true} {
		if got, err := compile(t, text).Is(t.Context(), Input{Value: decode(t, `{"state":"draft"}`)}); got != want || err != nil {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	if got, err := compile(t, `error("x")`).Is(t.Context(), Input{}); got || err == nil {
		t.Error("an error is true")
	}
}

func TestAny(t *testing.T) {
	isX := func(v any) bool { return v == "x" }
	for text, want := range map[string]bool{
		`.[]?.a`: true, `.[0].a`: false, `empty`: false, `error("x")`: false, `"y", error("no"), "x"`: false, `"x", error("no")`: true, `def f: f; f`: false,
	} {
		if got := compile(t, text).Any(t.Context(), Input{Value: decode(t, `[{"a":"y"},{"a":"x"}]`)}, isX); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	panics := func(any) bool { panic("no") }
	if compile(t, `.`).Any(t.Context(), Input{}, panics) {
		t.Error("a panic is true")
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		value any
		n     int
		ok    bool
	}{
		{3, 3, true}, {json.Number("404"), 404, true}, {float64(7), 7, true}, {7.5, 7, false}, {"7", 0, false}, {nil, 0, false}, {json.Number("1.5"), 0, false},
	} {
		if n, ok := Number(c.value); ok != c.ok || ok && n != c.n {
			t.Errorf("%v: %v %v", c.value, n, ok)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`: "not JSON", `{"a":1} x`: "after the value", `{"a":1}{}`: "after the value", `NaN`: "not JSON", `01`: "after the value",
		`{"a":[` + strings.Repeat("1", 1001) + `]}`: "1001 characters",
		strings.Repeat("[", 20000):                  "not JSON",
	} {
		if v, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, %v", text, v, err)
		}
	}
}

// The same compiled mapping and the same session serve many requests at once;
// nothing that a mapping does may change what the others see.
func TestConcurrent(t *testing.T) {
	m := compile(t, `($session | .lines[0].n = $status | .lines += [{n: 1}] | .extra |= (. // 0) + 1 | del(.gone) | .map.a |= test("^x")) + {c: {d: {e: [1, {f: 2}]}}} | del(.c.x, .gone)`)
	session := decode(t, `{"lines": [{"n": 0}], "gone": 1, "map": {"a": "xyz"}}`)
	before, _ := AppendJSON(nil, session, 1<<20)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 50 {
				got, err := m.JSON(t.Context(), Input{Session: session, Status: 100 + i})
				want := fmt.Sprintf(`{"c":{"d":{"e":[1,{"f":2}]}},"extra":1,"lines":[{"n":%d},{"n":1}],"map":{"a":true}}`, 100+i)
				if err != nil || string(got) != want {
					t.Errorf("%s %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if after, _ := AppendJSON(nil, session, 1<<20); string(after) != string(before) {
		t.Errorf("the session became %s", after)
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.50,"x\u00e9\n"],"b":null}`, `"\ud83d\ude00"`, `[1e400,-0]`, `{"":{}}`} {
		f.Add([]byte(seed))
	}
	identity := compile(f, ".")
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := Decode(data)
		if err != nil {
			return
		}
		out, err := identity.JSON(t.Context(), Input{Value: value})
		if err != nil {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q", data, out)
		}
		again, err := Decode(out)
		if where, same := equal("", again, value); err != nil || !same {
			t.Fatalf("%q became %q: %v %s", data, out, err, where)
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`.a|.b`, `{a: $request.path.id, b: [.[]|select(.x)]}`, `reduce .[] as [$a,{b:$c}] (0;.+$a)`, `"\(.a)\t" | @base64 "x\(.)"`, `def f(g): g|f(g); try error("x") catch .`, `import "a" as b; .`} {
		f.Add(seed)
	}
	input := decode(f, `{"a":[1,2,{"b":"c"}],"x":"y"}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Compile("fuzz", text, Limits{Time: 20 * time.Millisecond, Output: 1 << 16})
		if err != nil {
			if e, ok := errors.AsType[*SyntaxError](err); !ok || e.Line < 1 || e.Column < 1 || e.Line > 1+strings.Count(text, "\n") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		with, errWith := m.JSON(t.Context(), Input{Value: input})
		if !m.NeedsInput() {
			without, errWithout := m.JSON(t.Context(), Input{Value: "something else"})
			if string(with) != string(without) && errWith == nil && errWithout == nil {
				t.Fatalf("%q uses its input: %s and %s", text, with, without)
			}
		}
	})
}
