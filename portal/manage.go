package portal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// requestsPage is what waits for a partner manager's decision.
type requestsPage struct {
	form
	Requests []managedSubscription
}

// managedSubscription is a subscription as its manager sees it.
type managedSubscription struct {
	shownSubscription
	AppTitle, Organisation, OrganisationTitle string
	Asked                                     time.Time
	By                                        string
}

func (p *Portal) requests(c *call) error {
	d, err := p.requestsData(c)
	if err != nil {
		return err
	}
	return c.page("requests", "Requests", d)
}

func (p *Portal) requestsData(c *call) (requestsPage, error) {
	d := requestsPage{form: c.form(nil)}
	all, err := p.managed(c, func(s registry.Subscription) bool { return s.Status == registry.Requested })
	slices.SortFunc(all, func(a, b managedSubscription) int { return a.Asked.Compare(b.Asked) })
	d.Requests = all
	return d, err
}

// managed lists subscriptions with their apps and organisations.
func (p *Portal) managed(c *call, which func(registry.Subscription) bool) ([]managedSubscription, error) {
	ctx := c.Request().Context()
	if p.options.Registry == nil {
		return nil, errNoRegistry
	}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return nil, err
	}
	list, err := registry.Items[registry.Subscription](book.control, registry.KindSubscription)
	if err != nil {
		return nil, err
	}
	var found []managedSubscription
	for _, i := range list {
		if !which(i.Body) {
			continue
		}
		app, err := registry.Get[registry.App](ctx, p.options.Registry, registry.KindApp, i.Body.App)
		if err != nil {
			continue // it has gone meanwhile
		}
		m := managedSubscription{
			shownSubscription: shownSubscription{Name: i.Name, Subscription: i.Body, ProductTitle: i.Body.Product, PlanTitle: i.Body.Plan},
			AppTitle:          titled(app.Body.Title, app.Name), Organisation: app.Body.Organisation, OrganisationTitle: book.title(app.Body.Organisation), Asked: i.Created,
		}
		if product := c.table.Consumers.Products[i.Body.Product]; product != nil {
			m.ProductTitle = titled(product.Title, product.Name)
		}
		if plan := c.table.Consumers.Plans[i.Body.Plan]; plan != nil {
			m.PlanTitle = titled(plan.Title, plan.Name)
		}
		m.Plans = plansFor(c.table.Consumers, i.Body.Product)
		if n := len(i.Body.Steps); n > 0 {
			m.Last = i.Body.Steps[n-1]
			m.Asked, m.By = m.Last.At, strings.TrimPrefix(m.Last.By, "member:")
		}
		found = append(found, m)
	}
	return found, nil
}

// decide approves, rejects, suspends, resumes or ends a subscription, and tells the
// organisation.
func (p *Portal) decide(c *call) error {
	ctx, name, status := c.Request().Context(), c.Param("subscription"), c.FormValue("decision")
	texts := map[string]string{registry.Approved: "approved", registry.Rejected: "rejected", registry.Suspended: "suspended", registry.Ended: "ended"}
	if texts[status] == "" {
		return c.fail(http.StatusUnprocessableEntity, "there is no such decision")
	}
	reason := strings.TrimSpace(c.FormValue("reason"))
	if len(reason) > longestMessage {
		return c.fail(http.StatusUnprocessableEntity, "the reason is too long")
	}
	plan := c.FormValue("plan")
	s, err := registry.Get[registry.Subscription](ctx, p.options.Registry, registry.KindSubscription, name)
	if err != nil {
		return err
	}
	if plan != "" && plan != s.Body.Plan && status == registry.Approved {
		if s, err = p.options.Registry.ChangePlan(ctx, c.by(reason), name, plan, ledger.Match(s.Revision)); err != nil {
			return p.notDecided(c, err)
		}
	}
	if s, err = p.options.Registry.Decide(ctx, c.by(reason), name, status, ledger.Match(s.Revision)); err != nil {
		return p.notDecided(c, err)
	}
	lines := []string{"The subscription of " + s.Body.App + " to " + s.Body.Product + " on the plan " + s.Body.Plan + " is " + texts[status] + "."}
	if reason != "" {
		lines = append(lines, "The reason:", quote(reason))
	}
	if err := p.toOrganisationOf(c, s.Body.App, s.Body.Product+" is "+texts[status], append(lines, p.options.URL+"/apps/"+s.Body.App)...); err != nil {
		return err
	}
	return c.redirect(local(c.FormValue("next"), "/manage/requests"), "The subscription is "+texts[status]+".")
}

// notDecided tells a manager what the registry has refused.
func (p *Portal) notDecided(c *call, err error) error {
	r, ok := errors.AsType[*registry.Refusal](err)
	if !ok {
		return err
	}
	text := r.Wrong
	if r.Why == registry.NoReason {
		text = "write the reason: the organisation is told"
	}
	if next := local(c.FormValue("next"), ""); strings.HasPrefix(next, "/manage/organisations/") {
		return c.fail(http.StatusUnprocessableEntity, text)
	}
	d, err := p.requestsData(c)
	if err != nil {
		return err
	}
	d.Problem = sentence(text)
	return c.answer(http.StatusUnprocessableEntity, "requests", "Requests", d)
}

