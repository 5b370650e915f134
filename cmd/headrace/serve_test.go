package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/gateway/gatewaytest"
)

// bench is a served workspace in front of a system that answers in words.
type bench struct {
	dir, gateway, admin string
	server              *server
	erp                 string // its URL
	log                 *gatewaytest.Log
	stop                context.CancelFunc
	ended               chan error
}

const openDocument = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
x-headrace: {system: erp, call: {path: "/%s/{id}"}}
paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getOrder
      responses: {"200": {description: ok}}
    put:
      operationId: putOrder
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {"200": {description: ok}}
`

func serveWorkspace(t *testing.T, system http.HandlerFunc, limits string) *bench {
	t.Helper()
	erp := httptest.NewServer(system)
	t.Cleanup(erp.Close)
	b := &bench{dir: t.TempDir(), log: &gatewaytest.Log{}, erp: erp.URL}
	b.write(t, "headrace.yaml", "listen: {gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n"+limits)
	b.write(t, "systems/erp.yaml", "dialect: rest\nurl: "+erp.URL+"\n")
	b.write(t, "apis/orders/1.0.0/openapi.yaml", fmt.Sprintf(openDocument, "one"))
	b.start(t)
	return b
}

// start serves the workspace until stop is called, or the test ends.
func (b *bench) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := newServer(ctx, b.dir, b.log)
	if err != nil {
		t.Fatal(err)
	}
	b.server = s
	b.gateway, b.admin = "http://"+s.gatewayListener.Addr().String(), "http://"+s.adminListener.Addr().String()
	ended := make(chan error, 1)
	b.stop, b.ended = cancel, ended
	go func() { ended <- s.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the server did not stop")
		}
	})
}

func (b *bench) write(t *testing.T, name, content string) {
	t.Helper()
	file := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func fetch(t *testing.T, url string) (int, string) {
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
	return resp.StatusCode, string(body)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 500 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func echoPath(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }

// The gateway follows its workspace: right changes go live, wrong ones are
// refused as a whole, and no request of a running load notices either.
func TestReloadUnderLoad(t *testing.T) {
	b := serveWorkspace(t, echoPath, "")
	if status, body := fetch(t, b.gateway+"/orders/v1/orders/7"); status != 200 || body != "/one/7" {
		t.Fatalf("%d %s", status, body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var count atomic.Int64
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := http.Get(b.gateway + "/orders/v1/orders/7")
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || !strings.HasSuffix(string(body), "/7") {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				count.Add(1)
			}
		})
	}
	b.write(t, "apis/orders/1.0.0/openapi.yaml", fmt.Sprintf(openDocument, "two"))
	eventually(t, "the change goes live", func() bool { _, body := fetch(t, b.gateway+"/orders/v1/orders/7"); return body == "/two/7" })

	b.write(t, "apis/orders/1.0.0/openapi.yaml", strings.Replace(fmt.Sprintf(openDocument, "three"), "system: erp", "system: epr", 1))
	eventually(t, "the fault is reported", func() bool {
		_, body := fetch(t, b.admin+"/admin/v1/problems")
		return strings.Contains(body, `did you mean \"erp\"?`)
	})
	if _, body := fetch(t, b.gateway+"/orders/v1/orders/7"); body != "/two/7" {
		t.Errorf("a faulty workspace went live: %s", body)
	}
	if status, body := fetch(t, b.admin+"/readyz"); status != 200 {
		t.Errorf("a refused reload made the gateway unready: %d %s", status, body)
	}
	b.write(t, "apis/orders/1.0.0/openapi.yaml", fmt.Sprintf(openDocument, "four"))
	eventually(t, "the repair goes live", func() bool { _, body := fetch(t, b.gateway+"/orders/v1/orders/7"); return body == "/four/7" })
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "SIGHUP reloads", func() bool { return strings.Count(b.log.String(), "the workspace is live") >= 3 })
	cancel()
	wg.Wait()
	if count.Load() == 0 {
		t.Error("there was no load")
	}
	if !strings.Contains(b.log.String(), "systems/epr") && !strings.Contains(b.log.String(), `no system`) {
		t.Errorf("the log does not name the fault: %s", b.log)
	}
}

// At the end, requests under way get their answers, and new ones are not taken.
func TestDrain(t *testing.T) {
	arrived := make(chan struct{})
	b := serveWorkspace(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		time.Sleep(300 * time.Millisecond)
		fmt.Fprint(w, "late")
	}, "")
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(b.gateway + "/orders/v1/orders/7")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(resp.StatusCode, " ", string(body))
	}()
	<-arrived
	b.stop()
	if got := <-answer; got != "200 late" {
		t.Errorf("the request under way got %s", got)
	}
	err := <-b.ended
	b.ended <- err
	if err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(b.gateway, "http://")); err == nil {
		t.Error("the gateway still listens")
	}
}

