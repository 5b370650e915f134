package budgettest_test

import (
	"context"
	"testing"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/budgettest"
)

func TestMemoryConforms(t *testing.T) {
	budgettest.Conform(t, func(*testing.T) []budget.Store { return []budget.Store{budget.NewMemory()} })
}

func TestMemoryModel(t *testing.T) { budgettest.Model(t, 100_000, budget.NewMemory()) }

// diary forgets: what is looked at is that writing things down changes nothing.
type diary struct{}

func (diary) Note(context.Context, string, []byte) error       { return nil }
func (diary) Notes(context.Context) (map[string][]byte, error) { return nil, nil }

func remembering(t *testing.T) *budget.Memory {
	m := budget.NewMemory()
	if err := m.Remember(t.Context(), diary{}, func(string, error) {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	return m
}

func TestMemoryThatRemembersConforms(t *testing.T) {
	budgettest.Conform(t, func(t *testing.T) []budget.Store { return []budget.Store{remembering(t)} })
}

func TestMemoryThatRemembersModel(t *testing.T) { budgettest.Model(t, 100_000, remembering(t)) }
