package budgettest

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs"
)

// Model compares stores that count together with a model in plain sums, over
// random calls and ends. Holds and leases are so long that nothing comes back by
// itself meanwhile, so the stores must agree with it to the unit. At most so many
// scripts are tried.
func Model(t *testing.T, most int64, stores ...budget.Store) {
	var run atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		if run.Add(1) > most {
			return
		}
		m := &model{stores: stores, used: map[string]budget.Units{}, flying: map[string]budget.Units{}}
		name := func(kind string) string { return fmt.Sprintf("%s-%d", kind, run.Load()) }
		size := func(label string) budget.Units { return budget.Units(rapid.Int64Range(1, 9).Draw(t, label)) * one }
		m.pools = []*budget.Pool{
			{Name: name("window"), Capacity: 4 * size("window"), Hold: time.Hour / 16},
			{Name: name("concurrency"), Capacity: size("concurrency")},
			{Name: name("minutes"), Capacity: 5 * size("minutes"), Hold: time.Hour / 15},
			{Name: name("free"), Capacity: one, Free: true},
		}
		t.Repeat(map[string]func(*rapid.T){"admit": m.admit, "settle": m.settle})
	})
}

type model struct {
	stores       []budget.Store
	pools        []*budget.Pool
	used, flying map[string]budget.Units
	open         []openCall
}

type openCall struct {
	a  *budget.Admission
	by budget.Store
}

func (m *model) admit(t *rapid.T) {
	a := &budget.Admission{System: "erp", Lease: lease, Class: specs.Class(rapid.IntRange(0, 3).Draw(t, "class")), Probe: rapid.IntRange(0, 4).Draw(t, "probe") == 0}
	var want uint32
	for _, p := range m.pools {
		if rapid.IntRange(0, 2).Draw(t, p.Name) == 0 {
			continue
		}
		k := ask(p, budget.Units(rapid.Int64Range(1, 3000).Draw(t, "units")))
		k.Reserve = budget.Units(rapid.Int64Range(0, int64(p.Capacity)/2).Draw(t, "reserve"))
		if !p.Free && m.used[p.Name]+m.flying[p.Name]+k.Units > p.Capacity-k.Reserve {
			want |= 1 << len(a.Asks)
		}
		a.Asks = append(a.Asks, k)
	}
	if len(a.Asks) == 0 {
		return
	}
	by := m.stores[rapid.IntRange(0, len(m.stores)-1).Draw(t, "store")]
	d, err := by.Admit(t.Context(), a)
	switch {
	case err != nil:
		t.Fatal(err)
	case d.Granted != (want == 0) || d.Refused != want:
		t.Fatalf("%+v, and the model refuses %b: %v used, %v under way, asks %+v", d, want, m.used, m.flying, a.Asks)
	case d.Granted && !a.Probe:
		for _, k := range a.Asks {
			m.flying[k.Key] += k.Units
		}
		m.open = append(m.open, openCall{a, by})
	}
}

func (m *model) settle(t *rapid.T) {
	if len(m.open) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.open)-1).Draw(t, "call")
	c := m.open[i]
	m.open = slices.Delete(m.open, i, i+1)
	s := budget.Settlement{Outcome: rapid.SampledFrom([]budget.Outcome{budget.Ended, budget.Ended, budget.Unsent, budget.Unknown}).Draw(t, "outcome")}
	if s.Outcome == budget.Ended && rapid.Bool().Draw(t, "measured") {
		for range c.a.Asks {
			s.Actual = append(s.Actual, budget.Units(rapid.Int64Range(0, 4000).Draw(t, "actual")))
		}
	}
	for j, k := range c.a.Asks {
		if s.Outcome == budget.Unknown {
			continue
		}
		m.flying[k.Key] -= k.Units
		if s.Outcome == budget.Ended && (k.Pool.Hold > 0 || k.Pool.Calendar != nil) {
			if s.Actual != nil {
				m.used[k.Key] += s.Actual[j]
			} else {
				m.used[k.Key] += k.Units
			}
		}
	}
	if err := c.by.Settle(t.Context(), c.a, s); err != nil {
		t.Fatal(err)
	}
	sub := &subject{ctx: t.Context(), stores: m.stores}
	for _, p := range m.pools {
		err := sub.usage(p.Name, func(u budget.Usage) bool {
			return u.InFlight == m.flying[p.Name] && u.Used == m.flying[p.Name]+m.used[p.Name]
		})
		if err != nil {
			t.Fatalf("%v; the model has %v used, %v under way", err, m.used[p.Name], m.flying[p.Name])
		}
	}
}
