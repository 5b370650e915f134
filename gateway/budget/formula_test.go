package budget

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/specs/source"
)

// resolved decodes limits, facts and tables, and works out the formulas.
func resolved(t *testing.T, text string, ps *source.Problems) []Limit {
	t.Helper()
	var file struct {
		Facts  map[string]Fact               `yaml:"facts"`
		Tables map[string]map[string]float64 `yaml:"tables"`
		Limits []Limit                       `yaml:"limits"`
	}
	source.Decode(source.Parse("systems/erp.yaml", []byte(text), source.DefaultLimits, ps), &file, ps)
	limits := Resolve(file.Limits, Terms{Facts: file.Facts, Tables: file.Tables}, ps)
	Check(limits, nil, ps)
	return limits
}

func TestFormulas(t *testing.T) {
	var ps source.Problems
	limits := resolved(t, `
facts: {tier: premium, suitecloud_plus: 2, users: 1.5, kind: sandbox}
tables:
  base: {standard: 5, premium: 15}
  rate: {premium: 2.5}
limits:
  - {name: plain, capacity: 15}
  - {name: sum, capacity: 'base[tier] + 10 * suitecloud_plus'}
  - {name: fact, capacity: users}
  - {name: choice, capacity: 'kind == "sandbox" || kind == "trial" ? 5 : 25'}
  - {name: bounded, capacity: 'math.least(1000, math.ceil(users) * 10)'}
  - {name: rate, bucket: {size: 'base[tier] * 2', refill: 'rate[tier] * 2 /10s'}}
  - {name: division, bucket: {size: 40, refill: 'users/2/m'}}
`, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, l := range limits {
		total, ok := l.total()
		if !ok {
			t.Errorf("%s is not resolved", l.Name)
		}
		got = append(got, total)
	}
	if diff := cmp.Diff([]float64{15, 35, 1.5, 5, 20, 30, 40}, got); diff != "" {
		t.Error(diff)
	}
	if r := limits[5].Bucket.Refill; r.String() != "5/10s" {
		t.Errorf("the refill is %s", r)
	}
	if r := limits[6].Bucket.Refill; r.String() != "0.75/1m0s" {
		t.Errorf("the refill is %s", r)
	}
}

// Limits are shared between systems: working them out for one changes nothing
// for another.
func TestResolveChangesNothing(t *testing.T) {
	var ps source.Problems
	limits := parse(t, "limits:\n  - {name: a, capacity: n}\n  - {name: b, bucket: {size: n, refill: n/s}}", &ps)
	for _, n := range []float64{3, 4} {
		for _, l := range Resolve(limits, Terms{Facts: map[string]Fact{"n": {Value: n}}}, &ps) {
			if total, ok := l.total(); !ok || total != n || l.Bucket != nil && l.Bucket.Refill.Units != n {
				t.Errorf("with %v, %s is %v", n, l.Name, total)
			}
		}
	}
	if err := ps.Err(); err != nil {
		t.Error(err)
	}
}

func TestProblemsOfFormulas(t *testing.T) {
	for _, c := range []struct{ text, problem string }{
		{`limits: [{name: a, capacity: "base[tier"}]`, `systems/erp.yaml:1:30: limits[0].capacity: is not a formula: Syntax error: `},
		{`limits: [{name: a, capacity: tier}]`, `systems/erp.yaml:1:30: limits[0].capacity: there is no fact or table "tier"`},
		{"facts: {tier: x, number: 1}\nlimits: [{name: a, capacity: 'teir + number'}]", `systems/erp.yaml:2:30: limits[0].capacity: there is no fact or table "teir"; did you mean "tier"?`},
		{"facts: {tier: x}\nlimits: [{name: a, capacity: 'tier + 1'}]", `systems/erp.yaml:2:30: limits[0].capacity: is not a formula: found no matching overload for '_+_' applied to '(string, double)' (line 1, column 6 of the text)`},
		{"facts: {tier: x}\nlimits: [{name: a, capacity: tier}]", `systems/erp.yaml:2:30: limits[0].capacity: the formula gives a string; it must give a number`},
		{"facts: {tier: x}\ntables: {base: {y: 1}}\nlimits: [{name: a, capacity: 'base[tier]'}]", `systems/erp.yaml:3:30: limits[0].capacity: the formula gives no number: no such key: x`},
		{"facts: {n: 0}\nlimits: [{name: a, capacity: '1 / n'}]", `systems/erp.yaml:2:30: limits[0].capacity: the formula gives no number but +Inf`},
		{"facts: {n: 0}\nlimits: [{name: a, capacity: n}]", `systems/erp.yaml:2:30: limits[0].capacity: the capacity is 0; it must be between 0.001 and 1e12`},
		{"facts: {n: -1}\nlimits: [{name: a, bucket: {size: 1, refill: n/s}}]", `systems/erp.yaml:2:46: limits[0].bucket.refill: the refill is -1; it must be more than 0 and at most 1e12`},
		{"facts: {n: 2}\nlimits: [{name: a, capacity: 5}]", `systems/erp.yaml:1:12: facts.n: no limit depends on the fact "n"; remove it`},
		{"facts: {n: true}\nlimits: [{name: a, capacity: n}]", `systems/erp.yaml:1:12: facts.n: a fact is a text or a number, not a boolean`},
		{"facts: {N-1: 1}\nlimits: [{name: a, capacity: 1}]", `systems/erp.yaml:1:14: facts.N-1: "N-1" is not a name for a fact; use small letters, digits and underscores, and no name of a table`},
		{`limits: [{name: a, capacity: ""}]`, `systems/erp.yaml:1:30: limits[0].capacity: the formula is empty; for example 5, or base[tier] + 10 * extra`},
		{`limits: [{name: a, capacity: [5]}]`, `systems/erp.yaml:1:30: limits[0].capacity: expected a number or a formula, found a list; for example 5, or base[tier] + 10 * extra`},
		{`limits: [{name: a, capacity: "[1, 2].map(x, x * 2)[0]"}]`, `systems/erp.yaml:1:30: limits[0].capacity: `}, // no loops
		{`limits: [{name: a, capacity: "` + strings.Repeat("1+", 600) + `1"}]`, `systems/erp.yaml:1:30: limits[0].capacity: is not a formula: `},
		{`limits: [{name: a, capacity: "` + strings.Repeat("(", 50) + "1" + strings.Repeat(")", 50) + `"}]`, `systems/erp.yaml:1:30: limits[0].capacity: is not a formula: `},
	} {
		var ps source.Problems
		resolved(t, c.text, &ps)
		var got []string
		for _, p := range ps.List() {
			got = append(got, p.String())
		}
		if !slices.ContainsFunc(got, func(text string) bool { return strings.HasPrefix(text, c.problem) }) {
			t.Errorf("%s:\n%s", c.text, cmp.Diff([]string{c.problem}, got))
		}
		if len(got) > 1 {
			t.Errorf("%s is reported more than once: %q", c.text, got)
		}
	}
}

// Whatever stands there, a formula gives a number or a problem, in bounded time.
func FuzzFormula(f *testing.F) {
	for _, text := range []string{"1", "a + 1", "t[k] * 2", "a > 1 ? 2 : 3", `"x"`, "math.least(a, 2)", "1/0", "a.b", "[1][0]", "{'x': 1}.x", "size(k)", "-a"} {
		f.Add(text)
	}
	terms := Terms{Facts: map[string]Fact{"a": {Value: 1.5}, "k": {Value: "x"}}, Tables: map[string]map[string]float64{"t": {"x": 4}}}
	f.Fuzz(func(t *testing.T, text string) {
		var ps source.Problems
		limits := Resolve([]Limit{{Name: "l", Capacity: &Formula{Text: text}}}, terms, &ps)
		total, ok := limits[0].total()
		if ok != (ps.Len() == 0) && text != "" {
			t.Fatalf("%q gives %v, %v, and the problems %v", text, total, ok, ps.Err())
		}
		if ok && !finite(total) {
			t.Fatalf("%q gives %v", text, total)
		}
	})
}
