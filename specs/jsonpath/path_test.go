package jsonpath

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// store is the document of section 1.5 of RFC 9535.
const store = `{"store": {"book": [
 {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95},
 {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
 {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553-21311-3", "price": 8.99},
 {"category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings", "isbn": "0-395-19395-8", "price": 22.99}],
 "bicycle": {"color": "red", "price": 399}}}`

// comparisons is the document of table 11 of RFC 9535, logic the one of section 2.3.5.3.
const (
	comparisons = `{"obj": {"x": "y"}, "arr": [2, 3]}`
	logic       = `{"a": [3, 5, 1, 2, 4, 6, {"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}], "o": {"p": 1, "q": 2, "r": 3, "s": 5, "t": {"u": 6}}, "e": "f"}`
)

func selectJSON(t testing.TB, document, path string) string {
	t.Helper()
	var ps source.Problems
	root := source.Parse("f", []byte(document), source.DefaultLimits, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := Parse(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	matches, err := p.Select(root.YAML(), 100_000)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var out []string
	for _, m := range matches {
		if m.Parent != nil && m.Parent.Content[m.Index] != m.Node {
			t.Errorf("%s: a match does not hang where it says", path)
		}
		out = append(out, string(source.Wrap("", m.Node).AppendJSON(nil)))
	}
	return strings.Join(out, " ")
}

func TestSelect(t *testing.T) {
	list := `["a","b","c","d","e","f","g"]`
	for _, c := range []struct{ document, path, want string }{
		{`{"k":1}`, `$`, `{"k":1}`},
		{store, `$.store.book[*].author`, `"Nigel Rees" "Evelyn Waugh" "Herman Melville" "J. R. R. Tolkien"`},
		{store, `$..author`, `"Nigel Rees" "Evelyn Waugh" "Herman Melville" "J. R. R. Tolkien"`},
		{store, `$.store..price`, `8.95 12.99 8.99 22.99 399`},
		{store, `$..book[2].title`, `"Moby Dick"`},
		{store, `$..book[-1].title`, `"The Lord of the Rings"`},
		{store, `$..book[0,1]['title']`, `"Sayings of the Century" "Sword of Honour"`},
		{store, `$..book[:2].price`, `8.95 12.99`},
		{store, `$..book[?@.isbn].title`, `"Moby Dick" "The Lord of the Rings"`},
		{store, `$..book[?@.price<10].title`, `"Sayings of the Century" "Moby Dick"`},
		{store, `$.store.bicycle[?@ == 'red']`, `"red"`},
		{`{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}`, `$.o['j j']`, `{"k.k":3}`},
		{`{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}`, `$.o["j j"]["k.k"]`, `3`},
		{`{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}`, `$["'"]["@"]`, `2`},
		{`{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}`, `$['\'']['@']`, `2`},
		{`{"/orders('{id}')": {"get": 1}}`, `$['/orders(\'{id}\')'].get`, `1`},
		{`{"é☺": 1, "_x9": 2}`, `$.é☺`, `1`},
		{`{"é☺": 1, "_x9": 2}`, `$._x9`, `2`},
		{`{"☺": 1, "😀": 2}`, `$["\u263A", '\ud83d\uDE00']`, `1 2`},
		{`{"a\nb": 1, "\u0008\f\r\t/\\\"'": 2}`, `$["a\nb", "\b\f\r\t\/\\\"'"]`, `1 2`},
		{`{"a": null}`, `$.a`, `null`},
		{`{"a": null}`, `$.a[0]`, ``},
		{list, `$[1:3]`, `"b" "c"`},
		{list, `$[5:]`, `"f" "g"`},
		{list, `$[1:5:2]`, `"b" "d"`},
		{list, `$[5:1:-2]`, `"f" "d"`},
		{list, `$[::-1]`, `"g" "f" "e" "d" "c" "b" "a"`},
		{list, `$[::0]`, ``},
		{list, `$[-2:]`, `"f" "g"`},
		{list, `$[:-5]`, `"a" "b"`},
		{list, `$[-100:100:3]`, `"a" "d" "g"`},
		{list, `$[100:-100:-3]`, `"g" "d" "a"`},
		{list, `$[3:3]`, ``},
		{list, `$[9007199254740991:]`, ``},
		{list, `$[ 0 , -1 , 0 , 'x' , 1 : 2 ]`, `"a" "g" "a" "b"`},
		{list, `$[7]`, ``},
		{list, `$[-8]`, ``},
		{list, `$ [0]`, `"a"`},
		{list, "$\n[\t0\r]", `"a"`},
		{`{"a":{"b":1}}`, "$ .a\n.b", `1`},
		{`{"a":[1,{"a":2}]}`, `$..[0]`, `1`},
		{`{"a":[1,{"a":2}]}`, `$..*`, `[1,{"a":2}] 1 {"a":2} 2`},
		{`{"a":[1,{"a":2}]}`, `$..['a',0]`, `[1,{"a":2}] 1 2`},
		{`{"a":[1]}`, `$.a.b`, ``},
		{`{"a":[1]}`, `$[0]`, ``},

		{logic, `$.a[?@.b == 'kilo']`, `{"b":"kilo"}`},
		{logic, `$.a[?(@.b == 'kilo')]`, `{"b":"kilo"}`},
		{logic, `$.a[?@>3.5]`, `5 4 6`},
		{logic, `$.a[?@.b]`, `{"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}`},
		{logic, `$[?@.*]`, `[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}] {"p":1,"q":2,"r":3,"s":5,"t":{"u":6}}`},
		{logic, `$[?@[?@.b]]`, `[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}]`},
		{logic, `$.o[?@<3, ?@<3]`, `1 2 1 2`},
		{logic, `$.a[?@<2 || @.b == "k"]`, `1 {"b":"k"}`},
		{logic, `$.a[?match(@.b, "[jk]")]`, `{"b":"j"} {"b":"k"}`},
		{logic, `$.a[?search(@.b, "[jk]")]`, `{"b":"j"} {"b":"k"} {"b":"kilo"}`},
		{logic, `$.o[?@>1 && @<4]`, `2 3`},
		{logic, `$.o[?@.u || @.x]`, `{"u":6}`},
		{logic, `$.a[?@.b == $.x]`, `3 5 1 2 4 6`},
		{logic, `$.a[?@ == @]`, `3 5 1 2 4 6 {"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}`},
		{logic, `$.a[?!@.b && !(@ > 2)]`, `1 2`},
		{logic, `$.a[? ! ( @.b || @ > 2 ) || @ == 6]`, `1 2 6`},
		{logic, `$.a[?@.b != 'k' && @.b]`, `{"b":"j"} {"b":{}} {"b":"kilo"}`},
		{`[{"a":1.0},{"a":1},{"a":"1"},{"a":100}]`, `$[?@.a==1]`, `{"a":1.0} {"a":1}`},
		{`[{"a":1.0},{"a":1},{"a":"1"},{"a":100}]`, `$[?@.a==1e2]`, `{"a":100}`},
		{`[{"a":0},{"a":-0}]`, `$[?@.a==-0]`, `{"a":0} {"a":-0}`},
		{`[true,false,null,"x"]`, `$[?@ == true || @ == null]`, `true null`},
		{`[true,false,null,"x"]`, `$[?@ <= true]`, `true`},
		{`["a","b","c"]`, `$[?@ >= 'b']`, `"b" "c"`},
		{`[1,[1],{"x":1}]`, `$[?@ < 2]`, `1`},

		{`["abc","☺☺",[1,2],{"a":1},5]`, `$[?length(@) == 2]`, `"☺☺" [1,2]`},
		{`["abc",5]`, `$[?length(@) < 9]`, `"abc"`},
		{`[{"c":[1,2]},{"c":[1]},{}]`, `$[?count(@.c[*]) >= 1]`, `{"c":[1,2]} {"c":[1]}`},
		{`[{"c":[1,2]},{"c":[1]},{}]`, `$[?count(@..*) == 0]`, `{}`},
		{`[{"c":[1,2]},{"c":[1]},{}]`, `$[?value(@.c[*]) == 1]`, `{"c":[1]}`},
		{`["ab","a\nb","axb"]`, `$[?match(@, 'a.b')]`, `"axb"`},
		{`["ab","a.b","axb"]`, `$[?match(@, 'a[.]b')]`, `"a.b"`},
		{`["ab","a.b","axb"]`, `$[?match(@, 'a\\.b')]`, `"a.b"`},
		{`["x[","y"]`, `$[?search(@, '[')]`, ``},
		{`[{"p":"a.*","t":"abc"},{"p":5,"t":"abc"}]`, `$[?match(@.t, @.p)]`, `{"p":"a.*","t":"abc"}`},
		{`[{"a":"x"}]`, `$[?length(value(@.*)) == 1]`, `{"a":"x"}`},
		{`{"x-a":{"b":1}}`, `$['x-a'].b`, `1`},
	} {
		if got := selectJSON(t, c.document, c.path); got != c.want {
			t.Errorf("%s of %s\ngot  %s\nwant %s", c.path, c.document, got, c.want)
		}
	}
}

// Table 11 of RFC 9535.
func TestComparisons(t *testing.T) {
	for expression, want := range map[string]bool{
		`$.absent1 == $.absent2`: true, `$.absent1 <= $.absent2`: true, `$.absent == 'g'`: false, `$.absent1 != $.absent2`: false, `$.absent != 'g'`: true,
		`1 <= 2`: true, `1 > 2`: false, `13 == '13'`: false, `'a' <= 'b'`: true, `'a' > 'b'`: false,
		`$.obj == $.arr`: false, `$.obj != $.arr`: true, `$.obj == $.obj`: true, `$.obj != $.obj`: false, `$.arr == $.arr`: true, `$.arr != $.arr`: false,
		`$.obj == 17`: false, `$.obj != 17`: true, `$.obj <= $.arr`: false, `$.obj < $.arr`: false, `$.obj <= $.obj`: true, `$.arr <= $.arr`: true,
		`1 <= $.arr`: false, `1 >= $.arr`: false, `1 > $.arr`: false, `1 < $.arr`: false, `true <= true`: true, `true > true`: false,
	} {
		if got := selectJSON(t, comparisons, "$[?"+expression+"]") != ""; got != want {
			t.Errorf("%s is %v", expression, got)
		}
	}
	if got := selectJSON(t, `[{"a":{"x":1,"y":[2]},"b":{"y":[2.0],"x":1}},{"a":{"x":1},"b":{"x":1,"z":2}},{"a":[1,2],"b":[2,1]}]`, `$[?@.a==@.b]`); got != `{"a":{"x":1,"y":[2]},"b":{"y":[2.0],"x":1}}` {
		t.Errorf("deep equality: got %s", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for path, want := range map[string]string{
		``:                               "at character 1: a path begins with $",
		`store`:                          "at character 1: a path begins with $",
		` $`:                             "at character 1: a path begins with $",
		`$ `:                             "at character 2: expected a segment such as .name or ['name']",
		`$.a `:                           "at character 4: expected a segment such as .name or ['name']",
		`$a`:                             "at character 2: expected a segment such as .name or ['name']",
		`$.`:                             "at character 3: expected a name, * or [; other names go in ['…']",
		`$..`:                            "at character 4: expected a name, * or [; other names go in ['…']",
		`$. a`:                           "at character 3: expected a name, * or [; other names go in ['…']",
		`$.1`:                            "at character 3: expected a name, * or [; other names go in ['…']",
		`$.x-headrace`:                   "at character 4: expected a segment such as .name or ['name']",
		`$.☺&`:                           "at character 4: expected a segment such as .name or ['name']",
		`$...a`:                          "at character 4: expected a name, * or [; other names go in ['…']",
		`$[]`:                            "at character 3: expected a name in quotes, an index, a slice, * or a filter ?…",
		`$[a]`:                           "at character 3: expected a name in quotes, an index, a slice, * or a filter ?…",
		`$[0`:                            "at character 4: expected , or ]",
		`$[0 1]`:                         "at character 5: expected , or ]",
		`$[0,]`:                          "at character 5: expected a name in quotes, an index, a slice, * or a filter ?…",
		`$[01]`:                          "at character 3: expected an integer without leading zeros, between -2^53 and 2^53",
		`$[-0]`:                          "at character 3: expected an integer without leading zeros, between -2^53 and 2^53",
		`$[-]`:                           "at character 3: expected an integer without leading zeros, between -2^53 and 2^53",
		`$[9007199254740992]`:            "at character 3: expected an integer without leading zeros, between -2^53 and 2^53",
		`$[1:-01]`:                       "at character 5: expected an integer without leading zeros, between -2^53 and 2^53",
		`$[1.5]`:                         "at character 4: expected , or ]",
		`$[1:2:3:4]`:                     "at character 8: expected , or ]",
		`$['a]`:                          "at character 6: the closing quote is missing",
		`$["a']`:                         "at character 7: the closing quote is missing",
		`$['\"']`:                        "at character 5: unknown escape",
		`$["\'"]`:                        "at character 5: unknown escape",
		`$["\x41"]`:                      "at character 5: unknown escape",
		`$["\u12g4"]`:                    "at character 5: expected four hexadecimal digits",
		`$["\u12`:                        "at character 5: expected four hexadecimal digits",
		`$["\ud800"]`:                    "at character 10: half of a surrogate pair",
		`$["\udc00\ud800"]`:              "at character 10: half of a surrogate pair",
		"$['a\tb']":                      "at character 5: control characters have to be escaped",
		`$[?]`:                           "at character 4: expected @, $, a literal or a function",
		`$[?@.a==]`:                      "at character 9: expected @, $, a literal or a function",
		`$[?@.a=1]`:                      "at character 7: expected , or ]",
		`$[?@.a==1 &&]`:                  "at character 13: expected @, $, a literal or a function",
		`$[?@.a===1]`:                    "at character 9: expected @, $, a literal or a function",
		`$[?(@.a]`:                       "at character 8: expected )",
		`$[?1]`:                          "at character 4: expected a comparison; a value alone is neither true nor false",
		`$[?true]`:                       "at character 4: expected a comparison; a value alone is neither true nor false",
		`$[?'a']`:                        "at character 4: expected a comparison; a value alone is neither true nor false",
		`$[?!@.a==1]`:                    "at character 10: a comparison is negated in parentheses: !(…)",
		`$[?@.a == @.*]`:                 "at character 11: this query can select several nodes and cannot be compared",
		`$[?@..a == 1]`:                  "at character 4: this query can select several nodes and cannot be compared",
		`$[?@[0,1] == 1]`:                "at character 4: this query can select several nodes and cannot be compared",
		`$[?@.a == 01]`:                  "at character 11: expected a number",
		`$[?@.a == 1.]`:                  "at character 12: expected , or ]",
		`$[?@.a == .1]`:                  "at character 11: expected @, $, a literal or a function",
		`$[?@.a == +1]`:                  "at character 11: expected @, $, a literal or a function",
		`$[?@.a == True]`:                "at character 11: expected @, $, a literal or a function",
		`$[?@.a == [1]]`:                 "at character 11: expected @, $, a literal or a function",
		`$[?length(@.a)]`:                "at character 4: expected a comparison; a value alone is neither true nor false",
		`$[?count(@.a)]`:                 "at character 4: expected a comparison; a value alone is neither true nor false",
		`$[?value(@.a)]`:                 "at character 4: expected a comparison; a value alone is neither true nor false",
		`$[?match(@.a, 'x') == true]`:    "at character 4: this function is true or false by itself and cannot be compared",
		`$[?match(@.a)]`:                 "at character 4: match takes two arguments",
		`$[?length() == 1]`:              "at character 4: length takes one argument",
		`$[?length(@.a, @.b) == 1]`:      "at character 4: length takes one argument",
		`$[?length(@.*) == 1]`:           "at character 11: this query can select several nodes and cannot be compared",
		`$[?count(1) == 1]`:              "at character 10: count takes a query",
		`$[?count(length(@)) == 1]`:      "at character 10: count takes a query",
		`$[?length(match(@, 'a')) == 1]`: "at character 11: this function is true or false by itself and cannot be compared",
		`$[?upper(@.a) == 'A']`:          "at character 4: the functions are length, count, value, match and search",
		`$[?length (@.a) == 1]`:          "at character 10: expected (",
		`$[?match(@.a 'b')]`:             "at character 14: expected , or )",
		"$['\xff']":                      "is not valid UTF-8",
		`$[?` + strings.Repeat("(", 100): "at character 68: is nested too deeply",
		`$` + strings.Repeat("[?@", 100): "at character 100: is nested too deeply",
	} {
		_, err := Parse(path)
		if err == nil {
			t.Errorf("%s was accepted", path)
		} else if err.Error() != want {
			t.Errorf("%s\ngot  %s\nwant %s", path, err, want)
		}
	}
}

func TestSelectIsBounded(t *testing.T) {
	var ps source.Problems
	root := source.Parse("f", []byte(strings.Repeat("[", 150)+strings.Repeat("]", 150)), source.DefaultLimits, &ps)
	large := source.Parse("f", []byte("["+strings.Repeat("1,", 2000)+"1]"), source.DefaultLimits, &ps)
	for _, text := range []string{`$..*..*..*..*..*`, `$..[?@..*]`, `$[?count(@..*..*..*) > 1]`, `$..[?$..* ]`} {
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		for _, n := range []source.Node{root, large} {
			if _, err := p.Select(n.YAML(), 1000); !errors.Is(err, ErrTooMuch) && n == root {
				t.Errorf("%s: %v", text, err)
			}
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("%s took %v", text, took)
		}
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	if got := selectJSON(t, "a: &x {b: [1, 2]}\nc: *x\nd: [*x]\n", `$['c','d'][?@[0] || @.b]`); got != `[1,2] {"b":[1,2]}` {
		t.Errorf("got %s", got)
	}
}

func FuzzJSONPath(f *testing.F) {
	for _, seed := range []string{`$.store..book[?@.price < 10 && !(@.isbn == 'x')].title`, `$[1:-1:2]['a',"\u263a"]`, `$[?match(@.a, '[ab].') || count($..*) > value(@.b)]`, `$..[?length(@) == -0.5e1]`} {
		f.Add(seed)
	}
	var ps source.Problems
	root := source.Parse("f", []byte(store), source.DefaultLimits, &ps)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		matches, err := p.Select(root.YAML(), 10_000)
		if err == nil && len(matches) > 10_000 {
			t.Fatalf("%d matches", len(matches))
		}
		for _, m := range matches {
			if !json.Valid(source.Wrap("", m.Node).AppendJSON(nil)) {
				t.Fatal("not a node of the document")
			}
		}
	})
}
