package budget

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

func parse(t *testing.T, text string, ps *source.Problems) []Limit {
	t.Helper()
	var file struct {
		Limits []Limit `yaml:"limits"`
	}
	source.Decode(source.Parse("systems/erp.yaml", []byte(text), source.DefaultLimits, ps), &file, ps)
	return file.Limits
}

func TestLimitsAreRead(t *testing.T) {
	var ps source.Problems
	limits := parse(t, `
limits:
  - {name: concurrency, capacity: 5, headroom: 1, reserves: {critical: 1, high: 0.5}}
  - {name: window, capacity: 6000, hold: 300s, scope: "user-{principal}"}
  - {name: spacing, bucket: {size: 1, refill: 1/s}, operations: [createOrder, "list*"], enforcement: soft, cost: 2.5}
`, &ps)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	if l := limits[0]; l.Capacity.Value != 5 || l.Hold != 0 || l.Cost.Default() != 1 || l.Enforcement != "hard" || l.Headroom.Units != 1 {
		t.Errorf("concurrency is read as %+v", l)
	}
	for class, kept := range map[specs.Class]float64{specs.Critical: 0, specs.High: 1, specs.Normal: 1.5, specs.Low: 1.5} {
		if got := limits[0].Reserves.above(class, 5); got != kept {
			t.Errorf("class %s leaves %v free, want %v", class, got, kept)
		}
	}
	if l := limits[1]; l.Hold.Std() != 5*time.Minute || l.Scope != "user-{principal}" {
		t.Errorf("window is read as %+v", l)
	}
	l := limits[2]
	if l.Bucket.Size.Value != 1 || l.Bucket.Refill != (Rate{Units: 1, Per: time.Second}) || l.Enforcement != "soft" || l.Cost.Default() != 2.5 {
		t.Errorf("spacing is read as %+v", l)
	}
	for operation, want := range map[string]bool{"createOrder": true, "listItems": true, "readOrder": false} {
		if l.applies(Target{Operation: operation}) != want {
			t.Errorf("applies to %s: %v", operation, !want)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rate{
		"2/s": {Units: 2, Per: time.Second}, "1/m": {Units: 1, Per: time.Minute}, "100 / h": {Units: 100, Per: time.Hour}, "1000/d": {Units: 1000, Per: 24 * time.Hour},
		"5/10s": {Units: 5, Per: 10 * time.Second}, "0.0056/s": {Units: 0.0056, Per: time.Second}, "20/50ms": {Units: 20, Per: 50 * time.Millisecond},
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%s is read as %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "2", "/s", "2/", "0/s", "-1/s", "2/x", "2/0s", "2/-1s", "NaN/s", "1e300/s"} {
		if err := new(Rate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as a rate", text)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, text := range []string{"2/s", "5/10s", "0.0056/s", "1/d", "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil {
			return
		}
		if (r.Formula == "") != (r.Units > 0) || r.Per <= 0 {
			t.Fatalf("%q is read as %v", text, r)
		}
		var again Rate
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Fatalf("%q is written as %s and read as %v, %v", text, r, again, err)
		}
	})
}

func FuzzScope(f *testing.F) {
	for _, text := range []string{"{app}", "x-{operation}/{principal}", "{", "}", "{x}"} {
		f.Add(text, "shop")
	}
	f.Fuzz(func(t *testing.T, template, app string) {
		s := newScope("pool", template)
		if s == nil {
			return
		}
		if key := s.key(&Call{App: app}); !strings.HasPrefix(key, "pool/") {
			t.Fatalf("%q makes %q", template, key)
		}
	})
}

func TestProblemsOfLimits(t *testing.T) {
	for _, c := range []struct{ limits, problem string }{
		{`{capacity: 5}`, `systems/erp.yaml:2:5: limits[0]: the key "name" is missing; it says: name of the pool, for example concurrency; it stands on metrics and in refusals`},
		{`{name: a/b, capacity: 5}`, `systems/erp.yaml:2:12: limits[0].name: "a/b" is not a name for a limit; use letters, digits, hyphens, dots and underscores`},
		{`{name: a}`, `systems/erp.yaml:2:5: limits[0]: the limit has neither a capacity nor a bucket; give one of them`},
		{`{name: a, capacity: 5, bucket: {size: 1, refill: 1/s}}`, `systems/erp.yaml:2:36: limits[0].bucket: the limit has a capacity and a bucket; make two limits of it`},
		{`{name: a, capacity: 0}`, `systems/erp.yaml:2:25: limits[0].capacity: the capacity is 0; it must be between 0.001 and 1e12`},
		{`{name: a, capacity: -3}`, `systems/erp.yaml:2:25: limits[0].capacity: the capacity is -3; it must be between 0.001 and 1e12`},
		{`{name: a, bucket: {size: 0, refill: 1/s}}`, `systems/erp.yaml:2:30: limits[0].bucket.size: the size is 0; it must be between 0.001 and 1e12`},
		{`{name: a, bucket: {size: 1, refill: often}}`, `systems/erp.yaml:2:41: limits[0].bucket.refill: "often" is not valid here; write a rate such as 2/s, 1/m, 100/h or 5/10s`},
		{`{name: a, bucket: {size: 1, refill: 1/s}, hold: 5s}`, `systems/erp.yaml:2:53: limits[0].hold: a bucket has no hold; remove it; a capacity with a hold makes a sliding window`},
		{`{name: a, capacity: 5, hold: 367d}`, `systems/erp.yaml:2:34: limits[0].hold: the hold of 8808h0m0s is too long; the most is 366d`},
		{`{name: a, capacity: 5, headroom: 5}`, `systems/erp.yaml:2:38: limits[0].headroom: the headroom of 5 leaves nothing of the capacity of 5; leave room for at least one call`},
		{`{name: a, capacity: 5, headroom: -1}`, `systems/erp.yaml:2:38: limits[0].headroom: -1 is too small; the least is 0`},
		{`{name: a, capacity: 5, headroom: 1, cost: 4.5}`, `systems/erp.yaml:2:47: limits[0].cost: a call costs 4.5 and there are 4: none would ever be admitted`},
		{`{name: a, capacity: 5, reserves: {critical: 2, high: 2, normal: 1}}`, `systems/erp.yaml:2:38: limits[0].reserves: the reserves leave 0 of the capacity of 5: the lowest class would only be admitted by its floor; reserve less`},
		{`{name: a, capacity: 5, reserves: {low: 1}}`, `systems/erp.yaml:2:39: limits[0].reserves.low: unknown key "low"; one of critical, high, normal`},
		{`{name: a, capacity: 5, scope: "{customer}"}`, `systems/erp.yaml:2:35: limits[0].scope: {customer} is not known here; the placeholders are {account}, {principal}, {app}, {operation} and {node}`},
		{`{name: a, capacity: 5, scope: "{app"}`, `systems/erp.yaml:2:35: limits[0].scope: "{app" has a { without its }; the placeholders are {account}, {principal}, {app}, {operation} and {node}`},
		{`{name: a, capacity: 5, scope: "app}"}`, `systems/erp.yaml:2:35: limits[0].scope: "app}" has a } without its {; the placeholders are {account}, {principal}, {app}, {operation} and {node}`},
		{`{name: a, capacity: 5, operations: [createOrder, nothing]}`, `systems/erp.yaml:2:54: limits[0].operations[1]: no operation "nothing" calls this system; write an operationId of an API whose system this is`},
		{`{name: a, capacity: 5, operations: "["}`, `systems/erp.yaml:2:40: limits[0].operations: "[" is not a selector of operations; write an operationId; * stands for any text`},
		{`{name: a, capacity: 5, enforcement: strict}`, `systems/erp.yaml:2:41: limits[0].enforcement: "strict" is not known here; one of advisory, billed, hard, soft`},
		{`{name: a, capacity: 5}` + "\n  - {name: a, capacity: 6}", `systems/erp.yaml:3:12: limits[1].name: there are two limits "a"; give each its own name`},
	} {
		var ps source.Problems
		limits := parse(t, "limits:\n  - "+c.limits, &ps)
		Check(limits, []Target{{Operation: "createOrder", Method: "POST", Path: "/orders"}, {"readOrder", "GET", "/orders/{id}"}}, &ps)
		var got []string
		for _, p := range ps.List() {
			got = append(got, p.String())
		}
		if !slices.Contains(got, c.problem) {
			t.Errorf("%s:\n%s", c.limits, cmp.Diff([]string{c.problem}, got))
		}
		if len(got) > 1 && !strings.Contains(c.limits, "refill: often") {
			t.Errorf("%s is reported more than once: %q", c.limits, got)
		}
	}
}

func TestTooManyLimits(t *testing.T) {
	var ps source.Problems
	text := "limits:\n"
	for i := range MaxLimits + 1 {
		text += fmt.Sprintf("  - {name: l%d, capacity: 1}\n", i)
	}
	Check(parse(t, text, &ps), nil, &ps)
	if err := ps.Err(); err == nil || !strings.Contains(err.Error(), "the system has 1001 limits; at most 1000") {
		t.Errorf("1001 limits: %v", err)
	}
}

func TestGoodLimitsHaveNoProblems(t *testing.T) {
	var ps source.Problems
	Check(parse(t, `
limits:
  - {name: concurrency, capacity: 5, headroom: 1, reserves: {critical: 1, high: 1, normal: 1}}
  - {name: daily, capacity: 100000, hold: 24h, reserves: {critical: 99999}}
  - {name: user, capacity: 6000, hold: 300s, scope: "{principal}", operations: "*"}
  - {name: billed, capacity: 5, cost: 1, reserves: {critical: 5}, enforcement: billed}
`, &ps), nil, &ps)
	if err := ps.Err(); err != nil {
		t.Error(err)
	}
}

func TestScopes(t *testing.T) {
	call := Call{App: "shop", Operation: "createOrder", Principal: "anna/b@x y"}
	for template, want := range map[string]string{
		"{app}": "pool/shop", "app {app}/{operation}": "pool/app shop/createOrder", "{principal}-": "pool/anna%2Fb@x%20y-", "all": "pool/all",
	} {
		s := newScope("pool", template)
		for range 2 { // made, then known
			if got := s.key(&call); got != want {
				t.Errorf("%s makes %q, want %q", template, got, want)
			}
		}
	}
	s := newScope("pool", "{app}")
	for range maxScopes + 10 {
		call.App += "x"
		call.App = call.App[max(0, len(call.App)-5):] + time.Duration(len(call.App)).String()
		s.key(&call)
	}
	if len(s.one) > maxScopes {
		t.Errorf("%d scopes are remembered", len(s.one))
	}
}
