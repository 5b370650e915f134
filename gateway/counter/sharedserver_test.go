package counter

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a Redis process of a test's own.
type server struct {
	t       testing.TB
	program string
	address string
	dir     string
	args    []string
	cmd     *exec.Cmd
}

// startServer starts a Redis on a free port of the loopback; more are further
// words of its command line.
func startServer(t testing.TB, more ...string) *server {
	t.Helper()
	s := &server{t: t, program: "redis-server", address: freeAddress(t), dir: t.TempDir(), args: more}
	t.Cleanup(s.kill)
	s.start()
	return s
}

func freeAddress(t testing.TB) string {
	t.Helper()
	// Ports of a cluster need their number plus 10000, too.
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().(*net.TCPAddr)
		_ = l.Close()
		if address.Port < 55_000 {
			return address.String()
		}
	}
	t.Fatal("no free port")
	return ""
}

func (s *server) port() string { _, port, _ := net.SplitHostPort(s.address); return port }

func (s *server) start() {
	s.t.Helper()
	path, err := exec.LookPath(s.program)
	if err != nil {
		s.t.Fatalf("%s is not installed: apt-get install redis-server redis-sentinel redis-tools", s.program)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	args := append([]string{"--port", s.port(), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendfsync", "always"}, s.args...)
	if s.program == "redis-sentinel" {
		args = s.args
	}
	s.cmd = exec.Command(path, args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	err = s.cmd.Start()
	_ = log.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	s.await()
}

func (s *server) await() {
	s.t.Helper()
	c := s.client()
	defer c.Close()
	for range 500 {
		if c.Ping(context.Background()).Err() == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	s.t.Fatalf("%s does not answer:\n%s", s.program, log)
}

// kill ends the process without notice.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) stop() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *server) cont() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

func (s *server) client() *redis.Client { return clientOf(s.address) }

func clientOf(address string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: address, ContextTimeoutEnabled: true, MaxRetries: -1, DialTimeout: time.Second, PoolSize: 32, MaintNotificationsConfig: noNotifications()})
}

// quick are options for tests that do not want to wait.
func quick(name string) Options {
	return Options{Replica: name, Beat: 40 * time.Millisecond, Missing: 200 * time.Millisecond, Deadline: 60 * time.Millisecond, Alone: time.Minute}
}

func open(t testing.TB, c redis.UniversalClient, o Options) *Shared {
	t.Helper()
	s, err := Open(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newClient(o *redis.Options) *redis.Client { c := *o; return redis.NewClient(&c) }
