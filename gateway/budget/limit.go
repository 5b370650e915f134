package budget

import (
	"errors"
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
// system's file or its profile. It has either a capacity or a bucket.
type Limit struct {
	Name        string          `yaml:"name" check:"required" doc:"Name of the pool, for example concurrency; it stands on metrics and in refusals."`
	Capacity    *Formula        `yaml:"capacity" doc:"Units that calls may occupy at the same time: a number, or a formula in CEL over the facts, for example base[tier] + 10 * extra."`
	Hold        source.Duration `yaml:"hold" default:"0s" doc:"How long a call occupies its units after it has ended. 0s limits concurrency, 300s makes a sliding window of five minutes."`
	Calendar    *Window         `yaml:"calendar" doc:"Units come back with the end of a calendar window instead, for example each day of a place."`
	Bucket      *Bucket         `yaml:"bucket" doc:"A bucket instead of a capacity; a size of 1 makes a minimum spacing."`
	Scope       string          `yaml:"scope" doc:"What has a pool of its own, as text over {account}, {principal}, {app}, {operation} and {node}; one pool for the whole system when absent."`
	Operations  source.Strings  `yaml:"operations" doc:"operationIds that the limit applies to; * stands for any text. All when absent."`
	Calls       source.Strings  `yaml:"calls" doc:"Calls that the limit applies to, by method and path below the system's URL, for example POST /orders/** or * /batch; * stands for any text within a segment, ** for any number of segments. All when absent; with operations, both must fit."`
	Cost        *Charge         `yaml:"cost" doc:"Units that a call costs where its operation does not say otherwise: a number (1 when absent), or how it is measured, for example {by: duration, unit: 1s, estimate: 500ms}."`
	Headroom    Portion         `yaml:"headroom" doc:"Units, or a percentage of the limit, left free for traffic that the gateway cannot see."`
	Enforcement string          `yaml:"enforcement" enum:"hard,soft,billed,advisory" default:"hard" doc:"hard: never exceeded. soft: a call waits for room as long as it may, then goes all the same. billed, advisory: counted and shown, never refused."`
	Reserves    Reserves        `yaml:"reserves" doc:"Units, or percentages of the limit, kept for a class and those above it, out of the reach of the classes below."`
	Pace        *Pace           `yaml:"pace" doc:"How much of a long window the classes normal and low may use at once; beyond that they go no faster than the window's average. 10%, and ten calls at least, for windows of 10s and more, off otherwise."`
	Adaptive    *Shrinking      `yaml:"adaptive" doc:"How the limit shrinks when the system refuses a call although there should be room, and grows back: {floor: 25%, cut: 0.75, recover: 10m} when absent, or off."`
	Source      string          `yaml:"source" doc:"Where the limit is published: vendor and page."`
	Evidence    string          `yaml:"evidence" enum:"V,S,M" doc:"How well it is known: V by the vendor's documentation, S by other sources, M from memory."`
	Checked     string          `yaml:"checked" doc:"Day on which the source was read, as 2006-01-02."`
	Node        source.Node     `yaml:",node"`

	// Shipped tells that the limit comes with a profile: it may concern calls
	// that a workspace does not make.
	Shipped bool
}

// Most is the largest cost that a call can have to be admitted at all.
func (l *Limit) Most() float64 {
	if l.Enforcement != "" && l.Enforcement != "hard" {
		return math.Inf(1)
	}
	total, ok := l.total()
	if !ok {
		return math.Inf(1) // reported already
	}
	return total - l.Headroom.Of(total)
}

// total is the capacity or the size, headroom included; ok is false when it is
// not known.
func (l *Limit) total() (total float64, ok bool) {
	f := l.Capacity
	if l.Bucket != nil {
		f = &l.Bucket.Size
	}
	if f == nil || f.Text != "" || f.failed {
		return 0, false
	}
	return f.Value, true
}

// Bucket is a limit by rate.
type Bucket struct {
	Size   Formula     `yaml:"size" check:"required" doc:"Units that a full bucket holds: a number or a formula."`
	Refill Rate        `yaml:"refill" check:"required" doc:"Units that come back, as 2/s, 1/m, 100/h or 5/10s; the units may be a formula, as in rate[tier] * 2 /s."`
	Node   source.Node `yaml:",node"`
}

// Reserves are the units kept for a class and the ones above it.
type Reserves struct {
	Critical Portion     `yaml:"critical" doc:"Units or percentage that only critical calls may use."`
	High     Portion     `yaml:"high" doc:"Further units that only high and critical calls may use."`
	Normal   Portion     `yaml:"normal" doc:"Further units that calls of class low may not use."`
	Node     source.Node `yaml:",node"`
}

// above is what a call of class c has to leave free of a limit of total units.
func (r Reserves) above(c specs.Class, total float64) float64 {
	kept := 0.0
	if c < specs.Critical {
		kept += r.Critical.Of(total)
	}
	if c < specs.High {
		kept += r.High.Of(total)
	}
	if c < specs.Normal {
		kept += r.Normal.Of(total)
	}
	return kept
}

// Rate is a number of units in a stretch of time, written as 2/s, 1/m, 100/h,
// 1000/d or 5/10s. The units may be a formula: what stands before the last
// slash. Resolve makes a number of it.
type Rate struct {
	Units   float64
	Per     time.Duration
	Formula string
}

// UnmarshalText parses the notation above.
func (r *Rate) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("write a rate such as 2/s, 1/m, 100/h or 5/10s")
	slash := strings.LastIndexByte(string(text), '/')
	if slash < 0 {
		return wrong
	}
	units, per := strings.TrimSpace(string(text[:slash])), strings.TrimSpace(string(text[slash+1:]))
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per
	}
	var d source.Duration
	if err := d.UnmarshalText([]byte(per)); err != nil || d == 0 || units == "" {
		return wrong
	}
	n, err := strconv.ParseFloat(units, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		*r = Rate{Formula: units, Per: d.Std()}
		return nil
	case err != nil || !(n > 0) || n > maxUnits:
		return wrong
	}
	*r = Rate{Units: n, Per: d.Std()}
	return nil
}

