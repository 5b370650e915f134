package profiles

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// shipped are the profiles that there must be.
var shipped = []string{
	"acumatica", "amazon-sp-api", "business-central", "dataverse", "dynamics365-fno", "frappe", "generic", "manhattan", "netsuite", "odoo",
	"oracle-fusion", "quickbooks-online", "sage-intacct", "salesforce", "sap-api-management", "sap-btp-token", "sap-business-one", "sap-s4hana",
	"shopify-graphql", "shopify-rest", "workday", "xero",
}

func load(t *testing.T, name string) (*Profile, []budget.Limit) {
	t.Helper()
	var ps source.Problems
	p := Load(name, &ps)
	var limits []budget.Limit
	if p != nil {
		source.Decode(p.System.Get("limits"), &limits, &ps)
	}
	if err := ps.Err(); p == nil || err != nil {
		t.Fatal(name, err)
	}
	return p, limits
}

// Every limit says where it is from and how well that is known. What is only
// remembered is never enforced; a guess is only made where nothing is published,
// and then it is the customer's to say, and adapts.
func TestEvidence(t *testing.T) {
	if d := cmp.Diff(shipped, Names()); d != "" {
		t.Fatal(d)
	}
	for _, name := range shipped {
		p, limits := load(t, name)
		if len(limits) == 0 {
			t.Errorf("%s has no limit", name)
		}
		for _, l := range limits {
			enforced := l.Enforcement == "hard" || l.Enforcement == "soft"
			switch {
			case l.Source == "" || l.Evidence == "" || l.Checked == "":
				t.Errorf("%s.%s: source %q, evidence %q, checked %q", name, l.Name, l.Source, l.Evidence, l.Checked)
			case l.Checked > p.Checked.String():
				t.Errorf("%s.%s was checked on %s, and the profile on %s", name, l.Name, l.Checked, p.Checked)
			case l.Evidence == "M" && enforced:
				t.Errorf("%s.%s is enforced from memory", name, l.Name)
			}
		}
		if !p.AdaptiveOnly {
			continue
		}
		if len(limits) != 1 || limits[0].Adaptive == nil || limits[0].Adaptive.Off || limits[0].Capacity.Text != "concurrency" {
			t.Errorf("%s is adaptive, and its limits are not one that adapts and begins with the fact concurrency", name)
		}
	}
}

// anyPool are the profiles with a sign that may be about several limits, because the
// vendor does not say which: the one nearest to full shrinks then.
var anyPool = map[string]string{
	"acumatica":          "a call is declined when the queue is full, which calls at once and calls a minute fill alike",
	"amazon-sp-api":      "the bucket is that of the call",
	"business-central":   "only the text of the answer tells, and that is not documented",
	"dataverse":          "the search has no code of its own",
	"manhattan":          "nothing is published of its refusals",
	"odoo":               "a limit of Odoo Online answers like a proxy in front of workers that are busy",
	"quickbooks-online":  "all its limits answer alike",
	"salesforce":         "a SOAP fault may come without a text, and 429 is not documented",
	"sap-api-management": "a policy may be configured to answer in its own words",
	"xero":               "a proxy may take the header away",
}

// A sign says which limit it is about wherever the vendor does.
func TestSignsNameTheirPools(t *testing.T) {
	for _, name := range shipped {
		p, limits := load(t, name)
		shrink := 0
		for i := range limits {
			if limits[i].Shrinks() != nil {
				shrink++
			}
		}
		unnamed := 0
		for _, sign := range p.System.Get("overload").Items() {
			if !sign.Get("pool").Exists() {
				unnamed++
			}
		}
		switch _, known := anyPool[name]; {
		case known && (unnamed == 0 || shrink < 2):
			t.Errorf("%s: every sign is about a certain limit, and it is said that one is not", name)
		case !known && unnamed > 0:
			t.Errorf("%s: a sign names no limit", name)
		}
	}
}

