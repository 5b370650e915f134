package budget

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Limit is one limit of a system, as configured: an entry of limits in the
// system's file. It has either a capacity or a bucket.
type Limit struct {
	Name        string          `yaml:"name" check:"required" doc:"Name of the pool, for example concurrency; it stands on metrics and in refusals."`
	Capacity    *float64        `yaml:"capacity" doc:"Units that calls may occupy at the same time."`
	Hold        source.Duration `yaml:"hold" default:"0s" doc:"How long a call occupies its units after it has ended. 0s limits concurrency, 300s makes a sliding window of five minutes."`
	Bucket      *Bucket         `yaml:"bucket" doc:"A bucket instead of a capacity; a size of 1 makes a minimum spacing."`
	Scope       string          `yaml:"scope" doc:"What has a pool of its own, as text over {app}, {operation} and {principal}; one pool for the whole system when absent."`
	Operations  source.Strings  `yaml:"operations" doc:"operationIds that the limit applies to; * stands for any text. All when absent."`
	Cost        float64         `yaml:"cost" default:"1" min:"0" doc:"Units that a call costs where its operation does not say otherwise."`
	Headroom    float64         `yaml:"headroom" min:"0" doc:"Units left free for traffic that the gateway cannot see."`
	Enforcement string          `yaml:"enforcement" enum:"hard,soft,billed,advisory" default:"hard" doc:"hard: never exceeded. soft: a call waits for room as long as it may, then goes all the same. billed, advisory: counted and shown, never refused."`
	Reserves    Reserves        `yaml:"reserves" doc:"Units kept for a class and those above it, out of the reach of the classes below."`
	Node        source.Node     `yaml:",node"`
}

// Most is the largest cost that a call can have to be admitted at all.
func (l *Limit) Most() float64 {
	switch {
	case l.Enforcement != "" && l.Enforcement != "hard":
		return math.Inf(1)
	case l.Bucket != nil:
		return l.Bucket.Size
	case l.Capacity != nil:
		return *l.Capacity - l.Headroom
	}
	return math.Inf(1) // reported already
}

// Bucket is a limit by rate.
type Bucket struct {
	Size   float64     `yaml:"size" check:"required" doc:"Units that a full bucket holds."`
	Refill Rate        `yaml:"refill" check:"required" doc:"Units that come back, as 2/s, 1/m, 100/h or 5/10s."`
	Node   source.Node `yaml:",node"`
}

// Reserves are the units kept for a class and the ones above it.
type Reserves struct {
	Critical float64     `yaml:"critical" min:"0" doc:"Units that only critical calls may use."`
	High     float64     `yaml:"high" min:"0" doc:"Further units that only high and critical calls may use."`
	Normal   float64     `yaml:"normal" min:"0" doc:"Further units that calls of class low may not use."`
	Node     source.Node `yaml:",node"`
}

// above is what a call of class c has to leave free.
func (r Reserves) above(c specs.Class) float64 {
	kept := 0.0
	if c < specs.Critical {
		kept += r.Critical
	}
	if c < specs.High {
		kept += r.High
	}
	if c < specs.Normal {
		kept += r.Normal
	}
	return kept
}

// Rate is a number of units in a stretch of time, written as 2/s, 1/m, 100/h,
// 1000/d or 5/10s.
type Rate struct {
	Units float64
	Per   time.Duration
}

// UnmarshalText parses the notation above.
func (r *Rate) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("write a rate such as 2/s, 1/m, 100/h or 5/10s")
	number, per, ok := strings.Cut(string(text), "/")
	if !ok {
		return wrong
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n > 0) || n > maxUnits {
		return wrong
	}
	per = strings.TrimSpace(per)
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per
	}
	var d source.Duration
	if err := d.UnmarshalText([]byte(per)); err != nil || d == 0 {
		return wrong
	}
	*r = Rate{Units: n, Per: d.Std()}
	return nil
}

func (r Rate) String() string {
	return strconv.FormatFloat(r.Units, 'f', -1, 64) + "/" + r.Per.String()
}

