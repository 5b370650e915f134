package specs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func add(t testing.TB, tree *Tree[string], routes ...string) {
	t.Helper()
	for _, r := range routes {
		method, pattern, _ := strings.Cut(r, " ")
		if err := tree.Add(method, pattern, r); err != nil {
			t.Fatalf("%s: %v", r, err)
		}
	}
}

// said gives a match as one line: the route, and the values in brackets.
func said(m Match[string]) string {
	line := m.Value
	for _, p := range m.Params {
		line += fmt.Sprintf(" [%s=%s]", p.Name, p.Value)
	}
	if m.Allow != "" {
		line += "allow " + m.Allow
	}
	return line
}

func TestTreeMatches(t *testing.T) {
	routes := []string{
		"GET /orders", "POST /orders", "GET /orders/", "GET /orders/{id}", "DELETE /orders/{id}", "POST /orders/search",
		"GET /orders/{id}/items/{item}", "GET /orders/latest/items", "GET /", "GET /A/{x}", "HEAD /h", "GET /h", "GET /g",
		"GET /A_SalesOrder('{SalesOrder}')", "GET /A_SalesOrder('{SalesOrder}')/to_Item", "GET /A_SalesOrder",
		"GET /Entity({a},{b})", "GET /Item(Order='{o}',Item='{i}')", "POST /$batch", "GET /companies({company_id})/items({item_id})",
		"GET /f/{a}.json", "GET /f/{a}.n.json", "GET /f/{a}", "GET /r/{from}-{to}", "GET /r/{a}-x", "GET /v{major}/x", "GET /v1/x",
		"GET /t/{id|uuid}", "GET /t/{number|integer}", "GET /t/{name}", "GET /s p/ü", "GET /a//b", "GET /deep/{a}/x/y", "GET /deep/b/{c}/z",
	}
	var tree Tree[string]
	add(t, &tree, routes...)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/orders", "GET /orders"},
		{"POST", "/orders", "POST /orders"},
		{"PUT", "/orders", "allow GET, HEAD, POST"},
		{"HEAD", "/orders", "GET /orders"},
		{"GET", "/Orders", ""},
		{"GET", "/orders/", "GET /orders/"},
		{"GET", "/orders/7", "GET /orders/{id} [id=7]"},
		{"GET", "/orders/7/", ""},
		{"GET", "/orders/search", "allow POST"},
		{"DELETE", "/orders/a%2Fb", "DELETE /orders/{id} [id=a/b]"},
		{"DELETE", "/orders/a%2fb%20c", "DELETE /orders/{id} [id=a/b c]"},
		{"GET", "/orders/%zz", ""},
		{"GET", "/orders/a%2", ""},
		{"GET", "/orders/%", ""},
		{"GET", "/orders/%2e%2E", ""},
		{"GET", "/orders/..", ""},
		{"GET", "/orders/.", ""},
		{"GET", "/orders/...", "GET /orders/{id} [id=...]"},
		{"GET", "/orders/latest/items", "GET /orders/latest/items"},
		{"GET", "/orders/latest/items/3", "GET /orders/{id}/items/{item} [id=latest] [item=3]"},
		{"GET", "/", "GET /"},
		{"GET", "", ""},
		{"OPTIONS", "*", ""},
		{"GET", "//", ""},
		{"GET", "/a//b", "GET /a//b"},
		{"HEAD", "/h", "HEAD /h"},
		{"POST", "/h", "allow GET, HEAD"},
		{"HEAD", "/g", "GET /g"},
		{"POST", "/g", "allow GET, HEAD"},
		{"HEAD", "/$batch", "allow POST"},
		{"POST", "/$batch", "POST /$batch"},
		{"POST", "/%24batch", "POST /$batch"},
		{"GET", "/A_SalesOrder('1')", "GET /A_SalesOrder('{SalesOrder}') [SalesOrder=1]"},
		{"GET", "/A_SalesOrder(%271%27)", "GET /A_SalesOrder('{SalesOrder}') [SalesOrder=1]"},
		{"GET", "/A_SalesOrder('O''Neil')", "GET /A_SalesOrder('{SalesOrder}') [SalesOrder=O'Neil]"},
		{"GET", "/A_SalesOrder('O%27%27Neil')", "GET /A_SalesOrder('{SalesOrder}') [SalesOrder=O'Neil]"},
		{"GET", "/A_SalesOrder('a%2Fb')/to_Item", "GET /A_SalesOrder('{SalesOrder}')/to_Item [SalesOrder=a/b]"},
		{"GET", "/A_SalesOrder('')", ""},
		{"GET", "/A_SalesOrder('a'b')", ""},
		{"GET", "/A_SalesOrder('a", ""},
		{"GET", "/A_SalesOrder('a'')", ""},
		{"GET", "/A_SalesOrder('''')", "GET /A_SalesOrder('{SalesOrder}') [SalesOrder=']"},
		{"GET", "/A_SalesOrder(1)", ""},
		{"GET", "/A_SalesOrder", "GET /A_SalesOrder"},
		{"GET", "/Entity(1,2)", "GET /Entity({a},{b}) [a=1] [b=2]"},
		{"GET", "/Entity(1,2,3)", "GET /Entity({a},{b}) [a=1] [b=2,3]"},
		{"GET", "/Entity(1,2))", "GET /Entity({a},{b}) [a=1] [b=2)]"},
		{"GET", "/Entity(,2)", ""},
		{"GET", "/Entity(1,)", ""},
		{"GET", "/Entity(,,2)", "GET /Entity({a},{b}) [a=,] [b=2]"},
		{"GET", "/Item(Order='a,''b',Item='c')", "GET /Item(Order='{o}',Item='{i}') [o=a,'b] [i=c]"},
		{"GET", "/companies(1-2)/items(3)", "GET /companies({company_id})/items({item_id}) [company_id=1-2] [item_id=3]"},
		{"GET", "/f/a.json", "GET /f/{a}.json [a=a]"},
		{"GET", "/f/a.n.json", "GET /f/{a}.n.json [a=a]"},
		{"GET", "/f/.json", "GET /f/{a} [a=.json]"},
		{"GET", "/r/a-b-c", "GET /r/{from}-{to} [from=a] [to=b-c]"},
		{"GET", "/r/a-x", "GET /r/{a}-x [a=a]"},
		{"GET", "/r/a-b-x", "GET /r/{a}-x [a=a-b]"},
		{"GET", "/v1/x", "GET /v1/x"},
		{"GET", "/v22/x", "GET /v{major}/x [major=22]"},
		{"GET", "/t/12", "GET /t/{number|integer} [number=12]"},
		{"GET", "/t/-12", "GET /t/{number|integer} [number=-12]"},
		{"GET", "/t/0d2f4ab1-22ee-4f51-9d5e-0123456789aB", "GET /t/{id|uuid} [id=0d2f4ab1-22ee-4f51-9d5e-0123456789aB]"},
		{"GET", "/t/0d2f4ab1-22ee-4f51-9d5e-0123456789ag", "GET /t/{name} [name=0d2f4ab1-22ee-4f51-9d5e-0123456789ag]"},
		{"GET", "/s%20p/%C3%BC", "GET /s p/ü"},
		{"GET", "/deep/b/x/z", "GET /deep/b/{c}/z [c=x]"},
		{"GET", "/deep/b/x/y", "GET /deep/{a}/x/y [a=b]"},
	} {
		if got := said(tree.Match(c.method, c.path)); got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

func TestTreeRefuses(t *testing.T) {
	for _, c := range []struct {
		routes []string
		add    string
		want   string
	}{
		{nil, "GET orders", "a path begins with /"},
		{nil, "GET /{a", "the braces do not match"},
		{nil, "GET /a}", "the braces do not match"},
		{nil, "GET /{a{b}}", "the braces do not match"},
		{nil, "GET /{}", "a parameter needs a name"},
		{nil, "GET /{a}{b}", "two parameters need something between them"},
		{nil, "GET /{a}/{a}", "the parameter {a} stands twice in the path"},
		{nil, "GET /a?b={c}", "a path has no query and no fragment"},
		{nil, "GET /a/../b", "a path has no segment .."},
		{nil, "GET /a\x01", "a path has no control characters"},
		{nil, "GET /a%00", "a path has no control characters"},
		{[]string{"GET /a/{x}"}, "GET /a/{y}", "is the same path as /a/{x}, which has GET already"},
		{[]string{"GET /a(%27{x}%27)"}, "GET /a('{y}')", "is the same path as /a(%27{x}%27), which has GET already"},
		{[]string{"GET /{a}-{b}"}, "GET /{a}.{b}", "a request can match both this path and /{a}-{b}, and neither is the more specific"},
		{[]string{"GET /x/{a}-{b}/y"}, "POST /x/{a}.json/{z}", "a request can match both this path and /x/{a}-{b}/y, and neither is the more specific"},
		{[]string{"GET /{a}-{b}/{c}"}, "GET /{a}.{b}/d", "a request can match both this path and /{a}-{b}/{c}, and neither is the more specific"},
		{[]string{"GET /{a|uuid}-{b}"}, "GET /{a}-{b|uuid}", "a request can match both this path and /{a|uuid}-{b}, and neither is the more specific"},
		{[]string{"GET /a/{x}"}, "POST /a/{y}", ""},
		{[]string{"GET /{a}-{b}/x"}, "GET /{a}.{b}/y", ""},
		{[]string{"GET /{a|uuid}"}, "GET /{a|integer}", ""},
		{[]string{"GET /{a}--{b}"}, "GET /{a}-{b}", ""},
		{[]string{"GET /ab{x}"}, "GET /a{x}.json", ""},
	} {
		var tree Tree[string]
		add(t, &tree, c.routes...)
		method, pattern, _ := strings.Cut(c.add, " ")
		got := ""
		if err := tree.Add(method, pattern, c.add); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v and then %s: got %q, want %q", c.routes, c.add, got, c.want)
		}
	}
}

