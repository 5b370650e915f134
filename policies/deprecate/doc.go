// Package deprecate announces the end of an API version or operation.
//
//	x-headrace:
//	  status: deprecated
//	  policies:
//	    deprecate:
//	      since: 2026-10-01
//	      sunset: 2027-04-01
//	      successor: /orders/v2
//	      link: https://developers.example.com/orders/moving-to-v2
//
// Every answer, refusals included, carries Deprecation with the date in since
// (RFC 9745; it may lie ahead), Sunset with the date from which the version will
// not answer (RFC 8594), and Link with the successor (rel="successor-version")
// and the page that explains the move (rel="deprecation").
//
// From sunset on the answer is 410 gone, which names the successor. A date
// without a time means its first moment in UTC.
package deprecate
