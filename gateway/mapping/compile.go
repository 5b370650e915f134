package mapping

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// nowVariable carries the time of the request; the prelude makes now of it.
const nowVariable = "$__now"

// prelude is defined before every mapping.
const prelude = "def now: " + nowVariable + "; ."

// refused are the functions of jq that a mapping must not use, with what to
// write instead. They would make it depend on more than its input.
var refused = map[string]string{
	"env": "", "$ENV": "", "input": "", "inputs": "", "input_filename": "", "input_line_number": "",
	"debug": "", "stderr": "", "modulemeta": "", "builtins": "", "get_search_list": "",
	"halt":          "write error(\"why\")",
	"halt_error":    "write error(\"why\")",
	"localtime":     "write gmtime; the time zone is UTC everywhere",
	"strflocaltime": "write strftime; the time zone is UTC everywhere",
}

// SyntaxError is why a text is not a mapping. Line and Column count from 1, in characters.
type SyntaxError struct {
	Line, Column int
	// Wrong says what is wrong, Right what would be right (it may be empty).
	Wrong, Right string
}

func (e *SyntaxError) Error() string {
	text := fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Wrong)
	if e.Right != "" {
		text += "; " + e.Right
	}
	return text
}

// Compile compiles a jq program. name stands in errors at run time. more names
// further variables ($name); their values come from Input.More in the same
// order. The error is a *SyntaxError.
func Compile(name, text string, limits Limits, more ...string) (m *Mapping, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, &SyntaxError{Line: 1, Column: 1, Wrong: fmt.Sprintf("the compiler gave up: %v", p)}
		}
	}()
	limits.Time, limits.Output = cmp.Or(limits.Time, DefaultLimits.Time), cmp.Or(limits.Output, DefaultLimits.Output)
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, parseError(text, err)
	}
	if e := forbidden(text, query); e != nil {
		return nil, e
	}
	u := usesOf(text, query)
	definitions, err := gojq.Parse(prelude)
	if err != nil {
		return nil, err
	}
	query.FuncDefs = append(definitions.FuncDefs, query.FuncDefs...)
	m = &Mapping{Name: name, limits: limits, uses: u, programs: &programs{query: query, options: []gojq.CompilerOption{
		gojq.WithVariables(append(append([]string{}, variables...), more...)),
		gojq.WithFunction("todecimal", 0, 0, toDecimal),
	}}}
	code, err := m.programs.take()
	if err != nil {
		return nil, compileError(text, err, more)
	}
	m.programs.put(code)
	return m, nil
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)

// toDecimal turns a text into a number that keeps all its digits.
func toDecimal(v any, _ []any) any {
	text, ok := v.(string)
	if !ok {
		if gojq.TypeOf(v) == "number" {
			return v
		}
		return fmt.Errorf("todecimal cannot be applied to: %s", gojq.TypeOf(v))
	}
	if len(text) > maxDigits || !decimal.MatchString(text) {
		return fmt.Errorf("todecimal cannot be applied to: %s", gojq.Preview(v))
	}
	return json.Number(text)
}

func parseError(text string, err error) *SyntaxError {
	e := &SyntaxError{Line: 1, Column: 1, Wrong: err.Error()}
	if p, ok := errors.AsType[*gojq.ParseError](err); ok {
		offset := p.Offset
		if strings.HasSuffix(text[:min(offset, len(text))], p.Token) {
			offset -= len(p.Token)
		}
		e.at(text, offset)
	}
	return e
}

func (e *SyntaxError) at(text string, offset int) {
	before := text[:max(0, min(offset, len(text)))]
	e.Line = 1 + strings.Count(before, "\n")
	e.Column = 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

var undefined = regexp.MustCompile(`^(function|variable) not defined: (\$?[\w:]+)(?:/(\d+))?$`)

// compileError finds the place of what gojq names without a place.
func compileError(text string, err error, more []string) *SyntaxError {
	e := &SyntaxError{Line: 1, Column: 1, Wrong: err.Error()}
	m := undefined.FindStringSubmatch(err.Error())
	if m == nil {
		return e
	}
	e.at(text, locate(text, m[2]))
	if m[1] == "variable" {
		e.Wrong = fmt.Sprintf("there is no variable %s", m[2])
		e.Right = "the variables are " + strings.Join(append(variables[:len(variables)-1:len(variables)-1], more...), ", ")
		return e
	}
	e.Wrong = fmt.Sprintf("there is no function %s with %s arguments", m[2], m[3])
	return e
}

// forbidden finds what a mapping must not use.
func forbidden(text string, query *gojq.Query) *SyntaxError {
	if len(query.Imports) > 0 {
		word := "include"
		if query.Imports[0].ImportPath != "" {
			word = "import"
		}
		e := &SyntaxError{Wrong: "a mapping cannot use other modules"}
		e.at(text, locate(text, word))
		return e
	}
	var e *SyntaxError
	eachFunc(reflect.ValueOf(query), func(f *gojq.Func) {
		right, bad := refused[f.Name]
		if !bad || e != nil {
			return
		}
		e = &SyntaxError{Wrong: fmt.Sprintf("%s cannot be used in a mapping", f.Name), Right: right}
		e.at(text, locate(text, f.Name))
	})
	return e
}

// eachFunc visits the calls of functions and the uses of variables in a program.
func eachFunc(v reflect.Value, visit func(*gojq.Func)) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if f, ok := v.Interface().(*gojq.Func); ok {
			visit(f)
		}
		eachFunc(v.Elem(), visit)
	case reflect.Struct:
		for i := range v.NumField() {
			eachFunc(v.Field(i), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachFunc(v.Index(i), visit)
		}
	}
}

// locate gives the offset of the first use of a word outside comments; 0 when
// there is none.
func locate(text, word string) int {
	pattern := regexp.MustCompile(`(?:^|[^\w.$:@])(` + regexp.QuoteMeta(word) + `)(?:[^\w:]|$)`)
	for _, m := range pattern.FindAllStringSubmatchIndex(text, -1) {
		line := text[strings.LastIndexByte(text[:m[2]], '\n')+1 : m[2]]
		if !strings.Contains(line, "#") {
			return m[2]
		}
	}
	return 0
}