// Callers that send slowly, or too much, do not hold on to the gateway.
func TestSlowAndLargeCallers(t *testing.T) {
	b := serveWorkspace(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "done")
	}, "limits: {read_header: 200ms, read: 400ms, idle: 200ms, header: 4KiB, body: 1KiB}\n")
	for name, c := range map[string]struct {
		send   string
		answer string // "" means that the connection is closed without one
	}{
		"a head that never ends": {"GET /orders/v1/orders/1 HTTP/1.1\r\nHost: a\r\n", ""},
		"a body that never ends": {"PUT /orders/v1/orders/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", "400"},
		"nothing at all":         {"", ""},
		"a head that is large":   {"GET /orders/v1/orders/1 HTTP/1.1\r\nHost: a\r\nX-Large: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", "431"},
		"a body that is large":   {"PUT /orders/v1/orders/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n", "413"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(b.gateway, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, c.send)
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			answer, err := io.ReadAll(conn)
			if err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatalf("the connection stays open: %v after %q", err, answer)
			}
			if c.answer == "" && len(answer) > 0 && !strings.Contains(string(answer), " 408 ") || !strings.Contains(string(answer), c.answer) {
				t.Errorf("got %q, want %q", answer, c.answer)
			}
		})
	}
}

// What net/http would answer by itself is answered and recorded like the rest.
func TestOptionsOfTheWholeServer(t *testing.T) {
	b := serveWorkspace(t, echoPath, "")
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.gateway, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "urn:headrace:problem:not-found") {
		t.Errorf("%v, got %s", err, answer)
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(b.log.String(), `"decision":"not-found"`) })
}

// A caller that asks for much and reads nothing loses its connection; the
// request under way ends with it.
func TestCallerThatReadsNothing(t *testing.T) {
	b := serveWorkspace(t, func(w http.ResponseWriter, r *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}, "limits: {write: 200ms}\n")
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.gateway, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /orders/v1/orders/1 HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the exchange is broken off", func() bool { return strings.Contains(b.log.String(), `"decision":"broke-off"`) })
}

// What headrace.yaml says goes live, as far as it can; the rest is named.
func TestConfigChanges(t *testing.T) {
	b := serveWorkspace(t, echoPath, "")
	put := func(size int) int {
		r, err := http.NewRequest("PUT", b.gateway+"/orders/v1/orders/1", strings.NewReader(`{"a":"`+strings.Repeat("x", size)+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if status := put(2000); status != 200 {
		t.Fatal(status)
	}
	b.write(t, "headrace.yaml", "listen: {gateway: \"127.0.0.1:1\", admin: \"127.0.0.1:0\"}\nlimits: {body: 1KiB, idle: 5s}\n")
	eventually(t, "the bound of bodies is live", func() bool { return put(2000) == 413 })
	eventually(t, "what waits is named", func() bool { return strings.Contains(b.log.String(), `"keys":"listen.gateway, limits.idle"`) })
}

// Certificates are changed without a restart, and absent ones are a problem.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	certificate := func(name string) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
			if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	certificate("one")
	b := serveWorkspace(t, echoPath, fmt.Sprintf("tls: {certificate: %q, key: %q}\n", dir+"/cert.pem", dir+"/key.pem"))
	name := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(b.gateway, "http://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := name(); got != "one" {
		t.Fatal(got)
	}
	certificate("two")
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate is shown", func() bool { return name() == "two" })
	os.Remove(dir + "/key.pem")
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its absence is a problem", func() bool {
		_, body := fetch(t, b.admin+"/admin/v1/problems")
		return strings.Contains(body, "key.pem")
	})
	if got := name(); got != "two" {
		t.Errorf("after a refused reload: %s", got)
	}
}

func TestAdmin(t *testing.T) {
	b := serveWorkspace(t, echoPath, "")
	fetch(t, b.gateway+"/orders/v1/orders/7")
	for path, want := range map[string]string{
		"/healthz":             "",
		"/readyz":              "",
		"/admin/v1/status":     "revision",
		"/admin/v1/apis":       "orders",
		"/admin/v1/operations": "getOrder",
		"/admin/v1/systems":    "erp",
		"/admin/v1/problems":   "",
		"/metrics":             "headrace_requests_total",
		"/":                    "orders",
	} {
		if status, body := fetch(t, b.admin+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	eventually(t, "the request is logged", func() bool { return strings.Contains(b.log.String(), `"operation":"getOrder"`) })
	for line := range strings.Lines(b.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %s", line)
		}
	}
}
