package schema

import (
	"hash/maphash"
	"strings"
)

// enumRules are the values that enum or const lists.
type enumRules struct {
	// texts are the strings among them; others the rest, each a tape of its own.
	texts  map[string]struct{}
	others []tape
	want   string
}

func (w *walker) checkEnum(r *enumRules, at uint32) bool {
	t := &w.tokens[at]
	if t.kind == text {
		if _, found := r.texts[string(w.tape.text(t, &w.buf))]; found {
			return true
		}
	} else {
		for i := range r.others {
			if w.equal(&r.others[i], 0, at) {
				return true
			}
		}
	}
	if w.quiet {
		return false
	}
	return w.fail(at, "expected "+r.want)
}

// longestEnum is how long the list of values in a message may become.
const longestEnum = 200

// describeEnum says what values are accepted, in the notation of JSON.
func describeEnum(values []string) string {
	if joined := strings.Join(values, ", "); len(joined) > longestEnum {
		shown := 0
		for n := 0; shown < len(values) && n+len(values[shown]) <= longestEnum/2; shown++ {
			n += len(values[shown]) + 2
		}
		if shown == 0 {
			return "one of " + count(len(values), "value that the schema lists", "values that the schema lists")
		}
		return "one of " + strings.Join(values[:shown], ", ") + " and " + count(len(values)-shown, "other", "others")
	}
	if len(values) > 1 {
		return "one of " + strings.Join(values, ", ")
	}
	return strings.Join(values, "")
}

// equal compares a value of another tape (or of this one) with a value of the
// scanned text, as JSON Schema defines it: numbers by value, objects without order.
func (w *walker) equal(other *tape, a, b uint32) bool {
	x, y := &other.tokens[a], &w.tokens[b]
	if x.kind != y.kind || !w.step(1) {
		return false
	}
	switch x.kind {
	case null:
		return true
	case boolean:
		return x.end-x.start == y.end-y.start // true and false differ in length
	case text:
		return string(other.text(x, &w.buf)) == string(w.tape.text(y, &w.buf2))
	case number:
		m, n := other.src[x.start:x.end], w.src[y.start:y.end]
		if string(m) == string(n) {
			return true
		}
		p, q := parseDecimal(m), parseDecimal(n)
		return p.compare(&q) == 0
	}
	if x.size != y.size {
		return false
	}
	if x.kind == array {
		for i, j := a+1, b+1; i < x.next; i, j = other.tokens[i].next, w.tokens[j].next {
			if !w.equal(other, i, j) {
				return false
			}
		}
		return true
	}
	for k := a + 1; k < x.next; k = other.tokens[k+1].next {
		if !w.equalMember(other, k, b) {
			return false
		}
	}
	return true
}

func (w *walker) equalMember(other *tape, key, object uint32) bool {
	name := &other.tokens[key]
	for k := object + 1; k < w.tokens[object].next; k = w.tokens[k+1].next {
		if !w.step(1) {
			return false
		}
		mine := &w.tokens[k]
		if mine.size == name.size && string(other.text(name, &w.buf)) == string(w.tape.text(mine, &w.buf2)) {
			return w.equal(other, key+1, k+1)
		}
	}
	return false
}

// hashValue is equal for equal values.
func (w *walker) hashValue(at uint32) uint64 {
	t := &w.tokens[at]
	h := uint64(t.kind) + 1
	switch t.kind {
	case boolean:
		h = h<<8 + uint64(t.end-t.start)
	case text:
		h ^= maphash.Bytes(w.seed, w.tape.text(t, &w.buf))
	case number:
		d := parseDecimal(w.src[t.start:t.end]).normal()
		h = h*31 + uint64(d.exp)
		if d.neg {
			h++
		}
		h = h*0x9e3779b97f4a7c15 ^ d.mant ^ maphash.Bytes(w.seed, d.long)
	case array:
		for i := at + 1; i < t.next; i = w.tokens[i].next {
			h = h*0x9e3779b97f4a7c15 + w.hashValue(i)
		}
	case object:
		for k := at + 1; k < t.next; k = w.tokens[k+1].next {
			h += uint64(w.tokens[k].size) * 0x9e3779b97f4a7c15 * (w.hashValue(k+1) | 1)
		}
	}
	return h
}
