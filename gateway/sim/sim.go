package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options set up a simulator. The zero value gives the kind's own defaults.
type Options struct {
	// Latency is the time that a call takes, Jitter what is added at random.
	Latency, Jitter time.Duration
	// Concurrency replaces the kind's own limit of calls under way.
	Concurrency int
	// Seed makes the data and the jitter repeatable.
	Seed uint64
}

// Kind is a sort of system that can be simulated.
type Kind struct {
	Name, Doc string
	build     func(*Server, Options)
	latency   time.Duration
	jitter    time.Duration
}

// Kinds lists what can be simulated.
func Kinds() []Kind {
	return []Kind{
		{"crm", "customer relations over plain REST: accounts and activities", crm, 5 * time.Millisecond, 25 * time.Millisecond},
		{"netsuite", "ERP with NetSuite's account concurrency and record API: orders, invoices, items, customers, vendors", netsuite, 40 * time.Millisecond, 80 * time.Millisecond},
		{"dataverse", "CRM with Dataverse's service protection limits: accounts, sales orders", dataverse, 30 * time.Millisecond, 50 * time.Millisecond},
		{"wms", "warehouse management: stock levels and adjustments", wms, 5 * time.Millisecond, 25 * time.Millisecond},
		{"tms", "transport management: shipments and milestones", tms, 5 * time.Millisecond, 25 * time.Millisecond},
	}
}

// Server simulates one system. It is an http.Handler, safe for concurrent use,
// and keeps everything in memory.
type Server struct {
	kind  Kind
	limit limiter
	mux   *http.ServeMux
	// failure is an error in the vendor's own envelope.
	failure func(status int, text string) answer

	// latency and jitter are set once.
	latency, jitter time.Duration

	mu     sync.Mutex
	random *rand.Rand
	data   *data
	faults []*Fault
	report Report
	reset  func()
}

// limiter is how a vendor limits: admit tells whether a call that arrives now
// is taken. A refused call gets the vendor's own answer. It is called with the
// server's lock held; inFlight counts the calls before this one.
type limiter interface {
	admit(r *http.Request, now time.Time, inFlight int) *answer
	// done is told how long an admitted call took.
	done(r *http.Request, took time.Duration)
}

// answer is what a handler or a limiter gives.
type answer struct {
	status int
	header http.Header
	body   any
}

// handler does a call's work, with the server's lock held.
type handler func(s *Server, r *http.Request, body map[string]any) answer

// New makes a simulator of the named kind.
func New(kind string, o Options) (*Server, error) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == kind })
	if i < 0 {
		var names []string
		for _, k := range kinds {
			names = append(names, k.Name)
		}
		return nil, fmt.Errorf("there is no simulator %q; one of %s", kind, strings.Join(names, ", "))
	}
	s := &Server{kind: kinds[i], latency: kinds[i].latency, jitter: kinds[i].jitter}
	if o.Latency > 0 || o.Jitter > 0 {
		s.latency, s.jitter = o.Latency, o.Jitter
	}
	s.reset = func() {
		s.random = rand.New(rand.NewPCG(o.Seed, 1))
		s.data = seed(rand.New(rand.NewPCG(o.Seed, 2)))
		s.faults = nil
		s.report = Report{Kind: kind, Operations: map[string]int{}}
		s.mux = http.NewServeMux()
		s.mux.HandleFunc("POST /_sim/faults", s.addFault)
		s.mux.HandleFunc("DELETE /_sim/faults", s.clearFaults)
		s.mux.HandleFunc("GET /_sim/report", s.getReport)
		s.mux.HandleFunc("POST /_sim/reset", s.resetAll)
		s.mux.HandleFunc("/_sim/", http.NotFound)
		s.failure = plain
		kinds[i].build(s, o)
		s.handle("/", func(s *Server, r *http.Request, _ map[string]any) answer {
			return s.failure(http.StatusNotFound, "there is no such resource")
		})
	}
	s.reset()
	return s, nil
}

