package system

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/profiles"
	"github.com/headrace/headrace/specs/source"
)

// profiled puts a system's file over the profile that it names. A problem at
// something that came from the profile stands at the profile's file, all others
// at the system's. ok is false when there is no such profile.
func (b *builder) profiled(n source.Node) (merged source.Node, p *profiles.Profile, ok bool) {
	name := n.Get("profile")
	if !name.Exists() || name.Kind() != source.String {
		return n, nil, true // what is wrong with it is reported when it is decoded
	}
	before := b.problems.Len()
	p = profiles.Load(name.Text(), b.problems)
	if p == nil || b.problems.Len() > before {
		if p == nil {
			b.problems.Add(name, fmt.Sprintf("there is no profile %q", name.Text()), source.DidYouMean(name.Text(), profiles.Names()))
		}
		return n, nil, false
	}
	m := merger{file: n, profile: p.System, grafts: &source.Grafts{}}
	return m.merge(), p, true
}

// resolve makes numbers of the formulas of the limits.
func (s *Settings) resolve(p *profiles.Profile, ps *source.Problems) {
	terms := budget.Terms{Facts: s.Facts}
	if p != nil {
		before := ps.Len()
		terms.Facts, terms.Tables = p.Values(s.Node, s.Facts, ps), p.Tables
		if ps.Len() > before {
			return
		}
		for i := range s.Limits {
			l := &s.Limits[i]
			l.Shipped = fromProfile(l.Node) || fromProfile(l.Node.Get("operations")) || fromProfile(l.Node.Get("calls"))
		}
	}
	s.Limits = budget.Resolve(s.Limits, terms, ps)
}

// atHome moves problems out of the profile, which is sound by itself, to what
// brought them up in the system's file: its facts, or that it names the profile.
// Where the file has problems of its own, they are the cause.
func atHome(file source.Node, ps *source.Problems) []source.Problem {
	list := ps.List()
	foreign := func(p source.Problem) bool { return strings.HasPrefix(p.File, profiles.Dir+"/") }
	if own := slices.DeleteFunc(slices.Clone(list), foreign); len(own) > 0 {
		return own
	}
	at := file.Get("facts")
	if !at.Exists() {
		at = file.Get("profile")
	}
	for i := range list {
		p := &list[i]
		p.Wrong = fmt.Sprintf("%s of the profile: %s", p.Path, p.Wrong)
		p.Position, p.Path = at.Position(), at.Path()
	}
	return list
}

func fromProfile(n source.Node) bool { return strings.HasPrefix(n.File(), profiles.Dir+"/") }

// merger makes one document of a system's file and its profile.
type merger struct {
	file, profile source.Node
	grafts        *source.Grafts
}

// lists are the keys whose items of both sides count, those of the file first.
// same tells which item of the profile one of the file takes the place of.
func (m *merger) lists() map[string]func(mine, theirs source.Node) bool {
	never := func(mine, theirs source.Node) bool { return false }
	return map[string]func(mine, theirs source.Node) bool{
		"overload": never,
		"errors":   never,
		"reports": func(mine, theirs source.Node) bool {
			return text(mine, "pool") == text(theirs, "pool") && http.CanonicalHeaderKey(text(mine, "header")) == http.CanonicalHeaderKey(text(theirs, "header"))
		},
		"probes": sameProbe,
	}
}

// sameProbe tells whether two probes make the same call.
func sameProbe(a, b source.Node) bool {
	return text(a, "get") == text(b, "get") && text(a, "call", "method") == text(b, "call", "method") && text(a, "call", "path") == text(b, "call", "path")
}

// idleProbes reports probes that are off and turn none of the profile off.
func (b *builder) idleProbes(s *Settings, p *profiles.Profile) {
	for i := range s.Probes {
		probe := &s.Probes[i]
		if !probe.off() || !probe.Node.Get("every").Exists() {
			continue
		}
		at := probe.Node.At("every")
		if p == nil {
			b.problems.Add(at, "a probe that is off does nothing", "remove it")
		} else if !slices.ContainsFunc(p.System.Get("probes").Items(), func(theirs source.Node) bool { return sameProbe(probe.Node, theirs) }) {
			b.problems.Add(at, fmt.Sprintf("the profile %s has no probe that makes this call", p.Name), "headrace profiles show "+p.Name+" tells its probes")
		}
	}
}

