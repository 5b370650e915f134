// Package redistest starts Redis servers for tests, on free loopback ports and
// in directories of their own. A test fails when redis-server is not installed:
// what was not tried has not passed.
package redistest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a Redis server that lasts as long as its test, at most.
type Server struct {
	// Address is HOST:PORT; it stays the same over Start and Kill.
	Address string

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	// sentinel servers are configured by a file alone.
	sentinel bool
}

// Run starts a server without persistence. args are further words of its
// command line, for example --requirepass and a password.
func Run(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not installed; on Debian: apt-get install redis-server redis-sentinel redis-tools")
	}
	s := &Server{Address: free(t), t: t, dir: t.TempDir(), args: args}
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// RunSentinel starts a Sentinel that watches a server by a name. settings are further
// lines of its configuration, each after the word sentinel.
func RunSentinel(t testing.TB, name string, watched *Server, settings ...string) *Server {
	t.Helper()
	s := &Server{Address: free(t), t: t, dir: t.TempDir(), sentinel: true}
	host, _, _ := net.SplitHostPort(watched.Address)
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor %s %s %s 1\n", s.Port(), s.dir, name, host, watched.Port())
	for _, line := range settings {
		text += "sentinel " + line + "\n"
	}
	if err := os.WriteFile(s.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

func (s *Server) config() string { return filepath.Join(s.dir, "sentinel.conf") }

// Port is the port of Address.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Address)
	return port
}

// free finds a loopback port that nobody listens on. It lies below those that
// clients are given: a client that dials a server that is down may else be given the
// server's own port, and then the server cannot start again. The second one of a
// Cluster's node, ten thousand higher, does too.
func free(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(10_000))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// Start starts the server and waits until it answers. It is empty, unless its
// arguments have it keep its data.
func (s *Server) Start() {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.Address)
	log := filepath.Join(s.dir, "log")
	s.cmd = exec.Command("redis-server", append([]string{
		"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no", "--appendfsync", "always", "--logfile", log,
	}, s.args...)...)
	if s.sentinel {
		s.cmd = exec.Command("redis-sentinel", s.config(), "--logfile", log)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("%v; on Debian: apt-get install redis-server redis-sentinel redis-tools", err)
	}
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = s.ping(); err == nil {
			return
		}
	}
	text, _ := os.ReadFile(log)
	s.t.Fatalf("the server does not answer: %v\n%s", err, text)
}

// ping waits for any answer, a refusal for want of a password included.
func (s *Server) ping() error {
	c, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(c, "PING\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "+PONG") && !strings.HasPrefix(line, "-NOAUTH") {
		return fmt.Errorf("it answers %q", line)
	}
	return err
}

// Kill ends the server at once; what it held is lost.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// Pause stops the server's process where it is: connections stay, and nothing answers.
func (s *Server) Pause() { s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (s *Server) Resume() { s.cmd.Process.Signal(syscall.SIGCONT) }
