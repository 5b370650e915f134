package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// classes is the load: how many times the limit's rate each class offers, ten
// times in all, and how long its calls may wait.
var classes = []struct {
	name string
	load float64
	wait time.Duration
}{
	{"critical", 0.3, 5 * time.Second},
	{"high", 0.5, 2 * time.Second},
	{"normal", 3.2, time.Second},
	{"low", 6, time.Second},
}

// mixed offers calls of all classes at fixed rates, whatever becomes of them,
// in turn to each gateway.
type mixed struct {
	client   *http.Client
	gateways []string
	method   string
	path     string // of the operation below the API, with {class}
	body     string

	// down are the gateways that were killed; calls go to the others.
	down  [2]atomic.Bool
	stop  chan struct{}
	calls sync.WaitGroup
	under atomic.Int64

	mu      sync.Mutex
	tallies []tally
}

// tally is what became of a class's calls since it was last cleared.
type tally struct {
	offered, admitted, failed int
	latencies                 []time.Duration // of admitted calls, from when they were due
	example                   string          // of what failed
}

// maxUnder bounds the calls under way; more are not offered.
const maxUnder = 4000

func newMixed(gateways []string, method, path, body string) *mixed {
	return &mixed{
		client: &http.Client{
			Timeout:   20 * time.Second,
			Transport: &http.Transport{MaxIdleConnsPerHost: maxUnder, DisableCompression: true},
		},
		gateways: gateways, method: method, path: path, body: body, stop: make(chan struct{}), tallies: make([]tally, len(classes)),
	}
}

// start offers base times each class's load until end is called.
func (m *mixed) start(base float64) {
	for i, c := range classes {
		gap := time.Duration(float64(time.Second) / (base * c.load))
		m.calls.Go(func() { m.offer(i, gap) })
	}
}

func (m *mixed) offer(class int, gap time.Duration) {
	due := time.Now()
	for turn := 0; ; turn++ {
		due = due.Add(gap)
		select {
		case <-m.stop:
			return
		case <-time.After(time.Until(due)):
		}
		if m.under.Load() >= maxUnder {
			continue
		}
		m.under.Add(1)
		at := due
		m.calls.Go(func() {
			defer m.under.Add(-1)
			m.call(class, turn, at)
		})
	}
}

func (m *mixed) call(class, turn int, due time.Time) {
	i := turn % len(m.gateways)
	if m.down[i].Load() {
		i = (i + 1) % len(m.gateways)
	}
	status, text := m.send(class, i)
	if status == 0 && m.down[i].Load() {
		return // it was under way when its gateway was killed
	}
	m.note(class, status, text, time.Since(due))
}

// send makes one call; the status is zero when there is no answer.
func (m *mixed) send(class, i int) (status int, text string) {
	url := "http://" + m.gateways[i] + strings.Replace(m.path, "{class}", classes[class].name, 1)
	var body io.Reader
	if m.body != "" {
		body = strings.NewReader(m.body)
	}
	r, err := http.NewRequestWithContext(context.Background(), m.method, url, body)
	if err != nil {
		panic(err) // the URL is our own
	}
	if m.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := m.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

func (m *mixed) note(class, status int, text string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &m.tallies[class]
	t.offered++
	switch {
	case status >= 200 && status < 300:
		t.admitted++
		t.latencies = append(t.latencies, took)
	case status != http.StatusServiceUnavailable:
		t.failed++
		t.example = fmt.Sprintf("%d %.300s", status, text)
	}
}

// clear begins to count anew.
func (m *mixed) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.tallies)
}

// read gives what was counted so far.
func (m *mixed) read() []tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.tallies)
}

// end stops the load and waits for the calls under way.
func (m *mixed) end() {
	close(m.stop)
	m.calls.Wait()
	m.client.CloseIdleConnections()
}
