package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/specs/source"
)

// Organisation is a company that consumes APIs.
type Organisation struct {
	Title string `json:"title,omitempty" yaml:"title" doc:"Name as shown to people."`
	// Suspended refuses all its apps.
	Suspended bool `json:"suspended,omitempty" yaml:"suspended" doc:"All apps of a suspended organisation are refused everywhere."`
	From      `yaml:",inline"`
}

// Member is a person of an organisation. Its name is ORGANISATION.SOMEONE.
type Member struct {
	Organisation string `json:"organisation" yaml:"organisation" check:"required" doc:"The organisation that the person belongs to."`
	Title        string `json:"title,omitempty" yaml:"title" doc:"Name as shown to people."`
	Email        string `json:"email" yaml:"email" check:"required" doc:"Address of the person."`
	Role         string `json:"role" yaml:"role" enum:"owner,developer,billing,viewer" default:"viewer" doc:"What the person may do for the organisation."`
	Status       string `json:"status" yaml:"status" enum:"invited,active,removed" default:"invited" doc:"Whether the person has accepted, or is no longer there."`
	From         `yaml:",inline"`
}

// App is an application that calls APIs. Its credentials are things of their own.
type App struct {
	Organisation string `json:"organisation" yaml:"organisation" check:"required" doc:"The organisation that owns the app."`
	Title        string `json:"title,omitempty" yaml:"title" doc:"Name as shown to people."`
	// Addresses are from where the app may call; anywhere when there are none.
	Addresses source.Strings `json:"addresses,omitempty" yaml:"addresses" doc:"Addresses and networks (CIDR) from which the app may call; from anywhere when absent."`
	Disabled  bool           `json:"disabled,omitempty" yaml:"disabled" doc:"A disabled app is refused everywhere."`
	From      `yaml:",inline"`
}

// Product is a bundle of APIs that apps subscribe to.
type Product struct {
	Title string         `json:"title,omitempty" yaml:"title" doc:"Name as shown to people."`
	APIs  source.Strings `json:"apis" yaml:"apis" check:"required" doc:"Major versions, as NAME/vMAJOR."`
	From  `yaml:",inline"`
}

// Plan is a set of limits and a class that subscriptions are made on.
type Plan struct {
	Title      string         `json:"title,omitempty" yaml:"title" doc:"Name as shown to people."`
	Class      string         `json:"class,omitempty" yaml:"class" enum:"critical,high,normal,low" doc:"Class of calls on this plan; the operation's own class when absent."`
	Products   source.Strings `json:"products,omitempty" yaml:"products" doc:"Products that the plan is offered for; all when absent."`
	WriteShare int            `json:"write_share,omitempty" yaml:"write_share" doc:"Part in percent of a system's buffer of writes that one app may fill; writes.share when absent."`
	// Approval is manual or automatic; manual when empty.
	Approval string `json:"approval,omitempty" yaml:"approval" enum:"manual,automatic" doc:"Whether subscriptions that partners ask for in the portal wait for a partner manager (manual, the default) or are approved at once."`
	Policies Raw    `json:"policies,omitzero" yaml:"policies" doc:"Policies at plan level: throttle, quota, concurrency."`
	From     `yaml:",inline"`
}

// Raw is a part of a body that somebody else decodes.
type Raw struct{ source.Node }

// DecodeNode keeps the node.
func (r *Raw) DecodeNode(n source.Node, _ *source.Problems) { r.Node = n }

// IsZero tells that nothing is there.
func (r Raw) IsZero() bool { return !r.Exists() }

// MarshalJSON gives what was decoded.
func (r Raw) MarshalJSON() ([]byte, error) {
	if !r.Exists() {
		return []byte("null"), nil
	}
	return r.AppendJSON(nil), nil
}

func checkName(name string, n source.Node, ps *source.Problems) {
	if !namePattern.MatchString(name) {
		ps.Add(n, fmt.Sprintf("%q is not a name", name), nameRule)
	}
}

func (*Organisation) parent() string { return "" }
func (m *Member) parent() string     { return m.Organisation }
func (a *App) parent() string        { return a.Organisation }
func (*Product) parent() string      { return "" }
func (*Plan) parent() string         { return "" }

