package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// decision is a figure of one measure of a benchmark of limits.
type decision struct {
	figure, benchmark, measure, unit string
}

// decisions are the figures that decisionsMain prints.
func decisions() []decision {
	var all []decision
	for _, pools := range []string{"1-pool", "3-pools", "6-pools"} {
		n := pools[:1]
		memory, redis := "BenchmarkAdmit/pools="+n, "BenchmarkAdmitRedis/pools="+n
		all = append(all,
			decision{"admit-memory-" + pools + "-ns", memory, "ns/op", "ns"},
			decision{"admit-memory-" + pools + "-allocs", memory, "allocs/op", "allocs"},
			decision{"admit-redis-" + pools + "-us", redis, "redis-µs/op", "µs"},
			decision{"settle-redis-" + pools + "-us", redis, "redis-µs/settle", "µs"})
	}
	return append(all,
		decision{"admit-redis-round-trips", "BenchmarkAdmitRedis/pools=3", "trips/op", "trips"},
		decision{"refuse-memory-ns", "BenchmarkRefuse", "ns/op", "ns"},
		decision{"throttle-memory-ns", "BenchmarkTake/throttle", "ns/op", "ns"},
		decision{"throttle-memory-allocs", "BenchmarkTake/throttle", "allocs/op", "allocs"},
		decision{"throttle-redis-ns", "BenchmarkRedis/throttle/leased", "ns/op", "ns"},
		decision{"throttle-redis-allocs", "BenchmarkRedis/throttle/leased", "allocs/op", "allocs"},
		decision{"throttle-redis-round-trips", "BenchmarkRedis/throttle/leased", "trips/op", "trips"},
		decision{"quota-memory-ns", "BenchmarkTake/rolling", "ns/op", "ns"},
		decision{"quota-redis-ns", "BenchmarkRedis/quota/rolling", "ns/op", "ns"},
		decision{"quota-redis-round-trips", "BenchmarkRedis/quota/rolling", "trips/op", "trips"},
	)
}

// decisionsMain runs the benchmarks of limits, three times each, and prints the least
// of each measure: others use the machine, too. It runs in the root of the project.
func decisionsMain() error {
	var out bytes.Buffer
	test := exec.Command("go", "test", "-run", "^$", "-bench", "Admit|Refuse|Take|Concurrency|Redis", "-benchtime", "500ms", "-count", "3", "./gateway/budget", "./gateway/counter")
	test.Stdout, test.Stderr = io.MultiWriter(os.Stdout, &out), os.Stderr
	if err := test.Run(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	measured := readBenchmarks(out.String())
	fmt.Println()
	for _, d := range decisions() {
		value, ok := measured[d.benchmark+" "+d.measure]
		if !ok {
			return fmt.Errorf("%s has not measured %s", d.benchmark, d.measure)
		}
		fmt.Printf("figure: %s %s %s\n", d.figure, strconv.FormatFloat(math.Round(value*1000)/1000, 'f', -1, 64), d.unit)
	}
	fmt.Println()
	return nil
}

// line is what go test prints of a benchmark: its name, the number of processors
// (none for one), how often it ran, and its measures.
var line = regexp.MustCompile(`(?m)^(Benchmark\S*?)(?:-\d+)?[ \t]+\d+[ \t]+(.*)$`)

// readBenchmarks gives the least of each measure, by "BENCHMARK MEASURE".
func readBenchmarks(text string) map[string]float64 {
	least := map[string]float64{}
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		words := strings.Fields(m[2])
		for i := 0; i+1 < len(words); i += 2 {
			n, err := strconv.ParseFloat(words[i], 64)
			if err != nil {
				continue
			}
			key := m[1] + " " + words[i+1]
			if before, ok := least[key]; !ok || n < before {
				least[key] = n
			}
		}
	}
	return least
}
