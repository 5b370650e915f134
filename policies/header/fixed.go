package header

import "strings"

// Why a header is left alone.
const (
	connection = "belongs to the connection (RFC 9110, section 7.6.1)"
	framing    = "frames the message"
	identity   = "says who calls"
	origin     = "says where the call came from"
	own        = "is the gateway's own"
)

var fixedInRequests = map[string]string{
	"Connection": connection, "Keep-Alive": connection, "Proxy-Connection": connection, "Te": connection,
	"Trailer": connection, "Transfer-Encoding": connection, "Upgrade": connection, "Expect": connection, "Http2-Settings": connection,
	"Host": framing, "Content-Length": framing, "Content-Encoding": framing,
	"Authorization": identity, "Proxy-Authorization": identity, "Cookie": identity, "X-Api-Key": identity,
	"Forwarded": origin, "X-Real-Ip": origin, "Via": origin, "Origin": origin,
	"X-Request-Id": own, "X-Correlation-Id": own, "Traceparent": own, "Tracestate": own, "Idempotency-Key": own, "X-Idempotency-Key": own,
}

var fixedInResponses = map[string]string{
	"Connection": connection, "Keep-Alive": connection, "Proxy-Connection": connection, "Te": connection,
	"Trailer": connection, "Transfer-Encoding": connection, "Upgrade": connection,
	"Content-Length": framing, "Content-Encoding": framing, "Content-Range": framing,
	"Www-Authenticate": identity, "Proxy-Authenticate": identity, "Set-Cookie": identity,
	"X-Request-Id": own, "Date": own, "Allow": own, "Retry-After": own, "Ratelimit": own, "Ratelimit-Policy": own, "Preference-Applied": own,
	"Deprecation": "is written by the policy deprecate", "Sunset": "is written by the policy deprecate",
}

// fixedByPrefix is the reason for families of headers; empty when there is none.
func fixedByPrefix(canonical string) string {
	switch {
	case strings.HasPrefix(canonical, "X-Forwarded-"):
		return origin
	case strings.HasPrefix(canonical, "Access-Control-"):
		return "is written by the policy cors"
	case strings.HasPrefix(canonical, "Proxy-"), strings.HasPrefix(canonical, "Sec-"):
		return connection
	}
	return ""
}
