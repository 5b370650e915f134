package schema_test

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/specs/schema"
)

func TestSyntax(t *testing.T) {
	s := schema.NewSet(nil, noNode).Any()
	for text, want := range map[string]string{
		``:                         "line 1, column 1 (byte 0): expected a JSON value, found nothing",
		"  \n":                     "line 2, column 1 (byte 3): expected a JSON value, found nothing",
		`{"a": }`:                  "line 1, column 7 (byte 6): expected a value",
		"{\n \"a\": 1\n \"b\": 2}": "line 3, column 2 (byte 11): expected , or } in an object",
		`{"a" 1}`:                  "line 1, column 6 (byte 5): expected : after a property name",
		`{a: 1}`:                   "line 1, column 2 (byte 1): expected a property name in quotes",
		`{"a": 1,}`:                "line 1, column 9 (byte 8): expected a property name in quotes",
		`{"a": 1`:                  "line 1, column 8 (byte 7): expected , or } in an object, found the end of the text",
		`{`:                        "line 1, column 2 (byte 1): expected a property name in quotes",
		`[1,]`:                     "line 1, column 4 (byte 3): expected a value",
		`[1 2]`:                    "line 1, column 4 (byte 3): expected , or ] in an array",
		`[1`:                       "line 1, column 3 (byte 2): expected , or ] in an array, found the end of the text",
		`[`:                        "line 1, column 2 (byte 1): expected a value, found the end of the text",
		`1 2`:                      "line 1, column 3 (byte 2): expected the end of the text after the value",
		`01`:                       "line 1, column 1 (byte 0): a number must not start with a superfluous zero",
		`-`:                        "line 1, column 2 (byte 1): expected a digit in a number",
		`-01`:                      "line 1, column 1 (byte 0): a number must not start with a superfluous zero",
		`1.`:                       "line 1, column 3 (byte 2): expected a digit in a number",
		`1e`:                       "line 1, column 3 (byte 2): expected a digit in a number",
		`1e+`:                      "line 1, column 4 (byte 3): expected a digit in a number",
		`.5`:                       "line 1, column 1 (byte 0): expected a value",
		`+1`:                       "line 1, column 1 (byte 0): expected a value",
		`tru`:                      "line 1, column 1 (byte 0): expected a value",
		`nul1`:                     "line 1, column 1 (byte 0): expected a value",
		`NaN`:                      "line 1, column 1 (byte 0): expected a value",
		`"abc`:                     "line 1, column 5 (byte 4): a string is not closed",
		`"abc\`:                    "line 1, column 5 (byte 4): a string is not closed",
		`"a\x"`:                    "line 1, column 3 (byte 2): an escape in a string is not known",
		`"\u12"`:                   `line 1, column 2 (byte 1): \u must be followed by four hexadecimal digits`,
		`"\ud800"`:                 "line 1, column 2 (byte 1): half of a surrogate pair is not a character",
		`"\ud800\ud800"`:           "line 1, column 2 (byte 1): half of a surrogate pair is not a character",
		`"\udc00"`:                 "line 1, column 2 (byte 1): half of a surrogate pair is not a character",
		"\"a\nb\"":                 "line 1, column 3 (byte 2): a control character in a string must be escaped",
		"\"0123456789\x01\"":       "line 1, column 12 (byte 11): a control character in a string must be escaped",
		"\"\xff\"":                 "line 1, column 2 (byte 1): the text is not valid UTF-8",
		"\xef\xbb\xbf{}":           "line 1, column 1 (byte 0): expected a value",
		`{"a":1}}`:                 "line 1, column 8 (byte 7): expected the end of the text after the value",
		strings.Repeat("[", 101) + strings.Repeat("]", 101): "line 1, column 101 (byte 100): nested deeper than 100 levels",
	} {
		_, err := s.Check([]byte(text), schema.Neither)
		if err == nil || err.Error() != want {
			t.Errorf("%q\n got %v\nwant %s", text, err, want)
		}
	}
	for _, text := range []string{` { } `, `[]`, "\t[\n1 ,\r2]", `"\u00e9\ud83d\ude00\\\/\b\f\n\r\t\""`, `-0.0e-0`, `1E5`, `{"":1}`,
		strings.Repeat("[", 100) + strings.Repeat("]", 100), `"` + strings.Repeat("é", 100) + `"`, `"12345678\""`} {
		if got := check(t, s, text, schema.Neither); got != "" {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestRepeatedProperties(t *testing.T) {
	s := compile(t, "3.0.3", `{"S": {"properties": {"a": {"type": "integer"}}}}`)
	var many strings.Builder
	for i := range 40 {
		many.WriteString(`"p` + strings.Repeat("x", i) + `": 1, `)
	}
	const twice = ": the property appears twice in its object"
	for text, want := range map[string]string{
		`{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]}`: "",
		`{"a": 1, "a": "x"}`:                                     "/a" + twice,
		`{"a": 1, "\u0061": 1}`:                                  "/a" + twice,
		`{"\u0061": 1, "x": {"b": 1, "b": 1}, "a": 1}`:           "/x/b" + twice + "\n/a" + twice,
		`[{"a": 1, "c": {"d": 1, "e": 1}, "d": 1, "c": 1}]`:      "/0/c" + twice,
		`{` + many.String() + `"pxx": 1}`:                        "/pxx" + twice,
		`{` + many.String() + `"q": {"a":1, "a":1}, "\u0070":1}`: "/q/a" + twice + "\n/p" + twice,
		`{` + many.String() + `"q": 1}`:                          "",
	} {
		if got := check(t, s, text, schema.Neither); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}
