package budget

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

func pool(t *testing.T, b *Budget) PoolState {
	t.Helper()
	s, err := b.Snapshot(t.Context())
	if err != nil || len(s.Pools) != 1 {
		t.Fatalf("the snapshot is %+v, %v", s, err)
	}
	return s.Pools[0]
}

// reporting settles a call with the system's word on the limit l.
func reporting(ticket *Ticket, r PoolReport) {
	r.Pool = "l"
	ticket.Settle(Result{Reports: []PoolReport{r}})
}

func TestReportsOfForeignTraffic(t *testing.T) {
	for _, l := range []Limit{
		capacity("l", 100, time.Hour),
		byClock("l", 100, Window{Every: source.Duration(2 * time.Hour), Slack: source.Duration(time.Second)}),
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(l)
			time.Sleep(time.Minute)
			for range 4 {
				admit(t, b, Call{}).Settle(Result{})
			}
			admit(t, b, Call{}) // under way: it may be in the system's count
			reporting(admit(t, b, Call{}), PoolReport{Used: 26})
			if p := pool(t, b); p.Used != 26 || p.Foreign != 20 || p.InFlight != 1 {
				t.Errorf("after the first report: %+v", p)
			}
			reporting(admit(t, b, Call{}), PoolReport{Used: -1, Remaining: 70, Limit: 100})
			if p := pool(t, b); p.Used != 30 || p.Foreign != 23 {
				t.Errorf("after the second report: %+v", p)
			}
			reporting(admit(t, b, Call{}), PoolReport{Used: -1, Remaining: 95})
			if p := pool(t, b); p.Used != 8 || p.Foreign != 0 {
				t.Errorf("what the system says less is not a hint of anything: %+v", p)
			}
			reporting(admit(t, b, Call{}), PoolReport{Used: 100})
			e := refused(t, b, Call{})
			if e.Pool != "l" || e.RetryAfter < 30*time.Minute {
				t.Errorf("others have used it up, and the caller is told %+v", e)
			}
			time.Sleep(2 * time.Hour)
			if p := pool(t, b); p.Foreign != 0 {
				t.Errorf("after its window: %+v", p)
			}
		})
	}
}

func TestExactReportsCorrectBothWays(t *testing.T) {
	for _, l := range []Limit{
		capacity("l", 100, time.Hour),
		byClock("l", 100, Window{Every: source.Duration(time.Hour), Slack: source.Duration(time.Second)}),
		bucket("l", 100, Rate{Units: 1, Per: 1000 * time.Hour}),
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(l)
			time.Sleep(time.Minute)
			for range 40 {
				admit(t, b, Call{}).Settle(Result{})
			}
			reporting(admit(t, b, Call{}), PoolReport{Used: 11, Exact: true})
			if p := pool(t, b); p.Used != 11 {
				t.Errorf("the system counts 11: %+v", p)
			}
			reporting(admit(t, b, Call{}), PoolReport{Used: 31, Exact: true})
			if p := pool(t, b); p.Used != 31 {
				t.Errorf("the system counts 31: %+v", p)
			}
		})
	}
}

// An answer may overtake others. A call that the system may have counted after
// it wrote the report is never forgotten.
func TestExactReportsForgetNothingUncounted(t *testing.T) {
	for _, l := range []Limit{capacity("l", 100, time.Hour), bucket("l", 100, Rate{Units: 1, Per: 1000 * time.Hour})} {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(l)
			for range 10 {
				admit(t, b, Call{}).Settle(Result{})
			}
			slow := admit(t, b, Call{})
			for range 5 { // counted before or after slow's report was written
				admit(t, b, Call{}).Settle(Result{})
			}
			flying := admit(t, b, Call{})
			reporting(slow, PoolReport{Used: 1, Exact: true})
			if p := pool(t, b); p.Used != 7 { // slow, five that may be uncounted, one under way
				t.Errorf("%v are used, want 7: %+v", p.Used, p)
			}
			flying.Settle(Result{})
			if p := pool(t, b); p.Used != 7 {
				t.Errorf("%v are used in the end, want 7", p.Used)
			}
		})
	}
}

// A report that may be about the last window says nothing of this one.
func TestReportsOfTheLastWindowAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(byClock("l", 100, Window{Every: source.Duration(time.Hour), Slack: source.Duration(2 * time.Second)}))
		time.Sleep(time.Hour - time.Second)
		late := admit(t, b, Call{})
		time.Sleep(2 * time.Second)
		early := admit(t, b, Call{})
		time.Sleep(2 * time.Second)
		reporting(late, PoolReport{Used: 100, Exact: true})
		reporting(early, PoolReport{Used: 100, Exact: true})
		if p := pool(t, b); p.Foreign != 0 {
			t.Errorf("the window has just begun: %+v", p)
		}
	})
}

func TestReportsAboutCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 10, 0))
		one, two := admit(t, b, Call{Timeout: time.Hour}), admit(t, b, Call{Timeout: time.Hour})
		_ = two
		reporting(one, PoolReport{Used: 9})
		if p := pool(t, b); p.Foreign != 7 || p.Used != 8 {
			t.Errorf("others have 7: %+v", p)
		}
		for range 2 {
			admit(t, b, Call{Timeout: time.Hour})
		}
		started := time.Now()
		admit(t, b, Call{Wait: time.Minute})
		if took := time.Since(started); took != time.Duration(foreignStay) {
			t.Errorf("waited %v", took)
		}
	})
}

func TestReportsOfPoolsThatACallDoesNotStandIn(t *testing.T) {
	b := newBudget(capacity("l", 10, time.Hour))
	admit(t, b, Call{}).Settle(Result{Reports: []PoolReport{{Pool: "other", Used: 10}}})
	if p := pool(t, b); p.Foreign != 0 {
		t.Errorf("%+v", p)
	}
}

func TestReportsCountHeadroom(t *testing.T) {
	l := capacity("l", 100, time.Hour)
	l.Headroom = Portion{Percent: 20}
	b := newBudget(l)
	reporting(admit(t, b, Call{}), PoolReport{Used: -1, Remaining: 60}) // of 100
	if p := pool(t, b); p.Used != 40 || p.Capacity != 80 {
		t.Errorf("%+v", p)
	}
}

func TestDurationsAreSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := capacity("l", 1200, 5*time.Minute)
		l.Cost = &Charge{By: "duration", Unit: float64(time.Second), Estimate: float64(time.Second) / 2}
		b := newBudget(l)
		ticket := admit(t, b, Call{})
		if p := pool(t, b); p.Used != 0.5 {
			t.Errorf("%v are taken at first", p.Used)
		}
		time.Sleep(3 * time.Second)
		ticket.Settle(Result{})
		if p := pool(t, b); p.Used != 3 {
			t.Errorf("%v are used by 3 s", p.Used)
		}
		told := admit(t, b, Call{})
		time.Sleep(3 * time.Second)
		told.Settle(Result{Cost: []Cost{{"l", 2}}})
		if p := pool(t, b); p.Used != 5 {
			t.Errorf("%v are used, the system says 2 s", p.Used)
		}
		admit(t, b, Call{}).Settle(Result{Unsent: true})
		if p := pool(t, b); p.Used != 5 {
			t.Errorf("%v are used after a call that was not sent", p.Used)
		}
		admit(t, b, Call{Timeout: 50 * time.Second}).Settle(Result{Unknown: true}) // may take all of it, and the grace
		if p := pool(t, b); p.Used != 65 {
			t.Errorf("%v are used after a call without an answer", p.Used)
		}
	})
}

func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(capacity("l", 5, 0), scoped(capacity("app", 5, 0), "{app}"))
		ctx := t.Context()
		if err := b.Suspend(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		_, err := b.Admit(ctx, Call{Wait: time.Second})
		var e *gateway.Error
		if !errors.As(err, &e) || e.Problem.Name != gateway.SystemUnavailable.Name || e.Pool != "" || e.RetryAfter < time.Minute || e.Detail != "erp is left alone for a while" {
			t.Errorf("the refusal is %+v", err)
		}
		if s, err := b.Snapshot(ctx); err != nil || time.Until(s.SuspendedUntil) != time.Minute {
			t.Errorf("the snapshot says %v, %v", s.SuspendedUntil, err)
		}
		started := time.Now()
		ticket := admit(t, b, Call{Wait: time.Hour})
		if took := time.Since(started); took != time.Minute {
			t.Errorf("waited %v for the end of the suspension", took)
		}
		ticket.Settle(Result{})

		_ = b.Suspend(ctx, time.Hour)
		_ = b.Suspend(ctx, time.Minute) // the longer one counts
		done := make(chan error)
		go func() {
			_, err := b.Admit(ctx, Call{Wait: 2 * time.Hour})
			done <- err
		}()
		time.Sleep(30 * time.Minute)
		started = time.Now()
		_ = b.Suspend(ctx, 0) // wakes those that wait
		if err := <-done; err != nil || time.Since(started) != 0 {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		if s, _ := b.Snapshot(ctx); !s.SuspendedUntil.IsZero() {
			t.Errorf("the snapshot says %v", s.SuspendedUntil)
		}
	})
}

// Soft limits do not stand in a suspension's way either.
func TestSuspendHoldsSoftLimitsToo(t *testing.T) {
	l := capacity("l", 5, 0)
	l.Enforcement = "soft"
	b := newBudget(l)
	_ = b.Suspend(t.Context(), time.Minute)
	if _, err := b.Admit(t.Context(), Call{}); err == nil {
		t.Error("admitted")
	}
}
