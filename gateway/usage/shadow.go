package usage

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs"
)

const (
	// shadowQueue is how many requests wait to be tried; what comes while it is
	// full is left out.
	shadowQueue = 64
	// shadowBody is the longest body that is tried, in bytes.
	shadowBody = 256 << 10
	// shadowRest is how long is rested after a check, in times of what it took:
	// checks take a twentieth of one processor at most.
	shadowRest = 19
	// shadowPlaces bounds the places that are told apart for a version; those
	// beyond it are counted together, under the name more.
	shadowPlaces = 5000
	more         = "(more)"
)

// shadow tries candidate versions on requests that the served version has
// answered, off the way of callers.
type shadow struct {
	queue   chan *sample
	dropped atomic.Int64

	mu     sync.Mutex
	counts map[ledger.UsageKey]*ledger.Usage
	places map[[2]string]int // by API and version, since they were first met
	known  map[ledger.UsageKey]bool
}

// sample is what is kept of a request until it has been tried.
type sample struct {
	operation *gateway.Operation
	app       string
	method    string
	path      string
	query     string
	header    http.Header
	length    int64
	body      []byte
}

func newShadow() *shadow {
	return &shadow{
		queue: make(chan *sample, shadowQueue), counts: map[ledger.UsageKey]*ledger.Usage{},
		places: map[[2]string]int{}, known: map[ledger.UsageKey]bool{},
	}
}

// offer hands in a request, if it is one that can be tried and there is room.
func (s *shadow) offer(x *gateway.Exchange) {
	body, whole := x.Held()
	r := x.Request
	switch {
	case x.Record.Decision != "answered" || len(x.Record.RequestViolations) > 0:
		return // the served version was not content either
	case !whole || len(body) > shadowBody || len(s.queue) == cap(s.queue):
		s.dropped.Add(1)
		return
	}
	p := &sample{operation: x.Operation, method: r.Method, path: r.URL.EscapedPath(), query: r.URL.RawQuery, header: http.Header{}, length: r.ContentLength, body: body}
	if x.App != nil {
		p.app = x.App.Name
	}
	keep := func(name string) {
		if values := r.Header[name]; values != nil {
			p.header[name] = values
		}
	}
	keep("Content-Type")
	keep("Content-Encoding")
	for _, c := range x.Operation.API.Candidates {
		for _, name := range c.Headers {
			keep(name)
		}
	}
	select {
	case s.queue <- p:
	default:
		s.dropped.Add(1)
	}
}

// run tries what is handed in, until quit is closed.
func (s *shadow) run(quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		case p := <-s.queue:
			started := time.Now()
			s.try(p)
			rest := time.NewTimer(shadowRest * time.Since(started))
			select {
			case <-quit:
				rest.Stop()
				return
			case <-rest.C:
			}
		}
	}
}

// try checks a request against the candidates.
func (s *shadow) try(p *sample) {
	for _, c := range p.operation.API.Candidates {
		key := ledger.UsageKey{Sort: ledger.Shadow, API: c.Name, Version: c.Version, Operation: p.operation.Spec.ID, App: p.app}
		s.count(key, places(c, p))
	}
}

// places are where a candidate is not content with a request; none when it is.
func places(c *gateway.Candidate, p *sample) []string {
	m := c.Tree.Match(p.method, p.path)
	if m.Value == nil {
		return []string{"(operation)"}
	}
	r := &http.Request{Method: p.method, Header: p.header, ContentLength: p.length, Body: http.NoBody, URL: &url.URL{Path: p.path, RawQuery: p.query}}
	fault := m.Value.CheckRequest(r, m.Params, p.body, specs.CheckOptions{StrictQuery: c.StrictQuery})
	if fault == nil {
		return nil
	}
	var list []string
	for _, v := range fault.Violations {
		list = append(list, placeOf(v))
	}
	if list == nil {
		list = []string{"(request)"}
	}
	return list
}

// placeOf is the place of a violation as fields are named: /lines/*/sku of a
// body, ?page of a query, and IN:NAME of anything else.
func placeOf(v specs.Violation) string {
	tokens := strings.Split(v.Pointer, "/")
	for i, token := range tokens {
		if i > 0 && token != "" && strings.Trim(token, "0123456789") == "" {
			tokens[i] = "*"
		}
	}
	pointer := strings.Join(tokens, "/")
	text := v.In + ":" + v.Name + pointer
	switch {
	case v.In == "body" && pointer == "":
		text = "(body)"
	case v.In == "body":
		text = pointer
	case v.In == "query":
		text = "?" + v.Name + pointer
	}
	const longest = 200
	if len(text) > longest {
		return more
	}
	return text
}

// count notes what came of a check.
func (s *shadow) count(key ledger.UsageKey, places []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.at(key, now, places != nil)
	seen := map[string]bool{}
	for _, place := range places {
		key.Field = place
		if version := [2]string{key.API, key.Version}; !s.known[key] {
			if s.places[version] == shadowPlaces {
				key.Field = more
			} else {
				s.places[version]++
				s.known[key] = true
			}
		}
		if !seen[key.Field] {
			seen[key.Field] = true
			s.at(key, now, true)
		}
	}
}

func (s *shadow) at(key ledger.UsageKey, now time.Time, refused bool) {
	u := s.counts[key]
	if u == nil {
		u = &ledger.Usage{UsageKey: key}
		s.counts[key] = u
	}
	u.Calls++
	if refused {
		u.Refused++
	}
	u.Last = now
}

// collect hands out what has been counted.
func (s *shadow) collect(add func(ledger.Usage)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.counts {
		add(*u)
	}
	clear(s.counts)
}
