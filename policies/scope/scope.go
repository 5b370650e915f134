package scope

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// Settings are empty: the document says what is demanded.
type Settings struct{}

// Kind describes the policy; identify are the kinds that identify callers.
func Kind(identify []gateway.Kind) gateway.Kind {
	return gateway.Define(gateway.Kind{
		Name: "scope", Stage: gateway.StageAuthorise, Levels: gateway.LevelAPI, Default: true, Mandatory: true,
		Doc: "Lets callers through that meet the document's security: schemes and scopes. It is always at work.",
	}, func(b *gateway.Binding, _ Settings) gateway.Policy { return compile(b, identify) })
}

// alternative is a requirement, ready to be compared.
type alternative struct {
	schemes uint32
	scopes  []string
}

type policy struct {
	alternatives []alternative
	// challenge names the ways to be identified; bearer the way to get scopes.
	challenge, bearer string
	// names says in words what identifies a caller.
	names string
	next  gateway.Handler
}

func compile(b *gateway.Binding, identify []gateway.Kind) gateway.Policy {
	at := slices.DeleteFunc(slices.Clone(identify), func(k gateway.Kind) bool { return !b.Has(k) })
	security := b.Operation.Security
	public := security != nil && len(security) == 0
	if public || security == nil && len(at) == 0 {
		return nil
	}
	p := &policy{bearer: fmt.Sprintf("Bearer realm=%q", b.Realm()), challenge: b.Challenges(identify)}
	var names []string
	for _, k := range at {
		names = append(names, k.Name)
	}
	p.names = strings.Join(names, " or ")
	for _, requirement := range security {
		p.alternatives = append(p.alternatives, compileRequirement(b, requirement, identify))
	}
	return func(next gateway.Handler) gateway.Handler {
		p.next = next
		return p.handle
	}
}

func compileRequirement(b *gateway.Binding, requirement specs.Requirement, identify []gateway.Kind) alternative {
	var a alternative
	for _, use := range requirement {
		a.schemes |= use.Scheme.Bit
		checkScheme(b, use, identify)
		for _, s := range use.Scopes {
			if !slices.Contains(a.scopes, s) {
				a.scopes = append(a.scopes, s)
			}
		}
	}
	return a
}

// checkScheme reports a use of a scheme that no caller could ever meet.
func checkScheme(b *gateway.Binding, use specs.SchemeUse, identify []gateway.Kind) {
	s := use.Scheme
	var able []string
	met := false
	for _, k := range identify {
		if k.Satisfies != nil && k.Satisfies(s) {
			able = append(able, k.Name)
			met = met || b.Has(k)
		}
	}
	at := b.Operation.SecurityNode
	if !at.Exists() {
		at = b.Operation.Node
	}
	if !met {
		right := "replace it by an API key in a header or the query, a bearer token or a client certificate; an overlay has to remove $.security first, because update appends to lists"
		if len(able) > 0 {
			right = "configure " + strings.Join(able, " or ") + " in x-headrace.policies"
		}
		b.Problems.Add(at, fmt.Sprintf("the security scheme %q (%s) is required but no configured policy establishes it", s.Name, describe(s)), right)
	}
	if carriesScopes := s.Type == "oauth2" || s.Type == "openIdConnect" || s.Type == "http" && s.HTTPScheme == "bearer"; !carriesScopes && len(use.Scopes) > 0 {
		b.Problems.Add(at, fmt.Sprintf("scopes are required of the security scheme %q (%s), which carries none", s.Name, describe(s)), "leave its list empty, or require a token")
	}
}

func describe(s *specs.SecurityScheme) string {
	switch s.Type {
	case "apiKey":
		return fmt.Sprintf("API key in the %s %s", s.In, s.Param)
	case "http":
		return "HTTP " + s.HTTPScheme
	}
	return s.Type
}

func (p *policy) handle(x *gateway.Exchange) (*gateway.Response, error) {
	if len(p.alternatives) == 0 { // the document demands nothing, but policies identify
		if x.App == nil {
			return nil, p.unknown("the operation is for known apps only")
		}
		return p.next(x)
	}
	var lacking []string
	schemes := false // the schemes of some alternative are met
	for i := range p.alternatives {
		a := &p.alternatives[i]
		if x.Identified&a.schemes != a.schemes {
			continue
		}
		missing := a.missing(x.Scopes)
		if len(missing) == 0 {
			return p.next(x)
		}
		if !schemes || len(missing) < len(lacking) {
			schemes, lacking = true, missing
		}
	}
	switch {
	case schemes:
		return nil, p.insufficient(lacking)
	case x.App != nil:
		return nil, p.unknown("the operation demands other credentials than those given")
	}
	return nil, p.unknown("the operation is for known apps only")
}

func (a *alternative) missing(scopes []string) []string {
	var missing []string
	for _, s := range a.scopes {
		if !slices.Contains(scopes, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

func (p *policy) unknown(detail string) error {
	if p.names != "" {
		detail += "; it accepts: " + p.names
	}
	return &gateway.Error{Problem: gateway.Unauthenticated, Detail: detail, Challenge: p.challenge}
}

func (p *policy) insufficient(missing []string) error {
	challenge := p.bearer + `, error="insufficient_scope"`
	if list := strings.Join(missing, " "); quotable(list) {
		challenge += `, scope="` + list + `"`
	}
	return &gateway.Error{Problem: gateway.InsufficientScope, Detail: "the credentials lack " + strings.Join(missing, ", "), Challenge: challenge}
}

// quotable tells whether scopes keep to the characters of RFC 6749, section 3.3.
func quotable(list string) bool {
	for i := range len(list) {
		if c := list[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
