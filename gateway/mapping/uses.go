package mapping

import (
	"regexp"
	"strings"

	"github.com/itchyny/gojq"
)

// uses is what a mapping looks at.
type uses struct {
	// input is ., request is $request at all, body is $request.body, and session is $session.
	input, request, body, session bool
}

var requestPart = regexp.MustCompile(`\$request\b(\.(?:method|path|query|headers)\b)?`)

// usesOf errs on the safe side: what is not sure to be unused counts as used.
func usesOf(text string, query *gojq.Query) uses {
	u := uses{input: usesInput(query), session: strings.Contains(text, "$session")}
	for _, m := range requestPart.FindAllStringSubmatch(text, -1) {
		u.request = true
		if m[1] == "" {
			u.body = true
		}
	}
	return u
}

// usesInput tells whether a query may look at its own input.
func usesInput(q *gojq.Query) bool {
	switch {
	case q == nil:
		return false
	case q.Term != nil:
		return termUsesInput(q.Term)
	case q.Op == gojq.OpPipe && len(q.Patterns) == 0:
		// The right side is fed by the left one.
		return usesInput(q.Left)
	}
	return usesInput(q.Left) || usesInput(q.Right)
}

func termUsesInput(t *gojq.Term) bool {
	for _, s := range t.SuffixList {
		if s.Index != nil && (usesInput(s.Index.Start) || usesInput(s.Index.End) || stringUsesInput(s.Index.Str)) {
			return true
		}
	}
	switch t.Type {
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber:
		return false
	case gojq.TermTypeString:
		return stringUsesInput(t.Str)
	case gojq.TermTypeFormat:
		return t.Str == nil || stringUsesInput(t.Str)
	case gojq.TermTypeFunc:
		return !strings.HasPrefix(t.Func.Name, "$") && t.Func.Name != "now" && t.Func.Name != "empty"
	case gojq.TermTypeQuery:
		return usesInput(t.Query)
	case gojq.TermTypeArray:
		return usesInput(t.Array.Query)
	case gojq.TermTypeUnary:
		return termUsesInput(t.Unary.Term)
	case gojq.TermTypeObject:
		return objectUsesInput(t.Object)
	case gojq.TermTypeIf:
		return ifUsesInput(t.If)
	}
	return true
}

func stringUsesInput(s *gojq.String) bool {
	if s == nil {
		return false
	}
	for _, q := range s.Queries {
		if usesInput(q) {
			return true
		}
	}
	return false
}

func objectUsesInput(o *gojq.Object) bool {
	for _, kv := range o.KeyVals {
		short := kv.Val == nil && !strings.HasPrefix(kv.Key, "$") // {name} stands for {name: .name}
		if short || usesInput(kv.KeyQuery) || usesInput(kv.Val) || stringUsesInput(kv.KeyString) {
			return true
		}
	}
	return false
}

func ifUsesInput(i *gojq.If) bool {
	for _, e := range i.Elif {
		if usesInput(e.Cond) || usesInput(e.Then) {
			return true
		}
	}
	// Without else, the input itself comes out.
	return usesInput(i.Cond) || usesInput(i.Then) || i.Else == nil || usesInput(i.Else)
}
