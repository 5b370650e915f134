package system

import (
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
)

// hop tells whether a header concerns one connection only (RFC 9110, section
// 7.6.1, and those that came before it), or is set by the sender of a message.
func hop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// reserved tells whether a header is not for a workspace to set.
func reserved(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return hop(name) || name == "Host" || name == "Content-Length" || name == "Expect"
}

// ownRequest tells whether a header of the caller's request is for the gateway
// and not for the system, or is written anew.
func ownRequest(name string) bool {
	switch name {
	case "Host", "Content-Length", "Expect", "Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Real-Ip", "X-Request-Id",
		"X-Correlation-Id", "Idempotency-Key", "X-Idempotency-Key", "Prefer":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// ownResponse tells whether a header of the system's answer is not for the
// caller: it speaks of the system's own sessions, browsers or address.
func ownResponse(name string) bool {
	switch name {
	case "Set-Cookie", "Alt-Svc", "Clear-Site-Data", "X-Request-Id":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}

// listed tells whether Connection names a header as one of its connection.
func listed(h http.Header, name string) bool {
	for _, line := range h["Connection"] {
		for word := range strings.SplitSeq(line, ",") {
			if textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(word)) == name {
				return true
			}
		}
	}
	return false
}

// passRequest copies the headers of the caller that the system gets.
func (s *system) passRequest(r *Request, without map[string]bool) http.Header {
	h := make(http.Header, len(r.Header)+5)
	connection := len(r.Header["Connection"]) > 0
	for name, values := range r.Header {
		if hop(name) || ownRequest(name) && !s.passOn[name] || connection && listed(r.Header, name) || without[name] {
			continue
		}
		h[name] = values
	}
	if prefer := r.Header["Prefer"]; len(prefer) > 0 {
		if rest := systemPreferences(prefer); rest != "" {
			h["Prefer"] = []string{rest}
		}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = noUserAgent
	}
	return h
}

// noUserAgent keeps net/http from naming itself.
var noUserAgent = []string{""}

// systemPreferences takes the preferences out that the gateway answers to.
func systemPreferences(lines []string) string {
	var kept []string
	for _, line := range lines {
		for preference := range strings.SplitSeq(line, ",") {
			preference = strings.TrimSpace(preference)
			name, _, _ := strings.Cut(preference, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "", "wait", "respond-async":
			default:
				kept = append(kept, preference)
			}
		}
	}
	return strings.Join(kept, ", ")
}

var (
	protoHTTP  = []string{"http"}
	protoHTTPS = []string{"https"}
)

// setForwarded says who the caller is.
func (s *system) setForwarded(h http.Header, r *Request, values []string) []string {
	if s.forwarded == "off" || r.Caller.Address == "" {
		return values
	}
	address := r.Caller.Address
	if s.forwarded == "append" {
		if before := r.Header["X-Forwarded-For"]; len(before) > 0 {
			address = strings.Join(before, ", ") + ", " + address
		}
	}
	values = set(h, values, "X-Forwarded-For", address)
	if r.Caller.Host != "" {
		values = set(h, values, "X-Forwarded-Host", r.Caller.Host)
	}
	h["X-Forwarded-Proto"] = protoHTTP
	if r.Caller.TLS {
		h["X-Forwarded-Proto"] = protoHTTPS
	}
	return values
}

// set puts a header into h whose value takes the next place of values, so that
// several headers share one allocation.
func set(h http.Header, values []string, name, value string) []string {
	values = append(values, value)
	n := len(values)
	h[name] = values[n-1 : n : n]
	return values
}

// identify sets the headers that tie a call to its business transaction.
func (s *system) identify(h http.Header, r *Request, values []string) []string {
	if r.Correlation != "" {
		values = set(h, values, s.correlationHeader, r.Correlation)
	}
	if r.RequestID != "" {
		values = set(h, values, "X-Request-Id", r.RequestID)
	}
	return values
}

// passResponse takes out of a system's headers what is not for the caller.
func (s *system) passResponse(h http.Header) {
	if len(h["Connection"]) > 0 {
		for name := range h {
			if name != "Connection" && listed(h, name) {
				delete(h, name)
			}
		}
	}
	for name := range h {
		if hop(name) || ownResponse(name) && !s.passOn[name] {
			delete(h, name)
		}
	}
}

// headerValue gives headers to mappings: a text, or a list of several.
func headerValue(h http.Header) map[string]any {
	m := make(map[string]any, len(h))
	for name, values := range h {
		m[strings.ToLower(name)] = oneOrMany(values)
	}
	return m
}

func oneOrMany(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}

// host is the address without its port.
func host(remote string) string {
	if a, err := netip.ParseAddrPort(remote); err == nil {
		return a.Addr().String()
	}
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return ""
}
