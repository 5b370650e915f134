package lint

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// listRules are about operations that answer with many things.
func listRules() []Rule {
	return []Rule{
		{
			Name: "list-is-object", Severity: Error,
			Summary: "A list stands in an object.",
			Why:     "A bare array has no room for a next page, a total or a warning; adding one later breaks every caller.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses:\n        '200': {description: The orders., content: {application/json: {schema: {type: array, items: {type: object}}}}}\n",
			Good:    "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses:\n        '200': {description: The orders., content: {application/json: {schema: {type: object, properties: {items: {type: array, items: {type: object}}}}}}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					for _, a := range o.answers() {
						if s := jsonSchema(a.Content); a.success() && is(s, "array") {
							p.add(s.Value.Origin, o.name, "the answer is a bare array", "put it into an object, as items")
						}
					}
				}
			},
		},
		{
			Name: "pagination", Severity: Error,
			Summary: "Lists are read in pages: a GET that answers a list takes limit, and offset, page or cursor.",
			Why:     "An ERP answers ten thousand orders slowly and at the cost of everybody else's budget.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses:\n        '200': {description: The orders., content: {application/json: {schema: {type: object, properties: {items: {type: array, items: {type: object}}}}}}}\n",
			Good: "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      parameters:\n        - {name: limit, in: query, description: Entries of a page., schema: {type: integer, maximum: 200}}\n        - {name: cursor, in: query, description: Where the page begins., schema: {type: string}}\n" +
				"      responses:\n        '200': {description: The orders., content: {application/json: {schema: {type: object, properties: {items: {type: array, items: {type: object}}}}}}}\n",
			check: paged,
		},
		{
			Name: "page-size-bounded", Severity: Warning,
			Summary: "The size of a page has a maximum.",
			Why:     "Somebody will ask for a million.",
			Bad:     "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      parameters: [{name: limit, in: query, description: Entries of a page., schema: {type: integer}}]\n      responses: {'200': {description: The orders.}}\n",
			Good:    "paths:\n  /orders:\n    get:\n      operationId: listOrders\n      parameters: [{name: limit, in: query, description: Entries of a page., schema: {type: integer, maximum: 200}}]\n      responses: {'200': {description: The orders.}}\n",
			check: func(p *pass) {
				for _, o := range p.operations() {
					for _, ref := range o.parameters() {
						v := ref.Value
						if v == nil || v.In != "query" || !slices.Contains(sizes, plain(v.Name)) || v.Schema == nil || v.Schema.Value == nil {
							continue
						}
						if s := v.Schema.Value; s.Max == nil && !s.ExclusiveMax.IsSet() && len(s.Enum) == 0 {
							p.add(v.Origin, o.name, "the parameter "+v.Name+" has no maximum", "for example maximum: 200")
						}
					}
				}
			},
		},
	}
}

// shapeRules are about the data that goes in and out.
func shapeRules() []Rule {
	return []Rule{
		{
			Name: "property-naming", Severity: Warning,
			Summary: "Properties are written in camel case.",
			Why:     "One manner of writing over all APIs is one thing less to look up.",
			Bad:     "components: {schemas: {Order: {type: object, properties: {customer_id: {type: string}}}}}\npaths: {}\n",
			Good:    "components: {schemas: {Order: {type: object, properties: {customerId: {type: string}}}}}\npaths: {}\n",
			check: func(p *pass) {
				p.properties(func(name string, s *openapi3.Schema) {
					if !camel.MatchString(name) {
						p.add(s.Origin, "", "the property "+name+" is not in camel case", "for example "+camelOf(name))
					}
				})
			},
		},
		{
			Name: "schema-naming", Severity: Warning,
			Summary: "Schemas of the components are named in pascal case.",
			Why:     "Generated clients take the names for their types.",
			Bad:     "components: {schemas: {sales_order: {type: object}}}\npaths: {}\n",
			Good:    "components: {schemas: {SalesOrder: {type: object}}}\npaths: {}\n",
			check: func(p *pass) {
				if p.model.Components == nil {
					return
				}
				for _, name := range slices.Sorted(maps.Keys(p.model.Components.Schemas)) {
					at := p.contract.Whole.At("components", "schemas", name)
					if !pascal.MatchString(name) && at.File() == p.contract.Whole.File() {
						p.addAt(at.Position(), "", "the schema "+name+" is not in pascal case", "for example SalesOrder")
					}
				}
			},
		},
		{
			Name: "money-is-exact", Severity: Error,
			Summary: "Amounts are decimal texts, or whole numbers of the smallest unit.",
			Why:     "0.1 + 0.2 is not 0.3 in floating point; the invoice of the ERP is a cent off and does not settle.",
			Bad:     "components: {schemas: {Order: {type: object, properties: {amount: {type: number, format: double}}}}}\npaths: {}\n",
			Good:    "components: {schemas: {Order: {type: object, properties: {amount: {type: string, pattern: '^-?[0-9]+(\\.[0-9]+)?$'}}}}}\npaths: {}\n",
			check: func(p *pass) {
				p.properties(func(name string, s *openapi3.Schema) {
					if s.Type.Is("number") && (s.Format == "float" || s.Format == "double") && money.MatchString(name) {
						p.add(s.Origin, "", name+" is a floating-point number", "a string with a pattern, or type: number with format: decimal")
					}
				})
			},
		},
		{
			Name: "dates-have-a-format", Severity: Warning,
			Summary: "Dates and times say so: format date or date-time.",
			Why:     "03/04/2026 is a day in March to one partner and in April to the other.",
			Bad:     "components: {schemas: {Order: {type: object, properties: {deliveryDate: {type: string}}}}}\npaths: {}\n",
			Good:    "components: {schemas: {Order: {type: object, properties: {deliveryDate: {type: string, format: date}}}}}\npaths: {}\n",
			check: func(p *pass) {
				p.properties(func(name string, s *openapi3.Schema) {
					if s.Type.Is("string") && s.Format == "" && s.Pattern == "" && len(s.Enum) == 0 && dated.MatchString(name) {
						p.add(s.Origin, "", "nothing says how "+name+" is written", "add format: date or format: date-time")
					}
				})
			},
		},
		{
			Name: "unused-component", Severity: Warning,
			Summary: "What stands in the components is used.",
			Why:     "It is read, maintained and asked about for nothing.",
			Bad:     "components: {schemas: {Order: {type: object}}}\npaths: {}\n",
			Good:    "components: {schemas: {Order: {type: object}}}\npaths:\n  /orders:\n    get:\n      operationId: listOrders\n      responses: {'200': {description: The orders., content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}}\n",
			check:   unused,
		},
	}
}

