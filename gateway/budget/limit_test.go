package budget

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/gateway"
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
		{`{name: a, capacity: 5, scope: app}`, `systems/erp.yaml:2:35: limits[0].scope: "app" is the same for all calls; the placeholders are {account}, {principal}, {app}, {operation} and {node}`},
		{`{name: a, capacity: 5, scope: "app}"}`, `systems/erp.yaml:2:35: limits[0].scope: "app}" has a } without its {; the placeholders are {account}, {principal}, {app}, {operation} and {node}`},
		{`{name: a, capacity: 5, operations: [createOrder, nothing]}`, `systems/erp.yaml:2:54: limits[0].operations[1]: no operation "nothing" calls this system; write an operationId of an API whose system this is`},
		{`{name: a, capacity: 5, operations: "["}`, `systems/erp.yaml:2:40: limits[0].operations: "[" is not a selector of operations; write an operationId; * stands for any text`},
		{`{name: a, capacity: 5, enforcement: strict}`, `systems/erp.yaml:2:41: limits[0].enforcement: "strict" is not known here; one of advisory, billed, hard, soft`},
		{`{name: a, capacity: 5, headroom: 100%}`, `systems/erp.yaml:2:38: limits[0].headroom: the headroom of 100% leaves nothing of the capacity of 5; leave room for at least one call`},
		{`{name: a, capacity: 5, headroom: 101%}`, `systems/erp.yaml:2:38: limits[0].headroom: "101%" is not a percentage; from 0% to 100%`},
		{`{name: a, capacity: 5, headroom: some}`, `systems/erp.yaml:2:38: limits[0].headroom: is neither a number of units nor a percentage; write for example 5 or 10%`},
		{`{name: a, capacity: 5, reserves: {critical: 50%, high: 40%}}`, `systems/erp.yaml:2:38: limits[0].reserves: the reserves leave 0.5 of the capacity of 5: the lowest class would only be admitted by its floor; reserve less`},
		{`{name: a, capacity: 5, hold: 5s, calendar: {unit: day}}`, `systems/erp.yaml:2:34: limits[0].hold: a calendar window has no hold; remove it, or the calendar`},
		{`{name: a, bucket: {size: 1, refill: 1/s}, calendar: {unit: day}}`, `systems/erp.yaml:2:57: limits[0].calendar: a bucket has no calendar; remove it; a capacity with a calendar counts in windows`},
		{`{name: a, capacity: 5, calendar: {}}`, `systems/erp.yaml:2:38: limits[0].calendar: nothing says how long the window is; give unit: hour, day or month, or every`},
		{`{name: a, capacity: 5, calendar: {unit: week}}`, `systems/erp.yaml:2:45: limits[0].calendar.unit: "week" is not known here; one of day, hour, month`},
		{`{name: a, capacity: 5, calendar: {unit: day, every: 1h}}`, `systems/erp.yaml:2:57: limits[0].calendar.every: the window has a unit and a length; give one of them`},
		{`{name: a, capacity: 5, calendar: {every: 10ms}}`, `systems/erp.yaml:2:46: limits[0].calendar.every: windows of 10ms cannot be counted; from 1s to 366d`},
		{`{name: a, capacity: 5, calendar: {unit: day, time_zone: Berlin}}`, `systems/erp.yaml:2:61: limits[0].calendar.time_zone: there is no time zone "Berlin"; for example Europe/Berlin`},
		{`{name: a, capacity: 5, calendar: {unit: day, time_zone: Local}}`, `systems/erp.yaml:2:61: limits[0].calendar.time_zone: there is no time zone "Local"; for example Europe/Berlin`},
		{`{name: a, capacity: 5, calendar: {every: 1h, time_zone: Europe/Berlin}}`, `systems/erp.yaml:2:61: limits[0].calendar.time_zone: windows of a fixed length have no time zone; remove it, or give a unit`},
		{`{name: a, capacity: 5, calendar: {unit: hour, phase: 60m}}`, `systems/erp.yaml:2:58: limits[0].calendar.phase: the phase of 1h0m0s is longer than the window; give less`},
		{`{name: a, capacity: 5, calendar: {every: 4s, slack: 1001ms}}`, `systems/erp.yaml:2:57: limits[0].calendar.slack: the slack of 1.001s is too long for the window; at most a quarter of it`},
		{`{name: a, capacity: 5, pace: 10%}`, `systems/erp.yaml:2:34: limits[0].pace: a window of 0s is too short for a pace; from 1s; reserves keep units for more urgent calls`},
		{`{name: a, capacity: 5, hold: 500ms, pace: 1}`, `systems/erp.yaml:2:47: limits[0].pace: a window of 500ms is too short for a pace; from 1s; reserves keep units for more urgent calls`},
		{`{name: a, capacity: 5, hold: 1h, pace: 0}`, `systems/erp.yaml:2:44: limits[0].pace: a pace without a burst admits nothing; for example 10%, or off`},
		{`{name: a, capacity: 5, hold: 1h, pace: 6}`, `systems/erp.yaml:2:44: limits[0].pace: the burst of 6 is more than there is; for example 10%`},
		{`{name: a, bucket: {size: 1, refill: 1/s}, pace: 10%}`, `systems/erp.yaml:2:53: limits[0].pace: a bucket has a pace of its own; remove it`},
		{`{name: a, capacity: 5, hold: 1h, enforcement: advisory, pace: 10%}`, `systems/erp.yaml:2:67: limits[0].pace: a limit that is advisory holds nobody back; remove it`},
		{`{name: a, capacity: 5, enforcement: billed, adaptive: {cut: 0.5}}`, `systems/erp.yaml:2:59: limits[0].adaptive: a limit that is billed does not shrink; remove it`},
		{`{name: a, capacity: 5, adaptive: {cut: 1}}`, `systems/erp.yaml:2:44: limits[0].adaptive.cut: 1 is not a part; between 0 and 1, for example 0.75`},
		{`{name: a, capacity: 5, adaptive: {floor: 6}}`, `systems/erp.yaml:2:46: limits[0].adaptive.floor: the floor of 6 is more than there is; for example 25%`},
		{`{name: a, capacity: 5, adaptive: on}`, `systems/erp.yaml:2:38: limits[0].adaptive: expected a mapping or off, found a string; for example {floor: 25%, cut: 0.75, recover: 10m}`},
		{`{name: a, capacity: 5, cost: -1}`, `systems/erp.yaml:2:34: limits[0].cost: a call cannot cost -1; from 0 to 1e12`},
		{`{name: a, capacity: 5, cost: dear}`, `systems/erp.yaml:2:34: limits[0].cost: expected a number or a mapping, found a string; for example 2, or {by: duration, unit: 1s, estimate: 500ms}`},
		{`{name: a, capacity: 5, cost: {by: duration}}`, `systems/erp.yaml:2:34: limits[0].cost: the cost of a call is known when it has ended, and the limit counts calls under way only; give the limit a hold, a calendar or a bucket`},
		{`{name: a, capacity: 5, cost: {by: value, answer: .cost}}`, `systems/erp.yaml:2:34: limits[0].cost: the cost of a call is known when it has ended, and the limit counts calls under way only; give the limit a hold, a calendar or a bucket`},
		{`{name: a, capacity: 5, hold: 1m, cost: {by: value}}`, `systems/erp.yaml:2:44: limits[0].cost: nothing says what the value is; give request, answer or both, as jq`},
		{`{name: a, capacity: 5, hold: 1m, cost: {by: duration, request: .x}}`, `systems/erp.yaml:2:68: limits[0].cost.request: the key "request" has no meaning for a cost by duration; remove it`},
		{`{name: a, capacity: 5, hold: 1m, cost: {unit: 2}}`, `systems/erp.yaml:2:51: limits[0].cost.unit: the key "unit" has no meaning for a cost by calls; remove it`},
		{`{name: a, capacity: 5, hold: 1m, cost: {by: duration, estimate: 5}}`, `systems/erp.yaml:2:69: limits[0].cost.estimate: "5" is not valid here; write a duration such as 250ms, 2s, 5m, 24h or 7d`},
		{`{name: a, capacity: 5, hold: 1m, cost: {by: parsecs, unit: 2}}`, `systems/erp.yaml:2:49: limits[0].cost.by: "parsecs" is not known here; one of bytes, calls, duration, elements, value`},
		{`{name: a, capacity: 5, hold: 1m, cost: {by: value, answer: .x, estimate: -1}}`, `systems/erp.yaml:2:78: limits[0].cost.estimate: -1 is out of range; from 0 to 1e12 units`},
		{`{name: a, capacity: .nan}`, `systems/erp.yaml:2:25: limits[0].capacity: .nan is not a finite number`},
		{`{name: a, capacity: 5, headroom: .inf}`, `systems/erp.yaml:2:38: limits[0].headroom: .inf is not a finite number`},
		{`{name: a, capacity: 5, hold: 1m, cost: {by: bytes, unit: 0}}`, `systems/erp.yaml:2:62: limits[0].cost.unit: a unit of nothing`},
		{`{name: a, capacity: 5, hold: 1m, cost: {by: duration, estimate: 6s}}`, `systems/erp.yaml:2:44: limits[0].cost: a call costs 6 and there are 5: none would ever be admitted`},
		{`{name: a, capacity: 5, calls: ["POST /orders", "/x"]}`, `systems/erp.yaml:2:52: limits[0].calls[1]: "/x" is not a selector of calls; write a method or * and a path, for example POST /orders/**`},
		{`{name: a, capacity: 5, calls: "DELETE /**"}`, `systems/erp.yaml:2:35: limits[0].calls: no call to this system fits "DELETE /**"; the paths are those below the system's URL, with parameters in braces`},
		{`{name: a, capacity: 5, operations: createOrder, calls: "GET /**"}`, `systems/erp.yaml:2:60: limits[0].calls: no call to this system fits "GET /**"; the paths are those below the system's URL, with parameters in braces`},
		{`{name: a, capacity: 5, operations: "delete*"}`, `systems/erp.yaml:2:40: limits[0].operations: no operation "delete*" calls this system; write an operationId of an API whose system this is`},
		{`{name: a, capacity: 5, scope: "{app}{app}"}`, `systems/erp.yaml:2:35: limits[0].scope: {app} stands there twice; the placeholders are {account}, {principal}, {app}, {operation} and {node}`},
		{`{name: a, capacity: 5, evidence: X}`, `systems/erp.yaml:2:38: limits[0].evidence: "X" is not known here; did you mean "V"?`},
		{`{name: a, capacity: 5, checked: yesterday}`, `systems/erp.yaml:2:37: limits[0].checked: "yesterday" is not a day; write it as 2006-01-02`},
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
  - {name: day, capacity: 5000, calendar: {unit: day, time_zone: Europe/Berlin, phase: 2h, slack: 2s}, pace: 50%, adaptive: off}
  - {name: hour, capacity: 5000, calendar: {every: 1h}, headroom: 10%, reserves: {critical: 10%, high: 5}, pace: off}
  - {name: execution, capacity: 1200, hold: 300s, cost: {by: duration, unit: 1s, estimate: 500ms}, adaptive: {floor: 10%, cut: 0.5, recover: 5m}}
  - {name: points, bucket: {size: 1000, refill: 100/s}, cost: {by: value, request: '.points // 10', answer: .extensions.cost}}
  - {name: bytes, bucket: {size: 1000, refill: 100/s}, cost: {by: bytes, unit: 64KiB, estimate: 128KiB}}
  - {name: elements, capacity: 1000, hold: 1h, cost: {by: elements, unit: 10, estimate: 3, request: '.items | length'}}
  - {name: writes, capacity: 60, hold: 60s, calls: ["POST /**", "* /orders/{id}"], scope: "{account}/{node}", source: page, evidence: V, checked: 2026-11-23}
