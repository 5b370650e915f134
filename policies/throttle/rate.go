package throttle

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of calls in a second, minute or hour, written 50/s, 600/m or 1000/h.
type Rate struct {
	calls float64
	unit  byte
}

// PerSecond is the rate in calls a second.
func (r Rate) PerSecond() float64 { return r.calls / units[r.unit].Seconds() }

func (r Rate) String() string {
	return strconv.FormatFloat(r.calls, 'f', -1, 64) + "/" + string(r.unit)
}

// Bounds of a rate, in calls a second.
const (
	slowest = 1.0 / (24 * 3600)
	fastest = 1e9
)

var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour}

// UnmarshalText parses the notation above. Calls may have a fraction.
func (r *Rate) UnmarshalText(text []byte) error {
	number, unit, _ := strings.Cut(string(text), "/")
	calls, err := strconv.ParseFloat(number, 64)
	if err != nil || len(unit) != 1 || units[unit[0]] == 0 || strings.Trim(number, "0123456789.") != "" {
		return fmt.Errorf("write a rate such as 50/s, 600/m or 1000/h")
	}
	parsed := Rate{calls: calls, unit: unit[0]}
	if perSecond := parsed.PerSecond(); math.IsInf(calls, 0) || perSecond < slowest || perSecond > fastest {
		return fmt.Errorf("a rate is at least one call a day, and at most %.0e a second; see the policy quota for less", fastest)
	}
	*r = parsed
	return nil
}

// JSONSchema describes the notation for editors.
func (Rate) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^([0-9]+\.?[0-9]*|\.[0-9]+)/[smh]$`, "examples": []any{"50/s", "600/m", "1000/h"}}
}
