package schema

import (
	"regexp/syntax"
	"unicode/utf8"
)

// runs is an anchored pattern that is a sequence of repeated character
// classes, such as ^[A-Z]{3}-[0-9]{1,10}$: what most schemas ask for. A run
// takes all that it can; compileRuns sees to it that this never takes what a
// later one needs.
type runs []run

type run struct {
	// ascii holds the characters below 128.
	ascii [2]uint64
	// ranges holds the others, as pairs of bounds.
	ranges   []rune
	min, max int // max is -1 when there is none
}

// compileRuns gives nil for a pattern of another form.
func compileRuns(expr string) runs {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	if re.Op != syntax.OpConcat || len(re.Sub) < 2 ||
		re.Sub[0].Op != syntax.OpBeginText || re.Sub[len(re.Sub)-1].Op != syntax.OpEndText {
		return nil
	}
	list := runs{}
	for _, sub := range re.Sub[1 : len(re.Sub)-1] {
		if list = list.add(sub, 1, 1); list == nil {
			return nil
		}
	}
	for i := 0; i+1 < len(list); i++ {
		if list[i].min != list[i].max && list[i].meets(list[i+1:]) {
			return nil
		}
	}
	return list
}

// add appends what one part of the expression asks for; nil when it is no run.
func (l runs) add(re *syntax.Regexp, low, high int) runs {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 || (low != 1 || high != 1) && len(re.Rune) > 1 {
			return nil
		}
		for _, r := range re.Rune {
			l = append(l, newRun([]rune{r, r}, low, high))
		}
		return l
	case syntax.OpCharClass:
		return append(l, newRun(re.Rune, low, high))
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		if low != 1 || high != 1 {
			return nil
		}
		switch re.Op {
		case syntax.OpStar:
			low, high = 0, -1
		case syntax.OpPlus:
			high = -1
		case syntax.OpQuest:
			low = 0
		default:
			low, high = re.Min, re.Max
		}
		return l.add(re.Sub[0], low, high)
	}
	return nil
}

func newRun(ranges []rune, low, high int) run {
	r := run{min: low, max: high}
	for i := 0; i+1 < len(ranges); i += 2 {
		first, last := ranges[i], ranges[i+1]
		for c := first; c <= min(last, 127); c++ {
			r.ascii[c>>6] |= 1 << (c & 63)
		}
		if last > 127 {
			r.ranges = append(r.ranges, max(first, 128), last)
		}
	}
	return r
}

func (r *run) has(c rune) bool {
	if c < 128 {
		return r.ascii[c>>6]&(1<<(c&63)) != 0
	}
	for i := 0; i+1 < len(r.ranges); i += 2 {
		if c >= r.ranges[i] && c <= r.ranges[i+1] {
			return true
		}
	}
	return false
}

// meets tells whether a character of r may also begin what follows it.
func (r *run) meets(next runs) bool {
	for i := range next {
		n := &next[i]
		if r.ascii[0]&n.ascii[0] != 0 || r.ascii[1]&n.ascii[1] != 0 {
			return true
		}
		for j := 0; j+1 < len(r.ranges); j += 2 {
			for k := 0; k+1 < len(n.ranges); k += 2 {
				if r.ranges[j] <= n.ranges[k+1] && n.ranges[k] <= r.ranges[j+1] {
					return true
				}
			}
		}
		if n.min > 0 {
			return false
		}
	}
	return false
}

func (l runs) match(content []byte) bool {
	for i := range l {
		r, n := &l[i], 0
		for len(content) > 0 && n != r.max {
			size := 1
			if c := content[0]; c < 128 {
				if r.ascii[c>>6]&(1<<(c&63)) == 0 {
					break
				}
			} else {
				var wide rune
				if wide, size = utf8.DecodeRune(content); !r.has(wide) {
					break
				}
			}
			content = content[size:]
			n++
		}
		if n < r.min {
			return false
		}
	}
	return len(content) == 0
}
