package schema

import "unicode/utf8"

// CheckText checks a value that comes as plain text, such as a parameter: it
// is taken for a number, a boolean or null where the schema accepts these, and
// for a string otherwise.
func (s *Schema) CheckText(content string, dir Direction) []Violation {
	if !utf8.ValidString(content) {
		return []Violation{{Detail: "the text is not valid UTF-8"}}
	}
	if s.free || s.onlyType(typeString) {
		return nil
	}
	accepted := s.accepts()
	literal, plain := literalKind(content)
	if literal == text || !accepted.has(literal) {
		if want := accepted &^ (typeNull | typeArray | typeObject); want&typeString == 0 && want != 0 {
			return []Violation{{Detail: "expected " + want.String()}}
		}
		return s.checkToken(content, text, false, dir)
	}
	if literal == number && plain && s.onlyType(typeInteger) {
		return nil
	}
	violations := s.checkToken(content, literal, plain, dir)
	if violations != nil && accepted&typeString != 0 && s.checkToken(content, text, false, dir) == nil {
		return nil
	}
	return violations
}

// has tells whether values of a kind may be in the set.
func (t types) has(k kind) bool {
	return t&typesByKind[k] != 0 || k == number && t&typeInteger != 0
}

// onlyType tells whether the schema says nothing but this one type.
func (s *Schema) onlyType(t types) bool {
	return s.types == t && s.text == nil && s.number == nil && s.enum == nil && s.place == nil && s.dynamic == nil
}

// literalKind is the kind of JSON value that a text is written as; all that is
// no literal is a string.
func literalKind(content string) (k kind, plain bool) {
	switch content {
	case "true", "false":
		return boolean, false
	case "null":
		return null, false
	case "":
		return text, false
	}
	if c := content[0]; c == '-' || c-'0' <= 9 {
		if end, plain, ok := scanNumber([]byte(content), 0); ok && end == len(content) {
			return number, plain
		}
	}
	return text, false
}

// checkToken checks a single scalar that needs no scan.
func (s *Schema) checkToken(content string, k kind, plain bool, dir Direction) []Violation {
	w := s.shared.walker(dir)
	defer w.release()
	w.scratch2 = append(w.scratch2[:0], content...)
	w.src, w.tokens = w.scratch2, append(w.tokens[:0], token{kind: k, plain: plain, end: uint32(len(content)), next: 1})
	return w.walk(s)
}

// AppendText appends a plain text as the JSON value for which CheckText takes it.
func (s *Schema) AppendText(b []byte, content string) []byte {
	accepted := s.accepts()
	literal, plain := literalKind(content)
	if literal != text && accepted.has(literal) &&
		(accepted&typeString == 0 || s.free || s.checkToken(content, literal, plain, Neither) == nil) {
		return append(b, content...)
	}
	return AppendString(b, content)
}

// AppendString appends a text as a JSON string. Bytes that are not UTF-8 stay
// as they are, for Check to find them.
func AppendString(b []byte, content string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(content) {
		switch c := content[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
