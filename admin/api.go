package admin

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/headrace/headrace/gateway"
)

// api is a major version of an API as it is served.
type api struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Major   string `json:"major"`
	Title   string `json:"title,omitempty"`
	Base    string `json:"base"`
	Layer   string `json:"layer"`
	Domain  string `json:"domain,omitempty"`
	Owner   string `json:"owner,omitempty"`
	Status  string `json:"status"`
	// Operations is their number.
	Operations int `json:"operations"`
}

// apiList is sorted by name and major version; empty without a table.
func apiList(t *gateway.Table) []api {
	list := []api{}
	if t == nil {
		return list
	}
	operations := map[*gateway.API]int{}
	for _, op := range t.Operations {
		operations[op.API]++
	}
	for _, a := range t.APIs {
		g := a.Document.Governance
		list = append(list, api{
			Name: a.Name, Version: a.Version, Major: a.Major, Title: a.Document.Title, Base: a.Base,
			Layer: g.Layer, Domain: g.Domain, Owner: g.Owner, Status: g.Status, Operations: operations[a],
		})
	}
	slices.SortFunc(list, func(a, b api) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Major, b.Major)) })
	return list
}

func (a *admin) apis(c *call) error {
	return c.JSON(http.StatusOK, items[api]{Items: apiList(a.options.Tables.Table())})
}
