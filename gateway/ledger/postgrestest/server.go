// Package postgrestest starts Postgres servers for tests.
package postgrestest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Server is a Postgres server of its own, in a temporary directory, reached by a Unix
// socket. It is as durable as a server is by default.
type Server struct {
	dir, bin string
	settings []string
	process  *exec.Cmd
	log      bytes.Buffer
	made     atomic.Int64
}

// Start starts a server with settings of the form name=value, from
// Debian's package postgresql. It has to be stopped.
func Start(settings ...string) (*Server, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		return nil, fmt.Errorf("no Postgres server is installed: .ci/install postgresql")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	dir, err := os.MkdirTemp("/tmp", "headrace-pg-") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: found[len(found)-1], settings: settings}
	if err := s.prepare(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := s.Restart(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

func (s *Server) prepare() error {
	if os.Geteuid() == 0 { // the server does not run as root
		uid, gid, err := postgresUser()
		if err != nil {
			return err
		}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func postgresUser() (uid, gid int, err error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is a program of the server, run by its user.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		uid, gid, err := postgresUser()
		if err == nil {
			c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return c
}

// Restart starts a server that was killed. It returns when it can be used.
func (s *Server) Restart() error {
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=100"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	s.log.Reset()
	s.process = s.command("postgres", args...)
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	if err := s.process.Start(); err != nil {
		return err
	}
	for range 300 {
		if s.command("pg_isready", "-q", "-h", s.dir).Run() == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Kill()
	return fmt.Errorf("the Postgres server did not start:\n%s", s.log.String())
}

// Kill ends the server as a crash of its machine's kernel would: at once, all
// its processes. What it had not synced is still there, in the page cache.
func (s *Server) Kill() {
	// The children notice the death of the postmaster and quit by themselves.
	s.process.Process.Kill()
	s.process.Wait()
	for range 100 { // the next start waits for them
		if _, err := os.Stat(filepath.Join(s.data(), "postmaster.pid")); err != nil {
			break
		}
		if s.command("pg_isready", "-q", "-h", s.dir).Run() != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	s.process.Process.Signal(syscall.SIGQUIT)
	s.process.Wait()
	os.RemoveAll(s.dir)
}

// Database makes an empty database and returns its url.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	url, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Create makes an empty database and returns its url.
func (s *Server) Create() (string, error) {
	name := fmt.Sprintf("ledger%d", s.made.Add(1))
	if out, err := s.command("createdb", "-h", s.dir, "-U", "postgres", name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("createdb: %w\n%s", err, out)
	}
	q := url.Values{"host": {s.dir}, "user": {"postgres"}}
	return "postgres:///" + name + "?" + q.Encode(), nil
}

// Copy dumps a database that may be in use and restores it as a new one, whose
// url it returns: pg_dump and pg_restore, as people do it.
func (s *Server) Copy(from string) (string, error) {
	to, err := s.Create()
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.dir, fmt.Sprintf("copy%d.dump", s.made.Add(1)))
	if out, err := s.command("pg_dump", "--format=custom", "--file="+file, from).CombinedOutput(); err != nil {
		return "", fmt.Errorf("pg_dump: %w\n%s", err, out)
	}
	if out, err := s.command("pg_restore", "--exit-on-error", "--dbname="+to, file).CombinedOutput(); err != nil {
		return "", fmt.Errorf("pg_restore: %w\n%s", err, out)
	}
	return to, nil
}

// Run runs a statement.
func (s *Server) Run(url, statement string) error {
	if out, err := s.command("psql", "-v", "ON_ERROR_STOP=1", "-c", statement, url).CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w\n%s", err, out)
	}
	return nil
}
