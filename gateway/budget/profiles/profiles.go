// Package profiles holds what vendors say of the limits of their systems, each
// with its source, the day it was looked up and its grade of evidence.
//
// A profile is a file NAME.yaml here. What stands under system in it are keys
// of a system's own file, which come first when both are merged.
package profiles

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/specs/source"
)

// Profile is one file.
type Profile struct {
	Name         string                        `yaml:"name" check:"required" doc:"The name of the file without .yaml."`
	Title        string                        `yaml:"title" check:"required" doc:"The system's name as shown to people."`
	Vendor       string                        `yaml:"vendor" check:"required" doc:"Who makes the system."`
	Checked      Date                          `yaml:"checked" check:"required" doc:"The day on which the sources were read."`
	AdaptiveOnly bool                          `yaml:"adaptive_only" doc:"The vendor publishes no number: the limits begin with a guess and follow the system's refusals."`
	Notes        string                        `yaml:"notes" doc:"What to know before use."`
	Facts        map[string]Fact               `yaml:"facts" doc:"What the formulas need to know of the customer's contract, by name."`
	Tables       map[string]map[string]float64 `yaml:"tables" doc:"Numbers by the word that stands for them, for the formulas."`
	Idempotency  []Idempotency                 `yaml:"idempotency" doc:"How the system recognises a write that is sent twice; for operations that do not say so themselves, where the evidence is V."`
	System       source.Node                   `yaml:"system" check:"required" doc:"Keys of a system's file."`
	Node         source.Node                   `yaml:",node"`
}

// Fact is something to know of a contract.
type Fact struct {
	Type    string         `yaml:"type" check:"required" enum:"string,number" doc:"Whether it is a word or a number."`
	Enum    source.Strings `yaml:"enum" doc:"The words that it may be; any when absent."`
	Default source.Node    `yaml:"default" doc:"What it is when the workspace does not say; the workspace must say when absent."`
	Doc     string         `yaml:"doc" check:"required" doc:"What it is."`
	Node    source.Node    `yaml:",node"`
}

// Idempotency is one way in which a system recognises a write.
type Idempotency struct {
	Calls    source.Strings  `yaml:"calls" doc:"The calls that have it, as METHOD /path; * stands for one segment, ** for the rest."`
	Class    string          `yaml:"class" check:"required" enum:"header,natural-key,none" doc:"As in the idempotency key of operations: header: a key in a header; natural-key: a key of the record itself."`
	Header   string          `yaml:"header" doc:"The header of the class header."`
	TTL      source.Duration `yaml:"ttl" doc:"How long the system remembers a key; not known when absent."`
	Evidence string          `yaml:"evidence" check:"required" enum:"V,S" doc:"V: read at the vendor. S: told by others."`
	Source   string          `yaml:"source" check:"required" doc:"Where it is said."`
	Notes    string          `yaml:"notes" doc:"The conditions."`
	Node     source.Node     `yaml:",node"`
}

// Fits tells whether it is about the calls of a method and a path, as a
// template below the system's URL.
func (i *Idempotency) Fits(method, path string) bool { return budget.Chosen(i.Calls, method, path) }

// Date is a day, written as 2026-11-23.
type Date struct{ time.Time }

// UnmarshalText parses a day.
func (d *Date) UnmarshalText(text []byte) (err error) {
	if d.Time, err = time.Parse(time.DateOnly, string(text)); err != nil {
		return fmt.Errorf("write a day such as 2026-11-23")
	}
	return nil
}

func (d Date) String() string { return d.Format(time.DateOnly) }

// JSONSchema describes the notation for editors.
func (Date) JSONSchema() map[string]any { return map[string]any{"type": "string", "format": "date"} }

//go:embed *.yaml
var files embed.FS

// Names lists the profiles that there are, sorted.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil // an embedded directory can always be read
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Dir is where the files of profiles are said to stand in problems.
const Dir = "profiles"

// Load reads a profile; nil when there is none of that name. What is wrong with
// it goes to ps.
func Load(name string, ps *source.Problems) *Profile {
	data, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil
	}
	return parse(name, data, ps)
}

func parse(name string, data []byte, ps *source.Problems) *Profile {
	n := source.Parse(Dir+"/"+name+".yaml", data, source.DefaultLimits, ps)
	if !n.Exists() {
		return nil
	}
	p := &Profile{}
	source.Decode(n, p, ps)
	if p.Name != name {
		ps.Add(n.At("name"), fmt.Sprintf("the profile %q stands in %s.yaml", p.Name, name), "")
	}
	p.check(ps)
	return p
}

// check finds facts whose default is none, and keys that a profile cannot know.
func (p *Profile) check(ps *source.Problems) {
	for _, name := range slices.Sorted(maps.Keys(p.Facts)) {
		if f := p.Facts[name]; f.Default.Exists() {
			f.Value(f.Default, ps)
		}
	}
	for _, f := range p.System.Fields() {
		switch f.Name {
		case "url", "credentials", "profile", "facts", "account":
			ps.Add(f.Key, fmt.Sprintf("a profile does not set %q", f.Name), "it is for the workspace to say")
		}
	}
}

// Value is what is said of a fact: a string or a float64. It is nil after a problem.
func (f Fact) Value(n source.Node, ps *source.Problems) any {
	if f.Type == "number" {
		v, ok := n.Number()
		if !ok {
			ps.Add(n, "expected a number, found "+n.Kind().Named(), f.Doc)
			return nil
		}
		return v
	}
	if n.Kind() != source.String {
		ps.Add(n, "expected a string, found "+n.Kind().Named(), f.Doc)
		return nil
	}
	if len(f.Enum) > 0 && !slices.Contains(f.Enum, n.Text()) {
		ps.Add(n, fmt.Sprintf("%q is not known here", n.Text()), source.DidYouMean(n.Text(), f.Enum))
		return nil
	}
	return n.Text()
}

// Values are the facts that a workspace gives, and the defaults of the others.
// system is the system's file; a fact that is missing is reported there.
func (p *Profile) Values(system source.Node, given map[string]budget.Fact, ps *source.Problems) map[string]budget.Fact {
	values := map[string]budget.Fact{}
	names := slices.Sorted(maps.Keys(p.Facts))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		fact, ok := p.Facts[name]
		if !ok {
			ps.Add(system.Get("facts").Key(name), fmt.Sprintf("the profile %s has no fact %q", p.Name, name), source.DidYouMean(name, names))
			continue
		}
		if v := fact.Value(given[name].Node, ps); v != nil {
			values[name] = budget.Fact{Value: v, Node: given[name].Node}
		}
	}
	for _, name := range names {
		fact := p.Facts[name]
		switch _, ok := given[name]; {
		case ok:
		case !fact.Default.Exists():
			ps.Add(system.At("facts"), fmt.Sprintf("the profile %s needs the fact %q", p.Name, name), fact.Doc)
		default:
			var none source.Problems // reported when the profile was read
			values[name] = budget.Fact{Value: fact.Value(fact.Default, &none)}
		}
	}
	return values
}
