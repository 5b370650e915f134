package portal

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// appPage is what members see of an app.
type appPage struct {
	form
	Name          string
	App           registry.App
	Keys, Others  []shownCredential // API keys; clients and certificates
	Subscriptions []shownSubscription
	Offers        []offer
	Steps         []milestone
	Done          bool   // all steps are
	First         string // an API that the app may call, NAME/vMAJOR; empty when there is none
	Suspended     bool   // the organisation is
}

// shownCredential is a credential with what is known of its use.
type shownCredential struct {
	Name string
	registry.Credential
	Created, Used time.Time
	Live, Expired bool
}

// End is when the credential expires; zero when it does not.
func (s shownCredential) End() time.Time {
	if s.Expires == nil {
		return time.Time{}
	}
	return *s.Expires
}

// shownSubscription is a subscription in people's words.
type shownSubscription struct {
	Name string
	registry.Subscription
	ProductTitle, PlanTitle string
	Plans                   []planText // that it may go to
	Last                    registry.Step
}

// planText is a plan by its name and title.
type planText struct {
	Name, Title string
	Automatic   bool
}

// offer is a product that an app may subscribe to.
type offer struct {
	Name, Title string
	Plans       []planText
}

// milestone is a part of the way to the first call.
type milestone struct {
	Text, More string
	Done       bool
	Link, Act  string // where to do it, and what that is called
}

// appTile is an app in the list.
type appTile struct {
	Name, Title             string
	Disabled                bool
	Keys                    int
	Approved, Requested     int
	LastUsed, CreatedMoment time.Time
}

type appsPage struct {
	form
	Apps         []appTile
	Organisation string
}

func (p *Portal) apps(c *call) error {
	d, err := p.appsData(c)
	if err != nil {
		return err
	}
	return c.page("apps", "Apps", d)
}

func (p *Portal) appsData(c *call) (appsPage, error) {
	ctx, v := c.Request().Context(), c.visitor
	d := appsPage{form: c.form(nil), Organisation: v.Organisation()}
	if p.options.Registry == nil {
		return d, errNoRegistry
	}
	list, _, err := registry.List[registry.App](ctx, p.options.Registry, registry.KindApp, v.organisation, "", 1000)
	if err != nil {
		return d, err
	}
	for _, a := range list {
		t := appTile{Name: a.Name, Title: titled(a.Body.Title, a.Name), Disabled: a.Body.Disabled, CreatedMoment: a.Created}
		credentials, err := p.credentials(ctx, a.Name)
		if err != nil {
			return d, err
		}
		for _, k := range credentials {
			if k.Live {
				t.Keys++
			}
			if k.Used.After(t.LastUsed) {
				t.LastUsed = k.Used
			}
		}
		subscriptions, _, err := registry.List[registry.Subscription](ctx, p.options.Registry, registry.KindSubscription, a.Name, "", 1000)
		if err != nil {
			return d, err
		}
		for _, s := range subscriptions {
			switch s.Body.Status {
			case registry.Approved:
				t.Approved++
			case registry.Requested:
				t.Requested++
			}
		}
		d.Apps = append(d.Apps, t)
	}
	return d, nil
}

func titled(title, name string) string {
	if title == "" {
		return name
	}
	return title
}

// openApp makes an app, and asks for a product where one was chosen.
func (p *Portal) openApp(c *call) error {
	ctx := c.Request().Context()
	title, problem := properName(c.FormValue("title"))
	if problem != "" {
		d, err := p.appsData(c)
		if err != nil {
			return err
		}
		d.Problem = sentence("the app's name: " + problem)
		return c.answer(http.StatusUnprocessableEntity, "apps", "Apps", d)
	}
	files := c.table.Consumers.Apps
	ctx, taken := takenBy(ctx, p.leftByApp, func(name string) bool { return files[name] != nil })
	name, err := p.options.Registry.OpenApp(ctx, c.by("opened"), c.visitor.organisation, title, taken)
	if err = cmp.Or(context.Cause(ctx), err); err != nil {
		return err
	}
	return c.redirect("/apps/"+name, "The app is there. Subscribe to a product, and make a key.")
}

func (p *Portal) app(c *call) error {
	d, err := p.appData(c)
	if err != nil {
		return err
	}
	return c.page("app", d.App.Title, d)
}

