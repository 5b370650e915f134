package header

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs/source"
)

// Settings are the policy's configuration.
type Settings struct {
	Request  Change `yaml:"request" doc:"What changes in the request: set (values by header) and remove (a list of headers)."`
	Response Change `yaml:"response" doc:"What changes in the answer: set (values by header) and remove (a list of headers)."`
}

// Change is a set of changes to headers.
type Change struct {
	Set    map[string]string `yaml:"set" doc:"Values by header; they replace what was there."`
	Remove source.Strings    `yaml:"remove" doc:"Headers that are removed."`
}

// Kind describes the policy. It keeps no state.
func Kind() gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "header", Stage: gateway.StageHeader, Levels: gateway.LevelAPI,
		Doc: "Sets and removes headers of requests and answers.",
	}, compile)
}

func compile(b *gateway.Binding, s Settings) gateway.Policy {
	before := b.Problems.Len()
	request := s.Request.edit(b, "request", fixedInRequests)
	response := s.Response.edit(b, "response", fixedInResponses)
	if request.empty() && response.empty() {
		if b.Problems.Len() == before {
			b.Problems.Add(b.Settings, "changes nothing", "set or remove a header of the request or the response")
		}
		return nil
	}
	return func(next gateway.Handler) gateway.Handler {
		return func(x *gateway.Exchange) (*gateway.Response, error) {
			request.apply(x.Request.Header)
			resp, err := next(x)
			if err != nil || response.empty() {
				return resp, err
			}
			changed := *resp // the response may be shared
			if changed.Header = maps.Clone(resp.Header); changed.Header == nil {
				changed.Header = http.Header{}
			}
			response.apply(changed.Header)
			return &changed, nil
		}
	}
}

// edit is a change, ready to be applied.
type edit struct {
	remove []string
	set    []field
}

type field struct {
	name   string
	values []string
}

func (e *edit) empty() bool { return len(e.remove) == 0 && len(e.set) == 0 }

func (e *edit) apply(h http.Header) {
	for _, name := range e.remove {
		delete(h, name)
	}
	for _, f := range e.set {
		h[f.name] = f.values
	}
}

func (c Change) edit(b *gateway.Binding, side string, fixed map[string]string) edit {
	var e edit
	for _, name := range c.Remove {
		if canonical, ok := accept(b, b.Settings.At(side, "remove"), name, fixed); ok {
			e.remove = append(e.remove, canonical)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		at := b.Settings.At(side, "set", name)
		canonical, ok := accept(b, at, name, fixed)
		if !ok {
			continue
		}
		value := c.Set[name]
		if !httpguts.ValidHeaderFieldValue(value) || strings.TrimSpace(value) != value {
			b.Problems.Add(at, fmt.Sprintf("the value of %s cannot stand in a header", name), "one line without spaces at its ends")
			continue
		}
		if slices.ContainsFunc(e.set, func(f field) bool { return f.name == canonical }) {
			b.Problems.Add(at, fmt.Sprintf("%s is set twice", canonical), "the case of letters makes no difference in names of headers")
		}
		e.set = append(e.set, field{canonical, []string{value}})
	}
	return e
}

func accept(b *gateway.Binding, at source.Node, name string, fixed map[string]string) (string, bool) {
	if !httpguts.ValidHeaderFieldName(name) {
		b.Problems.Add(at, fmt.Sprintf("%q is not the name of a header", name), "")
		return "", false
	}
	canonical := http.CanonicalHeaderKey(name)
	reason := fixed[canonical]
	if reason == "" {
		reason = fixedByPrefix(canonical)
	}
	if reason != "" {
		b.Problems.Add(at, fmt.Sprintf("the header %s cannot be changed: it %s", canonical, reason), "")
		return "", false
	}
	return canonical, true
}
