package arazzo

import (
	"fmt"
	"regexp"

	"github.com/headrace/headrace/specs/jsonpath"
	"github.com/headrace/headrace/specs/source"
)

// Criterion is a compiled condition. It is immutable and safe for concurrent use.
type Criterion struct {
	// Text is the condition as it was written, Kind is simple, regex or jsonpath.
	Text, Kind string
	simple     condition
	// context is what a pattern or path looks at.
	context *Expression
	pattern *regexp.Regexp
	path    *jsonpath.Query
	// dynamic is the condition's text where it has expressions in it; it is
	// compiled when it is evaluated.
	dynamic []piece
	// expressions are all that the condition looks at.
	expressions []*Expression
	node        source.Node
}

// Holds tells whether the condition holds. The error says that it could not be
// decided: a pattern or path that was put together in the run is none, or
// looks at too much. A condition that cannot be decided does not hold.
func (c *Criterion) Holds(s Scope) (bool, error) {
	if c.Kind == "simple" {
		return truth(c.simple.value(s)), nil
	}
	value, ok := c.context.Eval(s)
	if !ok || value == nil {
		return false, nil
	}
	pattern, path := c.pattern, c.path
	if c.dynamic != nil {
		text, ok := evalText(c.dynamic, s)
		if !ok {
			return false, nil
		}
		made := &Criterion{Kind: c.Kind}
		if err := made.compile(text.(string)); err != nil {
			return false, fmt.Errorf("the condition %q cannot be decided: %s", c.Text, err.wrong)
		}
		pattern, path = made.pattern, made.path
	}
	if c.Kind == "regex" {
		text, ok := Text(value)
		return ok && pattern.MatchString(text), nil
	}
	holds, err := path.Holds(toNode(value), selectVisits)
	if err != nil {
		return false, fmt.Errorf("the condition %q cannot be decided: %w", c.Text, err)
	}
	return holds, nil
}

// maxPattern bounds a pattern or path, which may be put together in a run.
const maxPattern = 1024

// compile compiles a pattern or path.
func (c *Criterion) compile(text string) *syntaxError {
	if len(text) > maxPattern {
		return wrong("", "a pattern or path has %d characters at most", maxPattern)
	}
	if c.Kind == "regex" {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return wrong("patterns are those of RE2, which knows neither look-around nor back-references", "is not a regular expression: %v", err)
		}
		c.pattern = pattern
		return nil
	}
	path, err := jsonpath.ParseQuery(text)
	if err != nil {
		return wrong("write one of RFC 9535, for example $.lines[?@.quantity > 0]", "is not a JSONPath: %v", err)
	}
	c.path = path
	return nil
}

// Hold tells whether all criteria hold.
func Hold(criteria []*Criterion, s Scope) (bool, error) {
	for _, c := range criteria {
		if holds, err := c.Holds(s); err != nil || !holds {
			return false, err
		}
	}
	return true, nil
}