// managePlan puts a subscription on another plan.
func (p *Portal) managePlan(c *call) error {
	reason := strings.TrimSpace(c.FormValue("reason"))
	s, err := p.options.Registry.ChangePlan(c.Request().Context(), c.by(reason), c.Param("subscription"), c.FormValue("plan"), ledger.Any)
	if err != nil {
		return err
	}
	if err := p.toOrganisationOf(c, s.Body.App, "another plan", "The subscription of "+s.Body.App+" to "+s.Body.Product+" is on the plan "+s.Body.Plan+" now.", p.options.URL+"/apps/"+s.Body.App); err != nil {
		return err
	}
	return c.redirect(local(c.FormValue("next"), "/manage/organisations"), "The plan is changed.")
}

// toOrganisationOf mails the owners and developers of an app's organisation.
func (p *Portal) toOrganisationOf(c *call, app, subject string, lines ...string) error {
	a, err := registry.Get[registry.App](c.Request().Context(), p.options.Registry, registry.KindApp, app)
	if err != nil {
		return err
	}
	return p.toOrganisation(c.Request().Context(), a.Body.Organisation, subject, lines...)
}

func (p *Portal) toOrganisation(ctx context.Context, organisation, subject string, lines ...string) error {
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return err
	}
	for _, m := range book.byOrg[organisation] {
		if m.Body.Status == registry.Active && (m.Body.Role == registry.Owner || m.Body.Role == registry.Developer) {
			if err := p.post(ctx, letter{m.Body.Email, subject, append([]string{"Hello " + m.Body.Title + ","}, lines...)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// organisationTile is an organisation in the manager's list.
type organisationTile struct {
	Name, Title         string
	Members, Apps, Open int
	Suspended           bool
	Created             time.Time
}

type organisationsPage struct {
	form
	Organisations []organisationTile
	Search        string
}

func (p *Portal) organisations(c *call) error {
	d, err := p.organisationsData(c)
	if err != nil {
		return err
	}
	return c.page("organisations", "Organisations", d)
}

func (p *Portal) organisationsData(c *call) (organisationsPage, error) {
	d := organisationsPage{form: c.form(nil), Search: strings.TrimSpace(c.QueryParam("q"))}
	if p.options.Registry == nil {
		return d, errNoRegistry
	}
	book, err := p.people.book(c.Request().Context(), p.options.Registry)
	if err != nil {
		return d, err
	}
	list, err := registry.Items[registry.Organisation](book.control, registry.KindOrganisation)
	if err != nil {
		return d, err
	}
	apps, open := map[string]int{}, map[string]int{}
	organisationOf := map[string]string{}
	for _, e := range book.control.Of(registry.KindApp) {
		apps[e.Parent]++
		organisationOf[e.Name] = e.Parent
	}
	subscriptions, err := registry.Items[registry.Subscription](book.control, registry.KindSubscription)
	if err != nil {
		return d, err
	}
	for _, s := range subscriptions {
		if s.Body.Status == registry.Requested {
			open[organisationOf[s.Body.App]]++
		}
	}
	for _, o := range list {
		if !strings.Contains(strings.ToLower(o.Name+" "+o.Body.Title), strings.ToLower(d.Search)) {
			continue
		}
		d.Organisations = append(d.Organisations, organisationTile{o.Name, titled(o.Body.Title, o.Name), len(book.byOrg[o.Name]), apps[o.Name], open[o.Name], o.Body.Suspended, o.Created})
	}
	return d, nil
}

// partnerPage is an organisation as its manager sees it.
type partnerPage struct {
	form
	organisationTile
	People        []registry.Item[registry.Member]
	Apps          []registry.Item[registry.App]
	Subscriptions []managedSubscription
	Messages      []ledger.Message
}

func (p *Portal) partner(c *call) error {
	d, err := p.partnerData(c)
	if err != nil {
		return err
	}
	return c.page("partner", d.Title, d)
}

func (p *Portal) partnerData(c *call) (partnerPage, error) {
	ctx, name := c.Request().Context(), c.Param("organisation")
	d := partnerPage{form: c.form(nil)}
	if p.options.Registry == nil {
		return d, errNoRegistry
	}
	o, err := registry.Get[registry.Organisation](ctx, p.options.Registry, registry.KindOrganisation, name)
	if err != nil {
		return d, err
	}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return d, err
	}
	d.organisationTile = organisationTile{Name: name, Title: titled(o.Body.Title, name), Suspended: o.Body.Suspended, Created: o.Created}
	d.People = book.byOrg[name]
	if d.Apps, _, err = registry.List[registry.App](ctx, p.options.Registry, registry.KindApp, name, "", 1000); err != nil {
		return d, err
	}
	mine := map[string]bool{}
	for _, a := range d.Apps {
		mine[a.Name] = true
	}
	if d.Subscriptions, err = p.managed(c, func(s registry.Subscription) bool { return mine[s.App] }); err != nil {
		return d, err
	}
	d.Messages, err = p.options.Store.Messages(ctx, name, 50)
	return d, err
}

func (p *Portal) refusePartner(c *call, problem string) error {
	d, err := p.partnerData(c)
	if err != nil {
		return err
	}
	d.Problem = sentence(problem)
	return c.answer(http.StatusUnprocessableEntity, "partner", d.Title, d)
}

// messagePartner writes to an organisation, and keeps in the audit that it was done.
func (p *Portal) messagePartner(c *call) error {
	ctx, name, text := c.Request().Context(), c.Param("organisation"), strings.TrimSpace(c.FormValue("text"))
	if text == "" || len(text) > longestMessage {
		return p.refusePartner(c, "write a message of at most 4000 letters")
	}
	if _, err := registry.Get[registry.Organisation](ctx, p.options.Registry, registry.KindOrganisation, name); err != nil {
		return err
	}
	if err := p.options.Registry.Note(ctx, c.by(""), "message", registry.KindOrganisation+"/"+name); err != nil {
		return err
	}
	if err := p.options.Store.Tell(ctx, ledger.Message{Organisation: name, Author: c.visitor.Name(), Manager: true, Text: text}); err != nil {
		return err
	}
	if err := p.toOrganisation(ctx, name, "a message of your partner manager", c.visitor.Name()+" writes:", quote(text), "Answer: "+p.options.URL+"/organisation"); err != nil {
		return err
	}
	return c.redirect("/manage/organisations/"+name, "The message is on its way.")
}

// suspendPartner refuses all apps of an organisation, or lets them call again.
func (p *Portal) suspendPartner(c *call) error {
	ctx, name := c.Request().Context(), c.Param("organisation")
	reason, suspend := strings.TrimSpace(c.FormValue("reason")), c.FormValue("suspend") == "yes"
	if reason == "" || len(reason) > longestMessage {
		return p.refusePartner(c, "write the reason: the organisation is told")
	}
	if err := p.options.Registry.Suspend(ctx, c.by(reason), name, suspend); err != nil {
		return err
	}
	subject, notice := "your apps may call again", "The apps of the organisation may call again."
	if suspend {
		subject, notice = "your apps are suspended", "All apps of the organisation are refused from now on."
	}
	if err := p.toOrganisation(ctx, name, subject, "The reason:", quote(reason), "Ask: "+p.options.URL+"/organisation"); err != nil {
		return err
	}
	return c.redirect("/manage/organisations/"+name, notice)
}

// invitePartner makes an organisation and invites its first owner.
func (p *Portal) invitePartner(c *call) error {
	again := func(problem string) error {
		d, err := p.organisationsData(c)
		if err != nil {
			return err
		}
		d.Problem = sentence(problem)
		return c.answer(http.StatusUnprocessableEntity, "organisations", "Organisations", d)
	}
	if err := p.posts(); err != nil {
		return err
	}
	title, problem := properName(c.FormValue("title"))
	email := address(c.FormValue("email"))
	switch {
	case problem != "":
		return again("the name: " + problem)
	case email == "":
		return again("write an e-mail address")
	case p.options.Registry == nil:
		return errNoRegistry
	}
	name, err := p.foundAs(c, c.by("invited"), title, registry.Member{Email: email, Role: registry.Owner, Status: registry.Invited})
	if err != nil {
		return err
	}
	if err := p.inviteTo(c, name, title, email, registry.Owner); err != nil {
		return err
	}
	return c.redirect("/manage/organisations/"+name, "An invitation is on its way to "+email+".")
}

// impersonate lets a manager see what an organisation sees. Nothing can be changed
// meanwhile, and the audit keeps who has looked and why.
func (p *Portal) impersonate(c *call) error {
	ctx, name := c.Request().Context(), c.Param("organisation")
	reason := strings.TrimSpace(c.FormValue("reason"))
	if reason == "" || len(reason) > longestMessage {
		return p.refusePartner(c, "write the reason: it is kept in the audit")
	}
	if _, err := registry.Get[registry.Organisation](ctx, p.options.Registry, registry.KindOrganisation, name); err != nil {
		return err
	}
	if err := p.options.Registry.Note(ctx, c.by(reason), "look", registry.KindOrganisation+"/"+name); err != nil {
		return err
	}
	s := c.visitor.session
	s.Acting = name
	if err := p.options.Store.ChangeSession(ctx, s); err != nil {
		return err
	}
	return c.redirect("/apps", "")
}

// stopLooking gives a manager their own eyes back.
func (p *Portal) stopLooking(c *call) error {
	s := c.visitor.session
	back := "/"
	if s.Acting != "" {
		back = "/manage/organisations/" + s.Acting
	}
	s.Acting = ""
	if err := p.options.Store.ChangeSession(c.Request().Context(), s); err != nil {
		return err
	}
	return c.redirect(back, "")
}