// refuseApp shows the app again with what is wrong.
func (p *Portal) refuseApp(c *call, problem string) error {
	d, err := p.appData(c)
	if err != nil {
		return err
	}
	d.Problem = sentence(problem)
	return c.answer(http.StatusUnprocessableEntity, "app", d.App.Title, d)
}

func (p *Portal) appData(c *call) (appPage, error) {
	ctx, name := c.Request().Context(), c.Param("app")
	d := appPage{form: c.form(nil), Name: name}
	app, err := registry.Get[registry.App](ctx, p.options.Registry, registry.KindApp, name)
	if err != nil {
		return d, err
	}
	organisation, err := registry.Get[registry.Organisation](ctx, p.options.Registry, registry.KindOrganisation, app.Body.Organisation)
	if err != nil && !errors.Is(absent(err), ledger.ErrNotFound) {
		return d, err
	}
	d.App, d.Suspended = app.Body, organisation.Body.Suspended
	d.App.Title = titled(d.App.Title, name)
	all, err := p.credentials(ctx, name)
	if err != nil {
		return d, err
	}
	for _, k := range all {
		if k.Type == "key" {
			d.Keys = append(d.Keys, k)
		} else {
			d.Others = append(d.Others, k)
		}
	}
	if err := p.subscriptionsOf(ctx, c.table.Consumers, &d); err != nil {
		return d, err
	}
	d.Steps, err = p.checklist(ctx, &d)
	d.Done = !slices.ContainsFunc(d.Steps, func(s milestone) bool { return !s.Done })
	return d, err
}

// credentials lists an app's credentials, the live ones first.
func (p *Portal) credentials(ctx context.Context, app string) ([]shownCredential, error) {
	list, _, err := registry.List[registry.Credential](ctx, p.options.Registry, registry.KindCredential, app, "", 1000)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	used, err := p.options.Store.LastUsed(ctx, registry.KindCredential, names)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var shown []shownCredential
	for _, i := range list {
		shown = append(shown, shownCredential{
			Name: i.Name, Credential: i.Body, Created: i.Created, Used: used[i.Name],
			Live: i.Body.Live(now), Expired: i.Body.Revoked == nil && !i.Body.Live(now),
		})
	}
	slices.SortStableFunc(shown, func(a, b shownCredential) int {
		if a.Live != b.Live {
			if a.Live {
				return -1
			}
			return 1
		}
		return b.Created.Compare(a.Created)
	})
	return shown, nil
}

// subscriptionsOf fills in what the app uses, and what it could.
func (p *Portal) subscriptionsOf(ctx context.Context, served *gateway.Consumers, d *appPage) error {
	list, _, err := registry.List[registry.Subscription](ctx, p.options.Registry, registry.KindSubscription, d.Name, "", 1000)
	if err != nil {
		return err
	}
	open := map[string]bool{}
	for _, i := range list {
		s := shownSubscription{Name: i.Name, Subscription: i.Body, ProductTitle: i.Body.Product, PlanTitle: i.Body.Plan}
		if product := served.Products[i.Body.Product]; product != nil {
			s.ProductTitle = titled(product.Title, product.Name)
		}
		if plan := served.Plans[i.Body.Plan]; plan != nil {
			s.PlanTitle = titled(plan.Title, plan.Name)
		}
		if n := len(i.Body.Steps); n > 0 {
			s.Last = i.Body.Steps[n-1]
		}
		s.Plans = slices.DeleteFunc(plansFor(served, i.Body.Product), func(t planText) bool { return t.Name == i.Body.Plan })
		if i.Body.Status != registry.Ended && i.Body.Status != registry.Rejected {
			open[i.Body.Product] = true
		}
		d.Subscriptions = append(d.Subscriptions, s)
	}
	for _, name := range slices.Sorted(maps.Keys(served.Products)) {
		if plans := plansFor(served, name); !open[name] && len(plans) > 0 {
			d.Offers = append(d.Offers, offer{name, titled(served.Products[name].Title, name), plans})
		}
	}
	for _, s := range d.Subscriptions {
		if product := served.Products[s.Product]; product != nil && s.Status == registry.Approved && d.First == "" && len(product.APIs) > 0 {
			d.First = product.APIs[0]
		}
	}
	return nil
}

