package source

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
)

// SchemaWriter is implemented by types that describe their own notation.
type SchemaWriter interface {
	JSONSchema() map[string]any
}

// Described is implemented by types with a notation of their own, for the
// reference: the type in words, and a zero value of the struct whose keys may
// stand under it (nil when there is none).
type Described interface {
	Describe() (typ string, nested any)
}

// Schema is the JSON Schema (draft 2020-12) of what Decode accepts for a type,
// made from the same tags. The value is only looked at for its type.
func Schema(v any) map[string]any { return schemaOf(reflect.TypeOf(v)) }

func schemaOf(t reflect.Type) map[string]any {
	if w, ok := reflect.New(t).Interface().(SchemaWriter); ok {
		return w.JSONSchema()
	}
	if t == reflect.TypeFor[Node]() {
		return map[string]any{}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return schemaOfStruct(t)
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "string"}
}

func schemaOfStruct(t reflect.Type) map[string]any {
	properties := map[string]any{}
	var required []any
	for _, f := range structFields(t) {
		s := schemaOf(f.typ)
		if doc := f.tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		if enum := f.tag.Get("enum"); enum != "" {
			var words []any
			for word := range strings.SplitSeq(enum, ",") {
				words = append(words, word)
			}
			target := s
			if items, ok := s["items"].(map[string]any); ok {
				target = items
			}
			target["enum"] = words
		}
		if text, ok := f.tag.Lookup("default"); ok {
			s["default"] = defaultValue(text, s["type"])
		}
		for tag, keyword := range map[string]string{"min": "minimum", "max": "maximum"} {
			text, ok := f.tag.Lookup(tag)
			if limit, err := strconv.ParseFloat(text, 64); ok && err == nil {
				s[keyword] = limit
			}
		}
		if f.tag.Get("check") == "required" {
			required = append(required, f.name)
		}
		properties[f.name] = s
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		s["required"] = required
	}
	return s
}

func defaultValue(text string, typ any) any {
	switch typ {
	case "boolean":
		return text == "true"
	case "integer", "number":
		f, _ := strconv.ParseFloat(text, 64)
		return f
	}
	return text
}

// Key is one documented key of a configuration, for reference pages.
type Key struct {
	Name, Type, Default, Doc string
	Required                 bool
	// Nested is a zero value of the struct that stands under the key, directly,
	// in a list or in a mapping; nil when there is none.
	Nested any
}

// Keys lists the keys that Decode accepts for a struct, in the order of its fields.
func Keys(v any) []Key {
	var keys []Key
	for _, f := range structFields(reflect.TypeOf(v)) {
		typ := typeName(f.typ)
		if enum := f.tag.Get("enum"); enum != "" {
			typ = strings.ReplaceAll(enum, ",", " | ")
		}
		keys = append(keys, Key{
			Name: f.name, Type: typ, Default: f.tag.Get("default"), Doc: f.tag.Get("doc"),
			Required: f.tag.Get("check") == "required", Nested: nested(f.typ),
		})
	}
	return keys
}

// nested finds the struct under a type; types that describe themselves have none.
func nested(t reflect.Type) any {
	for {
		if d, ok := reflect.New(t).Interface().(Described); ok {
			_, nested := d.Describe()
			return nested
		}
		if _, ok := reflect.New(t).Interface().(SchemaWriter); ok || t == reflect.TypeFor[Node]() {
			return nil
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			t = t.Elem()
		case reflect.Struct:
			return reflect.New(t).Elem().Interface()
		default:
			return nil
		}
	}
}

// typeName is the type of a key in words.
func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Secret]():
		return "secret"
	case reflect.TypeFor[Strings]():
		return "string or list"
	case reflect.TypeFor[Node]():
		return "any"
	}
	if d, ok := reflect.New(t).Interface().(Described); ok {
		typ, _ := d.Describe()
		return typ
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "mapping"
	}
	switch typ, _ := schemaOf(t)["type"].(string); typ {
	case "object":
		return "mapping"
	case "":
		return "any"
	default:
		return typ
	}
}
