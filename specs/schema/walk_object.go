package schema

import (
	"fmt"
	"strconv"
)

// objectRules are what a schema says about objects.
type objectRules struct {
	properties properties
	patterns   []patternProperty
	// extra applies to members that neither properties nor patterns name; nil
	// when nothing is said.
	extra         *Schema
	names         *Schema
	minimum       int
	maximum       int // -1 when there is none
	dependents    []dependent
	requiredCount [3]int // by direction
}

type patternProperty struct {
	pattern *pattern
	schema  *Schema
}

// dependent is what the presence of a property demands.
type dependent struct {
	name     string
	hash     uint32
	required []string
	schema   *Schema // nil when there is none
}

// properties finds what is said about a property by the hash of its name.
type properties struct {
	slots []uint32 // index in list plus 1
	mask  uint32
	list  []property
}

type property struct {
	name string
	hash uint32
	// schema is nil for a name that is only required, not declared.
	schema *Schema
	// required and barred tell by direction.
	required, barred [3]bool
}

// index makes the table; list must not change afterwards.
func (p *properties) index() {
	size := 4
	for size < 2*len(p.list) {
		size *= 2
	}
	p.slots, p.mask = make([]uint32, size), uint32(size-1)
	for i := range p.list {
		slot := p.list[i].hash & p.mask
		for p.slots[slot] != 0 {
			slot = (slot + 1) & p.mask
		}
		p.slots[slot] = uint32(i + 1)
	}
}

// find is nil for a name that is not in the list.
func (p *properties) find(w *walker, key *token) *property {
	if i := p.position(w, key); i >= 0 {
		return &p.list[i]
	}
	return nil
}

// position is -1 for a name that is not in the list.
func (p *properties) position(w *walker, key *token) int {
	if p.slots == nil {
		return -1
	}
	for slot := key.size & p.mask; p.slots[slot] != 0; slot = (slot + 1) & p.mask {
		i := int(p.slots[slot]) - 1
		if prop := &p.list[i]; prop.hash == key.size && prop.name == string(w.tape.text(key, &w.buf)) {
			return i
		}
	}
	return -1
}

func (w *walker) checkObject(r *objectRules, at uint32, marks *marks) bool {
	t := &w.tokens[at]
	ok, required := true, 0
	if n := int(t.size); n < r.minimum || r.maximum >= 0 && n > r.maximum {
		if w.quiet {
			return false
		}
		ok = w.fail(at, fmt.Sprintf("expected %s, found %d", between(r.minimum, r.maximum, "property", "properties"), n))
	}
	// open objects need no look at members that properties does not name.
	open := r.patterns == nil && r.names == nil && marks == nil && (r.extra == nil || r.extra.free)
	i := 0
	for key := at + 1; key < t.next; key = w.tokens[key+1].next {
		p := r.properties.find(w, &w.tokens[key])
		if p != nil && p.required[w.dir] {
			required++
		}
		good := true
		switch {
		case p == nil && open:
		case p != nil && p.schema != nil && p.barred[w.dir]:
			good = w.barred(key)
		case p != nil && p.schema != nil && open:
			good = w.check(p.schema, key+1, nil)
		default:
			good = w.checkMember(r, p, key, marks, i)
		}
		if !good {
			if w.quiet {
				return false
			}
			ok = false
		}
		i++
	}
	if required < r.requiredCount[w.dir] {
		ok = w.missing(r, at)
	}
	if r.dependents != nil && (ok || !w.quiet) {
		ok = w.checkDependents(r, at, marks) && ok
	}
	return ok
}

// checkMember applies all that may concern one member, the i-th of its object.
func (w *walker) checkMember(r *objectRules, p *property, key uint32, marks *marks, i int) bool {
	ok, known := true, false
	if r.names != nil {
		ok = w.checkName(r.names, key)
	}
	if p != nil && p.schema != nil {
		known = true
		ok = w.check(p.schema, key+1, nil) && ok
	}
	for _, pp := range r.patterns {
		if !ok && w.quiet {
			return false
		}
		if matched, err := w.match(pp.pattern, w.tape.text(&w.tokens[key], &w.buf)); matched {
			known = true
			ok = w.check(pp.schema, key+1, nil) && ok
		} else if err != nil {
			ok = w.undecided(pp.pattern, key)
		}
	}
	if !known && r.extra != nil {
		known = true
		if r.extra.never {
			ok = w.unknown(r, key)
		} else {
			ok = w.check(r.extra, key+1, nil) && ok
		}
	}
	if known && marks != nil {
		marks.set(i)
	}
	return ok
}

func (w *walker) checkName(s *Schema, key uint32) bool {
	before := len(w.found)
	if w.check(s, key, nil) {
		return true
	}
	for i := before; i < len(w.found); i++ {
		w.found[i].Detail = "the name of the property is wrong: " + w.found[i].Detail
	}
	return false
}

func (w *walker) barred(key uint32) bool {
	if w.quiet {
		return false
	}
	if w.dir == Response {
		return w.fail(key, "the property is write-only: it must not be in a response")
	}
	return w.fail(key, "the property is read-only: leave it out of the request")
}

func (w *walker) unknown(r *objectRules, key uint32) bool {
	if w.quiet {
		return false
	}
	var known []string
	for _, p := range r.properties.list {
		if p.schema != nil && !p.barred[w.dir] {
			known = append(known, strconv.Quote(p.name))
		}
	}
	if len(known) == 0 {
		return w.fail(key, "no property is accepted here")
	}
	return w.fail(key, "there is no such property; expected "+describeEnum(known))
}

func (w *walker) missing(r *objectRules, at uint32) bool {
	if w.quiet {
		return false
	}
	for i := range r.properties.list {
		if p := &r.properties.list[i]; p.required[w.dir] && w.member(at, p.hash, p.name) == 0 {
			w.fail(at, "the required property "+strconv.Quote(p.name)+" is missing")
		}
	}
	return false
}

// member finds the value of a property; 0 when there is none.
func (w *walker) member(at, hash uint32, name string) uint32 {
	if w.tokens[at].kind != object {
		return 0
	}
	for key := at + 1; key < w.tokens[at].next; key = w.tokens[key+1].next {
		if t := &w.tokens[key]; t.size == hash && name == string(w.tape.text(t, &w.buf)) {
			return key + 1
		}
	}
	return 0
}

func (w *walker) checkDependents(r *objectRules, at uint32, marks *marks) bool {
	ok := true
	for i := range r.dependents {
		d := &r.dependents[i]
		if w.member(at, d.hash, d.name) == 0 {
			continue
		}
		for _, name := range d.required {
			if w.member(at, w.shared.hash(name), name) != 0 {
				continue
			}
			if w.quiet {
				return false
			}
			ok = w.fail(at, fmt.Sprintf("the property %q is missing; it is required together with %q", name, d.name))
		}
		if d.schema != nil && !w.check(d.schema, at, marks) {
			if w.quiet {
				return false
			}
			ok = false
		}
	}
	return ok
}
