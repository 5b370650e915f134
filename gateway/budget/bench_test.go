package budget

import (
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

func someLimits(n int) []Limit {
	return []Limit{
		capacity("concurrency", 100, 0),
		capacity("window", 1e9, 300*time.Second),
		bucket("rate", 1e6, Rate{Units: 1e9, Per: time.Second}),
		capacity("daily", 1e11, 24*time.Hour),
		scoped(capacity("app", 1e9, time.Minute), "{app}"),
		scoped(bucket("user", 1e6, Rate{Units: 1e9, Per: time.Second}), "{principal}"),
	}[:n]
}

func BenchmarkAdmit(b *testing.B) {
	for _, n := range []int{1, 3, 6} {
		b.Run(fmt.Sprintf("pools=%d", n), func(b *testing.B) {
			budget := newBudget(someLimits(n)...)
			call := Call{Class: specs.Normal, Operation: "createOrder", App: "shop", Principal: "anna", Wait: time.Second, Timeout: 30 * time.Second}
			b.ReportAllocs()
			for b.Loop() {
				ticket, err := budget.Admit(b.Context(), call)
				if err != nil {
					b.Fatal(err)
				}
				ticket.Settle(Result{})
			}
		})
	}
}

func BenchmarkAdmitParallel(b *testing.B) {
	budget := newBudget(someLimits(3)...)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if ticket, err := budget.Admit(b.Context(), Call{Timeout: 30 * time.Second}); err == nil {
				ticket.Settle(Result{})
			}
		}
	})
}

func BenchmarkRefuse(b *testing.B) {
	budget := newBudget(capacity("window", 100, 300*time.Second), capacity("concurrency", 200, 0))
	for range 100 {
		ticket, _ := budget.Admit(b.Context(), Call{})
		ticket.Settle(Result{})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := budget.Admit(b.Context(), Call{}); err == nil {
			b.Fatal("admitted")
		}
	}
}

// Limits that choose their calls, and a pace, in front of a class that it holds.
func BenchmarkAdmitPaced(b *testing.B) {
	limits := someLimits(4)
	limits[0].Calls = source.Strings{"POST /**"}
	limits[3].Pace = nil
	budget := newBudget(limits...)
	call := Call{Class: specs.Normal, Operation: "createOrder", Method: "POST", Path: "/orders", Timeout: 30 * time.Second}
	b.ReportAllocs()
	for b.Loop() {
		ticket, err := budget.Admit(b.Context(), call)
		if err != nil {
			b.Fatal(err)
		}
		ticket.Settle(Result{})
	}
}

// The usual case costs one allocation: the ticket.
func TestAdmissionAllocatesOnce(t *testing.T) {
	chosen := someLimits(6)
	chosen[0].Operations = source.Strings{"create*"}
	chosen[1].Calls = source.Strings{"POST /**", "DELETE /orders/*"}
	paced := someLimits(5)
	paced[3].Pace = nil
	clocked := []Limit{byClock("l", 1e9, Window{Unit: "day", TimeZone: "Europe/Berlin"}), scoped(capacity("several", 1e9, time.Minute), "{account}/{node}")}
	for name, limits := range map[string][]Limit{"chosen": chosen, "paced": paced, "by the clock": clocked} {
		budget := newBudget(limits...)
		call := Call{Class: specs.Normal, Operation: "createOrder", Method: "POST", Path: "/orders", App: "shop", Principal: "anna", Account: "acme", Node: "web1", Timeout: 30 * time.Second}
		ctx := t.Context()
		run := func() {
			ticket, err := budget.Admit(ctx, call)
			if err != nil {
				t.Fatal(err)
			}
			ticket.Settle(Result{})
		}
		run()
		if n := testing.AllocsPerRun(1000, run); n > 1.1 {
			t.Errorf("%s: an admission costs %v allocations", name, n)
		}
	}
}
