// Package ledgertest proves that an engine keeps the contract of package
// ledger. Conform runs its laws one by one, Simulate random histories against
// a model in memory. It also starts Postgres servers for tests.
package ledgertest
