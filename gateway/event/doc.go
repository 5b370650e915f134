// Package event tells apps what becomes of their writes: CloudEvents 1.0 in
// JSON, sent to the webhooks of the app and signed by the rules of Standard
// Webhooks.
//
// What is to be told stands in the ledger's outbox, put there by the
// transaction that changes the write, so nothing is forgotten. It is told at
// least once: the same event has the same id each time, and a receiver drops
// what it has had. All replicas work on the outbox; a delivery is one
// replica's for the time of a lease.
//
// Targets are other people's addresses. So a name is resolved, the address is
// checked, and just that address is dialled: none of this machine, of private
// networks or of the link goes, unless the configuration allows it. Redirects
// are not followed, proxies are not used, and of an answer only the first
// bytes are read.
package event