// sizes are names of the parameter that says how much a page holds, positions
// those of the one that says where it begins; small letters, without hyphens.
var (
	sizes     = []string{"limit", "pagesize", "perpage", "size", "top", "maxresults", "count", "first"}
	positions = []string{"offset", "page", "cursor", "after", "skip", "start", "pagetoken", "nexttoken", "skiptoken", "startingafter", "before"}
)

func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", "$", "", "[", "", "]", "").Replace(name))
}

func paged(p *pass) {
	for _, o := range p.operations() {
		if o.governed.Method != "GET" || !o.list() {
			continue
		}
		size, position := false, false
		for _, ref := range o.parameters() {
			if v := ref.Value; v != nil && v.In == "query" {
				size = size || slices.Contains(sizes, plain(v.Name))
				position = position || slices.Contains(positions, plain(v.Name))
			}
		}
		if !size || !position {
			p.add(o.Origin, o.name, "the list is not read in pages", "add limit, and offset, page or cursor")
		}
	}
}

// list tells that the operation answers a list of its own: an array, or an
// object whose array is called as lists are, at a path that ends with no parameter.
func (o operation) list() bool {
	if strings.HasSuffix(o.path, "}") || strings.HasSuffix(o.path, ")") {
		return false
	}
	for _, a := range o.answers() {
		s := jsonSchema(a.Content)
		if !a.success() || s == nil || s.Value == nil {
			continue
		}
		if is(s, "array") {
			return true
		}
		for name, property := range s.Value.Properties {
			if is(property, "array") && slices.Contains([]string{"items", "value", "data", "results", "entries", "records"}, name) {
				return true
			}
		}
	}
	return false
}

func is(s *openapi3.SchemaRef, kind string) bool {
	return s != nil && s.Value != nil && s.Value.Type.Is(kind)
}

var (
	pascal = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*$`)
	money  = regexp.MustCompile(`(?i)(amount|price|total|cost|balance|tax|discount|fee)$`)
	dated  = regexp.MustCompile(`(^date$|Date$|^[a-z]+edAt$|Timestamp$)`)
)

// camelOf rewrites a name that is not in camel case.
func camelOf(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' || r == ' ' || r == '.' || r == '$' })
	for i, w := range words {
		if i > 0 {
			w = strings.ToUpper(w[:1]) + w[1:]
		} else {
			w = strings.ToLower(w[:1]) + w[1:]
		}
		words[i] = w
	}
	return strings.Join(words, "")
}

// properties gives every property of every schema, each once.
func (p *pass) properties(visit func(name string, s *openapi3.Schema)) {
	_ = p.model.WalkSchemas(func(_ string, s *openapi3.SchemaRef) error {
		if s.Value == nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(s.Value.Properties)) {
			if property := s.Value.Properties[name]; property != nil && property.Value != nil && property.Ref == "" {
				visit(name, property.Value)
			}
		}
		return nil
	})
}

// unused looks for components that no reference names.
func unused(p *pass) {
	named := map[string]bool{}
	references(p.contract.Whole, named)
	components := p.contract.Whole.Get("components")
	for _, section := range components.Fields() {
		if section.Name == "securitySchemes" || strings.HasPrefix(section.Name, "x-") {
			continue
		}
		for _, f := range section.Value.Fields() {
			at := components.At(section.Name, f.Name)
			if !named["#/components/"+section.Name+"/"+f.Name] && at.File() == p.contract.Whole.File() {
				p.addAt(at.Position(), "", "nothing refers to "+section.Name+"/"+f.Name, "remove it")
			}
		}
	}
}
