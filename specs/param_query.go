package specs

import (
	"slices"
	"strings"

	"github.com/headrace/headrace/specs/schema"
)

// queryPair is one name and value of a query string. The value is as it was
// written, since delimiters in it may be escaped.
type queryPair struct{ name, value string }

// splitQuery appends the pairs of a query string; ok is false when a name is
// not well-formed.
func splitQuery(pairs []queryPair, raw string) (_ []queryPair, ok bool) {
	for raw != "" {
		var piece string
		piece, raw, _ = strings.Cut(raw, "&")
		if piece == "" {
			continue
		}
		name, value, _ := strings.Cut(piece, "=")
		if name, ok = queryUnescape(name); !ok {
			return pairs, false
		}
		pairs = append(pairs, queryPair{name, value})
	}
	return pairs, true
}

// checkQuery checks the parameters of a query string, which is split once.
func (rc *requestChecker) checkQuery(list []Violation, raw string, opts CheckOptions) []Violation {
	if raw == "" {
		for _, p := range rc.query {
			if p.required {
				list = append(list, p.missing())
			}
		}
		return list
	}
	if rc.query == nil && !opts.StrictQuery {
		return list
	}
	var few [16]queryPair
	pairs, ok := splitQuery(few[:0], raw)
	if !ok {
		return append(list, Violation{In: "query", Detail: malformedEscape})
	}
	if opts.Seen != nil {
		rc.seeQuery(pairs, opts.Seen)
	}
	for _, p := range rc.query {
		list = p.checkPairs(list, pairs, rc)
	}
	if opts.StrictQuery {
		list = rc.unknownQuery(list, pairs)
	}
	return list
}

// checkPairs checks one parameter of the query.
func (p *paramChecker) checkPairs(list []Violation, pairs []queryPair, rc *requestChecker) []Violation {
	var one [1]string
	values := one[:0]
	for i := range pairs {
		if pairs[i].name == p.name {
			values = append(values, pairs[i].value)
		}
	}
	if len(values) > 0 && p.style != deepObject && !p.spread() {
		return p.violations(list, p.check(values, queryUnescape))
	}
	if found, present := p.checkSpread(pairs, values, rc); present {
		return p.violations(list, found)
	}
	if p.required {
		list = append(list, p.missing())
	}
	return list
}

// spread tells whether the members of an object may stand as parameters of their own.
func (p *paramChecker) spread() bool {
	return p.explode && p.style == formStyle && slices.Contains(p.forms, objectForm)
}

// checkSpread checks a value that may be spread over several names.
func (p *paramChecker) checkSpread(pairs []queryPair, values []string, rc *requestChecker) (found []schema.Violation, present bool) {
	var tree *branch
	switch {
	case p.style == deepObject:
		if tree = p.deep(pairs); tree == nil && len(values) > 0 {
			return wrong("expected the members as %s[name]=value", p.name), true
		}
	case p.spread():
		tree = p.gather(pairs, rc)
	}
	if tree == nil {
		if len(values) > 0 {
			return p.check(values, queryUnescape), true
		}
		return nil, false
	}
	if tree.fault != "" {
		return wrong("%s", tree.fault), true
	}
	return p.try(func(f form) []schema.Violation {
		if f == objectForm {
			return p.checkBuilt(tree.append(nil, p.schema))
		}
		if len(values) == 0 {
			return wrong("expected a value, found the members of an object")
		}
		return p.check(values, queryUnescape)
	}), true
}

// gather collects the members of an object from the pairs that other
// parameters do not claim.
func (p *paramChecker) gather(pairs []queryPair, rc *requestChecker) *branch {
	var tree *branch
	for _, pair := range pairs {
		if pair.name == p.name && !slices.Contains(p.properties, pair.name) ||
			!slices.Contains(p.properties, pair.name) && (!p.open || rc.declares(pair.name)) {
			continue
		}
		if tree == nil {
			tree = &branch{}
		}
		tree.put([]string{pair.name}, pair.value)
	}
	return tree
}

// deep collects the members of an object that are written as name[member]=value.
func (p *paramChecker) deep(pairs []queryPair) *branch {
	var tree *branch
	for _, pair := range pairs {
		path, ok := brackets(pair.name, p.name)
		if !ok {
			continue
		}
		if tree == nil {
			tree = &branch{}
		}
		tree.put(path, pair.value)
	}
	return tree
}

// maxBrackets bounds the depth of an object in a query string.
const maxBrackets = 8

// brackets takes name[a][b] apart.
func brackets(full, name string) (path []string, ok bool) {
	rest, ok := strings.CutPrefix(full, name)
	if !ok || rest == "" || rest[0] != '[' {
		return nil, false
	}
	for rest != "" {
		end := strings.IndexByte(rest, ']')
		if rest[0] != '[' || end < 0 || len(path) == maxBrackets {
			return nil, false
		}
		path = append(path, rest[1:end])
		rest = rest[end+1:]
	}
	return path, true
}

// branch is an object, or a list of texts, that is put together from pairs.
type branch struct {
	names    []string
	children map[string]*branch
	texts    []string
	fault    string
}

func (b *branch) put(path []string, raw string) {
	text, ok := queryUnescape(raw)
	if !ok {
		b.fault = malformedEscape
		return
	}
	at := b
	for _, name := range path {
		if name == "" { // name[]=value adds to a list
			break
		}
		if at.texts != nil {
			b.fault = mixedMember
			return
		}
		next := at.children[name]
		if next == nil {
			next = &branch{}
			if at.children == nil {
				at.children = map[string]*branch{}
			}
			at.children[name] = next
			at.names = append(at.names, name)
		}
		at = next
	}
	at.texts = append(at.texts, text)
	if at.children != nil || at == b {
		b.fault = mixedMember
	}
}

const mixedMember = "a member is both a value and an object"

// append writes the object as JSON.
func (b *branch) append(json []byte, s *schema.Schema) []byte {
	m := newMembers(json, s)
	for _, name := range b.names {
		child := b.children[name]
		if child.children == nil {
			m.addList(name, child.texts)
			continue
		}
		m.key(name)
		m.json = child.append(m.json, m.property(name))
	}
	return m.end()
}

// declares tells whether a name belongs to a parameter of its own.
func (rc *requestChecker) declares(name string) bool {
	return slices.ContainsFunc(rc.query, func(p *paramChecker) bool { return p.name == name && !p.spread() })
}

func (rc *requestChecker) unknownQuery(list []Violation, pairs []queryPair) []Violation {
	for i, pair := range pairs {
		if rc.claims(pair.name) || slices.ContainsFunc(pairs[:i], func(q queryPair) bool { return q.name == pair.name }) {
			continue
		}
		list = append(list, Violation{In: "query", Name: pair.name, Detail: "there is no such parameter" + rc.knownQuery})
		if len(list) >= schema.MaxViolations {
			break
		}
	}
	return list
}

// claims tells whether some parameter, or a credential, has this name.
func (rc *requestChecker) claims(name string) bool {
	if slices.Contains(rc.credentials, name) {
		return true
	}
	for _, p := range rc.query {
		switch {
		case p.style == deepObject:
			if _, ok := brackets(name, p.name); ok {
				return true
			}
		case p.spread() && (p.open || slices.Contains(p.properties, name)):
			return true
		}
		if p.name == name {
			return true
		}
	}
	return false
}
