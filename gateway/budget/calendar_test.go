package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// daily makes a limit by the clock that neither shrinks nor has a pace.
func byClock(name string, units float64, w Window) Limit {
	return Limit{Name: name, Capacity: Number(units), Calendar: &w, Enforcement: "hard", Pace: &Pace{Off: true}, Adaptive: &Shrinking{Off: true}}
}

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCalendarWindows(t *testing.T) {
	berlin := location(t, "Europe/Berlin")
	for _, c := range []struct {
		name           string
		calendar       Calendar
		at, start, end string
	}{
		{"hours", Calendar{Every: time.Hour}, "2026-03-29T01:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		{"hours, shifted", Calendar{Every: time.Hour, Phase: 10 * time.Minute}, "2026-03-29T01:05:00Z", "2026-03-29T00:10:00Z", "2026-03-29T01:10:00Z"},
		{"at its beginning", Calendar{Every: time.Hour}, "2026-03-29T02:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T03:00:00Z"},
		{"before 1970", Calendar{Every: time.Hour}, "1969-12-31T22:30:00Z", "1969-12-31T22:00:00Z", "1969-12-31T23:00:00Z"},
		{"a day", Calendar{Unit: "day", Location: berlin}, "2026-07-01T21:59:59Z", "2026-06-30T22:00:00Z", "2026-07-01T22:00:00Z"},
		{"a day of 23 hours", Calendar{Unit: "day", Location: berlin}, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"a day of 25 hours", Calendar{Unit: "day", Location: berlin}, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"a day that begins at 2", Calendar{Unit: "day", Location: berlin, Phase: 2 * time.Hour}, "2026-07-01T23:59:59Z", "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"},
		{"the hour that comes twice", Calendar{Unit: "hour", Location: berlin}, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"},
		{"a month", Calendar{Unit: "month", Location: berlin}, "2026-02-28T23:30:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		start, end := c.calendar.Bounds(at)
		if got := start.UTC().Format(time.RFC3339); got != c.start {
			t.Errorf("%s begins at %s, want %s", c.name, got, c.start)
		}
		if got := end.UTC().Format(time.RFC3339); got != c.end {
			t.Errorf("%s ends at %s, want %s", c.name, got, c.end)
		}
	}
}

// Under synctest it is midnight UTC of 1 January 2000.
func TestUnitsComeBackWithTheWindow(t *testing.T) {
	for _, c := range []struct {
		name   string
		window Window
		end    time.Duration // of the first window
	}{
		{"hours", Window{Every: source.Duration(time.Hour), Slack: source.Duration(2 * time.Second)}, time.Hour},
		{"days of Berlin", Window{Unit: "day", TimeZone: "Europe/Berlin", Slack: source.Duration(2 * time.Second)}, 23 * time.Hour},
		{"months", Window{Unit: "month", TimeZone: "UTC", Slack: source.Duration(2 * time.Second)}, 31 * 24 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBudget(byClock("l", 2, c.window))
				started := time.Now()
				admit(t, b, Call{}).Settle(Result{})
				time.Sleep(10 * time.Minute)
				admit(t, b, Call{}).Settle(Result{})
				if e := refused(t, b, Call{}); e.RetryAfter < c.end-10*time.Minute {
					t.Errorf("the caller is told %v", e.RetryAfter)
				}
				for range 2 { // both come back at the same moment
					admit(t, b, Call{Wait: 32 * 24 * time.Hour}).Settle(Result{})
					if took := time.Since(started); took != c.end+2*time.Second {
						t.Errorf("there is room after %v, want %v", took, c.end+2*time.Second)
					}
				}
				refused(t, b, Call{})
			})
		})
	}
}

// By the system's clock, a call that ends right before the end of a window may
// have come in the next one.
func TestCallsAtTheEdgeCountForBothWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(byClock("l", 1, Window{Every: source.Duration(time.Hour), Slack: source.Duration(2 * time.Second)}))
		time.Sleep(time.Hour - time.Second)
		admit(t, b, Call{}).Settle(Result{})
		time.Sleep(time.Minute)
		refused(t, b, Call{})
		time.Sleep(time.Hour)
		admit(t, b, Call{}).Settle(Result{})
		time.Sleep(58*time.Minute - time.Second) // 2 s before the end but for a moment
		refused(t, b, Call{})
	})
}

func TestCallsThatLastIntoAWindowCountThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(byClock("l", 1, Window{Every: source.Duration(time.Hour)}))
		time.Sleep(time.Hour - time.Second)
		ticket := admit(t, b, Call{})
		time.Sleep(2 * time.Second)
		ticket.Settle(Result{})
		refused(t, b, Call{})
		time.Sleep(time.Hour)
		lost := admit(t, b, Call{Timeout: time.Minute}) // its lease ends after 70 s
		_ = lost
		time.Sleep(time.Hour)
		admit(t, b, Call{})
	})
}

