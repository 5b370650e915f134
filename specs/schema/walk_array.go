package schema

import (
	"fmt"
	"math/bits"
)

// arrayRules are what a schema says about arrays.
type arrayRules struct {
	minItems, maxItems int // maxItems is -1 when there is none
	prefix             []*Schema
	// items applies to all items after prefix; nil when nothing is said.
	items    *Schema
	unique   bool
	contains *Schema
	// minContains and maxContains bound the items that match contains; maxContains is -1 when there is none.
	minContains, maxContains int
}

func (w *walker) checkArray(r *arrayRules, at uint32, marks *marks) bool {
	t := &w.tokens[at]
	n, ok := int(t.size), true
	if n < r.minItems || r.maxItems >= 0 && n > r.maxItems {
		if w.quiet {
			return false
		}
		ok = w.fail(at, fmt.Sprintf("expected %s, found %d", between(r.minItems, r.maxItems, "item", "items"), n))
	}
	if r.prefix != nil || r.items != nil && (!r.items.free || marks != nil) {
		ok = w.checkItems(r, at, marks) && ok
	}
	if r.unique && n > 1 && (ok || !w.quiet) {
		ok = w.checkUnique(at) && ok
	}
	if r.contains != nil && (ok || !w.quiet) {
		ok = w.checkContains(r, at, marks) && ok
	}
	return ok
}

// between words the bounds of a count; high is -1 when there is none.
func between(low, high int, one, many string) string {
	switch {
	case high < 0:
		return "at least " + count(low, one, many)
	case low == high:
		return "exactly " + count(low, one, many)
	case low == 0:
		return "at most " + count(high, one, many)
	}
	return fmt.Sprintf("%d to %d %s", low, high, many)
}

func (w *walker) checkItems(r *arrayRules, at uint32, marks *marks) bool {
	ok := true
	end := w.tokens[at].next
	i := 0
	for t := at + 1; t < end; t = w.tokens[t].next {
		s := r.items
		if i < len(r.prefix) {
			s = r.prefix[i]
		}
		if s != nil {
			if !w.checkItem(s, t, len(r.prefix)) {
				if w.quiet {
					return false
				}
				ok = false
			}
			if marks != nil {
				marks.set(i)
			}
		}
		i++
	}
	return ok
}

func (w *walker) checkItem(s *Schema, at uint32, prefix int) bool {
	if s.never && prefix > 0 && !w.quiet {
		return w.fail(at, fmt.Sprintf("expected at most %s", count(prefix, "item", "items")))
	}
	return w.check(s, at, nil)
}

// fewItems is up to how many items are compared with each other one by one.
const fewItems = 12

func (w *walker) checkUnique(at uint32) bool {
	if w.tokens[at].size > fewItems {
		return w.checkUniqueMany(at)
	}
	ok := true
	end := w.tokens[at].next
	for t := w.tokens[at+1].next; t < end; t = w.tokens[t].next {
		for earlier := at + 1; earlier < t; earlier = w.tokens[earlier].next {
			if w.equal(&w.tape, earlier, t) {
				if w.quiet {
					return false
				}
				ok = w.repeats(t)
				break
			}
		}
	}
	return ok
}

func (w *walker) repeats(at uint32) bool {
	return w.fail(at, "repeats an earlier item; the items must differ")
}

// checkUniqueMany compares the items by hash first, so that the work does not
// grow with the square of their number.
func (w *walker) checkUniqueMany(at uint32) bool {
	size := 1 << bits.Len32(2*w.tokens[at].size)
	slots := make([]uint32, size)
	hashes := make([]uint64, size)
	mask := uint64(size - 1)
	end := w.tokens[at].next
	if !w.step(int(end - at)) {
		return false
	}
	ok := true
	for t := at + 1; t < end; t = w.tokens[t].next {
		h := w.hashValue(t)
		slot := h & mask
		for slots[slot] != 0 {
			if hashes[slot] == h && w.equal(&w.tape, slots[slot], t) {
				if w.quiet {
					return false
				}
				ok = w.repeats(t)
				break
			}
			slot = (slot + 1) & mask
		}
		if slots[slot] == 0 {
			slots[slot], hashes[slot] = t, h
		}
	}
	return ok
}

func (w *walker) checkContains(r *arrayRules, at uint32, marks *marks) bool {
	quiet, matched, i := w.quiet, 0, 0
	w.quiet = true
	end := w.tokens[at].next
	for t := at + 1; t < end; t = w.tokens[t].next {
		if w.check(r.contains, t, nil) {
			matched++
			if marks != nil {
				marks.set(i)
			}
		}
		i++
	}
	w.quiet = quiet
	if matched >= r.minContains && (r.maxContains < 0 || matched <= r.maxContains) {
		return true
	}
	if w.quiet {
		return false
	}
	return w.fail(at, fmt.Sprintf("expected %s of the kind that the array must contain%s, found %d",
		between(r.minContains, r.maxContains, "item", "items"), r.contains.named(), matched))
}

// named is the name of a schema in brackets, if it has one.
func (s *Schema) named() string {
	if s.label == "" {
		return ""
	}
	return " (" + s.label + ")"
}
