package sim

import (
	"encoding/json"
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
