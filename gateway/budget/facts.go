package budget

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/headrace/headrace/specs/source"
)

// Fact is what is known of a customer's licence or installation.
type Fact struct {
	// Value is a string or a float64; nil after a problem.
	Value any
	// Node is where it is said; absent for defaults, which need not be of use.
	Node source.Node
}

// DecodeNode reads a text or a number.
func (f *Fact) DecodeNode(n source.Node, ps *source.Problems) {
	f.Node = n
	switch n.Kind() {
	case source.String:
		f.Value = n.Text()
	case source.Int, source.Float:
		value, ok := n.Number()
		if !ok {
			ps.Add(n, n.Text()+" is not a finite number", "")
			return
		}
		f.Value = value
	default:
		ps.Add(n, "a fact is a text or a number, not "+n.Kind().Named(), "")
	}
}

// JSONSchema describes the notation for editors.
func (Fact) JSONSchema() map[string]any { return map[string]any{"type": []any{"string", "number"}} }

// Describe says what the reference calls it.
func (Fact) Describe() (typ string, nested any) { return "string or number", nil }

// Terms are what formulas are about, by name.
type Terms struct {
	Facts map[string]Fact
	// Tables hold numbers by the word that stands for them.
	Tables map[string]map[string]float64
}

var factName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Resolve gives the same limits with numbers in place of formulas. Formulas that
// give none, and facts that are missing, of the wrong type or of no use to any
// formula, are problems; a limit with such a formula keeps it, and must not be
// given to New. The limits that were given are not changed.
func Resolve(limits []Limit, t Terms, ps *source.Problems) []Limit {
	resolved := slices.Clone(limits)
	before, known := ps.Len(), true
	for _, name := range slices.Sorted(maps.Keys(t.Facts)) {
		known = known && t.Facts[name].Value != nil
		if _, table := t.Tables[name]; !factName.MatchString(name) || name == "math" || table {
			ps.Add(t.Facts[name].Node, fmt.Sprintf("%q is not a name for a fact", name), "use small letters, digits and underscores, and no name of a table")
		}
	}
	if ps.Len() > before || !known || !formulated(limits) && len(t.Facts) == 0 {
		return resolved
	}
	c, err := newCalculator(t)
	if err != nil {
		ps.Add(limits[0].Node, "formulas cannot be worked out: "+err.Error(), "")
		return resolved
	}
	for i := range resolved {
		c.resolve(&resolved[i], ps)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Facts)) {
		if fact := t.Facts[name]; fact.Node.Exists() && !c.used[name] && !c.failed {
			ps.Add(fact.Node, fmt.Sprintf("no limit depends on the fact %q", name), "remove it")
		}
	}
	return resolved
}

// formulated tells whether any limit has a formula.
func formulated(limits []Limit) bool {
	return slices.ContainsFunc(limits, func(l Limit) bool {
		return l.Capacity != nil && l.Capacity.Text != "" || l.Bucket != nil && (l.Bucket.Size.Text != "" || l.Bucket.Refill.Formula != "")
	})
}

// resolve works out the formulas of a limit.
func (c *calculator) resolve(l *Limit, ps *source.Problems) {
	if l.Capacity != nil {
		capacity := c.formula(*l.Capacity, ps)
		l.Capacity = &capacity
	}
	if l.Bucket == nil {
		return
	}
	bucket := *l.Bucket
	l.Bucket = &bucket
	bucket.Size = c.formula(bucket.Size, ps)
	if bucket.Refill.Formula == "" {
		return
	}
	at := bucket.Node.At("refill")
	if units, ok := c.number(bucket.Refill.Formula, at, ps); ok {
		if units <= 0 || units > maxUnits {
			ps.Add(at, fmt.Sprintf("the refill is %s", number(units)), "it must be more than 0 and at most 1e12")
			return
		}
		bucket.Refill = Rate{Units: units, Per: bucket.Refill.Per}
	}
}

func (c *calculator) formula(f Formula, ps *source.Problems) Formula {
	if f.Text != "" && !f.failed {
		if value, ok := c.number(f.Text, f.Node, ps); ok {
			return Formula{Value: value, Node: f.Node}
		}
	}
	return f
}