func (r Rate) String() string {
	units := r.Formula
	if units == "" {
		units = number(r.Units)
	}
	return units + "/" + r.Per.String()
}

// JSONSchema describes the notation for editors.
func (Rate) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^.+/ ?[0-9.]*(ms|s|m|h|d)$`, "examples": []any{"2/s", "1/m", "100/h", "rate[tier]/s"}}
}

const maxHold = 366 * 24 * time.Hour

// MaxLimits is the largest number of limits that one system may have, and
// MaxPools that of the pools that a call may stand in: one for each limit that
// applies to it, and a second one for each of these that has a pace.
// Decision.Refused and Settlement.Pause have a bit for each.
const (
	MaxLimits = 1000
	MaxPools  = 32
)

var limitName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// Check reports what is wrong with the limits of a system. Formulas that have
// not been resolved are passed over. targets are all the calls that the system
// can get; nil leaves the selectors unchecked.
func Check(limits []Limit, targets []Target, ps *source.Problems) {
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
		l.check(targets, ps)
	}
	checkPools(limits, targets, ps)
}

// checkPools finds calls that too many limits apply to.
func checkPools(limits []Limit, targets []Target, ps *source.Problems) {
	if 2*len(limits) <= MaxPools {
		return
	}
	for _, t := range append([]Target{{}}, targets...) {
		count := 0
		for i := range limits {
			l := &limits[i]
			if !l.applies(t) {
				continue
			}
			if count++; l.Paced() != nil {
				count++
			}
			if count > MaxPools {
				ps.Add(l.Node, fmt.Sprintf("more than %d limits, those with a pace taken twice, apply to the same calls", MaxPools), "choose the calls of each with calls or operations")
				return
			}
		}
	}
}

func (l *Limit) check(targets []Target, ps *source.Problems) {
	l.checkFamily(ps)
	l.checkPace(ps)
	l.checkAdaptive(ps)
	l.checkCost(ps)
	l.checkOperations(targets, ps)
	l.checkCalls(targets, ps)
	if err := checkScope(l.Scope); err != nil {
		ps.Add(l.Node.At("scope"), err.Error(), "the placeholders are "+placeholders)
	}
	if _, err := time.Parse(time.DateOnly, l.Checked); err != nil && l.Checked != "" {
		ps.Add(l.Node.At("checked"), fmt.Sprintf("%q is not a day", l.Checked), "write it as 2006-01-02")
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
	case l.Calendar != nil && l.Hold != 0:
		ps.Add(l.Node.At("hold"), "a calendar window has no hold", "remove it, or the calendar")
	case l.Calendar != nil && l.Bucket != nil:
		ps.Add(l.Node.At("calendar"), "a bucket has no calendar", "remove it; a capacity with a calendar counts in windows")
	case l.Calendar != nil:
		l.Calendar.check(ps)
	}
	if l.Bucket != nil {
		if l.Hold != 0 && l.Calendar == nil {
			ps.Add(l.Node.At("hold"), "a bucket has no hold", "remove it; a capacity with a hold makes a sliding window")
		}
		if l.Bucket.Refill.Units == 0 {
			return // reported as missing or malformed, or not resolved
		}
	} else if l.Hold.Std() > maxHold {
		ps.Add(l.Node.At("hold"), fmt.Sprintf("the hold of %s is too long", l.Hold), "the most is 366d")
	}
	l.checkRoom(ps)
}

// checkRoom finds limits that no call, or no call of some class, could ever pass.
func (l *Limit) checkRoom(ps *source.Problems) {
	total, ok := l.total()
	at, word := l.Node.At("capacity"), "capacity"
	if l.Bucket != nil {
		at, word = l.Bucket.Node.At("size"), "size"
	}
	switch {
	case !ok:
		return
	case !(total >= 1/unit && total <= maxUnits):
		ps.Add(at, fmt.Sprintf("the %s is %s", word, number(total)), "it must be between 0.001 and 1e12")
		return
	}
	headroom, cost := l.Headroom.Of(total), l.Cost.Default()
	if headroom >= total {
		ps.Add(l.Node.At("headroom"), fmt.Sprintf("the headroom of %s leaves nothing of the %s of %s", l.Headroom, word, number(total)), "leave room for at least one call")
		return
	}
	if left := total - headroom; cost > left {
		ps.Add(l.Node.At("cost"), fmt.Sprintf("a call costs %s and there are %s: none would ever be admitted", number(cost), number(left)), "")
		return
	}
	if l.enforced() {
		if left := total - headroom - l.Reserves.above(specs.Low, total); left < max(cost, 1/unit) {
			ps.Add(l.Node.At("reserves"), fmt.Sprintf("the reserves leave %s of the %s of %s: the lowest class would only be admitted by its floor", number(max(left, 0)), word, number(total)), "reserve less")
		}
	}
}

func (l *Limit) enforced() bool { return l.Enforcement != "billed" && l.Enforcement != "advisory" }

// window is how long units stay at least, nominally; zero for a bucket.
func (l *Limit) window() time.Duration {
	if l.Calendar != nil {
		return l.Calendar.length()
	}
	return l.Hold.Std()
}

func (l *Limit) checkPace(ps *source.Problems) {
	if l.Pace == nil || l.Pace.Off {
		return
	}
	at := l.Node.At("pace")
	total, known := l.total()
	switch window := l.window(); {
	case l.Bucket != nil:
		ps.Add(at, "a bucket has a pace of its own", "remove it")
	case !l.enforced():
		ps.Add(at, fmt.Sprintf("a limit that is %s holds nobody back", l.Enforcement), "remove it")
	case window < shortestPace:
		ps.Add(at, fmt.Sprintf("a window of %s is too short for a pace", window), "from 1s; reserves keep units for more urgent calls")
	case known && l.Pace.Burst.Of(total) > total:
		ps.Add(at, fmt.Sprintf("the burst of %s is more than there is", l.Pace.Burst), "for example 10%")
	}
}

func (l *Limit) checkAdaptive(ps *source.Problems) {
	if l.Adaptive == nil || l.Adaptive.Off {
		return
	}
	if !l.enforced() {
		ps.Add(l.Node.At("adaptive"), fmt.Sprintf("a limit that is %s does not shrink", l.Enforcement), "remove it")
	} else if total, known := l.total(); known && l.Adaptive.Floor.Of(total) > total {
		ps.Add(l.Adaptive.Node.At("floor"), fmt.Sprintf("the floor of %s is more than there is", l.Adaptive.Floor), "for example 25%")
	}
}

// checkCost finds costs that come too late to matter.
func (l *Limit) checkCost(ps *source.Problems) {
	if l.Cost.settledLater() && l.Capacity != nil && l.window() == 0 {
		ps.Add(l.Cost.Node, "the cost of a call is known when it has ended, and the limit counts calls under way only", "give the limit a hold, a calendar or a bucket")
	}
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// each calls f for every entry of a list of selectors, with its place.
func (l *Limit) each(key string, list source.Strings, f func(at source.Node, text string)) {
	items := l.Node.Get(key).Items()
	for i, text := range list {
		at := l.Node.At(key)
		if i < len(items) {
			at = items[i]
		}
		f(at, text)
	}
}

func (l *Limit) checkOperations(targets []Target, ps *source.Problems) {
	l.each("operations", l.Operations, func(at source.Node, pattern string) {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			ps.Add(at, fmt.Sprintf("%q is not a selector of operations", pattern), "write an operationId; * stands for any text")
			return
		}
		if targets != nil && !l.Shipped && !slices.ContainsFunc(targets, func(t Target) bool { ok, _ := path.Match(pattern, t.Operation); return ok }) {
			ps.Add(at, fmt.Sprintf("no operation %q calls this system", pattern), "write an operationId of an API whose system this is")
		}
	})
}

func (l *Limit) checkCalls(targets []Target, ps *source.Problems) {
	l.each("calls", l.Calls, func(at source.Node, text string) {
		s, ok := parseSelector(text)
		if !ok {
			ps.Add(at, fmt.Sprintf("%q is not a selector of calls", text), "write a method or * and a path, for example POST /orders/**")
			return
		}
		if targets != nil && !l.Shipped && !slices.ContainsFunc(targets, func(t Target) bool { return l.fitsOperation(t.Operation) && s.fits(t.Method, t.Path) }) {
			ps.Add(at, fmt.Sprintf("no call to this system fits %q", text), "the paths are those below the system's URL, with parameters in braces")
		}
	})
}
