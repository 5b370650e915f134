package apikey

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// Settings are the policy's configuration.
type Settings struct {
	In   string `yaml:"in" enum:"header,query" doc:"Where the key stands. When absent: as the document's security schemes of type apiKey say, else in a header."`
	Name string `yaml:"name" doc:"Name of the header or query parameter. When absent: as the document's security schemes of type apiKey say, else X-Api-Key."`
}

// DefaultHeader carries the key where neither the settings nor the document name a place.
const DefaultHeader = "X-Api-Key"

const challengeScheme = "ApiKey"

// Kind describes the policy. It remembers wrong keys, to slow down those who guess.
func Kind() gateway.Kind {
	s := &state{}
	return gateway.Define(gateway.Kind{
		Name: "apikey", Stage: gateway.StageIdentify, Levels: gateway.LevelAPI,
		Doc:       "Identifies the app by an API key in a header or query parameter.",
		Satisfies: satisfies,
		Challenge: challengeScheme,
	}, s.compile)
}

func satisfies(s *specs.SecurityScheme) bool {
	return s.Type == "apiKey" && (s.In == "query" || s.In == "header" && !reserved(s.Param))
}

// reserved tells whether a header has a meaning that forbids a bare key in it.
func reserved(header string) bool {
	switch http.CanonicalHeaderKey(header) {
	case "", "Authorization", "Proxy-Authorization", "Cookie", "Host", "Connection", "Content-Length", "Content-Type", "Transfer-Encoding":
		return true
	}
	return false
}

// place is where a key may stand, and the security schemes that it meets there.
type place struct {
	query   bool
	name    string // canonical for headers
	schemes uint32
}

// state is what outlasts tables.
type state struct{ guard gateway.Guard }

type policy struct {
	guard     *gateway.Guard
	consumers *gateway.Consumers
	places    []place
	challenge string
	next      gateway.Handler
}

func (st *state) compile(b *gateway.Binding, s Settings) gateway.Policy {
	p := policy{guard: &st.guard, consumers: b.Consumers, challenge: fmt.Sprintf("%s realm=%q", challengeScheme, b.Realm())}
	for _, scheme := range sortedSchemes(b.Operation.Document) {
		at := place{query: scheme.In == "query", name: scheme.Param}
		if !s.fits(at) {
			if demanded(b.Operation, scheme) {
				b.Problems.Add(b.Settings, fmt.Sprintf("looks for the key elsewhere than the security scheme %q, which the operation demands: %s %s", scheme.Name, scheme.In, scheme.Param),
					"leave out in and name, or set them alike")
			}
			continue
		}
		p.add(at, scheme.Bit)
	}
	if len(p.places) == 0 {
		p.add(s.place(b), 0)
	}
	return func(next gateway.Handler) gateway.Handler {
		p.next = next
		return p.handle
	}
}

// place is where the settings by themselves look for the key.
func (s Settings) place(b *gateway.Binding) place {
	at := place{query: s.In == "query", name: s.Name}
	switch {
	case at.query && at.name == "":
		b.Problems.Add(b.Settings, "the query parameter has no name", "set name, or declare a security scheme of type apiKey")
	case at.name == "":
		at.name = DefaultHeader
	case !at.query && (reserved(at.name) || !httpguts.ValidHeaderFieldName(at.name)):
		b.Problems.Add(b.Settings.At("name"), fmt.Sprintf("the header %q is no place for an API key", s.Name), "for example "+DefaultHeader)
	}
	return at
}

// sortedSchemes lists the schemes that the policy can establish, by name.
func sortedSchemes(d *specs.Document) []*specs.SecurityScheme {
	var schemes []*specs.SecurityScheme
	for _, s := range d.Schemes {
		if satisfies(s) {
			schemes = append(schemes, s)
		}
	}
	slices.SortFunc(schemes, func(a, b *specs.SecurityScheme) int { return strings.Compare(a.Name, b.Name) })
	return schemes
}

func demanded(o *specs.Operation, scheme *specs.SecurityScheme) bool {
	return slices.ContainsFunc(o.Security, func(r specs.Requirement) bool {
		return slices.ContainsFunc(r, func(u specs.SchemeUse) bool { return u.Scheme == scheme })
	})
}

// fits tells whether the settings allow a place of the document. in alone
// chooses among the document's schemes; name alone means a header.
func (s Settings) fits(at place) bool {
	in := s.In
	if in == "" && s.Name != "" {
		in = "header"
	}
	if in != "" && (in == "query") != at.query {
		return false
	}
	return s.Name == "" || at.name == s.Name || !at.query && strings.EqualFold(at.name, s.Name)
}

// add notes a place; two schemes that share it are met together.
func (p *policy) add(at place, bit uint32) {
	if !at.query {
		at.name = http.CanonicalHeaderKey(at.name)
	}
	for i := range p.places {
		if p.places[i].query == at.query && p.places[i].name == at.name {
			p.places[i].schemes |= bit
			return
		}
	}
	at.schemes = bit
	p.places = append(p.places, at)
}

func (p *policy) handle(x *gateway.Exchange) (*gateway.Response, error) {
	for i := range p.places {
		at := &p.places[i]
		key, count := at.take(x.Request)
		if count == 0 {
			continue
		}
		if err := p.identify(x, at, key, count); err != nil {
			for _, other := range p.places[i+1:] {
				other.take(x.Request)
			}
			if err.Problem.Status == http.StatusUnauthorized {
				err.Challenge = p.challenge
			}
			return nil, err
		}
	}
	return p.next(x)
}

func (p *policy) identify(x *gateway.Exchange, at *place, key string, count int) *gateway.Error {
	if count > 1 {
		return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the API key is given more than once"}
	}
	now := time.Now()
	guess := ""
	if !p.guard.Quiet() {
		guess = x.Origin() + " " + prefix(key)
		if block := p.guard.Blocked(guess, now); block > 0 {
			return &gateway.Error{Problem: gateway.TooManyGuesses, Detail: "too many keys" + prefix(key) + " from this address were wrong", RetryAfter: block}
		}
	}
	app, expired := p.consumers.ByKey(key, now)
	switch {
	case app != nil && guess != "":
		p.guard.Right(guess)
	case app == nil && !expired:
		p.guard.Wrong(x.Origin()+" "+prefix(key), now)
	}
	switch {
	case expired:
		return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the API key has expired", Cause: errors.New("an expired key" + prefix(key))}
	case app == nil:
		return &gateway.Error{Problem: gateway.InvalidCredentials, Detail: "the API key is not accepted", Cause: errors.New("an unknown key" + prefix(key))}
	}
	return x.Recognise(app, at.schemes, nil)
}

// prefix gives the public part of a key for the log; nothing when it has none.
func prefix(key string) string {
	rest, ok := strings.CutPrefix(key, "hr_")
	if !ok || len(rest) <= gateway.KeyPrefixLength || rest[gateway.KeyPrefixLength] != '_' {
		return ""
	}
	return fmt.Sprintf(" with the prefix %q", rest[:gateway.KeyPrefixLength])
}

// take removes the key from the request and returns it, with how many there were.
func (at *place) take(r *http.Request) (key string, count int) {
	if at.query {
		return takeQuery(r, at.name)
	}
	values, ok := r.Header[at.name]
	if !ok {
		return "", 0
	}
	delete(r.Header, at.name)
	if len(values) == 0 {
		return "", 0
	}
	return values[0], len(values)
}
