package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The addresses of the demo, which its workspace names.
const (
	gatewayURL = "http://127.0.0.1:8080"
	portalURL  = "http://127.0.0.1:8082"
)

// managerMail is the partner manager whom the demo's workspace names.
const managerMail = "desk@waterworks.example"

// demo is a running demo on a workspace of its own.
type demo struct {
	dir string
	cmd *exec.Cmd
	out output
	end chan struct{}
}

type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startDemo runs the demo on a copy of its workspace in which webhooks may
// go to this machine.
func startDemo(ctx context.Context, o options) (*demo, error) {
	d, err := prepareDemo(o)
	if err != nil {
		return nil, err
	}
	return d, d.start(ctx, o.headrace)
}

func prepareDemo(o options) (*demo, error) {
	dir, err := os.MkdirTemp("", "headrace-portal-")
	if err != nil {
		return nil, err
	}
	d := &demo{dir: dir, end: make(chan struct{})}
	if err := os.CopyFS(dir, os.DirFS(o.workspace)); err != nil {
		return nil, err
	}
	err = d.edit("headrace.yaml", "portal:\n", "event: {allow: [127.0.0.0/8]}\nportal:\n")
	return d, err
}

func (d *demo) start(ctx context.Context, program string) error {
	d.cmd = exec.CommandContext(ctx, program, "demo", "--dir", d.dir)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	d.cmd.WaitDelay = 20 * time.Second
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() { defer close(d.end); d.cmd.Wait() }()
	return until(ctx, func() error {
		select {
		case <-d.end:
			return fatal{fmt.Errorf("the demo has ended: %s", d.out.String())}
		default:
		}
		resp, err := http.Get(portalURL + "/apis")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the portal answers %d", resp.StatusCode)
		}
		return nil
	})
}

func (d *demo) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.end:
	case <-time.After(30 * time.Second):
		d.cmd.Process.Kill()
		<-d.end
	}
	os.RemoveAll(d.dir)
}

// edit replaces a part of a file of the workspace.
func (d *demo) edit(name, old, now string) error {
	file := filepath.Join(d.dir, name)
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Contains(data, []byte(old)) {
		return fmt.Errorf("%s does not hold %q", name, old)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(data), old, now, 1)), 0o600)
}

// multiply gives the catalogue so many more APIs: copies of what is there.
func (d *demo) multiply(n int) error {
	var sources []string
	err := fs.WalkDir(os.DirFS(d.dir), "apis", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && strings.Count(path, "/") == 2 {
			sources = append(sources, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range n {
		from := sources[i%len(sources)]
		_, version, _ := strings.Cut(strings.TrimPrefix(from, "apis/"), "/")
		name, _, _ := strings.Cut(strings.TrimPrefix(from, "apis/"), "/")
		to := filepath.Join(d.dir, "apis", fmt.Sprintf("%s-%03d", name, i), version)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.CopyFS(to, os.DirFS(filepath.Join(d.dir, from))); err != nil {
			return err
		}
	}
	return nil
}

// fatal is an error that does not pass.
type fatal struct{ error }

// until tries something again and again until it works.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		if f, ok := err.(fatal); ok {
			return f.error
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(150 * time.Millisecond):
		}
	}
}
