package buffer_test

import (
	"strings"
	"testing"
)

// An operator is told which limit a write waits for, and which is at the system.
func TestExplainNamesTheLimit(t *testing.T) {
	b := newBulk(t, oneAtATime, nil)
	at := b.fill(1)
	explain := func(id string) reply {
		return b.operate("GET", "/"+strings.TrimPrefix(at[id], "/writes/")+"/explain", "")
	}
	b.want(explain("a0"), 200, "it is with erp since")
	b.eventually("the limit is named", func() bool {
		return strings.Contains(explain("w1").body, `calls in line for the limit \"concurrency\" of erp: 1; 1 of 1 are taken`)
	}, func() string { return explain("w1").body })
	b.want(explain("w1"), 200, "next in the line of the budget of erp")
	b.free()
	for _, location := range at {
		b.becomes(location, "delivered")
	}
	b.want(explain("w1"), 200, "it is over: delivered")
}
