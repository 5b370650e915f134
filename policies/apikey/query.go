package apikey

import (
	"net/http"
	"net/url"
	"strings"
)

// takeQuery removes a parameter from the query, wherever the request keeps it,
// and returns its first value with the number of its occurrences. The rest of
// the query stays byte for byte.
func takeQuery(r *http.Request, name string) (value string, count int) {
	query := r.URL.RawQuery
	if query == "" || !mayHold(query, name) {
		return "", 0
	}
	var rest strings.Builder
	kept := 0
	for pair := range strings.SplitSeq(query, "&") {
		key, val, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(key); err != nil || decoded != name {
			if kept > 0 {
				rest.WriteByte('&')
			}
			rest.WriteString(pair)
			kept++
			continue
		}
		if count == 0 {
			// What cannot be decoded is no key.
			value, _ = url.QueryUnescape(val)
		}
		count++
	}
	if count > 0 {
		r.URL.RawQuery = rest.String()
		if r.RequestURI != "" {
			r.RequestURI = r.URL.RequestURI()
		}
	}
	return value, count
}

// mayHold spares most requests the walk through their query.
func mayHold(query, name string) bool {
	return strings.Contains(query, name) || strings.ContainsAny(query, "%+")
}
