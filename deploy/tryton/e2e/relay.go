package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
)

// relay stands between Headrace and Tryton and counts what is under way at
// Tryton: from the moment a call has arrived until its answer is complete.
type relay struct {
	server *http.Server
	url    string
	target string
	client http.RoundTripper

	mu   sync.Mutex
	now  map[string]int
	seen tally
}

// tally is what a relay saw, in all ("") and by method.
type tally struct {
	peak, calls map[string]int
}

func startRelay(target string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{
		url: "http://" + l.Addr().String(), target: target,
		client: &http.Transport{DisableKeepAlives: true},
	}
	r.reset()
	r.server = &http.Server{Handler: r}
	r.server.SetKeepAlivesEnabled(false)
	go r.server.Serve(l)
	return r, nil
}

func (r *relay) close() { r.server.Close() }

// reset forgets what was seen.
func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = map[string]int{}
	r.seen = tally{peak: map[string]int{}, calls: map[string]int{}}
}

// saw gives a copy of what was seen since the last reset.
func (r *relay) saw() tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return tally{peak: maps.Clone(r.seen.peak), calls: maps.Clone(r.seen.calls)}
}

func (r *relay) begin(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.now[name]++
		r.seen.calls[name]++
		r.seen.peak[name] = max(r.seen.peak[name], r.now[name])
	}
}

func (r *relay) end(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.now[name]--
	}
}

func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	var call struct {
		Method string `json:"method"`
	}
	json.Unmarshal(body, &call) // what is no call is counted in all
	r.begin("", call.Method)
	status, header, answer, err := r.forward(req, body)
	r.end("", call.Method)
	if err != nil {
		panic(http.ErrAbortHandler) // as if Tryton had broken the connection
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	w.Write(answer)
}

// forward makes the call and reads the whole answer.
func (r *relay) forward(req *http.Request, body []byte) (int, http.Header, []byte, error) {
	out, err := http.NewRequestWithContext(req.Context(), req.Method, r.target+req.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	out.Header = req.Header.Clone()
	resp, err := r.client.RoundTrip(out)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, answer, err
}