// A pattern that was refused must not leave anything behind.
func TestTreeRefusalLeavesNothing(t *testing.T) {
	var tree Tree[string]
	add(t, &tree, "GET /{a}-{b}")
	if err := tree.Add("GET", "/{a}.{b}", "second"); err == nil {
		t.Fatal("accepted")
	}
	if got := said(tree.Match("GET", "/a.b")); got != "" {
		t.Errorf("got %q", got)
	}
}

// Every node is visited at most once: a path that matches nothing costs no
// more than the tree is large, however many ways lead through it.
func TestTreeDoesNotBacktrack(t *testing.T) {
	var tree Tree[string]
	const depth = 12
	for bits := range 1 << depth {
		var b strings.Builder
		for i := range depth {
			if bits>>i&1 == 1 {
				b.WriteString("/a")
			} else {
				fmt.Fprintf(&b, "/{p%d}", i)
			}
		}
		add(t, &tree, "GET "+b.String()+"/end")
	}
	if got := said(tree.Match("GET", strings.Repeat("/a", depth)+"/miss")); got != "" {
		t.Errorf("got %q", got)
	}
	if got := said(tree.Match("GET", strings.Repeat("/a", depth)+"/end")); got != "GET "+strings.Repeat("/a", depth)+"/end" {
		t.Errorf("got %q", got)
	}
	var long Tree[string]
	add(t, &long, "GET /{a}-{b}-{c}-{d}-{e}-{f}-{g}-{h}x")
	long.Match("GET", "/"+strings.Repeat("-", 1<<20)) // polynomial search would take for ever
}

