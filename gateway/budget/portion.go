package budget

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// Portion is a part of a limit: a number of units, or a percentage of the whole
// such as 10%.
type Portion struct {
	Units, Percent float64
}

// Of is the portion of a whole, in the same units.
func (p Portion) Of(whole float64) float64 { return p.Units + p.Percent/100*whole }

// DecodeNode reads a number, or a text that ends with %.
func (p *Portion) DecodeNode(n source.Node, ps *source.Problems) {
	switch n.Kind() {
	case source.Int, source.Float:
		units, ok := n.Number()
		switch {
		case !ok:
			ps.Add(n, n.Text()+" is not a finite number", "")
		case units < 0:
			ps.Add(n, n.Text()+" is too small", "the least is 0")
		default:
			*p = Portion{Units: units}
		}
		return
	case source.String:
		if text, ok := strings.CutSuffix(n.Text(), "%"); ok {
			if percent, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && percent >= 0 && percent <= 100 {
				*p = Portion{Percent: percent}
				return
			}
			ps.Add(n, fmt.Sprintf("%q is not a percentage", n.Text()), "from 0% to 100%")
			return
		}
	}
	ps.Add(n, "is neither a number of units nor a percentage", "write for example 5 or 10%")
}

// JSONSchema describes the notation for editors.
func (Portion) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"number", "string"}, "minimum": 0, "pattern": `^[0-9.]+ ?%$`, "examples": []any{5, "10%"}}
}

// Describe says what the reference calls it.
func (Portion) Describe() (typ string, nested any) { return "number or percentage", nil }

func (p Portion) String() string {
	if p.Percent != 0 {
		return number(p.Percent) + "%"
	}
	return number(p.Units)
}

// Pace keeps the classes normal and low from using up a long window early: they
// burn no faster than its capacity spread evenly over it, and Burst at once.
type Pace struct {
	Burst Portion
	Off   bool
}

// defaultPace is the burst of long windows that say nothing of their pace, and
// leastPace the calls that it lets pass at least; longWindow is the shortest of
// them, shortestPace the shortest window that can have a pace at all.
const (
	defaultPace  = 10 // percent
	leastPace    = 10
	longWindow   = 10 * time.Second
	shortestPace = time.Second
)

// DecodeNode reads a portion, or off.
func (p *Pace) DecodeNode(n source.Node, ps *source.Problems) {
	if n.Kind() == source.String && n.Text() == "off" {
		*p = Pace{Off: true}
		return
	}
	before := ps.Len()
	p.Burst.DecodeNode(n, ps)
	if ps.Len() == before && p.Burst == (Portion{}) {
		ps.Add(n, "a pace without a burst admits nothing", "for example 10%, or off")
	}
}

// JSONSchema describes the notation for editors.
func (Pace) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"number", "string"}, "minimum": 0, "pattern": `^([0-9.]+ ?%|off)$`, "examples": []any{"10%", "off"}}
}

// Describe says what the reference calls it.
func (Pace) Describe() (typ string, nested any) { return "number, percentage or off", nil }

// Shrinking is how a limit answers to overloads that the gateway's own count
// does not explain.
type Shrinking struct {
	Floor   Portion         `yaml:"floor" doc:"What is left at the least; 25% when absent."`
	Cut     float64         `yaml:"cut" default:"0.75" doc:"What an overload leaves of the capacity, between 0 and 1."`
	Recover source.Duration `yaml:"recover" default:"10m" min:"1s" doc:"Time in which the limit grows back from its floor to the whole."`
	Node    source.Node     `yaml:",node"`
	// Off keeps the limit as it is.
	Off bool
}

// defaultShrinking is that of limits that say nothing.
const defaultFloor = 25 // percent

func defaultShrinking() *Shrinking {
	return &Shrinking{Floor: Portion{Percent: defaultFloor}, Cut: 0.75, Recover: source.Duration(10 * time.Minute)}
}

type shrinkingKeys Shrinking

// DecodeNode reads the settings, or off.
func (s *Shrinking) DecodeNode(n source.Node, ps *source.Problems) {
	if n.Kind() == source.String && n.Text() == "off" {
		*s = Shrinking{Off: true, Node: n}
		return
	}
	if n.Kind() != source.Map {
		ps.Add(n, "expected a mapping or off, found "+n.Kind().Named(), "for example {floor: 25%, cut: 0.75, recover: 10m}")
		return
	}
	source.Decode(n, (*shrinkingKeys)(s), ps)
	if !n.Get("floor").Exists() {
		s.Floor = Portion{Percent: defaultFloor}
	}
	if !(s.Cut > 0 && s.Cut < 1) {
		ps.Add(n.At("cut"), number(s.Cut)+" is not a part", "between 0 and 1, for example 0.75")
	}
}

// JSONSchema describes the notation for editors.
func (Shrinking) JSONSchema() map[string]any {
	return map[string]any{"oneOf": []any{map[string]any{"const": "off"}, source.Schema(shrinkingKeys{})}}
}

// Describe says what the reference calls it.
func (Shrinking) Describe() (typ string, nested any) { return "mapping or off", shrinkingKeys{} }

// finite tells whether a number can be used as units.
func finite(n float64) bool { return !math.IsNaN(n) && !math.IsInf(n, 0) }
