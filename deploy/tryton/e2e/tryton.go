package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tryton is a running Tryton server, started and stopped by the scripts of
// the server folder. Its processes are known by the ids that these record.
type tryton struct {
	scripts, port string
	// facts are what start.sh prints: TRYTON_URL, TRYTON_USER and so on.
	facts map[string]string
}

// startTryton starts a server with fresh data. Without a prepared database
// that takes a minute or two, and longer when packages are missing.
func startTryton(ctx context.Context, scripts string) (*tryton, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	t := &tryton{scripts: scripts, port: port}
	return t, t.start(ctx)
}

func (t *tryton) start(ctx context.Context, env ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(t.scripts, "start.sh"), t.port)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("start.sh: %w", err)
	}
	t.facts = map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			t.facts[name] = value
		}
	}
	if t.facts["TRYTON_RPC"] == "" {
		return fmt.Errorf("start.sh printed no TRYTON_RPC: %s", out)
	}
	return nil
}

// restart brings back what is down, on the same data.
func (t *tryton) restart(ctx context.Context) error { return t.start(ctx, "TRYTON_KEEP=1") }

// stop ends everything that start.sh started and removes the data.
func (t *tryton) stop() error {
	cmd := exec.Command(filepath.Join(t.scripts, "stop.sh"), t.port, "--wipe")
	cmd.Stderr = os.Stdout
	return cmd.Run()
}

// address is where the server listens, as HOST:PORT.
func (t *tryton) address() string { return "127.0.0.1:" + t.port }

func (t *tryton) pid(file string) (int, error) {
	f, err := os.Open(filepath.Join(t.facts["TRYTON_DIR"], file))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	line, _ := bufio.NewReader(f).ReadString('\n')
	return strconv.Atoi(strings.TrimSpace(line))
}

// end signals a process by its recorded id and waits until it is gone.
func (t *tryton) end(file string, signal syscall.Signal) error {
	pid, err := t.pid(file)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return err
	}
	for range 200 {
		if gone(pid) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("process %d has not ended", pid)
}

// gone tells whether a process has ended, collected or not.
func gone(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	return strings.HasPrefix(rest, "Z")
}

// stopFront ends the web server and leaves the database running. Afterwards
// connections are refused.
func (t *tryton) stopFront(ctx context.Context) error {
	if err := t.end("front.pid", syscall.SIGTERM); err != nil {
		return err
	}
	return until(ctx, 10*time.Second, func() error {
		c, err := net.DialTimeout("tcp", t.address(), time.Second)
		if err == nil {
			c.Close()
			return errors.New("the port still takes connections")
		}
		return nil
	})
}

// stopDatabase ends PostgreSQL (fast shutdown) and leaves the web server running.
func (t *tryton) stopDatabase() error { return t.end("pg/postmaster.pid", syscall.SIGINT) }

// freeze stops or resumes the web server's workers: requests are taken in by
// the kernel and not answered.
func (t *tryton) freeze(signal syscall.Signal) error {
	master, err := t.pid("front.pid")
	if err != nil {
		return err
	}
	workers, err := children(master)
	if err != nil {
		return err
	}
	for _, pid := range workers {
		if err := syscall.Kill(pid, signal); err != nil {
			return err
		}
	}
	return nil
}

// kill ends a server with SIGKILL, wherever it is: the process whose id stands
// in a file first, so that it starts no new children, and then these.
func (t *tryton) kill(file string) error {
	master, err := t.pid(file)
	if err != nil {
		return err
	}
	workers, err := children(master)
	if err != nil {
		return err
	}
	if err := t.end(file, syscall.SIGKILL); err != nil {
		return err
	}
	for _, pid := range workers {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// children are the processes that a process has started and that have not ended.
func children(master int) ([]int, error) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, word := range strings.Fields(string(list)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// sql runs one statement on the database and gives what it prints.
func (t *tryton) sql(ctx context.Context, statement string) (string, error) {
	args := []string{"psql", "-qtA", "-h", t.facts["TRYTON_DIR"], "-U", "tryton", "-d", t.facts["TRYTON_DB"], "-c", statement}
	if os.Geteuid() == 0 {
		args = append([]string{"runuser", "-u", "tryton", "--"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// clerk calls Tryton directly, past Headrace.
type clerk struct {
	url, header string
	context     json.RawMessage
	client      *http.Client
}

// newAuditor is a clerk of its own, who asks what is really there.
func (t *tryton) newAuditor(ctx context.Context) (*clerk, error) {
	return t.newClerk(ctx, "gateway2", 30*time.Second)
}

// newClerk logs in. Each call is given up when no answer came within patience.
func (t *tryton) newClerk(ctx context.Context, user string, patience time.Duration) (*clerk, error) {
	a := &clerk{url: t.facts["TRYTON_RPC"], client: &http.Client{
		Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true},
	}}
	var session []json.RawMessage
	if err := a.call(ctx, &session, "common.db.login", user, map[string]string{"password": t.facts["TRYTON_PASSWORD"]}, "en"); err != nil {
		return nil, err
	}
	var token string
	if len(session) != 2 || json.Unmarshal(session[1], &token) != nil {
		return nil, fmt.Errorf("the login answered %s", session)
	}
	a.header = "Session " + base64.StdEncoding.EncodeToString([]byte(user+":"+string(session[0])+":"+token))
	return a, a.call(ctx, &a.context, "model.res.user.get_preferences", true, struct{}{})
}

func (a *clerk) call(ctx context.Context, result any, method string, params ...any) error {
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.header != "" {
		req.Header.Set("Authorization", a.header)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var envelope struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(data, &envelope); err != nil || envelope.Error != nil {
		return fmt.Errorf("%s answered %d %.300s", method, resp.StatusCode, data)
	}
	return json.Unmarshal(envelope.Result, result)
}

// sales counts the sales with a reference.
func (a *clerk) sales(ctx context.Context, reference string) (int, error) {
	var n int
	domain := []any{[]any{"reference", "=", reference}}
	return n, a.call(ctx, &n, "model.sale.sale.search_count", domain, a.context)
}

// freePort finds a port of loopback that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
