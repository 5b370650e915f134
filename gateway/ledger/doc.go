// Package ledger keeps what must survive: the writes that Headrace has taken
// responsibility for, from their acceptance to their outcome. It knows their
// order, not their meaning: requests and answers are bytes to it.
//
// There are two engines. sqlite:PATH is one file that belongs to one process.
// postgres://… is shared by all replicas. Both have the same schema, pass the
// same conformance suite (package ledgertest) and run the same SQL as far as
// it goes.
//
// # What a caller may rely on
//
//   - A success that is returned is durable: SQLite syncs its log before every
//     answer, Postgres commits synchronously. Concurrent calls share a commit.
//   - An error means that nothing has changed, except one that is
//     ErrUnknown: the commit's fate could not be learned.
//   - Of the writes of a lane at most one is with a system (sending or
//     doubtful), and they go there in the order of their places, over all replicas.
//   - A write that is sending belongs to one claim. Only that claim, told by
//     its epoch, settles it; a later claim fences an earlier one off.
//   - After the first I/O error of the disk nothing is accepted any more:
//     ErrFailing, until the file has been opened again and has taken a write.
//
// # States
//
//	held → sending → delivered | refused | held | doubtful
//	doubtful → delivered | refused | held
//	held → cancelled | expired | superseded
//
// A write that needs a person is dead beside its state: refused, or doubtful
// without a way to find out. Unless it was appended with Continue it keeps its
// place at the head of its lanes, until it is retried or discarded.
//
// All methods of DB are safe for concurrent use.
package ledger