// plansFor lists the plans that are offered for a product.
func plansFor(served *gateway.Consumers, product string) []planText {
	var list []planText
	for _, name := range slices.Sorted(maps.Keys(served.Plans)) {
		plan := served.Plans[name]
		if len(plan.Products) == 0 || slices.Contains(plan.Products, product) {
			list = append(list, planText{name, titled(plan.Title, name), plan.Approval == "automatic"})
		}
	}
	return list
}

// checklist is the way to the first call. It ticks itself by what has happened.
func (p *Portal) checklist(ctx context.Context, d *appPage) ([]milestone, error) {
	calls, right := int64(0), int64(0)
	list, err := p.options.Store.Usages(ctx, ledger.UsageFilter{App: d.Name})
	if err != nil {
		return nil, err
	}
	for _, u := range list {
		calls += u.Calls
		right += u.Calls - u.Refused - u.Failed
	}
	used := slices.ContainsFunc(append(slices.Clone(d.Keys), d.Others...), func(k shownCredential) bool { return !k.Used.IsZero() })
	live := slices.ContainsFunc(append(slices.Clone(d.Keys), d.Others...), func(k shownCredential) bool { return k.Live })
	has := func(states ...string) bool {
		return slices.ContainsFunc(d.Subscriptions, func(s shownSubscription) bool { return slices.Contains(states, s.Status) })
	}
	steps := []milestone{
		{Text: "Subscribe to a product", Done: has(registry.Approved, registry.Requested, registry.Suspended), Link: "#subscriptions", Act: "Choose one"},
		{Text: "The subscription is approved", Done: has(registry.Approved)},
		{Text: "Make a key", Done: live, Link: "#keys", Act: "Make one"},
		{Text: "The gateway sees a call with it", Done: used || calls > 0},
		{Text: "A call succeeds", Done: right > 0},
	}
	if has(registry.Requested) && !has(registry.Approved) {
		steps[1].More = "A partner manager looks at it. You get a mail."
	}
	if !steps[3].Done && steps[2].Done {
		steps[3].More = "It shows here within seconds of your first call."
	}
	return steps, nil
}

// changeApp changes the app's name, and from where it may call.
func (p *Portal) changeApp(c *call) error {
	title, problem := properName(c.FormValue("title"))
	if problem != "" {
		return p.refuseApp(c, "the app's name: "+problem)
	}
	return p.appDone(c, "The app is changed.", p.options.Registry.ChangeApp(c.Request().Context(), c.by("changed"), c.Param("app"), func(a *registry.App) { a.Title = title }))
}

func (p *Portal) changeAddresses(c *call) error {
	list := registry.Networks(c.FormValue("addresses"))
	for _, text := range list {
		if _, err := gateway.ParseNetwork(text); err != nil {
			return p.refuseApp(c, err.Error())
		}
	}
	notice := "The app may call from these addresses alone now."
	if len(list) == 0 {
		notice = "The app may call from anywhere now."
	}
	return p.appDone(c, notice, p.options.Registry.ChangeApp(c.Request().Context(), c.by("from where it may call"), c.Param("app"), func(a *registry.App) { a.Addresses = list }))
}

// deleteApp ends the app with its credentials and subscriptions. Its name has to be
// written out.
func (p *Portal) deleteApp(c *call) error {
	name := c.Param("app")
	if strings.TrimSpace(c.FormValue("confirm")) != name {
		return p.refuseApp(c, "write the name "+name+" to delete the app")
	}
	if _, err := p.options.Registry.Delete(c.Request().Context(), c.by("deleted in the portal"), registry.KindApp, name, ledger.Any); err != nil {
		return err
	}
	return c.redirect("/apps", "The app is deleted. Its keys have stopped working.")
}

// appDone goes back to the app, or tells there what the registry has refused.
func (p *Portal) appDone(c *call, notice string, err error) error {
	if r, ok := errors.AsType[*registry.Refusal](err); ok && r.Why != registry.NotFound {
		text := r.Wrong
		if r.Right != "" {
			text += "; " + r.Right
		}
		return p.refuseApp(c, text)
	}
	if err != nil {
		return err
	}
	return c.redirect("/apps/"+c.Param("app"), notice)
}
