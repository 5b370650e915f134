// Package scope lets callers through that meet the document's security.
//
//	x-headrace:
//	  policies:
//	    apikey: {} # identifies callers; scope itself needs no line
//	security:
//	  - key: []
//
// The policy is always at work and has no settings: what it demands stands in
// the OpenAPI document under security. It comes after the policies that
// identify callers (apikey, jwt, mtls) and looks at what they have found out:
//
//   - security lists alternatives. One of them must be met in full: every
//     scheme that it names, and every scope. Otherwise the answer is 401 with a
//     challenge for each policy that could identify the caller, or 403
//     insufficient-scope with the missing scopes when the schemes are met and
//     only scopes lack.
//   - security: [] and an alternative {} let everybody call.
//   - Without any security in the document, callers must still be identified
//     by one of the policies that are configured; when none is, everybody may call.
//
// A scheme that no configured policy can establish is a problem of the
// workspace: the operation could never be called, or somebody expects a check
// that is not there. Scopes at a scheme that carries none (an API key, a client
// certificate) are a problem for the same reason. To open an operation write
// security: [] into the document or its overlay.
package scope
