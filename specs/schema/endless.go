package schema

import "slices"

// finish looks for schemas that apply themselves to the same value without
// end, and notes what types the others accept.
func (c *compiler) finish() {
	for _, m := range c.made {
		if c.endless(m.schema, map[*Schema]bool{}) {
			c.problem(m.at, "the schema refers to itself without end: no value could ever be checked", "let the reference stand in a property or in items")
			m.schema.place, m.schema.dynamic, m.schema.object = nil, nil, nil
		}
	}
	for _, m := range c.made {
		m.schema.accepted = m.schema.accepts()
		m.schema.ready = true
	}
	c.made = nil
}

// endless follows the schemas that apply to the same value.
func (c *compiler) endless(s *Schema, open map[*Schema]bool) bool {
	if s == nil || s.acyclic {
		return false
	}
	if open[s] {
		return true
	}
	open[s] = true
	found := slices.ContainsFunc(s.inPlace(), func(next *Schema) bool { return c.endless(next, open) })
	delete(open, s)
	s.acyclic = !found
	return found
}

// inPlace lists the schemas that a schema applies to the same value.
func (s *Schema) inPlace() []*Schema {
	var list []*Schema
	if p := s.place; p != nil {
		list = append(list, p.all...)
		list = append(list, p.any.schemas()...)
		list = append(list, p.one.schemas()...)
		list = append(list, p.any.choices()...)
		list = append(list, p.one.choices()...)
		list = append(list, p.not, p.when, p.then, p.otherwise)
	}
	if s.object != nil {
		for _, d := range s.object.dependents {
			list = append(list, d.schema)
		}
	}
	if s.dynamic != nil {
		list = append(list, s.dynamic.target)
	}
	return list
}

func (a *alternatives) choices() []*Schema {
	if a == nil || a.discriminator == nil {
		return nil
	}
	var list []*Schema
	for _, s := range a.discriminator.choices {
		list = append(list, s)
	}
	return list
}
