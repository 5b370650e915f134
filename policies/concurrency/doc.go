// Package concurrency bounds how many calls of a caller are under way.
//
//	x-headrace:
//	  policies:
//	    concurrency: {limit: 10}
//
// A call is under way until its answer has been sent; where the caller has left
// before, until the system has answered. (A short answer that is in memory
// counts as sent when it is handed over.)
//
// The policy may stand in a document and at a plan; where both have it, both
// apply. by says whose calls are counted together, as for the policy throttle:
// app (default), operation, plan or address.
//
// A call beyond the limit is 429 too-many-concurrent-calls. Nobody knows when
// another one will end; Retry-After is estimated from how long calls took
// lately. Every answer says where the caller stands, in RateLimit-Policy and
// RateLimit of draft-ietf-httpapi-ratelimit-headers-11 in the unit
// concurrent-requests, under the name concurrency, at plans concurrency-plan.
//
// While the shared counts are out of reach, on_store_error says what happens:
//
//   - local (default): each replica goes on by its share, the limit divided by
//     the replicas last known and at least 1, from what was last known;
//   - open: calls pass uncounted;
//   - closed: calls are 503 not-ready.
//
// With local, calls pass where even the process cannot count them.
package concurrency
