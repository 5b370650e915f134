package specs

import (
	"fmt"
	"strings"

	"github.com/headrace/headrace/specs/source"
)

// Expression is a runtime expression over a request, in the words of OpenAPI:
// $request.body#/orderId, $request.path.id, $request.query.revision,
// $request.header.X-Revision.
type Expression struct {
	// In is where the value stands: body, path, query or header.
	In string
	// Name is the parameter's; empty in a body.
	Name string
	// Pointer leads to the value in a body, as the decoded tokens of a JSON
	// pointer; empty for the body as a whole.
	Pointer []string
}

// ParseExpression parses the notation above.
func ParseExpression(text string) (Expression, error) {
	rest, ok := strings.CutPrefix(text, "$request.")
	if !ok {
		return Expression{}, fmt.Errorf("write $request.body#/NAME, $request.path.NAME, $request.query.NAME or $request.header.NAME")
	}
	if pointer, ok := strings.CutPrefix(rest, "body"); ok {
		return parseBody(pointer)
	}
	in, name, _ := strings.Cut(rest, ".")
	switch {
	case in != "path" && in != "query" && in != "header":
		return Expression{}, fmt.Errorf("a request has a body, a path, a query and headers: %s", source.DidYouMean(in, []string{"body", "path", "query", "header"}))
	case name == "":
		return Expression{}, fmt.Errorf("write $request.%s.NAME", in)
	case in == "header" && !token(name):
		return Expression{}, fmt.Errorf("%q is not the name of a header", name)
	}
	return Expression{In: in, Name: name}, nil
}

func parseBody(pointer string) (Expression, error) {
	e := Expression{In: "body"}
	if pointer == "" || pointer == "#" {
		return e, nil
	}
	tokens, ok := strings.CutPrefix(pointer, "#/")
	if !ok {
		return e, fmt.Errorf("a place in a body is written $request.body#/NAME")
	}
	for t := range strings.SplitSeq(tokens, "/") {
		if i := strings.IndexByte(t, '~'); i >= 0 && strings.Count(t, "~") != strings.Count(t, "~0")+strings.Count(t, "~1") {
			return e, fmt.Errorf("in a JSON pointer ~ is written ~0, and / is written ~1")
		}
		e.Pointer = append(e.Pointer, source.Unescape(t))
	}
	return e, nil
}

// token tells whether a name is one that RFC 9110 allows for a header.
func token(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

func (e Expression) String() string {
	if e.In != "body" {
		return "$request." + e.In + "." + e.Name
	}
	if len(e.Pointer) == 0 {
		return "$request.body"
	}
	return "$request.body#" + e.JSONPointer()
}

// JSONPointer is Pointer as RFC 6901 writes it; empty for the body as a whole.
func (e Expression) JSONPointer() string {
	var b strings.Builder
	for _, t := range e.Pointer {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(t))
	}
	return b.String()
}
