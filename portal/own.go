package portal

import (
	"context"
	"errors"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// owners tell which organisation a thing belongs to that a path names: the one place
// that holds objects against their visitor, whatever a handler does. An error of
// ledger.ErrNotFound means that there is no such thing. A parameter that is not in
// here names nothing that belongs to an organisation.
func (p *Portal) owners() map[string]func(ctx context.Context, c *call, name string) (string, error) {
	return map[string]func(context.Context, *call, string) (string, error){
		"app": func(ctx context.Context, _ *call, name string) (string, error) {
			return ownerOf[registry.App](ctx, p, registry.KindApp, name)
		},
		"member": func(ctx context.Context, _ *call, name string) (string, error) {
			return ownerOf[registry.Member](ctx, p, registry.KindMember, name)
		},
		"credential": func(ctx context.Context, c *call, name string) (string, error) {
			return p.ownerOfPart(ctx, c, registry.KindCredential, name)
		},
		"write": func(ctx context.Context, c *call, name string) (string, error) {
			r, err := p.options.Store.Get(ctx, name)
			if err != nil {
				return "", err
			}
			return c.ownerOfApp(r.App)
		},
		"webhook": func(ctx context.Context, c *call, name string) (string, error) {
			h, err := p.options.Store.Hook(ctx, name)
			if err != nil {
				return "", err
			}
			return c.ownerOfApp(h.App)
		},
		"number": func(ctx context.Context, c *call, name string) (string, error) { // of a webhook's delivery
			d, err := p.deliveryOf(ctx, c.Param("webhook"), name)
			if err != nil {
				return "", err
			}
			return c.ownerOfApp(d.App)
		},
		"subscription": func(ctx context.Context, c *call, name string) (string, error) {
			return p.ownerOfPart(ctx, c, registry.KindSubscription, name)
		},
	}
}

// ownerOf is the organisation of an app or a member.
func ownerOf[T any](ctx context.Context, p *Portal, kind, name string) (string, error) {
	if p.options.Registry == nil {
		return "", ledger.ErrNotFound
	}
	i, err := registry.Get[T](ctx, p.options.Registry, kind, name)
	return i.Parent, absent(err)
}

// ownerOfPart is the organisation of a thing of an app. Where the path names the
// app as well, it has to be that one's.
func (p *Portal) ownerOfPart(ctx context.Context, c *call, kind, name string) (string, error) {
	if p.options.Registry == nil {
		return "", ledger.ErrNotFound
	}
	control, err := p.options.Registry.Control(ctx)
	if err != nil {
		return "", err
	}
	e := control.Get(kind, name)
	if e == nil {
		return "", ledger.ErrNotFound
	}
	if app := c.Param("app"); app != "" && app != e.Parent {
		return "", ledger.ErrNotFound
	}
	return ownerOf[registry.App](ctx, p, registry.KindApp, e.Parent)
}

// takenBy tells of names that nothing new may get: those of files, and those of
// which something is left from before, because whoever got the name would see it.
// Where that cannot be read the context ends, and its cause says why.
func takenBy(ctx context.Context, left func(context.Context, string) (bool, error), inFiles func(string) bool) (context.Context, func(string) bool) {
	ctx, stop := context.WithCancelCause(ctx)
	return ctx, func(name string) bool {
		is, err := left(ctx, name)
		if err != nil {
			stop(err)
			return false
		}
		return is || inFiles(name)
	}
}

// leftByApp tells whether an app of that name has left writes, webhooks or usage.
func (p *Portal) leftByApp(ctx context.Context, app string) (bool, error) {
	written, err := p.options.Store.List(ctx, ledger.Filter{App: app, Limit: 1})
	if err != nil || len(written.Writes) > 0 {
		return err == nil, err
	}
	hooks, err := p.options.Store.Hooks(ctx, []string{app})
	if err != nil || len(hooks) > 0 {
		return err == nil, err
	}
	used, err := p.options.Store.Usages(ctx, ledger.UsageFilter{App: app, Limit: 1})
	return len(used) > 0, err
}

// leftByOrganisation tells whether an organisation of that name has left messages.
func (p *Portal) leftByOrganisation(ctx context.Context, organisation string) (bool, error) {
	list, err := p.options.Store.Messages(ctx, organisation, 1)
	return len(list) > 0, err
}

// absent puts the registry's word for what is not there into the ledger's.
func absent(err error) error {
	if r, ok := errors.AsType[*registry.Refusal](err); ok && r.Why == registry.NotFound {
		return ledger.ErrNotFound
	}
	return err
}

// own holds every object that the path names against the organisations of the
// visitor, who acts for the object's one from then on. What belongs to others is
// not there, as what nobody has.
func (p *Portal) own(c *call) error {
	if c.least == anyone || c.least == signedIn || c.least == manager {
		return nil // managers look at all organisations
	}
	organisation := ""
	for _, name := range c.ParamNames() {
		of := p.objects[name]
		if of == nil {
			continue
		}
		owner, err := of(c.Request().Context(), c, c.Param(name))
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			return c.missing()
		case err != nil:
			return err
		case owner == "" || organisation != "" && owner != organisation || !c.visitor.stand(owner):
			return c.missing()
		}
		organisation = owner
	}
	return nil
}
