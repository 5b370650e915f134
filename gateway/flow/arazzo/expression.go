package arazzo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Expression is a compiled runtime expression. It is immutable and safe for
// concurrent use.
type Expression struct {
	text string
	root root
	// part is where a value stands in a request or response: body, header, query or path.
	part string
	// id is a step or workflow, or a source description.
	id string
	// ofInputs tells that the inputs of a workflow are meant, and not its outputs.
	ofInputs bool
	// name is that of an input, an output, a parameter or a header; empty for all
	// inputs or outputs.
	name string
	// keys are the ways to read a name with dots: as a whole, or as a name and
	// the way into its value. The longest that exists is meant.
	keys []key
	// way leads into the value that was found.
	way []string
	// constant is what an expression over the document itself stands for.
	constant *Value
}

type key struct {
	name string
	way  []string
}

// root is what an expression begins with.
type root uint8

const (
	rootURL root = iota
	rootMethod
	rootStatus
	rootRequest
	rootResponse
	rootInputs
	rootOutputs
	rootStep
	rootWorkflow
	rootSource
	rootComponent
	rootSelf
)

// roots are the first words of expressions. Those that end with a dot are
// followed by a name.
var roots = []struct {
	text string
	root root
}{
	{"$url", rootURL}, {"$method", rootMethod}, {"$statusCode", rootStatus}, {"$self", rootSelf},
	{"$request.", rootRequest}, {"$response.", rootResponse}, {"$inputs", rootInputs}, {"$outputs", rootOutputs},
	{"$steps.", rootStep}, {"$workflows.", rootWorkflow}, {"$sourceDescriptions.", rootSource}, {"$components.", rootComponent},
}

var rootNames = []string{
	"$url", "$method", "$statusCode", "$self", "$request", "$response", "$inputs", "$outputs", "$steps", "$workflows", "$sourceDescriptions", "$components",
}

// maxExpression bounds the text of an expression or condition.
const maxExpression = 4096

// syntaxError is why a text is no expression or condition: what is wrong, and what would be right.
type syntaxError struct{ wrong, right string }

func (e *syntaxError) Error() string {
	if e.right == "" {
		return e.wrong
	}
	return e.wrong + "; " + e.right
}

func wrong(right, format string, args ...any) *syntaxError {
	return &syntaxError{wrong: fmt.Sprintf(format, args...), right: right}
}

// parseExpression parses a text that is an expression as a whole.
func parseExpression(text string) (*Expression, *syntaxError) {
	if len(text) > maxExpression {
		return nil, wrong("", "an expression has %d characters at most", maxExpression)
	}
	for _, r := range roots {
		rest, ok := strings.CutPrefix(text, r.text)
		if !ok {
			continue
		}
		e := &Expression{text: text, root: r.root}
		switch r.root {
		case rootURL, rootMethod, rootStatus, rootSelf:
			if rest != "" {
				break
			}
			return e, nil
		case rootRequest, rootResponse:
			return e, e.message(rest)
		case rootInputs, rootOutputs:
			if rest != "" && rest[0] != '.' && rest[0] != '[' && rest[0] != '#' {
				break
			}
			return e, e.value(rest)
		case rootStep:
			return e, e.step(rest)
		case rootWorkflow:
			return e, e.workflow(rest)
		case rootSource:
			return e, e.source(rest)
		case rootComponent:
			return e, e.component(rest)
		}
	}
	first := text
	if i := strings.IndexAny(text, ".#[ "); i >= 0 {
		first = text[:i]
	}
	if first == "$message" {
		return nil, wrong("flows call APIs that are described in OpenAPI", "messages of AsyncAPI are not supported")
	}
	return nil, wrong(source.DidYouMean(first, rootNames), "%q is not a runtime expression", text)
}