// Every formula gives a number that a limit can have, with the default facts,
// with each word of each fact, and with small and large numbers.
func TestFormulas(t *testing.T) {
	for _, name := range shipped {
		p, limits := load(t, name)
		check := func(say string, facts map[string]budget.Fact) {
			var ps source.Problems
			values := p.Values(p.Node, facts, &ps)
			budget.Check(budget.Resolve(limits, budget.Terms{Facts: values, Tables: p.Tables}, &ps), nil, &ps)
			if err := ps.Err(); err != nil {
				t.Errorf("%s with %s: %v", name, say, err)
			}
		}
		check("the default facts", nil)
		for _, fact := range slices.Sorted(maps.Keys(p.Facts)) {
			kind := p.Facts[fact]
			words := slices.Clone(kind.Enum)
			if kind.Type == "number" {
				words = []string{"2", "7", "100000"}
			}
			for _, word := range words {
				var ps source.Problems
				n := source.Parse("facts", []byte(fact+": "+word), source.DefaultLimits, &ps).Get(fact)
				check(fact+" = "+word, map[string]budget.Fact{fact: {Value: kind.Value(n, &ps), Node: n}})
			}
			for _, row := range p.Tables {
				for word := range row {
					known := func(kind Fact) bool { return slices.Contains(kind.Enum, word) }
					if !slices.ContainsFunc(slices.Collect(maps.Values(p.Facts)), known) {
						t.Errorf("%s: no fact can be %q, which stands in a table", name, word)
					}
				}
			}
		}
	}
}

// What the vendors' own examples come to.
func TestNumbers(t *testing.T) {
	for _, c := range []struct{ profile, facts, want string }{
		{"netsuite", "{tier: ultimate, suitecloud_plus: 5}", "concurrency 70"},
		{"netsuite", "{tier: premium, suitecloud_plus: 2, account_type: partner}", "concurrency 5"},
		{"netsuite", "{tier: premium, integration_limit: 4}", "concurrency 4"},
		{"dataverse", "{}", "concurrency 52, requests 6000, execution 1200, search 1 + 1/1s, entitlement 40000"},
		{"dataverse", "{identity: application, licences: 100}", "concurrency 52, requests 6000, execution 1200, search 1 + 1/1s, entitlement 1000000"},
		{"dataverse", "{identity: application, licences: 9000}", "concurrency 52, requests 6000, execution 1200, search 1 + 1/1s, entitlement 10000000"},
		{"business-central", "{}", "concurrency 5, requests 6000"},
		{"salesforce", "{edition: enterprise, licences: 50}", "long-running 25, daily 150000"},
		{"salesforce", "{edition: unlimited, licences: 50, extra_calls: 1000}", "long-running 25, daily 351000"},
		{"salesforce", "{edition: developer}", "long-running 5, daily 15000"},
		{"salesforce", "{environment: sandbox}", "long-running 25, daily 5000000"},
		{"acumatica", "{cores: 16, requests_per_minute: 50}", "concurrency 16, requests 50, pacing 25 + 50/1m0s"},
		{"xero", "{tier: standard}", "concurrency 5, minute 60, daily 5000, app-minute 10000"},
		{"shopify-rest", "{plan: plus}", "calls 40 + 20/1s"},
		{"shopify-graphql", "{plan: advanced}", "points 1000 + 200/1s"},
		{"sap-api-management", "{spike_per_minute: 6}", "spike-arrest 1 + 6/1m0s, quota 3600"},
		{"sap-btp-token", "{}", "tokens 60"},
		{"frappe", "{execution_seconds: 600}", "execution 600000000, concurrency 4"},
		{"frappe", "{}", "execution 1000000000000, concurrency 4"},
		{"odoo", "{hosting: sh-staging, workers: 8}", "concurrency 1, rate 1000 + 1000/1s"},
		{"odoo", "{}", "concurrency 2, rate 1 + 1/1s"},
		{"manhattan", "{calls_per_hour: 2000}", "hourly 2000, concurrency 8"},
	} {
		p, limits := load(t, c.profile)
		var ps source.Problems
		var file struct {
			Facts map[string]budget.Fact `yaml:"facts"`
		}
		n := source.Parse("f.yaml", []byte("facts: "+c.facts), source.DefaultLimits, &ps)
		source.Decode(n, &file, &ps)
		var got []string
		for _, l := range budget.Resolve(limits, budget.Terms{Facts: p.Values(n, file.Facts, &ps), Tables: p.Tables}, &ps) {
			text := l.Name + " "
			if l.Bucket == nil {
				text += fmt.Sprintf("%.0f", l.Capacity.Value)
			} else {
				text += fmt.Sprintf("%.0f + %s", l.Bucket.Size.Value, l.Bucket.Refill)
			}
			got = append(got, text)
		}
		if err := ps.Err(); err != nil || strings.Join(got, ", ") != c.want {
			t.Errorf("%s %s: %s %v\nwant %s", c.profile, c.facts, strings.Join(got, ", "), err, c.want)
		}
	}
}

