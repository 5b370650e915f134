// Package throttle bounds how fast callers call.
//
//	x-headrace:
//	  policies:
//	    throttle: {rate: 50/s, burst: 100}
//
// A caller has a bucket of burst calls, which fills at the rate: over any
// stretch of time no more than burst + rate·time calls are let through. Without
// burst it is one second's worth, and at least 1. Refused calls cost nothing.
//
// The policy may stand in a document and at a plan; where both have it, both
// apply. by says whose calls are counted together:
//
//   - app (default): each app. At a plan, over all APIs that the app calls on
//     that plan; in a document, over all operations that take the settings from
//     the same place: the root, a path, or the operation itself;
//   - operation: each app, and each operation for itself;
//   - plan: all apps of a plan together;
//   - address: each client address (the /64 of an IPv6 address).
//
// Calls without an app are counted by client address.
//
// A call beyond the rate is 429 throttled, with Retry-After. Every answer says
// where the caller stands, in RateLimit-Policy and RateLimit of
// draft-ietf-httpapi-ratelimit-headers-11, under the name throttle, at plans
// throttle-plan. The policy's q is the burst, its w the time in which an empty
// bucket fills.
//
// While the shared counts are out of reach, on_store_error says what happens:
//
//   - local (default): each replica goes on by its share, the limit divided by
//     the replicas last known and at least 1, from what was last known;
//   - open: calls pass uncounted;
//   - closed: calls are 503 not-ready.
//
// With local, calls pass where even the process cannot count them: what passes
// meanwhile is over in a moment, and the systems' own limits are kept elsewhere.
package throttle
