package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/specs"
)

// silent records nothing but keeps the exchanges that ended.
type silent struct {
	mu    sync.Mutex
	ended []Record
}

func (*silent) Prepare(*Operation) {}
func (*silent) Begin(*Exchange)    {}
func (s *silent) End(x *Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, x.Record)
}

func (s *silent) last(t *testing.T) Record {
	t.Helper()
	for range 200 {
		s.mu.Lock()
		if n := len(s.ended); n > 0 {
			defer s.mu.Unlock()
			return s.ended[n-1]
		}
		s.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the exchange was not recorded")
	return Record{}
}

// serve starts a gateway on a real listener whose only operation, at any of
// the methods, is answered by h.
func serve(t *testing.T, h Handler, methods ...string) (*Gateway, *silent, string) {
	t.Helper()
	recorder := &silent{}
	g := New(Options{Recorder: recorder, BodyLimit: 1 << 20})
	g.Swap(table(t, "one", h, methods...))
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return g, recorder, server.URL
}

func table(t *testing.T, revision string, h Handler, methods ...string) *Table {
	t.Helper()
	tree := new(specs.Tree[*Operation])
	table := &Table{Revision: revision, Tree: tree}
	for _, method := range methods {
		op := &Operation{API: &API{Name: "orders", Major: "v1"}, Spec: &specs.Operation{ID: method, Method: method}, Route: "/orders/v1/orders/{id}", Handler: h}
		if err := tree.Add(method, op.Route, op); err != nil {
			t.Fatal(err)
		}
		table.Operations = append(table.Operations, op)
	}
	return table
}

func text(status int, body string) (*Response, error) {
	return &Response{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}, Bytes: []byte(body)}, nil
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestAnswer(t *testing.T) {
	_, recorder, url := serve(t, func(x *Exchange) (*Response, error) {
		x.SetHeader("RateLimit", `"a";r=1;t=2`)
		return text(200, "order "+x.Params.Get("id"))
	}, "GET")
	resp, body := get(t, url+"/orders/v1/orders/a%2Fb")
	if resp.StatusCode != 200 || body != "order a/b" {
		t.Fatalf("%d %q", resp.StatusCode, body)
	}
	if resp.Header.Get("RateLimit") == "" || len(resp.Header.Get("X-Request-Id")) != 32 {
		t.Errorf("headers %v", resp.Header)
	}
	if r := recorder.last(t); r.Decision != "answered" || r.Status != 200 || r.Sent != int64(len(body)) {
		t.Errorf("record %+v", r)
	}
}

func TestRefusals(t *testing.T) {
	secret := errors.New("the password is swordfish")
	_, _, url := serve(t, func(x *Exchange) (*Response, error) {
		switch x.Params.Get("id") {
		case "unknown-error":
			return nil, secret
		case "panic":
			panic(secret)
		case "saturated":
			return nil, &Error{Problem: Saturated, System: "erp", Pool: "window", RetryAfter: 1500 * time.Millisecond, Cause: secret}
		case "challenge":
			return nil, &Error{Problem: Unauthenticated, Challenge: `ApiKey realm="orders"`}
		case "violations":
			return nil, &Error{Problem: InvalidBody, Violations: []specs.Violation{{In: "body", Pointer: "/lines/0/quantity", Detail: "expected an integer"}}}
		}
		return text(200, "fine")
	}, "GET")
	for _, c := range []struct {
		method, path string
		status       int
		problem      string
		header       [2]string
	}{
		{"GET", "/orders/v1/orders/unknown-error", 500, "internal", [2]string{"Cache-Control", "no-store"}},
		{"GET", "/orders/v1/orders/panic", 500, "internal", [2]string{}},
		{"GET", "/orders/v1/orders/saturated", 503, "saturated", [2]string{"Retry-After", "2"}},
		{"GET", "/orders/v1/orders/challenge", 401, "unauthenticated", [2]string{"WWW-Authenticate", `ApiKey realm="orders"`}},
		{"GET", "/orders/v1/orders/violations", 422, "invalid-body", [2]string{}},
		{"GET", "/orders/v1/nothing", 404, "not-found", [2]string{}},
		{"PATCH", "/orders/v1/orders/1", 405, "method-not-allowed", [2]string{"Allow", "GET, HEAD"}},
	} {
		req, err := http.NewRequest(c.method, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", "mine-1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var d document
		if err := json.Unmarshal(body, &d); err != nil {
			t.Errorf("%s: %v in %s", c.path, err, body)
		}
		if resp.StatusCode != c.status || d.Status != c.status || d.Type != TypeBase+c.problem || d.RequestID != "mine-1" {
			t.Errorf("%s: %d %s", c.path, resp.StatusCode, body)
		}
		if resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get(c.header[0]) != c.header[1] {
			t.Errorf("%s: headers %v", c.path, resp.Header)
		}
		if strings.Contains(string(body), "swordfish") {
			t.Errorf("%s: the cause leaks: %s", c.path, body)
		}
	}
}

func TestNotReadyBeforeTheFirstTable(t *testing.T) {
	server := httptest.NewServer(New(Options{Recorder: &silent{}}))
	defer server.Close()
	resp, body := get(t, server.URL+"/orders/v1/orders/1")
	if resp.StatusCode != 503 || !strings.Contains(body, "not-ready") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestRequestIDs(t *testing.T) {
	for id, kept := range map[string]bool{
		"abc-123_X.y:z":          true,
		"with space":             false,
		"new\tline":              false,
		strings.Repeat("a", 129): false,
		`"quoted"`:               false,
	} {
		x := &Exchange{Request: &http.Request{Header: http.Header{"X-Request-Id": {id}}}}
		x.identify()
		if (x.ID == id) != kept {
			t.Errorf("%q became %q", id, x.ID)
		}
	}
}

// A body that breaks off half-way must not look whole to the caller.
func TestBrokenAnswerBreaksTheConnection(t *testing.T) {
	_, recorder, url := serve(t, func(x *Exchange) (*Response, error) {
		body := io.MultiReader(strings.NewReader("half"), failing{})
		return &Response{Status: 200, Body: io.NopCloser(body), Length: 8}, nil
	}, "GET")
	resp, err := http.Get(url + "/orders/v1/orders/1")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("the caller took half an answer for whole")
	}
	if r := recorder.last(t); r.Decision != "broke-off" {
		t.Errorf("record %+v", r)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }

func TestBodies(t *testing.T) {
	_, _, url := serve(t, func(x *Exchange) (*Response, error) {
		if x.Params.Get("id") == "stream" {
			r, length, err := x.Stream()
			if err != nil {
				return nil, err
			}
			data, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			return text(200, fmt.Sprintf("%d %d", length, len(data)))
		}
		first, err := x.Body()
		if err != nil {
			return nil, err
		}
		r, length, err := x.Stream()
		if err != nil {
			return nil, err
		}
		if r == nil {
			return text(200, "none")
		}
		again, _ := io.ReadAll(r)
		return text(200, fmt.Sprintf("%d %d %t", len(first), length, bytes.Equal(first, again)))
	}, "POST")
	large := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, path string
		body       io.Reader
		status     int
		want       string
	}{
		{"none", "read", nil, 200, "none"},
		{"known length", "read", strings.NewReader("abc"), 200, "3 3 true"},
		{"exactly the limit", "read", strings.NewReader(large), 200, "1048576 1048576 true"},
		{"beyond the limit", "read", strings.NewReader(large + "x"), 413, "body-too-large"},
		{"chunked", "read", io.MultiReader(strings.NewReader("abc")), 200, "3 3 true"},
		{"chunked, exactly the limit", "read", io.MultiReader(strings.NewReader(large)), 200, "1048576 1048576 true"},
		{"chunked, beyond the limit", "read", io.MultiReader(strings.NewReader(large + "x")), 413, "body-too-large"},
		{"streamed", "stream", strings.NewReader("abc"), 200, "3 3"},
		{"streamed in chunks", "stream", io.MultiReader(strings.NewReader(large)), 200, "-1 1048576"},
		{"streamed beyond the limit", "stream", strings.NewReader(large + "x"), 413, "body-too-large"},
		{"streamed in chunks beyond the limit", "stream", io.MultiReader(strings.NewReader(large + "x")), 413, "body-too-large"},
	} {
		resp, err := http.Post(url+"/orders/v1/orders/"+c.path, "text/plain", c.body)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
		}
	}
}

func TestPrefer(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                           -1,
		"wait=5":                     5 * time.Second,
		"return=minimal, wait=2":     2 * time.Second,
		"respond-async":              0,
		"respond-async, wait=3":      0,
		"wait=-1":                    -1,
		"wait=abc":                   -1,
		`wait="7"`:                   7 * time.Second,
		"wait=99999999999999999999":  -1,
		"handling=lenient; wait = 1": -1,
	} {
		x := &Exchange{Request: &http.Request{Header: http.Header{}}}
		if header != "" {
			x.Request.Header.Set("Prefer", header)
		}
		wait, ok := x.Prefer()
		if !ok {
			wait = -1
		}
		if wait != want {
			t.Errorf("%q: %v instead of %v", header, wait, want)
		}
	}
}