func (*Organisation) check(name string, n source.Node, ps *source.Problems) { checkName(name, n, ps) }
func (*Product) check(name string, n source.Node, ps *source.Problems)      { checkName(name, n, ps) }
func (*Plan) check(name string, n source.Node, ps *source.Problems)         { checkName(name, n, ps) }

// mostAddresses bounds from where an app may call.
const mostAddresses = 100

func (a *App) check(name string, n source.Node, ps *source.Problems) {
	checkName(name, n, ps)
	if len(a.Addresses) > mostAddresses {
		ps.Add(n.At("addresses"), fmt.Sprintf("%d addresses", len(a.Addresses)), fmt.Sprintf("at most %d: write networks", mostAddresses))
	}
	for _, text := range a.Addresses {
		if _, err := gateway.ParseNetwork(text); err != nil {
			ps.Add(n.At("addresses"), err.Error(), "write an address or a network, for example 203.0.113.7 or 2001:db8::/32")
		}
	}
}

func (m *Member) check(name string, n source.Node, ps *source.Problems) {
	gateway.CheckMember(name, m.Organisation, m.Email, n, ps)
}

// noun is a kind whose things are put as a whole.
type noun struct {
	kind string
	// over is the kind of its parent, or empty.
	over string
	// quiet tells that no table depends on it.
	quiet  bool
	decode func(name string, text []byte) (body, error)
}

func define[T any, P interface {
	*T
	body
}](kind, over string, quiet bool) noun {
	return noun{kind, over, quiet, func(name string, text []byte) (body, error) {
		v, err := decode[T, P](kind, name, text)
		return P(v), err
	}}
}

func nouns() []noun {
	return []noun{
		define[Organisation](KindOrganisation, "", false),
		define[Member](KindMember, KindOrganisation, true),
		define[App](KindApp, KindOrganisation, false),
		define[Product](KindProduct, "", false),
		define[Plan](KindPlan, "", false),
	}
}

func nounOf(kind string) (noun, error) {
	all := nouns()
	i := slices.IndexFunc(all, func(n noun) bool { return n.kind == kind })
	if i < 0 {
		return noun{}, refuse(Invalid, "organisation, member, app, product or plan", "a %s is not put as a whole", kind)
	}
	return all[i], nil
}

// Put makes or changes an organisation, a member, an app, a product or a plan:
// text is its body in JSON. It returns the revision.
func (r *Registry) Put(ctx context.Context, by ledger.By, kind, name string, text []byte, m ledger.Match) (int64, error) {
	n, err := nounOf(kind)
	if err != nil {
		return 0, err
	}
	v, err := n.decode(name, text)
	if err != nil {
		return 0, err
	}
	change := r.change
	if n.quiet {
		change = r.quietly
	}
	return change(ctx, by, func(d *ledger.Draft) error { return n.put(d, name, v, m) })
}

func (n noun) put(d *ledger.Draft, name string, v body, m ledger.Match) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	if n.over != "" {
		if _, err := d.Get(n.over, v.parent()); err != nil {
			return refuse(Invalid, "", "there is no %s %q", n.over, v.parent())
		}
	}
	return keep(d, ledger.Entry{Kind: n.kind, Name: name, Parent: v.parent(), Body: text}, m)
}

// Delete ends an organisation, a member, an app, a product or a plan. With an
// app its credentials and subscriptions end; what others depend on is refused.
func (r *Registry) Delete(ctx context.Context, by ledger.By, kind, name string, m ledger.Match) (int64, error) {
	n, err := nounOf(kind)
	if err != nil {
		return 0, err
	}
	change := r.change
	if n.quiet {
		change = r.quietly
	}
	return change(ctx, by, func(d *ledger.Draft) error { return remove(d, kind, name, m) })
}

// remove deletes a thing and what belongs to it.
func remove(d *ledger.Draft, kind, name string, m ledger.Match) error {
	if err := d.Delete(kind, name, m); err != nil {
		return err
	}
	switch kind {
	case KindOrganisation:
		for _, below := range []string{KindApp, KindMember} {
			if list := d.List(below, name); len(list) > 0 {
				return refuse(InUse, "delete them first", "the organisation %q has %d of the kind %s, for example %q", name, len(list), below, list[0].Name)
			}
		}
	case KindApp:
		for _, below := range []string{KindCredential, KindSubscription} {
			for _, e := range d.List(below, name) {
				if err := d.Delete(below, e.Name, ledger.Any); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
