package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a child that writes what it has to say into a file.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// launch starts a command; its output is appended to a file.
func launch(log, name string, args ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// kill ends the process at once, and tells whether it was alive until then.
func (p *process) kill() (alive bool) {
	select {
	case <-p.ended:
		return false
	default:
	}
	p.cmd.Process.Kill()
	<-p.ended
	return true
}

// stop asks the process to end, and kills it when it takes too long.
func (p *process) stop(within time.Duration) {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(within):
		p.kill()
	}
}

// listens waits until somebody accepts connections at an address.
func listens(ctx context.Context, p *process, address, log string) error {
	for {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on %s: %w; see %s", address, ctx.Err(), log)
		case <-p.ended:
			text, _ := os.ReadFile(log)
			return fmt.Errorf("%s ended before it listened on %s:\n%s", p.cmd.Path, address, text[max(0, len(text)-2000):])
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freeAddress finds a loopback port that nobody listens on. It is below those
// that the kernel gives to others, because it is left and taken again.
func freeAddress() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(18000))
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
			return address, nil
		}
	}
	return "", fmt.Errorf("no loopback port is free")
}
