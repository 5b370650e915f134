package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// organisationPage is what members see of their organisation.
type organisationPage struct {
	form
	Name, Title string
	Members     []registry.Item[registry.Member]
	Messages    []ledger.Message
	Mine        []membership
	Roles       []roleText
	Me          string // the visitor's address
}

// roleText says what a role may do.
type roleText struct{ Name, Text string }

func roleTexts() []roleText {
	return []roleText{
		{registry.Owner, "everything, members included"},
		{registry.Developer, "apps, keys, subscriptions and webhooks"},
		{registry.Billing, "looks, and hears of plans"},
		{registry.Onlooker, "looks"},
	}
}

func isRole(name string) bool {
	return slices.ContainsFunc(roleTexts(), func(r roleText) bool { return r.Name == name })
}

func (p *Portal) organisationData(c *call) (organisationPage, error) {
	ctx, v := c.Request().Context(), c.visitor
	d := organisationPage{form: c.form(nil), Name: v.organisation, Title: v.Organisation(), Mine: v.memberships, Roles: roleTexts(), Me: v.email}
	if v.organisation == "" {
		return d, nil
	}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return d, err
	}
	for _, m := range book.byOrg[v.organisation] {
		if m.Body.Status != registry.Removed {
			d.Members = append(d.Members, m)
		}
	}
	d.Messages, err = p.options.Store.Messages(ctx, v.organisation, 50)
	return d, err
}

// organisation shows the visitor's organisation, or how to come to one.
func (p *Portal) organisation(c *call) error {
	d, err := p.organisationData(c)
	if err != nil {
		return err
	}
	return c.page("organisation", "Organisation", d)
}

func (p *Portal) refuseOrganisation(c *call, problem string) error {
	d, err := p.organisationData(c)
	if err != nil {
		return err
	}
	d.Problem = sentence(problem)
	return c.answer(http.StatusUnprocessableEntity, "organisation", "Organisation", d)
}

// foundOrganisation makes an organisation for somebody who has none, where everybody
// may sign up.
func (p *Portal) foundOrganisation(c *call) error {
	if c.visitor.organisation != "" || p.options.SignUp != "open" {
		return c.fail(http.StatusForbidden, "organisations are made by invitation")
	}
	title, problem := properName(c.FormValue("title"))
	if problem != "" {
		return p.refuseOrganisation(c, "the name: "+problem)
	}
	if _, err := p.found(c, ledger.Account{Email: c.visitor.email, Name: c.visitor.name}, title); err != nil {
		return err
	}
	return c.redirect("/apps", "Your organisation is ready; make your first app.")
}

// switchOrganisation makes the visitor act for another one of theirs.
func (p *Portal) switchOrganisation(c *call) error {
	to := c.FormValue("organisation")
	if !c.visitor.stand(to) {
		return c.missing()
	}
	s := c.visitor.session
	s.Organisation = to
	if err := p.options.Store.ChangeSession(c.Request().Context(), s); err != nil {
		return err
	}
	return c.redirect("/apps", "You act for "+c.visitor.Organisation()+" now.")
}

// renameOrganisation changes the title; the name stays, as keys and logs have it.
func (p *Portal) renameOrganisation(c *call) error {
	ctx, v := c.Request().Context(), c.visitor
	title, problem := properName(c.FormValue("title"))
	if problem != "" {
		return p.refuseOrganisation(c, "the name: "+problem)
	}
	old, err := registry.Get[registry.Organisation](ctx, p.options.Registry, registry.KindOrganisation, v.organisation)
	if err != nil {
		return err
	}
	old.Body.Title = title
	text, err := json.Marshal(old.Body)
	if err != nil {
		return err
	}
	if _, err := p.options.Registry.Put(ctx, c.by("renamed"), registry.KindOrganisation, v.organisation, text, ledger.Match(old.Revision)); err != nil {
		return err
	}
	return c.redirect("/organisation", "The organisation is called "+title+" now.")
}

