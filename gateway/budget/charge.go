package budget

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// Charge is what calls cost in a limit where their operation does not say
// otherwise: the same for all, or by what they carry, take or turn out to cost.
type Charge struct {
	// By is calls, bytes, elements, duration or value.
	By string
	// Unit is how much of the measure makes a unit of the limit, and Estimate
	// what a call is taken for when it is admitted: bytes, elements,
	// nanoseconds, or the units themselves.
	Unit, Estimate float64
	// Request and Answer are jq over the request and the answer: what the call
	// will cost, and what it did cost. They are compiled where calls are made.
	Request, Answer source.Node
	Node            source.Node
}

// PerCall is the charge of so many units for every call.
func PerCall(units float64) *Charge { return &Charge{By: "calls", Unit: 1, Estimate: units} }

// Units turns an amount of the measure into units of the limit.
func (c *Charge) Units(amount float64) float64 { return amount / c.Unit }

// Default is the number of units that a call is taken for when nothing more is
// known of it. A limit without a charge takes one unit for every call.
func (c *Charge) Default() float64 {
	if c == nil {
		return 1
	}
	return c.Units(c.Estimate)
}

// settledLater tells whether the cost is only known when the call has ended.
func (c *Charge) settledLater() bool {
	return c != nil && (c.By == "duration" || c.Answer.Exists())
}

type chargeKeys struct {
	By       string      `yaml:"by" enum:"calls,bytes,elements,duration,value" default:"calls" doc:"What is counted: calls, the bytes of request and answer, the elements of a batch, the time that the system takes, or what jq makes of request and answer."`
	Unit     source.Node `yaml:"unit" doc:"How much makes one unit of the limit, for example 1s, 64KiB or 10; 1s, 1B and 1 when absent."`
	Estimate source.Node `yaml:"estimate" doc:"What a call is taken for when it is admitted, for example 500ms, 4KiB or 3; one unit when absent."`
	Request  source.Node `yaml:"request" doc:"jq over the request that gives the cost before the call."`
	Answer   source.Node `yaml:"answer" doc:"jq over the answer that gives the cost after the call."`
	Node     source.Node `yaml:",node"`
}

// DecodeNode reads a number of units for every call, or the keys above.
func (c *Charge) DecodeNode(n source.Node, ps *source.Problems) {
	switch n.Kind() {
	case source.Int, source.Float:
		units, ok := n.Number()
		if !ok || units < 0 || units > maxUnits {
			ps.Add(n, "a call cannot cost "+n.Text(), "from 0 to 1e12")
			units = 1
		}
		*c = *PerCall(units)
		c.Node = n
		return
	case source.Map:
	default:
		*c = *PerCall(1)
		ps.Add(n, "expected a number or a mapping, found "+n.Kind().Named(), "for example 2, or {by: duration, unit: 1s, estimate: 500ms}")
		return
	}
	var keys chargeKeys
	source.Decode(n, &keys, ps)
	if measures[keys.By] == 0 { // reported already
		*c = *PerCall(1)
		c.Node = n
		return
	}
	*c = Charge{By: keys.By, Unit: measures[keys.By], Request: keys.Request, Answer: keys.Answer, Node: n}
	c.Unit = c.measure(keys.Unit, c.Unit, ps)
	if c.Unit <= 0 {
		ps.Add(keys.Unit, "a unit of nothing", "")
		c.Unit = 1
	}
	c.Estimate = c.measure(keys.Estimate, c.Unit, ps)
	c.check(keys, ps)
}

// measure reads an amount in the notation of what is counted.
func (c *Charge) measure(n source.Node, otherwise float64, ps *source.Problems) float64 {
	if !n.Exists() {
		return otherwise
	}
	before := ps.Len()
	var amount float64
	switch c.By {
	case "duration":
		var d source.Duration
		source.Decode(n, &d, ps)
		amount = float64(d)
	case "bytes":
		var s source.Size
		source.Decode(n, &s, ps)
		amount = float64(s)
	default:
		source.Decode(n, &amount, ps)
	}
	if ps.Len() > before {
		return otherwise
	}
	if amount < 0 || amount > maxUnits*measures["duration"] {
		ps.Add(n, n.Text()+" is out of range", "from 0 to 1e12 units")
		return otherwise
	}
	return amount
}

// measures has what makes a unit where nothing else is said.
var measures = map[string]float64{"calls": 1, "bytes": 1, "elements": 1, "duration": float64(time.Second), "value": 1}

// check finds keys that mean nothing for what is counted.
func (c *Charge) check(keys chargeKeys, ps *source.Problems) {
	useless := func(n source.Node, key string) {
		if n.Exists() {
			ps.Add(n, fmt.Sprintf("the key %q has no meaning for a cost by %s", key, c.By), "remove it")
		}
	}
	switch c.By {
	case "calls":
		useless(keys.Unit, "unit")
		useless(keys.Request, "request")
		useless(keys.Answer, "answer")
	case "bytes", "duration":
		useless(keys.Request, "request")
		useless(keys.Answer, "answer")
	case "value":
		useless(keys.Unit, "unit")
		if !c.Request.Exists() && !c.Answer.Exists() {
			ps.Add(c.Node, "nothing says what the value is", "give request, answer or both, as jq")
		}
	}
}

// JSONSchema describes the notation for editors.
func (Charge) JSONSchema() map[string]any {
	return map[string]any{"oneOf": []any{map[string]any{"type": "number", "minimum": 0}, source.Schema(chargeKeys{})}}
}

// Describe says what the reference calls it.
func (Charge) Describe() (typ string, nested any) { return "number or mapping", chargeKeys{} }
