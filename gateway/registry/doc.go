// Package registry knows what the entries of the control plane mean: versions
// of APIs, the other files of a workspace, and consumers. It keeps their rules
// and renders them as files, which are a layer of every replica's workspace.
//
// # What a caller may rely on
//
//   - Every change is one revision of the ledger: it is made as a whole or not
//     at all, audited with who and why, and checked by building the table that
//     every replica will build. What cannot be built is refused with the
//     *source.Error that names each place.
//   - A published version does not change. Publishing the same content again
//     does nothing; other content under the same name is refused.
//   - Keys are known by their hashes only, and are given out once, when they are made.
//   - Changes are made against what the caller has seen, if it says so: a Match
//     that does not fit is ledger.ErrConflict.
//
// Refusals are of type *Refusal, but for those of the ledger and *source.Error.
// All methods are safe for concurrent use.
package registry
