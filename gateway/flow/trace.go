package flow

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/buffer"
	"github.com/headrace/headrace/gateway/ledger"
)

// Trace is a business transaction over all systems: what is known by one
// correlation id.
type Trace struct {
	Correlation string `json:"correlation"`
	// State is that of the transaction: running while anything is not over, stuck
	// when something needs a person, else completed, failed or compensated.
	State string    `json:"state"`
	Began time.Time `json:"began"`
	// Ended is zero while it is not over.
	Ended   time.Time `json:"ended,omitzero"`
	Entries []Entry   `json:"entries"`
	// Systems say where the time went.
	Systems []Share `json:"systems"`
}

// Entry is one thing that happened, or is happening.
type Entry struct {
	// Kind is run, read or write.
	Kind string `json:"kind"`
	// Run is the ID of the run that it is a part of; empty for a write by itself.
	Run string `json:"run,omitempty"`
	// Step is the visit, Operation what was called, System who answers it.
	Step      string `json:"step,omitempty"`
	Operation string `json:"operation"`
	System    string `json:"system,omitempty"`
	State     string `json:"state"`
	Status    int    `json:"status,omitempty"`
	// Address is where more is to be found.
	Address string    `json:"address,omitempty"`
	Began   time.Time `json:"began"`
	// Sent is when a write went to its system first; zero before.
	Sent  time.Time `json:"sent,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Attempts is how often a write was sent.
	Attempts int    `json:"attempts,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Share is the time that went to one system.
type Share struct {
	System string `json:"system"`
	Calls  int    `json:"calls"`
	// WaitedMs is the time that writes waited in the gateway, TookMs the time
	// that reads and writes took after that, waits for the budget of reads included.
	WaitedMs int64 `json:"waitedMs"`
	TookMs   int64 `json:"tookMs"`
}

func (o operator) trace(r *http.Request) (any, error) {
	t, err := o.flows.Trace(r.Context(), r.PathValue("correlation"))
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Trace puts a business transaction together. A NoSuchThing when nothing is
// known by the id: reads alone leave no trace in the ledger.
func (f *Flows) Trace(ctx context.Context, correlation string) (*Trace, error) {
	found, err := f.ledger.TraceOf(ctx, correlation)
	if err != nil {
		return nil, refusal(err)
	}
	if len(found.Runs) == 0 && len(found.Writes) == 0 {
		return nil, &gateway.Error{Problem: gateway.NoSuchThing, Detail: "no run and no write has this correlation id"}
	}
	t := &Trace{Correlation: correlation, Entries: []Entry{}, Systems: []Share{}}
	writes := map[string]*ledger.Record{}
	for _, w := range found.Writes {
		writes[w.ID] = w
	}
	for _, u := range found.Runs {
		t.Entries = append(t.Entries, Entry{Kind: "run", Run: u.ID, Operation: u.Operation, State: string(u.State), Status: u.Status, Address: Path + "/" + u.ID,
			Began: u.Accepted.UTC(), Ended: u.Settled.UTC(), Reason: u.Reason})
		for _, s := range u.Steps {
			v, ok := stepViewOf(s)
			if !ok {
				continue
			}
			e := Entry{Kind: "read", Run: u.ID, Step: v.Visit, State: v.State, Status: v.Status, Began: v.Began, Ended: v.Ended, Reason: v.Reason}
			if res, err := decodeResult(s.Result); err == nil && len(s.Result) > 0 {
				e.Operation, e.System = res.Operation, res.System
			}
			if w := writes[s.Write]; w != nil {
				e = writeEntry(w)
				e.Run, e.Step = u.ID, v.Visit
				delete(writes, s.Write)
			}
			t.Entries = append(t.Entries, e)
		}
	}
	for _, w := range found.Writes {
		if writes[w.ID] != nil {
			t.Entries = append(t.Entries, writeEntry(w))
		}
	}
	slices.SortStableFunc(t.Entries, func(a, b Entry) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)))
	})
	t.sum()
	return t, nil
}

func kindOrder(kind string) int { return slices.Index([]string{"run", "read", "write"}, kind) }

func writeEntry(w *ledger.Record) Entry {
	state := string(w.State)
	if w.Dead {
		state = "dead"
	}
	return Entry{Kind: "write", Operation: w.Operation, System: w.System, State: state, Status: w.Status, Address: buffer.Path + "/" + w.ID,
		Began: w.Accepted.UTC(), Sent: w.FirstSent.UTC(), Ended: w.Settled.UTC(), Attempts: w.Attempts, Reason: w.Reason}
}

// sum finds out how the whole stands, and where the time went.
func (t *Trace) sum() {
	states := map[string]bool{}
	shares := map[string]*Share{}
	open := false
	for _, e := range t.Entries {
		if t.Began.IsZero() {
			t.Began = e.Began
		}
		if e.Ended.After(t.Ended) {
			t.Ended = e.Ended
		}
		open = open || e.Ended.IsZero()
		states[e.State] = states[e.State] || e.Kind == "run" || e.State == "dead" || e.Run == ""
		if e.System == "" {
			continue
		}
		s := shares[e.System]
		if s == nil {
			s = &Share{System: e.System}
			shares[e.System] = s
		}
		s.add(e)
	}
	for _, s := range shares {
		t.Systems = append(t.Systems, *s)
	}
	slices.SortFunc(t.Systems, func(a, b Share) int { return cmp.Compare(a.System, b.System) })
	switch {
	case states[string(ledger.Stuck)] || states["dead"]:
		t.State = string(ledger.Stuck)
	case open:
		t.State = string(ledger.Running)
	case states[string(ledger.Compensated)]:
		t.State = string(ledger.Compensated)
	case states[string(ledger.Failed)], states[string(ledger.Refused)], states[string(ledger.Expired)], states[string(ledger.Cancelled)]:
		t.State = string(ledger.Failed)
	default:
		t.State = string(ledger.Completed)
	}
	if open {
		t.Ended = time.Time{}
	}
}

func (s *Share) add(e Entry) {
	s.Calls++
	end := e.Ended
	if end.IsZero() {
		end = time.Now()
	}
	from := e.Began
	if e.Kind == "write" {
		if e.Sent.IsZero() {
			s.WaitedMs += end.Sub(e.Began).Milliseconds()
			return
		}
		s.WaitedMs += e.Sent.Sub(e.Began).Milliseconds()
		from = e.Sent
	}
	s.TookMs += end.Sub(from).Milliseconds()
}
