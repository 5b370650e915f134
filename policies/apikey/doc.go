// Package apikey identifies apps by an API key.
//
//	x-headrace:
//	  policies:
//	    apikey: {}
//
// A key is hr_, a public prefix of eight characters, _ and a secret:
// hr_4fG7aQ1z_… . Keys stand in consumers.yaml as prefix and SHA-256; the key
// itself is printed once, by headrace key, and kept nowhere. An app may have
// two keys, so that callers can change over while both work; each may have a
// date from which it is refused.
//
// The key is looked for where the document's security schemes of type apiKey
// say: in a header or in the query. Without such a scheme it is the header
// X-Api-Key. The settings in and name fix the place; schemes that name another
// place are a problem then. Cookies, and the header Authorization, are not
// places for a key.
//
// A request without a key goes on unidentified; what that means is decided by
// the policy scope. A request whose key is wrong, expired or given twice at the
// same place is refused with 401, whatever other credentials it carries; so is
// one whose credentials belong to different apps. A disabled app is refused
// with 403.
//
// The key never leaves the gateway: the header or query parameter is removed
// before anything else sees the request, whether the key was right or not.
// Prefer headers: what stands in a URL is kept by proxies and browsers on the way.
package apikey
