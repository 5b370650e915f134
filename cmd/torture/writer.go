package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// apiKey is a test key; consumers.yaml gets its hash.
const apiKey = "hr_tortured_0123456789abcdefghijklmnopqrstuv"

// writeHeader names the write on every answer to one.
const writeHeader = "Headrace-Write"

// The business keys that all writers share. Orders belong to one writer, so
// that it knows their order.
const (
	customers = 300
	locations = 200
)

// client sends requests to any of the gateways.
type client struct {
	http      *http.Client
	addresses []string
}

func newClient(addresses []string, connections int) *client {
	return &client{
		http:      &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}},
		addresses: addresses,
	}
}

// writer sends one write after the other, each until it is acknowledged.
type writer struct {
	*client
	name   string
	orders int // of its own
	random *rand.Rand
	number map[string]int // of the last write, by order
	count  int

	writes []*sent
	faults []string // answers that no client should get
}

func newWriter(c *client, name string, orders int, seed uint64) *writer {
	h := uint64(14695981039346656037)
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return &writer{client: c, name: name, orders: orders, random: rand.New(rand.NewPCG(seed, h)), number: map[string]int{}}
}

// run writes until stop ends; what it has begun then, it goes on trying until
// end ends.
func (w *writer) run(stop, end context.Context, pause time.Duration) {
	for stop.Err() == nil {
		s := w.next()
		w.writes = append(w.writes, s)
		w.send(end, s)
		if w.random.IntN(20) == 0 && !s.acknowledged.IsZero() {
			w.repeat(end, s)
		}
		select {
		case <-stop.Done():
		case <-time.After(time.Duration(w.random.Int64N(int64(2 * pause)))):
		}
	}
}

// next makes up a write. A third of them stand in three lanes.
func (w *writer) next() *sent {
	w.count++
	n := w.random.IntN(w.orders)
	if w.random.IntN(5) < 2 {
		n = w.random.IntN(max(1, w.orders/20)) // a few are busy
	}
	o := order{ID: fmt.Sprintf("%s-%d", w.name, w.count), Order: fmt.Sprintf("%s-o%d", w.name, n), Filler: strings.Repeat("x", 200+w.random.IntN(1000))}
	w.number[o.Order]++
	o.Number = w.number[o.Order]
	if w.random.IntN(3) == 0 {
		o.Customer, o.Location = fmt.Sprintf("c%d", w.random.IntN(customers)), fmt.Sprintf("l%d", w.random.IntN(locations))
	}
	s := &sent{order: o}
	switch p := w.random.Float64(); {
	case p < 0.3:
		s.operation = byHeader
	case p < 0.5:
		s.operation = byNature
	case p < 0.7:
		s.operation = byConfirm
	case p < 0.9:
		s.operation = byBatch
	default:
		s.operation = byNothing
	}
	s.order.Poison = s.operation != byHeader && w.random.IntN(50) == 0
	return s
}

// patience is what a caller says about waiting.
func (w *writer) patience() string {
	switch w.random.IntN(5) {
	case 0:
		return "wait=3"
	case 1, 2:
		return "wait=1"
	}
	return "respond-async"
}

// send sends a write, with the same key each time, until a gateway has taken
// responsibility for it.
func (w *writer) send(end context.Context, s *sent) {
	s.first = time.Now()
	for at := w.random.IntN(len(w.addresses)); end.Err() == nil; at++ {
		s.tries++
		status, id, text, err := w.call(end, w.addresses[at%len(w.addresses)], s, w.patience())
		now := time.Now()
		if err == nil && id != "" {
			s.acknowledged, s.status, s.write = now, status, id
			return
		}
		if err == nil && status < 500 && status != http.StatusTooManyRequests {
			w.faults = append(w.faults, fmt.Sprintf("%s was answered with %d and no %s: %s", s.order.ID, status, writeHeader, text))
			return
		}
		select {
		case <-end.Done():
		case <-time.After(20*time.Millisecond + time.Duration(w.random.Int64N(int64(150*time.Millisecond)))):
		}
	}
}

// repeat sends an acknowledged write once more: it must be the same write.
func (w *writer) repeat(end context.Context, s *sent) {
	_, id, _, err := w.call(end, w.addresses[w.random.IntN(len(w.addresses))], s, "respond-async")
	if err == nil && id != "" && id != s.write {
		s.other = id
	}
}

// call sends one request.
func (w *writer) call(ctx context.Context, address string, s *sent, prefer string) (status int, id, text string, err error) {
	body, err := json.Marshal(s.order)
	if err != nil {
		return 0, "", "", err
	}
	method, path := http.MethodPost, "/torture/v1/"+s.operation
	if s.operation == byNature {
		method, path = http.MethodPut, path+"/"+s.order.ID
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", apiKey)
	req.Header.Set("Idempotency-Key", `"`+s.order.ID+`"`)
	req.Header.Set("Prefer", prefer)
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, resp.Header.Get(writeHeader), string(data), err
}

// states asks for the states of all writes that are not known to be final. It
// tells how many are left. A gateway that does not answer leaves them as they were.
func (c *client) states(ctx context.Context, writes []*sent) (open int) {
	var wait sync.WaitGroup
	work := make(chan *sent)
	for i := range 16 {
		wait.Go(func() {
			for s := range work {
				c.state(ctx, c.addresses[i%len(c.addresses)], s)
			}
		})
	}
	for _, s := range writes {
		if !s.acknowledged.IsZero() && !s.settled() && ctx.Err() == nil {
			work <- s
		}
	}
	close(work)
	wait.Wait()
	for _, s := range writes {
		if !s.acknowledged.IsZero() && !s.settled() && !s.missing {
			open++
		}
	}
	return open
}

// view is what the status resource tells, as far as it matters here.
type view struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Dead  bool   `json:"needsAttention"`
	// Reason is why it is as it is, for people.
	Reason string `json:"reason"`
}

func (c *client) state(ctx context.Context, address string, s *sent) {
	var v view
	code, err := c.get(ctx, address, "/writes/"+s.write, &v)
	switch {
	case err != nil:
	case code == http.StatusOK:
		s.state, s.dead, s.missing, s.reason = v.State, v.Dead, false, v.Reason
	case code == http.StatusNotFound, code == http.StatusGone:
		s.missing = true
	}
}

// list reads all writes of a state, page by page.
func (c *client) list(ctx context.Context, state string) ([]view, error) {
	var all []view
	for after := ""; ; {
		var page struct {
			Items []view `json:"items"`
			Next  string `json:"next"`
		}
		path := "/writes?limit=200&state=" + state
		if after != "" {
			path += "&after=" + url.QueryEscape(after)
		}
		status, err := c.get(ctx, c.addresses[0], path, &page)
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("the list of writes cannot be read: status %d, %v", status, err)
		}
		all = append(all, page.Items...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

// explain reads how a few of the writes stand that are not settled.
func (c *client) explain(ctx context.Context, writes []*sent) (texts []string) {
	for _, s := range writes {
		if len(texts) == 3 {
			break
		}
		if s.acknowledged.IsZero() || s.settled() || s.missing {
			continue
		}
		var raw json.RawMessage
		if _, err := c.get(ctx, c.addresses[0], "/writes/"+s.write, &raw); err == nil {
			texts = append(texts, string(raw))
		}
	}
	return texts
}

// get reads a JSON page of a gateway.
func (c *client) get(ctx context.Context, address, path string, into any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Api-Key", apiKey)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, err
	}
	return resp.StatusCode, json.Unmarshal(data, into)
}
