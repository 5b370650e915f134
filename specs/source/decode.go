package source

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// NodeDecoder is implemented by types that read their own node.
type NodeDecoder interface {
	DecodeNode(n Node, ps *Problems)
}

// Decode reads a node into the value that into points to. It is strict:
// unknown keys, wrong types, values outside an enumeration and missing required
// keys are all reported, and decoding goes on after each.
//
// Struct fields carry tags: yaml:"key" names the key (a field without it is
// skipped, yaml:",inline" spreads an embedded struct), check:"required" demands
// the key, enum:"a,b" restricts a string, default:"v" is used for an absent key,
// min:"n" and max:"n" bound a number (or a duration or size, in its notation),
// doc:"…" explains the key in the reference and the JSON Schema. A field of type Node with yaml:",node" receives the struct's own node.
func Decode(n Node, into any, ps *Problems) {
	decodeValue(n, reflect.ValueOf(into).Elem(), "", ps)
}

func decodeValue(n Node, v reflect.Value, enum string, ps *Problems) {
	if v.CanAddr() {
		switch d := v.Addr().Interface().(type) {
		case NodeDecoder:
			d.DecodeNode(n, ps)
			return
		case *Node:
			*d = n
			return
		case encoding.TextUnmarshaler:
			if k := n.Kind(); k == List || k == Map || k == Null {
				ps.Add(n, "expected a single value, found "+k.Named(), "")
				return
			}
			if err := d.UnmarshalText([]byte(n.Text())); err != nil {
				wrong := fmt.Sprintf("%q is not valid here", n.Text())
				if _, secret := d.(*Secret); secret {
					wrong = "is not a reference to a secret"
				}
				ps.Add(n, wrong, err.Error())
			}
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if n.Kind() == Null {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		decodeValue(n, v.Elem(), enum, ps)
	case reflect.Struct:
		decodeStruct(n, v, ps)
	case reflect.Map:
		decodeMap(n, v, ps)
	case reflect.Slice:
		if n.Kind() != List {
			expected(n, List, ps)
			return
		}
		items := n.Items()
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
		for i, item := range items {
			decodeValue(item, v.Index(i), enum, ps)
		}
	default:
		decodeScalar(n, v, enum, ps)
	}
}

func decodeMap(n Node, v reflect.Value, ps *Problems) {
	if n.Kind() != Map {
		expected(n, Map, ps)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, f := range n.Fields() {
		item := reflect.New(v.Type().Elem()).Elem()
		decodeValue(f.Value, item, "", ps)
		v.SetMapIndex(reflect.ValueOf(f.Name).Convert(v.Type().Key()), item)
	}
}

func decodeStruct(n Node, v reflect.Value, ps *Problems) {
	if n.Kind() != Map && n.Exists() && n.Kind() != Null {
		expected(n, Map, ps)
		return
	}
	fields := structFields(v.Type())
	for _, f := range n.Fields() {
		i := slices.IndexFunc(fields, func(x structField) bool { return x.name == f.Name })
		if i < 0 {
			names := make([]string, len(fields))
			for j, x := range fields {
				names[j] = x.name
			}
			ps.Add(f.Key, fmt.Sprintf("unknown key %q", f.Name), DidYouMean(f.Name, names))
			continue
		}
		before := ps.Len()
		decodeValue(f.Value, v.FieldByIndex(fields[i].index), fields[i].tag.Get("enum"), ps)
		if ps.Len() == before {
			fields[i].bounds(f.Value, v.FieldByIndex(fields[i].index), ps)
		}
	}
	for _, f := range fields {
		if value := n.Get(f.name); value.Exists() && (value.Kind() != Null || f.typ.Kind() != reflect.Pointer) {
			continue
		}
		if f.tag.Get("check") == "required" {
			ps.Add(n, fmt.Sprintf("the key %q is missing", f.name), meaning(f.tag.Get("doc")))
		}
		f.setDefaults(v.FieldByIndex(f.index))
	}
	setNode(v, n)
}

// meaning turns the doc of a key into the hint of what it would say.
func meaning(doc string) string {
	if doc == "" {
		return ""
	}
	doc = strings.TrimSuffix(doc, ".")
	if len(doc) > 1 && doc[1] >= 'a' && doc[1] <= 'z' { // not an abbreviation
		doc = strings.ToLower(doc[:1]) + doc[1:]
	}
	return "it says: " + doc
}

// setNode hands a struct its own node, so that later checks can point at it.
func setNode(v reflect.Value, n Node) {
	t := v.Type()
	for i := range t.NumField() {
		switch t.Field(i).Tag.Get("yaml") {
		case ",node":
			v.Field(i).Set(reflect.ValueOf(n))
		case ",inline":
			setNode(v.Field(i), n)
		}
	}
}

type structField struct {
	name  string
	index []int
	tag   reflect.StructTag
	typ   reflect.Type
}

func structFields(t reflect.Type) []structField {
	var fields []structField
	for i := range t.NumField() {
		f := t.Field(i)
		switch name := f.Tag.Get("yaml"); name {
		case "", "-", ",node":
		case ",inline":
			for _, inner := range structFields(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
		default:
			fields = append(fields, structField{name: name, index: []int{i}, tag: f.Tag, typ: f.Type})
		}
	}
	return fields
}

// setDefaults fills in the value of an absent key: its default, or the
// defaults inside it where it is a struct.
func (f structField) setDefaults(v reflect.Value) {
	if text, ok := f.tag.Lookup("default"); ok {
		f.setDefault(v, text)
		return
	}
	if v.Kind() != reflect.Struct || readsItself(v) {
		return
	}
	for _, inner := range structFields(v.Type()) {
		inner.setDefaults(v.FieldByIndex(inner.index))
	}
}

// readsItself tells whether a type has a notation of its own.
func readsItself(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case NodeDecoder, *Node, encoding.TextUnmarshaler:
		return true
	}
	return false
}

// setDefault reads the default through the same decoder as a written value; a
// default that does not fit its field is a mistake in the program.
func (f structField) setDefault(v reflect.Value, text string) {
	var ps Problems
	decodeValue(Wrap(f.name, defaultNode(v.Type(), text)), v, f.tag.Get("enum"), &ps)
	if err := ps.Err(); err != nil {
		panic("default of " + f.name + ": " + err.Error())
	}
}

// defaultNode is the scalar that stands for a default in a field's type.
func defaultNode(t reflect.Type, text string) *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return y
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		y.Tag = wordTag(text)
	}
	return y
}

// bounds checks min and max, which are written in the notation of the field.
func (f structField) bounds(n Node, v reflect.Value, ps *Problems) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	value, ok := magnitude(v)
	if !ok {
		return
	}
	if text, ok := f.tag.Lookup("min"); ok && value < f.bound(v.Type(), text) {
		ps.Add(n, n.Text()+" is too small", "the least is "+text)
	}
	if text, ok := f.tag.Lookup("max"); ok && value > f.bound(v.Type(), text) {
		ps.Add(n, n.Text()+" is too large", "the most is "+text)
	}
}

