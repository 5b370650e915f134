package arazzo

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// condition is a compiled simple condition, or a part of one. An absent value is null.
type condition interface {
	value(s Scope) any
}

type (
	anyOf   []condition
	allOf   []condition
	not     struct{ condition }
	literal struct{ of any }
	known   struct{ *Expression }
	inside  struct { // .name or [0] behind parentheses
		of  condition
		way []string
	}
	comparison struct {
		operator    string
		left, right condition
	}
)

func (c anyOf) value(s Scope) any {
	for _, part := range c {
		if truth(part.value(s)) {
			return true
		}
	}
	return false
}

func (c allOf) value(s Scope) any {
	for _, part := range c {
		if !truth(part.value(s)) {
			return false
		}
	}
	return true
}

func (c not) value(s Scope) any { return !truth(c.condition.value(s)) }

func (c literal) value(Scope) any { return c.of }

func (c known) value(s Scope) any {
	value, _ := c.Eval(s)
	return value
}

func (c inside) value(s Scope) any {
	value, _ := walk(c.of.value(s), c.way)
	return value
}

func (c comparison) value(s Scope) any {
	return compare(c.operator, c.left.value(s), c.right.value(s))
}

// conditionNesting bounds parentheses and negations.
const conditionNesting = 64

// conditionParser parses simple conditions:
//
//	or         = and *( "||" and )
//	and        = comparison *( "&&" comparison )
//	comparison = unary [ ( "==" / "!=" / "<" / "<=" / ">" / ">=" ) unary ]
//	unary      = "!" unary / operand *( "." name / "[" index "]" )
//	operand    = "(" or ")" / "{" or "}" / literal / expression
//	literal    = "true" / "false" / "null" / number / "'" text "'"
//
// The specification lists the operators and has no grammar; what this one does
// not cover is refused. A negation on the left of a comparison is refused, too: languages
// differ in what it would mean.
type conditionParser struct {
	text        string
	at, depth   int
	expressions []*Expression
}

// parseCondition parses a simple condition, and lists the expressions in it.
func parseCondition(text string) (condition, []*Expression, *syntaxError) {
	if len(text) > maxExpression {
		return nil, nil, wrong("", "a condition has %d characters at most", maxExpression)
	}
	p := &conditionParser{text: text}
	c, err := p.or()
	if err != nil {
		return nil, nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, nil, p.unexpected("expected && or ||, or the end")
	}
	return c, p.expressions, nil
}

func (p *conditionParser) unexpected(right string) *syntaxError {
	if p.at >= len(p.text) {
		return wrong(right, "the condition ends too early")
	}
	_, size := utf8.DecodeRuneInString(p.text[p.at:])
	return wrong(right, "%q at character %d is not expected", p.text[p.at:p.at+size], utf8.RuneCountInString(p.text[:p.at])+1)
}

func (p *conditionParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *conditionParser) accept(token string) bool {
	p.space()
	if strings.HasPrefix(p.text[p.at:], token) {
		p.at += len(token)
		return true
	}
	return false
}

func (p *conditionParser) or() (condition, *syntaxError) {
	parts, err := p.chain("||", func() (condition, *syntaxError) {
		parts, err := p.chain("&&", p.comparison)
		if err != nil || len(parts) == 1 {
			return first(parts), err
		}
		return allOf(parts), nil
	})
	if err != nil || len(parts) == 1 {
		return first(parts), err
	}
	return anyOf(parts), nil
}

func first(parts []condition) condition {
	if len(parts) == 0 {
		return nil
	}
	return parts[0]
}

func (p *conditionParser) chain(operator string, part func() (condition, *syntaxError)) ([]condition, *syntaxError) {
	var parts []condition
	for {
		c, err := part()
		if err != nil {
			return nil, err
		}
		if parts = append(parts, c); !p.accept(operator) {
			return parts, nil
		}
	}
}

func (p *conditionParser) comparison() (condition, *syntaxError) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for _, operator := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if !p.accept(operator) {
			continue
		}
		if _, negated := left.(not); negated {
			return nil, wrong("put what it applies to into parentheses: !(a == b)", "it is not clear what ! applies to before %s", operator)
		}
		right, err := p.unary()
		return comparison{operator, left, right}, err
	}
	if p.space(); p.at < len(p.text) && p.text[p.at] == '=' {
		return nil, p.unexpected("two values are equal when they are ==")
	}
	return left, nil
}

