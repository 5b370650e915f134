package portal

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// usagePage is who of an organisation called what, and how it went.
type usagePage struct {
	App     *gateway.App // nil for all
	Apps    []appChoice
	Days    int
	Spans   []appChoice
	Export  string
	Total   usageRow
	Charts  []*chart
	Rows    []usageRow // by operation, the most calls first
	ByDay   []usageRow // the latest day first
	Quotas  []quotaRow
	NoApps  bool
	Through string // the last moment that is counted
}

// usageRow is a line of the tables.
type usageRow struct {
	Op                     opName
	Day                    string
	Calls, Refused, Failed int64
	Took                   time.Duration
	Last                   time.Time
}

// Mean is what a call took.
func (r usageRow) Mean() string {
	if r.Calls == 0 {
		return "–"
	}
	return millis(r.Took / time.Duration(r.Calls))
}

// Errors is the part of calls that were not answered as wished.
func (r usageRow) Errors() string { return share(r.Refused+r.Failed, r.Calls) }

func (r *usageRow) add(u ledger.Usage) {
	r.Calls, r.Refused, r.Failed, r.Took = r.Calls+u.Calls, r.Refused+u.Refused, r.Failed+u.Failed, r.Took+u.Took
	if r.Last.Before(u.Last) {
		r.Last = u.Last
	}
}

// quotaRow is how much of a subscription's quota is used.
type quotaRow struct {
	App, Product, Plan, Window string
	Used, Most                 int64
	// Part is from 0 to 100.
	Part int
}

// Text says it in words.
func (q quotaRow) Text() string {
	return fmt.Sprintf("%s of %s calls this %s", thousands(q.Used), thousands(q.Most), q.Window)
}

// spans are how far the page looks back, in days.
var spans = []int{7, 30, 90}

// used reads what apps did on each of the last days.
func (c *call) used(apps []*gateway.App, days int) ([]ledger.Usage, error) {
	from := time.Now().UTC().AddDate(0, 0, 1-days)
	var all []ledger.Usage
	for _, a := range apps {
		f := ledger.UsageFilter{App: a.Name, From: from, Daily: true, Limit: 10_000}
		for {
			page, err := c.portal.options.Store.Usages(c.Request().Context(), f)
			if err != nil {
				return nil, err
			}
			all = append(all, page...)
			if len(page) < f.Limit || len(all) > 200_000 {
				break
			}
			f.After = &page[len(page)-1]
		}
	}
	return all, nil
}

func (c *call) usageOf() (app *gateway.App, choices []appChoice, apps []*gateway.App, days int, err error) {
	app, choices, err = c.choose("/usage", true)
	if err != nil {
		return nil, nil, nil, 0, err
	}
	apps = c.ownApps()
	if app != nil {
		apps = []*gateway.App{app}
	}
	days = 30
	if text := c.QueryParam("days"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || !slices.Contains(spans, n) {
			return nil, nil, nil, 0, c.fail(http.StatusBadRequest, "the page looks back 7, 30 or 90 days")
		}
		days = n
	}
	return app, choices, apps, days, nil
}

// usage shows charts, and the tables behind them.
func (p *Portal) usage(c *call) error {
	app, choices, apps, days, err := c.usageOf()
	if err != nil {
		return err
	}
	list, err := c.used(apps, days)
	if err != nil {
		return err
	}
	query := func(path string, days int) string {
		q := url.Values{"days": {strconv.Itoa(days)}}
		if app != nil {
			q.Set("app", app.Name)
		}
		return path + "?" + q.Encode()
	}
	page := &usagePage{App: app, Apps: choices, Days: days, Export: query("/usage.csv", days), NoApps: len(c.ownApps()) == 0, Quotas: c.quotas(apps)}
	for _, n := range spans {
		page.Spans = append(page.Spans, appChoice{Title: fmt.Sprint(n, " days"), Path: query("/usage", n), Here: n == days})
	}
	page.fill(list, operationNames(c.table), time.Now().UTC())
	title := "Usage"
	if app != nil {
		title += " of " + appTitle(app)
	}
	return c.page("usage", title, page)
}

