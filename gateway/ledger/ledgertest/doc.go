// Package ledgertest proves that an engine keeps the contract of package
// ledger. Conform runs its laws one by one, Simulate random histories against
// a model in memory.
package ledgertest
