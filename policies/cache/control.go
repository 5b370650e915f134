package cache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
)

// control is what a Cache-Control says (RFC 9111, section 5.2). Ages are in
// seconds, -1 when they are not said.
type control struct {
	noStore, noCache, private, mustRevalidate bool
	maxAge, sharedMaxAge                      int64
}

func directives(lines []string) control {
	c := control{maxAge: -1, sharedMaxAge: -1}
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-store":
				c.noStore = true
			case "no-cache":
				c.noCache = true
			case "private":
				c.private = true
			case "must-revalidate", "proxy-revalidate":
				c.mustRevalidate = true
			case "max-age":
				c.maxAge = seconds(value)
			case "s-maxage":
				c.sharedMaxAge = seconds(value)
			}
		}
	}
	return c
}

// seconds reads an age; what cannot be read is no age at all: zero.
func seconds(text string) int64 {
	n, err := strconv.ParseInt(strings.Trim(strings.TrimSpace(text), `"`), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return min(n, 1<<31)
}

func age(h http.Header) time.Duration {
	return time.Duration(seconds(h.Get("Age"))) * time.Second
}

// lifetime is how long an answer with status 200 stays fresh from now on; zero
// or less when it must not be kept.
func (p *policy) lifetime(r *gateway.Response) time.Duration {
	h := r.Header
	said := directives(h["Cache-Control"])
	switch {
	case said.noStore, said.noCache, said.private,
		h["Set-Cookie"] != nil, h["Content-Range"] != nil,
		strings.HasPrefix(h.Get("Content-Type"), "text/event-stream"),
		!p.varies(h["Vary"]), r.Length > p.maxEntry:
		return 0
	}
	lifetime := p.ttl
	if said.sharedMaxAge >= 0 {
		lifetime = min(lifetime, time.Duration(said.sharedMaxAge)*time.Second-age(h))
	} else if said.maxAge >= 0 {
		lifetime = min(lifetime, time.Duration(said.maxAge)*time.Second-age(h))
	}
	return lifetime
}

// varies tells whether answers are told apart by all headers that Vary names.
func (p *policy) varies(lines []string) bool {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if name == "" || slices.Contains(p.vary, name) {
				continue
			}
			if p.shared || name != "Authorization" && name != "Cookie" {
				return false
			}
		}
	}
	return true
}
