package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/usage"
)

// usageRoutes are those of who uses what.
func (a *admin) usageRoutes() []route {
	return []route{
		{"GET", "/usage", looking(), 0, a.usage},
		{"GET", "/apis/{api}/versions/{version}/usage", looking(), 0, a.versionUsage},
		{"GET", "/apis/{api}/versions/{version}/shadow", looking(), 0, a.versionShadow},
	}
}

// used is an app's use of an operation, or of a field of its requests.
type used struct {
	API       string `json:"api"`
	Version   string `json:"version"`
	Operation string `json:"operation"`
	// Field is empty for the calls themselves, App for callers whom nobody knows.
	Field string    `json:"field,omitempty"`
	App   string    `json:"app"`
	Calls int64     `json:"calls"`
	Last  time.Time `json:"last"`
	// ClientErrors were answered 4xx, ServerErrors 5xx.
	ClientErrors int64 `json:"clientErrors"`
	ServerErrors int64 `json:"serverErrors"`
}

// period reads from and to; what is absent is usual. Their form stands in openapi.yaml.
func (k *call) period() (from, to time.Time) {
	from, _ = time.Parse(time.RFC3339, k.QueryParam("from"))
	to, _ = time.Parse(time.RFC3339, k.QueryParam("to"))
	if to.IsZero() {
		to = time.Now()
	}
	if from.IsZero() {
		from = to.AddDate(0, 0, -usage.DefaultDays)
	}
	return from, to
}

// afterSeparator stands between the parts of a row's key in after.
const afterSeparator = " "

// usage lists rows in the order of their keys.
func (a *admin) usage(k *call) error {
	s := k.span()
	from, to := k.period()
	f := ledger.UsageFilter{
		API: k.QueryParam("api"), Version: k.QueryParam("version"), Operation: k.QueryParam("operation"), App: k.QueryParam("app"),
		Fields: k.QueryParam("fields") == "true", From: from, To: to, Limit: s.limit + 1,
	}
	if s.after != "" {
		f.After = afterRow(s.after)
	}
	rows, err := a.options.Store.Usages(k.Request().Context(), f)
	if err != nil {
		return err
	}
	more := len(rows) > s.limit
	if more {
		rows = rows[:s.limit]
	}
	list := make([]used, 0, len(rows))
	for _, u := range rows {
		list = append(list, used{u.API, u.Version, u.Operation, u.Field, u.App, u.Calls, u.Last, u.Refused, u.Failed})
	}
	return paged(k, list, more, func(u used) string {
		return strings.Join([]string{u.API, u.Version, u.Operation, u.App, u.Field}, afterSeparator)
	})
}

// afterRow reads what paged made of a row.
func afterRow(text string) *ledger.Usage {
	parts := append(strings.SplitN(text, afterSeparator, 5), "", "", "", "", "")
	return &ledger.Usage{UsageKey: ledger.UsageKey{
		Sort: ledger.Calls, API: parts[0], Version: parts[1], Operation: parts[2], App: parts[3], Field: parts[4],
	}}
}

func (a *admin) versionUsage(k *call) error {
	from, to := k.period()
	v, err := usage.Book{Ledger: a.options.Store}.Version(k.Request().Context(), k.Param("api"), k.Param("version"), k.QueryParam("app"), usage.Period{From: from, To: to})
	if err != nil {
		return err
	}
	return k.JSON(http.StatusOK, v)
}

// versionShadow tells what a candidate would have done to live traffic.
func (a *admin) versionShadow(k *call) error {
	from, to := k.period()
	r, err := usage.Book{Ledger: a.options.Store}.Report(k.Request().Context(), k.Param("api"), k.Param("version"), usage.Period{From: from, To: to})
	if err != nil {
		return err
	}
	return k.JSON(http.StatusOK, r)
}
