// Package gateway holds the words of Headrace and the way of a request: an
// Exchange runs through the Handler chain of its Operation, which was compiled
// into an immutable Table.
package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/specs"
	"github.com/headrace/headrace/specs/schema"
)

// Exchange is one request on its way, and what is known about it. It belongs
// to one goroutine at a time and must not be kept after the handler returned.
type Exchange struct {
	// Request is the caller's request. Its body is read through Body or Stream.
	Request *http.Request
	// ID is the request id: the caller's X-Request-Id if acceptable, else a new one.
	ID string
	// Correlation joins everything that belongs to one business transaction:
	// the caller's X-Correlation-Id, else the trace id, else ID.
	Correlation string
	// Operation is nil until the request was matched.
	Operation *Operation
	Params    specs.Params
	// BodyLimit is the largest body that is accepted, in bytes.
	BodyLimit int64
	// Address is the caller's own, where a policy has found it out behind
	// trusted proxies; it is not valid otherwise, and the connection's holds.
	Address netip.Addr

	// App is the consumer; nil until a policy has identified it.
	App *App
	// Subscription is the app's approved use of a product; nil until checked.
	Subscription *Subscription
	// Identified is the set of security schemes (specs.SecurityScheme.Bit) that the caller has met.
	Identified uint32
	// Scopes are those that the caller's credentials carry.
	Scopes []string
	// Through is the API that the caller has called, where this is a call that a
	// flow makes in the caller's name; nil for the caller's own.
	Through *API
	// Class is the criticality of this call.
	Class specs.Class
	// Preflight tells that a browser asks before a cross-origin call: the method
	// is OPTIONS, and Operation is the one that the browser wants to call. Only
	// policies of StageCORS ever see such an exchange.
	Preflight bool

	Record Record

	allow   string // methods of the path, when the method did not match
	headers []headerField
	inline  [6]headerField // room for most of headers
	body    []byte
	read    bool
}

type headerField struct{ name, value string }

// Record is what is written down about an exchange when it has ended.
type Record struct {
	Started time.Time
	// Wait is the time spent waiting for the system's budget, System the time
	// that the system took, over all calls of the exchange.
	Wait, System time.Duration
	// Attempts is the number of calls to the system.
	Attempts int
	// Decision says how the exchange ended: answered, or the type of its error.
	Decision string
	// Cache is hit, stale or miss where a cache took part.
	Cache string
	// Status and Sent (bytes of the body) are what the caller got.
	Status int
	Sent   int64
	// Violations are those of the system's response. RequestViolations are those
	// of a request that was let through all the same.
	Violations, RequestViolations []specs.Violation
	// Seen are the fields of the request (specs.Operation.Fields), where it was validated.
	Seen schema.Seen
	// Cause is the reason behind an error, for the log only.
	Cause error
}

// Context is the request's context; it ends when the caller leaves.
func (x *Exchange) Context() context.Context { return x.Request.Context() }

// SetHeader has a header sent with whatever answer the caller gets, also with a refusal.
func (x *Exchange) SetHeader(name, value string) {
	if x.headers == nil {
		x.headers = x.inline[:0]
	}
	x.headers = append(x.headers, headerField{http.CanonicalHeaderKey(name), value})
}

// Recognise notes that a credential of the caller belongs to app, meets the
// security schemes of a set (specs.SecurityScheme.Bit), and carries scopes,
// which must not be changed afterwards. The refusal is nil unless the app is
// disabled or does not call from the caller's address (403), or another credential
// of the same request belongs to another app (401; the caller adds its challenge).
func (x *Exchange) Recognise(app *App, schemes uint32, scopes []string) *Error {
	switch {
	case x.App != nil && x.App != app:
		return &Error{Problem: InvalidCredentials, Detail: "the credentials of this request belong to different apps"}
	case app.Disabled:
		return &Error{Problem: Forbidden, Detail: fmt.Sprintf("the app %q is disabled", app.Name)}
	case !app.CallsFrom(x):
		return &Error{Problem: AddressRefused, Detail: fmt.Sprintf("the app %q does not call from here", app.Name)}
	}
	x.App = app
	x.Identified |= schemes
	if x.Scopes == nil {
		x.Scopes = scopes
	} else {
		x.Scopes = append(slices.Clip(x.Scopes), scopes...)
	}
	return nil
}

// Body reads the whole request body, once, and returns the same bytes to every
// caller; nil when there is none. A body beyond BodyLimit is a 413, one that
// breaks off a 400. The bytes must not be changed.
func (x *Exchange) Body() ([]byte, error) {
	if x.read {
		return x.body, nil
	}
	r := x.Request
	if r.Body == nil || r.Body == http.NoBody {
		x.read = true
		return nil, nil
	}
	if r.ContentLength > x.BodyLimit {
		return nil, TooLarge(x.BodyLimit)
	}
	var err error
	if r.ContentLength > 0 {
		x.body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, x.body)
	} else {
		x.body, err = io.ReadAll(io.LimitReader(r.Body, x.BodyLimit+1))
	}
	if err != nil {
		x.body = nil
		return nil, brokenBody(err, x.BodyLimit)
	}
	if int64(len(x.body)) > x.BodyLimit {
		x.body = nil
		return nil, TooLarge(x.BodyLimit)
	}
	x.read = true
	return x.body, nil
}

// Held is the request body where it has been read already; whole is false
// where there is one that has not. The bytes must not be changed.
func (x *Exchange) Held() (body []byte, whole bool) {
	return x.body, x.read || x.Request.Body == nil || x.Request.Body == http.NoBody
}

func brokenBody(err error, limit int64) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return TooLarge(limit)
	}
	return &Error{Problem: BadRequest, Detail: "the request body broke off before its end", Cause: err}
}

// Stream gives the request body for forwarding, with its length (-1 when
// unknown). A body that was read already is given from memory; otherwise it is
// passed on as it arrives, and reading beyond BodyLimit fails.
func (x *Exchange) Stream() (io.Reader, int64, error) {
	r := x.Request
	switch {
	case x.read:
		if len(x.body) == 0 {
			return nil, 0, nil
		}
		return bytes.NewReader(x.body), int64(len(x.body)), nil
	case r.Body == nil || r.Body == http.NoBody:
		return nil, 0, nil
	case r.ContentLength > x.BodyLimit:
		return nil, 0, TooLarge(x.BodyLimit)
	case r.ContentLength < 0:
		return &boundedBody{r: r.Body, left: x.BodyLimit, limit: x.BodyLimit}, -1, nil
	}
	return r.Body, r.ContentLength, nil
}

// boundedBody fails when more arrives than is allowed, so that a chunked body
// is never cut short silently.
type boundedBody struct {
	r           io.Reader
	left, limit int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return 0, TooLarge(b.limit)
	}
	b.left -= int64(n)
	return n, err
}

// Prefer reads the wait preference of RFC 7240 (Prefer: wait=SECONDS, or
// respond-async, which is a wait of zero); ok is false when the caller states none.
func (x *Exchange) Prefer() (wait time.Duration, ok bool) {
	for _, line := range x.Request.Header["Prefer"] {
		for preference := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				return 0, true
			case "wait":
				if s, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`)); err == nil && s >= 0 && s <= 86400 {
					return time.Duration(s) * time.Second, true
				}
			}
		}
	}
	return 0, false
}

// Response is an answer as a value. Either Bytes or Body holds its content.
type Response struct {
	Status int
	Header http.Header
	Bytes  []byte
	// Body is passed on as it arrives, and closed after. Length is its length, -1 when unknown.
	Body   io.ReadCloser
	Length int64
	// Own tells that the gateway answers by itself, in a way that the API's
	// document need not describe.
	Own bool
}

// Content reads the whole body into Bytes, at most limit bytes, and returns it.
func (r *Response) Content(limit int64) ([]byte, error) {
	if r.Body == nil {
		return r.Bytes, nil
	}
	defer r.Body.Close()
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, &Error{Problem: BadGateway, Detail: "the system's answer broke off", Cause: err}
	}
	if int64(len(data)) > limit {
		return nil, &Error{Problem: BadGateway, Detail: "the system's answer is too large to be processed"}
	}
	r.Body, r.Bytes, r.Length = nil, data, int64(len(data))
	return data, nil
}

// Peek reads the body into memory when it has at most limit bytes, as Content
// does. A longer one stays a stream: whole is false then, and nothing is lost.
func (r *Response) Peek(limit int64) (data []byte, whole bool, err error) {
	switch {
	case r.Body == nil && int64(len(r.Bytes)) <= limit:
		return r.Bytes, true, nil
	case r.Body == nil || r.Length > limit:
		return nil, false, nil
	}
	if r.Length > 0 {
		data = make([]byte, r.Length)
		_, err = io.ReadFull(r.Body, data)
	} else {
		data, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	}
	if err != nil {
		r.Body.Close()
		return nil, false, &Error{Problem: BadGateway, Detail: "the system's answer broke off", Cause: err}
	}
	if int64(len(data)) > limit {
		r.Body = &resumed{Reader: io.MultiReader(bytes.NewReader(data), r.Body), Closer: r.Body}
		return nil, false, nil
	}
	r.Body.Close()
	r.Body, r.Bytes, r.Length = nil, data, int64(len(data))
	return data, true, nil
}

// resumed is a body whose beginning was read already.
type resumed struct {
	io.Reader
	io.Closer
}

// Close releases a body that will not be sent.
func (r *Response) Close() {
	if r != nil && r.Body != nil {
		r.Body.Close()
	}
}