func (p *conditionParser) unary() (condition, *syntaxError) {
	if p.depth++; p.depth > conditionNesting {
		return nil, wrong("", "the condition is nested too deeply")
	}
	defer func() { p.depth-- }()
	if p.accept("!") {
		c, err := p.unary()
		return not{c}, err
	}
	c, err := p.operand()
	if err != nil {
		return nil, err
	}
	way, err := p.way()
	if err != nil || way == nil {
		return c, err
	}
	return inside{c, way}, nil
}

// way reads what follows an operand without white space: .name or [0].
func (p *conditionParser) way() ([]string, *syntaxError) {
	var way []string
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case '.':
			end := p.at + 1
			for end < len(p.text) && letter(p.text[end]) {
				end++
			}
			if end == p.at+1 {
				return nil, p.unexpected("a property is written .NAME")
			}
			way = append(way, p.text[p.at+1:end])
			p.at = end
		case '[':
			length := strings.IndexByte(p.text[p.at:], ']')
			if length < 0 || !index(p.text[p.at+1:p.at+length]) {
				return nil, p.unexpected("an item of a list is written [0]")
			}
			way = append(way, p.text[p.at+1:p.at+length])
			p.at += length + 1
		default:
			return way, nil
		}
	}
	return way, nil
}

func (p *conditionParser) operand() (condition, *syntaxError) {
	for open, end := range map[string]string{"(": ")", "{": "}"} {
		if !p.accept(open) {
			continue
		}
		c, err := p.or()
		if err == nil && !p.accept(end) {
			err = p.unexpected("expected " + end)
		}
		return c, err
	}
	switch c := p.peek(); {
	case c == '$':
		return p.expression()
	case c == '\'':
		return p.quoted()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == '"':
		return nil, p.unexpected("texts stand in single quotes")
	}
	for word, value := range map[string]any{"true": true, "false": false, "null": nil} {
		if p.word() == word {
			p.at += len(word)
			return literal{value}, nil
		}
	}
	return nil, p.unexpected("expected an expression such as $statusCode, or a literal; texts stand in single quotes")
}

func (p *conditionParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// word is the identifier that follows.
func (p *conditionParser) word() string {
	end := p.at
	for end < len(p.text) && letter(p.text[end]) {
		end++
	}
	return p.text[p.at:end]
}

// ends are the characters that end an expression inside a condition, besides
// white space. What has one of them in its name is made an output of a step first.
const ends = "=!<>&|(){}',\""

func (p *conditionParser) expression() (condition, *syntaxError) {
	end := p.at + 1
	for end < len(p.text) && strings.IndexByte(ends+" \t\r\n", p.text[end]) < 0 {
		end++
	}
	e, err := parseExpression(p.text[p.at:end])
	if err != nil {
		return nil, err
	}
	p.at = end
	p.expressions = append(p.expressions, e)
	return known{e}, nil
}

// quoted reads a text in single quotes; a quote in it is doubled.
func (p *conditionParser) quoted() (condition, *syntaxError) {
	var b strings.Builder
	start := p.at
	for at := p.at + 1; at < len(p.text); at++ {
		if p.text[at] != '\'' {
			b.WriteByte(p.text[at])
			continue
		}
		if at+1 < len(p.text) && p.text[at+1] == '\'' {
			b.WriteByte('\'')
			at++
			continue
		}
		p.at = at + 1
		return literal{b.String()}, nil
	}
	return nil, wrong("close it with a single quote", "the text that begins at character %d does not end", utf8.RuneCountInString(p.text[:start])+1)
}

func (p *conditionParser) number() (condition, *syntaxError) {
	end := p.at
	for end < len(p.text) && (letter(p.text[end]) || strings.IndexByte("+.", p.text[end]) >= 0) {
		end++
	}
	text := p.text[p.at:end]
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != f || !json.Valid([]byte(text)) {
		return nil, wrong("", "%q is not a number", text)
	}
	p.at = end
	return literal{json.Number(text)}, nil
}
