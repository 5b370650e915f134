package throttle

import (
	"math"
	"regexp"
	"testing"
)

func TestRate(t *testing.T) {
	for text, want := range map[string]float64{
		"50/s": 50, "600/m": 10, "1000/h": 1000.0 / 3600, "0.5/s": 0.5, "1000000000/s": 1e9, "1/h": 1.0 / 3600,
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || math.Abs(r.PerSecond()-want) > 1e-12*want || r.String() != text {
			t.Errorf("%s is %g a second as %s, %v; want %g", text, r.PerSecond(), r, err, want)
		}
	}
	for _, text := range []string{"", "50", "50/", "/s", "50/d", "50/sec", "-1/s", "0/s", "1e3/s", "Inf/s", "NaN/s", "0x10/s", "1_0/s", "50 /s", "2000000000/s", "0.01/h"} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a rate of %g a second", text, r.PerSecond())
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, seed := range []string{"50/s", "600/m", "0.5/h", "1e9/s", "/", "..1/s"} {
		f.Add(seed)
	}
	pattern := regexp.MustCompile(Rate{}.JSONSchema()["pattern"].(string))
	f.Fuzz(func(t *testing.T, text string) {
		var r Rate
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if p := r.PerSecond(); !(p >= slowest && p <= fastest) {
			t.Errorf("%q is %g a second", text, p)
		}
		if !pattern.MatchString(text) {
			t.Errorf("%q is accepted, but not by the JSON Schema", text)
		}
		var again Rate
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%q is written %s, which is read as %v, %v", text, r, again, err)
		}
	})
}