// invite asks a person to become a member. Where there was an invitation, another
// link takes its place.
func (p *Portal) invite(c *call) error {
	v := c.visitor
	if err := p.posts(); err != nil {
		return err
	}
	email, role := address(c.FormValue("email")), c.FormValue("role")
	switch {
	case email == "":
		return p.refuseOrganisation(c, "write an e-mail address")
	case !isRole(role):
		return p.refuseOrganisation(c, "choose a role")
	}
	if err := p.spend(c, email); err != nil {
		return err
	}
	err := p.inviteTo(c, v.organisation, v.Organisation(), email, role)
	if r, ok := errors.AsType[*registry.Refusal](err); ok {
		return p.refuseOrganisation(c, r.Wrong)
	}
	if err != nil {
		return err
	}
	return c.redirect("/organisation", "An invitation is on its way to "+email+".")
}

// inviteTo makes a member who is invited, and mails the link.
func (p *Portal) inviteTo(c *call, organisation, title, email, role string) error {
	ctx := c.Request().Context()
	name, err := p.options.Registry.Invite(ctx, c.by("invited"), registry.Member{Organisation: organisation, Email: email, Role: role, Status: registry.Invited})
	if err != nil {
		return err
	}
	if err := p.options.Store.DropTickets(ctx, inviteTicket, name); err != nil {
		return err
	}
	t, secret := p.ticket(inviteTicket, name, []byte(email), inviteLife)
	return p.post(ctx, letter{email, "you are invited to " + title, []string{
		"Hello,", c.visitor.Name() + " invites you to " + title + " at " + p.options.Title + ":",
		p.options.URL + "/invitations/" + secret, "The link works for two weeks.",
	}}, t)
}

// changeMember gives a member another role.
func (p *Portal) changeMember(c *call) error {
	role := c.FormValue("role")
	if !isRole(role) {
		return p.refuseOrganisation(c, "choose a role")
	}
	return p.memberDone(c, "The role is changed.", p.options.Registry.ChangeMember(c.Request().Context(), c.by("another role"), c.Param("member"), func(m *registry.Member) { m.Role = role }))
}

// removeMember takes a member out. What they see is no longer theirs at once.
func (p *Portal) removeMember(c *call) error {
	ctx := c.Request().Context()
	if err := p.options.Store.DropTickets(ctx, inviteTicket, c.Param("member")); err != nil {
		return err
	}
	return p.memberDone(c, "The member is removed.", p.options.Registry.ChangeMember(ctx, c.by("removed"), c.Param("member"), func(m *registry.Member) { m.Status = registry.Removed }))
}

func (p *Portal) memberDone(c *call, notice string, err error) error {
	if r, ok := errors.AsType[*registry.Refusal](err); ok && r.Why == registry.InUse {
		return p.refuseOrganisation(c, r.Error())
	}
	if err != nil {
		return err
	}
	return c.redirect("/organisation", notice)
}

// longestMessage bounds what people write to each other.
const longestMessage = 4000

// message writes to the partner managers.
func (p *Portal) message(c *call) error {
	text := strings.TrimSpace(c.FormValue("text"))
	if text == "" || len(text) > longestMessage {
		return p.refuseOrganisation(c, "write a message of at most 4000 letters")
	}
	if err := p.spend(c, "messages "+c.visitor.organisation); err != nil {
		return err
	}
	ctx, v := c.Request().Context(), c.visitor
	if err := p.options.Store.Tell(ctx, ledger.Message{Organisation: v.organisation, Author: v.Name(), Text: text}); err != nil {
		return err
	}
	for _, email := range p.options.Managers {
		if err := p.post(ctx, letter{email, v.Organisation() + " has written", []string{v.Name() + " of " + v.Organisation() + " writes:", quote(text), p.options.URL + "/manage/organisations/" + v.organisation}}); err != nil {
			return err
		}
	}
	return c.redirect("/organisation", "Your message is on its way.")
}

// quote sets a text of somebody else apart, so that it cannot pass for ours.
// Every kind of line end begins a quoted line: some readers of mails know all of them.
func quote(text string) string {
	return "> " + strings.NewReplacer("\r\n", "\n> ", "\r", "\n> ", "\n", "\n> ", "\v", "\n> ", "\f", "\n> ", "\u0085", "\n> ", "\u2028", "\n> ", "\u2029", "\n> ").Replace(text)
}

