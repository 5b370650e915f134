package portal

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/gateway/usage"
)

// Release is a version of an API that was published at some time.
type Release struct {
	Version string
	// Published is when, as far as it is known.
	Published time.Time
}

// History knows earlier versions of APIs.
type History interface {
	// Releases lists the versions of an API that were published, drafts and
	// canaries left out, the newest first.
	Releases(ctx context.Context, api string) ([]Release, error)
	// Changes lists what differs from one of them to another.
	Changes(ctx context.Context, api, from, to string) ([]registry.Change, error)
}

// diffs keeps what was compared while a table is served.
type diffs struct {
	mu    sync.Mutex
	table *gateway.Table
	known map[[3]string][]registry.Change
}

const mostDiffs = 500

// changes compares two versions, once for each table.
func (p *Portal) changes(c *call, api, from, to string) ([]registry.Change, error) {
	d, key := &p.diffs, [3]string{api, from, to}
	d.mu.Lock()
	if d.table != c.table || len(d.known) >= mostDiffs {
		d.table, d.known = c.table, map[[3]string][]registry.Change{}
	}
	list, ok := d.known[key]
	d.mu.Unlock()
	if ok {
		return list, nil
	}
	list, err := p.options.History.Changes(c.Request().Context(), api, from, to)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.table == c.table {
		d.known[key] = list
	}
	return list, nil
}

// change is a difference as its page shows it.
type change struct {
	registry.Change
	Operation *operation // nil: not of this version
	Yours     []string   // what it means for the visitor's own apps
}

// step is what has changed from one version to the next.
type step struct {
	From, To  string
	Published time.Time
	Changes   []change
	Breaking  int
	Yours     int
}

// shownSteps is how many versions the page of changes shows.
const shownSteps = 8

// changesPage shows the changes of a major version, or between two versions.
func (p *Portal) changesPage(c *call) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	data := struct {
		Releases []Release
		Steps    []step
		From, To string
		Chosen   bool // the visitor has named the two versions
		Apps     bool // the visitor has apps to compare with
	}{}
	if p.options.History == nil {
		return c.page("changes", "Changes of "+a.Title, c.apiFrame(a, "changes", data))
	}
	if data.Releases, err = p.options.History.Releases(c.Request().Context(), a.Name); err != nil {
		return err
	}
	var pairs []step
	switch from, to := c.QueryParam("from"), c.QueryParam("to"); {
	case released(data.Releases, from) && released(data.Releases, to) && from != to:
		if err := p.paced(c, "comparisons "+c.from(), mostCompared); err != nil {
			return err
		}
		pairs, data.From, data.To, data.Chosen = []step{{From: from, To: to}}, from, to, true
	default:
		if pairs = steps(data.Releases, a.Major); len(pairs) > 0 {
			data.From, data.To = pairs[0].From, pairs[0].To
		}
	}
	apps, err := p.usedBy(c, a)
	if err != nil {
		return err
	}
	data.Apps = len(apps) > 0
	for _, s := range pairs {
		list, err := p.changes(c, a.Name, s.From, s.To)
		if err != nil {
			return err
		}
		data.Steps = append(data.Steps, s.with(list, a, apps))
	}
	return c.page("changes", "Changes of "+a.Title, c.apiFrame(a, "changes", data))
}

func released(list []Release, version string) bool {
	return slices.ContainsFunc(list, func(r Release) bool { return r.Version == version })
}

// steps pairs each version of a major with the one before it.
func steps(releases []Release, major string) []step {
	var list []step
	for i, r := range releases {
		number, _, _ := strings.Cut(r.Version, ".")
		if "v"+number == major && i+1 < len(releases) && len(list) < shownSteps {
			list = append(list, step{From: releases[i+1].Version, To: r.Version, Published: r.Published})
		}
	}
	return list
}

// with adds what has changed: the breaking changes first.
func (s step) with(list []registry.Change, a *api, apps []appUse) step {
	for _, r := range list {
		d := change{Change: r}
		for _, o := range a.Operations {
			if r.Where == o.Method+" "+o.Path {
				d.Operation = o
			}
		}
		for _, app := range apps {
			if text := app.meets(&d); text != "" {
				d.Yours = append(d.Yours, text)
			}
		}
		if r.Level == registry.Breaking {
			s.Breaking++
		}
		if len(d.Yours) > 0 {
			s.Yours++
		}
		s.Changes = append(s.Changes, d)
	}
	rank := map[string]int{registry.Breaking: 0, "risky": 1}
	slices.SortStableFunc(s.Changes, func(a, b change) int {
		of := func(level string) int {
			if n, ok := rank[level]; ok {
				return n
			}
			return 2
		}
		return cmp.Compare(of(a.Level), of(b.Level))
	})
	return s
}

// appUse is what an app of the visitor has done with an API lately.
type appUse struct {
	title string
	calls map[string]int64    // by operation
	sends map[string][]string // fields by operation
}

// meets says what a change means for the app; empty when it calls nothing of it.
func (u *appUse) meets(d *change) string {
	if d.Operation == nil {
		return ""
	}
	calls := u.calls[d.Operation.ID]
	if calls == 0 {
		return ""
	}
	text := u.title + " has called this " + count(int(calls), "time") + " in the last " + count(usage.DefaultDays, "day")
	for _, field := range u.sends[d.Operation.ID] {
		name := field[strings.LastIndexAny(field, "/?")+1:]
		if name != "" && strings.Contains(d.Text, "`"+name+"`") {
			text += ", and sends " + name
			break
		}
	}
	return text
}

// usedBy lists what the apps of the visitor's organisation call of an API.
func (p *Portal) usedBy(c *call, a *api) ([]appUse, error) {
	if c.visitor == nil || c.visitor.organisation == "" || p.options.Store == nil || c.table.Consumers == nil {
		return nil, nil
	}
	book := usage.Book{Ledger: p.options.Store}
	var list []appUse
	for name, app := range c.table.Consumers.Apps {
		if app.Organisation != c.visitor.organisation {
			continue
		}
		used, err := book.Version(c.Request().Context(), a.Name, a.Version, name, usage.Period{})
		if err != nil {
			return nil, err
		}
		if used.Calls == 0 {
			continue
		}
		u := appUse{title: cmp.Or(app.Title, name), calls: map[string]int64{}, sends: map[string][]string{}}
		for _, o := range used.Operations {
			u.calls[o.Operation] = o.Calls
			for _, f := range o.Fields {
				u.sends[o.Operation] = append(u.sends[o.Operation], f.Field)
			}
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b appUse) int { return cmp.Compare(a.title, b.title) })
	return list, nil
}
