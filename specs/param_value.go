package specs

import (
	"fmt"
	"strings"

	"github.com/headrace/headrace/specs/schema"
)

// wrong is the answer to a value that is not written as its style wants.
func wrong(format string, args ...any) []schema.Violation {
	return []schema.Violation{{Detail: fmt.Sprintf(format, args...)}}
}

// check checks the occurrences of a parameter, of which there is at least one.
// decode turns what stands between delimiters into text.
func (p *paramChecker) check(values []string, decode decoder) []schema.Violation {
	if p.allowEmpty && len(values) == 1 && values[0] == "" {
		return nil
	}
	if p.json {
		return p.checkJSON(values, decode)
	}
	return p.try(func(f form) []schema.Violation {
		switch f {
		case arrayForm:
			return p.checkArray(values, decode)
		case objectForm:
			return p.checkObject(values, decode)
		}
		return p.checkScalar(values, decode)
	})
}

// try gives the violations of the first form, unless a later one has none.
func (p *paramChecker) try(check func(form) []schema.Violation) []schema.Violation {
	var first []schema.Violation
	for _, f := range p.forms {
		found := check(f)
		if found == nil {
			return nil
		}
		if first == nil {
			first = found
		}
	}
	return first
}

// decoder resolves the escapes of one piece of a value; ok is false where they are malformed.
type decoder func(string) (text string, ok bool)

// verbatim decodes what has no escapes.
func verbatim(s string) (string, bool) { return s, true }

// queryUnescape decodes percent-encoding and +.
func queryUnescape(s string) (string, bool) {
	if strings.IndexByte(s, '+') >= 0 {
		s = strings.ReplaceAll(s, "+", " ")
	}
	return unescape(s)
}

const malformedEscape = "the percent-encoding is malformed"

func (p *paramChecker) checkJSON(values []string, decode decoder) []schema.Violation {
	text, found := p.single(values, decode)
	if found != nil {
		return found
	}
	violations, err := p.schema.Check([]byte(text), p.dir)
	if err != nil {
		return wrong("the value is not valid JSON: %v", err)
	}
	return violations
}

func (p *paramChecker) single(values []string, decode decoder) (string, []schema.Violation) {
	if len(values) > 1 {
		return "", wrong("expected a single value, found %d", len(values))
	}
	text, ok := decode(values[0])
	if !ok {
		return "", wrong(malformedEscape)
	}
	return text, nil
}

func (p *paramChecker) checkScalar(values []string, decode decoder) []schema.Violation {
	text, found := p.single(values, decode)
	if found != nil {
		return found
	}
	if text, found = p.unwrap(text, false); found != nil {
		return found
	}
	return p.schema.CheckText(text, p.dir)
}

// unwrap takes off what the styles label and matrix put in front of a value.
// spread tells that the names of members stand there instead of the
// parameter's own.
func (p *paramChecker) unwrap(text string, spread bool) (string, []schema.Violation) {
	prefix := ""
	switch {
	case p.style == label:
		prefix = "."
	case p.style == matrix && spread:
		prefix = ";"
	case p.style == matrix:
		prefix = ";" + p.name + "="
	}
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return "", wrong("expected a value that begins with %s", prefix)
	}
	return rest, nil
}

func (p *paramChecker) checkArray(values []string, decode decoder) []schema.Violation {
	pieces, found := p.pieces(values)
	if found != nil {
		return found
	}
	item := p.schema.Item()
	b := append(make([]byte, 0, 128), '[')
	for i, piece := range pieces {
		text, ok := decode(piece)
		if !ok {
			return wrong(malformedEscape)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, item, text)
	}
	return p.checkBuilt(append(b, ']'))
}

func appendText(b []byte, s *schema.Schema, text string) []byte {
	if s == nil {
		return schema.AppendString(b, text)
	}
	return s.AppendText(b, text)
}

// checkBuilt checks a value that was put together as JSON.
func (p *paramChecker) checkBuilt(value []byte) []schema.Violation {
	violations, err := p.schema.Check(value, p.dir)
	if err != nil {
		return wrong("%s", err.Detail)
	}
	return violations
}

