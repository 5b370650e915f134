package counter

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/headrace/headrace/gateway/budget"
)

func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 1500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came to this: %s", what)
}

func awaitMode(t testing.TB, s *Shared, mode string) {
	t.Helper()
	soon(t, mode, func() bool { return s.Standing("erp").Mode == mode })
}

func TestSharedAdmits(t *testing.T) {
	r := startServer(t)
	s := open(t, r.client(), quick("one"))
	awaitMode(t, s, budget.ModeShared)
	pool := &budget.Pool{Name: "window", Capacity: 2000, Hold: 300 * time.Millisecond}
	for range 3 {
		for i := range 3 {
			a := budget.Admission{System: "erp", Asks: []budget.Ask{{Pool: pool, Key: "window", Units: 1000}}, Lease: time.Second}
			d, err := s.Admit(t.Context(), &a)
			if err != nil || d.Granted != (i < 2) {
				u, _ := s.Usage(t.Context(), "erp")
				t.Fatalf("call %d: %+v, %v %+v", i, d, err, u)
			}
			if d.Granted {
				if err := s.Settle(t.Context(), &a, budget.Settlement{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		soon(t, "room", func() bool {
			a := budget.Admission{System: "erp", Asks: []budget.Ask{{Pool: pool, Key: "window", Units: 2000}}, Lease: time.Second, Probe: true}
			d, err := s.Admit(t.Context(), &a)
			if err != nil {
				t.Fatal(err)
			}
			return d.Granted
		})
	}
}
