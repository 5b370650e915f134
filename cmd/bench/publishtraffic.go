package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// traffic is calls at a fixed rate through all replicas, each in turn, that go
// on until they are ended. Latencies count from the moment when a call was due.
type traffic struct {
	requests [][]byte
	gap      time.Duration
	start    time.Time
	next     atomic.Int64
	ended    atomic.Bool
	running  sync.WaitGroup

	mu        sync.Mutex
	latencies []time.Duration
	errors    int
	example   string
}

// trafficConnections is how many calls may be under way at each replica.
const trafficConnections = 8

// begin starts rate calls a second in all, each request in its turn at each address.
func begin(addresses []string, requests [][]byte, rate int) *traffic {
	t := &traffic{requests: requests, gap: time.Second / time.Duration(rate), start: time.Now()}
	for range trafficConnections {
		for _, address := range addresses {
			t.running.Go(func() { t.run(address) })
		}
	}
	return t
}

// run makes calls at one replica over one connection, and over a new one after
// an error.
func (t *traffic) run(address string) {
	var c *client
	var own []time.Duration
	defer func() {
		if c != nil {
			c.conn.Close()
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.latencies = append(t.latencies, own...)
	}()
	for !t.ended.Load() {
		n := t.next.Add(1) - 1
		due := t.start.Add(time.Duration(n) * t.gap)
		time.Sleep(time.Until(due))
		var err error
		if c == nil {
			if c, err = dial(address, nil); err != nil {
				t.failed(address, err)
				continue
			}
		}
		c.request = t.requests[n%int64(len(t.requests))]
		switch status, err := c.do(); {
		case err != nil:
			t.failed(address, err)
			c.conn.Close()
			c = nil
		case status != http.StatusOK:
			t.failed(address, fmt.Errorf("status %d", status))
		default:
			own = append(own, time.Since(due))
		}
	}
}

func (t *traffic) failed(address string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors++
	t.example = address + ": " + err.Error()
}

// crossed is what became of the calls.
type crossed struct {
	calls, errors int
	example       string
	latencies     []time.Duration // sorted
}

// end ends the calls, and tells what became of them.
func (t *traffic) end() crossed {
	t.ended.Store(true)
	t.running.Wait()
	slices.Sort(t.latencies)
	return crossed{len(t.latencies), t.errors, t.example, t.latencies}
}

func (c crossed) ms(p float64) float64 { return percentile(c.latencies, p).Seconds() * 1000 }

// row is a line of the table of traffic.
func (c crossed) row(name string) string {
	return fmt.Sprintf("| %s | %d | %d | %.2f | %.2f | %.2f | %.1f |", name, c.calls, c.errors, c.ms(0.5), c.ms(0.95), c.ms(0.99), c.ms(1))
}

// refusedWithin repeats a call at an address until it is answered with a status,
// and tells when that answer had come; an error when it does not come in time.
func refusedWithin(patience time.Duration, address string, request []byte, want int) (time.Time, error) {
	c, err := dial(address, request)
	if err != nil {
		return time.Time{}, err
	}
	defer c.conn.Close()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(5 * time.Millisecond) {
		status, err := c.do()
		if err != nil {
			return time.Time{}, err
		}
		if status == want {
			return time.Now(), nil
		}
	}
	return time.Time{}, errors.New(address + " goes on letting calls through")
}