func magnitude(v reflect.Value) (float64, bool) {
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

// bound reads a bound through the decoder of its field; one that does not fit
// is a mistake in the program.
func (f structField) bound(t reflect.Type, text string) float64 {
	v := reflect.New(t).Elem()
	structField{name: f.name}.setDefault(v, text)
	value, _ := magnitude(v)
	return value
}

func decodeScalar(n Node, v reflect.Value, enum string, ps *Problems) {
	text := n.Text()
	switch v.Kind() {
	case reflect.String:
		if n.Kind() != String {
			expected(n, String, ps)
			return
		}
		if allowed := strings.Split(enum, ","); enum != "" && !slices.Contains(allowed, text) {
			ps.Add(n, fmt.Sprintf("%q is not known here", text), DidYouMean(text, allowed))
			return
		}
		v.SetString(text)
	case reflect.Bool:
		if n.Kind() != Bool {
			expected(n, Bool, ps)
			return
		}
		v.SetBool(strings.EqualFold(text, "true"))
	case reflect.Int, reflect.Int64:
		i, ok := integer(text)
		if n.Kind() != Int {
			expected(n, Int, ps)
			return
		}
		if !ok {
			ps.Add(n, text+" is too large for an integer", "")
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, ok := number(text)
		if n.Kind() != Int && n.Kind() != Float {
			expected(n, Float, ps)
			return
		}
		if !ok {
			ps.Add(n, text+" is not a finite number", "")
			return
		}
		v.SetFloat(f)
	default:
		panic("source.Decode cannot fill a " + v.Type().String())
	}
}

func expected(n Node, want Kind, ps *Problems) {
	right := ""
	if want == String && n.Kind() != List && n.Kind() != Map && n.Kind() != Null {
		right = fmt.Sprintf("put it in quotes: %q", n.Text())
	}
	ps.Add(n, "expected "+want.Named()+", found "+n.Kind().Named(), right)
}

// Named gives the kind with its article, as problems speak of it.
func (k Kind) Named() string {
	switch k {
	case Null:
		return "nothing"
	case Int:
		return "an integer"
	}
	return "a " + string(k)
}

// DidYouMean names the nearest of the allowed words, or all of them when none is near.
func DidYouMean(word string, allowed []string) string {
	best, bestDistance := "", 3
	for _, a := range allowed {
		if d := distance(strings.ToLower(word), strings.ToLower(a)); d < bestDistance && d < max(len(a), 2) {
			best, bestDistance = a, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(allowed) == 0 {
		return "none is defined"
	}
	sorted := slices.Sorted(slices.Values(allowed))
	if len(sorted) > 30 {
		sorted = append(sorted[:30], "…")
	}
	return "one of " + strings.Join(sorted, ", ")
}

// distance is the edit distance with transpositions of neighbours.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 3 || d < -3 {
		return 4
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, prev[j]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