// While tables are swapped, every request is answered by one table as a whole,
// and each table is closed once, after its last request.
func TestSwapUnderLoad(t *testing.T) {
	var closed, open atomic.Int64
	make := func(revision string) *Table {
		var users atomic.Int64
		var done atomic.Bool
		table := table(t, revision, func(x *Exchange) (*Response, error) {
			users.Add(1)
			defer users.Add(-1)
			if done.Load() {
				return nil, errors.New("used after it was closed")
			}
			time.Sleep(time.Millisecond)
			return text(200, revision)
		}, "GET")
		open.Add(1)
		table.Close = func() {
			if users.Load() != 0 || done.Swap(true) {
				t.Error("closed while in use, or twice")
			}
			closed.Add(1)
		}
		return table
	}
	g := New(Options{Recorder: &silent{}})
	g.Swap(make("0"))
	server := httptest.NewServer(g)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var answers atomic.Int64
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := http.Get(server.URL + "/orders/v1/orders/1")
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("status %d", resp.StatusCode)
				}
				answers.Add(1)
			}
		})
	}
	for i := range 100 {
		g.Swap(make(fmt.Sprint(i + 1)))
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	if open.Load()-closed.Load() != 1 || answers.Load() == 0 {
		t.Errorf("%d tables, %d closed, %d answers", open.Load(), closed.Load(), answers.Load())
	}
}

