package counter

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// proxy is a network between a replica and its Redis that can be slow, stall, lose
// answers and be cut.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	room    *sync.Cond
	conns   map[net.Conn]bool
	stalled bool
	cut     bool
	deaf    bool          // answers are lost, questions arrive
	delay   time.Duration // at most, for each piece
}

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.room = sync.NewCond(&p.mu)
	go p.serve()
	t.Cleanup(func() { _ = l.Close(); p.set(func() { p.cut, p.stalled = true, false }) })
	return p
}

func (p *proxy) client() *redis.Client { return clientOf(p.listener.Addr().String()) }

// set changes how the network is. Connections break when it is cut.
func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	if p.cut {
		for c := range p.conns {
			_ = c.Close()
		}
		clear(p.conns)
	}
	p.room.Broadcast()
}

func (p *proxy) serve() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.join(c)
	}
}

func (p *proxy) join(c net.Conn) {
	d, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	refuse := p.cut
	if !refuse {
		p.conns[c], p.conns[d] = true, true
	}
	p.mu.Unlock()
	if refuse {
		_, _ = c.Close(), d.Close()
		return
	}
	go p.carry(d, c, false)
	p.carry(c, d, true)
}

func (p *proxy) carry(to, from net.Conn, answer bool) {
	defer func() {
		_, _ = to.Close(), from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			p.mu.Lock()
			for p.stalled && !p.cut {
				p.room.Wait()
			}
			lose, delay := answer && p.deaf, p.delay
			p.mu.Unlock()
			if delay > 0 {
				time.Sleep(rand.N(delay))
			}
			if !lose {
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			if err != io.EOF {
				return
			}
			return
		}
	}
}
