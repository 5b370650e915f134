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
// When the counters fail, calls are 503 not-ready (on_error: closed) or pass
// uncounted (open). The default is closed: a quota is a promise about a total,
// and what passed uncounted cannot be taken back.
package quota
