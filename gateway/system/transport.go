package system

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
)

// transport holds the connections to one system.
type transport struct {
	round    http.RoundTripper
	shut     func()
	inFlight atomic.Int64
	calls    atomic.Int64 // numbers the calls of dialects that number them
}

func newTransport(u *url.URL, c Connections) *transport {
	dialer := &net.Dialer{Timeout: c.Dial.Std(), KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    c.Dial.Std(),
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      c.HTTP2,
		DisableKeepAlives:      !c.KeepAlive,
		DisableCompression:     true,
		MaxConnsPerHost:        c.Max,
		MaxIdleConnsPerHost:    c.Max,
		IdleConnTimeout:        c.Idle.Std(),
		MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize:         8 << 10,
		WriteBufferSize:        8 << 10,
	}
	// The environment is asked once, not for every request.
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err == nil && proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	if t.Proxy != nil || c.HTTP2 || !c.KeepAlive {
		return &transport{round: t, shut: t.CloseIdleConnections}
	}
	w := newWire(u, c, dialer, t)
	return &transport{round: w, shut: func() { w.close(); t.CloseIdleConnections() }}
}

func (t *transport) close() { t.shut() }

// errTimeout is the cause of a context whose call took too long.
var errTimeout = errors.New("the system took too long")

// empty is a body without bytes. A request that has it is not sent a second
// time by net/http, as one without a body may be when its method is GET.
type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }
func (empty) Close() error             { return nil }

// lost makes the result of a call that got no answer. left tells that bytes of
// the request may have reached the system.
func (s *system) lost(ctx context.Context, t *task, err error, left bool) *Result {
	if e := t.request.upload.refusal(); e != nil {
		// The body ended early on the caller's side: the system has no whole request.
		return fail(Refused, e)
	}
	timeout := context.Cause(ctx) == errTimeout
	if !left || neverSent(err) {
		e := &gateway.Error{Problem: gateway.SystemUnavailable, System: s.name, Detail: s.name + " cannot be reached", RetryAfter: spread(time.Second), Cause: err}
		if timeout {
			e.Detail = s.name + " did not take the request in time"
		}
		return unsent(Unavailable, e)
	}
	e := &gateway.Error{Problem: gateway.BadGateway, System: s.name, Detail: s.name + " closed the connection without an answer", Cause: err}
	if timeout {
		e.Problem = gateway.SystemTimeout
		e.Detail = fmt.Sprintf("%s did not answer within %s", s.name, t.timeout)
	}
	if t.safe {
		r := fail(Unavailable, e)
		r.unknown, r.unheard = timeout, errors.Is(err, errUnheard)
		return r
	}
	e.Detail += "; whether it has done the request is not known"
	r := fail(Doubtful, e)
	r.unknown = true
	return r
}

// neverSent tells of errors that come before the first byte of a request.
func neverSent(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}
