package admin

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
)

// readiness is whether traffic should be sent here, and why not.
type readiness struct {
	Ready bool `json:"ready"`
	// Reasons are what stands against it; Warnings what does not.
	Reasons  []string `json:"reasons"`
	Warnings []string `json:"warnings"`
	// Stores are absent where none are known.
	Stores []StoreStatus `json:"stores,omitempty"`
}

func (a *admin) readiness() readiness {
	r := readiness{Reasons: []string{}, Warnings: []string{}}
	if a.options.Tables.Table() == nil {
		r.Reasons = append(r.Reasons, "no configuration has been loaded yet")
	}
	if a.options.Draining() {
		r.Reasons = append(r.Reasons, "the process is shutting down")
	}
	last := a.options.Reload()
	if last.Registry != last.Served {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the registry's revision %d cannot be built here; revision %d is served", last.Registry, last.Served))
	}
	if n := len(last.Problems); n > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the last reload was refused with %s; the configuration before it goes on", count(n, "problem")))
	}
	r.Stores = a.options.Stores()
	for _, s := range r.Stores {
		if s.Lost() {
			r.Warnings = append(r.Warnings, fmt.Sprintf("the store of the %s is out of reach, and the mode is %s: this replica goes by %.3g of each limit, of %s last known", s.Name(), s.Mode, s.Share, count(s.Replicas, "replica")))
		}
	}
	r.Ready = len(r.Reasons) == 0
	return r
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// healthz says that the process is alive, whatever else is wrong.
func (a *admin) healthz(c echo.Context) error {
	return c.JSON(http.StatusOK, struct {
		Alive bool `json:"alive"`
	}{true})
}

// readyz answers 503 when traffic should go elsewhere. A refused reload is a
// warning only: the table before it serves on. So is a store that is out of
// reach: it is so for all replicas, and they go on.
func (a *admin) readyz(c echo.Context) error {
	r := a.readiness()
	if !r.Ready {
		return c.JSON(http.StatusServiceUnavailable, r)
	}
	return c.JSON(http.StatusOK, r)
}

// metrics answers scrapes, which send no token.
func (a *admin) metrics(c echo.Context) error {
	if a.options.Metrics == nil {
		return echo.ErrNotFound
	}
	a.options.Metrics.ServeHTTP(c.Response(), c.Request())
	return nil
}