// handle registers a call of the system.
func (s *Server) handle(pattern string, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.call(w, r, pattern, h) })
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mux := s.mux
	s.mu.Unlock()
	mux.ServeHTTP(w, r)
}

// maxBody bounds what a call may send.
const maxBody = 1 << 20

// call counts a call as it arrives, refuses it as the vendor would, lets it
// take its time, does its work and answers; faults come in between.
func (s *Server) call(w http.ResponseWriter, r *http.Request, operation string, h handler) {
	started := time.Now()
	fault, refused, wait := s.arrive(r, operation, started)
	defer s.leave(r, started, refused == nil)
	switch {
	case fault.is("drop-request"), fault.is("down"):
		cut(w)
		return
	case refused != nil:
		write(w, *refused)
		return
	}
	body, err := read(r)
	if err != nil {
		write(w, s.failure(http.StatusBadRequest, err.Error()))
		return
	}
	// A real system goes on working when its caller has left.
	time.Sleep(wait)
	if fault.is("error") {
		write(w, s.failure(fault.Status, "a fault on command"))
		return
	}
	result := s.work(h, r, body)
	if fault.is("drop-reply") {
		cut(w)
		return
	}
	write(w, result)
}

// work does what a call asks for, alone.
func (s *Server) work(h handler, r *http.Request, body map[string]any) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := h(s, r, body).rendered()
	if result.status < 300 && r.Method != http.MethodGet {
		s.report.Effects++
	}
	if l, ok := s.limit.(interface {
		remaining(*http.Request) http.Header
	}); ok {
		if result.header == nil {
			result.header = http.Header{}
		}
		maps.Copy(result.header, l.remaining(r))
	}
	return result
}

// arrive counts the call and decides what becomes of it.
func (s *Server) arrive(r *http.Request, operation string, now time.Time) (fault *Fault, refused *answer, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.report.InFlight
	s.report.arrived(operation, now)
	fault = s.matchFault(r, now)
	switch {
	case fault.is("drop-request"), fault.is("down"):
		return fault, nil, 0
	case fault.is("overload"):
		refused = s.overloaded(r)
	default:
		if refused = s.limit.admit(r, now, before-s.report.refusedInFlight); refused != nil {
			s.report.Violations++
		}
	}
	if refused != nil {
		s.report.Refused++
		s.report.refusedInFlight++
		return fault, refused, 0
	}
	wait = s.latency
	if s.jitter > 0 {
		wait += time.Duration(s.random.Int64N(int64(s.jitter)))
	}
	if fault.is("slow") {
		wait += time.Duration(fault.LatencyMS) * time.Millisecond
	}
	return fault, nil, wait
}

// overloaded is the refusal that the vendor would give under full load.
func (s *Server) overloaded(r *http.Request) *answer {
	if o, ok := s.limit.(interface{ refuse(*http.Request) *answer }); ok {
		return o.refuse(r)
	}
	return &answer{status: http.StatusTooManyRequests, header: http.Header{"Retry-After": {"1"}}, body: map[string]any{"error": "too many requests"}}
}

func (s *Server) leave(r *http.Request, started time.Time, admitted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.InFlight--
	if !admitted {
		s.report.refusedInFlight--
		return
	}
	s.limit.done(r, time.Since(started))
}

func read(r *http.Request) (map[string]any, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", maxBody)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return map[string]any{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var body map[string]any
	if err := dec.Decode(&body); err != nil {
		return nil, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if body == nil { // null
		body = map[string]any{}
	}
	return body, nil
}

func write(w http.ResponseWriter, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	if text, ok := a.body.(string); ok {
		w.WriteHeader(a.status)
		io.WriteString(w, text)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(a.status)
	w.Write(body)
}

// rendered turns the body into bytes while the lock protects the records in it.
func (a answer) rendered() answer {
	if a.body != nil {
		body, err := json.Marshal(a.body)
		if err != nil {
			return answer{status: http.StatusInternalServerError, body: err.Error()}
		}
		a.body = json.RawMessage(body)
	}
	return a
}

// cut ends the connection without an answer.
func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }
