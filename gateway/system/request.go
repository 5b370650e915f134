package system

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/budget"
	"github.com/headrace/headrace/gateway/mapping"
	"github.com/headrace/headrace/specs"
)

// Request is a call of an operation as a value: all that is needed to send it
// to the system, now or later. It holds no credential of the caller and none
// of the system, so that it can be kept.
type Request struct {
	// Operation is the operation's key: API/vMAJOR/operationId.
	Operation string `json:"operation"`
	// Method is the caller's.
	Method string       `json:"method"`
	Params specs.Params `json:"params,omitempty"`
	// Query is the query string as it came.
	Query  string      `json:"query,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Body   []byte      `json:"body,omitempty"`
	// App is the name of the calling app; empty when nobody was identified.
	App            string      `json:"app,omitempty"`
	RequestID      string      `json:"requestId"`
	Correlation    string      `json:"correlation"`
	IdempotencyKey string      `json:"idempotencyKey,omitempty"`
	Class          specs.Class `json:"class"`
	// Received is when the request arrived; mappings take it for now.
	Received time.Time `json:"received"`
	Caller   Caller    `json:"caller"`
	// Wait is how long the request may stand in line for the budget.
	Wait time.Duration `json:"-"`
	// Admitted is asked when the budget has let a call of the request through;
	// false gives the admission back, and nothing is sent. It may be nil.
	Admitted func() bool `json:"-"`
	// Turn is the request's place in the line of the budget; nil for one of its own.
	Turn *budget.Turn `json:"-"`

	operation *operation
	upload    *upload // the body while it still arrives
	env       map[string]any
	value     any // the body as JSON, once decoded
	parsed    bool
}

// Caller is who sent a request, as the system may be told.
type Caller struct {
	Address string `json:"address,omitempty"`
	Host    string `json:"host,omitempty"`
	TLS     bool   `json:"tls,omitempty"`
}

// upload is a body that is passed on while it arrives.
type upload struct {
	r      io.Reader
	length int64
	begun  atomic.Bool
	failed atomic.Pointer[error] // why the caller's side ended early
}

func (u *upload) Read(p []byte) (int, error) {
	u.begun.Store(true)
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		u.failed.Store(&err)
	}
	return n, err
}

// Close does nothing: the body belongs to the exchange.
func (u *upload) Close() error { return nil }

// refusal is why the caller's side ended early; nil if it did not.
func (u *upload) refusal() *gateway.Error {
	if u == nil {
		return nil
	}
	err := u.failed.Load()
	if err == nil {
		return nil
	}
	if e, ok := (*err).(*gateway.Error); ok {
		return e
	}
	return &gateway.Error{Problem: gateway.BadRequest, Detail: "the request body broke off before its end", Cause: *err}
}

// replayable tells whether the request can be sent a second time.
func (r *Request) replayable() bool { return r.upload == nil || !r.upload.begun.Load() }

// buffered is the largest body in bytes that is read into memory before the
// call is admitted although nothing needs it. One without a length always is.
const buffered = 256 << 10

// newRequest takes from an exchange what the operation's call needs.
func (o *operation) newRequest(x *gateway.Exchange) (*Request, error) {
	hr := x.Request
	r := &Request{
		operation: o, Operation: o.key, Method: hr.Method, Params: x.Params, Query: hr.URL.RawQuery, Header: hr.Header,
		RequestID: x.ID, Correlation: x.Correlation, Class: x.Class, Received: x.Record.Started, Wait: o.wait,
	}
	if x.Operation != nil {
		r.Wait = x.Operation.Wait
	}
	if len(hr.Header["Prefer"]) > 0 {
		if wait, ok := x.Prefer(); ok {
			r.Wait = min(r.Wait, wait)
		}
	}
	if x.App != nil {
		r.App = x.App.Name
	}
	if keys := hr.Header["Idempotency-Key"]; len(keys) == 1 {
		r.IdempotencyKey = keys[0]
	}
	if o.tellsCaller {
		r.Caller = Caller{Host: hr.Host, TLS: hr.TLS != nil}
		if x.Address.IsValid() {
			r.Caller.Address = x.Address.String()
		} else {
			r.Caller.Address = host(hr.RemoteAddr)
		}
	}
	return r, o.takeBody(r, x)
}

func (o *operation) takeBody(r *Request, x *gateway.Exchange) (err error) {
	hr := x.Request
	switch {
	case !o.sendsBody && !o.needsBody, hr.Body == nil, hr.Body == http.NoBody:
		return nil
	case o.needsBody, hr.ContentLength <= buffered:
		// A slow caller must not hold the system's budget, and a body of
		// unknown length must be known to be within its limit before it is sent.
		r.Body, err = x.Body()
		return err
	}
	body, length, err := x.Stream()
	if err != nil || body == nil {
		return err
	}
	if _, inMemory := body.(*bytes.Reader); inMemory {
		r.Body, err = x.Body()
		return err
	}
	r.upload = &upload{r: body, length: length}
	return nil
}

// keep makes the request independent of its exchange.
func (o *operation) keep(r *Request, x *gateway.Exchange) error {
	body, err := x.Body()
	if err != nil {
		return err
	}
	r.Body, r.upload = body, nil
	h := make(http.Header, len(r.Header))
	for name, values := range r.Header {
		if hop(name) || listed(r.Header, name) || o.secret[name] || ownRequest(name) && name != "Prefer" && name != "X-Forwarded-For" {
			continue
		}
		h[name] = values
	}
	r.Header = h
	r.Query = withoutKeys(r.Query, o.secretQuery)
	return nil
}

// input makes what a mapping on the way to the system sees: the body, and the
// request around it.
func (r *Request) input(m *mapping.Mapping, session any) (mapping.Input, error) {
	in, err := r.around(m, nil, session)
	if err != nil || !m.NeedsInput() {
		return in, err
	}
	err = r.parse()
	in.Value = r.value
	return in, err
}

// around makes what a mapping of another value sees.
func (r *Request) around(m *mapping.Mapping, value, session any) (mapping.Input, error) {
	in := mapping.Input{Value: value, Session: session, App: r.App, Now: r.Received}
	if m.NeedsRequestBody() {
		if err := r.parse(); err != nil {
			return in, err
		}
	}
	if m.NeedsRequest() {
		in.Request = r.environment()
	}
	return in, nil
}

// parse reads the body as JSON, once.
func (r *Request) parse() error {
	if r.parsed {
		return nil
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &gateway.Error{Problem: gateway.UnsupportedMedia, Detail: "the request body must not be compressed"}
	}
	value, err := mapping.Decode(r.Body)
	if err != nil {
		return &gateway.Error{Problem: gateway.BadRequest, Detail: "the request body " + err.Error()}
	}
	r.value, r.parsed = value, true
	if r.env != nil {
		r.env["body"] = value
	}
	return nil
}

// environment makes $request. The body is in it once it has been parsed.
func (r *Request) environment() map[string]any {
	if r.env != nil {
		return r.env
	}
	params := make(map[string]any, len(r.Params))
	for _, p := range r.Params {
		params[p.Name] = p.Value
	}
	query := map[string]any{}
	if r.Query != "" {
		values, _ := url.ParseQuery(withoutKeys(r.Query, r.operation.secretQuery)) // what cannot be read is left out
		for name, list := range values {
			query[name] = oneOrMany(list)
		}
	}
	headers := make(map[string]any, len(r.Header))
	for name, values := range r.Header {
		if !hop(name) && name != "Authorization" && name != "Cookie" && name != "Proxy-Authorization" && !r.operation.secret[name] {
			headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	r.env = map[string]any{"method": r.Method, "path": params, "query": query, "headers": headers, "body": r.value}
	return r.env
}

// withoutKeys takes parameters out of a query string and leaves the rest as it stands.
func withoutKeys(query string, names map[string]bool) string {
	if len(names) == 0 || query == "" {
		return query
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil && names[decoded] {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}
