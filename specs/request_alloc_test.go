//go:build !race

package specs

import (
	"testing"

	"github.com/headrace/headrace/specs/schema"
)

// The race detector makes pools forget at random, so it is left out here.

// A request that is right costs no memory.
func TestCheckRequestDoesNotAllocate(t *testing.T) {
	for _, version := range []string{"3.0.3", "3.1.0"} {
		o := checkDoc(t, version, benchPaths, benchComponents).Operations[0]
		r, params, body := benchRequest(), Params{{"channel", "edi"}}, []byte(benchOrder)
		if got := faultText(o.CheckRequest(r, params, body, CheckOptions{})); got != "" {
			t.Fatal(got)
		}
		for _, opts := range []CheckOptions{{}, {Seen: new(schema.Seen)}} {
			if n := testing.AllocsPerRun(100, func() { o.CheckRequest(r, params, body, opts) }); n >= 1 {
				t.Errorf("%s: %v allocations", version, n)
			}
		}
	}
}
