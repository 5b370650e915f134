// Package buffer is the write buffer: every call that changes something takes
// one path, and Headrace answers for it from its acceptance to its outcome.
//
//	validate → append to the ledger → send under the budget → settle → answer
//
// The caller waits for the outcome as long as its patience lasts. If the
// outcome is there in time, the caller gets the system's own answer; if not,
// it gets 202, the write's address, its place and an estimate.
//
// # How a write gets to its system
//
// A write that nothing stands before is handed over at once: it is claimed in
// the commit that appends it. All others are claimed by the dispatcher of
// their system when a place in the budget's line is free: a few of each class
// stand there at a time, so that the budget's own order, strict by class with
// floors, is the order of the writes, and the rest waits in the ledger without
// costing memory. What cannot be sent in time goes back without an attempt
// being counted. While a system is overloaded or cannot be reached, its gate is
// shut: nothing is claimed but one write at a time that tries.
//
// # What is never done
//
//   - A request whose fate is open is not sent again unless the operation's
//     idempotency class makes that safe, and not before the lost request can no
//     longer be running. Otherwise the system is asked, or a person is.
//   - A claim whose lease has run out is not sent: another replica may have
//     declared it doubtful.
//   - The caller is not told an outcome that is not durable yet.
package buffer
