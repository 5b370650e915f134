package system

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// Values gives what stands in the request at an expression, as text: nothing
// where it is absent or null, one value for a scalar, all for a list of
// scalars. A body that is not JSON, or an object at the place, is a refusal.
func (r *Request) Values(e specs.Expression) ([]string, error) {
	switch e.In {
	case "path":
		for _, p := range r.Params {
			if p.Name == e.Name {
				return []string{p.Value}, nil
			}
		}
		return nil, nil
	case "header":
		return r.Header.Values(e.Name), nil
	case "query":
		values, err := url.ParseQuery(r.Query)
		if err != nil {
			return nil, &gateway.Error{Problem: gateway.BadRequest, Detail: "the query string cannot be read"}
		}
		return values[e.Name], nil
	}
	if err := r.parse(); err != nil {
		return nil, err
	}
	at := r.value
	for _, token := range e.Pointer {
		at = below(at, token)
	}
	if list, ok := at.([]any); ok {
		var all []string
		for _, item := range list {
			text, ok := scalar(item)
			if !ok {
				return nil, notScalar(e)
			}
			if item != nil {
				all = append(all, text)
			}
		}
		return all, nil
	}
	text, ok := scalar(at)
	switch {
	case !ok:
		return nil, notScalar(e)
	case at == nil:
		return nil, nil
	}
	return []string{text}, nil
}

func notScalar(e specs.Expression) error {
	return &gateway.Error{Problem: gateway.InvalidBody, Violations: []specs.Violation{{In: "body", Pointer: e.JSONPointer(), Detail: "must be a text or a number here"}}}
}

// below goes one token of a JSON pointer down; nil where there is nothing.
func below(at any, token string) any {
	switch v := at.(type) {
	case map[string]any:
		return v[token]
	case []any:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// scalar is a value as text; not ok for lists and objects.
func scalar(value any) (text string, ok bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
