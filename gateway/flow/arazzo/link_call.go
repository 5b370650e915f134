package arazzo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/source"
)

// handed compares what a step hands over with what is asked for.
func (k *linking) handed(s *Step) {
	for _, a := range slices.Concat(s.OnSuccess, s.OnFailure) {
		if a.Flow != nil {
			k.inputsOf(a.Flow, s.Workflow, a.Parameters, len(a.Parameters) == 0, a.Node)
		}
	}
	switch {
	case s.Flow != nil:
		k.inputsOf(s.Flow, s.Workflow, s.Parameters, false, s.Node)
	case s.Call != nil && s.Call.Operation != nil:
		k.parametersOf(s, s.Call.Operation)
		k.bodyOf(s, s.Call.Operation)
	}
}

// inputsOf compares parameters with the inputs of a workflow. same tells that
// it gets the inputs of the workflow that calls it, by their names.
func (k *linking) inputsOf(w, caller *Workflow, given []Parameter, same bool, at source.Node) {
	names := inputNames(w)
	for _, p := range given {
		if !contains(names, p.Name) && (w.inputsNode.Get("properties").Exists() || !w.inputsNode.Exists()) {
			k.ps.Add(p.Node.At("name"), fmt.Sprintf("the workflow %s has no input %q", w.ID, p.Name), source.DidYouMean(p.Name, names))
		}
	}
	for _, in := range w.Inputs {
		there := slices.ContainsFunc(given, func(p Parameter) bool { return p.Name == in.Name }) || same && contains(inputNames(caller), in.Name)
		if in.Required && !in.Default.Exists() && !there {
			k.ps.Add(at, fmt.Sprintf("the workflow %s needs the input %q", w.ID, in.Name), "give it as a parameter")
		}
	}
}

func inputNames(w *Workflow) []string {
	var names []string
	for _, in := range w.Inputs {
		names = append(names, in.Name)
	}
	return names
}

func (k *linking) parametersOf(s *Step, o *specs.Operation) {
	var names []string
	for _, d := range o.Parameters() {
		names = append(names, d.Name)
		given := func(p Parameter) bool {
			return p.In == d.In && (p.Name == d.Name || p.In == "header" && strings.EqualFold(p.Name, d.Name))
		}
		if d.Required && !slices.ContainsFunc(s.Parameters, given) {
			k.ps.Add(s.Node, fmt.Sprintf("%s needs the %s parameter %q", o.ID, d.In, d.Name), "give it a value")
		}
	}
	for _, p := range s.Parameters {
		if p.In == "" || declared(o, p) != nil {
			continue
		}
		right := source.DidYouMean(p.Name, names)
		if i := slices.IndexFunc(o.Parameters(), func(d specs.Parameter) bool { return d.Name == p.Name }); i >= 0 {
			right = "write in: " + o.Parameters()[i].In
		}
		k.ps.Add(p.Node.At("name"), fmt.Sprintf("%s has no %s parameter %q", o.ID, p.In, p.Name), right)
	}
}

// bodyOf settles the content type of a body.
func (k *linking) bodyOf(s *Step, o *specs.Operation) {
	contents, required, taken := o.Body()
	switch {
	case s.Body == nil && required:
		k.ps.Add(s.Node, fmt.Sprintf("%s needs a body", o.ID), "write requestBody with a payload")
	case s.Body == nil:
	case !taken:
		k.ps.Add(s.Body.Node, fmt.Sprintf("%s takes no body", o.ID), "remove requestBody")
	case s.Body.ContentType != "":
		if len(contents) > 0 && s.Body.content(o) == nil {
			var types []string
			for _, c := range contents {
				types = append(types, c.Type)
			}
			k.ps.Add(s.Body.Node.At("contentType"), fmt.Sprintf("%s does not take %s", o.ID, s.Body.ContentType), source.DidYouMean(s.Body.ContentType, types))
		}
	default:
		s.Body.ContentType = defaultType(contents)
	}
}

// defaultType is JSON where it is taken, or else the first type.
func defaultType(contents []specs.Content) string {
	for _, c := range contents {
		if c.JSON && !strings.Contains(c.Type, "*") {
			return c.Type
		}
	}
	if len(contents) > 0 && !strings.Contains(contents[0].Type, "*") {
		return contents[0].Type
	}
	return "application/json"
}

// content is what the operation says of the body's content type; nil when it
// does not take it.
func (b *RequestBody) content(o *specs.Operation) *specs.Content {
	typ, _, _ := strings.Cut(strings.ToLower(b.ContentType), ";")
	typ = strings.TrimSpace(typ)
	contents, _, _ := o.Body()
	for _, c := range contents {
		major, minor, _ := strings.Cut(c.Type, "/")
		if c.Type == typ || minor == "*" && (major == "*" || strings.HasPrefix(typ, major+"/")) || strings.HasPrefix(minor, "*+") && strings.HasPrefix(typ, major+"/") && strings.HasSuffix(typ, minor[1:]) {
			return &c
		}
	}
	return nil
}
