package portal

import (
	"html/template"
	"slices"
	"strconv"
	"strings"
)

// row is a line of a schema as people read it: a property, or an alternative.
type row struct {
	Depth       int
	Name        string
	Type        string
	Rules       []string // what values must keep to
	Required    bool
	Deprecated  bool
	Only        string // read or write; empty: both
	Description template.HTML
	Heading     bool // Name heads the rows below it: Either, or …
}

const (
	deepest  = 7   // levels of a schema that are shown
	mostRows = 400 // lines of a schema that are shown
)

// schemas turns schemas of a document into rows.
type schemas struct {
	root     *node
	markdown *markdown
	rows     []row
	open     []*node // schemas that are being shown, to end recursion
}

// rows shows a schema: its properties, or itself where it has none.
func (r *reader) rows(schema *node) []row {
	s := &schemas{root: r.root, markdown: r.markdown}
	s.below(schema, 0)
	if len(s.rows) == 0 && schema != nil {
		s.row("", schema, false, 0)
	}
	return s.rows
}

// resolve follows references to where they end.
func resolve(root, n *node) *node {
	for range 16 {
		reference := n.get("$ref").str()
		if reference == "" {
			return n
		}
		target := root.ref(reference)
		if target == nil {
			return n
		}
		n = target
	}
	return n
}

// below adds the properties of a schema, with those of what it is put together of.
func (s *schemas) below(schema *node, depth int) {
	n := resolve(s.root, schema)
	if n == nil || depth > deepest || slices.Contains(s.open, n) || len(s.rows) >= mostRows {
		return
	}
	s.open = append(s.open, n)
	defer func() { s.open = s.open[:len(s.open)-1] }()
	if items := n.get("items"); items != nil {
		s.below(items, depth)
	}
	for _, part := range n.get("allOf").list() {
		s.below(part, depth)
	}
	var required []string
	for _, name := range n.get("required").list() {
		required = append(required, name.str())
	}
	n.get("properties").members(func(name string, property *node) {
		s.row(name, property, slices.Contains(required, name), depth)
	})
	if more := n.get("additionalProperties"); more != nil && more.kind == object && len(more.items) > 0 {
		s.row("any other name", more, false, depth)
	}
	for _, keyword := range []string{"oneOf", "anyOf"} {
		s.alternatives(n.get(keyword).list(), depth)
	}
}

// alternatives adds the schemas of which one is to be met; null is said by the type.
func (s *schemas) alternatives(list []*node, depth int) {
	list = slices.DeleteFunc(slices.Clone(list), func(n *node) bool { return resolve(s.root, n).get("type").str() == "null" })
	for i, one := range list {
		if len(list) == 1 {
			s.below(one, depth)
			return
		}
		name := "Or"
		if i == 0 {
			name = "Either"
		}
		if title := resolve(s.root, one).get("title").str(); title != "" {
			name += " " + title
		}
		s.rows = append(s.rows, row{Depth: depth, Name: name, Type: s.typeOf(one), Heading: true})
		s.below(one, depth+1)
	}
}

// row adds a property and what is below it.
func (s *schemas) row(name string, schema *node, required bool, depth int) {
	if len(s.rows) >= mostRows {
		return
	}
	n := resolve(s.root, schema)
	r := row{Depth: depth, Name: name, Type: s.typeOf(schema), Required: required, Rules: s.rules(n)}
	description := schema.get("description").str() // beside a reference in 3.1
	if description == "" {
		description = n.get("description").str()
	}
	r.Description = s.markdown.html(description, 5)
	r.Deprecated = n.get("deprecated").is("true")
	switch {
	case n.get("readOnly").is("true"):
		r.Only = "only in answers"
	case n.get("writeOnly").is("true"):
		r.Only = "only in requests"
	}
	s.rows = append(s.rows, r)
	if slices.Contains(s.open, n) {
		s.rows[len(s.rows)-1].Rules = append(r.Rules, "the same again")
		return
	}
	s.below(schema, depth+1)
}

