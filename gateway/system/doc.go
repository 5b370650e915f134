// Package system is the system layer: it answers an operation with one call of
// a system, in the system's own dialect and under its own limits.
//
// # The way of a call
//
//	request → breaker open? → credential → budget → breaker → send → judge → settle
//
// A Fleet lives as long as the process. It owns what must outlast a reload:
// connections, sessions and tokens, breakers and budgets. For every table it
// builds a Set: the systems and operations of that table, compiled. What has
// not changed is shared between the sets, and released with the last of them.
//
// A request is a value (Request), so that a write can be sent later than its
// exchange. What an attempt came to is one of five outcomes:
//
//	delivered    the system has done it and answered
//	refused      the system said no for good, or the request cannot be made
//	overload     nothing was done, because there is no room now
//	unavailable  nothing was done, because the system was not reached
//	doubtful     the request left and no answer is known
//
// A request whose caller leaves while it waits is abandoned. Once it is sent,
// also a read is carried to its end: a system does not stop because nobody
// listens any more, and only its answer tells that its place there is free. An
// answer that is passed on while it arrives is given up with its caller.
//
// # Dialects
//
// A dialect compiles the call key of an operation once, to a call that makes
// requests and judges answers. rest passes HTTP through or maps it; jsonrpc
// puts the call into a body, and knows that HTTP 200 may be an error.
//
// # Feedback
//
// What the system says of its limits goes to its budget with the settlement of
// the call: signs of overload pause pools (sign.go, hint.go, fault.go), reports
// correct their counts (report.go), and costs that are measured replace the
// estimates (price.go). Probes ask for it (probe.go), and a breaker suspends
// the system for all replicas, of which one tries it again (breaker.go). What is known of a kind of system
// comes from its profile (profile.go).
//
// Answers are only read for this where reports or costs are made of them.
//
// # Care towards the system
//
//   - Requests that change something are never sent twice by the transport.
//   - Log-ins happen one at a time, and wait longer after each failure: some
//     systems lock an account, or slow down for all, after a few wrong ones.
//   - Every call passes the budget, log-ins and read-backs included, and is
//     settled whatever happens.
//   - What the caller uses to be known to the gateway is not passed on, and
//     what the gateway uses to be known to the system is never passed back.
package system
