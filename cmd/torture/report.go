package main

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// print tells what came out of a campaign.
func (r *result) print() {
	v, c := r.verdict, r.erp.Counts
	fmt.Printf("\n| %s | |\n|---|---|\n", r.plan.engine)
	for _, row := range []struct {
		what  string
		count any
	}{
		{"gateways killed", r.kills},
		{"writes sent / tries", fmt.Sprintf("%d / %d", r.writes, r.tries)},
		{"acknowledged, of them with 202", fmt.Sprintf("%d, %d", v.acknowledged, v.held)},
		{"not acknowledged before the end", v.unacknowledged},
		{"delivered", v.delivered},
		{"dead letters", fmt.Sprintf("%d %s", v.deadLetters, listing(r.dead))},
		{"dead letters that need not be", len(r.unexpected)},
		{"calls at the ERP, of them reads and repetitions under a known key", fmt.Sprintf("%d, %d, %d", c.Calls, c.Reads, c.Replays)},
		{"effects", len(r.erp.Effects)},
		{"calls that took several writes, writes in them", fmt.Sprintf("%d, %d", c.Batches, c.Batched)},
		{"requests dropped / answers lost / 500 / overload / slower than the timeout", fmt.Sprintf("%d / %d / %d / %d / %d", c.Dropped, c.Unanswered, c.Broken, c.Overloads, c.Slow)},
		{"times that the ERP was away, calls refused meanwhile", fmt.Sprintf("%d, %d", c.Away, c.Resting)},
		{"most under way / in a window", fmt.Sprintf("%d of %d / %d of %d", c.MostUnder, r.plan.limits.concurrency, c.MostInWindow, r.plan.limits.calls)},
		{"**lost writes**", v.lost},
		{"**doubled effects**", v.doubled},
		{"**lane inversions**", v.inversions},
		{"**unsettled writes**", v.unsettled},
		{"**wrong outcomes**", v.wrong},
		{"**limit violations**, concurrency / window", fmt.Sprintf("%d / %d", c.ConcurrencyViolations, c.WindowViolations)},
		{"until the last was settled", r.drained.Round(100 * time.Millisecond)},
		{"until the gateways had ended", r.stopped.Round(100 * time.Millisecond)},
		{"whole campaign", r.took.Round(time.Second)},
	} {
		fmt.Printf("| %s | %v |\n", row.what, row.count)
	}
	fmt.Println()
	for _, list := range [][]string{v.examples, r.open, r.faults, r.unexpected[:min(10, len(r.unexpected))], r.complain} {
		for _, line := range list {
			fmt.Println(line)
		}
	}
}

func listing(counts map[string]int) string {
	if len(counts) == 0 {
		return ""
	}
	text := ""
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf(", %s %d", name, counts[name])
	}
	return "(" + text[2:] + ")"
}

// printFigures sums the campaigns up.
func printFigures(results []*result) {
	if len(results) == 0 {
		return
	}
	var sum verdict
	kills := map[string]int{}
	effects, dead, unexpected, violations, batched := 0, 0, 0, 0, 0
	for _, r := range results {
		v := r.verdict
		sum.lost += v.lost
		sum.doubled += v.doubled
		sum.inversions += v.inversions
		sum.unsettled += v.unsettled
		sum.wrong += v.wrong
		sum.acknowledged += v.acknowledged
		sum.held += v.held
		kills[r.plan.engine] += r.kills
		effects += len(r.erp.Effects)
		dead += v.deadLetters
		unexpected += len(r.unexpected)
		violations += r.violations()
		batched += r.erp.Counts.Batched
	}
	fmt.Println()
	for _, f := range []struct {
		name  string
		value int
		unit  string
	}{
		{"lost-writes", sum.lost, "writes"}, {"doubled-effects", sum.doubled, "effects"}, {"lane-inversions", sum.inversions, "writes"},
		{"unsettled-writes", sum.unsettled, "writes"}, {"wrong-outcomes", sum.wrong, "writes"}, {"limit-violations", violations, "calls"},
		{"acknowledged-writes", sum.acknowledged, "writes"}, {"held-writes", sum.held, "writes"}, {"erp-effects", effects, "effects"}, {"batched-writes", batched, "writes"},
		{"dead-letters", dead, "writes"}, {"unneeded-dead-letters", unexpected, "writes"}, {"kills-sqlite", kills["sqlite"], "kills"}, {"kills-postgres", kills["postgres"], "kills"},
	} {
		fmt.Printf("figure: %s %d %s\n", f.name, f.value, f.unit)
	}
}
