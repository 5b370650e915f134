package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

func TestMetricsOfExchanges(t *testing.T) {
	quiet(t)
	tel, _ := open(t, slog.LevelError)
	op := operation()
	tel.Prepare(op)
	for range 3 {
		x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7", nil))
		x.App = &gateway.App{Name: "shop"}
		tel.Begin(x)
		x.Record.Attempts, x.Record.Wait = 1, 30*time.Millisecond
		x.Record.Violations = []specs.Violation{{In: "body", Pointer: "/total"}}
		x.Record.RequestViolations = []specs.Violation{{In: "body"}, {In: "query", Name: "q"}}
		tel.End(ended(x, 200, "answered"))
	}
	x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7", nil))
	tel.Begin(x)
	tel.End(ended(x, 401, gateway.Unauthenticated.Name))
	open := exchange(nil, httptest.NewRequest("GET", "/nothing", nil))
	tel.Begin(open)
	tel.Begin(exchange(nil, httptest.NewRequest("GET", "/nothing", nil)))
	tel.End(ended(open, 404, gateway.NotFound.Name))

	text := scrape(t, tel)
	answered := `{api="orders",app="shop",decision="answered",operation="getOrder",status="2xx",version="1.2.0"}`
	expectLines(t, text,
		`headrace_requests_total`+answered+` 3`,
		`headrace_request_duration_seconds_count`+answered+` 3`,
		`headrace_requests_total{api="orders",app="",decision="unauthenticated",operation="getOrder",status="4xx",version="1.2.0"} 1`,
		`headrace_requests_total{api="",app="",decision="not-found",operation="",status="4xx",version=""} 1`,
		`headrace_requests_in_flight 1`,
		`headrace_budget_wait_seconds_count{class="high",system="erp"} 3`,
		`headrace_budget_wait_seconds_bucket{class="high",system="erp",le="0.025"} 0`,
		`headrace_budget_wait_seconds_bucket{class="high",system="erp",le="0.05"} 3`,
		`headrace_request_violations_total{api="orders",operation="getOrder",version="1.2.0"} 6`,
		`headrace_response_violations_total{api="orders",operation="getOrder",version="1.2.0"} 3`,
		`headrace_log_lines_dropped_total 0`,
	)
	if !strings.Contains(text, `service_name="headrace"`) || !strings.Contains(text, `service_version="1.2.3"`) {
		t.Error("target_info does not say who reports")
	}
}

func TestCountsGoOnOverATableSwap(t *testing.T) {
	quiet(t)
	tel, _ := open(t, slog.LevelError)
	for range 2 {
		op := operation()
		tel.Prepare(op)
		x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7", nil))
		tel.Begin(x)
		tel.End(ended(x, 200, "answered"))
	}
	expectLines(t, scrape(t, tel), `headrace_requests_total{api="orders",app="",decision="answered",operation="getOrder",status="2xx",version="1.2.0"} 2`)
}

func TestAnExchangeThatWasCutShortIsInternal(t *testing.T) {
	quiet(t)
	tel, log := open(t, slog.LevelInfo)
	x := exchange(nil, httptest.NewRequest("GET", "/", nil))
	tel.Begin(x)
	tel.End(x)
	expectLines(t, scrape(t, tel), `headrace_requests_total{api="",app="",decision="internal",operation="",status="",version=""} 1`)
	if line := logged(t, tel, log)[0]; line["level"] != "ERROR" || line["decision"] != "internal" {
		t.Errorf("%v", line)
	}
}

func TestCallsOfSystems(t *testing.T) {
	quiet(t)
	tel, _ := open(t, slog.LevelError)
	tel.CallDone("erp", "getOrder", "delivered", 20*time.Millisecond)
	tel.CallDone("erp", "getOrder", "delivered", 200*time.Millisecond)
	tel.CallDone("erp", "getOrder", "overloaded", time.Millisecond)
	expectLines(t, scrape(t, tel),
		`headrace_system_calls_total{operation="getOrder",outcome="delivered",system="erp"} 2`,
		`headrace_system_calls_total{operation="getOrder",outcome="overloaded",system="erp"} 1`,
		`headrace_system_call_duration_seconds_bucket{operation="getOrder",outcome="delivered",system="erp",le="0.025"} 1`,
		`headrace_system_call_duration_seconds_count{operation="getOrder",outcome="delivered",system="erp"} 2`,
	)
}

