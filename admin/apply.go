package admin

import (
	"errors"
	"net/http"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// applyRoutes are those of a workspace as a whole, and of its single files.
func (a *admin) applyRoutes() []route {
	return []route{
		{"POST", "/plan", applying(), filesBody, a.plan},
		{"POST", "/apply", applying(), filesBody, a.apply},
		{"GET", "/files", looking(), 0, a.files},
		{"GET", "/files/{path...}", looking(), 0, a.file},
		{"PUT", "/files/{path...}", designing(), longBody, a.putFile},
		{"DELETE", "/files/{path...}", designing(), 0, a.deleteFile},
	}
}

// workspaceBody is a workspace that is to be applied.
type workspaceBody struct {
	Files         map[string][]byte
	Exceptions    []exception
	Revision      *int64
	Reason, Actor string
}

func (k *call) workspace() (workspaceBody, registry.Files, error) {
	var body workspaceBody
	if err := k.decode(&body); err != nil {
		return body, registry.Files{}, err
	}
	files, err := registry.Memory(body.Files)
	return body, registry.Files{FS: files, Exceptions: reasons(body.Exceptions), Needs: k.needs}, err
}

// needs names the role that the caller lacks to change things of a kind; empty
// when there is none.
func (k *call) needs(kind string) string {
	if least := changing(kind); !may(k.who.roles, least) {
		return named(least, " or ")
	}
	return ""
}

func (a *admin) plan(k *call) error {
	_, files, err := k.workspace()
	if err != nil {
		return err
	}
	p, err := a.options.Registry.Plan(k.Request().Context(), k.by(), files)
	if err != nil {
		return err
	}
	k.tag(p.Revision)
	return k.JSON(http.StatusOK, p)
}

// apply does what the plan of a revision says: that of the body, or of If-Match.
func (a *admin) apply(k *call) error {
	body, files, err := k.workspace()
	if err != nil {
		return err
	}
	m, err := k.match()
	if err != nil {
		return err
	}
	revision := int64(m)
	switch {
	case body.Revision != nil:
		revision = *body.Revision
	case m == ledger.Any:
		return &gateway.Error{Problem: gateway.MatchMissing, Detail: "plan first, and send the plan's revision"}
	}
	p, err := a.options.Registry.Apply(k.Request().Context(), k.by(), files, revision)
	if refused, ok := errors.AsType[*registry.Proposal](err); ok {
		return planRefused(refused)
	}
	if err != nil {
		return err
	}
	return k.JSON(http.StatusOK, p)
}

// planRefused says why a plan is not applied.
func planRefused(p *registry.Proposal) error {
	e := &gateway.Error{Problem: gateway.InvalidChange, Detail: "the plan is refused", Problems: p.Problems}
	var changes []registry.Change
	for _, s := range p.Steps {
		if !s.Refused {
			continue
		}
		if s.Needs != "" {
			e.Problem = gateway.Forbidden
		}
		e.Detail += "; " + s.Action + " " + s.Kind + " " + s.Name + ": " + s.Text
		for _, c := range s.Changes {
			if c.Level == registry.Breaking {
				changes = append(changes, c)
			}
		}
	}
	if changes != nil && e.Problem == gateway.InvalidChange {
		e.Problem, e.Changes = gateway.Breaking, changes
	}
	return e
}
