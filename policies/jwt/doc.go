// Package jwt identifies apps by a signed token (JWT, RFC 7519) in
// Authorization: Bearer.
//
//	x-headrace:
//	  policies:
//	    jwt:
//	      issuers:
//	        - issuer: https://login.example.com/realms/partners
//	          discovery: true
//	          audiences: orders
//	        - issuer: https://sts.example.net
//	          jwks_url: https://sts.example.net/keys
//	          audiences: [https://api.example.com]
//	          algorithms: [ES256]
//	          app_claim: appid
//	          scope_claim: roles
//
// Tokens of the gateway's own token endpoint (oauth in headrace.yaml) are
// accepted with own: true, with or without other issuers. Their clients stand at
// the apps under oauth, and a token that was revoked is refused at once.
//
// # What is accepted
//
// A token must name one of the issuers in iss, character by character, be
// meant for one of its audiences (aud), have an end (exp) that has not come,
// and, where it has a beginning (nbf), be past it; leeway is allowed for
// clocks that differ. It must be signed by a key of the issuer with one of the
// algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512,
// EdDSA; all of them where algorithms is absent. There is no way to accept
// unsigned tokens or shared secrets (none, HS*).
//
// The key decides which algorithm it may be used with: by its type and curve,
// and by its own alg, use and key_ops where it has them. It is found by the
// token's kid; a token without kid is accepted where exactly one key of the
// issuer fits the algorithm. Keys and addresses of keys that the token itself
// brings (jwk, jku, x5c, x5u) are not looked at. Tokens with crit, with a typ
// other than JWT or at+jwt, and of more than 16 KiB are refused. RSA keys have
// at least 2048 bits.
//
// # Which app, which scopes
//
// The claim app_claim names the app: consumers.yaml lists, for each app under
// clients, the issuer and the value of this claim. When app_claim is absent,
// client_id is read (RFC 9068), and azp where there is none. Scopes are read
// from scope_claim, a text with spaces or a list; when absent from scope, and
// scp where there is none. The policy scope compares them with the document.
//
// A request without a bearer token goes on unidentified. A token that is not
// accepted, or whose client belongs to no app, is refused with 401
// error="invalid_token", whatever other credentials the request carries; so are
// credentials that belong to different apps. A disabled app is refused with
// 403. The Authorization header is removed before anything else sees the
// request, unless forward is true; a system then gets it where its file lists
// Authorization under pass_on.
//
// # Where keys come from
//
// jwks_url is the address of the issuer's key set (RFC 7517); jwks_file an
// absolute path of a file with one; with discovery the address is read from
// the issuer's /.well-known/openid-configuration, which must name the same
// issuer. Addresses are https; http is allowed for this machine (localhost,
// 127.0.0.1). Redirects to other hosts are not followed, and answers beyond
// 1 MiB are not read.
//
// Keys are fetched when the first token of an issuer arrives, so that an
// issuer that is away stops neither a start nor a reload. They are fetched
// again, beside the traffic, when they are older than refresh; after a long
// silence the next token waits for that. A kid that is not known has them
// fetched at once, at most every min_refresh_interval. A key that the issuer
// no longer lists is no longer accepted, nor is any token that it has signed.
//
// While the issuer cannot be reached, the known keys go on for max_stale; the
// log has a warning for each attempt. After that, and where keys have never
// been fetched, the answer is 503 not-ready with Retry-After: the token may
// well be right.
//
// Key sets belong to the process: equal settings share one, reloads keep it,
// and it is given up with the last table that uses it. Verified tokens are
// remembered (10 000 at most, by their hash) until they end or their key goes;
// refused ones are not.
package jwt
