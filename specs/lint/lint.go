// Package lint looks for what makes an API of an ERP hard to use, to govern or
// to change, although its document is correct. It knows the rules, one function
// each, with what is bad and what is good, and decides nothing: whoever
// publishes says which severity stops a version.
package lint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	// Error stops a version from being published.
	Error Severity = "error"
	// Warning is shown, and stops nothing.
	Warning Severity = "warning"
	// Off leaves the rule out.
	Off Severity = "off"
)

// Rule is one thing that is looked for.
type Rule struct {
	Name     string
	Severity Severity
	// Summary is the rule in a sentence, Why what happens where it is broken.
	Summary, Why string
	// Bad and Good are parts of documents that break and keep the rule.
	Bad, Good string

	check func(*pass)
}

// Rules lists the rules by name.
func Rules() []Rule {
	rules := slices.Concat(documentRules(), operationRules(), answerRules(), listRules(), shapeRules(), writeRules(), exampleRules())
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Name, b.Name) })
	return rules
}

// UnmarshalText reads error, warning or off.
func (s *Severity) UnmarshalText(text []byte) error {
	switch v := Severity(text); v {
	case Error, Warning, Off:
		*s = v
		return nil
	}
	return fmt.Errorf("error, warning or off")
}

// JSONSchema describes the notation for editors.
func (Severity) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "enum": []any{"error", "warning", "off"}}
}

// Settings are what a workspace says of the rules.
type Settings struct {
	Rules map[string]Severity `yaml:"rules" doc:"Severity by rule: error, warning or off; headrace lint --rules lists them."`
	Node  source.Node         `yaml:",node"`
}

// Verify adds a problem for each rule that does not exist.
func (s Settings) Verify(ps *source.Problems) {
	var names []string
	for _, r := range Rules() {
		names = append(names, r.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Rules)) {
		if !slices.Contains(names, name) {
			ps.Add(s.Node.At("rules", name), fmt.Sprintf("there is no rule %q", name), source.DidYouMean(name, names))
		}
	}
}

// Finding is one place where a rule is broken.
type Finding struct {
	source.Position
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Operation is METHOD path; empty for what concerns the document.
	Operation string `json:"operation,omitempty"`
	// Wrong says what is wrong, Right what would be right.
	Wrong string `json:"wrong"`
	Right string `json:"right"`
}

// String gives the finding as file:line:column: severity: operation: wrong; right [rule].
func (f Finding) String() string {
	operation := f.Operation
	if operation != "" {
		operation += ": "
	}
	return fmt.Sprintf("%s: %s: %s%s; %s [%s]", f.Position, f.Severity, operation, f.Wrong, f.Right, f.Rule)
}

// Check looks for everything, sorted by place.
func Check(c *specs.Contract, s Settings) []Finding {
	findings := []Finding{}
	for _, r := range Rules() {
		severity := cmp.Or(s.Rules[r.Name], r.Severity)
		if severity == Off {
			continue
		}
		p := &pass{contract: c, model: c.Model(), rule: r.Name, severity: severity, seen: map[source.Position]bool{}}
		r.check(p)
		findings = append(findings, p.findings...)
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, cmp.Compare(a.Rule, b.Rule))
	})
	return findings
}

// pass is one rule on its way through one document.
type pass struct {
	contract *specs.Contract
	model    *openapi3.T
	rule     string
	severity Severity
	findings []Finding
	seen     map[source.Position]bool
}

// add notes a finding, once for each place: what several operations share is
// wrong once.
func (p *pass) add(at *openapi3.Origin, operation, wrong, right string) {
	position := p.contract.Whole.Position()
	if at != nil && at.Key != nil && at.Key.Line > 0 {
		position = source.Position{File: at.Key.File, Line: at.Key.Line, Column: at.Key.Column}
	}
	p.addAt(position, operation, wrong, right)
}

func (p *pass) addAt(at source.Position, operation, wrong, right string) {
	if p.seen[at] {
		return
	}
	p.seen[at] = true
	p.findings = append(p.findings, Finding{Position: at, Rule: p.rule, Severity: p.severity, Operation: operation, Wrong: wrong, Right: right})
}

// operation is an operation as the rules see it.
type operation struct {
	*openapi3.Operation
	item     *openapi3.PathItem
	governed *specs.Operation
	name     string // METHOD path
	path     string
}

// operations lists the operations in the order of the document's paths.
func (p *pass) operations() []operation {
	var list []operation
	for _, o := range p.contract.Operations {
		item := p.model.Paths.Value(o.Path)
		list = append(list, operation{Operation: item.GetOperation(o.Method), item: item, governed: o, name: o.Method + " " + o.Path, path: o.Path})
	}
	return list
}

// writes tells that the operation changes something.
func (o operation) writes() bool { return !o.governed.Safe() }

// parameters are those of the operation and of its path.
func (o operation) parameters() openapi3.Parameters {
	return slices.Concat(o.Parameters, o.item.Parameters)
}

// answers lists the responses by their status, sorted; default comes last.
func (o operation) answers() []answer {
	var list []answer
	for _, status := range slices.Sorted(maps.Keys(o.Responses.Map())) {
		if r := o.Responses.Value(status); r != nil && r.Value != nil {
			list = append(list, answer{Response: r.Value, status: status})
		}
	}
	return list
}

type answer struct {
	*openapi3.Response
	status string
}

func (a answer) success() bool { return a.status[0] == '2' }

func (a answer) failure() bool {
	return a.status[0] == '4' || a.status[0] == '5' || a.status == "default"
}

// jsonSchema is the schema of the first JSON content; nil when there is none.
func jsonSchema(content openapi3.Content) *openapi3.SchemaRef {
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if isJSON(name) && content[name] != nil {
			return content[name].Schema
		}
	}
	return nil
}
