// Package redistest starts Redis servers for tests, on free loopback ports and
// in directories of their own. A test fails when redis-server is not installed:
// what was not tried has not passed.
package redistest

import (
	"bufio"
	"fmt"
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

// free finds a loopback port that nobody listens on.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start starts the server, empty, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.Address)
	log := filepath.Join(s.dir, "log")
	s.cmd = exec.Command("redis-server", append([]string{
		"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no", "--logfile", log,
	}, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = s.ping(); err == nil {
			return
		}
	}
	text, _ := os.ReadFile(log)
	s.t.Fatalf("redis-server does not answer: %v\n%s", err, text)
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
