package budget

import (
	"path"
	"slices"
	"strings"
)

// Target is a kind of call that a system can get: an operation, and the method
// and path of its call as a template below the system's URL.
type Target struct {
	Operation, Method, Path string
}

// selector chooses calls by method and path, written as POST /orders/** or * /**.
type selector struct {
	method string // * for any
	path   []string
}

// parseSelector reads the notation above; ok is false when it is not kept.
func parseSelector(text string) (s selector, ok bool) {
	method, pattern, ok := strings.Cut(text, " ")
	pattern = strings.TrimSpace(pattern)
	if !ok || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" && method != "*" || !strings.HasPrefix(pattern, "/") {
		return selector{}, false
	}
	return selector{method, strings.Split(pattern[1:], "/")}, true
}

func (s selector) fits(method, template string) bool {
	if s.method != "*" && s.method != method {
		return false
	}
	return fitsPath(s.path, strings.Split(strings.TrimPrefix(template, "/"), "/"))
}

// fitsPath matches segments: ** stands for any number of them, * for any text
// within one. Going back to the last ** is enough: what stood before it fitted
// as early as could be.
func fitsPath(pattern, segments []string) bool {
	p, s, star, from := 0, 0, -1, 0
	for s < len(segments) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			star, from = p, s
			p++
		case p < len(pattern) && fitsText(pattern[p], segments[s]):
			p, s = p+1, s+1
		case star >= 0:
			from++
			p, s = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}

// fitsText matches a text in which * stands for any.
func fitsText(pattern, text string) bool {
	first, rest, any := strings.Cut(pattern, "*")
	if !any {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		next, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, next)
		}
		i := strings.Index(text, next)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(next):], after
	}
}

// Applies tells whether the limit counts calls of a kind.
func (l *Limit) Applies(t Target) bool { return l.applies(t) }

func (l *Limit) applies(t Target) bool {
	return l.fitsOperation(t.Operation) && l.fitsCall(t)
}

func (l *Limit) fitsOperation(operation string) bool {
	return len(l.Operations) == 0 || slices.ContainsFunc(l.Operations, func(pattern string) bool {
		ok, err := path.Match(pattern, operation)
		return err == nil && ok
	})
}

func (l *Limit) fitsCall(t Target) bool {
	return len(l.Calls) == 0 || Chosen(l.Calls, t.Method, t.Path)
}

// Chosen tells whether one of some selectors, written as those of a limit,
// chooses the calls of a method and a path, as a template below the system's URL.
func Chosen(calls []string, method, path string) bool {
	return slices.ContainsFunc(calls, func(text string) bool {
		s, ok := parseSelector(text)
		return ok && s.fits(method, path)
	})
}
