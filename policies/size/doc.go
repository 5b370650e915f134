// Package size bounds requests.
//
//	x-headrace:
//	  policies:
//	    size: {body: 1MiB, header: 16KiB, url: 4KiB}
//
// A body beyond the bound is 413 body-too-large, before anything is forwarded:
// at once where Content-Length says so, else when more has arrived than is
// allowed. Bodies are never cut short. Without body the bound is limits.body of
// headrace.yaml; the policy may set less or more.
//
// Header fields beyond the bound, all together with their names, are 431
// header-too-large; a URL (path and query, as it was sent) beyond the bound is
// 414 url-too-long. limits.header of headrace.yaml holds for every request
// before that.
package size