// JSONSchema describes the notation for editors.
func (Rate) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^[0-9.]+ ?/ ?[0-9.]*(ms|s|m|h|d)$`, "examples": []any{"2/s", "1/m", "100/h"}}
}

const maxHold = 366 * 24 * time.Hour

// MaxLimits is the largest number of limits that one system may have.
const MaxLimits = 32

var limitName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// Check reports what is wrong with the limits of a system. operations tells
// whether an operationId exists; nil leaves the operations unchecked.
func Check(limits []Limit, operations func(id string) bool, ps *source.Problems) {
	seen := map[string]bool{}
	for i := range limits {
		l := &limits[i]
		switch at := l.Node.At("name"); {
		case l.Name == "": // reported as missing
		case !limitName.MatchString(l.Name):
			ps.Add(at, fmt.Sprintf("%q is not a name for a limit", l.Name), "use letters, digits, hyphens, dots and underscores")
		case seen[l.Name]:
			ps.Add(at, fmt.Sprintf("there are two limits %q", l.Name), "give each its own name")
		}
		seen[l.Name] = true
		if i == MaxLimits {
			ps.Add(l.Node, fmt.Sprintf("the system has %d limits", len(limits)), fmt.Sprintf("at most %d", MaxLimits))
		}
		l.checkFamily(ps)
		l.checkOperations(operations, ps)
		if err := checkScope(l.Scope); err != nil {
			ps.Add(l.Node.At("scope"), err.Error(), "the placeholders are {app}, {operation} and {principal}")
		}
	}
}

func (l *Limit) checkFamily(ps *source.Problems) {
	switch {
	case l.Capacity == nil && l.Bucket == nil:
		ps.Add(l.Node, "the limit has neither a capacity nor a bucket", "give one of them")
		return
	case l.Capacity != nil && l.Bucket != nil:
		ps.Add(l.Node.At("bucket"), "the limit has a capacity and a bucket", "make two limits of it")
		return
	case l.Bucket != nil:
		if l.Hold != 0 {
			ps.Add(l.Node.At("hold"), "a bucket has no hold", "remove it; a capacity with a hold makes a sliding window")
		}
		if l.Bucket.Refill == (Rate{}) {
			return // reported as missing or malformed
		}
		l.checkRoom(l.Bucket.Size, l.Bucket.Node.At("size"), "size", ps)
		return
	}
	if l.Hold.Std() > maxHold {
		ps.Add(l.Node.At("hold"), fmt.Sprintf("the hold of %s is too long", l.Hold), "the most is 366d")
	}
	l.checkRoom(*l.Capacity, l.Node.At("capacity"), "capacity", ps)
}

// checkRoom finds limits that no call, or no call of some class, could ever pass.
func (l *Limit) checkRoom(total float64, at source.Node, word string, ps *source.Problems) {
	if total < 1/unit || total > maxUnits {
		ps.Add(at, fmt.Sprintf("the %s is %s", word, number(total)), "it must be between 0.001 and 1e12")
		return
	}
	if smallest := min(l.Cost, l.Headroom, l.Reserves.Critical, l.Reserves.High, l.Reserves.Normal); smallest < 0 {
		return // reported where it stands
	}
	if l.Headroom >= total {
		ps.Add(l.Node.At("headroom"), fmt.Sprintf("the headroom of %s leaves nothing of the %s of %s", number(l.Headroom), word, number(total)), "leave room for at least one call")
		return
	}
	if left := total - l.Headroom; l.Cost > left {
		ps.Add(l.Node.At("cost"), fmt.Sprintf("a call costs %s and there are %s: none would ever be admitted", number(l.Cost), number(left)), "")
		return
	}
	if l.enforced() {
		if left := total - l.Headroom - l.Reserves.above(specs.Low); left < max(l.Cost, 1/unit) {
			ps.Add(l.Node.At("reserves"), fmt.Sprintf("the reserves leave %s of the %s of %s: the lowest class would only be admitted by its floor", number(max(left, 0)), word, number(total)), "reserve less")
		}
	}
}

func (l *Limit) enforced() bool { return l.Enforcement != "billed" && l.Enforcement != "advisory" }

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (l *Limit) checkOperations(exists func(id string) bool, ps *source.Problems) {
	items := l.Node.Get("operations").Items()
	for i, pattern := range l.Operations {
		at := l.Node.At("operations")
		if i < len(items) {
			at = items[i]
		}
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			ps.Add(at, fmt.Sprintf("%q is not a selector of operations", pattern), "write an operationId; * stands for any text")
			continue
		}
		if exists != nil && !strings.ContainsAny(pattern, `*?[\`) && !exists(pattern) {
			ps.Add(at, fmt.Sprintf("no operation %q calls this system", pattern), "write an operationId of an API whose system this is")
		}
	}
}

// applies tells whether the limit counts calls of an operation.
func (l *Limit) applies(operation string) bool {
	return len(l.Operations) == 0 || slices.ContainsFunc(l.Operations, func(pattern string) bool {
		ok, err := path.Match(pattern, operation)
		return err == nil && ok
	})
}
