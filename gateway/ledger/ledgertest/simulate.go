package ledgertest

import "testing"

// Simulate is below.
func Simulate(t *testing.T, e Engine) {}
