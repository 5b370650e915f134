package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// placeRules apply further schemas to the same value.
type placeRules struct {
	all             []*Schema
	any, one        *alternatives
	not             *Schema
	when            *Schema // if
	then, otherwise *Schema // nil when absent
}

// alternatives are the schemas of anyOf or oneOf.
type alternatives struct {
	list          []*Schema
	discriminator *discriminator
}

// discriminator picks an alternative by a property of the value.
type discriminator struct {
	property string
	hash     uint32
	choices  map[string]*Schema
	want     string
}

// unseenRules apply to what nothing else has evaluated.
type unseenRules struct {
	items, properties *Schema // nil when absent
}

func (w *walker) checkPlace(p *placeRules, at uint32, marks *marks) bool {
	ok := true
	for _, s := range p.all {
		if !w.check(s, at, marks) {
			if w.quiet {
				return false
			}
			ok = false
		}
	}
	if p.any != nil && (ok || !w.quiet) {
		ok = w.checkAny(p.any, at, marks) && ok
	}
	if p.one != nil && (ok || !w.quiet) {
		ok = w.checkOne(p.one, at, marks) && ok
	}
	if p.not != nil && (ok || !w.quiet) && w.matches(p.not, at, nil) {
		ok = w.fail(at, "expected a value that does not match what the schema excludes"+p.not.named())
	}
	if p.when != nil && (ok || !w.quiet) {
		ok = w.checkWhen(p, at, marks) && ok
	}
	return ok
}

// matches gives the verdict of a schema without noting violations.
func (w *walker) matches(s *Schema, at uint32, marks *marks) bool {
	quiet := w.quiet
	w.quiet = true
	ok := w.check(s, at, marks)
	w.quiet = quiet
	return ok
}

func (w *walker) checkWhen(p *placeRules, at uint32, marks *marks) bool {
	fork := marks.fork()
	next := p.otherwise
	if w.matches(p.when, at, fork) {
		marks.join(fork)
		next = p.then
	}
	return next == nil || w.check(next, at, marks)
}

func (w *walker) checkAny(a *alternatives, at uint32, marks *marks) bool {
	if s, decided := w.choose(a, at); decided {
		return s != nil && w.check(s, at, marks)
	}
	matched := false
	for _, s := range a.list {
		fork := marks.fork()
		if !w.matches(s, at, fork) {
			continue
		}
		if marks == nil {
			return true
		}
		marks.join(fork)
		matched = true
	}
	return matched || w.noneMatched(a, at)
}

func (w *walker) checkOne(a *alternatives, at uint32, marks *marks) bool {
	if s, decided := w.choose(a, at); decided {
		return s != nil && w.check(s, at, marks)
	}
	first := -1
	for i, s := range a.list {
		fork := marks.fork()
		if !w.matches(s, at, fork) {
			continue
		}
		if first >= 0 {
			if w.quiet {
				return false
			}
			return w.fail(at, fmt.Sprintf("matches more than one alternative (%s and %s); exactly one must match", a.name(first), a.name(i)))
		}
		first = i
		marks.join(fork)
	}
	return first >= 0 || w.noneMatched(a, at)
}

// choose picks the alternative that the discriminator names. It is undecided
// where there is none, or where the value is no object; a decision for nil has
// been reported.
func (w *walker) choose(a *alternatives, at uint32) (s *Schema, decided bool) {
	d := a.discriminator
	if d == nil || w.tokens[at].kind != object {
		return nil, false
	}
	value := w.member(at, d.hash, d.property)
	switch {
	case value == 0:
		if !w.quiet {
			w.fail(at, fmt.Sprintf("the property %q, which tells the kind of the object, is missing; expected %s", d.property, d.want))
		}
		return nil, true
	case w.tokens[value].kind == text:
		s = d.choices[string(w.tape.text(&w.tokens[value], &w.buf))]
	}
	if s == nil && !w.quiet {
		w.fail(value, "expected "+d.want)
	}
	return s, true
}

func (a *alternatives) name(i int) string {
	if label := a.list[i].label; label != "" {
		return label
	}
	return "number " + strconv.Itoa(i+1)
}

// noneMatched reports that no alternative matched, and what keeps the nearest
// one from matching: the one with the fewest faults among those whose type is right.
func (w *walker) noneMatched(a *alternatives, at uint32) bool {
	if w.quiet {
		return false
	}
	before, best, nearest := w.found, []Violation(nil), -1
	shallow := make([]string, 0, len(a.list))
	for i, s := range a.list {
		w.found = nil
		w.check(s, at, nil)
		found := w.found
		if w.refusesKind(s, at) {
			if len(found) > 0 {
				shallow = append(shallow, strings.TrimPrefix(found[0].Detail, "expected "))
			}
			continue
		}
		if nearest < 0 || len(found) < len(best) {
			best, nearest = found, i
		}
	}
	w.found = before
	if nearest < 0 {
		return w.wrongKind(a, at, shallow)
	}
	if len(a.list)-len(shallow) > 1 {
		w.fail(at, fmt.Sprintf("matches none of %d alternatives; the nearest is %s", len(a.list), a.name(nearest)))
	}
	for _, v := range best {
		if len(w.found) < MaxViolations {
			w.found = append(w.found, v)
		}
	}
	return false
}

// refusesKind tells whether a schema accepts no value of this type at all.
func (w *walker) refusesKind(s *Schema, at uint32) bool {
	accepted := s.accepts()
	t := &w.tokens[at]
	if accepted&typesByKind[t.kind] != 0 {
		return false
	}
	return t.kind != number || accepted&typeInteger == 0
}

func (w *walker) wrongKind(a *alternatives, at uint32, details []string) bool {
	var accepted types
	for _, s := range a.list {
		accepted |= s.accepts()
	}
	if accepted != 0 {
		return w.fail(at, "expected "+accepted.String()+", found "+kindNames[w.tokens[at].kind])
	}
	return w.fail(at, "matches none of the alternatives: "+strings.Join(details, "; "))
}

// checkUnseen applies unevaluatedItems and unevaluatedProperties, and marks
// all that they cover.
func (w *walker) checkUnseen(u *unseenRules, at uint32, seen *marks) bool {
	t := &w.tokens[at]
	ok, i := true, 0
	switch {
	case t.kind == array && u.items != nil:
		for item := at + 1; item < t.next; item = w.tokens[item].next {
			if !seen.has(i) {
				if !w.checkLeft(u.items, item, item, "no further item is accepted") {
					ok = false
				}
				seen.set(i)
			}
			i++
		}
	case t.kind == object && u.properties != nil:
		for key := at + 1; key < t.next; key = w.tokens[key+1].next {
			if !seen.has(i) {
				if !w.checkLeft(u.properties, key+1, key, "there is no such property") {
					ok = false
				}
				seen.set(i)
			}
			i++
		}
	}
	return ok
}

func (w *walker) checkLeft(s *Schema, value, report uint32, detail string) bool {
	if s.never {
		return w.fail(report, detail)
	}
	return w.check(s, value, nil)
}