// message reads what follows $request. and $response.
func (e *Expression) message(rest string) *syntaxError {
	if body, ok := strings.CutPrefix(rest, "body"); ok && (body == "" || strings.IndexByte("#.[", body[0]) >= 0) {
		e.part = "body"
		return e.into(body)
	}
	part, name, _ := strings.Cut(rest, ".")
	known := []string{"body", "header", "query", "path"}
	if e.root == rootResponse {
		known = known[:2]
	}
	named := strings.TrimSuffix(e.text, rest)
	switch {
	case part == "headers", part != "header" && part != "query" && part != "path":
		return wrong(source.DidYouMean(part, known), "%q is not a runtime expression", e.text)
	case e.root == rootResponse && part != "header":
		return wrong("", "a response has a body and headers, and no %s", part)
	case name == "":
		return wrong("write "+named+part+".NAME", "%q is not a runtime expression", e.text)
	case part == "header":
		if strings.ContainsFunc(name, func(r rune) bool { return r > '~' || !tchar(byte(r)) }) {
			return wrong("", "%q is not the name of a header", name)
		}
		name = http.CanonicalHeaderKey(name)
	}
	e.part, e.name = part, name
	return nil
}

// tchar tells whether a character may stand in the name of a header (RFC 9110).
func tchar(c byte) bool { return letter(c) || strings.IndexByte("!#$%&'*+.^`|~", c) >= 0 }

// letter tells whether a character may stand in an identifier, dots aside.
func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// identifier tells whether a text is the name of a step, workflow or source.
func identifier(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r > 'z' || !letter(byte(r)) })
}

// value reads the name of an input or output, and the way into it: it begins
// with a dot, or is empty for all of them.
func (e *Expression) value(rest string) *syntaxError {
	if rest == "" || rest[0] != '.' {
		return e.into(rest)
	}
	rest = rest[1:]
	end := strings.IndexAny(rest, "#[")
	if end < 0 {
		end = len(rest)
	}
	name := rest[:end]
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r > 'z' || !letter(byte(r)) && r != '.' }) {
		return wrong("names are made of letters, digits, - _ and .", "%q is not a runtime expression", e.text)
	}
	e.name = name
	for i := len(name); i > 0; i = strings.LastIndexByte(name[:i], '.') {
		k := key{name: name[:i]}
		if i < len(name) {
			k.way = strings.Split(name[i+1:], ".")
		}
		e.keys = append(e.keys, k)
	}
	return e.into(rest[end:])
}

// into reads the way into a value: #/a/0/b, or .a[0].b.
func (e *Expression) into(rest string) *syntaxError {
	for rest != "" {
		switch rest[0] {
		case '#':
			return e.pointer(rest[1:])
		case '.':
			end := strings.IndexAny(rest[1:], ".[#") + 1
			if end == 0 {
				end = len(rest)
			}
			if !identifier(rest[1:end]) {
				return wrong("a place in a value is written #/NAME", "%q is not a runtime expression", e.text)
			}
			e.way = append(e.way, rest[1:end])
			rest = rest[end:]
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 || !index(rest[1:end]) {
				return wrong("an item of a list is written [0]", "%q is not a runtime expression", e.text)
			}
			e.way = append(e.way, rest[1:end])
			rest = rest[end+1:]
		default:
			return wrong("", "%q is not a runtime expression", e.text)
		}
	}
	return nil
}

// index tells whether a token is an index of a list (RFC 6901).
func index(token string) bool {
	if token == "" || len(token) > 9 || token[0] == '0' && token != "0" {
		return false
	}
	return !strings.ContainsFunc(token, func(r rune) bool { return r < '0' || r > '9' })
}

func (e *Expression) pointer(pointer string) *syntaxError {
	tokens, err := parsePointer(pointer)
	if err != nil {
		return err
	}
	e.way = append(e.way, tokens...)
	return nil
}

// parsePointer decodes a JSON pointer (RFC 6901).
func parsePointer(pointer string) ([]string, *syntaxError) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, wrong("write for example /lines/0/sku", "%q is not a JSON pointer", pointer)
	}
	var tokens []string
	for token := range strings.SplitSeq(pointer[1:], "/") {
		if strings.Count(token, "~") != strings.Count(token, "~0")+strings.Count(token, "~1") {
			return nil, wrong("in a JSON pointer ~ is written ~0, and / is written ~1", "%q is not a JSON pointer", pointer)
		}
		tokens = append(tokens, source.Unescape(token))
	}
	return tokens, nil
}

func (e *Expression) step(rest string) *syntaxError {
	id, after, _ := strings.Cut(rest, ".")
	outputs, ok := strings.CutPrefix(after, "outputs")
	if !identifier(id) || !ok || outputs != "" && strings.IndexByte(".#[", outputs[0]) < 0 {
		return wrong("write $steps.STEP.outputs.NAME", "%q is not a runtime expression", e.text)
	}
	e.id = id
	return e.value(outputs)
}

