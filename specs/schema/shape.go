package schema

// accepts are the types of the values that the schema may accept; 0 when it accepts none.
func (s *Schema) accepts() types {
	switch {
	case s.ready:
		return s.accepted
	case s.never:
		return 0
	}
	t := s.types
	if t == 0 {
		t = typeAny
	}
	if t&typeNumber != 0 {
		t |= typeInteger
	}
	if s.enum != nil {
		t &= s.enum.accepts()
	}
	if s.place != nil {
		for _, a := range s.place.all {
			t &= a.accepts()
		}
		t &= s.place.any.accepts() & s.place.one.accepts()
	}
	if s.nullable {
		t |= typeNull
	}
	return t
}

func (a *alternatives) accepts() types {
	if a == nil {
		return typeAny
	}
	var t types
	for _, s := range a.list {
		t |= s.accepts()
	}
	return t
}

func (r *enumRules) accepts() types {
	var t types
	if len(r.texts) > 0 {
		t = typeString
	}
	for _, o := range r.others {
		t |= typesByKind[o.tokens[0].kind]
	}
	if t&typeNumber != 0 {
		t |= typeInteger
	}
	return t
}

// AcceptsScalar tells whether the schema may accept a string, a number, a boolean or null.
func (s *Schema) AcceptsScalar() bool { return s.accepts()&^(typeArray|typeObject) != 0 }

// AcceptsArray tells whether the schema may accept an array.
func (s *Schema) AcceptsArray() bool { return s.accepts()&typeArray != 0 }

// AcceptsObject tells whether the schema may accept an object.
func (s *Schema) AcceptsObject() bool { return s.accepts()&typeObject != 0 }

// Item is the schema of the items of an array, nil when the schema says
// nothing. Where several are possible it is the first that is found.
func (s *Schema) Item() *Schema {
	if s.array != nil && s.array.items != nil {
		return s.array.items
	}
	return s.first((*Schema).Item)
}

// Property is the schema of a property, nil when the schema says nothing.
// Where several are possible it is the first that is found.
func (s *Schema) Property(name string) *Schema {
	if s.object != nil {
		for _, p := range s.object.properties.list {
			if p.name == name && p.schema != nil {
				return p.schema
			}
		}
	}
	if found := s.first(func(s *Schema) *Schema { return s.Property(name) }); found != nil {
		return found
	}
	return s.Extra()
}

// Extra is the schema of the properties that are not declared, nil when the
// schema says nothing or accepts none.
func (s *Schema) Extra() *Schema {
	if s.object != nil && s.object.extra != nil && !s.object.extra.never {
		return s.object.extra
	}
	return s.first((*Schema).Extra)
}

// Properties names the properties that are declared.
func (s *Schema) Properties() []string {
	var names []string
	if s.object != nil {
		for _, p := range s.object.properties.list {
			if p.schema != nil {
				names = append(names, p.name)
			}
		}
	}
	s.first(func(s *Schema) *Schema {
		names = append(names, s.Properties()...)
		return nil
	})
	return names
}

// first asks the schemas that apply to the same value until one answers.
func (s *Schema) first(ask func(*Schema) *Schema) *Schema {
	if s.place == nil {
		return nil
	}
	for _, list := range [][]*Schema{s.place.all, s.place.any.schemas(), s.place.one.schemas()} {
		for _, other := range list {
			if found := ask(other); found != nil {
				return found
			}
		}
	}
	return nil
}

func (a *alternatives) schemas() []*Schema {
	if a == nil {
		return nil
	}
	return a.list
}
