package budget

import (
	"fmt"
	"net/url"
	"slices"
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

	mu sync.RWMutex
	// one holds the names of scopes with one placeholder, several all others.
	one     map[string]string
	several map[scopeValues]string
}

// scopeValues are the values of a scope's placeholders, in their order.
type scopeValues [5]string

// maxScopes bounds the names that are kept; when there are more, they are made anew.
const maxScopes = 16384

// placeholders are the words that a scope may hold, each once.
const placeholders = "{account}, {principal}, {app}, {operation} and {node}"

func (c *Call) value(word string) string {
	switch word {
	case "account":
		return c.Account
	case "app":
		return c.App
	case "node":
		return c.Node
	case "operation":
		return c.Operation
	}
	return c.Principal
}

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
			break
		}
		word, remaining, ok := strings.Cut(after, "}")
		if !ok {
			return nil, nil, fmt.Errorf("%q has a { without its }", template)
		}
		switch word {
		case "account", "app", "node", "operation", "principal":
		default:
			return nil, nil, fmt.Errorf("{%s} is not known here", word)
		}
		if slices.Contains(words, word) {
			return nil, nil, fmt.Errorf("{%s} stands there twice", word)
		}
		words = append(words, word)
		rest = remaining
	}
	if len(words) == 0 && template != "" {
		return nil, nil, fmt.Errorf("%q is the same for all calls", template)
	}
	return text, words, nil
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
	return &scope{prefix: pool + "/", text: text, words: words, one: map[string]string{}, several: map[scopeValues]string{}}
}

// key is the name of the pool that a call stands in.
func (s *scope) key(c *Call) string {
	var v scopeValues
	for i, word := range s.words {
		v[i] = c.value(word)
	}
	if len(s.words) == 1 {
		return remembered(s, s.one, v[0], v)
	}
	return remembered(s, s.several, v, v)
}

// remembered finds a name, or makes it and keeps it under a key.
func remembered[K comparable](s *scope, known map[K]string, k K, v scopeValues) string {
	s.mu.RLock()
	name, ok := known[k]
	s.mu.RUnlock()
	if ok {
		return name
	}
	name = s.render(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(known) >= maxScopes {
		clear(known)
	}
	known[k] = name
	return name
}

func (s *scope) render(v scopeValues) string {
	var b strings.Builder
	b.WriteString(s.prefix)
	for i := range s.words {
		b.WriteString(s.text[i])
		b.WriteString(url.PathEscape(v[i]))
	}
	b.WriteString(s.text[len(s.text)-1])
	return b.String()
}
