package budget

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// scope makes the name of a call's own pool out of a template such as
// {app}/{operation}. Names that were made are kept, so that a call usually
// costs no allocation.
type scope struct {
	prefix string
	text   []string // the text before each placeholder, and the rest
	words  []string

	mu    sync.RWMutex
	known map[scopeValues]string
}

type scopeValues struct{ app, operation, principal string }

// maxScopes bounds the names that are kept; when there are more, they are made anew.
const maxScopes = 16384

func checkScope(template string) error {
	_, _, err := splitScope(template)
	return err
}

func splitScope(template string) (text, words []string, err error) {
	rest := template
	for {
		before, after, ok := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, nil, fmt.Errorf("%q has a } without its {", template)
		}
		text = append(text, before)
		if !ok {
			return text, words, nil
		}
		word, remaining, ok := strings.Cut(after, "}")
		if !ok {
			return nil, nil, fmt.Errorf("%q has a { without its }", template)
		}
		switch word {
		case "app", "operation", "principal":
		default:
			return nil, nil, fmt.Errorf("{%s} is not known here", word)
		}
		words = append(words, word)
		rest = remaining
	}
}

// newScope makes the scope of a pool; nil when the whole system has one pool.
func newScope(pool, template string) *scope {
	if template == "" {
		return nil
	}
	text, words, err := splitScope(template)
	if err != nil { // Check reports it
		return nil
	}
	return &scope{prefix: pool + "/", text: text, words: words, known: map[scopeValues]string{}}
}

// key is the name of the pool that a call stands in.
func (s *scope) key(c *Call) string {
	var v scopeValues
	for _, word := range s.words {
		switch word {
		case "app":
			v.app = c.App
		case "operation":
			v.operation = c.Operation
		case "principal":
			v.principal = c.Principal
		}
	}
	s.mu.RLock()
	key, ok := s.known[v]
	s.mu.RUnlock()
	if ok {
		return key
	}
	key = s.render(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxScopes {
		clear(s.known)
	}
	s.known[v] = key
	return key
}

func (s *scope) render(v scopeValues) string {
	var b strings.Builder
	b.WriteString(s.prefix)
	for i, word := range s.words {
		b.WriteString(s.text[i])
		switch word {
		case "app":
			b.WriteString(url.PathEscape(v.app))
		case "operation":
			b.WriteString(url.PathEscape(v.operation))
		case "principal":
			b.WriteString(url.PathEscape(v.principal))
		}
	}
	b.WriteString(s.text[len(s.text)-1])
	return b.String()
}
