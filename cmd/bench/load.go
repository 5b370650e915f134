package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// client sends one prepared request again and again over one connection. It
// does as little as possible, so that the cores are left to what is measured.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
}

func dial(address string, request []byte) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, r: bufio.NewReaderSize(conn, 16<<10), request: request}, nil
}

var (
	lengthHeader  = []byte("Content-Length: ")
	chunkedHeader = []byte("Transfer-Encoding: chunked")
)

// do sends the request and reads the whole answer; it returns the status.
func (c *client) do() (int, error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("not an HTTP answer: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, err
	}
	length := -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if bytes.HasPrefix(line, lengthHeader) {
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthHeader):])))
			if err != nil {
				return 0, err
			}
		}
		if bytes.HasPrefix(line, chunkedHeader) {
			return 0, errors.New("the load generator does not read chunked answers")
		}
	}
	if length < 0 {
		return 0, errors.New("an answer without Content-Length")
	}
	_, err = c.r.Discard(length)
	return status, err
}

// saturate runs connections in a closed loop for a while and counts the answers.
func saturate(address string, request []byte, want, connections int, d time.Duration) (int64, error) {
	var count atomic.Int64
	deadline := time.Now().Add(d)
	err := each(connections, address, request, func(c *client) error {
		for time.Now().Before(deadline) {
			status, err := c.do()
			if err != nil {
				return err
			}
			if status != want {
				return fmt.Errorf("status %d instead of %d", status, want)
			}
			count.Add(1)
		}
		return nil
	})
	return count.Load(), err
}

// paced sends at a fixed rate, whatever happens, and measures from the moment
// that each request was due. It returns the latencies, sorted.
func paced(address string, request []byte, want, connections, rate int, d time.Duration) ([]time.Duration, error) {
	total := int64(float64(rate) * d.Seconds())
	gap := time.Second / time.Duration(rate)
	start := time.Now().Add(50 * time.Millisecond)
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	err := each(connections, address, request, func(c *client) error {
		var own []time.Duration
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		}()
		for {
			n := next.Add(1) - 1
			if n >= total {
				return nil
			}
			due := start.Add(time.Duration(n) * gap)
			time.Sleep(time.Until(due))
			status, err := c.do()
			if err != nil {
				return err
			}
			if status != want {
				return fmt.Errorf("status %d instead of %d", status, want)
			}
			own = append(own, time.Since(due))
		}
	})
	slices.Sort(all)
	return all, err
}

func each(connections int, address string, request []byte, run func(*client) error) error {
	errs := make(chan error, connections)
	for range connections {
		go func() {
			c, err := dial(address, request)
			if err != nil {
				errs <- err
				return
			}
			defer c.conn.Close()
			errs <- run(c)
		}()
	}
	var all []error
	for range connections {
		if err := <-errs; err != nil && !errors.Is(err, io.EOF) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}
