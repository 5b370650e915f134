// Package flow runs the workflows (package arazzo) that answer operations of
// process and experience APIs.
//
// # Two sorts of flows
//
// A flow that only reads, and one of an experience API, which passes at most one
// write through, is gone through while its caller waits, and nothing of it is
// kept: a caller whose gateway dies asks again, and the write that was passed
// through has its own Idempotency-Key.
//
// A flow of a process API that writes is a run. It is kept in the ledger before
// its first step, and carried through to one of its ends, whoever waits for it:
// completed, failed (it ended early and had nothing to undo), compensated (it
// ended early, and what it had done was undone), or stuck (a person is needed).
//
// # Why a kill at any instant leaves every effect once
//
// A run is a deterministic walk over its workflow. What it learns on the way, it
// learns by visits: the first, second, … attempt at a step, named alike whenever
// the run is gone through again ("book#1", "undo:book#1#2", "pay#1/charge#1").
// To go on after a crash is to walk again from the start, and to take what is
// known of a visit from the ledger instead of making it. Three rules make that exact.
//
//  1. Effects are writes of the ledger, and nothing else. The transaction that
//     appends the write of a visit also makes the row of the visit that names it,
//     and finds such a row instead if there is one. So a visit has one write,
//     however often it is walked over, and however long ago that was: no key has
//     to live long enough. From there on the ledger's own argument holds for the
//     write: it is sent once, in its lanes, within the budget.
//  2. What a run knows is durable before it does something because of it. The
//     same transaction keeps all that the run has learnt so far and not kept yet:
//     the answers of reads, what steps came to, which way it went. Until then
//     they cost no commit. A kill may lose them, but then nothing was done
//     because of them, and reading again is no effect. So a run that walks again
//     comes to the same visits in the same order up to its last write, and is free behind it.
//  3. What became of a write stands in the write's row alone. The run reads it
//     there; there is no second place that could disagree. The transaction that
//     settles a write marks its run as having news (ready), so a run that waits
//     costs no memory and no polling: it is let go (parked), and whoever sees the
//     news claims it. News that come while it is being let go are in the row, and not lost.
//
// Two processes never walk one run to an effect. A run is claimed with a lease
// and an epoch, as a write is; every transaction of rule 1 and 2, and those that
// park or end the run, compare the epoch. A process that stood still while its
// lease ran out, and wakes up, can make reads, which is no harm, and no write.
//
// Go through the instants. Before the run's row is there, the caller has no
// answer, and nothing was done. After it, and before the first write: the walk is
// made again. Between the append and the settlement: the walk comes to the visit,
// finds the write, and waits for it; that write is sent, recovered and doubted
// about by the ledger with or without the run. Between the settlement and the
// next append: rule 3. While it is undone: undoing is a part of the walk, its
// visits are writes as others are, and the failure that led to it was kept with
// the first of them. After the end is committed: there is nothing left to do, and the answer is kept.
//
// Time is the one thing that a second walk may see differently. A timeout ends a
// step that writes only if its write can still be taken back, which is a
// settlement of the write; and a deadline that has passed once has passed for ever.
//
// # What is undone
//
// When a step fails for good, the steps that have succeeded and name a
// compensation are undone, the last one first, each one before the next is begun.
// A step that failed is not undone. A compensation that fails is tried three
// times; then the run is stuck, and a person lets it try again, or says how it ended.
//
// A write that needs a person (dead) makes its run stuck at it. What is decided
// about the write lets the run go on, in the transaction that decides it.
//
// # The version of a flow
//
// A run goes on by the document that it began with, which the ledger keeps by its
// hash. The operations that its steps call are those that are served at the time,
// by name and major version.
package flow
