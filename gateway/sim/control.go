package sim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is a misbehaviour on command.
type Fault struct {
	// Kind is error (with Status), slow (with LatencyMS), drop-reply (the work
	// is done, the answer is lost), drop-request (neither), overload (the
	// vendor's own refusal) or down (every connection is cut).
	Kind string `json:"kind"`
	// Path restricts the fault to paths with this prefix, Method to a method.
	Path   string `json:"path,omitempty"`
	Method string `json:"method,omitempty"`
	// Count is how many calls it hits; Seconds how long it lasts. With neither, it lasts until it is cleared.
	Count   int     `json:"count,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`

	Status    int `json:"status,omitempty"`
	LatencyMS int `json:"latency_ms,omitempty"`

	until time.Time
}

var faultKinds = []string{"error", "slow", "drop-reply", "drop-request", "overload", "down"}

func (f *Fault) is(kind string) bool { return f != nil && f.Kind == kind }

// matchFault finds the fault that hits a call, and uses it up.
func (s *Server) matchFault(r *http.Request, now time.Time) *Fault {
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return !f.until.IsZero() && now.After(f.until) })
	for i, f := range s.faults {
		if !strings.HasPrefix(r.URL.Path, f.Path) || f.Method != "" && f.Method != r.Method {
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		s.report.Faults++
		return f
	}
	return nil
}

func (s *Server) addFault(w http.ResponseWriter, r *http.Request) {
	f := &Fault{Status: http.StatusInternalServerError}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f); err != nil {
		write(w, answer{status: http.StatusBadRequest, body: map[string]any{"error": err.Error()}})
		return
	}
	if !slices.Contains(faultKinds, f.Kind) {
		write(w, answer{status: http.StatusBadRequest, body: map[string]any{"error": "kind is one of " + strings.Join(faultKinds, ", ")}})
		return
	}
	if err := f.check(); err != "" {
		write(w, answer{status: http.StatusBadRequest, body: map[string]any{"error": err}})
		return
	}
	if f.Seconds > 0 {
		f.until = time.Now().Add(time.Duration(f.Seconds * float64(time.Second)))
	}
	a := answer{status: http.StatusCreated, body: *f}.rendered()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) >= maxFaults {
		a = answer{status: http.StatusConflict, body: map[string]any{"error": "there are too many faults already; DELETE /_sim/faults ends them"}}
	} else {
		s.faults = append(s.faults, f)
	}
	write(w, a)
}

// maxFaults bounds the faults at a time.
const maxFaults = 100

// check tells what is wrong with a fault; empty for nothing.
func (f *Fault) check() string {
	switch {
	case f.Kind == "error" && (f.Status < 400 || f.Status > 599):
		return "status is between 400 and 599"
	case f.Count < 0, f.Seconds < 0, f.Seconds > 86400:
		return "count is not negative, seconds are between 0 and 86400"
	case f.LatencyMS < 0, f.LatencyMS > 600_000:
		return "latency_ms is between 0 and 600000"
	case f.Kind == "slow" && f.LatencyMS == 0:
		return "slow needs latency_ms"
	}
	return ""
}

func (s *Server) clearFaults(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.faults = nil
	s.mu.Unlock()
	write(w, answer{status: http.StatusNoContent})
}

func (s *Server) getReport(w http.ResponseWriter, _ *http.Request) {
	write(w, answer{status: http.StatusOK, body: s.Report()})
}

func (s *Server) resetAll(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	inFlight, refused := s.report.InFlight, s.report.refusedInFlight
	s.reset()
	s.report.InFlight, s.report.refusedInFlight = inFlight, refused
	s.mu.Unlock()
	write(w, answer{status: http.StatusNoContent})
}

// Report is what a simulator saw, counted as calls arrived.
type Report struct {
	Kind     string `json:"kind"`
	Arrived  int    `json:"arrived"`
	InFlight int    `json:"inFlight"`
	// MaxInFlight counts refused calls, too: what the vendor's door saw at once.
	MaxInFlight int `json:"maxInFlight"`
	// Refused were answered with the vendor's overload sign; Violations of
	// them arrived although a limit was reached (the rest were faults on command).
	Refused    int `json:"refused"`
	Violations int `json:"violations"`
	// Effects are calls that changed something.
	Effects int `json:"effects"`
	Faults  int `json:"faults"`
	// PerSecond are the arrivals of the last minute, the newest last.
	PerSecond []int `json:"perSecond"`
	// Operations counts arrivals by operation.
	Operations map[string]int `json:"operations"`

	refusedInFlight int
	seconds         [60]int
	second          int64
}

// Report is a copy of what the simulator has seen so far.
func (s *Server) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.advance(time.Now())
	r := s.report
	r.Operations = maps.Clone(r.Operations)
	for i := range r.seconds {
		r.PerSecond = append(r.PerSecond, r.seconds[(r.second+1+int64(i))%60])
	}
	return r
}

func (r *Report) arrived(operation string, now time.Time) {
	r.advance(now)
	r.seconds[r.second%60]++
	r.Arrived++
	r.Operations[operation]++
	r.InFlight++
	r.MaxInFlight = max(r.MaxInFlight, r.InFlight)
}

func (r *Report) advance(now time.Time) {
	for n := now.Unix(); r.second < n; {
		r.second = max(r.second+1, n-59)
		r.seconds[r.second%60] = 0
	}
}
