package main

import (
	"net"
	"time"
)

// patient is a listener whose connections give up on callers that read
// nothing: a write must get on within the patience. The deadline is set anew
// only after a quarter of it, so that it costs next to nothing per answer.
type patient struct {
	net.Listener
	patience time.Duration
}

func (p patient) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: c, patience: p.patience}, nil
}

// patientConn is written to by one goroutine at a time, as net/http does.
type patientConn struct {
	net.Conn
	patience time.Duration
	set      time.Time
}

func (c *patientConn) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(c.set) > c.patience/4 {
		c.set = now
		if err := c.SetWriteDeadline(now.Add(c.patience)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}
