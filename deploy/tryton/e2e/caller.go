package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// caller is a consumer app: it knows an address and a key, nothing else.
type caller struct {
	base, key string
	client    *http.Client
}

func newCaller(base, key string) *caller {
	return &caller{base: base, key: key, client: &http.Client{
		Timeout:   40 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
	}}
}

// as is the same caller with another key; none when it is empty.
func (c *caller) as(key string) *caller { return &caller{base: c.base, key: key, client: c.client} }

// answer is what a call came to. An answer that never came has status 0.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
	err    error
}

// call sends a request. A body that is a string goes out as it stands, an
// io.Reader without a length, anything else as JSON. Headers are pairs of name and value.
func (c *caller) call(ctx context.Context, method, path string, body any, headers ...string) *answer {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case io.Reader:
		r = struct{ io.Reader }{b}
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return &answer{err: err}
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return &answer{err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("X-Api-Key", c.key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	started := time.Now()
	resp, err := c.client.Do(req)
	if err != nil {
		return &answer{err: err, took: time.Since(started)}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return &answer{status: resp.StatusCode, header: resp.Header, body: data, took: time.Since(started), err: err}
}

func (c *caller) get(ctx context.Context, path string) *answer {
	return c.call(ctx, http.MethodGet, path, nil)
}

func (c *caller) post(ctx context.Context, path string, body any) *answer {
	return c.call(ctx, http.MethodPost, path, body)
}

// into decodes an answer that has this status.
func (a *answer) into(status int, v any) error {
	if err := a.is(status); err != nil {
		return err
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		return fmt.Errorf("the content type is %q", a.header.Get("Content-Type"))
	}
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w in %.300s", err, a.body)
	}
	return nil
}

func (a *answer) is(status int) error {
	if a.err != nil {
		return a.err
	}
	if a.status != status {
		return fmt.Errorf("status %d, should be %d: %.400s", a.status, status, a.body)
	}
	return nil
}

// problem is the body of a refusal.
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	RequestID  string `json:"requestId"`
	System     string `json:"system"`
	Pool       string `json:"pool"`
	SystemCode string `json:"systemCode"`
	RetryAfter int    `json:"retryAfter"`
	Violations []struct {
		In      string `json:"in"`
		Name    string `json:"name"`
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"violations"`
}

// refused decodes a problem document and checks its status and type.
func (a *answer) refused(status int, name string) (*problem, error) {
	if err := a.is(status); err != nil {
		return nil, err
	}
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		return nil, fmt.Errorf("%w in %.300s", err, a.body)
	}
	return &p, all(
		same("the content type", a.header.Get("Content-Type"), "application/problem+json"),
		same("the type", p.Type, "urn:headrace:problem:"+name),
		same("the status in the body", p.Status, status),
		truth(p.Title != "", "there is no title"),
		same("requestId", p.RequestID, a.header.Get("X-Request-Id")),
		truth(p.RequestID != "", "there is no request id"),
	)
}

// saying checks a refusal whose detail holds a text.
func (a *answer) saying(status int, name, text string) error {
	p, err := a.refused(status, name)
	if p != nil && !strings.Contains(p.Detail, text) {
		err = all(err, fmt.Errorf("the detail %q does not say %q", p.Detail, text))
	}
	return err
}

// violating checks a refusal that names exactly these places: a JSON pointer
// into the body, or the name of a parameter.
func (a *answer) violating(status int, name string, places ...string) error {
	p, err := a.refused(status, name)
	if p == nil {
		return err
	}
	var got []string
	for _, v := range p.Violations {
		got = append(got, v.Name+v.Pointer)
	}
	for _, place := range places {
		if !slices.Contains(got, place) {
			err = all(err, fmt.Errorf("%s is not among the violations %q", place, got))
		}
	}
	return all(err, same("the number of violations", len(got), len(places)))
}

// patience checks that a refusal says when to come back, within a minute.
func (a *answer) patience() error {
	var seconds int
	if _, err := fmt.Sscan(a.header.Get("Retry-After"), &seconds); err != nil {
		return fmt.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	return truth(seconds >= 1 && seconds <= 60, "Retry-After is %d s", seconds)
}
