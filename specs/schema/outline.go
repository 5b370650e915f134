package schema

// Types names the types of the values that the schema may accept, as in "a
// string or null".
func (s *Schema) Types() string { return s.accepts().String() }

// Meets tells whether there may be a value that both schemas accept, as far as
// their types tell.
func (s *Schema) Meets(o *Schema) bool {
	both := s.accepts() & o.accepts()
	if both&^typeNull == 0 { // null alone is no match of an optional string and an optional number
		return both != 0 && (s.accepts() == typeNull || o.accepts() == typeNull)
	}
	return true
}

// Plain tells whether the properties and items that the schema declares are
// those of every value that it accepts: it has no alternatives and no conditions.
func (s *Schema) Plain() bool {
	if s.dynamic != nil || s.resource != nil {
		return false
	}
	p := s.place
	if p == nil {
		return true
	}
	if p.any != nil || p.one != nil || p.not != nil || p.when != nil {
		return false
	}
	for _, all := range p.all {
		if !all.Plain() {
			return false
		}
	}
	return true
}

// Declares tells whether a plain schema declares a property, or says what undeclared ones are.
// It is true for one that declares nothing at all.
func (s *Schema) Declares(name string) bool {
	return s.Property(name) != nil || s.Extra() != nil || s.patterned() || len(s.Properties()) == 0
}

// patterned tells of properties that are declared by a pattern.
func (s *Schema) patterned() bool {
	if s.object != nil && len(s.object.patterns) > 0 {
		return true
	}
	return s.first(func(o *Schema) *Schema {
		if o.patterned() {
			return o
		}
		return nil
	}) != nil
}

// Required names the properties that must be there in a direction.
func (s *Schema) Required(dir Direction) []string {
	var names []string
	if s.object != nil {
		for _, p := range s.object.properties.list {
			if p.required[dir] && !p.barred[dir] {
				names = append(names, p.name)
			}
		}
	}
	if s.place != nil {
		for _, all := range s.place.all {
			names = append(names, all.Required(dir)...)
		}
	}
	return names
}

// Refuses tells whether a plain schema accepts no object with a property of
// this name.
func (s *Schema) Refuses(name string) bool {
	if s.place != nil {
		for _, all := range s.place.all {
			if all.Refuses(name) {
				return true
			}
		}
	}
	if s.object == nil || s.object.extra == nil || !s.object.extra.never || len(s.object.patterns) > 0 {
		return false
	}
	for _, p := range s.object.properties.list {
		if p.name == name && p.schema != nil {
			return false
		}
	}
	return true
}

// AcceptsString tells whether the schema may accept a string.
func (s *Schema) AcceptsString() bool { return s.accepts()&typeString != 0 }