// No two limits of Amazon count the same call, and every bucket takes a call.
func TestAmazon(t *testing.T) {
	_, limits := load(t, "amazon-sp-api")
	seen := map[string]string{}
	for _, l := range limits {
		if len(l.Calls) != 1 {
			t.Errorf("%s counts %v", l.Name, l.Calls)
			continue
		}
		if other, ok := seen[l.Calls[0]]; ok {
			t.Errorf("%s and %s count %s", l.Name, other, l.Calls[0])
		}
		seen[l.Calls[0]] = l.Name
	}
	for call, want := range map[string]string{
		"GET /orders/v0/orders":              "20 + 0.0167/1s",
		"POST /feeds/2021-06-30/feeds":       "15 + 0.0083/1s",
		"GET /orders/2026-01-01/orders":      "20 + 0.0056/1s",
		"PUT /listings/2021-08-01/items/*/*": "10 + 5/1s",
	} {
		i := slices.IndexFunc(limits, func(l budget.Limit) bool { return slices.Contains(l.Calls, call) })
		if i < 0 {
			t.Errorf("nothing counts %s", call)
		} else if b := limits[i].Bucket; fmt.Sprintf("%.0f + %s", b.Size.Value, b.Refill) != want {
			t.Errorf("%s: %.0f + %s, want %s", call, b.Size.Value, b.Refill, want)
		}
	}
}

// A budget of each profile admits calls of every class, one after the other,
// and each of them stands in the pools that are meant for it.
func TestEveryClassIsAdmitted(t *testing.T) {
	for _, name := range shipped {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { admits(t, name) }) })
	}
}

func admits(t *testing.T, name string) {
	p, limits := load(t, name)
	var ps source.Problems
	resolved := budget.Resolve(limits, budget.Terms{Facts: p.Values(p.Node, nil, &ps), Tables: p.Tables}, &ps)
	b := budget.New(budget.Options{System: name, Limits: resolved})
	for _, call := range callsOf(limits) {
		method, path, _ := strings.Cut(call, " ")
		for _, class := range specs.Classes {
			// A minimum spacing lets the next call through when it is over.
			ticket, err := b.Admit(t.Context(), budget.Call{Class: class, Method: method, Path: path, Wait: time.Minute})
			if err != nil {
				t.Fatalf("%s: %s of class %s: %v", name, call, class, err)
			}
			time.Sleep(10 * time.Millisecond) // what a call takes
			ticket.Settle(budget.Result{})
		}
	}
	state, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, pool := range state.Pools {
		counts := slices.ContainsFunc(limits, func(l budget.Limit) bool { return l.Name == pool.Name && (l.Hold > 0 || l.Calendar != nil) })
		if counts && pool.Used == 0 {
			t.Errorf("%s.%s has counted nothing", name, pool.Name)
		}
	}
}

// callsOf are calls that fit the limits of a profile: those that the limits
// name, at most three, and a read and a write.
func callsOf(limits []budget.Limit) []string {
	calls := []string{"GET /orders/{id}", "POST /orders"}
	for _, l := range limits {
		for _, call := range l.Calls {
			if call = strings.NewReplacer("**", "v1", "*", "{id}").Replace(call); len(calls) < 5 && !slices.Contains(calls, call) {
				calls = append(calls, call)
			}
		}
	}
	return calls
}
