package arazzo

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/headrace/headrace/specs/jsonpath"
	"github.com/headrace/headrace/specs/source"
)

// value compiles a value that stands at a node.
func (r *reader) value(n source.Node, p place) Value {
	return r.compile(n, valueOptions{at: n, place: p})
}

// valueOptions say how texts inside a value are read.
type valueOptions struct {
	// at is where problems are reported: the node itself when it is absent.
	at    source.Node
	place place
	// json tells that the value was a JSON text: what is nothing but an expression
	// in braces keeps the expression's type there, since quotes around it are JSON's.
	json bool
	// escape is applied to what is put into a text.
	escape func(string) string
}

func (r *reader) compile(n source.Node, o valueOptions) Value {
	if !o.json {
		o.at = n
	}
	switch n.Kind() {
	case source.String:
		return r.compileText(n.Text(), o)
	case source.List:
		v := Value{form: listForm}
		for _, item := range n.Items() {
			v.list = append(v.list, r.compile(item, o))
		}
		return v.folded(n)
	case source.Map:
		if r.selectors && n.Get("context").Exists() && n.Get("selector").Exists() && n.Get("type").Exists() && len(n.Fields()) == 3 {
			return r.compileSelector(n, o)
		}
		v := Value{form: mapForm}
		for _, f := range n.Fields() {
			v.fields = append(v.fields, field{f.Name, r.compile(f.Value, o)})
		}
		return v.folded(n)
	}
	return Value{form: literalForm}.folded(n)
}

// folded makes a literal of what has no expression in it.
func (v Value) folded(n source.Node) Value {
	if len(v.Expressions()) > 0 {
		return v
	}
	value, ok := literalOf(n)
	if !ok {
		return Value{}
	}
	return Value{form: literalForm, literal: value}
}

// compileText compiles a text: an expression, a text with expressions in it, or itself.
func (r *reader) compileText(text string, o valueOptions) Value {
	if len(text) > 1 && text[0] == '$' && (text[1] >= 'a' && text[1] <= 'z') {
		return r.compileExpression(text, o)
	}
	if o.json && strings.HasPrefix(text, "{$") && strings.IndexByte(text, '}') == len(text)-1 {
		return r.compileExpression(text[1:len(text)-1], o)
	}
	if !strings.Contains(text, "{$") {
		return Value{form: literalForm, literal: text}
	}
	pieces, err := parseText(text, o.escape)
	if err != nil {
		r.syntax(o.at, err)
		return Value{}
	}
	for _, p := range pieces {
		if p.expression != nil {
			r.add(p.expression, o.at, o.place)
		}
	}
	return Value{form: textForm, pieces: pieces}
}

func (r *reader) compileExpression(text string, o valueOptions) Value {
	e, err := parseExpression(text)
	if err != nil {
		r.syntax(o.at, err)
		return Value{}
	}
	r.add(e, o.at, o.place)
	return Value{form: expressionForm, expression: e}
}

// expression compiles a text that must be an expression.
func (r *reader) expression(n source.Node, p place) *Expression {
	if !r.expected(n, source.String) {
		return nil
	}
	e, err := parseExpression(n.Text())
	if err != nil {
		r.syntax(n, err)
		return nil
	}
	r.add(e, n, p)
	return e
}

// compileSelector compiles a Selector Object.
func (r *reader) compileSelector(n source.Node, o valueOptions) Value {
	context := r.expression(n.Get("context"), o.place)
	s := &selector{context: context}
	kind := r.selectorType(n.Get("type"))
	if context == nil || kind == "" || !r.expected(n.Get("selector"), source.String) {
		return Value{}
	}
	text := n.Get("selector").Text()
	if kind == "jsonpointer" {
		way, err := parsePointer(text)
		if err != nil {
			r.syntax(n.Get("selector"), err)
			return Value{}
		}
		s.way = way
		return Value{form: selectorForm, selector: s}
	}
	path, err := jsonpath.Parse(text)
	if err != nil {
		r.ps.Add(n.Get("selector"), fmt.Sprintf("is not a JSONPath: %v", err), "write one of RFC 9535")
		return Value{}
	}
	s.path = path
	return Value{form: selectorForm, selector: s}
}

