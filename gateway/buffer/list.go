package buffer

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/ledger"
)

// List lists writes. A business key belongs to a system; without one, the
// systems are listed one after the other.
func (b *Buffer) List(ctx context.Context, f ledger.Filter) (ledger.Page, error) {
	if f.Lane == "" || f.System != "" {
		return b.ledger.List(ctx, f)
	}
	first, after, _ := strings.Cut(f.After, "/")
	var page ledger.Page
	left := f.Limit
	for _, name := range b.known() {
		if name < first {
			continue
		}
		one := f
		one.System, one.After, one.Limit = name, "", left
		if name == first {
			one.After = after
		}
		for {
			p, err := b.ledger.List(ctx, one)
			if err != nil {
				return ledger.Page{}, err
			}
			page.Writes = append(page.Writes, p.Writes...)
			left -= len(p.Writes)
			if p.Next == "" {
				break
			}
			if page.Next = name + "/" + p.Next; left <= 0 || len(p.Writes) == 0 {
				return page, nil
			}
			page.Next, one.After, one.Limit = "", p.Next, left
		}
		if left <= 0 {
			page.Next = name + "!/" // sorts after this name and before all others
			return page, nil
		}
	}
	return page, nil
}

// known lists the systems that there are writes for, or may be, sorted.
func (b *Buffer) known() []string {
	names := map[string]bool{}
	for _, name := range b.Systems() {
		names[name] = true
	}
	if s := b.current.Load(); s != nil {
		for _, o := range s.operations {
			names[o.system] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
