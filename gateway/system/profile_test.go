package system

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/specs/source"
)

// Every profile that is shipped makes a system without problems, whatever words
// its facts are, and every limit says where it comes from.
func TestShippedProfiles(t *testing.T) {
	for _, name := range profiles.Names() {
		t.Run(name, func(t *testing.T) {
			var ps source.Problems
			p := profiles.Load(name, &ps)
			if err := ps.Err(); err != nil {
				t.Fatal(err)
			}
			call := ""
			if p.System.Get("dialect").Text() == "jsonrpc" {
				call = "call: {method: m}"
			}
			for _, facts := range samples(p) {
				got := problems(t, plan{system: "profile: " + name + "\n" + facts, paths: at("GET", "/x", "x", call)})
				if got != "" {
					t.Errorf("%s:\n%s", facts, got)
				}
			}
			var settings Settings
			source.Decode(p.System, &settings, &ps)
			for _, l := range settings.Limits {
				if l.Source == "" || l.Evidence == "" || l.Evidence == "M" && !p.AdaptiveOnly {
					t.Errorf("the limit %q comes from %q with evidence %q", l.Name, l.Source, l.Evidence)
				}
			}
		})
	}
}

// samples gives facts for a profile: those that it needs, and then each word of each fact.
func samples(p *profiles.Profile) []string {
	var needed []string
	names := slices.Sorted(maps.Keys(p.Facts))
	for _, name := range names {
		switch f := p.Facts[name]; {
		case f.Default.Exists():
		case f.Type == "number":
			needed = append(needed, name+": 10")
		default:
			needed = append(needed, name+": "+append(f.Enum, "x")[0])
		}
	}
	all := []string{"facts: {" + strings.Join(needed, ", ") + "}"}
	for _, name := range names {
		for _, word := range p.Facts[name].Enum {
			others := slices.DeleteFunc(slices.Clone(needed), func(s string) bool { return strings.HasPrefix(s, name+": ") })
			all = append(all, "facts: {"+strings.Join(append(others, name+": "+word), ", ")+"}")
		}
	}
	return all
}

// settingsOf are a system's settings as they come out.
func settingsOf(t *testing.T, system string) *Settings {
	t.Helper()
	f := Open(Options{})
	t.Cleanup(f.Close)
	set, _, ps := build(f, plan{system: system, paths: at("GET", "/x", "x", "")}, "http://127.0.0.1:1")
	t.Cleanup(set.Close)
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return set.systems["erp"].settings
}

func TestProfileUnderAFile(t *testing.T) {
	limits := func(s *Settings) string {
		var list []string
		for _, l := range s.Limits {
			text := l.Name
			if l.Capacity != nil {
				text += fmt.Sprintf(" %g", l.Capacity.Value)
			}
			if l.Bucket != nil {
				text += fmt.Sprintf(" bucket %g", l.Bucket.Size.Value)
			}
			if l.Hold > 0 {
				text += " in " + l.Hold.String()
			}
			if l.Headroom != (budget.Portion{}) {
				text += " less " + l.Headroom.String()
			}
			if l.Shipped {
				text += " (shipped)"
			}
			list = append(list, text)
		}
		return strings.Join(list, ", ")
	}
	for system, want := range map[string]string{
		"profile: netsuite": "concurrency 5 (shipped)",
		"profile: netsuite\nfacts: {tier: premium, suitecloud_plus: 2}":                    "concurrency 35 (shipped)",
		"profile: netsuite\nfacts: {tier: ultimate, account_type: partner}":                "concurrency 5 (shipped)",
		"profile: netsuite\nlimits: [{name: concurrency, headroom: 2}]":                    "concurrency 5 less 2",
		"profile: netsuite\nlimits: [{name: concurrency, capacity: 8}]":                    "concurrency 8",
		"profile: netsuite\nlimits: [{name: concurrency, bucket: {size: 3, refill: 1/s}}]": "concurrency bucket 3",
		"profile: netsuite\nlimits: [{name: writes, capacity: 2, calls: GET /x}]":          "writes 2, concurrency 5 (shipped)",
		"profile: dataverse\nlimits: [{name: requests, capacity: 100}]":                    "requests 100 in 5m0s, concurrency 52 (shipped), execution 1200 in 5m0s (shipped), search bucket 1 (shipped), entitlement 40000 in 24h0m0s (shipped)",
		"limits: [{name: a, capacity: 'users * 2'}]\nfacts: {users: 4}":                    "a 8",
	} {
		if got := limits(settingsOf(t, system)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", system, got, want)
		}
	}
	s := settingsOf(t, "profile: netsuite\noverload: [{status: 503}]\nprobes: [{get: /services/rest/system/v1/governanceLimits, pool: concurrency, capacity: .x, every: 0s}, {get: /x, pool: concurrency, used: .x, every: 1m}]\ntimeout: 3s")
	if len(s.Overload) != 4 || s.Overload[0].Status[0] != 503 || s.Overload[1].Status[0] != 429 {
		t.Errorf("the signs are %+v", s.Overload)
	}
	if len(s.Probes) != 2 || s.Timeout.Std().Seconds() != 3 {
		t.Errorf("the probes are %+v", s.Probes)
	}
	s = settingsOf(t, "profile: dataverse\nreports: [{pool: requests, header: X-MS-RateLimit-Burst-Remaining-Xrm-Requests, exact: true}]")
	if len(s.Reports) != 2 || !s.Reports[0].Exact || s.Reports[1].Pool != "execution" {
		t.Errorf("the reports are %+v", s.Reports)
	}
}

