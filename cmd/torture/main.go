// Command torture proves the promise of the write buffer: it kills gateways at
// random instants while writers write to an ERP system that misbehaves, and then
// compares what the writers were promised with what the ERP has done.
//
// It exits non-zero when an acknowledged write was lost, an effect doubled, a
// lane's order inverted, a write left without a final state, an outcome wrong,
// or a limit of the ERP exceeded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("torture: ")
	if len(os.Args) == 5 && os.Args[1] == "erp" {
		log.Fatal(serveERP(os.Args[2], os.Args[3], os.Args[4]))
	}
	var o options
	flag.StringVar(&o.headrace, "headrace", "bin/headrace", "the binary to torture")
	flag.StringVar(&o.engines, "engines", "sqlite,postgres", "stores of the ledger, one campaign for each")
	flag.IntVar(&o.kills, "kills", 200, "kills on SQLite")
	flag.IntVar(&o.killsPostgres, "kills-postgres", -1, "kills on Postgres; a quarter of -kills when negative")
	flag.IntVar(&o.replicas, "replicas", 3, "gateways that share a ledger on Postgres")
	flag.StringVar(&o.counters, "counters", "memory", "where the gateways on Postgres count calls: memory, each for a part of the limits, or redis, all together")
	flag.IntVar(&o.stalls, "stalls", 2, "how often a gateway on Postgres stands still for longer than its leases, and then goes on")
	flag.IntVar(&o.writers, "writers", 24, "concurrent writers")
	flag.IntVar(&o.orders, "orders", 60, "orders of each writer, each a lane of its own")
	flag.DurationVar(&o.pause, "pause", 250*time.Millisecond, "pause of a writer between two writes, on average")
	flag.DurationVar(&o.peace, "peace", 15*time.Second, "time of writing without kills at the end, in which calls run into their timeouts")
	flag.DurationVar(&o.drain, "drain", 3*time.Minute, "longest time for the last write to be settled after the last kill")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of what is random in the harness; from the clock when 0")
	flag.StringVar(&o.bugs, "bugs", "", "make the ERP break its word, to see that it is found: "+strings.Join(allBugs, ","))
	flag.BoolVar(&o.keep, "keep", false, "keep the logs and the ledger")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	results, err := o.run(ctx)
	printFigures(results)
	if err != nil {
		log.Fatal(err)
	}
}

// options are the flags.
type options struct {
	headrace, engines, bugs, counters string
	kills, killsPostgres              int
	replicas, stalls                  int
	writers, orders                   int
	pause, peace, drain               time.Duration
	seed                              uint64
	keep                              bool
}

// stall is longer than the lease of a claim, which is 30 s.
const stall = 40 * time.Second

var allBugs = []string{bugLose, bugDouble, bugLate, bugRefuse, bugTight, bugGone}

// errBroken is the error of a run that found something.
var errBroken = errors.New("a promise was broken")

// run carries out one campaign after the other, and prints what came out.
func (o *options) run(ctx context.Context) ([]*result, error) {
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	if o.killsPostgres < 0 {
		o.killsPostgres = (o.kills + 3) / 4
	}
	var bugs []string
	if o.bugs != "" {
		bugs = strings.Split(o.bugs, ",")
	}
	for _, b := range bugs {
		if !slices.Contains(allBugs, b) {
			return nil, fmt.Errorf("there is no bug %q", b)
		}
	}
	var results []*result
	broken := false
	for engine := range strings.SplitSeq(o.engines, ",") {
		r, err := o.campaign(ctx, engine, bugs)
		if err != nil {
			return results, fmt.Errorf("%s: %w", engine, err)
		}
		results = append(results, r)
		broken = broken || r.bad()
	}
	if broken {
		return results, errBroken
	}
	return results, nil
}

func (o *options) campaign(ctx context.Context, engine string, bugs []string) (*result, error) {
	dir, err := os.MkdirTemp("", "headrace-torture-"+engine+"-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	p := plan{
		engine: engine, counters: "memory", replicas: 1, kills: o.kills, least: 50 * time.Millisecond, most: 2 * time.Second,
		stall: stall, writers: o.writers, orders: o.orders, pause: o.pause, peace: o.peace, drain: o.drain, seed: o.seed, bugs: bugs,
		limits: limits{concurrency: 24, calls: 150, window: 500 * time.Millisecond},
	}
	if engine == "postgres" {
		p.replicas, p.kills, p.stalls, p.counters = o.replicas, o.killsPostgres, o.stalls, o.counters
	}
	fmt.Printf("%s: %d kills, %d gateways, %d writers, seed %d\n", engine, p.kills, p.replicas, p.writers, p.seed)
	r, err := run(ctx, o.headrace, dir, p)
	if err == nil {
		r.print()
	}
	if o.keep || err != nil || r.bad() {
		fmt.Printf("logs and ledger: %s\n", dir)
	} else if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	return r, err
}
