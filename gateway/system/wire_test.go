package system

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// peer is a server that reads requests with net/http and answers with raw bytes.
type peer struct {
	address  string
	accepted atomic.Int64
	requests atomic.Int64
}

// newPeer answers the n-th request of the c-th connection (both from 1) with
// what answer gives; an empty answer closes the connection.
func newPeer(t *testing.T, answer func(c, n int64, r *http.Request) string) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &peer{address: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c := p.accepted.Add(1)
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for n := int64(1); ; n++ {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					p.requests.Add(1)
					text := answer(c, n, r)
					if text == "" {
						return
					}
					io.WriteString(conn, text)
				}
			}()
		}
	}()
	return p
}

func (p *peer) wire(t *testing.T, change ...func(*Connections)) *wire {
	t.Helper()
	c := Connections{Max: 4, Idle: source.Duration(time.Minute), KeepAlive: true, Dial: source.Duration(time.Second)}
	for _, f := range change {
		f(&c)
	}
	w, ok := newTransport(&url.URL{Scheme: "http", Host: p.address}, c).round.(*wire)
	if !ok {
		t.Fatal("plain HTTP does not go by the wire")
	}
	t.Cleanup(w.close)
	return w
}

func (p *peer) request(ctx context.Context, method, body string) *http.Request {
	r := (&http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: p.address, Path: "/orders"}, Host: p.address, Header: http.Header{}}).WithContext(ctx)
	if body != "" {
		r.Body, r.ContentLength = &memory{*bytes.NewReader([]byte(body))}, int64(len(body))
	}
	return r
}

func fetchAll(w *wire, r *http.Request) (int, string, error) {
	resp, err := w.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestWireKeepsConnections(t *testing.T) {
	for name, answer := range map[string]string{
		"length":   okAnswer,
		"chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"interim":  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + okAnswer,
		"no body":  "HTTP/1.1 204 No Content\r\n\r\n",
		"the head": "HTTP/1.1 200 OK\r\nX-Large: " + strings.Repeat("x", 200<<10) + "\r\nContent-Length: 2\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, func(int64, int64, *http.Request) string { return answer })
			w := p.wire(t)
			for range 5 {
				if status, body, err := fetchAll(w, p.request(t.Context(), "GET", "")); err != nil || status/100 != 2 || len(body) > 2 {
					t.Fatal(status, body, err)
				}
			}
			if n := p.accepted.Load(); n != 1 {
				t.Errorf("%d connections for 5 calls", n)
			}
		})
	}
}

func TestWireGivesConnectionsUp(t *testing.T) {
	for name, answer := range map[string]string{
		"the system closes": "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0":          "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"unasked bytes":     okAnswer + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, func(int64, int64, *http.Request) string { return answer })
			w := p.wire(t)
			for range 3 {
				if status, body, err := fetchAll(w, p.request(t.Context(), "GET", "")); err != nil || status != 200 || body != "ok" {
					t.Fatal(status, body, err)
				}
				time.Sleep(5 * time.Millisecond)
			}
			if n := p.accepted.Load(); n != 3 {
				t.Errorf("%d connections for 3 calls", n)
			}
		})
	}
}

// Nothing is sent twice when a connection dies, whatever the method and the
// headers say; the end of a kept one is told apart.
func TestWireNeverRepeats(t *testing.T) {
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		t.Run(method, func(t *testing.T) {
			// The second request of the first connection is read, and gets no answer.
			p := newPeer(t, func(c, n int64, _ *http.Request) string {
				if c == 1 && n == 2 {
					return ""
				}
				return okAnswer
			})
			w := p.wire(t)
			if _, _, err := fetchAll(w, p.request(t.Context(), "GET", "")); err != nil {
				t.Fatal(err)
			}
			body := ""
			if method == "POST" {
				body = "{}"
			}
			r := p.request(t.Context(), method, body)
			r.Header.Set("Idempotency-Key", "one")
			if _, _, err := fetchAll(w, r); !errors.Is(err, errUnheard) || p.requests.Load() != 2 {
				t.Errorf("%d requests", p.requests.Load())
			}
		})
	}
}

