// Package budgettest proves that a store keeps the contract of budget.Store.
// Conform tries its laws one by one on the wall clock. Load sends calls with
// whatever delays and losses there can be, and a Judge counts what arrives at the
// system as the system itself would.
package budgettest
