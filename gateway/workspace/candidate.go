package workspace

import (
	"fmt"
	"slices"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/specs"
)

// addCandidates puts drafts that are to be tried on live traffic beside the
// version of their major that is served.
func (b *builder) addCandidates() {
	for _, d := range b.workspace.Documents {
		if d.Governance.Status != "draft" || !d.Governance.Shadow {
			continue
		}
		major := "v" + versionPattern.FindStringSubmatch(d.Version)[1]
		i := slices.IndexFunc(b.table.APIs, func(a *gateway.API) bool {
			return a.Name == d.Name && a.Major == major && a.Document.Governance.Status != "retired"
		})
		if i < 0 {
			b.problems.Add(d.Governance.Node.At("shadow"), fmt.Sprintf("no version of %s %s is served, whose traffic it could be tried on", d.Name, major), "publish one, or remove shadow")
			continue
		}
		b.table.APIs[i].Candidates = append(b.table.APIs[i].Candidates, b.candidate(d, b.table.APIs[i]))
	}
}

func (b *builder) candidate(d *specs.Document, served *gateway.API) *gateway.Candidate {
	c := &gateway.Candidate{Name: d.Name, Version: d.Version, Tree: new(specs.Tree[*specs.Operation])}
	if n := d.Governance.Policies["validate"]; n.Exists() {
		c.StrictQuery = n.Get("query").Text() == "strict"
	}
	for _, op := range d.Operations {
		if op.Pattern == "" {
			continue
		}
		if err := c.Tree.Add(op.Method, served.Base+op.Pattern, op); err != nil {
			b.problems.Add(op.Node, err.Error(), "change the path of one of them")
		}
		for _, name := range op.Headers() {
			if !slices.Contains(c.Headers, name) {
				c.Headers = append(c.Headers, name)
			}
		}
	}
	return c
}
