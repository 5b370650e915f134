package portal

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/headrace/headrace/specs"
)

// terms are the words of an API's document, each with where it stands. They are
// made once of each document, and kept while it is served.
type terms struct {
	words map[string][]spot
}

// spot is a place of an API where a word stands: the API itself, an operation, or
// a field of an operation's request.
type spot struct {
	operation int16 // -1 for the API itself
	field     int16 // -1 for the operation itself
	weight    int16
}

// index finds words over all APIs. Its spots are numbered: an API, its operations,
// and after each its fields.
type index struct {
	spots []numbered
	words []string // sorted
	hits  [][]hit  // of each word
}

// numbered is a spot of the index.
type numbered struct {
	api       *api
	operation int16 // -1 for the API itself
	field     int16 // -1 for the operation itself
	above     [2]int32
}

// hit is a spot that has a word.
type hit struct {
	spot   int32
	weight int16
}

// found is a result of a search.
type found struct {
	API       *api
	Operation *operation // nil: the API itself
	Field     string     // empty: the operation itself
}

const (
	mostResults = 60
	mostWords   = 8
)

// split takes the words out of a text: createOrder gives createorder, create, order.
func split(text string) []string {
	var list []string
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		whole := strings.ToLower(part)
		list = append(list, whole)
		begin := 0
		runes := []rune(part)
		for i := 1; i < len(runes); i++ {
			if unicode.IsUpper(runes[i]) && unicode.IsLower(runes[i-1]) {
				list, begin = append(list, strings.ToLower(string(runes[begin:i]))), i
			}
		}
		if begin > 0 {
			list = append(list, strings.ToLower(string(runes[begin:])))
		}
	}
	return list
}

func newTerms(d *specs.Document) *terms {
	t := &terms{words: map[string][]spot{}}
	t.add(d.Name+" "+d.Title, spot{-1, -1, 8})
	t.add(d.Governance.Domain+" "+d.Governance.Owner, spot{-1, -1, 4})
	t.add(d.Description, spot{-1, -1, 2})
	for i, o := range d.Operations {
		t.add(o.ID+" "+o.Summary, spot{int16(i), -1, 5})
		t.add(o.Path, spot{int16(i), -1, 3})
		for j, field := range o.Fields() {
			t.add(field, spot{int16(i), int16(j), 1})
		}
	}
	return t
}

// add notes each word of a text once for a spot.
func (t *terms) add(text string, at spot) {
	for _, word := range split(text) {
		list := t.words[word]
		if len(list) == 0 || list[len(list)-1] != at {
			t.words[word] = append(list, at)
		}
	}
}

// search makes the index. known are the terms of the catalogue before; those of
// this one are returned.
func (c *catalogue) search(known map[*specs.Document]*terms) map[*specs.Document]*terms {
	all, now := map[string][]hit{}, map[*specs.Document]*terms{}
	x := &index{}
	for _, a := range c.apis {
		t := known[a.document]
		if t == nil {
			t = newTerms(a.document)
		}
		now[a.document] = t
		first := x.number(a)
		for word, spots := range t.words {
			for _, s := range spots {
				at := first[0]
				if s.operation >= 0 {
					at = first[1+s.operation] + 1 + int32(s.field)
				}
				all[word] = append(all[word], hit{at, s.weight})
			}
		}
	}
	x.words = slices.Sorted(maps.Keys(all))
	for _, word := range x.words {
		x.hits = append(x.hits, all[word])
	}
	c.index = x
	return now
}

// number adds the spots of an API, and returns the numbers of the API itself and of
// each operation.
func (x *index) number(a *api) []int32 {
	own := int32(len(x.spots))
	numbers := []int32{own}
	x.spots = append(x.spots, numbered{a, -1, -1, [2]int32{own, own}})
	for i, o := range a.Operations {
		operation := int32(len(x.spots))
		numbers = append(numbers, operation)
		x.spots = append(x.spots, numbered{a, int16(i), -1, [2]int32{own, own}})
		for j := range o.spec.Fields() {
			x.spots = append(x.spots, numbered{a, int16(i), int16(j), [2]int32{operation, own}})
		}
	}
	return numbers
}

