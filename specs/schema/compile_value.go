package schema

import (
	"encoding/json"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/source"
)

func (c *compiler) number(s *Schema, v *openapi3.Schema, at place) {
	r := &numberRules{format: numberFormatOf(v.Format)}
	if v.Min != nil {
		r.min = c.bound(*v.Min, at.value("minimum"), v.ExclusiveMin.IsTrue())
	}
	if v.Max != nil {
		r.max = c.bound(*v.Max, at.value("maximum"), v.ExclusiveMax.IsTrue())
	}
	if v.ExclusiveMin.Value != nil {
		b := c.bound(*v.ExclusiveMin.Value, at.value("exclusiveMinimum"), true)
		if r.min == nil || b.compare(&r.min.decimal) >= 0 {
			r.min = b
		}
	}
	if v.ExclusiveMax.Value != nil {
		b := c.bound(*v.ExclusiveMax.Value, at.value("exclusiveMaximum"), true)
		if r.max == nil || b.compare(&r.max.decimal) <= 0 {
			r.max = b
		}
	}
	if v.MultipleOf != nil {
		written := digitsOf(*v.MultipleOf, at.value("multipleOf"))
		if d := parseDecimal([]byte(written)).normal(); d.neg || d.mant == 0 {
			c.problem(at.in("multipleOf"), "is not a divisor", "write a number above 0 of at most 19 digits")
		} else {
			r.multipleOf, r.multiple = &d, written
		}
	}
	if r.min != nil || r.max != nil || r.multipleOf != nil || r.format != nil {
		s.number = r
	}
}

func (c *compiler) bound(v float64, at source.Node, exclusive bool) *bound {
	written := digitsOf(v, at)
	return &bound{decimal: parseDecimal([]byte(written)), exclusive: exclusive, written: written}
}

// digitsOf writes a number with the digits that the document has: a float64
// may have lost some.
func digitsOf(v float64, at source.Node) string {
	if k := at.Kind(); k == source.Int || k == source.Float {
		written := at.AppendJSON(nil)
		if end, _, ok := scanNumber(written, 0); ok && end == len(written) {
			if f, err := strconv.ParseFloat(string(written), 64); err == nil && f == v {
				return string(written)
			}
		}
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func (c *compiler) enum(s *Schema, v *openapi3.Schema, at place) {
	if len(v.Enum) > 0 {
		values := make([][]byte, len(v.Enum))
		items := at.value("enum").Items()
		for i, value := range v.Enum {
			if len(items) == len(v.Enum) {
				values[i] = items[i].AppendJSON(nil)
			} else {
				values[i] = encode(value)
			}
		}
		s.enum = c.values(values)
	}
	var constant []byte
	switch node := at.value("const"); {
	case node.Exists():
		constant = node.AppendJSON(nil)
	case v.Const != nil:
		constant = encode(v.Const)
	default:
		return
	}
	one := c.values([][]byte{constant})
	if s.enum == nil {
		s.enum = one
		return
	}
	s.place = &placeRules{all: []*Schema{{shared: c.shared, enum: one, acyclic: true}}}
}

// encode writes a value that came from a JSON or YAML text.
func encode(v any) []byte {
	written, err := json.Marshal(v)
	if err != nil { // no value of a text is like this
		return []byte("null")
	}
	return written
}

func (c *compiler) values(list [][]byte) *enumRules {
	r := &enumRules{texts: map[string]struct{}{}}
	var described []string
	for _, value := range list {
		described = append(described, string(value))
		scan := scanner{seed: c.shared.seed}
		if scan.scan(value) != nil {
			continue
		}
		if first := &scan.tokens[0]; first.kind == text {
			r.texts[string(scan.tape.text(first, &scan.scratch))] = struct{}{}
		} else {
			r.others = append(r.others, scan.tape)
		}
	}
	r.want = describeEnum(described)
	return r
}