// fill adds up what was used.
func (p *usagePage) fill(list []ledger.Usage, names map[string]opName, now time.Time) {
	byKey, byDay := map[string]*usageRow{}, map[string]*usageRow{}
	for _, u := range list {
		key := u.API + "/v" + majorOf(u.Version) + "/" + u.Operation
		if byKey[key] == nil {
			byKey[key] = &usageRow{Op: known(names, key)}
		}
		day := u.Day.Format(time.DateOnly)
		if byDay[day] == nil {
			byDay[day] = &usageRow{Day: day}
		}
		byKey[key].add(u)
		byDay[day].add(u)
		p.Total.add(u)
	}
	for _, r := range byKey {
		p.Rows = append(p.Rows, *r)
	}
	slices.SortFunc(p.Rows, func(a, b usageRow) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Op.Title, b.Op.Title), cmp.Compare(a.Op.Operation, b.Op.Operation))
	})
	var calls, took []bar
	today := now.Truncate(24 * time.Hour)
	for i := p.Days - 1; i >= 0; i-- {
		day := today.AddDate(0, 0, -i)
		r := byDay[day.Format(time.DateOnly)]
		if r == nil {
			r = &usageRow{Day: day.Format(time.DateOnly)}
		} else {
			p.ByDay = append(p.ByDay, *r)
		}
		mean := time.Duration(0)
		if r.Calls > 0 {
			mean = r.Took / time.Duration(r.Calls)
		}
		calls = append(calls, bar{day, []float64{float64(r.Calls - r.Refused - r.Failed), float64(r.Refused), float64(r.Failed)},
			fmt.Sprintf("%s: %s calls, %s refused, %s failed", day.Format("2 January"), thousands(r.Calls), thousands(r.Refused), thousands(r.Failed))})
		took = append(took, bar{day, []float64{float64(mean)}, fmt.Sprintf("%s: %s", day.Format("2 January"), millis(mean))})
	}
	slices.Reverse(p.ByDay)
	p.Charts = []*chart{
		newChart("Calls", calls, []series{{"Answered", "ok"}, {"Refused (4xx)", "refused"}, {"Failed (5xx)", "failed"}},
			func(v float64) string { return thousands(int64(v)) }),
		newChart("Mean time of a call", took, []series{{"Mean time", "time"}}, func(v float64) string { return millis(time.Duration(v)) }),
	}
}

func majorOf(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}

// quotas are those of the apps' plans with a calendar window, and what the apps
// have called in it. Quotas count in the plan's own time zone; here days are
// those of UTC.
func (c *call) quotas(apps []*gateway.App) []quotaRow {
	var list []quotaRow
	now := time.Now().UTC()
	for _, s := range c.table.Consumers.Subscriptions {
		if s.Status != "approved" || s.Plan == nil || s.Product == nil || !slices.Contains(apps, s.App) {
			continue
		}
		quota := s.Plan.Policies["quota"]
		most, err := strconv.ParseInt(quota.Get("limit").Text(), 10, 64)
		per := quota.Get("per").Text()
		from := map[string]time.Time{"day": now.Truncate(24 * time.Hour), "month": time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)}[per]
		if err != nil || most <= 0 || from.IsZero() {
			continue
		}
		q := quotaRow{App: appTitle(s.App), Product: cmp.Or(s.Product.Title, s.Product.Name), Plan: cmp.Or(s.Plan.Title, s.Plan.Name), Window: per, Most: most}
		for _, name := range s.Product.APIs {
			api, major, _ := strings.Cut(name, "/v")
			used, err := c.portal.options.Store.Usages(c.Request().Context(), ledger.UsageFilter{App: s.App.Name, API: api, From: from, Limit: 10_000})
			if err != nil {
				return nil
			}
			for _, u := range used {
				if majorOf(u.Version) == major {
					q.Used += u.Calls
				}
			}
		}
		q.Part = int(min(100, 100*q.Used/q.Most))
		list = append(list, q)
	}
	slices.SortStableFunc(list, func(a, b quotaRow) int { return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Product, b.Product)) })
	return list
}

// usageFile is the same as a file for spreadsheets.
func (p *Portal) usageFile(c *call) error {
	app, _, apps, days, err := c.usageOf()
	if err != nil {
		return err
	}
	list, err := c.used(apps, days)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b ledger.Usage) int { return a.Day.Compare(b.Day) })
	name := "usage"
	if app != nil {
		name += "-" + app.Name
	}
	h := c.Response().Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	c.Response().WriteHeader(http.StatusOK)
	w := csv.NewWriter(c.Response())
	w.Write([]string{"day", "app", "api", "version", "operation", "calls", "refused", "failed", "mean_ms"})
	for _, u := range list {
		mean := ""
		if u.Calls > 0 {
			mean = strconv.FormatFloat(float64(u.Took.Microseconds())/1000/float64(u.Calls), 'f', 3, 64)
		}
		w.Write([]string{u.Day.Format(time.DateOnly), cell(u.App), cell(u.API), cell(u.Version), cell(u.Operation),
			strconv.FormatInt(u.Calls, 10), strconv.FormatInt(u.Refused, 10), strconv.FormatInt(u.Failed, 10), mean})
	}
	w.Flush()
	return w.Error()
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
