package arazzo

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs/jsonpath"
)

// Value is a compiled value: a literal, an expression, a text with expressions in
// it, or a list or mapping of such. It is immutable and safe for concurrent use.
type Value struct {
	form       form
	literal    any
	expression *Expression
	pieces     []piece
	list       []Value
	fields     []field
	selector   *selector
}

// form is the sort of a value.
type form uint8

const (
	absentForm form = iota
	literalForm
	expressionForm
	textForm // a text with expressions in it
	listForm
	mapForm
	selectorForm
)

type piece struct {
	text       string
	expression *Expression // nil: the text itself
	escape     func(string) string
}

type field struct {
	name  string
	value Value
}

// selector is a Selector Object of Arazzo 1.1.
type selector struct {
	context *Expression
	way     []string // a JSON pointer, when path is nil
	path    *jsonpath.Path
}

// Eval gives the value; ok is false when it is absent. What is returned is a
// part of the document or of what the scope knows, and must not be changed.
func (v Value) Eval(s Scope) (value any, ok bool) {
	switch v.form {
	case literalForm:
		return v.literal, true
	case expressionForm:
		return v.expression.Eval(s)
	case textForm:
		return evalText(v.pieces, s)
	case listForm:
		list := make([]any, len(v.list))
		for i, item := range v.list {
			list[i], _ = item.Eval(s)
		}
		return list, true
	case mapForm:
		m := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			if value, ok := f.value.Eval(s); ok {
				m[f.name] = value
			}
		}
		return m, true
	case selectorForm:
		return v.selector.eval(s)
	}
	return nil, false
}

// Expressions are all expressions in the value.
func (v Value) Expressions() []*Expression {
	var list []*Expression
	v.each(func(e *Expression) { list = append(list, e) })
	return list
}

func (v Value) each(f func(*Expression)) {
	if v.expression != nil {
		f(v.expression)
	}
	for _, p := range v.pieces {
		if p.expression != nil {
			f(p.expression)
		}
	}
	for _, item := range v.list {
		item.each(f)
	}
	for _, field := range v.fields {
		field.value.each(f)
	}
	if v.selector != nil {
		f(v.selector.context)
	}
}

// evalText puts a text together; it is absent when one of its expressions is.
func evalText(pieces []piece, s Scope) (any, bool) {
	var b strings.Builder
	for _, p := range pieces {
		if p.expression == nil {
			b.WriteString(p.text)
			continue
		}
		value, ok := p.expression.Eval(s)
		if !ok {
			return nil, false
		}
		text, ok := Text(value)
		if !ok {
			return nil, false
		}
		if p.escape != nil {
			text = p.escape(text)
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// maxText bounds a structure that becomes a text.
const maxText = 1 << 20

// Text gives a value as a text, as parameters and texts with expressions in
// them take it: strings as they are, everything else as JSON. ok is false when the
// JSON would be longer than 1 MiB.
func Text(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case nil:
		return "null", true
	}
	data, err := mapping.AppendJSON(nil, value, maxText)
	return string(data), err == nil
}

// parseText splits a text at the expressions that are embedded in it, as in
// /orders/{$inputs.id}. A brace that no $ follows is a brace.
func parseText(text string, escape func(string) string) ([]piece, *syntaxError) {
	var pieces []piece
	for {
		i := strings.Index(text, "{$")
		if i < 0 {
			if text != "" {
				pieces = append(pieces, piece{text: text})
			}
			return pieces, nil
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return nil, wrong("close it with }", "the expression %q does not end", text[i:])
		}
		e, err := parseExpression(text[i+1 : i+end])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			pieces = append(pieces, piece{text: text[:i]})
		}
		pieces = append(pieces, piece{expression: e, escape: escape})
		text = text[i+end+1:]
	}
}

// selectVisits bounds what a JSONPath looks at.
const selectVisits = 1_000_000

func (x *selector) eval(s Scope) (any, bool) {
	value, ok := x.context.Eval(s)
	if !ok {
		return nil, false
	}
	if x.path == nil {
		return walk(value, x.way)
	}
	found, err := x.path.Select(toNode(value), selectVisits)
	if err != nil || len(found) == 0 {
		return nil, false
	}
	if len(found) == 1 {
		return fromNode(found[0].Node)
	}
	list := make([]any, len(found))
	for i, m := range found {
		list[i], _ = fromNode(m.Node)
	}
	return list, true
}

// formEscape keeps a value inside its field of a form.
func formEscape(text string) string { return url.QueryEscape(text) }