// A month is counted to the moment, and does not take memory for each of its slices.
func TestMonthsTakeFewEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := NewMemory()
		b := New(Options{System: "erp", Limits: []Limit{byClock("l", 1e9, Window{Unit: "month", TimeZone: "America/Lord_Howe"})}, Store: store})
		for range 3 * 31 * 24 {
			admit(t, b, Call{}).Settle(Result{})
			time.Sleep(time.Hour)
		}
		p := store.system("erp").pools["l"]
		if len(p.held.list) > 3 || len(p.held.ring.slots) > 0 {
			t.Errorf("%d entries and %d slices are kept", len(p.held.list), len(p.held.ring.slots))
		}
	})
}

// What is held outlasts a change of the limit's family, in every direction.
func TestChangesBetweenHoldAndCalendarKeepWhatIsHeld(t *testing.T) {
	hour := Window{Every: source.Duration(time.Hour), Slack: source.Duration(time.Second)}
	day := Window{Unit: "day", TimeZone: "UTC", Slack: source.Duration(time.Second)}
	for _, c := range []struct {
		name          string
		before, after Limit
		room          time.Duration // since the call at minute 10
	}{
		{"hold to hour", capacity("l", 1, 30*time.Minute), byClock("l", 1, hour), 50*time.Minute + time.Second},
		{"long hold to hour", capacity("l", 1, 2*time.Hour), byClock("l", 1, hour), 2 * time.Hour},
		{"hour to hold", byClock("l", 1, hour), capacity("l", 1, time.Minute), 50*time.Minute + time.Second},
		{"hour to day", byClock("l", 1, hour), byClock("l", 1, day), 23*time.Hour + 50*time.Minute + time.Second},
		{"day to hour", byClock("l", 1, day), byClock("l", 1, hour), 23*time.Hour + 50*time.Minute + time.Second},
		{"bucket to hour", bucket("l", 1, Rate{Units: 1, Per: 5 * time.Hour}), byClock("l", 1, hour), 50*time.Minute + time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBudget(c.before)
				time.Sleep(10 * time.Minute)
				admit(t, b, Call{}).Settle(Result{})
				b.Reconfigure([]Limit{c.after})
				started := time.Now()
				admit(t, b, Call{Wait: 100 * time.Hour})
				if took := time.Since(started); took < c.room || took > c.room+2*time.Hour/heldSlices {
					t.Errorf("there is room after %v, want %v", took, c.room)
				}
			})
		})
	}
}

// Long windows hold the classes normal and low to their pace, and no others.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := byClock("daily", 1000, Window{Unit: "day", TimeZone: "UTC"})
		l.Pace = nil // 10% by default: 100 at once, and one every 86.4 s
		b := newBudget(l)
		count := func(c specs.Class) (n int) {
			for {
				ticket, err := b.Admit(t.Context(), Call{Class: c})
				if err != nil {
					return n
				}
				ticket.Settle(Result{})
				n++
			}
		}
		if n := count(specs.Low) + count(specs.Normal); n != 100 {
			t.Errorf("low and normal get %d calls at once, want 100", n)
		}
		e := refused(t, b, Call{Class: specs.Normal})
		if e.Pool != "daily" || e.Detail != `the limit "daily" of erp is kept for later and for more urgent calls` || e.RetryAfter < 80*time.Second {
			t.Errorf("the refusal is %+v", e)
		}
		time.Sleep(time.Hour)
		if n := count(specs.Low); n != 41 { // 3600 / 86.4
			t.Errorf("low gets %d calls in an hour, want 41", n)
		}
		s, err := b.Snapshot(t.Context())
		if err != nil || len(s.Pools) != 2 || s.Pools[1].Name != "daily:pace" || s.Pools[1].Enforcement != "pace" || s.Pools[1].Capacity != 100 {
			t.Errorf("the snapshot is %+v, %v", s.Pools, err)
		}
		if n := count(specs.High); n != 859 {
			t.Errorf("high gets %d calls, want all that is left", n)
		}
		refused(t, b, Call{Class: specs.Critical})
	})
}

// Where a window has few calls, a tenth of them is no burst.
func TestPaceOfSmallWindows(t *testing.T) {
	for units, burst := range map[float64]Units{5: 0, 10: 0, 11: 10 * unit, 100: 10 * unit, 101: 10.1 * unit, 5000: 500 * unit} {
		l := capacity("l", units, time.Hour)
		l.Pace = nil
		got := Units(0)
		if p := newPool(&l, 0).pace; p != nil {
			got = p.Capacity
		}
		if got != burst {
			t.Errorf("a window of %v has a burst of %v, want %v", units, got.Float(), burst.Float())
		}
	}
}

// A call that costs more than a burst is let through when the burst is whole.
func TestPaceLetsLargeCallsPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := capacity("l", 100, time.Hour)
		l.Pace = &Pace{Burst: Portion{Units: 2}}
		b := newBudget(l)
		admit(t, b, Call{Cost: []Cost{{"l", 50}}}).Settle(Result{})
		refused(t, b, Call{})
		admit(t, b, Call{Class: specs.High}).Settle(Result{})
		time.Sleep(time.Hour / 100)
		admit(t, b, Call{}).Settle(Result{})
	})
}