// typeOf names the type of a schema: string, array of integer, date-time.
func (s *schemas) typeOf(schema *node) string { return s.typeAt(schema, 0) }

func (s *schemas) typeAt(schema *node, depth int) string {
	n := resolve(s.root, schema)
	if n == nil || depth > 8 {
		return "any"
	}
	var types []string
	if t := n.get("type"); t.str() != "" {
		types = []string{t.str()}
	} else {
		for _, t := range t.list() {
			types = append(types, t.str())
		}
	}
	if n.get("nullable").is("true") && !slices.Contains(types, "null") {
		types = append(types, "null")
	}
	for i, t := range types {
		switch {
		case t == "array":
			types[i] = "array of " + s.typeAt(n.get("items"), depth+1)
		case n.get("format").str() != "" && t != "null":
			types[i] = n.get("format").str()
		}
	}
	if len(types) > 0 {
		return strings.Join(types, " or ")
	}
	for _, keyword := range []string{"allOf", "oneOf", "anyOf"} {
		var all []string
		for _, part := range n.get(keyword).list() {
			if t := s.typeAt(part, depth+1); t != "any" && !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
		if len(all) > 0 {
			return strings.Join(all, " or ")
		}
	}
	if n.get("properties") != nil {
		return "object"
	}
	return "any"
}

// rules says what values must keep to.
func (s *schemas) rules(n *node) []string {
	var list []string
	add := func(text, value string) {
		if value != "" {
			list = append(list, strings.ReplaceAll(text, "%", value))
		}
	}
	if values := n.get("enum").list(); len(values) > 0 {
		var words []string
		for _, v := range values[:min(len(values), 30)] {
			words = append(words, plainValue(v))
		}
		if len(values) > 30 {
			words = append(words, "…")
		}
		add("one of %", strings.Join(words, ", "))
	}
	add("always %", plainValue(n.get("const")))
	add("at least %", plainValue(n.get("minimum")))
	add("more than %", bound(n.get("exclusiveMinimum")))
	add("at most %", plainValue(n.get("maximum")))
	add("less than %", bound(n.get("exclusiveMaximum")))
	add("a multiple of %", plainValue(n.get("multipleOf")))
	if least := plainValue(n.get("minLength")); least == "1" {
		list = append(list, "not empty")
	} else {
		add("% characters or more", least)
	}
	add("% characters at most", plainValue(n.get("maxLength")))
	if least := plainValue(n.get("minItems")); least == "1" {
		list = append(list, "not empty")
	} else {
		add("% entries or more", least)
	}
	add("% entries at most", plainValue(n.get("maxItems")))
	add("matches %", n.get("pattern").str())
	if n.get("uniqueItems").is("true") {
		list = append(list, "no entry twice")
	}
	add("% when absent", plainValue(n.get("default")))
	if items := resolve(s.root, n.get("items")); items != nil {
		for _, rule := range s.itemRules(items) {
			list = append(list, "each "+rule)
		}
	}
	return list
}

// itemRules are those of the entries of an array of plain values.
func (s *schemas) itemRules(items *node) []string {
	if items.get("items") != nil {
		return nil
	}
	return s.rules(items)
}

// bound is a limit of OpenAPI 3.1; in 3.0 the keyword is true or false.
func bound(n *node) string {
	if n.is("true") || n.is("false") {
		return ""
	}
	return plainValue(n)
}

// plainValue writes a value on one line, strings without quotes.
func plainValue(n *node) string {
	switch {
	case n == nil:
		return ""
	case n.kind == text && n.text == "":
		return `""`
	case n.kind == text:
		return n.text
	case n.kind == literal:
		return n.text
	}
	return strings.Join(strings.Fields(string(n.json())), " ")
}

// Class is the row's step in the style sheet.
func (r row) Class() string { return "d" + strconv.Itoa(min(r.Depth, deepest)) }
