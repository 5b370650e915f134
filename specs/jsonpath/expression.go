package jsonpath

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (p *parser) or() (condition, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	cs, err := p.chain("||", p.and)
	if err != nil || len(cs) == 1 {
		return cs[0], err
	}
	return anyOf(cs), nil
}

func (p *parser) and() (condition, error) {
	cs, err := p.chain("&&", p.basic)
	if err != nil || len(cs) == 1 {
		return cs[0], err
	}
	return allOf(cs), nil
}

// chain reads terms with an operator between them; there is at least one entry
// in the result, also next to an error.
func (p *parser) chain(operator string, term func() (condition, error)) ([]condition, error) {
	var cs []condition
	for {
		c, err := term()
		cs = append(cs, c)
		if err != nil {
			return cs, err
		}
		before := p.at
		p.space()
		if !p.accept(operator) {
			p.at = before
			return cs, nil
		}
		p.space()
	}
}

func (p *parser) basic() (condition, error) {
	negated := p.accept("!")
	if negated {
		p.space()
	}
	c, err := p.term(negated)
	if negated && err == nil {
		c = negate{c}
	}
	return c, err
}

func (p *parser) term(negated bool) (condition, error) {
	if p.accept("(") {
		p.space()
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.accept(")") {
			return nil, p.wrong("expected )")
		}
		return c, nil
	}
	start := p.at
	left, err := p.part()
	if err != nil {
		return nil, err
	}
	before := p.at
	p.space()
	operator := p.operator()
	if operator == "" {
		p.at = before
		return p.test(left, start)
	}
	if negated {
		return nil, p.wrong("a comparison is negated in parentheses: !(…)")
	}
	p.space()
	return p.comparison(operator, left, start)
}

func (p *parser) operator() string {
	for _, o := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.accept(o) {
			return o
		}
	}
	return ""
}

// test makes a condition of something that stands alone.
func (p *parser) test(x any, start int) (condition, error) {
	switch x := x.(type) {
	case query:
		return exists{x}, nil
	case condition:
		return x, nil
	}
	p.at = start
	return nil, p.wrong("expected a comparison; a value alone is neither true nor false")
}

func (p *parser) comparison(operator string, x any, start int) (condition, error) {
	left, err := p.comparable(x, start)
	if err != nil {
		return nil, err
	}
	start = p.at
	x, err = p.part()
	if err != nil {
		return nil, err
	}
	right, err := p.comparable(x, start)
	return compare{operator: operator, left: left, right: right}, err
}

// comparable refuses what has no single value.
func (p *parser) comparable(x any, start int) (operand, error) {
	o, ok := x.(operand)
	if q, isQuery := x.(query); isQuery && !singular(q.segments) {
		p.at = start
		return nil, p.wrong("this query can select several nodes and cannot be compared")
	}
	if !ok {
		p.at = start
		return nil, p.wrong("this function is true or false by itself and cannot be compared")
	}
	return o, nil
}

// part reads a literal, a query or a function call: an operand or a condition.
func (p *parser) part() (any, error) {
	switch c := p.peek(); {
	case c == '@' || c == '$':
		p.at++
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		segments, err := p.segments()
		return query{relative: c == '@', segments: segments}, err
	case c == '\'' || c == '"':
		s, err := p.quoted()
		return literal{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}}, err
	case c == '-' || digit(c):
		return p.number()
	}
	start := p.at
	for c := p.peek(); c >= 'a' && c <= 'z' || p.at > start && (digit(c) || c == '_'); c = p.peek() {
		p.at++
	}
	word := p.text[start:p.at]
	switch word {
	case "true", "false":
		return literal{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: word}}, nil
	case "null":
		return literal{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: word}}, nil
	case "":
		return nil, p.wrong("expected @, $, a literal or a function")
	}
	return p.call(word, start)
}

var numberPattern = regexp.MustCompile(`^(?:-0|-?(?:0|[1-9][0-9]*))(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?`)

func (p *parser) number() (any, error) {
	text := numberPattern.FindString(p.text[p.at:])
	if text == "" || digit(p.after(text)) {
		return nil, p.wrong("expected a number")
	}
	p.at += len(text)
	tag := "!!int"
	if strings.ContainsAny(text, ".eE") || text == "-0" {
		tag = "!!float"
	}
	return literal{&yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}}, nil
}

func (p *parser) after(text string) byte {
	if i := p.at + len(text); i < len(p.text) {
		return p.text[i]
	}
	return 0
}

// call reads the arguments of a function and checks their types (section 2.4
// of RFC 9535).
func (p *parser) call(name string, start int) (any, error) {
	arity := map[string]int{"length": 1, "count": 1, "value": 1, "match": 2, "search": 2}[name]
	if arity == 0 {
		p.at = start
		return nil, p.wrong("the functions are length, count, value, match and search")
	}
	if !p.accept("(") {
		return nil, p.wrong("expected (")
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	args, starts, err := p.arguments()
	if err != nil {
		return nil, err
	}
	if len(args) != arity {
		p.at = start
		return nil, p.wrong(name + " takes " + map[int]string{1: "one argument", 2: "two arguments"}[arity])
	}
	if name == "count" || name == "value" {
		q, ok := args[0].(query)
		switch {
		case !ok:
			p.at = starts[0]
			return nil, p.wrong(name + " takes a query")
		case name == "count":
			return count{q}, nil
		}
		return only{q}, nil
	}
	operands := make([]operand, arity)
	for i, x := range args {
		end := p.at
		if operands[i], err = p.comparable(x, starts[i]); err != nil {
			return nil, err
		}
		p.at = end
	}
	if name == "length" {
		return length{operands[0]}, nil
	}
	return pattern{whole: name == "match", text: operands[0], regex: operands[1]}, nil
}

func (p *parser) arguments() (args []any, starts []int, err error) {
	p.space()
	if p.accept(")") {
		return nil, nil, nil
	}
	for {
		starts = append(starts, p.at)
		x, err := p.part()
		if err != nil {
			return nil, nil, err
		}
		args = append(args, x)
		p.space()
		if p.accept(")") {
			return args, starts, nil
		}
		if !p.accept(",") {
			return nil, nil, p.wrong("expected , or )")
		}
		p.space()
	}
}
