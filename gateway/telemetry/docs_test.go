package telemetry

import (
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// TestDocumentation compares docs/telemetry.md with what an exchange that has
// everything leaves behind: metrics, log fields and attributes, both ways.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	quiet(t)
	c := startCollector(t)
	tel, log := open(t, slog.LevelDebug)
	table := &gateway.Table{Revision: "abc", Built: time.Now()}
	err = tel.Watch(Sources{
		Table:    func() *gateway.Table { return table },
		Systems:  func() []SystemUse { return []SystemUse{{System: "erp", Pools: []PoolUse{{Pool: "window"}}}} },
		Writes:   func() []WriteUse { return []WriteUse{{System: "erp", Writes: 1}} },
		Runs:     func() []RunUse { return []RunUse{{State: "running", Runs: 1}} },
		Ledger:   func() error { return nil },
		Stores:   func() []StoreUse { return []StoreUse{{Store: "counters", Mode: "shared", Replicas: 2, Share: 0.5}} },
		Reloads:  func() (int, int) { return 1, 0 },
		Registry: func() (int64, int64) { return 2, 1 },
	})
	if err != nil {
		t.Fatal(err)
	}
	tel.CallDone("erp", "getOrder", "delivered", time.Millisecond)
	tel.WriteAccepted("erp", specs.High)
	tel.WriteDoubtful("erp", specs.High)
	tel.RunBegan("booking/v1/book")
	tel.RunTaken("booking/v1/book")
	tel.RunEnded("booking/v1/book", "completed", time.Second)
	tel.BatchSent("erp", specs.High, 12)
	tel.EventTold("delivered", time.Millisecond)
	tel.WriteEnded(WriteEnd{System: "erp", Class: specs.High, State: "delivered", Attempts: 2, Astray: time.Second})
	op := operation()
	tel.Prepare(op)
	x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7", nil))
	x.App = &gateway.App{Name: "shop"}
	tel.Begin(x)
	x.Record.Attempts, x.Record.Cache, x.Record.Cause = 1, "miss", errRefused
	x.Record.Violations, x.Record.RequestViolations = []specs.Violation{{In: "body"}}, []specs.Violation{{In: "body"}}
	tel.End(ended(x, 502, gateway.BadGateway.Name))

	metrics := names(`(?m)^# TYPE (headrace_\S+) `, scrape(t, tel))
	compare(t, "metric", metrics, names("(?m)^\\| `(headrace_\\w+)`", string(text)))

	line := logged(t, tel, log)[0]
	fields := regexp.MustCompile(`(?s)### Fields of an exchange.*?\n\n\|.*?\n\n`).FindString(string(text))
	rows := regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllString(fields, -1)
	var documented []string
	for _, row := range rows {
		documented = append(documented, names("`(\\w+)`", row)...)
	}
	compare(t, "log field", slices.Collect(maps.Keys(line)), documented)

	have := slices.Collect(maps.Keys(attributes(c.span(t, "GET /orders/v1/orders/{id}").Attributes)))
	_, traces, _ := strings.Cut(string(text), "## Traces")
	compare(t, "attribute", have, names("`((?:headrace|http|url|error)\\.[a-z_.]+)`", traces))
}

func names(pattern, text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func compare(t *testing.T, what string, have, documented []string) {
	t.Helper()
	if len(have) == 0 {
		t.Errorf("there is no %s", what)
	}
	for _, name := range have {
		if !slices.Contains(documented, name) {
			t.Errorf("the %s %s is not documented", what, name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(have, name) {
			t.Errorf("the documented %s %s does not exist", what, name)
		}
	}
}
