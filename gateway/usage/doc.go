// Package usage counts who uses which version, operation and field, so that a
// version can be changed or retired knowing whom that would hit, and tries
// candidate versions on live traffic.
//
// A request costs a lookup and a few atomic additions, and no memory: a cell of
// counters is kept for each operation and app. Every few seconds each replica
// adds what has come in to the rows of the day in the ledger. So a crash loses
// a few seconds of counts; an orderly end loses none, and while the ledger
// cannot be written, counts stay in memory.
//
// The number of counters is bounded (apps × operations × fields). Apps beyond
// the bound are counted together, under the name Others.
package usage
