package lint

import (
	"encoding/json"
	"maps"
	"mime"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/schema"
	"github.com/headrace/headrace/specs/source"
)

// exampleRules are about what partners copy.
func exampleRules() []Rule {
	const order = "paths:\n  /orders:\n    post:\n      operationId: createOrder\n      requestBody:\n        content:\n          application/json:\n            schema: {type: object, required: [quantity], properties: {quantity: {type: integer}}}\n"
	const created = "      responses: {'201': {description: Created.}}\n"
	return []Rule{
		{
			Name: "examples-present", Severity: Warning,
			Summary: "JSON bodies, in and out, have an example.",
			Why:     "A partner's first call is a copied one.",
			Bad:     order + created,
			Good:    order + "            example: {quantity: 3}\n" + created,
			check: func(p *pass) {
				p.media(func(o operation, what string, m *openapi3.MediaType, at *openapi3.Origin) {
					if m.Example == nil && len(m.Examples) == 0 && !exampled(m.Schema, map[*openapi3.Schema]bool{}) {
						p.add(at, o.name, "the "+what+" has no example", "add one to the media type or to its schema")
					}
				})
			},
		},
		{
			Name: "examples-valid", Severity: Error,
			Summary: "Examples keep their own schema.",
			Why:     "A copied example that is refused is worse than none.",
			Bad:     order + "            example: {quantity: three}\n" + created,
			Good:    order + "            example: {quantity: 3}\n" + created,
			check:   validExamples,
		},
		{
			Name: "no-secrets", Severity: Error,
			Summary: "No example, default or description holds a secret.",
			Why:     "Documents are published. What looks like a key often is one.",
			Bad:     "info: {title: Orders, version: 1.0.0, description: Send the header X-API-Key with AKIAIOSFODNN7EXAMPLE as its value.}\npaths: {}\n",
			Good:    "info: {title: Orders, version: 1.0.0, description: Send your key in the header X-API-Key.}\npaths: {}\n",
			check: func(p *pass) {
				texts(p.contract.Whole, func(n source.Node) {
					for _, s := range secrets {
						if s.pattern.MatchString(n.Text()) {
							p.addAt(n.Position(), "", "this looks like "+s.what, "write <your key> or the like; if it was one, revoke it")
							return
						}
					}
				})
			},
		},
	}
}

// secrets are notations that are hardly anything else.
var secrets = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"an access key of AWS", regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
	{"a signed token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`)},
	{"a key of this gateway", regexp.MustCompile(`\bhr_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{20,}`)},
	{"a token of GitHub", regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{36,}`)},
	{"a token of Slack", regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9-]{10,}`)},
	{"a live key of a payment service", regexp.MustCompile(`\b[sr]k_live_[A-Za-z0-9]{16,}`)},
	{"a token of Shopify", regexp.MustCompile(`\bshp(at|ca|pa|ss)_[a-fA-F0-9]{32}\b`)},
	{"a password in an address", regexp.MustCompile(`[a-z]+://[^/\s:@<{]+:[^/\s:@<{]+@`)},
}

// media gives the JSON bodies of requests and answers.
func (p *pass) media(visit func(o operation, what string, m *openapi3.MediaType, at *openapi3.Origin)) {
	for _, o := range p.operations() {
		if b := o.RequestBody; b != nil && b.Value != nil {
			for _, m := range jsonMedia(b.Value.Content) {
				visit(o, "request", m, b.Value.Origin)
			}
		}
		for _, a := range o.answers() {
			for _, m := range jsonMedia(a.Content) {
				if a.success() {
					visit(o, "answer "+a.status, m, a.Origin)
				}
			}
		}
	}
}

func jsonMedia(content openapi3.Content) []*openapi3.MediaType {
	var list []*openapi3.MediaType
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if isJSON(name) && content[name] != nil {
			list = append(list, content[name])
		}
	}
	return list
}

func isJSON(name string) bool {
	kind, _, err := mime.ParseMediaType(name)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// exampled tells that a schema shows what it means: by an example of its own,
// or by those of all that it is made of.
func exampled(ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) bool {
	if ref == nil || ref.Value == nil {
		return false
	}
	s := ref.Value
	if seen[s] {
		return true
	}
	seen[s] = true
	if s.Example != nil || len(s.Examples) > 0 || s.Default != nil || len(s.Enum) > 0 || s.Const != nil || s.Type.Is("boolean") {
		return true
	}
	if s.Items != nil {
		return exampled(s.Items, seen)
	}
	for _, property := range s.Properties {
		if !exampled(property, seen) {
			return false
		}
	}
	return len(s.Properties) > 0
}

func validExamples(p *pass) {
	set := schema.NewSet(p.model, p.contract.Whole)
	p.media(func(o operation, what string, m *openapi3.MediaType, at *openapi3.Origin) {
		if m.Schema == nil {
			return
		}
		direction := schema.Response
		if what == "request" {
			direction = schema.Request
		}
		checked := set.Compile(m.Schema, p.contract.Whole, &source.Problems{})
		values := map[string]any{"": m.Example}
		for name, e := range m.Examples {
			if e != nil && e.Value != nil {
				values[name] = e.Value.Value
			}
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if wrong := mismatch(checked, values[name], direction); wrong != "" {
				p.add(at, o.name, strings.TrimSpace("the example "+name)+" of the "+what+" does not keep its schema: "+wrong, "correct the example or the schema")
			}
		}
	})
}

// mismatch is the first thing that is wrong with an example; empty when all is well.
func mismatch(s *schema.Schema, value any, direction schema.Direction) string {
	if value == nil {
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	violations, _ := s.Check(text, direction)
	if len(violations) == 0 {
		return ""
	}
	return strings.TrimSpace(violations[0].Pointer + " " + violations[0].Detail)
}

// texts gives every text of the document.
func texts(n source.Node, visit func(source.Node)) {
	switch n.Kind() {
	case source.Map:
		for _, f := range n.Fields() {
			texts(n.At(f.Name), visit)
		}
	case source.List:
		for _, item := range n.Items() {
			texts(item, visit)
		}
	case source.String:
		visit(n)
	}
}

// references notes what every $ref names, and discriminators too.
func references(n source.Node, named map[string]bool) {
	texts(n, func(t source.Node) {
		if pointer, ok := strings.CutPrefix(t.Text(), "#/components/"); ok {
			parts := strings.SplitN(pointer, "/", 3)
			if len(parts) >= 2 {
				named["#/components/"+parts[0]+"/"+unescape.Replace(parts[1])] = true
			}
		}
	})
}

// unescape gives the name that a token of a JSON pointer stands for.
var unescape = strings.NewReplacer("~1", "/", "~0", "~")
