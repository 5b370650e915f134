// Package admin is the operators' side: health, metrics, the admin API and a
// page that shows the state of the gateway. The routes of the admin API stand in
// one table (routes.go), with who may call each; openapi.yaml describes them.
package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs/source"
)

// Options set up the admin application. Only Tables is required.
type Options struct {
	Version string
	// Started is when the process started.
	Started time.Time
	// Token is one that callers of /admin/v1 may send as a bearer token, in the
	// role admin; the page also takes tokens as the password of HTTP Basic, for
	// browsers. Empty when there is none.
	Token string
	// OIDC checks tokens of another issuer; nil when there is none.
	OIDC OIDC
	// Open lets callers act without a token as long as there is neither Token nor
	// OIDC nor an operator. The listener must be on loopback only.
	Open bool
	// Registry is the control plane, with its operators; nil when there is none.
	Registry *registry.Registry
	// Store is the ledger below the registry, with the audit and the replicas.
	Store *ledger.DB
	// Metrics answers /metrics; nil means that there are none.
	Metrics http.Handler
	Tables  Tables
	// Systems gives the state of all systems, sorted by name; nil stands for none.
	Systems func() []SystemStatus
	// Writes answers below /admin/v1/writes, for somebody; nil means that there
	// is no buffer.
	Writes func(ledger.By) http.Handler
	// Runs answers below /admin/v1/runs and /admin/v1/traces, for somebody; nil
	// means that no flows are run.
	Runs func(ledger.By) http.Handler
	// Stores tells how the stores of counts stand; nil stands for none.
	Stores func() []StoreStatus
	// Ledger is nil while writes are taken, and else why they are not; nil
	// stands for no ledger.
	Ledger func() error
	// Reload tells how the last attempt to load a table ended.
	Reload func() Reload
	// Draining tells that the process is about to end.
	Draining func() bool
	// Log gets refused log-ins and internal errors; nil stands for no log.
	Log *slog.Logger
}

// Tables gives the table that is served; nil before the first.
type Tables interface {
	Table() *gateway.Table
}

// Reload is how an attempt to load a table ended.
type Reload struct {
	At   time.Time
	Took time.Duration
	// Revision is what was read; it is served unless there are problems.
	Revision string
	Problems []source.Problem
	// Attempts counts all attempts since the start, Refused those that failed.
	Attempts, Refused int
	// Registry is the registry's revision that was read, Served the one that is served.
	Registry, Served int64
}

// SystemStatus is the state of a system at this moment.
type SystemStatus struct {
	Name    string `json:"name"`
	Title   string `json:"title,omitempty"`
	Dialect string `json:"dialect"`
	// URL is where the system is, Credential how the gateway stands with it.
	URL        string `json:"url"`
	Credential string `json:"credential"`
	// Breaker is closed, half-open or open.
	Breaker string `json:"breaker"`
	// InFlight calls are at the system; Waiting ones wait for its budget.
	InFlight int          `json:"inFlight"`
	Waiting  Waiting      `json:"waiting"`
	Pools    []PoolStatus `json:"pools"`
}

// Waiting counts calls by class.
type Waiting struct {
	Critical int `json:"critical"`
	High     int `json:"high"`
	Normal   int `json:"normal"`
	Low      int `json:"low"`
}

// Total counts the calls of all classes.
func (w Waiting) Total() int { return w.Critical + w.High + w.Normal + w.Low }

// PoolStatus is the state of one limit of a system.
type PoolStatus struct {
	Name string `json:"name"`
	// Scope is what the pool is for, for example an app; empty for the whole system.
	Scope    string  `json:"scope,omitempty"`
	Used     float64 `json:"used"`
	Capacity float64 `json:"capacity"`
	// RoomAt is when the next units come back, PausedUntil when the system may
	// be called again; both zero when that does not apply.
	RoomAt      time.Time `json:"roomAt,omitzero"`
	PausedUntil time.Time `json:"pausedUntil,omitzero"`
}

// StoreStatus is how a store of counts stands at this moment.
type StoreStatus struct {
	// Store is counters (what consumers use) or budget (of the system).
	Store  string `json:"store"`
	System string `json:"system,omitempty"`
	// Mode is memory (this process counts for itself), shared (all replicas count
	// together), uncertain (the shared counts are out of reach, and nothing is
	// admitted yet) or alone (this replica goes on with its share).
	Mode     string `json:"mode"`
	Replicas int    `json:"replicas"`
	// Share is the part of each limit that this replica goes by when it is alone.
	Share float64 `json:"share"`
	// Kept is the part that is left free for replicas that are missing.
	Kept float64 `json:"kept,omitempty"`
	// Since is when the mode began.
	Since time.Time `json:"since"`
	// Cause is why an uncertain store admits nothing: not reached, fenced, lost or
	// over, as budget.Cause has them. Until is when the mode ends by itself.
	Cause string    `json:"cause,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Limited tells of the budget of a system that has limits, Joined of a store that
	// could admit calls at some time since the process started.
	Limited bool `json:"-"`
	Joined  bool `json:"-"`
	// Breaker is open or half-open while the system is left alone by all replicas, and
	// absent otherwise.
	Breaker string `json:"breaker,omitempty"`
	// Left is how much longer it stays open.
	Left time.Duration `json:"-"`
}

// Name is what the store is called among people.
func (s StoreStatus) Name() string {
	if s.System != "" {
		return s.Store + " of " + s.System
	}
	return s.Store
}

// Lost tells that the shared counts are out of reach, or not to be relied on yet.
func (s StoreStatus) Lost() bool { return s.Mode == "uncertain" || s.Mode == "alone" }

// trouble says what is wrong with a store that is lost.
func (s StoreStatus) trouble(now time.Time) string {
	name := "the store of the " + s.Name()
	left := (s.Until.Sub(now) + time.Second - 1).Truncate(time.Second)
	switch {
	case s.Mode == "alone":
		return fmt.Sprintf("%s is out of reach, and the mode is alone: this replica goes by %.3g of each limit, of %s last known", name, s.Share, count(s.Replicas, "replica"))
	case s.Cause == "fenced":
		return fmt.Sprintf("%s is new, or has lost what it knew: nothing is admitted until all replicas have told what they use, for %s more at most (%s)", name, max(0, left), s.Until.UTC().Format(time.RFC3339))
	case s.Cause == "not reached":
		return name + " has not been reached since the start: this replica has no share, and calls nothing that has a limit"
	case s.Cause == "over":
		return name + " has been out of reach for longer than stores.alone: nothing is admitted until it is back"
	}
	return fmt.Sprintf("%s is out of reach: nothing is admitted until others surely leave free this replica's %.3g of each limit, in %s", name, s.Share, max(0, left))
}

// admin is the application: the options, and what is made of them once.
type admin struct {
	options  Options
	token    digest
	guard    gateway.Guard
	page     page
	contract *contract
}

// New makes the application.
func New(o Options) http.Handler {
	return newAdmin(o).handler()
}

func (a *admin) handler() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = a.refuse
	a.mount(e)
	return e
}

func newAdmin(o Options) *admin {
	if o.Systems == nil {
		o.Systems = func() []SystemStatus { return nil }
	}
	if o.Ledger == nil {
		o.Ledger = func() error { return nil }
	}
	if o.Stores == nil {
		o.Stores = func() []StoreStatus { return nil }
	}
	if o.Reload == nil {
		o.Reload = func() Reload { return Reload{} }
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &admin{options: o, token: newDigest(o.Token), page: newPage(), contract: newContract()}
	a.options.Token = ""
	return a
}