func TestTreeMatchAllocates(t *testing.T) {
	var tree Tree[string]
	add(t, &tree, "GET /orders/{id}/items({a},{b})/A('{k}')", "GET /orders")
	for path, want := range map[string]float64{
		"/orders/7/items(1,2)/A('x')": 1,
		"/orders":                     0,
		"/missing/7":                  0,
	} {
		if got := testing.AllocsPerRun(100, func() { tree.Match("GET", path) }); got > want {
			t.Errorf("%s: %v allocations, want %v", path, got, want)
		}
	}
}

// naive matches by a regular expression for each segment of each pattern, and
// picks the best of all patterns that match.
type naive struct {
	route    string
	method   string
	segments []naiveSegment
}

type naiveSegment struct {
	literals []string
	quoted   []bool
	names    []string
	regex    *regexp.Regexp
}

var brace = regexp.MustCompile(`\{([^}]*)\}`)

func newNaive(method, pattern string) naive {
	n := naive{route: method + " " + pattern, method: method}
	for text := range strings.SplitSeq(pattern[1:], "/") {
		s := naiveSegment{literals: brace.Split(text, -1)}
		for i := range s.literals {
			s.literals[i] = percentDecoded(s.literals[i])
		}
		for _, m := range brace.FindAllStringSubmatch(text, -1) {
			s.names = append(s.names, m[1])
		}
		expression := `(?s)^` + regexp.QuoteMeta(s.literals[0])
		for i := range s.names {
			quoted := strings.HasSuffix(s.literals[i], "'") && strings.HasPrefix(s.literals[i+1], "'")
			s.quoted = append(s.quoted, quoted)
			switch {
			case quoted:
				expression += `((?:[^']|'')+)`
			case i == len(s.names)-1:
				expression += `(.+)`
			default:
				expression += `(.+?)`
			}
			expression += regexp.QuoteMeta(s.literals[i+1])
		}
		s.regex = regexp.MustCompile(expression + `$`)
		n.segments = append(n.segments, s)
	}
	return n
}

func percentDecoded(s string) string {
	if !regexp.MustCompile(`^(?:[^%]|%[0-9a-fA-F]{2})*$`).MatchString(s) {
		return s
	}
	return regexp.MustCompile(`%..`).ReplaceAllStringFunc(s, func(e string) string {
		var b byte
		fmt.Sscanf(e[1:], "%02x", &b)
		return string([]byte{b})
	})
}

// match gives the values, or false.
func (s naiveSegment) match(text string) ([]Param, bool) {
	m := s.regex.FindStringSubmatchIndex(text)
	if m == nil {
		return nil, false
	}
	var params []Param
	for i, name := range s.names {
		from, to := m[2*i+2], m[2*i+3]
		value := text[from:to]
		switch {
		case s.quoted[i]:
			if strings.HasPrefix(text[to:], "''") {
				return nil, false // the string does not end here
			}
			value = strings.ReplaceAll(value, "''", "'")
		case i < len(s.names)-1:
			if strings.Index(text[from+1:], s.literals[i+1]) != len(value)-1 {
				return nil, false // not the first occurrence
			}
		}
		params = append(params, Param{name, value})
	}
	return params, true
}

