package admin

import (
	"net/http"
	"time"
)

// status is the state of the process as a whole.
type status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// UptimeSeconds are whole seconds.
	UptimeSeconds int64 `json:"uptimeSeconds"`
	// Revision and Built are of the table that is served; absent before the first.
	Revision   string    `json:"revision,omitempty"`
	Built      time.Time `json:"built,omitzero"`
	APIs       int       `json:"apis"`
	Operations int       `json:"operations"`
	Readiness  readiness `json:"readiness"`
	Reload     reload    `json:"reload"`
}

// reload is the last attempt to load a table.
type reload struct {
	At         time.Time `json:"at,omitzero"`
	TookMillis int64     `json:"tookMillis"`
	Revision   string    `json:"revision,omitempty"`
	Accepted   bool      `json:"accepted"`
	// Problems is their number; /admin/v1/problems has the list.
	Problems int `json:"problems"`
	Attempts int `json:"attempts"`
	Refused  int `json:"refused"`
	// Registry is the registry's revision that was read, Served the one that is served.
	Registry int64 `json:"registry"`
	Served   int64 `json:"served"`
}

func (a *admin) statusNow() status {
	s := status{
		Version: a.options.Version, Started: a.options.Started,
		UptimeSeconds: int64(time.Since(a.options.Started).Seconds()),
		Readiness:     a.readiness(false),
	}
	if t := a.options.Tables.Table(); t != nil {
		s.Revision, s.Built = t.Revision, t.Built
		s.APIs, s.Operations = len(t.APIs), len(t.Operations)
	}
	r := a.options.Reload()
	s.Reload = reload{
		At: r.At, TookMillis: r.Took.Milliseconds(), Revision: r.Revision, Accepted: r.Attempts > 0 && len(r.Problems) == 0,
		Problems: len(r.Problems), Attempts: r.Attempts, Refused: r.Refused, Registry: r.Registry, Served: r.Served,
	}
	return s
}

func (a *admin) status(c *call) error {
	return c.JSON(http.StatusOK, a.statusNow())
}
