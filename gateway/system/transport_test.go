package system

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// script is a server that reads requests and does what it is told with each
// connection, below net/http.
func script(t *testing.T, handle func(n int, c net.Conn, r *http.Request) (keep bool)) (url string, arrivals *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	arrivals = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(b)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					if !handle(int(arrivals.Add(1)), c, r) {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String(), arrivals
}

func ok(c net.Conn) bool {
	fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	return true
}

// A kept-alive connection that dies under a write must not make net/http send
// it again: with or without a body, with or without an idempotency key,
// whatever the method.
func TestWritesAreNeverReplayed(t *testing.T) {
	for _, c := range []struct{ name, method, call, body string }{
		{"with a body", "POST", "", `{"a":1}`},
		{"without a body", "POST", "", ""},
		{"mapped", "POST", "call: {request: .}", `{"a":1}`},
		{"put", "PUT", "", ""},
		{"delete", "DELETE", "", ""},
		{"by GET", "POST", "call: {method: GET}", ""},
		{"key passed on", "POST", "idempotency: {class: header, header: Idempotency-Key}", ""},
		{"key passed on, with a body", "POST", "idempotency: {class: header, header: X-Idempotency-Key}", "{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, arrivals := script(t, func(n int, conn net.Conn, r *http.Request) bool {
				if n == 1 {
					return ok(conn)
				}
				return false // read it, and close without an answer
			})
			w := open(t, plan{url: url, paths: at(c.method, "/x", "x", c.call)}, nil)
			w.want(w.send(c.method, "/x", c.body, "Idempotency-Key: k"), 200, "ok")
			r := w.send(c.method, "/x", c.body, "Idempotency-Key: k")
			w.want(r, 502, "whether it has done the request is not known")
			if n := arrivals.Load(); n != 2 {
				t.Errorf("the system got %d requests instead of 2", n)
			}
			if w.calls.get("erp x doubtful") != 1 {
				t.Errorf("observed %v", w.calls.count)
			}
		})
	}
}

// A read may be sent again on a fresh connection.
func TestReadsSurviveDeadConnections(t *testing.T) {
	url, arrivals := script(t, func(n int, conn net.Conn, r *http.Request) bool { return n != 2 && ok(conn) })
	w := open(t, plan{url: url, paths: at("GET", "/x", "x", "")}, nil)
	w.want(w.send("GET", "/x", ""), 200, "ok")
	w.want(w.send("GET", "/x", ""), 200, "ok")
	if n := arrivals.Load(); n != 3 {
		t.Errorf("the system got %d requests", n)
	}
}

