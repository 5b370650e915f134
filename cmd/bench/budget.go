package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// budgetMain overloads the simulator of every profile through two gateways
// that share Redis, and lets the simulator judge: what its vendor would have
// refused is a violation, and what it could have taken is the measure of use.
func budgetMain(args []string) error {
	flags := flag.NewFlagSet("bench budget", flag.ExitOnError)
	headrace := flags.String("headrace", "bin/headrace", "the binary to measure")
	only := flags.String("only", "", "profiles, separated by commas; all when empty")
	cases := flags.String("cases", "", "quiet, redis-lost, gateway-lost, foreign, separated by commas; all when empty")
	side := flags.Int("side", 3, "trials that run side by side")
	verbose := flags.Bool("v", false, "print what each trial's simulator reports")
	flags.Parse(args)
	b := &budgetBench{headrace: *headrace, side: *side, verbose: *verbose}
	selected := func(list, name string) bool {
		return list == "" || slices.Contains(strings.Split(list, ","), name)
	}
	for _, t := range trials {
		if selected(*only, t.profile) {
			b.trials = append(b.trials, t)
		}
	}
	var failures []error
	for _, c := range budgetCases {
		if selected(*cases, c.name) {
			failures = append(failures, b.run(c))
		}
	}
	fmt.Println()
	for _, f := range b.figures {
		fmt.Println("figure: " + f)
	}
	return errors.Join(failures...)
}

// budgetCase is one of the tables: what happens half-way.
type budgetCase struct {
	name, title string
	// figure counts the violations; they must be none where strict is set.
	figure string
	strict bool
}

var budgetCases = []budgetCase{
	{name: "quiet", title: "10× overload, nothing happens", figure: "violations", strict: true},
	{name: "redis-lost", title: "Redis is killed half-way", figure: "violations-redis-lost", strict: true},
	{name: "gateway-lost", title: "one gateway is killed half-way", figure: "violations-gateway-lost", strict: true},
	{name: "foreign", title: "a fifth of the limit is taken by traffic that the gateways do not see", figure: "violations-foreign"},
}

type budgetBench struct {
	headrace string
	trials   []trial
	side     int
	verbose  bool
	figures  []string
}

// run runs all trials of a case, some side by side, and prints their table.
func (b *budgetBench) run(c budgetCase) error {
	results := make([]*trialResult, len(b.trials))
	errs := make([]error, len(b.trials))
	places := make(chan struct{}, b.side)
	var all sync.WaitGroup
	for i, t := range b.trials {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if results[i], errs[i] = b.try(t, c); errs[i] != nil {
				errs[i] = fmt.Errorf("%s, %s: %w", t.profile, c.name, errs[i])
			}
		})
	}
	all.Wait()
	results = slices.DeleteFunc(results, func(r *trialResult) bool { return r == nil })
	printTrials(os.Stdout, c, results)
	violations, least, wait := 0, 1.0, time.Duration(0)
	for _, r := range results {
		violations += r.violations
		least = min(least, r.utilisation)
		wait = max(wait, r.criticalWait)
		if b.verbose {
			fmt.Printf("%s: %s\n", r.trial.profile, r.raw)
		}
	}
	b.figures = append(b.figures, fmt.Sprintf("%s %d calls", c.figure, violations))
	if c.name == "quiet" {
		b.figures = append(b.figures, fmt.Sprintf("min-utilisation %.3f x", least), fmt.Sprintf("critical-p99-ms %.0f ms", wait.Seconds()*1000))
	}
	if c.strict && violations > 0 {
		errs = append(errs, fmt.Errorf("%s: %d calls were over a limit", c.name, violations))
	}
	return errors.Join(errs...)
}

func printTrials(w io.Writer, c budgetCase, results []*trialResult) {
	fmt.Fprintf(w, "\n## %s\n\n", c.title)
	fmt.Fprintln(w, "| profile | binding limit | violations | use of what the invariant allows | use of the bare limit | calls/s | critical p99 wait ms | admitted of critical / high / normal / low |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, r := range results {
		var shares []string
		for i := range classes {
			shares = append(shares, fmt.Sprintf("%.0f %%", 100*r.shares[i]))
		}
		fmt.Fprintf(w, "| %s | %s | %d | %.3f | %.3f | %.1f | %.0f | %s |\n", r.trial.profile, r.binding, r.violations, r.utilisation, r.bare, r.perSecond,
			r.criticalWait.Seconds()*1000, strings.Join(shares, " / "))
	}
}