// find gives the best of what has all words of a query, or words that begin like
// them, and how many there are. What stands in titles comes before operations,
// and these before fields.
func (x *index) find(query string, most int) (best []found, total int) {
	words := split(query)
	slices.Sort(words)
	if words = slices.Compact(words); len(words) == 0 {
		return nil, 0
	}
	words = words[:min(len(words), mostWords)]
	weights := x.match(words[0])
	for _, word := range words[1:] {
		weights = x.both(weights, x.match(word))
	}
	spots, total := top(weights, most)
	for _, at := range spots {
		s := &x.spots[at]
		f := found{API: s.api}
		if s.operation >= 0 {
			f.Operation = s.api.Operations[s.operation]
		}
		if s.field >= 0 {
			f.Field = f.Operation.spec.Fields()[s.field]
		}
		best = append(best, f)
	}
	return best, total
}

// top are the spots of the greatest weights, those of equal weight in their order,
// and how many have any.
func top(weights []int32, most int) (spots []int32, total int) {
	counts := map[int32]int{}
	for _, w := range weights {
		if w > 0 {
			counts[w]++
			total++
		}
	}
	least, left := int32(0), most // what weighs least of those that find a place, and how many places it has
	for _, w := range slices.Backward(slices.Sorted(maps.Keys(counts))) {
		left -= counts[least]
		if least = w; left <= counts[w] {
			break
		}
	}
	for at, w := range weights {
		switch {
		case w == 0 || w < least || w == least && left == 0:
			continue
		case w == least:
			left--
		}
		spots = append(spots, int32(at))
	}
	slices.SortStableFunc(spots, func(a, b int32) int { return cmp.Compare(weights[b], weights[a]) })
	return spots, total
}

// match weighs the spots of one word, and of words that begin like it; a whole word
// counts twice.
func (x *index) match(word string) []int32 {
	weights := make([]int32, len(x.spots))
	from, _ := slices.BinarySearch(x.words, word)
	for i := from; i < len(x.words) && strings.HasPrefix(x.words[i], word); i++ {
		factor := int32(1)
		if x.words[i] == word {
			factor = 2
		}
		for _, h := range x.hits[i] {
			weights[h.spot] = max(weights[h.spot], int32(h.weight)*factor)
		}
	}
	return weights
}

// both joins the spots of two words. A word of an operation also counts for its
// fields, and one of an API for its operations, so that "orders quantity" finds
// the field of the API.
func (x *index) both(a, b []int32) []int32 {
	joined := make([]int32, len(a))
	for at := range joined {
		if a[at] == 0 && b[at] == 0 {
			continue
		}
		above := x.spots[at].above
		of := func(w []int32) int32 { return cmp.Or(w[at], w[above[0]], w[above[1]]) }
		if first, second := of(a), of(b); first > 0 && second > 0 {
			joined[at] = first + second
		}
	}
	return joined
}

// link is the catalogue narrowed to the filters, on a page.
func (f *filters) link(page int) string {
	v := url.Values{}
	for name, value := range map[string]string{"domain": f.Domain, "layer": f.Layer, "status": f.Status} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	if len(v) == 0 {
		return "/apis"
	}
	return "/apis?" + v.Encode()
}

// searchPage shows what was found.
func (p *Portal) searchPage(c *call) error {
	query := c.QueryParam("q")
	if len(query) > 200 {
		query = strings.ToValidUTF8(query[:200], "")
	}
	list, total := c.catalogue().index.find(query, mostResults)
	return c.page("search", "Search", struct {
		Query   string
		Total   int
		Results []found
	}{query, total, list})
}