// before tells whether a segment is preferred to another that also matches.
func (s naiveSegment) compare(other naiveSegment) int {
	if a, b := len(s.names) == 0, len(other.names) == 0; a != b {
		if a {
			return -1
		}
		return 1
	}
	if d := len(other.literals[0]) - len(s.literals[0]); d != 0 {
		return d
	}
	return len(strings.Join(other.literals, "")) - len(strings.Join(s.literals, ""))
}

func naiveMatch(routes []naive, method, path string) string {
	if path == "" || path[0] != '/' {
		return ""
	}
	segments := strings.Split(path[1:], "/")
	type candidate struct {
		naive
		params []Param
	}
	var found []candidate
	for _, r := range routes {
		c := candidate{naive: r}
		ok := len(r.segments) == len(segments)
		for i := 0; ok && i < len(segments); i++ {
			text := percentDecoded(segments[i])
			if text == segments[i] && strings.Contains(text, "%") || text == "." || text == ".." {
				ok = false
				break
			}
			var params []Param
			if params, ok = r.segments[i].match(text); ok {
				c.params = append(c.params, params...)
			}
		}
		if ok {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return ""
	}
	better := func(a, b candidate) int {
		for i := range a.segments {
			if d := a.segments[i].compare(b.segments[i]); d != 0 {
				return d
			}
		}
		return 0
	}
	best := slices.MinFunc(found, better)
	var have []string
	for _, c := range found {
		if better(c, best) == 0 {
			have = append(have, c.method)
			if c.method == method {
				return said(Match[string]{Value: c.route, Params: c.params})
			}
		}
	}
	for _, c := range found {
		if better(c, best) == 0 && method == "HEAD" && c.method == "GET" {
			return said(Match[string]{Value: c.route, Params: c.params})
		}
	}
	if slices.Contains(have, "GET") && !slices.Contains(have, "HEAD") {
		have = append(have, "HEAD")
	}
	slices.Sort(have)
	return "allow " + strings.Join(have, ", ")
}

func FuzzTreeMatch(f *testing.F) {
	for _, seed := range [][3]string{
		{"/orders\n/orders/{id}\n/orders/{id}/items", "GET", "/orders/7"},
		{"/A_SalesOrder('{SalesOrder}')\n/$batch", "GET", "/A_SalesOrder('O''Neil')"},
		{"/E({a},{b})\n/E('{a}',{b})", "HEAD", "/E(%27x%27,2)"},
		{"/{a}-{b}\n/{a}.json\n/{a}", "POST", "/x-y.json"},
		{"/v{x}/a\n/v1/{y}\n/{z}/a", "GET", "/v1/a"},
		{"/{a}x'{b}'\n/a%2Fb/{c}", "GET", "/qx'r'"},
		{"/a/{b}-{c}-{d}e\n/{x}/b--c", "GET", "/a/b--c"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, patterns, method, path string) {
		if len(patterns) > 200 || len(path) > 200 || strings.Contains(patterns, "|") {
			return
		}
		var tree Tree[string]
		var routes []naive
		for i, pattern := range strings.Split(patterns, "\n") {
			m := []string{"GET", "POST"}[i%2]
			if utf8.ValidString(percentDecoded(pattern)) && tree.Add(m, pattern, m+" "+pattern) == nil {
				routes = append(routes, newNaive(m, pattern))
			}
		}
		got, want := said(tree.Match(method, path)), naiveMatch(routes, method, path)
		if got != want {
			t.Errorf("%s %q in\n%s\ngot  %q\nwant %q", method, path, patterns, got, want)
		}
	})
}

func BenchmarkTreeMatch(b *testing.B) {
	var tree Tree[int]
	var paths []string
	for i := range 2000 {
		base := fmt.Sprintf("/domain%d/v%d", i%50, i%3)
		for j, pattern := range []string{
			"/entity%d", "/entity%d/{id}", "/entity%d/{id}/items/{item}", "/A_Entity%d('{Key}')", "/companies({company})/entity%d({id})",
		} {
			pattern = base + fmt.Sprintf(pattern, i)
			if err := tree.Add("GET", pattern, i*5+j); err != nil {
				b.Fatal(err)
			}
			paths = append(paths, brace.ReplaceAllString(pattern, "4711"))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	i := 0
	for b.Loop() {
		if m := tree.Match("GET", paths[i%len(paths)]); m.Value != i%len(paths) {
			b.Fatal(paths[i%len(paths)], m)
		}
		i += 7
	}
}