// A problem stands in the workspace, at what brings it up.
func TestProfileProblems(t *testing.T) {
	for system, want := range map[string]string{
		"profile: netsuit":                                                                         `systems/erp.yaml:2:10: profile: there is no profile "netsuit"; did you mean "netsuite"?`,
		"profile: [netsuite]":                                                                      `systems/erp.yaml:2:10: profile: expected a string, found a list`,
		"profile: ../netsuite":                                                                     `systems/erp.yaml:2:10: profile: there is no profile "../netsuite"`,
		"profile: netsuite\nfacts: {tier: premum}":                                                 `systems/erp.yaml:3:15: facts.tier: "premum" is not known here; did you mean "premium"?`,
		"profile: netsuite\nfacts: {tiers: premium}":                                               `systems/erp.yaml:3:9: facts.tiers: the profile netsuite has no fact "tiers"; did you mean "tier"?`,
		"profile: netsuite\nfacts: {suitecloud_plus: -1}":                                          `systems/erp.yaml:3:8: facts: limits[0].capacity of the profile: the capacity is -5; it must be between 0.001 and 1e12`,
		"profile: netsuite\nlimits: [{name: concurrency, headroom: 5}]":                            `systems/erp.yaml:3:40: limits[0].headroom: the headroom of 5 leaves nothing of the capacity of 5; leave room for at least one call`,
		"profile: netsuite\nlimits: [{name: concurrency, heedroom: 5}]":                            `systems/erp.yaml:3:30: limits[0].heedroom: unknown key "heedroom"; did you mean "headroom"?`,
		"profile: netsuite\nlimits: {name: concurrency}":                                           `systems/erp.yaml:3:9: limits: expected a list, found a mapping`,
		"profile: netsuite\noverload: [{status: 429, pool: requests}]":                             `systems/erp.yaml:3:32: overload[0].pool: there is no limit "requests"; one of concurrency`,
		"profile: netsuite\nprobes: [{get: /governanceLimits, every: 0s}]":                         `systems/erp.yaml:3:42: probes[0].every: the profile netsuite has no probe that makes this call; headrace profiles show netsuite tells its probes`,
		"profile: netsuite\nprobes: [{get: /services/rest/system/v1/governanceLimits, every: 0s}]": "",
		"probes: [{get: /limits, every: 0s}]":                                                      `systems/erp.yaml:2:32: probes[0].every: a probe that is off does nothing; remove it`,
		"profile: netsuite\ndialect: jsonrpc":                                                      `systems/erp.yaml:2:10: profile: probes[0].get of the profile: a call of jsonrpc is no GET; set call with its method`,
		"facts: {tier: premium}":                                                                   `systems/erp.yaml:2:15: facts.tier: no limit depends on the fact "tier"; remove it`,
	} {
		call := ""
		if strings.Contains(system, "jsonrpc") {
			call = "call: {method: m}"
		}
		got := problems(t, plan{system: system, paths: at("GET", "/x", "x", call)})
		if first, _, _ := strings.Cut(got, "\n"); !strings.HasPrefix(first, want) {
			t.Errorf("%s:\n%s\nwant\n%s", system, got, want)
		}
	}
}
