package portal

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
)

// ownApps are the apps of the visitor's organisation, by title.
func (c *call) ownApps() []*gateway.App {
	var list []*gateway.App
	if c.visitor == nil || c.visitor.organisation == "" || c.table.Consumers == nil {
		return nil
	}
	for _, a := range c.table.Consumers.Apps {
		if a.Organisation == c.visitor.organisation {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b *gateway.App) int {
		return cmp.Or(cmp.Compare(strings.ToLower(appTitle(a)), strings.ToLower(appTitle(b))), cmp.Compare(a.Name, b.Name))
	})
	return list
}

func appTitle(a *gateway.App) string { return cmp.Or(a.Title, a.Name) }

// ownApp finds an app of the visitor's organisation. One of another organisation
// is as unknown as one that is not there.
func (c *call) ownApp(name string) (*gateway.App, error) {
	for _, a := range c.ownApps() {
		if a.Name == name {
			return a, nil
		}
	}
	return nil, c.missing()
}

// ownerOfApp is the organisation of an app that is served.
func (c *call) ownerOfApp(name string) (string, error) {
	if c.table.Consumers != nil {
		if a := c.table.Consumers.Apps[name]; a != nil {
			return a.Organisation, nil
		}
	}
	return "", ledger.ErrNotFound
}

// appChoice is a place to look at one app, or at all.
type appChoice struct {
	Name, Title, Path string
	Here              bool
}

// choose finds the app that a page is about: that of the path or of the query,
// and otherwise nil. The choices lead to the same page for the other apps.
func (c *call) choose(path string, all bool) (app *gateway.App, choices []appChoice, err error) {
	name := cmp.Or(c.Param("app"), c.QueryParam("app"))
	apps := c.ownApps()
	if name != "" {
		if app, err = c.ownApp(name); err != nil {
			return nil, nil, err
		}
	} else if !all && len(apps) > 0 {
		app = apps[0]
	}
	if all && len(apps) > 1 {
		choices = append(choices, appChoice{Title: "All apps", Path: path, Here: app == nil})
	}
	for _, a := range apps {
		choices = append(choices, appChoice{a.Name, appTitle(a), path + "?app=" + url.QueryEscape(a.Name), app == a})
	}
	return app, choices, nil
}

// opName is an operation as people know it.
type opName struct {
	API, Major, Title string
	Operation         string // its summary, or its id
	Method, Route     string
	Page              string // of its API; empty when it is not served any more
}

// operationNames finds the names of operations by their keys, API/vMAJOR/ID,
// as the ledger has them.
func operationNames(t *gateway.Table) map[string]opName {
	names := make(map[string]opName, len(t.Operations))
	for _, o := range t.Operations {
		if o.API.Canary == nil {
			names[o.API.Key(o.Spec)] = nameOf(o)
		}
	}
	return names
}

func nameOf(o *gateway.Operation) opName {
	return opName{
		API: o.API.Name, Major: o.API.Major, Title: cmp.Or(o.API.Document.Title, o.API.Name), Operation: cmp.Or(strings.TrimSuffix(o.Spec.Summary, "."), o.Spec.ID),
		Method: o.Spec.Method, Route: o.Route, Page: "/apis/" + o.API.Name + "/" + o.API.Major,
	}
}

// known is the name of an operation; what is not served any more is called by its key.
func known(names map[string]opName, key string) opName {
	key, _, _ = strings.Cut(key, gateway.VariantMark)
	if n, ok := names[key]; ok {
		return n
	}
	api, rest, _ := strings.Cut(key, "/")
	major, id, _ := strings.Cut(rest, "/")
	return opName{API: api, Major: major, Title: api, Operation: id}
}
