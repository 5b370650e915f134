package profiles

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs/source"
)

// What a profile's system keys hold is tested where systems are compiled.
func TestProfilesAreSound(t *testing.T) {
	names := Names()
	if !slices.Contains(names, "netsuite") || !slices.Contains(names, "dataverse") {
		t.Fatalf("the profiles are %v", names)
	}
	for _, name := range names {
		var ps source.Problems
		p := Load(name, &ps)
		if err := ps.Err(); err != nil {
			t.Error(err)
			continue
		}
		if p.Checked.Year() < 2026 || p.Notes == "" {
			t.Errorf("%s was checked on %s and says %q", name, p.Checked, p.Notes)
		}
	}
}

func TestUnknownProfile(t *testing.T) {
	for _, name := range []string{"netsweet", "", "../profiles/netsuite", "netsuite.yaml"} {
		var ps source.Problems
		if p := Load(name, &ps); p != nil || ps.Len() > 0 {
			t.Errorf("%q: %v %v", name, p, ps.Err())
		}
	}
}

const head = "name: x\ntitle: X\nvendor: V\nchecked: 2026-11-23\n"

func TestProblemsOfProfiles(t *testing.T) {
	for text, want := range map[string]string{
		"{": `is not valid YAML`,
		"name: y\ntitle: X\nvendor: V\nchecked: 2026-11-23\nsystem: {}": `profiles/x.yaml:1:7: name: the profile "y" stands in x.yaml`,
		"name: x\ntitle: X\nvendor: V\nchecked: today\nsystem: {}":      `profiles/x.yaml:4:10: checked: "today" is not valid here; write a day such as 2026-11-23`,
		head:                             `the key "system" is missing`,
		head + "system: {url: http://x}": `profiles/x.yaml:5:10: system.url: a profile does not set "url"; it is for the workspace to say`,
		head + "system: {}\nfacts: {users: {type: number, doc: Users., default: many}}":          `expected a number, found a string; Users.`,
		head + "system: {}\nfacts: {tier: {type: string, enum: [a, b], doc: Tier., default: c}}": `profiles/x.yaml:6:65: facts.tier.default: "c" is not known here; did you mean "a"?`,
		head + "system: {}\nidempotency: [{class: header, evidence: M, source: x}]":              `"M" is not known here`,
	} {
		var ps source.Problems
		parse("x", []byte(text), &ps)
		if err := ps.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v\nwant %s", text, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	var ps source.Problems
	p := parse("x", []byte(head+"system: {}\nfacts: {tier: {type: string, enum: [low, high], default: low, doc: Tier.}, users: {type: number, doc: Users of the account.}}"), &ps)
	for facts, want := range map[string]string{
		"{users: 5}":              "",
		"{users: 5, tier: high}":  "",
		"{tier: high}":            `f.yaml:1:8: facts: the profile x needs the fact "users"; Users of the account.`,
		"{users: 5, tier: hihg}":  `f.yaml:1:25: facts.tier: "hihg" is not known here; did you mean "high"?`,
		"{users: 5, tires: high}": `f.yaml:1:19: facts.tires: the profile x has no fact "tires"; did you mean "tier"?`,
		"{users: '5'}":            `f.yaml:1:16: facts.users: expected a number, found a string; Users of the account.`,
		"{users: 5, tier: 3}":     `f.yaml:1:25: facts.tier: expected a string, found an integer; Tier.`,
	} {
		var ps source.Problems
		var file struct {
			Facts map[string]budget.Fact `yaml:"facts"`
		}
		n := source.Parse("f.yaml", []byte("facts: "+facts), source.DefaultLimits, &ps)
		source.Decode(n, &file, &ps)
		values := p.Values(n, file.Facts, &ps)
		got := ""
		if err := ps.Err(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Error(cmp.Diff(want, got))
		}
		if want == "" && (values["users"].Value != 5.0 || values["tier"].Value == nil || len(values) != 2) {
			t.Errorf("%s: %v", facts, values)
		}
	}
}
