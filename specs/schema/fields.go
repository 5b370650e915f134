package schema

import "math/bits"

// MaxFields is how many fields of a request are told apart.
const MaxFields = 256

// Seen is a set of fields: bit i stands for the i-th.
type Seen [MaxFields / 64]uint64

// Add puts a field into the set.
func (s *Seen) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Has tells whether a field is in the set.
func (s *Seen) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Each calls f for every field of the set.
func (s *Seen) Each(f func(i int)) {
	for word, set := range s {
		for ; set != 0; set &= set - 1 {
			f(word<<6 + bits.TrailingZeros64(set))
		}
	}
}

// Fields are the properties that a schema declares, wherever they stand in a
// text. It is immutable and safe for concurrent use.
type Fields struct {
	// Names are their places as JSON pointers, with * for the items of an
	// array: /shipTo/city, /lines/*/sku.
	Names []string
	root  *fieldNode
}

// fieldNode is what is looked for in a value.
type fieldNode struct {
	members properties // their index in fields is the same
	fields  []field
	items   *fieldNode // nil when nothing is looked for in items
}

type field struct {
	bit   int
	below *fieldNode // nil when nothing is looked for in the value
}

const (
	// fieldDepth bounds the nesting in which properties are told apart.
	fieldDepth = 8
	// fieldItems is how many items of an array are looked at: the fields of the
	// others are hardly ever different ones.
	fieldItems = 16
)

// Fields finds what s declares, at most most of it; what stands nearest to the
// root comes first. Bits begin at first.
func (s *Schema) Fields(first, most int) *Fields {
	type open struct {
		node    *fieldNode
		at      string
		schemas []*Schema
		depth   int
	}
	f := &Fields{root: &fieldNode{}}
	queue := []open{{f.root, "", applied(nil, s), 0}}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		var items []*Schema
		below := map[string][]*Schema{}
		for _, s := range o.schemas {
			if s.array != nil {
				for _, item := range s.array.prefix {
					items = applied(items, item)
				}
				if s.array.items != nil {
					items = applied(items, s.array.items)
				}
			}
			if s.object == nil {
				continue
			}
			for i := range s.object.properties.list {
				p := &s.object.properties.list[i]
				if p.schema == nil {
					continue
				}
				if _, known := below[p.name]; !known {
					if len(f.Names) == most {
						continue
					}
					o.node.members.list = append(o.node.members.list, property{name: p.name, hash: p.hash})
					o.node.fields = append(o.node.fields, field{bit: first + len(f.Names)})
					f.Names = append(f.Names, o.at+"/"+EscapePointer(p.name))
				}
				below[p.name] = applied(below[p.name], p.schema)
			}
		}
		o.node.members.index()
		if o.depth == fieldDepth {
			continue
		}
		for i, p := range o.node.members.list {
			if inner := below[p.name]; holds(inner) {
				o.node.fields[i].below = &fieldNode{}
				queue = append(queue, open{o.node.fields[i].below, o.at + "/" + EscapePointer(p.name), inner, o.depth + 1})
			}
		}
		if holds(items) {
			o.node.items = &fieldNode{}
			queue = append(queue, open{o.node.items, o.at + "/*", items, o.depth + 1})
		}
	}
	return f
}

// applied adds a schema and all that may apply to the same value.
func applied(list []*Schema, s *Schema) []*Schema {
	for _, other := range list {
		if other == s {
			return list
		}
	}
	list = append(list, s)
	if s.place == nil {
		return list
	}
	for _, more := range [][]*Schema{s.place.all, s.place.any.schemas(), s.place.one.schemas(), {s.place.then, s.place.otherwise}} {
		for _, other := range more {
			if other != nil {
				list = applied(list, other)
			}
		}
	}
	return list
}

// holds tells whether there is anything to look for.
func holds(list []*Schema) bool {
	for _, s := range list {
		if s.array != nil && (s.array.items != nil || s.array.prefix != nil) || s.object != nil && len(s.object.properties.list) > 0 {
			return true
		}
	}
	return false
}

// see notes the fields of the value at a token.
func (w *walker) see(n *fieldNode, at uint32, seen *Seen) {
	switch t := &w.tokens[at]; t.kind {
	case array:
		if n.items == nil {
			return
		}
		item := at + 1
		for i := 0; i < fieldItems && item < t.next; i++ {
			w.see(n.items, item, seen)
			item = w.tokens[item].next
		}
	case object:
		for key := at + 1; key < t.next; key = w.tokens[key+1].next {
			i := n.members.position(w, &w.tokens[key])
			if i < 0 {
				continue
			}
			f := &n.fields[i]
			seen.Add(f.bit)
			if f.below != nil {
				w.see(f.below, key+1, seen)
			}
		}
	}
}

// CheckSeen is Check, and notes which fields a well-formed text has.
func (s *Schema) CheckSeen(json []byte, dir Direction, f *Fields, seen *Seen) ([]Violation, *SyntaxError) {
	return s.checkText(json, dir, f, seen)
}
