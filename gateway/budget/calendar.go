package budget

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Window is a calendar window as configured: each hour, day or month of a
// place, or each stretch of time by UTC.
type Window struct {
	Unit     string          `yaml:"unit" enum:"hour,day,month" doc:"The window is each hour, day or month."`
	Every    source.Duration `yaml:"every" doc:"The window is each such stretch of time instead, counted from midnight UTC of 1 January 1970; for example 6h."`
	TimeZone string          `yaml:"time_zone" default:"UTC" doc:"Place whose clocks count for unit, as a name of the IANA time zone database."`
	Phase    source.Duration `yaml:"phase" default:"0s" doc:"How much later than by the clock a window begins: 2h makes days begin at 02:00."`
	Slack    source.Duration `yaml:"slack" default:"2s" doc:"How far the clocks of the gateway and of the system may be apart."`
	Node     source.Node     `yaml:",node"`
}

// Calendar makes the window ready; after Check it has no error.
func (w *Window) Calendar() (*Calendar, error) {
	location, err := time.LoadLocation(w.TimeZone)
	if err != nil {
		return nil, err
	}
	return &Calendar{Every: w.Every.Std(), Phase: w.Phase.Std(), Unit: w.Unit, Location: location}, nil
}

// length is how long a window is, nominally.
func (w *Window) length() time.Duration {
	switch w.Unit {
	case "hour":
		return time.Hour
	case "day":
		return 24 * time.Hour
	case "month":
		return 30 * 24 * time.Hour
	}
	return w.Every.Std()
}

func (w *Window) check(ps *source.Problems) {
	switch {
	case w.Unit == "" && w.Every == 0:
		if n := w.Node.Get("unit"); !n.Exists() {
			ps.Add(w.Node, "nothing says how long the window is", "give unit: hour, day or month, or every")
		}
		return
	case w.Unit != "" && w.Every != 0:
		ps.Add(w.Node.At("every"), "the window has a unit and a length", "give one of them")
		return
	case w.Every != 0 && (w.Every.Std() < time.Second || w.Every.Std() > maxHold):
		ps.Add(w.Node.At("every"), fmt.Sprintf("windows of %s cannot be counted", w.Every), "from 1s to 366d")
		return
	}
	if _, err := time.LoadLocation(w.TimeZone); err != nil || w.TimeZone == "Local" || w.TimeZone == "" {
		ps.Add(w.Node.At("time_zone"), fmt.Sprintf("there is no time zone %q", w.TimeZone), "for example Europe/Berlin")
	} else if w.Every != 0 && w.Node.Get("time_zone").Exists() {
		ps.Add(w.Node.At("time_zone"), "windows of a fixed length have no time zone", "remove it, or give a unit")
	}
	if w.Phase.Std() >= w.length() {
		ps.Add(w.Node.At("phase"), fmt.Sprintf("the phase of %s is longer than the window", w.Phase), "give less")
	}
	if w.Slack.Std() > w.length()/4 {
		ps.Add(w.Node.At("slack"), fmt.Sprintf("the slack of %s is too long for the window", w.Slack), "at most a quarter of it")
	}
}

// Calendar is a window by the clock: each Every, counted from Phase after
// midnight UTC of 1 January 1970, or each Unit (hour, day, month) of a place.
type Calendar struct {
	Every, Phase time.Duration
	Unit         string
	Location     *time.Location
}

// End is the end of the window that t falls into; always after t.
func (c *Calendar) End(t time.Time) time.Time {
	_, end := c.Bounds(t)
	return end
}

// Bounds is the window that t falls into: start is not after t, end is.
func (c *Calendar) Bounds(t time.Time) (start, end time.Time) {
	if c.Every > 0 {
		since := t.Sub(time.Unix(0, 0)) - c.Phase
		whole := since / c.Every * c.Every
		if since < 0 && whole > since {
			whole -= c.Every
		}
		start = time.Unix(0, 0).Add(c.Phase + whole)
		return start, start.Add(c.Every)
	}
	start, end = gateway.Window{Calendar: c.Unit, Location: c.Location}.Bounds(t.Add(-c.Phase))
	return start.Add(c.Phase), end.Add(c.Phase)
}

// Free is when the units of a call that ended at a time come back: at the end
// of its window, and slack later. A call that ended less than the slack before
// a window's end counts for the next one, too: by the system's clock it may
// have come that late.
func (c *Calendar) Free(ended time.Time, slack time.Duration) time.Time {
	return c.End(ended.Add(slack)).Add(slack)
}
