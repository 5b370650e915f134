package system

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// wire speaks HTTP/1.1 with one system over kept connections, on the goroutine
// of the call. net/http's Transport runs two goroutines for each connection
// and wakes both for every call, which costs more than all that the gateway
// does itself. What wire does not do goes to that Transport: bodies that are
// passed on while they arrive, and large ones.
//
// Answers are parsed by net/http. A request is never sent a second time here:
// the budget would not know of it.
type wire struct {
	other   *http.Transport
	dialer  *net.Dialer
	tls     *tls.Config // nil for plain HTTP
	address string
	timeout time.Duration // of the handshake
	keep    time.Duration // for idle connections
	permits chan struct{}
	wary    atomic.Bool // the system closes connections without a word

	mu     sync.Mutex
	idle   []*wireConn // the latest last
	closed bool
	reaper *time.Timer
}

// maxWired is the largest body that is written before the answer is read: no
// more than what the kernels at both ends take in.
const maxWired = 32 << 10

// maxAnswerHead is the largest head of an answer.
const maxAnswerHead = 256 << 10

// memory is a request body that is whole.
type memory struct{ bytes.Reader }

func (*memory) Close() error { return nil }

func newWire(u *url.URL, c Connections, dialer *net.Dialer, other *http.Transport) *wire {
	w := &wire{
		other: other, dialer: dialer, timeout: c.Dial.Std(), keep: c.Idle.Std(),
		permits: make(chan struct{}, c.Max), address: u.Host,
	}
	port := u.Port()
	if u.Scheme == "https" {
		w.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
		port = orDefault(port, "443")
	}
	w.address = net.JoinHostPort(u.Hostname(), orDefault(port, "80"))
	return w
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body *memory
	switch b := r.Body.(type) {
	case nil, empty:
	case *memory:
		if body = b; r.ContentLength > maxWired {
			return w.other.RoundTrip(r)
		}
	default:
		return w.other.RoundTrip(r)
	}
	ctx := r.Context()
	select {
	case w.permits <- struct{}{}:
	default:
		select {
		case w.permits <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	resp, err := w.exchange(ctx, r, body)
	if err != nil {
		<-w.permits
	}
	return resp, err
}

// exchange sends the request over a kept connection or a new one.
func (w *wire) exchange(ctx context.Context, r *http.Request, body *memory) (*http.Response, error) {
	c := w.take(r.Body == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead))
	if c == nil {
		var err error
		if c, err = w.dial(ctx); err != nil {
			return nil, err
		}
	}
	return c.exchange(ctx, r, body)
}

// errUnheard is the end of a kept connection before anything of an answer came.
var errUnheard = errors.New("the system closed the connection")

// fresh is how long a connection is trusted for a read after its last call.
const fresh = 50 * time.Millisecond

// take gives an idle connection that is still open; nil when there is none.
// Looking at it costs a system call. For a read, which may be asked for again,
// one that was just used is taken as it is, until the system has once closed
// such a connection.
func (w *wire) take(read bool) *wireConn {
	read = read && !w.wary.Load()
	for {
		w.mu.Lock()
		n := len(w.idle)
		if n == 0 {
			w.mu.Unlock()
			return nil
		}
		c := w.idle[n-1]
		w.idle[n-1] = nil
		w.idle = w.idle[:n-1]
		w.mu.Unlock()
		age := time.Since(c.since)
		if read && age < fresh && c.br.Buffered() == 0 || age < w.keep && c.quiet() {
			return c
		}
		c.conn.Close()
	}
}

// put keeps a connection for the next call.
func (w *wire) put(c *wireConn) {
	c.since = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		c.conn.Close()
		return
	}
	w.idle = append(w.idle, c)
	if w.reaper == nil {
		w.reaper = time.AfterFunc(w.keep, w.reap)
	}
}

// reap closes connections that were idle for too long.
func (w *wire) reap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = slices.DeleteFunc(w.idle, func(c *wireConn) bool {
		old := time.Since(c.since) >= w.keep
		if old {
			c.conn.Close()
		}
		return old
	})
	if len(w.idle) == 0 || w.closed {
		w.reaper = nil
		return
	}
	w.reaper = time.AfterFunc(w.keep-time.Since(w.idle[0].since)+time.Millisecond, w.reap)
}

// close closes the idle connections now, and the others after their calls.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, c := range w.idle {
		c.conn.Close()
	}
	w.idle = nil
	if w.reaper != nil {
		w.reaper.Stop()
	}
}

