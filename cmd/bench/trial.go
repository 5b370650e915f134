package main

import "time"

// trial is a profile under overload against its simulator.
type trial struct {
	profile string // and the simulator of the same name
	// facts are what the customer's contract says, as YAML; options are the
	// simulator's flags to the same effect.
	facts   string
	options []string
	// scale makes the vendor's time run faster, on both sides.
	scale float64
	// limits replace keys of the profile's limits, by name, as YAML: numbers that
	// a short run can reach, as the options have them, and no headroom, so that
	// use is measured against the vendor's number.
	limits map[string]string
	// method and path are the call to the system, body what it sends, cost what
	// the operation says that it costs.
	method, path, body, cost string
	// rate is what the binding limit lets pass, in calls a second.
	rate float64
	// latency and jitter are the simulator's.
	latency, jitter time.Duration
	// foreign is about a fifth of the limit: calls a second, or places.
	foreign string
}

const anyItems = "/_any/items"

// get is a trial of reads with the usual latency.
func get(profile string, rate float64, foreign string) trial {
	return trial{
		profile: profile, scale: 1, method: "GET", path: anyItems, rate: rate,
		latency: 60 * time.Millisecond, jitter: 40 * time.Millisecond, foreign: foreign,
	}
}

func (t trial) with(change func(*trial)) trial {
	change(&t)
	return t
}

// trials are all profiles. Rates are low enough for several trials to run side
// by side on a small machine; what counts is the use of the limit, not its size.
var trials = []trial{
	get("acumatica", 50, "8").with(func(t *trial) {
		t.facts, t.options = "{cores: 4, requests_per_minute: 60000}", []string{"-requests=60000", "-concurrency=4"}
	}),
	get("amazon-sp-api", 5, "1").with(func(t *trial) {
		t.path, t.limits = "/listings/2021-08-01/items/A1/SKU-0001", map[string]string{}
	}),
	get("business-central", 62, "1"),
	get("dataverse", 45, "9").with(func(t *trial) {
		t.scale, t.options = 50, []string{"-requests=360"}
		t.limits = map[string]string{"requests": "capacity: 360"}
	}),
	get("dynamics365-fno", 75, "1").with(func(t *trial) {
		// Only the pauses are in the vendor's time: 30 s and more for a refusal.
		t.scale, t.facts, t.options = 20, "{concurrency: 6}", []string{"-concurrency=6"}
	}),
	get("frappe", 20, "4").with(func(t *trial) {
		t.scale, t.facts, t.options = 600, "{execution_seconds: 6000, workers: 4}", []string{"-requests=6000"}
	}),
	get("generic", 50, "1").with(func(t *trial) {
		t.facts, t.options = "{concurrency: 4}", []string{"-concurrency=4"}
	}),
	get("manhattan", 40, "8").with(func(t *trial) {
		t.scale, t.facts, t.options = 600, "{calls_per_hour: 240, concurrency: 8}", []string{"-requests=240"}
		t.limits = map[string]string{"hourly": "headroom: 0"}
	}),
	get("netsuite", 62, "1").with(func(t *trial) {
		t.facts, t.options = "{tier: standard}", []string{"-concurrency=5"}
		t.limits = map[string]string{"concurrency": "headroom: 0"}
	}),
	get("odoo", 10, "2").with(func(t *trial) {
		t.scale, t.facts = 20, "{hosting: online}"
	}),
	get("oracle-fusion", 50, "1").with(func(t *trial) {
		t.facts, t.options = "{concurrency: 4}", []string{"-concurrency=4"}
	}),
	get("quickbooks-online", 40, "8").with(func(t *trial) { t.scale = 10 }),
	get("sage-intacct", 25, "1").with(func(t *trial) {
		t.facts, t.options = "{concurrency: 2}", []string{"-concurrency=2", "-age=1ms"}
	}),
	get("salesforce", 50, "10").with(func(t *trial) {
		t.scale, t.options = 20_000, []string{"-requests=216"}
		t.limits = map[string]string{"daily": "capacity: 216"}
	}),
	get("sap-api-management", 12, "2").with(func(t *trial) {
		t.facts, t.options = "{spike_per_minute: 3000, quota_per_hour: 1000000}", []string{"-rate=50", "-requests=1000000"}
	}),
	get("sap-btp-token", 55, "11"),
	get("sap-business-one", 50, "1").with(func(t *trial) {
		t.facts, t.options = "{concurrency: 4}", []string{"-concurrency=4"}
	}),
	get("sap-s4hana", 50, "1").with(func(t *trial) {
		t.facts, t.options = "{concurrency: 4}", []string{"-concurrency=4"}
	}),
	get("shopify-graphql", 40, "8").with(func(t *trial) {
		t.method, t.body, t.cost = "POST", `{"points": 10, "actual": 5}`, "x-headrace: {cost: {points: .points}}"
		t.scale, t.options = 2, []string{"-requests=1000"}
	}),
	get("shopify-rest", 40, "8").with(func(t *trial) { t.scale = 20 }),
	get("workday", 50, "1").with(func(t *trial) {
		t.facts, t.options = "{concurrency: 4}", []string{"-concurrency=4"}
	}),
	get("xero", 10, "2").with(func(t *trial) {
		t.scale, t.facts = 10, "{tier: standard}"
	}),
}