// A connection on which a chunked request came is not used again: what stood
// behind the request might be another's.
func TestChunkedRequestsEndTheConnection(t *testing.T) {
	_, _, url := serve(t, func(x *Exchange) (*Response, error) {
		_, err := x.Body()
		if err != nil {
			return nil, err
		}
		return text(200, "ok")
	}, "POST")
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	one := "POST /orders/v1/orders/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	io.WriteString(conn, one+one)
	answers, _ := io.ReadAll(conn)
	if n := strings.Count(string(answers), "HTTP/1.1 200 OK"); n != 1 || !strings.Contains(string(answers), "Connection: close") {
		t.Errorf("%d answers: %s", n, answers)
	}
}

// raw sends bytes as they are and returns the status line.
func raw(t *testing.T, url, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(conn, strings.ReplaceAll(request, "\n", "\r\n"))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, line)
	}
	return strings.TrimSpace(line)
}

// Requests whose end two servers might see at different places are refused or
// read in the one safe way.
func TestSmuggling(t *testing.T) {
	_, _, url := serve(t, func(x *Exchange) (*Response, error) {
		body, err := x.Body()
		if err != nil {
			return nil, err
		}
		return text(200, string(body))
	}, "POST")
	for name, c := range map[string]struct{ head, want string }{
		"two lengths":             {"Content-Length: 3\nContent-Length: 4\n\nabcd", "400"},
		"a length with a sign":    {"Content-Length: +3\n\nabc", "400"},
		"an unknown encoding":     {"Transfer-Encoding: gzip\n\nabc", "501"},
		"two encodings":           {"Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", "501"},
		"chunked, then identity":  {"Transfer-Encoding: chunked, identity\n\n0\n\n", "501"},
		"a folded header":         {"X-A: b\n c\nContent-Length: 0\n\n", "200"}, // read as one line
		"a header with a space":   {"X-A : b\nContent-Length: 0\n\n", "400"},
		"a body that breaks off":  {"Transfer-Encoding: chunked\n\nzz\n", "400"},
		"one length, said twice":  {"Content-Length: 3\nContent-Length: 3\n\nabc", "200"},
		"chunked with a length":   {"Content-Length: 30\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", "200"},
		"an ordinary chunked one": {"Transfer-Encoding: chunked\n\n3\nabc\n0\n\n", "200"},
	} {
		if line := raw(t, url, "POST /orders/v1/orders/1 HTTP/1.1\nHost: a\n"+c.head); !strings.Contains(line, " "+c.want+" ") {
			t.Errorf("%s: %s, want %s", name, line, c.want)
		}
	}
}