func TestWatchedSources(t *testing.T) {
	quiet(t)
	tel, _ := open(t, slog.LevelError)
	var table *gateway.Table
	err := tel.Watch(Sources{
		Table: func() *gateway.Table { return table },
		Systems: func() []SystemUse {
			return []SystemUse{{System: "erp", Breaker: "half-open", InFlight: 4, Waiting: [4]int{specs.High: 9}, Pools: []PoolUse{
				{Pool: "concurrency", Used: 4, Capacity: 5},
				{Pool: "hourly", Scope: "shop", Used: 0.5, Capacity: 100, Paused: true},
			}}}
		},
		Reloads:  func() (int, int) { return 7, 2 },
		Registry: func() (int64, int64) { return 9, 8 },
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(scrape(t, tel), "headrace_table_info") {
		t.Error("there is no table yet")
	}
	table = &gateway.Table{Revision: "abc", Built: time.UnixMilli(1_700_000_000_500), Operations: make([]*gateway.Operation, 12)}
	text := scrape(t, tel)
	expectLines(t, text,
		`headrace_table_info{revision="abc"} 1`,
		`headrace_table_built_timestamp_seconds 1.7000000005e+09`,
		`headrace_table_operations 12`,
		`headrace_pool_used{pool="concurrency",scope="",system="erp"} 4`,
		`headrace_pool_capacity{pool="concurrency",scope="",system="erp"} 5`,
		`headrace_pool_paused{pool="concurrency",scope="",system="erp"} 0`,
		`headrace_pool_used{pool="hourly",scope="shop",system="erp"} 0.5`,
		`headrace_pool_paused{pool="hourly",scope="shop",system="erp"} 1`,
		`headrace_system_breaker{state="closed",system="erp"} 0`,
		`headrace_system_breaker{state="half-open",system="erp"} 1`,
		`headrace_system_in_flight{system="erp"} 4`,
		`headrace_system_waiting{class="high",system="erp"} 9`,
		`headrace_system_waiting{class="low",system="erp"} 0`,
		`headrace_reloads_total{result="accepted"} 5`,
		`headrace_reloads_total{result="refused"} 2`,
		`headrace_registry_revision 9`,
		`headrace_registry_served 8`,
	)
	table = &gateway.Table{Revision: "def"}
	if strings.Contains(scrape(t, tel), `revision="abc"`) {
		t.Error("an old revision is still shown")
	}
}

func TestSeriesAreBounded(t *testing.T) {
	quiet(t)
	tel, _ := open(t, slog.LevelError)
	tel.calls.limit = 2500 // more than the SDK would allow by itself
	for i := range tel.calls.limit + 10 {
		tel.CallDone("erp", fmt.Sprint(i), "delivered", time.Millisecond)
	}
	text := scrape(t, tel)
	expectLines(t, text,
		`headrace_system_calls_total{otel_metric_overflow="true"} 10`,
		`headrace_system_call_duration_seconds_count{otel_metric_overflow="true"} 10`,
		fmt.Sprintf(`headrace_system_calls_total{operation="%d",outcome="delivered",system="erp"} 1`, tel.calls.limit-1),
	)
}

func TestConcurrentExchangesAreAllCounted(t *testing.T) {
	quiet(t)
	tel, log := open(t, slog.LevelInfo)
	op := operation()
	tel.Prepare(op)
	apps := []*gateway.App{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}
	var g sync.WaitGroup
	for _, app := range apps {
		for range 2 {
			g.Go(func() {
				for i := range 50 {
					x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7", nil))
					x.App = app
					tel.Begin(x)
					tel.End(ended(x, 200+100*(i%4), "answered"))
				}
			})
		}
	}
	g.Wait()
	text := scrape(t, tel)
	for _, app := range apps {
		expectLines(t, text, `headrace_requests_total{api="orders",app="`+app.Name+`",decision="answered",operation="getOrder",status="5xx",version="1.2.0"} 24`)
	}
	if n := len(logged(t, tel, log)); n != 400 {
		t.Errorf("%d lines of 400", n)
	}
}

func TestEndAllocatesNothingInSteadyState(t *testing.T) {
	quiet(t)
	tel, _ := open(t, slog.LevelInfo)
	op := operation()
	tel.Prepare(op)
	x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7?q=1", nil))
	x.App = &gateway.App{Name: "shop"}
	ended(x, 200, "answered").Record.Attempts = 1
	n := testing.AllocsPerRun(200, func() {
		tel.Begin(x)
		tel.End(x)
	})
	if n > 1 { // the log's buffer grows now and then
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	quiet(b)
	tel, err := Open(b.Context(), Options{LogWriter: discard{}})
	if err != nil {
		b.Fatal(err)
	}
	defer shut(b, tel)
	op := operation()
	tel.Prepare(op)
	x := exchange(op, httptest.NewRequest("GET", "/orders/v1/orders/7?q=1", nil))
	x.App = &gateway.App{Name: "shop"}
	ended(x, 200, "answered").Record.Attempts = 1
	b.ReportAllocs()
	for b.Loop() {
		tel.Begin(x)
		tel.End(x)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

var errRefused = errors.New("connection refused")
