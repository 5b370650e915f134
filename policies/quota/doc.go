// Package quota bounds how much callers call.
//
//	x-headrace:
//	  policies:
//	    quota: {limit: 10000, per: day, time_zone: Europe/Berlin}
//
// per: hour, day or month is a calendar window: the count starts again when the
// window ends in time_zone (default UTC). window: 24h is a rolling window
// instead: no stretch of that length ever holds more than limit calls.
//
// The policy may stand in a document and at a plan; where both have it, both
// apply, the document's first. by says whose calls are counted together, as for
// the policy throttle: app (default), operation, plan or address.
//
// A call beyond the quota is 429 quota-exceeded, with Retry-After; it costs
// nothing. A call that passes here counts, whatever becomes of it after. Every
// answer says where the caller stands, in RateLimit-Policy and RateLimit of
// draft-ietf-httpapi-ratelimit-headers-11, under the name quota, at plans
// quota-plan.
//
// While the shared counts are out of reach, on_store_error says what happens:
//
//   - local (default): each replica goes on by its share, the limit divided by
//     the replicas last known and at least 1, from what was last known;
//   - open: calls pass uncounted;
//   - closed: calls are 503 not-ready.
//
// What local admitted is added to the shared count when that is back. Where even
// the process cannot count a call, local refuses it: a quota is a promise about a
// total, and what passed uncounted cannot be taken back.
package quota
