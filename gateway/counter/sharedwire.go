package counter

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"time"

	"github.com/headrace/headrace/gateway/budget"
)

// The scripts speak of times in microseconds, and take numbers as little-endian doubles.

func microseconds(d time.Duration) int64 { return int64(d / time.Microsecond) }

// atLeast and atMost are microseconds, rounded so that a script errs to the safe side.
func atLeast(d time.Duration) float64 { return math.Ceil(float64(d) / 1e3) }
func atMost(d time.Duration) float64  { return math.Floor(float64(d) / 1e3) }

func numbers(list ...float64) []byte {
	b := make([]byte, 0, 8*len(list))
	for _, n := range list {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n))
	}
	return b
}

func given(b bool, value float64) float64 {
	if b {
		return value
	}
	return 0
}

// guarded tells of pools whose use is kept from growing fast.
func guarded(p *budget.Pool) bool {
	if p.Capacity == 0 || p.Interval > 0 {
		return false
	}
	if c := p.Calendar; c != nil {
		return c.Every == 0 || c.Every >= guardedHold
	}
	return p.Hold >= guardedHold || p.Hold >= guardedSize && p.Capacity >= largePool
}

// Windows of guardedHold and more are guarded, and of guardedSize and more where
// they are large: to fill half of a small one at once is nothing unusual.
const (
	guardedHold              = 5 * time.Minute
	guardedSize              = 30 * time.Second
	largePool   budget.Units = 500_000
)

// growth is how much more may be counted of a guarded pool within the time that
// a replica takes to become missing. common.lua has the same.
func growth(p *budget.Pool, counted budget.Units) budget.Units {
	part := budget.Units(10)
	if p.Calendar == nil && p.Hold < guardedHold {
		part = 2
	}
	return max(p.Capacity/100, (p.Capacity-counted)/part, oneUnit) + 1
}

// shape is what the scripts have to know of a pool, in the order of ask() in
// common.lua from the third number on. now is Redis' time.
func shape(p *budget.Pool, now time.Time) [15]float64 {
	s := [15]float64{
		float64(p.Capacity), given(p.Soft, 1), given(p.Free, 1), given(guarded(p), 1),
		atLeast(p.Hold), p.Interval / 1e3,
	}
	if p.Interval > 0 {
		s[4] = 0
	}
	if a := p.Adaptive; a != nil {
		s[6], s[7], s[8] = float64(a.Floor), a.Cut, max(1, atLeast(a.Recover))
	}
	s[9] = float64(p.Revision)
	if p.Calendar != nil && p.Interval == 0 {
		ends(p.Calendar, now, s[10:])
	}
	return s
}

// ends gives a calendar to the scripts: as length and phase, or as the end of the
// last window and those of the next three.
func ends(c *budget.Calendar, now time.Time, s []float64) {
	if c.Every > 0 {
		s[0], s[1], s[2] = 1, float64(c.Every)/1e3, float64(c.Phase)/1e3
		return
	}
	back := 12 * time.Hour
	switch c.Unit {
	case "hour":
		back = 20 * time.Minute
	case "month":
		back = 14 * 24 * time.Hour
	}
	last := now
	for t := now; last.After(now) || last.Equal(now); t = t.Add(-back) {
		last = c.End(t)
	}
	s[0], s[1] = 2, float64(last.UnixMicro())
	for i := 2; i < 5; i++ {
		last = c.End(last)
		s[i] = float64(last.UnixMicro())
	}
}

// askNumbers is an ask as the scripts read it.
func askNumbers(ask *budget.Ask, shape [15]float64, actual budget.Units, r *budget.Report, ended float64) []byte {
	b := make([]byte, 0, 21*8)
	put := func(n float64) { b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n)) }
	put(float64(ask.Units))
	put(float64(ask.Reserve))
	for _, n := range shape {
		put(n)
	}
	put(float64(actual))
	if r == nil {
		put(-1)
		put(0)
	} else {
		put(float64(r.Used))
		put(given(r.Exact, 1))
	}
	put(ended)
	return b
}

// told is a script's answer: whole numbers, and text for a beat.
type told struct {
	code     int64
	now, raw float64
	rest     []int64
	text     string
}

func readTold(v any, err error) (told, error) {
	if err != nil {
		return told{}, err
	}
	list, ok := v.([]any)
	if !ok || len(list) < 3 {
		return told{}, errAnswer
	}
	var t told
	for i, item := range list {
		switch n := item.(type) {
		case int64:
			switch i {
			case 0:
				t.code = n
			case 1:
				t.now = float64(n)
			case 2:
				t.raw = float64(n)
			}
			t.rest = append(t.rest, n)
		case string:
			t.text = n
		default:
			return told{}, errAnswer
		}
	}
	return t, nil
}

// beatAnswer is what a replica learns with a beat.
type beatAnswer struct {
	Epoch     string  `json:"epoch"`
	Began     bool    `json:"began"`
	Fenced    bool    `json:"fenced"`
	Lifts     float64 `json:"lifts"` // in how long the fence lifts at the latest
	Share     float64 `json:"share"`
	Kept      float64 `json:"kept"`
	Taken     bool    `json:"taken"` // another process has this replica's name
	Heir      bool    `json:"heir"`
	Replicas  int     `json:"replicas"`
	Lease     float64 `json:"lease"`
	Suspended float64 `json:"suspended"`
	Trial     bool    `json:"trial"`
	Mine      bool    `json:"mine"`
	Left      float64 `json:"left"`
	Peers     []peer  `json:"peers"`
	Pools     []struct {
		Key     string  `json:"key"`
		Ceiling float64 `json:"ceiling"`
		Paused  float64 `json:"paused"`
	} `json:"pools"`
}

type peer struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
	By    string  `json:"by"`
}

func (t told) beat() (beatAnswer, error) {
	var b beatAnswer
	err := json.Unmarshal([]byte(t.text), &b)
	return b, err
}
