// Command e2e drives a real Tryton server through Headrace, over HTTP, as a
// consumer app would: it starts both, places and confirms sales, provokes
// every refusal, takes Tryton and its database away and gives them back, and
// asks Tryton itself in the end whether each sale exists exactly once.
//
// It prints one line a check, and last the lines "figure: NAME VALUE UNIT".
// Its status is 0 only if every check has passed. Everything listens on
// loopback, and only processes that it started are ended, by their ids.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// limit is the longest time for a whole run. With a prepared database a run
// takes about twelve minutes; the rest is for packages, preparation and slow machines.
const limit = 35 * time.Minute

func main() {
	binary := flag.String("headrace", "bin/headrace", "the headrace binary")
	workspace := flag.String("workspace", "deploy/tryton/workspace", "the workspace; a copy of it is used")
	server := flag.String("server", "deploy/tryton/server", "the folder of the scripts that start and stop Tryton")
	verbose := flag.Bool("log", false, "print the log of headrace at the end, whatever the result")
	storm := flag.Bool("storm", false, "only read the catalogue and have the storm")
	begin := flag.Duration("begin", 15*time.Minute, "for so long the storm begins new sales through Headrace")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ok, err := run(ctx, *binary, *workspace, *server, *verbose, *storm, *begin)
	if err != nil {
		fmt.Println("the test could not run:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run starts both sides, works through the list and stops them again.
func run(ctx context.Context, binary, workspace, server string, verbose, storm bool, begin time.Duration) (bool, error) {
	t, err := startTryton(ctx, server)
	if t != nil {
		defer t.stop()
	}
	if err != nil {
		return false, err
	}
	auditor, err := t.newAuditor(ctx)
	if err != nil {
		return false, err
	}
	h, err := startHeadrace(ctx, binary, workspace, t)
	if err != nil {
		return false, err
	}
	defer h.stop()
	x := &test{
		ctx: ctx, tryton: t, headrace: h, auditor: auditor,
		shop: newCaller(h.base, key("webshop1")),
		once: map[string]bool{}, only: storm, begin: begin,
	}
	started := time.Now()
	x.everything()
	if verbose || x.failed > 0 {
		fmt.Printf("\nthe log of headrace:\n%s\n", h.log)
	}
	x.figure("tryton-seconds", int(time.Since(started).Seconds()), "s")
	x.summary()
	return x.failed == 0 && x.passed > 0, ctx.Err()
}

// key is a key of consumers.yaml: worthless anywhere but in this test.
func key(prefix string) string { return "hr_" + prefix + "_OnlyForTestsOnLoopback" }
