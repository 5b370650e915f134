package countertest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/gateway"
)

type quotaScript struct {
	Limit  int64
	Length time.Duration
	Steps  []step
}

var quotaScripts = rapid.Custom(func(t *rapid.T) quotaScript {
	s := quotaScript{
		Limit:  rapid.OneOf(rapid.Int64Range(1, 4), rapid.Int64Range(1, 150)).Draw(t, "limit"),
		Length: rapid.SampledFrom([]time.Duration{50, 997, time.Second, time.Minute, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour}).Draw(t, "length"),
	}
	if rapid.IntRange(0, 3).Draw(t, "steady") == 0 {
		s.Steps = stream(t, s.Length)
		return s
	}
	s.Steps = steps(t, s.Length, int(s.Limit)*3/2)
	for i := range s.Steps {
		if rapid.IntRange(0, 9).Draw(t, "new limit") == 0 {
			s.Steps[i].Limit, s.Steps[i].Told = rapid.Int64Range(1, 2*s.Limit).Draw(t, "limit"), false
		}
	}
	return s
})

func (s quotaScript) play(counters gateway.Counters, terms Terms) error {
	s.Length = max(s.Length, terms.resolution())
	window := gateway.Window{Length: s.Length}
	limit := s.Limit
	l := counters.Quota("quota", limit, window)
	admitted := map[string][]time.Time{}
	renew := func(at step) gateway.Limit {
		if at.Limit != 0 {
			limit = at.Limit
			l = counters.Quota("quota", limit, window)
		}
		return l
	}
	return run(s.Steps, terms, renew, func(at step, v gateway.Verdict) error {
		if v.OK {
			admitted[at.Key] = append(admitted[at.Key], time.Now())
		}
		return s.check(v, limit, admitted[at.Key], terms)
	})
}

// check compares a verdict with all calls that were admitted, this one included.
// A store may hold a call up to a 32nd of the window too long, never too short.
func (s quotaScript) check(v gateway.Verdict, limit int64, admitted []time.Time, terms Terms) error {
	now, slack := time.Now(), s.Length/32+2*terms.resolution()
	in := func(length time.Duration) (n int64) {
		for _, at := range slices.Backward(admitted) {
			if now.Sub(at) >= length {
				break
			}
			n++
		}
		return n
	}
	least, most := in(s.Length), in(s.Length+slack)
	switch {
	case v.Limit != limit:
		return fmt.Errorf("the limit is %d", limit)
	case v.OK && least > limit:
		return fmt.Errorf("%d calls are in the window, %d are allowed", least, limit)
	case !v.OK && most < limit:
		return fmt.Errorf("refused with %d calls in the window, %d are allowed", most, limit)
	case v.Remaining > max(0, limit-least) || v.Remaining < max(0, limit-most):
		return fmt.Errorf("%d to %d calls are in the window of %d", least, most, limit)
	}
	if least > 0 {
		reset := s.Length - now.Sub(admitted[len(admitted)-1])
		if err := between("the reset", v.Reset, reset, reset+slack); err != nil {
			return err
		}
	}
	if v.Remaining > 0 {
		return between("the wait", v.RetryAfter, 0, 0)
	}
	if least < limit {
		return between("the wait", v.RetryAfter, 1, slack)
	}
	room := s.Length - now.Sub(admitted[int64(len(admitted))-limit])
	return between("the wait", v.RetryAfter, room, room+slack)
}

type calendarScript struct {
	Limit    int64
	Calendar string
	Zone     string
	Steps    []step
}

var calendarScripts = rapid.Custom(func(t *rapid.T) calendarScript {
	s := calendarScript{
		Limit:    rapid.Int64Range(1, 20).Draw(t, "limit"),
		Calendar: rapid.SampledFrom([]string{"hour", "day", "month"}).Draw(t, "calendar"),
		Zone:     rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe"}).Draw(t, "zone"),
	}
	length := map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "month": 31 * 24 * time.Hour}[s.Calendar]
	s.Steps = steps(t, length, int(s.Limit)*3/2)
	return s
})

func (s calendarScript) play(counters gateway.Counters, terms Terms) error {
	location, err := time.LoadLocation(s.Zone)
	if err != nil {
		return err
	}
	window := gateway.Window{Calendar: s.Calendar, Location: location}
	l := counters.Quota("calendar", s.Limit, window)
	type count struct {
		start time.Time
		calls int64
	}
	counts := map[string]*count{"a": {}, "b": {}}
	return run(s.Steps, terms, func(step) gateway.Limit { return l }, func(at step, v gateway.Verdict) error {
		start, end := window.Bounds(time.Now())
		c := counts[at.Key]
		if !c.start.Equal(start) {
			*c = count{start: start}
		}
		want := gateway.Verdict{OK: c.calls < s.Limit, Limit: s.Limit, Reset: time.Until(end)}
		if want.OK {
			c.calls++
		}
		want.Remaining = s.Limit - c.calls
		if want.Remaining == 0 {
			want.RetryAfter = want.Reset
		}
		if v != want {
			return fmt.Errorf("the model says %+v", want)
		}
		return nil
	})
}
