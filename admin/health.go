package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/headrace/headrace/gateway"
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

// readiness looks at all that stands against traffic; for reads alone, a
// ledger that takes no writes does not.
func (a *admin) readiness(reads bool) readiness {
	r := readiness{Reasons: []string{}, Warnings: []string{}}
	if a.options.Tables.Table() == nil {
		r.Reasons = append(r.Reasons, "no configuration has been loaded yet")
	}
	if a.options.Draining() {
		r.Reasons = append(r.Reasons, "the process is shutting down")
	}
	if a.options.Ledger() != nil { // the log says why; who asks here need not know
		if reads {
			r.Warnings = append(r.Warnings, noWrites)
		} else {
			r.Reasons = append(r.Reasons, noWrites)
		}
	}
	last := a.options.Reload()
	if last.Registry != last.Served {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the registry's revision %d cannot be built here; revision %d is served", last.Registry, last.Served))
	}
	if n := len(last.Problems); n > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the last reload was refused with %s; the configuration before it goes on", count(n, "problem")))
	}
	r.Stores = a.options.Stores()
	now, idle := time.Now(), useless(r.Stores)
	for _, s := range r.Stores {
		switch {
		case !s.Lost() && s.Kept > 0 && s.Limited:
			r.Warnings = append(r.Warnings, fmt.Sprintf("%.3g of each limit of %s is left free for replicas that are missing; headrace replicas says which", s.Kept, s.System))
		case !s.Lost():
		case idle && s.Limited:
			r.Reasons = append(r.Reasons, s.trouble(now))
		default:
			r.Warnings = append(r.Warnings, s.trouble(now))
		}
		switch s.Breaker {
		case "open":
			r.Warnings = append(r.Warnings, fmt.Sprintf("the breaker of %s is open: no replica calls it for another %s", s.System, s.Left.Round(time.Second)))
		case "half-open":
			r.Warnings = append(r.Warnings, fmt.Sprintf("the breaker of %s is half-open: one replica tries whether it works again", s.System))
		}
	}
	r.Ready = len(r.Reasons) == 0
	return r
}

// noWrites says that every write is refused with 503 at present.
const noWrites = "the ledger takes no writes; the log says why"

// useless tells of a replica that has never been able to call a system with
// limits: others, who have a share, can do more. One that had a share and has lost
// it is not: that is so for all replicas alike.
func useless(stores []StoreStatus) bool {
	limited, joined := false, false
	for _, s := range stores {
		if s.Store == "budget" {
			limited, joined = limited || s.Limited, joined || s.Joined
		}
	}
	return limited && !joined
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
// warning only: the table before it serves on. So is a store that went out of
// reach: it is so for all replicas, and they go on by their shares. A replica that
// has never had one since its start is not ready. A ledger that takes no writes
// stands against traffic, but not with ?for=reads: calls that change nothing go on
// without it.
func (a *admin) readyz(c echo.Context) error {
	what := c.QueryParam("for")
	if what != "" && what != "reads" {
		return &gateway.Error{Problem: gateway.InvalidRequest, Detail: "readiness is asked for everything, or for=reads"}
	}
	r := a.readiness(what == "reads")
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
