package schema

import "bytes"

// isURI is an URI of RFC 3986, which has a scheme.
func isURI(s []byte) bool {
	scheme, rest, found := bytes.Cut(s, []byte(":"))
	return found && isScheme(scheme) && isHierarchical(rest, true)
}

// isURIReference is an URI or a relative reference of RFC 3986.
func isURIReference(s []byte) bool {
	return isURI(s) || isHierarchical(s, false)
}

func isScheme(s []byte) bool {
	for i, c := range s {
		if !isAlpha(c) && (i == 0 || c-'0' > 9 && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return len(s) > 0
}

// isHierarchical reads authority, path, query and fragment. Without a scheme
// the first segment of the path must not contain a colon.
func isHierarchical(s []byte, scheme bool) bool {
	s, fragment, _ := bytes.Cut(s, []byte("#"))
	s, query, _ := bytes.Cut(s, []byte("?"))
	if !isPart(fragment, "/?:@") || !isPart(query, "/?:@") {
		return false
	}
	if rest, found := bytes.CutPrefix(s, []byte("//")); found {
		end := bytes.IndexByte(rest, '/')
		if end < 0 {
			end = len(rest)
		}
		return isAuthority(rest[:end]) && isPart(rest[end:], "/:@")
	}
	if first, _, _ := bytes.Cut(s, []byte("/")); !scheme && bytes.IndexByte(first, ':') >= 0 {
		return false
	}
	return isPart(s, "/:@")
}

func isAuthority(s []byte) bool {
	if at := bytes.LastIndexByte(s, '@'); at >= 0 {
		if !isPart(s[:at], ":") {
			return false
		}
		s = s[at+1:]
	}
	host, port := s, []byte(nil)
	if len(s) > 0 && s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 || !isIPv6(s[1:end]) {
			return false
		}
		host, port = nil, s[end+1:]
		if len(port) > 0 && port[0] != ':' {
			return false
		}
		port = bytes.TrimPrefix(port, []byte(":"))
	} else if colon := bytes.LastIndexByte(s, ':'); colon >= 0 {
		host, port = s[:colon], s[colon+1:]
	}
	for _, c := range port {
		if c-'0' > 9 {
			return false
		}
	}
	return isPart(host, "")
}

// isPart tells whether s consists of unreserved characters, sub-delimiters,
// escapes and the extra characters.
func isPart(s []byte, extra string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isAlpha(c), c-'0' <= 9:
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case bytes.IndexByte([]byte("-._~!$&'()*+,;="), c) >= 0, bytes.IndexByte([]byte(extra), c) >= 0:
		default:
			return false
		}
	}
	return true
}
