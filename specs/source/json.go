package source

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// parseJSON makes nodes of text that is known to be valid JSON.
func parseJSON(data []byte) *yaml.Node {
	p := jsonParser{data: data, line: 1, column: 1}
	return p.value()
}

// jsonParser reads valid JSON. at is the next byte, line and column its place;
// columns count characters.
type jsonParser struct {
	data         []byte
	at           int
	line, column int
}

func (p *jsonParser) advance(n int) {
	for _, c := range p.data[p.at : p.at+n] {
		switch {
		case c == '\n':
			p.line, p.column = p.line+1, 1
		case c&0xC0 != 0x80:
			p.column++
		}
	}
	p.at += n
}

// next is the next byte that is not white space.
func (p *jsonParser) next() byte {
	for {
		switch c := p.data[p.at]; c {
		case ' ', '\t', '\r', '\n':
			p.advance(1)
		default:
			return c
		}
	}
}

func (p *jsonParser) value() *yaml.Node {
	c := p.next()
	y := &yaml.Node{Kind: yaml.ScalarNode, Line: p.line, Column: p.column}
	switch c {
	case '{':
		y.Kind, y.Tag, y.Style = yaml.MappingNode, "!!map", yaml.FlowStyle
		p.children(y, '}')
	case '[':
		y.Kind, y.Tag, y.Style = yaml.SequenceNode, "!!seq", yaml.FlowStyle
		p.children(y, ']')
	case '"':
		y.Tag, y.Style, y.Value = "!!str", yaml.DoubleQuotedStyle, p.string()
	default:
		y.Value = p.word()
		y.Tag = wordTag(y.Value)
	}
	return y
}

// children reads the members of a list or mapping, brackets included; a key
// is a value like any other.
func (p *jsonParser) children(y *yaml.Node, end byte) {
	p.advance(1)
	for p.next() != end {
		if c := p.data[p.at]; c == ',' || c == ':' {
			p.advance(1)
			continue
		}
		y.Content = append(y.Content, p.value())
	}
	p.advance(1)
}

func (p *jsonParser) string() string {
	end, plain := 1, true
	for ; p.data[p.at+end] != '"'; end++ {
		if p.data[p.at+end] == '\\' {
			plain = false
			end++
		}
	}
	literal := p.data[p.at : p.at+end+1]
	p.advance(end + 1)
	if plain && utf8.Valid(literal) {
		return string(literal[1 : len(literal)-1])
	}
	var s string
	if err := json.Unmarshal(literal, &s); err != nil { // cannot be: the text is valid
		return string(literal)
	}
	return s
}

func (p *jsonParser) word() string {
	end := p.at
	for end < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,]}"), p.data[end]) < 0 {
		end++
	}
	word := string(p.data[p.at:end])
	p.advance(end - p.at)
	return word
}

func wordTag(word string) string {
	switch word[0] {
	case 'n':
		return "!!null"
	case 't', 'f':
		return "!!bool"
	}
	if _, ok := integer(word); ok {
		return "!!int"
	}
	return "!!float"
}

// integer reads an integer as YAML writes it: decimal, 0x1F, 0o17, 017, 0b11,
// with or without underscores.
func integer(text string) (int64, bool) {
	text = strings.ReplaceAll(text, "_", "")
	i, err := strconv.ParseInt(text, 0, 64)
	return i, err == nil
}

// number reads any number that has a value: not infinity, not NaN.
func number(text string) (float64, bool) {
	if i, ok := integer(text); ok {
		return float64(i), true
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// AppendJSON appends the value as JSON. Numbers keep their digits where JSON
// can write them so; what JSON cannot write at all (.inf, .nan) becomes a string.
func (n Node) AppendJSON(b []byte) []byte { return appendJSON(b, n.yaml, "") }

// AppendJSONWithout is AppendJSON, leaving out the entries of mappings that
// have the given key, at every depth.
func (n Node) AppendJSONWithout(b []byte, key string) []byte { return appendJSON(b, n.yaml, key) }

func appendJSON(b []byte, y *yaml.Node, without string) []byte {
	n := Node{yaml: y}
	y = n.target()
	switch n.Kind() {
	case Null:
		return append(b, "null"...)
	case Bool:
		return strconv.AppendBool(b, strings.EqualFold(y.Value, "true"))
	case Int, Float:
		return appendNumber(b, y.Value)
	case List:
		b = append(b, '[')
		for i, item := range y.Content {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item, without)
		}
		return append(b, ']')
	case Map:
		b = append(b, '{')
		for i := 0; i+1 < len(y.Content); i += 2 {
			if without != "" && y.Content[i].Value == without {
				continue
			}
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = appendString(b, y.Content[i].Value)
			b = append(b, ':')
			b = appendJSON(b, y.Content[i+1], without)
		}
		return append(b, '}')
	}
	return appendString(b, y.Value)
}

func appendNumber(b []byte, text string) []byte {
	if json.Valid([]byte(text)) {
		return append(b, text...)
	}
	if i, ok := integer(text); ok {
		return strconv.AppendInt(b, i, 10)
	}
	if f, ok := number(text); ok {
		if out, err := json.Marshal(f); err == nil {
			return append(b, out...)
		}
	}
	return appendString(b, text)
}

const hexadecimal = "0123456789abcdef"

// appendString appends a JSON string. Text that is not UTF-8 is repaired.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexadecimal[c>>4], hexadecimal[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}
