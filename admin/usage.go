package admin

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/usage"
)

// usageRoutes tell who uses what, and move trials.
func (a *admin) usageRoutes() []route {
	version := "/apis/{api}/versions/{version}"
	return []route{
		{"GET", "/usage", looking(), 0, a.usage},
		{"GET", version + "/usage", looking(), 0, a.versionUsage},
		{"GET", version + "/shadow", looking(), 0, a.shadowReport},
		{"POST", version + "/shadow", designing(), 0, a.shadow},
		{"POST", version + "/withdraw", designing(), 0, a.withdraw},
	}
}

// used is a row of usage.
type used struct {
	API          string    `json:"api"`
	Version      string    `json:"version"`
	Operation    string    `json:"operation"`
	App          string    `json:"app"`
	Field        string    `json:"field,omitempty"`
	Day          string    `json:"day,omitempty"`
	Calls        int64     `json:"calls"`
	ClientErrors int64     `json:"clientErrors"`
	ServerErrors int64     `json:"serverErrors"`
	TookMillis   int64     `json:"tookMillis"`
	Last         time.Time `json:"last"`
}

// mark is the row after which a list goes on.
type mark struct {
	ledger.UsageKey
	Day time.Time
}

func (a *admin) book() usage.Book { return usage.Book{Ledger: a.options.Store} }

// period reads the days that are asked for: from, or since, and to.
func (k *call) period() usage.Period {
	at := func(name string) time.Time {
		t, _ := time.Parse(time.RFC3339, k.QueryParam(name)) // its form stands in openapi.yaml
		return t
	}
	p := usage.Period{From: at("from"), To: at("to")}
	if p.From.IsZero() {
		p.From = at("since")
	}
	return p
}

// usage lists usage row by row.
func (a *admin) usage(k *call) error {
	s, p := k.span(), k.period()
	f := ledger.UsageFilter{
		API: k.QueryParam("api"), Version: k.QueryParam("version"), Operation: k.QueryParam("operation"), App: k.QueryParam("app"),
		From: p.From, To: p.To, Daily: k.QueryParam("daily") == "true", Fields: k.QueryParam("fields") == "true", Limit: s.limit + 1,
	}
	if s.after != "" {
		var at mark
		text, err := base64.RawURLEncoding.DecodeString(s.after)
		if err != nil || json.Unmarshal(text, &at) != nil {
			return &gateway.Error{Problem: gateway.InvalidRequest, Detail: "after is not what an earlier page gave as next"}
		}
		f.After = &ledger.Usage{UsageKey: at.UsageKey, Day: at.Day}
	}
	list, err := a.options.Store.Usages(k.Request().Context(), f)
	if err != nil {
		return err
	}
	page := items[used]{Items: []used{}}
	if len(list) > s.limit {
		list = list[:s.limit]
		last := list[len(list)-1]
		text, err := json.Marshal(mark{last.UsageKey, last.Day})
		if err != nil {
			return err
		}
		page.Next = base64.RawURLEncoding.EncodeToString(text)
	}
	for _, u := range list {
		row := used{u.API, u.Version, u.Operation, u.App, u.Field, "", u.Calls, u.Refused, u.Failed, u.Took.Milliseconds(), u.Last}
		if !u.Day.IsZero() {
			row.Day = u.Day.Format(time.DateOnly)
		}
		page.Items = append(page.Items, row)
	}
	return k.JSON(http.StatusOK, page)
}

// versionUsage tells who uses a version, operation by operation and field by
// field. The fields that nobody sends are known while it is served.
func (a *admin) versionUsage(k *call) error {
	api, version := k.Param("api"), k.Param("version")
	v, err := a.book().Version(k.Request().Context(), api, version, k.QueryParam("app"), k.period())
	if err != nil {
		return err
	}
	v.Without(func(operation string) []string {
		table := a.options.Tables.Table()
		if table == nil {
			return nil
		}
		for _, served := range table.APIs {
			if served.Name == api && served.Version == version {
				if op := served.Document.Operation(operation); op != nil {
					return op.Fields()
				}
			}
		}
		return nil
	})
	return k.JSON(http.StatusOK, v)
}

// shadowReport tells what a candidate would have refused.
func (a *admin) shadowReport(k *call) error {
	r, err := a.book().Report(k.Request().Context(), k.Param("api"), k.Param("version"), k.period())
	if err != nil {
		return err
	}
	return k.JSON(http.StatusOK, r)
}

// shadow has a draft tried on live traffic, or ends that.
func (a *admin) shadow(k *call) error {
	var wanted struct {
		On            bool   `json:"on"`
		Reason, Actor string // read by call.by
	}
	if err := k.decode(&wanted); err != nil {
		return err
	}
	return a.moved(k, func(m ledger.Match) (registry.Item[registry.Version], error) {
		return a.options.Registry.Shadow(k.Request().Context(), k.by(), k.Param("api"), k.Param("version"), wanted.On, m)
	})
}

// withdraw ends a canary.
func (a *admin) withdraw(k *call) error {
	return a.moved(k, func(m ledger.Match) (registry.Item[registry.Version], error) {
		return a.options.Registry.Withdraw(k.Request().Context(), k.by(), k.Param("api"), k.Param("version"), m)
	})
}
