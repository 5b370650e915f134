package mapping

import (
	"errors"
	"testing"
)

func TestCompileProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: missing query (try \".\")"},
		{".a |", "1:5: unexpected EOF"},
		{".a\n| .b )", "2:6: unexpected token \")\""},
		{"{a: 1,\n  b c}", "2:5: unexpected token \"c\""},
		{"\"ü\" | foo", "1:7: there is no function foo with 0 arguments"},
		{".a | map(.b) |\n  # missing(1)\n  missing(1; 2)", "3:3: there is no function missing with 2 arguments"},
		{"{a: $reqest.path.id}", "1:5: there is no variable $reqest; the variables are $request, $session, $app, $status, $headers"},
		{"$__now", ""},
		{"$ENV.HOME", "1:1: $ENV cannot be used in a mapping"},
		{".x | env.PATH", "1:6: env cannot be used in a mapping"},
		{"[.env, .input, {now: .debug}, \"env\"]", ""},
		{"input", "1:1: input cannot be used in a mapping"},
		{"[inputs]", "1:2: inputs cannot be used in a mapping"},
		{". | debug", "1:5: debug cannot be used in a mapping"},
		{"debug(\"x\")", "1:1: debug cannot be used in a mapping"},
		{"input_filename", "1:1: input_filename cannot be used in a mapping"},
		{"if .a then halt else . end", "1:12: halt cannot be used in a mapping; write error(\"why\")"},
		{"\"x\" | halt_error", "1:7: halt_error cannot be used in a mapping; write error(\"why\")"},
		{"now | localtime", "1:7: localtime cannot be used in a mapping; write gmtime; the time zone is UTC everywhere"},
		{"\"\\(env)\"", "1:4: env cannot be used in a mapping"},
		{"import \"a\" as a; .", "1:1: a mapping cannot use other modules"},
		{"include \"a\"; .", "1:1: a mapping cannot use other modules"},
		{"\"abc", "1:5: unterminated string literal"},
	} {
		_, err := Compile("x.jq", c.text, DefaultLimits)
		got := ""
		if err != nil {
			got = err.Error()
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Errorf("%q: %T", c.text, err)
			}
		}
		if got != c.want {
			t.Errorf("%q: %s; want %s", c.text, got, c.want)
		}
	}
}

func TestUses(t *testing.T) {
	for _, c := range []struct {
		text                     string
		input, request, withBody bool
	}{
		{`$request.query.limit // 50`, false, true, false},
		{`"1000"`, false, false, false},
		{`$request.path.id | tonumber`, false, true, false},
		{`"\($request.headers["x-a"])-\($app)"`, false, true, false},
		{`[[$request.path.id|tonumber], ["a"], $session]`, false, true, false},
		{`{a: $app, $status, "b": [1, -2], (if $app then "c" else "d" end): now}`, false, false, false},
		{`$request.query as $q | [$q.a, $q.b]`, false, true, false},
		{`.a`, true, false, true}, {`.`, true, false, true}, {`{a}`, true, false, true}, {`{"a"}`, true, false, true}, {`..`, true, false, true},
		{`[.[] | $app]`, true, false, true}, {`"\(.a)"`, true, false, true}, {`$session[.a]`, true, false, true},
		{`$app as $x | .`, true, false, true}, {`def f: .; f`, true, false, true}, {`length`, true, false, true},
		{`if $app then 1 end`, true, false, true}, {`if .a then 1 else 2 end`, true, false, true},
		{`reduce .[] as $x (0; . + $x)`, true, false, true}, {`@base64`, true, false, true}, {`@base64 "\($app)"`, false, false, false},
		{`$request.body.a`, false, true, true}, {`$request["body"]`, false, true, true}, {`$request | .body`, false, true, true}, {`{$request}`, false, true, true},
		{`1, .`, true, false, true}, {`1 | .`, false, false, false}, {`$app // .`, true, false, true}, {`-.a`, true, false, true},
		{`try .a`, true, false, true}, {`label $x | 1`, true, false, true}, {`. as [$a] | 1`, true, false, true}, {`empty`, false, false, false},
	} {
		m := compile(t, c.text)
		if m.NeedsInput() != c.input || m.NeedsRequest() != c.request || m.NeedsBody() != c.withBody {
			t.Errorf("%s: input %v, request %v, body %v", c.text, m.NeedsInput(), m.NeedsRequest(), m.NeedsBody())
		}
	}
}