// selectorVersions are the versions of selectors that are read as their default.
var selectorVersions = map[string][]string{
	"jsonpath":    {"rfc9535", "draft-goessner-dispatch-jsonpath-00"},
	"jsonpointer": {"rfc6901"},
}

// selectorType reads a type or an Expression Type Object; empty after a problem.
func (r *reader) selectorType(n source.Node) string {
	word := n
	if n.Kind() == source.Map {
		r.keys(n, "type", "version")
		if word = n.Get("type"); !word.Exists() {
			r.missing(n, "type")
			return ""
		}
	}
	if !r.expected(word, source.String) {
		return ""
	}
	kind := word.Text()
	versions := selectorVersions[kind]
	switch {
	case kind == "xpath":
		r.ps.Add(word, "XPath is not supported", "bodies are JSON here: use jsonpath")
		return ""
	case versions == nil:
		r.ps.Add(word, fmt.Sprintf("%q is not known here", kind), source.DidYouMean(kind, []string{"jsonpath", "jsonpointer"}))
		return ""
	case n.Kind() != source.Map:
		return kind
	case !n.Get("version").Exists():
		r.missing(n, "version")
		return ""
	case !contains(versions, n.Get("version").Text()):
		r.ps.Add(n.Get("version"), fmt.Sprintf("%q is not known here", n.Get("version").Text()), source.DidYouMean(n.Get("version").Text(), versions))
		return ""
	}
	return kind
}

// body reads a Request Body Object.
func (r *reader) body(n source.Node, p place) *RequestBody {
	if !r.expected(n, source.Map) {
		return nil
	}
	r.keys(n, "contentType", "payload", "replacements")
	b := &RequestBody{ContentType: r.text(n, "contentType", false), Node: n}
	b.Payload = r.payload(b, n.Get("payload"), p)
	for _, item := range r.list(n, "replacements", false) {
		r.replacement(b, item, p)
	}
	if !n.Get("payload").Exists() && len(b.Replacements) == 0 {
		r.missing(n, "payload")
	}
	return b
}

// payload compiles a payload. A text that stands for JSON is read as JSON
// first: what is put into it can neither break nor add anything then.
func (r *reader) payload(b *RequestBody, n source.Node, p place) Value {
	if !n.Exists() {
		return Value{}
	}
	o := valueOptions{place: p}
	text := strings.TrimSpace(n.Text())
	structured := strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "{$") || strings.HasPrefix(text, "[")
	switch {
	case n.Kind() != source.String:
		return r.compile(n, o)
	case structured && (b.ContentType == "" || b.json()):
		var ignored any
		if err := json.Unmarshal([]byte(text), &ignored); err != nil {
			r.ps.Add(n, "the payload is not JSON: "+err.Error(), "expressions in it stand in quotes and braces: \"{$inputs.id}\"")
			return Value{}
		}
		parsed := source.Parse(n.File(), []byte(text), limits, r.ps)
		o.json, o.at = true, n
		return r.compile(parsed, o)
	case b.form():
		o.escape = formEscape
	}
	o.at = n
	return r.compileText(n.Text(), o)
}

// replacement reads a Payload Replacement Object.
func (r *reader) replacement(b *RequestBody, n source.Node, p place) {
	if !r.expected(n, source.Map) {
		return
	}
	r.keys(n, "target", "targetSelectorType", "value")
	x := Replacement{Node: n}
	kind := "jsonpointer"
	if t := n.Get("targetSelectorType"); t.Exists() {
		if kind = r.selectorType(t); kind == "" {
			return
		}
	}
	text := r.text(n, "target", false)
	switch {
	case !n.Get("target").Exists():
		r.missing(n, "target")
		return
	case kind == "jsonpath":
		path, err := jsonpath.Parse(text)
		if err != nil {
			r.ps.Add(n.Get("target"), fmt.Sprintf("is not a JSONPath: %v", err), "write one of RFC 9535")
			return
		}
		x.path = path
	default:
		way, err := parsePointer(text)
		if err != nil {
			r.syntax(n.Get("target"), err)
			return
		}
		x.Target = way
	}
	if !n.Get("value").Exists() {
		r.missing(n, "value")
		return
	}
	x.Value = r.value(n.Get("value"), p)
	b.Replacements = append(b.Replacements, x)
}

