package gateway

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// zones are places with whole, half and quarter hours, and with clocks that
// change at midnight, forwards and backwards, or by half an hour.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
	"America/Sao_Paulo", "America/Havana", "Asia/Amman", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "Atlantic/Azores",
}

func TestCalendarWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		location := location(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		w := Window{Calendar: rapid.SampledFrom([]string{"hour", "day", "month"}).Draw(t, "calendar"), Location: location}
		at := time.Unix(rapid.Int64Range(946684800, 1924992000).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		if rapid.Bool().Draw(t, "near a change of clocks") {
			if _, change := at.In(location).ZoneBounds(); !change.IsZero() {
				at = change.Add(time.Duration(rapid.Int64Range(int64(-3*time.Hour), int64(3*time.Hour)).Draw(t, "off")))
			}
		}
		start, end := w.Bounds(at)
		if start.After(at) || !end.After(at) {
			t.Fatalf("%s of %v is %v – %v", w.Calendar, at.In(location), start, end)
		}
		if w.Calendar == "hour" {
			return
		}
		if s, e := w.Bounds(start); !s.Equal(start) || !e.Equal(end) {
			t.Fatalf("%s of its own start %v is %v – %v", w.Calendar, start, s, e)
		}
		if s, _ := w.Bounds(end); !s.Equal(end) {
			t.Fatalf("%s after %v begins at %v", w.Calendar, end, s)
		}
		if before := start.Add(-time.Nanosecond).In(location); before.Day() == start.In(location).Day() {
			t.Fatalf("%s begins at %v, but the day began earlier", w.Calendar, start)
		}
	})
}

func TestCalendarWindowsByHand(t *testing.T) {
	for _, c := range []struct{ zone, calendar, at, start, end string }{
		{"UTC", "hour", "2026-03-01T10:59:59Z", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"},
		{"UTC", "day", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		{"UTC", "month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"Europe/Berlin", "day", "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},
		{"Europe/Berlin", "hour", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+02:00"},
		{"Europe/Berlin", "hour", "2026-10-25T02:30:00+01:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"},
		{"America/Sao_Paulo", "day", "2018-11-03T23:30:00-03:00", "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"America/Sao_Paulo", "day", "2018-11-04T05:00:00-02:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		{"", "day", "2026-03-01T10:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
	} {
		w := Window{Calendar: c.calendar}
		if c.zone != "" {
			w.Location = location(t, c.zone)
		}
		start, end := w.Bounds(moment(t, c.at))
		if !start.Equal(moment(t, c.start)) || !end.Equal(moment(t, c.end)) {
			t.Errorf("%s %s of %s is %s – %s, want %s – %s", c.zone, c.calendar, c.at, start, end, c.start, c.end)
		}
	}
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func location(t interface{ Fatal(...any) }, name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
