// Command bench measures the request path beside a bare reverse proxy, in one
// run on one machine: CPU time per request of the gateway process at
// saturation, and latencies at a fixed rate. It prints ratios, because
// absolute times depend on the machine and its neighbours.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "upstream":
			log.Fatal(upstream(os.Args[2]))
		case "proxy":
			log.Fatal(proxy(os.Args[2], os.Args[3]))
		case "decisions":
			if err := decisionsMain(); err != nil {
				log.Fatal(err)
			}
			return
		case "budget":
			if err := budgetMain(os.Args[2:]); err != nil {
				log.Fatal(err)
			}
			return
		case "buffer":
			if err := bufferMain(os.Args[2:]); err != nil {
				log.Fatal(err)
			}
			return
		case "publish":
			if err := publishMain(os.Args[2:]); err != nil {
				log.Fatal(err)
			}
			return
		}
	}
	headrace := flag.String("headrace", "bin/headrace", "the binary to measure")
	apis := flag.String("apis", "../shared/apis", "folder of vendors' OpenAPI documents for the table build; generated ones are used when it is absent")
	rounds := flag.Int("rounds", 9, "rounds; every subject runs in each, and the median of the ratios counts")
	each := flag.Duration("each", time.Second, "time at saturation for each subject and round")
	pacedFor := flag.Duration("paced", 3*time.Second, "time at the fixed rate for each subject")
	rate := flag.Int("rate", 1500, "requests a second at the fixed rate")
	flag.Parse()
	if err := run(*headrace, *apis, *rounds, *each, *pacedFor, *rate); err != nil {
		log.Fatal(err)
	}
}

// connections is the number of callers that keep a subject saturated.
const connections = 32

// gogc is what Headrace sets for itself; the bare proxy gets the same, so that
// the comparison is about the request path.
const gogc = "GOGC=400"

func run(headrace, apis string, rounds int, each, pacedFor time.Duration, rate int) error {
	b, err := newBed(headrace)
	if err != nil {
		return err
	}
	defer b.close()
	subjects, err := b.subjects()
	if err != nil {
		return err
	}
	fmt.Printf("%d rounds of %s at saturation with %d connections, then %s at %d requests/s\n\n", rounds, each, connections, pacedFor, rate)
	for _, s := range subjects { // warm up: pools, caches, heap
		if _, err := saturate(s.process.address, s.request, s.want, connections, each); err != nil {
			return fmt.Errorf("%s: %w: %s", s.name, err, s.process.log.String())
		}
	}
	for range rounds {
		for _, s := range subjects {
			if err := s.measure(each); err != nil {
				return err
			}
		}
	}
	for _, s := range subjects {
		s.latencies, err = paced(s.process.address, s.request, s.want, connections, rate, pacedFor)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	ratios := printTable(subjects)
	seconds, mb, what, err := tableBuild(headrace, apis)
	if err != nil {
		return err
	}
	fmt.Printf("\ntable of %s: %.2f s, %.0f MB at the most\n\n", what, seconds, mb)
	for _, name := range []string{"passthrough-cpu-ratio", "governed-get-cpu-ratio", "governed-jwt-cpu-ratio", "validated-post-cpu-ratio", "validated-post-31-over-30"} {
		fmt.Printf("figure: %s %.2f x\n", name, ratios[name])
	}
	fmt.Printf("figure: table-build-seconds %.2f s\nfigure: table-build-mb %.0f MB\n", seconds, mb)
	if seconds > 5 || mb > 500 {
		return errors.New("the table build must stay under 5 s and 500 MB")
	}
	return nil
}

// subject is one configuration under one request.
type subject struct {
	name, figure string
	process      *process
	request      []byte
	want         int
	// base is the bare proxy on the same request; nil for the bare proxy itself.
	base *subject

	cpu       []float64 // µs per request, one a round
	perSecond []float64
	latencies []time.Duration
}

func (s *subject) measure(d time.Duration) error {
	before, err := s.process.cpu()
	if err != nil {
		return err
	}
	started := time.Now()
	count, err := saturate(s.process.address, s.request, s.want, connections, d)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	took := time.Since(started)
	after, err := s.process.cpu()
	if err != nil {
		return err
	}
	s.cpu = append(s.cpu, float64((after-before).Microseconds())/float64(count))
	s.perSecond = append(s.perSecond, float64(count)/took.Seconds())
	return nil
}

// ratio is the median over the rounds of this subject's CPU time over
// another's in the same round.
func (s *subject) ratio(other *subject) float64 {
	var ratios []float64
	for i := range s.cpu {
		ratios = append(ratios, s.cpu[i]/other.cpu[i])
	}
	return median(ratios)
}

func printTable(subjects []*subject) map[string]float64 {
	ratios := map[string]float64{}
	var validated30 *subject
	fmt.Printf("| %-58s | CPU µs/request | ratio to bare | requests/s | p50 ms | p99 ms | MB |\n", "")
	fmt.Printf("|%s|---|---|---|---|---|---|\n", strings.Repeat("-", 60))
	for _, s := range subjects {
		ratio := 1.0
		if s.base != nil {
			ratio = s.ratio(s.base)
			ratios[s.figure] = ratio
		}
		switch s.figure {
		case "validated-post-cpu-ratio":
			validated30 = s
		case "validated-post-31-cpu-ratio":
			ratios["validated-post-31-over-30"] = s.ratio(validated30)
		}
		fmt.Printf("| %-58s | %.1f | %.2f | %.0f | %.2f | %.2f | %.0f |\n", s.name, median(s.cpu), ratio, median(s.perSecond),
			float64(percentile(s.latencies, 0.5).Microseconds())/1000, float64(percentile(s.latencies, 0.99).Microseconds())/1000, s.process.resident())
	}
	return ratios
}

// tableBuild has the binary check a workspace of large documents and reads the
// time and the peak memory of that process from the kernel.
func tableBuild(headrace, apis string) (seconds, mb float64, what string, err error) {
	dir, what, err := documentWorkspace(apis)
	if err != nil {
		return 0, 0, "", err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(headrace, "check", "--output", "json", dir)
	cmd.Env = append(os.Environ(), gogc)
	started := time.Now()
	out, err := cmd.Output()
	seconds = time.Since(started).Seconds()
	if err != nil {
		return 0, 0, "", fmt.Errorf("the documents do not build: %w: %s", err, out)
	}
	var problems []any
	if err := json.Unmarshal(out, &problems); err != nil || len(problems) > 0 {
		return 0, 0, "", fmt.Errorf("the documents have problems: %s", out)
	}
	return seconds, maxResident(cmd.ProcessState), what, nil
}