func text(n source.Node, keys ...string) string {
	for _, key := range keys {
		n = n.Get(key)
	}
	return n.Text()
}

func (m *merger) merge() source.Node {
	y := m.file.YAML()
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: y.Line, Column: y.Column}
	lists := m.lists()
	add := func(key, value *yaml.Node) { root.Content = append(root.Content, key, value) }
	for _, f := range m.file.Fields() {
		theirs := m.profile.Get(f.Name)
		value := f.Value.YAML()
		switch same, list := lists[f.Name]; {
		case !theirs.Exists(), f.Value.Kind() != theirs.Kind():
		case f.Name == "limits":
			value = m.limits(f.Value, theirs)
		case list:
			value = m.list(f.Value, theirs, same)
		}
		add(f.Key.YAML(), value)
	}
	for _, f := range m.profile.Fields() {
		if !m.file.Get(f.Name).Exists() {
			m.theirs(f.Key.YAML())
			m.theirs(f.Value.YAML())
			add(f.Key.YAML(), f.Value.YAML())
		}
	}
	return source.Wrap(m.file.File(), root).WithGrafts(m.grafts)
}

// theirs notes that a part of the document stands in the profile's file.
func (m *merger) theirs(y *yaml.Node) *yaml.Node {
	m.grafts.Add(y, m.profile.File())
	return y
}

// list puts the file's items before those of the profile that none of them
// takes the place of.
func (m *merger) list(mine, theirs source.Node, same func(mine, theirs source.Node) bool) *yaml.Node {
	y := mine.YAML()
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: y.Line, Column: y.Column}
	for _, item := range mine.Items() {
		list.Content = append(list.Content, item.YAML())
	}
	for _, item := range theirs.Items() {
		if !slices.ContainsFunc(mine.Items(), func(other source.Node) bool { return same(other, item) }) {
			list.Content = append(list.Content, m.theirs(item.YAML()))
		}
	}
	return list
}

// limits lays the file's limits over those of the profile that have the same
// name, key by key, and keeps the others.
func (m *merger) limits(mine, theirs source.Node) *yaml.Node {
	y := mine.YAML()
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: y.Line, Column: y.Column}
	sameName := func(a, b source.Node) bool { return text(a, "name") == text(b, "name") }
	for _, limit := range mine.Items() {
		value := limit.YAML()
		i := slices.IndexFunc(theirs.Items(), func(other source.Node) bool { return sameName(limit, other) })
		if i >= 0 && limit.Kind() == source.Map {
			value = m.limit(limit, theirs.Items()[i])
		}
		list.Content = append(list.Content, value)
	}
	for _, limit := range theirs.Items() {
		if !slices.ContainsFunc(mine.Items(), func(other source.Node) bool { return sameName(other, limit) }) {
			list.Content = append(list.Content, m.theirs(limit.YAML()))
		}
	}
	return list
}

// replaced are the keys of a limit that another one leaves no sense to.
var replaced = map[string][]string{
	"bucket": {"capacity", "hold", "calendar"}, "capacity": {"bucket"}, "hold": {"calendar"}, "calendar": {"hold"},
}

func (m *merger) limit(mine, theirs source.Node) *yaml.Node {
	y := mine.YAML()
	merged := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: y.Line, Column: y.Column}
	given := map[string]bool{}
	for _, f := range mine.Fields() {
		given[f.Name] = true
		for _, other := range replaced[f.Name] {
			given[other] = true
		}
		merged.Content = append(merged.Content, f.Key.YAML(), f.Value.YAML())
	}
	for _, f := range theirs.Fields() {
		if !given[f.Name] {
			merged.Content = append(merged.Content, m.theirs(f.Key.YAML()), m.theirs(f.Value.YAML()))
		}
	}
	return merged
}