// criteria reads a list of Criterion Objects.
func (r *reader) criteria(n source.Node, key string, p place) []*Criterion {
	if list := n.Get(key); list.Kind() == source.List && len(list.Items()) == 0 {
		r.ps.Add(list, key+" is empty", "at least one is needed")
	}
	var criteria []*Criterion
	for _, item := range r.list(n, key, false) {
		if c := r.criterion(item, p); c != nil {
			criteria = append(criteria, c)
		}
	}
	return criteria
}

func (r *reader) criterion(n source.Node, p place) *Criterion {
	r.deciding = true
	defer func() { r.deciding = false }()
	if !r.expected(n, source.Map) {
		return nil
	}
	r.keys(n, "context", "condition", "type")
	text := r.text(n, "condition", true)
	if text == "" {
		return nil
	}
	c := &Criterion{Text: text, Kind: r.criterionKind(n.Get("type")), node: n}
	switch {
	case c.Kind == "":
		return nil
	case c.Kind == "simple":
		parsed, expressions, err := parseCondition(text)
		if err != nil {
			r.ps.Add(n.Get("condition"), "the condition cannot be read: "+err.wrong, err.right)
			return nil
		}
		c.simple, c.expressions = parsed, expressions
	case !n.Get("context").Exists():
		r.ps.Add(n, fmt.Sprintf("a condition of type %s needs context", c.Kind), "say what it looks at, for example context: $response.body")
		return nil
	default:
		if !r.patterned(c, n, text) {
			return nil
		}
	}
	if n.Get("context").Exists() {
		c.context = r.expression(n.Get("context"), p)
		if c.context == nil {
			return nil
		}
	}
	for _, e := range c.expressions {
		r.add(e, n.Get("condition"), p)
	}
	return c
}

// patterned compiles a pattern or path, now or when it is evaluated.
func (r *reader) patterned(c *Criterion, n source.Node, text string) bool {
	at := n.Get("condition")
	if strings.Contains(text, "{$") {
		pieces, err := parseText(text, nil)
		if err != nil {
			r.syntax(at, err)
			return false
		}
		c.dynamic = pieces
		for _, p := range pieces {
			if p.expression != nil {
				c.expressions = append(c.expressions, p.expression)
			}
		}
		return true
	}
	if err := c.compile(text); err != nil {
		r.syntax(at, err)
		return false
	}
	return true
}

func (r *reader) criterionKind(n source.Node) string {
	switch {
	case !n.Exists():
		return "simple"
	case n.Kind() == source.Map:
		if kind := r.selectorType(n); kind != "jsonpointer" {
			return kind
		}
	case !r.expected(n, source.String):
		return ""
	case n.Text() == "simple", n.Text() == "regex", n.Text() == "jsonpath":
		return n.Text()
	case n.Text() == "xpath":
		r.ps.Add(n, "XPath is not supported", "bodies are JSON here: use jsonpath")
		return ""
	}
	r.ps.Add(n, "is not a type of conditions", "simple, regex and jsonpath are")
	return ""
}

// outputs reads a map of names to expressions.
func (r *reader) outputs(n source.Node, key string, p place) []Output {
	var outputs []Output
	for _, f := range r.mapping(n, key, false).Fields() {
		o := Output{Name: f.Name, Node: f.Value}
		switch {
		case !componentName.MatchString(f.Name):
			r.ps.Add(f.Key, fmt.Sprintf("%q is not a name for an output", f.Name), "use letters, digits, . - and _")
			continue
		case f.Value.Kind() == source.Map && r.selectors:
			if o.Value = r.value(f.Value, p); o.Value.form != selectorForm && o.Value.form != absentForm {
				r.ps.Add(f.Value, "is not a selector", "write context, selector and type")
			}
		default:
			if e := r.expression(f.Value, p); e != nil {
				o.Value = Value{form: expressionForm, expression: e}
			}
		}
		outputs = append(outputs, o)
	}
	return outputs
}