// invited is what an invitation is about.
type invited struct {
	form
	Member registry.Item[registry.Member]
	Title  string
	// Known tells that there is an account of the address, Mine that it is the visitor's.
	Known, Mine bool
	Token       string
}

func (p *Portal) invitation(c *call) (invited, error) {
	ctx := c.Request().Context()
	d := invited{form: c.form(nil), Token: c.Param("token")}
	t, err := p.options.Store.Ticket(ctx, inviteTicket, ledger.HashOf([]byte(d.Token)))
	if err != nil {
		return d, c.expired(err)
	}
	if d.Member, err = registry.Get[registry.Member](ctx, p.options.Registry, registry.KindMember, t.About); err != nil {
		return d, c.expired(absent(err))
	}
	if d.Member.Body.Status != registry.Invited || !strings.EqualFold(d.Member.Body.Email, string(t.Body)) {
		return d, c.expired(ledger.ErrNotFound)
	}
	book, err := p.people.book(ctx, p.options.Registry)
	if err != nil {
		return d, err
	}
	d.Title = book.title(d.Member.Body.Organisation)
	a, err := p.options.Store.AccountOf(ctx, d.Member.Body.Email)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return d, err
	}
	d.Known = err == nil
	d.Mine = d.Known && c.visitor != nil && c.visitor.account == a.ID
	return d, nil
}

func (p *Portal) invitationForm(c *call) error {
	d, err := p.invitation(c)
	if err != nil {
		return err
	}
	if d.Known && c.visitor == nil {
		return c.redirect("/sign-in?next="+url.QueryEscape("/invitations/"+d.Token), "Sign in to accept the invitation.")
	}
	return c.page("invitation", "Invitation", d)
}

// acceptInvitation makes the member active. Somebody who has no account gets one: the
// link has shown that the address is theirs.
func (p *Portal) acceptInvitation(c *call) error {
	ctx := c.Request().Context()
	d, err := p.invitation(c)
	if err != nil {
		return err
	}
	email, organisation := strings.ToLower(d.Member.Body.Email), d.Member.Body.Organisation
	a := ledger.Account{Email: email}
	switch {
	case d.Known && !d.Mine:
		return c.fail(http.StatusForbidden, "the invitation is for "+email+"; sign in as that")
	case !d.Known:
		var problem string
		if a.Name, problem = properName(c.FormValue("name")); problem != "" {
			d.Fields["name"] = sentence(problem)
		}
		if problem := weak(c.FormValue("password"), email, p.options.Title); problem != "" {
			d.Fields["password"] = sentence(problem)
		}
		if len(d.Fields) > 0 {
			return c.answer(http.StatusUnprocessableEntity, "invitation", "Invitation", d)
		}
		if a.Password, err = p.passwords.hash(ctx, c.FormValue("password")); err != nil {
			return err
		}
	}
	if _, err := p.options.Store.TakeTicket(ctx, inviteTicket, ledger.HashOf([]byte(d.Token))); err != nil {
		return c.expired(err)
	}
	if !d.Known {
		if a, err = p.options.Store.NewAccount(ctx, a); err != nil {
			return err
		}
	} else {
		a.ID, a.Name = c.visitor.account, c.visitor.name
	}
	err = p.options.Registry.ChangeMember(ctx, byMember(c, email, d.Member.Body.Role, "accepted the invitation"), d.Member.Name, func(m *registry.Member) {
		m.Status = registry.Active
		if m.Title == "" {
			m.Title = a.Name
		}
	})
	if err != nil {
		return err
	}
	if !d.Known {
		if err := c.signIn(a.ID, false); err != nil {
			return err
		}
	} else {
		s := c.visitor.session
		s.Organisation = organisation
		if err := p.options.Store.ChangeSession(ctx, s); err != nil {
			return err
		}
	}
	return c.redirect("/apps", "You are a member of "+d.Title+" now.")
}
