package admin

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// operation is an operation as it is served.
type operation struct {
	API     string `json:"api"`
	Version string `json:"version"`
	// ID is the operationId.
	ID      string      `json:"id"`
	Method  string      `json:"method"`
	Route   string      `json:"route"`
	Summary string      `json:"summary,omitempty"`
	System  string      `json:"system,omitempty"`
	Class   specs.Class `json:"class"`
	// WaitMillis is how long a call may wait for the system's budget.
	WaitMillis int64 `json:"waitMillis"`
	Safe       bool  `json:"safe"`
	Deprecated bool  `json:"deprecated,omitempty"`
	// Policies are the names of those that are configured, sorted. Plans may add more.
	Policies []string `json:"policies"`
}

// operationList is sorted by API, route and method; empty without a table.
// api leaves the others out, unless it is empty.
func operationList(t *gateway.Table, api string) []operation {
	list := []operation{}
	if t == nil {
		return list
	}
	for _, op := range t.Operations {
		if api != "" && op.API.Name != api {
			continue
		}
		list = append(list, operation{
			API: op.API.Name, Version: op.API.Version, ID: op.Spec.ID, Method: op.Spec.Method, Route: op.Route,
			Summary: op.Spec.Summary, System: op.Spec.Governance.System, Class: op.Class,
			WaitMillis: int64(op.Wait / time.Millisecond), Safe: op.Spec.Safe(), Deprecated: op.Spec.Deprecated,
			Policies: policyNames(op.Spec.Governance.Policies),
		})
	}
	slices.SortFunc(list, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.API, b.API), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Method, b.Method))
	})
	return list
}

func policyNames(policies specs.Policies) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		if !specs.Off(policies[name]) {
			names = append(names, name)
		}
	}
	return names
}

// operations lists the operations, of one API with ?api=NAME.
func (a *admin) operations(c *call) error {
	return c.JSON(http.StatusOK, items[operation]{Items: operationList(a.options.Tables.Table(), c.QueryParam("api"))})
}
