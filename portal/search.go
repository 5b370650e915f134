package portal

import (
	"cmp"
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

// index finds words over all APIs.
type index struct {
	words []string // sorted
	hits  [][]posting
}

// posting is a spot in an API of the catalogue.
type posting struct {
	api *api
	spot
}

// found is a result of a search.
type found struct {
	API       *api
	Operation *operation // nil: the API itself
	Field     string     // empty: the operation itself
	weight    int
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
	all, now := map[string][]posting{}, map[*specs.Document]*terms{}
	for _, a := range c.apis {
		t := known[a.document]
		if t == nil {
			t = newTerms(a.document)
		}
		now[a.document] = t
		for word, spots := range t.words {
			for _, s := range spots {
				all[word] = append(all[word], posting{a, s})
			}
		}
	}
	c.index = &index{}
	for word := range all {
		c.index.words = append(c.index.words, word)
	}
	slices.Sort(c.index.words)
	for _, word := range c.index.words {
		c.index.hits = append(c.index.hits, all[word])
	}
	return now
}

// find lists what has all words of a query, or words that begin like them. What
// stands in titles comes before operations, and these before fields.
func (x *index) find(query string) []found {
	words := split(query)
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) > mostWords {
		words = words[:mostWords]
	}
	var hits map[posting]int // without weight: the sum of the weights
	for i, word := range words {
		these := x.match(word)
		if i == 0 {
			hits = these
			continue
		}
		hits = both(hits, these)
	}
	var list []found
	for at, weight := range hits {
		f := found{API: at.api, weight: weight}
		if at.operation >= 0 {
			f.Operation = at.api.Operations[at.operation]
		}
		if at.field >= 0 {
			f.Field = f.Operation.spec.Fields()[at.field]
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.API.Title, b.API.Title), cmp.Compare(a.address(), b.address()), cmp.Compare(a.Field, b.Field))
	})
	return list
}

// match are the places of one word; a whole word counts twice.
func (x *index) match(word string) map[posting]int {
	hits := map[posting]int{}
	from, _ := slices.BinarySearch(x.words, word)
	for i := from; i < len(x.words) && strings.HasPrefix(x.words[i], word); i++ {
		factor := 1
		if x.words[i] == word {
			factor = 2
		}
		for _, at := range x.hits[i] {
			weight := int(at.weight) * factor
			at.weight = 0
			hits[at] = max(hits[at], weight)
		}
	}
	return hits
}

// both joins the places of two words. A word of an operation also counts for its
// fields, and one of an API for its operations, so that "orders quantity" finds
// the field of the API.
func both(a, b map[posting]int) map[posting]int {
	joined := map[posting]int{}
	for at, weight := range a {
		if other := above(b, at); other > 0 {
			joined[at] = max(joined[at], weight+other)
		}
	}
	for at, weight := range b {
		if other := above(a, at); other > 0 {
			joined[at] = max(joined[at], weight+other)
		}
	}
	return joined
}

// above is the weight of a place, or of what it belongs to.
func above(hits map[posting]int, at posting) int {
	if w := hits[at]; w > 0 {
		return w
	}
	if at.field >= 0 {
		at.field = -1
		if w := hits[at]; w > 0 {
			return w
		}
	}
	at.operation = -1
	return hits[at]
}

func (f *found) address() string {
	if f.Operation != nil {
		return f.Operation.Page()
	}
	return f.API.Path()
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
	list := c.catalogue().index.find(query)
	return c.page("search", "Search", struct {
		Query   string
		Total   int
		Results []found
	}{query, len(list), list[:min(len(list), mostResults)]})
}
