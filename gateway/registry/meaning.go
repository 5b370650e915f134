package registry

import (
	"sync"

	"github.com/headrace/headrace/gateway/ledger"
)

// meanings remembers what entries were decoded to: entries are immutable, and
// nearly all of a revision are those of the one before it. The zero value is
// ready to use, and safe for concurrent use.
type meanings struct {
	mu   sync.Mutex
	kept map[*ledger.Entry]any
}

func (m *meanings) get(e *ledger.Entry) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[e]
}

func (m *meanings) put(e *ledger.Entry, v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[*ledger.Entry]any{}
	}
	m.kept[e] = v
}

// only forgets what a control plane does not have, once there is much of it.
func (m *meanings) only(c *ledger.Control) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) <= len(c.Entries)+len(c.Entries)/2+100 {
		return
	}
	next := make(map[*ledger.Entry]any, len(c.Entries))
	for _, e := range c.Entries {
		if v, ok := m.kept[e]; ok {
			next[e] = v
		}
	}
	m.kept = next
}

// known decodes all entries of a kind. What it gives belongs to everybody.
func known[T any](m *meanings, c *ledger.Control, kind string) ([]*Item[T], error) {
	entries := c.Of(kind)
	list := make([]*Item[T], 0, len(entries))
	for _, e := range entries {
		if i, ok := m.get(e).(*Item[T]); ok {
			list = append(list, i)
			continue
		}
		i, err := item[T](e)
		if err != nil {
			return nil, err
		}
		m.put(e, &i)
		list = append(list, &i)
	}
	return list, nil
}

// file makes what gives the file of an entry, from what stands in it; nil when
// that is nil.
func (m *meanings) file(content func(*ledger.Entry) (any, error)) func(*ledger.Entry) (*file, error) {
	return func(e *ledger.Entry) (*file, error) {
		if f, ok := m.get(e).(*file); ok {
			return f, nil
		}
		v, err := content(e)
		if err != nil {
			return nil, err
		}
		var f *file
		if v != nil {
			if f, err = fileOf(v); err != nil {
				return nil, err
			}
		}
		m.put(e, f)
		return f, nil
	}
}
