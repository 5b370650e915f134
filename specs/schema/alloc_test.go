//go:build !race

package schema_test

import (
	"testing"

	"github.com/headrace/headrace/specs/schema"
)

// The race detector makes pools forget at random, so it is left out here.

func TestSuccessDoesNotAllocate(t *testing.T) {
	s := compile(t, "3.1.0", orderSchemas)
	text := []byte(order)
	if got := check(t, s, order, schema.Request); got != "" {
		t.Fatal(got)
	}
	if n := testing.AllocsPerRun(100, func() { s.Check(text, schema.Request) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
