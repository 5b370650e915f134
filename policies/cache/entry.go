package cache

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
)

// entry is an answer that is kept. It is immutable.
type entry struct {
	header  http.Header
	body    []byte
	etag    string
	stored  time.Time
	expires time.Time
	// age is how old the answer was when it came.
	age time.Duration
	// strict is set when the system allows no answer that is not fresh.
	strict bool
	// pass marks a key whose answers are not kept: calls need not wait for each other.
	pass bool
}

// perCall are headers that belong to one exchange and not to its answer.
var perCall = []string{"Age", "Traceparent", "Tracestate", "Server-Timing", "X-Cache", "X-Correlation-Id", "X-Request-Id"}

// answeredHere are request headers that the cache itself understands.
var answeredHere = []string{"Cache-Control", "If-Modified-Since", "If-None-Match"}

func newEntry(h http.Header, body []byte, now time.Time, lifetime time.Duration) *entry {
	e := &entry{header: make(http.Header, len(h)+1), body: body, stored: now, expires: now.Add(lifetime), age: age(h)}
	for name, values := range h {
		if !slices.Contains(perCall, name) {
			e.header[name] = slices.Clip(slices.Clone(values))
		}
	}
	if e.etag = h.Get("Etag"); e.etag == "" {
		sum := sha256.Sum256(body)
		e.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
		e.header["Etag"] = []string{e.etag}
	}
	e.strict = directives(h["Cache-Control"]).mustRevalidate
	return e
}

func (e *entry) fresh(now time.Time) bool { return e != nil && now.Before(e.expires) }

// usable tells whether the answer may be given in need.
func (e *entry) usable(now time.Time, stale time.Duration) bool {
	return e != nil && !e.pass && (now.Before(e.expires) || !e.strict && now.Before(e.expires.Add(stale)))
}

// seconds is how old the answer is.
func (e *entry) seconds(now time.Time) int64 { return int64((e.age + now.Sub(e.stored)) / time.Second) }

// size is the memory that an entry takes, roughly.
func (e *entry) size(key string) int64 {
	n := 300 + len(key) + len(e.body)
	for name, values := range e.header {
		n += 64 + len(name)
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	return int64(n)
}

// response makes an answer of the entry: 304 where the caller has it already.
func (e *entry) response(c conditions, now time.Time, how string) *gateway.Response {
	h := maps.Clone(e.header)
	h["X-Cache"] = []string{how}
	if how != "miss" {
		h["Age"] = []string{strconv.FormatInt(e.seconds(now), 10)}
	}
	return c.apply(&gateway.Response{Status: http.StatusOK, Header: h, Bytes: e.body, Length: int64(len(e.body))})
}

// untouched passes on an answer that is not kept.
func untouched(r *gateway.Response, c conditions) *gateway.Response {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header["X-Cache"] = []string{"miss"}
	return c.apply(r)
}

// conditions are what a caller has already, by RFC 9110, section 13.1.
type conditions struct{ noneMatch, modifiedSince []string }

func conditionsOf(h http.Header) conditions {
	return conditions{h["If-None-Match"], h["If-Modified-Since"]}
}

// takeConditions keeps them from the system, whose 304 could not be kept.
func takeConditions(h http.Header) conditions {
	c := conditionsOf(h)
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	return c
}

func (c conditions) putBack(h http.Header) {
	if c.noneMatch != nil {
		h["If-None-Match"] = c.noneMatch
	}
	if c.modifiedSince != nil {
		h["If-Modified-Since"] = c.modifiedSince
	}
}

// apply turns an answer that the caller has already into a 304.
func (c conditions) apply(r *gateway.Response) *gateway.Response {
	if r.Status != http.StatusOK || !c.met(r.Header) {
		return r
	}
	r.Close()
	h := maps.Clone(r.Header)
	for name := range h {
		if strings.HasPrefix(name, "Content-") && name != "Content-Location" {
			delete(h, name)
		}
	}
	return &gateway.Response{Status: http.StatusNotModified, Header: h}
}

func (c conditions) met(h http.Header) bool {
	if c.noneMatch != nil {
		etag := strings.TrimPrefix(h.Get("Etag"), "W/")
		for _, line := range c.noneMatch {
			for tag := range strings.SplitSeq(line, ",") {
				if tag = strings.TrimSpace(tag); tag == "*" || etag != "" && strings.TrimPrefix(tag, "W/") == etag {
					return true
				}
			}
		}
		return false
	}
	if len(c.modifiedSince) != 1 {
		return false
	}
	since, err := http.ParseTime(c.modifiedSince[0])
	modified, merr := http.ParseTime(h.Get("Last-Modified"))
	return err == nil && merr == nil && !modified.After(since)
}