func (e *Expression) workflow(rest string) *syntaxError {
	id, after, _ := strings.Cut(rest, ".")
	value, ok := strings.CutPrefix(after, "outputs")
	if !ok {
		value, ok = strings.CutPrefix(after, "inputs")
		e.ofInputs = ok
	}
	if !identifier(id) || !ok || value != "" && strings.IndexByte(".#[", value[0]) < 0 {
		return wrong("write $workflows.WORKFLOW.outputs.NAME", "%q is not a runtime expression", e.text)
	}
	e.id = id
	return e.value(value)
}

func (e *Expression) source(rest string) *syntaxError {
	id, name, _ := strings.Cut(rest, ".")
	if !identifier(id) || name == "" {
		return wrong("write $sourceDescriptions.NAME.OPERATION", "%q is not a runtime expression", e.text)
	}
	e.id, e.name = id, name
	return nil
}

// componentKinds are the components that expressions can name.
var componentKinds = []string{"parameters", "successActions", "failureActions"}

func (e *Expression) component(rest string) *syntaxError {
	kind, name, _ := strings.Cut(rest, ".")
	if !contains(componentKinds, kind) || name == "" {
		return wrong("write $components.parameters.NAME", "%q is not a runtime expression", e.text)
	}
	e.part, e.name = kind, name
	return nil
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// String gives the expression as it was written.
func (e *Expression) String() string { return e.text }

// Eval gives the value; ok is false when it is absent. It is a part of what the scope
// knows, and must not be changed.
func (e *Expression) Eval(s Scope) (value any, ok bool) {
	switch e.root {
	case rootInputs:
		return e.named(s.Inputs(), true)
	case rootOutputs:
		return e.named(s.Outputs(), true)
	case rootStep:
		outputs, ok := s.Step(e.id)
		return e.named(outputs, ok)
	case rootWorkflow:
		inputs, outputs, ok := s.Flow(e.id)
		if e.ofInputs {
			outputs = inputs
		}
		return e.named(outputs, ok)
	case rootSource, rootComponent, rootSelf:
		if e.constant == nil {
			return nil, false
		}
		return e.constant.Eval(s)
	}
	x := s.Exchange()
	if x == nil {
		return nil, false
	}
	return e.exchanged(x)
}

// named finds an input or output by its name, and what stands inside it.
func (e *Expression) named(values map[string]any, ok bool) (any, bool) {
	if !ok || values == nil {
		return nil, false
	}
	if e.name == "" {
		return walk(values, e.way)
	}
	for _, k := range e.keys {
		if value, ok := values[k.name]; ok {
			if value, ok = walk(value, k.way); ok {
				return walk(value, e.way)
			}
			return nil, false
		}
	}
	return nil, false
}

// exchanged finds what stands in a call or its answer.
func (e *Expression) exchanged(x *Exchange) (any, bool) {
	switch e.root {
	case rootURL:
		return x.URL, x.URL != ""
	case rootMethod:
		return x.Method, x.Method != ""
	case rootStatus:
		return json.Number(strconv.Itoa(x.Status)), x.Status != 0
	}
	header, body := x.Header, x.Body
	if e.root == rootResponse {
		header, body = x.ResponseHeader, x.ResponseBody
	}
	switch e.part {
	case "header":
		values := header[e.name]
		return strings.Join(values, ", "), len(values) > 0
	case "query":
		values := x.Query[e.name]
		if len(values) == 0 {
			return nil, false
		}
		return values[0], true
	case "path":
		for _, p := range x.Path {
			if p.Name == e.name {
				return p.Value, true
			}
		}
		return nil, false
	}
	if body == nil {
		return nil, false
	}
	return walk(body, e.way)
}

// walk follows the tokens of a pointer.
func walk(value any, way []string) (any, bool) {
	for _, token := range way {
		switch v := value.(type) {
		case map[string]any:
			child, ok := v[token]
			if !ok {
				return nil, false
			}
			value = child
		case []any:
			if !index(token) {
				return nil, false
			}
			i, _ := strconv.Atoi(token)
			if i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}
