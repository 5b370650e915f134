package counter

import (
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/counter/redistest"
)

// Who dies while it tries a system is waited for as long as its last call may take,
// and no longer; and a replica that comes late knows of the suspension at once.
func TestSharedTrialOfTheDead(t *testing.T) {
	r := redistest.Run(t)
	a := open(t, clientOf(r.Address), patient("a"))
	b := open(t, clientOf(r.Address), patient("b"))
	gate := &budget.Pool{Name: "gate"}
	call := func(lease time.Duration) *budget.Admission {
		return &budget.Admission{System: "erp", Lease: lease, Asks: []budget.Ask{{Pool: gate, Key: "*"}}}
	}
	for _, s := range []*Shared{a, b} {
		warm(s, "erp")
		eventually(t, "the counts are not shared", func() bool { return s.Standing("erp").Mode == budget.ModeShared })
	}
	if err := a.Suspend(t.Context(), "erp", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	const lease = 600 * time.Millisecond
	began := time.Now()
	trial := call(lease)
	if d, err := a.Admit(t.Context(), trial); err != nil || !d.Granted || !trial.Trial {
		t.Fatalf("%+v, %v", d, err)
	}
	// It says nothing any more. c comes late.
	c := open(t, clientOf(r.Address), patient("c"))
	var next *budget.Admission
	eventually(t, "nobody else tries", func() bool {
		for _, s := range []*Shared{b, c} {
			next = call(time.Minute)
			d, err := s.Admit(t.Context(), next)
			if err != nil {
				t.Fatal(err)
			}
			if d.Granted {
				return true
			}
		}
		return false
	})
	if took := time.Since(began); took < lease || !next.Trial {
		t.Errorf("after %v another replica was admitted, as a trial: %v", took, next.Trial)
	}
	// The dead one's word counts no more when it turns out to live.
	if d, err := a.Admit(t.Context(), call(lease)); err != nil || d.Granted || !d.Suspended || d.Again > time.Second {
		t.Errorf("%+v, %v", d, err)
	}
}

// Out of Redis' reach a suspension holds for the replica alone, and nobody is told.
func TestSharedSuspendOutOfReach(t *testing.T) {
	r := redistest.Run(t)
	s := open(t, clientOf(r.Address), quick("a"))
	warm(s, "erp")
	eventually(t, "the counts are not shared", func() bool { return s.Standing("erp").Mode == budget.ModeShared })
	r.Kill()
	eventually(t, "the replica is not alone", func() bool { return s.Standing("erp").Mode == budget.ModeAlone })
	if err := s.Suspend(t.Context(), "erp", time.Hour); err == nil {
		t.Error("it is said that the others know of it")
	}
	gate := &budget.Pool{Name: "gate"}
	ask := func() (budget.Decision, bool) {
		a := &budget.Admission{System: "erp", Lease: time.Second, Asks: []budget.Ask{{Pool: gate, Key: "*"}}}
		d, err := s.Admit(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		return d, a.Trial
	}
	if d, _ := ask(); d.Granted || !d.Suspended || s.Standing("erp").Suspension.For <= 0 {
		t.Errorf("suspended: %+v, %+v", d, s.Standing("erp"))
	}
	_ = s.Suspend(t.Context(), "erp", 0)
	_ = s.Suspend(t.Context(), "erp", time.Millisecond)
	time.Sleep(5 * time.Millisecond)
	if d, trial := ask(); !d.Granted || !trial || !s.Standing("erp").Suspension.Mine {
		t.Errorf("after it: %+v, %+v", d, s.Standing("erp"))
	}
	_ = s.Suspend(t.Context(), "erp", 0)
	if d, trial := ask(); !d.Granted || trial {
		t.Errorf("ended: %+v, a trial: %v", d, trial)
	}
}
