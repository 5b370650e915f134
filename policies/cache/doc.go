// Package cache answers GET and HEAD from what the system answered before.
//
//	x-headrace:
//	  policies:
//	    cache: {ttl: 30s, stale: 1h}
//
// An answer is kept for ttl, or for less where the system's Cache-Control says
// so by max-age or s-maxage. It is kept for each app, and for each value of
// Authorization and Cookie that reaches the policy, because what a system shows
// may depend on them. shared: true keeps one answer for all callers: only for
// operations whose answers depend on nobody. Whether a caller may have the
// answer is checked before, for every call.
//
// Callers without an app share their answers, unless they send credentials
// that no policy has accepted: those calls pass by the cache.
//
// An answer is found again by the API's version, the path, the query string as
// it was sent, the headers Accept, Accept-Encoding and Accept-Language, those
// that the operation declares as parameters, and those that vary lists.
//
// Kept are answers with status 200 that are not longer than max_entry, do not
// set cookies, are not event streams, whose Vary names no other header, and
// whose Cache-Control has none of no-store, no-cache and private. Expires and
// Pragma are not looked at. The answers of one place of configuration take at
// most max_size together; the least recently used go first. They are kept in
// memory, and hold until the documents, mappings or systems change. Writes do
// not end them: choose a ttl for which callers may see the state before.
//
// Every answer that went through the cache has X-Cache: hit, miss or stale, and
// Age where it was kept. It has the system's ETag, or one made of its content,
// and If-None-Match and If-Modified-Since are answered here, with 304. Calls
// with Range, If-Match or If-Unmodified-Since pass by the cache.
//
// A caller's Cache-Control: no-cache (or max-age=0) has the system asked again;
// no-store also has the answer not kept.
//
// Calls for the same answer at the same time wait for the first of them, up to
// five seconds, and then ask for themselves. With stale, an answer that is no
// longer fresh is given all the same for so long, when the system is saturated,
// unavailable, or does not answer in time; unless the system said
// must-revalidate.
package cache
