package budgettest_test

import (
	"testing"

	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/budget/budgettest"
)

func TestMemoryConforms(t *testing.T) {
	budgettest.Conform(t, func(*testing.T) []budget.Store { return []budget.Store{budget.NewMemory()} })
}

func TestMemoryModel(t *testing.T) { budgettest.Model(t, 100_000, budget.NewMemory()) }
