// Package cors lets web pages of other origins call an API.
//
//	x-headrace:
//	  policies:
//	    cors:
//	      origins: [https://shop.example.com, https://*.partner.example]
//	      credentials: true
//
// origins are written as browsers send them: scheme, host, and the port where
// it is not the usual one. https://*.example.com stands for every name below
// example.com, at any depth, but not for example.com itself. * stands for every
// origin; it cannot be combined with credentials, because every web page could
// then call with the cookies or certificates of its reader.
//
// Browsers ask first (preflight): OPTIONS with Access-Control-Request-Method.
// The policy of the operation that this method names answers: 204 when the
// origin, the method and the headers are allowed, and 403 otherwise. Such
// questions are not identified, counted or sent to a system, and a document
// need not describe OPTIONS. Where the operation has no cors policy the answer
// is 405, as for any method that does not exist.
//
// Answers to allowed origins carry Access-Control-Allow-Origin and
// Access-Control-Expose-Headers; refusals (401, 429…) do, too, so that pages can
// read them. Calls of other origins are answered without these headers: browsers
// keep the answer from the page. CORS protects readers of web pages; it does not
// keep anybody else from calling. Access-Control headers of the system's own
// answer are dropped.
//
// Where headers is absent, these are allowed: Accept, Authorization,
// Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, X-Api-Key,
// X-Correlation-Id, X-Request-Id, the headers that the document's API keys
// stand in, and those that the operation declares as parameters. Where expose is
// absent, these are shown: Deprecation, ETag, Link, Location, RateLimit,
// RateLimit-Policy, Retry-After, Sunset, WWW-Authenticate, X-Request-Id. Where
// methods is absent, all methods
// of the API are allowed.
package cors
