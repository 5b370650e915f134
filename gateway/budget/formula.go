package budget

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/headrace/headrace/specs/source"
)

// Formula is a number, or how to work it out: an expression in CEL
// (https://cel.dev) over facts and tables, in which all numbers are floating
// point and math.least, math.greatest, math.floor, math.ceil and math.round
// are known. Resolve makes numbers of formulas.
type Formula struct {
	// Value is the number; Text is empty then.
	Value float64
	Text  string
	Node  source.Node

	failed bool // reported when it was read
}

// Number is the formula that is a number.
func Number(n float64) *Formula { return &Formula{Value: n} }

// DecodeNode reads a number or a text.
func (f *Formula) DecodeNode(n source.Node, ps *source.Problems) {
	f.Node = n
	switch n.Kind() {
	case source.Int, source.Float:
		value, ok := n.Number()
		if !ok {
			ps.Add(n, n.Text()+" is not a finite number", "")
			f.failed = true
			return
		}
		f.Value = value
	case source.String:
		f.Text = n.Text()
		if strings.TrimSpace(f.Text) == "" {
			ps.Add(n, "the formula is empty", "for example 5, or base[tier] + 10 * extra")
			f.failed = true
		}
	default:
		ps.Add(n, "expected a number or a formula, found "+n.Kind().Named(), "for example 5, or base[tier] + 10 * extra")
		f.failed = true
	}
}

// JSONSchema describes the notation for editors.
func (Formula) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"number", "string"}, "examples": []any{5, "base[tier] + 10 * extra"}}
}

// Describe says what the reference calls it.
func (Formula) Describe() (typ string, nested any) { return "number or formula", nil }

// Bounds of formulas: characters, nesting, and the cost of one evaluation in
// CEL's own measure, in which an operation costs 1.
const (
	formulaLength = 1000
	formulaDepth  = 32
	formulaCost   = 1000
)

// calculator evaluates formulas over the same facts and tables.
type calculator struct {
	env    *cel.Env
	values map[string]any
	used   map[string]bool
	// failed tells that some formula was not understood.
	failed bool
}

func newCalculator(t Terms) (*calculator, error) {
	c := &calculator{values: map[string]any{}, used: map[string]bool{}}
	options := []cel.EnvOption{
		cel.ClearMacros(), // no loops
		ext.Math(),
		cel.ParserExpressionSizeLimit(formulaLength), cel.ParserRecursionLimit(formulaDepth),
	}
	for name, fact := range t.Facts {
		c.values[name] = fact.Value
		if _, text := fact.Value.(string); text {
			options = append(options, cel.Variable(name, cel.StringType))
		} else {
			options = append(options, cel.Variable(name, cel.DoubleType))
		}
	}
	for name, table := range t.Tables {
		c.values[name] = table
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DoubleType)))
	}
	var err error
	c.env, err = cel.NewEnv(options...)
	return c, err
}

// number evaluates a formula; what is wrong with it is reported at its node.
func (c *calculator) number(text string, at source.Node, ps *source.Problems) (value float64, ok bool) {
	fail := func(wrong, right string) (float64, bool) {
		ps.Add(at, wrong, right)
		c.failed = true
		return 0, false
	}
	parsed, issues := c.env.Parse(text)
	if err := issues.Err(); err != nil {
		return fail("is not a formula: "+firstIssue(issues), "")
	}
	if wrong, right := c.names(parsed); wrong != "" {
		return fail(wrong, right)
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		return fail("is not a formula: "+firstIssue(issues), "")
	}
	if checked.OutputType() != cel.DoubleType {
		return fail(fmt.Sprintf("the formula gives a %s", checked.OutputType()), "it must give a number")
	}
	program, err := c.env.Program(checked, cel.CostLimit(formulaCost))
	if err != nil {
		return fail("is not a formula: "+err.Error(), "")
	}
	result, _, err := program.Eval(c.values)
	if err != nil {
		return fail("the formula gives no number: "+err.Error(), "")
	}
	number, isNumber := result.Value().(float64)
	if !isNumber || !finite(number) {
		return fail(fmt.Sprintf("the formula gives no number but %v", result.Value()), "")
	}
	return number, true
}

// names makes all whole numbers of a formula floating point, as CEL never mixes
// the two, and finds names that stand for nothing.
func (c *calculator) names(parsed *cel.Ast) (wrong, right string) {
	factory := ast.NewExprFactory()
	ast.PostOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.LiteralKind:
			if n, ok := e.AsLiteral().(types.Int); ok {
				e.SetKindCase(factory.NewLiteral(e.ID(), types.Double(n)))
			}
		case ast.IdentKind:
			name := e.AsIdent()
			c.used[name] = true
			if _, known := c.values[name]; !known && name != "math" && wrong == "" {
				wrong, right = fmt.Sprintf("there is no fact or table %q", name), source.DidYouMean(name, slices.Collect(maps.Keys(c.values)))
			}
		}
	}))
	return wrong, right
}

// firstIssue is the first thing that is wrong with a formula, with its place.
func firstIssue(issues *cel.Issues) string {
	all := issues.Errors()
	if len(all) == 0 {
		return errors.Unwrap(issues.Err()).Error()
	}
	message := strings.Join(strings.Fields(all[0].Message), " ")
	return fmt.Sprintf("%s (line %d, column %d of the text)", message, all[0].Location.Line(), all[0].Location.Column()+1)
}