// A connection that the system closed while it was idle is noticed before a
// write goes out on it.
func TestWireNoticesClosedConnections(t *testing.T) {
	p := newPeer(t, func(_, n int64, _ *http.Request) string {
		if n == 1 {
			return okAnswer
		}
		return ""
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	defer server.Close()
	p.address = strings.TrimPrefix(server.URL, "http://")
	w := p.wire(t)
	for range 3 {
		if _, _, err := fetchAll(w, p.request(t.Context(), "POST", "{}")); err != nil {
			t.Fatal(err)
		}
		server.CloseClientConnections()
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWireRefusesWhatCannotBeSent(t *testing.T) {
	p := newPeer(t, func(int64, int64, *http.Request) string { return okAnswer })
	w := p.wire(t)
	for _, h := range []http.Header{{"X-A": {"b\r\nX-Evil: c"}}, {"X A": {"b"}}, {"X-A:": {"b"}}} {
		r := p.request(t.Context(), "GET", "")
		r.Header = h
		if _, _, err := fetchAll(w, r); err == nil {
			t.Errorf("%q was sent", h)
		}
	}
	if p.requests.Load() != 0 {
		t.Error("something arrived")
	}
}

func TestWireWritesTheFramingItself(t *testing.T) {
	var got http.Header
	p := newPeer(t, func(_, _ int64, r *http.Request) string {
		got = r.Header.Clone()
		got.Set("Length", fmt.Sprint(r.ContentLength))
		return okAnswer
	})
	w := p.wire(t)
	r := p.request(t.Context(), "POST", "{}")
	r.Header = http.Header{"Content-Length": {"99"}, "Transfer-Encoding": {"chunked"}, "User-Agent": {""}, "X-Two": {"a", "b"}}
	if _, _, err := fetchAll(w, r); err != nil {
		t.Fatal(err)
	}
	if got.Get("Length") != "2" || len(got["X-Two"]) != 2 || got["User-Agent"] != nil || got["Transfer-Encoding"] != nil {
		t.Errorf("%v", got)
	}
}

func TestWireAnswersThatCannotBeUsed(t *testing.T) {
	for name, answer := range map[string]string{
		"not HTTP":         "SMTP ready\r\n\r\n",
		"a head too large": "HTTP/1.1 200 OK\r\nX-Large: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
		"another protocol": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"interim for ever": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10),
		"half a body":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"two lengths":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, func(_, n int64, _ *http.Request) string {
				if n > 1 {
					return ""
				}
				return answer
			})
			w := p.wire(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if status, body, err := fetchAll(w, p.request(ctx, "GET", "")); err == nil {
				t.Errorf("%d %q", status, body)
			}
			if len(w.permits) != 0 {
				t.Error("the place of the call is not given back")
			}
		})
	}
}

// Calls beyond the bound wait for a connection, and leave when their caller does.
func TestWireBoundsConnections(t *testing.T) {
	release := make(chan struct{})
	p := newPeer(t, func(int64, int64, *http.Request) string { <-release; return okAnswer })
	w := p.wire(t)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, _, err := fetchAll(w, p.request(t.Context(), "GET", "")); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := fetchAll(w, p.request(ctx, "GET", "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call beyond the bound: %v", err)
	}
	if n := p.accepted.Load(); n != 4 {
		t.Errorf("%d connections, at most 4 are allowed", n)
	}
	close(release)
	wg.Wait()
	if n := p.accepted.Load(); n != 4 {
		t.Errorf("%d connections in the end", n)
	}
}

func TestWireCancel(t *testing.T) {
	silent := make(chan struct{})
	defer close(silent)
	p := newPeer(t, func(c, _ int64, _ *http.Request) string {
		if c == 1 {
			<-silent
		}
		return okAnswer
	})
	w := p.wire(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	started := time.Now()
	if _, _, err := fetchAll(w, p.request(ctx, "GET", "")); err == nil || time.Since(started) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
	if _, _, err := fetchAll(w, p.request(t.Context(), "GET", "")); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestWireClosesIdleConnections(t *testing.T) {
	p := newPeer(t, func(int64, int64, *http.Request) string { return okAnswer })
	w := p.wire(t, func(c *Connections) { c.Idle = source.Duration(40 * time.Millisecond) })
	if _, _, err := fetchAll(w, p.request(t.Context(), "GET", "")); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		w.mu.Lock()
		n := len(w.idle)
		w.mu.Unlock()
		if n == 0 {
			break
		}
		if i > 200 {
			t.Fatal("an idle connection is kept for ever")
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.close()
	if _, _, err := fetchAll(w, p.request(t.Context(), "GET", "")); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle) != 0 {
		t.Error("a closed wire keeps connections")
	}
}

// Large bodies are answered while they are still written, so net/http sends them.
func TestWireLeavesLargeBodiesToNetHTTP(t *testing.T) {
	var length atomic.Int64
	p := newPeer(t, func(_, _ int64, r *http.Request) string { length.Store(r.ContentLength); return okAnswer })
	w := p.wire(t)
	large := strings.Repeat("x", maxWired+1)
	if _, _, err := fetchAll(w, p.request(t.Context(), "POST", large)); err != nil || length.Load() != int64(len(large)) {
		t.Errorf("%v, %d bytes", err, length.Load())
	}
}

func TestWireTellsWhenARequestMayHaveLeft(t *testing.T) {
	p := newPeer(t, func(int64, int64, *http.Request) string { return okAnswer })
	var left atomic.Bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteHeaders: func() { left.Store(true) }})
	if _, _, err := fetchAll(p.wire(t), p.request(ctx, "POST", "{}")); err != nil || !left.Load() {
		t.Errorf("%v, left %v", err, left.Load())
	}
	left.Store(false)
	p.address = "127.0.0.1:1"
	if _, _, err := fetchAll(p.wire(t), p.request(ctx, "POST", "{}")); err == nil || left.Load() {
		t.Errorf("%v, left %v", err, left.Load())
	}
}

func TestWireSpeaksTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{address: u.Host}
	w := newTransport(u, Connections{Max: 2, Idle: source.Duration(time.Minute), KeepAlive: true, Dial: source.Duration(time.Second)}).round.(*wire)
	defer w.close()
	r := p.request(t.Context(), "GET", "")
	r.URL.Scheme = "https"
	if _, _, err := fetchAll(w, r); err == nil || !neverSent(err) {
		t.Errorf("an unknown certificate was accepted, or counts as sent: %v", err)
	}
	w.tls.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	w.tls.ServerName = "example.com"
	for range 3 {
		if status, body, err := fetchAll(w, r); err != nil || status != 200 || body != "HTTP/1.1" {
			t.Errorf("%d %q %v", status, body, err)
		}
	}
}
