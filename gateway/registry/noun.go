package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// The kinds of things, as the ledger keeps them.
const (
	KindVersion      = "version"
	KindFile         = "file"
	KindOrganisation = "organisation"
	KindMember       = "member"
	KindApp          = "app"
	KindCredential   = "credential"
	KindProduct      = "product"
	KindPlan         = "plan"
	KindSubscription = "subscription"
)

// Item is a thing as it is kept, with its body decoded.
type Item[T any] struct {
	Name   string `json:"name"`
	Parent string `json:"parent,omitempty"`
	Body   T      `json:"body"`
	// Revision is the entity tag: that of the registry at the last change.
	Revision int64     `json:"revision"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
}

// Origin says by which way a thing came in. Only what was applied from files
// is deleted when it is no longer in them.
type Origin string

// The origins.
const (
	ByAPI   Origin = ""
	ByApply Origin = "apply"
)

// body is what is kept of a thing.
type body interface {
	// parent names what the thing belongs to; empty when it stands for itself.
	parent() string
	// check finds what decoding cannot see.
	check(name string, n source.Node, ps *source.Problems)
	origin() Origin
}

// From is part of every body that can also come from files.
type From struct {
	Origin Origin `json:"origin,omitempty" yaml:"origin" enum:"apply" doc:"How the thing came in: apply, or absent for the admin API."`
}

func (f From) origin() Origin { return f.Origin }

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

const nameRule = "small letters, digits and hyphens, a letter first, 63 characters at most"

// bodyLimits bound the body of a thing.
var bodyLimits = source.Limits{Bytes: 256 << 10, Depth: 32, Nodes: 20_000}

// decode reads a body strictly; every problem has its place in the text.
func decode[T any, P interface {
	*T
	body
}](kind, name string, text []byte) (P, error) {
	v := P(new(T))
	var ps source.Problems
	if n := source.Parse(kind+"/"+name, text, bodyLimits, &ps); n.Exists() {
		source.Decode(n, (*T)(v), &ps)
		if ps.Len() == 0 {
			v.check(name, n, &ps)
		}
	}
	return v, ps.Err()
}

// encode makes the text that is kept.
func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return text, nil
}

// keep puts a thing into a draft. One that could not be read again is refused: it
// would keep every replica from building a table, and from starting.
func keep(d *ledger.Draft, e ledger.Entry, m ledger.Match) error {
	var ps source.Problems
	source.Parse(e.Kind+"/"+e.Name, e.Body, bodyLimits, &ps)
	for _, p := range ps.List() {
		return refuse(Invalid, "fewer or shorter names and texts", "the %s %.100q %s", e.Kind, e.Name, p.Wrong)
	}
	return d.Put(e, m)
}

// item decodes an entry of the ledger. What is kept was decoded before; that
// it cannot be is a fault of the ledger or of an older program.
func item[T any](e *ledger.Entry) (Item[T], error) {
	i := Item[T]{Name: e.Name, Parent: e.Parent, Revision: e.Revision, Created: e.Created, Changed: e.Changed}
	var ps source.Problems
	if n := source.Parse(e.Kind+"/"+e.Name, e.Body, bodyLimits, &ps); n.Exists() {
		source.Decode(n, &i.Body, &ps)
	}
	return i, ps.Err()
}

// items decodes all entries of a kind.
func items[T any](c *ledger.Control, kind string) ([]Item[T], error) {
	var list []Item[T]
	for _, e := range c.Of(kind) {
		i, err := item[T](e)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

// Items decodes all entries of a kind of one moment, sorted by name.
func Items[T any](c *ledger.Control, kind string) ([]Item[T], error) { return items[T](c, kind) }

// Get reads a thing; a *Refusal when there is none.
func Get[T any](ctx context.Context, r *Registry, kind, name string) (Item[T], error) {
	e, err := r.ledger.Entry(ctx, kind, name)
	if err != nil {
		return Item[T]{}, notFound(err)
	}
	return item[T](&e)
}

// List reads at most limit things of a kind whose names come after the given
// one, sorted by name; all that belong to parent, or of all when it is empty.
// more tells that there are further ones.
func List[T any](ctx context.Context, r *Registry, kind, parent, after string, limit int) (list []Item[T], more bool, err error) {
	c, err := r.ledger.Control(ctx)
	if err != nil {
		return nil, false, err
	}
	entries := c.Of(kind)
	from, found := slices.BinarySearchFunc(entries, after, func(e *ledger.Entry, name string) int { return compare(e.Name, name) })
	if found {
		from++
	}
	for _, e := range entries[from:] {
		if parent != "" && e.Parent != parent {
			continue
		}
		if len(list) == limit {
			return list, true, nil
		}
		i, err := item[T](e)
		if err != nil {
			return nil, false, err
		}
		list = append(list, i)
	}
	return list, false, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
