package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/ledger/postgrestest"
)

// bufferBench measures the write buffer: its ledger beside bare insert loops,
// its claims at depth, and what it costs a write that is answered at once.
type bufferBench struct {
	headrace string
	engines  []string
	parts    []string
	rounds   int
	each     time.Duration
	depths   []int
	claims   time.Duration
	snapshot time.Duration
	fill     time.Duration // most time for filling one ledger

	dir      string
	postgres *postgrestest.Server
	figures  []string
}

func bufferMain(args []string) error {
	var b bufferBench
	var engines, parts string
	f := flag.NewFlagSet("buffer", flag.ExitOnError)
	f.StringVar(&b.headrace, "headrace", "bin/headrace", "the binary to measure")
	f.StringVar(&engines, "engines", "sqlite,postgres", "stores of the ledger")
	f.StringVar(&parts, "parts", "appends,claims,snapshot,overhead,memory", "what to measure; memory is measured on the ledgers that the claims leave")
	f.IntVar(&b.rounds, "rounds", 5, "rounds of appends; every subject runs in each, and the median of the ratios counts")
	f.DurationVar(&b.each, "each", 400*time.Millisecond, "time for each subject, number of callers and round")
	most := f.Int("held", 1_000_000, "the greatest number of held writes")
	f.DurationVar(&b.claims, "claims", 800*time.Millisecond, "time of claiming at each depth in each round")
	f.DurationVar(&b.snapshot, "snapshot", 30*time.Second, "how long a snapshot is held open on Postgres")
	f.DurationVar(&b.fill, "fill", 150*time.Second, "most time for filling a ledger; what is held then counts")
	within := f.Duration("within", 20*time.Minute, "give up after this time")
	f.Parse(args)
	ctx, cancel := context.WithTimeout(context.Background(), *within)
	defer cancel()
	b.engines, b.parts = strings.Split(engines, ","), strings.Split(parts, ",")
	for _, depth := range []int{1000, 100_000, 1_000_000} {
		b.depths = append(b.depths, min(depth, *most))
	}
	b.depths = slices.Compact(b.depths)
	return b.run(ctx)
}

func (b *bufferBench) run(ctx context.Context) error {
	var err error
	if b.dir, err = os.MkdirTemp("", "headrace-buffer-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if slices.Contains(b.engines, "postgres") {
		if b.postgres, err = postgrestest.Start(); err != nil {
			return err
		}
		defer b.postgres.Stop()
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"appends", b.measureAppends}, {"claims", b.measureClaims}, {"snapshot", b.measureSnapshot}, {"overhead", b.measureOverhead}, {"memory", b.measureMemory},
	} {
		if !slices.Contains(b.parts, part.name) {
			continue
		}
		began := time.Now()
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("\n%s took %.0f s\n", part.name, time.Since(began).Seconds())
	}
	fmt.Printf("\n%s\n", strings.Join(b.figures, "\n"))
	return nil
}

func (b *bufferBench) figure(format string, args ...any) {
	b.figures = append(b.figures, fmt.Sprintf("figure: "+format, args...))
}

func (b *bufferBench) measureAppends(ctx context.Context) error {
	for _, engine := range b.engines {
		ratio, err := b.appends(ctx, engine)
		if err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
		b.figure("%s-append-ratio %.2f x", engine, ratio)
	}
	return nil
}

func (b *bufferBench) measureClaims(ctx context.Context) error {
	worst := 0.0
	for _, engine := range b.engines {
		ratio, err := b.depth(ctx, engine)
		if err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
		b.figure("%s-claim-depth-ratio %.2f x", engine, ratio)
		worst = max(worst, ratio)
	}
	b.figure("claim-depth-ratio %.2f x", worst)
	return nil
}

func (b *bufferBench) measureSnapshot(ctx context.Context) error {
	if b.postgres == nil {
		return nil
	}
	ratio, err := b.heldSnapshot(ctx)
	b.figure("postgres-snapshot-claim-ratio %.2f x", ratio)
	return err
}

func (b *bufferBench) measureOverhead(context.Context) error {
	overhead, err := b.overhead()
	b.figure("sync-overhead-ms %.2f ms", overhead)
	return err
}

func (b *bufferBench) measureMemory(ctx context.Context) error {
	few, many, err := b.memory(ctx)
	b.figure("held-thousand-mb %.0f MB", few)
	b.figure("held-million-mb %.0f MB", many)
	if err == nil && many > few+unbounded {
		err = fmt.Errorf("memory grows with what is held: %.0f MB, with few writes %.0f MB", many, few)
	}
	return err
}

// unbounded is how many megabytes more a gateway may take with the most held
// writes: a third of what they would take themselves.
const unbounded = 400

// url is a fresh place for a ledger.
func (b *bufferBench) url(engine, name string) (string, error) {
	switch engine {
	case "sqlite":
		return "sqlite:" + filepath.Join(b.dir, name+".db"), nil
	case "postgres":
		return b.postgres.Create()
	}
	return "", errors.New("there is no engine " + engine + ": sqlite or postgres")
}

// syncs is how often a second the disk makes 1 KiB durable, at the moment: it
// differs from minute to minute on a shared machine.
func (b *bufferBench) syncs() (float64, error) {
	f, err := os.Create(filepath.Join(b.dir, "probe"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, started, block := 0, time.Now(), make([]byte, 1024)
	for time.Since(started) < time.Second/2 {
		if _, err := f.WriteAt(block, 0); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(started).Seconds(), nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quiet are the settings of the ledgers; what a server lacks in durability
// against the loss of its machine is not at issue here.
var quiet = ledger.Options{Replica: "bench", Log: slog.New(slog.DiscardHandler)}
