package arazzo

import (
	"strings"
	"testing"
)

// TestQueries holds JSONPath conditions against what they mean.
func TestQueries(t *testing.T) {
	s := example(t)
	for condition, want := range map[string]bool{
		"$.lines[?@.quantity > 1]":                   true,
		"$.lines[?@.quantity > 2]":                   false,
		"$.lines[*]":                                 true,
		"$.none":                                     true, // it is there, and null
		"$.missing":                                  false,
		"$.none != null":                             false,
		"$.missing != null":                          true, // Nothing is not null, says RFC 9535
		"$.status == 'Open'":                         true,
		"$.status == 'open'":                         false, // case matters in JSONPath
		"count($.lines[*]) == 1 && $.id":             true,
		"length(@.lines) > 1":                        false,
		"$[?count(@.sku) > 0]":                       false, // the members of the context are looked at
		" match($.status, 'O.*') || false == $.none": true,
	} {
		c := &Criterion{Text: condition, Kind: "jsonpath"}
		if err := c.compile(condition); err != nil {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		c.context, _ = parseExpression("$response.body")
		if holds, err := c.Holds(s); holds != want || err != nil {
			t.Errorf("%s holds: %v %v", condition, holds, err)
		}
	}
	for _, condition := range []string{"", "lines", "$.a ==", "$.a == 1 2", "$[", "$.a b", strings.Repeat("(", 100)} {
		if err := (&Criterion{Kind: "jsonpath"}).compile(condition); err == nil {
			t.Errorf("%q is read", condition)
		}
	}
	c := &Criterion{Kind: "jsonpath"}
	if err := c.compile("$..*"); err != nil {
		t.Fatal(err)
	}
	c.context, _ = parseExpression("$inputs.other")
	if holds, err := c.Holds(s); holds || err != nil {
		t.Errorf("what is absent has something in it: %v %v", holds, err)
	}
}

func TestQueriesAreBounded(t *testing.T) {
	c := &Criterion{Text: "$..*[?$..*]", Kind: "jsonpath"}
	if err := c.compile(c.Text); err != nil {
		t.Fatal(err)
	}
	wide := make([]any, 3000)
	for i := range wide {
		wide[i] = []any{"x"}
	}
	c.context, _ = parseExpression("$inputs.wide")
	holds, err := c.Holds(&fixed{inputs: map[string]any{"wide": wide}})
	if holds || err == nil || !strings.Contains(err.Error(), "cannot be decided") {
		t.Errorf("%v %v", holds, err)
	}
}
