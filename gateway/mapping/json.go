package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDigits bounds the length of a number, because arithmetic on it takes
// longer than its length.
const maxDigits = 1000

// maxDepth bounds the nesting of what is written, as encoding/json bounds what is read.
const maxDepth = 10000

// Decode reads one JSON value for a mapping. Numbers keep their digits. Empty
// data is null.
func Decode(data []byte) (any, error) {
	if len(data) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil // nothing but white space
		}
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("is not JSON: something stands after the value")
	}
	return value, checkNumbers(value)
}

func checkNumbers(value any) error {
	switch v := value.(type) {
	case json.Number:
		if len(v) > maxDigits {
			return fmt.Errorf("has a number of %d characters; at most %d are accepted", len(v), maxDigits)
		}
	case []any:
		for _, item := range v {
			if err := checkNumbers(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, item := range v {
			if err := checkNumbers(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// AppendJSON appends a value as JSON, keys sorted, at most limit bytes.
// Numbers keep their digits.
func AppendJSON(b []byte, value any, limit int64) ([]byte, error) {
	w := writer{b: b, limit: len(b) + int(limit)}
	w.write(value, maxDepth)
	return w.b, w.err
}

type writer struct {
	b     []byte
	limit int
	err   error
}

func (w *writer) write(value any, depth int) {
	if w.err != nil {
		return
	}
	switch v := value.(type) {
	case nil:
		w.b = append(w.b, "null"...)
	case bool:
		w.b = strconv.AppendBool(w.b, v)
	case int:
		w.b = strconv.AppendInt(w.b, int64(v), 10)
	case float64:
		w.float(v)
	case *big.Int:
		w.b = v.Append(w.b, 10)
	case json.Number:
		w.b = append(w.b, v...)
	case string:
		w.b = appendString(w.b, v)
	case []any:
		w.list(v, depth)
	case map[string]any:
		w.object(v, depth)
	default:
		w.err = fmt.Errorf("it gives a %T", v)
	}
	if w.err == nil && len(w.b) > w.limit {
		w.err = errTooLarge
	}
}

func (w *writer) list(v []any, depth int) {
	if depth == 0 {
		w.err = errTooDeep
		return
	}
	w.b = append(w.b, '[')
	for i, item := range v {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.write(item, depth-1)
		if w.err != nil {
			return
		}
	}
	w.b = append(w.b, ']')
}

func (w *writer) object(v map[string]any, depth int) {
	if depth == 0 {
		w.err = errTooDeep
		return
	}
	var few [32]string
	names := few[:0]
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	w.b = append(w.b, '{')
	for i, name := range names {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendString(w.b, name)
		w.b = append(w.b, ':')
		w.write(v[name], depth-1)
		if w.err != nil {
			return
		}
	}
	w.b = append(w.b, '}')
}

// float writes the shortest digits that give the same number again.
func (w *writer) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.err = errNoNumber
		return
	}
	format := byte('f')
	if x := math.Abs(f); x != 0 && x < 1e-6 || x >= 1e21 {
		format = 'e'
	}
	w.b = strconv.AppendFloat(w.b, f, format, -1, 64)
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c >= utf8.RuneSelf {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, `\u00`...)
				b = append(b, hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
