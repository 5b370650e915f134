package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// headrace is a running `headrace serve` on a copy of the workspace.
type headrace struct {
	dir, base, admin string
	log              *logbook
	cmd              *exec.Cmd
	ended            chan struct{} // closed when the process has ended
	result           error         // how, from then on
	stopping         sync.Once
}

// logbook keeps what a process says. It is safe for concurrent use.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startHeadrace copies the workspace, points the copy at Tryton and at free
// ports, and starts the binary on it. The secrets go by environment.
func startHeadrace(ctx context.Context, binary, workspace string, t *tryton) (*headrace, error) {
	dir, err := os.MkdirTemp("", "headrace-e2e-")
	if err != nil {
		return nil, err
	}
	h := &headrace{dir: dir, log: &logbook{}, ended: make(chan struct{})}
	if err := h.prepare(workspace, t); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	h.cmd = exec.Command(binary, "serve", dir)
	h.cmd.Stdout, h.cmd.Stderr = h.log, h.log
	h.cmd.Env = append(os.Environ(), "TRYTON_PASSWORD="+t.facts["TRYTON_PASSWORD"])
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for the test, which then ends it in order
	if err := h.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	go func() {
		h.result = h.cmd.Wait()
		close(h.ended)
	}()
	if err := h.waitReady(ctx); err != nil {
		h.stop()
		return nil, fmt.Errorf("%w; it said:\n%s", err, h.log)
	}
	return h, nil
}

func (h *headrace) prepare(workspace string, t *tryton) error {
	if err := os.CopyFS(h.dir, os.DirFS(workspace)); err != nil {
		return err
	}
	front, err := freePort()
	if err != nil {
		return err
	}
	back, err := freePort()
	if err != nil {
		return err
	}
	h.base, h.admin = "http://127.0.0.1:"+front, "http://127.0.0.1:"+back
	return errors.Join(
		h.replace("headrace.yaml", "127.0.0.1:8080", "127.0.0.1:"+front, "127.0.0.1:8081", "127.0.0.1:"+back),
		h.replace("systems/tryton.yaml", "http://127.0.0.1:18069", "http://"+t.address()),
	)
}

// replace edits a file of the copy; every old text must be there.
func (h *headrace) replace(name string, pairs ...string) error {
	path := filepath.Join(h.dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(data)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return fmt.Errorf("%s does not hold %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// live is what the log says when a changed workspace has been taken over.
const live = "the workspace is live"

// reload edits a file of the running copy and waits until it is served.
func (h *headrace) reload(ctx context.Context, name string, pairs ...string) error {
	before := strings.Count(h.log.String(), live)
	if err := h.replace(name, pairs...); err != nil {
		return err
	}
	return until(ctx, 10*time.Second, func() error {
		return truth(strings.Count(h.log.String(), live) > before, "the change of %s is not live", name)
	})
}

func (h *headrace) waitReady(ctx context.Context) error {
	return until(ctx, 20*time.Second, func() error {
		select {
		case <-h.ended:
			return final{fmt.Errorf("headrace ended: %v", h.result)}
		default:
		}
		return h.status("/readyz")
	})
}

// command runs another command of the binary on the copy of the workspace.
func (h *headrace) command(name string) error {
	cmd := exec.Command(h.cmd.Path, name, h.dir)
	cmd.Env = h.cmd.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// status checks that the admin listener answers 200 at path.
func (h *headrace) status(path string) error {
	resp, err := http.Get(h.admin + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return all(err, truth(resp.StatusCode == http.StatusOK, "%s answered %d: %.300s", path, resp.StatusCode, body))
}

// metric gives the sum of all series of a counter.
func (h *headrace) metric(name string) (int, error) {
	resp, err := http.Get(h.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("/metrics answered %d: %v", resp.StatusCode, err)
	}
	sum := 0
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == '{' || rest[0] == ' ') {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(strings.TrimSpace(rest), ' ')+1:]), 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", line, err)
			}
			sum += int(value)
		}
	}
	return sum, nil
}

// stop ends the process with SIGTERM, as an operator would, and tells how it
// ended. Later calls tell the same.
func (h *headrace) stop() error {
	h.stopping.Do(func() {
		defer os.RemoveAll(h.dir)
		h.cmd.Process.Signal(syscall.SIGTERM) // has no effect on one that has ended
		select {
		case <-h.ended:
		case <-time.After(40 * time.Second):
			h.cmd.Process.Kill()
			<-h.ended
		}
	})
	return h.result
}

// final is an error that waiting cannot mend.
type final struct{ error }

// until tries again and again until try succeeds, for at most the time given.
func until(ctx context.Context, atMost time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		err := try()
		var f final
		if err == nil || errors.As(err, &f) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
