package arazzo

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/headrace/headrace/gateway/mapping"
)

// json and form tell how a body is written.
func (b *RequestBody) json() bool {
	typ, _, _ := strings.Cut(strings.ToLower(b.ContentType), ";")
	typ = strings.TrimSpace(typ)
	return typ == "application/json" || strings.HasSuffix(typ, "+json")
}

func (b *RequestBody) form() bool {
	typ, _, _ := strings.Cut(strings.ToLower(b.ContentType), ";")
	return strings.TrimSpace(typ) == "application/x-www-form-urlencoded"
}

// Eval gives the body's value with all replacements. ok is false when there is none.
func (b *RequestBody) Eval(s Scope) (value any, ok bool, err error) {
	value, ok = b.Payload.Eval(s)
	for _, x := range b.Replacements {
		with, known := x.Value.Eval(s)
		if !known {
			continue
		}
		if value, err = x.apply(value, with); err != nil {
			return nil, false, err
		}
		ok = true
	}
	return value, ok, nil
}

// Bytes gives the body as it is sent; nil when there is none. A value becomes
// JSON or a form as the content type says, and a text what it is.
func (b *RequestBody) Bytes(s Scope, limit int64) ([]byte, error) {
	value, ok, err := b.Eval(s)
	if !ok || err != nil {
		return nil, err
	}
	if b.json() {
		return mapping.AppendJSON(nil, value, limit)
	}
	if b.form() {
		return formBytes(value)
	}
	text, ok := Text(value)
	if !ok || int64(len(text)) > limit {
		return nil, fmt.Errorf("the body is larger than %d bytes", limit)
	}
	return []byte(text), nil
}

// formBytes writes the properties of a value as a form; lists become several fields.
func formBytes(value any) ([]byte, error) {
	if text, ok := value.(string); ok {
		return []byte(text), nil
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a form is made of a mapping or a text")
	}
	form := url.Values{}
	for name, v := range m {
		list, many := v.([]any)
		if !many {
			list = []any{v}
		}
		for _, item := range list {
			text, ok := Text(item)
			if !ok {
				return nil, fmt.Errorf("a field of the form is too large")
			}
			form.Add(name, text)
		}
	}
	return []byte(form.Encode()), nil
}

// apply puts a value into a payload, which it does not change itself.
func (x Replacement) apply(payload, value any) (any, error) {
	if x.path == nil {
		return put(payload, x.Target, value)
	}
	root := toNode(payload)
	found, err := x.path.Select(root, selectVisits)
	if err != nil {
		return nil, fmt.Errorf("the replacement at %s: %w", x.path, err)
	}
	for _, m := range found {
		if m.Parent == nil {
			return value, nil
		}
		m.Parent.Content[m.Index] = toNode(value)
	}
	replaced, ok := fromNode(root)
	if !ok {
		return nil, fmt.Errorf("the replacement at %s gives no JSON", x.path)
	}
	return replaced, nil
}

// put copies what it changes. Mappings that are missing are made, and so are
// lists for -; an index may be that of an item or, as - or the next, the end of a list.
func put(payload any, way []string, value any) (any, error) {
	if len(way) == 0 {
		return value, nil
	}
	switch p := payload.(type) {
	case nil:
		if way[0] == "-" {
			return put([]any{}, way, value)
		}
		return put(map[string]any{}, way, value)
	case map[string]any:
		child, err := put(p[way[0]], way[1:], value)
		if err != nil {
			return nil, err
		}
		changed := maps.Clone(p)
		changed[way[0]] = child
		return changed, nil
	case []any:
		i := len(p)
		if way[0] != "-" {
			if !index(way[0]) {
				return nil, fmt.Errorf("a replacement leads to %q in a list", way[0])
			}
			if i, _ = strconv.Atoi(way[0]); i > len(p) {
				return nil, fmt.Errorf("a replacement leads beyond the end of a list of %d", len(p))
			}
		}
		changed := slices.Clone(p)
		if i == len(p) {
			changed = append(changed, nil)
		}
		child, err := put(changed[i], way[1:], value)
		if err != nil {
			return nil, err
		}
		changed[i] = child
		return changed, nil
	}
	return nil, fmt.Errorf("a replacement leads into what is no mapping and no list")
}