// pieces takes an array apart.
func (p *paramChecker) pieces(values []string) ([]string, []schema.Violation) {
	if p.explode && p.in != "path" && p.style != simple {
		return values, nil
	}
	if p.in == "header" {
		values = []string{strings.Join(values, ",")}
	}
	if len(values) > 1 {
		return nil, wrong("expected a single value, found %d", len(values))
	}
	text, found := p.unwrap(values[0], false)
	if found != nil {
		return nil, found
	}
	switch {
	case p.style == spaceDelimited:
		return strings.Split(strings.ReplaceAll(text, "%20", "+"), "+"), nil
	case p.style == pipeDelimited:
		return strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "%7C", "|"), "%7c", "|"), "|"), nil
	case p.style == label && p.explode:
		return strings.Split(text, "."), nil
	case p.style == matrix && p.explode:
		return strings.Split(text, ";"+p.name+"="), nil
	}
	pieces := strings.Split(text, ",")
	if p.in == "header" {
		for i := range pieces {
			pieces[i] = strings.TrimSpace(pieces[i])
		}
	}
	return pieces, nil
}

// checkObject checks an object that stands in one value.
func (p *paramChecker) checkObject(values []string, decode decoder) []schema.Violation {
	pairs, found := p.pairs(values)
	if found != nil {
		return found
	}
	b := newMembers(make([]byte, 0, 256), p.schema)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := decode(pairs[i])
		value, valid := decode(pairs[i+1])
		if !ok || !valid {
			return wrong(malformedEscape)
		}
		b.add(name, value)
	}
	return p.checkBuilt(b.end())
}

// pairs takes an object apart: names and values in turn.
func (p *paramChecker) pairs(values []string) ([]string, []schema.Violation) {
	if p.in == "header" {
		values = []string{strings.Join(values, ",")}
	}
	if len(values) > 1 {
		return nil, wrong("expected a single value, found %d", len(values))
	}
	text, found := p.unwrap(values[0], p.explode)
	if found != nil {
		return nil, found
	}
	separator := ","
	switch {
	case p.style == label && p.explode:
		separator = "."
	case p.style == matrix && p.explode:
		separator = ";"
	case p.style == pipeDelimited:
		text, separator = strings.ReplaceAll(strings.ReplaceAll(text, "%7C", "|"), "%7c", "|"), "|"
	case p.style == spaceDelimited:
		text, separator = strings.ReplaceAll(text, "%20", "+"), "+"
	}
	var pairs []string
	for piece := range strings.SplitSeq(text, separator) {
		if p.in == "header" {
			piece = strings.TrimSpace(piece)
		}
		if p.explode {
			name, value, found := strings.Cut(piece, "=")
			if !found {
				return nil, wrong("expected members as name=value, with %s between them", separator)
			}
			pairs = append(pairs, name, value)
		} else {
			pairs = append(pairs, piece)
		}
	}
	if len(pairs)%2 != 0 {
		return nil, wrong("expected names and values in turn, with %s between them", separator)
	}
	return pairs, nil
}

// members puts an object together from texts.
type members struct {
	schema *schema.Schema // nil when nothing is known
	json   []byte
	count  int
}

// newMembers begins an object at the end of a JSON text.
func newMembers(json []byte, s *schema.Schema) *members {
	return &members{schema: s, json: append(json, '{')}
}

func (m *members) key(name string) {
	if m.count++; m.count > 1 {
		m.json = append(m.json, ',')
	}
	m.json = append(schema.AppendString(m.json, name), ':')
}

// add adds a member with a single text.
func (m *members) add(name, text string) {
	m.key(name)
	m.json = appendText(m.json, m.property(name), text)
}

// addList adds a member with any number of texts, as an array where the schema
// wants one or where there are several.
func (m *members) addList(name string, texts []string) {
	s := m.property(name)
	if len(texts) == 1 && (s == nil || s.AcceptsScalar() || !s.AcceptsArray()) {
		m.add(name, texts[0])
		return
	}
	var item *schema.Schema
	if s != nil {
		item = s.Item()
	}
	m.key(name)
	m.json = append(m.json, '[')
	for i, text := range texts {
		if i > 0 {
			m.json = append(m.json, ',')
		}
		m.json = appendText(m.json, item, text)
	}
	m.json = append(m.json, ']')
}

func (m *members) property(name string) *schema.Schema {
	if m.schema == nil {
		return nil
	}
	return m.schema.Property(name)
}

func (m *members) end() []byte { return append(m.json, '}') }