func (w *wire) dial(ctx context.Context) (*wireConn, error) {
	raw, err := w.dialer.DialContext(ctx, "tcp", w.address)
	if err != nil {
		return nil, err
	}
	c := &wireConn{wire: w, conn: raw}
	if s, ok := raw.(syscall.Conn); ok {
		if c.raw, err = s.SyscallConn(); err != nil {
			raw.Close()
			return nil, err
		}
	}
	if w.tls != nil {
		secure := tls.Client(raw, w.tls)
		handshake, cancel := context.WithTimeout(ctx, w.timeout)
		defer cancel()
		if err := secure.HandshakeContext(handshake); err != nil {
			raw.Close()
			return nil, err
		}
		c.conn = secure
	}
	c.br = bufio.NewReaderSize(c, 8<<10)
	return c, nil
}

// wireConn is one connection. It serves one call at a time.
type wireConn struct {
	wire  *wire
	conn  net.Conn
	raw   syscall.RawConn // below TLS; nil when the platform has none
	br    *bufio.Reader
	buf   []byte
	since time.Time // idle since

	head   int64 // bytes that the head of the answer may still have; negative for no bound
	heard  bool  // something of the answer has come
	reused bool
}

// Read reads from the connection, within the bound of the head.
func (c *wireConn) Read(p []byte) (int, error) {
	if c.head == 0 {
		return 0, errors.New("the head of the answer is too large")
	}
	if c.head > 0 && int64(len(p)) > c.head {
		p = p[:c.head]
	}
	n, err := c.conn.Read(p)
	if n > 0 {
		c.heard = true
		if c.head > 0 {
			c.head -= int64(n)
		}
	}
	return n, err
}

// quiet tells that an idle connection has neither been closed by the system
// nor received anything unasked.
func (c *wireConn) quiet() bool {
	if c.br.Buffered() > 0 || c.raw == nil {
		return false
	}
	open := false
	err := c.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = n <= 0 && (err == syscall.EAGAIN || err == syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && open
}

// exchange sends a request and reads the head of its answer.
func (c *wireConn) exchange(ctx context.Context, r *http.Request, body *memory) (*http.Response, error) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	resp, err := c.roundTrip(r, body)
	if err != nil {
		stop()
		c.conn.Close()
		if c.reused && !c.heard {
			c.wire.wary.Store(true)
			err = fmt.Errorf("%w: %w", errUnheard, err)
		}
		return nil, err
	}
	b := &wireBody{conn: c, stop: stop, inner: resp.Body, keep: !resp.Close && !r.Close}
	if resp.Body == http.NoBody {
		b.finish(b.keep)
		return resp, nil
	}
	resp.Body = b
	return resp, nil
}

func (c *wireConn) roundTrip(r *http.Request, body *memory) (*http.Response, error) {
	var err error
	if c.buf, err = appendRequest(c.buf[:0], r); err != nil {
		return nil, err
	}
	c.heard, c.head = false, maxAnswerHead
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders() // from here on, bytes may have left
	}
	if body != nil {
		n := len(c.buf)
		c.buf = slices.Grow(c.buf, body.Len())[:n+body.Len()]
		body.Read(c.buf[n:])
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		return nil, err
	}
	for range 5 {
		resp, err := http.ReadResponse(c.br, r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 {
			c.head, c.reused = -1, true
			return resp, nil
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return nil, errors.New("the system changes the protocol")
		}
	}
	return nil, errors.New("the system sends interim answers only")
}

// appendRequest writes the head of a request.
func appendRequest(b []byte, r *http.Request) ([]byte, error) {
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, '\r', '\n')
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("%q is not the name of a header", name)
		}
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
			continue // the framing is written here alone
		case "User-Agent":
			if len(values) == 1 && values[0] == "" {
				continue
			}
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("the value of the header %s is not valid", name)
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, '\r', '\n')
		}
	}
	if r.ContentLength > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.ContentLength, 10)
		b = append(b, '\r', '\n')
	}
	return append(b, '\r', '\n'), nil
}

// wireBody is the body of an answer; with its end the connection is free.
type wireBody struct {
	conn  *wireConn
	stop  func() bool
	inner io.ReadCloser
	keep  bool
	done  atomic.Bool
}

func (b *wireBody) Read(p []byte) (int, error) {
	n, err := b.inner.Read(p)
	if err != nil {
		b.finish(b.keep && err == io.EOF)
	}
	return n, err
}

// Close gives the connection up unless the body was read to its end.
func (b *wireBody) Close() error {
	b.finish(false)
	return nil
}

func (b *wireBody) finish(keep bool) {
	if b.done.Swap(true) {
		return
	}
	// After a cancelled context the connection has a deadline in the past.
	if b.stop() && keep {
		b.conn.wire.put(b.conn)
	} else {
		b.conn.conn.Close()
	}
	<-b.conn.wire.permits
}
