// Package header sets and removes headers.
//
//	x-headrace:
//	  policies:
//	    header:
//	      request:
//	        set: {X-Company: "1000"}
//	        remove: [X-Debug]
//	      response:
//	        set: {Strict-Transport-Security: max-age=31536000}
//	        remove: [Server, X-Powered-By]
//
// request changes what validation, cache and system see; response changes the
// answer of the system (or the cache), not the gateway's refusals. set replaces
// every value that was there. A header is removed before others are set.
//
// The policy comes after callers have been identified, so that nothing that it
// sets can stand for a credential. Headers that belong to the connection
// (Connection, Transfer-Encoding…), that frame the message (Content-Length,
// Host…), that say who calls (Authorization, X-Forwarded-For…), that the gateway
// answers for itself (X-Request-Id, Idempotency-Key…) or that another policy
// writes (Access-Control-Allow-Origin, Deprecation…) cannot be changed; naming
// one is a problem of the workspace. Secrets do not belong here but into the
// system's credentials.
package header
