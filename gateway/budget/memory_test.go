package budget

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestScopesThatHoldNothingAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemory()
		b := New(Options{System: "erp", Limits: []Limit{scoped(capacity("app", 5, time.Second), "{app}")}, Store: store})
		for i := range 20_000 {
			admit(t, b, Call{App: strconv.Itoa(i)}).Settle(Result{})
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(store.system("erp").pools); n > leastSweep {
			t.Errorf("%d pools are kept", n)
		}
	})
}

func TestSystemsAreCountedApart(t *testing.T) {
	store := NewMemory()
	for _, system := range []string{"erp", "wms"} {
		b := New(Options{System: system, Limits: []Limit{capacity("l", 1, 0)}, Store: store})
		admit(t, b, Call{})
	}
}

func TestBudgetsOfOneSystemShareTheirCounts(t *testing.T) {
	store := NewMemory()
	limits := []Limit{capacity("l", 1, 0)}
	one, two := New(Options{System: "erp", Limits: limits, Store: store}), New(Options{System: "erp", Limits: limits, Store: store})
	ticket := admit(t, one, Call{})
	refused(t, two, Call{})
	ticket.Settle(Result{})
	admit(t, two, Call{})
}

func TestProbesTakeNothing(t *testing.T) {
	store := NewMemory()
	b := New(Options{System: "erp", Limits: []Limit{capacity("l", 1, 0)}, Store: store})
	probe := b.newTicket(&Call{}).admission
	probe.Probe = true
	for range 3 {
		if d, err := store.Admit(t.Context(), &probe); err != nil || !d.Granted {
			t.Errorf("a probe is answered with %+v, %v", d, err)
		}
	}
	admit(t, b, Call{})
	if d, _ := store.Admit(t.Context(), &probe); d.Granted || d.Refused != 1 || d.Pool != 0 {
		t.Errorf("a probe of a full pool is answered with %+v", d)
	}
}

// A store that begins just before a window's end does not take that for the window before.
func TestCalendarWindowThatEndsAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight UTC
		time.Sleep(time.Second - 50*time.Millisecond)
		m := NewMemory()
		p := &Pool{Name: "second", Capacity: 1000, Hold: 10 * time.Millisecond, Calendar: &Calendar{Every: time.Second}}
		admit := func() bool {
			a := &Admission{System: "erp", Lease: time.Minute, Asks: []Ask{{Pool: p, Key: "second", Units: 1000}}}
			d, err := m.Admit(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if d.Granted {
				if err := m.Settle(t.Context(), a, Settlement{}); err != nil {
					t.Fatal(err)
				}
			}
			return d.Granted
		}
		if !admit() {
			t.Fatal("the first is refused")
		}
		time.Sleep(30 * time.Millisecond)
		if admit() {
			t.Error("a second call of the same window is admitted")
		}
		time.Sleep(40 * time.Millisecond)
		if !admit() {
			t.Error("the next window is shut")
		}
	})
}

// What is held for long stays as long when the hold becomes short or none, and
// takes no more memory than before.
func TestLongHoldBecomesShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, hold := range []time.Duration{0, 10 * time.Millisecond} {
			m := NewMemory()
			admit := func(hold time.Duration, revision int) bool {
				p := &Pool{Name: "window", Capacity: 1000, Hold: hold, Revision: revision}
				a := &Admission{System: "erp", Lease: time.Minute, Asks: []Ask{{Pool: p, Key: "window", Units: 1000}}}
				d, err := m.Admit(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				if d.Granted {
					if err := m.Settle(t.Context(), a, Settlement{}); err != nil {
						t.Fatal(err)
					}
				}
				return d.Granted
			}
			if !admit(24*time.Hour, 1) {
				t.Fatal("the first is refused")
			}
			time.Sleep(23 * time.Hour)
			if admit(hold, 2) {
				t.Errorf("hold %s: what was promised for a day is free after 23 hours", hold)
			}
			time.Sleep(2 * time.Hour)
			if !admit(hold, 2) {
				t.Errorf("hold %s: nothing is free after a day", hold)
			}
			time.Sleep(hold + time.Millisecond)
			if !admit(hold, 2) {
				t.Errorf("hold %s: it is still as long as it was", hold)
			}
		}
	})
}
