package gateway

import (
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/specs"
)

// API is a major version of an API as it is served.
type API struct {
	Name string
	// Version is the folder's name, for example 1.2.0; Major is v1.
	Version, Major string
	// Base is the path that all operations start with.
	Base     string
	Document *specs.Document
	// Revision identifies everything that answers are made with (documents,
	// mappings, systems). Answers kept under it hold for the next table with
	// the same one; when it is empty, they end with their table.
	Revision string
	// Candidates are versions that are tried on its traffic and decide nothing.
	Candidates []*Candidate
	// Canary tells that some apps meet this version before the others; nil for
	// the version of all.
	Canary *Canary

	subscriptions []*Subscription // by App.index; nil when nobody is subscribed
}

// VariantMark stands in the key of an operation before a canary's version.
const VariantMark = "@"

// Key is what the layer behind the chain calls an operation: API/vMAJOR/operationId,
// and @VERSION in a canary version.
func (a *API) Key(o *specs.Operation) string {
	key := a.Name + "/" + a.Major + "/" + o.ID
	if a.Canary != nil {
		key += VariantMark + a.Version
	}
	return key
}

// Candidate is a version that is tried on live traffic of an API.
type Candidate struct {
	Name, Version string
	// Tree finds the candidate's operation for a request.
	Tree *specs.Tree[*specs.Operation]
	// Headers are those that its operations declare, in canonical spelling.
	Headers []string
	// StrictQuery tells that it would refuse query parameters that are not declared.
	StrictQuery bool
}

// Operation is an operation as it is served: its contract, and the chain that answers it.
type Operation struct {
	API  *API
	Spec *specs.Operation
	// Route is the path template as callers see it, base included.
	Route string
	// Class is the operation's own; a plan may change it for a call.
	Class specs.Class
	// Wait is how long a call may wait for the system's budget.
	Wait time.Duration
	// Handler is the compiled chain.
	Handler Handler
	// Observed is where the Recorder keeps what it has prepared for this
	// operation (attributes, instruments). Only the Recorder touches it.
	Observed any
	// Metered is the same for the Meter.
	Metered any
}

// Table is everything that decides about requests, compiled. It is immutable
// and swapped as a whole.
type Table struct {
	// Revision identifies the content that the table was built from.
	Revision string
	Built    time.Time
	// BodyLimit is the largest request body in bytes; the gateway's own when zero.
	BodyLimit  int64
	APIs       []*API
	Operations []*Operation
	Consumers  *Consumers
	// Tree finds an operation for a request.
	Tree *specs.Tree[*Operation]
	// Close releases what the table holds, once no request uses it any more. It may be nil.
	Close func()

	users atomic.Int64 // requests, plus one while the table is current
}

// acquire counts a user in; it fails when the table was already released.
func (t *Table) acquire() bool {
	for {
		n := t.users.Load()
		if n == 0 {
			return false
		}
		if t.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (t *Table) release() {
	if t.users.Add(-1) == 0 && t.Close != nil {
		t.Close()
	}
}
