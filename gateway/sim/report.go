package sim

import (
	"maps"
	"net/http"
	"time"
)

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
	// Limits are in the order in which the vendor looks at them.
	Limits []LimitReport `json:"limits"`
	// Foreign is the traffic that came from within the simulator.
	Foreign ForeignReport `json:"foreign"`
	// Mark is what happened since POST /_sim/mark, or since the start.
	Mark MarkReport `json:"mark"`

	seconds [60]int
	second  int64
}

// LimitReport is what one limit counted. Numbers of a scaled simulator are
// scaled: Capacity units in Window seconds are what it really allows.
type LimitReport struct {
	Name string `json:"name"`
	// Kind is at-once, at-once-aged, line, sliding-window, fixed-window,
	// execution-time (units are seconds), token-bucket, leaky-queue or spacing.
	Kind     string  `json:"kind"`
	Capacity float64 `json:"capacity"`
	// Window is in seconds; 0 for what is limited at once. Capacity ÷ Window is
	// the rate that can be kept up, Capacity the burst.
	Window float64 `json:"window"`
	// Scopes is how many users, stores or nodes are counted apart; Capacity is each one's.
	Scopes int `json:"scopes"`
	// Billed limits refuse nothing.
	Billed bool `json:"billed,omitempty"`
	// Violations are calls that this limit refused; Queued those that the vendor let wait.
	Violations int `json:"violations"`
	Queued     int `json:"queued"`
	// Peak is the most that one scope used within one window or at once.
	Peak float64 `json:"peak"`
	// Used is the cost of all admitted calls, Foreign the part of it that came from within the simulator.
	Used    float64 `json:"used"`
	Foreign float64 `json:"foreign"`
	// Busy are call-seconds under way, where a limit counts at once.
	Busy float64 `json:"busy"`
	// Held are places that others take all the time.
	Held int `json:"held,omitempty"`
	// Mark is the same since the mark.
	Mark LimitMark `json:"mark"`
}

// LimitMark is what a limit counted since the mark.
type LimitMark struct {
	Violations int     `json:"violations"`
	Queued     int     `json:"queued"`
	Used       float64 `json:"used"`
	Foreign    float64 `json:"foreign"`
	Busy       float64 `json:"busy"`
	// Utilisation is the share that was used of what all scopes could have used
	// at a steady rate: Used or Busy ÷ (Capacity × Scopes × elapsed time).
	Utilisation float64 `json:"utilisation"`
}

// ForeignReport counts calls that did not come over the wire.
type ForeignReport struct {
	Sent    int `json:"sent"`
	Refused int `json:"refused"`
}

// MarkReport is what happened since the mark.
type MarkReport struct {
	Seconds    float64 `json:"seconds"`
	Arrived    int     `json:"arrived"`
	Admitted   int     `json:"admitted"`
	Violations int     `json:"violations"`
	// MedianMS and P99MS are milliseconds from the arrival of an admitted call
	// until its answer was ready, to within 1 %.
	MedianMS float64 `json:"medianMs"`
	P99MS    float64 `json:"p99Ms"`
}

// marker remembers the moment of the mark.
type marker struct {
	at                  time.Time
	arrived, violations int
	latencies           latencies
}

// Report is a copy of what the simulator has seen so far.
func (s *Server) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.report.advance(now)
	r := s.report
	r.Operations = maps.Clone(r.Operations)
	for i := range r.seconds {
		r.PerSecond = append(r.PerSecond, r.seconds[(r.second+1+int64(i))%60])
	}
	elapsed := now.Sub(s.mark.at).Seconds()
	r.Limits = []LimitReport{}
	for _, l := range s.limits {
		r.Limits = append(r.Limits, l.report(now, elapsed))
	}
	r.Mark = MarkReport{
		Seconds: elapsed, Arrived: r.Arrived - s.mark.arrived, Violations: r.Violations - s.mark.violations,
		Admitted: s.mark.latencies.n, MedianMS: s.mark.latencies.quantile(0.5), P99MS: s.mark.latencies.quantile(0.99),
	}
	return r
}

func (l *limit) report(now time.Time, elapsed float64) LimitReport {
	r := LimitReport{
		Name: l.name, Kind: l.kind, Capacity: l.capacity, Window: l.window.Seconds(), Scopes: len(l.meters), Billed: l.billed,
		Violations: l.violations, Queued: l.queued, Peak: l.peak, Used: l.used, Foreign: l.foreign, Busy: l.busyAt(now), Held: l.held,
	}
	r.Mark = LimitMark{
		Violations: r.Violations - l.marked.violations, Queued: r.Queued - l.marked.queued,
		Used: r.Used - l.marked.used, Foreign: r.Foreign - l.marked.foreign, Busy: r.Busy - l.marked.busy,
	}
	could := l.capacity * float64(max(1, r.Scopes)) * elapsed
	switch {
	case could <= 0:
	case r.Window > 0:
		r.Mark.Utilisation = r.Mark.Used * r.Window / could
	default:
		r.Mark.Utilisation = r.Mark.Busy / could
	}
	return r
}

func (l *limit) busyAt(now time.Time) float64 { return l.busy.total(now) }

// setMark begins to measure anew.
func (s *Server) setMark(now time.Time) {
	s.mark = marker{at: now, arrived: s.report.Arrived, violations: s.report.Violations}
	for _, l := range s.limits {
		l.marked = l.tally
		l.marked.busy = l.busyAt(now)
	}
}

func (s *Server) postMark(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.setMark(time.Now())
	s.mu.Unlock()
	write(w, answer{status: http.StatusNoContent})
}

func (s *Server) getReport(w http.ResponseWriter, _ *http.Request) {
	write(w, answer{status: http.StatusOK, body: s.Report()})
}

func (s *Server) resetAll(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.reset()
	s.mu.Unlock()
	write(w, answer{status: http.StatusNoContent})
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
