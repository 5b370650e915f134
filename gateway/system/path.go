package system

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/headrace/headrace/specs"
)

// path is a path template, compiled: literals, escaped as they are sent, with
// parameters between them.
type path struct {
	literals []string // one more than there are parameters
	params   []pathParam
	size     int
}

type pathParam struct {
	name string
	// quoted parameters are OData strings, whose own quotes are doubled.
	quoted bool
	// delimiters are sent as they are; see specs.Operation.PathDelimiters.
	delimiters string
}

// compilePath compiles a template such as /orders/{id}. known are the
// parameters that the operation has.
func compilePath(base, template string, known []string) (*path, error) {
	if !strings.HasPrefix(template, "/") {
		return nil, errors.New("a path begins with /")
	}
	if strings.ContainsAny(template, "?#") {
		return nil, errors.New("a path has no query; put query parameters under query")
	}
	p := &path{}
	prefix := strings.TrimSuffix(base, "/")
	rest := template
	for {
		literal, after, found := strings.Cut(rest, "{")
		escaped, err := escapeLiteral(literal)
		if err != nil {
			return nil, err
		}
		p.literals = append(p.literals, prefix+escaped)
		p.size += len(prefix + escaped)
		prefix = ""
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		switch {
		case !closed || name == "" || strings.Contains(name, "{"):
			return nil, errors.New("the braces do not match")
		case !slices.Contains(known, name):
			return nil, unknownParam{name}
		}
		p.params = append(p.params, pathParam{
			name:   name,
			quoted: strings.HasSuffix(literal, "'") && strings.HasPrefix(tail, "'"),
		})
		p.size += 16
		rest = tail
	}
	for segment := range strings.SplitSeq(template, "/") {
		if decoded, err := url.PathUnescape(segment); err == nil && (decoded == "." || decoded == "..") {
			return nil, errors.New("a path has no dot segments")
		}
	}
	return p, nil
}

type unknownParam struct{ name string }

func (e unknownParam) Error() string {
	return fmt.Sprintf("the operation has no path parameter {%s}", e.name)
}

// escapeLiteral gives a part of a path as it is sent; what is escaped already stays so.
func escapeLiteral(literal string) (string, error) {
	if strings.Contains(literal, "}") {
		return "", errors.New("the braces do not match")
	}
	decoded, err := url.PathUnescape(literal)
	if err != nil {
		return "", errors.New("a % must be followed by two hexadecimal digits")
	}
	return (&url.URL{Path: decoded, RawPath: literal}).EscapedPath(), nil
}

// errDots refuses a parameter that would lead to another place.
var errDots = errors.New("a path parameter must not be a dot segment")

// render fills in the parameters, percent-encoded, so that each stays what it
// is: one part of one segment.
func (p *path) render(params specs.Params) (string, error) {
	if len(p.params) == 0 {
		return p.literals[0], nil
	}
	b := make([]byte, 0, p.size+16)
	dots := false
	for i, param := range p.params {
		b = append(b, p.literals[i]...)
		value := params.Get(param.name)
		if strings.Contains(value, ".") {
			if dots = true; dotted(value) {
				return "", errDots
			}
		}
		b = param.appendEscaped(b, value)
	}
	rendered := string(append(b, p.literals[len(p.params)]...))
	if dots && dotted(rendered) {
		return "", errDots
	}
	return rendered, nil
}

// dotted tells of values that some server might take for a way to another
// place: dot segments, alone or between slashes of either sort.
func dotted(value string) bool {
	for segment := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == '/' || c == '\\' }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

const upperHex = "0123456789ABCDEF"

// appendEscaped escapes all but the unreserved characters of RFC 3986 and the
// parameter's delimiters. Quotes of OData strings are doubled (OData 4.01 URL
// conventions, section 2.2).
func (p *pathParam) appendEscaped(b []byte, value string) []byte {
	for i := range len(value) {
		c := value[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b = append(b, c)
		case strings.IndexByte(p.delimiters, c) >= 0:
			b = append(b, c)
		case c == '\'' && p.quoted:
			b = append(b, "%27%27"...)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// templateParams are the names between braces, in order.
func templateParams(template string) []string {
	var names []string
	for rest := template; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return names
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return names
		}
		names = append(names, name)
		rest = tail
	}
}

// target makes the URL of a request without parsing one. escaped is a path as it is sent.
func (s *system) target(escaped, query string) *url.URL {
	u := &url.URL{Scheme: s.url.Scheme, Host: s.url.Host, Path: escaped, RawQuery: query}
	// net/url would escape these by itself, each in its own way.
	if strings.ContainsAny(escaped, "%!'()*[],;") {
		if decoded, err := url.PathUnescape(escaped); err == nil {
			u.Path, u.RawPath = decoded, escaped
		}
	}
	return u
}
