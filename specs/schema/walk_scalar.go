package schema

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// textRules are what a schema says about strings.
type textRules struct {
	minLength, maxLength int // maxLength is -1 when there is none
	pattern              *pattern
	format               *format
}

// numberRules are what a schema says about numbers.
type numberRules struct {
	min, max   *bound
	multipleOf *decimal
	multiple   string // as written
	format     *numberFormat
}

// bound is a limit of numbers.
type bound struct {
	decimal
	exclusive bool
	written   string
}

func (w *walker) checkText(r *textRules, at uint32) bool {
	content := w.tape.text(&w.tokens[at], &w.buf)
	ok := true
	if r.minLength > 0 || r.maxLength >= 0 && len(content) > r.maxLength {
		if n := utf8.RuneCount(content); n < r.minLength || r.maxLength >= 0 && n > r.maxLength {
			if w.quiet {
				return false
			}
			ok = w.fail(at, fmt.Sprintf("expected %s, found %d", r.length(), n))
		}
	}
	if r.pattern != nil {
		if !w.quiet || ok {
			ok = w.checkPattern(r.pattern, content, at) && ok
		}
	}
	if r.format != nil && (ok || !w.quiet) && !r.format.valid(content) {
		if w.quiet {
			return false
		}
		ok = w.fail(at, "expected "+r.format.want)
	}
	return ok
}

func (r *textRules) length() string {
	switch {
	case r.maxLength < 0:
		return fmt.Sprintf("at least %s", count(r.minLength, "character", "characters"))
	case r.minLength == r.maxLength:
		return fmt.Sprintf("exactly %s", count(r.minLength, "character", "characters"))
	case r.minLength == 0:
		return fmt.Sprintf("at most %s", count(r.maxLength, "character", "characters"))
	}
	return fmt.Sprintf("%d to %d characters", r.minLength, r.maxLength)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (w *walker) checkPattern(p *pattern, content []byte, at uint32) bool {
	matched, err := w.match(p, content)
	switch {
	case matched:
		return true
	case err != nil:
		return w.undecided(p, at)
	case w.quiet:
		return false
	}
	return w.fail(at, "expected a string that matches the pattern "+p.written)
}

func (w *walker) undecided(p *pattern, at uint32) bool {
	if w.quiet {
		return false
	}
	return w.fail(at, "could not be compared with the pattern "+p.written+" in time")
}

// match compares with a pattern. Backtracking ones may take a bounded time
// for a whole text, however many strings it has.
func (w *walker) match(p *pattern, content []byte) (bool, error) {
	if p.back == nil {
		return p.match(content), nil
	}
	start := time.Now()
	matched, err := p.back.MatchRunes([]rune(string(content)))
	if w.backtracked += time.Since(start); w.backtracked > backtrackBudget {
		w.spent = true
	}
	return matched, err
}

func (w *walker) checkNumber(r *numberRules, at uint32) bool {
	t := &w.tokens[at]
	d := parseDecimal(w.src[t.start:t.end])
	ok := true
	if r.min != nil {
		if c := d.compare(&r.min.decimal); c < 0 || c == 0 && r.min.exclusive {
			ok = w.outside(at, r.min, "at least ", "more than ")
		}
	}
	if r.max != nil {
		if c := d.compare(&r.max.decimal); c > 0 || c == 0 && r.max.exclusive {
			ok = w.outside(at, r.max, "at most ", "less than ")
		}
	}
	if r.multipleOf != nil && !d.multipleOf(r.multipleOf) {
		if w.quiet {
			return false
		}
		ok = w.fail(at, "expected a multiple of "+r.multiple)
	}
	if r.format != nil && !r.format.holds(&d) {
		if w.quiet {
			return false
		}
		ok = w.fail(at, "expected "+r.format.want)
	}
	return ok
}

func (w *walker) outside(at uint32, b *bound, inclusive, exclusive string) bool {
	if w.quiet {
		return false
	}
	if b.exclusive {
		return w.fail(at, "expected "+exclusive+b.written)
	}
	return w.fail(at, "expected "+inclusive+b.written)
}

// numberFormat is a range that a format of numbers stands for.
type numberFormat struct {
	whole    bool
	min, max decimal
	want     string
}

func (f *numberFormat) holds(d *decimal) bool {
	return (!f.whole || d.integer()) && d.compare(&f.min) >= 0 && d.compare(&f.max) <= 0
}