func TestKeepAlive(t *testing.T) {
	for setting, want := range map[string]string{"": "false 1", "connections: {keep_alive: false}": "true 3"} {
		connections, closes := map[string]bool{}, false
		url, _ := script(t, func(n int, conn net.Conn, r *http.Request) bool {
			connections[conn.RemoteAddr().String()], closes = true, r.Close
			return ok(conn)
		})
		w := open(t, plan{url: url, system: setting, paths: at("GET", "/x", "x", "")}, nil)
		for range 3 {
			w.want(w.send("GET", "/x", ""), 200, "ok")
		}
		if s := fmt.Sprint(closes, " ", len(connections)); s != want {
			t.Errorf("%q: %s, want %s", setting, s, want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	address := l.Addr().String()
	l.Close()
	for _, url := range []string{"http://" + address, "http://does-not-exist.invalid", "https://" + address} {
		w := open(t, plan{url: url, paths: at("GET", "/x", "x", "") + at("POST", "/x", "y", "")[len("  /x:\n"):]}, nil)
		for _, method := range []string{"GET", "POST"} {
			r := w.send(method, "/x", "")
			w.want(r, 503, "erp cannot be reached")
			if r.Header.Get("Retry-After") == "" || strings.Contains(r.text, address) {
				t.Errorf("%v %s", r.Header, r.text)
			}
		}
		if w.calls.get("erp x unavailable") != 1 || w.calls.get("erp y unavailable") != 1 {
			t.Errorf("observed %v", w.calls.count)
		}
	}
}

func TestTLSIsVerified(t *testing.T) {
	var got seen
	w := open(t, plan{paths: at("GET", "/x", "x", "")}, got.answers(200, ""))
	server := newTLS(t, got.answers(200, ""))
	p := w.plan
	p.url = server
	w.reload(p)
	w.want(w.send("GET", "/x", ""), 503, "cannot be reached")
	if got.count() != 0 {
		t.Error("a server without a valid certificate got a request")
	}
}

func TestTimeouts(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	url, _ := script(t, func(n int, conn net.Conn, r *http.Request) bool {
		switch r.URL.Path {
		case "/half":
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nha")
		case "/drip":
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 120000\r\n\r\n")
			for range 12 {
				time.Sleep(60 * time.Millisecond)
				fmt.Fprint(conn, strings.Repeat("x", 10000))
			}
			return true
		}
		<-release
		return false
	})
	paths := at("GET", "/x", "x", "") + at("POST", "/y", "y", "") + at("GET", "/z", "z", "timeout: 20ms") +
		at("GET", "/half", "half", "") + at("POST", "/half", "halfWrite", "call: {response: .}")[len("  /half:\n"):] + at("GET", "/drip", "drip", "")
	w := open(t, plan{url: url, system: "timeout: 500ms", paths: paths}, nil)
	w.want(w.send("GET", "/x", ""), 504, "did not answer within 500ms")
	w.want(w.send("POST", "/y", ""), 504, "whether it has done the request is not known")
	w.want(w.send("GET", "/z", ""), 504, "within 20ms")
	w.want(w.send("GET", "/half", ""), 504, "broke its answer off")
	w.want(w.send("POST", "/half", ""), 504, "not known")
	r := w.send("GET", "/drip", "") // takes longer than the timeout, but never pauses so long
	if r.StatusCode != 200 || len(r.text) != 120000 {
		t.Errorf("%d %d bytes", r.StatusCode, len(r.text))
	}
	for key, n := range map[string]int{"erp x unavailable": 1, "erp y doubtful": 1, "erp halfWrite doubtful": 1, "erp drip delivered": 1} {
		if w.calls.get(key) != n {
			t.Errorf("observed %v", w.calls.count)
		}
	}
	if n := w.transport().inFlight.Load(); n != 0 {
		t.Errorf("%d calls in flight", n)
	}
}

// A caller that leaves changes nothing at the system: what was sent is carried
// to its end, and frees its place in the budget then, not at the end of a lease.
func TestCallerLeaves(t *testing.T) {
	begun, ended := make(chan string, 3), make(chan string, 3)
	w := open(t, plan{system: "limits: [{name: concurrency, capacity: 1}]", paths: at("GET", "/x", "x", "wait: 5s") + at("POST", "/y", "y", "wait: 5s")}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- r.URL.Path
		select {
		case <-r.Context().Done():
			ended <- r.URL.Path + " cancelled"
		case <-time.After(150 * time.Millisecond):
			ended <- r.URL.Path + " done"
		}
	}))
	for _, c := range []struct{ method, path, want string }{{"GET", "/x", "/x done"}, {"POST", "/y", "/y done"}} {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, c.method, w.url+c.path, nil)
		go func() {
			<-begun
			cancel()
		}()
		if resp, err := client.RoundTrip(r); err == nil {
			resp.Body.Close()
			t.Error("answered")
		}
		if got := <-ended; got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	if rec := w.record(0); rec.Decision != "caller-left" || rec.Status != 499 {
		t.Errorf("recorded %+v", rec)
	}
	w.record(1)
	w.want(w.send("GET", "/x", ""), 200, "")
	if w.calls.get("erp x delivered") != 2 || w.calls.get("erp y delivered") != 1 {
		t.Errorf("observed %v", w.calls.count)
	}
}

// A caller that leaves while its answer arrives ends a read, and is no fault of
// the system.
func TestCallerLeavesHalfway(t *testing.T) {
	ended := make(chan bool, 1)
	w := open(t, plan{system: "breaker: {calls: 1, rate: 1}\nlimits: [{name: concurrency, capacity: 1}]", paths: at("GET", "/x", "x", "wait: 5s")}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("long") {
			w.Write([]byte("begun"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			ended <- true
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, "GET", w.url+"/x?long", nil)
	resp, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(resp.Body, make([]byte, 5))
	cancel()
	resp.Body.Close()
	<-ended
	w.want(w.send("GET", "/x", ""), 200, "")
}

// A caller whose upload breaks off is to blame for it, not the system.
func TestUploadBreaksOff(t *testing.T) {
	w := open(t, plan{system: "breaker: {calls: 1, rate: 1}", paths: at("POST", "/x", "x", "")}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(w.url, "http://"), "/orders/v1"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "POST /orders/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	time.Sleep(20 * time.Millisecond)
	c.Close()
	if rec := w.record(0); rec.Decision != "bad-request" {
		t.Errorf("recorded %+v", rec)
	}
	w.want(w.send("POST", "/x", "x"), 200, "") // the breaker is closed
}

func TestStreaming(t *testing.T) {
	step := make(chan struct{})
	w := open(t, plan{paths: at("GET", "/x", "x", ""), system: "limits: [{name: concurrency, capacity: 1}]"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "part %d\n", i)
			w.(http.Flusher).Flush()
			<-step
		}
	}))
	resp, err := http.Get(w.url + "/x")
	if err != nil {
		t.Fatal(err)
	}
	b := bufio.NewReader(resp.Body)
	for i := range 3 {
		if line, err := b.ReadString('\n'); err != nil || line != fmt.Sprintf("part %d\n", i) {
			t.Fatalf("%q %v", line, err)
		}
		if i == 1 {
			// The call is under way as long as its answer is.
			if s := w.set.Status(t.Context())[0]; s.InFlight != 1 || s.Budget.Pools[0].InFlight != 1 {
				t.Errorf("%+v", s)
			}
		}
		step <- struct{}{}
	}
	resp.Body.Close()
	w.record(0)
	if s := w.set.Status(t.Context())[0]; s.InFlight != 0 || s.Budget.Pools[0].InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// A caller that leaves in the middle of an answer frees the call's place.
func TestCallerLeavesTheAnswer(t *testing.T) {
	w := open(t, plan{paths: at("GET", "/x", "x", ""), system: "limits: [{name: concurrency, capacity: 1}]\nbreaker: {calls: 1, rate: 1}"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}))
	for range 3 {
		resp, err := http.Get(w.url + "/x")
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 1000))
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	for i := range 3 {
		w.record(i)
	}
	if s := w.set.Status(t.Context())[0]; s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// A system that does not take the body in time has not got the whole request,
// but nobody knows what it makes of the part.
func TestSystemDoesNotRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := open(t, plan{url: "http://" + l.Addr().String(), system: "timeout: 100ms", paths: at("POST", "/x", "x", "")}, nil)
	r := w.send("POST", "/x", strings.Repeat("x", 1<<20))
	w.want(r, 504, "not known")
}

// A caller that reads too slowly loses its answer, so that it holds no place at
// the system; the system is not to blame.
func TestSlowReader(t *testing.T) {
	w := open(t, plan{paths: at("GET", "/x", "x", ""), system: "timeout: 100ms\nlimits: [{name: concurrency, capacity: 1}]\nbreaker: {calls: 1, rate: 1}"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}))
	resp, err := http.Get(w.url + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.Sleep(300 * time.Millisecond)
	if s := w.set.Status(t.Context())[0]; s.InFlight != 0 || s.Budget.Pools[0].InFlight != 0 || s.Breaker != "closed" {
		t.Errorf("%+v", s)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the answer looks whole")
	}
}

// A call without an answer may still be at the system: its place stays taken
// until it cannot be any more. One whose connection was closed is over.
func TestPlacesOfLostCalls(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	url, _ := script(t, func(n int, conn net.Conn, r *http.Request) bool {
		if r.URL.Path == "/hang" {
			<-hang
		}
		return false
	})
	w := open(t, plan{url: url, system: "limits: [{name: concurrency, capacity: 2}]", paths: at("GET", "/hang", "hang", "timeout: 50ms\nwait: 0s") + at("GET", "/close", "close", "wait: 0s")}, nil)
	w.want(w.send("GET", "/close", ""), 502, "closed the connection")
	inFlight := func() float64 { return w.set.Status(t.Context())[0].Budget.Pools[0].InFlight }
	if inFlight() != 0 {
		t.Errorf("%v in flight", inFlight())
	}
	w.want(w.send("GET", "/hang", ""), 504, "")
	w.want(w.send("GET", "/hang", ""), 504, "")
	if inFlight() != 2 {
		t.Errorf("%v in flight", inFlight())
	}
	w.want(w.send("GET", "/close", ""), 503, "saturated")
}