`, &ps), []Target{{"createOrder", "POST", "/orders"}, {"readOrder", "GET", "/orders/{id}"}}, &ps)
	if err := ps.Err(); err != nil {
		t.Error(err)
	}
}

// Limits of a profile may concern calls that a workspace does not make.
func TestShippedLimitsMayFitNothing(t *testing.T) {
	var ps source.Problems
	limits := parse(t, "limits:\n  - {name: a, capacity: 5, calls: DELETE /x, operations: nothing}", &ps)
	limits[0].Shipped = true
	if Check(limits, []Target{}, &ps); ps.Len() > 0 {
		t.Error(ps.Err())
	}
}

func TestTooManyLimitsForTheSameCall(t *testing.T) {
	const wrong = "apply to the same calls"
	for _, c := range []struct {
		limit string
		most  int
	}{{"capacity: 1", 32}, {"capacity: 100, hold: 10s", 16}} {
		for _, count := range []int{c.most, c.most + 1} {
			var ps source.Problems
			text := "limits:\n"
			for i := range count {
				text += fmt.Sprintf("  - {name: l%d, %s, calls: GET /*}\n", i, c.limit)
			}
			Check(parse(t, text, &ps), []Target{{"read", "GET", "/x"}}, &ps)
			if err := ps.Err(); (err != nil && strings.Contains(err.Error(), wrong)) != (count > c.most) {
				t.Errorf("%d limits of %s for one call: %v", count, c.limit, err)
			}
		}
	}
}

// As many pools as a call can stand in are all asked, and the last one is paused, too.
func TestMostPoolsOfACall(t *testing.T) {
	var ps source.Problems
	text := "limits:\n"
	for i := range MaxPools / 2 {
		text += fmt.Sprintf("  - {name: l%d, capacity: 100, hold: 10s}\n", i)
	}
	limits := parse(t, text, &ps)
	if Check(limits, nil, &ps); ps.Len() > 0 {
		t.Fatal(ps.Err())
	}
	b := New(Options{System: "erp", Limits: limits})
	ticket, err := b.Admit(t.Context(), Call{})
	if err != nil || len(ticket.admission.Asks) != MaxPools {
		t.Fatalf("%d pools are asked: %v", len(ticket.admission.Asks), err)
	}
	last := limits[len(limits)-1].Name
	ticket.Settle(Result{Overload: true, RetryAfter: time.Hour, Pool: last})
	var e *gateway.Error
	if _, err := b.Admit(t.Context(), Call{}); !errors.As(err, &e) || e.Pool != last {
		t.Errorf("after a pause of %s: %v", last, err)
	}
}

func TestSelectors(t *testing.T) {
	for _, c := range []struct {
		selector, method, path string
		want                   bool
	}{
		{"POST /**", "POST", "/orders", true}, {"POST /**", "POST", "/", true}, {"POST /**", "GET", "/orders", false},
		{"* /orders", "PATCH", "/orders", true}, {"* /orders", "PATCH", "/orders/{id}", false},
		{"GET /orders/*", "GET", "/orders/{id}", true}, {"GET /orders/*", "GET", "/orders/{id}/lines", false},
		{"GET /orders/**/lines", "GET", "/orders/{id}/lines", true}, {"GET /orders/**/lines", "GET", "/orders/lines", true},
		{"GET /**/lines/**", "GET", "/a/b/lines/c/d", true}, {"GET /**/lines/**", "GET", "/a/b/line/c/d", false},
		{"GET /A_*Order(*)", "GET", "/A_SalesOrder('{id}')", true}, {"GET /A_*Order(*)", "GET", "/A_SalesOrder", false},
		{"GET /a*b*c", "GET", "/abc", true}, {"GET /a*a", "GET", "/a", false}, {"GET /*", "GET", "/", true},
		{"GET /[x]", "GET", "/x", false}, {"GET /[x]", "GET", "/[x]", true},
	} {
		s, ok := parseSelector(c.selector)
		if !ok || s.fits(c.method, c.path) != c.want {
			t.Errorf("%q fits %s %s: %v, want %v", c.selector, c.method, c.path, !c.want, c.want)
		}
	}
	for _, text := range []string{"", "GET", "/x", "get /x", "GET x", "G1 /x", " /x"} {
		if s, ok := parseSelector(text); ok {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
}

// What matches must end, whatever stands there.
func FuzzSelector(f *testing.F) {
	f.Add("GET /a/**/b*/*", "/a/x/bc/d")
	f.Fuzz(func(t *testing.T, selector, path string) {
		if s, ok := parseSelector(selector); ok && len(selector) < 60 && len(path) < 60 {
			s.fits("GET", path)
		}
	})
}

func TestChargesInUnits(t *testing.T) {
	for text, want := range map[string]float64{
		"2.5": 2.5, "{}": 1, "{estimate: 3}": 3, "{by: duration}": 1, "{by: duration, unit: 100ms, estimate: 1s}": 10,
		"{by: bytes, unit: 1KiB, estimate: 4KiB}": 4, "{by: bytes}": 1, "{by: elements, unit: 10, estimate: 5}": 0.5, "{by: elements, unit: 10}": 1,
		"{by: value, request: .x}": 1, "{by: value, request: .x, estimate: 7}": 7,
	} {
		var ps source.Problems
		l := parse(t, "limits:\n  - {name: a, capacity: 50, hold: 1m, cost: "+text+"}", &ps)
		if got := l[0].Cost.Default(); got != want || ps.Len() > 0 {
			t.Errorf("%s is %v units, want %v; %v", text, got, want, ps.Err())
		}
	}
	if got := (*Charge)(nil).Default(); got != 1 {
		t.Errorf("a call without a cost takes %v units", got)
	}
}

func TestScopes(t *testing.T) {
	call := Call{App: "shop", Operation: "createOrder", Principal: "anna/b@x y", Account: "acme", Node: "web1"}
	for template, want := range map[string]string{
		"{app}": "pool/shop", "app {app}/{operation}": "pool/app shop/createOrder", "{principal}-": "pool/anna%2Fb@x%20y-", "{account}.{node}": "pool/acme.web1",
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
